"""The shapes on the way through a model: one row a layer call, in the order of the calls.

`trace(model, *inputs)` runs a copy of the model on fake tensors, which have shapes and no numbers: a large model takes
about a second and next to no memory. Where that is not possible (a forward pass that looks at numbers), or where it
fails, the copy is run on real tensors, so that the error that is shown is the one that happens.
"""

from __future__ import annotations

import html
import inspect
import logging
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from course_lib.shapes import copies
from course_lib.shapes.dimensions import Names, Shape
from course_lib.shapes.places import line_of

if TYPE_CHECKING:
    from course_lib.plots import Picture

_WHOLE = "(whole model)"


@dataclass
class Row:
    """One call of one layer.

    `inputs` maps the names of the forward method's arguments to what came, `outputs` is what went out: a `Shape` (a
    tuple of sizes that also knows their names) for a tensor, and tuples, lists and dicts of those for containers.
    """

    name: str  # dotted path in the model; "" for the model itself
    layer: str  # its class
    inputs: dict[str, Any]
    outputs: Any = None
    parameters: int = 0  # numbers in this layer and all layers inside it, those of an earlier row not counted again
    failed: bool = False
    shared: int = 0  # numbers already counted in an earlier row: tied weights, or a layer called again
    depth: int = 0
    finished: bool = False
    is_leaf: bool = True  # no layer was called inside this one


