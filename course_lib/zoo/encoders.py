"""What a model of the zoo reads of a BERT: its pooler, its last layer, or all layers.

Letters: B batch, T tokens, H hidden size, L layers.
"""

from __future__ import annotations

from torch import Tensor, nn

from course_lib.bert import BertModel


class LastLayer(nn.Module):
    """A vector a token, from the last layer: ids, mask (B, T) -> (B, T, H)."""

    pooled = False  # does it need the pooler?

    def __init__(self, encoder: BertModel) -> None:
        super().__init__()
        self.bert, self.size = encoder, encoder.config.hidden_size

    def forward(self, ids: Tensor, mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """(B, T), (B, T) -> (B, T, H)."""
        return self.bert(ids, mask, token_type_ids).last_hidden_state


class AllLayers(LastLayer):
    """The embeddings and every layer: ids, mask (B, T) -> L + 1 of (B, T, H)."""

    def forward(self, ids: Tensor, mask: Tensor, token_type_ids: Tensor | None = None) -> tuple[Tensor, ...]:  # type: ignore[override]
        """(B, T), (B, T) -> L + 1 of (B, T, H)."""
        return self.bert(ids, mask, token_type_ids, output_hidden_states=True).hidden_states


class PooledText(LastLayer):
    """One vector a text, from BERT's own pooler: ids, mask (B, T) -> (B, H)."""

    pooled = True

    def forward(self, ids: Tensor, mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """(B, T), (B, T) -> (B, H)."""
        return self.bert(ids, mask, token_type_ids, first_token_only=True).pooler_output


class AsItIs(nn.Module):
    """For a model that adds nothing to the pooler: (B, H) -> (B, H)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.size = width

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, H) -> (B, H)."""
        return x
