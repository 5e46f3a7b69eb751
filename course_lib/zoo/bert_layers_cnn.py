"""bert_layers_CNN: a convolution over each layer's output, and one number a layer (the forum question, made to run).

    h    (B, L+1, T, H)      the embeddings and the L layers, stacked as channels
    c    (B, L+1, T)         filter l over windows of 3 tokens, the full width H
    z    (B, L+1)            its maximum over the real tokens: 13 numbers for BERT-base

Each layer may have a filter of its own (`per_layer`, groups = L + 1), as the question wished, or each filter may read all
layers, as its code did, with 13 times as many weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.pooling import masked_max
from course_lib.zoo.convolution import whole_windows


class LayersCNN(nn.Module):
    """L + 1 of (B, T, H), (B, T) -> (B, F), F = (L + 1) * filters.

    Args:
        width: H.
        layers: L + 1.
        kernel: tokens a window.
        filters: for each layer.
        per_layer: a filter reads its own layer alone.
    """

    def __init__(self, width: int, layers: int, kernel: int = 3, filters: int = 1, per_layer: bool = True) -> None:
        super().__init__()
        self.kernel, self.size = kernel, layers * filters
        groups = layers if per_layer else 1
        self.convolution = nn.Conv2d(layers, layers * filters, (kernel, width), groups=groups)

    def forward(self, hidden_states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """L + 1 of (B, T, H), (B, T) -> (B, F)."""
        x = torch.stack(tuple(hidden_states), dim=1)  # (B, L+1, T, H)
        x = x * mask[:, None, :, None].to(x.dtype)
        x = F.pad(x, (0, 0, 0, self.kernel - 1))  # so that a text shorter than the window has one too
        c = self.convolution(x).squeeze(-1).relu()  # (B, F, T)
        return masked_max(c.transpose(1, 2), whole_windows(mask, self.kernel))
