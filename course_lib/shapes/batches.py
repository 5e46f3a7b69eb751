"""A user's example batch as something that can be changed: other sizes, other rows, more padding.

Nothing is known about the model. What an input is, is read off its name, its type and its numbers: ids and features
(content), a padding mask, lengths, labels. Sizes are chosen as primes that divide no dimension of the model, so that
later on a size says which dimension it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.shapes.copies import flat_tensors, map_tensors

_LABELS = ("label", "target", "start_position", "end_position", "gold")
_PLAIN_LABELS = ("y", "y_true", "gt")
_SQUARE = ("attn_mask", "src_mask", "tgt_mask", "memory_mask", "causal")
_GRAPHS = ("edge", "adj")
_PRIMES = (5, 7, 11, 13, 17, 19, 23)


@dataclass
class Leaf:
    """One tensor among the inputs."""

    name: str
    tensor: Tensor
    role: str  # content, mask, length, label, position, other
    batched: bool = True
    real: float | None = None  # for a padding mask: its value at tokens ...
    padded: float | None = None  # ... and at padding


@dataclass
class Batch:
    """The inputs of one call, taken apart."""

    args: tuple
    kwargs: dict
    leaves: list[Leaf]
    rows: int | None  # B, None where no batch was recognised
    tokens: int | None  # T
    lengths: list[int] | None = None  # of the rows, where we made the padding ourselves
    told_by: str | None = None  # what tells the model about padding: "mask", "length", "id" or None
    pad_id: int = 0
    strict: bool = False  # only contents of whole examples may be exchanged: others are not valid, such as boxes

    def call(self) -> tuple[list, dict]:
        """The arguments, with the leaves' present tensors in them."""
        fresh = iter([leaf.tensor for leaf in self.leaves])
        return map_tensors(list(self.args), lambda _: next(fresh)), map_tensors(
            dict(self.kwargs), lambda _: next(fresh)
        )

    def with_tensors(self, tensors: Iterable[Tensor], **changes: Any) -> Batch:
        """The same call with other tensors in the same places."""
        leaves = [replace(leaf, tensor=t) for leaf, t in zip(self.leaves, tensors, strict=True)]
        return replace(self, leaves=leaves, **changes)

    def of_role(self, role: str) -> list[Leaf]:
        """The leaves that play this role."""
        return [leaf for leaf in self.leaves if leaf.role == role]


def take_apart(model: nn.Module, args: tuple, kwargs: dict, labels: Any = None, tokens: int | None = None) -> Batch:
    """Recognise what the inputs of a call are.

    Args:
        labels: labels that go to a loss function and not into the model.
        tokens: T, where it is known; else the length of the first sequence is taken.
    """
    if labels is not None:
        kwargs = {**kwargs, "labels": labels}
    names = _names(model, args, kwargs)
    tensors = [t for _, t in (*flat_tensors(list(args)), *flat_tensors(dict(kwargs)))]
    leaves = [Leaf(name, t, "content") for name, t in zip(names, tensors, strict=True)]
    first = next((leaf.tensor for leaf in leaves if leaf.tensor.dim()), None)
    packed = any(isinstance(v, nn.utils.rnn.PackedSequence) for v in (*args, *kwargs.values()))
    graph = any(word in leaf.name.lower() for leaf in leaves for word in _GRAPHS)
    graph = graph or any(_lists_edges(leaf.tensor, first) for leaf in leaves)
    rows = None if first is None or packed or graph or _is_unbatched(first) else int(first.shape[0])
    tokens = _find_tokens(leaves, rows) if tokens is None else tokens
    for leaf in leaves:
        leaf.role = _role(leaf, rows, tokens, leaves)
        shape = leaf.tensor.shape
        square = leaf.tensor.dim() == 2 and shape[0] == shape[1] == tokens
        named_square = any(word in leaf.name.lower() for word in _SQUARE)
        leaf.batched = bool(leaf.tensor.dim() and shape[0] == rows and not (square and (named_square or shape[0] != rows)))  # fmt: skip
        if square and (named_square or not leaf.batched):
            leaf.role = "square"
        if leaf.role == "mask" and leaf.batched and _marks_padding(leaf, tokens):
            leaf.real = real_value(leaf)
            leaf.padded = padded_value(leaf)
    batch = Batch(args, kwargs, leaves, rows, tokens, pad_id=pad_id(model))
    batch.told_by = _told_by(batch)
    return batch


