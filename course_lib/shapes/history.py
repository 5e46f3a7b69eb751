"""Where a tensor's numbers come from: which operation made it, of what, and which input's size became which.

`History` watches torch's functions during the one run that `diagnose` makes; the same class watches the stand-ins when
a function is read after the fact. It keeps shapes, never tensors.
"""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from course_lib.shapes.frames import kind_of

_MOST_RECORDS = 200_000
SPACE = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
HIDDEN_STATES = r"hidden|layer|state|^hs\b"  # how people name a tuple of hidden states


@dataclass(eq=False)
class Record:
    """One tensor as an operation made it."""

    shape: tuple[int, ...]
    operation: str = ""
    parents: list[Record] = field(default_factory=list)  # of the tensors among the arguments, in order
    sizes: Mapping[str, Any] = field(default_factory=dict)  # arguments that are no tensors
    layer: nn.Module | None = None  # the layer of torch.nn within which it was made
    place: tuple[CodeType, int] | None = None  # the user's code and instruction
    source: str = ""  # the expression, where a view or reshape was read from it
    name: str = ""  # for a tensor that was there at the start
    dtype: torch.dtype | None = None
    labels: tuple[str, ...] | None = None  # what the dimensions are called, once known
    learned: bool = False  # a parameter or a buffer of a layer: no example, so no batch


class History(TorchFunctionMode):
    """Records every result of torch's functions while it is active, and the call that failed."""

    def __init__(self) -> None:
        self.records: dict[int, tuple[weakref.ref, Record]] = {}
        self.failed: tuple[Any, tuple, dict[str, Any]] | None = None
        self.error: BaseException | None = None

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        try:
            result = func(*args, **kwargs)
        except BaseException as error:
            if self.error is not error:
                self.failed, self.error = (func, args, kwargs), error
            raise
        if isinstance(result, Tensor | tuple | list):
            if len(self.records) > _MOST_RECORDS:
                self.records.clear()  # a long run: what was made long ago will hardly be asked for
            try:
                self._keep(func, args, kwargs, result)
            except Exception:  # what only watches must never disturb the run
                self.records.clear()
        return result

    def _keep(self, func: Any, args: tuple, kwargs: dict[str, Any], result: Any) -> None:
        name = operation_name(func)
        if name in ("__get__", "size", "is_floating_point") or isinstance(result, torch.Size):
            return
        parents: list[Record] = []
        sizes: dict[str, Any] = {}
        for key, value in (*enumerate(args), *kwargs.items()):
            if isinstance(value, Tensor):
                parents.append(self.of(value))
            elif isinstance(value, list | tuple) and value and isinstance(value[0], Tensor):
                parents.extend(self.of(t) for t in value if isinstance(t, Tensor))
                sizes[str(key)] = "tensors"
            else:
                sizes[str(key)] = value if _plain(value) else None
        layer, place = _where()
        for number, tensor in enumerate(result if isinstance(result, tuple | list) else (result,)):
            if isinstance(tensor, Tensor):
                made = Record(
                    tuple(tensor.shape), name, parents, {**sizes, "output": number}, layer, place, dtype=tensor.dtype
                )
                self.records[id(tensor)] = (weakref.ref(tensor), made)

    def note(self, layer: nn.Module, inputs: list[Tensor], result: Tensor, number: int) -> None:
        """Record a layer that was not really called."""
        name = type(layer).__name__.lower() if isinstance(layer, nn.RNNBase) else "like"
        name = "encoder" if hasattr(type(layer), "base_model_prefix") else name
        name = {"rnn": "rnn_tanh"}.get(name, name)
        made = Record(
            tuple(result.shape), name, [self.of(t) for t in inputs], {"output": number}, layer, dtype=result.dtype
        )
        if name == "encoder":
            made.name = "hidden_states" if result.dim() == 3 else ""
        self.records[id(result)] = (weakref.ref(result), made)

    def of(self, tensor: Tensor) -> Record:
        """The record of a tensor; a new one, without an operation, for a tensor never seen before."""
        kept = self.records.get(id(tensor))
        if kept is not None and kept[0]() is tensor:
            return kept[1]
        made = Record(tuple(tensor.shape), dtype=tensor.dtype, learned=isinstance(tensor, nn.Parameter))
        self.records[id(tensor)] = (weakref.ref(tensor), made)
        return made


