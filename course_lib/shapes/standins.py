"""Evaluating source text on stand-in tensors, so that nothing of the user's runs a second time.

A `Stage` knows the variables of a frame. It evaluates an expression of Python by itself, node by node: tensors become
stand-ins of the same shape, strides and type (on the meta device, or small copies where the values matter), torch's own
functions and layers are called on them, and the user's functions are read, never called. Whatever is not known to be
free of side effects raises `Unknown`.

It serves two ends: to learn the shape of something that no variable holds any more, and to try a repair before it is
shown.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import operator
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from course_lib.shapes.frames import function_node, kind_of, source_of

_MOST_ELEMENTS = 3_000_000  # of copied tensors: a few milliseconds
_MOST_PRODUCTS = 20_000_000  # multiplications in a trial on real numbers: some ten milliseconds
_MOST_STEPS = 20_000

ONCE = "__assigned_once__"  # among a stage's names: values to fall back on, of variables that are assigned only once

_BINARY: dict[type, Callable] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow, ast.MatMult: operator.matmul,
    ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor,
}  # fmt: skip
_COMPARE: dict[type, Callable] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
_UNARY: dict[type, Callable] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert, ast.Not: operator.not_,
}  # fmt: skip
_BUILTINS = (len, range, zip, list, tuple, int, float, bool, min, max, sum, enumerate, reversed, abs, isinstance, dict, slice)  # fmt: skip
_SPACES = (F, torch._C._VariableFunctions, torch.functional, torch.linalg, torch.special, torch.fft, nn.utils.rnn)
_REFUSED = (
    "backward",
    "register_hook",
    "numpy",
    "share_memory_",
    "requires_grad_",
    "retain_grad",
    "pin_memory",
    "set_",
)


class Unknown(Exception):
    """The value cannot be known without running code of the user's, or is not worth the time."""


class Raised(Exception):
    """torch itself refused the stand-ins: `.error` is its exception."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def is_torch_function(function: Any) -> bool:
    """Whether a callable is one of torch's functions on tensors, which have no side effects."""
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or isinstance(function, type) or name in ("manual_seed", "seed", "set_default_dtype"):
        return False
    return any(_same(getattr(space, name, None), function) for space in (*_SPACES, torch)) and (
        getattr(function, "__module__", None) or "torch"
    ).startswith("torch")


def _same(one: Any, other: Any) -> bool:
    try:
        return one is other or (callable(one) and type(one) is type(other) and bool(one == other))
    except Exception:
        return False


def is_torch_layer(module: nn.Module) -> bool:
    """Whether a module and all its parts are classes of torch.nn itself."""
    return all(type(part).__module__.startswith("torch.nn.modules") for part in module.modules())


@contextmanager
def quietly() -> Iterator[None]:
    """No warnings, no gradients, and the random generator as it was."""
    state = torch.get_rng_state()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_rng_state(state)


_ORIGINAL = "_course_original"


def original(layer: nn.Module) -> nn.Module:
    """The layer that a stand-in stands for."""
    return layer.__dict__.get(_ORIGINAL, layer)


