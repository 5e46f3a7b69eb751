"""TextCNN (Kim 2014, "Convolutional Neural Networks for Sentence Classification").

    c_i = f(W [x_i; ...; x_(i+k-1)] + b)        equation 2: what a filter finds in the window that begins with token i
    c^  = max_i c_i                             the most that it finds anywhere
    z   = [c^_1, ..., c^_m]                     one number a filter, whatever the length of the text

A filter is a detector of one phrase of k tokens. It sees k tokens and no more, and the maximum forgets where.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course_lib.pooling import masked_max
from course_lib.zoo.convolution import TextConvolution, blank, whole_windows


class TextCNN(nn.Module):
    """Windows of several sizes, the maximum of each filter: (B, T, E), (B, T) -> (B, F), F = filters * sizes.

    Over word vectors it is TextCNN, over BERT's last layer bert_CNN.

    Args:
        width: E.
        filters: filters of each size.
        kernels: the sizes, in tokens.
    """

    def __init__(self, width: int, filters: int = 256, kernels: Sequence[int] = (2, 3, 4)) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(TextConvolution(width, filters, kernel) for kernel in kernels)
        self.size = filters * len(kernels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, E), (B, T) -> (B, F)."""
        x = blank(x, mask)
        found = []
        for convolution in self.convolutions:
            c = convolution(x).relu()  # (B, T, filters)
            found.append(masked_max(c, whole_windows(mask, convolution.kernel)))  # (B, filters)
        return torch.cat(found, dim=-1)
