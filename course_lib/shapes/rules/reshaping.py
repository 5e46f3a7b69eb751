"""view, reshape, permute, cat, stack, indexing: the same numbers, arranged anew."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.shapes.operations import Call, Scene
from course_lib.shapes.provenance import provenance_of
from course_lib.shapes.rules.earlier import instead
from course_lib.shapes.rules.finding import Candidate, Finding, Kit, shape_text
from course_lib.shapes.standins import Unknown


def view(call: Call, scene: Scene) -> Finding | None:
    """The sizes asked for must multiply to the number of elements; view also needs them in order in memory."""
    kit = Kit(call, scene)
    x, asked = call.tensor("input"), call.args.get("shape")
    if x is None or not isinstance(asked, tuple):
        return None
    name = kit.name("input")
    sizes = [int(s) for s in asked if isinstance(s, int)]
    if len(sizes) != len(asked):
        bad = next(s for s in asked if not isinstance(s, int))
        return Finding(f"{call.op} needs whole numbers as sizes, but {bad!r} is a {type(bad).__name__}.",
                       list(kit.change("shape", ", ".join(str(int(s)) if isinstance(s, float) else str(s) for s in asked), "whole numbers; write // for a whole division")) if all(isinstance(s, int | float) for s in asked) else [])  # fmt: skip
    total, free = x.numel(), sizes.count(-1)
    made = prod(s for s in sizes if s != -1)
    if free > 1:
        return Finding(
            f"{call.op} can work out one size, but {tuple(sizes)} has {free} of -1.",
            list(_free(kit, x, [s if i else x.shape[0] for i, s in enumerate(sizes)])),
        )
    listed = " x ".join(map(str, x.shape))
    if (free == 0 and made != total) or (free == 1 and (made == 0 or total % made)):
        asked_text = " x ".join(str(s) for s in sizes)
        cause = (
            f"{name} {shape_text(x)} has {listed} = {total} numbers, and {call.op} to {shape_text(sizes)} needs "
            + (
                f"{asked_text} = {made}."
                if free == 0
                else f"a multiple of {made}; {total} / {made} leaves a rest of {total % made if made else total}."
            )
        )
        rest, better = _floored(kit, x, sizes)
        wanted = prod(sizes[1:]) if x.dim() == 2 and len(sizes) > 1 and sizes[0] in (-1, x.shape[0]) else 0
        return Finding(
            cause + rest,
            [*better, *_free(kit, x, sizes)],
            [("input", d) for d in range(1, x.dim())],
            wanted=("input", 1, wanted) if wanted > 0 else None,
        )
    if (call.op == "view" and "stride" in scene.text) or (call.op == "view" and not x.is_contiguous()):
        texts = call.names.get("shape", ", ".join(map(str, sizes)))
        cause = f"view needs the numbers of {name} {shape_text(x)} to lie in order in memory, but a transpose or permute before it has changed their order (strides {tuple(x.stride())})."
        why = "copies where needed; the dimensions swapped before stay swapped"
        fixes = [
            kit.code(f"{name}.reshape({texts})", why),
            *kit.change("input", "{}.contiguous()", "copies the numbers into their new order first"),
        ]
        return Finding(cause, fixes)
    return None


def _floored(kit: Kit, x: Tensor, sizes: list[int]) -> tuple[str, list[Candidate]]:
    """A whole division in the sizes that leaves a rest: heads that do not divide the width, pieces that do not fill the text."""
    import ast

    text = kit.call.names.get("shape", "")
    try:
        node = ast.parse(f"({text},)", mode="eval").body
    except SyntaxError:
        return "", []
    for inner in ast.walk(node):
        if not isinstance(inner, ast.BinOp) or not isinstance(inner.op, ast.FloorDiv):
            continue
        whole, parts = kit.scene.value(inner.left), kit.scene.value(inner.right)
        if not isinstance(whole, int) or not isinstance(parts, int) or parts <= 0 or whole % parts == 0:
            continue
        words = f" {ast.unparse(inner)} leaves a rest: {whole} = {parts} x {whole // parts} + {whole % parts}."
        fixes: list[Candidate] = []
        if whole == x.shape[-1] and isinstance(inner.right, ast.Attribute | ast.Name):
            near = sorted((m for m in range(2, whole) if whole % m == 0), key=lambda m: abs(m - parts))[:2]
            for m in near:
                name = ast.unparse(inner.right)
                shape = ", ".join(ast.unparse(e) for e in node.elts).replace(name, str(m))  # type: ignore[attr-defined]
                fixes.append(
                    kit.code(
                        f"{name} = {m}",
                        f"{whole} = {m} x {whole // m}",
                        trial=f"{kit.name('input')}.{kit.call.op}({shape})",
                    )
                )
        else:
            for d in range(1, x.dim()):
                if x.shape[d] == whole:
                    kept = whole - whole % parts
                    cut = ", ".join([":"] * d + [f":{kept}"])
                    fixes.append(
                        kit.code(
                            f"{kit.name('input')}[{cut}].reshape({text})",
                            f"the first {kept} of {whole}: the rest fills no whole piece",
                        )
                    )
                    pads = ", ".join(["0, 0"] * (x.dim() - 1 - d) + [f"0, {parts - whole % parts}"])
                    shape = text.replace(ast.unparse(inner), str(-(-whole // parts)))
                    fixes.append(
                        kit.code(
                            f"{kit.F}.pad({kit.name('input')}, ({pads})).reshape({shape})",
                            f"filled with zeros to {kept + parts}",
                        )
                    )
                    break
        return words, fixes
    return "", []


def _free(kit: Kit, x: Tensor, sizes: list[int]) -> Iterator[Candidate]:
    method = kit.call.op
    texts = [t.strip() for t in kit.call.names.get("shape", "").strip("()[]").split(",")]
    if len(texts) != len(sizes):
        texts = [str(s) for s in sizes]
    known = x.shape[0] if x.dim() else 1
    order = [*range(len(sizes) - 1, -1, -1)]
    name = kit.name("input")

    def written(parts: list[str]) -> str:
        return (
            f"{name}.{method}({', '.join(parts)})"
            if "." in (kit.call.callee or "x.") and not kit.call.callee.startswith(kit.torch + ".")
            else f"{kit.torch}.{method}({name}, ({', '.join(parts)}))"
        )

    for i in order:
        rest = prod(s for j, s in enumerate(sizes) if j != i and s != -1)
        if any(s == -1 for j, s in enumerate(sizes) if j != i) or rest <= 0 or x.numel() % rest:
            continue
        parts = [*texts]
        parts[i] = "-1"
        value = x.numel() // rest
        keeps = i != 0 and sizes[0] == known
        why = f"-1 becomes {value}" + ("; the batch stays the first dimension" if keeps else "")
        if i == 0:
            why += f"; the first dimension then is {value}, no longer the batch of {known}" if value != known else ""
        if i == 0 and value != known and x.dim() > 1:
            continue
        yield kit.code(written(parts), why)
    if len(sizes) == 2 and x.dim() > 2:
        yield kit.code(
            f"{name}.flatten(1)", f"one vector of {prod(x.shape[1:])} numbers for each of the {known} inputs"
        )
    if x.dim() > 1 and len(sizes) > 2 and sizes[0] != known:
        parts = [f"{name}.size(0)", *[str(s) for s in sizes[1:]]]
        places = [j for j in range(1, len(sizes)) if sizes[j] != -1]
        for j in places:
            attempt = [*parts]
            attempt[j] = "-1"
            rest = known * prod(s for k, s in enumerate(sizes) if k not in (0, j) and s != -1)
            if rest and x.numel() % rest == 0 and "-1" not in [attempt[k] for k in range(len(attempt)) if k != j]:
                yield kit.code(written(attempt), "the batch kept as it is")
                break


def permute(call: Call, scene: Scene) -> Finding | None:
    """permute names every dimension exactly once."""
    kit = Kit(call, scene)
    x, dims = call.tensor("input"), call.args.get("dims")
    if x is None or not isinstance(dims, tuple) or not all(isinstance(d, int) for d in dims):
        return None
    rank, name = x.dim(), kit.name("input")
    if len(dims) != rank:
        cause = (
            f"permute must name each dimension once: {name} {shape_text(x)} has {rank}, but {dims} names {len(dims)}."
        )
        fixes = []
        if rank == 4 and tuple(dims) in ((0, 2, 1), (0, -1, 1), (0, -1, -2)):
            fixes += kit.change(
                "input",
                "{}.flatten(2)",
                f"height and width become {x.shape[2] * x.shape[3]} places first, as tokens are",
            )
            fixes.append(kit.code(f"{name}.permute(0, 2, 3, 1)", "the channels last, height and width kept"))
        if len(dims) == rank - 1 and sorted(dims) == list(range(rank - 1)):
            order = (0, *(d + 1 for d in dims))
            fixes.append(
                kit.code(
                    f"{name}.permute{order}", "leaves dimension 0, the batch, in its place and rearranges the others"
                )
            )
        elif len(dims) == rank - 1:
            missing = [d for d in range(rank) if d not in [i % rank for i in dims]]
            order = (*missing, *dims)
            fixes.append(
                kit.code(
                    f"{name}.permute{order}", f"with the missing dimension {missing[0] if missing else ''} in front"
                )
            )
        if len(dims) == rank + 1:
            fixes += kit.change("input", "{}.unsqueeze(0)", "adds a batch of one in front")
        return Finding(cause, fixes)
    normal = [d % rank for d in dims if -rank <= d < rank]
    if len(set(normal)) != rank:
        return Finding(f"permute must name each of the dimensions 0 to {rank - 1} once, but got {dims}.")
    return None


def dimension(call: Call, scene: Scene) -> Finding | None:
    """A dimension's number lies between -rank and rank - 1."""
    kit = Kit(call, scene)
    x = call.tensor("input")
    if x is None:
        return None
    rank = x.dim() + (1 if call.op == "unsqueeze" else 0)
    name = kit.name("input")
    for argument in ("dim", "dim0", "dim1", "start_dim", "end_dim", "dims"):
        value = call.args.get(argument, getattr(call.layer, argument, None) if call.layer is not None else None)
        for d in value if isinstance(value, tuple | list) else (value,):
            if isinstance(d, int) and not isinstance(d, bool) and not -rank <= d < rank:
                shown = call.operation
                cause = f"{shown} was asked for dimension {d}, but {name} {shape_text(x)} has {x.dim()} dimension{'s' if x.dim() != 1 else ''}, numbered 0 to {rank - 1}."
                fixes = []
                if call.layer is not None:
                    fixes += kit.layer("the last dimension", **{argument: -1})
                elif argument in call.names and not isinstance(value, tuple | list):
                    fixes += kit.change(argument, "-1", "the last dimension")
                    if rank - 2 > 0:  # never along the batch
                        fixes += kit.change(argument, str(rank - 2), f"dimension {rank - 2}")
                if (
                    call.op in ("softmax", "log_softmax", "mean", "sum", "max", "argmax", "cat", "squeeze")
                    and x.dim() == 1
                ):
                    fixes += kit.change(
                        "input",
                        "{}.unsqueeze(0)",
                        "a batch of one, if the batch dimension was lost before (squeeze, or an index)",
                    )
                return Finding(cause, fixes, read_as={})
    return None


