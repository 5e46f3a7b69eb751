"""The training loop and the evaluation, for any model: the trainer knows no model.

A model is called with a batch, `model(**batch)`, and answers with an object that has `loss` and `logits`, as all heads
of this course and of transformers do. A batch is a dictionary of tensors; batches are anything that can be gone through
again and again, such as a `torch.utils.data.DataLoader` or `course_lib.batching.Batches`.

Letters: n examples, K classes.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_lib.errors import TrainingError

Batch = Mapping[str, Tensor]
IGNORED = -100  # a label that does not count, as in cross entropy


def set_seed(seed: int) -> None:
    """Start the random numbers of Python, NumPy and PyTorch at `seed`: the same run draws the same numbers again.

    Call it before the model is built, since new weights are drawn then. The same seed on another machine, or with
    another version of PyTorch, may give other digits.
    """
    import numpy as np

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@dataclass(frozen=True)
class Evaluation:
    """What a model says about labelled examples."""

    loss: float  # mean over the examples
    logits: Tensor  # (n, K), in the order of the batches; (n, T, K) where each token has scores
    labels: Tensor  # (n,), or what else the model's loss takes

    @property
    def predictions(self) -> Tensor:
        """The class with the highest score, (n,) or (n, T)."""
        return self.logits.argmax(dim=-1)

    @property
    def classes(self) -> bool:
        """Is every label a class number, one an example?

        Elsewhere only the loss knows how scores and labels belong together: for a next-word head, say, the scores at a
        token belong to the label after it.
        """
        examples = len(self.labels)
        one_each = self.logits.dim() == 2 and self.labels.numel() == examples  # (n,) or (n, 1)
        return one_each and self.logits.shape[1] > 1 and not self.labels.is_floating_point()

    @property
    def accuracy(self) -> float:
        """Share of examples, those labelled -100 left out, whose highest score is at their label.

        Raises:
            ValueError: the labels are not class numbers, one an example.
        """
        if not self.classes:
            raise ValueError(
                f"labels are {tuple(self.labels.shape)} of {self.labels.dtype} for scores {tuple(self.logits.shape)}; "
                "accuracy needs one class number for each row of scores: look at the loss instead."
            )
        labels = self.labels.flatten()
        return (self.predictions == labels)[labels != IGNORED].double().mean().item()


@dataclass(frozen=True)
class Epoch:
    """One time through the training data."""

    number: int  # from 1
    step: int  # optimizer steps so far
    train_loss: float  # mean over the examples, while the weights were still changing and with dropout
    dev: Evaluation | None  # at the end of the epoch


@dataclass(frozen=True)
class Training:
    """What happened: every epoch, and the one whose weights the model now has."""

    epochs: tuple[Epoch, ...]
    kept: Epoch


def fit(
    model: nn.Module,
    train: Iterable[Batch],
    dev: Iterable[Batch] | None = None,
    epochs: int = 3,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.01,
) -> Training:
    """Train a model with AdamW (Loshchilov and Hutter 2019), and evaluate it at the end of every epoch.

    The model ends with the weights of the epoch that was most often right on dev; of equals, and where labels are not
    one class number an example, of the one with the lower loss on dev. Without dev, with those of the last. It ends in
    evaluation mode. Parameters with `requires_grad` False stay as they are.

    For the same result twice: `set_seed` before the model is built, and batches with a seed of their own.

    Args:
        train, dev: batches with labels.
        epochs: times through train.
        learning_rate: 1e-3 is usual for a new head alone, 2e-5 to 5e-5 for a whole BERT.
        weight_decay: pulls weights towards 0, by learning_rate * weight_decay of their size a step.

    Raises:
        ValueError: a number that makes no sense, a model without anything to train, or an empty train.
        TrainingError: a batch without labels, or a loss that is no number any more. The model then has the best weights
            so far, those of the start if no epoch was finished.
    """
    if epochs < 1 or not learning_rate > 0 or weight_decay < 0:
        raise ValueError(
            f"epochs is {epochs}, learning_rate {learning_rate} and weight_decay {weight_decay}; at least 1, more than 0, "
            "and at least 0 are needed."
        )
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not weights:
        raise ValueError("The model has no parameter with requires_grad=True, so there is nothing to train.")
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=weight_decay)
    done: list[Epoch] = []
    kept, kept_weights, step = None, copy.deepcopy(model.state_dict()), 0
    try:
        for number in range(1, epochs + 1):
            train_loss, steps = _one_epoch(model, train, optimizer, step)
            step += steps
            done.append(Epoch(number, step, train_loss, None if dev is None else evaluate(model, dev)))
            if dev is not None and not math.isfinite(done[-1].dev.loss):  # the last step may have broken the weights
                raise TrainingError(_diverged(f"on dev is {done[-1].dev.loss} after epoch {number}"))
            if kept is None or _better(done[-1], kept):
                kept, kept_weights = done[-1], copy.deepcopy(model.state_dict())
    finally:  # also when somebody stops a long training: what was reached is not lost
        model.load_state_dict(kept_weights)
        model.eval()
    return Training(tuple(done), kept)


def _better(new: Epoch, old: Epoch) -> bool:
    if new.dev is None or old.dev is None:
        return True
    if new.dev.classes and new.dev.accuracy != old.dev.accuracy:
        return new.dev.accuracy > old.dev.accuracy
    return new.dev.loss < old.dev.loss


def _diverged(where: str) -> str:
    return (
        f"The loss {where}; try a smaller learning rate, and look for labels or inputs that are not numbers. The model "
        "has the best weights from before."
    )


def _one_epoch(
    model: nn.Module, train: Iterable[Batch], optimizer: torch.optim.Optimizer, before: int
) -> tuple[float, int]:
    """Mean loss of the examples, and the number of steps."""
    model.train()
    total, examples, steps = 0.0, 0, 0
    for batch in train:
        loss = _loss(batch, model(**_to_device(batch, model)))
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(_diverged(f"is {value} at step {before + steps + 1}"))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        count = len(batch["labels"])
        total, examples, steps = total + value * count, examples + count, steps + 1
    if not steps:
        raise ValueError("train has no batches. A generator can be gone through once: give a list or a DataLoader.")
    return total / examples, steps


@torch.no_grad()
def evaluate(model: nn.Module, batches: Iterable[Batch]) -> Evaluation:
    """The model's scores and mean loss on labelled batches, without dropout. The model stays in the mode it was in.

    Raises:
        ValueError: no batches.
        TrainingError: a batch without labels.
    """
    was_training = model.training
    model.eval()
    logits, labels, total = [], [], 0.0
    try:
        for batch in batches:
            answer = model(**_to_device(batch, model))
            total += _loss(batch, answer).item() * len(batch["labels"])
            logits.append(answer.logits.float().cpu())
            labels.append(batch["labels"].cpu())
    finally:
        model.train(was_training)
    if not labels:
        raise ValueError("There are no batches to evaluate. A generator can be gone through once: give a list.")
    return Evaluation(total / sum(map(len, labels)), torch.cat(logits), torch.cat(labels))


def _loss(batch: Batch, answer: object) -> Tensor:
    loss = getattr(answer, "loss", None)
    if loss is None or "labels" not in batch:
        raise TrainingError(
            f"A batch of {', '.join(batch)} gave an answer {'without' if loss is None else 'with'} a loss; a batch needs its "
            "labels under that name, labels, and the model must answer with an object that has loss and logits."
        )
    return loss


def _to_device(batch: Batch, model: nn.Module) -> dict[str, Tensor]:
    weight = next(model.parameters(), None)
    return {name: value if weight is None else value.to(weight.device) for name, value in batch.items()}
