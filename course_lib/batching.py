"""Examples as columns, handed out batch by batch.

A column has an entry for each example: a tensor, {"features": (n, H), "labels": (n,)}, or a list of rows of different
lengths, {"input_ids": n lists of numbers}, which are padded batch by batch.

Letters: n examples, B batch, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

IGNORED = -100  # what labels are padded with, so that padding never counts


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
        self.examples = _count(columns)
        if size < 1:
            raise ValueError(f"size is {size}; a batch holds at least 1 example.")
        self.columns, self.size = dict(columns), size
        self._order = _Order(shuffle)

    def __len__(self) -> int:
        """How many batches."""
        return -(-self.examples // self.size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for chosen in self._order.permutation(self.examples).split(self.size):
            yield {name: column[chosen] for name, column in self.columns.items()}

    def state_dict(self) -> dict[str, Any]:
        """Where the order stands before the next time through."""
        return self._order.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to where `state_dict` was asked."""
        self._order.load_state_dict(state)


class PaddedBatches:
    """Batches of rows of different lengths, each batch padded to its own longest row, with little padding.

    Rows of about the same length come together, so few positions are padding; which of them, and in which order the
    batches come, is drawn anew each time through. Every example comes once. A batch has at most `tokens` positions, its
    padding included, or `size` examples, whichever is reached first; a row longer than `tokens` is a batch of its own.
    The number of batches is the same each time through.

    Args:
        columns: name -> n rows. A row is a list of numbers (T,); a list of such lists, as for multiple choice (M, T); or
            one number, which is not padded. A tensor (n, ...) is taken as it is.
        tokens: positions a batch, padding included.
        size: examples a batch.
        shuffle: a seed, as in `Batches`; None: from the shortest to the longest, for evaluation. `restore` brings what
            was collected into the order of the examples.
        pad: name -> what fills that column; by default 0, and -100 for labels. Give the tokenizer's pad_token_id for
            input_ids where it is not 0.
        lengths_from: the column whose rows tell the lengths.
        even: pad a little more, to the next of a few lengths at most an eighth apart. Where batches of one run have some
            hundred shapes, what a processor's library prepares for each shape takes more memory than the model.

    Raises:
        ValueError: no columns, no examples, columns of different lengths, neither tokens nor size, or one below 1.
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[Any] | Tensor],
        tokens: int | None = None,
        size: int | None = None,
        shuffle: int | None = None,
        pad: Mapping[str, int] | None = None,
        lengths_from: str = "input_ids",
        even: bool = False,
    ) -> None:
        self.examples = _count(columns)
        if tokens is None and size is None:
            raise ValueError("Give tokens, the positions that a batch may hold, or size, its examples.")
        for name, value in (("tokens", tokens), ("size", size)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; a batch holds at least 1.")
        if lengths_from not in columns:
            raise ValueError(f"There is no column {lengths_from} to tell the lengths; there are {', '.join(columns)}.")
        self.columns, self.pad = dict(columns), dict(pad or {})
        measured = [_length(row) for row in columns[lengths_from]]
        rows = [_rows(row) for row in columns[lengths_from]]  # several, where an example has choices
        self._classes = torch.tensor([_length_class(length) for length in measured])
        self._bounds = _cut(sorted(zip(self._classes.tolist(), rows, strict=True)), tokens, size)
        self._shuffled = shuffle is not None
        self._order = _Order(shuffle)
        self.lengths = torch.tensor(measured)
        self._widths = (
            torch.tensor([_rounded_up(n, bits=4) for n in measured]).clamp(max=max(measured)) if even else None
        )

    def __len__(self) -> int:
        """How many batches."""
        return len(self._bounds)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for chosen in self._plan():
            yield self._collate(chosen)

    def _plan(self) -> list[Tensor]:
        """The numbers of the examples of each batch, for one time through."""
        if not self._shuffled:
            order = torch.argsort(self.lengths, stable=True)
            return [order[start:end] for start, end in self._bounds]
        mixed = self._order.permutation(self.examples)
        ranked = mixed[torch.argsort(self._classes[mixed], stable=True)]  # within a class of lengths, in drawn order
        batches = [ranked[start:end] for start, end in self._bounds]
        return [batches[i] for i in self._order.permutation(len(batches)).tolist()]

    def _collate(self, chosen: Tensor) -> dict[str, Tensor]:
        numbers = chosen.tolist()
        width = 0 if self._widths is None else int(self._widths[chosen].max())
        batch = {}
        for name, column in self.columns.items():
            if isinstance(column, Tensor):
                batch[name] = column[chosen]
            else:
                filler = self.pad.get(name, IGNORED if name == "labels" else 0)
                batch[name] = pad_rows([column[i] for i in numbers], filler, width)
        return batch

    def restore(self, rows: Tensor) -> Tensor:
        """What was collected batch by batch, without shuffling, (n, ...), in the order of the examples."""
        order = torch.argsort(self.lengths, stable=True)
        restored = torch.empty_like(rows)
        restored[order] = rows
        return restored

    @property
    def padding(self) -> float:
        """Share of positions that are padding, in batches without shuffling."""
        order = torch.argsort(self.lengths, stable=True)
        widths = sum(int(self.lengths[order[a:b]].max()) * (b - a) for a, b in self._bounds)
        return 1 - int(self.lengths.sum()) / widths

    def state_dict(self) -> dict[str, Any]:
        """Where the order stands before the next time through."""
        return self._order.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to where `state_dict` was asked."""
        self._order.load_state_dict(state)


