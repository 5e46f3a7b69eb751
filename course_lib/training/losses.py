"""What is minimised, and by how many items a mean is a mean of.

A batch's loss is a mean over its items. Where several batches make one step, or several processes share a batch, the
mean over all of them is wanted, and not the mean of means: each part counts by its items.

A loss may have several terms, each a mean over items of its own, as pretraining has: hidden words and pairs. What is
minimised is their sum. Such a loss gives tensors of its terms where others give one number.

Letters: B batch, T tokens, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.errors import TrainingError

Batch = Mapping[str, Tensor]
IGNORED = -100  # a label that does not count, as in cross entropy


class ModelLoss:
    """The loss that the model itself gives with its answer, a mean over its labelled items.

    Args:
        labels: where the batch has its labels.
        shifted: the labels are moved by one, as for a next-word head: the first token of each row has none before it.
        arguments: what the model is called with beside the batch, such as full_logits=False.
    """

    def __init__(
        self, labels: str = "labels", shifted: bool = False, arguments: Mapping[str, Any] | None = None
    ) -> None:
        self.labels, self.shifted, self.arguments = labels, shifted, dict(arguments or {})

    def items(self, batch: Batch) -> float:
        """How many items the mean is of: class numbers other than -100, or, for labels of another kind, rows."""
        labels = _labels(batch, self.labels)
        if labels.is_floating_point() or labels.dtype == torch.bool:
            return len(labels)
        if self.shifted:
            labels = labels[:, 1:]
        return int((labels != IGNORED).sum())

    def __call__(self, answer: Any, batch: Batch) -> Tensor:
        """The answer's loss, a tensor without dimensions."""
        _labels(batch, self.labels)
        loss = getattr(answer, "loss", None)
        if loss is None:
            raise TrainingError(
                f"A batch of {', '.join(batch)} gave an answer without a loss; the model must answer with an object that "
                "has loss and logits, as heads do when they get labels."
            )
        return loss


class WeightedCrossEntropy:
    """Cross entropy in which each class counts by its weight, for classes of very different sizes.

    loss = sum_i w[label_i] * ce_i / sum_i w[label_i]

    Args:
        weights: one a class, (K,), such as `class_weights` gives.
    """

    def __init__(self, weights: Sequence[float] | Tensor) -> None:
        self.weights = torch.as_tensor(weights, dtype=torch.float32)
        self.arguments: dict[str, Any] = {}
        if self.weights.dim() != 1 or not bool((self.weights >= 0).all()) or not bool(self.weights.sum() > 0):
            raise ValueError("weights must be one number of at least 0 a class, (K,), and not all 0.")

    def items(self, batch: Batch) -> float:
        """The sum of the weights of the labels."""
        labels = _labels(batch, "labels").flatten().cpu()
        labels = labels[labels != IGNORED]
        if len(labels) and int(labels.max()) >= len(self.weights):
            raise ValueError(
                f"There are {len(self.weights)} class weights, and a label is {int(labels.max())}; give one weight a class."
            )
        return float(self.weights[labels].double().sum())

    def __call__(self, answer: Any, batch: Batch) -> Tensor:
        """logits (B, K) and labels (B,), or (B, T, K) and (B, T), -> a tensor without dimensions."""
        logits, labels = answer.logits, _labels(batch, "labels")
        if logits.shape[-1] != len(self.weights):
            raise ValueError(
                f"There are {len(self.weights)} class weights and the model scores {logits.shape[-1]} classes; "
                "give one weight a class."
            )
        weights, labels = self.weights.to(logits.device), labels.flatten().to(logits.device)
        return F.cross_entropy(logits.float().flatten(0, -2), labels, weights, ignore_index=IGNORED)


class Distillation:
    """A label, and beside it a teacher's probabilities (Hinton, Vinyals and Dean 2015).

    loss = (1 - share) ce(label) + share T^2 KL(teacher_T || student_T),   p_T = softmax(logits / T)

    The factor T^2 keeps the gradient as large as it is at T = 1 (section 2 of the paper). A batch has the teacher's
    scores as teacher_logits (B, K), which the model is not given; a batch without them, as of dev, counts by its labels
    alone.

    Args:
        temperature: T; above 1 the smaller probabilities count for more.
        share: of the teacher, 0 to 1.
    """

    keeps = ("teacher_logits",)  # columns of a batch that are for the loss and not for the model

    def __init__(self, temperature: float = 2.0, share: float = 0.9) -> None:
        if not temperature > 0 or not 0 <= share <= 1:
            raise ValueError(
                f"temperature is {temperature} and share {share}; more than 0, and from 0 to 1, are needed."
            )
        self.temperature, self.share = temperature, share
        self.arguments: dict[str, Any] = {}

    def items(self, batch: Batch) -> float:
        """Labels other than -100."""
        return int((_labels(batch, "labels") != IGNORED).sum())

    def __call__(self, answer: Any, batch: Batch) -> Tensor:
        """logits (B, K), labels (B,) and teacher_logits (B, K) -> a tensor without dimensions."""
        logits = answer.logits.float()
        labels = _labels(batch, "labels").to(logits.device)
        right = F.cross_entropy(logits, labels, ignore_index=IGNORED)
        if "teacher_logits" not in batch:
            return right
        counted = labels != IGNORED
        wanted = batch["teacher_logits"].to(logits)[counted] / self.temperature
        said = F.log_softmax(logits[counted] / self.temperature, dim=-1)
        apart = F.kl_div(said, F.log_softmax(wanted, dim=-1), reduction="batchmean", log_target=True)
        return (1 - self.share) * right + self.share * self.temperature**2 * apart


def for_model(loss: Any, batch: Batch) -> Batch:
    """A batch without what is for the loss alone."""
    own = getattr(loss, "keeps", ())
    return {name: value for name, value in batch.items() if name not in own} if own else batch


def item_counts(loss: Any, batch: Batch) -> Tensor:
    """How many items each term of a loss is the mean of, in this batch, (terms,)."""
    return torch.as_tensor(loss.items(batch), dtype=torch.float64).reshape(-1)


def weighted(loss: Tensor, weights: Tensor) -> Tensor:
    """The sum of the terms (terms,), each by its weight; a term without weight is nothing, even where it is NaN.

    It stays part of what is differentiated, because every process must take part in a step.
    """
    terms = loss.reshape(-1)
    weights = weights.to(terms)
    return (torch.where(weights > 0, terms, torch.nan_to_num(terms)) * weights).sum()


def class_weights(labels: Sequence[int] | Tensor, classes: int) -> Tensor:
    """n / (K * count of the class), (K,): every class counts alike in all. A class without examples gets 0."""
    labels = torch.as_tensor(labels)
    counts = torch.bincount(labels[labels != IGNORED].flatten(), minlength=classes)
    if len(counts) > classes:
        raise ValueError(f"A label is {len(counts) - 1}, and there are {classes} classes, 0 to {classes - 1}.")
    return torch.where(counts > 0, counts.sum() / (classes * counts.clamp(min=1)), 0.0)


def _labels(batch: Batch, name: str) -> Tensor:
    if name not in batch:
        raise TrainingError(f"A batch of {', '.join(batch)} has no {name}; a batch needs its labels under that name.")
    return batch[name]