def _names(model: nn.Module, args: tuple, kwargs: dict) -> list[str]:
    try:
        parameters = list(inspect.signature(model.forward).parameters)
    except (TypeError, ValueError):
        parameters = []
    names = []
    for place, value in enumerate(args):
        own = parameters[place] if place < len(parameters) else f"argument {place}"
        names += [_inner_name(own, path) for path, _ in flat_tensors(value, own)]
    for key, value in kwargs.items():
        names += [_inner_name(key, path) for path, _ in flat_tensors(value, key)]
    return names


def _inner_name(outer: str, path: str) -> str:
    return path.rpartition(".")[2] or outer


def _is_unbatched(first: Tensor) -> bool:
    """A single vector of features is one example and no batch."""
    return first.dim() == 1 and first.is_floating_point()


def _lists_edges(t: Tensor, first: Tensor | None) -> bool:
    """(2, E) indices beside (N, features): the rows are nodes of a graph, which are meant to see each other."""
    plain = t.dtype in (torch.int32, torch.int64) and t.dim() == 2 and t.shape[0] == 2
    return plain and first is not None and first.is_floating_point() and first.dim() == 2 and first.shape[0] != 2


def _find_tokens(leaves: list[Leaf], rows: int | None) -> int | None:
    for leaf in leaves:  # ids, masks
        t = leaf.tensor
        if t.dim() == 2 and t.shape[0] == rows and not t.is_floating_point() and not _is_label(leaf.name):
            return int(t.shape[1])
    for leaf in leaves:
        if "mask" in leaf.name.lower() and leaf.tensor.dim() >= 2:
            return int(leaf.tensor.shape[-1])
    for leaf in leaves:  # (B, T, features), to be tried
        t = leaf.tensor
        if t.dim() == 3 and t.shape[0] == rows and t.is_floating_point():
            return int(t.shape[1])
    return None


def other_lengths(batch: Batch) -> list[int]:
    """The lengths of further sequences that come with a padding mask of their own."""
    lengths = {
        int(leaf.tensor.shape[-1])
        for leaf in batch.leaves
        if leaf.role == "mask" and leaf.batched and leaf.tensor.dim() == 2 and leaf.real is None
    }
    return sorted(n for n in lengths if n != batch.tokens)


def _is_label(name: str) -> bool:
    return any(word in name.lower() for word in _LABELS) or name.lower() in _PLAIN_LABELS


def _role(leaf: Leaf, rows: int | None, tokens: int | None, leaves: list[Leaf]) -> str:
    name, t = leaf.name.lower(), leaf.tensor
    if _is_label(name):
        return "label"
    if "mask" in name and t.dim() >= 2:
        return "mask"
    integer = not t.is_floating_point() and t.dtype != torch.bool
    if t.dim() == 1 and integer and ("len" in name or _counts_tokens(t, leaves)):
        return "length"
    if "position" in name and integer:
        return "position"
    earlier = [other.tensor for other in leaves[: next(i for i, other in enumerate(leaves) if other is leaf)]]
    beside = t.dim() == 2 and t.shape[0] == rows and any(other.shape[:2] == t.shape for other in earlier)
    if beside and "type" not in name and "seg" not in name:
        if t.dtype == torch.bool:
            return "mask"
        flags = bool(((t == 0) | (t == 1)).all())
        if flags and bool((t[:, :1] == 1).all()) and bool((t[:, 1:] <= t[:, :-1]).all()):
            return "mask"
    if not t.dim() or t.shape[0] != rows:
        return "other"
    return "content"


