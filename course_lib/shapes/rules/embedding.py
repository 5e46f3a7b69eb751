"""Tables looked up by number: tokens, positions, segments."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import torch
from torch import Tensor

from course_lib.shapes.frames import names_in_scope
from course_lib.shapes.operations import Call, Scene, existing, join_path
from course_lib.shapes.rules.finding import Candidate, Finding, Kit, in_users_call, shape_text
from course_lib.shapes.rules.reshaping import extremes
from course_lib.shapes.standins import Raised, Stage, Unknown

_POSITION = re.compile(r"position|(?<![a-z])pos(?!itiv)|wpe|(?<![a-z])places?(?![a-z])", re.I)
_TYPE = re.compile(r"type|seg", re.I)
_TOKEN = re.compile(r"word|tok|vocab|wte|input_ids", re.I)


def _table(text: str, ids: Tensor) -> tuple[str, str]:
    """What a table holds, by the names about it and by the numbers looked up: (words for its rows, kind)."""
    if _POSITION.search(text):
        return "positions", "position"
    if _TYPE.search(text):
        return "token types", "type"
    counted = "arange" in text or _counted(ids)
    if _TOKEN.search(text):
        return "tokens", "row" if counted else "token"  # named tokens, but counted like places: no advice on either
    return ("positions", "position") if counted else ("rows", "row")


def _counted(ids: Tensor) -> bool:
    """Whether every row of the ids is 0, 1, 2 and so on: positions rather than tokens."""
    if ids.dim() == 0 or ids.shape[-1] < 2 or ids.device.type == "meta" or ids.dtype.is_floating_point:
        return False
    return bool((ids == torch.arange(ids.shape[-1], device=ids.device)).all())


def embedding(call: Call, scene: Scene) -> Finding | None:
    """ids: whole numbers from 0 to num_embeddings - 1."""
    kit = Kit(call, scene)
    ids, table = call.tensor("input"), call.tensor("weight")
    if ids is None or table is None:
        return None
    if table.dtype in (torch.int64, torch.int32) and ids.dtype.is_floating_point and call.layer is None:
        return Finding(f"F.embedding takes the ids first and the table second, but {kit.name('input')} {shape_text(ids)} is the table.",
                       [kit.code(f"{kit.F}.embedding({kit.name('weight')}, {kit.name('input')})", "ids first", needs_values=True)])  # fmt: skip
    name = kit.name("input")
    rows, kind = _table(f"{call.path or ''} {call.layer_name} {name}", ids)
    shown = f"{call.operation}" + (f" {call.path}" if call.path else "")
    if ids.dtype not in (torch.int64, torch.int32):
        cause = f"{shown} looks up rows by whole numbers (int64), but {name} {shape_text(ids)} is {str(ids.dtype).removeprefix('torch.')}."
        return Finding(
            cause,
            list(
                kit.change(
                    "input",
                    "{}.long()",
                    "turns them into int64; right if they are ids, wrong if they are embeddings already",
                    needs_values=True,
                )
            ),
        )
    low, high = extremes(ids)
    size = table.shape[0]
    if low is None or high is None or (low >= 0 and high < size):
        return None
    worst = high if high >= size else low
    where = (ids == worst).nonzero()[0].tolist()
    cause = f"{shown} has {size} {rows}, 0 to {size - 1}, but {name} {shape_text(ids)} holds {worst} at {where}."
    notes = []
    if "index out of range in self" in scene.text:
        notes.append(
            'torch says "index out of range in self" for every table: here it is '
            + (f"{call.path}." if call.path else "this one.")
        )
    return Finding(
        cause, list(_repairs(call, kit, scene, kind, int(low), int(high), size)), notes=notes, read_as=_ids(ids)
    )


def _ids(ids: Tensor) -> dict[str, tuple[str, ...]]:
    return {
        "input": ("batch", "tokens") if ids.dim() == 2 else ("tokens",) if ids.dim() == 1 else ("",) * ids.dim(),
        "weight": ("rows", "hidden"),
    }


def _repairs(call: Call, kit: Kit, scene: Scene, kind: str, low: int, high: int, size: int) -> Iterator[Candidate]:
    options = {"needs_values": True}
    layer = call.layer
    padded = getattr(layer, "padding_idx", None) == 0  # then row 0 is kept for padding, and ids begin with 1 on purpose
    if low >= 1 and high == size and not padded:
        yield from kit.change("input", "{} - 1", "if the numbers are counted from 1", **options)
        users = in_users_call(scene, call.args["input"], "{} - 1")
        if users is not None:
            trial = f"nn.Embedding({size}, 1)(ids - 1)"
            yield Candidate(users, "if the numbers are counted from 1", trial, {"ids": call.args["input"]}, True)
    if high >= size and kind == "position" and not scene.in_library:
        # Dropped in the trial where the first positions of a row do not fit either.
        yield from kit.change(
            "input",
            f"{{}}[..., :{size}]" if call.args["input"].dim() > 1 else f"{{}}[:{size}]",
            f"the first {size} positions, as many as the table has; the text must be cut to {size} tokens too",
            **options,
        )
    if high >= size and kind == "position" and not scene.in_library:
        yield from _cropped(scene, size, high)
    if high >= size and kind == "position" and scene.in_library:
        yield from _shorter(call, kit, scene, size)
    if high >= size and layer is not None and scene.in_library and kind == "token":
        yield from _resized(call, scene, high)
    if high >= size and layer is not None:
        made = f"{kit.nn}.{type(layer).__name__}({high + 1}, {layer.embedding_dim})"
        why = {"token": f"a row for every id up to {high}: the table must be as long as the tokenizer's vocabulary (len(tokenizer))",
               "row": f"a row for every number up to {high}",
               "position": f"a row for every position up to {high}; the longer table is trained anew",
               "type": f"a row for every token type up to {high}"}[kind]  # fmt: skip
        code = f"{call.layer_name} = {made}" if call.layer_name and "(" not in call.layer_name else made
        # Tried with one column, as the table may be long; what comes of it is as wide as from the whole table.
        ids = call.args["input"]
        trial = f"nn.Embedding({high + 1}, 1)(ids).expand{(*ids.shape, layer.embedding_dim)}"
        yield Candidate(code, why, trial=trial, given={"ids": call.args["input"]}, needs_values=True)
    if high >= size and kind == "type" and size == 1 and not scene.in_library:
        yield from kit.change(
            "input", f"{kit.torch}.zeros_like({{}})", "a model with one token type knows no second sentence", **options
        )
    if low < 0:
        yield from kit.change(
            "input",
            "{}.clamp(min=0)",
            f"{low} marks what is left out of the loss (labels); as an id it must be a real row",
            **options,
        )


def _cropped(scene: Scene, size: int, high: int) -> Iterator[Candidate]:
    """Generation: the text has grown past the positions, and the call takes its last tokens alone."""
    level = next((i for i in range(scene.site - 1, -1, -1) if scene.frames[i].kind == "user"), None)
    node = scene.frames[level].node if level is not None else None
    if level is None or not isinstance(node, ast.Call) or len(node.args) != 1:
        return
    names = names_in_scope(scene.frames, level)
    ids = existing(node.args[0], names)
    if not isinstance(ids, torch.Tensor) or ids.dim() != 2 or ids.shape[1] != high + 1 or ids.is_floating_point():
        return
    text = scene.frames[level].replaced(node, [(node.args[0], f"{ast.unparse(node.args[0])}[:, -{size}:]")])
    try:
        Stage(names, sketch=True, strict=True).evaluate(text)
    except (Unknown, Raised):
        return
    why = f"the last {size} tokens, as many as there are positions: in the line that calls this, when a text grows"
    yield Candidate(text, why, checked=True, earlier=True)


def _resized(call: Call, scene: Scene, high: int) -> Iterator[Candidate]:
    """transformers' own way to a longer table: it keeps the rows that are there."""
    held = names_in_scope(scene.frames, scene.user)
    for name in ("self", *held):
        owner = held.get(name)
        for path, module in owner.named_modules() if isinstance(owner, torch.nn.Module) else ():
            if hasattr(type(module), "resize_token_embeddings") and any(m is call.layer for m in module.modules()):
                yield Candidate(
                    f"{join_path(name, path, owner) if path else name}.resize_token_embeddings({high + 1})",
                    f"rows for every id up to {high}, the old ones kept: after tokens were added, len(tokenizer) of them",
                    trial=f"nn.Embedding({high + 1}, 1)(ids)",
                    given={"ids": call.args["input"]},
                    needs_values=True,
                )
                return


