"""`read_corpus`: from a name, a file, a folder or a name on the hub to documents of sentences.

A text file is read with the readers of `course_lib.datasets`; its lines are then split into sentences, whether they are
sentences, paragraphs, or a text wrapped at 70 characters.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from course_lib.corpus.corpus import Corpus
from course_lib.corpus.docstrings import docstrings
from course_lib.corpus.sentences import split_sentences
from course_lib.datasets import hub
from course_lib.datasets.documents import document_source
from course_lib.datasets.examples import Document, Examples
from course_lib.datasets.files import Source, Stream, counted, suffix
from course_lib.datasets.loading import ENDINGS, load_dataset
from course_lib.datasets.records import Columns
from course_lib.errors import DataError

DOCSTRINGS = "docstrings"
TEXT_ENDINGS = (".txt", ".md", ".markdown", ".tokens")
STREAMED_FROM = 50_000_000  # bytes of text files from which they are not held in memory
LONGEST_LINE = 16_000_000  # bytes
_BLOCK = 1 << 20
_END_MARKS = tuple('.!?。！？…:;：；"”’」』）)')


def read_corpus(name_or_path: str | Path, *, streaming: bool | None = None, columns: Columns | None = None) -> Corpus:
    """Return the corpus of a name, a file, a folder or a hub name.

    Args:
        name_or_path: "docstrings"; a text file (.gz too), empty lines between documents; a folder, with every .txt and .md
            file within; a .jsonl or other table with texts; a hub name, "owner/name" or "owner/name:configuration".
        streaming: read the documents anew each time instead of holding them in memory; None: files from 50 MB on, and
            data sets of the hub.
        columns: as for `load_dataset`, where the texts stand in another column than text or sentences.

    Raises:
        DataError: nothing is there, no text files, a binary file, not UTF-8, a line beyond 16 MB, no text.
    """
    if isinstance(name_or_path, str) and name_or_path == DOCSTRINGS and not Path(DOCSTRINGS).exists():
        return docstrings()
    if hub.is_name(name_or_path, (*ENDINGS, *TEXT_ENDINGS)):
        return _from_data_set(str(name_or_path), True if streaming is None else streaming, columns)
    path = Path(name_or_path).expanduser()
    files = _text_files(path)
    if files is None:
        return _from_data_set(path, bool(streaming), columns)
    for file in files:
        _check(file)
    if streaming is None:
        streaming = sum(file.stat().st_size * (4 if file.suffix == ".gz" else 1) for file in files) >= STREAMED_FROM
    source = Source(str(path), lambda: _documents(path, files), "document")
    documents = Stream(source, lambda document: document)
    if next(iter(documents), None) is None:
        raise DataError(f"'{path}' has no text; fill it, or name another file or folder.")
    if not streaming:
        documents = Examples(documents)
    notes = (f"{counted(len(files), 'text file')} of '{path}' read.",) if path.is_dir() else ()
    return Corpus(documents, str(name_or_path), notes=notes)


def _text_files(path: Path) -> list[Path] | None:
    """Return the text files of a path, or None where it is a file of another kind."""
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if suffix(p) in TEXT_ENDINGS and p.is_file() and not _hidden(p, path))
        files = [file for file in files if file.stat().st_size]
        if not files:
            raise DataError(
                f"The folder '{path}' has no text files: files with text that end in .txt or .md (or .txt.gz) are "
                "expected, in it or in its folders."
            )
        return files
    return None if path.exists() and suffix(path) in ENDINGS and suffix(path) not in TEXT_ENDINGS else [path]


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _check(path: Path) -> None:
    """Refuse what is no text, and lines that would not fit the memory, in one pass that holds a megabyte."""
    from course_lib.datasets.files import _open

    try:
        file = _open(path)
    except OSError:
        return  # the reader says what is wrong
    with file:
        length = 0
        while block := file.read(_BLOCK):
            if b"\0" in block and not block.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise DataError(
                    f"'{path}' is a binary file (it has zero bytes), and text is expected; give a .txt file in UTF-8."
                )
            last = block.rfind(b"\n")
            length = length + len(block) if last < 0 else len(block) - last - 1
            if length > LONGEST_LINE:
                raise DataError(
                    f"'{path}' has a line of more than {LONGEST_LINE // 1_000_000} MB; put line ends between its "
                    "paragraphs and an empty line between its documents."
                )


def _documents(path: Path, files: Iterable[Path]) -> Iterator[tuple[int, Document]]:
    numbers = itertools.count(1)
    for file in files:
        name = file.relative_to(path).as_posix() if path.is_dir() else file.name
        for _, lines in document_source(file).items():
            sentences = tuple(sentence for text in _paragraphs(lines) for sentence in split_sentences(text))
            if sentences:
                yield next(numbers), Document(sentences, name)


def _paragraphs(lines: tuple[str, ...]) -> Iterator[str]:
    """Join lines that were wrapped: short ones of which most end within a sentence."""
    widest = max(map(len, lines))
    inner = sum(not line.endswith(_END_MARKS) for line in lines)
    if len(lines) > 1 and widest <= 100 and inner > 0.5 * len(lines):
        yield "\n".join(lines)
    else:
        yield from lines


def _from_data_set(name: str | Path, streaming: bool, columns: Columns | None) -> Corpus:
    """Return the training part of a data set of documents, each text split into sentences."""
    dataset = load_dataset(name, "documents", streaming=streaming, columns=columns)
    return Corpus(_Split(dataset.train, str(name)), str(name), notes=dataset.notes)


class _Split:
    """The documents of a part with their texts split into sentences, when they are asked for."""

    def __init__(self, part: Any, source: str, keep: Any = None) -> None:
        self._part, self._name, self._keep = part, source, keep

    def __iter__(self) -> Iterator[Document]:
        for document in self._part:
            sentences = tuple(s for text in document.sentences for s in split_sentences(text))
            if sentences and (self._keep is None or self._keep(whole := Document(sentences, self._name))):
                yield whole if self._keep else Document(sentences, self._name)

    def where(self, keep: Any) -> _Split:
        """Return those documents for which `keep` says True."""
        before = self._keep
        return _Split(self._part, self._name, keep if before is None else lambda d: before(d) and keep(d))
