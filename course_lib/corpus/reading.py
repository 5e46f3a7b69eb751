"""`read_corpus`: from a name, a file, a folder or a name on the hub to documents of sentences.

A text file is read with the readers of `course_lib.datasets`: an empty line ends a document, WikiText and books of
Project Gutenberg are known. Its lines are then split into sentences, be they sentences or paragraphs. Where a text was
wrapped (lines of one width, as books are), an empty line ends a paragraph and several end a document. A Markdown file is
one document, without its code, tables and links.
"""

from __future__ import annotations

import codecs
import itertools
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from course_lib.corpus import markup
from course_lib.corpus.corpus import Corpus
from course_lib.corpus.packages import docstrings
from course_lib.corpus.sentences import split_sentences
from course_lib.datasets import hub
from course_lib.datasets.documents import document_source, text_form
from course_lib.datasets.examples import Document, Examples
from course_lib.datasets.files import (
    Source,
    Stream,
    counted,
    numbered_lines,
    open_binary,
    read_text,
    refuse_utf16,
    suffix,
)
from course_lib.datasets.loading import ENDINGS, load_dataset
from course_lib.datasets.records import Columns
from course_lib.errors import DataError

DOCSTRINGS = "docstrings"
MARKDOWN = (".md", ".markdown")
TEXT_ENDINGS = (".txt", ".tokens", *MARKDOWN)
STREAMED_FROM = 50_000_000  # bytes of text from which documents are not held in memory
LONGEST_LINE = 16_000_000  # bytes; a line is held whole
LONGEST_DOCUMENT = 2_000  # lines, and sentences; a longer one comes in pieces
LONGEST_SENTENCE = 2_000  # characters; a longer one, which no mark ends, is cut at a blank
_SHORT_DOCUMENT = 200  # characters; in a book, a shorter one is a heading and goes with what follows
_BLOCK = 1 << 20
_WIKITEXT_TITLE = re.compile(r"(?:= ?)+[^=].*=")
_WIKITEXT_MARK = re.compile(r" @([-,.])@ ")  # "1 @,@ 000"
_CHINESE = re.compile(r"[\u3001-\u303f\u3400-\u9fff\uff00-\uffef]")


def read_corpus(name_or_path: str | Path, *, streaming: bool | None = None, columns: Columns | None = None) -> Corpus:
    """Return the corpus of a name, a file, a folder or a hub name.

    Args:
        name_or_path: "docstrings" (`docstrings`); a text file, .txt or .md, maybe packed with gzip; a folder, of which
            every such file is read, those of its folders too; a table or .jsonl with texts; a name on the hub,
            "owner/name" or "owner/name:configuration", of which the training part is read.
        streaming: read the documents anew each time instead of holding them in memory; None: text files of 50 MB or
            more, and data sets of the hub. Everything is gone through once at the beginning all the same.
        columns: as for `load_dataset`, where the texts of a table stand in another column than text or sentences.

    Raises:
        DataError: nothing is there, a folder without text files, a binary file, one that is not in UTF-8, a line of more
            than 16 MB, or no text.
    """
    if name_or_path == DOCSTRINGS:
        return docstrings()
    if hub.is_name(name_or_path, (*ENDINGS, *TEXT_ENDINGS)):
        return _from_data_set(str(name_or_path), streaming is not False, columns)
    path = Path(name_or_path).expanduser()
    if path.is_file() and suffix(path) in ENDINGS and suffix(path) not in TEXT_ENDINGS:
        return _from_data_set(path, bool(streaming), columns)
    files = _text_files(path) if path.is_dir() else [path]
    size = sum(map(_checked_size, files))
    documents = Stream(
        Source(str(path), lambda: enumerate(_documents(path, files), start=1), "document"), lambda document: document
    )
    if next(iter(documents), None) is None:
        raise DataError(f"'{path}' has no text; fill it, or name another file or folder.")
    if not (size >= STREAMED_FROM if streaming is None else streaming):
        documents = Examples(documents)
    notes = (f"{counted(len(files), 'text file')} of '{path}', {size / 1e6:,.1f} MB.",) if path.is_dir() else ()
    return Corpus(documents, str(name_or_path), notes=notes)


# ---------------------------------------------------------------------------------------------------- text files


def _text_files(folder: Path) -> list[Path]:
    """Return the text files of a folder and of the folders in it, without hidden and empty ones."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if suffix(path) in TEXT_ENDINGS and path.is_file() and not _hidden(path, folder) and path.stat().st_size
    ]
    if not files:
        others = sorted({suffix(path) or path.name for path in folder.iterdir() if path.is_file()})
        found = f" (it has {', '.join(others[:5])})" if others else ""
        raise DataError(
            f"The folder '{folder}' has no text files{found}: .txt or .md files with text, maybe packed (.txt.gz), are "
            "expected in it or in its folders; of another form give the file itself."
        )
    return files


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _checked_size(path: Path) -> int:
    """Return the bytes of a text file, unpacked, after one pass that holds a megabyte.

    Raises:
        DataError: it is not there, no text, not UTF-8, or has a line that would not fit the memory.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    size = line = 0
    try:
        with open_binary(path) as file:
            while block := file.read(_BLOCK):
                if b"\0" in block:
                    refuse_utf16(path, block[:2000])
                    raise DataError(
                        f"'{path}' is a binary file (it has zero bytes), and text in UTF-8 is expected; give another file."
                    )
                decoder.decode(block)
                last = block.rfind(b"\n")
                line = line + len(block) if last < 0 else len(block) - last - 1
                if line > LONGEST_LINE:
                    raise DataError(
                        f"'{path}' has a line of more than {LONGEST_LINE // 1_000_000} MB, which would have to be held at "
                        "once; put line ends between its paragraphs, and an empty line between its documents."
                    )
                size += len(block)
            decoder.decode(b"", final=True)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        for _ in numbered_lines(path):  # says in a sentence what is wrong
            pass
        raise
    return size


