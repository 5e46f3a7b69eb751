"""Lines of a UTF-8 file, and what is wrong in them collected into one sentence.

A byte order mark, Windows line ends and empty lines at the very end are accepted, and a file may be packed with gzip
(`train.txt.gz`). A file in another encoding is refused with the encoding that it probably has. Nothing here holds a
whole file: a line is read when it is asked for.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from course_lib.datasets.examples import Examples
from course_lib.errors import DataError

_LINES_NAMED = 5  # in one message
_SAMPLE = 50_000  # bytes from which an encoding is guessed


class Complaint(ValueError):
    """What is wrong with a line, as the end of a sentence that begins "Line 7 of 'train.txt' ..."."""

    def __init__(self, message: str, line: int | None = None):
        super().__init__(message)
        self.line = line  # where the line is another one than that where the example begins


@dataclass(frozen=True)
class Source:
    """Where examples come from: a name for messages, and a way to go through the raw items from the beginning.

    An item comes with its number: of its line, its row, its question (`unit`).
    """

    place: str
    items: Callable[[], Iterable[tuple[int, Any]]]
    unit: str = "line"

    @property
    def name(self) -> str:
        """The place without its folders, for sentences about what was recognised."""
        return Path(self.place).name

    def read(self, parse: Callable[[Any], Any], *, streaming: bool = False) -> Examples | Stream:
        """Return `parse(item)` of every item, as a list, or as a stream after one pass that checks all and keeps none.

        Raises:
            DataError: there is no item, or `parse` complained. The message explains the first complaint and counts the others.
        """
        examples = Examples()
        complaints: list[tuple[int, str]] = []
        found = False
        for number, item in self.items():
            found = True
            try:
                example = parse(item)
            except Complaint as error:
                complaints.append((error.line or number, str(error)))
            else:
                if not streaming:
                    examples.append(example)
        raise_complaints(self.place, complaints, self.unit)
        if not found:
            raise DataError(f"'{self.place}' has no examples; take it out, or fill it.")
        return Stream(self, parse) if streaming else examples


class Stream:
    """Examples read from their file whenever they are asked for: in its order, as often as wanted, never all at once."""

    def __init__(self, source: Source, parse: Callable[[Any], Any], keep: Callable[[Any], bool] | None = None):
        self._source, self.parse, self._keep = source, parse, keep

    def __iter__(self) -> Iterator[Any]:
        for number, item in self._source.items():
            try:
                example = self.parse(item)
            except Complaint as error:  # the file was changed after load_dataset had checked it
                raise_complaints(self._source.place, [(error.line or number, str(error))], self._source.unit)
            if self._keep is None or self._keep(example):
                yield example

    def where(self, keep: Callable[[Any], bool]) -> Stream:
        """Return the stream of those examples for which `keep` says True."""
        before = self._keep
        return Stream(self._source, self.parse, keep if before is None else lambda e: before(e) and keep(e))

    def __repr__(self) -> str:
        return f"Stream({self._source.place!r})"


def raise_complaints(place: str | Path, complaints: list[tuple[int, str]], unit: str = "line") -> None:
    """Raise a DataError about the first complaint, which counts the others, or return if there is none."""
    if not complaints:
        return
    number, complaint = complaints[0]
    message = f"{unit.capitalize()} {number} of '{place}' {complaint}."
    others = [str(n) for n, _ in complaints[1:]]
    if others:
        named = ", ".join(others[: _LINES_NAMED - 1]) + (" and so on" if len(others) >= _LINES_NAMED else "")
        lines = f"one more {unit} is" if len(others) == 1 else f"{len(others):,} more {unit}s are"
        message += f" In the same file {lines} wrong: {named}."
    raise DataError(message)


def short(text: str) -> str:
    """Return the text in quotes, at most 40 characters of it, with what cannot be seen made visible."""
    shown = text if len(text) <= 40 else text[:37] + "..."
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown) + "'"


def counted(count: int, noun: str) -> str:
    """Return "1 label", "2 labels"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def suffix(path: Path) -> str:
    """Return the ending that says the form of a file, in lower case: `.tsv` for `train.TSV` and `train.tsv.gz`."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


# ---------------------------------------------------------------------------------------------------- lines


def numbered_lines(path: Path, expected: str = "text", *, keep_ends: bool = False) -> Iterator[tuple[int, str]]:
    """Go through the lines of a UTF-8 file, numbered from 1, without their ends and without empty lines at the end.

    Args:
        path: the file; `.gz` is unpacked on the way.
        expected: what the file should hold, for messages: "one label name a line".
        keep_ends: leave the line ends on, for a reader that knows lines within quotes.

    Raises:
        DataError: the file is missing, empty, not UTF-8 or a damaged archive.
    """
    empty: list[tuple[int, str]] = []  # held back until something follows them
    found = False
    # Not splitlines(): it also splits at characters that may stand in a text, such as U+2028.
    for number, line in enumerate(_decoded(path, expected), start=1):
        if not line.strip(" \r\n"):
            empty.append((number, line if keep_ends else line.rstrip("\r\n")))
            continue
        yield from empty
        empty.clear()
        found = True
        yield number, line if keep_ends else line.removesuffix("\n").removesuffix("\r")
    if not found:
        raise DataError(f"The file '{path}' is empty: write {expected} into it, or remove it.")


def read_text(path: Path, expected: str = "text") -> str:
    """Return the whole text of a UTF-8 file.

    Raises:
        DataError: as `numbered_lines`.
    """
    return "".join(line for _, line in numbered_lines(path, expected, keep_ends=True))


def _decoded(path: Path, expected: str) -> Iterator[str]:
    position = 0
    for number, line in enumerate(_raw_lines(path, expected), start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _not_utf8(path, line, number, position, error) from error
        yield text.removeprefix("\ufeff") if number == 1 else text
        position += len(line)


def _raw_lines(path: Path, expected: str) -> Iterator[bytes]:
    try:
        with open_binary(path) as file:
            refuse_utf16(path, file.read(2000))
            file.seek(0)
            yield from file
    except FileNotFoundError as error:
        raise DataError(f"There is no file '{path}'; a UTF-8 file with {expected} is expected.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"'{path}' is no whole gzip archive ({error}); get the file again.") from error
    except (IsADirectoryError, PermissionError) as error:  # Windows says PermissionError for a folder
        raise DataError(
            f"'{path}' cannot be read ({error.strerror}); a UTF-8 file with {expected} is expected."
        ) from error


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading bytes; `.gz` is unpacked on the way."""
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


