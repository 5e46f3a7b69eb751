"""DPCNN, the deep pyramid: halve the text again and again (Johnson and Zhang 2017).

    region   a convolution over 3 tokens: one vector a token, of C channels, as all that follow
    block    x -> p + conv(f(conv(f(p)))), p = the maximum over 3 neighbours, every second place: half as long
    z        what is left when one place is left

C stays the same, and a block costs half of the one before, so the whole pyramid costs twice its first block however long
the text is. After r blocks a place has seen about 2^r times as many tokens: that is how it reaches across a long text.
The sum with p is a shortcut: a gradient comes down the pyramid without passing the convolutions.

A text is done when it is one place long. Others of the batch may be longer, so a text that is done is left as it is:
without that, the length of its neighbours would change its answer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.inputs import recording
from course_lib.zoo.convolution import TextConvolution, blank


class DPCNN(nn.Module):
    """Region embedding, two convolutions, then blocks until one place is left: (B, T, E), (B, T) -> (B, C).

    All blocks share their two convolutions, as in the Chinese repository, so that a text of any length can be read. (The
    paper has weights for each block, and texts of one length.)

    Args:
        width: E.
        channels: C.
        longest: of a graph that is exported, where the number of blocks must be fixed: tokens of the longest text. The
            graph refuses a longer one, as a BERT's does beyond its positions.
    """

    def __init__(self, width: int, channels: int = 250, longest: int = 512) -> None:
        super().__init__()
        self.region = TextConvolution(width, channels, 3, centred=True)
        self.first = nn.ModuleList(TextConvolution(channels, channels, 3, centred=True) for _ in range(2))
        self.block = nn.ModuleList(TextConvolution(channels, channels, 3, centred=True) for _ in range(2))
        self.size, self.longest = channels, longest

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, E), (B, T) -> (B, C)."""
        x = blank(self.region(blank(x, mask)), mask)  # (B, T, C)
        x = x + _twice(self.first, x, mask)
        if recording():
            rounds = (self.longest - 1).bit_length()
            x = x + _refusing_more(self.longest, x)
        else:
            rounds = (x.shape[1] - 1).bit_length()
        for _ in range(rounds):
            x, mask = self._halve(x, mask)
        return x[:, 0]

    def _halve(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, C), (B, T) -> (B, ceil(T / 2), C), (B, ceil(T / 2))."""
        done = mask.sum(dim=1) <= 1  # (B,)
        shorter = mask[:, ::2]
        low = torch.finfo(x.dtype).min
        tokens = x.shape[1]
        wide = F.pad(x.masked_fill(mask.unsqueeze(-1) == 0, low), (0, 0, 0, 2), value=low)  # (B, T + 2, C)
        # F.max_pool1d by hand, as an exporter takes the length of that for fixed
        p = torch.maximum(torch.maximum(wide[:, 0:tokens:2], wide[:, 1 : tokens + 1 : 2]), wide[:, 2 : tokens + 2 : 2])
        p = torch.where(shorter.unsqueeze(-1) > 0, p, torch.zeros_like(p))
        y = p + _twice(self.block, p, shorter)
        return torch.where(done[:, None, None], x[:, ::2], y), shorter


def _refusing_more(longest: int, x: Tensor) -> Tensor:
    """Zeros for each of T places, (T, 1), looked up in a table of `longest` rows: with more, the graph stops there.

    Without it, rounds that are too few would give another answer, and nobody would be told.
    """
    return torch.zeros(longest, 1, dtype=x.dtype, device=x.device)[torch.arange(x.shape[1], device=x.device)]


def _twice(convolutions: nn.ModuleList, x: Tensor, mask: Tensor) -> Tensor:
    for convolution in convolutions:
        x = blank(convolution(x.relu()), mask)  # the activation comes first, as in the paper's section 2.2
    return x
