"""`write_dataset`: a data set into a folder, in the form that `load_dataset` reads.

    classification        train.txt with lines text<TAB>number, and class.txt; pairs, and texts with tabs or line ends,
                          as JSON lines
    multi-label           JSON lines with text, labels; class.txt
    regression            JSON lines with text, score
    tags                  .conll with word<TAB>tag in IOB2, class.txt; JSON lines where words hold spaces
    answers               SQuAD's JSON
    choices               JSON lines with question, choices, label, context
    documents             one sentence a line, an empty line between documents; JSON lines where sentences hold line ends

The folder gets its name only when all of it has been written and read back without a difference.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from course_lib.datasets.documents import is_plain
from course_lib.datasets.examples import Dataset, Document, Example, Question, TaggedSentence
from course_lib.datasets.labelled import LABELS_FILE
from course_lib.datasets.loading import load_dataset
from course_lib.errors import DataError

Lines = Callable[[Any], Iterator[str]]  # the text of a part, piece by piece


def write_dataset(dataset: Dataset, folder: str | Path) -> Path:
    """Write the parts of a data set that are not empty, and return the folder.

    Streamed parts are written as they are read.

    Raises:
        DataError: the folder exists and is not empty, the data set is empty, or it could not be read back as it is
            (an empty text, a label that is none of the labels).
    """
    folder = Path(folder).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"'{folder}' exists and is not empty; give a new folder to write the data set to.")
    parts = {name: part for name, part in dataset.splits.items() if next(iter(part), None) is not None}
    if not parts:
        raise DataError("The data set has no examples, so there is nothing to write.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write(dataset, parts, temporary)
        _compare(dataset, parts, temporary)
        if folder.exists():
            folder.rmdir()  # Windows renames onto no folder, not even an empty one
        temporary.chmod(0o755)  # mkdtemp makes it private
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # nothing is left of it after the renaming
    return folder


def _write(dataset: Dataset, parts: dict[str, Any], folder: Path) -> None:
    named = _numbered(dataset.labels) and dataset.task in ("classification", "multi-label", "tags")
    if named:
        (folder / LABELS_FILE).write_text(
            "".join(f"{label}\n" for label in dataset.labels), encoding="utf-8", newline=""
        )
    ending, lines = _form(dataset, parts, named)
    for name, part in parts.items():
        path = folder / f"{name}{ending}"
        try:
            with path.open("w", encoding="utf-8", newline="") as file:
                file.writelines(lines(part))
        except UnicodeEncodeError as error:
            raise DataError(
                f"A text of {name} holds half a character ({error.object[error.start]!r}), which UTF-8 cannot write; "
                "take it out."
            ) from error
        except (AttributeError, IndexError, TypeError) as error:
            raise DataError(f"The examples of {name} are not those of the task {dataset.task} ({error}).") from error


def _compare(dataset: Dataset, parts: dict[str, Any], folder: Path) -> None:
    """Read back what was written, and raise if anything is different."""
    try:
        again = load_dataset(folder, streaming=dataset.task != "answers")
    except DataError as error:
        reason = str(error).replace(f"{folder}/", "")
        raise DataError(f"The data set cannot be written, because it could not be read again: {reason}") from error
    if (again.task, again.labels) != (dataset.task, dataset.labels):
        raise DataError(
            f"The data set would be read as {again.task} with the labels {again.labels} instead of {dataset.task} with "
            f"{dataset.labels}; give it labels that are words."
        )
    for name, part in parts.items():
        for number, (old, new) in enumerate(itertools.zip_longest(part, again.splits[name])):
            if old != new:
                raise DataError(f"Example {number} of {name} would not be read as it is: {old} would become {new}.")


def _numbered(labels: tuple[str, ...]) -> bool:
    """Whether a class.txt may list the labels: none of them is the number of another."""
    return not any(re.fullmatch("[0-9]{1,9}", label) and label != str(i) for i, label in enumerate(labels))


# ---------------------------------------------------------------------------------------------------- forms


def _form(dataset: Dataset, parts: dict[str, Any], named: bool) -> tuple[str, Lines]:
    """Return the ending of the files, and what makes their text."""
    if dataset.task == "answers":
        return ".json", _squad
    everything = lambda: itertools.chain.from_iterable(parts.values())  # noqa: E731
    if dataset.task == "documents":
        plain = all(map(is_plain, everything()))
        return (".txt", _paragraphs) if plain else (".jsonl", _json_lines(lambda e: {"sentences": e.sentences}))
    if dataset.task == "tags":
        names = dataset.labels
        if all(map(_fits_conll, everything())):
            return ".conll", lambda part: _conll(part, names)
        return ".jsonl", _json_lines(lambda e: {"words": e.words, "tags": [names[tag] for tag in e.tags]})
    if dataset.task == "choices":
        return ".jsonl", _json_lines(
            lambda e: {"question": e.question, "choices": e.choices, "label": e.label, "context": e.context}
        )
    label = (lambda number: number) if named else (lambda number: dataset.labels[number])
    if dataset.task == "classification" and all(map(_fits_a_line, everything())):
        return ".txt", lambda part: (f"{e.text}\t{label(e.label)}\n" for e in part)
    pairs = any(e.pair is not None for e in everything())

    def record(example: Example) -> dict[str, Any]:
        texts = {"text": example.text} | ({"pair": example.pair} if pairs else {})
        if dataset.task == "regression":
            return texts | {"score": example.label}
        if dataset.task == "multi-label":
            return texts | {"labels": list(map(label, example.label))}
        return texts | {"label": label(example.label)}

    return ".jsonl", _json_lines(record)


def _fits_a_line(example: Example) -> bool:
    return example.pair is None and not re.search("[\t\n\ufeff]", example.text)


def _fits_conll(sentence: TaggedSentence) -> bool:
    return not any(re.search("[ \t\r\n\ufeff]|^-DOCSTART-", word) for word in sentence.words)


def _json_lines(record: Callable[[Any], dict[str, Any]]) -> Lines:
    return lambda part: (json.dumps(record(example), ensure_ascii=False) + "\n" for example in part)


def _conll(part: Iterable[TaggedSentence], names: tuple[str, ...]) -> Iterator[str]:
    for sentence in part:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            yield f"{word}\t{names[tag]}\n"
        yield "\n"


def _paragraphs(part: Iterable[Document]) -> Iterator[str]:
    for document in part:
        yield from (f"{sentence}\n" for sentence in document.sentences)
        yield "\n"


def _squad(part: Iterable[Question]) -> Iterator[str]:
    paragraphs = []
    for context, questions in itertools.groupby(part, key=lambda question: question.context):
        asked = [
            {
                "id": question.id,
                "question": question.question,
                "answers": [{"text": answer.text, "answer_start": answer.start} for answer in question.answers],
                "is_impossible": not question.answerable,
            }
            for question in questions
        ]
        paragraphs.append({"context": context, "qas": asked})
    value = {"version": "v2.0", "data": [{"title": "", "paragraphs": paragraphs}]}
    yield json.dumps(value, ensure_ascii=False, indent=1) + "\n"
