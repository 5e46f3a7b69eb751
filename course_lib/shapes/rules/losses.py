"""Losses: one target for each prediction, of the kind and range that the loss reads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from math import prod

import torch
from torch import Tensor, nn

from course_lib.shapes.history import Record, sizes_of
from course_lib.shapes.operations import Call, Scene, join_path
from course_lib.shapes.provenance import provenance_of
from course_lib.shapes.rules.earlier import instead
from course_lib.shapes.rules.finding import Candidate, Finding, Kit, in_users_call, shape_text
from course_lib.shapes.rules.reshaping import extremes
from course_lib.shapes.standins import Unknown


def classes(call: Call, scene: Scene) -> Finding | None:
    """input (N, K), (N, K, ...) or (K,); target class numbers (N), (N, ...) or ()."""
    kit = Kit(call, scene)
    x, y = call.tensor("input"), call.tensor("target")
    if x is None or y is None:
        return None
    name, target, op = kit.name("input"), kit.name("target"), call.operation
    k = x.shape[1] if x.dim() > 1 else (x.shape[0] if x.dim() else 0)
    read = {"input": ("batch", "classes", *("",) * max(0, x.dim() - 2))[: x.dim()] if x.dim() > 1 else ("classes",)}
    if x.dim() == 0:
        return Finding(f"{op} needs scores for each class, but {name} is a single number.")
    if tuple(y.shape) == tuple(x.shape) and x.dim() >= 2 and not y.dtype.is_floating_point:
        if y.shape[1] == 1:
            return Finding(
                f"{name} {shape_text(x)} has a single class; with one score an input the loss is binary.",
                list(_binary(kit)),
            )
        cause = f"{target} {shape_text(y)} has the shape of {name}; {op} takes that for probabilities of the classes, which must be floats, but it holds {_kind(y)}."
        fixes = [*kit.change("target", "{}.argmax(dim=1)", "one-hot rows become class numbers", needs_values=True)]
        if op == "cross_entropy":
            fixes += kit.change("target", "{}.float()", "the rows are taken as probabilities of the classes")
        if x.dim() == 2:
            fixes += _multi_label(kit)
        means = {"target": ("", "labels")} if x.dim() == 2 else {}
        return Finding(cause, fixes, read_as=read, means=means)
    if x.dim() == 1:
        if y.dim() == 0:
            return _range(call, kit, x, y, k, read) or _dtype(call, kit, x, y, read)
        if y.dim() == 1 and tuple(y.shape) != tuple(x.shape):
            cause = f"{op} reads {name} {shape_text(x)} as the scores of one input's {x.shape[0]} classes, so it wants one target, but {target} has {y.shape[0]}."
            fixes = [
                *kit.change(
                    "input",
                    "{}.unsqueeze(0)",
                    "adds the batch of one that was lost (squeeze, or an index)",
                    needs_values=True,
                ),
                *(_binary(kit) if x.shape[0] == y.shape[0] else ()),
            ]
            return Finding(cause, fixes, [("input", 0)], {"input": ("classes",)})
        if y.dim() == 1 and not y.dtype.is_floating_point:
            cause = f"{op} reads {name} {shape_text(x)} as the scores of one input's {x.shape[0]} classes, but there are {y.shape[0]} targets: the class dimension is missing."
            if not x.dtype.is_floating_point:
                cause += f" {name} holds class numbers ({_kind(x)}), chosen already; the loss needs the scores."
            return Finding(cause, [*_without_argmax(kit), *_binary(kit)], [("input", 0)], {"input": ("classes",)})
        return _dtype(call, kit, x, y, read)
    weight = call.get("weight")
    if isinstance(weight, Tensor) and weight.numel() != k and tuple(y.shape) == (x.shape[0], *x.shape[2:]):
        call.args["weight"] = weight
        call.names.setdefault("weight", "weight of the loss")
        return Finding(
            f"{op} needs one class weight for each of the {k} classes of {name} {shape_text(x)}, but {kit.name('weight')} has {weight.numel()}.",
            means={"weight": ("classes",) * weight.dim()},
        )
    expected = (x.shape[0], *x.shape[2:])
    if tuple(y.shape) != expected and not (y.dtype.is_floating_point and tuple(y.shape) == tuple(x.shape)):
        return _rows(call, kit, x, y, expected, read)
    return _dtype(call, kit, x, y, read) or _range(call, kit, x, y, k, read)


def _without_argmax(kit: Kit) -> Iterator[Candidate]:
    """The scores themselves, where argmax has already chosen."""
    import ast

    text = kit.call.names.get("input", "")
    node = ast.parse(text, mode="eval").body if text else None
    node = kit.definition(node.id) if isinstance(node, ast.Name) else node
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("argmax", "max"):
        yield from kit.change(
            "input",
            ast.unparse(node.func.value),
            "the scores of all classes: the loss needs them, argmax throws them away and has no gradient",
            needs_values=True,
        )


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _rows(call: Call, kit: Kit, x: Tensor, y: Tensor, expected: tuple[int, ...], read: dict) -> Finding:
    name, target, op = kit.name("input"), kit.name("target"), call.operation
    fixes: list[Candidate] = []
    focus = [("input", 0)]
    floats = "" if not y.dtype.is_floating_point else ".long()"
    if y.dim() == x.dim() and y.shape[0] == x.shape[0] and y.dim() == 2 and y.shape[1] == 1:
        cause = f"{op} wants one class number for each of the {x.shape[0]} rows, shape {shape_text(expected)}, but {target} is {shape_text(y)}."
        fixes += kit.change("target", "{}.squeeze(1)" + floats, "drops the dimension of 1", needs_values=True)
        return Finding(cause, fixes, read_as=read)
    if x.dim() == 3 and tuple(y.shape) == tuple(x.shape[:2]):
        cause = f"{op} reads the classes in dimension 1, so {name} {shape_text(x)} has {x.shape[1]} classes for it and it wants targets {shape_text(expected)}, but {target} is {shape_text(y)}: the classes stand last."
        fixes += kit.change(
            "input", "{}.transpose(1, 2)", f"puts the {x.shape[2]} classes into dimension 1", needs_values=True
        )
        flat = _both(
            kit,
            "{}.flatten(0, 1)",
            "{}.flatten()",
            f"each of the {prod(x.shape[:2])} tokens becomes a row of its own",
            needs_values=True,
        )
        return Finding(
            cause,
            [*flat, *fixes],
            [("input", 1)],
            {"input": ("batch", "classes", "")},
            means={"input": ("", "", "classes")},
        )
    if x.dim() == 3 and y.dim() == 1 and y.shape[0] == x.shape[0]:
        cause = f"There is one target for each of the {y.shape[0]} inputs, but {name} {shape_text(x)} has scores for each of {x.shape[1]} places; {op} would want targets {shape_text(expected)}."
        fixes += kit.change(
            "input",
            "{}.mean(dim=1)",
            f"the mean over the {x.shape[1]} places: one row of {x.shape[2]} scores an input",
            needs_values=True,
        )
        first = list(kit.change("input", "{}[:, 0]", "the first place alone ([CLS] in BERT)", needs_values=True))
        fixes = [*first, *fixes] if provenance_of(kit.scene, call).facts["widths"] else [*fixes, *first]
        label = provenance_of(kit.scene, call).labels("input", x)[1]
        places = {"input": ("", label if label not in ("", "classes") else "places", "classes")}
        return Finding(cause, fixes, [("input", 1)], {"input": ("batch", "classes", "")}, means=places)
    if x.dim() == 2 and y.dim() == 2 and x.shape[0] == y.numel():
        cause = f"{op} has {x.shape[0]} rows of scores and wants as many class numbers in one dimension, but {target} is {shape_text(y)}."
        fixes += kit.change(
            "target",
            "{}.flatten()",
            f"{' x '.join(map(str, y.shape))} = {y.numel()} targets, in the order of the rows",
            needs_values=True,
        )
        return Finding(cause, fixes, focus, read)
    if x.dim() == 2 and y.dim() == 2 and y.shape[0] == x.shape[0]:
        cause = f"{op} wants one class number for each of the {x.shape[0]} rows of {name} {shape_text(x)}, but {target} is {shape_text(y)}, {y.shape[1]} for each."
        if y.shape[1] == 1:
            fixes += kit.change("target", "{}.squeeze(1)", "drops the dimension of 1", needs_values=True)
        return Finding(cause, fixes, read_as=read)
    if x.dim() == 4 and y.dim() == 4 and y.shape[1] == 1 and (y.shape[0], *y.shape[2:]) == expected:
        cause = f"{op} wants class numbers {shape_text(expected)}, one for each pixel, but {target} is {shape_text(y)}."
        fixes += kit.change("target", "{}.squeeze(1)" + floats, "drops the channel of 1", needs_values=True)
        return Finding(cause, fixes, read_as=read)
    if x.dim() > 2 and x.shape[-1] != expected[-1] and tuple(y.shape) == tuple(x.shape[:-1]):
        order = (0, x.dim() - 1, *range(1, x.dim() - 1))
        cause = f"{op} reads the classes in dimension 1 of {name} {shape_text(x)}, but {target} {shape_text(y)} shows that they stand last."
        fixes += kit.change("input", f"{{}}.permute{order}", "puts the classes into dimension 1", needs_values=True)
        return Finding(cause, fixes, [("input", 1)], read)
    rows, wanted = x.shape[0], y.shape[0] if y.dim() else 1
    if rows != wanted:
        cause = f"{op} needs one target for each row: {name} {shape_text(x)} has {rows} rows, {target} {shape_text(y)} has {wanted}."
        found = _shifted(kit, x, y)
        cause += found[0] if found is not None else ""
        fixes += found[1] if found is not None else []
        words, padded = _labels_of_words(kit, x) if found is None else ("", [])
        cause += words
        fixes += padded
        text = _labels_for_tokens(kit, x, y)
        if text:
            return Finding(cause + text[0], [Candidate(*text[1:], trial="?")], [*focus, ("target", 0)], read)
        if x.dim() == 2 and wanted and rows % wanted == 0 and rows > wanted:
            many = rows // wanted
            split, flat = _split_batch(call, kit)
            fixes += flat
            cause += f" {rows} = {many} x {wanted}: each input has become {many} rows."
            cause += split or (
                f" Look first where {many} tensors were joined: stack, not cat, keeps the batch of {wanted}; or where "
                f"{many} places of an input were flattened into rows."
            )
        if x.dim() == 2 and wanted == x.shape[1] and y.dim() == 1:
            fixes += kit.change(
                "input", "{}.T", "rows and columns swapped: right if the classes stand first", needs_values=True
            )
        if wanted and y.dim() == 1 and x.dim() == 2 and wanted > rows and wanted % rows == 0:
            cause += f" {wanted} = {wanted // rows} x {rows}: the targets are flattened, the scores are not."
        if wanted and rows % wanted == 0 and rows > wanted and x.dim() == 2:
            many = rows // wanted
            fixes += kit.change(
                "input",
                f"{{}}.view({many}, {wanted}, -1).mean(dim=0)",
                f"changes the meaning: one prediction an input, the mean of {many}, if the rows lie one batch after the other, as cat(dim=0) leaves them; if they were joined by mistake, it hides the mistake",
                needs_values=True,
            )
    else:
        cause = (
            f"{op} wants targets {shape_text(expected)} for {name} {shape_text(x)}, but {target} is {shape_text(y)}."
        )
        if y.numel() == prod(expected):
            fixes += kit.change(
                "target",
                f"{{}}.view{tuple(expected)}",
                "the same targets in the shape of the scores",
                needs_values=True,
            )
        if x.dim() == 3 and y.dim() == 2 and x.shape[2] != y.shape[1]:
            longer, fewer, more = (
                ("input", y.shape[1], x.shape[2]) if x.shape[2] > y.shape[1] else ("target", x.shape[2], y.shape[1])
            )
            places = "{}[:, :, " if longer == "input" else "{}[:, "
            what = "scores" if longer == "input" else "targets"
            cause += f" There are {x.shape[2]} places in the scores and {y.shape[1]} in the targets of each input."
            if more == fewer + 1:
                fixes += kit.change(
                    longer,
                    f"{places}1:]",
                    f"{what} without the first place: right where a first special token has no target",
                    needs_values=True,
                )
                fixes += kit.change(
                    longer,
                    f"{places}:-1]",
                    f"{what} without the last place: right where the last has no target",
                    needs_values=True,
                )
            else:
                fixes += kit.change(
                    longer,
                    f"{places}:{fewer}]",
                    f"the first {fewer} of the {more}: right where only padding follows",
                    needs_values=True,
                )
        if x.dim() == 4 and y.dim() == 3 and sorted(y.shape) == sorted(expected):
            fixes += kit.change("target", "{}.transpose(1, 2)", "height and width swapped", needs_values=True)
    return Finding(cause, [*fixes, *_library_labels(kit, x)], [*focus, ("target", 0)], read)


def _library_labels(kit: Kit, x: Tensor) -> Iterator[Candidate]:
    """transformers flattens the labels: multi-hot rows of whole numbers become class numbers."""
    import ast

    scene = kit.scene
    if not scene.in_library:
        return
    held = next(
        (
            f.locals["labels"]
            for f in scene.frames[scene.user + 1 : scene.site + 1]
            if isinstance(f.locals.get("labels"), Tensor)
        ),
        None,
    )
    node = scene.frame.node
    if held is None or not isinstance(node, ast.Call) or tuple(held.shape) != tuple(x.shape):
        return
    argument = next((k.value for k in node.keywords if k.arg == "labels"), None)
    if argument is None:
        return
    text = scene.frame.replaced(node, [(argument, f"{ast.unparse(argument)}.float()")])
    code = f"{ast.unparse(node.func)}.config.problem_type = 'multi_label_classification'\n{text}"
    yield Candidate(
        code,
        "several labels may hold at once: floats, and binary cross entropy; transformers takes whole numbers for class numbers",
        trial="torch.nn.functional.binary_cross_entropy_with_logits(scores, labels.float())",
        given={"scores": x, "labels": held},
    )


def _split_batch(call: Call, kit: Kit) -> tuple[str, list[Candidate]]:
    """The view that gave an input several rows, where the making of the scores tells it, and flatten(1) in its place."""

    record = provenance_of(kit.scene, call).found.get("input")
    layer = None  # the one that takes what the view made
    while record is not None and record.parents and record.shape:
        size = sizes_of(record)[0]
        if size is None or not size.of:
            return "", []
        before, dim = size.of[0]
        if size.kind == "part" and dim == 0 and before.shape[0] != record.shape[0] and len(record.shape) == 2:
            one = prod(before.shape[1:])
            fixes = _flat_inputs(kit, record, before, layer, one)
            return (
                f" It happened in {record.operation}, which made {shape_text(record.shape)} of {shape_text(before.shape)}: one "
                f"input there is {one} numbers, not {record.shape[1]}. flatten(1) would keep the batch of {before.shape[0]}, and the next "
                f"layer must then take {one}."
            ), fixes
        if size.kind != "same" or dim != 0:
            return "", []
        layer = record.layer if isinstance(record.layer, nn.Linear) else layer
        record = before
    return "", []


def _flat_inputs(kit: Kit, record: Record, before: Record, layer: nn.Module | None, features: int) -> list[Candidate]:
    """flatten(1) for a view(-1, n) that split the inputs, and the next layer made for what then comes."""
    node = ast.parse(record.source, mode="eval").body if record.source else None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or layer is None:
        return []
    base = ast.unparse(node.func.value)
    why = (
        f"flatten(1) in place of {record.source} keeps the batch of {before.shape[0]}; the layer takes the {features} "
        "numbers of an input, its weights begin anew"
    )
    found = []
    for made in instead(kit.scene, layer, why, in_features=features):
        first = f"{base if base.isidentifier() else 'x'} = {base}.flatten(1)"
        found.append(replace(made, code=f"{first}\n{made.code}", flattened=(before.shape, record.shape)))
    return found


def _shifted(kit: Kit, x: Tensor, y: Tensor) -> tuple[str, list[Candidate]] | None:
    """Scores and targets of token after token, flattened, of which one side alone was shifted by one."""
    import ast

    bases = {}
    for argument in ("input", "target"):
        text = kit.call.names.get(argument, "")
        node = ast.parse(text, mode="eval").body if text else None
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return None
        value = kit.scene.value(node.func.value)
        if node.func.attr not in ("view", "reshape", "flatten") or not isinstance(value, Tensor) or value.dim() < 2:
            return None
        bases[argument] = (node, value)
    (scores, one), (targets, two) = bases["input"], bases["target"]
    if one.shape[0] != two.shape[0] or abs(one.shape[1] - two.shape[1]) != 1 or x.dim() != 2:
        return None
    longer, node = ("input", scores) if one.shape[1] > two.shape[1] else ("target", targets)
    base = ast.unparse(node.func.value)
    cut = "[:, :-1]" if longer == "input" else "[:, 1:]"
    method = "flatten" if node.func.attr == "flatten" else "reshape"
    new = f"{base}{cut}.{method}({', '.join(map(ast.unparse, node.args))})"
    words = (
        f" {ast.unparse(scores.func.value)} {shape_text(one)} has {one.shape[1]} places a text, "
        f"{ast.unparse(targets.func.value)} {shape_text(two)} has {two.shape[1]}: one more, as a shift of one side alone leaves it."
    )
    if longer == "input":
        other, whys = "[:, 1:]", ("without the last place, which predicts nothing that is known",
                                  "without the first place: right where it is a special token")  # fmt: skip
    else:
        other, whys = (
            "[:, :-1]",
            ("without the first, which nothing predicts", "without the last: right where it is padding"),
        )
    fixes = [
        *kit.change(longer, new, whys[0], needs_values=True),
        *kit.change(longer, new.replace(cut, other), whys[1], needs_values=True),
    ]
    return words, fixes


def _labels_of_words(kit: Kit, x: Tensor) -> tuple[str, list[Candidate]]:
    """Flattened labels of fewer places a text than the scores: the words, without the special tokens around them."""
    found = provenance_of(kit.scene, kit.call).found
    parts = []
    for argument in ("input", "target"):
        record = found.get(argument)
        size = sizes_of(record)[0] if record is not None and record.shape else None
        parts.append([parent.shape[d] for parent, d in size.of] if size is not None and size.kind == "product" else [])
    text = kit.call.names.get("target", "")
    node = ast.parse(text, mode="eval").body if text else None
    if [len(p) for p in parts] != [2, 2] or parts[0][0] != parts[1][0] or x.dim() != 2:
        return "", []
    tokens, labels = parts[0][1], parts[1][1]
    words = f" A text has {tokens} scores and {labels} labels."
    if tokens - labels != 2 or not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return words, []
    base = ast.unparse(node.func.value)
    whole = text.replace(base, f"{kit.F}.pad({base}, (1, 1), value=-100)", 1)
    why = "-100 is left out of the loss: right if the first and the last token are [CLS] and [SEP], and every word is one token"
    return words + " The two more are probably [CLS] and [SEP].", list(
        kit.change("target", whole, why, needs_values=True)
    )


def _labels_for_tokens(kit: Kit, x: Tensor, y: Tensor) -> tuple[str, str, str] | None:
    """A library's model that labels each token, given one label a text."""
    if not kit.scene.in_library:
        return None
    owner = kit.scene.site_frame.locals.get("self")
    held = kit.scene.site_frame.locals
    labels, ids = held.get("labels"), held.get("input_ids")
    kind = type(owner).__name__
    if not isinstance(labels, Tensor) or not isinstance(ids, Tensor) or "TokenClassification" not in kind:
        return None
    if labels.dim() != 1 or ids.dim() != 2 or ids.numel() != x.shape[0]:
        return None
    other = kind.replace("Token", "Sequence")
    return (
        f" {kind} scores each of the {ids.shape[1]} tokens of each of the {ids.shape[0]} texts, so it wants labels "
        f"{shape_text(ids)}, but {shape_text(labels)} is one label a text.",
        f"{other}.from_pretrained(..., num_labels={x.shape[1]})",
        "the model for one label a text",
    )


