"""A tuple, a dictionary, a ModelOutput or None where a tensor belongs, and calls that do not fit a forward."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.shapes.frames import names_in_scope
from course_lib.shapes.operations import LAYERS, Call, Scene, existing
from course_lib.shapes.rules.finding import Candidate, Finding, Kit, shape_text
from course_lib.shapes.standins import Unknown


def parts_of(value: Any, text: str) -> list[tuple[str, Tensor, str]]:
    """The tensors within a container, each as (source text, tensor, what it is)."""
    found: list[tuple[str, Tensor, str]] = []
    if is_output(value):
        words = {
            "last_hidden_state": "one vector for each token",
            "logits": "the scores",
            "pooler_output": "one vector for each text",
        }
        order = ["logits", "last_hidden_state", "pooler_output"]
        keys = sorted(value.keys(), key=lambda k: order.index(k) if k in order else 9)
        found += [(f"{text}.{key}", value[key], words.get(key, "")) for key in keys if isinstance(value[key], Tensor)]
    elif isinstance(value, Mapping):
        found += [(f"{text}[{key!r}]", item, "") for key, item in value.items() if isinstance(item, Tensor)]
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            if isinstance(item, Tensor):
                found.append((f"{text}[{index}]", item, ""))
            elif isinstance(item, tuple):
                found += [(f"{text}[{index}][{j}]", t, "") for j, t in enumerate(item) if isinstance(t, Tensor)]
    return found


def recurrent_parts(value: Any, text: str) -> list[tuple[str, Tensor, str]]:
    """What is mostly wanted of a recurrent layer's (output, state): the outputs, else the last state of each text."""
    output, state = value
    nested = isinstance(state, tuple)
    hidden = state[0] if nested else state
    found = [(f"{text}[0]", output, "the output at every token")]
    if hidden.dim() == 3:
        both = hidden.shape[-1] != output.shape[-1]
        way = "the last layer, in the backward direction" if both else "the last layer"
        place = f"{text}[1][0][-1]" if nested else f"{text}[1][-1]"
        found.append((place, hidden[-1], f"the final state of each text ({way})"))
    return found


def is_output(value: Any) -> bool:
    """Whether a value is one of transformers' ModelOutputs, or of their kind."""
    return isinstance(value, Mapping) and any(base.__name__ == "ModelOutput" for base in type(value).__mro__)


def kind_of_value(value: Any) -> str:
    """A value in few words."""
    if isinstance(value, Tensor):
        return f"a tensor {shape_text(value)}"
    if value is None:
        return "None"
    if isinstance(value, list | tuple) and value:
        return f"a {type(value).__name__} of {len(value)}"
    if type(value).__name__ == "ndarray":
        return f"a numpy array {tuple(value.shape)}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def not_a_tensor(call: Call, scene: Scene) -> Finding | None:
    """An operation got something else where it takes a tensor."""
    if call.layer is not None and call.op not in LAYERS.values() and not _of_torch(call.layer):
        return None
    wanted = (
        "input",
        "query",
        "key",
        "value",
        "src",
        "tgt",
        "target",
        "other",
        "mask",
        "index",
        "tensors",
        "data",
        "self",
    )
    arguments = [a for a in wanted if a in call.args] or list(call.args)[:1]
    for argument in arguments:
        value = call.args[argument]
        if argument == "equation" or (isinstance(call.layer, nn.RNNBase) and type(value).__name__ == "PackedSequence"):
            continue
        if isinstance(value, Tensor | Unknown | int | float | bool | complex):
            if isinstance(value, int | float | bool) and argument == "input" and call.layer is not None:
                return _number(call, scene, argument, value)
            continue
        if (
            (argument in ("tensors", "data") and isinstance(value, list | tuple))
            or (argument == "data" and value is not None)
            or (call.op in ("getitem", "unpack", "attribute", "setitem") and not _is_none(value))
        ):
            continue
        if (
            value is None
            and argument not in ("input", "tensors")
            and call.op not in ("matmul", "add", "sub", "mul", "div", "bmm", "mm")
        ):
            continue
        found = _explain(call, scene, argument, value)
        if found is not None:
            return found
    return None


