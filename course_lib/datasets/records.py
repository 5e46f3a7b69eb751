"""Rows with named fields from tables (CSV, TSV) and from JSON, and which field is which.

A table may have a header or not, quotes, and line ends within quotes. JSON is one object a line, or a list of objects.
The usual names of fields are known (`text`, `sentence1`, `premise`, `label`, `score`, ...); others are given as
`columns={"text": "body", "label": "gold"}`, for a table without a header by place: `{"text": 3, "label": 0}`.
"""

from __future__ import annotations

import collections
import contextlib
import csv
import difflib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.datasets.files import Complaint, Source, numbered_lines, raise_complaints, read_text, short, suffix
from course_lib.errors import DataError
from course_lib.texts import text_fault

Columns = Mapping[str, "str | int | list[str]"]  # our name -> the file's name or place

TEXTS = ("text", "sentence", "content", "headline", "title", "review", "question", "utterance", "tweet", "body")
PAIRS = (
    ("text", "pair"),
    ("sentence1", "sentence2"),
    ("text_a", "text_b"),
    ("text1", "text2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("query", "passage"),
)
SCORES = ("score", "similarity", "similarity_score", "relatedness_score")
LABELS = ("label", "labels", "gold_label", "gold", "class", "category", "target", "sentiment", "intent", *SCORES)
_TABLES = (".csv", ".tsv", ".txt")
_SAMPLE = 1000  # rows from which a form is guessed


@dataclass(frozen=True)
class Table:
    """The rows of a file as dictionaries, gone through again and again."""

    source: Source
    names: tuple[str, ...]  # of its columns, "column 0", "column 1" ... where there is no header
    header: bool
    form: str  # for a sentence: "a table with commas and the header text, label"


def read_table(path: Path, columns: Columns | None = None) -> Table:
    """Look at a file and return its rows, unread.

    Raises:
        DataError: the file is no table and no JSON, or is empty.
    """
    if suffix(path) in _TABLES:
        return _delimited(path, columns or {})
    if suffix(path) not in (".jsonl", ".json"):
        raise DataError(f"'{path}' has an ending that no reader knows; .txt, .tsv, .csv, .jsonl or .json is expected.")
    source = _json_source(path)
    record = next((row for _, row in source.items() if isinstance(row, dict)), None)
    if record is None:
        source.read(lambda row: cell(row, "text"))  # raises: no row is well formed
    assert record is not None
    return Table(source, tuple(record), True, f"JSON objects with {', '.join(record) or 'no fields'}")


# ---------------------------------------------------------------------------------------------------- tables


def _delimited(path: Path, columns: Columns) -> Table:
    delimiter = _delimiter(path)
    quoted = _is_quoted(path, delimiter)

    def cells() -> Iterator[tuple[int, list[str]]]:
        return _quoted_rows(path, delimiter) if quoted else _plain_rows(path, delimiter)

    first, *rest = (row for _, row in itertools.islice(cells(), _SAMPLE))
    header = _is_header(first, rest, columns)
    names = tuple(name.strip() for name in first) if header else tuple(f"column {i}" for i in range(len(first)))
    if header and len(set(names)) < len(names):
        twice = next(name for name, count in collections.Counter(names).items() if count > 1)
        raise DataError(f"The header of '{path}' has the column {short(twice)} twice; each name is expected once.")

    widths = {len(row) for row in rest}
    if header and len(rest) > 1 and len(widths) == 1 and (width := widths.pop()) != len(names):
        raise DataError(
            f"The first line of '{path}' names {len(names)} columns ({', '.join(names)}), and its rows have {width}: name each column "
            "there."
        )

    def items() -> Iterator[tuple[int, Any]]:
        for number, row in itertools.islice(cells(), 1 if header else 0, None):
            yield number, _named(row, names, delimiter)

    if header and not rest:
        raise DataError(f"'{path}' has a header ({', '.join(names)}) and no rows; take it out, or fill it.")
    separator = {",": "commas", "\t": "tabs", ";": "semicolons"}[delimiter]
    header_words = f"the header {', '.join(names)}" if header else f"{len(names)} columns without a header"
    return Table(Source(str(path), items), names, header, f"a table with {separator} and {header_words}")


def _named(row: list[str], names: tuple[str, ...], delimiter: str) -> dict[str, str] | Complaint:
    """Return the row by names; a row of another length becomes the complaint that its reader will raise."""
    if len(row) == len(names):
        return dict(zip(names, row, strict=True))
    if not any(cell.strip() for cell in row):
        return Complaint(f"is empty; {len(names)} columns are expected (empty lines may stand at the very end only)")
    kind = {",": "comma", "\t": "tab", ";": "semicolon"}[delimiter]
    advice = f"; a {kind} within a text needs quotes around the text" if len(row) > len(names) else ""
    count = "1 column" if len(row) == 1 else f"{len(row)} columns"
    line = short(delimiter.join(row))
    return Complaint(f"has {count} ({line}) where the first line has {len(names)}{advice}")


def _delimiter(path: Path) -> str:
    if suffix(path) != ".csv":
        return "\t"
    first = next(numbered_lines(path, "rows of a table"))[1]
    return max(",;\t", key=first.count)  # a comma where none occurs


def _plain_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in numbered_lines(path, "rows of a table"):
        yield number, line.split(delimiter)


def _quoted_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Go through the rows of a table in which quotes hold texts together, numbered by the line where each begins."""
    lines = (line for _, line in numbered_lines(path, "rows of a table", keep_ends=True))
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        number = rows.line_num + 1
        try:
            with _long_texts():
                row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            complaint = f"has a quotation mark that is not what a table expects ({error})"
            advice = 'a text with a quotation mark is written in quotes with the mark doubled: "a ""b"" c"'
            raise_complaints(path, [(number, f"{complaint}; {advice}")])
        yield number, row


@contextlib.contextmanager
def _long_texts() -> Iterator[None]:
    # The csv module refuses cells over 131,072 characters unless its limit, which all of Python shares, is raised.
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _is_quoted(path: Path, delimiter: str) -> bool:
    """Whether the quotation marks of a table belong to its form. With commas they do; with tabs that must be found out.

    Many tables with tabs know no quoting, and a mark at the beginning of a text is the text's. They are read as quoted
    when each mark is where a writer of quoted tables would put it, and, where rows hold line ends, when only so all
    rows have the same number of columns.
    """
    if delimiter != "\t":
        return True
    widths, quoted, odd, needless = set(), 0, 0, 0
    for _, row in _plain_rows(path, delimiter):
        widths.add(len(row))
        for cell in row:
            if '"' not in cell:
                continue
            if re.fullmatch(r'"(?:[^"]|"")*"', cell):
                quoted += 1
                needless += '""' not in cell[1:-1]
            else:
                odd += 1
    if len(widths) == 1:
        # A writer quotes all texts, or those alone that hold a mark; whole texts in quotes may also be quotations.
        return bool(quoted) and not odd and needless < quoted
    if not quoted + odd:
        return False
    try:
        return len({len(row) for _, row in _quoted_rows(path, delimiter)}) == 1
    except DataError:
        return False  # then the rows are looked at one by one, and each wrong one is named


def _is_header(first: list[str], rest: list[list[str]], columns: Columns) -> bool:
    """Whether the first row names the columns.

    It does if it has a name from `columns`, or two usual names. A row of single words none of which comes again in its
    column is also one, if it has a usual name or stands above a column of few values, such as labels.
    """
    wanted = {name for value in columns.values() for name in (value if isinstance(value, list) else [value])}
    names = [name.strip() for name in first]
    if any(name in wanted for name in names):
        return True
    known = {*TEXTS, *LABELS, *itertools.chain(*PAIRS), "ending0", "context"}
    usual = sum(name.lower() in known for name in names)
    if usual >= 2:
        return True
    below = [[row[i] for row in rest if i < len(row)] for i in range(len(names))]
    words = all(re.fullmatch(r"[A-Za-z_][\w.-]{0,30}", name) for name in names)
    if len(names) < 2 or not words or any(name in column for name, column in zip(names, below, strict=True)):
        return False
    few = any(len(column) >= 10 and len(set(column)) <= len(column) / 2 for column in below)
    return bool(usual) or few


# ---------------------------------------------------------------------------------------------------- JSON


def _json_source(path: Path) -> Source:
    whole = _json_value(path) if suffix(path) == ".json" else None
    if whole is None:
        return Source(str(path), lambda: _json_lines(path))
    rows = whole.get("data") if isinstance(whole, dict) else whole
    if not isinstance(rows, list) or not rows:
        raise DataError(f"'{path}' holds no list of objects; a list, or an object with the field data, is expected.")
    return Source(str(path), lambda: enumerate(map(_object, rows), start=1), unit="object")


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in numbered_lines(path, "lines of JSON"):
        yield number, _json_object(line)


def _json_object(line: str) -> dict[str, Any] | Complaint:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        return Complaint(f"is not JSON ({error.msg} at column {error.colno}: {short(line)}); one object is expected")
    except (RecursionError, ValueError) as error:
        return Complaint(f"is JSON {_beyond(error)} ({short(line)}); one object is expected")
    return _object(record)


def _object(value: Any) -> dict[str, Any] | Complaint:
    if isinstance(value, dict):
        return value
    return Complaint(f"is JSON but no object ({short(json.dumps(value))}); an object with named fields is expected")


def _json_value(path: Path) -> Any:
    """Return the JSON value that a file is, or None if it is one object a line."""
    text = read_text(path, "JSON")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if getattr(error, "msg", "") == "Extra data" and text.lstrip().startswith("{"):
            return None
        raise no_json(path, error) from error


def no_json(path: Path, error: ValueError | RecursionError) -> DataError:
    """What json.loads raised at a whole file, as a sentence."""
    if isinstance(error, json.JSONDecodeError):
        where = f"{error.msg} in line {error.lineno}, column {error.colno}"
        return DataError(f"'{path}' is not JSON: {where}; get or mend the file.")
    return DataError(f"'{path}' is JSON {_beyond(error)}; get or mend the file.")


def _beyond(error: ValueError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return "with a whole number of more digits than Python reads; numbers that long are expected as texts, in quotes"


# ---------------------------------------------------------------------------------------------------- fields


@dataclass(frozen=True)
class Fields:
    """Which of a file's fields is which of ours."""

    of: dict[str, str]  # our name -> the file's name
    unused: tuple[str, ...]  # the file's names that nothing reads

    def __getitem__(self, name: str) -> str:
        return self.of[name]

    def __contains__(self, name: str) -> bool:
        return name in self.of

    def __str__(self) -> str:
        return ", ".join(ours if ours == theirs else f"{ours} = {theirs}" for ours, theirs in self.of.items())


def given_fields(columns: Columns, names: Iterable[str], allowed: Iterable[str], place: str) -> dict[str, str]:
    """Return `columns` with places replaced by names.

    Raises:
        DataError: `columns` has a field that the task has not, or one that the file lacks.
    """
    names, allowed = list(names), list(allowed)
    found: dict[str, str] = {}
    for ours, theirs in columns.items():
        if ours not in allowed:
            raise DataError(f"columns has the field {ours!r}; the fields of this task are {', '.join(allowed)}.")
        if theirs not in names and isinstance(theirs, str) and re.fullmatch("[0-9]{1,4}", theirs):
            theirs = int(theirs)  # a place, as the command line gives it
        if isinstance(theirs, int) and 0 <= theirs < len(names):
            theirs = names[theirs]
        if theirs not in names:
            near = difflib.get_close_matches(str(theirs), names, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise DataError(f"'{place}' has no column {theirs!r}{hint}; its columns are {', '.join(names)}.")
        found[ours] = str(theirs)
    return found


def named(names: Iterable[str], usual: Iterable[str]) -> str | None:
    """Return the first of the usual names that a file has, as the file writes it, or None."""
    by_lower_case = {name.lower(): name for name in names}
    return next((by_lower_case[name] for name in usual if name in by_lower_case), None)


def sample(source: Source, size: int = _SAMPLE) -> list[dict[str, Any]]:
    """Return the first rows that are well formed."""
    return [row for _, row in itertools.islice(source.items(), size) if isinstance(row, dict)]


def cell(record: dict[str, Any] | Complaint, name: str) -> Any:
    """Return a value of a row.

    Raises:
        Complaint: the row was not well formed, or has no such field.
    """
    if isinstance(record, Complaint):
        raise record
    if name not in record:
        raise Complaint(f"has no field {name!r} (only {', '.join(record) or 'none'})")
    return record[name]


def text_cell(record: dict[str, Any] | Complaint, name: str, what: str = "text", *, empty: bool = False) -> str:
    """Return a text of a row.

    Raises:
        Complaint: as `cell`; or it is no text, or empty though it must not be.
    """
    value = cell(record, name)
    if fault := text_fault(value):
        raise Complaint(f"has {short(str(value))} as its {what}, {fault[0]}; {fault[1]}")
    if not empty and not value.strip():
        raise Complaint(f"has an empty {what}; a text is expected")
    return value


def check_texts(texts: Iterable[str]) -> None:
    """Raise a Complaint if one of several texts cannot be read."""
    for text in texts:
        if fault := text_fault(text):
            raise Complaint(f"has {short(str(text))}, {fault[0]}; {fault[1]}")
