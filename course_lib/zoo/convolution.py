"""A convolution over text: one linear layer, read over every window of k neighbouring tokens.

    x        x_1 x_2 x_3 x_4 x_5
    windows  [x_1 x_2 x_3] [x_2 x_3 x_4] [x_3 x_4 x_5]        k = 3
    answer   W [x_i; ...; x_(i+k-1)] + b, for each window     F numbers a window

It is the same as `nn.Conv1d(E, F, k)` with the weights in another order (the tests compare them). Written as a linear
layer it keeps (B, T, E) as it is, where Conv1d wants (B, E, T), and it is the quicker of the two on a processor.

Letters: B batch, T tokens, E width of a vector, F filters, k tokens a window.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TextConvolution(nn.Module):
    """F filters over windows of k tokens: (B, T, E) -> (B, T, F), one row for each token that a window begins with.

    What lies beyond the text is zeros, so that a text shorter than k has a window too. The caller sets padding to 0
    first (`blank`), and afterwards heeds only the rows it wants: `whole_windows`, or those of real tokens.

    Args:
        width: E.
        filters: F.
        kernel: k.
        centred: let the window of a token lie around it, in place of beginning with it.
    """

    def __init__(self, width: int, filters: int, kernel: int, centred: bool = False) -> None:
        super().__init__()
        self.kernel = kernel
        self.before = (kernel - 1) // 2 if centred else 0
        self.linear = nn.Linear(kernel * width, filters)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, E) -> (B, T, F)."""
        tokens = x.shape[1]
        x = F.pad(x, (0, 0, self.before, self.kernel - 1 - self.before))  # zeros before and after the text
        windows = torch.cat([x[:, i : i + tokens] for i in range(self.kernel)], dim=-1)  # (B, T, k E)
        return self.linear(windows)


def blank(x: Tensor, mask: Tensor) -> Tensor:
    """Zeros in place of padding: (B, T, E), (B, T) -> (B, T, E)."""
    return x * mask.unsqueeze(-1).to(x.dtype)


def whole_windows(mask: Tensor, kernel: int) -> Tensor:
    """Where a window of `kernel` tokens lies wholly within the text: (B, T) -> (B, T).

    A text shorter than the window counts with its first one, the text and zeros after it.
    """
    tokens = mask.shape[1]
    ends = F.pad(mask, (0, kernel - 1))[:, kernel - 1 : kernel - 1 + tokens]  # is the window's last token real?
    first = torch.zeros_like(mask)
    first[:, 0] = 1
    return torch.maximum(ends, first) * mask
