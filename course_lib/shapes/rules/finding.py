"""What a rule says, and the means to write a repair in the source's own words."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.shapes.frames import Frame
from course_lib.shapes.operations import Call, Scene
from course_lib.shapes.standins import Unknown


@dataclass(frozen=True)
class Candidate:
    """A repair to be tried. `code` is shown; `trial` is evaluated, where the code alone cannot be."""

    code: str
    why: str
    trial: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    needs_values: bool = False
    checked: bool = False  # nothing to try on tensors: looked up instead
    replay: tuple[tuple[nn.Module, str], ...] = ()  # (layer, code of the one in its place): the function is read again
    flattened: tuple[tuple[int, ...], tuple[int, ...]] | None = None  # a view (from, to) for which flatten(1) is tried
    reread: Mapping[str, Tensor] = field(default_factory=dict)  # source -> what it gives: the function is read again
    earlier: bool = False  # it takes the place of an earlier line, or mends a layer that was called before


@dataclass
class Finding:
    """The broken rule in one sentence, and the repairs to try, best first."""

    cause: str
    fixes: list[Candidate] = field(default_factory=list)
    focus: list[tuple[str, int]] = field(default_factory=list)  # (argument, dimension): numbers whose origin is told
    read_as: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # argument -> how the operation reads its dimensions
    notes: list[str] = field(default_factory=list)
    means: dict[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # argument -> what its dimensions are, better known to the rule than guessed from a name; "" leaves the guess
    equal: tuple[tuple[str, int], tuple[str, int]] | None = None  # two sizes that must be one, all else being right
    wanted: tuple[str, int, int] | None = None  # (argument, dimension, size): a size that must be another
    operation: str = ""  # where the rule knows a better name
    most: int = 3


def shape_text(value: Any) -> str:
    """`(32, 64, 768)`, for a tensor or a sequence of sizes."""
    sizes = tuple(value.shape) if isinstance(value, Tensor) else tuple(value)
    return f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"


def construct(scene: Scene, layer: nn.Module, **changes: Any) -> str:
    """The call that makes a layer like this one: `nn.Linear(780, 3)`. Settings at their default are left out."""
    parts = []
    for base in type(layer).__mro__:
        if base.__module__.startswith("torch.nn.modules"):
            kind = base
            break
    else:
        raise Unknown(type(layer).__name__)
    signed = _recurrent_signature if issubclass(kind, nn.RNNBase) else kind.__init__
    for name, parameter in inspect.signature(signed).parameters.items():
        if name in ("self", "device", "dtype", "args", "kwargs") or name.startswith("_"):
            continue
        default = parameter.default
        if name in changes:
            value = changes[name]
        elif name == "bias" and kind.__name__.startswith("Transformer"):
            value = layer.linear1.bias is not None
        elif name == "bias" and isinstance(layer, nn.MultiheadAttention):
            value = layer.in_proj_bias is not None
        elif name == "bias" and isinstance(getattr(layer, name, None), Tensor | type(None)):
            value = getattr(layer, name, None) is not None
        else:
            value = getattr(layer, name, default)
        if name in ("kdim", "vdim") and value == getattr(layer, "embed_dim", None):
            continue
        if kind.__name__.startswith("Transformer") and name in _DEEPER and name not in changes:
            value = _deeper(layer, name, default)
        if name == "normalized_shape" and isinstance(value, tuple) and len(value) == 1:
            value = value[0]
        if (
            isinstance(value, tuple)
            and len(set(value)) == 1
            and name in ("kernel_size", "stride", "padding", "dilation")
        ):
            value = value[0]
        if default is inspect.Parameter.empty:
            parts.append(repr(value))
        elif name == "stride" and "Pool" in kind.__name__ and name not in changes and layer.stride == layer.kernel_size:
            continue
        elif not _equal(value, default) and not isinstance(value, Tensor):
            parts.append(f"{name}={value!r}")
    return f"{scene.alias('nn')}.{kind.__name__}({', '.join(parts)})"


def _recurrent_signature(
    self: Any, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
    dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
) -> None:  # fmt: skip
    """What LSTM, GRU and RNN take, which their own signatures (*args, **kwargs) do not tell."""


# Settings of the Transformer's layers that only their parts remember.
_DEEPER = {"d_model": "self_attn.embed_dim", "nhead": "self_attn.num_heads", "dim_feedforward": "linear1.out_features",
           "dropout": "dropout.p", "batch_first": "self_attn.batch_first", "layer_norm_eps": "norm1.eps"}  # fmt: skip


def _deeper(layer: nn.Module, name: str, default: Any) -> Any:
    value: Any = layer
    for part in _DEEPER[name].split("."):
        value = getattr(value, part, None)
        if value is None:
            return default
    return value


def _equal(value: Any, default: Any) -> bool:
    if isinstance(value, tuple) and not isinstance(default, tuple):
        return all(item == default for item in value)
    return (type(value) is type(default) and value == default) or (value is default)


class Kit:
    """Writes repairs for one call."""

    def __init__(self, call: Call, scene: Scene) -> None:
        self.call, self.scene = call, scene
        self.torch, self.nn, self.F = scene.alias("torch"), scene.alias("nn"), scene.alias("F")
        self.given: dict[str, Any] = {}
        for argument, value in call.args.items():
            if isinstance(value, Tensor | list | tuple) and argument in call.names:
                if not _simple(call.names[argument]):
                    continue
                self.given[call.names[argument]] = value

    def name(self, argument: str) -> str:
        """How the source names an argument."""
        return self.call.name(argument)

    @property
    def editable(self) -> bool:
        """Whether the failing call stands in source that can be rewritten."""
        return self.call.direct and not self.scene.in_library and self.scene.site_frame.node is not None

    def rewritten(self, **replaced: str) -> str:
        """The failing expression with the text of some arguments replaced."""
        node = self.scene.site_frame.node
        if node is None:
            raise Unknown("no source")
        plain = {argument: _plain(text) for argument, text in self.call.names.items() if _simple(text)}
        found = []
        for text in {plain[argument] for argument in replaced if argument in plain}:
            alike = [argument for argument, other in plain.items() if other == text]  # `q @ q`: one variable twice
            parts = (i for i in ast.walk(node) if isinstance(i, ast.expr) and i is not node and ast.unparse(i) == text)
            places = sorted(islice(parts, len(alike)), key=lambda part: (part.lineno, part.col_offset))
            pairs = zip(alike, places, strict=False)
            found += [(place, replaced[argument]) for argument, place in pairs if argument in replaced]
        if not found or len(found) < sum(argument in self.call.names for argument in replaced):
            raise Unknown("the argument is not in the text")
        new = self.scene.site_frame.replaced(node, found)
        try:
            ast.parse(new)  # what a call returns cannot be assigned to: `f(out) += x`
        except SyntaxError:
            raise Unknown("no Python") from None
        return new

    def change(self, argument: str, template: str, why: str, **options: Any) -> Iterator[Candidate]:
        """Another text for one argument; `{}` in the template is the present one."""
        call = self.call
        value = call.args.get(argument)
        text = call.names.get(argument, argument)
        if self.editable and argument in call.names and _simple(text):
            bracketed = text if _atomic(text) or ("{}." not in template and "{}[" not in template) else f"({text})"
            try:
                new = _undone(template.replace("{}", bracketed))
                yield Candidate(self.rewritten(**{argument: new}), why, given=self.given, **options)
            except (Unknown, SyntaxError):
                return
        elif call.layer is not None and not self.scene.in_library:
            others = {name: item for name, item in call.args.items() if name != argument and not name.startswith("arg")}
            given = {"layer": call.layer, "value": value, **others}
            inner = template.replace("{}", "value")
            keywords = "".join(f", {name}={name}" for name in others)
            before = self._before()
            if before is None and not (_atomic(text) and call.layer_name):
                return
            shown = f"{call.layer_name}({template.replace('{}', before or text)})"
            yield Candidate(shown, why, trial=f"layer({inner}{keywords})", given=given, **options)

    def _before(self) -> str | None:
        """The source of what comes to a layer in the middle of an `nn.Sequential`: `self.net[:2](x)`."""
        node, name = self.scene.site_frame.node, self.call.layer_name
        if not isinstance(node, ast.Call) or len(node.args) != 1 or node.keywords or not name.endswith("]"):
            return None
        base, index = name[:-1].rsplit("[", 1)
        if base != self.scene.site_frame.text(node.func) or not index.isdigit():
            return None
        return f"{base}[:{index}]({self.scene.site_frame.text(node.args[0])})"

    def insert(self, layer: str, why: str) -> Iterator[Candidate]:
        """A layer put before the failing one, in an `nn.Sequential`."""
        name = self.call.layer_name
        if self.call.layer is None or self.call.args.get("input") is None:
            return
        if not name and not self.call.direct:
            made = f"{self.nn}.Sequential({layer}, {construct(self.scene, self.call.layer)})"
            yield Candidate(
                made, f"in place of the layer: {why}", trial=f"{made}(value)", given={"value": self.call.args["input"]}
            )
        if not name.endswith("]"):
            return
        base, index = name[:-1].rsplit("[", 1)
        given = {"layer": self.call.layer, "value": self.call.args["input"]}
        yield Candidate(f"{base}.insert({index}, {layer})", why, trial=f"layer({layer}(value))", given=given)

    def layer(self, why: str, text: str | None = None, **changes: Any) -> Iterator[Candidate]:
        """The layer with other settings."""
        call = self.call
        if call.layer is None:
            return
        try:
            made = text or construct(self.scene, call.layer, **changes)
        except (Unknown, AttributeError, ValueError):
            return
        given = {f"a{i}": value for i, value in enumerate(call.args.values())}
        arguments = ", ".join(
            f"{name}=a{i}" if not name.startswith("argument") else f"a{i}" for i, name in enumerate(call.args)
        )
        code = made
        if (call.layer_name and call.layer_name.isidentifier()) or (
            call.layer_name and not any(c in call.layer_name for c in "( ")
        ):
            code = f"{call.layer_name} = {made}"
        yield Candidate(code, why, trial=f"{made}({arguments})", given=given)

    def code(self, code: str, why: str, **options: Any) -> Candidate:
        """Any other expression of the source's names."""
        return Candidate(code, why, given={**self.given, **options.pop("given", {})}, **options)

    def definition(self, text: str) -> ast.AST | None:
        """The expression last assigned to a name before the failing line, in the same function."""
        return definition(self.scene.site_frame, text)


