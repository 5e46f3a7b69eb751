"""Transformer: the encoder layers of BERT, from new weights and without pretraining (Vaswani et al. 2017).

    x_t = e(w_t) + wave_t,   then L encoder layers,   z = the mean over the tokens

It is BERT but for what BERT brings along: what it knows of language from pretraining. What is missing between this model
and a pretrained one of the same shape is what pretraining was worth.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from course_lib.bert import Layer, additive_mask, initialise
from course_lib.config import BertConfig
from course_lib.pooling import masked_mean
from course_lib.positions import sinusoids
from course_lib.zoo.convolution import blank


class Transformer(nn.Module):
    """Sinusoidal positions, encoder layers, and the mean: (B, T, E), (B, T) -> (B, E).

    The old recipe joins all T vectors, padding too, so that it can read texts of one length only.

    Args:
        width: E, a multiple of `heads`.
        layers, heads, feed_forward: L, N and F of the encoder.
        layer_dropout: everywhere in it.
    """

    def __init__(
        self, width: int, layers: int = 2, heads: int = 4, feed_forward: int = 1024, layer_dropout: float = 0.1
    ) -> None:
        super().__init__()
        if width % heads or width % 2:
            raise ValueError(f"The vectors have {width} numbers, which {heads} heads cannot share: give heads that divide it, and an even number.")  # fmt: skip
        config = BertConfig(
            hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=feed_forward,
            hidden_dropout_prob=layer_dropout, attention_probs_dropout_prob=layer_dropout,
        )  # fmt: skip
        self.layers = nn.ModuleList(Layer(config) for _ in range(layers))
        initialise(self.layers, 1 / math.sqrt(width))
        self.size, self.dropout = width, layer_dropout

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, E), (B, T) -> (B, E)."""
        x = blank(x * math.sqrt(self.size) + sinusoids(x.shape[1], self.size).to(x), mask)
        plain = self.training and x.device.type == "cpu" and self.dropout > 0  # as in BertModel
        seen = additive_mask(mask, x, causal=False, explicit=plain)
        for layer in self.layers:
            x, _ = layer(x, seen, False, plain, False)
        return masked_mean(x, mask)
