"""What each process of a launched run does in test_processes.py: train in several ways, and write down what happened.

FSDP: accelerate takes it from several graphics cards only, but torch shards on processors too. So these processes tell
accelerate, where it keeps its state, that they are such cards; the rest is as `accelerate launch --use_fsdp` has it.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

import torch  # noqa: E402
from tiny import Tiny, batches, columns, dev_batches  # noqa: E402
from torch import nn  # noqa: E402

from course_lib import heads  # noqa: E402
from course_lib.batching import Batches  # noqa: E402
from course_lib.config import BertConfig  # noqa: E402
from course_lib.errors import TrainingError  # noqa: E402
from course_lib.training import Training, evaluate, fit, set_seed  # noqa: E402

SIZES = {
    "vocab_size": 31, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 13,
    "max_position_embeddings": 9,
}  # fmt: skip


class Watched(Tiny):
    """Notes which rows it was given in training, and what its dropout left of them."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__(dropout=dropout)
        self.rows: list[float] = []
        self.kept: list[list[list[bool]]] = []
        self.dropout.register_forward_hook(lambda module, inputs, output: self._note(inputs[0], output))

    def _note(self, x: torch.Tensor, output: torch.Tensor) -> None:
        if self.training:
            self.rows += x[:, 0].tolist()
            self.kept.append((output != 0).tolist())


def notes(report: Training, model: nn.Module, **more: Any) -> dict[str, Any]:
    return {
        "losses": [step.loss for step in report.steps],
        "scores": [dict(record.scores) for record in report.records],
        "ends": [[record.step, record.end_of_epoch] for record in report.records],
        "weights": [p.tolist() for p in model.parameters()],
        "whole": all(type(p) is nn.Parameter for p in model.parameters()) and not model.training,
        **more,
    }


# ------------------------------------------------------------------------------------------------ every process a model


def plain(folder: Path) -> dict[str, Any]:
    """Steps of two batches, labels that do not count, clipping, checkpoints."""
    set_seed(3)
    model = Watched()
    labelled = columns()
    labelled["labels"][::5] = -100  # an uneven number of items for each process
    train = Batches(labelled, 4, shuffle=1)  # 23 examples: the last batch has 3
    report = fit(
        model, train, dev_batches(), output=folder / "plain", resume=True, steps=12, learning_rate=0.05, accumulate=2,
        clip=0.5, save_every=2,
    )  # fmt: skip
    logits = report.records[-1].dev.logits.tolist()
    return notes(
        report, model, rows=model.rows, logits_of_dev=logits, evaluated_alone=evaluate(model, dev_batches()).loss
    )


def one_row(folder: Path) -> dict[str, Any]:
    """The last batch has a single row: one of two processes has nothing."""
    set_seed(4)
    model = Watched()
    report = fit(model, Batches(columns(9), 4), dev_batches(), epochs=3, learning_rate=0.05, weight_decay=0)
    return notes(report, model)


def dropout(folder: Path) -> dict[str, Any]:
    set_seed(5)
    model = Watched(dropout=0.5)
    report = fit(model, batches(8), dev_batches(), output=folder / "dropout", epochs=3, learning_rate=0.05)
    return notes(report, model, kept=model.kept)


def interrupted(folder: Path) -> dict[str, Any]:
    """As `dropout`, but the last process alone is asked to stop in its fifth step; then the run goes on."""
    set_seed(5)
    model = Watched(dropout=0.5)
    here = folder / "interrupted"

    def press(module: nn.Module, *_: Any) -> None:
        if module.training and len(model.kept) == 4 and process() == 1:
            signal.raise_signal(signal.SIGINT)

    hook = model.register_forward_pre_hook(press)
    stopped = ""
    try:
        fit(model, batches(8), dev_batches(), output=here, epochs=3, learning_rate=0.05)
    except KeyboardInterrupt:
        stopped = sorted(path.name for path in (here / "checkpoints").iterdir())[-1]
    hook.remove()
    set_seed(99 + process())  # other random numbers, and other in each process
    model = Watched(dropout=0.5)
    report = fit(model, batches(8), dev_batches(), output=here, resume=True, epochs=3, learning_rate=0.05)
    return notes(report, model, stopped=stopped, kept=model.kept)


def loader(folder: Path) -> dict[str, Any]:
    """A DataLoader shuffles by the common random numbers, although each process began with others."""
    from torch.utils.data import DataLoader

    set_seed(process())
    model = Watched(dropout=0.5)
    examples = [{name: column[i] for name, column in columns().items()} for i in range(23)]
    report = fit(model, DataLoader(examples, batch_size=4, shuffle=True), epochs=2)
    return notes(report, model, rows=model.rows)


