"""Sentences with one tag a word, in the form of the CoNLL tasks: `word tag` a line, an empty line after a sentence.

Columns are parted by tabs or spaces; the word is the first and the tag the last. Tags of entities come in several
schemes, and all become IOB2 (Sang and Veenstra, "Representing Text Chunks", EACL 1999):

    words     Ada  Lovelace  met  Charles  in  London
    IOB2      B-PER  I-PER   O    B-PER    O   B-LOC     every entity begins with B-
    IOB1      I-PER  I-PER   O    I-PER    O   I-LOC     B- only where it follows another of its type
    BIOES     B-PER  E-PER   O    S-PER    O   S-LOC     E- ends, S- is a single word
    BMES      B-PER  E-PER   O    S-PER    O   S-LOC     the same with M- for inside
    BILOU     B-PER  L-PER   O    U-PER    O   U-LOC     the same with L- and U-
"""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_lib.datasets.examples import TaggedSentence
from course_lib.datasets.files import Complaint, Source, numbered_lines, short
from course_lib.datasets.records import cell, check_texts

_ENTITY = re.compile(r"([BIMESLU])-(.+)")
_INSIDE = {"I", "M", "E", "L"}  # letters that go on with an entity
_SEVERAL_NAMED = 3


@dataclass
class Lines:
    """The lines of one sentence, with their numbers."""

    rows: list[tuple[int, str]] = field(default_factory=list)


@dataclass
class TagCounts:
    """What a file of tagged sentences has, found in one pass."""

    tags: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)  # "-DOCSTART-" lines, comments
    inside_first: int = 0  # entities that begin with I-
    begin_after_same: int = 0  # B- after an entity of its type
    begin_elsewhere: int = 0

    @property
    def iob2(self) -> set[str]:
        """The tags that its conversion to IOB2 may have."""
        if self.scheme == "plain":
            return set(self.tags)
        types = {entity[1] for entity in map(_split, self.tags) if entity}
        return {"O", *(f"B-{kind}" for kind in types)}

    def see(self, tags: Sequence[str]) -> None:
        """Count the tags of one sentence."""
        before: tuple[str, str] | None = None
        for tag in tags:
            self.tags[tag] += 1
            now = _split(tag)
            if now and now[0] == "I" and (before is None or before[1] != now[1]):
                self.inside_first += 1
            if now and now[0] == "B":
                same = before is not None and before[1] == now[1]
                self.begin_after_same += same
                self.begin_elsewhere += not same
            before = now

    @property
    def scheme(self) -> str:
        """IOB2, IOB1, BIOES, BMES or BILOU; "plain" for tags without such letters."""
        letters = {entity[0] for entity in map(_split, self.tags) if entity}
        entities = sum(count for tag, count in self.tags.items() if _split(tag))
        others = sum(count for tag, count in self.tags.items() if not _split(tag) and tag != "O")
        if others >= entities:  # a few others among entities are mistakes, and the reading names them
            return "plain"
        if "M" in letters:
            return "BMES"
        if letters & {"L", "U"}:
            return "BILOU"
        if letters & {"E", "S"}:
            # Without an inside letter at all it may be either, and both mean the same.
            return "BIOES"
        return "IOB1" if self.inside_first and not self.begin_elsewhere else "IOB2"


@functools.lru_cache(maxsize=1024)  # a file has few tags and asks for each of them again and again
def _split(tag: str) -> tuple[str, str] | None:
    match = _ENTITY.fullmatch(tag)
    return (match[1], match[2]) if match else None


def to_iob2(tags: Sequence[str], scheme: str | None = None) -> list[str]:
    """Return the tags of one sentence in IOB2.

    A tag that goes on with an entity which has not begun (I-LOC after O, or after an entity of another type) begins
    one: it becomes B-LOC.

    Args:
        tags: the tags in the scheme.
        scheme: IOB2, IOB1, BIOES, BMES, BILOU or plain (returned as it is); found from the tags if not given.

    Raises:
        ValueError: a tag is of none of the schemes.
    """
    if scheme is None:
        counts = TagCounts()
        counts.see(tags)
        scheme = counts.scheme
    if scheme == "plain":
        return list(tags)
    result = []
    before: tuple[str, str] | None = None
    for tag in tags:
        now = _split(tag)
        if now is None and tag != "O":
            raise ValueError(f"The tag {short(tag)} is no tag of {scheme}: O, or a letter, a hyphen and a type.")
        if now is None:
            result.append("O")
        else:
            result.append(f"{'I' if _goes_on(before, now) else 'B'}-{now[1]}")
        before = now
    return result