def _of_torch(layer: nn.Module) -> bool:
    """An activation, a dropout: a layer of torch.nn that takes one tensor and has no rule of its own."""
    kind = type(layer)
    return kind.__module__.startswith("torch.nn.modules") and not isinstance(
        layer, nn.Sequential | nn.ModuleList | nn.ModuleDict
    )


def _is_none(value: Any) -> bool:
    return value is None


def _number(call: Call, scene: Scene, argument: str, value: Any) -> Finding:
    kit = Kit(call, scene)
    return Finding(
        f"{call.operation} takes a tensor, but {kit.name(argument)} is the number {value}.",
        list(kit.change(argument, f"{kit.torch}.tensor({{}})", "a tensor of the number")),
    )


def _explain(call: Call, scene: Scene, argument: str, value: Any) -> Finding | None:
    kit = Kit(call, scene)
    name = kit.name(argument)
    shown = call.operation
    takes = f"{shown} takes a tensor" + ("" if argument in ("input", "self") else f" as {argument}")
    if argument == "tensors":
        takes = f"{shown} takes a tuple or list of tensors"
    if value is None:
        return Finding(f"{takes}, but {name} is None.{_why_none(name)}", list(_none_fixes(kit, scene, name)))
    if isinstance(value, str):
        extra = " Iterating over or unpacking a ModelOutput gives the names of its fields." if value in _FIELDS else ""
        return Finding(
            f"{takes}, but {name} is the text {value[:40]!r}.{extra}",
            list(_by_name(kit, scene, name, value, lambda text: kit.rewritten(**{argument: text}))),
        )
    if type(value).__name__ == "ndarray":
        floats = ".float()" if str(value.dtype) == "float64" else ""
        return Finding(f"{takes}, but {name} is a numpy array {tuple(value.shape)}.",
                       [Candidate(kit.rewritten(**{argument: f"{kit.torch}.from_numpy({name}){floats}"}), "the same numbers as a tensor", trial=_as_tensor_trial(call, kit, argument), given=_as_tensor(call, argument, value))] if kit.editable and argument in call.names else [])  # fmt: skip
    if type(value).__name__ == "PackedSequence":
        return Finding(f"{takes}, but {name} is a PackedSequence.", list(_packed(kit, name)))
    if isinstance(value, list | tuple | Mapping):
        held = parts_of(value, name)
        note = ""
        if type(value) is tuple and _from_recurrent(value):
            held = recurrent_parts(value, name)
            note = " A recurrent layer returns (output, state)."
        elif is_output(value):
            note = f" It holds {', '.join(value.keys())}."
        elif isinstance(value, Mapping):
            note = f" Its keys are {', '.join(map(str, list(value.keys())[:6]))}."
        fixes: list[Candidate] = []
        for text, tensor, what in held:
            template = text.replace(name, "{}", 1)
            given = {text: tensor}
            why = f"{what or 'this one'}: {shape_text(tensor)}"
            made = list(kit.change(argument, template, why))
            fixes += [Candidate(c.code, c.why, c.trial, {**c.given, **given}, c.needs_values) for c in made]
        if isinstance(value, list) and value and _numbers(value):
            fixes += kit.change(argument, f"{kit.torch}.tensor({{}})", "a tensor of the numbers", needs_values=True)
        if (
            isinstance(value, list | tuple)
            and value
            and all(isinstance(v, Tensor) for v in value)
            and type(value) is list
        ):
            fixes += kit.change(
                argument, f"{kit.torch}.stack({{}})", f"the {len(value)} tensors in a new first dimension"
            )
        return Finding(f"{takes}, but {name} is {kind_of_value(value)}{_contents(value)}.{note}", fixes)
    return None


