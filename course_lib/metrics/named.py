"""Metrics by name, so that a training can choose its best checkpoint by one."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from course_lib.metrics.answers import answer_scores
from course_lib.metrics.classes import accuracy, macro_f1, micro_f1
from course_lib.metrics.entities import entity_scores
from course_lib.metrics.numbers import mse, pearson, perplexity, spearman

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Metric:
    """One number for how good predictions are."""

    function: Callable[..., float]
    higher_is_better: bool
    takes: tuple[str, ...]  # what the function is called with, in this order


_CLASSES, _NUMBERS = ("labels", "predictions"), ("labels", "values")
METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy, True, _CLASSES),
    "macro_f1": Metric(macro_f1, True, _CLASSES),
    "micro_f1": Metric(micro_f1, True, _CLASSES),
    "pearson": Metric(pearson, True, _NUMBERS),
    "spearman": Metric(spearman, True, _NUMBERS),
    "mse": Metric(mse, False, _NUMBERS),
    "loss": Metric(float, False, ("loss",)),
    "perplexity": Metric(perplexity, False, ("loss",)),
    "entity_f1": Metric(
        lambda gold, predicted, names=None: entity_scores(gold, predicted, names).f1, True, ("labels", "predictions", "names")
    ),
    "exact_match": Metric(lambda texts, asked: answer_scores(texts, asked).exact_match, True, ("answers", "questions")),
    "answer_f1": Metric(lambda texts, asked: answer_scores(texts, asked).f1, True, ("answers", "questions")),
}  # fmt: skip


def metric(name: str) -> Metric:
    """The metric of a name.

    Raises:
        ValueError: there is none; the message says which one is close.
    """
    if name not in METRICS:
        close = difflib.get_close_matches(name, METRICS, 1)
        hint = f"did you mean {close[0]!r}?" if close else "choose one of " + ", ".join(METRICS) + "."
        raise ValueError(f"There is no metric {name!r}; {hint}")
    return METRICS[name]


def better(name: str, new: float, old: float | None) -> bool:
    """Is the new value of a metric better than the old one? Anything is better than None or nan, and nan than nothing.

    Raises:
        ValueError: there is no such metric.
    """
    higher = metric(name).higher_is_better
    if math.isnan(new):
        return False
    if old is None or math.isnan(old):
        return True
    return new > old if higher else new < old


def scorer(*names: str, **more: Any) -> Callable[[Any], dict[str, float]]:
    """A function from an evaluation to some metrics by name, for a trainer.

    The evaluation gives `loss`, `logits` and `labels`. Predictions are the class with the highest score; where labels
    are fractional and as many as the scores, (n, K), they are several labels an example, each predicted where its score
    is over 0.

    Args:
        names: of `METRICS`.
        more: what else a metric takes: `names` of the tags for entity_f1; `answers`, a function from the evaluation to
            {id: text}, and `questions` for exact_match and answer_f1.

    Raises:
        ValueError: an unknown name, or something missing that a metric takes.
    """
    chosen = {name: metric(name) for name in names}
    for name, one in chosen.items():
        missing = [key for key in one.takes if key not in (*_FROM_EVALUATION, *more)]
        if missing:
            raise ValueError(
                f"The metric {name!r} needs {' and '.join(missing)} as well: scorer({name!r}, {missing[0]}=...)."
            )

    def scores(evaluation: Any) -> dict[str, float]:
        found = {}
        for name, one in chosen.items():
            values = [_FROM_EVALUATION[key](evaluation) if key in _FROM_EVALUATION else more[key] for key in one.takes]
            values = [value(evaluation) if callable(value) else value for value in values]
            found[name] = float(one.function(*values))
        return found

    return scores


def _predictions(evaluation: Any) -> Tensor:
    labels, logits = evaluation.labels, evaluation.logits
    if labels.is_floating_point() and labels.shape == logits.shape and logits.shape[-1] > 1:
        return (logits > 0).long()
    return logits.argmax(dim=-1)


_FROM_EVALUATION: dict[str, Callable[[Any], Any]] = {
    "loss": lambda evaluation: evaluation.loss,
    "labels": lambda evaluation: evaluation.labels,
    "values": lambda evaluation: evaluation.logits,
    "predictions": _predictions,
}