def _both(kit: Kit, first: str, second: str, why: str, **options: bool) -> Iterator[Candidate]:
    call = kit.call
    if not kit.editable or "input" not in call.names or "target" not in call.names:
        return
    try:
        code = kit.rewritten(
            input=first.replace("{}", call.names["input"]), target=second.replace("{}", call.names["target"])
        )
    except Exception:
        return
    yield kit.code(code, why, **options)


def _binary(kit: Kit) -> Iterator[Candidate]:
    x, y = kit.call.args["input"], kit.call.args["target"]
    text = kit.name("target")
    changed = f"{text}.float()" if x.dim() == y.dim() else f"{text}.float().view_as({kit.name('input')})"
    if kit.editable and x.numel() == y.numel():
        yield kit.code(
            f"{kit.F}.binary_cross_entropy_with_logits({kit.name('input')}, {changed})", "one score an input: yes or no"
        )


def _multi_label(kit: Kit) -> Iterator[Candidate]:
    if kit.editable:
        yield kit.code(
            f"{kit.F}.binary_cross_entropy_with_logits({kit.name('input')}, {kit.name('target')}.float())",
            "if several labels may hold at once",
        )


def _dtype(call: Call, kit: Kit, x: Tensor, y: Tensor, read: dict) -> Finding | None:
    if (
        y.dtype == torch.int64
        or (y.dtype == torch.uint8)
        or (
            y.dtype.is_floating_point
            and tuple(y.shape) == tuple(x.shape)
            and call.op == "cross_entropy"
            and y.dtype == x.dtype
        )
    ):
        return None
    if y.dtype.is_floating_point and tuple(y.shape) == tuple(x.shape) and call.op == "cross_entropy":
        cause = f"{call.operation} takes {kit.name('target')} as probabilities, which must be {_kind(x)} as {kit.name('input')} is, but it is {_kind(y)}."
        return Finding(
            cause, list(kit.change("target", f"{{}}.to({kit.name('input')}.dtype)", "the same kind of number"))
        )
    cause = f"{call.operation} needs class numbers of int64, but {kit.name('target')} {shape_text(y)} is {_kind(y)}."
    fixes = [*kit.change("target", "{}.long()", "turns the class numbers into int64", needs_values=True)]
    if y.dtype.is_floating_point and tuple(y.shape) == tuple(x.shape) and x.dim() > 1:
        fixes = [
            *kit.change("target", "{}.argmax(dim=1)", "rows of probabilities become class numbers", needs_values=True)
        ]
    if y.dtype.is_floating_point and x.dim() == 2 and x.shape[1] == 1 and y.dim() == 1:
        fixes.append(
            kit.code(
                f"{kit.F}.mse_loss({kit.name('input')}.squeeze(1), {kit.name('target')})",
                "if these are quantities, not classes",
            )
        )
    return Finding(cause, fixes, read_as=read)