def _by_name(kit: Kit, scene: Scene, name: str, field: str, write: Callable[[str], str]) -> Iterator[Candidate]:
    """The field of a ModelOutput itself, where unpacking or iterating gave its name; `write` puts it into the source."""
    import ast

    if field not in _FIELDS or scene.in_library or not name.isidentifier():
        return
    node = kit.definition(name)
    while isinstance(node, ast.Subscript):  # the slice that was unpacked
        node = node.value
    text = ast.unparse(node) if node is not None else ""
    holder = text if isinstance(node, ast.Name | ast.Attribute) else "outputs"
    try:
        code = write(f"{holder}.{field}")
    except Unknown:
        return
    value = scene.value(text) if holder == text else None
    if is_output(value):
        yield kit.code(code, f"the field {field} by its name", given={f"{holder}.{field}": value[field]})
    elif isinstance(node, ast.Call):
        sizes = _field_sizes(scene, node, field)
        made = f"outputs = {text}\n{code}"
        if sizes is None:
            yield Candidate(made, f"the field {field} by its name", trial="?")
        else:
            given = {f"outputs.{field}": torch.zeros(sizes, device="meta")}
            yield Candidate(made, f"the field {field} by its name: {shape_text(sizes)}", trial=code, given=given)
    else:
        yield Candidate(code, f"the field {field} by its name, where {holder} is what the model returned", trial="?")


def _field_sizes(scene: Scene, node: Any, field: str) -> tuple[int, ...] | None:
    """The sizes of a ModelOutput's field, from the model's configuration and the ids it was given."""
    import ast

    model = scene.value(node.func)
    width = getattr(vars(model).get("config"), "hidden_size", None) if isinstance(model, nn.Module) else None
    values = [scene.value(a) for a in (*node.args, *(k.value for k in node.keywords)) if not isinstance(a, ast.Starred)]
    ids = next((v for v in values if isinstance(v, Tensor) and v.dim() == 2), None)
    if width is None or ids is None or field not in ("last_hidden_state", "pooler_output"):
        return None
    return (*ids.shape, width) if field == "last_hidden_state" else (ids.shape[0], width)


def _numbers(value: Any) -> bool:
    """A rectangular nesting of plain numbers."""
    if isinstance(value, list | tuple):
        return (
            bool(value)
            and all(_numbers(v) for v in value)
            and len({len(v) if isinstance(v, list | tuple) else -1 for v in value}) == 1
        )
    return isinstance(value, int | float)


def _contents(value: Any) -> str:
    if isinstance(value, list | tuple) and value and all(isinstance(v, Tensor) for v in value):
        shapes = [shape_text(v) for v in value[:3]]
        return f" tensors, {', '.join(shapes)}{' ...' if len(value) > 3 else ''}"
    return ""


def _from_recurrent(value: Any) -> bool:
    """Whether a value can be (output, h) or (output, (h, c)): batch and width of the states are the output's."""
    if not isinstance(value, tuple) or len(value) != 2 or not isinstance(value[0], Tensor):
        return False
    output, state = value
    hidden = state[0] if isinstance(state, tuple) and len(state) == 2 else state
    if not isinstance(hidden, Tensor) or hidden.dim() != output.dim() or hidden.dim() not in (2, 3):
        return False
    return output.shape[-1] in (hidden.shape[-1], 2 * hidden.shape[-1]) and (
        hidden.dim() == 2 or hidden.shape[1] in output.shape[:2]
    )


_FIELDS = ("last_hidden_state", "pooler_output", "hidden_states", "attentions", "logits", "loss", "past_key_values")
_NONE = {
    "hidden_states": " It is filled only with output_hidden_states=True.",
    "attentions": " It is filled only with output_attentions=True and attn_implementation='eager'.",
    "pooler_output": " The model was made without a pooler (add_pooling_layer=False), or is of a kind that has none.",
    "loss": " It is filled only when labels are given.",
}


