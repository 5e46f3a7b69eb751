"""Linear layers, matrix products and arithmetic between two tensors."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import combinations
from math import prod

import torch
from torch import Tensor, nn

from course_lib.shapes.operations import Call, Scene
from course_lib.shapes.rules.finding import Candidate, Finding, Kit, absent_part, construct, same_dtype, shape_text
from course_lib.shapes.standins import Unknown


def linear(call: Call, scene: Scene) -> Finding | None:
    """input (..., in_features); weight (out_features, in_features)."""
    kit = Kit(call, scene)
    x, w = call.tensor("input"), call.tensor("weight")
    if x is None or w is None:
        return None
    name = kit.name("input")
    if x.dim() and x.shape[-1] != w.shape[-1]:
        expected, came = w.shape[-1], x.shape[-1]
        shown = call.operation
        cause = f"{shown} has {expected} input features, but the last dimension of {name} {shape_text(x)} is {came}."
        notes = []
        if x.dim() > 2 and f"({prod(x.shape[:-1])}x{came}" in scene.text:
            notes.append(
                f"torch shows {name} flattened to ({prod(x.shape[:-1])}x{came}): all dimensions but the last are multiplied, "
                f"the tensor is {shape_text(x)}."
            )
        fixes = list(_features(call, kit, x, expected, came))
        read = (*("batch",) * (x.dim() - 1), "features")
        roles = {
            "input": read if x.dim() <= 2 else ("",) * (x.dim() - 1) + ("features",),
            "weight": ("out_features", "in_features"),
        }
        return Finding(cause, fixes, [("input", x.dim() - 1)], roles, notes)
    return same_dtype(call, kit, "input", "weight")


def _features(call: Call, kit: Kit, x: Tensor, expected: int, came: int) -> Iterator[Candidate]:
    starts = list(range(x.dim() - 2, -1 if x.dim() > 2 else 0, -1))
    for start in sorted(
        starts, key=lambda s: s != 1
    ):  # all features of an input first: (B, 1, 28, 28) becomes (B, 784)  # never the batch into the features
        if x.dim() > 1 and prod(x.shape[start:]) == expected:
            why = (
                "joins "
                + " x ".join(map(str, x.shape[start:]))
                + f" = {expected} features"
                + (" for each input" if start else "")
            )
            yield from kit.change("input", f"{{}}.flatten({start})", why)
            yield from kit.insert(f"{kit.nn}.Flatten({start})" if start != 1 else f"{kit.nn}.Flatten()", why)
    pooled = x.dim() > 2 and prod(x.shape[1:]) == expected == x.shape[1]  # (B, C, 1, 1): flatten says it all
    for d in range(x.dim() - 2, -1, -1):
        if x.shape[d] == expected and not pooled:
            if x.dim() == 2:
                yield from kit.change("input", "{}.T", "swaps rows and columns; the rows become the features")
            else:
                yield from kit.change(
                    "input",
                    f"{{}}.transpose({d}, {x.dim() - 1})",
                    f"moves the {expected} features of dimension {d} to the end",
                )
    yield from _other_dim(kit, expected)
    made = kit.definition(call.names.get("input", ""))
    if x.dim() == 2 and expected and x.numel() % expected == 0 and _fixed_batch(made):
        rows = x.numel() // expected
        why = f"{rows} rows of {expected}: the batch was written as a number; view(x.size(0), -1) keeps it whatever its size"
        yield from kit.change("input", f"{{}}.view(-1, {expected})", why)
    yield from _both_directions(kit, expected, came)
    if x.dim() == 3 and 2 * came == expected and x.shape[0] % 2 == 0 and call.layer is not None:
        text = call.names.get("input", "")
        if text.isidentifier():
            yield from kit.change(
                "input",
                f"{kit.torch}.cat(({text}[-2], {text}[-1]), dim=1)",
                "the last states of both directions side by side; a recurrent layer's states are (layers x directions, batch, hidden)",
            )
    if call.layer is not None and not pooled:
        yield from kit.layer(
            f"the layer made for the {came} features that come; its weights begin anew", in_features=came
        )
        yield from absent_part(kit, "input", x.dim() - 1, expected - came)
    elif call.layer is None and came == call.args["weight"].shape[0] and "weight" in call.names:
        yield from kit.change("weight", "{}.T", "F.linear's weight is (out_features, in_features)")
    if x.dim() > 2 and came != expected and call.layer is not None and x.dim() == 4:
        total = prod(x.shape[1:])
        text = f"{kit.nn}.Linear({total}, {call.layer.out_features})"
        given = {"value": x}
        if call.layer_name and "(" not in call.layer_name:
            yield Candidate(
                f"{call.layer_name} = {kit.nn}.Sequential({kit.nn}.Flatten(), {text})",
                f"one vector of {total} numbers for each input: flatten before the layer",
                trial=f"{text}(value.flatten(1))",
                given=given,
            )


_REDUCING = ("mean", "sum", "amax", "amin", "prod", "std", "var", "logsumexp")


def _other_dim(kit: Kit, expected: int) -> Iterator[Candidate]:
    """A mean or a sum over the features, where one over the places was meant."""
    text = kit.call.names.get("input", "")
    node = ast.parse(text, mode="eval").body if text and _parses(text) else None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in _REDUCING:
        return
    given = [*node.args[:1], *(k.value for k in node.keywords if k.arg == "dim")]
    base = kit.scene.value(node.func.value)
    dim = kit.scene.value(given[0]) if len(given) == 1 else None
    if not isinstance(base, Tensor) or not isinstance(dim, int) or len(node.args) + len(node.keywords) != 1:
        return
    for d in range(1, base.dim()):
        kept = [n for i, n in enumerate(base.shape) if i != d]
        if d != dim % base.dim() and kept and kept[-1] == expected:
            whole = ast.unparse(node.func.value)
            yield from kit.change(
                "input",
                f"{whole}.{node.func.attr}(dim={d})",
                f"over dimension {d}, which is {base.shape[d]}; the {expected} features stay",
            )


def _both_directions(kit: Kit, expected: int, came: int) -> Iterator[Candidate]:
    """`hidden[-1]` of a recurrent layer is one direction alone, where both were counted."""
    text = kit.call.names.get("input", "")
    node = ast.parse(text, mode="eval").body if text and _parses(text) else None
    if 2 * came != expected or not isinstance(node, ast.Subscript) or isinstance(node.slice, ast.Slice | ast.Tuple):
        return
    states = kit.scene.value(node.value)
    if isinstance(states, Tensor) and states.dim() == 3 and states.shape[0] % 2 == 0 and states.shape[-1] == came:
        whole = ast.unparse(node.value)
        yield from kit.change(
            "input",
            f"{kit.torch}.cat(({whole}[-2], {whole}[-1]), dim=-1)",
            f"the last states of both directions side by side: {expected} = 2 x {came}",
        )


def _parses(text: str) -> bool:
    with suppress(SyntaxError):
        ast.parse(text, mode="eval")
        return True
    return False


def _fixed_batch(made: ast.AST | None) -> bool:
    """Whether a tensor was made by `x.view(64, ...)`: with a number where the batch belongs."""
    if not isinstance(made, ast.Call) or not isinstance(made.func, ast.Attribute) or not made.args:
        return False
    first = made.args[0]
    return made.func.attr in ("view", "reshape") and isinstance(first, ast.Constant) and isinstance(first.value, int)


def product(call: Call, scene: Scene) -> Finding | None:
    """(..., n, k) @ (..., k, m); mm takes matrices, bmm batches of them."""
    kit = Kit(call, scene)
    a, b = call.tensor("input"), call.tensor("other")
    if a is None or b is None:
        return None
    first, second = kit.name("input"), kit.name("other")
    if call.op == "dot" and (a.dim() != 1 or b.dim() != 1):
        bad, tensor = (first, a) if a.dim() != 1 else (second, b)
        cause = f"dot multiplies two vectors, but {bad} has {tensor.dim()} dimensions: {shape_text(tensor)}."
        return Finding(cause, [*_row_by_row(kit, a, b), kit.code(f"{first} @ {second}.T", "all rows with all rows")])
    rank = {"mm": 2, "spmm": 2, "bmm": 3, "addmm": 2, "baddbmm": 3}.get(call.op)
    if rank is not None and (a.dim() != rank or b.dim() != rank):
        bad, tensor = (first, a) if a.dim() != rank else (second, b)
        cause = f"{call.operation} multiplies tensors of {rank} dimensions, but {bad} has {tensor.dim()}: {shape_text(tensor)}."
        fixes = []
        if call.op in ("mm", "bmm"):
            fixes.append(
                kit.code(
                    f"{kit.torch}.matmul({first}, {second})",
                    "matmul multiplies the last two dimensions and keeps those before",
                )
            )
            alike = b.dim() == 2 < a.dim() and b.shape[0] == a.shape[0]  # a vector for each input: no matrix for all
            if alike:
                with suppress(Unknown, SyntaxError):
                    column = kit.rewritten(
                        other=f"{second}.unsqueeze(-1)" if second.isidentifier() else f"({second}).unsqueeze(-1)"
                    )
                    fixes.append(
                        kit.code(
                            f"{column}.squeeze(-1)",
                            f"one number for each of the {a.shape[1]} places: {tuple(a.shape[:2])}",
                        )
                    )
                fixes += kit.change("other", "{}.unsqueeze(-1)", "a matrix of one column for each input")
            fixes += (
                []
                if alike
                else [
                    kit.code(
                        f"{kit.torch}.matmul({first}, {second}.transpose(-1, -2))",
                        "matmul with the second one's last two dimensions swapped",
                    )
                ]
            )
            fixes += kit.change(
                "input" if a.dim() < rank else "other", "{}.unsqueeze(1)", "a matrix of one row for each input"
            )
            fixes += kit.change("other", "{}.unsqueeze(-1)", "a matrix of one column for each input")
        return Finding(cause, fixes, [])
    if not a.dim() or not b.dim():
        cause = f"{call.operation} needs at least one dimension on each side, but {first} is {shape_text(a)} and {second} {shape_text(b)}."
        return Finding(cause, [kit.code(f"{first} * {second}", "a product with a single number")])
    k_first = a.shape[-1]
    k_second = b.shape[-2] if b.dim() > 1 else b.shape[0]
    order = _other_order(a, b) if rank == 3 or (a.dim() == b.dim() == 3) else None
    if order is not None and a.shape[:-2] != b.shape[:-2]:
        argument, bad, good = ("other", b, a) if order == "other" else ("input", a, b)
        cause = (
            f"{first} {shape_text(a)} and {second} {shape_text(b)} must have their batch in dimension 0 both, but "
            f"{kit.name(argument)} has {bad.shape[0]} there and {good.shape[0]} in dimension 1: its first two are swapped."
        )
        fixes = list(kit.change(argument, "{}.transpose(0, 1)", "the batch first on both sides"))
        return Finding(cause, fixes, [("input", 0), ("other", 0)])
    if k_first != k_second:
        place = "its last dimension but one" if b.dim() > 1 else "its only dimension"
        cause = (
            f"In {first} @ {second} the last dimension of {first} {shape_text(a)}, {k_first}, must equal "
            f"that of {second} {shape_text(b)} it is multiplied with ({place}), {k_second}."
        )
        ordered = list(_weights_first(kit, a, b))
        fixes = ordered or list(_inner_swaps(kit, a, b))
        if b.dim() >= 2 and not ordered:
            fixes += kit.change(
                "other",
                "{}.T" if b.dim() == 2 else "{}.transpose(-1, -2)",
                f"swaps the last two dimensions of {second}",
            )
        if a.dim() >= 2 and not ordered:
            fixes += kit.change(
                "input", "{}.T" if a.dim() == 2 else "{}.transpose(-1, -2)", f"swaps the last two dimensions of {first}"
            )
        fixes[1:1] = list(_row_by_row(kit, a, b))
        if a.dim() == 2 and b.dim() == 2 and a.shape[0] == b.shape[1]:
            fixes.append(
                kit.code(f"{second} @ {first}", "the other order, which has another meaning and another shape")
            )
        if b.dim() == 2 and a.dim() > 2 and prod(a.shape[1:]) == k_second:
            fixes += kit.change("input", "{}.flatten(1)", f"joins all features of an input: {k_second}")
        if b.dim() == 1 and a.shape[0] == k_second:
            fixes += kit.change("input", "{}.T", "sums over the rows instead")
        last = ("input", a.dim() - 1)
        inner = ("other", max(0, b.dim() - 2))
        turned = a.dim() == b.dim() > 2 and a.shape[-1] == b.shape[-1] and a.shape[:-2] == b.shape[:-2]
        return Finding(cause, fixes, [last, inner], equal=None if turned else (last, inner))
    kinds = same_dtype(call, kit, "input", "other")
    if kinds is not None:
        return kinds
    lead_a, lead_b = a.shape[:-2], b.shape[:-2]
    wrong = _clash(lead_a, lead_b)
    if wrong is not None or (call.op == "bmm" and lead_a != lead_b):
        cause = f"The dimensions before the matrices must agree or be 1, but {first} {shape_text(a)} and {second} {shape_text(b)} have {tuple(lead_a)} and {tuple(lead_b)}."
        fixes = []
        for argument, tensor, other in (("other", b, a), ("input", a, b)):
            if tensor.dim() == 3 and other.dim() == 4 and tensor.shape[0] == other.shape[0]:
                fixes += kit.change(argument, "{}.unsqueeze(1)", "one matrix for all heads of an input")
            if (
                tensor.dim() == 3
                and other.dim() == 3
                and tensor.shape[1] == other.shape[0]
                and tensor.shape[0] != other.shape[0]
            ):
                fixes += kit.change(argument, "{}.transpose(0, 1)", "batch first on both sides")
        return Finding(cause, fixes)
    return None


def _row_by_row(kit: Kit, a: Tensor, b: Tensor) -> Iterator[Candidate]:
    if a.shape == b.shape and a.dim() == 2:
        yield kit.code(
            f"({kit.name('input')} * {kit.name('other')}).sum(dim=-1)",
            f"row with row: one number for each of the {a.shape[0]} pairs",
        )


_WEIGHTS = re.compile(r"attn|attention|weight|score|soft|prob|alpha|energy|^(p|w|a)$", re.I)


def _weights_first(kit: Kit, a: Tensor, b: Tensor) -> Iterator[Candidate]:
    """`value @ attention`: the weights (..., queries, keys) stand on the left of what they sum up."""
    if a.dim() != b.dim() or a.dim() < 3 or a.shape[:-2] != b.shape[:-2] or b.shape[-1] != a.shape[-2]:
        return
    first, second = kit.name("input"), kit.name("other")
    if not _WEIGHTS.search(second) or _WEIGHTS.search(first):
        return
    with suppress(Unknown, SyntaxError):
        yield kit.code(
            kit.rewritten(input=second, other=first),
            f"the weights first: for each of the {b.shape[-2]} queries the sum of the {a.shape[-2]} vectors of {first}",
        )


def _inner_swaps(kit: Kit, a: Tensor, b: Tensor) -> Iterator[Candidate]:
    """Heads and tokens of one side in the other order: (B, T, N, D) beside (B, N, T, T)."""
    if a.dim() != b.dim() or a.dim() < 4:
        return
    for argument, t in (("other", b), ("input", a)):
        for d, e in combinations(range(t.dim()), 2):
            if d >= t.dim() - 2:
                continue
            swapped = t.transpose(d, e)
            one, two = (a, swapped) if argument == "other" else (swapped, b)
            if one.shape[:-2] == two.shape[:-2] and one.shape[-1] == two.shape[-2]:
                yield from kit.change(
                    argument,
                    f"{{}}.transpose({d}, {e})",
                    f"swaps dimensions {d} and {e} of {kit.name(argument)}: {shape_text(swapped)}",
                )
                return


def _other_order(a: Tensor, b: Tensor) -> str | None:
    """Which of two batches of matrices fits the other once its first two dimensions are swapped."""
    for argument, one, two in (("other", a, b.transpose(0, 1)), ("input", a.transpose(0, 1), b)):
        if one.shape[0] == two.shape[0] and one.shape[-1] == two.shape[-2]:
            return argument
    return None


def _clash(one: tuple[int, ...], other: tuple[int, ...]) -> int | None:
    """The last dimension, counted from the end, in which two shapes neither agree nor have a 1."""
    for back in range(1, min(len(one), len(other)) + 1):
        if one[-back] != other[-back] and 1 not in (one[-back], other[-back]):
            return back
    return None


def elementwise(call: Call, scene: Scene) -> Finding | None:
    """Two shapes, read from the right: each pair of sizes is equal, or one of them is 1, or missing."""
    kit = Kit(call, scene)
    one, two = ("input", "mask") if call.op in ("masked_fill", "masked_select") else ("input", "other")
    a, b = call.tensor(one), call.tensor(two)
    if call.op == "where" and (a is None or b is None or _clash(a.shape, b.shape) is None):
        for one, two in (("condition", "input"), ("condition", "other")):
            a, b = call.tensor(one), call.tensor(two)
            if a is not None and b is not None and _clash(a.shape, b.shape) is not None:
                break
    if a is None or b is None:
        return None
    first, second = kit.name(one), kit.name(two)
    if call.op == "masked_fill" and b.dtype != torch.bool:
        cause = f"masked_fill needs a mask of bool, but {second} is {str(b.dtype).removeprefix('torch.')}."
        fixes = [*kit.change("mask", "{} == 0", "fills where the mask is 0, as an attention mask means it"),
                 *kit.change("mask", "{}.bool()", "fills where the mask is 1")]  # fmt: skip
        if _clash(a.shape, b.shape) is not None:
            cause += f" And {shape_text(b)} does not spread over {first} {shape_text(a)}."
            fixes = [f for end, why in ((" == 0", "; fills where the mask is 0"), (".bool()", "; fills where it is 1"))
                     for f in spread(kit, "mask", b, a, end, why)]  # fmt: skip
        return Finding(cause, fixes)
    back = _clash(a.shape, b.shape)
    if back is None:
        joined = torch.broadcast_shapes(a.shape, b.shape)
        if (call.args.get("in_place") or call.op in ("masked_fill", "copy")) and joined != a.shape:
            cause = f"{first} {shape_text(a)} is changed in place and cannot grow to {shape_text(joined)}, which {second} {shape_text(b)} would make of it."
            symbol = {"add": "+", "sub": "-", "mul": "*", "div": "/"}.get(call.op)
            fixes = []
            if symbol:
                fixes.append(
                    kit.code(
                        f"{first} {symbol} {second}",
                        f"makes a new tensor {shape_text(joined)}: write {first} = {first} {symbol} {second}",
                    )
                )
            return Finding(cause, fixes)
        return None
    da, db = a.dim() - back, b.dim() - back
    sign = {"add": "+", "sub": "-", "mul": "*", "div": "/"}.get(call.op, call.op)
    named = f"{first} {sign} {second}" if len(sign) == 1 else f"{call.op}({first}, {second})"
    cause = (
        f"{named} compares shapes from the right, and {shape_text(a)} and {shape_text(b)} do not agree: "
        f"{first} has {a.shape[da]} in dimension {da}, {second} has {b.shape[db]} in dimension {db}, and neither is 1."
    )
    others = [
        d
        for d in range(a.dim())
        if a.dim() == b.dim() and d != da and a.shape[d] != b.shape[d] and 1 not in (a.shape[d], b.shape[d])
    ]
    if others:
        cause += f" Dimension{'s' * (len(others) > 1)} {' and '.join(map(str, others))} differ{'s' * (len(others) == 1)} too."
    cause += "".join(_cut_short(kit, argument) for argument in (one, two))
    fixes = [f for argument in (one, two) for f in _longer_table(kit, argument)]
    fixes += [*_unpacked(kit, one, two, a, b), *_broadcasts(kit, one, two, a, b)]
    return Finding(cause, fixes, [(one, da), (two, db)])


def _cut_short(kit: Kit, argument: str) -> str:
    """A slice that asks for more than there is gives what there is, and says nothing."""
    for whole, base, d, stop in _short_slices(kit, argument):
        return f" {ast.unparse(whole)} {shape_text(base)} is too small: the slice asks for {stop} in dimension {d}, and gets the {base.shape[d]} that are there."
    return ""


def _longer_table(kit: Kit, argument: str) -> Iterator[Candidate]:
    """A table of positions that a module made in its constructor: the module made anew, with enough of them.

    The other arguments of the constructor are taken from the module's attributes and the table's width, where their
    names tell; where one of them is not known, nothing is offered.
    """
    for whole, base, d, stop in _short_slices(kit, argument):
        owner = kit.scene.value(whole.value) if isinstance(whole, ast.Attribute) else None
        if not isinstance(owner, nn.Module) or type(owner).__module__.startswith("torch."):
            continue
        parts, longer = [], ""
        for name, parameter in list(inspect.signature(type(owner).__init__).parameters.items())[1:]:
            value = vars(owner).get(name, parameter.default)
            if value == base.shape[d] and re.search("max|len|pos|size|ctx|block|seq", name):
                longer, value = name, stop
            elif value is inspect.Parameter.empty and re.search("dim|model|hid|emb|width|size", name):
                value = base.shape[-1]
            elif value is parameter.default and value is not inspect.Parameter.empty:
                continue
            if not isinstance(value, int | float | str | bool):
                return
            parts.append(f"{name}={value!r}" if parameter.default is not inspect.Parameter.empty else repr(value))
        if longer:
            wanted = [stop if i == d else n for i, n in enumerate(base.shape)]
            yield Candidate(
                f"{type(owner).__name__}({', '.join(parts)})",
                f"made anew with {longer}={stop}, so that {ast.unparse(whole)} is {shape_text(wanted)}",
                trial=kit.scene.site_frame.text(),
                given={ast.unparse(whole): torch.empty(wanted, device="meta", dtype=base.dtype)},
            )


def _short_slices(kit: Kit, argument: str) -> Iterator[tuple[ast.expr, Tensor, int, int]]:
    """The slices of an argument's text that ask for more than there is: the tensor, its dimension, and what is asked."""
    text = kit.call.names.get(argument, "")
    for node in ast.walk(ast.parse(text, mode="eval")) if text and _parses(text) else ():
        if not isinstance(node, ast.Subscript):
            continue
        base = kit.scene.value(node.value)
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if not isinstance(base, Tensor) or any(not isinstance(p, ast.Slice) for p in parts):
            continue
        for d, part in enumerate(parts[: base.dim()]):
            stop = kit.scene.value(part.upper) if part.upper is not None else None
            if isinstance(stop, int) and stop > base.shape[d]:
                yield node.value, base, d, stop


