"""TextRNN_Att: an LSTM from both sides, and attention over its states (Zhou et al. 2016, equations 9 to 12).

    M = tanh(H),   a = softmax(w . M),   r = sum_t a_t h_t,   z = tanh(r)

w is learned: it says what a token must look like to count. The weights a can be shown, token by token. (The paper adds
the two directions of a state, h_t = h->_t + h<-_t; here they are joined, as in the Chinese repository.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib.zoo.lstm import BiLSTM


class TextRNNAttention(nn.Module):
    """A weighted mean of the states, the weights from the states themselves: (B, T, E), (B, T) -> (B, 2 D).

    Args:
        width: E.
        hidden: D, the size of one direction.
        layers: of LSTM.
        layer_dropout: between them.
    """

    def __init__(self, width: int, hidden: int = 128, layers: int = 2, layer_dropout: float = 0.5) -> None:
        super().__init__()
        self.lstm = BiLSTM(width, hidden, layers, layer_dropout)
        self.score = nn.Linear(2 * hidden, 1, bias=False)
        self.size = 2 * hidden

    def weights(self, states: Tensor, mask: Tensor) -> Tensor:
        """How much each token counts, 0 for padding; a text's weights add up to 1: (B, T, 2 D), (B, T) -> (B, T)."""
        scores = self.score(states.tanh()).squeeze(-1)  # (B, T)
        scores = scores.float().masked_fill(mask == 0, torch.finfo(torch.float32).min)
        return scores.softmax(dim=-1) * mask

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, E), (B, T) -> (B, 2 D)."""
        states = self.lstm(x, mask)  # (B, T, 2 D)
        weights = self.weights(states, mask).to(states.dtype)
        return (weights.unsqueeze(-1) * states).sum(dim=1).tanh()