def _plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_plain(item) for item in value)
    return value is None or value is Ellipsis or isinstance(value, int | float | str | bool | slice | torch.dtype)


def _where() -> tuple[nn.Module | None, tuple[CodeType, int] | None]:
    frame = sys._getframe(2)
    layer = None
    while frame is not None:
        kind = kind_of(frame.f_code.co_filename)
        if kind == "torch":
            if layer is None and frame.f_code.co_name == "forward":
                owner = frame.f_locals.get("self")
                layer = owner if isinstance(owner, nn.Module) else None
        elif kind != "own":
            return layer, (frame.f_code, frame.f_lasti)
        frame = frame.f_back
    return layer, None


def operation_name(function: Any) -> str:
    """The plain name of one of torch's functions: `Tensor.__matmul__` is matmul, `Tensor.__iadd__` add."""
    name = getattr(function, "__name__", type(function).__name__)
    plain = name.strip("_") if name.startswith("__") else name
    known = {
        "iadd": "add", "radd": "add", "isub": "sub", "rsub": "sub", "imul": "mul", "rmul": "mul", "truediv": "div",
        "itruediv": "div", "rtruediv": "div", "rmatmul": "matmul", "rdiv": "div", "idiv": "div", "pow_": "pow", "t_": "t",
    }  # fmt: skip
    plain = known.get(plain, plain)
    if plain.endswith("_") and not plain.startswith("_"):
        plain = plain.rstrip("_")
    aliases = {"concat": "cat", "concatenate": "cat", "multiply": "mul", "subtract": "sub", "divide": "div",
               "true_divide": "div", "view_as": "view", "swapaxes": "transpose", "swapdims": "transpose", "and": "bitwise_and",
               "or": "bitwise_or"}  # fmt: skip
    return aliases.get(plain, plain)


@dataclass(frozen=True)
class Size:
    """What one size of a result is made of.

    kind: "same" (of one dimension before), "product" and "sum" (of several), "window" (a convolution's or a pooling's
    formula), "new" (a layer's own number), "count" (of tensors stacked).
    """

    kind: str
    of: tuple[tuple[Record, int], ...] = ()
    text: str = ""
    label: str = ""


def layer_text(layer: nn.Module | None) -> str:
    """A layer in few words: `Linear(442, 3)`."""
    return "" if layer is None else f"{type(layer).__name__}({layer.extra_repr()})"


_ELEMENTWISE_BINARY = ("add", "sub", "mul", "div", "pow", "where", "masked_fill", "maximum", "minimum", "eq", "ne", "lt", "le",
                       "gt", "ge", "bitwise_and", "bitwise_or", "floordiv", "mod")  # fmt: skip
_REDUCING = ("mean", "sum", "max", "min", "amax", "amin", "argmax", "argmin", "norm", "std", "var", "logsumexp", "prod", "any",
             "all", "median")  # fmt: skip


def sizes_of(record: Record) -> list[Size | None]:
    """For each dimension of a record, what its size is made of; None where that is not known."""
    try:
        found = _sizes(record)
    except (IndexError, TypeError, ValueError, KeyError, AttributeError):
        found = None
    unknown: list[Size | None] = [None] * len(record.shape)
    return found if found is not None and len(found) == len(record.shape) else unknown


def argument(record: Record, index: int, name: str, default: Any = None) -> Any:
    """An argument that is no tensor, by its place or its name."""
    return record.sizes.get(name, record.sizes.get(str(index), default))


