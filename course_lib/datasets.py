"""Labelled texts from files, every line checked.

One form for now, that of the THUCNews headlines: a folder with train.txt, dev.txt, test.txt and class.txt. A line of
class.txt is the name of a label, and its number is its place, from 0. A line of the others is

    text<TAB>label

where the label is its number or its name, and the text may hold anything but a tab. Files are UTF-8. A byte order mark,
Windows line ends and empty lines at the very end are accepted; every other departure is a `DataError` that names the
file, the line, what stood there and what was expected.
"""

from __future__ import annotations

import codecs
import collections
import difflib
import re
import statistics
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from course_lib.errors import DataError

SPLITS = ("train", "dev", "test")
_LABELS_FILE = "class.txt"
_LINES_NAMED = 5  # in one message


@dataclass(frozen=True)
class Example:
    """One text with the number of its label."""

    text: str
    label: int


class Examples(list[Example]):
    """A list of examples that also gives its columns."""

    @property
    def texts(self) -> list[str]:
        """The texts, in order."""
        return [example.text for example in self]

    @property
    def label_ids(self) -> list[int]:
        """The label numbers, in order."""
        return [example.label for example in self]


@dataclass(frozen=True)
class Dataset:
    """The three parts of a data set, and the names of its labels."""

    folder: Path
    labels: tuple[str, ...]  # the name of label i is labels[i]
    train: Examples
    dev: Examples
    test: Examples

    @property
    def splits(self) -> dict[str, Examples]:
        """The parts by name: train, dev, test."""
        return {name: getattr(self, name) for name in SPLITS}

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}: {len(part):,}" for name, part in self.splits.items())
        return f"Dataset({str(self.folder)!r}, {len(self.labels)} labels, {counts})"


def load_dataset(folder: str | Path) -> Dataset:
    """Read the four files of a folder.

    Raises:
        DataError: the folder or one of its files is missing, or a line is not what it should be.
    """
    folder = Path(folder).expanduser()
    _check_folder(folder)
    labels = read_labels(folder / _LABELS_FILE)
    return Dataset(folder, tuple(labels), *(read_headlines(folder / f"{name}.txt", labels) for name in SPLITS))


def read_labels(path: str | Path) -> list[str]:
    """Return the label names of a class.txt; the place in the list is the label's number.

    Raises:
        DataError: the file is missing, empty or not UTF-8; a line is empty or repeats another; a name is a number
            other than its own.
    """
    path = Path(path)
    labels: list[str] = []
    complaints: list[tuple[int, str]] = []
    for number, line in enumerate(_read_lines(path, "one label name a line"), start=1):
        label = line.strip()
        if not label:
            complaints.append((number, "is empty; a label name is expected"))
        elif "\t" in label:
            complaints.append((number, f"has a tab in {_short(label)}; one label name a line is expected"))
        elif label in labels:
            complaints.append(
                (number, f"repeats the label {_short(label)} of line {labels.index(label) + 1}; each label stands once")
            )
        elif _is_number(label) and label != str(number - 1):
            complaints.append(
                (number, f"names label {number - 1} {_short(label)}, which reads as another label's number; use words")
            )
        labels.append(label)
    _raise_complaints(path, complaints)
    return labels


def read_headlines(path: str | Path, labels: Sequence[str]) -> Examples:
    """Return the examples of a file with lines `text<TAB>label`; a label is its number or one of the names `labels`.

    Raises:
        DataError: the file is missing, empty or not UTF-8, or has a wrong line. The message explains the first wrong
            line and counts the others.
    """
    path = Path(path)
    numbers = {label: number for number, label in enumerate(labels)}
    examples = Examples()
    complaints: list[tuple[int, str]] = []
    for number, line in enumerate(_read_lines(path, "lines of text, a tab and a label"), start=1):
        try:
            examples.append(_parse_line(line, numbers))
        except ValueError as error:
            complaints.append((number, str(error)))
    _raise_complaints(path, complaints)
    return examples


