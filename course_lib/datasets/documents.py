"""Running text: one sentence (or paragraph) a line, an empty line between documents.

Two kinds of files are known beyond that: WikiText, whose articles begin with a line ` = Title = ` and have empty lines
within, and the books of Project Gutenberg, of which what stands before `*** START OF` and after `*** END OF` (a licence,
not the book) is left out and counted.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from course_lib.datasets.examples import Document
from course_lib.datasets.files import Complaint, Source, numbered_lines, short
from course_lib.datasets.records import cell, check_texts
from course_lib.datasets.tags import ends_with_tag

_TITLE = re.compile(r" = [^=].*[^=] = ?")
_BOOK_START = re.compile(r"\*\*\* ?START OF TH(IS|E) PROJECT GUTENBERG")
_BOOK_END = re.compile(r"\*\*\* ?END OF TH(IS|E) PROJECT GUTENBERG")


def text_form(path: Path, lines: int = 2000) -> str:
    """Return "WikiText", "Gutenberg" or "plain", to judge by the first lines."""
    start = [line for _, line in itertools.islice(numbered_lines(path), lines)]
    if any(_BOOK_START.match(line) for line in start):
        return "Gutenberg"
    first = next((line for line in start if line.strip()), "")
    return "WikiText" if _TITLE.fullmatch(first) else "plain"


def document_source(path: Path, most: int | None = None) -> Source:
    """Return the documents of a text file, each as a tuple of its lines, of which `most` are held at once.

    A longer document comes in pieces.
    """
    form = text_form(path)

    def items() -> Iterator[tuple[int, tuple[str, ...]]]:
        sentences: list[str] = []
        begin = 0
        for number, line in _book(path) if form == "Gutenberg" else numbered_lines(path):
            bare = line.strip()
            new = bool(_TITLE.fullmatch(line)) if form == "WikiText" else not bare
            if new and sentences:
                yield begin, tuple(sentences)
                sentences = []
            if bare:
                if len(sentences) == most:
                    yield begin, tuple(sentences)
                    sentences = []
                begin = begin if sentences else number
                sentences.append(bare)
        if sentences:
            yield begin, tuple(sentences)

    return Source(str(path), items)


def _book(path: Path) -> Iterator[tuple[int, str]]:
    inside = False
    for number, line in numbered_lines(path):
        if _BOOK_END.match(line):
            return
        if inside:
            yield number, line
        inside = inside or bool(_BOOK_START.match(line))


def left_out(path: Path) -> int:
    """Return how many lines of a Project Gutenberg file are not the book."""
    lines = sum(1 for _ in numbered_lines(path))
    return lines - sum(1 for _ in _book(path))


def parse_document(item: Any, names: tuple[str, ...] = ("sentences", "text")) -> Document:
    """Return the document of its lines, or of a record with a list of sentences or one text.

    Raises:
        Complaint: the record has no sentence.
    """
    if isinstance(item, tuple):
        return Document(item)
    name = next((name for name in names if isinstance(item, dict) and name in item), names[0])
    value = cell(item, name)
    sentences = [line for line in value.split("\n") if line.strip()] if isinstance(value, str) else value
    if not isinstance(sentences, (list, tuple)) or not all(isinstance(s, str) and s.strip() for s in sentences):
        raise Complaint(f"has {short(str(value))} as its {name}; a text, or a list of sentences, is expected")
    check_texts(sentences)
    if not sentences:
        raise Complaint(f"has no sentence in its {name}; at least one is expected")
    return Document(tuple(sentences))


def is_plain(document: Document) -> bool:
    """Whether a document can stand in a text file, one sentence a line, and be read as it is."""
    return all(
        sentence == sentence.strip()
        and sentence
        and not re.search("[\t\n\ufeff]", sentence)
        and not _BOOK_START.match(sentence)
        and not ends_with_tag(sentence)
        for sentence in document.sentences
    )
