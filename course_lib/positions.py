"""A better beginning for the position table of a run that is short.

BERT's positions are learned from nothing: at first no two of them are more alike than any others, and each place of a row
must find out for itself which row of the table stands before it. Until that is found, attention can only average, and
the loss stays near the entropy of single words for a long time: the plateau at the beginning of every pretraining curve.
Rows that begin as sine and cosine waves of many lengths (Vaswani et al. 2017, section 3.5) have the same product for the
same distance, so that "the token before" is one and the same rule at every place. They are learned from there as always.

Letters: T positions, H hidden size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LONGEST = 1000.0  # the longest wave, over 2 pi, in tokens


def sinusoids(positions: int, hidden: int, longest: float = LONGEST) -> Tensor:
    """(T, H): sin(t f_i) in the even columns and cos(t f_i) in the odd ones, f_i = longest ** (-2 i / H).

    Raises:
        ValueError: an odd H.
    """
    if hidden % 2:
        raise ValueError(f"hidden is {hidden}; sines and cosines share the columns, so an even number is needed.")
    rates = torch.exp(-math.log(longest) * torch.arange(0, hidden, 2, dtype=torch.get_default_dtype()) / hidden)
    angles = torch.arange(positions)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@torch.no_grad()
def begin_as_sinusoids(model: nn.Module) -> None:
    """Let a model's position table begin as waves, of the length that rows of its word table have on the average."""
    embeddings = model.bert.embeddings
    table = embeddings.position_embeddings.weight
    waves = sinusoids(*table.shape)
    wanted = embeddings.word_embeddings.weight.norm(dim=1).mean()
    table.copy_(waves * (wanted / waves.norm(dim=1).mean()))