def _parse_line(line: str, numbers: dict[str, int]) -> Example:
    """Return the example of a line, or raise a ValueError that completes the sentence "Line 7 ..."."""
    fields = line.split("\t")
    if len(fields) == 1:
        raise ValueError(_explain_missing_tab(line, numbers))
    if len(fields) > 2:
        raise ValueError(
            f"has {len(fields) - 1} tabs ({_short(line)}); exactly one is expected, between the text and its label"
        )
    text, label = fields[0], fields[1].strip()
    if not text.strip():
        raise ValueError(f"has no text before its tab ({_short(line)}); a text, a tab and a label are expected")
    # A label whose name is a number has that very number: read_labels sees to it.
    if _is_number(label) and int(label) < len(numbers):
        return Example(text, int(label))
    if label in numbers:
        return Example(text, numbers[label])
    if re.fullmatch(r"[+-]?\d+([.,]\d*)?", label):
        raise ValueError(
            f"has the label number {_short(label)} after {_short(text)}; "
            f"a number from 0 to {len(numbers) - 1} or a label name is expected"
        )
    raise ValueError(_explain_unknown_label(text, label, numbers))


def _explain_missing_tab(line: str, numbers: dict[str, int]) -> str:
    if not line.strip():
        return "is empty; a text, a tab and a label are expected (empty lines may stand at the very end only)"
    start = f"has no tab ({_short(line)})"
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


def _explain_unknown_label(text: str, label: str, numbers: dict[str, int]) -> str:
    if not label:
        return f"has no label after its tab ({_short(text)}); a label number from 0 to {len(numbers) - 1} is expected"
    by_lower_case = {name.lower(): name for name in numbers}
    near = difflib.get_close_matches(label.lower(), by_lower_case, n=1, cutoff=0.6)
    hint = f" (did you mean '{by_lower_case[near[0]]}'?)" if near else ""
    names = ", ".join(list(numbers)[:12]) + (", ..." if len(numbers) > 12 else "")
    return (
        f"has the unknown label {_short(label)}{hint} after {_short(text)}; one of {names}, or its number, is expected"
    )


def _is_number(label: str) -> bool:
    # int() would also take other scripts' digits, signs, spaces and underscores. Nine digits fit any label.
    return re.fullmatch("[0-9]{1,9}", label) is not None


def _raise_complaints(path: Path, complaints: list[tuple[int, str]]) -> None:
    if not complaints:
        return
    number, complaint = complaints[0]
    message = f"Line {number} of '{path}' {complaint}."
    others = [str(n) for n, _ in complaints[1:]]
    if others:
        named = ", ".join(others[: _LINES_NAMED - 1]) + (" and so on" if len(others) >= _LINES_NAMED else "")
        lines = "one more line is" if len(others) == 1 else f"{len(others):,} more lines are"
        message += f" In the same file {lines} wrong: {named}."
    raise DataError(message)


def _short(text: str) -> str:
    """Return the text in quotes, at most 40 characters of it, with what cannot be seen made visible."""
    shown = text if len(text) <= 40 else text[:37] + "..."
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown) + "'"


# ---------------------------------------------------------------------------------------------------- files


def _check_folder(folder: Path) -> None:
    names = [_LABELS_FILE, *(f"{name}.txt" for name in SPLITS)]
    expected = "a folder with class.txt, train.txt, dev.txt and test.txt is expected"
    if folder.is_file():
        raise DataError(f"'{folder}' is a file, and {expected}: give its folder '{folder.parent}'.")
    if not folder.is_dir():
        siblings = [p.name for p in folder.parent.iterdir() if p.is_dir()] if folder.parent.is_dir() else []
        near = difflib.get_close_matches(folder.name, siblings, n=1, cutoff=0.6)
        hint = f" (did you mean '{folder.parent / near[0]}'?)" if near else ""
        raise DataError(f"There is no folder '{folder}'{hint}; {expected}.")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        inside = sorted(p.parent for p in folder.glob(f"*/{_LABELS_FILE}"))
        hint = f"; did you mean its folder '{inside[0]}'?" if inside else "."
        raise DataError(f"The folder '{folder}' lacks {', '.join(missing)}, and {expected}{hint}")