def _why_none(name: str) -> str:
    return next((text for field, text in _NONE.items() if field in name), "") or (
        " A forward without return gives None."
        if name.endswith(")") or name in ("x", "out", "output", "outputs")
        else ""
    )


def _none_fixes(kit: Kit, scene: Scene, name: str) -> Iterator[Candidate]:
    import ast

    for fieldname, argument in (
        ("hidden_states", "output_hidden_states=True"),
        ("attentions", "output_attentions=True"),
    ):
        if fieldname not in name:
            continue
        base = name.split(f".{fieldname}")[0]
        node = kit.definition(base) if base.isidentifier() else None
        text = ast.unparse(node) if isinstance(node, ast.Call) else base if base.endswith(")") else None
        if text and argument not in text:
            yield Candidate(
                f"{text[:-1]}{', ' if not text.endswith('(' + ')') else ''}{argument})",
                f"asks the model for its {fieldname}",
            )


def _packed(kit: Kit, name: str) -> Iterator[Candidate]:
    yield Candidate(f"{kit.nn}.utils.rnn.pad_packed_sequence({name}, batch_first=True)[0]", "back to one padded tensor")


def _as_tensor(call: Call, argument: str, value: Any) -> dict[str, Any]:
    made = torch.from_numpy(value).float() if str(value.dtype) in ("float64", "float32") else torch.from_numpy(value)
    others = {f"o{i}": v for i, (k, v) in enumerate(call.args.items()) if k != argument}
    return {"layer": call.layer, "made": made, **others}


def _as_tensor_trial(call: Call, kit: Kit, argument: str) -> str:
    if call.layer is not None:
        return "layer(made)"
    function = call.callee or call.op
    parts = []
    for i, k in enumerate(call.args):
        parts.append("made" if k == argument else f"o{i}")
    if call.op in ("add", "sub", "mul", "div", "matmul"):
        return f"torch.{call.op}({', '.join(parts)})"
    return f"{function}({', '.join(parts)})"


def unpack(call: Call, scene: Scene) -> Finding | None:
    """As many names as there are values; a ModelOutput unpacks to its field names."""
    kit = Kit(call, scene)
    value, count, name = call.args.get("input"), call.args.get("count"), kit.name("input")
    if isinstance(value, Unknown):
        found = re.search(r"expected (\d+)(?:, got (\d+))?", scene.text)
        if found is None:
            return None
        got = found.group(2) or "more"
        return Finding(f"{name} gives {got} values, but {kit.name('names')} takes {count}.")
    if is_output(value):
        cause = f"{name} is {kind_of_value(value)}; unpacking it gives the names of its {len(value)} fields ({', '.join(value.keys())}), not their tensors."
        return Finding(
            cause,
            [
                kit.code(f"{text}", f"{what or 'by name'}: {shape_text(t)}", given={text: t})
                for text, t, what in parts_of(value, name)
            ],
        )
    if isinstance(value, Tensor):
        size = value.shape[0] if value.dim() else 0
        cause = f"Unpacking {name} {shape_text(value)} takes it apart along dimension 0 into {size}, but {kit.name('names')} takes {count}."
        fixes = []
        if tuple(value.shape).count(count) and value.dim() and count:
            d = list(value.shape).index(count)
            fixes.append(kit.code(f"{name}.unbind({d})", f"along dimension {d}, which is {count}"))
        if count == value.dim():
            fixes.append(kit.code(f"{name}.shape", f"its {count} sizes"))
        return Finding(cause, fixes, [("input", 0)])
    if isinstance(value, torch.Size):
        cause = f"{name} {shape_text(value)} holds {len(value)} sizes, but {kit.name('names')} takes {count}."
        fixes = []
        if scene.in_library and len(value) in (1, 3) and count == 2:
            for change in _to_two(tuple(value)):
                fixes += _changed_ids(scene, tuple(value), *change)
            if fixes:
                what = "one dimension" if len(value) == 1 else "3 dimensions"
                return Finding(
                    f"The model takes ids (batch, tokens), but they have {what}: {shape_text(value)}.", fixes
                )
        if len(value) < count and name.endswith((".shape", ".size()")):
            base = name.removesuffix(".shape").removesuffix(".size()")
            if count - len(value) == 1 and len(value) == 3:
                fixes.append(kit.code(f"{base}.unsqueeze(0).shape", "with a batch of one in front"))
            if count - len(value) == 1:
                fixes.append(kit.code(f"{base}.unsqueeze(1).shape", "with a dimension of 1 after the first"))
        if len(value) > count:
            fixes.append(kit.code(f"{name}[:{count}]", f"the first {count}; or name all {len(value)}"))
            fixes.append(kit.code(f"{name}[-{count}:]", f"the last {count}"))
        return Finding(cause, fixes)
    if isinstance(value, list | tuple | dict) and not parts_of(value, name):
        return None
    if isinstance(value, list | tuple | dict):
        cause = f"{name} is {kind_of_value(value)}, but {kit.name('names')} takes {count}."
        shapes = ", ".join(shape_text(v) if isinstance(v, Tensor) else kind_of_value(v) for v in list(value)[:5])
        cause += f" It holds {shapes}."
        fixes = []
        if isinstance(value, tuple) and len(value) == 2 and count == 3 and isinstance(value[1], tuple):
            names = [n.strip() for n in kit.name("names").strip("()").split(",")]
            fixes.append(
                Candidate(
                    f"{names[0]}, ({names[1]}, {names[2]}) = {name}",
                    "an LSTM returns (output, (h_n, c_n))",
                    checked=True,
                )
            )
        elif (chunks := re.fullmatch(r"(.+)\.chunk\((\d+)(.*)\)", name)) and count:
            code = f"{chunks.group(1)}.chunk({count}{chunks.group(3)})"
            fixes.append(kit.code(code, f"as many parts as names: {count}"))
        elif len(value) > (count or 0):
            fixes.append(kit.code(f"{name}[:{count}]", f"the first {count}", given={name: value}))
        return Finding(cause, fixes)
    return None


