"""What may spoil an experiment though every line is readable: repeats, leaks between parts, missing classes."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from course_lib.datasets.examples import Choice, Dataset, Document, Example, Question, TaggedSentence, content, texts_of
from course_lib.datasets.files import short

LONG = 100_000  # characters; BERT reads some 2,000 of them
_NAMED = 5
_SHOWN = 2  # examples of a fault
_BUT = " but for blanks and capital letters"


@dataclass
class _Pairs:
    """Examples that stand twice: how many, how many with one label, and the first of them in words."""

    count: int = 0
    same: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, what: str, text: str, same: bool = True) -> None:
        self.count += 1
        self.same += same
        if len(self.shown) < _SHOWN:
            self.shown.append(f"{what}: {short(text)}")

    def __str__(self) -> str:
        return f"({'; '.join(self.shown)})"


@dataclass
class _Part:
    """What one pass over a part finds. Texts are remembered by a hash of 8 bytes, so a streamed part fits.

    Examples are counted from 1, as lines are.
    """

    name: str
    before: list[_Part]  # the parts that were looked at earlier
    size: int = 0
    texts: dict[bytes, tuple[int, Any]] = field(default_factory=dict)  # where a text stands first, with which label
    alike: dict[bytes, tuple[int, Any]] = field(default_factory=dict)  # the same without blanks at its ends, lower case
    contexts: dict[bytes, int] = field(default_factory=dict)
    repeats: _Pairs = field(default_factory=_Pairs)
    near_repeats: _Pairs = field(default_factory=_Pairs)
    contradictory: dict[bytes, None] = field(default_factory=dict)
    contradictions: _Pairs = field(default_factory=_Pairs)
    leaks: dict[str, _Pairs] = field(default_factory=dict)  # by the part in which the texts stand too
    near_leaks: dict[str, _Pairs] = field(default_factory=dict)
    context_leaks: dict[str, _Pairs] = field(default_factory=dict)
    labels: Counter[int] = field(default_factory=Counter)
    empty: int = 0
    long: int = 0
    same_choices: int = 0

    def see(self, example: Any) -> None:
        self.size += 1
        whole = content(example)
        self._compare(f"{example.question}\t{whole}" if isinstance(example, Question) else whole, _label(example))
        if isinstance(example, Question):
            self._see_context(whole)
        if isinstance(example, Choice):
            self.same_choices += len(set(example.choices)) < len(example.choices)
        self.labels.update(_counted(example))
        texts = texts_of(example)
        self.empty += any(not text.strip() for text in texts)
        self.long += any(len(text) > LONG for text in texts)

    def _compare(self, text: str, label: Any) -> None:
        """With what was seen before, in this part and in the earlier ones."""
        key, near = _hash(text), _hash("\t".join(" ".join(part.split()) for part in text.lower().split("\t")))
        here = f"{self.name} {self.size}"
        if key in self.texts:
            place, first = self.texts[key]
            self.repeats.add(f"{here} = {self.name} {place}", text)
            if first != label and key not in self.contradictory:
                self.contradictory[key] = None
                self.contradictions.add(f"{here} = {self.name} {place}", text)
        elif near in self.alike:
            self.near_repeats.add(f"{here} = {self.name} {self.alike[near][0]}", text)
        for other in self.before:
            if key in other.texts:
                place, first = other.texts[key]
                found = self.leaks.setdefault(other.name, _Pairs())
            elif near in other.alike:
                place, first = other.alike[near]
                found = self.near_leaks.setdefault(other.name, _Pairs())
            else:
                continue
            found.add(f"{here} = {other.name} {place}", text, first == label)
        self.texts.setdefault(key, (self.size, label))
        self.alike.setdefault(near, (self.size, label))

    def _see_context(self, context: str) -> None:
        key = _hash(context)
        if key in self.contexts:
            return
        self.contexts[key] = self.size
        for other in self.before:
            if key in other.contexts:
                what = f"{self.name} {self.size} = {other.name} {other.contexts[key]}"
                self.context_leaks.setdefault(other.name, _Pairs()).add(what, context)


def problems(dataset: Dataset) -> list[str]:
    """Return one sentence for each thing that may spoil an experiment; an empty list if nothing was found.

    Found are: empty parts, one class only, classes that a part lacks, empty texts and texts over 100,000 characters,
    repeats within a part (and repeats with different labels), and leaks: texts of one part that stand in another; both
    also of texts that differ by blanks and capital letters alone. For questions about contexts a shared context is a leak
    too. Two examples of each are named, counted from 1 in their parts.
    """
    parts: dict[str, _Part] = {}
    for name, examples in dataset.splits.items():
        parts[name] = _look(name, examples, list(parts.values()))
    found = [f"The part {name} is empty." for name, part in parts.items() if not part.size]
    parts = {name: part for name, part in parts.items() if part.size}
    for name, part in parts.items():
        found += _classes(dataset, name, part)
    for name, part in parts.items():
        found += _texts_and_repeats(dataset, name, part)
    for first, second in itertools.combinations(parts, 2):
        found += _leaks(first, second, parts[second])
    return found


def _look(name: str, part: Any, before: list[_Part]) -> _Part:
    seen = _Part(name, before)
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
        whole = f"All {part.size:,} examples of {name} have" if part.size > 1 else f"The only example of {name} has"
        others = "label" if len(dataset.labels) == 2 else "labels"
        effect = f"no score there says anything about the other {others}"
        if name == "train" or len(dataset.labels) == 1:
            effect = "a model can only learn to say that"
        return [f"{whole} the label {only!r}; {effect}."]
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
    for repeats, but in ((part.repeats, ""), (part.near_repeats, _BUT)):
        if repeats.count:
            verb = "repeats" if repeats.count == 1 else "repeat"
            found.append(f"{_of(repeats.count, part.size, name)} {verb} an earlier one{but} {repeats}.")
    if count := part.contradictions.count:
        texts = "text" if count == 1 else "texts"
        found.append(f"{count:,} {texts} of {name} {_have(count)} different labels {part.contradictions}.")
    return found


def _leaks(first: str, second: str, part: _Part) -> list[str]:
    """Texts of the second part that stand in the first too."""
    found = []
    for leaks, but, what in ((part.leaks, "", "a leak"), (part.near_leaks, _BUT, "nearly a leak")):
        if pairs := leaks.get(first):
            labels = "" if pairs.same == pairs.count else f", {pairs.same:,} of them with the same label"
            verb = "stands" if pairs.count == 1 else "stand"
            found.append(f"{_of(pairs.count, part.size, second)} {verb} in {first} too{but}{labels}: {what} {pairs}.")
    if pairs := part.context_leaks.get(first):
        contexts, verb = ("context", "stands") if pairs.count == 1 else ("contexts", "stand")
        found.append(f"{pairs.count:,} {contexts} of {second} {verb} in {first} too: a leak {pairs}.")
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