def _counts_tokens(counts: Tensor, leaves: list[Leaf]) -> bool:
    """Whether these are the lengths of the texts of a leaf: what lies behind each is one and the same number."""
    for t in (leaf.tensor for leaf in leaves):
        if t.dim() < 2 or t.shape[0] != len(counts) or not len(counts):
            continue
        if int(counts.min()) < 1 or int(counts.max()) > t.shape[1] or bool((counts == counts[0]).all()):
            continue
        behind = torch.cat([row[int(n) :].reshape(-1) for row, n in zip(t, counts, strict=True)])
        last = torch.stack([row[int(n) - 1].reshape(-1)[0] for row, n in zip(t, counts, strict=True)])
        if bool((behind == behind[0]).all()) and bool((last != behind[0]).all()):
            return True
    return False


def choose_sizes(model: nn.Module, batch: Batch) -> tuple[int | None, int | None]:
    """Primes for B and T that divide no dimension of the model's weights or of the inputs."""
    dims = {s for t in (*model.parameters(), *model.buffers()) if not _lazy(t) for s in t.shape if s > 1}
    inner = {s for leaf in batch.leaves for s in leaf.tensor.shape[1:] if s != batch.tokens and s > 1}
    taken = dims | inner

    def free(candidates: Iterable[int], other: int | None) -> int:
        good = [p for p in candidates if p != other and not any(d % p == 0 for d in taken)]
        plain = [p for p in candidates if p != other and p not in taken]
        return (good or plain or [p for p in candidates if p != other])[0]

    rows = free(_PRIMES, None) if batch.rows is not None else None
    if batch.tokens is None:
        return rows, None
    candidates: list[int] = [11, 13, 17, 19, 7, 23]
    if any(leaf.role == "square" or (leaf.role == "mask" and leaf.tensor.dim() > 2) for leaf in batch.leaves):
        candidates = [p for p in (11, 7, 13, 5, 3) if p <= batch.tokens] or [batch.tokens]
    return rows, free(candidates, rows)


def _lazy(tensor: Tensor) -> bool:
    return isinstance(tensor, nn.parameter.UninitializedTensorMixin)


def resize(batch: Batch, rows: int | None, tokens: int | None) -> Batch:
    """The batch with other numbers of rows and tokens: cut off, or repeated with a shift, so that no row is a copy."""
    rows = batch.rows if rows is None else rows
    tokens = batch.tokens if tokens is None else tokens
    generator = torch.Generator().manual_seed(11)
    tensors = []
    for leaf in batch.leaves:
        t = _without_padding(leaf, batch)
        if batch.tokens is not None and tokens != batch.tokens:
            t = _resize_tokens(leaf, t, batch.tokens, tokens)
        if leaf.batched and rows is not None and batch.rows is not None:
            t = _resize_rows(leaf, t, batch.rows, rows, None if batch.strict else generator)
        if leaf.role == "length" and tokens is not None:
            t = torch.full_like(t, tokens)
        if leaf.role == "mask" and leaf.real is not None:
            t = torch.full_like(t, leaf.real)
        if leaf.role == "label" and "position" in leaf.name and tokens is not None:
            t = t.clamp(max=tokens - 1)
        tensors.append(t)
    return batch.with_tensors(tensors, rows=rows, tokens=tokens)


def _without_padding(leaf: Leaf, batch: Batch) -> Tensor:
    """Ids in which other ids of the batch stand where padding stood."""
    t = leaf.tensor
    if leaf.role != "content" or t.is_floating_point() or t.dim() != 2 or batch.told_by is None or _are_flags(t):
        return t
    is_pad = t == batch.pad_id
    others = t[~is_pad].unique()
    if not bool(is_pad.any()) or not len(others) or "type" in leaf.name.lower() or "seg" in leaf.name.lower():
        return t
    place = torch.arange(t.numel(), device=t.device).view(t.shape) % len(others)
    return torch.where(is_pad, others[place], t)


def _are_flags(t: Tensor) -> bool:
    """Whether there are zeros and ones alone."""
    return bool(((t == 0) | (t == 1)).all())


