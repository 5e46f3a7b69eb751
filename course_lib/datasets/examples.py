"""What a data set is made of: one class for an example of each task, lists of them, and the three parts together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_lib.errors import DataError

SPLITS = ("train", "dev", "test")
TASKS = ("classification", "multi-label", "regression", "tags", "answers", "choices", "documents")


@dataclass(frozen=True)
class Example:
    """One text, or a pair of texts, with its label.

    The label is the number of one label, a tuple of several numbers (multi-label), or a float (regression).
    """

    text: str
    label: int | float | tuple[int, ...]
    pair: str | None = None


@dataclass(frozen=True)
class TaggedSentence:
    """Words, and for each the number of its tag."""

    words: tuple[str, ...]
    tags: tuple[int, ...]


@dataclass(frozen=True)
class Answer:
    """A piece of a context: `context[start : start + len(text)] == text`."""

    text: str
    start: int


@dataclass(frozen=True)
class Question:
    """A question about a context. Several answers are several people's; none means that the context has no answer."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]

    @property
    def answerable(self) -> bool:
        """Whether the context has an answer."""
        return bool(self.answers)


@dataclass(frozen=True)
class Choice:
    """A question with several answers to choose from; `label` is the place of the right one, from 0."""

    question: str
    choices: tuple[str, ...]
    label: int
    context: str = ""


@dataclass(frozen=True)
class Document:
    """Sentences (or paragraphs) that follow each other, and where they are from (a package, a file), if that is known.

    Documents with the same sentences are equal, wherever they are from.
    """

    sentences: tuple[str, ...]
    source: str = field(default="", compare=False)


class ByColumn:
    """The columns of a sequence of examples, each as a list."""

    @property
    def texts(self) -> list[str]:
        """The texts, in order."""
        return [example.text for example in self]

    @property
    def pairs(self) -> list[str | None]:
        """The second texts, in order; None where an example has one text."""
        return [example.pair for example in self]

    @property
    def labels(self) -> list[int | float | tuple[int, ...]]:
        """The labels, in order: numbers of labels, tuples of them, or scores, by the task."""
        return [example.label for example in self]

    @property
    def label_ids(self) -> list[int]:
        """The label numbers, in order."""
        return [example.label for example in self]


class Examples(ByColumn, list[Any]):
    """A list of examples that also gives its columns."""


@dataclass(frozen=True)
class Dataset:
    """The three parts of a data set, the names of its labels, and what is known of its reading.

    A part that the source lacks is empty. After `load_dataset(..., streaming=True)` a part is a `Stream`: it can be
    gone through again and again, but has no length.
    """

    folder: Path | str  # a folder, a file, or a name on the hub
    labels: tuple[str, ...]  # the name of label i is labels[i]; ("score",) for regression; tag names for tags
    train: Examples
    dev: Examples
    test: Examples
    task: str = "classification"  # one of TASKS
    why: str = ""  # one sentence: what was recognised in the files
    notes: tuple[str, ...] = ()  # sentences: what was skipped, converted or moved, counted

    @property
    def splits(self) -> dict[str, Examples]:
        """The parts by name: train, dev, test."""
        return {name: getattr(self, name) for name in SPLITS}

    def require(self, name: str, purpose: str) -> Examples:
        """Return a part that is needed for something.

        Raises:
            DataError: the part is empty; the sentence says what it was needed for.
        """
        part = self.splits[name]
        if next(iter(part), None) is None:
            raise DataError(
                f"The data set '{self.folder}' has no {name} part, which {purpose} needs; put a file called {name} beside "
                "the others, or give one file, which is split."
            )
        return part

    def replace(self, **changes: Any) -> Dataset:
        """Return a copy with other values in some fields."""
        return dataclasses.replace(self, **changes)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}: {_count(part)}" for name, part in self.splits.items())
        task = "" if self.task == "classification" else f"{self.task}, "
        return f"Dataset({str(self.folder)!r}, {task}{_labels(len(self.labels))}, {counts})"


def _labels(count: int) -> str:
    return "1 label" if count == 1 else f"{count} labels"


def _count(part: Iterable[Any]) -> str:
    return f"{len(part):,}" if hasattr(part, "__len__") else "streamed"


def content(example: Any) -> str:
    """Return what makes an example itself, without its label: equal contents are repeats of each other.

    For a question about a context it is the context, because two questions about one text share what a model can
    learn by heart.
    """
    if isinstance(example, Example):
        return example.text if example.pair is None else f"{example.text}\t{example.pair}"
    if isinstance(example, TaggedSentence):
        return "\t".join(example.words)
    if isinstance(example, Question):
        return example.context
    if isinstance(example, Choice):
        return "\t".join((example.context, example.question, *example.choices))
    if isinstance(example, Document):
        return "\n".join(example.sentences)
    raise TypeError(f"An example of a data set was expected, got {type(example).__name__}.")


def texts_of(example: Any) -> tuple[str, ...]:
    """Return what a model reads of an example, text by text: one, or the two of a pair, or a question and its choices."""
    if isinstance(example, TaggedSentence):
        return (" ".join(example.words),)
    if isinstance(example, Question):
        return (example.question, example.context)
    if isinstance(example, Choice):
        return (example.question, *example.choices)
    if isinstance(example, Document):
        return example.sentences or ("",)
    return (example.text,) if example.pair is None else (example.text, example.pair)