def diverged(folder: Path) -> dict[str, Any]:
    """One process alone has rows that are no numbers; all are told, and go on living."""
    model = Watched()
    bad = columns()
    bad["x"][0::2] = torch.nan  # rows of process 0
    try:
        fit(model, [columns(), bad], epochs=1)
    except TrainingError as error:
        return {"said": str(error)}
    return {"said": ""}


# ------------------------------------------------------------------------------------------------ every process a part


def words(dropout: float) -> heads.BertForMaskedLM:
    set_seed(6)
    drop = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    return heads.BertForMaskedLM(BertConfig.from_dict({**SIZES, **drop}))


def texts(n: int, seed: int) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 31, (n, 7), generator=draw)
    labels = torch.where(torch.rand(n, 7, generator=draw) < 0.4, ids, -100)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def sharded(folder: Path) -> dict[str, Any]:
    """A head whose decoder is tied to its word table; the last batch has a single row."""
    model = words(dropout=0.0)
    held: list[tuple[int, int]] = []
    model.register_forward_pre_hook(lambda module, inputs: held.append(_held(module.bert.encoder)))
    report = fit(
        model, Batches(texts(13, 0), 3, shuffle=0), Batches(texts(5, 1), 2), output=folder / "sharded", epochs=2,
        learning_rate=0.01, weight_decay=0.1, schedule="linear", accumulate=2, clip=0.5, evaluate_every=2,
    )  # fmt: skip
    read = heads.BertForMaskedLM.from_pretrained(folder / "sharded")
    return notes(
        report,
        model,
        held=held[0],
        logits_of_dev=report.kept.dev.logits.tolist(),
        read=[p.tolist() for p in read.parameters()],
        tied=model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight,
    )


def _held(module: nn.Module) -> tuple[int, int]:
    """Numbers of the module in this process, and in all."""
    parts = [getattr(p, "_local_tensor", p) for p in module.parameters()]
    return sum(p.numel() for p in parts), sum(p.numel() for p in module.parameters())


def sharded_dropout(folder: Path, name: str = "sharded_dropout", killed_in: int | None = None) -> dict[str, Any]:
    """All processes are killed at a certain step, if that is given."""
    model, passes = words(dropout=0.3), [0]

    def kill(module: nn.Module, *_: Any) -> None:
        passes[0] += module.training
        if passes[0] == killed_in:
            os.kill(os.getpid(), signal.SIGKILL)

    model.register_forward_pre_hook(kill)
    report = fit(
        model, Batches(texts(12, 0), 3, shuffle=0), Batches(texts(5, 1), 5), output=folder / name, resume=True, epochs=2,
        learning_rate=0.01, schedule="linear", clip=0.5, save_every=3,
    )  # fmt: skip
    return notes(report, model, passes=passes[0])


def sharded_killed(folder: Path) -> dict[str, Any]:
    return sharded_dropout(folder, "sharded_killed", killed_in=8)  # the last step; a checkpoint is behind the sixth


def sharded_again(folder: Path) -> dict[str, Any]:
    return sharded_dropout(folder, "sharded_killed")


def shard_from_now_on() -> None:
    from accelerate import PartialState
    from accelerate.state import AcceleratorState
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    os.environ.update(documented_environment())
    for state in (PartialState, AcceleratorState):
        state._shared_state["distributed_type"] = DistributedType.FSDP
    AcceleratorState._shared_state["fsdp_plugin"] = FullyShardedDataParallelPlugin()


def documented_environment() -> dict[str, str]:
    """What accelerate tells the processes of the command that docs/several_machines.md gives for FSDP."""
    from accelerate.commands import launch
    from accelerate.utils.launch import prepare_multi_gpu_env

    page = (Path(__file__).parents[2] / "docs" / "several_machines.md").read_text(encoding="utf-8")
    command = page[page.index("accelerate launch --use_fsdp") :].split("```")[0].replace("\\\n", " ").split()
    arguments, _, _ = launch._validate_launch_command(launch.launch_command_parser().parse_args(command[2:]))
    assert arguments.training_script == "course_lib" and arguments.module
    environment = prepare_multi_gpu_env(arguments)
    return {name: value for name, value in environment.items() if name.startswith(("FSDP_", "ACCELERATE_USE_FSDP"))}


# ------------------------------------------------------------------------------------------------


def process() -> int:
    return int(os.environ.get("RANK", "0"))


WAYS = (plain, one_row, dropout, interrupted, loader, diverged, sharded, sharded_dropout, sharded_killed, sharded_again)


def main(folder: Path, *which: str) -> None:
    torch.set_num_threads(1)
    ways = {way.__name__: way for way in WAYS}
    for name in which:
        if name == "fsdp":
            shard_from_now_on()
        else:
            found = ways[name](folder)
            (folder / f"{name}-{process()}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