def _to_two(shape: tuple[int, ...]) -> list[tuple[str, str]]:
    """Ways from ids of one or three dimensions to (batch, tokens)."""
    if len(shape) == 1:
        return [(".unsqueeze(0)", "a batch of one")]
    ones = [d for d in (1, 0, 2) if shape[d] == 1]
    if ones:
        return [
            (
                f".squeeze({d})",
                f"drops dimension {d}, which is 1"
                + ("; a tokenizer with return_tensors='pt' adds it to each text" if d == 1 else ""),
            )
            for d in ones[:1]
        ]
    return [
        (
            ".flatten(0, 1)",
            f"{shape[0]} x {shape[1]} = {shape[0] * shape[1]} texts; the result belongs to {shape[1]} for each input",
        )
    ]


def _changed_ids(scene: Scene, shape: tuple[int, ...], change: str, why: str) -> Iterator[Candidate]:
    """The user's call of a library's model with its ids in two dimensions."""
    import ast

    from course_lib.shapes.operations import existing, names_in_scope

    node = scene.frame.node
    if not isinstance(node, ast.Call):
        return
    names = names_in_scope(scene.frames, scene.user)
    given: dict[str, Any] = {}
    changes: list[tuple[ast.AST, str]] = []
    held = [v for c in scene.calls if c.level > scene.user for v in (*c.args, *c.kwargs.values())]
    for argument in [*node.args, *(k.value for k in node.keywords)]:
        value = existing(argument, names)
        value = (
            value
            if isinstance(value, Tensor)
            else next((v for v in held if isinstance(v, Tensor) and tuple(v.shape) == shape), None)
        )
        if isinstance(value, Tensor) and tuple(value.shape) == shape:
            text = ast.unparse(argument)
            given[text] = value
            changes.append((argument, f"{text}{change}"))
    if changes:
        trial = f"batch, tokens = {next(iter(given))}{change}.shape"
        yield Candidate(scene.frame.replaced(node, changes), why, trial=trial, given=given)


