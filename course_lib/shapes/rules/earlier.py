"""Before and after the failing line: the layer that made one of two sizes, and whether a repair leads on.

Both are tried by reading the function on stand-ins: from its start with a new layer in an old one's place, or from the
failing line on with what a repair gives.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from course_lib.shapes.history import Record, operation_name, sizes_of
from course_lib.shapes.operations import Call, Scene, reached
from course_lib.shapes.provenance import provenance_of, starting_names
from course_lib.shapes.rules.finding import Candidate, Finding, construct
from course_lib.shapes.standins import Raised, Returned, Stage, Unknown, leaves, original, quietly

_MADE_BY = {nn.Linear: "out_features", nn.Embedding: "embedding_dim", nn.modules.conv._ConvNd: "out_channels"}


def earlier_layers(scene: Scene, call: Call, finding: Finding) -> Iterator[Candidate]:
    """Where two sizes ought to be equal: the layer that gives the one, made for the other."""
    if scene.in_library:
        return
    if finding.wanted is not None:
        one, d, size = finding.wanted
        yield from _widened(scene, provenance_of(scene, call).found.get(one), d, size)
        return
    if finding.equal is not None:
        (one, d), (two, e) = finding.equal
        a, b = _tensor(call, one), _tensor(call, two)
        found = provenance_of(scene, call).found
        if a is not None and b is not None:
            yield from _widened(scene, found.get(two), e, a.shape[d])
            yield from _widened(scene, found.get(one), d, b.shape[e])
        return
    if len(finding.focus) != 2:
        return
    (one, d), (two, e) = finding.focus
    a, b = _tensor(call, one), _tensor(call, two)
    if a is None or b is None or d - a.dim() != e - b.dim():
        return
    both = range(-min(a.dim(), b.dim()), 0)  # shapes are compared from the right
    differ = [i + a.dim() for i in both if a.shape[i] != b.shape[i] and 1 not in (a.shape[i], b.shape[i])]
    found = provenance_of(scene, call).found
    if differ == [d]:
        for mine, place, wanted in ((two, e, a.shape[d]), (one, d, b.shape[e])):
            yield from _widened(scene, found.get(mine), place, wanted)
    if d != e:
        return
    if len(differ) > 1 and all(i >= 2 for i in differ):
        for mine, other in ((one, b), (two, a)):
            yield from _enlarged(scene, found.get(mine), d, other.shape[d])
    if differ == [d] and d >= 2:
        for mine, other in ((one, b), (two, a)):
            yield from _enlarged(scene, found.get(mine), d, other.shape[d])


def _tensor(call: Call, argument: str) -> Tensor | None:
    base, _, place = argument.partition("[")
    value = call.args.get(base)
    if place and isinstance(value, list | tuple):
        value = value[int(place[:-1])]
    return value if isinstance(value, Tensor) else None


def _widened(scene: Scene, record: Record | None, dim: int, wanted: int) -> Iterator[Candidate]:
    """The layer whose own number the size is, with another number."""
    for _ in range(100):
        sizes = sizes_of(record) if record is not None else []
        size = sizes[dim] if dim < len(sizes) else None
        if record is None or size is None:
            return
        if size.kind == "same":
            record, dim = size.of[0]
            continue
        if size.kind != "new" or record.layer is None:
            return
        setting = next((s for kind, s in _MADE_BY.items() if isinstance(record.layer, kind)), None)
        if setting is not None and getattr(record.layer, setting) == record.shape[dim]:
            yield from instead(
                scene,
                record.layer,
                f"gives {wanted} in place of {record.shape[dim]}; its weights begin anew",
                **{setting: wanted},
            )
        return


def _enlarged(scene: Scene, record: Record | None, dim: int, wanted: int) -> Iterator[Candidate]:
    """Transposed convolutions on the way, with an output_padding that settles which of the possible sizes they give."""
    met: list[nn.modules.conv._ConvNd] = []
    number = record.shape[dim] if record is not None else 0
    for _ in range(100):
        sizes = sizes_of(record) if record is not None else []
        size = sizes[dim] if dim < len(sizes) else None
        if record is None or size is None or size.kind not in ("same", "window"):
            break
        if "conv" in record.operation and isinstance(record.layer, nn.modules.conv._ConvNd) and record.layer not in met:
            met.append(record.layer)
        record, dim = size.of[0]
    for layer in met:
        same = tuple(d * (k - 1) // 2 for d, k in zip(layer.dilation, layer.kernel_size, strict=True))
        if not layer.transposed and number < wanted and set(layer.stride) == {1} and layer.padding != same:
            what = "height and width" if len(same) == 2 else "length"
            yield from instead(scene, layer, f"padding that keeps the {what}", padding=same)
    open_ones = [
        m for m in met[::-1] if m.transposed and max(m.stride) > 1 and m.output_padding == (0,) * len(m.output_padding)
    ]
    if len(open_ones) > 1 and number < wanted:
        every = [c for m in open_ones[::-1] for c in instead(scene, m, "", output_padding=max(m.stride) - 1)]
        why = f"of the sizes that a stride leaves open, the larger ones: they come to {wanted} in the end"
        replay = tuple(pair for c in every for pair in c.replay)
        yield Candidate("\n".join(c.code for c in every), why, replay=replay, earlier=True)
    for layer in (m for m in met[::-1] if m.transposed):
        for extra in range(1, max(layer.stride)):
            if number < wanted and layer.output_padding == (0,) * len(layer.output_padding):
                why = f"of the sizes that a stride of {max(layer.stride)} leaves open, the one that comes to {wanted} in the end"
                yield from instead(scene, layer, why, output_padding=extra)


def instead(scene: Scene, layer: nn.Module, why: str, **changes: object) -> Iterator[Candidate]:
    """A layer that was called before the failing line, made anew with other settings."""
    layer = original(layer)
    where = reached(scene, layer)
    if not where or any(c in where for c in "( "):
        return
    with suppress(Unknown, AttributeError, ValueError):
        made = construct(scene, layer, **changes)
        yield Candidate(f"{where} = {made}", why, replay=((layer, made),), earlier=True)


def runs_again(scene: Scene, candidate: Candidate) -> None:
    """Read the function again with other layers; `Raised` where the failing expression still fails, `Unknown` where it cannot be read."""
    frame = scene.site_frame
    function, node = frame.function, frame.node
    if not isinstance(function, ast.FunctionDef | ast.Module) or frame.kind != "user" or not isinstance(node, ast.expr):
        raise Unknown("no source")
    stage = Stage(starting_names(scene), candidate.reread, sketch=True, strict=True)
    for old, code in candidate.replay:
        stage.replace(old, stage.evaluate(code))
    flattening = _Flattening(*candidate.flattened) if candidate.flattened else nullcontext()
    with quietly(), torch.device("meta"), flattening:
        stage.before(function.body, node.lineno)
        value = stage._value(node)
    if not leaves(value):
        raise Unknown("nothing came of it")


class _Flattening(TorchFunctionMode):
    """`flatten(1)` in place of one view or reshape, known by the shapes that it is between."""

    def __init__(self, before: tuple[int, ...], after: tuple[int, ...]) -> None:
        self.before, self.after = before, after

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if operation_name(func) in ("view", "reshape") and tuple(args[0].shape) == self.before:
            return args[0].flatten(1) if tuple(result.shape) == self.after else result
        return result


_MOST_LATER = 4  # statements after the failing one that a repair is followed through


def fails_later(scene: Scene, value: object, code: str) -> str:
    """What the function does next with a repair's value, where torch refuses that: in words, else empty."""
    frame = scene.site_frame
    function, node = frame.function, frame.node
    if not isinstance(function, ast.FunctionDef) or frame.kind != "user" or not isinstance(node, ast.expr):
        return ""
    if isinstance(getattr(node, "ctx", None), ast.Store):
        return ""
    if scene.in_library or not isinstance(value, Tensor) or _looped(function, node):
        return ""
    following = _following(function.body, node)
    if not following or not isinstance(following[0], ast.Assign | ast.Return | ast.Expr):
        return ""
    stage = Stage(scene.names, {ast.unparse(node): value}, sketch=True, strict=True)
    stage.given.update(_new_layer(stage, code))
    text = ast.unparse(node)
    with quietly(), torch.device("meta"):
        for statement in following[: _MOST_LATER + 1]:
            with suppress(Returned):
                stage._statement(statement, stage.names)
            stage.given.pop(text, None)
            if stage.refused is not None:
                return _refusal(stage.refused.error, statement)
            if isinstance(statement, ast.Return):
                break
    return ""


