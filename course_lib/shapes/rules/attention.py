"""Attention: the width, the heads, and masks of the shape that each interface reads."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from course_lib.shapes.operations import Call, Scene
from course_lib.shapes.rules.finding import Candidate, Finding, Kit, construct, shape_text
from course_lib.shapes.rules.products import spread
from course_lib.shapes.standins import Unknown


def multi_head(call: Call, scene: Scene) -> Finding | None:
    """query (T, B, E), or (B, T, E) with batch_first; key_padding_mask (B, S); attn_mask (T, S) or (B * N, T, S)."""
    kit = Kit(call, scene)
    layer = call.layer
    q, k, v = (call.tensor(a) for a in ("query", "key", "value"))
    if q is None or layer is None:
        return None
    k, v = q if k is None else k, q if v is None else v
    names = [kit.name(a) for a in ("query", "key", "value")]
    first = getattr(layer, "batch_first", False)
    layout = "(batch, tokens, embed_dim)" if first else "(tokens, batch, embed_dim)"
    read3 = ("batch", "tokens", "embed_dim") if first else ("tokens", "batch", "embed_dim")
    read_as = {a: read3 if t.dim() == 3 else read3[-2:] for a, t in (("query", q), ("key", k), ("value", v))}
    for argument, t, width in (("query", q, layer.embed_dim), ("key", k, layer.kdim), ("value", v, layer.vdim)):
        if t.dim() not in (2, 3):
            cause = f"MultiheadAttention reads {layout}, but {kit.name(argument)} has {t.dim()} dimensions: {shape_text(t)}."
            return Finding(
                cause, _everywhere(kit, "{}.flatten(2)", "joins the last two dimensions") if t.dim() == 4 else []
            )
        if t.shape[-1] != width:
            cause = f"MultiheadAttention has embed_dim {width}, but the last dimension of {kit.name(argument)} {shape_text(t)} is {t.shape[-1]}."
            fixes: list[Candidate] = []
            if width in t.shape[:-1]:
                d = list(t.shape).index(width)
                fixes += _everywhere(kit, f"{{}}.transpose({d}, {t.dim() - 1})", f"moves the {width} to the end")
            if not call.direct and argument == "query":
                fixes += _projected(call, kit, scene, t, width)
            if argument == "query" and t.shape[-1] % layer.num_heads == 0 and call.direct:
                fixes += kit.layer(f"made for width {t.shape[-1]}; its weights begin anew", embed_dim=t.shape[-1])
            if argument != "query":
                fixes += kit.layer(
                    f"made for keys of width {k.shape[-1]} and values of width {v.shape[-1]}",
                    kdim=k.shape[-1],
                    vdim=v.shape[-1],
                )
            return Finding(cause, fixes, [(argument, t.dim() - 1)], read_as)
    batch, token = (0, 1) if first else (1, 0)
    if q.dim() == 3 and k.dim() == 3:
        if q.shape[batch] != k.shape[batch]:
            cause = f"MultiheadAttention with batch_first={first} reads {layout}, so {names[0]} {shape_text(q)} has batch {q.shape[batch]} and {names[1]} {shape_text(k)} batch {k.shape[batch]}."
            fixes = []
            if q.shape[batch] == 1:
                sizes = f"{k.shape[0]}, -1, -1" if first else f"-1, {k.shape[1]}, -1"
                fixes += kit.change(
                    "query", f"{{}}.expand({sizes})", f"the one query for each of the {k.shape[batch]} inputs"
                )
            if q.shape[token] == k.shape[token]:
                why = f"the batch stands in dimension {token} in both"
                fixes += list(_outer(call, kit, scene, why, batch_first=not first)) or list(
                    kit.layer(why, batch_first=not first)
                )
            return Finding(cause, fixes, [], read_as)
        if k.shape[:2] != v.shape[:2]:
            cause = f"Each key needs its value: {names[1]} is {shape_text(k)}, {names[2]} is {shape_text(v)}."
            return Finding(cause, [], [], read_as)
    size_b = q.shape[batch] if q.dim() == 3 else 1
    size_t, size_s = q.shape[token if q.dim() == 3 else 0], k.shape[token if k.dim() == 3 else 0]
    pad, mask = call.tensor("key_padding_mask"), call.tensor("attn_mask")
    if pad is not None:
        wanted = (size_b, size_s) if q.dim() == 3 else (size_s,)
        if tuple(pad.shape) != wanted:
            cause = f"key_padding_mask must be (batch, keys) = {wanted}, but {kit.name('key_padding_mask')} is {shape_text(pad)}."
            if q.dim() == 3 and pad.dim() == 2 and names[1] != names[0]:
                cause += f" The keys are the {size_s} tokens of {names[1]}"
                cause += (
                    f"; the mask has the {size_t} of the queries {names[0]}."
                    if pad.shape[1] == size_t != size_s
                    else "."
                )
            fixes = []
            if tuple(pad.shape[::-1]) == wanted:
                if not first:
                    fixes += list(
                        _outer(call, kit, scene, "the batch stands first, as in the mask", batch_first=True)
                    ) or list(kit.layer("the batch stands first, as in the mask", batch_first=True))
                fixes += kit.change("key_padding_mask", "{}.T", "swaps batch and tokens of the mask")
                fixes += _for_user(call, kit, scene, "key_padding_mask", "{}.T", "swaps batch and tokens of the mask")
            elif pad.numel() == size_b * size_s:
                fixes += kit.change("key_padding_mask", f"{{}}.view{wanted}", "the same mask as (batch, keys)")
            means = {"key_padding_mask": ("batch", "tokens")} if pad.dim() == 2 else {}
            if first is False and tuple(pad.shape) == (q.shape[0], q.shape[1]):
                cause += f" With batch_first=False, {names[0]} {shape_text(q)} is read as {size_t} tokens and batch {size_b}."
            return Finding(cause, fixes, [], read_as, means=means)
        if pad.dtype not in (torch.bool,) and not pad.dtype.is_floating_point:
            cause = f"key_padding_mask must be bool (True: leave out) or float, but {kit.name('key_padding_mask')} is {str(pad.dtype).removeprefix('torch.')}."
            return Finding(
                cause,
                [
                    *kit.change(
                        "key_padding_mask",
                        "{} == 0",
                        "an attention mask has 1 for real tokens; here True means padding",
                    )
                ],
                [],
                read_as,
            )
    if mask is not None:
        heads = layer.num_heads
        wanted2, wanted3 = (size_t, size_s), (size_b * heads, size_t, size_s)
        if tuple(mask.shape) not in (wanted2, wanted3):
            cause = f"attn_mask must be (queries, keys) = {wanted2}, or (batch x heads, queries, keys) = {wanted3}, but {kit.name('attn_mask')} is {shape_text(mask)}."
            if mask.dim() == 2:
                cause += f" The queries are the {size_t} tokens of {names[0]}"
                cause += f", the keys the {size_s} of {names[1]}." if names[1] != names[0] else ", the keys too."
            fixes = []
            if tuple(mask.shape) == (size_b, size_s):
                fixes += _as_padding(call, kit)
                fixes += _for_user(
                    call, kit, scene, "attn_mask", None, "a mask (batch, keys) is a padding mask; True leaves out"
                )
            if tuple(mask.shape) == (size_b, size_t, size_s):
                fixes += kit.change(
                    "attn_mask",
                    f"{{}}.repeat_interleave({heads}, dim=0)",
                    f"the mask of each input once for each of its {heads} heads",
                )
            if mask.dim() == 4 and mask.shape[1] in (1, heads) and mask.shape[0] == size_b:
                fixes += kit.change(
                    "attn_mask",
                    f"{{}}.expand(-1, {heads}, {size_t}, -1).flatten(0, 1)",
                    f"one mask for each input and head: {size_b} x {heads}",
                )
            if mask.dim() == 2 and mask.shape[0] >= size_t and mask.shape[1] >= size_s:
                fixes += kit.change(
                    "attn_mask", f"{{}}[:{size_t}, :{size_s}]", "the part for as many queries and keys as there are"
                )
                fixes += _for_user(
                    call, kit, scene, "attn_mask", f"{{}}[:{size_t}, :{size_s}]",
                    f"the part for {size_t} queries and {size_s} keys; or make it of that length",
                )  # fmt: skip
            means = {"attn_mask": ("queries", "keys")} if mask.dim() == 2 and mask.shape[0] == mask.shape[1] else {}
            if tuple(mask.shape) == (size_b, size_s):
                means = {"attn_mask": ("batch", "tokens")}
            return Finding(cause, fixes, [], read_as, means=means)
        if mask.dtype != torch.bool and not mask.dtype.is_floating_point:
            cause = f"attn_mask must be bool (True: leave out) or float, but {kit.name('attn_mask')} is {str(mask.dtype).removeprefix('torch.')}."
            return Finding(
                cause,
                [
                    *kit.change("attn_mask", "{}.bool()", "1 becomes True: leave out"),
                    *kit.change("attn_mask", "{} == 0", "0 becomes True: leave out"),
                ],
                [],
                read_as,
            )
    return None


def _projected(call: Call, kit: Kit, scene: Scene, t: Tensor, width: int) -> Iterator[Candidate]:
    """A Transformer for the width that comes, or a layer before it that brings the width it was made for."""
    import ast

    yield from _outer(call, kit, scene, f"made for width {t.shape[-1]}; its weights begin anew", d_model=t.shape[-1])
    node = scene.site_frame.node
    around = next((c for c in scene.calls if c.level > scene.site), None)
    if not isinstance(node, ast.Call) or not node.args or around is None or not around.args or around.args[0] is not t:
        return
    text = ast.unparse(node.args[0])
    made = f"{kit.nn}.Linear({t.shape[-1]}, {width})"
    given = {"layer": around.module, text: t, **{f"k_{k}": v for k, v in around.kwargs.items()}}
    others = "".join(f", {k}=k_{k}" for k in around.kwargs)
    if len(around.args) == 1:
        yield Candidate(
            scene.site_frame.replaced(node, [(node.args[0], f"{made}({text})")]),
            f"a layer before it that brings {t.shape[-1]} features to {width}: make it in __init__",
            trial=f"layer({made}({text}){others})",
            given=given,
        )


def _outer(call: Call, kit: Kit, scene: Scene, why: str, **changes: object) -> Iterator[Candidate]:
    """The layer of a Transformer around the attention that failed, with other settings."""
    around = [c for c in scene.calls if c.level > scene.site and type(c.module).__name__.startswith("Transformer")]
    if not around:
        return
    made = around[0]
    stack = getattr(made.module, "layers", None)
    try:
        if isinstance(stack, torch.nn.ModuleList) and len(stack):
            inner = construct(scene, stack[0], **changes)
            text = f"{kit.nn}.{type(made.module).__name__}({inner}, {len(stack)})"
        else:
            text = construct(scene, made.module, **changes)
    except (Unknown, AttributeError):
        return
    given = {f"a{i}": value for i, value in enumerate(made.args)} | {f"k_{k}": v for k, v in made.kwargs.items()}
    arguments = ", ".join([*(f"a{i}" for i in range(len(made.args))), *(f"{k}=k_{k}" for k in made.kwargs)])
    node = scene.site_frame.node
    import ast

    target = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    yield Candidate(f"{target} = {text}" if target else text, why, trial=f"{text}({arguments})", given=given)


def _for_user(call: Call, kit: Kit, scene: Scene, argument: str, template: str | None, why: str) -> Iterator[Candidate]:
    """The same change in the user's call of a Transformer around the attention; None: the mask under its right name."""
    import ast

    node, mask = scene.site_frame.node, call.args[argument]
    around = next((c for c in scene.calls if c.level > scene.site), None)
    if (
        call.direct
        or around is None
        or not isinstance(node, ast.Call)
        or not type(around.module).__name__.startswith("Transformer")
    ):
        return
    for keyword in node.keywords:
        value = around.kwargs.get(keyword.arg or "")
        if not isinstance(value, Tensor) or value.shape != mask.shape:
            continue
        text = ast.unparse(keyword.value)
        name = (
            keyword.arg
            if template
            else {
                "mask": "src_key_padding_mask",
                "src_mask": "src_key_padding_mask",
                "tgt_mask": "tgt_key_padding_mask",
            }.get(keyword.arg or "")
        )
        if name is None:
            return
        atom = text if isinstance(keyword.value, ast.Name | ast.Attribute | ast.Call | ast.Subscript) else f"({text})"
        new = template.replace("{}", atom) if template else text
        shown = ast.unparse(node).replace(f"{keyword.arg}={text}", f"{name}={new}")
        given = (
            {f"a{i}": v for i, v in enumerate(around.args)}
            | {f"k_{k}": v for k, v in around.kwargs.items()}
            | {"layer": around.module}
        )
        others = ", ".join(
            [*(f"a{i}" for i in range(len(around.args))), *(f"{k}=k_{k}" for k in around.kwargs if k != keyword.arg)]
        )
        trial = f"layer({others}, {name}={(template or '{}').replace('{}', f'k_{keyword.arg}')})"
        yield Candidate(shown, why, trial=trial, given=given)
        return