def _spread_keywords(scene: Scene, value: Any) -> list[Candidate]:
    """`model(batch)` where `model(**batch)` is meant."""
    import ast

    node = scene.frame.node
    made = next((c for c in scene.calls if c.level > scene.user), None)
    if not isinstance(node, ast.Call) or len(node.args) != 1 or made is None or not isinstance(value, Mapping):
        return []
    try:
        inspect.signature(type(made.module).forward).bind(made.module, **value)
    except TypeError:
        return []
    text = ast.unparse(node.args[0])
    code = scene.frame.replaced(node, [(node.args[0], f"**{text}")])
    return [Candidate(code, "each entry of the dictionary under its own name")]


def attribute(call: Call, scene: Scene) -> Finding | None:
    """An attribute that the object does not have."""
    kit = Kit(call, scene)
    value, wanted, name = call.args.get("input"), call.args.get("attribute", ""), kit.name("input")
    if isinstance(value, Unknown):
        return _shadowed(call, scene)
    if value is None and not (_why_none(name) or hasattr(Tensor, wanted) or wanted in _FIELDS):
        return None
    if value is None:
        return Finding(f"{name} is None and has no {wanted}.{_why_none(name)}", list(_none_fixes(kit, scene, name)))
    expression = scene.site_frame.text(scene.site_frame.whole)
    if is_output(value):
        cause = f"{name} is {kind_of_value(value)} and has no {wanted}; it holds {', '.join(value.keys())}."
        if scene.in_library:
            fixes = []
        elif expression == f"{name}.{wanted}":
            fixes = [
                kit.code(text, f"{what or 'this field'}: {shape_text(t)}", given={text: t})
                for text, t, what in parts_of(value, name)
            ]
        else:
            fixes = [
                kit.code(
                    expression.replace(name, text, 1), f"{what or 'of this field'}: {shape_text(t)}", given={text: t}
                )
                for text, t, what in parts_of(value, name)
            ]
        return Finding(cause, fixes)
    if isinstance(value, list | tuple | Mapping):
        held = parts_of(value, name)
        if not held and scene.in_library and isinstance(value, list) and value and _numbers(value):
            return _listed_ids(scene, value)
        if not held:
            return None
        cause = f"{name} is {kind_of_value(value)}{_contents(value)}, not a tensor, and has no {wanted}."
        if _from_recurrent(value):
            held = recurrent_parts(value, name)[:1]  # a method for the output at every token rarely fits the state
            cause += " A recurrent layer returns (output, state)."
        fixes = [
            kit.code(expression.replace(name, text, 1), f"{what or 'this one'}: {shape_text(t)}", given={text: t})
            for text, t, what in held
        ]
        return Finding(cause, _spread_keywords(scene, value) if scene.in_library else fixes)
    if isinstance(value, nn.Module):
        known = [n for n, _ in value.named_children()] + [n for n, _ in value.named_parameters(recurse=False)]
        close = difflib.get_close_matches(wanted, known, n=2, cutoff=0.6)
        held = f" It has {', '.join(known[:8])}{' ...' if len(known) > 8 else ''}." if known else ""
        cause = f"{name} ({type(value).__name__}) has no {wanted}.{held}"
        return Finding(
            cause,
            [
                Candidate(
                    expression.replace(f"{name}.{wanted}", f"{name}.{other}", 1),
                    "the part of nearly that name",
                    checked=True,
                )
                for other in close
            ],
        )
    if isinstance(value, Tensor):
        close = difflib.get_close_matches(wanted, [n for n in dir(Tensor) if not n.startswith("_")], n=1, cutoff=0.6)
        text = f"{name} is a tensor {shape_text(value)}, and tensors have no {wanted}."
        if wanted in _FIELDS:
            text += " The model was asked for a tuple (return_dict=False), or its output was taken apart before."
        return Finding(text, [Candidate(f"{name}.{close[0]}", "the nearest name", checked=True)] if close else [])
    if isinstance(value, str) and (value in _FIELDS or hasattr(Tensor, wanted)):
        extra = " Iterating over or unpacking a ModelOutput gives the names of its fields." if value in _FIELDS else ""
        fixes = list(_by_name(kit, scene, name, value, lambda text: expression.replace(name, text, 1)))
        return Finding(f"{name} is the text {value[:40]!r} and has no {wanted}.{extra}", fixes)
    return None