def _documents(path: Path, files: Iterable[Path]) -> Iterator[Document]:
    for file in files:
        name = file.relative_to(path).as_posix() if path.is_dir() else file.name
        for paragraphs in _markdown(file) if suffix(file) in MARKDOWN else _texts(file):
            sentences = (sentence for paragraph in paragraphs for sentence in _short(split_sentences(paragraph)))
            while held := tuple(itertools.islice(sentences, LONGEST_DOCUMENT)):
                yield Document(held, name)


def _short(sentences: Iterable[str]) -> Iterator[str]:
    """Cut what no mark ends into pieces, at a blank where there is one."""
    for sentence in sentences:
        while len(sentence) > LONGEST_SENTENCE:
            cut = sentence.rfind(" ", 1, LONGEST_SENTENCE) + 1 or LONGEST_SENTENCE
            yield sentence[:cut].strip()
            sentence = sentence[cut:]
        if sentence:
            yield sentence


def _markdown(path: Path) -> Iterator[list[str]]:
    yield [markup.plain(paragraph) for paragraph in markup.paragraphs(read_text(path))]


def _texts(path: Path) -> Iterator[Sequence[str]]:
    """Go through the documents of a text file, each as its paragraphs."""
    form, source = text_form(path), document_source(path, LONGEST_DOCUMENT)
    if form == "WikiText":
        for _, lines in source.items():
            yield [_WIKITEXT_MARK.sub(r"\1", line) for line in lines if not _WIKITEXT_TITLE.fullmatch(line)]
    elif is_wrapped(_first(source, 2_000)):
        yield from _wrapped(source.items)
    else:
        for _, lines in source.items():
            yield lines


def _first(source: Source, count: int) -> Iterator[Sequence[str]]:
    """Go through the first blocks of lines, about as many lines as wanted."""
    for _, lines in source.items():
        yield lines
        count -= len(lines)
        if count <= 0:
            return


def is_wrapped(blocks: Iterable[Sequence[str]]) -> bool:
    """Whether lines were broken at one width: the first word of most would not have fitted on the line before it."""
    blocks = list(blocks)
    widths = sorted(_width(line) for lines in blocks for line in lines)
    pairs = [pair for lines in blocks for pair in itertools.pairwise(lines)]
    if len(pairs) < 2 or widths[-1] > 200:
        return False
    width = widths[int(0.98 * (len(widths) - 1))]
    full = sum(_width(line) + 1 + _width(_first_word(following)) >= 0.95 * width for line, following in pairs)
    return full >= 0.8 * len(pairs)


def _width(text: str) -> int:
    return len(text) + len(_CHINESE.findall(text))  # these are two columns wide


def _first_word(line: str) -> str:
    return line[0] if _CHINESE.match(line) else line.split(maxsplit=1)[0]


def _wrapped(blocks: Callable[[], Iterable[tuple[int, Sequence[str]]]]) -> Iterator[list[str]]:
    """Join lines to paragraphs, and paragraphs to documents, which several empty lines end."""
    held: list[str] = []
    size = end = 0
    for begin, lines in blocks():
        far = begin - end > 1  # `end` is the first empty line
        if held and ((far and size >= _SHORT_DOCUMENT) or len(held) >= LONGEST_DOCUMENT):
            yield held
            held, size = [], 0
        held.append("\n".join(lines))
        size += len(held[-1])
        end = begin + len(lines)
    if held:
        yield held


# ---------------------------------------------------------------------------------------------------- other forms


def _from_data_set(name: str | Path, streaming: bool, columns: Columns | None) -> Corpus:
    """Return the texts of a table, or of the training part of a data set of the hub, split into sentences."""
    dataset = load_dataset(name, "documents", streaming=streaming, columns=columns)
    if isinstance(name, Path):  # one file, which load_dataset splits
        parts, notes = [part for part in dataset.splits.values() if part is not None], ()
    else:
        parts = [dataset.require("train", "pretraining")]
        notes = (*dataset.notes, f"Of '{name}' the training part was read.")
    source = str(name)

    def documents() -> Iterator[Document]:
        for document in itertools.chain.from_iterable(parts):
            sentences = (s for text in document.sentences for s in _short(split_sentences(text)))
            while held := tuple(itertools.islice(sentences, LONGEST_DOCUMENT)):
                yield Document(held, source)

    stream = Stream(Source(source, lambda: enumerate(documents(), start=1), "document"), lambda document: document)
    return Corpus(stream if streaming else Examples(stream), source, notes=notes)