def _everywhere(kit: Kit, template: str, why: str) -> list[Candidate]:
    """The same change to query, key and value, which mostly are one tensor."""
    call = kit.call
    if not kit.editable:
        return []
    replaced = {a: template.replace("{}", call.names[a]) for a in ("query", "key", "value") if a in call.names}
    import ast

    node = kit.scene.site_frame.node
    if not isinstance(node, ast.Call) or len(node.args) < 3:
        try:
            return [kit.code(kit.rewritten(**replaced), why)]
        except Unknown:
            return []
    texts = [replaced.get(a, "") for a in ("query", "key", "value")]
    rest = [ast.unparse(a) for a in node.args[3:]] + [f"{k.arg}={ast.unparse(k.value)}" for k in node.keywords]
    return [kit.code(f"{call.callee}({', '.join([*texts, *rest])})", why)]


def _as_padding(call: Call, kit: Kit) -> Iterator[Candidate]:
    name = call.names.get("attn_mask")
    mask = call.args["attn_mask"]
    if name is None or not kit.editable:
        return
    text = kit.scene.site_frame.text()
    new = name if mask.dtype == torch.bool else f"{name} == 0"
    if f"attn_mask={name}" in text:
        yield kit.code(
            text.replace(f"attn_mask={name}", f"key_padding_mask={new}"),
            "a mask (batch, keys) is a padding mask; True leaves out",
        )