def _listed_ids(scene: Scene, value: list) -> Finding | None:
    """A library's model got the ids as a list of numbers."""
    node = scene.frame.node
    names = names_in_scope(scene.frames, scene.user)
    for argument in (*node.args, *(k.value for k in node.keywords)) if isinstance(node, ast.Call) else ():
        if existing(argument, names) is value:
            text = ast.unparse(argument)
            flat = not isinstance(value[0], list)
            made = f"{scene.alias('torch')}.tensor({f'[{text}]' if flat else text})"
            shape = tuple(torch.tensor([value] if flat else value).shape)
            fix = Candidate(
                scene.frame.replaced(node, [(argument, made)]),
                f'a tensor {shape_text(shape)}: {"a batch of one text" if flat else "texts of ids"}; return_tensors="pt" makes the tokenizer give it',
                checked=True,
            )
            return Finding(f"The model takes ids as a tensor (batch, tokens), but {text} is a list.", [fix])
    return None


def _shadowed(call: Call, scene: Scene) -> Finding | None:
    """A layer named like a method of nn.Module: the method is found first, and the layer never."""
    import ast

    node = scene.site_frame.node
    made = node.value if isinstance(node, ast.Attribute) else None
    if not isinstance(made, ast.Call) or not isinstance(made.func, ast.Attribute):
        return None
    owner, name = scene.value(made.func.value), made.func.attr
    if not isinstance(owner, nn.Module) or name not in owner._modules or not hasattr(nn.Module, name):
        return None
    text = ast.unparse(made.func)
    cause = f"{text} is the method .{name}() of every nn.Module, not the layer of that name ({type(owner._modules[name]).__name__}): the method is found first."
    return Finding(
        cause, [Candidate(f"{text}_layer = ...", "another name for the layer, in __init__ and here", trial="?")]
    )


def item_of(call: Call, scene: Scene) -> Finding | None:
    """Indexing what is None, a ModelOutput, a dictionary or too short."""
    kit = Kit(call, scene)
    value, where, name = call.args.get("input"), call.args.get("index"), kit.name("input")
    if value is None and "input" in call.args:
        if not any(field in name for field in _FIELDS):
            return None
        return Finding(f"{name} is None and has no places.{_why_none(name)}", list(_none_fixes(kit, scene, name)))
    if isinstance(value, Tensor | Unknown) or isinstance(where, Unknown):
        return None
    if isinstance(value, tuple) and not value and "attentions" in name:
        return Finding(
            f"{name} is empty: the model's attention (sdpa) keeps no weights; load it with attn_implementation='eager'."
        )
    if not isinstance(value, nn.Module) and not parts_of(value, name):
        return None  # no tensors in it: not a matter of shapes
    if is_output(value) or isinstance(value, Mapping):
        keys = [str(k) for k in value]
        if isinstance(where, int):
            count = len(value.to_tuple()) if hasattr(value, "to_tuple") else len(keys)
            cause = f"{name} holds {count} values, 0 to {count - 1} ({', '.join(keys)}); there is no place {where}. Fields that are None do not count."
        else:
            cause = f"{name} has no key {where!r}; it has {', '.join(keys[:8])}."
        close = difflib.get_close_matches(str(where), keys, n=2, cutoff=0.5)
        fixes = [
            kit.code(f"{name}[{k!r}]", "the key of nearly that name", given={f"{name}[{k!r}]": value[k]})
            for k in close
            if k in value
        ]
        return Finding(cause, fixes)
    if isinstance(value, list | tuple):
        held = ", ".join(shape_text(v) if isinstance(v, Tensor) else kind_of_value(v) for v in list(value)[:5])
        if isinstance(where, int):
            cause = f"{name} is {kind_of_value(value)} ({held}): places 0 to {len(value) - 1}, there is none {where}."
            fixes = [kit.code(f"{name}[-1]", "the last place", given={f"{name}[-1]": value[-1]})] if value else []
            return Finding(cause, fixes)
        cause = f"{name} is {kind_of_value(value)} ({held}), which takes one whole number as index, not {kit.name('index')}."
        fixes = []
        for text, t, what in parts_of(value, name)[:2]:
            try:
                fixes.append(
                    kit.code(
                        f"{text}[{kit.name('index')}]", f"{what or 'of this one'}: {shape_text(t)}", given={text: t}
                    )
                )
            except SyntaxError:
                continue
        if value and all(isinstance(v, Tensor) and v.shape == value[0].shape for v in value):
            fixes.append(kit.code(f"{kit.torch}.stack({name})[{kit.name('index')}]", "all of them as one tensor"))
        return Finding(cause, fixes)
    if isinstance(value, nn.Module):
        return Finding(f"{name} is a layer ({type(value).__name__}) and has no places; call it.")
    return None


