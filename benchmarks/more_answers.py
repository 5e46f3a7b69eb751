"""How many questions does a span head need, and how many times through them? The default model, one seed.

SQuAD 1.1 comes from the folder that COURSE_DATA names; its questions for training are taken from all over the training
part (12 articles). Beside it the course's own 300 questions, a fifth of them without an answer. Each run ends with the
weights of the last epoch, and is asked 212 questions of SQuAD's dev part, every fiftieth, and those of the course's own
test part that have an answer. A model of SQuAD's questions, which all have one, never says "no answer"; one of the course's
may, and is wrong there.
"""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

from benchmarks.record import write

OWN = Path(__file__).resolve().parents[1] / "data" / "answers_en"
RECIPE = {"learning_rate": 2e-4, "batch_size": 16}
RUNS = (
    ("squad", 300, 3),
    ("squad", 300, 12),
    ("squad", 1200, 3),
    ("own", 300, 12),
)  # data, questions, epochs
EVERY = 50  # of the questions of dev


def measure(chosen: Any) -> list[dict[str, Any]]:
    """One dictionary a run."""
    import torch

    from course_lib import metrics
    from course_lib.datasets import load_dataset
    from course_lib.datasets.examples import Examples
    from course_lib.finetuning import fine_tune

    torch.set_num_threads(1)
    squad = load_dataset(Path(os.environ["COURSE_DATA"]) / "squad11_en")
    own = load_dataset(OWN)
    asked = {"squad_dev": squad.dev[::EVERY], "own_test": [q for q in own.test if q.answers]}
    runs: list[dict[str, Any]] = []
    for name, count, epochs in chosen:
        data = {"squad": squad, "own": own}[name]
        step = len(data.train) / count
        part = Examples(data.train[int(number * step)] for number in range(count))
        start = time.process_time()
        tuned = fine_tune(
            dataclasses.replace(data, train=part, dev=Examples()), seed=0, epochs=epochs, progress=False, **RECIPE
        )
        found: dict[str, Any] = {"data": name, "questions": count, "epochs": epochs}
        found |= {"steps": tuned.history.kept.step, "cpu_seconds": round(time.process_time() - start)}
        found["train_loss"] = [round(record.train_loss, 3) for record in tuned.history.epochs]
        for where, questions in asked.items():
            said = {q.id: one["label"] for q, one in zip(questions, tuned.predict(_inputs(questions)), strict=True)}
            scores = metrics.answer_scores(said, questions, version="1.1")
            found[where] = {
                "exact_match": round(scores.exact_match, 4),
                "f1": round(scores.f1, 4),
                "questions": len(questions),
            }
        runs.append(found)
        print(found, flush=True)
    return runs


def main() -> None:
    if "COURSE_DATA" not in os.environ:
        print("more_answers stays as it is: COURSE_DATA names no folder with squad11_en.")
        return
    write("more_answers", model="default", recipe={**RECIPE, "base": "FINE_TUNING"}, seed=0, runs=measure(RUNS))


def _inputs(questions: Any) -> list[tuple[str, str]]:
    return [(q.question, q.context) for q in questions]


if __name__ == "__main__":
    main()