def _shorter(call: Call, kit: Kit, scene: Scene, size: int) -> Iterator[Candidate]:
    """A library's model got too many tokens: cut what was given to it."""
    yield from cut_tokens(scene, size)


def too_long(call: Call, scene: Scene) -> Finding | None:
    """A library's model with learned positions takes as many tokens as it has positions."""
    if not scene.in_library:
        return None
    most = None
    for frame in scene.frames[scene.user : scene.site + 1]:
        config = getattr(frame.locals.get("self"), "config", None)
        found = getattr(config, "max_position_embeddings", None)
        most = found if isinstance(found, int) else most
    if most is None:
        return None
    held = [v for frame in scene.frames[scene.user + 1 : scene.site + 1] for v in frame.locals.values()]
    longest = max(
        (v.shape[1] for v in held if isinstance(v, Tensor) and v.dim() == 2 and v.dtype == torch.int64), default=0
    )
    if longest <= most:
        return None
    cause = f"The text has {longest} tokens, but the model has learned only {most} positions (max_position_embeddings)."
    return Finding(cause, list(cut_tokens(scene, most)))


def cut_tokens(scene: Scene, most: int) -> Iterator[Candidate]:
    """The user's call with its token arguments cut to as many as the model has positions."""
    node = scene.frame.node
    if not isinstance(node, ast.Call):
        return
    names = names_in_scope(scene.frames, scene.user)
    copy = ast.parse(ast.unparse(node), mode="eval").body
    given, parts = {}, []
    for argument in [*copy.args, *(k.value for k in copy.keywords)]:
        value = existing(argument, names)
        if isinstance(value, Tensor) and value.dim() == 2 and value.shape[1] > most:
            text = ast.unparse(argument)
            given[text] = value
            parts.append(text)
    if not parts:
        return
    text = ast.unparse(copy)
    for part in dict.fromkeys(parts):
        text = _replace(text, part, f"{part}[:, :{most}]")
    trial = " + ".join(f"torch.zeros(1, {most}).expand_as({part}[:, :{most}])" for part in dict.fromkeys(parts))
    yield Candidate(
        text,
        f"the first {most} tokens; let the tokenizer do it: truncation=True, max_length={most}",
        trial=trial,
        given=given,
    )


def _replace(text: str, part: str, new: str) -> str:
    class Swap(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            if isinstance(node, ast.expr) and ast.unparse(node) == part:
                return ast.parse(new, mode="eval").body
            return super().visit(node)

    tree = ast.parse(text, mode="eval")
    tree.body = Swap().generic_visit(tree.body)
    return ast.unparse(tree)


def bag(call: Call, scene: Scene) -> Finding | None:
    """EmbeddingBag: (B, T) without offsets, or (N,) with."""
    kit = Kit(call, scene)
    ids, offsets = call.tensor("input"), call.tensor("offsets")
    if ids is None:
        return None
    if ids.dim() == 1 and offsets is None:
        cause = f"{call.operation} on one long row {shape_text(ids)} needs offsets that say where each bag begins; without them it takes (batch, tokens)."
        return Finding(
            cause, list(kit.change("input", "{}.unsqueeze(0)", "one bag: a batch of one", needs_values=True))
        )
    if ids.dim() == 2 and offsets is not None:
        cause = f"{call.operation} takes offsets only with one long row of ids, but {kit.name('input')} is {shape_text(ids)}: each row is a bag already."
        return Finding(cause, [])
    return embedding(call, scene)


RULES = {"embedding": embedding, "embedding_bag": bag}