def scaled_dot_product(call: Call, scene: Scene) -> Finding | None:
    """query (..., T, D), key (..., S, D), value (..., S, E); a mask that spreads over (..., T, S)."""
    kit = Kit(call, scene)
    q, k, v = (call.tensor(a) for a in ("query", "key", "value"))
    if q is None or k is None or v is None:
        return None
    names = [kit.name(a) for a in ("query", "key", "value")]
    if q.shape[-1] != k.shape[-1]:
        cause = f"scaled_dot_product_attention needs queries and keys of one width, but {names[0]} is {shape_text(q)} and {names[1]} {shape_text(k)}."
        fixes = (
            list(
                kit.change(
                    "key",
                    "{}.transpose(-1, -2)",
                    "swaps the key's last two dimensions: the function transposes it by itself",
                )
            )
            if k.shape[-2] == q.shape[-1]
            else []
        )
        return Finding(cause, fixes, [("query", q.dim() - 1), ("key", k.dim() - 1)])
    if k.shape[-2] != v.shape[-2]:
        return Finding(
            f"Each key needs its value, but {names[1]} {shape_text(k)} has {k.shape[-2]} and {names[2]} {shape_text(v)} has {v.shape[-2]}."
        )
    mask = call.tensor("attn_mask")
    try:
        scores = torch.empty(
            (*torch.broadcast_shapes(q.shape[:-2], k.shape[:-2]), q.shape[-2], k.shape[-2]), device="meta"
        )
    except RuntimeError:
        return Finding(
            f"The dimensions before the last two must agree, but {names[0]} is {shape_text(q)} and {names[1]} {shape_text(k)}."
        )
    if mask is None:
        return None
    if mask.dtype != torch.bool and mask.dtype != q.dtype:
        cause = f"attn_mask must be bool (True: keep) or {str(q.dtype).removeprefix('torch.')} (added to the scores), but {kit.name('attn_mask')} is {str(mask.dtype).removeprefix('torch.')}."
        fixes = list(kit.change("attn_mask", "{}.bool()", "1 becomes True: keep"))
        if mask.dim() == 2 and scores.dim() == 4 and tuple(mask.shape) == (scores.shape[0], scores.shape[-1]):
            fixes = list(
                kit.change(
                    "attn_mask",
                    "{}.bool()[:, None, None, :]",
                    "1 becomes True: keep; one row of keys for all heads and queries",
                )
            )
        return Finding(cause, fixes)
    try:
        fits = torch.broadcast_shapes(mask.shape, scores.shape) == scores.shape
    except RuntimeError:
        fits = False
    if fits:
        return None
    cause = f"attn_mask is spread over the scores {shape_text(scores)} (batch, heads, queries, keys), which {kit.name('attn_mask')} {shape_text(mask)} does not fit."
    fixes = []
    if mask.dim() == 2 and scores.dim() == 4 and tuple(mask.shape) == (scores.shape[0], scores.shape[-1]):
        fixes += kit.change("attn_mask", "{}[:, None, None, :]", "the keys of each input, for all heads and queries")
    elif mask.dim() == 3 and scores.dim() == 4:
        fixes += kit.change("attn_mask", "{}[:, None]", "one mask for all heads of an input")
    else:
        fixes += spread(kit, "attn_mask", mask, scores)
    heads = ("batch", "heads", "tokens", "head size")
    return Finding(cause, fixes, means={a: heads for a in ("query", "key", "value") if call.args[a].dim() == 4})


