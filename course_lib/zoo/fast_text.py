"""FastText: the mean of the vectors of words and of their neighbours in twos and threes (Joulin et al. 2017).

    z = [mean e(w_i); mean e(w_i w_(i+1)); mean e(w_i w_(i+1) w_(i+2))]

There are too many pairs and triples for a table, so each is hashed to one of a number of rows; two that meet in one row
share it. Without the pairs and triples the order of the words would not count at all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.dropout import Dropout
from course_lib.pooling import masked_mean
from course_lib.zoo.words import WordVectors

_FACTOR = 0x01000193  # of the hash: a prime that scatters well, that of the FNV hash


class FastText(nn.Module):
    """Means of hashed n-grams, and one hidden layer: ids (B, T), mask (B, T) -> (B, F).

    Args:
        words: the vectors of single tokens, (V, E).
        buckets: rows for the pairs, and as many for the triples.
        features: F, of the hidden layer.
        longest: tokens in the longest n-gram.
        dropout_of_means: before the hidden layer. The table is large and easily learns the training set by heart.
    """

    def __init__(
        self,
        words: WordVectors,
        buckets: int = 100_000,
        features: int = 256,
        longest: int = 3,
        dropout_of_means: float = 0.5,
    ) -> None:
        super().__init__()
        self.words, self.buckets = words, buckets
        self.grams = nn.ModuleList(nn.Embedding(buckets, words.size) for _ in range(2, longest + 1))
        for table in self.grams:
            nn.init.zeros_(table.weight)  # a pair adds nothing until it has been seen in training
        self.dropout = Dropout(dropout_of_means)
        self.hidden = nn.Linear(longest * words.size, features)
        self.size = features

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(B, T), (B, T) -> (B, F)."""
        means = [masked_mean(self.words(ids, mask), mask)]
        for n, table in enumerate(self.grams, start=2):
            rows, real = hashed(ids, mask, n, self.buckets)
            means.append(masked_mean(table(rows), real))
        return self.hidden(self.dropout(torch.cat(means, dim=-1))).relu()


def hashed(ids: Tensor, mask: Tensor, n: int, buckets: int) -> tuple[Tensor, Tensor]:
    """The row of each n-gram, and where one lies wholly within the text: (B, T), (B, T) -> (B, T), (B, T)."""
    tokens = ids.shape[1]
    ids, real = F.pad(ids, (0, n - 1)), F.pad(mask, (0, n - 1))
    row = torch.zeros_like(ids[:, :tokens])
    inside = torch.ones_like(real[:, :tokens])
    for i in range(n):
        row = (row * _FACTOR + ids[:, i : i + tokens] + 1) % buckets
        inside = inside * real[:, i : i + tokens]
    return row, inside