def expand(call: Call, scene: Scene) -> Finding | None:
    """expand grows dimensions of 1 alone, and adds new ones in front."""
    kit = Kit(call, scene)
    x = call.tensor("input")
    sizes = call.args.get("sizes") or call.args.get("repeats")
    if call.op == "expand_as" and call.tensor("other") is not None:
        sizes = tuple(call.tensor("other").shape)
    if x is None or not isinstance(sizes, tuple) or not all(isinstance(s, int) for s in sizes):
        return None
    name = kit.name("input")
    if len(sizes) < x.dim():
        cause = f"{call.op} to {len(sizes)} sizes {sizes} is too few for {name} {shape_text(x)}, which has {x.dim()} dimensions."
        argument = "sizes" if "sizes" in call.names else "repeats"
        texts = [t.strip() for t in call.names.get(argument, "").strip("()[]").split(",") if t.strip()]
        more = ["-1" if call.op == "expand" else "1"] * (x.dim() - len(sizes))
        whole = f"{name}.{call.op}({', '.join([*texts, *more])})"
        return Finding(
            cause,
            [kit.code(whole, "the dimensions that were not named stay as they are")]
            if len(texts) == len(sizes)
            else [],
        )
    if call.op == "repeat":
        return None
    for back in range(1, x.dim() + 1):
        if sizes[-back] not in (-1, x.shape[-back]) and x.shape[-back] != 1:
            d = x.dim() - back
            cause = f"expand can grow only dimensions of 1, but dimension {d} of {name} {shape_text(x)} is {x.shape[d]}, and {sizes[-back]} was asked for."
            fixes: list[Candidate] = []
            target = torch.empty(sizes, device="meta") if all(s >= 0 for s in sizes) else None
            if target is not None and target.dim() >= x.dim():
                from course_lib.shapes.rules.products import spread

                fixes += spread(kit, "input", x, target)
            return Finding(cause, fixes, [("input", d)])
    return None


