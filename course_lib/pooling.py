"""From one vector a token to one vector a text. Padding is handled here and nowhere else.

Letters: B batch, T tokens, H hidden size, L layers. `hidden_states` is BERT's tuple of L + 1 tensors (B, T, H), the
embeddings first; `mask` is the attention mask (B, T), 1 for a token and 0 for padding.

The invariant of every function: padding changes nothing. Add columns of padding to a batch, and the result stays the
same.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def cls(hidden: Tensor) -> Tensor:
    """The vector of the first token, [CLS]: (B, T, H) -> (B, H)."""
    return hidden[:, 0]


def masked_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """The mean over the real tokens: (B, T, H), (B, T) -> (B, H). A row without any token gives zeros."""
    _check(hidden, mask)
    weight = mask.unsqueeze(-1).to(hidden.dtype)  # (B, T, 1)
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def masked_max(hidden: Tensor, mask: Tensor) -> Tensor:
    """The maximum over the real tokens, dimension by dimension: (B, T, H), (B, T) -> (B, H).

    A row without any token gives zeros.
    """
    _check(hidden, mask)
    real = mask.bool().unsqueeze(-1)  # (B, T, 1)
    highest = hidden.masked_fill(~real, float("-inf")).amax(dim=1)
    return torch.where(real.any(dim=1), highest, torch.zeros_like(highest))


def concat_last(hidden_states: Sequence[Tensor], layers: int = 4) -> Tensor:
    """The last layers side by side, token by token, the last layer first: -> (B, T, layers * H).

    The feature-based variant of the paper (Devlin et al. 2019, section 5.3) joins the last four so, for named entities.
    """
    _check_layers(hidden_states, layers)
    return torch.cat([hidden_states[-i] for i in range(1, layers + 1)], dim=-1)


def mean_last(hidden_states: Sequence[Tensor], layers: int = 4) -> Tensor:
    """The mean of the last layers, token by token: -> (B, T, H)."""
    _check_layers(hidden_states, layers)
    return torch.stack(tuple(hidden_states[-layers:])).mean(dim=0)


class LayerMix(nn.Module):
    """A weighted mean of all layers, the weights learned: L + 1 of (B, T, H) -> (B, T, H).

    One weight a layer, the same for every text (softmax over the layers; Peters et al. 2018, ELMo, equation 1). An old
    recipe reckons the weights from sums over the batch, so that a text's answer depends on its neighbours; these do not
    see the texts at all. At the start all layers count alike.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(layers))

    def forward(self, hidden_states: Sequence[Tensor]) -> Tensor:
        """L + 1 of (B, T, H) -> (B, T, H)."""
        _check_layers(hidden_states, len(self.scores))
        weights = self.scores.softmax(dim=0).to(hidden_states[0].dtype)
        mixed = weights[0] * hidden_states[-len(weights)]
        for weight, hidden in zip(weights[1:], hidden_states[len(hidden_states) - len(weights) + 1 :], strict=True):
            mixed = mixed + weight * hidden  # one layer at a time: no (L + 1, B, T, H) tensor is built
        return mixed


class MultiSampleDropout(nn.Module):
    """The mean of a layer's answers over several dropouts of the same input: (..., H) -> (..., K) (Inoue 2019).

    In evaluation mode it is the layer alone, once.
    """

    def __init__(self, layer: nn.Module, samples: int = 5, p: float = 0.5) -> None:
        super().__init__()
        self.layer, self.samples, self.dropout = layer, samples, nn.Dropout(p)

    def forward(self, x: Tensor) -> Tensor:
        """(..., H) -> (..., K)."""
        if not self.training:
            return self.layer(x)
        return torch.stack([self.layer(self.dropout(x)) for _ in range(self.samples)]).mean(dim=0)


def _check(hidden: Tensor, mask: Tensor) -> None:
    for name, value in (("hidden", hidden), ("mask", mask)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} is a {type(value).__name__}; a tensor is needed: torch.as_tensor makes one.")
    if hidden.dim() != 3 or mask.shape != hidden.shape[:2]:
        raise ValueError(
            f"hidden is {tuple(hidden.shape)} and mask {tuple(mask.shape)}; pooling needs (B, T, H) and (B, T): "
            "pass one layer's hidden states and the attention_mask of the same batch."
        )


def _check_layers(hidden_states: Sequence[Tensor], layers: int) -> None:
    if isinstance(hidden_states, Tensor) or not 1 <= layers <= len(hidden_states):
        came = f"a tensor {tuple(hidden_states.shape)}" if isinstance(hidden_states, Tensor) else f"{len(hidden_states)} hidden states"  # fmt: skip
        raise ValueError(f"The last {layers} layers of {came}: pass outputs.hidden_states, which holds L + 1 tensors.")