def _unpacked(kit: Kit, one: str, two: str, a: Tensor, b: Tensor) -> Iterator[Candidate]:
    """pad_packed_sequence pads to the longest text of the batch, which may be shorter than the mask."""
    for argument, t, other in ((one, a, b), (two, b, a)):
        name = kit.call.names.get(argument, "")
        made = kit.definition(name)
        if not isinstance(made, ast.Call) or not ast.unparse(made.func).endswith("pad_packed_sequence") or t.dim() < 2:
            continue
        first = any(k.arg == "batch_first" and getattr(k.value, "value", False) for k in made.keywords)
        place = 1 if first else 0
        wanted = other.shape[place] if other.dim() > place else 0
        if wanted <= t.shape[place] or any(k.arg == "total_length" for k in made.keywords):
            continue
        sizes = [wanted if d == place else n for d, n in enumerate(t.shape)]
        text = ast.unparse(made)
        yield Candidate(
            f"{name}, _ = {text[:-1]}, total_length={wanted})",
            f"without it the texts are padded to the longest of this batch, {t.shape[place]}",
            trial=kit.scene.site_frame.text(),
            given={name: torch.zeros(sizes, device="meta", dtype=t.dtype)},
            earlier=True,
        )


def _broadcasts(kit: Kit, one: str, two: str, a: Tensor, b: Tensor) -> Iterator[Candidate]:
    small, big, tensor, other = (two, one, b, a) if b.dim() <= a.dim() else (one, two, a, b)
    yield from spread(kit, small, tensor, other)
    if tensor.dim() == other.dim():
        yield from spread(kit, big, other, tensor)
    for argument, t, o in ((two, b, a), (one, a, b)):
        for d, e in combinations(range(t.dim()), 2):
            swapped = list(t.shape)
            swapped[d], swapped[e] = swapped[e], swapped[d]
            spreads = 1 in (t.shape[d], t.shape[e]) and t.dim() == o.dim()  # (n, 1) with (m, 1): all pairs, never meant
            if t.dim() <= o.dim() and not spreads and _clash(tuple(swapped), o.shape) is None:
                text = "{}.T" if t.dim() == 2 else f"{{}}.transpose({d}, {e})"
                yield from kit.change(argument, text, f"swaps dimensions {d} and {e} of {kit.name(argument)}")
    yield from _shortcut(kit, one, two, a, b)
    for argument, t, o, owner in ((two, b, a, one), (one, a, b, two)):
        if t.dim() > o.dim():
            continue
        offset = o.dim() - t.dim()
        if t.dim() == 2 and t.shape[0] == t.shape[1] and t.shape[0] > max(o.shape[-2:]):
            cut = f"{{}}[:{kit.name(owner)}.size(-2), :{kit.name(owner)}.size(-1)]"
            yield from kit.change(
                argument, cut, f"the part of the square for {o.shape[-2]} queries and {o.shape[-1]} keys"
            )
        if isinstance(t, nn.Parameter) and t.dim() == o.dim():
            wanted = tuple(1 if n == 1 else m for n, m in zip(t.shape, o.shape, strict=True))
            code = f"{kit.name(argument)} = {kit.nn}.Parameter({kit.torch}.zeros{wanted})"
            yield kit.code(
                code,
                f"the parameter made as large as what it is added to: {wanted}",
                trial=f"{code}\n{kit.scene.site_frame.text()}",
            )
        differs = [d for d in range(t.dim()) if t.shape[d] != o.shape[d + offset] and t.shape[d] != 1]
        if len(differs) == 1 and t.shape[differs[0]] > o.shape[differs[0] + offset] > 1:
            d = differs[0]
            if d + 1 == t.dim() or (d == 0 and t.dim() > 2) or (d == 1 and t.dim() > 3) or "_(" in kit.name(owner):
                continue  # cutting features or channels off is no repair, nor inputs
            cut = ", ".join([":"] * d + [f":{kit.name(owner)}.size({d + offset})"])
            yield from kit.change(
                argument,
                f"{{}}[{cut}]",
                f"keeps the first {o.shape[d + offset]} of {t.shape[d]} in dimension {d}: right for positions, wrong for anything else",
            )