def _range(call: Call, kit: Kit, x: Tensor, y: Tensor, k: int, read: dict) -> Finding | None:
    if y.dtype.is_floating_point:
        return None
    low, high = extremes(y)
    ignored = call.get("ignore_index", -100)
    if low is None or high is None:
        return _told(call, kit, x, k, read)
    values = y[y != ignored] if low < 0 else y
    low, high = extremes(values)
    if low is None or high is None or (low >= 0 and high < k):
        return None
    name, target = kit.name("input"), kit.name("target")
    worst = high if high >= k else low
    cause = f"{name} {shape_text(x)} has scores for {k} classes, 0 to {k - 1}, but {target} holds {worst}."
    fixes: list[Candidate] = []
    users = in_users_call(kit.scene, y, "{} - 1") if high == k and low >= 1 else None
    if users is not None:
        trial = f"torch.nn.functional.{call.op}(scores, labels - 1)"
        why = f"the classes are counted from 1 to {k}; from 0 they fit"
        fixes.append(Candidate(users, why, trial=trial, given={"scores": x, "labels": y}, needs_values=True))
    if high == k and low >= 1:
        fixes += kit.change(
            "target", "{} - 1", f"the classes are counted from 1 to {k}; from 0 they fit", needs_values=True
        )
    outside = values[(values < 0) | (values >= k)].unique().tolist()
    if len(outside) == 1 and outside[0] in (-1, 255):
        fixes += _ignore(call, kit, outside[0])
    if high >= k:
        fixes += _more_classes(call, kit, x, k, int(high))
    return Finding(cause, fixes, [("input", 1 if x.dim() > 1 else 0)], read)