def join(call: Call, scene: Scene) -> Finding | None:
    """cat: equal sizes but in the joined dimension; stack: equal everywhere."""
    kit = Kit(call, scene)
    tensors, dim = call.args.get("tensors"), call.args.get("dim", 0)
    name = kit.name("tensors")
    if isinstance(tensors, Tensor):
        texts = [kit.name("tensors"), call.names.get("dim", "")]
        if isinstance(call.args.get("dim"), Tensor):
            cause = (
                f"{call.op} takes one list of tensors, but {texts[0]} and {texts[1]} were given one after the other."
            )
            code = f"{kit.torch}.{call.op}([{', '.join(texts)}])"
            return Finding(cause, [kit.code(code, "the tensors in a list")])
        cause = f"{call.op} takes a list or tuple of tensors, but {name} is one tensor {shape_text(tensors)}."
        return Finding(
            cause,
            [
                kit.code(
                    f"{kit.torch}.{call.op}(tuple({name}))",
                    f"its {len(tensors) if tensors.dim() else 0} parts along dimension 0, one after the other",
                )
            ],
        )
    if not isinstance(tensors, list | tuple) or isinstance(dim, Unknown):
        return None
    if not tensors:
        return Finding(f"{call.op} got an empty list: {name} holds no tensor.", [])
    strange = next((i for i, t in enumerate(tensors) if not isinstance(t, Tensor | Unknown)), None)
    if strange is not None:
        item = tensors[strange]
        cause = f"{call.op} joins tensors, but {name}[{strange}] is a {type(item).__name__}."
        fixes = []
        if isinstance(item, int | float):
            cause = f"{call.op} joins tensors, but {name} holds plain numbers ({type(item).__name__})."
            fixes = [kit.code(f"{kit.torch}.tensor({name})", "a tensor of the numbers")]
        elif isinstance(item, tuple) and item and isinstance(item[0], Tensor):
            fixes = [
                kit.code(
                    f"{kit.torch}.{call.op}([item[0] for item in {name}]{_dim(call)})",
                    f"the first tensor of each {type(item).__name__}",
                )
            ]
        return Finding(cause, fixes)
    known = [t for t in tensors if isinstance(t, Tensor)]
    if len(known) != len(tensors):
        return None
    shapes = [tuple(t.shape) for t in known]
    first = known[0]
    ranks = {t.dim() for t in known}
    if call.op == "stack":
        other = next((i for i, s in enumerate(shapes) if s != shapes[0]), None)
        if other is None:
            return dimension(_as_input(call, torch.empty((*shapes[0], 1), device="meta")), scene)
        cause = f"stack needs tensors of one shape, but number 0 is {shape_text(first)} and number {other} is {shape_text(known[other])}."
        fixes = []
        if len(ranks) == 1 and all(s[1:] == shapes[0][1:] for s in shapes):
            fixes.append(
                kit.code(
                    f"{kit.nn}.utils.rnn.pad_sequence({name}, batch_first=True)",
                    f"pads all to the longest ({max(s[0] for s in shapes)}) with zeros: keep a mask of what is real",
                )
            )
        return Finding(cause, [*fixes, *_where_cat(kit, known, name)], [])
    if len(ranks) > 1:
        other = next(i for i, t in enumerate(known) if t.dim() != first.dim())
        cause = f"cat needs tensors with the same number of dimensions, but number 0 is {shape_text(first)} and number {other} is {shape_text(known[other])}."
        return Finding(cause, list(_same_rank(call, kit, known)))
    rank = first.dim()
    if rank == 0:
        return Finding(
            "cat cannot join tensors without dimensions; stack can.",
            [kit.code(f"{kit.torch}.stack({name})", "makes one dimension of them")],
        )
    if not -rank <= dim < rank:
        call.args["input"] = first
        cause = f"cat was asked for dimension {dim}, but the tensors have {rank}: {shape_text(first)}."
        fixes = [kit.code(f"{kit.torch}.cat({name}, dim={rank - 1})", "along the last dimension")]
        if dim == rank and len(set(shapes)) == 1:
            fixes.insert(
                0, kit.code(f"{kit.torch}.stack({name}, dim={rank})", "a new last dimension, one place for each tensor")
            )
        return Finding(cause, fixes)
    d = dim % rank
    for i, shape in enumerate(shapes):
        for e in range(rank):
            if e != d and shape[e] != shapes[0][e]:
                cause = f"cat along dimension {d} needs all other sizes equal, but in dimension {e} number 0 has {shapes[0][e]} and number {i} has {shape[e]}: {shape_text(first)} and {shape_text(known[i])}."
                fixes = [
                    *_spread_one(call, kit, known, d),
                    *_state_for_all(call, kit, known, d),
                    *_resized(call, kit, known, i, d),
                    *_transposed(call, kit, known, i, d),
                    *_where_cat(kit, known, name),
                ]
                states = {
                    f"tensors[{n}]": ("layers", "batch", "hidden") for n, t in enumerate(known) if _is_state(t, known)
                }
                return Finding(cause, fixes, [("tensors[0]", e), (f"tensors[{i}]", e)], means=states)
    return None


def _dim(call: Call) -> str:
    return f", dim={call.names['dim']}" if "dim" in call.names else ""


def _as_input(call: Call, tensor: Tensor) -> Call:
    call.args["input"] = tensor
    return call


def _where_cat(kit: Kit, known: list[Tensor], name: str) -> Iterator[Candidate]:
    shapes = [tuple(t.shape) for t in known]
    rank = len(shapes[0])
    if any(len(s) != rank for s in shapes):
        return
    differing = [e for e in range(rank) if len({s[e] for s in shapes}) > 1]
    if len(differing) == 1:
        e = differing[0]
        sizes = " + ".join(str(s[e]) for s in shapes[:4]) + (" + ..." if len(shapes) > 4 else "")
        yield kit.code(
            f"{kit.torch}.cat({name}, dim={e})",
            f"along dimension {e}, the only one in which they differ: {sizes} = {sum(s[e] for s in shapes)}",
        )


def _spread_one(call: Call, kit: Kit, known: list[Tensor], d: int) -> Iterator[Candidate]:
    """One tensor with a 1 where another has more: repeated."""
    items = _items(kit)
    if items is None or len(items) != len(known):
        return
    rank = known[0].dim()
    target = [max(t.shape[e] for t in known) for e in range(rank)]
    changed = [*items]
    for i, t in enumerate(known):
        wrong = [e for e in range(rank) if e != d and t.shape[e] != target[e]]
        if any(t.shape[e] != 1 for e in wrong):
            return
        if wrong:
            changed[i] = f"{items[i]}.expand({', '.join(str(target[e]) if e in wrong else '-1' for e in range(rank))})"
    yield kit.code(
        f"{kit.torch}.cat([{', '.join(changed)}]{_dim(call)})", "the one with a dimension of 1 repeated along it"
    )


def _is_state(tensor: Tensor, others: list[Tensor]) -> bool:
    """(1, B, H) beside (B, T, H): the state of a recurrent layer beside its outputs."""
    return (
        tensor.dim() == 3
        and tensor.shape[0] == 1 < tensor.shape[1]
        and any(t.dim() == 3 and t.shape[0] == tensor.shape[1] != t.shape[1] for t in others)
    )


def _state_for_all(call: Call, kit: Kit, known: list[Tensor], d: int) -> Iterator[Candidate]:
    """The state of each text beside the output at each of its tokens."""
    items = _items(kit)
    if items is None or len(items) != len(known) or d != 2:
        return
    tokens = next((t.shape[1] for t in known if not _is_state(t, known)), 1)
    changed = [
        f"{item}.transpose(0, 1).expand(-1, {tokens}, -1)" if _is_state(t, known) else item
        for item, t in zip(items, known, strict=True)
    ]
    if changed != items:
        yield kit.code(
            f"{kit.torch}.cat([{', '.join(changed)}]{_dim(call)})",
            f"the state of each text, (1, batch, hidden), beside each of its {tokens} tokens",
        )