def _sizes(record: Record) -> list[Size | None] | None:
    if not record.parents:
        return None
    first, op, shape = record.parents[0], record.operation, record.shape
    rank = len(first.shape)

    def same(*dims: int) -> list[Size | None]:
        return [Size("same", ((first, d),)) for d in dims]

    if op in ("cat", "stack"):
        dim = argument(record, 1, "dim", 0)
        dim = int(dim) % len(shape)
        parts = tuple((parent, dim) for parent in record.parents)
        if op == "stack":
            result = same(*range(rank))
            result.insert(dim, Size("count", parts))
            return result
        return [Size("sum", parts) if d == dim else Size("same", ((first, d),)) for d in range(rank)]
    if op in ("flatten", "view", "reshape", "unflatten"):
        return _regroup(first, shape)
    if op in ("transpose", "swapaxes"):
        a, b = (int(argument(record, i, n)) % rank for i, n in ((1, "dim0"), (2, "dim1")))
        order = list(range(rank))
        order[a], order[b] = b, a
        return same(*order)
    if op in ("t", "T", "mT", "adjoint"):
        return same(*range(rank - 2), *((rank - 1, rank - 2) if rank > 1 else range(rank)))
    if op == "permute":
        dims = argument(record, 1, "dims")
        dims = dims if isinstance(dims, tuple | list) else [argument(record, i + 1, "") for i in range(rank)]
        return same(*(int(d) % rank for d in dims))
    if op == "unsqueeze":
        dim = int(argument(record, 1, "dim")) % len(shape)
        result = same(*range(rank))
        result.insert(dim, Size("new", label="1"))
        return result
    if op == "squeeze":
        dim = argument(record, 1, "dim")
        kept = [d for d in range(rank) if first.shape[d] != 1 or (dim is not None and d != dim % rank)]
        return same(*kept)
    if op in ("getitem", "select", "narrow"):
        return _index(record, first)
    if op == "linear" or "conv" in op or op == "embedding":
        return _layer_sizes(record, first)
    if op == "interpolate" or op.startswith("upsample"):
        kept = [Size("same", ((first, d),)) for d in range(2)]
        return [*kept, *(Size("window", ((first, d),), f"{first.shape[d]} interpolated") for d in range(2, rank))]
    if "pool" in op:
        spatial = len(shape) - (2 if len(shape) > 2 else 1)
        spatial = min(spatial, int(op.split("pool")[1][0]) if op.split("pool")[1][:1].isdigit() else spatial)
        lead = len(shape) - spatial
        if "adaptive" in op:
            texts = ["the pooling's own output size"] * len(shape)
        else:
            by = argument(record, 1, "kernel_size", getattr(record.layer, "kernel_size", None))
            by = by if isinstance(by, tuple | list) else (by,) * spatial
            texts = [f"what pooling by {k} leaves of {n}" for k, n in zip(by, first.shape[lead:], strict=True)]
            texts = ["what is left after pooling"] * len(shape) if None in by else [*[""] * lead, *texts]
        return [*same(*range(lead)), *(Size("window", ((first, d),), texts[d]) for d in range(lead, len(shape)))]
    if op in ("matmul", "bmm", "mm") and len(record.parents) > 1:
        other = record.parents[1]
        if rank >= 2 and len(other.shape) >= 2:
            return [*same(*range(rank - 1)), Size("same", ((other, len(other.shape) - 1),))][-len(shape) :]
        return same(*range(rank - 1))
    if op == "encoder":  # of ids (B, T): vectors for the tokens, or one for the text
        config = vars(record.layer).get("config")
        own = "hidden" if shape[-1] == getattr(config, "hidden_size", None) else "classes"
        text = f"{'hidden_size' if own == 'hidden' else 'num_labels'} of {type(record.layer).__name__}"
        return [*same(*range(len(shape) - 1)), Size("new", text=text, label=own)]
    if op in RECURRENT and isinstance(record.layer, nn.RNNBase):
        return _recurrent_sizes(record, first)
    if op in _REDUCING and argument(record, 1, "dim") is not None:
        dims = argument(record, 1, "dim")
        dims = {int(d) % rank for d in (dims if isinstance(dims, tuple | list) else (dims,))}
        if len(shape) == rank:
            return [Size("new", label="1") if d in dims else Size("same", ((first, d),)) for d in range(rank)]
        return same(*(d for d in range(rank) if d not in dims))
    if op in ("repeat", "expand", "repeat_interleave", "tile"):
        return [*[Size("new", label="repeated")] * (len(shape) - rank), *(
            Size("same", ((first, d),)) if shape[len(shape) - rank + d] == first.shape[d]
            else Size("new", text=f"{first.shape[d]} repeated") for d in range(rank)
        )]  # fmt: skip
    if op == "one_hot":
        return [*same(*range(rank)), Size("new", text="one place for each class", label="classes")]
    if op in _ELEMENTWISE_BINARY and len(record.parents) > 1:
        result: list[Size | None] = []
        for back in range(len(shape), 0, -1):
            fitting = [p for p in record.parents if len(p.shape) >= back and p.shape[-back] == shape[-back]]
            result.append(Size("same", ((fitting[0], len(fitting[0].shape) - back),)) if fitting else None)
        return result
    if op in ("split", "chunk", "tensor_split"):
        return [
            Size("same", ((first, d),)) if shape[d] == first.shape[d] else Size("new", text="one of the parts")
            for d in range(rank)
        ]
    if first.shape == shape:  # activations, dropout, normalisations, softmax, copies ...
        return same(*range(rank))
    return None


