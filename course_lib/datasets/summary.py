"""Counts and lengths of a data set, as a table."""

from __future__ import annotations

import collections
import statistics
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from course_lib.datasets.examples import Choice, Dataset, Document, Example, Question, TaggedSentence


@dataclass(frozen=True)
class Summary:
    """Counts and text lengths of a data set; `str()` gives a table."""

    counts: dict[str, dict[str, int]]  # split -> label name -> number of examples, zeros included
    lengths: dict[str, tuple[int, float, int]]  # split -> shortest, median, longest text, in characters
    sizes: dict[str, int]  # split -> number of examples
    unit: str = "text"  # what the lengths are of
    scores: dict[str, tuple[float, float, float]] | None = None  # regression: split -> smallest, mean, largest

    def __str__(self) -> str:
        labels = list(next(iter(self.counts.values())))
        rows = [["label", *self.counts]]
        rows += [[label, *(f"{self.counts[split][label]:,}" for split in self.counts)] for label in labels]
        rows.append(["all", *(f"{size:,}" for size in self.sizes.values())])
        if self.scores:
            rows += _rows(self.scores, [f"{name} score" for name in ("smallest", "mean", "largest")])
        rows += _rows(self.lengths, [f"{name} {self.unit}" for name in ("shortest", "median", "longest")])
        widths = [max(map(_columns, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                _pad(cell, width, left=i == 0) for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )


def describe(dataset: Dataset) -> Summary:
    """Count the examples per split and label, and measure the texts in characters.

    What is counted per label: examples (of each of their labels), for tags words, for choices questions whose right
    choice has that letter, for answers questions with and without one. Empty splits have no lengths and scores: their
    numbers are nan. A streamed part is gone through once.
    """
    counts, lengths, sizes, scores = {}, {}, {}, {}
    for name, part in dataset.splits.items():
        found: collections.Counter[Any] = collections.Counter()
        measured, numbers = [], []
        for example in part:
            found.update(_labels(example))
            measured.append(_length(example))
            if dataset.task == "regression":
                numbers.append(example.label)
        names = ("answerable", "unanswerable") if dataset.task == "answers" else dataset.labels
        names = () if dataset.task == "regression" else names
        counts[name] = {label: found[number] for number, label in enumerate(names)}
        lengths[name] = _three(measured, statistics.median)
        scores[name] = _three(numbers, statistics.fmean)
        sizes[name] = len(measured)
    unit = {"answers": "context", "choices": "question", "tags": "sentence", "documents": "document"}
    return Summary(
        counts, lengths, sizes, unit.get(dataset.task, "text"), scores if dataset.task == "regression" else None
    )


def _labels(example: Any) -> Iterable[int]:
    if isinstance(example, TaggedSentence):
        return example.tags
    if isinstance(example, Question):
        return [0 if example.answerable else 1]
    if isinstance(example, Choice):
        return [example.label]
    if isinstance(example, Example):
        return example.label if isinstance(example.label, tuple) else [example.label]
    return []


def _length(example: Any) -> int:
    if isinstance(example, TaggedSentence):
        return sum(map(len, example.words))
    if isinstance(example, Question):
        return len(example.context)
    if isinstance(example, Choice):
        return len(example.question)
    if isinstance(example, Document):
        return sum(map(len, example.sentences))
    return len(example.text)


def _three(numbers: list[Any], middle: Any) -> tuple[Any, Any, Any]:
    if not numbers:
        return (float("nan"),) * 3
    return (min(numbers), middle(numbers), max(numbers))


def _rows(values: dict[str, tuple[Any, Any, Any]], names: list[str]) -> list[list[str]]:
    return [[name, *("-" if v[i] != v[i] else f"{v[i]:g}" for v in values.values())] for i, name in enumerate(names)]


def _columns(text: Iterable[str]) -> int:
    """Width on a terminal, where a Chinese character takes two columns."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _pad(text: str, width: int, *, left: bool) -> str:
    space = " " * (width - _columns(text))
    return text + space if left else space + text
