"""Dropout (Srivastava et al. 2014): in training each number is set to 0 with probability p, the others grow by 1 / (1 - p).

PyTorch's own draws one random number for each, which on a processor takes an eighth of BERT's whole training step. Four
numbers can share the 64 random bits of one draw: 16 bits decide whether a number stays, to within 1 / 65,536 of p.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LEVELS = 1 << 16  # what 16 bits can tell apart


class Dropout(nn.Dropout):
    """As `torch.nn.Dropout`, and quicker on a processor; the numbers drawn are others."""

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        return dropout(x, self.p, self.training)


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Dropout as a function; torch's own where x is not on a processor, or a graph is being recorded."""
    if not training or p == 0.0:
        return x
    if p >= 1.0 or x.device.type != "cpu" or torch.compiler.is_compiling() or not x.is_floating_point():
        return F.dropout(x, p, training)
    return x * noise(x, p)


def noise(x: Tensor, p: float) -> Tensor:
    """What x is multiplied by: 0 with probability p, else 1 / (1 - p); of the shape and kind of x."""
    count = x.numel()
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)  # all 64 bits drawn
    level = round(p * _LEVELS) - _LEVELS // 2  # 16 bits as a signed number: -32,768 to 32,767
    kept = bits.view(torch.int16)[:count].view(x.shape) >= level
    return kept.to(x.dtype).mul_(1 / (1 - p))
