"""bert_layer_mix: [CLS] of all layers, mixed with learned weights (ELMo's mixing, Peters et al. 2018, equation 1).

    z = sum_l softmax(s)_l h_l[CLS],   l = 0 (the embeddings) to L

The old recipe reckons the weights of the layers from sums over the batch, so that a text's answer depends on its
neighbours; here s is L + 1 numbers of the model. It goes with multi-sample dropout (Inoue 2019): several dropouts of z
through the same last layer, and the mean of the answers.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from course_lib.pooling import LayerMix


class LayersOfFirstToken(nn.Module):
    """L + 1 of (B, T, H) -> (B, H).

    Args:
        width: H.
        layers: L + 1.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.mix, self.size = LayerMix(layers), width

    def forward(self, hidden_states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """L + 1 of (B, T, H), (B, T) -> (B, H)."""
        return self.mix([hidden[:, :1] for hidden in hidden_states]).squeeze(1)