def _resized(call: Call, kit: Kit, known: list[Tensor], i: int, d: int) -> Iterator[Candidate]:
    """Maps of different height and width, as a U-Net's skip connections give them."""
    items = _items(kit)
    rank = known[0].dim()
    if (
        items is None
        or len(items) != len(known)
        or rank not in (4, 5)
        or d != 1
        or not known[i].dtype.is_floating_point
    ):
        return
    if known[0].shape[0] != known[i].shape[0]:
        return
    changed = [*items]
    changed[i] = f"{kit.F}.interpolate({items[i]}, size={items[0]}.shape[2:])"
    yield kit.code(
        f"{kit.torch}.cat([{', '.join(changed)}]{_dim(call)})",
        f"resizes {items[i]} to {shape_text(known[0].shape[2:])}; padding or cropping by the difference does it too",
    )


def _transposed(call: Call, kit: Kit, known: list[Tensor], i: int, d: int) -> Iterator[Candidate]:
    items = _items(kit)
    if items is None or len(items) != len(known):
        return
    rank = known[0].dim()
    for a in range(rank):
        for b in range(a + 1, rank):
            shape = list(known[i].shape)
            shape[a], shape[b] = shape[b], shape[a]
            if all(shape[e] == known[0].shape[e] for e in range(rank) if e != d):
                changed = [*items]
                changed[i] = f"{items[i]}.transpose({a}, {b})"
                yield kit.code(
                    f"{kit.torch}.cat([{', '.join(changed)}], dim={d})", f"swaps dimensions {a} and {b} of {items[i]}"
                )


def _items(kit: Kit) -> list[str] | None:
    import ast

    try:
        node = ast.parse(kit.name("tensors"), mode="eval").body
    except SyntaxError:
        return None
    return [ast.unparse(e) for e in node.elts] if isinstance(node, ast.List | ast.Tuple) else None


def _same_rank(call: Call, kit: Kit, known: list[Tensor]) -> Iterator[Candidate]:
    items = _items(kit)
    if items is None or len(items) != len(known):
        return
    high = max(t.dim() for t in known)
    big = next(t for t in known if t.dim() == high)
    dim = call.args.get("dim", 0)
    for d in dict.fromkeys((dim % high if isinstance(dim, int) else 0, 0, 1, high - 1)):
        changed, fits = [*items], True
        for i, tensor in enumerate(known):
            if tensor.dim() == high - 1:
                changed[i] = f"{items[i]}.unsqueeze({d})"
                shape = list(tensor.shape)
                shape.insert(d, 1)
                fits &= all(shape[e] == big.shape[e] for e in range(high) if e != dim % high)
            elif tensor.dim() < high:
                fits = False
        if fits:
            yield kit.code(
                f"{kit.torch}.cat([{', '.join(changed)}]{_dim(call)})",
                f"a dimension of 1 in place {d} for the smaller one",
            )
    small = min(known, key=lambda t: t.dim())
    if small.dim() == 2 and dim % 2 == 1 and high >= 3 and all(t.shape[0] == small.shape[0] for t in known):
        for method, why in _to_vectors(high):
            changed = [f"{item}{method}" if t.dim() == high else item for item, t in zip(items, known, strict=True)]
            yield kit.code(f"{kit.torch}.cat([{', '.join(changed)}]{_dim(call)})", why)
    if small.dim() == 2 and high == 3 and dim % high == 2 and small.shape[0] == big.shape[0]:
        changed = [
            f"{item}.unsqueeze(1).expand(-1, {big.shape[1]}, -1)" if t is small else item
            for item, t in zip(items, known, strict=True)
        ]
        yield kit.code(
            f"{kit.torch}.cat([{', '.join(changed)}]{_dim(call)})",
            f"the one vector of each input repeated for all {big.shape[1]} places",
        )


def _to_vectors(rank: int) -> list[tuple[str, str]]:
    """Ways from tokens or maps to one vector an input."""
    if rank == 3:
        return [(".mean(dim=1)", "the mean over the places: one vector an input"), ("[:, 0]", "the first place alone")]
    places = f"({', '.join(map(str, range(2, rank)))})"
    return [
        (f".mean(dim={places})", "the mean of each channel over all places: one vector an input"),
        (".flatten(1)", "all numbers of an input in one row"),
    ]


