"""A tiny model and its data, shared by the tests of training."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn
from torch.nn import functional as F

from course_lib.batching import Batches

N, H, K = 23, 5, 3


@dataclasses.dataclass
class Answer:
    loss: torch.Tensor | None
    logits: torch.Tensor


class Tiny(nn.Module):
    """A linear classifier with a dropout, so that the mode and the seed show."""

    def __init__(self, classes: int = K, dropout: float = 0.3) -> None:
        super().__init__()
        self.linear, self.dropout = nn.Linear(H, classes), nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> Answer:
        logits = self.linear(self.dropout(x))
        return Answer(None if labels is None else F.cross_entropy(logits, labels), logits)


def columns(n: int = N, seed: int = 0) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, H, generator=draw)
    return {"x": x, "labels": x[:, :K].argmax(dim=1)}


def batches(size: int = 7, shuffle: int | None = 0) -> Batches:
    return Batches(columns(), size, shuffle)


def dev_batches() -> Batches:
    return Batches(columns(13, seed=1), 5)


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
