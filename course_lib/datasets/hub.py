"""Data sets of the Hugging Face hub by name, and files too big for memory, through the library `datasets`.

Its tables lie in Arrow files that are mapped into memory: the operating system reads a row when it is asked for, and
any row can be asked for, in any order. `Mapped` gives them as the examples of the course. `streaming=True` downloads
nothing beforehand, but knows only the order of the file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import itertools
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from course_lib.datasets import answers, assembly, choices, labelled
from course_lib.datasets.assembly import Found
from course_lib.datasets.examples import SPLITS, Answer, ByColumn, Dataset, Examples, Question
from course_lib.datasets.files import Source
from course_lib.datasets.records import Columns, Table, given_fields
from course_lib.errors import DataError

_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?(:[\w.-]+)?")
_PARTS = {"train": ("train",), "dev": ("validation", "dev", "valid", "val"), "test": ("test",)}


def is_name(path_or_name: str | Path, endings: tuple[str, ...]) -> bool:
    """Whether this can only be a name on the hub: "owner/name" or "name", maybe ":configuration".

    What exists here, or ends like a data file (`endings`), or lies in a folder that exists, is local.
    """
    if isinstance(path_or_name, Path) or not _NAME.fullmatch(path_or_name):
        return False
    path = Path(path_or_name)
    known = path.exists() or path.name.lower().removesuffix(".gz").endswith(endings)
    below = len(path.parts) > 1 and path.parent.is_dir()  # a wrong name in a folder that is there
    return not known and not below


def load_from_hub(name: str, task: str | None, *, streaming: bool, columns: Columns) -> Dataset:
    """Return a data set of the hub.

    Raises:
        DataError: it cannot be reached or does not exist, or its rows are not what a task needs.
    """
    import datasets

    repository, _, configuration = name.partition(":")
    try:
        with _without_retries():
            splits = datasets.load_dataset(repository, configuration or None, streaming=streaming)
    except ValueError as error:  # several configurations, none chosen: the library's message lists them
        raise DataError(f"'{name}' could not be read from the hub: {_first_line(error)}") from error
    except (OSError, RuntimeError) as error:  # ConnectionError and FileNotFoundError are OSErrors
        near = difflib.get_close_matches(name, [p.name for p in Path().iterdir()], n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        raise DataError(
            f"There is no folder or file '{name}' here{hint}, and as a name on the hub it could not be read "
            f"({type(error).__name__}: {_first_line(error)}); give a path that exists, or the name with a network "
            "(HF_ENDPOINT names a mirror)."
        ) from error
    return from_hub(name, splits, task, streaming=streaming, columns=columns)


@contextlib.contextmanager
def _without_retries() -> Iterator[None]:
    """Where the hub cannot be reached, look at the local copies alone: the library would retry for 20 seconds."""
    from unittest import mock

    import datasets
    import huggingface_hub

    if _reachable(huggingface_hub.constants.ENDPOINT):
        yield
        return
    with (
        mock.patch.object(datasets.config, "HF_HUB_OFFLINE", True),
        mock.patch.object(huggingface_hub.constants, "HF_HUB_OFFLINE", True),
    ):
        yield


def _reachable(address: str, seconds: float = 3) -> bool:
    """Whether a server answers, or may be reached by way of a proxy, which only the library can tell."""
    import urllib.parse
    import urllib.request

    if urllib.request.getproxies():
        return True
    parts = urllib.parse.urlsplit(address)
    try:
        port = parts.port or (80 if parts.scheme == "http" else 443)
        socket.create_connection((parts.hostname, port), timeout=seconds).close()
    except OSError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")


def from_hub(
    name: str,
    splits: Mapping[str, Any],
    task: str | None = None,
    *,
    streaming: bool = False,
    columns: Columns | None = None,
) -> Dataset:
    """Return the data set of a `datasets.DatasetDict`, or with `streaming=True` of an `IterableDatasetDict`.

    Every row is checked, in one pass that keeps none. Parts are then `Mapped`, or a `Stream` with `streaming=True`.
    A part without labels (all -1, as the test parts of GLUE have them) is left empty, and `notes` says so.

    Raises:
        DataError: as `load_dataset`.
    """
    columns = columns or {}
    notes, chosen = [], {}
    for part, names in _PARTS.items():
        split = next((s for s in names if s in splits), None)
        if split is None or next(iter(splits[split]), None) is None:
            continue
        if _unlabelled(splits[split]):
            notes.append(f"The part {split} of '{name}' has no labels (-1 everywhere) and was left out.")
        else:
            chosen[part] = splits[split]
    if not chosen:
        raise DataError(
            f"'{name}' has the parts {', '.join(splits)}; train, validation or test, with labels, is expected."
        )
    used = {split for names in _PARTS.values() for split in names}
    if others := [split for split in splits if split not in used]:
        notes.append(f"Parts of '{name}' that were not read: {', '.join(others)}.")
    first = next(iter(chosen.values()))
    record = next(iter(first), {})
    kind = task or assembly.guess_task(record, record, columns)
    tag = assembly.tag_fields(record, columns, name)[1] if kind == "tags" else None
    tag_names = _label_names(first, tag) if tag else None
    rows = {part: Rows(split, _naming(tag, tag_names) if tag_names else None) for part, split in chosen.items()}
    sources = {part: Source(f"{name}, {part}", lambda r=r: enumerate(r), unit="row") for part, r in rows.items()}
    found = _read(kind, task, sources, tuple(record), columns, first)
    parts = {part: found.parts.get(part, Examples()) for part in SPLITS}
    if not streaming:
        parts = {part: Mapped(rows[part], p.parse) if part in rows else p for part, p in parts.items()}
    return Dataset(name, found.labels, *parts.values(), found.task, found.why, tuple(notes + found.notes))


def _read(
    kind: str, task: str | None, sources: dict[str, Source], names: tuple[str, ...], columns: Columns, first: Any
) -> Found:
    place = next(iter(sources.values())).place
    if kind == "tags":
        return assembly.tags_found(
            sources, dict.fromkeys(sources, assembly.tag_words(names, columns, place)), None, True
        )
    if kind == "answers":
        given = given_fields(columns, names, answers.FIELDS, place)
        return assembly.answers_found(sources, dict.fromkeys(sources, given), True)
    if kind == "choices":
        given = choices.choice_fields(names, given_fields(columns, names, choices.FIELDS, place))
        return assembly.choices_found(sources, dict.fromkeys(sources, given), True)
    if kind == "documents":
        parser = assembly.document_parser(names, columns, place)
        return assembly.documents_found(sources, dict.fromkeys(sources, parser), True, "sentences without labels")
    tables = {part: Table(source, names, True, f"rows with {', '.join(names)}") for part, source in sources.items()}
    fields = labelled.labelled_fields(names, columns, [], place, True)
    known = _label_names(first, fields["label"]) if "label" in fields else None
    return assembly.labelled_found(tables, task, columns, True, known)


def _unlabelled(rows: Iterable[Mapping[str, Any]], count: int = 1000) -> bool:
    labels = [row.get("label", 0) for row in itertools.islice(rows, count)]
    return bool(labels) and all(label == -1 for label in labels)


def _label_names(rows: Any, column: str) -> list[str] | None:
    """Return the names of a column of ClassLabel numbers, or of lists of them."""
    feature = (getattr(rows, "features", None) or {}).get(column)
    feature = getattr(feature, "feature", feature)  # of a list
    names = getattr(feature, "names", None)
    return list(names) if names else None


def _naming(column: str, names: list[str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda row: {**row, column: [names[tag] for tag in row[column]]}


# ---------------------------------------------------------------------------------------------------- mapped


class Rows:
    """Rows of a table of the library `datasets`, maybe changed on the way."""

    def __init__(self, table: Any, change: Callable[[dict[str, Any]], dict[str, Any]] | None = None):
        self._table, self._change = table, change

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return self._changed(self._table[place])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self._changed, self._table)

    def _changed(self, row: dict[str, Any]) -> dict[str, Any]:
        return row if self._change is None else self._change(row)


class Mapped(ByColumn, Sequence[Any]):
    """Examples whose rows lie in a file that is mapped into memory: a sequence like a list, read row by row."""

    def __init__(self, rows: Rows, parse: Callable[[Any], Any]):
        self._rows, self._parse = rows, parse

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return Examples(self[i] for i in range(*place.indices(len(self))))
        if not -len(self) <= place < len(self):
            raise IndexError(f"There is no example {place}; there are {len(self)}, from 0 to {len(self) - 1}.")
        return self._parse(self._rows[place % len(self)])

    def __iter__(self) -> Iterator[Any]:
        return map(self._parse, self._rows)

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, (Mapped, Examples)) and len(self) == len(other)
        return same and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # like a list


def map_to_disk(examples: Iterable[Any], path: str | Path) -> Mapped:
    """Write examples into an Arrow file and return them mapped into memory: more than fits, in any order.

    `map_to_disk(load_dataset("big.csv", streaming=True).train, "big.arrow")` turns a stream into a sequence that can be
    shuffled. The file is written under a temporary name first.

    Raises:
        DataError: there are no examples, or they are of different kinds.
    """
    import datasets
    from datasets.arrow_writer import ArrowWriter

    path = Path(path)
    examples = iter(examples)
    first = next(examples, None)
    if first is None:
        raise DataError(f"There are no examples to write to '{path}'.")
    kind = type(first)
    temporary = path.with_name(path.name + ".part")
    try:
        with ArrowWriter(path=str(temporary)) as writer:
            for example in itertools.chain([first], examples):
                if type(example) is not kind:
                    raise DataError(
                        f"Examples of one kind are expected, got {kind.__name__} and {type(example).__name__}."
                    )
                writer.write(dataclasses.asdict(example))
            writer.finalize()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    table = datasets.Dataset.from_file(str(path))
    return Mapped(Rows(table), lambda row: _from_row(kind, row))


def _from_row(kind: type, row: dict[str, Any]) -> Any:
    if kind is Question:
        return Question(**{**row, "answers": tuple(Answer(**answer) for answer in row["answers"])})
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in row.items()})
