"""TextRNN: an LSTM from both sides, and its two last states (Liu, Qiu and Huang 2016, model I, with one task).

    h->_t = LSTM(x_t, h->_(t-1)),   h<-_t = LSTM(x_t, h<-_(t+1))
    z = [h->_n ; h<-_1]              each half when it has read the whole text of n tokens

It sees the whole text and its order; what it read long ago has to survive n steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib.zoo.lstm import BiLSTM, last


class TextRNN(nn.Module):
    """The last state of each direction: (B, T, E), (B, T) -> (B, 2 D).

    An old recipe takes `out[:, -1]`: there the forward half has read the padding too, and the backward half one token.

    Args:
        width: E.
        hidden: D, the size of one direction.
        layers: of LSTM.
        layer_dropout: between them.
    """

    def __init__(self, width: int, hidden: int = 128, layers: int = 2, layer_dropout: float = 0.5) -> None:
        super().__init__()
        self.lstm = BiLSTM(width, hidden, layers, layer_dropout)
        self.hidden, self.size = hidden, 2 * hidden

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, E), (B, T) -> (B, 2 D)."""
        states = self.lstm(x, mask)  # (B, T, 2 D)
        return torch.cat([last(states[..., : self.hidden], mask), states[:, 0, self.hidden :]], dim=-1)
