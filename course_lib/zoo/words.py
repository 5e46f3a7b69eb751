"""Word vectors: a table with a row for each token of a vocabulary.

Letters: V vocabulary, B batch, T tokens, E width of a vector.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib.dropout import Dropout


class WordVectors(nn.Module):
    """A row a token: ids (B, T) -> (B, T, E).

    Args:
        vocabulary: V.
        size: E.
        dropout: share of the numbers that are set to 0 in training.
        vectors: (V, E), pretrained ones to begin with; they decide E.
        frozen: leave them as they are.

    Raises:
        ValueError: vectors for another vocabulary.
    """

    def __init__(
        self,
        vocabulary: int,
        size: int = 300,
        dropout: float = 0.0,
        vectors: Tensor | None = None,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        if vectors is not None:
            vectors = torch.as_tensor(vectors, dtype=torch.float32)
            if vectors.dim() != 2 or len(vectors) != vocabulary:
                raise ValueError(
                    f"The vectors have shape {tuple(vectors.shape)} and the vocabulary {vocabulary:,} tokens; a row for each token is "
                    "needed, in their order: course_lib.vectors.load_vectors makes such a table."
                )
            size = vectors.shape[1]
        self.table = nn.Embedding(vocabulary, size, padding_idx=0)
        if vectors is not None:
            self.table.weight = nn.Parameter(vectors.clone())
        else:
            with torch.no_grad():  # short rows: nn.Embedding's own, of length sqrt(E), take long to unlearn
                self.table.weight.mul_(0.1)
        self.table.weight.requires_grad_(not frozen)
        self.dropout = Dropout(dropout)
        self.size = size

    def forward(self, ids: Tensor, mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, T, E)."""
        return self.dropout(self.table(ids))