def _told(call: Call, kit: Kit, x: Tensor, k: int, read: dict) -> Finding | None:
    """The same where no variable holds the targets: torch's sentence names the first one that does not fit."""
    found = re.search(r"Target (-?\d+) is out of bounds", kit.scene.text)
    if found is None:
        return None
    worst = int(found.group(1))
    cause = f"{kit.name('input')} {shape_text(x)} has scores for {k} classes, 0 to {k - 1}, but a target is {worst}."
    fixes: list[Candidate] = []
    if worst in (-1, 255):
        fixes += _ignore(call, kit, worst)
    if worst >= k:  # there may be larger ones: a repair tried on this one alone has not been tried
        fixes += [replace(fix, trial="?") for fix in _more_classes(call, kit, x, k, worst)]
    return Finding(cause, fixes, [("input", 1 if x.dim() > 1 else 0)], read)


def _ignore(call: Call, kit: Kit, low: int) -> Iterator[Candidate]:
    if call.layer is None and kit.editable:
        text = kit.scene.site_frame.text()
        if text.endswith(")"):
            yield kit.code(
                f"{text[:-1].rstrip(', ')}, ignore_index={low})",
                f"leaves out the places marked {low}",
                needs_values=True,
            )
    elif call.layer is not None:
        yield from kit.layer(f"leaves out the places marked {low}", ignore_index=low)


