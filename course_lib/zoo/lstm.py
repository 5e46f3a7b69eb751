"""An LSTM that reads a text from both sides, and does not read padding.

The usual `nn.LSTM(bidirectional=True)` reads the padding too: its backward half begins there, and its last output of a
short text is one of padding. Here the backward half is an LSTM that reads each text turned round by itself, from its
own last token:

    text       a b c . .        (. is padding)
    turned     c b a . .

So padding always comes after the text, where neither half has use for it.

Letters: B batch, T tokens, E width, D size of one direction.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib.dropout import Dropout


def turned(x: Tensor, mask: Tensor) -> Tensor:
    """Each text from its last token to its first; padding stays behind: (B, T, E), (B, T) -> (B, T, E)."""
    lengths = mask.sum(dim=1, keepdim=True)  # (B, 1)
    places = torch.arange(x.shape[1], device=x.device)  # (T,)
    source = torch.where(places < lengths, lengths - 1 - places, places)  # (B, T)
    return x.gather(1, source.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


def last(x: Tensor, mask: Tensor) -> Tensor:
    """The vector of each text's last token: (B, T, E), (B, T) -> (B, E)."""
    place = (mask.sum(dim=1) - 1).clamp(min=0)  # (B,)
    return x.gather(1, place[:, None, None].expand(-1, 1, x.shape[-1])).squeeze(1)


class BiLSTM(nn.Module):
    """Some layers of LSTM, forward and backward (Graves and Schmidhuber 2005): (B, T, E), (B, T) -> (B, T, 2 D).

    Args:
        width: E.
        hidden: D.
        layers: each reads both directions of the one before.
        dropout: between the layers.
    """

    def __init__(self, width: int, hidden: int, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        widths = [width] + [2 * hidden] * (layers - 1)
        self.forward_lstms = nn.ModuleList(nn.LSTM(w, hidden, batch_first=True) for w in widths)
        self.backward_lstms = nn.ModuleList(nn.LSTM(w, hidden, batch_first=True) for w in widths)
        self.dropout = Dropout(dropout)
        self.size = 2 * hidden

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, E), (B, T) -> (B, T, 2 D)."""
        for number, (forward, backward) in enumerate(zip(self.forward_lstms, self.backward_lstms, strict=True)):
            if number:
                x = self.dropout(x)
            ahead, _ = forward(x)  # (B, T, D)
            behind, _ = backward(turned(x, mask))
            x = torch.cat([ahead, turned(behind, mask)], dim=-1)
        return x