@dataclass
class Trace:
    """What `trace` returns: the rows, and the error that ended the run, if one did."""

    rows: list[Row]
    error: BaseException | None = None
    parameters: int = 0  # in the whole model, each tensor once, called or not
    trainable: int = 0
    real: bool = False  # whether real tensors were needed
    remark: str = ""
    where: str = ""  # the line on which it failed
    title: str = ""

    @property
    def failed(self) -> Row | None:
        """The row of the layer that failed, or None."""
        return next((row for row in self.rows if row.failed), None)

    def __str__(self) -> str:
        grid = [["layer", "class", "inputs", "outputs", "parameters"], *(self._cells(row) for row in self.rows)]
        widths = [max(len(line) for row in grid for line in row[i].split("\n")) for i in range(5)]
        lines = []
        for number, cells in enumerate(grid):
            parts = [cell.split("\n") for cell in cells]
            for i in range(max(map(len, parts))):
                line = [p[i] if i < len(p) else "" for p in parts]
                text = "  ".join(
                    c.rjust(w) if k == 4 else c.ljust(w) for k, (c, w) in enumerate(zip(line, widths, strict=True))
                )
                lines.append(text.rstrip())  # fmt: skip
            if number == 0:
                lines.append("  ".join("-" * w for w in widths))
        return "\n".join([*lines, "", *self._foot()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f'<th style="text-align:left">{c}</th>' for c in ("layer", "class", "inputs", "outputs"))
        body = []
        for row in self.rows:
            cells = self._cells(row)
            name = f'<span style="padding-left:{1.2 * row.depth:.1f}em">{html.escape(cells[0].strip())}</span>'
            rest = "".join(
                f'<td style="text-align:left;white-space:pre">{html.escape(cell)}</td>' for cell in cells[1:4]
            )
            mark = ' style="font-weight:bold;outline:2px solid #D55E00"' if row.failed else ""
            body.append(
                f'<tr{mark}><td style="text-align:left;white-space:nowrap">{name}</td>{rest}'
                f'<td style="text-align:right">{html.escape(cells[4])}</td></tr>'
            )
        foot = "".join(f"<p>{html.escape(line)}</p>" for line in self._foot())
        caption = f"<caption>{html.escape(self.title)}: shapes layer by layer</caption>"
        return (
            f'<table>{caption}<thead><tr>{head}<th style="text-align:right">parameters</th></tr></thead>'
            f"<tbody>{''.join(body)}</tbody></table>{foot}"
        )

    def _cells(self, row: Row) -> list[str]:
        name = row.name.rpartition(".")[2] or _WHOLE
        if row.depth and "." in row.name:
            parent = next((r.name for r in reversed(self.rows[: self.rows.index(row)]) if r.depth < row.depth), "")
            name = row.name.removeprefix(parent + ".") if parent else row.name
        inputs = "\n".join(line for key, value in row.inputs.items() for line in _lines(value, key))
        outputs = "\n".join(_lines(row.outputs, "")) if row.finished else ("✗ FAILED" if row.failed else "not reached")
        count = f"{row.parameters:,}" if row.parameters or not row.shared else ""
        if row.shared:
            count = f"{count} (+ {row.shared:,} shared)" if count else f"({row.shared:,} shared)"
        return ["  " * row.depth + name, row.layer, inputs, outputs, count]

    def _foot(self) -> list[str]:
        foot = [f"{self.parameters:,} parameters, {self.trainable:,} of them trainable."]
        if self.remark:
            foot.append(self.remark)
        if self.error is not None:
            row = self.failed
            place = f"{row.name or _WHOLE} ({row.layer})" if row else "the call"
            foot.append(f"✗ Failed in {place}{self.where}: {type(self.error).__name__}: {self.error}")
        return foot

    def draw(self, depth: int | None = None, limit: int = 14) -> Picture:
        """The tensors flowing through the model: one box a layer's output, its edges to scale, its axes named.

        Args:
            depth: how deep into the model; by default as deep as `limit` boxes allow.
            limit: at most so many boxes; what is left out is said.
        """
        from course_lib.shapes.flow import draw

        return draw(self, depth, limit)


def trace(model: nn.Module, *args: Any, real: bool = False, **kwargs: Any) -> Trace:
    """The shapes on the way through `model`, called as model(*args, **kwargs).

    The model is never touched: a copy runs, in the mode the model is in. An error of the model is not raised but kept
    in `.error`, with the rows up to the layer that failed, marked.

    Args:
        model: any module.
        real: run on real tensors from the start. Fake ones are replaced by real ones by themselves where the forward
            pass looks at numbers, and whenever it fails, so that the error is the true one.

    Raises:
        TypeError: `model` is not a torch module.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"trace was given a {type(model).__name__}; it takes a torch module and its inputs: trace(model, x).")  # fmt: skip
    remark = ""
    if not real:
        found, reason = _on_fake(model, args, kwargs)
        if found is not None:
            return found
        remark = reason
    on_meta = any(t.is_meta for t in (*model.parameters(), *model.buffers()))
    found = _run(model, args, kwargs, copies.real, copies.real)
    found.real, found.remark = not on_meta, remark
    return found


class _ValuesMatter(Exception):
    """A fake run cannot say whether this works."""


def _on_fake(model: nn.Module, args: Any, kwargs: Any) -> tuple[Trace | None, str]:
    from torch._subclasses.fake_tensor import (
        DataDependentOutputException,
        DynamicOutputShapeException,
        FakeTensorMode,
        UnsupportedOperatorException,
    )

    if any(t.is_meta for t in model.parameters()):
        return None, ""  # such a model is fake already
    if len(list(_initialised(model))) < len(list(model.parameters())):
        return None, ""  # a lazy layer makes its weights in the first run, and fake ones would be of another kind
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    # Inside the mode every number is fake, so the range of each input of ids is looked up before.
    ranges = {id(t): _range(t) for _, t in (*copies.flat_tensors(args), *copies.flat_tensors(kwargs))}
    of_fake: dict[int, tuple[int, int]] = {}

    def fake_input(tensor: Tensor) -> Tensor:
        made = mode.from_tensor(tensor.detach())
        if ranges.get(id(tensor)):
            of_fake[id(made)] = ranges[id(tensor)]
        return made

    def fake(tensor: Tensor) -> Tensor:
        return copies.same_kind(tensor, mode.from_tensor(tensor.detach()))

    log = logging.getLogger("torch._subclasses.fake_tensor")
    level = log.level
    try:
        log.setLevel(logging.CRITICAL)  # it reports a failing layer in thirty lines; we report it in one
        with mode:
            found = _run(model, args, kwargs, fake, fake_input, of_fake)
    except Exception as error:
        return None, f"Run on real tensors: fake ones cannot be made of this model ({type(error).__name__})."
    finally:
        log.setLevel(level)
    if found.error is None:
        return found, ""
    looked = DataDependentOutputException | DynamicOutputShapeException | UnsupportedOperatorException | _ValuesMatter
    if isinstance(found.error, looked):
        return None, "Run on real tensors, because the forward pass looks at numbers."
    return None, ""


def _range(tensor: Tensor) -> tuple[int, int] | None:
    if tensor.dtype not in (torch.int64, torch.int32) or tensor.is_meta or not tensor.numel():
        return None
    return int(tensor.min()), int(tensor.max())


def _run(model: nn.Module, args: Any, kwargs: Any, convert: Any, convert_input: Any, ranges: Any = None) -> Trace:
    with copies.random_state_kept(model, args, kwargs), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the user's own run says them; here they would come twice
        twin = copies.copy_model(model, convert)
        args, kwargs = (copies.map_tensors(list(args), convert_input), copies.map_tensors(dict(kwargs), convert_input))
        recorder = _Recorder(twin, args, kwargs, ranges if ranges is not None else {})
        try:
            twin(*args, **kwargs)
        except Exception as error:
            found = recorder.finish(error)
            found.error = error.with_traceback(None)  # its frames would keep the copy alive
            error.__context__ = None
        else:
            found = recorder.finish(None)
    found.title = type(model).__name__
    unique = {id(p): p for p in model.parameters() if not isinstance(p, nn.parameter.UninitializedTensorMixin)}
    found.parameters = sum(p.numel() for p in unique.values())
    found.trainable = sum(p.numel() for p in unique.values() if p.requires_grad)
    if len(unique) < len(list(model.parameters())):  # lazy layers have got their sizes in the copy
        found.parameters = sum(p.numel() for p in _initialised(twin))
        found.trainable = sum(p.numel() for p in _initialised(twin) if p.requires_grad)
    return found


class _Recorder:
    """Hooks on a copy; a row begins when a layer is called and ends when it returns."""

    def __init__(self, model: nn.Module, args: Any, kwargs: Any, ranges: dict[int, tuple[int, int]]) -> None:
        self.ranges = ranges  # of the ids among the inputs: fake tensors cannot say that an id is out of the table
        self.rows: list[Row] = []
        self.modules: list[nn.Module] = []
        self.stack: list[Row] = []
        self.raised: list[tuple[Row, BaseException | None]] = []
        self.outside = sys.exc_info()[1]  # the trace itself may be called while an error is handled
        self.names = {id(module): name for name, module in model.named_modules()}
        self.dimensions = Names(model, args, kwargs)
        for module in model.modules():
            module.register_forward_pre_hook(self.enter, with_kwargs=True)
            module.register_forward_hook(self.leave, with_kwargs=True, always_call=True)

    def enter(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        if isinstance(module, nn.Embedding) and args and id(args[0]) in self.ranges:
            low, high = self.ranges[id(args[0])]
            if low < 0 or high >= module.num_embeddings:
                raise _ValuesMatter
        named = _by_name(module, args, kwargs)
        row = Row(self.names[id(module)], type(module).__name__, {}, depth=len(self.stack))
        row.inputs = {k: self.describe(module, v, "in") for k, v in named.items() if v is not None}
        if self.stack:
            self.stack[-1].is_leaf = False
        self.rows.append(row)
        self.modules.append(module)
        self.stack.append(row)

    def leave(self, module: nn.Module, args: tuple, kwargs: dict, output: Any) -> None:
        row = self.stack.pop()
        error = sys.exc_info()[1]
        if output is None and error is not self.outside:  # called although its forward raised
            self.raised.append((row, error))
        else:
            row.outputs, row.finished = self.describe(module, output, "out", args), True

    def describe(self, module: nn.Module, value: Any, side: str, args: tuple = (), key: Any = None) -> Any:
        if isinstance(value, Tensor):
            return self.dimensions.shape(module, value, side, args, key)
        if isinstance(value, nn.utils.rnn.PackedSequence):
            return {"data": Shape(value.data.shape, ("tokens", "H")), "batch_sizes": Shape(value.batch_sizes.shape)}
        items = copies.items_of(value)
        if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
            return type(value)(self.describe(module, v, side, args, k) for k, v in items) if items else type(value)()
        if items:
            return {k: self.describe(module, v, side, args, k) for k, v in items if v is not None}
        return value if isinstance(value, bool | int | float | str | None) else type(value).__name__

    def finish(self, error: BaseException | None) -> Trace:
        counted: set[int] = set()
        for row, module in zip(self.rows, self.modules, strict=True):
            inside = {id(p): p.numel() for p in _initialised(module)}
            row.parameters = sum(n for key, n in inside.items() if key not in counted)
            row.shared = sum(n for key, n in inside.items() if key in counted)
            counted |= {id(p) for p in _initialised(module, recurse=row.is_leaf)}
        found = Trace(self.rows)
        if error is not None and self.rows:
            row, found.where = self.blame(error)
            row.failed = True
        return found

    def blame(self, error: BaseException) -> tuple[Row, str]:
        """The innermost layer whose forward raised this error, and the line of the user's that it happened on."""
        row = next((row for row, raised in self.raised if raised is error), self.rows[0])
        torch_folder, own = str(Path(torch.__file__).parent), str(Path(__file__).parent)
        frames, walk = [], error.__traceback__
        while walk is not None:
            frames.append((walk.tb_frame.f_code.co_filename, walk.tb_lineno))
            walk = walk.tb_next
        for name, number in reversed(frames):
            if not name.startswith((torch_folder, own)):
                return row, f", {line_of((name, number))}"
        return row, ""


def _initialised(module: nn.Module, recurse: bool = True) -> Iterator[nn.Parameter]:
    return (p for p in module.parameters(recurse) if not isinstance(p, nn.parameter.UninitializedTensorMixin))


def _by_name(module: nn.Module, args: tuple, kwargs: dict) -> dict[str, Any]:
    try:
        bound = inspect.signature(module.forward).bind_partial(*args, **kwargs).arguments
    except (TypeError, ValueError):  # the call does not fit the signature, or there is none to see
        return {**{f"[{i}]": v for i, v in enumerate(args)}, **kwargs}
    named: dict[str, Any] = {}
    for key, value in bound.items():
        kind = inspect.signature(module.forward).parameters[key].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            named |= value
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            named |= {f"{key}[{i}]": v for i, v in enumerate(value)}
        else:
            named[key] = value
    return named


def _lines(value: Any, key: str) -> list[str]:
    """A structure of shapes as lines of text, one a tensor; equal ones in a row are put together."""
    start = f"{key} " if key else ""
    if isinstance(value, Shape):
        return [f"{start}{value}"]
    if isinstance(value, dict):
        return [line for k, v in value.items() for line in _lines(v, f"{key}.{k}" if key else str(k))] or [start + "{}"]
    if isinstance(value, list | tuple):
        if len(value) > 1 and all(isinstance(v, Shape) and v == value[0] and v.names == value[0].names for v in value):
            return [f"{start}{len(value)} x {value[0]}"]
        return [line for i, v in enumerate(value) for line in _lines(v, f"{key}[{i}]")] or [start + "()"]
    return [f"{start}{value}"]
