"""Pretrained word vectors from a file, for the tokens of one vocabulary.

    .npz                 an array `embeddings` (rows, E) whose words stand in a second file, as in the Chinese repository;
                         or two arrays, `words` and `vectors`
    word2vec text, .vec  a first line "count E", then a word and E numbers a line (also gzipped: .gz)
    GloVe text           the same without the first line

A text file is read line by line, and only the rows of the vocabulary are kept, so a file of some gigabytes will do.
"""

from __future__ import annotations

import gzip
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from zipfile import BadZipFile

import torch
from torch import Tensor

from course_lib.errors import DataError

_LOOKED_AT = 100  # lines of a text file from which the numbers a word are counted
_SPECIAL = {"[PAD]": ("<PAD>", "<pad>"), "[UNK]": ("<UNK>", "<unk>")}  # what other vocabularies call ours


@dataclass(frozen=True)
class Vectors:
    """A row for each token of a vocabulary."""

    matrix: Tensor  # (V, E), float32; padding is 0, a token that the file lacks is drawn at random
    found: int
    missing: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        rows, size = self.matrix.shape
        return f"Vectors({self.found:,} of {rows:,} tokens found, {size} numbers each)"


def load_vectors(
    path: str | Path,
    tokens: Sequence[str],
    dimension: int | None = None,
    seed: int = 0,
    vocabulary: str | Path | Sequence[str] | None = None,
) -> Vectors:
    """Read the vectors of some tokens.

    Args:
        path: the file.
        tokens: the vocabulary, in the order of its ids; the first is padding.
        dimension: E, to be sure that the file is the one that was meant.
        seed: of the rows of tokens that the file lacks; they have the spread of the others.
        vocabulary: the words of an .npz with rows alone: a list, or a file with a word a line.

    Raises:
        DataError: there is no such file, or it holds something else, or none of the tokens, or a number that is none (nan,
            inf) of one of them; words for a file that has them.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(f"There is no file '{path}'; give a file of word vectors: .npz, .vec, word2vec or GloVe text.")
    wanted = {token: number for number, token in enumerate(tokens)}
    for ours, others in _SPECIAL.items():
        if ours in wanted:
            wanted.update({other: wanted[ours] for other in others if other not in wanted})
    if vocabulary is not None and path.suffix != ".npz":
        raise DataError(f"'{path}' has its words itself: leave the words out (--vector-words).")
    reader = _from_npz(path, vocabulary) if path.suffix == ".npz" else _from_text(path)
    rows: dict[int, Tensor] = {}
    twice = damaged = size = 0
    for word, row in reader:
        size = size or (0 if row is None else len(row))
        if row is None or len(row) != size:
            damaged += 1
            continue
        number = wanted.get(word)
        if number is None:
            continue
        if number in rows:
            twice += 1
        else:
            rows[number] = _finite(row, word, path)
    if dimension is not None and size != dimension:
        raise DataError(
            f"'{path}' has {size} numbers a word, and {dimension} were asked for: give another file, or that dimension."
        )
    rows.pop(0, None)  # padding stays 0
    if not rows:
        raise DataError(
            f"'{path}' has none of the {len(tokens):,} tokens of the vocabulary, such as {', '.join(map(repr, tokens[2:5]))}: "
            "are its words words, and the vocabulary's characters, or the other way round?"
        )
    known = torch.stack(list(rows.values()))
    spread = known.std() if known.numel() > 1 else known.abs()  # one number has none
    matrix = torch.randn(len(tokens), size, generator=torch.Generator().manual_seed(seed)) * spread
    matrix[0] = 0.0
    matrix[list(rows)] = known
    missing = tuple(token for number, token in enumerate(tokens) if number > 0 and number not in rows)
    notes = []
    if damaged:
        notes.append(f"{damaged:,} lines of '{path.name}' are damaged and were left out.")
    if twice:
        notes.append(f"{twice:,} words of '{path.name}' stand there again; the first was taken.")
    if missing:
        notes.append(f"{len(missing):,} of {len(tokens):,} tokens have no vector in '{path.name}' and begin at random.")
    return Vectors(matrix, len(rows), missing, tuple(notes))


def _finite(row: Tensor, word: str, path: Path) -> Tensor:
    wrong = row[~torch.isfinite(row)]
    if len(wrong):
        raise DataError(
            f"'{path}' has {wrong[0].item()} among the numbers of the word {word!r}, from which no model can learn: take the "
            "word out, or get the file again."
        )
    return row


def _from_npz(path: Path, vocabulary: str | Path | Sequence[str] | None) -> Iterator[tuple[str, Tensor | None]]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"'{path}' is no .npz file that can be read ({error}): copy it again.") from error
    if "words" in arrays and "vectors" in arrays:
        if vocabulary is not None:
            raise DataError(f"'{path}' has its words itself: leave the words out (--vector-words).")
        words, rows = [str(word) for word in arrays["words"]], arrays["vectors"]
    elif "embeddings" in arrays:
        if vocabulary is None:
            raise DataError(
                f"'{path}' has rows and no words: give the file with its words too, a word a line (--vector-words)."
            )
        words, rows = _words(vocabulary), arrays["embeddings"]
    else:
        raise DataError(
            f"'{path}' has the arrays {', '.join(arrays) or 'none'}; 'embeddings', or 'words' and 'vectors', are expected."
        )
    if rows.ndim != 2 or len(rows) != len(words):
        raise DataError(
            f"'{path}' has vectors of shape {rows.shape} and there are {len(words):,} words: a row for each word is needed."
        )
    if rows.dtype.kind not in "fiu":
        raise DataError(f"'{path}' has vectors of the type {rows.dtype.str}; numbers are needed: save it as float32.")
    with np.errstate(over="ignore"):  # what is too large becomes inf, and is said
        table = torch.from_numpy(rows.astype("float32"))
    yield from zip(words, table, strict=True)


def _words(vocabulary: str | Path | Sequence[str]) -> list[str]:
    if not isinstance(vocabulary, str | Path):
        return list(vocabulary)
    path = Path(vocabulary).expanduser()
    try:
        words = path.read_text(encoding="utf-8").split("\n")  # not splitlines: a word may be a strange kind of space
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"'{path}' with the words of the vectors cannot be read ({error}): give a UTF-8 file with a word a line."
        ) from error
    return words[:-1] if words and not words[-1] else words


def _from_text(path: Path) -> Iterator[tuple[str, Tensor | None]]:
    """(word, row), or (line, None) where a line is no word with numbers."""
    with _opened(path) as file:
        lines = _lines(file, path)
        first = list(itertools.islice(lines, _LOOKED_AT))
        size, begin = _numbers_a_word(first, path)
        for line in itertools.chain(first[begin:], lines):
            parts = _parts(line)
            word, numbers = " ".join(parts[:-size]), parts[-size:]  # a word may hold blanks
            try:
                row = torch.tensor([float(n) for n in numbers])
            except ValueError:
                yield line, None
                continue
            yield (word, row) if word and len(row) == size else (line, None)


def _numbers_a_word(first: list[str], path: Path) -> tuple[int, int]:
    """(E, the place of the first word) from the first lines of a text file: E is what most of them have.

    Raises:
        DataError: the file is empty, or has no numbers, or others than its first line says.
    """
    if not any(line.strip() for line in first):
        raise DataError(f"'{path}' is empty; a word and its numbers a line are expected.")
    head = _parts(first[0])
    stated = int(head[1]) if len(head) == 2 and all(part.isdigit() for part in head) else None
    begin = 0 if stated is None else 1
    counts = [_numbers_after(_parts(line)) for line in first[begin:]]
    if not counts:
        raise DataError(f"'{path}' has a first line and no words after it; it is cut off: get it again.")
    size = Counter(counts).most_common(1)[0][0]
    if size < 2:
        begin += counts.index(size)
        raise DataError(
            f"Line {begin + 1} of '{path}' has {'no numbers' if size == 0 else 'only one number'} after its word "
            f"({_parts(first[begin])[0]!r}); a word and its numbers, with blanks between them, are expected."
        )
    if stated not in (None, size):
        raise DataError(
            f"'{path}' has rows of {size} numbers, beginning with line {counts.index(size) + begin + 1}, where its first line says "
            f"{stated}: mend that line, or get the file again."
        )
    return size, begin


def _parts(line: str) -> list[str]:
    return line.rstrip("\r\n").rstrip(" ").split(" ")


def _numbers_after(parts: list[str]) -> int:
    """How many numbers stand at the end of a line, its first word not among them."""
    count = 0
    for part in reversed(parts[1:]):
        try:
            float(part)
        except ValueError:
            break
        count += 1
    return count


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    try:
        yield from file
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(
            f"'{path}' is no UTF-8 text of word vectors, or is cut off ({error}): copy it again."
        ) from error


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="\n")  # type: ignore[return-value]
    return path.open(encoding="utf-8", newline="\n")