def encoder_layer(call: Call, scene: Scene) -> Finding | None:
    """torch.nn.Transformer and its layers check their inputs before attention does."""
    kit = Kit(call, scene)
    source, target = call.tensor("src"), call.tensor("tgt")
    memory = call.tensor("memory")
    layer = call.layer
    attention = (
        next((m for m in layer.modules() if isinstance(m, torch.nn.MultiheadAttention)), None)
        if layer is not None
        else None
    )
    if attention is None:
        return None
    for argument, t in (("src", source), ("tgt", target), ("memory", memory)):
        if t is not None and t.dim() in (2, 3) and t.shape[-1] != attention.embed_dim:
            cause = f"{type(layer).__name__} has d_model {attention.embed_dim}, but the last dimension of {kit.name(argument)} {shape_text(t)} is {t.shape[-1]}."
            return Finding(cause, [], [(argument, t.dim() - 1)])
    one, other = (source, target) if source is not None else (target, memory)
    if one is not None and other is not None and one.dim() == other.dim() == 3:
        batch = 0 if attention.batch_first else 1
        if one.shape[batch] != other.shape[batch]:
            a, b = ("src", "tgt") if source is not None else ("tgt", "memory")
            layout = "(batch, tokens, d_model)" if attention.batch_first else "(tokens, batch, d_model)"
            cause = f"{type(layer).__name__} with batch_first={attention.batch_first} reads {layout}, so {kit.name(a)} {shape_text(one)} has batch {one.shape[batch]} and {kit.name(b)} {shape_text(other)} batch {other.shape[batch]}."
            fixes = []
            if one.shape[1 - batch] == other.shape[1 - batch]:
                code = (
                    kit.rewritten(**{a: f"{call.names[a]}.transpose(0, 1)", b: f"{call.names[b]}.transpose(0, 1)"})
                    if a in call.names and b in call.names and kit.editable
                    else ""
                )
                if code:
                    fixes.append(
                        kit.code(code, "swaps batch and tokens of both; batch_first=True in the layer does it for good")
                    )
            return Finding(cause, fixes)
    return None


RULES = {
    "multi_head_attention": multi_head, "scaled_dot_product_attention": scaled_dot_product,
    **dict.fromkeys(("Transformer", "TransformerEncoder", "TransformerEncoderLayer", "TransformerDecoder", "TransformerDecoderLayer"), encoder_layer),
}  # fmt: skip