def _new_layer(stage: Stage, code: str) -> dict[str, object]:
    """A repair that makes a layer anew: later calls of that layer are calls of the new one."""
    with suppress(SyntaxError, Unknown, Raised):
        first = ast.parse(code).body[0]
        if isinstance(first, ast.Assign) and isinstance(first.targets[0], ast.Attribute | ast.Subscript):
            return {ast.unparse(first.targets[0]): stage.evaluate(first.value)}
    return {}


def _refusal(error: Exception, statement: ast.stmt) -> str:
    if isinstance(error, NotImplementedError) or "meta" in str(error).lower():
        return ""
    found = re.search(r"[(\[]\d+(?:x|, )(\d+)\]? (?:and|X) \[?(\d+)(?:x|, )\d+", str(error))
    text = ast.unparse(statement.value if isinstance(statement, ast.Return) and statement.value else statement)
    text = text.splitlines()[0]
    if found:
        return f"then {text} fails: {found.group(1)} features come to a layer for {found.group(2)}"
    return f"then {text} fails"


def _following(body: list[ast.stmt], node: ast.expr) -> list[ast.stmt]:
    """The statement of a function that holds an expression, and those after it."""
    for place, statement in enumerate(body):
        if statement.lineno <= node.lineno <= (statement.end_lineno or 0):
            blocks = [getattr(statement, part, None) for part in ("body", "orelse")]
            inner = next((b for b in blocks if b and b[0].lineno <= node.lineno <= (b[-1].end_lineno or 0)), None)
            if inner is not None:
                return [*_following(inner, node), *body[place + 1 :]]
            return body[place:]
    return []


def _looped(function: ast.AST, node: ast.expr) -> bool:
    return any(
        isinstance(inner, ast.For | ast.While) and inner.lineno <= node.lineno <= (inner.end_lineno or 0)
        for inner in ast.walk(function)
    )
