"""Classes: accuracy, precision, recall and F1, the confusion matrix, several labels at once, and the hardest examples.

Of what a model calls sport, precision is the share that is sport; of all sport, recall is the share that the model
calls so; F1 is their harmonic mean. The macro average counts every class once, the weighted average by its examples, and
the micro average counts every decision once (for one class an example it is the accuracy).

Letters: n examples, K classes, T tokens.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from course_lib.metrics.arrays import IGNORED, as_array, counted_classes

if TYPE_CHECKING:
    import numpy as np

    from course_lib.plots import Table

_NAMED = 5  # classes in one note


def accuracy(labels: Any, predictions: Any) -> float:
    """Share of places where the predicted class is the label.

    For texts (n,); for multiple choice (n,), the class being the place of the choice; for tokens and masked words
    (n, T), where everything but the masked places is -100.

    Raises:
        ValueError: other shapes, or nothing that counts.
    """
    labels, predictions = counted_classes(labels, predictions)
    return float((labels == predictions).mean())


def macro_f1(labels: Any, predictions: Any) -> float:
    """The mean of the F1 of all classes that occur, in the labels or the predictions.

    Whole numbers are classes, (n,) or (n, T); fractional ones or True and False are several labels an example, (n, K).
    """
    return _f1(labels, predictions, "macro")


def micro_f1(labels: Any, predictions: Any) -> float:
    """F1 over all decisions: the accuracy for one class an example, more telling for several labels an example.

    Whole numbers are classes, (n,) or (n, T); fractional ones or True and False are several labels an example, (n, K).
    """
    return _f1(labels, predictions, "micro")


def _f1(labels: Any, predictions: Any, average: str) -> float:
    from sklearn.metrics import f1_score

    array = as_array(labels, "labels")
    if array.ndim == 2 and array.dtype.kind in "fb":
        labels, predictions = _yes_and_no(array, predictions)
    else:
        labels, predictions = counted_classes(array, predictions)
    return float(f1_score(labels, predictions, average=average, zero_division=0.0))


def confusion_matrix(labels: Any, predictions: Any, classes: int) -> np.ndarray:
    """How often label i was predicted as j, (K, K): a row for each label, a column for each prediction.

    Raises:
        ValueError: a class that is not among the `classes`, other shapes, or nothing that counts.
    """
    from sklearn.metrics import confusion_matrix as count

    labels, predictions = counted_classes(labels, predictions)
    _check_range(labels, predictions, classes)
    return count(labels, predictions, labels=range(classes))


def _check_range(labels: np.ndarray, predictions: np.ndarray, classes: int) -> None:
    for name, values in (("labels", labels), ("predictions", predictions)):
        outside = values[(values < 0) | (values >= classes)]
        if len(outside):
            raise ValueError(
                f"{name} hold the class {outside[0]}, but there are {classes} names, for the classes 0 to {classes - 1}; "
                "give a name for every class."
            )


@dataclass(frozen=True)
class Average:
    """Precision, recall and F1 over several classes."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Report:
    """Precision, recall and F1 of each class; nan where a score is not defined, shown as "-"."""

    names: tuple[str, ...]
    precision: tuple[float, ...]  # nan for a class that is never predicted
    recall: tuple[float, ...]  # nan for a class without examples
    f1: tuple[float, ...]  # nan for a class with neither
    support: tuple[int, ...]  # examples of each class
    macro: Average
    weighted: Average
    accuracy: float
    majority: str  # the most frequent class of these labels
    majority_accuracy: float  # what always answering it would reach
    left_out: int  # labels of -100

    @property
    def examples(self) -> int:
        """How many labels count."""
        return sum(self.support)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers do not say by themselves, in sentences."""
        lines = [
            f"Accuracy {_score(self.accuracy)} on {_count(self.examples, 'example')}; always answering "
            f"'{self.majority}' would reach {_score(self.majority_accuracy)}."
        ]
        every = range(len(self.names))
        absent = [self.names[i] for i in every if not self.support[i] and math.isnan(self.f1[i])]
        wrong = [self.names[i] for i in every if not self.support[i] and not math.isnan(self.f1[i])]
        never = [self.names[i] for i in every if self.support[i] and math.isnan(self.precision[i])]
        if absent:
            lines.append(
                f"Neither among the labels nor predicted: {_listed(absent)}. Nothing can be said about such a class, so "
                "no average counts it."
            )
        if wrong:
            lines.append(
                f"Predicted, but not among the labels: {_listed(wrong)}. Recall is not defined there; the macro averages "
                "count such a class as 0."
            )
        if never:
            lines.append(
                f"Never predicted: {_listed(never)}. Precision is not defined there; the averages count it as 0."
            )
        if self.left_out:
            lines.append(f"{_count(self.left_out, 'label')} of {IGNORED} left out.")
        return tuple(lines)

    @property
    def table(self) -> Table:
        """The report as a table."""
        from course_lib.plots import Table

        rows = [
            [name, *map(_score, scores), support]
            for name, *scores, support in zip(
                self.names, self.precision, self.recall, self.f1, self.support, strict=True
            )
        ]
        for name, mean in (("macro average", self.macro), ("weighted average", self.weighted)):
            rows.append([name, _score(mean.precision), _score(mean.recall), _score(mean.f1), self.examples])
        return Table(["class", "precision", "recall", "F1", "examples"], rows, right=(1, 2, 3, 4))

    def __str__(self) -> str:
        return "\n".join([repr(self.table), "", *self.notes])

    def _repr_html_(self) -> str:
        return self.table._repr_html_() + f"<p>{'<br>'.join(map(html.escape, self.notes))}</p>"


def classification_report(labels: Any, predictions: Any, names: Sequence[str]) -> Report:
    """Scores of every class, also of those that do not occur.

    Averages are those of scikit-learn: over the classes that occur in the labels or the predictions, with 0 for what is
    not defined there.

    Args:
        labels, predictions: class numbers, (n,) or (n, T).
        names: K names, the name of class i being names[i].

    Raises:
        ValueError: a class without a name, other shapes, or nothing that counts.
    """
    import numpy as np
    from sklearn.metrics import precision_recall_fscore_support

    total = as_array(labels, "labels").size
    labels, predictions = counted_classes(labels, predictions)
    _check_range(labels, predictions, len(names))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predictions, labels=range(len(names)), zero_division=np.nan
    )
    support = support.astype(int)  # scikit-learn counts in floats where nothing is right
    occurs = ~np.isnan(f1)
    defined = np.nan_to_num(np.stack([precision, recall, f1]))
    most = int(support.argmax())
    return Report(
        tuple(names), tuple(precision.tolist()), tuple(recall.tolist()), tuple(f1.tolist()), tuple(support.tolist()),
        Average(*defined[:, occurs].mean(axis=1).tolist()),
        Average(*np.average(defined, axis=1, weights=support).tolist()),
        float((labels == predictions).mean()), names[most], float(support[most] / len(labels)), total - len(labels),
    )  # fmt: skip


@dataclass(frozen=True)
class MultilabelReport:
    """Scores where an example may have several labels, or none."""

    names: tuple[str, ...]
    precision: tuple[float, ...]  # nan for a label that is never predicted
    recall: tuple[float, ...]  # nan for a label without examples
    f1: tuple[float, ...]  # nan for a label with neither
    support: tuple[int, ...]
    micro_f1: float  # over all decisions
    macro_f1: float  # the mean over the labels that occur
    subset_accuracy: float  # share of examples with all labels right
    examples: int

    @property
    def table(self) -> Table:
        """The report as a table."""
        from course_lib.plots import Table

        rows = [
            [name, *map(_score, scores), support]
            for name, *scores, support in zip(
                self.names, self.precision, self.recall, self.f1, self.support, strict=True
            )
        ]
        return Table(["label", "precision", "recall", "F1", "examples"], rows, right=(1, 2, 3, 4))

    @property
    def note(self) -> str:
        """The scores over all labels, in a sentence."""
        return (
            f"Micro F1 {_score(self.micro_f1)}, macro F1 {_score(self.macro_f1)}; all labels right for "
            f"{_score(self.subset_accuracy)} of {_count(self.examples, 'example')}."
        )

    def __str__(self) -> str:
        return f"{self.table!r}\n\n{self.note}"

    def _repr_html_(self) -> str:
        return self.table._repr_html_() + f"<p>{html.escape(self.note)}</p>"


def multilabel_report(labels: Any, predictions: Any, names: Sequence[str]) -> MultilabelReport:
    """Scores of several yes-or-no labels an example.

    Args:
        labels: (n, K) of 0 and 1.
        predictions: (n, K) of 0 and 1: (logits > 0), which is a probability over one half.
        names: K names.

    Raises:
        ValueError: other shapes, or numbers other than 0 and 1.
    """
    import numpy as np
    from sklearn.metrics import precision_recall_fscore_support

    truth, guess = _yes_and_no(as_array(labels, "labels"), predictions)
    if truth.shape[1] != len(names):
        raise ValueError(f"There are {truth.shape[1]} labels an example and {len(names)} names; give one name each.")
    # Label by label, since scikit-learn takes a single column for something else than several labels.
    columns = [
        precision_recall_fscore_support(t, g, labels=[1], zero_division=np.nan)
        for t, g in zip(truth.T, guess.T, strict=True)
    ]
    precision, recall, f1, support = np.concatenate(columns, axis=1)
    right, both = (truth & guess).sum(), truth.sum() + guess.sum()
    occurs = ~np.isnan(f1)
    return MultilabelReport(
        tuple(names), tuple(precision.tolist()), tuple(recall.tolist()), tuple(f1.tolist()),
        tuple(support.astype(int).tolist()), float(2 * right / both) if both else 0.0,
        float(f1[occurs].mean()) if occurs.any() else 0.0, float((truth == guess).all(axis=1).mean()), len(truth),
    )  # fmt: skip


def _yes_and_no(labels: np.ndarray, predictions: Any) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    guess = as_array(predictions, "predictions")
    if labels.shape != guess.shape or labels.ndim != 2 or not len(labels):
        raise ValueError(
            f"labels have shape {labels.shape} and predictions {guess.shape}; both must be (n, K), a row for each example "
            "and a column for each label."
        )
    for name, values in (("labels", labels), ("predictions", guess)):
        if not np.isin(values, (0, 1)).all():
            raise ValueError(f"{name} hold numbers other than 0 and 1; give logits > 0 for predictions.")
    return labels.astype(int), guess.astype(int)


@dataclass(frozen=True)
class HardExample:
    """An example that a model is most wrong about."""

    text: str
    label: str
    prediction: str
    probability: float  # that the model gives to the label
    loss: float
    place: int  # in the data, from 0


class HardExamples(list[HardExample]):
    """Hard examples, the hardest first; the last value of a cell shows them as a table."""

    @property
    def table(self) -> Table:
        """The examples as a table."""
        from course_lib.plots import Table

        rows = [[e.text, e.label, e.prediction, f"{e.probability:.3f}", f"{e.loss:.2f}"] for e in self]
        return Table(["text", "label", "prediction", "probability of the label", "loss"], rows, right=(3, 4))

    def _repr_html_(self) -> str:
        return self.table._repr_html_()

    def __str__(self) -> str:
        return repr(self.table)


def hardest(
    examples: Sequence[Any], logits: Any, labels: Any, n: int = 10, names: Sequence[str] | None = None
) -> HardExamples:
    """The examples with the highest loss: what the model cannot do, or what is labelled wrongly.

    Args:
        examples: texts, or objects with `text`, in the order of the logits.
        logits: (n, K).
        labels: (n,); examples labelled -100 are left out.
        n: how many.
        names: K names; numbers are shown where there are none.

    Raises:
        ValueError: other numbers of examples, logits and labels, or a label that the logits have no score for.
    """
    import numpy as np
    from scipy.special import log_softmax

    scores, truth = as_array(logits, "logits").astype(float), as_array(labels, "labels")
    if scores.ndim != 2 or truth.shape != scores.shape[:1] or len(examples) != len(scores):
        raise ValueError(
            f"There are {len(examples)} examples, logits of shape {scores.shape} and labels of shape {truth.shape}; (n, K) and "
            "(n,) for n examples are expected."
        )
    counted = np.flatnonzero(truth != IGNORED)
    truth = truth.astype(int)
    _check_range(truth[counted], truth[counted], scores.shape[1])
    losses = -log_softmax(scores[counted], axis=1)[np.arange(len(counted)), truth[counted]]
    found = HardExamples()
    for number in np.argsort(-losses, kind="stable")[:n]:
        place, loss = int(counted[number]), float(losses[number])
        words = [str(c) if names is None else names[c] for c in (truth[place], int(scores[place].argmax()))]
        text = examples[place] if isinstance(examples[place], str) else examples[place].text
        found.append(HardExample(text, *words, math.exp(-loss), loss, place))
    return found


def _score(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