def _regroup(first: Record, shape: Sequence[int]) -> list[Size | None]:
    """Which dimensions of the input went into which of the output, reading both from the left."""
    result: list[Size | None] = []
    i = 0
    before = first.shape
    j = 0
    while j < len(shape):
        start_i, start_j = i, j
        left, right = (before[i] if i < len(before) else 1), shape[j]
        i, j = i + 1, j + 1
        while left != right and (i < len(before) or j < len(shape)):
            if left < right and i < len(before):
                left, i = left * before[i], i + 1
            elif j < len(shape):
                right, j = right * shape[j], j + 1
            else:
                left, i = left * before[i], i + 1
        if j == len(shape) and i < len(before) and all(n == 1 for n in before[i:]):
            i = len(before)
        dims = tuple((first, d) for d in range(start_i, min(i, len(before))))
        wide = [d for d in dims if d[0].shape[d[1]] != 1] or list(dims[:1])
        for _ in range(start_j, j):
            if j - start_j > 1:
                result.append(Size("part", dims, label="part"))
            elif len(wide) == 1 and len(dims) == 1:
                result.append(Size("same", dims))
            else:
                result.append(Size("product", dims))
    return result


def _index(record: Record, first: Record) -> list[Size | None] | None:
    if record.operation == "select":
        dim = int(argument(record, 1, "dim")) % len(first.shape)
        return [Size("same", ((first, d),)) for d in range(len(first.shape)) if d != dim]
    if record.operation == "narrow":
        return [Size("same", ((first, d),)) for d in range(len(first.shape))]
    index = argument(record, 1, "indices")
    if index is None and len(record.parents) > 1:
        return None
    items = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in items:
        place = items.index(Ellipsis)
        used = sum(1 for item in items if item is not None and item is not Ellipsis)
        items[place : place + 1] = [slice(None)] * (len(first.shape) - used)
    result: list[Size | None] = []
    dim = 0
    for item in items:
        if item is None:
            result.append(Size("new", label="1"))
            continue
        if isinstance(item, slice):
            whole = item == slice(None)
            kept = len(range(*item.indices(first.shape[dim])))
            text = "" if whole or kept == first.shape[dim] else f"{first.shape[dim]} cut to {kept}"
            result.append(Size("same", ((first, dim),)) if not text else Size("window", ((first, dim),), text))
        elif not isinstance(item, int):
            return None
        dim += 1
    result += [Size("same", ((first, d),)) for d in range(dim, len(first.shape))]
    return result


