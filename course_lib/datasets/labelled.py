"""Texts with labels: THUCNews lines, and tables or JSON lines with one label, several, or a score.

A THUCNews data set is a folder with train.txt, dev.txt, test.txt and class.txt. A line of class.txt is the name of a
label, and its number is its place, from 0. A line of the others is

    text<TAB>label

where the label is its number or its name, and the text may hold anything but a tab. Every departure is a `DataError`
that names the file, the line, what stood there and what was expected. A class.txt beside a table does the same there;
without one the labels are those of the training part.
"""

from __future__ import annotations

import difflib
import math
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.datasets.examples import Example, Examples
from course_lib.datasets.files import Complaint, Source, Stream, numbered_lines, raise_complaints, short
from course_lib.datasets.records import (
    LABELS,
    PAIRS,
    TEXTS,
    Columns,
    Fields,
    cell,
    given_fields,
    named,
    text_cell,
)
from course_lib.errors import DataError

LABELS_FILE = "class.txt"
_SEPARATORS = ("|", ";", ",")  # between several labels of a cell
_HEADLINES = "lines of text, a tab and a label"


def read_labels(path: str | Path) -> list[str]:
    """Return the label names of a class.txt; the place in the list is the label's number.

    Raises:
        DataError: the file is missing, empty or not UTF-8; a line is empty or repeats another; a name is a number
            other than its own.
    """
    path = Path(path)
    labels: list[str] = []
    complaints: list[tuple[int, str]] = []
    for number, line in numbered_lines(path, "one label name a line"):
        label = line.strip()
        if not label:
            complaints.append((number, "is empty; a label name is expected"))
        elif "\t" in label:
            complaints.append((number, f"has a tab in {short(label)}; one label name a line is expected"))
        elif label in labels:
            complaints.append(
                (number, f"repeats the label {short(label)} of line {labels.index(label) + 1}; each label stands once")
            )
        elif _is_number(label) and label != str(number - 1):
            complaints.append(
                (number, f"names label {number - 1} {short(label)}, which reads as another label's number; use words")
            )
        labels.append(label)
    raise_complaints(path, complaints)
    return labels


# ---------------------------------------------------------------------------------------------------- headlines


def read_headlines(
    path: str | Path, labels: Sequence[str], *, streaming: bool = False, origin: str = ""
) -> Examples | Stream:
    """Return the examples of a file with lines `text<TAB>label`; a label is its number or one of the names `labels`.

    Raises:
        DataError: the file is missing, empty or not UTF-8, or has a wrong line. The message explains the first wrong
            line and counts the others.
    """
    path = Path(path)
    numbers = {label: number for number, label in enumerate(labels)}
    source = Source(str(path), lambda: numbered_lines(path, _HEADLINES))
    return source.read(lambda line: _parse_line(line, numbers, origin), streaming=streaming)


def headline_labels(path: Path) -> Iterator[str]:
    """Go through the labels of a file of headlines, as they are written."""
    for _, line in numbered_lines(path, _HEADLINES):
        text, tab, label = line.rpartition("\t")
        if tab and text.strip() and label.strip():
            yield label.strip()


def _parse_line(line: str, numbers: dict[str, int], origin: str) -> Example:
    fields = line.split("\t")
    if len(fields) == 1:
        raise Complaint(_explain_missing_tab(line, numbers))
    if len(fields) > 2:
        raise Complaint(
            f"has {len(fields) - 1} tabs ({short(line)}); exactly one is expected, between the text and its label"
        )
    text, label = fields[0], fields[1].strip()
    if not text.strip():
        raise Complaint(f"has no text before its tab ({short(line)}); a text, a tab and a label are expected")
    if not label:
        raise Complaint(f"has no label after its tab ({short(text)}); {_expected_label(numbers)} is expected")
    return Example(text, label_number(label, numbers, text, origin))