def _more_classes(call: Call, kit: Kit, x: Tensor, k: int, high: int) -> Iterator[Candidate]:
    """The last layer with more outputs, where it can be found; tried on scores of that many classes."""
    from course_lib.shapes.rules.finding import construct
    from course_lib.shapes.standins import Unknown

    needed = high + 1
    sizes = list(x.shape)
    sizes[1 if len(sizes) > 1 else 0] = needed
    given = {"scores": torch.empty(sizes, device="meta", dtype=x.dtype), "target": call.args["target"]}
    trial = f"torch.nn.functional.{call.op}(scores, target)"
    found: list[tuple[str, torch.nn.Linear]] = []
    config = next(
        (
            getattr(f.locals.get("self"), "config", None)
            for f in kit.scene.frames[kit.scene.user + 1 : kit.scene.site + 1][::-1]
        ),
        None,
    )
    if kit.scene.in_library and config is not None and hasattr(config, "num_labels"):
        kind = type(kit.scene.site_frame.locals.get("self")).__name__
        owned = _classifier_of(kit, k)
        if owned is not None:
            path, layer = owned
            model = path.split(".")[0] if not path.startswith("self.") else ".".join(path.split(".")[:-1])
            yield Candidate(
                f"{path} = {construct(kit.scene, layer, out_features=needed)}\n{model}.num_labels = {needed}",
                f"a score for every class from 0 to {high}; at loading: {kind}.from_pretrained(..., num_labels={needed})",
                trial=trial,
                given=given,
                needs_values=True,
            )
            return
        yield Candidate(
            f"{kind}.from_pretrained(..., num_labels={needed})", f"a score for every class from 0 to {high}", trial="?"
        )
        return
    for frame in [kit.scene.site_frame]:
        for holder, module in frame.locals.items():
            if isinstance(module, torch.nn.Module):
                found += [
                    (f"{holder}.{path}" if path else holder, m)
                    for path, m in module.named_modules()
                    if isinstance(m, torch.nn.Linear) and m.out_features == k
                ]
    if found:
        path, layer = found[-1]
        holder, _, rest = path.partition(".")
        text = join_path(holder, rest, kit.scene.site_frame.locals[holder]) if rest else holder
        try:
            made = construct(kit.scene, layer, out_features=needed)
        except Unknown:
            return
        yield Candidate(
            f"{text} = {made}",
            f"a score for every class from 0 to {high}; the layer's weights begin anew",
            trial=trial,
            given=given,
            needs_values=True,
        )