class Stage:
    """The variables of a frame, with stand-ins for the tensors.

    `given` maps source texts to values that are known already: `{"self.head(x)": tensor}`. With `sketch` the layers that
    are slow on the meta device (recurrent ones, attention) are not called: it is for calls that are known to have run.
    With `strict` their widths are compared all the same, for calls that may fail.
    """

    def __init__(
        self,
        names: Mapping[str, Any],
        given: Mapping[str, Any] | None = None,
        *,
        real: bool = False,
        depth: int = 6,
        sketch: bool = False,
        strict: bool = False,
        watch: Any = None,
        steps: int = _MOST_STEPS,
    ) -> None:
        self.sketch, self.strict, self.watch = sketch, strict, watch
        self.names = dict(names)
        self.real = real
        self.depth = depth
        self._elements = 0
        self._steps = _MOST_STEPS - steps
        self._standins: dict[int, tuple[Any, Any]] = {}  # id -> (original, stand-in); the originals are kept alive
        self._ours: dict[int, Tensor] = {}
        self.refused: Raised | None = None  # the last statement that torch refused
        self._fresh: dict[int, Any] = {}  # lists and iterators that the stage made itself, and may change or use up
        self.given = {_normal(text): value for text, value in (given or {}).items()}

    # values

    def replace(self, old: nn.Module, new: nn.Module) -> None:
        """Wherever a layer is called, another one is called in its place."""
        self._standins[id(old)] = (old, new)

    def take(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Wherever a tensor of the user's is met, this stand-in is used for it."""
        for tensor, made in pairs:
            self._standins[id(tensor)] = (tensor, made)
            self._ours[id(made)] = made

    def before(self, statements: list[ast.stmt], line: int) -> None:
        """Execute a function's statements up to the one that reaches a line; `Raised` where torch refuses one of them."""
        for statement in statements:
            if (statement.end_lineno or statement.lineno) >= line:
                inner = [b for part in ("body", "orelse") for b in [getattr(statement, part, None)] if b]
                for block in inner:
                    if block[0].lineno <= line <= (block[-1].end_lineno or 0):
                        if isinstance(statement, ast.For | ast.While):
                            self._loop_start(statement)
                        self.before(block, line)
                return
            self._statement(statement, self.names)
            if self.strict and self.refused is not None:
                raise self.refused

    def evaluate(self, code: str | ast.AST) -> Any:
        """The value of an expression. `Raised` where torch refuses, `Unknown` where it cannot be known."""
        node = ast.parse(code.strip(), mode="eval").body if isinstance(code, str) else code
        with quietly(), torch.device("cpu" if self.real else "meta"):
            return self._value(node)

    def execute(self, code: str) -> Any:
        """Statements and then, perhaps, an expression, whose value is returned: `self.fc = nn.Linear(3, 5)\\nself.fc(x)`."""
        tree = ast.parse(code.strip())
        result = None
        with quietly(), torch.device("cpu" if self.real else "meta"):
            for statement in tree.body:
                if isinstance(statement, ast.Expr | ast.Return):
                    result = self._value(statement.value)
                elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                    result = self._value(statement.value)
                    target = statement.targets[0]
                    if isinstance(target, ast.Attribute | ast.Subscript) and not self._writes_tensor(target):
                        self.given[ast.unparse(target)] = result
                    else:
                        self._assign(target, result, self.names)
                else:
                    self._statement(statement, self.names)
        return result

    def _writes_tensor(self, target: ast.Attribute | ast.Subscript) -> bool:
        return isinstance(target, ast.Subscript) and isinstance(self._value(target.value), Tensor)

    def stand_in(self, value: Any) -> Any:
        """The same structure with every tensor replaced."""
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, nn.Module):
            return self._module(value)
        if type(value) in (list, tuple, torch.Size):
            return type(value)(self.stand_in(item) for item in value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*(self.stand_in(item) for item in value))
        if type(value) is dict:
            return {key: self.stand_in(item) for key, item in value.items()}
        return value

    def _tensor(self, tensor: Tensor) -> Tensor:
        if id(tensor) in self._ours or (not self.real and tensor.device.type == "meta"):
            return tensor
        if id(tensor) in self._standins:
            return self._standins[id(tensor)][1]
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
            raise Unknown("not an ordinary tensor")
        if self.real:
            self._elements += tensor.numel()
            if self._elements > _MOST_ELEMENTS:
                raise Unknown("too big to copy")
            if tensor.device.type == "meta":
                made = torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device="cpu").zero_()
            else:
                made = torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device="cpu")
                # A tensor may share memory with itself (expand): then the copy is written element by element.
                overlaps = any(s == 0 and n > 1 for s, n in zip(tensor.stride(), tensor.size(), strict=True))
                made = tensor.detach().to("cpu").clone() if overlaps else made.copy_(tensor.detach())
        else:
            made = torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device="meta")
        self._standins[id(tensor)] = (tensor, made)
        self._ours[id(made)] = made
        return made

    def _module(self, module: nn.Module) -> nn.Module:
        if id(module) in self._standins:
            return self._standins[id(module)][1]
        if not is_torch_layer(module) or isinstance(module, nn.modules.lazy.LazyModuleMixin):
            raise Unknown(f"{type(module).__name__} is not a layer of torch.nn")
        copy = object.__new__(type(module))
        copy.__dict__.update(module.__dict__)
        for name, value in vars(module).items():
            if "hooks" in name:
                copy.__dict__[name] = type(value)()
        for group in ("_parameters", "_buffers", "_modules"):
            old = module.__dict__[group]
            copy.__dict__[group] = {k: None if v is None else self.stand_in(v) for k, v in old.items()}
        if "_flat_weights" in module.__dict__:  # the recurrent layers keep a second list of their parameters
            copy.__dict__["_flat_weights"] = [None if w is None else self.stand_in(w) for w in module._flat_weights]
        copy.__dict__[_ORIGINAL] = module
        self._standins[id(module)] = (module, copy)
        self._standins[id(copy)] = (copy, copy)
        return copy

    def _step(self) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise Unknown("too long")

    def _value(self, node: ast.AST | None) -> Any:
        self._step()
        if node is None:
            return None
        if self.given and isinstance(node, ast.expr) and not isinstance(node, ast.Constant):
            text = ast.unparse(node)
            if text in self.given:
                return self._lift(self.given[text])
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is None:
            raise Unknown(type(node).__name__)
        return self._lift(method(node))

    def _lift(self, value: Any) -> Any:
        return self._tensor(value) if isinstance(value, Tensor) else value

    # expressions, by the names of their nodes

    def _Constant(self, node: ast.Constant) -> Any:
        return node.value

    def _Name(self, node: ast.Name) -> Any:
        if node.id in self.names:
            value = self.names[node.id]
            if isinstance(value, Unknown):
                raise value
            return value
        if hasattr(builtins, node.id):
            return getattr(builtins, node.id)
        fallback = {"torch": torch, "nn": nn, "F": F}
        if node.id in fallback:
            return fallback[node.id]
        raise Unknown(node.id)

    def _Attribute(self, node: ast.Attribute) -> Any:
        return attribute(self._value(node.value), node.attr)

    def _Subscript(self, node: ast.Subscript) -> Any:
        value, index = self._value(node.value), self._value(node.slice)
        if isinstance(value, Tensor):
            return self._call(operator.getitem, (value, index), {})
        if isinstance(value, nn.ModuleList | nn.Sequential):
            children = list(value._modules.values())
            if isinstance(index, slice):
                return nn.Sequential(*children[index]) if isinstance(value, nn.Sequential) else children[index]
            return children[index]
        if isinstance(value, nn.ModuleDict | nn.ParameterDict):
            return (value._modules if isinstance(value, nn.ModuleDict) else value._parameters)[index]
        if isinstance(value, Mapping) and type(value).__name__ in ("BatchEncoding", "UserDict"):
            value = value.data
        if isinstance(value, list | tuple | str | range | dict) or (
            type(value).__name__.endswith("Output") or hasattr(type(value), "to_tuple")
        ):
            if hasattr(value, "to_tuple") and not isinstance(index, str):
                value = tuple(v for v in vars(value).values() if v is not None)
            try:
                return value[index]
            except (LookupError, TypeError) as error:
                raise Raised(error) from None
        raise Unknown("subscript")

    def _Slice(self, node: ast.Slice) -> slice:
        return slice(self._value(node.lower), self._value(node.upper), self._value(node.step))

    def _Tuple(self, node: ast.Tuple) -> tuple:
        return tuple(self._items(node.elts))

    def _List(self, node: ast.List) -> list:
        return self._own(list(self._items(node.elts)))

    def _own(self, value: Any) -> Any:
        self._fresh[id(value)] = value
        return value

    def _Dict(self, node: ast.Dict) -> dict:
        if any(key is None for key in node.keys):
            raise Unknown("dict")
        return {self._value(key): self._value(value) for key, value in zip(node.keys, node.values, strict=True)}

    def _items(self, nodes: Sequence[ast.AST]) -> Iterator[Any]:
        for node in nodes:
            if isinstance(node, ast.Starred):
                yield from self._iterate(self._value(node.value))
            else:
                yield self._value(node)

    def _BinOp(self, node: ast.BinOp) -> Any:
        return self._call(_BINARY.get(type(node.op)), (self._value(node.left), self._value(node.right)), {})

    def _UnaryOp(self, node: ast.UnaryOp) -> Any:
        return self._call(_UNARY.get(type(node.op)), (self._value(node.operand),), {})

    def _Compare(self, node: ast.Compare) -> Any:
        left, result = self._value(node.left), True
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self._value(right_node)
            result = self._call(_COMPARE[type(op)], (left, right), {})
            if len(node.ops) > 1 and not result:
                return result
            left = right
        return result

    def _BoolOp(self, node: ast.BoolOp) -> Any:
        value = None
        for part in node.values:
            value = self._value(part)
            if self._truth(value) is isinstance(node.op, ast.Or):
                return value
        return value

    def _IfExp(self, node: ast.IfExp) -> Any:
        return self._value(node.body if self._truth(self._value(node.test)) else node.orelse)

    def _truth(self, value: Any) -> bool:
        if isinstance(value, Tensor | nn.Module) or not isinstance(
            value, bool | int | float | str | list | tuple | dict | types.NoneType
        ):
            raise Unknown("a condition on a tensor")
        return bool(value)

    def _NamedExpr(self, node: ast.NamedExpr) -> Any:
        value = self._value(node.value)
        self._assign(node.target, value, self.names)
        return value

    def _JoinedStr(self, node: ast.JoinedStr) -> str:
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "" for part in node.values)

    def _ListComp(self, node: ast.ListComp) -> list:
        return self._own(list(self._comprehend(node.elt, node.generators)))

    def _GeneratorExp(self, node: ast.GeneratorExp) -> list:
        return self._own(list(self._comprehend(node.elt, node.generators)))

    def _comprehend(self, element: ast.AST, generators: list[ast.comprehension]) -> Iterator[Any]:
        if not generators:
            yield self._value(element)
            return
        first, *rest = generators
        kept = dict(self.names)
        for item in self._iterate(self._value(first.iter)):
            self._assign(first.target, item, self.names)
            if all(self._truth(self._value(test)) for test in first.ifs):
                yield from self._comprehend(element, rest)
        self.names.clear()
        self.names.update(kept)

    def _mine(self, value: Any) -> bool:
        return self._fresh.get(id(value)) is value

    def _iterate(self, value: Any) -> list[Any]:
        if isinstance(value, nn.ModuleList | nn.Sequential):
            return list(value._modules.values())
        if isinstance(value, Tensor):
            return list(value.unbind(0))
        if type(value) in (list, tuple, range, dict, torch.Size) or self._mine(value) or _is_view(value):
            return [self._lift(item) for item in value]
        if isinstance(value, tuple | dict) and type(value).__iter__ in (tuple.__iter__, dict.__iter__):
            return [self._lift(item) for item in value]
        raise Unknown("iteration")

    def _Call(self, node: ast.Call) -> Any:
        callee = self._value(node.func)
        args = tuple(self._items(node.args))
        kwargs: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self._value(keyword.value)
            kwargs.update(value if keyword.arg is None else {keyword.arg: value})
        result = self._call(callee, args, kwargs)
        reshaped = isinstance(node.func, ast.Attribute) and node.func.attr in ("view", "reshape")
        if reshaped and self.watch is not None and isinstance(result, Tensor):
            self.watch.of(result).source = ast.unparse(node)
        return result

    def _call(self, callee: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        self._step()
        while isinstance(callee, functools.partial):
            args, kwargs, callee = (*callee.args, *args), {**callee.keywords, **kwargs}, callee.func
        if isinstance(callee, nn.Module) and not is_torch_layer(callee):
            return self._inline_module(callee, args, kwargs)
        if isinstance(callee, types.MethodType) and isinstance(callee.__self__, nn.Module):
            return self.inline(callee.__func__, (callee.__self__, *args), kwargs)
        if isinstance(callee, types.FunctionType) and kind_of(callee.__code__.co_filename) == "user":
            return self.inline(callee, args, kwargs)
        if callee is nn.Parameter:
            return args[0] if args else kwargs["data"]
        if not self._allowed(callee) or not all(self._harmless(callee, a) for a in (*args, *kwargs.values())):
            raise Unknown(f"a call of {getattr(callee, '__name__', type(callee).__name__)}")
        name = getattr(callee, "__name__", "")
        owner = getattr(callee, "__self__", None)
        if isinstance(owner, Tensor) and name in ("cuda", "cpu", "to"):
            args = tuple(a for a in args if not isinstance(a, str | torch.device))
            kwargs = {k: v for k, v in kwargs.items() if k != "device"}
            if name != "to" or not (args or kwargs):
                return owner
        kwargs.pop("device", None)
        args = tuple(self.stand_in(list(a) if isinstance(a, zip) else a) for a in args)
        kwargs = {key: self.stand_in(value) for key, value in kwargs.items()}
        if isinstance(callee, nn.Module):
            callee = self._standins.get(id(callee), (None, callee))[1]
            if self.strict:
                _widths(callee, args)
            drawn = _sketch(callee, args, kwargs) if self.sketch else None
            if drawn is not None:
                return self._watched(callee, args, drawn)
            callee = self._module(callee).forward
        elif isinstance(callee, type) and issubclass(callee, nn.Module) and self.real:
            callee = functools.partial(_empty_layer, callee)
        try:
            result = callee(*args, **kwargs)
        except Unknown:
            raise
        except Exception as error:
            raise Raised(error) from error
        if isinstance(result, nn.Module):
            self._standins[id(result)] = (result, result)
            for tensor in (*result.parameters(), *result.buffers()):
                self._ours[id(tensor)] = tensor
        for tensor in tensors_in(result):
            self._ours[id(tensor)] = tensor
        if isinstance(result, list | zip | enumerate | reversed) or hasattr(result, "__next__"):
            self._own(result)
        return result

    def _harmless(self, callee: Any, value: Any) -> bool:
        """Whether an argument can be used without running the user's own methods or using up an iterator of his."""
        if hasattr(type(value), "__next__"):
            return self._mine(value)
        if callee in (isinstance, operator.is_, operator.is_not):
            return True
        return isinstance(
            value,
            Tensor | nn.Module | int | float | complex | str | bytes | list | tuple | dict | range | slice | types.NoneType
            | types.EllipsisType | torch.dtype | torch.device | torch.layout | torch.memory_format | type,
        ) or _is_view(value)  # fmt: skip

    def _watched(self, layer: nn.Module, args: tuple, result: Any) -> Any:
        for number, tensor in enumerate(tensors_in(result)):
            self._ours[id(tensor)] = tensor
            if self.watch is not None:
                self.watch.note(layer, [a for a in args if isinstance(a, Tensor)], tensor, number)
        return result

    def _allowed(self, callee: Any) -> bool:
        if callee is None:
            return False
        if callee in (operator.getitem, *_BINARY.values(), *_COMPARE.values(), *_UNARY.values(), *_BUILTINS):
            return True
        if isinstance(callee, nn.Module):
            return True
        if isinstance(callee, type):
            return issubclass(callee, nn.Module) and callee.__module__.startswith("torch.nn.modules")
        owner = getattr(callee, "__self__", None)
        name = getattr(callee, "__name__", "")
        if isinstance(owner, Tensor):
            return name not in _REFUSED
        if isinstance(owner, list | dict | tuple | torch.Size) and isinstance(callee, types.BuiltinMethodType):
            changes = name in ("append", "extend") and self._mine(owner)
            return changes or name in ("items", "values", "keys", "index", "count", "numel", "get")
        return is_torch_function(callee)

    # the user's own functions: read, not run

    def _inline_module(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
        forward = inspect.getattr_static(type(module), "forward", None)
        if not isinstance(forward, types.FunctionType):
            raise Unknown("forward")
        if isinstance(module, nn.Sequential) and forward is nn.Sequential.forward:
            (value,) = args
            for child in module._modules.values():
                value = self._call(child, (value,), {})
            return value
        if kind_of(forward.__code__.co_filename) != "user":
            drawn = _encoder_output(module, args, kwargs) if self.sketch else None
            if drawn is None:
                raise Unknown(f"{type(module).__name__} belongs to a library")
            return self._watched(module, args or tuple(kwargs.values()), drawn)
        return self.inline(forward, (module, *args), kwargs)

    def inline(
        self, function: types.FunctionType, args: tuple, kwargs: Mapping[str, Any], until: int | None = None
    ) -> Any:
        """What a function would return, or with `until` the variables it would have before that line."""
        code = function.__code__
        node = function_node(code, source_of(code, function.__globals__))
        if self.depth <= 0 or not isinstance(node, ast.FunctionDef) or code.co_flags & inspect.CO_GENERATOR:
            raise Unknown(code.co_name)
        try:
            bound = inspect.signature(function).bind(*args, **kwargs)
            bound.apply_defaults()
        except (TypeError, ValueError):
            raise Unknown("arguments") from None
        closure = {
            name: cell.cell_contents
            for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)
            if _filled(cell)
        }
        inner = Stage(
            {**function.__globals__, **closure, **bound.arguments},
            real=self.real, depth=self.depth - 1, sketch=self.sketch, strict=self.strict, watch=self.watch,
        )  # fmt: skip
        inner._standins, inner._ours, inner._steps = self._standins, self._ours, self._steps
        inner._fresh = self._fresh
        try:
            inner.body(node.body, until)
        except Returned as returned:
            return inner.names if until is not None else returned.value
        finally:
            self._steps = inner._steps
        return inner.names if until is not None else None

    def body(self, statements: list[ast.stmt], until: int | None = None) -> None:
        """Execute statements one by one up to a line. What cannot be known becomes unknown, and so do its names."""
        for statement in statements:
            if until is not None and statement.lineno <= until <= (statement.end_lineno or 0):
                inner = [getattr(statement, part, None) for part in ("body", "orelse", "finalbody")]
                blocks = [block for block in inner if isinstance(block, list)]
                for block in blocks:
                    if block and block[0].lineno <= until <= (block[-1].end_lineno or 0):
                        if isinstance(statement, ast.For | ast.While):
                            self._loop_start(statement)
                        self.body(block, until)
                raise Returned(None)
            self._statement(statement, self.names)

    def _loop_start(self, statement: ast.For | ast.While) -> None:
        # What earlier turns of the loop changed is not known; what this turn goes through, its variable still holds.
        for name in _assigned([statement]):
            if isinstance(self.names.get(name), Tensor) or name not in self.names:
                self.names[name] = Unknown(name)
        held = self.names.get(ONCE, {})
        for name in _assigned([statement.target]) if isinstance(statement, ast.For) else ():
            self.names[name] = held.get(name, Unknown(name))

    def _statement(self, statement: ast.stmt, names: dict[str, Any]) -> None:
        self._step()
        try:
            match statement:
                case ast.Assign(targets=targets, value=value):
                    result = self._value(value)
                    for target in targets:
                        self._assign(target, result, names)
                case ast.AnnAssign(target=target, value=value) if value is not None:
                    self._assign(target, self._value(value), names)
                case ast.AugAssign(target=target, op=op, value=value):
                    old = self._value(_load(target))
                    self._assign(target, self._call(_BINARY.get(type(op)), (old, self._value(value)), {}), names)
                case ast.If(test=test, body=body, orelse=orelse):
                    for inner in body if self._truth(self._value(test)) else orelse:
                        self._statement(inner, names)
                case ast.For(target=target, iter=iterable, body=body):
                    for item in self._iterate(self._value(iterable))[:256]:
                        self._assign(target, item, names)
                        for inner in body:
                            self._statement(inner, names)
                case ast.With(body=body):
                    for inner in body:
                        self._statement(inner, names)
                case ast.Return(value=value):
                    raise Returned(self._value(value))
                case ast.Expr(value=ast.Call(func=ast.Attribute(attr="append" | "extend"))):
                    self._value(statement.value)
                case _:
                    pass  # print, assert, import, def: nothing that a shape depends on
        except (Unknown, Raised, LookupError, TypeError, ValueError, AttributeError) as problem:
            self.refused = problem if isinstance(problem, Raised) else self.refused
            if isinstance(statement, ast.Return):
                raise Returned(Unknown("return")) from None
            if any(isinstance(inner, ast.Return) for inner in ast.walk(statement)):
                raise Unknown("return") from problem
            held = names.get(ONCE, {})
            for name in _assigned([statement]):
                names[name] = held.get(name, Unknown(name))

    def _assign(self, target: ast.AST, value: Any, names: dict[str, Any]) -> None:
        match target:
            case ast.Name(id=name):
                held = names.get(ONCE, {}).get(name)
                # A layer that was made in the function itself: the user's own, not another one of the same text.
                names[name] = held if isinstance(value, nn.Module) and type(held) is type(value) else value
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                items = self._iterate(value)
                if len(items) != len(elements) or any(isinstance(e, ast.Starred) for e in elements):
                    if not isinstance(value, Unknown):
                        raise Raised(ValueError(f"{len(items)} values for {len(elements)} names"))
                    raise Unknown("unpacking")
                for element, item in zip(elements, items, strict=True):
                    self._assign(element, item, names)
            case ast.Subscript(value=base, slice=index):
                tensor, where = self._value(base), self._value(index)
                if not isinstance(tensor, Tensor):
                    raise Unknown("assignment to a part")
                self._call_setitem(tensor, where, value)
            case _:
                raise Unknown("assignment")

    def _call_setitem(self, tensor: Tensor, where: Any, value: Any) -> None:
        try:
            tensor[self.stand_in(where)] = self.stand_in(value)
        except Exception as error:
            raise Raised(error) from error


class Returned(Exception):
    """A function that was read has returned."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _is_view(value: Any) -> bool:
    return type(value).__name__ in ("dict_items", "dict_values", "dict_keys")


def _filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _load(target: ast.AST) -> ast.AST:
    return ast.parse(ast.unparse(target), mode="eval").body


def _normal(text: str) -> str:
    try:
        return ast.unparse(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError:
        return text


def _assigned(statements: Sequence[ast.AST]) -> set[str]:
    return {
        node.id
        for statement in statements
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


_TENSOR_ATTRIBUTES = (
    "shape",
    "T",
    "mT",
    "dtype",
    "device",
    "ndim",
    "data",
    "requires_grad",
    "is_cuda",
    "H",
    "mH",
    "real",
)


def attribute(owner: Any, name: str) -> Any:
    """`owner.name` without running a property or a `__getattr__` of the user's."""
    if isinstance(owner, Tensor):
        if name in _TENSOR_ATTRIBUTES or callable(getattr(Tensor, name, None)):
            return getattr(owner, name)
        raise Unknown(name)
    if isinstance(owner, nn.Module) and not hasattr(nn.Module, name):  # a method of that name comes first
        for group in ("_parameters", "_buffers", "_modules"):
            if name in owner.__dict__.get(group, {}):
                return owner.__dict__[group][name]
    if isinstance(owner, types.ModuleType):
        if name in vars(owner):
            return vars(owner)[name]
        raise Unknown(name)
    if isinstance(owner, list | tuple | dict | torch.Size) and not hasattr(owner, "__dict__"):
        if hasattr(type(owner), name):
            return getattr(owner, name)
        raise Unknown(name)
    if name in getattr(owner, "__dict__", {}):
        return owner.__dict__[name]
    if type(owner).__name__ == "BatchEncoding" and name in owner.data:
        return owner.data[name]
    if isinstance(owner, type):
        raise Unknown(name)
    try:
        static = inspect.getattr_static(owner, name)
    except AttributeError:
        raise Unknown(name) from None
    if isinstance(static, types.FunctionType):
        return types.MethodType(static, owner)
    if isinstance(static, int | float | str | bool | types.NoneType):
        return static
    if hasattr(owner, "_fields") and name in owner._fields:
        return owner[owner._fields.index(name)]
    raise Unknown(name)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """All tensors in a nested structure."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)


def _empty_layer(kind: type[nn.Module], *args: Any, **kwargs: Any) -> nn.Module:
    """A layer of zeros, made without drawing random numbers."""
    with torch.device("meta"):
        layer = kind(*args, **kwargs)
    if sum(p.numel() for p in layer.parameters()) > _MOST_ELEMENTS:
        raise Unknown("too big")
    layer.to_empty(device="cpu")
    for tensor in (*layer.parameters(), *layer.buffers()):
        tensor.zero_()
    return layer


def leaves(value: Any) -> bool:
    """Whether there is any tensor in a value."""
    return next(tensors_in(value), None) is not None


def _widths(layer: nn.Module, args: tuple) -> None:
    """What a layer that is only sketched would refuse: an input of another width."""
    first = args[0] if args and isinstance(args[0], Tensor) else None
    wanted = getattr(layer, "input_size", None) if isinstance(layer, nn.RNNBase) else None
    if isinstance(layer, nn.MultiheadAttention):
        wanted = layer.embed_dim
    elif type(layer).__name__.startswith("Transformer"):
        wanted = next((m.embed_dim for m in layer.modules() if isinstance(m, nn.MultiheadAttention)), None)
    if first is not None and first.dim() and wanted is not None and first.shape[-1] != wanted:
        raise Raised(ValueError(f"{type(layer).__name__} takes {wanted}, not {first.shape[-1]}"))


def _sketch(layer: nn.Module, args: tuple, kwargs: Mapping[str, Any]) -> Any:
    """What a slow layer gives, by its documentation: new tensors of the right shapes; None for any other layer."""
    first = args[0] if args and isinstance(args[0], Tensor) else None
    if first is None or first.dim() not in (2, 3):
        return None
    if isinstance(layer, nn.RNNBase):
        directions = 2 if layer.bidirectional else 1
        width = layer.proj_size or layer.hidden_size
        batch = () if first.dim() == 2 else (first.shape[0 if layer.batch_first else 1],)
        output = first.new_empty((*first.shape[:-1], directions * width))
        states = tuple(first.new_empty((layer.num_layers * directions, *batch, w)) for w in (width, layer.hidden_size))
        return output, (states if isinstance(layer, nn.LSTM) else states[0])
    if isinstance(layer, nn.MultiheadAttention):
        key = args[1] if len(args) > 1 else kwargs.get("key", first)
        place = 0 if first.dim() == 2 else 1 if layer.batch_first else 0
        batch = () if first.dim() == 2 else (first.shape[1 - place],)
        weights = first.new_empty((*batch, first.shape[place], key.shape[place]))
        return torch.empty_like(first), weights
    if type(layer).__name__ in (
        "TransformerEncoder",
        "TransformerEncoderLayer",
        "TransformerDecoder",
        "TransformerDecoderLayer",
    ):
        return torch.empty_like(first)
    return None


def _encoder_output(module: nn.Module, args: tuple, kwargs: Mapping[str, Any]) -> Any:
    """What an encoder of transformers gives for ids (B, T), by its configuration; None for any other model.

    Its output holds last_hidden_state (B, T, H), pooler_output (B, H) where there is a pooler, and all hidden_states
    where they are asked for; with a head for sentences or tokens, logits (B, K) or (B, T, K).
    """
    outputs = sys.modules.get("transformers.modeling_outputs")
    config = vars(module).get("config")
    ids = args[0] if args else kwargs.get("input_ids")
    if outputs is None or not hasattr(type(config), "model_type") or getattr(config, "is_encoder_decoder", False):
        return None
    width, depth = getattr(config, "hidden_size", None), getattr(config, "num_hidden_layers", None)
    if not isinstance(ids, Tensor) or ids.dim() != 2 or not isinstance(width, int) or not isinstance(depth, int):
        return None

    def made(*sizes: int) -> Tensor:
        return torch.empty(sizes, device="meta")

    batch, tokens = ids.shape
    asked = kwargs.get("output_hidden_states", getattr(config, "output_hidden_states", False))
    states = tuple(made(batch, tokens, width) for _ in range(depth + 1)) if asked is True else None
    name = type(module).__name__
    fields: dict[str, Any] = {"hidden_states": states}
    if name.endswith("Model"):
        last = states[-1] if states else made(batch, tokens, width)
        pooled = made(batch, width) if getattr(module, "pooler", None) is not None else None
        kind = outputs.BaseModelOutputWithPooling
        fields |= {"last_hidden_state": last, "pooler_output": pooled}
    elif name.endswith("ForSequenceClassification"):
        kind, fields["logits"] = outputs.SequenceClassifierOutput, made(batch, config.num_labels)
    elif name.endswith("ForTokenClassification"):
        kind, fields["logits"] = outputs.TokenClassifierOutput, made(batch, tokens, config.num_labels)
    else:
        return None
    if kwargs.get("return_dict") is False:
        return tuple(
            fields.get(key) for key in ("last_hidden_state", "pooler_output", "logits") if fields.get(key) is not None
        ) + ((states,) if states else ())
    return kind(**fields)


class Cost(TorchFunctionMode):
    """Refuses an operation that would take too long, judging before it runs by the sizes of its operands."""

    def __init__(self) -> None:
        self.products = 0

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        tensors = list(tensors_in((*args, *(kwargs or {}).values())))
        name = getattr(func, "__name__", "")
        if tensors and name != "__get__":
            first, *rest = tensors
            work = sum(t.numel() for t in tensors)
            if "conv" in name and rest and first.dim() > 1:
                work = first.numel() * rest[0].numel() // max(1, rest[0].shape[1])
            elif name == "linear" and rest:
                work = first.numel() * rest[0].shape[0]
            elif name in ("matmul", "__matmul__", "mm", "bmm", "einsum") and rest and rest[0].dim():
                work = first.numel() * rest[0].shape[-1]
            elif name in ("lstm", "gru", "rnn_tanh", "rnn_relu") and first.dim():
                work = first.numel() // max(1, first.shape[-1]) * sum(t.numel() for t in rest)
            self.products += work
            if self.products > _MOST_PRODUCTS:
                raise Unknown("too long to try on real numbers")
        return func(*args, **(kwargs or {}))


def works(names: Mapping[str, Any], given: Mapping[str, Any], code: str, needs_values: bool = False) -> Any:
    """Try a repair: its result on stand-ins, or `Raised`, or `Unknown` where it could not be tried.

    On copies with the real values where that is cheap, because the meta device accepts class 9 of 7 and a float where a
    double is; else, where values play no part, on the meta device, which costs nothing whatever the sizes.
    """
    try:
        with Cost():
            return Stage(names, given, real=True).execute(code)
    except Unknown:
        if needs_values:
            raise
    try:
        return Stage(names, given).execute(code)
    except Raised as problem:
        if isinstance(problem.error, NotImplementedError) or "meta" in str(problem.error).lower():
            raise Unknown(str(problem)) from problem
        raise
