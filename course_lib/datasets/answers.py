"""Questions whose answers are pieces of a text, in the form of SQuAD.

SQuAD 1.1 (Rajpurkar et al., 2016) has an answer to every question, 2.0 (Rajpurkar, Jia and Liang, 2018) also questions
without one. XQuAD and CMRC 2018 have the same form. JSON lines with id, question, context and answers are read too.

An answer says where it begins, and `context[start : start + len(text)]` must be the answer. Where it is not, the nearest
place where the text does stand is taken and counted; a model would else learn to answer with another piece of the text.
(A start of -1 is the worst of these: clamped to 0, it trains the model to point at [CLS], which means "no answer".)
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from course_lib.datasets.examples import Answer, Question
from course_lib.datasets.files import Complaint, Source, numbered_lines, read_text, short
from course_lib.datasets.records import cell, no_json, text_cell
from course_lib.errors import DataError

FIELDS = ("id", "question", "context", "answers")


def is_squad(path: Path) -> bool:
    """Whether a JSON file is of SQuAD's form, to judge by its beginning: data, paragraphs."""
    start = ""
    for _, line in itertools.islice(numbered_lines(path, "JSON"), 200):
        start += line[:2000]
        if len(start) > 4000:
            break
    return start.lstrip().startswith("{") and '"paragraphs"' in start


def squad_source(path: Path) -> Source:
    """Return the questions of a SQuAD file as records, in their order.

    Raises:
        DataError: the file is not JSON, or its articles and paragraphs are not where SQuAD has them.
    """
    try:
        value = json.loads(read_text(path, "SQuAD's JSON"))
    except (ValueError, RecursionError) as error:
        raise no_json(path, error) from error
    try:
        records = [
            {**question, "context": paragraph["context"]}
            for article in value["data"]
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"'{path}' is not of SQuAD's form ({error} is missing or of another kind); data, paragraphs, qas, each a list, "
            "are expected."
        ) from error
    if not records:
        raise DataError(f"'{path}' has no questions.")

    def items() -> Iterator[tuple[int, Any]]:
        yield from enumerate(records, start=1)

    return Source(str(path), items, unit="question")


class QuestionParser:
    """Makes a Question of a record, and keeps count of what it had to mend or leave out."""

    def __init__(self, fields: dict[str, str] | None = None, *, unique: bool = True):
        self._fields = {name: name for name in FIELDS} | (fields or {})
        self._unique = unique  # refuse an id that came before; False for a file too big to remember its ids
        self.questions = self.answers = self.unanswerable = 0
        self.moved: list[str] = []  # ids
        self.trimmed: list[str] = []
        self.lost: list[str] = []
        self.contradicting: list[str] = []
        self.plausible = self.unnamed = 0
        self._ids: set[str] = set()

    def __call__(self, record: Any) -> Question:
        """Return the question of a record.

        Raises:
            Complaint: a text is missing, the id came before, or no answer stands in the context.
        """
        known = isinstance(record, dict) and self._fields["id"] in record
        which = f"question (id {str(record[self._fields['id']])!r})" if known else "question"
        question = text_cell(record, self._fields["question"], which)
        context = text_cell(record, self._fields["context"], "context")
        self.questions += 1
        number = self._id(record, question, context)
        self.plausible += len(record.get("plausible_answers") or [])
        written = _written_answers(record, self._fields["answers"], number)
        if record.get("is_impossible") and written:
            self.contradicting.append(number)
            written = []
        answers = [answer for text, start in written if (answer := self._place(context, text, start, number))]
        if written and not answers:
            raise Complaint(
                f"(id {number!r}) has the answer {short(written[0][0])}, which does not stand in its context; a piece of "
                "the context is expected"
            )
        self.lost += [number] * (len(written) - len(answers))
        self.answers += len(answers)
        self.unanswerable += not answers
        return Question(number, question, context, tuple(answers))

    def _id(self, record: dict[str, Any], question: str, context: str) -> str:
        if self._fields["id"] not in record:
            self.unnamed += 1
            return hashlib.blake2b(f"{question}\t{context}".encode(), digest_size=8).hexdigest()
        number = str(record[self._fields["id"]])
        if number in self._ids:
            raise Complaint(f"has the id {number!r}, which another question has already; each id is expected once")
        if self._unique:
            self._ids.add(number)
        return number

    def _place(self, context: str, text: str, start: int, number: str) -> Answer | None:
        bare = text.strip()
        if bare != text:
            self.trimmed.append(number)
            start += len(text) - len(text.lstrip()) if start >= 0 else 0
        if start >= 0 and context[start : start + len(bare)] == bare:
            return Answer(bare, start)
        nearest = _nearest(context, bare, start)
        if nearest is None:
            return None
        self.moved.append(number)
        return Answer(bare, nearest)

    def notes(self, place: str) -> list[str]:
        """Return sentences about what was mended, left out or assumed."""
        of = f"{self.answers:,} answers of '{place}'"
        notes = []
        if self.moved:
            notes.append(
                f"{len(self.moved):,} of {of} did not stand where answer_start says (the first: id {self.moved[0]!r}); the "
                "nearest place where the text stands was taken."
            )
        if self.lost:
            notes.append(
                f"{len(self.lost):,} answers of '{place}' stand nowhere in their context and were left out beside others "
                f"of the same question (the first: id {self.lost[0]!r})."
            )
        if self.trimmed:
            notes.append(f"{len(self.trimmed):,} of {of} had spaces around them, which were cut off.")
        if self.unanswerable:
            notes.append(f"{self.unanswerable:,} of {self.questions:,} questions of '{place}' have no answer.")
        if self.contradicting:
            notes.append(
                f"{len(self.contradicting):,} questions of '{place}' are called impossible and have answers all the same "
                f"(the first: id {self.contradicting[0]!r}); the answers were left out."
            )
        if self.plausible:
            notes.append(f"{self.plausible:,} plausible answers of impossible questions in '{place}' were left out.")
        if self.unnamed:
            notes.append(f"{self.unnamed:,} questions of '{place}' have no id and got a hash of their words as one.")
        return notes


def _nearest(context: str, text: str, start: int) -> int | None:
    """Return the place of `text` nearest to `start`, or None."""
    places = []
    place = context.find(text)
    while place >= 0:
        places.append(place)
        place = context.find(text, place + 1)
    return min(places, key=lambda p: abs(p - start), default=None)


def _written_answers(record: dict[str, Any], name: str, number: str) -> list[tuple[str, int]]:
    """Return (text, start) of the answers: a list of objects, or two lists as the hub has them."""
    value = cell(record, name)
    expected = "a list of objects with text and answer_start is expected"
    if isinstance(value, dict):
        texts, starts = value.get("text"), value.get("answer_start", value.get("start"))
        if not isinstance(texts, (list, tuple)) or not isinstance(starts, (list, tuple)) or len(texts) != len(starts):
            raise Complaint(f"(id {number!r}) has answers {short(str(value))}; {expected}")
        pairs = list(zip(texts, starts, strict=True))
    elif isinstance(value, (list, tuple)) and all(isinstance(answer, dict) for answer in value):
        pairs = [(answer.get("text"), answer.get("answer_start", answer.get("start"))) for answer in value]
    elif value is None:
        pairs = []
    else:
        raise Complaint(f"(id {number!r}) has answers {short(str(value))}; {expected}")
    for text, start in pairs:
        if not isinstance(text, str) or isinstance(start, bool) or not isinstance(start, int):
            raise Complaint(f"(id {number!r}) has the answer {short(str(text))} with the start {start!r}; {expected}")
    return [(text, start) for text, start in pairs if text.strip()]