def _undone(text: str) -> str:
    """Two steps that undo each other, left out: `x.transpose(1, 2).transpose(1, 2)` is x."""
    return re.sub(r"\.transpose\((-?\d+), (-?\d+)\)\.transpose\(\1, \2\)$|\.T\.T$", "", text)


def definition(frame: Frame, name: str) -> ast.AST | None:
    """The expression last assigned to a name before the frame's failing line."""
    function = frame.function
    if function is None or not name.isidentifier():
        return None
    found = None
    for node in ast.walk(function):
        if (
            isinstance(node, ast.Assign)
            and node.lineno <= frame.line
            and (node.end_lineno or 0) < (frame.positions[0] or frame.line)
        ):
            for target in node.targets:
                if (
                    isinstance(target, ast.Name)
                    and target.id == name
                    and (found is None or node.lineno >= found.lineno)
                ):
                    found = node
                elif isinstance(target, ast.Tuple | ast.List):
                    names = [e.id for e in target.elts if isinstance(e, ast.Name)]
                    if name in names and (found is None or node.lineno >= found.lineno):
                        found = node
    return found.value if found is not None else None


def joined(kit: Kit, argument: str) -> tuple[str, ast.Call] | None:
    """The text of the sequence from which cat or stack made an argument: directly, or in the line that assigned it."""
    text = kit.call.names.get(argument)
    if text is None:
        return None
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
    if isinstance(node, ast.Name):
        node = kit.definition(node.id)
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in (
        "cat",
        "concat",
        "concatenate",
        "vstack",
        "hstack",
    ):
        if not node.args:
            return None
        return ast.unparse(node.args[0]), node
    return None


