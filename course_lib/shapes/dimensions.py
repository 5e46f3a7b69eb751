"""Names for the dimensions of the tensors in a trace: B, T, H ... as in the rest of the course.

A name comes, in this order, from the layer that made or takes the tensor (a Conv2d's input is B, C, height, width),
from the tensor's own way (a dropout changes no dimension), and from sizes that are known (the configuration, the
inputs). A dimension that nobody knows keeps its number alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from course_lib.shapes.copies import flat_tensors


class Shape(tuple):
    """The sizes of a tensor, a plain tuple to compare with, and the names of its dimensions ("" where unknown)."""

    names: tuple[str, ...]

    def __new__(cls, sizes: Iterable[int], names: Iterable[str] = ()) -> Shape:
        """A shape with its names; names of another number of dimensions are not taken."""
        made = super().__new__(cls, (int(s) for s in sizes))
        given = tuple(names)
        made.names = given if len(given) == len(made) else ("",) * len(made)
        return made

    def __str__(self) -> str:
        inside = ", ".join(f"{n} {s}" if n else str(s) for n, s in zip(self.names, self, strict=True))
        return f"({inside})" if len(self) else "scalar"

    def __repr__(self) -> str:
        return str(self)

    def __reduce__(self) -> Any:
        return type(self), (tuple(self), self.names)


_SPACE = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_SPATIAL = {
    nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3, nn.ConvTranspose1d: 1, nn.ConvTranspose2d: 2, nn.ConvTranspose3d: 3,
    nn.MaxPool1d: 1, nn.MaxPool2d: 2, nn.MaxPool3d: 3, nn.AvgPool1d: 1, nn.AvgPool2d: 2, nn.AvgPool3d: 3,
    nn.AdaptiveMaxPool1d: 1, nn.AdaptiveMaxPool2d: 2, nn.AdaptiveMaxPool3d: 3, nn.AdaptiveAvgPool1d: 1,
    nn.AdaptiveAvgPool2d: 2, nn.AdaptiveAvgPool3d: 3, nn.BatchNorm2d: 2, nn.BatchNorm3d: 3,
}  # fmt: skip
_CONFIG = {
    "H": ("hidden_size", "d_model", "n_embd", "dim", "hidden_dim"),
    "N": ("num_attention_heads", "n_head", "n_heads", "nhead", "num_heads"),
    "F": ("intermediate_size", "dim_feedforward", "d_ff"),
    "V": ("vocab_size",),
    "K": ("num_labels", "num_classes", "n_classes"),
}
_MARK = "_course_dimension_names"  # kept on the tensors of the run, which are ours


class Names:
    """Finds names for the dimensions of the tensors of one run."""

    def __init__(self, model: nn.Module, args: Any, kwargs: Any) -> None:
        tensors = [t for _, t in (*flat_tensors(args), *flat_tensors(kwargs))]
        self.batch = next((t.shape[0] for t in tensors if t.dim()), None)
        self.tokens = next((t.shape[1] for t in tensors if t.dim() == 2 and not t.is_floating_point()), None)
        if self.tokens is not None and any(t.dim() == 3 and t.is_floating_point() for t in tensors):
            longer = next(t for t in tensors if t.dim() == 3 and t.is_floating_point())
            self.tokens = longer.shape[1] if longer.shape[0] == self.batch else self.tokens
        self.sizes: dict[int, str] = {}
        configs = [c for c in (getattr(model, "config", None), model) if c is not None]
        for module in model.modules():
            own = getattr(module, "config", None)
            if own is not None and own not in configs:
                configs.append(own)
        values = {}
        for letter, keys in _CONFIG.items():
            found = (getattr(c, k, None) for c in configs for k in keys)
            values[letter] = next((v for v in found if isinstance(v, int) and not isinstance(v, bool)), None)
        embedding = next((m for m in model.modules() if isinstance(m, nn.Embedding)), None)
        if embedding is not None:
            values["H"] = values["H"] or embedding.embedding_dim
            values["V"] = values["V"] or embedding.num_embeddings
        if values["H"] and values["N"] and values["H"] % values["N"] == 0:
            values["D"] = values["H"] // values["N"]
        for letter in ("K", "D", "N", "F", "V", "H"):  # on equal sizes the later one wins: H is met most often
            if values.get(letter) and values[letter] > 1:
                self.sizes[values[letter]] = letter

    def shape(self, module: nn.Module, tensor: Tensor, side: str, args: tuple = (), key: Any = None) -> Shape:
        """The tensor's sizes with names; remembered on the tensor, for the next layer that gets it."""
        try:
            sizes = tuple(int(s) for s in tensor.shape)
        except RuntimeError:  # a nested tensor has no single shape
            return Shape(())
        names = getattr(tensor, _MARK, None)
        own = _of_layer(module, len(sizes), side, key)
        if own is not None:
            names = own
        elif side == "out":
            names = self._from_input(module, sizes, args) or names
        if names is None or len(names) != len(sizes):
            names = self._from_sizes(sizes)
        made = Shape(sizes, names)
        earlier = tensor.__dict__.setdefault(_MARK + "_shown", [])
        if own is not None:  # a layer that knows its dimensions names them for those who met the tensor before
            for shape in earlier:
                shape.names = tuple(a or b for a, b in zip(shape.names, own, strict=True))
        earlier.append(made)
        tensor.__dict__[_MARK] = made.names
        return made

    def _from_input(self, module: nn.Module, sizes: tuple[int, ...], args: tuple) -> tuple[str, ...] | None:
        came = args[0] if args and isinstance(args[0], Tensor) else None
        names = getattr(came, _MARK, None)
        if names is None:
            return None
        if isinstance(module, nn.Linear) and len(names) == len(sizes):
            return (*names[:-1], self._last(sizes[-1]))
        if isinstance(module, nn.Embedding) and len(names) + 1 == len(sizes):
            return (*(n or "" for n in names), "H")
        if isinstance(module, nn.Flatten) and len(sizes) < len(names):
            start = module.start_dim % len(names)
            end = start + len(names) - len(sizes)
            merged = "·".join(
                n or str(s) for n, s in zip(names[start : end + 1], came.shape[start : end + 1], strict=True)
            )
            return (*names[:start], merged, *names[end + 1 :])
        return names if tuple(came.shape) == sizes and not any(module.children()) else None

    def _last(self, size: int) -> str:
        return self.sizes.get(size, "")

    def _from_sizes(self, sizes: tuple[int, ...]) -> tuple[str, ...]:
        names: list[str] = []
        for place, size in enumerate(sizes):
            name = ""
            if place == 0 and size == self.batch:
                name = "B"
            elif place and place == len(sizes) - 1 and len(sizes) > 2 and size in self.sizes:
                name = self.sizes[size]
            elif size == self.tokens and size > 1 and (place or size != self.batch):
                name = "T"
            elif place and size in self.sizes:
                name = self.sizes[size]
            names.append(name)
        return tuple(names)


def _of_layer(module: nn.Module, rank: int, side: str, key: Any) -> tuple[str, ...] | None:
    """Names that the layer's own definition gives, or None."""
    space = next((n for kind, n in _SPATIAL.items() if isinstance(module, kind)), None)
    if space is None and isinstance(module, nn.BatchNorm1d) and rank == 3:
        space = 1
    if space is not None and rank in (space + 1, space + 2):
        return ("B", "C", *_SPACE[space])[2 + space - rank :] if rank == space + 2 else ("C", *_SPACE[space])
    if isinstance(module, nn.RNNBase) and rank == 3:
        if (key == 0 and side == "out") or key is None:
            return ("B", "T", "H") if module.batch_first else ("T", "B", "H")
        return None
    if isinstance(module, nn.MultiheadAttention) and rank == 3:
        if side == "out" and key == 1:
            return ("B", "T", "T")
        return ("B", "T", "H") if module.batch_first else ("T", "B", "H")
    return None