def _classifier_of(kit: Kit, k: int) -> tuple[str, torch.nn.Linear] | None:
    """How the user's frame reaches the last layer of a library's model."""
    from course_lib.shapes.frames import names_in_scope

    owner = kit.scene.site_frame.locals.get("self")
    layers = (
        [n for n, m in owner.named_children() if isinstance(m, torch.nn.Linear) and m.out_features == k]
        if isinstance(owner, torch.nn.Module)
        else []
    )
    if not layers:
        return None
    for name, value in names_in_scope(kit.scene.frames, kit.scene.user).items():
        if value is owner:
            return f"{name}.{layers[-1]}", getattr(owner, layers[-1])
        if name == "self" and isinstance(value, torch.nn.Module):
            path = next((n for n, m in value.named_modules() if m is owner), None)
            if path and not any(p.isdigit() for p in path.split(".")):
                return f"self.{path}.{layers[-1]}", getattr(owner, layers[-1])
    return None


_YES_OR_NO = re.compile(r"binary|multi_?label|soft_margin")


_HIDDEN = re.compile(r"hidden|state|feat|emb|repr|vec|teacher|student", re.I)


def pairwise(call: Call, scene: Scene) -> Finding | None:
    """Prediction and target of one shape: BCE demands it, MSE and L1 spread silently where they can."""
    kit = Kit(call, scene)
    x, y = call.tensor("input"), call.tensor("target")
    if x is None or y is None:
        return None
    name, target, op = kit.name("input"), kit.name("target"), call.operation
    for setting in ("pos_weight", "weight"):
        weight = call.get(setting)
        if tuple(x.shape) != tuple(y.shape) or not isinstance(weight, Tensor):
            continue
        try:
            fits = torch.broadcast_shapes(weight.shape, x.shape) == x.shape
        except RuntimeError:
            fits = False
        if not fits:
            call.args[setting] = weight
            call.names.setdefault(setting, f"{setting} of the loss")
            return Finding(
                f"{setting} of {op} must spread over {name} {shape_text(x)}: one number for each of the {x.shape[-1]} in its last dimension, but it is {shape_text(weight)}.",
                means={setting: ("labels",) * weight.dim()},
            )
    if tuple(x.shape) != tuple(y.shape):
        cause = f"{op} compares number with number, so both need one shape, but {name} is {shape_text(x)} and {target} {shape_text(y)}."
        fixes: list[Candidate] = []
        same = x.numel() == y.numel()
        floats = ".float()" if not y.dtype.is_floating_point else ""
        if same and x.dim() == y.dim() + 1 and 1 in x.shape:
            d = next(
                i
                for i in range(x.dim() - 1, -1, -1)
                if x.shape[i] == 1 and tuple(x.shape[:i] + x.shape[i + 1 :]) == tuple(y.shape)
            )
            if floats:
                fixes += _both(
                    kit,
                    f"{{}}.squeeze({d})",
                    "{}.float()",
                    f"drops dimension {d} of the predictions, which is 1; the targets become floats",
                )
            else:
                fixes += kit.change("input", f"{{}}.squeeze({d})", f"drops dimension {d} of {name}, which is 1")
            fixes += kit.change(
                "target",
                f"{{}}.unsqueeze({d}){floats}",
                "gives the targets the dimension of 1 that the predictions have",
            )
        elif same and y.dim() == x.dim() + 1 and 1 in y.shape:
            d = next((i for i in range(y.dim() - 1, -1, -1) if y.shape[i] == 1), -1)
            fixes += kit.change("target", f"{{}}.squeeze({d}){floats}", f"drops dimension {d} of {target}, which is 1")
        elif same and x.dim() == y.dim() == 2 and tuple(x.shape) == tuple(y.shape[::-1]):
            fixes += kit.change("target", "{}.T" + floats, "rows and columns of the targets swapped")
        elif same and sorted(x.shape) == sorted(y.shape) and x.dim() == y.dim():
            for a in range(x.dim()):
                for b in range(a + 1, x.dim()):
                    fixes += (
                        kit.change(
                            "target",
                            f"{{}}.transpose({a}, {b}){floats}",
                            f"swaps dimensions {a} and {b} of the targets",
                        )
                        if y.transpose(a, b).shape == x.shape
                        else ()
                    )
        if x.dim() == 2 and y.dim() == 1 and x.shape[0] == y.shape[0] and x.shape[1] > 1 and "binary" in op:
            if not y.dtype.is_floating_point:
                fixes.append(
                    kit.code(
                        f"{kit.F}.cross_entropy({name}, {target})",
                        f"if {target} holds class numbers, one of {x.shape[1]} for each input",
                        needs_values=True,
                    )
                )
                fixes += kit.change(
                    "target",
                    f"{kit.F}.one_hot({{}}, {x.shape[1]}).float()",
                    "if each class is a yes or no of its own",
                    needs_values=True,
                )
            else:
                fixes.append(
                    kit.code(
                        f"{kit.F}.cross_entropy({name}, {target}.long())",
                        f"if {target} holds class numbers, one of {x.shape[1]} for each input",
                        needs_values=True,
                    )
                )
        if x.dim() == 3 and y.dim() == 2 and tuple(y.shape) == (x.shape[0], x.shape[2]):
            fixes += kit.change("input", "{}.mean(dim=1)", f"the mean over the {x.shape[1]} places of dimension 1")
        if x.dim() == 3 and y.dim() == 2 and tuple(y.shape) == (x.shape[0], x.shape[2]):
            fixes += kit.change("input", "{}[:, -1]", "the last place alone")
        if same and not fixes and x.shape[:1] == y.shape[:1]:
            fixes += _flattened(kit, x, y, floats)
        if not same and x.dim() == y.dim() and x.dim() in (4, 5) and x.shape[:2] == y.shape[:2]:
            fixes += kit.change(
                "input",
                f"{kit.F}.interpolate({{}}, size={target}.shape[2:])",
                f"resizes {name} to {shape_text(y.shape[2:])}; better is a network that gives this size by itself",
            )
        widths = (x.shape[-1], y.shape[-1]) if x.dim() and y.dim() else (0, 0)
        hidden = (
            op in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
            and _HIDDEN.search(name)
            and _HIDDEN.search(target)
            and x.dim() > 1
        )
        if hidden and widths[0] != widths[1] and min(widths) > 1 and x.shape[:-1] == y.shape[:-1]:
            fixes += kit.change(
                "input",
                f"{kit.nn}.Linear({widths[0]}, {widths[1]})({{}})",
                f"a projection from {widths[0]} to {widths[1]}: make it once, beside the model, and train it along",
            )
        try:
            silent = torch.broadcast_shapes(x.shape, y.shape)
        except RuntimeError:
            silent = None
        if silent is not None and "binary" not in op:
            return None
        # Numbers in two dimensions are mostly ids of tokens; as targets of yes and no they are labels.
        means = {"target": ("", "labels")} if _YES_OR_NO.search(op) and y.dim() == 2 else {}
        differ = [d for d in range(x.dim()) if x.dim() == y.dim() and x.shape[d] != y.shape[d]]
        focus = [(argument, d) for d in differ[-1:] for argument in ("input", "target")]
        return Finding(cause, fixes, focus or [("input", max(0, x.dim() - 1))], means=means)
    if "binary" in op and not y.dtype.is_floating_point:
        cause = f"{op} needs targets of floats, but {target} is {_kind(y)}."
        means = {"target": ("", "labels")} if y.dim() == 2 else {}
        fixes = list(kit.change("target", "{}.float()", "turns 0 and 1 into 0.0 and 1.0"))
        users = in_users_call(scene, y, "{}.float()")
        if users is not None:
            trial = f"torch.nn.functional.{op}(scores, labels.float())"
            fixes.append(
                Candidate(users, "turns 0 and 1 into 0.0 and 1.0", trial=trial, given={"scores": x, "labels": y})
            )
        return Finding(cause, fixes, means=means)
    if op == "binary_cross_entropy" and x.dtype.is_floating_point and x.device.type != "meta":
        low, high = extremes(x)
        if low is not None and (low < 0 or high > 1):
            cause = f"binary_cross_entropy takes probabilities from 0 to 1, but {name} runs from {low:.3g} to {high:.3g}: these are scores."
            fixes = [kit.code(f"{kit.F}.binary_cross_entropy_with_logits({name}, {target})", "takes the scores as they are, and is steadier", needs_values=True),
                     *kit.change("input", "{}.sigmoid()", "turns scores into probabilities", needs_values=True)]  # fmt: skip
            return Finding(cause, fixes)
        low, high = extremes(y)
        if low is not None and (low < 0 or high > 1):
            return Finding(
                f"binary_cross_entropy takes targets from 0 to 1, but {target} runs from {low:.3g} to {high:.3g}."
            )
    if x.dtype != y.dtype and x.dtype.is_floating_point and y.dtype.is_floating_point:
        return Finding(
            f"{op} needs numbers of one kind, but {name} is {_kind(x)} and {target} {_kind(y)}.",
            list(kit.change("target", f"{{}}.to({name}.dtype)", "the same kind of number")),
        )
    return None