def index(call: Call, scene: Scene) -> Finding | None:
    """As many indices as dimensions at most; each within its size."""
    kit = Kit(call, scene)
    x, where = call.args.get("input"), call.args.get("index")
    name = kit.name("input")
    if isinstance(x, Tensor) and not isinstance(where, Unknown):
        items = where if isinstance(where, tuple) else (where,)
        used = sum(
            i.dim() if isinstance(i, Tensor) and i.dtype == torch.bool else 1
            for i in items
            if i is not None and i is not Ellipsis
        )
        if x.dim() == 0:
            return Finding(
                f"{name} is a single number without dimensions and cannot be indexed.",
                [kit.code(f"{name}.item()", "its value as a Python number", trial=f"{name}.sum()")],
            )
        if used > x.dim():
            cause = f"{kit.name('index')} indexes {used} dimensions, but {name} {shape_text(x)} has {x.dim()}."
            fixes = []
            made = kit.definition(name)
            source = f"{name} {ast.unparse(made) if made is not None else ''}"
            pooled = "pool" in source and x.dim() == 2
            if pooled:
                cause += " A pooled output is one vector for each text already; the tokens are in last_hidden_state."
            record = provenance_of(scene, call).found.get("input")
            came = record.parents[0] if record is not None and record.parents else None
            if came is not None and isinstance(record.layer, nn.RNNBase) and len(came.shape) == 2:
                cause += (
                    f" {type(record.layer).__name__} was given {shape_text(came.shape)}: without a dimension of tokens it "
                    f"reads the {came.shape[0]} inputs as the {came.shape[0]} tokens of one text."
                )
                means = {"input": ("tokens", "hidden")}
                return Finding(cause, list(_all_tokens(kit, scene)), means=means)
            if pooled or (x.dim() == 2 and used == 3 and isinstance(where, tuple) and isinstance(where[1], int)):
                fixes.append(kit.code(name, f"as it is: one vector of {x.shape[1]} for each of the {x.shape[0]}"))
            texts = [t.strip() for t in kit.name("index").split(",")]
            if len(texts) == used and ":" in texts:
                shorter = texts.copy()
                shorter.reverse()
                shorter.remove(":")
                shorter.reverse()
                fixes.append(kit.code(f"{name}[{', '.join(shorter)}]", "one index less"))
            return Finding(cause, fixes)
        pairs = [(n, i) for n, i in enumerate(items) if isinstance(i, Tensor) and i.dtype != torch.bool and i.dim()]
        try:
            torch.broadcast_shapes(*(i.shape for _, i in pairs))
        except RuntimeError:
            texts = _index_texts(kit, len(items))
            shown = ", ".join(f"{texts[n]} is {shape_text(i)}" for n, i in pairs)
            return Finding(f"Indices are paired place by place, so their shapes must agree, but {shown}.")
        d = 0
        for position, item in enumerate(items):
            if item is None or item is Ellipsis:
                continue
            if isinstance(item, int) and not isinstance(item, bool) and not -x.shape[d] <= item < x.shape[d]:
                cause = f"Index {item} is outside dimension {d} of {name} {shape_text(x)}, which has {x.shape[d]} places, 0 to {x.shape[d] - 1}."
                texts = [t.strip() for t in kit.name("index").split(",")]
                fixes = list(_other_direction(call, scene, item)) if d == 0 else []
                if position < len(texts) and len(texts) == len(items):
                    texts[position] = "-1"
                    fixes.append(kit.code(f"{name}[{', '.join(texts)}]", f"the last place of dimension {d}"))
                return Finding(cause, fixes, [("input", d)])
            if isinstance(item, Tensor):
                if item.dtype == torch.bool:
                    if tuple(item.shape) != tuple(x.shape[d : d + item.dim()]):
                        cause = f"A mask must have the sizes of what it picks from: it is {shape_text(item)}, and {name} {shape_text(x)} has {shape_text(x.shape[d : d + item.dim()])} there."
                        fixes = []
                        text = kit.name("index")
                        if item.dim() == 2 and tuple(item.shape[::-1]) == tuple(x.shape[d : d + 2]) and len(items) == 1:
                            fixes.append(kit.code(f"{name}[{text}.T]", "the mask with its dimensions swapped"))
                        if item.dim() > 1 and item.shape[-1] == 1 and len(items) == 1:
                            fixes.append(
                                kit.code(
                                    f"{name}[{text}.squeeze(-1)]",
                                    "the mask without its dimension of 1",
                                    needs_values=True,
                                )
                            )
                        return Finding(cause, fixes)
                    d += item.dim()
                    continue
                if item.dtype.is_floating_point:
                    text = kit.name("index")
                    fixes = (
                        [kit.code(f"{name}[{text}.long()]", "whole numbers as indices", needs_values=True)]
                        if len(items) == 1
                        else []
                    )
                    return Finding(
                        f"An index must be whole numbers or bool, but {text} is {str(item.dtype).removeprefix('torch.')}.",
                        fixes,
                    )
                low, high = extremes(item)
                if high is not None and (high >= x.shape[d] or low < -x.shape[d]):
                    worst = high if high >= x.shape[d] else low
                    texts = _index_texts(kit, len(items))
                    fixes = []
                    if high == x.shape[d] and low >= 1:
                        changed = [f"{t} - 1" if n == position else t for n, t in enumerate(texts)]
                        fixes.append(
                            kit.code(
                                f"{name}[{', '.join(changed)}]",
                                "places are counted from 0: a length is one more than the last place",
                                needs_values=True,
                            )
                        )
                    return Finding(
                        f"Index {worst} in {texts[position]} is outside dimension {d} of {name} {shape_text(x)}, which has {x.shape[d]} places, 0 to {x.shape[d] - 1}.",
                        fixes,
                    )
            d += 1
    return None


def _all_tokens(kit: Kit, scene: Scene) -> Iterator[Candidate]:
    """The vectors of all tokens from an encoder, in the line that took its one pooled vector."""
    function = scene.site_frame.function
    for node in ast.walk(function) if function is not None else ():
        if not isinstance(node, ast.Assign) or len(node.targets) != 1 or node.lineno >= scene.site_frame.line:
            continue
        value = node.value
        if isinstance(value, ast.Subscript) and ast.unparse(value.slice) == "1":
            text = f"{ast.unparse(value.value)}[0]"
        elif isinstance(value, ast.Attribute) and value.attr == "pooler_output":
            text = f"{ast.unparse(value.value)}.last_hidden_state"
        else:
            continue
        called = value.value
        ids = (
            [scene.value(a) for a in (*called.args, *(k.value for k in called.keywords))]
            if isinstance(called, ast.Call)
            else []
        )
        width = provenance_of(scene, kit.call).facts["widths"]
        first = next((t for t in ids if isinstance(t, Tensor) and t.dim() == 2 and not t.is_floating_point()), None)
        if first is not None and len(width) == 1:
            tokens = torch.empty(*first.shape, *width, device="meta")
            why = f"the vectors of all {first.shape[1]} tokens, not the one pooled vector of each text"
            yield Candidate(
                f"{ast.unparse(node.targets[0])} = {text}", why, reread={ast.unparse(value): tokens}, earlier=True
            )


def _other_direction(call: Call, scene: Scene, item: int) -> Iterator[Candidate]:
    """`hidden[-2]` beside `hidden[-1]`: the last states of both directions, of a layer that has only one."""
    record = provenance_of(scene, call).found.get("input")
    layer = record.layer if record is not None else None
    if (
        not isinstance(layer, nn.RNNBase)
        or layer.bidirectional
        or item not in (-2, 1)
        or not record.sizes.get("output")
    ):
        return
    why = "two directions: hidden[-2] and hidden[-1] are their last states; the weights of the second one are new"
    yield from instead(scene, layer, why, bidirectional=True)


def _index_texts(kit: Kit, count: int) -> list[str]:
    """The source of each part of an index."""
    import ast

    try:
        node = ast.parse(f"x[{kit.name('index')}]", mode="eval").body.slice  # type: ignore[attr-defined]
    except SyntaxError:
        node = None
    parts = node.elts if isinstance(node, ast.Tuple) else [node] if node is not None else []
    return [ast.unparse(p) for p in parts] if len(parts) == count else [kit.name("index")] * count


def extremes(tensor: Tensor) -> tuple[int, int] | tuple[None, None]:
    """The smallest and the largest value, where there are values."""
    if tensor.device.type == "meta" or not tensor.numel() or tensor.dtype.is_complex:
        return None, None
    low, high = tensor.detach().aminmax()
    return low.item(), high.item()


