"""bert_layers_CNN: a convolution over each layer's output, and its maxima (the forum question, made to run).

    c_l  (B, T, F)           filters of layer l over windows of 3 tokens, the full width H; l = 0 (the embeddings) to L
    z    (B, (L+1) F)        their maxima over the text; with one filter a layer 13 numbers for BERT-base, as was asked

Each layer may have filters of its own (`per_layer`), as the question wished, or each filter may read all layers, as its
code did, with 13 times as many weights. As one layer of torch this is `nn.Conv2d(L+1, (L+1) F, (3, H), groups=L+1 or 1)`
on (B, L+1, T, H).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course_lib.pooling import masked_max
from course_lib.zoo.convolution import TextConvolution, blank, whole_windows


class LayersCNN(nn.Module):
    """L + 1 of (B, T, H), (B, T) -> (B, (L + 1) * filters).

    Args:
        width: H.
        layers: L + 1.
        kernel: tokens a window.
        filters: for each layer.
        per_layer: a filter reads its own layer alone.
    """

    def __init__(self, width: int, layers: int, kernel: int = 3, filters: int = 8, per_layer: bool = True) -> None:
        super().__init__()
        self.size, self.kernel = layers * filters, kernel
        if per_layer:
            self.convolutions = nn.ModuleList(TextConvolution(width, filters, kernel) for _ in range(layers))
        else:
            self.convolutions = nn.ModuleList([TextConvolution(layers * width, layers * filters, kernel)])

    def forward(self, hidden_states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """L + 1 of (B, T, H), (B, T) -> (B, (L + 1) * filters)."""
        read = hidden_states if len(self.convolutions) > 1 else [torch.cat(tuple(hidden_states), dim=-1)]
        whole = whole_windows(mask, self.kernel)
        found = [
            masked_max(convolution(blank(x, mask)).relu(), whole)
            for convolution, x in zip(self.convolutions, read, strict=True)
        ]
        return torch.cat(found, dim=-1)