def _explain_missing_tab(line: str, numbers: dict[str, int]) -> str:
    if not line.strip():
        return "is empty; a text, a tab and a label are expected (empty lines may stand at the very end only)"
    start = f"has no tab ({short(line)})"
    end = "a text, one tab and a label are expected"
    # Does it end with a label all the same, after something else than a tab?
    match = re.fullmatch("(.*\\S)(\\s*[,;|\uff0c\uff1b\u3001]\\s*|\\s+)(\\S+)", line)
    if match is None or not (_is_number(match[3]) or match[3] in numbers):
        return f"{start}; {end}"
    separator = match[2].strip()
    if separator:
        return f"{start}: '{separator}' stands where the tab should be; {end}"
    spaces = len(match[2])
    return f"{start}: {'a space stands' if spaces == 1 else f'{spaces} spaces stand'} where the tab should be; {end}"


# ---------------------------------------------------------------------------------------------------- labels


def origin(name: str) -> str:
    """Return what is added to a complaint about an unknown label where the labels are those of a file."""
    return f" (the labels of {name}; if another is right, list all names in a {LABELS_FILE})"


def label_number(label: str, numbers: dict[str, int], text: str, origin: str = "") -> int:
    """Return the number of a label that is written as its name or its number.

    Raises:
        Complaint: there is no such label; the sentence names the nearest one.
    """
    # Names first: a label whose name is a number need not have that number, where the numbers began at 1.
    if label in numbers:
        return numbers[label]
    names = _first(numbers)
    if all(re.fullmatch("[+-]?[0-9]+", name) for name in numbers):
        own = list(numbers) == list(map(str, range(len(numbers))))
        expected = f"a number from 0 to {len(numbers) - 1}" if own else f"one of {names}"
        raise Complaint(f"has the label {short(label)} after {short(text)}; {expected}{origin} is expected")
    if _is_number(label) and int(label) < len(numbers):
        return int(label)
    if re.fullmatch(r"[+-]?\d+([.,]\d*)?", label):
        raise Complaint(
            f"has the label number {short(label)} after {short(text)}; "
            f"a number from 0 to {len(numbers) - 1} or a label name{origin} is expected"
        )
    by_lower_case = {name.lower(): name for name in numbers}
    near = difflib.get_close_matches(label.lower(), by_lower_case, n=1, cutoff=0.6)
    hint = f" (did you mean '{by_lower_case[near[0]]}'?)" if near else ""
    raise Complaint(
        f"has the unknown label {short(label)}{hint} after {short(text)}; "
        f"one of {names}, or its number{origin}, is expected"
    )


def _expected_label(numbers: dict[str, int]) -> str:
    if list(numbers) == list(map(str, range(len(numbers)))):
        return f"a label number from 0 to {len(numbers) - 1}"
    return f"one of {_first(numbers)}"


def _first(names: Iterable[str], most: int = 12) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _is_number(label: str) -> bool:
    # int() would also take other scripts' digits, signs, spaces and underscores. Nine digits fit any label.
    return re.fullmatch("[0-9]{1,9}", label) is not None


@dataclass(frozen=True)
class LabelKinds:
    """What the labels of a file are: "classification", "multi-label" or "regression", their names, and a remark."""

    task: str
    names: tuple[str, ...]
    note: str = ""


