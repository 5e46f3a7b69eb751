"""What happened in a run: every evaluation and every step, as a table, a file, and the record that was kept."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.metrics import METRICS
from course_lib.metrics import better as beats
from course_lib.training import disk
from course_lib.training.evaluation import Evaluation

if TYPE_CHECKING:
    from course_lib.plots import Picture


@dataclass(frozen=True)
class Record:
    """One evaluation: at the end of an epoch, after some steps, or at the end of the run."""

    number: int  # of the epoch that it belongs to, from 1
    step: int  # optimiser steps so far
    train_loss: float  # mean over the items of this epoch so far, while the weights were still changing, with dropout
    dev: Evaluation | None = field(default=None, compare=False)  # not kept in files
    scores: Mapping[str, float] = field(default_factory=dict)  # of dev, by name
    seconds: float = 0.0  # since the run began
    end_of_epoch: bool = True


@dataclass(frozen=True)
class Step:
    """One optimiser step."""

    step: int
    loss: float
    learning_rate: float


@dataclass(frozen=True)
class Training:
    """What happened: every evaluation, every step, and the record whose weights the model now has."""

    records: tuple[Record, ...]
    kept: Record
    steps: tuple[Step, ...] = ()
    metric: str | None = None  # by which the kept one was chosen; None without dev: the last
    stopped: str = ""  # why the run ended before its time, a sentence

    @property
    def epochs(self) -> tuple[Record, ...]:
        """The records at the ends of epochs."""
        return tuple(record for record in self.records if record.end_of_epoch)

    @property
    def chosen(self) -> str:
        """One sentence: which step's weights the model has, and why."""
        if self.metric is None:
            return f"Kept: step {self.kept.step}, the last; there was no dev to choose by."
        return (
            f"Kept: step {self.kept.step} of {self.records[-1].step} (epoch {self.kept.number}), the best "
            f"{self.metric} on dev: {self.kept.scores[self.metric]:.4g}."
        )

    def rows(self) -> list[dict[str, object]]:
        """One dictionary an evaluation."""
        return _rows(self.records, self.kept)

    def csv(self) -> str:
        """The rows as CSV."""
        return as_csv(self.records, self.kept)

    def save_csv(self, path: str | Path) -> Path:
        """Write the rows to a file.

        Raises:
            TrainingError: it cannot be written.
        """
        path = Path(path)
        disk.write_whole(path, self.csv(), "The history")
        return path

    def figure(self, title: str = "") -> Picture:
        """The run as a figure: the loss of every step and that on dev, the metric on dev, the step that was kept."""
        from course_lib import figures

        name = self.metric or "loss"
        scored = [record for record in self.records if record.scores]
        if self.steps:
            train = {step.step: step.loss for step in self.steps}
        else:
            train = {record.step: record.train_loss for record in self.records}
        return figures.history(
            train,
            {record.step: record.scores["loss"] for record in scored if "loss" in record.scores},
            {} if name == "loss" else {record.step: record.scores[name] for record in scored},
            metric_name=name,
            kept=self.kept.step,
            title=title,
        )

    def _cells(self) -> list[list[str]]:
        rows = self.rows()
        names = list(dict.fromkeys(name for row in rows for name in row))
        return [
            [name.replace("_", " ") for name in names],
            *(
                [f"{row.get(n):.4f}" if isinstance(row.get(n), float) else str(row.get(n, "")) for n in names]
                for row in rows
            ),
        ]

    def __str__(self) -> str:
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
        return "\n".join([*lines, self.chosen, *([self.stopped] if self.stopped else [])])

    def _repr_html_(self) -> str:
        head, *body = self._cells()
        rows = "".join(
            f"<tr{' style=font-weight:bold' if row[-1] else ''}>{''.join(f'<td>{escape(c)}</td>' for c in row)}</tr>"
            for row in body
        )
        heads = "".join(f"<th scope='col'>{escape(name)}</th>" for name in head)
        words = " ".join([self.chosen, self.stopped]).strip()
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table><p>{escape(words)}</p>"


def _rows(records: Sequence[Record], kept: Record | None) -> list[dict[str, object]]:
    return [
        {
            "epoch": record.number,
            "step": record.step,
            "train_loss": record.train_loss,
            **{f"dev_{name}": value for name, value in record.scores.items()},
            "seconds": round(record.seconds, 2),
            "kept": "*" if kept is not None and record.step == kept.step else "",
        }
        for record in records
    ]


def as_csv(records: Sequence[Record], kept: Record | None) -> str:
    """A row an evaluation, with a star at the one that is kept, if there is one."""
    rows = _rows(records, kept)
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def better(new: Record, old: Record, metric: str | None) -> bool:
    """Is the new record to be kept in place of the old one?

    By the metric; of equals, the one with the lower loss. Without a metric by the accuracy, where there is one, then by
    the loss. Without dev, the newer one. A number is better than none (nan), as of a correlation where all predictions
    are alike.
    """
    if not new.scores or not old.scores:
        return True
    name = metric or ("accuracy" if "accuracy" in new.scores else "loss")
    way = name if name in METRICS else "loss" if name.endswith("loss") else "accuracy"  # by which it is compared
    mine, theirs = new.scores[name], old.scores[name]
    if beats(way, mine, theirs) or beats(way, theirs, mine):
        return beats(way, mine, theirs)
    return beats("loss", new.scores["loss"], old.scores["loss"])
