"""TextRCNN: each token with what stands left and right of it (Lai et al. 2015, equations 3 to 5).

    x_i = [c_l(w_i); e(w_i); c_r(w_i)]     a state of an LSTM from the left, the vector itself, one from the right
    y_i = tanh(W x_i + b)
    z   = max_i y_i                        dimension by dimension

The window of a convolution is replaced by a context that reaches to both ends. Over BERT (bert_RCNN) e is BERT's output.
(In the paper a plain recurrent layer makes the contexts, and c_l(w_i) has read up to w_(i-1); the LSTM here, as in the
Chinese repository, has read w_i too.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib.pooling import masked_max
from course_lib.zoo.lstm import BiLSTM


class TextRCNN(nn.Module):
    """Tokens in their context, the maximum over them: (B, T, E), (B, T) -> (B, F).

    Args:
        width: E.
        hidden: the size of one direction of the LSTM.
        features: F.
    """

    def __init__(self, width: int, hidden: int = 256, features: int = 256) -> None:
        super().__init__()
        self.lstm = BiLSTM(width, hidden)
        self.join = nn.Linear(width + 2 * hidden, features)
        self.size = features

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, E), (B, T) -> (B, F)."""
        y = self.join(torch.cat([x, self.lstm(x, mask)], dim=-1)).tanh()  # (B, T, F)
        return masked_max(y, mask)