def _goes_on(before: tuple[str, str] | None, now: tuple[str, str]) -> bool:
    """Whether a tag goes on with the entity of the tag before it."""
    open_entity = before is not None and before[0] not in ("E", "S", "L", "U") and before[1] == now[1]
    return now[0] in _INSIDE and open_entity


def wrong_transitions(tags: Sequence[str], scheme: str) -> list[tuple[int, str]]:
    """Return the places (from 0) and descriptions of tags that cannot follow the one before them.

    In IOB1 every order is right. `to_iob2` reads each of these tags as the beginning of an entity, or ends an entity
    that was left open.
    """
    if scheme in ("plain", "IOB1"):
        return []
    found = []
    before: tuple[str, str] | None = None
    for place, tag in enumerate(tags):
        now = _split(tag)
        after = f"after {tags[place - 1]}" if place else "at the beginning of a sentence"
        if (now and now[0] in _INSIDE and not _goes_on(before, now)) or (
            scheme != "IOB2" and before and before[0] in "BIM" and not (now and _goes_on(before, now))
        ):
            found.append((place, f"{tag} {after}"))
        before = now
    if scheme != "IOB2" and before and before[0] in "BIM":
        found.append((len(tags) - 1, f"{tags[-1]} at the end of a sentence"))
    return found