def infer_labels(values: Iterable[str], place: str, task: str | None = None, *, score: bool = False) -> LabelKinds:
    """Look at all labels of a file and say what they are.

    Args:
        values: the labels as written, one for each example (for several labels an example: each).
        place: the file, for messages.
        task: the task, where it is known.
        score: the column is called a score, so whole numbers are scores too.

    Raises:
        DataError: names and numbers are mixed, or nearly every example has a label of its own.
    """
    counts = Counter(values)
    total = sum(counts.values())
    whole = {label for label in counts if re.fullmatch(r"[+-]?[0-9]{1,9}(\.0*)?", label)}
    numeric = {label for label in counts if _is_score(label)}
    share = sum(counts[label] for label in numeric) / max(total, 1)
    if task == "regression" or (task is None and share > 0.9 and (score or numeric - whole)):
        return LabelKinds("regression", ("score",))
    task = task or "classification"
    if not counts:
        raise DataError(f"'{place}' has no labels, and {task} needs them; take the file out, or name their column.")
    if whole and sum(counts[label] for label in whole) > 0.9 * total and whole != set(counts):
        raise DataError(
            f"'{place}' has label numbers and also {short(min(set(counts) - whole))}; put a class.txt with one name a "
            "line beside it, or write all labels in one way."
        )
    if len(whole) == len(counts):
        numbers = sorted({int(float(label)) for label in whole})
        names = tuple(map(str, numbers))
        shifted = numbers != list(range(len(numbers)))
        note = f"The labels {_list(names)} of '{place}' became 0 to {len(numbers) - 1}." if shifted else ""
        return LabelKinds(task, names, note)
    if any(map(_is_number, counts)):
        raise DataError(
            f"'{place}' has label names ({short(min(set(counts) - whole))}) and label numbers "
            f"({short(min(filter(_is_number, counts)))}); put a class.txt with one name a line beside it."
        )
    if task == "classification" and len(counts) > 50 and len(counts) > total / 2:
        raise DataError(
            f"The labels of '{place}' are {len(counts):,} different ones in {total:,} examples, the first "
            f'{short(next(iter(counts)))}: is that the text? Say which column is which: columns={{"text": ..., '
            '"label": ...} (--columns text=... label=...).'
        )
    return LabelKinds(task, tuple(sorted(counts)))


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:3])}, ..., {names[-1]}"


def _is_score(label: str) -> bool:
    try:
        return math.isfinite(float(label)) and "_" not in label
    except ValueError:
        return False


# ---------------------------------------------------------------------------------------------------- rows


def labelled_fields(
    names: Sequence[str], columns: Columns, rows: list[dict[str, Any]], place: str, header: bool
) -> Fields:
    """Find the text, the second text and the label among the columns.

    Raises:
        DataError: no text or no label is found.
    """
    many = columns.get("label")
    several = {"label": many} if isinstance(many, list) else {}
    found = given_fields(
        {k: v for k, v in columns.items() if k not in several}, names, ("text", "pair", "label"), place
    )
    if several:  # one column a label, with 0 and 1
        for name in many:
            given_fields({"label": name}, names, ("label",), place)
    if header:
        free = [name for name in names if name not in found.values() and name not in (many if several else ())]
        if "text" not in found:
            couple = next(((a, b) for a, b in PAIRS if named(free, [a]) and named(free, [b])), None)
            if couple and "pair" not in found:
                found |= {"text": named(free, couple[:1]), "pair": named(free, couple[1:])}
            elif text := named(free, (*TEXTS, *(a for a, _ in PAIRS))):
                found["text"] = text
        if "label" not in found and not several and (label := named(free, LABELS)):
            found["label"] = label
    elif not columns:
        found = _by_place(names, rows, place)
    missing = [name for name in ("text", "label") if name not in found and name not in several]
    if missing:
        free = [name for name in names if name not in found.values()]
        likely = {"text": free[0] if free else "...", "label": free[-1] if free else "..."}
        example = ", ".join(f'"{name}": "{likely[name]}"' for name in missing)
        on_command_line = " ".join(shlex.quote(f"{name}={likely[name]}") for name in missing)
        raise DataError(
            f"'{place}' has the columns {', '.join(names)}, and none is known to be the {' or the '.join(missing)}; "
            f"say which: columns={{{example}}} (--columns {on_command_line})."
        )
    order = [name for name in ("text", "pair", "label") if name in found]
    used = {*found.values(), *(many if several else ())}
    return Fields({name: found[name] for name in order}, tuple(name for name in names if name not in used))