def arguments(call: Call, scene: Scene) -> Finding | None:
    """A call that does not fit the forward's parameters."""
    layer = call.layer
    if layer is None or not isinstance(scene.error, TypeError) or "forward()" not in scene.text:
        return None
    kit = Kit(call, scene)
    try:
        signature = inspect.signature(type(layer).forward)
    except (TypeError, ValueError):
        return None
    wanted = [p for p in list(signature.parameters.values())[1:] if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    given = list(call.args)
    text = ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in wanted)
    kind = type(layer).__name__
    unexpected = re.search(r"unexpected keyword argument '(\w+)'", scene.text)
    fixes: list[Candidate] = []
    if unexpected is not None:
        cause = f"forward of {kind} takes ({text}); there is no {unexpected.group(1)}."
        close = difflib.get_close_matches(unexpected.group(1), [p.name for p in wanted], n=1, cutoff=0.5)
        if close and kit.scene.site_frame.node is not None:
            shown = scene.site_frame.text().replace(f"{unexpected.group(1)}=", f"{close[0]}=")
            fixes.append(Candidate(shown, "the parameter of nearly that name"))
        return Finding(cause, fixes)
    needed = [p for p in wanted if p.default is p.empty]
    positional = [g for g in given if g.startswith("argument")]
    missing = [p.name for p in needed[len(positional) :] if p.name not in given]
    if missing and len(positional) <= len(wanted):
        cause = f"forward of {kind} takes ({text}), but {', '.join(missing)} {'was' if len(missing) == 1 else 'were'} not given."
    else:
        cause = f"forward of {kind} takes {len(wanted)} input{'s' if len(wanted) != 1 else ''} ({text}), but {len(given)} were given."
        if type(layer).__name__ == "Sequential" or (
            scene.calls and any(isinstance(c.module, nn.Sequential) for c in scene.calls)
        ):
            cause += " nn.Sequential passes on a single value."
    return Finding(cause, fixes)


def data_set(call: Call, scene: Scene) -> Finding | None:
    """TensorDataset: as many rows in each tensor."""
    tensors = [(a, v) for a, v in call.args.items() if isinstance(v, Tensor) and v.dim()]
    kit = Kit(call, scene)
    if len({v.shape[0] for _, v in tensors}) <= 1:
        return None
    rows = ", ".join(f"{kit.name(a)} {shape_text(v)} has {v.shape[0]}" for a, v in tensors[:4])
    return Finding(f"TensorDataset pairs row with row, so its tensors need as many rows each, but {rows}.")


RULES = {"TensorDataset": data_set, "unpack": unpack, "attribute": attribute, "getitem": item_of}