def _layer_sizes(record: Record, first: Record) -> list[Size | None]:
    op, shape, layer = record.operation, record.shape, record.layer
    lead = [Size("same", ((first, d),)) for d in range(len(first.shape))]
    owner = layer_text(layer)
    if op == "linear":
        text = f"out_features of {owner}" if owner else "rows of the weight"
        return [*lead[:-1], Size("new", text=text, label="features")]
    if op == "embedding":
        ids = record.parents[0]
        if len(ids.shape) + 1 != len(shape) and len(record.parents) > 1:
            ids = record.parents[1]
        own = [Size("same", ((ids, d),)) for d in range(len(ids.shape))]
        return [*own, Size("new", text=f"embedding_dim of {owner}" if owner else "width of the table", label="hidden")]
    spatial = int(op.split("conv")[-1].replace("_transpose", "")[0]) if op[-1] == "d" else len(shape) - 2
    batched = len(shape) - spatial - 1
    names = ("length",) if spatial == 1 else ("height", "width") if spatial == 2 else ("depth", "height", "width")
    result: list[Size | None] = list(lead[:batched])
    text = f"out_channels of {owner}" if owner else "filters of the weight"
    result.append(Size("new", text=text, label="channels"))
    for d, name in enumerate(names, start=batched + 1):
        result.append(Size("window", ((first, d),), _window(op, layer, d - batched - 1, first.shape[d], name)))
    return result


def _window(op: str, layer: nn.Module | None, i: int, size: int, name: str) -> str:
    """A convolution's output size, with its numbers."""
    if not isinstance(layer, nn.modules.conv._ConvNd) or isinstance(layer.padding, str):
        return f"what the window leaves of {name} {size}"
    k, s, p, d = (v[i] for v in (layer.kernel_size, layer.stride, layer.padding, layer.dilation))
    if "transpose" in op:
        return f"({size} - 1)*{s} - 2*{p} + {d}*({k} - 1) + {layer.output_padding[i]} + 1, from {name} {size}"
    reach = f"{k}" if d == 1 else f"({d}*({k} - 1) + 1)"
    return f"floor(({size} + 2*{p} - {reach}) / {s}) + 1, a window of {k} over {name} {size}"


def _recurrent_sizes(record: Record, first: Record) -> list[Size | None]:
    layer = record.layer
    assert isinstance(layer, nn.RNNBase)
    directions = 2 if layer.bidirectional else 1
    shape = record.shape
    if record.sizes.get("output", 0) > 0:  # h_n or c_n: (layers * directions, batch, hidden)
        batch = 0 if layer.batch_first else 1
        return [
            Size("new", text=f"{layer.num_layers} layers x {directions} directions", label="layers x directions"),
            Size("same", ((first, batch),)), Size("new", text=f"hidden_size of {layer_text(layer)}", label="hidden"),
        ]  # fmt: skip
    width = layer.proj_size or layer.hidden_size
    text = (
        f"{directions} directions x hidden_size {width}" if directions == 2 else f"hidden_size of {layer_text(layer)}"
    )
    return [*(Size("same", ((first, d),)) for d in range(len(shape) - 1)), Size("new", text=text, label="hidden")]