def tag_labels(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the names of IOB2 tags in an order that does not depend on the file: O, then B- and I- of each type by name.

    Both tags of each type are there, even if a file has entities of one word alone. Tags of no scheme are sorted.
    """
    tags = set(tags)
    entities = [entity for entity in map(_split, tags) if entity]
    if not entities or len(entities) < len(tags - {"O"}):
        return (*(["O"] if "O" in tags else []), *sorted(tags - {"O"}))
    types = sorted({kind for _, kind in entities})
    return ("O", *(f"{letter}-{kind}" for kind in types for letter in "BI"))


# ---------------------------------------------------------------------------------------------------- files


def sentence_source(path: Path) -> Source:
    """Return the sentences of a file, each as its lines."""

    def items() -> Iterator[tuple[int, Lines]]:
        sentence = Lines()
        for number, line in numbered_lines(path, "lines with a word and its tag"):
            kind = _kind(line)
            if not kind:
                sentence.rows.append((number, line))
            elif sentence.rows and kind != "comment line":
                yield sentence.rows[0][0], sentence
                sentence = Lines()
        if sentence.rows:
            yield sentence.rows[0][0], sentence

    return Source(str(path), items)


def count_skipped(path: Path, counts: Counter[str]) -> None:
    """Count the lines of a file that belong to no sentence and are not empty, by kind."""
    for _, line in numbered_lines(path, "lines with a word and its tag"):
        if (kind := _kind(line)) not in ("", "empty line"):
            counts[kind] += 1


def _kind(line: str) -> str:
    """Return "" for a line with a word, else what it is."""
    bare = line.strip(" \t")
    if not bare:
        return "empty line"
    if bare.startswith("-DOCSTART-"):
        return "-DOCSTART- line"
    return "comment line" if bare.startswith("# ") and not ends_with_tag(bare) else ""


def ends_with_tag(line: str) -> bool:
    """Whether the last column of a line is O or the tag of an entity."""
    last = re.split("[ \t]+", line)[-1]
    return last == "O" or _split(last) is not None


def words_and_tags(
    item: Lines | dict[str, Any] | Complaint, names: tuple[str, str] | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words and the tags, as written, of a sentence in lines or of a record with two lists.

    Raises:
        Complaint: a line lacks its tag, or the lists differ in length.
    """
    if isinstance(item, Lines):
        pairs = [_word_and_tag(number, line) for number, line in item.rows]
        return tuple(word for word, _ in pairs), tuple(tag for _, tag in pairs)
    assert names is not None
    words, tags = cell(item, names[0]), cell(item, names[1])
    if not isinstance(words, (list, tuple)) or not isinstance(tags, (list, tuple)):
        raise Complaint(
            f"has no two lists in {names[0]!r} and {names[1]!r}; a list of words and one of tags is expected"
        )
    if len(words) != len(tags) or not words:
        raise Complaint(f"has {len(words)} words and {len(tags)} tags; one tag a word, and at least one, is expected")
    wrong = next((word for word in words if not isinstance(word, str) or not word), None)
    if wrong is not None:
        raise Complaint(f"has {wrong!r} among its words; texts are expected")
    check_texts(words)
    return tuple(words), tuple(map(str, tags))


def _word_and_tag(number: int, line: str) -> tuple[str, str]:
    if "\t" in line:
        columns = [column.strip(" ") or column for column in line.rstrip("\t").split("\t")]
    else:
        columns = [column for column in line.split(" ") if column]
    if len(columns) < 2 or not columns[0]:
        raise Complaint(f"has one column ({short(line)}); a word and its tag are expected", number)
    return columns[0], columns[-1]


def looks_tagged(path: Path, lines: int = 200) -> bool:
    """Whether the first lines of a text file end in tags of entities, so that it is no running text."""
    seen = [line.strip(" \t") for _, line in itertools.islice(numbered_lines(path), lines)]
    seen = [line for line in seen if line and not line.startswith(("-DOCSTART-", "# "))]
    return bool(seen) and all(len(re.split("[ \t]+", line)) >= 2 and ends_with_tag(line) for line in seen)


def survey(source: Source, parse: Callable[[Any], tuple[tuple[str, ...], tuple[str, ...]]]) -> TagCounts:
    """Go once through the sentences and count their tags; wrong lines are left to the reading."""
    counts = TagCounts()
    for _, item in source.items():
        try:
            counts.see(parse(item)[1])
        except Complaint:
            continue
    return counts


class TagParser:
    """Makes a TaggedSentence of an item, and keeps count of transitions that the scheme does not have."""

    def __init__(
        self,
        parse: Callable[[Any], tuple[tuple[str, ...], tuple[str, ...]]],
        labels: Sequence[str],
        scheme: str,
    ):
        self._parse, self._scheme = parse, scheme
        self._numbers = {label: number for number, label in enumerate(labels)}
        self.wrong = 0
        self.named: list[str] = []

    def __call__(self, item: Any) -> TaggedSentence:
        """Return the sentence of an item, its tags in IOB2 and as numbers.

        Raises:
            Complaint: a tag is of no scheme, or none of the labels.
        """
        words, tags = self._parse(item)
        if self._scheme != "plain":
            self._check(item, words, tags)
        wrong = wrong_transitions(tags, self._scheme)
        self.wrong += len(wrong)
        for place, description in wrong[: max(0, _SEVERAL_NAMED - len(self.named))]:
            line = _line(item, place)
            self.named.append(f"{f'line {line} has ' if line else ''}{description}")
        numbers = []
        for place, tag in enumerate(to_iob2(tags, self._scheme)):
            if tag not in self._numbers:
                line = _line(item, place)
                expected = ", ".join(list(self._numbers)[:12]) + (", ..." if len(self._numbers) > 12 else "")
                raise Complaint(
                    f"has the unknown tag {short(tag)} at {short(words[place])}; {expected} are expected", line
                )
            numbers.append(self._numbers[tag])
        return TaggedSentence(words, tuple(numbers))

    def _check(self, item: Any, words: Sequence[str], tags: Sequence[str]) -> None:
        for place, tag in enumerate(tags):
            if tag != "O" and _split(tag) is None:
                raise Complaint(
                    f"has the tag {short(tag)} at {short(words[place])}, which is none of {self._scheme}; O, or a letter, "
                    "a hyphen and a type, as in B-LOC, is expected",
                    _line(item, place),
                )


def _line(item: Any, place: int) -> int | None:
    """Return the number of the line of a word, where the sentence came in lines."""
    return item.rows[place][0] if isinstance(item, Lines) else None
