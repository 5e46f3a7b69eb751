"""Scores for names in sentences: a name counts when its type, its first and its last word are all right.

Accuracy over words says little: most words are O, and a model that finds no name at all is right about them. So names
are counted, as in CoNLL-2003, by the library seqeval.
"""

from __future__ import annotations

import html
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from course_lib.errors import DataError
from course_lib.metrics.arrays import IGNORED

if TYPE_CHECKING:
    from course_lib.plots import Table

_BEGINNINGS = ("B-", "I-", "E-", "S-")  # what seqeval knows, beside O


@dataclass(frozen=True)
class TypeScores:
    """Scores of the names of one type."""

    precision: float
    recall: float
    f1: float
    support: int  # names of this type in the gold tags


@dataclass(frozen=True)
class EntityScores:
    """Scores over all names, and by type."""

    precision: float  # of the names that were predicted, the share that is right
    recall: float  # of the names that are there, the share that was found
    f1: float
    support: int  # names in the gold tags
    types: dict[str, TypeScores]

    @property
    def table(self) -> Table:
        """The scores as a table."""
        from course_lib.plots import Table

        rows = [
            [name, f"{s.precision:.3f}", f"{s.recall:.3f}", f"{s.f1:.3f}", s.support]
            for name, s in [*self.types.items(), ("all names", self)]
        ]
        return Table(["type", "precision", "recall", "F1", "names"], rows, right=(1, 2, 3, 4))

    @property
    def note(self) -> str:
        """A sentence where the scores could mislead; else empty."""
        absent = [name for name, scores in self.types.items() if not scores.support]
        if not self.support:
            return "There are no names in the gold tags, so recall and F1 are 0 whatever the model answers."
        return f"Predicted, but not in the gold tags: {', '.join(absent)}." if absent else ""

    def __str__(self) -> str:
        return "\n\n".join(filter(None, [repr(self.table), self.note]))

    def _repr_html_(self) -> str:
        return self.table._repr_html_() + (f"<p>{html.escape(self.note)}</p>" if self.note else "")


def entity_scores(
    gold_tags: Sequence[Sequence[Any]],
    predicted_tags: Sequence[Sequence[Any]],
    names: Sequence[str] | None = None,
    strict: bool = False,
) -> EntityScores:
    """Precision, recall and F1 of names, by seqeval.

    Args:
        gold_tags, predicted_tags: for each sentence one tag a word, in the same places; a place whose gold tag is -100
            does not count.
        names: the tag of number i is names[i]; needed where tags are numbers.
        strict: read the tags strictly as IOB2, so that an I- after O is no name. By default it begins one, as in
            conlleval.

    Raises:
        DataError: a sentence with another number of predicted tags than gold ones, or no sentence.
        TypeError: tags that are no names, without `names` to look them up in.
        ValueError: a tag that is neither O nor begins with B-, I-, E- or S-.
    """
    if len(gold_tags) != len(predicted_tags) or not len(gold_tags):
        raise DataError(
            f"There are {len(gold_tags)} sentences of gold tags and {len(predicted_tags)} of predicted ones; give as many "
            "of both, and at least one."
        )
    gold_tags, predicted_tags = ([_row(tags) for tags in rows] for rows in (gold_tags, predicted_tags))
    gold, predicted = [], []
    for number, (truth, guess) in enumerate(zip(gold_tags, predicted_tags, strict=True)):
        if len(truth) != len(guess):
            raise DataError(f"Sentence {number} has {len(truth)} gold tags and {len(guess)} predicted ones.")
        counted = [place for place, tag in enumerate(truth) if isinstance(tag, str) or tag != IGNORED]
        gold.append([_name(truth[place], names) for place in counted])
        predicted.append([_name(guess[place], names) for place in counted])
    return _scored(gold, predicted, strict)


def _row(tags: Any) -> list[Any]:
    return tags.tolist() if hasattr(tags, "tolist") else list(tags)


def _name(tag: Any, names: Sequence[str] | None) -> str:
    if not isinstance(tag, str):
        if names is None or tag is None:
            raise TypeError(
                f"A tag is {tag!r}, of type {type(tag).__name__}; give names of tags, or names=[...] for numbers."
            )
        tag = names[int(tag)]
    if tag != "O" and (not tag.startswith(_BEGINNINGS) or len(tag) < 3):
        raise ValueError(f"A tag is {tag!r}; tags are O, B-type and I-type, such as B-PER.")
    return tag


def _scored(gold: list[list[str]], predicted: list[list[str]], strict: bool) -> EntityScores:
    from seqeval.metrics import classification_report
    from seqeval.scheme import IOB2

    if not any(tag != "O" for tags in (*gold, *predicted) for tag in tags):
        return EntityScores(0.0, 0.0, 0.0, 0, {})  # seqeval's report cannot be made of nothing
    options: dict[str, Any] = {"mode": "strict", "scheme": IOB2} if strict else {}
    with warnings.catch_warnings():
        # seqeval warns, by versions, of scores that are not defined (they are 0, and `note` says why) and of NumPy.
        warnings.simplefilter("ignore")
        report = classification_report(gold, predicted, output_dict=True, zero_division=0, **options)
    by_name = {
        name: TypeScores(*(float(s[key]) for key in ("precision", "recall", "f1-score")), int(s["support"]))
        for name, s in report.items()
    }
    every = by_name.pop("micro avg")
    for average in ("macro avg", "weighted avg"):
        by_name.pop(average)
    return EntityScores(every.precision, every.recall, every.f1, every.support, by_name)
