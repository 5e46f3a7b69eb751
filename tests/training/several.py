"""What each process of a launched run does in test_processes.py: train, and write down what happened."""

import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

import torch  # noqa: E402
from tiny import Tiny, batches, dev_batches  # noqa: E402

from course_lib.batching import Batches  # noqa: E402
from course_lib.training import evaluate, fit, set_seed  # noqa: E402


class Watched(Tiny):
    """Notes which rows it was given in training."""

    def __init__(self) -> None:
        super().__init__(dropout=0.0)
        self.rows: list[float] = []

    def forward(self, x, labels=None):
        if self.training:
            self.rows += x[:, 0].tolist()
        return super().forward(x, labels)


def main(folder: str, stop: str) -> None:
    torch.set_num_threads(1)
    set_seed(3)
    model = Watched()
    labels = batches().columns
    labels["labels"][::5] = -100  # an uneven number of items for each process
    train = Batches(labels, 4, shuffle=1)  # 23 examples: the last batch has 3
    steps = int(stop) or 12
    report = fit(
        model, train, dev_batches(), output=f"{folder}/run", resume=True, steps=steps, learning_rate=0.05, accumulate=2,
        clip=0.5, save_every=2,
    )  # fmt: skip
    from accelerate import PartialState

    process = PartialState().process_index
    found = evaluate(model, dev_batches())
    Path(f"{folder}/process-{process}.json").write_text(
        json.dumps(
            {
                "losses": [step.loss for step in report.steps],
                "scores": [record.scores for record in report.records],
                "logits_of_dev": report.records[-1].dev.logits.tolist(),
                "evaluated_alone": found.loss,
                "weights": [p.tolist() for p in model.parameters()],
                "rows": model.rows,
                "processes": PartialState().num_processes,
            }
        ),
        encoding="utf-8",
    )


main(*sys.argv[1:])