def _flattened(kit: Kit, x: Tensor, y: Tensor, floats: str) -> Iterator[Candidate]:
    """The same numbers for each input, once in a row and once as a picture."""
    for argument, t, other in (("target", y, x), ("input", x, y)):
        end = floats if argument == "target" else ""
        if other.dim() == 2 and t.dim() > 2:
            yield from kit.change(
                argument,
                "{}.flatten(1)" + end,
                f"{' x '.join(map(str, t.shape[1:]))} = {other.shape[1]} numbers an input, in one row",
            )
        elif t.dim() == 2 and other.dim() > 2:
            owner = kit.name("input" if argument == "target" else "target")
            yield from kit.change(
                argument,
                f"{{}}.view_as({owner})" + end,
                f"the row of an input in the shape {shape_text(other.shape[1:])}",
            )


def _texts_of_other_lengths(kit: Kit, names: list[str], tensors: list[Tensor]) -> Iterator[Candidate]:
    """(B, T, H) with another T each: vectors of tokens, where vectors of texts are compared."""
    if any(t.dim() != 3 or (t.shape[0], t.shape[2]) != (tensors[0].shape[0], tensors[0].shape[2]) for t in tensors):
        return
    for template, why in (
        ("{}.mean(dim=1)", "one vector for each text, the mean of its tokens; over padding take a mean with the mask"),
        ("{}[:, 0]", "one vector for each text, its first token ([CLS] in BERT)"),
    ):
        with suppress(Unknown, SyntaxError):
            yield kit.code(kit.rewritten(**{a: template.format(kit.name(a)) for a in names}), why)