def gathering(call: Call, scene: Scene) -> Finding | None:
    """gather and its like: an index of whole numbers, with as many dimensions as the input, within the size."""
    kit = Kit(call, scene)
    x, at, dim = call.tensor("input"), call.tensor("index"), call.args.get("dim", 0)
    if x is None or at is None or not isinstance(dim, int):
        return None
    name, idx = kit.name("input"), kit.name("index")
    if at.dtype not in (torch.int64, torch.int32):
        return Finding(f"{call.op} needs whole numbers (int64) as its index, but {idx} is {str(at.dtype).removeprefix('torch.')}.",
                       list(kit.change("index", "{}.long()", "turns them into int64", needs_values=True)))  # fmt: skip
    if call.op in ("gather", "scatter", "scatter_add", "take_along_dim"):
        if at.dim() != x.dim():
            cause = f"{call.op} needs an index with as many dimensions as the input: {idx} is {shape_text(at)}, {name} is {shape_text(x)}."
            fixes = []
            src = call.tensor("src")
            d = dim % x.dim()
            if (
                at.dim() == 1
                and src is not None
                and src.dim() == x.dim()
                and src.shape[d] == at.shape[0]
                and x.dim() > 1
            ):
                ones = ", ".join(":" if e == d else "None" for e in range(x.dim()))
                fixes += kit.change(
                    "index",
                    f"{{}}[{ones}].expand_as({kit.name('src')})",
                    "the same place for all numbers of a row",
                    needs_values=True,
                )
                if call.op == "scatter_add":
                    fixes.append(
                        kit.code(
                            f"{name}.index_add({d}, {idx}, {kit.name('src')})",
                            "the same, for whole rows",
                            needs_values=True,
                        )
                    )
            elif at.dim() == x.dim() - 1 and tuple(at.shape) == (*x.shape[:d], *x.shape[d + 1 :]):
                fixes += kit.change(
                    "index",
                    f"{{}}.unsqueeze({d})",
                    f"one place of dimension {d} for each; squeeze({d}) the result",
                    needs_values=True,
                )
            if at.dim() == 1 and x.dim() == 3:
                fixes += kit.change(
                    "index",
                    f"{{}}[:, None, None].expand(-1, 1, {x.shape[2]})",
                    "the same place for all features",
                    needs_values=True,
                )
            if at.dim() == 2 and x.dim() == 3:
                fixes += kit.change(
                    "index",
                    f"{{}}[:, :, None].expand(-1, -1, {x.shape[2]})",
                    "the same places for all features",
                    needs_values=True,
                )
            return Finding(cause, fixes)
        d = dim % x.dim()
        for e in range(x.dim()):
            if e != d and at.shape[e] > x.shape[e]:
                cause = f"Outside dimension {d} the index may be no larger than the input, but in dimension {e} {idx} has {at.shape[e]} and {name} has {x.shape[e]}."
                fixes = (
                    []
                    if at.shape[::-1] != x.shape[::-1][::-1] or at.dim() != 2
                    else list(kit.change("index", "{}.T", "rows and columns swapped", needs_values=True))
                )
                if at.dim() == 2 and at.shape[1] == x.shape[0]:
                    fixes += kit.change("index", "{}.T", "rows and columns of the index swapped", needs_values=True)
                if at.dim() == 2 and x.dim() == 2 and at.shape[0] == 1:
                    fixes += kit.change("index", "{}.T", "one column", needs_values=True)
                return Finding(cause, fixes)
    if call.op == "index_select" and at.dim() > 1:
        cause = f"index_select takes one row of indices, but {idx} {shape_text(at)} has {at.dim()} dimensions."
        fixes = []
        places = ":, " * (dim % x.dim())
        fixes.append(
            kit.code(
                f"{name}[{places}{idx}]",
                f"indexing takes any shape: {shape_text((*x.shape[: dim % x.dim()], *at.shape, *x.shape[dim % x.dim() + 1 :]))}",
                needs_values=True,
            )
        )
        fixes += kit.change("index", "{}.flatten()", "all of them in one row", needs_values=True)
        return Finding(cause, fixes)
    low, high = extremes(at)
    if high is not None and x.dim() and (high >= x.shape[dim % x.dim()] or low < 0):
        d = dim % x.dim()
        worst = high if high >= x.shape[d] else low
        return Finding(
            f"{idx} holds {worst}, but dimension {d} of {name} {shape_text(x)} has the places 0 to {x.shape[d] - 1}.",
            [],
            [("input", d)],
        )
    return None


def splitting(call: Call, scene: Scene) -> Finding | None:
    """The parts must add up to the whole."""
    kit = Kit(call, scene)
    x, sizes, dim = (
        call.tensor("input"),
        call.args.get("sizes", call.args.get("split_size_or_sections")),
        call.args.get("dim", 0),
    )
    if x is None or not isinstance(dim, int) or not x.dim():
        return None
    if not -x.dim() <= dim < x.dim():
        return dimension(call, scene)
    name = kit.name("input")
    if isinstance(sizes, list | tuple) and all(isinstance(s, int) for s in sizes) and sum(sizes) != x.shape[dim]:
        d = dim % x.dim()
        cause = f"split into {' + '.join(map(str, sizes))} = {sum(sizes)}, but dimension {d} of {name} {shape_text(x)} is {x.shape[d]}."
        fixes = []
        for e in range(x.dim()):
            if x.shape[e] == sum(sizes):
                fixes.append(
                    kit.code(f"{name}.split({list(sizes)}, dim={e})", f"along dimension {e}, which is {sum(sizes)}")
                )
        rest = x.shape[d] - sum(sizes[:-1])
        if rest > 0:
            fixes.append(kit.code(f"{name}.split({[*sizes[:-1], rest]}, dim={d})", f"the last part is {rest}"))
        return Finding(cause, fixes, [("input", d)])
    return None


def unflatten(call: Call, scene: Scene) -> Finding | None:
    """The new sizes multiply to the old one."""
    kit = Kit(call, scene)
    x, dim = call.tensor("input"), call.get("dim")
    sizes = call.args.get("sizes", getattr(call.layer, "unflattened_size", None))
    if x is None or not isinstance(dim, int) or not isinstance(sizes, tuple | list) or not -x.dim() <= dim < x.dim():
        return dimension(call, scene)
    sizes = tuple(sizes)
    if -1 not in sizes and prod(sizes) != x.shape[dim]:
        cause = f"unflatten to {' x '.join(map(str, sizes))} = {prod(sizes)}, but dimension {dim % x.dim()} of {kit.name('input')} {shape_text(x)} is {x.shape[dim]}."
        fixes = []
        for i in range(len(sizes) - 1, -1, -1):
            new = tuple(-1 if j == i else s for j, s in enumerate(sizes))
            rest = -prod(new)
            if x.shape[dim] % rest == 0:
                if call.layer is not None:
                    fixes += kit.layer(f"-1 becomes {x.shape[dim] // rest}", text=f"{kit.nn}.Unflatten({dim}, {new})")
                else:
                    fixes += kit.change("sizes", repr(new), f"-1 becomes {x.shape[dim] // rest}")
        place = dim % x.dim()
        return Finding(cause, fixes, [("input", place)], wanted=("input", place, prod(sizes)))
    return None