def _by_place(names: Sequence[str], rows: list[dict[str, Any]], place: str) -> dict[str, str]:
    """Two or three columns without a header: the label is the last, or the first where that has fewer values."""
    if not 2 <= len(names) <= 3:
        raise DataError(
            f"'{place}' has {len(names)} columns and no header; two (text, label) or three (text, second text, label) are "
            'expected, or say which is which by place from 0: columns={"text": 1, "label": 0} (--columns text=1 label=0).'
        )
    first, last = ({row[name] for row in rows} for name in (names[0], names[-1]))
    texts = list(names[:-1])
    label = names[-1]
    if len(first) < len(last) and not all(map(_is_score, last)):
        texts, label = list(names[1:]), names[0]
    return dict(zip(("text", "pair"), texts, strict=False)) | {"label": label}


def written_labels(record: dict[str, Any] | Complaint, fields: Fields, many: list[str] | None, task: str) -> list[str]:
    """Return the labels of a row as written: one, or for multi-label any number.

    Raises:
        Complaint: there is no label, or it is of a kind that no label has.
    """
    if many is not None:
        return [name for name in many if _is_set(cell(record, name), name)]
    value = cell(record, fields["label"])
    if isinstance(value, (list, tuple)):
        if task != "multi-label":
            raise Complaint(f"has several labels ({short(str(value))}); one is expected, or task='multi-label'")
        return [_written(item) for item in value]
    label = _written(value)
    if task != "multi-label":
        return [label]
    separator = next((s for s in _SEPARATORS if s in label), None)
    return [part.strip() for part in label.split(separator) if part.strip()] if separator else [label] * bool(label)


def _is_set(value: Any, name: str) -> bool:
    written = _written(value)
    if written in ("1", "1.0", "true"):
        return True
    if written in ("0", "0.0", "false"):
        return False
    raise Complaint(f"has {short(written)} in the column {name!r}; 0 or 1 is expected, for a label that is set or not")


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return ""
    if not isinstance(value, (str, int, float)):
        raise Complaint(f"has the label {short(str(value))}, a {type(value).__name__}; a name or a number is expected")
    return str(value).strip()


def parse_row(
    record: dict[str, Any] | Complaint,
    fields: Fields,
    many: list[str] | None,
    task: str,
    numbers: dict[str, int],
    origin: str = "",
) -> Example:
    """Return the example of a row.

    Raises:
        Complaint: a text or the label is missing or wrong.
    """
    text = text_cell(record, fields["text"])
    pair = None
    if "pair" in fields and cell(record, fields["pair"]) is not None:  # null in JSON: this one has no second text
        pair = text_cell(record, fields["pair"], "second text")
    labels = written_labels(record, fields, many, task)
    if task == "multi-label":
        return Example(text, tuple(sorted({_number(label, numbers, text, origin) for label in labels})), pair)
    label = labels[0]
    if not label:
        raise Complaint(f"has no label after {short(text)}; {_expected(task, numbers)} is expected")
    if task == "regression":
        if not _is_score(label):
            raise Complaint(f"has the score {short(label)} after {short(text)}; a number is expected")
        return Example(text, float(label), pair)
    return Example(text, _number(label, numbers, text, origin), pair)


def _number(label: str, numbers: dict[str, int], text: str, origin: str) -> int:
    whole = re.fullmatch(r"([+-]?[0-9]+)\.0*", label)  # a table with gaps writes 1.0 for 1
    return label_number(whole[1] if whole else label, numbers, text, origin)


def _expected(task: str, numbers: dict[str, int]) -> str:
    return "a number" if task == "regression" else _expected_label(numbers)


def all_labels(source: Source, fields: Fields, task: str) -> Iterator[str]:
    """Go through the labels of all rows as they are written; wrong rows are left to the reading."""
    for _, record in source.items():
        try:
            yield from filter(None, written_labels(record, fields, None, task))
        except Complaint:
            continue