def embedding_loss(call: Call, scene: Scene) -> Finding | None:
    """cosine_embedding_loss and its like: (N, D), (N, D) and one target for each pair."""
    kit = Kit(call, scene)
    names = [
        a for a in ("input1", "input2", "anchor", "positive", "negative", "x1", "x2") if call.tensor(a) is not None
    ]
    tensors = [call.args[a] for a in names]
    for a, t in zip(names[1:], tensors[1:], strict=True):
        try:
            torch.broadcast_shapes(tensors[0].shape, t.shape)
        except RuntimeError:
            cause = f"{call.operation} compares vector with vector, but {kit.name(names[0])} is {shape_text(tensors[0])} and {kit.name(a)} {shape_text(t)}."
            fixes = (
                list(kit.change(a, "{}.T", "rows and columns swapped"))
                if t.dim() == 2 and tuple(t.shape[::-1]) == tuple(tensors[0].shape)
                else []
            )
            fixes += _texts_of_other_lengths(kit, names, tensors)
            first = tensors[0]
            if call.op == "cosine_similarity" and first.dim() == t.dim() == 2 and first.shape[1] == t.shape[1]:
                one, other = kit.name(names[0]), kit.name(a)
                fixes.append(
                    kit.code(
                        f"{kit.F}.cosine_similarity({one}[:, None], {other}[None], dim=-1)",
                        f"each of the {first.shape[0]} with each of the {t.shape[0]}: ({first.shape[0]}, {t.shape[0]})",
                    )
                )
            d = next((i for i in range(min(t.dim(), tensors[0].dim())) if t.shape[i] != tensors[0].shape[i]), 0)
            return Finding(cause, fixes, [(names[0], d), (a, d)])
    y = call.tensor("target")
    if y is not None and tensors and (y.dim() != 1 or y.shape[0] != tensors[0].shape[0]):
        cause = f"{call.operation} needs one target for each of the {tensors[0].shape[0]} pairs, shape ({tensors[0].shape[0]},), but {kit.name('target')} is {shape_text(y)}."
        fixes = list(kit.change("target", "{}.squeeze(-1)", "drops the dimension of 1")) if y.dim() == 2 else []
        return Finding(cause, fixes)
    return None


def backward(call: Call, scene: Scene) -> Finding | None:
    """backward begins at one number that hangs on a parameter."""
    kit = Kit(call, scene)
    x, name = call.tensor("input"), kit.name("input")
    if x is None:
        return None
    if x.numel() != 1 and not call.args.get("gradient"):
        cause = f"backward begins at one number, but {name} {shape_text(x)} has {x.numel()}: a loss with reduction='none', or no loss at all."
        fixes = [kit.code(f"{name}.mean().backward()", "the mean over all of them", trial=f"{name}.mean()")]
        return Finding(cause, fixes)
    if not x.requires_grad:
        return Finding(
            f"{name} hangs on no parameter that learns: it was made under no_grad, by argmax or detach, or from tensors without gradients.",
            [],
            [],
        )
    return None


def numpy(call: Call, scene: Scene) -> Finding | None:
    """A tensor with gradients is not handed to numpy."""
    kit = Kit(call, scene)
    x, name = call.tensor("input"), kit.name("input")
    if x is None or not x.requires_grad:
        return None
    cause = f"{name} {shape_text(x)} carries gradients, and numpy cannot."
    return Finding(
        cause,
        [
            Candidate(
                f"{name}.detach().numpy()",
                "the same numbers without their gradients",
                trial=f"{name}.detach()",
                given=kit.given,
            )
        ],
    )


def ctc(call: Call, scene: Scene) -> Finding | None:
    """log_probs (tokens, batch, classes); one length for each input and each target."""
    kit = Kit(call, scene)
    x = call.tensor("log_probs")
    if x is None or x.dim() != 3:
        return None
    for argument in ("input_lengths", "target_lengths"):
        lengths = call.tensor(argument)
        if lengths is not None and lengths.numel() != x.shape[1]:
            cause = f"ctc_loss reads log_probs (tokens, batch, classes), so {kit.name('log_probs')} {shape_text(x)} is a batch of {x.shape[1]}, but {argument} has {lengths.numel()} numbers."
            fixes = (
                list(kit.change("log_probs", "{}.transpose(0, 1)", "tokens first, then the batch", needs_values=True))
                if lengths.numel() == x.shape[0]
                else []
            )
            return Finding(cause, fixes, [], {"log_probs": ("tokens", "batch", "classes")})
    return None


RULES = {
    "ctc_loss": ctc, "cross_entropy": classes, "nll_loss": classes, "backward": backward, "numpy": numpy,
    **dict.fromkeys(("binary_cross_entropy", "binary_cross_entropy_with_logits", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "multilabel_soft_margin_loss", "poisson_nll_loss", "soft_margin_loss", "hinge_embedding_loss"), pairwise),
    **dict.fromkeys(("cosine_embedding_loss", "triplet_margin_loss", "margin_ranking_loss", "cosine_similarity", "pairwise_distance", "triplet_margin_with_distance_loss"), embedding_loss),
}  # fmt: skip
