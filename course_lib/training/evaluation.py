"""What a model says about labelled examples, and how good that is.

Letters: n examples, B batch, T tokens, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.devices import reckoning
from course_lib.training.losses import IGNORED, Batch, ModelLoss, for_model, item_counts
from course_lib.training.sharing import Share, alone


@dataclass(frozen=True)
class Evaluation:
    """What a model says about labelled examples."""

    loss: float  # mean over the items
    outputs: Mapping[str, Tensor]  # (n, ...) each, in the order of the examples: logits and labels, or what was kept
    items: float = math.inf  # of which the loss is the mean; of a loss of several terms, the fewest

    @property
    def logits(self) -> Tensor:
        """(n, K), or (n, T, K) where each token has scores; positions that a shorter batch lacked are 0."""
        return self.outputs["logits"]

    @property
    def labels(self) -> Tensor:
        """(n,), or what else the model's loss takes; positions that a shorter batch lacked are -100."""
        return self.outputs["labels"]

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
        if "logits" not in self.outputs or "labels" not in self.outputs:
            return False
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


def default_scores(found: Evaluation) -> dict[str, float]:
    """The loss, and the accuracy where labels are class numbers."""
    return {"loss": found.loss, **({"accuracy": found.accuracy} if found.classes else {})}


def logits_and_labels(answer: Any, batch: Batch) -> dict[str, Tensor]:
    """What an evaluation keeps of each batch by default."""
    return {"logits": answer.logits, "labels": batch["labels"]}


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    loss: Any = None,
    keep: Callable[[Any, Batch], Mapping[str, Tensor]] = logits_and_labels,
    precision: str = "float32",
    share: Share = alone,
) -> Evaluation:
    """The model's scores and mean loss on labelled batches, without dropout. The model stays in the mode it was in.

    Args:
        loss: what is averaged; by default the model's own.
        keep: what is kept of an answer and its batch, (B, ...) tensors by name. For a big vocabulary keep counts, and
            not (n, T, V) scores.
        precision: as in a Recipe.
        share: which rows of a batch this process takes, where there are several.

    Raises:
        ValueError: no batches.
        TrainingError: a batch without labels.
    """
    loss = ModelLoss() if loss is None else loss
    was_training = model.training
    model.eval()
    found: dict[str, list[Tensor]] = {}
    total, items = torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)  # or more terms
    rows = 0
    try:
        for batch in batches:
            part = share.rows(batch)
            with reckoning(model, precision):
                answer = model(**to_device(for_model(loss, part.batch), model), **loss.arguments)
                value = loss(answer, part.batch).reshape(-1).cpu().double()  # Apple's cards have no float64
            counts = item_counts(loss, part.batch) if part.size else torch.zeros_like(value)
            total = total + torch.where(counts > 0, value * counts, 0.0)
            items = items + counts
            rows += part.size
            for name, tensor in keep(answer, part.batch).items():
                tensor = tensor[: part.size].detach()
                found.setdefault(name, []).append((tensor.float() if tensor.is_floating_point() else tensor).cpu())
    finally:
        model.train(was_training)
    total, items, rows, outputs = share.collect(total, items, rows, found)
    if not rows:
        raise ValueError("There are no batches to evaluate. A generator can be gone through once: give a list.")
    restore = getattr(batches, "restore", None)
    joined = {name: join_batches(name, tensors) for name, tensors in outputs.items()}
    return Evaluation(
        (total / items).sum().item(),
        joined if restore is None else {name: restore(tensor) for name, tensor in joined.items()},
        items.min().item(),
    )


def to_device(batch: Batch, model: nn.Module) -> dict[str, Tensor]:
    """The batch where the model is."""
    weight = next(model.parameters(), None)
    if weight is None:
        return dict(batch)
    ahead = weight.device.type == "cuda"  # without waiting for the card: what is copied is set aside first
    return {name: value.to(weight.device, non_blocking=ahead) for name, value in batch.items()}


def join_batches(name: str, tensors: list[Tensor]) -> Tensor:
    """Batches below each other; shorter rows are filled up, labels with -100 and the rest with 0."""
    widths = {t.shape[1:] for t in tensors}
    if len(widths) == 1:
        return torch.cat(tensors)
    widest = torch.tensor([tuple(w) for w in widths]).amax(dim=0).tolist()
    joined = tensors[0].new_full((sum(map(len, tensors)), *widest), IGNORED if "label" in name else 0)
    row = 0
    for tensor in tensors:
        joined[(slice(row, row + len(tensor)), *map(slice, tensor.shape[1:]))] = tensor
        row += len(tensor)
    return joined