def _shortcut(kit: Kit, one: str, two: str, a: Tensor, b: Tensor) -> Iterator[Candidate]:
    """A residual sum whose branch changed channels or size: padding in the branch, or a 1 x 1 convolution beside it."""
    if (
        kit.call.op != "add"
        or a.dim() != b.dim()
        or a.dim() not in (3, 4)
        or a.shape[0] != b.shape[0]
        or not kit.editable
    ):
        return
    n = a.dim() - 2
    sides = [(two, one, b, a), (one, two, a, b)]
    if _SHORTCUT.search(kit.name(two)) and not _SHORTCUT.search(kit.name(one)):
        sides.reverse()  # out + identity: the identity is what is adapted
    for branch, beside, out, x in sides:
        node = ast.parse(kit.name(branch), mode="eval").body
        layer = kit.scene.value(node.func) if isinstance(node, ast.Call) else None
        if isinstance(layer, nn.modules.conv._ConvNd) and out.shape[1] == x.shape[1] and set(layer.stride) == {1}:
            padding = tuple(d * (k - 1) // 2 for d, k in zip(layer.dilation, layer.kernel_size, strict=True))
            with suppress(Unknown):
                made = construct(kit.scene, layer, padding=padding)
                text = ast.unparse(node.func)
                trial = f"{made}({', '.join(map(ast.unparse, node.args))}) + {kit.name(beside)}"
                yield kit.code(
                    f"{text} = {made}", "padding keeps the length, so that the branch fits to its input", trial=trial
                )
        steps = [-(-m // k) if k else 0 for k, m in zip(out.shape[2:], x.shape[2:], strict=True)]
        if out.shape[1] != x.shape[1] and len(set(steps)) == 1 and steps[0] >= 1:
            stride = f", stride={steps[0]}" if steps[0] > 1 else ""
            code = f"{kit.nn}.Conv{n}d({x.shape[1]}, {out.shape[1]}, 1{stride})({kit.name(beside)})"
            with suppress(Unknown):
                text = kit.rewritten(**{beside: code})
                yield kit.code(
                    text,
                    "a 1 x 1 convolution brings the shortcut to the branch's size, as in ResNet: make it in __init__",
                )


_SHORTCUT = re.compile(r"identity|residual|shortcut|skip|^(x|inputs?|inp|res)$", re.I)


def spread(kit: Kit, argument: str, small: Tensor, big: Tensor, end: str = "", more: str = "") -> Iterator[Candidate]:
    """New dimensions of 1, so that each size of the small tensor meets its equal in the big one."""
    room = big.dim() - small.dim()
    if room < 0 or small.dim() == 0:
        return
    name = kit.name(argument)
    found: list[tuple[int, ...]] = []
    for places in combinations(range(big.dim()), small.dim()):
        if all(small.shape[i] in (1, big.shape[p]) for i, p in enumerate(places)):
            found.append(places)
    if room == 0:
        return
    # A mask (batch, tokens) belongs to the first dimension and, for attention scores, to the last: the keys.
    found.sort(key=lambda places: (places[0] != 0, -sum(places)))
    meeting = {tuple(p for i, p in enumerate(places) if small.shape[i] != 1): places for places in reversed(found)}
    found = [places for places in found if places in meeting.values()]  # others give the same shape once more
    for places in found[:2]:
        if places == tuple(range(room, big.dim())):
            continue  # that is what torch tried itself
        index = ", ".join(":" if d in places else "None" for d in range(big.dim()))
        while index.endswith(", :") and ":" in index[:-3]:
            index = index[:-3]
        meets = ", ".join(f"{small.shape[i]} meets dimension {p}" for i, p in enumerate(places))
        wide = tuple(p for i, p in enumerate(places) if small.shape[i] != 1)
        side = _side(kit, name, big, wide) if len(found) > 1 or len(wide) < len(places) else ""
        yield from kit.change(
            argument, f"{{}}[{index}]{end}", f"new dimensions of 1 in {name}, so that {meets}{more}{side}"
        )


_SCORES = re.compile(r"mask|attn|attention|score", re.I)


def _side(kit: Kit, name: str, big: Tensor, places: tuple[int, ...]) -> str:
    """What a mask on attention scores hides: a choice that shapes cannot make, as there are as many queries as keys."""
    shown = [name, *(kit.name(a) for a, v in kit.call.args.items() if v is big)]
    if not places or big.dim() < 3 or big.shape[-1] != big.shape[-2] or not any(_SCORES.search(text) for text in shown):
        return ""
    if places[-1] == big.dim() - 1 and big.dim() - 2 not in places:
        return "; the same for every query, so it hides keys: the usual attention mask"
    if places[-1] == big.dim() - 2:
        return "; acts on the rows, the queries, and hides no key: rarely meant"
    return ""


def einsum(call: Call, scene: Scene) -> Finding | None:
    """Each letter stands for one size."""
    kit = Kit(call, scene)
    equation, operands = call.args.get("equation"), call.args.get("operands")
    if (
        not isinstance(equation, str)
        or not isinstance(operands, tuple)
        or not all(isinstance(o, Tensor) for o in operands)
    ):
        return None
    parts = equation.replace(" ", "").split("->")[0].split(",")
    if len(parts) != len(operands):
        return Finding(f"The equation {equation!r} names {len(parts)} tensors, but {len(operands)} were given.")
    seen: dict[str, tuple[int, int]] = {}
    for number, (letters, tensor) in enumerate(zip(parts, operands, strict=True)):
        if "..." in letters:
            continue
        if len(letters) != tensor.dim():
            return Finding(
                f"In {equation!r} tensor {number + 1} is {letters!r} with {len(letters)} letters, but it has {tensor.dim()} dimensions: {shape_text(tensor)}.",
                list(_more_letters(kit, equation, parts, operands)),
            )
        for letter, size in zip(letters, tensor.shape, strict=True):
            if letter in seen and seen[letter][0] != size and 1 not in (seen[letter][0], size):
                cause = f"In {equation!r} the letter {letter} is {seen[letter][0]} in tensor {seen[letter][1] + 1} and {size} in tensor {number + 1}: {', '.join(shape_text(o) for o in operands)}."
                first = (f"operands[{seen[letter][1]}]", parts[seen[letter][1]].index(letter))
                second = (f"operands[{number}]", letters.index(letter))
                return Finding(
                    cause, list(_letters(call, kit, parts, operands, number)), [first, second], equal=(first, second)
                )
            seen.setdefault(letter, (size, number))
    return None


def _letters(call: Call, kit: Kit, parts: list[str], operands: tuple[Tensor, ...], number: int) -> Iterator[Candidate]:
    from itertools import permutations

    equation = call.args["equation"]
    known = {
        c: s
        for i, (p, o) in enumerate(zip(parts, operands, strict=True))
        if i != number
        for c, s in zip(p, o.shape, strict=False)
    }
    for order in permutations(parts[number]):
        if all(known.get(c, s) == s for c, s in zip(order, operands[number].shape, strict=True)):
            changed = list(parts)
            changed[number] = "".join(order)
            text = ",".join(changed) + ("->" + equation.split("->")[1].strip() if "->" in equation else "")
            yield from kit.change(
                "equation", repr(text), f"the letters of tensor {number + 1} in the order of its dimensions"
            )
            return


def _more_letters(kit: Kit, equation: str, parts: list[str], operands: tuple[Tensor, ...]) -> Iterator[Candidate]:
    """A letter after the first for a dimension that all tensors have and none names: the heads, mostly."""
    ahead = [o.dim() - len(p) for p, o in zip(parts, operands, strict=True)]
    if "->" not in equation or set(ahead) != {1} or len({o.shape[1] for o in operands}) != 1:
        return
    letter = next(c for c in "nhmgxyzw" if c not in equation)
    left = ",".join(f"{p[:1]}{letter}{p[1:]}" for p in parts)
    right = equation.replace(" ", "").split("->")[1]
    text = f"{left}->{right[:1]}{letter}{right[1:]}"
    yield from kit.change(
        "equation", repr(text), f"a letter for dimension 1, which is {operands[0].shape[1]} in all of them"
    )


def bilinear(call: Call, scene: Scene) -> Finding | None:
    """Two inputs, each with its own number of features."""
    kit = Kit(call, scene)
    w = call.tensor("weight")
    for argument, place in (("input1", 1), ("input2", 2)):
        x = call.tensor(argument)
        if x is not None and w is not None and x.shape[-1] != w.shape[place]:
            cause = f"{call.operation} has {w.shape[place]} features for {argument}, but the last dimension of {kit.name(argument)} {shape_text(x)} is {x.shape[-1]}."
            fixes = list(kit.layer(f"made for {x.shape[-1]} features", **{f"in{place}_features": x.shape[-1]}))
            return Finding(cause, fixes, [(argument, x.dim() - 1)])
    one, two = call.tensor("input1"), call.tensor("input2")
    if one is not None and two is not None and one.shape[:-1] != two.shape[:-1]:
        cause = f"{call.operation} pairs vector with vector, so all dimensions but the last must agree, but {kit.name('input1')} is {shape_text(one)} and {kit.name('input2')} {shape_text(two)}."
        fixes = []
        for argument, small, big in (("input2", two, one), ("input1", one, two)):
            if small.dim() == 2 and big.dim() == 3 and small.shape[0] == big.shape[0]:
                fixes += kit.change(
                    argument,
                    f"{{}}[:, None].expand(-1, {big.shape[1]}, -1)",
                    f"the one vector of each input for all {big.shape[1]} places",
                )
        return Finding(cause, fixes)
    return None


RULES = {
    "linear": linear,
    **dict.fromkeys(("matmul", "mm", "bmm", "mv", "dot", "addmm", "baddbmm", "spmm"), product),
    **dict.fromkeys(("add", "sub", "mul", "div", "pow", "eq", "ne", "lt", "le", "gt", "ge", "where", "masked_fill", "masked_select", "maximum", "minimum", "bitwise_and", "bitwise_or", "floordiv", "mod", "copy", "bitwise_xor", "remainder", "atan2", "logical_and", "logical_or", "fmod", "allclose", "cosine_similarity_", "lerp", "isclose", "floor_divide"), elementwise),
    "einsum": einsum,
    "bilinear": bilinear,
}  # fmt: skip