def _token_dimensions(leaf: Leaf, tokens: int) -> list[int]:
    """Dimensions of an input that count tokens."""
    t = leaf.tensor
    if leaf.role == "square":
        return [0, 1]
    if t.dim() == 1 and leaf.role in ("position", "other") and t.shape[0] == tokens and not leaf.batched:
        return [0]
    if leaf.role == "mask" and t.dim() > 2:
        return [d for d in range(1, t.dim()) if t.shape[d] == tokens]
    if t.dim() >= 2 and t.shape[1] == tokens and (t.dim() <= 3 and (t.dim() == 2 or t.is_floating_point())):
        features = t.dim() == 2 and t.is_floating_point() and leaf.role == "content"  # (B, F) is no sequence
        return [] if features else [1]
    return []


def _resize_tokens(leaf: Leaf, t: Tensor, old: int, new: int) -> Tensor:
    for d in _token_dimensions(leaf, old):
        index = torch.arange(new, device=t.device)
        if leaf.role == "position" and new > old:
            start = t.select(d, old - 1).unsqueeze(d)
            extra = torch.arange(1, new - old + 1, device=t.device)
            t = torch.cat([t, start + extra.view([-1 if k == d else 1 for k in range(t.dim())])], d)
        else:
            t = t.index_select(d, index % old)
    return t