def assignment(call: Call, scene: Scene) -> Finding | None:
    """What is written must fit the part that it is written to."""
    kit = Kit(call, scene)
    x, value = call.tensor("input"), call.tensor("value")
    if x is None:
        return None
    place = f"{kit.name('input')}[{kit.name('index')}]"
    where = call.args.get("index")
    try:
        part = torch.empty(x.shape, device="meta")[where] if not isinstance(where, Unknown) else None
    except (IndexError, RuntimeError, TypeError):
        return index(call, scene)
    if part is None or value is None:
        return None
    call.args["part"] = part
    call.names["part"] = place
    try:
        fits = torch.broadcast_shapes(part.shape, value.shape) == part.shape
    except RuntimeError:
        fits = False
    if fits:
        return None
    cause = f"{place} is {shape_text(part)}, and {kit.name('value')} {shape_text(value)} cannot be spread over it."
    fixes = []
    names = kit.name("value")
    for d, size in enumerate(value.shape):
        if size == 1 and tuple(value.shape[:d] + value.shape[d + 1 :]) == tuple(part.shape):
            fixes.append(kit.code(f"{place} = {names}.squeeze({d})", f"drops dimension {d}, which is 1"))
    for text, why in ((f"{names}.squeeze()", "without its dimensions of 1"), (f"{names}.T", "rows and columns swapped"),
                      (f"{names}.unsqueeze(-1)", "with a last dimension of 1")):  # fmt: skip
        try:
            changed = (
                value.squeeze()
                if "squeeze()" in text
                else value.t()
                if text.endswith("T") and value.dim() == 2
                else value.unsqueeze(-1)
            )
            if torch.broadcast_shapes(part.shape, changed.shape) == part.shape and not (fixes and "squeeze()" in text):
                fixes.append(kit.code(f"{place} = {text}", why))
        except RuntimeError:
            continue
    differ = [d for d in range(part.dim()) if part.dim() == value.dim() and part.shape[d] != value.shape[d]]
    if len(differ) == 1 and value.shape[differ[0]] > part.shape[differ[0]] > 0:
        d = differ[0]
        cut = ", ".join([":"] * d + [f":{part.shape[d]}"])
        if part.shape[d] == x.shape[d]:
            cause += f" {kit.name('input')} has only {x.shape[d]} places in dimension {d}: make it larger, or cut what is written."
        fixes.append(kit.code(f"{place} = {names}[{cut}]", f"the first {part.shape[d]} of {value.shape[d]}"))
    return Finding(cause, fixes)


def tensor_of(call: Call, scene: Scene) -> Finding | None:
    """torch.tensor takes numbers in a rectangular nesting."""
    kit = Kit(call, scene)
    data, name = call.args.get("data"), kit.name("data")
    if not isinstance(data, list | tuple) or not data:
        return None
    if all(isinstance(d, Tensor) for d in data):
        cause = f"{call.op} builds a tensor from numbers, but {name} is a {type(data).__name__} of {len(data)} tensors {shape_text(data[0])}."
        return Finding(
            cause, [kit.code(f"{kit.torch}.stack({name})", "puts the tensors side by side in a new first dimension")]
        )
    lengths = [len(d) for d in data if isinstance(d, list | tuple)]
    if len(set(lengths)) > 1:
        cause = (
            f"{call.op} needs rows of one length, but those of {name} have {', '.join(map(str, sorted(set(lengths))))}."
        )
        code = f"{kit.nn}.utils.rnn.pad_sequence([{kit.torch}.tensor(row) for row in {name}], batch_first=True)"
        return Finding(
            cause,
            [kit.code(code, f"pads all rows to the longest ({max(lengths)}) with zeros; keep a mask of what is real")],
        )
    strange = next((d for d in _flat(data) if not isinstance(d, int | float | bool | complex)), None)
    if isinstance(strange, str):
        return Finding(
            f"{call.op} takes numbers, but {name} holds text: {strange[:30]!r}. Texts become numbers in a tokenizer, class names through a dictionary."
        )
    if strange is None and None in data:
        return Finding(f"{call.op} takes numbers, but {name} holds None.")
    return None


def _flat(data: Any) -> Iterator[Any]:
    for item in data:
        if isinstance(item, list | tuple):
            yield from _flat(item)
        else:
            yield item


def one_number(call: Call, scene: Scene) -> Finding | None:
    """item, and `if tensor:`, need exactly one number."""
    kit = Kit(call, scene)
    x, name = call.args.get("input"), kit.name("input")
    if not isinstance(x, Tensor) or x.numel() == 1:
        return None
    if call.op in ("item", "float", "int"):
        cause = f"{call.op}() needs exactly one number, but {name} {shape_text(x)} has {x.numel()}."
        return Finding(
            cause,
            [
                kit.code(f"{name}.mean().item()", "the mean of all", trial=f"{name}.mean()"),
                kit.code(f"{name}.tolist()", "a list of all of them", trial=f"{name}.sum()"),
            ],
        )
    cause = f"A condition needs one True or False, but {name} {shape_text(x)} has {x.numel()} of them."
    return Finding(
        cause, [kit.code(f"({name}).all()", "whether all are true"), kit.code(f"({name}).any()", "whether any is true")]
    )


def one_hot(call: Call, scene: Scene) -> Finding | None:
    """Classes from 0 to num_classes - 1, as int64."""
    kit = Kit(call, scene)
    x, count = call.tensor("input"), call.args.get("num_classes", -1)
    if x is None:
        return None
    name = kit.name("input")
    if x.dtype != torch.int64:
        return Finding(
            f"one_hot needs int64, but {name} is {str(x.dtype).removeprefix('torch.')}.",
            list(kit.change("input", "{}.long()", "turns the classes into int64", needs_values=True)),
        )
    low, high = extremes(x)
    if low is not None and low < 0:
        return Finding(
            f"one_hot needs classes from 0, but {name} holds {low}.",
            list(
                kit.change(
                    "input",
                    "{}.clamp(min=0)",
                    "counts the marked places as class 0: mask them afterwards",
                    needs_values=True,
                )
            ),
        )
    if high is not None and isinstance(count, int) and 0 < count <= high:
        return Finding(f"one_hot with {count} classes has places for 0 to {count - 1}, but {name} holds {high}.",
                       [*kit.change("num_classes", str(high + 1), f"places for all classes up to {high}", needs_values=True),
                        *([*kit.change("input", "{} - 1", "if the classes are counted from 1", needs_values=True)] if low is not None and low >= 1 and high == count else [])])  # fmt: skip
    return None


