"""Questions with several answers to choose from, as JSON lines or a table.

Three forms are known:

    {"question": "...", "choices": ["...", "..."], "label": 0}                  ours; "context" may stand beside them
    {"question": {"stem": "...", "choices": [{"label": "A", "text": "..."}]}, "answerKey": "A"}      CommonsenseQA, ARC
    {"sent1": "...", "sent2": "...", "ending0": "...", ..., "label": 0}         SWAG: the endings go on with sent2

CommonsenseQA: Talmor et al., NAACL 2019. SWAG: Zellers et al., EMNLP 2018.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from course_lib.datasets.examples import Choice
from course_lib.datasets.files import Complaint, short
from course_lib.datasets.records import cell, check_texts

FIELDS = ("question", "choices", "label", "context")
_USUAL = {
    "question": ("question", "sent2", "startphrase", "ctx", "stem"),
    "choices": ("choices", "options", "endings"),
    "label": ("label", "answerKey", "answer_key", "answer", "gold"),
    "context": ("context", "article", "passage", "sent1"),
}


def are_choices(names: Iterable[str], record: dict[str, Any]) -> bool:
    """Whether the fields of a record are those of a question with choices."""
    names = set(names)
    nested = isinstance(record.get("question"), dict) and "choices" in record["question"]
    return nested or "ending0" in names or bool(names & {"choices", "options", "endings"})


def choice_fields(names: Iterable[str], given: dict[str, str]) -> dict[str, str]:
    """Return which of the file's fields is which of ours."""
    names = set(names)
    found = dict(given)
    for ours, usual in _USUAL.items():
        name = next((name for name in usual if name in names and name not in found.values()), None)
        if ours not in found and name is not None:
            found[ours] = name
    return found


def parse_choice(record: Any, fields: dict[str, str]) -> Choice:
    """Return the question of a record.

    Raises:
        Complaint: there is no question, fewer than two choices, an empty choice, or no label that names one of them.
    """
    question = cell(record, fields.get("question", "question"))
    letters: list[str] = []
    if isinstance(question, dict):  # CommonsenseQA as its authors wrote it
        question, written = question.get("stem"), question.get("choices")
    elif "ending0" in record:
        written = [record[name] for name in sorted(filter(re.compile(r"ending\d+").fullmatch, record), key=_number)]
    else:
        written = cell(record, fields.get("choices", "choices"))
    if isinstance(written, dict):  # CommonsenseQA as the hub has it: a list of labels and one of texts
        letters, written = list(map(str, written.get("label") or [])), written.get("text")
    if isinstance(written, (list, tuple)) and written and all(isinstance(choice, dict) for choice in written):
        letters = [str(choice.get("label", "")) for choice in written]
        written = [choice.get("text") for choice in written]
    if not isinstance(written, (list, tuple)) or not all(isinstance(choice, str) for choice in written):
        raise Complaint(f"has the choices {short(str(written))}; a list of texts is expected")
    if not isinstance(question, str) or not question.strip():
        raise Complaint(f"has the question {short(str(question))}; a text is expected")
    if len(written) < 2:
        raise Complaint(f"has {len(written)} choices for {short(question)}; at least two are expected")
    empty = next((place for place, choice in enumerate(written) if not choice.strip()), None)
    if empty is not None:
        raise Complaint(f"has an empty choice (number {empty} from 0) for {short(question)}; a text is expected")
    context = record.get(fields["context"]) if "context" in fields else ""
    if context is not None and not isinstance(context, str):
        raise Complaint(f"has the context {short(str(context))}; a text is expected")
    check_texts((question, *written, context or ""))
    label = _label(cell(record, fields.get("label", "label")), len(written), letters, question)
    return Choice(question, tuple(written), label, context or "")


def _number(name: str) -> int:
    return int(name.removeprefix("ending"))


def _label(value: Any, count: int, letters: list[str], question: str) -> int:
    written = "" if value is None or isinstance(value, bool) else str(value).strip()
    if written in letters:
        return letters.index(written)
    if not letters:
        if re.fullmatch("[0-9]{1,9}", written) and int(written) < count:
            return int(written)
        if re.fullmatch("[A-Za-z]", written) and ord(written.upper()) - ord("A") < count:
            return ord(written.upper()) - ord("A")
    expected = f"one of {', '.join(letters)}" if letters else f"a number from 0 to {count - 1}, or a letter,"
    given = f"the label {short(str(value))}" if written else "no label"
    raise Complaint(f"has {given} for {short(question)} with its {count} choices; {expected} is expected")