def in_users_call(scene: Scene, tensor: Tensor, template: str) -> str | None:
    """The user's call of a library's model with one of its tensors changed; None where the call does not name it."""
    from course_lib.shapes.frames import names_in_scope
    from course_lib.shapes.operations import existing

    node = scene.frame.node
    if not scene.in_library or not isinstance(node, ast.Call):
        return None
    names = names_in_scope(scene.frames, scene.user)
    given = [(a, existing(a, names)) for a in (*node.args, *(k.value for k in node.keywords))]
    same = [a for a, v in given if v is tensor] or [
        a
        for a, v in given
        if isinstance(v, Tensor) and v.data_ptr() == tensor.data_ptr() and v.numel() == tensor.numel()
    ]
    if len(same) != 1:
        return None
    text = ast.unparse(same[0])
    atom = text if _atomic(text) else f"({text})"
    return scene.frame.replaced(node, [(same[0], template.replace("{}", atom))])


def absent_part(kit: Kit, argument: str, dim: int, missing: int) -> Iterator[Candidate]:
    """A second tensor in sight that holds just the features or channels that are missing: it was never joined."""
    x = kit.call.tensor(argument)
    if x is None or missing <= 0 or not kit.editable:
        return
    dim %= x.dim()
    wanted = tuple(missing if d == dim else size for d, size in enumerate(x.shape))
    for name, value in kit.scene.site_frame.locals.items():
        if isinstance(value, Tensor) and value is not x and tuple(value.shape) == wanted and name.isidentifier():
            where = dim if dim != x.dim() - 1 or dim == 1 else -1
            yield from kit.change(
                argument,
                f"{kit.torch}.cat(({{}}, {name}), dim={where})",
                f"{x.shape[dim]} and the {missing} of {name} beside them make {x.shape[dim] + missing}",
            )


def _simple(text: str) -> bool:
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return False
    return True


def _plain(text: str) -> str:
    return ast.unparse(ast.parse(text, mode="eval").body)


def _atomic(text: str) -> bool:
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:
        return False
    return isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Subscript)


def same_dtype(call: Call, kit: Kit, *arguments: str) -> Finding | None:
    """Operands of one kind of number: float32 against float64, or whole numbers."""
    found = [(a, call.tensor(a)) for a in arguments]
    tensors = [(a, t) for a, t in found if t is not None]
    if len({t.dtype for _, t in tensors}) <= 1:
        return None
    (first, x), *rest = tensors
    other, y = next((a, t) for a, t in rest if t.dtype != x.dtype)
    want = y.dtype if y.dtype.is_floating_point else x.dtype
    short = {torch.float32: "float", torch.float64: "double", torch.float16: "half", torch.bfloat16: "bfloat16"}
    which = first if x.dtype != want else other
    fixes = [
        *kit.change(
            which,
            f"{{}}.{short.get(want, 'float')}()",
            f"turns {kit.name(which)} into {_dtype(want)}, as the other operand is",
        )
    ]
    cause = f"{call.operation} needs numbers of one kind, but {kit.name(first)} is {_dtype(x.dtype)} and {kit.name(other)} is {_dtype(y.dtype)}."
    return Finding(cause, fixes)


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