def padding(call: Call, scene: Scene) -> Finding | None:
    """reflect and replicate pad the last dimensions; reflect by less than their size."""
    x, pads = call.tensor("input"), call.args.get("pad", getattr(call.layer, "padding", None))
    if x is not None and isinstance(pads, tuple | list) and call.layer is None:
        kit, found = Kit(call, scene), None
        given = tuple(pads)
        if len(given) % 2:
            found = (
                f"pad takes two numbers for each dimension, the last dimension first, but {given} holds {len(given)}."
            )
            fixes = [
                *kit.change(
                    "pad",
                    repr((*given, 0)),
                    f"{given[-1]} in front in dimension {x.dim() - 1 - len(given) // 2}, and nothing behind",
                ),
                *kit.change("pad", repr(given[:-1]), "without the last number"),
            ]
        elif len(given) > 2 * x.dim():
            found = f"pad takes at most two numbers for each of the {x.dim()} dimensions of {kit.name('input')} {shape_text(x)}, but {given} holds {len(given)}."
            fixes = list(
                kit.change("pad", repr(given[: 2 * x.dim()]), "the first of them: the last dimension comes first")
            )
        if found is not None:
            return Finding(found, fixes)
    if x is None or not isinstance(pads, tuple | list) or not re.search("[Pp]adding|dim", scene.text):
        return None
    kit = Kit(call, scene)
    for i in range(len(pads) // 2):
        size = x.shape[-1 - i] if i < x.dim() else 0
        if max(pads[2 * i : 2 * i + 2]) >= size and "less than" in scene.text:
            return Finding(
                f"{call.operation} by reflection needs less than the size itself: {max(pads[2 * i : 2 * i + 2])} for {size} in dimension {x.dim() - 1 - i} of {kit.name('input')} {shape_text(x)}.",
                [],
                [("input", x.dim() - 1 - i)],
            )
    return None


def collate(call: Call, scene: Scene) -> Finding | None:
    """A DataLoader stacks the examples of a batch."""
    found = join(Call("stack", "stack", call.args, {"tensors": "batch"}), scene)
    if found is None:
        return None
    found.cause = f"The DataLoader joins the examples of a batch with stack, which needs one shape: {found.cause.split('but ')[-1]}"
    tensors = call.args["tensors"]
    found.fixes = []
    if all(t.dim() == tensors[0].dim() and t.shape[1:] == tensors[0].shape[1:] for t in tensors) and tensors[0].dim():
        code = _collating(call.examples or tensors)
        if code is not None:
            found.fixes = [
                Candidate(
                    f"collate_fn=lambda batch: {code}",
                    "pads the texts of a batch with 0 to the longest of them (labels of tokens: with -100)",
                    trial="torch.nn.utils.rnn.pad_sequence(batch, batch_first=True)",
                    given={"batch": tensors},
                )
            ]
    return found


def _collating(examples: Sequence[Any]) -> str | None:
    """Source that makes a batch of examples of different lengths: tensors, tuples of them, or dictionaries."""
    first = examples[0]
    pad = "torch.nn.utils.rnn.pad_sequence({}, batch_first=True)"

    def field(value: Any, items: str) -> str | None:
        if isinstance(value, Tensor):
            return pad.format(items) if value.dim() else f"torch.stack({items})"
        return f"torch.tensor({items})" if isinstance(value, int | float) else None

    if isinstance(first, Tensor):
        return pad.format("batch")
    if isinstance(first, tuple | list):
        parts = [field(value, f"[item[{i}] for item in batch]") for i, value in enumerate(first)]
        return f"({', '.join(p for p in parts if p)})" if all(parts) else None
    if isinstance(first, dict):
        kinds = {key: field(value, f"[item[{key!r}] for item in batch]") for key, value in first.items()}
        return f"{{{', '.join(f'{key!r}: {text}' for key, text in kinds.items())}}}" if all(kinds.values()) else None
    return None


def load_state(call: Call, scene: Scene) -> Finding | None:
    """load_state_dict: the same names and the same shapes."""
    model, state = call.args["model"], call.args["state_dict"]
    own = {name: tuple(value.shape) for name, value in (*model.named_parameters(), *model.named_buffers())}
    given = {name: tuple(value.shape) for name, value in state.items() if isinstance(value, Tensor)}
    other = [name for name in own if name in given and own[name] != given[name]]
    missing, strange = [n for n in own if n not in given], [n for n in given if n not in own]
    if other:
        cause = (
            f"{other[0]} is {shape_text(own[other[0]])} in the model and {shape_text(given[other[0]])} in the file"
            + (f", and {len(other) - 1} more differ{'s' * (len(other) == 2)}" if len(other) > 1 else "")
            + ": the model was built with other sizes."
        )
        return Finding(cause, list(_reloaded(call, scene, given, other)))
    if missing and strange and all(n.split(".", 1)[-1] in own for n in strange):
        prefix = strange[0].split(".", 1)[0]
        cause = f"The names in the file begin with {prefix!r}, those of the model do not: it was saved from a model that holds this one (DataParallel, a head)."
        return Finding(cause)
    if missing or strange:
        parts = [
            f"{len(names)} {word} ({', '.join(names[:3])}{' ...' if len(names) > 3 else ''})"
            for names, word in ((missing, "missing in the file"), (strange, "unknown to the model"))
            if names
        ]
        return Finding(f"The names in the file and in the model differ: {'; '.join(parts)}.")
    return None


def _reloaded(call: Call, scene: Scene, given: dict, other: list[str]) -> Iterator[Candidate]:
    """The layers as the file has them; or the file without what does not fit."""
    import ast

    from course_lib.shapes.operations import join_path
    from course_lib.shapes.rules.finding import construct

    node = scene.site_frame.node
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
        return
    model, state = ast.unparse(node.func.value), ast.unparse(node.args[0])
    lines = []
    for path in dict.fromkeys(name.rpartition(".")[0] for name in other):
        layer = call.args["model"].get_submodule(path)
        shape = given.get(f"{path}.weight")
        if isinstance(layer, torch.nn.Linear) and shape is not None:
            changes = {"out_features": shape[0], "in_features": shape[1]}
        elif isinstance(layer, torch.nn.Embedding) and shape is not None:
            changes = {"num_embeddings": shape[0], "embedding_dim": shape[1]}
        else:
            lines = []
            break
        lines.append(
            f"{join_path(model, path, call.args['model']) if path else model} = {construct(scene, layer, **changes)}"
        )
    if 0 < len(lines) <= 3:
        yield Candidate(
            "\n".join(lines),
            "as large as in the file: right if the file's model is the one that is meant",
            checked=True,
        )
    if len(other) <= 4 and "strict" not in scene.site_frame.text():
        left = ", ".join(map(repr, other))
        yield Candidate(
            f"{model}.load_state_dict({{name: value for name, value in {state}.items() if name not in ({left},)}}, strict=False)",
            "everything that fits; these keep the weights that the model began with, and must be trained",
            checked=True,
        )


RULES = {
    "collate": collate, "load_state_dict": load_state, "view": view, "reshape": view, "permute": permute, "expand": expand, "repeat": expand, "expand_as": expand,
    **dict.fromkeys(("transpose", "squeeze", "unsqueeze", "flatten", "softmax", "log_softmax", "sum", "mean", "max", "min", "argmax", "argmin", "amax", "amin", "std", "var", "norm", "cumsum", "sort", "argsort", "topk", "unbind", "chunk", "flip", "logsumexp", "any", "all", "normalize", "select", "softmin", "unfold", "prod", "size", "narrow", "median", "glu", "roll"), dimension),
    "cat": join, "stack": join, "hstack": join, "vstack": join, "getitem": index, "setitem": assignment, "split": splitting,
    **dict.fromkeys(("gather", "scatter", "scatter_add", "index_select", "index_add", "take_along_dim"), gathering),
    "unflatten": unflatten, "tensor": tensor_of, "as_tensor": tensor_of, "FloatTensor": tensor_of, "LongTensor": tensor_of,
    "item": one_number, "truth": one_number, "float": one_number, "int": one_number, "one_hot": one_hot, "pad": padding,
}  # fmt: skip