# ---------------------------------------------------------------------------------------------------- encodings


def refuse_utf16(path: Path, start: bytes) -> None:
    """Raise a DataError if a file that begins so is in UTF-16."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"The file '{path}' is in UTF-16 (it begins with that byte order mark); {_convert('utf-16')}.")
    # UTF-16 without its mark: nearly every second byte of Western text is zero.
    for encoding, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[0::2])):
        if zeros.count(0) > 0.6 * len(zeros) and "\n" in start.decode(encoding, errors="replace"):
            raise DataError(f"The file '{path}' looks like UTF-16 without a byte order mark; {_convert(encoding)}.")


def _not_utf8(path: Path, line: bytes, number: int, position: int, error: UnicodeDecodeError) -> DataError:
    byte = position + error.start
    where = f"The file '{path}' is not UTF-8: byte {byte} (0x{line[error.start]:02x}, in line {number})"
    if error.end == len(line) and error.reason == "unexpected end of data":
        return DataError(f"{where} begins a character that the end of the file cuts off; get the file again.")
    with open_binary(path) as file:
        encoding = _guess_encoding(file.read(_SAMPLE))
    if encoding is None:
        return DataError(f"{where} has no meaning in it; save the file as UTF-8.")
    return DataError(f"{where} has no meaning in it; it is probably {_ENCODINGS[encoding]}: {_convert(encoding)}.")


# Python's name -> the name that editors show
_ENCODINGS = {"gb18030": "GBK", "big5": "Big5", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "cp1252": "Windows-1252"}


def _guess_encoding(sample: bytes) -> str | None:
    """Return the codec under which nearly all that is not ASCII is common Chinese, or a Western codec, or None."""
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