def widen(batch: Batch) -> Batch | None:
    """Images (B, C, H, W) half as wide again, with what belongs to their pixels; None where there are none.

    Height and width, and often the number of channels, are the same; then a size does not say which dimension it is.
    """
    image = next((t for t in (leaf.tensor for leaf in batch.of_role("content")) if t.dim() == 4 and t.is_floating_point()), None)  # fmt: skip
    if image is None or image.shape[-1] < 4:
        return None
    high, wide = image.shape[-2:]
    tensors = []
    for leaf in batch.leaves:
        t = leaf.tensor
        if leaf.batched and t.dim() >= 3 and tuple(t.shape[-2:]) == (high, wide):
            t = t.index_select(-1, torch.arange(wide + wide // 2, device=t.device) % wide)
        tensors.append(t)
    return batch.with_tensors(tensors)


def _resize_rows(leaf: Leaf, t: Tensor, old: int, new: int, generator: torch.Generator | None) -> Tensor:
    t = t.index_select(0, torch.arange(new, device=t.device) % old)
    if leaf.role != "content" or new <= old or generator is None:
        return t
    t = t.clone()
    for row in range(old, new):
        t[row] = _other_values(t[row], t[:old], generator)
    return t


def _other_values(row: Tensor, pool: Tensor, generator: torch.Generator) -> Tensor:
    """Different content of the same kind: the same numbers in another order, or other numbers that occur."""
    flat = row.reshape(-1)
    shuffled = flat[torch.randperm(flat.numel(), generator=generator).to(flat.device)]
    if flat.is_floating_point():
        scale = pool.float().std().nan_to_num(0.0).item() or 1.0
        noise = torch.randn(flat.shape, generator=generator).to(flat)
        low, high = pool.min(), pool.max()
        mixed = shuffled + 0.3 * scale * noise
        return (mixed.clamp(low, high) if high > low else mixed).reshape(row.shape)
    if flat.dtype == torch.bool:
        return shuffled.reshape(row.shape)
    values = pool.unique()
    if flat.numel() > 1 and _are_flags(values) and bool((flat != flat[0]).any()):
        return flat.roll(1).reshape(row.shape)  # flags: as many as there were, since some models divide by how many
    if len(values) < 2:
        only = int(values[0])
        return torch.full_like(row, only - 1 if only > 0 else only + 1)
    place = torch.searchsorted(values, shuffled)
    every_second = torch.arange(flat.numel(), device=flat.device) % 2 == 0  # who only counts words sees no other order
    step = ((shuffled == flat) | every_second).long()
    return values[(place + step) % len(values)].reshape(row.shape)


def perturb_row(batch: Batch, row: int, seed: int = 5) -> Batch:
    """The batch with other content in one row; masks, lengths and labels stay."""
    generator = torch.Generator().manual_seed(seed)
    source = _other_example(batch, row) if batch.strict else None
    tensors = []
    for leaf in batch.leaves:
        t = leaf.tensor
        if leaf.role == "content" and leaf.batched:
            t = t.clone()
            t[row] = _other_values(t[row], t, generator) if source is None else t[source].clone()
        tensors.append(t)
    return batch.with_tensors(tensors)


def _other_example(batch: Batch, row: int) -> int:
    """The next row that holds other content."""
    contents = [leaf.tensor for leaf in batch.of_role("content") if leaf.batched]
    for step in range(1, batch.rows):
        other = (row + step) % batch.rows
        if any(not torch.equal(t[row], t[other]) for t in contents):
            return other
    return (row + 1) % batch.rows


def perturb_column(batch: Batch, column: int) -> Batch:
    """Other content at one index of dimension 1 of every float input with three dimensions or ids with two."""
    generator = torch.Generator().manual_seed(7)
    tensors = []
    for leaf in batch.leaves:
        t = leaf.tensor
        if leaf.role == "content" and t.dim() >= 2 and t.shape[1] == batch.tokens:
            t = t.clone()
            t[:, column] = t[:, column].roll(1, 0) if batch.strict else _other_values(t[:, column], t, generator)
        tensors.append(t)
    return batch.with_tensors(tensors)


def mixed_lengths(batch: Batch) -> list[int]:
    """A length for each row, all different where possible, so that sorting by length moves the first and the last row.

    Their sum is no multiple of B: tokens that a model has lined up are not taken for rows.
    """
    lengths = [min(2 + (2 * i + 3) % batch.rows, batch.tokens) for i in range(batch.rows)]
    longest = lengths.index(max(lengths))
    if sum(lengths) % batch.rows == 0:
        lengths[longest] += 1 if lengths[longest] < batch.tokens else -1
    return lengths


def take_rows(batch: Batch, rows: list[int]) -> Batch:
    """Some rows of the batch alone."""
    index = torch.tensor(rows)
    tensors = [leaf.tensor.index_select(0, index.to(leaf.tensor.device)) if leaf.batched else leaf.tensor for leaf in batch.leaves]  # fmt: skip
    lengths = [batch.lengths[r] for r in rows] if batch.lengths else None
    return batch.with_tensors(tensors, rows=len(rows), lengths=lengths)


# --- padding -------------------------------------------------------------------------------------------------------


def _marks_padding(leaf: Leaf, tokens: int | None) -> bool:
    """(B, T) or (B, 1, 1, T): a mask that marks padding, and nothing else such as causality, or where a name stands."""
    t = leaf.tensor
    if t.dim() < 2 or t.shape[-1] != tokens or any(s != 1 for s in t.shape[1:-1]) or real_value(leaf) is None:
        return False
    real = (t.reshape(t.shape[0], -1) == real_value(leaf)).long()
    steps = real[:, 1:] - real[:, :-1]
    return bool((steps <= 0).all() or (steps >= 0).all())  # padding lies behind the tokens, or before them


def real_value(leaf: Leaf) -> float | None:
    """The value that a mask has at real tokens; None if that cannot be said."""
    t = leaf.tensor.reshape(leaf.tensor.shape[0], -1)
    values = t.unique()
    named = any(word in leaf.name.lower() for word in ("padding_mask", "pad_mask", "key_padding"))
    if len(values) == 1:
        only = values[0].item()
        if t.dtype == torch.bool and named:
            return False  # torch's key_padding_mask: True is padding
        return only
    if len(values) > 2:
        return None
    for column in (0, -1):
        if len(t[:, column].unique()) == 1:
            return t[0, column].item()
    return None


def padded_value(leaf: Leaf) -> float:
    """The value that a mask has, or would have, at padding."""
    real = real_value(leaf)
    other = [v for v in leaf.tensor.unique().tolist() if v != real]
    if other:
        return other[0]
    if leaf.tensor.dtype == torch.bool:
        return not real
    if leaf.tensor.is_floating_point() and real == 0:
        return -10000.0  # an additive mask: 0 keeps, a large negative number hides
    return 0 if real else 1


def _told_by(batch: Batch) -> str | None:
    if batch.tokens is None or not any(_content_dimensions(leaf, batch) for leaf in batch.leaves):
        return None
    if any(leaf.role == "mask" and leaf.real is not None for leaf in batch.leaves):
        return "mask"
    if batch.of_role("length"):
        return "length"
    return "id" if _pads_in_sample(batch) else None


def _content_dimensions(leaf: Leaf, batch: Batch) -> list[int]:
    return _token_dimensions(leaf, batch.tokens) if leaf.role == "content" and batch.tokens else []


def _pads_in_sample(batch: Batch) -> bool:
    """Whether ids end in the padding id, in more than one place and nowhere else."""
    for leaf in batch.leaves:
        t = leaf.tensor
        if leaf.role == "content" and t.dim() == 2 and not t.is_floating_point():
            is_pad = t == batch.pad_id
            tail = is_pad.flip(1).long().cumprod(1).flip(1).bool()
            return bool((is_pad == tail).all()) and int(is_pad.sum(1).max()) >= 2 and not bool(is_pad.all(1).any())
    return False


def pad_id(model: nn.Module) -> int:
    """The id of the padding token as the model's own embedding or configuration names it, else 0."""
    found = [m.padding_idx for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)]
    found.append(getattr(getattr(model, "config", None), "pad_token_id", None))
    return next((int(p) for p in found if isinstance(p, int)), 0)


def pad(batch: Batch, lengths: list[int], tokens: int, noise: int | None = None) -> Batch:
    """The same texts cut to `lengths` and padded to `tokens`, with masks and lengths that say so.

    Args:
        noise: a seed; other content, and not the padding id, stands at the padding.
    """
    longer = resize(batch, None, tokens) if tokens != batch.tokens else batch
    generator = torch.Generator().manual_seed(noise or 0)
    tensors = []
    for old, leaf in zip(batch.leaves, longer.leaves, strict=True):
        t = leaf.tensor.clone()
        if leaf.role == "length":
            t = torch.tensor(lengths, dtype=t.dtype, device=t.device)
        elif leaf.role == "mask" and leaf.real is not None:
            flat = t.view(t.shape[0], -1)
            for row, n in enumerate(lengths):
                flat[row, :n], flat[row, n:] = leaf.real, leaf.padded
        elif leaf.role == "mask" and t.dim() == 2 and leaf.batched and _token_dimensions(old, batch.tokens) == [1]:
            for row, n in enumerate(lengths):
                t[row, n:] = 0  # it marks some of the tokens, and padding is none of them
        elif leaf.role in ("content", "label") and leaf.batched and _token_dimensions(old, batch.tokens) == [1]:
            for row, n in enumerate(lengths):
                if leaf.role == "label":
                    t[row, n:] = 0 if t.is_floating_point() else -100
                elif noise is not None:
                    t[row, n:] = leaf.tensor[row - 1, n:] if batch.strict else _other_values(t[row, n:], leaf.tensor, generator)  # fmt: skip
                elif "type" in leaf.name.lower() or "segment" in leaf.name.lower() or t.is_floating_point():
                    t[row, n:] = 0
                else:
                    t[row, n:] = batch.pad_id
        tensors.append(t)
    return longer.with_tensors(tensors, lengths=lengths)


def masked(batch: Batch, lengths: list[int]) -> Batch:
    """The same content, with masks that hide what lies behind `lengths`."""
    tensors = []
    for leaf in batch.leaves:
        t = leaf.tensor
        if leaf.role == "mask" and leaf.real is not None:
            t = t.clone()
            flat = t.view(t.shape[0], -1)
            for row, n in enumerate(lengths):
                flat[row, n:] = leaf.padded
        tensors.append(t)
    return batch.with_tensors(tensors)


def mask_words(batch: Batch) -> str:
    """The masks in words: "attention_mask (5, 11) of int64, 1 for a token and 0 for padding"."""
    words = []
    for leaf in batch.leaves:
        if leaf.role == "mask" and leaf.real is not None:
            t = leaf.tensor
            kind = str(t.dtype).removeprefix("torch.")
            words.append(f"{leaf.name} {tuple(t.shape)} of {kind}, {leaf.real + 0.0:g} for a token and {leaf.padded:g} for padding")  # fmt: skip
    return "; ".join(words)