def labels_of(record: Record, depth: int = 60, widths: Mapping[int, str] | None = None) -> tuple[str, ...]:
    """What each dimension is called, as far as its making tells; "" where it does not. `widths` names known sizes."""
    if record.labels is not None:
        return record.labels
    record.labels = ("",) * len(record.shape)
    if depth <= 0:
        return record.labels
    found = []
    for size in sizes_of(record):
        parts = [labels_of(parent, depth - 1, widths)[dim] for parent, dim in size.of] if size else []
        if size is None:
            found.append("")
        elif size.kind == "same":
            found.append(parts[0])
        elif size.kind == "window":
            before = parts[0]
            found.append(before)
        elif size.kind == "product":
            found.append(" x ".join(p for p in parts if p and p != "1") if all(parts) else "")
        elif size.kind == "sum":
            found.append(_joined_label(size, parts))
        elif size.kind == "count":
            found.append("stacked")
        else:
            known = (widths or {}).get(record.shape[len(found)]) if size.label == "features" else None
            found.append(known or size.label)
    if "conv" in record.operation and len(found) >= 2:
        spatial = {"1": ("length",), "2": ("height", "width"), "3": ("depth", "height", "width")}
        for offset, name in enumerate(reversed(spatial.get(record.operation[-2:-1], ())), start=1):
            found[-offset] = found[-offset] or name
    record.labels = tuple(found)
    return record.labels


def _joined_label(size: Size, parts: list[str]) -> str:
    if len(set(parts)) > 1 or not parts[0]:
        return ""
    many = (
        len(parts) > 2
        and len({parent.shape[dim] for parent, dim in size.of}) == 1
        and size.of[0][0].shape[size.of[0][1]] > 1
    )
    return f"{noun(size)} x {parts[0]}" if many else parts[0]


def noun(size: Size) -> str:
    """What the joined tensors are, by their names: hidden states, or tensors."""
    named = any(re.search(HIDDEN_STATES, parent.name, re.I) for parent, _ in size.of)
    return "hidden states" if named else "tensors"


def origin(record: Record, dim: int, what: Any = None) -> str | None:
    """Where one size comes from, in words: "416 = 13 tensors x 32, joined by cat(dim=0)". None where it is not known."""
    for _ in range(200):
        sizes = sizes_of(record)
        size = sizes[dim] if -len(sizes) <= dim < len(sizes) else None
        if size is None:
            return None
        if size.kind != "same" and not (size.kind == "window" and _keeps(record, dim, size)):
            return _say(record, dim, size)
        record, dim = size.of[0]
    return None


def _keeps(record: Record, dim: int, size: Size) -> bool:
    """Whether a window left a size as it was: then it explains nothing."""
    before, place = size.of[0]
    return before.shape[place] == record.shape[dim]


def _say(record: Record, dim: int, size: Size) -> str | None:
    number, op = record.shape[dim], record.operation
    if size.kind == "sum":
        parts = [parent.shape[d] for parent, d in size.of]
        labels = {labels_of(parent)[d] for parent, d in size.of}
        label = f"{labels.pop()} " if len(labels) == 1 and labels != {""} else ""
        axis = argument(record, 1, "dim", 0)
        if len(set(parts)) == 1 and len(parts) > 2:
            return f"{number} = {len(parts)} {noun(size)} x {label}{parts[0]}, joined by cat(dim={axis})"
        return f"{number} = {' + '.join(map(str, parts))}, joined by cat(dim={axis})"
    if size.kind == "product":
        parts = []
        for parent, d in size.of:
            label = labels_of(parent)[d]
            parts.append(f"{label} {parent.shape[d]}" if label and label != "1" else str(parent.shape[d]))
        made = prod(parent.shape[d] for parent, d in size.of)
        if made != number:
            return None
        return f"{number} = {' x '.join(parts)} after {op}"
    if size.kind == "part":
        before = size.of[0][0].shape if size.of else ()
        return f"{number} comes from {op}, which made {tuple(record.shape)} of {tuple(before)}"
    if size.kind == "count":
        return f"{number} = the number of tensors in {op}"
    if size.kind == "window":
        return f"{number} = {size.text}" if size.text.startswith(("(", "floor")) else f"{number} is {size.text}"
    return f"{number} = {size.text}" if size.text else None