def _read_lines(path: Path, expected: str) -> list[str]:
    """Return the lines of a UTF-8 file without their ends, and without the empty lines at the end of the file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"There is no file '{path}'; a UTF-8 file with {expected} is expected.") from error
    except (IsADirectoryError, PermissionError) as error:  # Windows says PermissionError for a folder
        raise DataError(
            f"'{path}' cannot be read ({error.strerror}); a UTF-8 file with {expected} is expected."
        ) from error
    text = _decode(path, data)
    # Not splitlines(): it also splits at characters that may stand in a text, such as U+2028.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    while lines and not lines[-1].strip(" "):
        lines.pop()
    if not lines:
        raise DataError(f"The file '{path}' is empty; {expected} are expected.".replace("line are", "line is"))
    return lines


def _decode(path: Path, data: bytes) -> str:
    """Return the text of UTF-8 bytes without a byte order mark, or raise with the encoding that it may be."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"The file '{path}' is in UTF-16 (it begins with that byte order mark); {_convert('utf-16')}.")
    # UTF-16 without its mark: nearly every second byte of Western text is zero.
    for encoding, zeros in (("utf-16-le", data[1:2000:2]), ("utf-16-be", data[0:2000:2])):
        if zeros.count(0) > 0.6 * len(zeros) and "\n" in data[:2000].decode(encoding, errors="replace"):
            raise DataError(f"The file '{path}' looks like UTF-16 without a byte order mark; {_convert(encoding)}.")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        where = f"The file '{path}' is not UTF-8: byte {error.start} (0x{data[error.start]:02x}, in line {line})"
        if error.end == len(data) and error.reason == "unexpected end of data":
            raise DataError(
                f"{where} begins a character that the end of the file cuts off; get the file again."
            ) from error
        encoding = _guess_encoding(data)
        if encoding is None:
            raise DataError(f"{where} has no meaning in it; save the file as UTF-8.") from error
        raise DataError(
            f"{where} has no meaning in it; it is probably {_ENCODINGS[encoding]}: {_convert(encoding)}."
        ) from error


# Python's name -> the name that editors show
_ENCODINGS = {"gb18030": "GBK", "big5": "Big5", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "cp1252": "Windows-1252"}


def _guess_encoding(data: bytes) -> str | None:
    """Return the codec under which nearly all that is not ASCII is common Chinese, or a Western codec, or None."""
    sample = data[:50_000]
    for encoding in list(_ENCODINGS)[:-1]:
        text = sample.decode(encoding, errors="replace")
        foreign = [c for c in text if ord(c) > 127]
        # Any bytes make Chinese characters in UTF-16, but not lines with tabs.
        plausible = not encoding.startswith("utf-16") or ("\n" in text and "\t" in text)
        if plausible and foreign and sum(_is_common(c, encoding) for c in foreign) > 0.85 * len(foreign):
            return encoding
    try:
        sample.decode("cp1252")
    except UnicodeDecodeError:
        return None
    return "cp1252"


def _is_common(character: str, encoding: str) -> bool:
    """Whether a character is one of the few thousand that a text in this encoding is mostly made of."""
    if encoding == "big5":
        return b"\xa1" <= character.encode("big5", errors="ignore")[:1] <= b"\xc6"  # its first level
    if encoding == "gb18030":
        return bool(character.encode("gb2312", errors="ignore"))
    return "\u3000" <= character <= "\u9fff" or "\uff00" <= character <= "\uffef"


def _convert(encoding: str) -> str:
    return (
        "save it as UTF-8 in an editor, or in Python: "
        f'path.write_text(path.read_text(encoding="{encoding}"), encoding="utf-8")'
    )


# ---------------------------------------------------------------------------------------------------- summary


@dataclass(frozen=True)
class Summary:
    """Counts and text lengths of a data set; `str()` gives a table."""

    counts: dict[str, dict[str, int]]  # split -> label name -> number of examples, zeros included
    lengths: dict[str, tuple[int, float, int]]  # split -> shortest, median, longest text, in characters

    def __str__(self) -> str:
        labels = list(next(iter(self.counts.values())))
        rows = [["label", *self.counts]]
        rows += [[label, *(f"{self.counts[split][label]:,}" for split in self.counts)] for label in labels]
        rows.append(["all", *(f"{sum(of_split.values()):,}" for of_split in self.counts.values())])
        rows += [
            [name, *(f"{self.lengths[split][i]:g}" for split in self.counts)]
            for i, name in enumerate(("shortest text", "median text", "longest text"))
        ]
        widths = [max(map(_columns, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                _pad(cell, width, left=i == 0) for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )


def describe(dataset: Dataset) -> Summary:
    """Count the examples per split and label, and measure the texts in characters."""
    counts, lengths = {}, {}
    for name, part in dataset.splits.items():
        found = collections.Counter(part.label_ids)
        counts[name] = {label: found[number] for number, label in enumerate(dataset.labels)}
        sizes = [len(text) for text in part.texts]
        lengths[name] = (min(sizes), statistics.median(sizes), max(sizes))
    return Summary(counts, lengths)


def _columns(text: Iterable[str]) -> int:
    """Width on a terminal, where a Chinese character takes two columns."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _pad(text: str, width: int, *, left: bool) -> str:
    space = " " * (width - _columns(text))
    return text + space if left else space + text
