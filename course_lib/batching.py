"""Examples as columns, handed out batch by batch.

A column is a tensor whose first dimension counts the examples: {"features": (n, H), "labels": (n,)}.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor


class Batches:
    """Batches of some columns, a dictionary of tensors each; go through them as often as you like.

    No example is left out: the last batch is smaller where the numbers do not divide.

    Args:
        columns: name -> tensor (n, ...), all with the same n.
        size: examples a batch.
        shuffle: a seed, for another order each time through, the same ones for the same seed whatever else draws
            random numbers; None keeps the order.

    Raises:
        ValueError: no columns, no examples, columns of different lengths, or a size below 1.
        TypeError: a column that is no tensor.
    """

    def __init__(self, columns: Mapping[str, Tensor], size: int, shuffle: int | None = None) -> None:
        for name, column in columns.items():
            if not isinstance(column, Tensor):
                raise TypeError(f"{name} is a {type(column).__name__}; a column is a tensor: torch.tensor({name}).")
            if column.dim() == 0:
                raise ValueError(f"{name} is a single number; a column has a row for each example, (n, ...).")
        counts = {name: len(column) for name, column in columns.items()}
        if not counts or 0 in counts.values():
            raise ValueError(
                f"There are no examples in {counts or 'no columns'}; give at least one column with one row."
            )
        if len(set(counts.values())) > 1:
            raise ValueError(
                f"The columns have different numbers of examples, {counts}; every example needs all columns."
            )
        if size < 1:
            raise ValueError(f"size is {size}; a batch holds at least 1 example.")
        self.columns, self.size = dict(columns), size
        self.examples = next(iter(counts.values()))
        self._generator = None if shuffle is None else torch.Generator().manual_seed(shuffle)

    def __len__(self) -> int:
        """How many batches."""
        return -(-self.examples // self.size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        if self._generator is None:
            order = torch.arange(self.examples)
        else:
            order = torch.randperm(self.examples, generator=self._generator)
        for chosen in order.split(self.size):
            yield {name: column[chosen] for name, column in self.columns.items()}
