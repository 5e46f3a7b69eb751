"""What may spoil an experiment though every line is readable: repeats, leaks between parts, missing classes."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from course_lib.datasets.examples import Choice, Dataset, Document, Example, Question, TaggedSentence, content, texts_of

LONG = 100_000  # characters; BERT reads some 2,000 of them
_NAMED = 5


@dataclass
class _Part:
    """What one pass over a part finds. Texts are remembered by a hash of 8 bytes, so a streamed part fits."""

    size: int = 0
    texts: Counter[bytes] = field(default_factory=Counter)
    labels_of: dict[bytes, Any] = field(default_factory=dict)  # the first label seen with a text
    contradictory: set[bytes] = field(default_factory=set)
    contexts: set[bytes] = field(default_factory=set)
    labels: Counter[int] = field(default_factory=Counter)
    empty: int = 0
    long: int = 0
    same_choices: int = 0

    def see(self, example: Any) -> None:
        self.size += 1
        whole = content(example)
        key = _hash(f"{example.question}\t{whole}" if isinstance(example, Question) else whole)
        label = _label(example)
        self.texts[key] += 1
        if self.labels_of.setdefault(key, label) != label:
            self.contradictory.add(key)
        if isinstance(example, Question):
            self.contexts.add(_hash(whole))
        if isinstance(example, Choice):
            self.same_choices += len(set(example.choices)) < len(example.choices)
        self.labels.update(_counted(example))
        texts = texts_of(example)
        self.empty += any(not text.strip() for text in texts)
        self.long += any(len(text) > LONG for text in texts)


def problems(dataset: Dataset) -> list[str]:
    """Return one sentence for each thing that may spoil an experiment; an empty list if nothing was found.

    Found are: empty parts, one class only, classes that a part lacks, empty texts and texts over 100,000 characters,
    repeats within a part (and repeats with different labels), and leaks: texts of one part that stand in another. For
    questions about contexts a shared context is a leak too.
    """
    parts = {name: _look(part) for name, part in dataset.splits.items()}
    found = [f"The part {name} is empty." for name, part in parts.items() if not part.size]
    parts = {name: part for name, part in parts.items() if part.size}
    for name, part in parts.items():
        found += _classes(dataset, name, part)
    for name, part in parts.items():
        found += _texts_and_repeats(dataset, name, part)
    for (first, one), (second, other) in itertools.combinations(parts.items(), 2):
        found += _leaks(first, one, second, other)
    return found


def _look(part: Any) -> _Part:
    seen = _Part()
    for example in part:
        seen.see(example)
    return seen


def _classes(dataset: Dataset, name: str, part: _Part) -> list[str]:
    if dataset.task not in ("classification", "multi-label", "tags"):
        return []
    present = {number for number, count in part.labels.items() if count}
    if dataset.task == "tags":
        # A type is there when either of its tags is: a part need not have an entity of several words.
        kinds = {number: _kind(label) for number, label in enumerate(dataset.labels)}
        names = {kinds[number] for number in present}
        absent = [kind for kind in dict.fromkeys(kinds.values()) if kind not in names]
    else:
        absent = [label for number, label in enumerate(dataset.labels) if number not in present]
    if dataset.task == "classification" and len(present) == 1:
        only = dataset.labels[next(iter(present))]
        return [f"All {part.size:,} examples of {name} have the label {only!r}; a model can only learn to say that."]
    if not absent:
        return []
    which = ", ".join(map(repr, absent[:_NAMED])) + (f" and {len(absent) - _NAMED} more" * (len(absent) > _NAMED))
    what = "tag" if dataset.task == "tags" else "label"
    effect = "a model cannot learn them" if name == "train" else "no score there says anything about them"
    effect = effect.replace("them", "it") if len(absent) == 1 else effect
    return [f"The part {name} has no example of the {what}{'s' * (len(absent) > 1)} {which}; {effect}."]


def _kind(tag: str) -> str:
    letter, hyphen, kind = tag.partition("-")
    return kind if hyphen and len(letter) == 1 else tag


def _texts_and_repeats(dataset: Dataset, name: str, part: _Part) -> list[str]:
    found = []
    if part.empty:
        found.append(f"{_of(part.empty, part.size, name)} {_have(part.empty)} an empty text.")
    if part.long:
        found.append(
            f"{_of(part.long, part.size, name)} {_have(part.long)} a text over {LONG:,} characters, of which a model "
            "reads the beginning."
        )
    if part.same_choices:
        found.append(f"{_of(part.same_choices, part.size, name)} {_have(part.same_choices)} the same choice twice.")
    repeats = part.size - len(part.texts)
    if repeats:
        found.append(f"{_of(repeats, part.size, name)} {'repeats' if repeats == 1 else 'repeat'} an earlier one.")
    if part.contradictory:
        count = len(part.contradictory)
        found.append(f"{count:,} {'text' if count == 1 else 'texts'} of {name} {_have(count)} different labels.")
    return found


def _leaks(first: str, one: _Part, second: str, other: _Part) -> list[str]:
    found = []
    shared = other.texts.keys() & one.texts.keys()
    rows = sum(other.texts[key] for key in shared)
    if rows:
        same = sum(other.texts[key] for key in shared if one.labels_of[key] == other.labels_of[key])
        labels = "" if same == rows else f", {same:,} of them with the same label"
        verb = "stands" if rows == 1 else "stand"
        found.append(f"{_of(rows, other.size, second)} {verb} in {first} too{labels}: a leak.")
    contexts = len(one.contexts & other.contexts)
    if contexts:
        found.append(
            f"{contexts:,} {'context' if contexts == 1 else 'contexts'} of {second} {'stands' if contexts == 1 else 'stand'} in {first} too: a leak."
        )
    return found


def _of(count: int, size: int, name: str) -> str:
    return f"{count:,} of {size:,} examples of {name}"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=8).digest()


def _label(example: Any) -> Any:
    if isinstance(example, TaggedSentence):
        return example.tags
    if isinstance(example, Question):
        return frozenset(answer.text for answer in example.answers)
    return None if isinstance(example, Document) else example.label


def _counted(example: Any) -> tuple[int, ...]:
    if isinstance(example, TaggedSentence):
        return example.tags
    if isinstance(example, Example) and not isinstance(example.label, float):
        return example.label if isinstance(example.label, tuple) else (example.label,)
    return ()