def pad_rows(rows: Sequence[Any], filler: int, width: int = 0) -> Tensor:
    """Rows of different lengths as one tensor, filled up on the right, to `width` at least.

    B lists of numbers -> (B, T); B lists of M lists -> (B, M, T); B numbers -> (B,).
    """
    first = rows[0]
    if not isinstance(first, Sequence):
        return torch.tensor(rows)
    if len(first) and isinstance(first[0], Sequence):
        width = max(width, max(len(inner) for row in rows for inner in row))
        choices = max(map(len, rows))
        if any(len(row) != choices for row in rows):
            raise ValueError(
                f"Examples with {min(map(len, rows))} and with {choices} choices cannot share a batch; give all the same."
            )
        return torch.tensor([[[*inner, *[filler] * (width - len(inner))] for inner in row] for row in rows])
    width = max(width, max(map(len, rows)))
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows])


class _Order:
    """Permutations from a seed of their own; without a seed, the order as it is."""

    def __init__(self, seed: int | None) -> None:
        self._generator = None if seed is None else torch.Generator().manual_seed(seed)

    def permutation(self, n: int) -> Tensor:
        return torch.arange(n) if self._generator is None else torch.randperm(n, generator=self._generator)

    def state_dict(self) -> dict[str, Any]:
        return {} if self._generator is None else {"generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if self._generator is not None and "generator" in state:
            self._generator.set_state(state["generator"])


def _count(columns: Mapping[str, Any]) -> int:
    """The number of examples, the same in all columns."""
    counts = {name: len(column) for name, column in columns.items()}
    if not counts or 0 in counts.values():
        raise ValueError(f"There are no examples in {counts or 'no columns'}; give at least one column with one row.")
    if len(set(counts.values())) > 1:
        raise ValueError(f"The columns have different numbers of examples, {counts}; every example needs all columns.")
    return next(iter(counts.values()))


def _length(row: Any) -> int:
    """Of the longest of an example's rows."""
    if len(row) and isinstance(row[0], Sequence):
        return max(map(len, row))
    return len(row)


def _rows(row: Any) -> int:
    return len(row) if len(row) and isinstance(row[0], Sequence) else 1


def _length_class(length: int) -> int:
    """A length rounded up by less than a quarter, so that there are enough rows of one class to mix."""
    return _rounded_up(length, bits=3)


def _rounded_up(length: int, bits: int) -> int:
    """A length rounded up to one of 2 ** (bits - 1) steps between two powers of 2."""
    grid = 1 << max(0, (length - 1).bit_length() - bits)
    return -(-length // grid) * grid


def _cut(sorted_rows: list[tuple[int, int]], tokens: int | None, size: int | None) -> list[tuple[int, int]]:
    """Where batches begin and end among (length, rows of the example) in order of length."""
    bounds, start, held = [], 0, 0
    for number, (width, rows) in enumerate(sorted_rows):
        full = size is not None and number - start >= size
        over = tokens is not None and number > start and (held + rows) * width > tokens
        if full or over:
            bounds.append((start, number))
            start, held = number, 0
        held += rows
    return [*bounds, (start, len(sorted_rows))]
