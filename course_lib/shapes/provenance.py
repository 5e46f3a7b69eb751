"""What the dimensions of a tensor mean, and where its numbers come from."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.shapes.frames import Frame, names_in_scope
from course_lib.shapes.history import HIDDEN_STATES, RECURRENT, SPACE, History, Record, labels_of, origin
from course_lib.shapes.operations import Call, Scene
from course_lib.shapes.standins import ONCE, Raised, Returned, Stage, Unknown, is_torch_layer, quietly

_TOKEN_WORDS = re.compile(r"hidden|state|^hs\b|emb|seq|tok|layer|query|key|value|src|tgt|memory|bert|encod", re.I)
_IMAGE_WORDS = re.compile(r"image|img|pic|photo|pixel", re.I)
_SCORE_WORDS = re.compile(r"logit|score|pred|prob", re.I)
_TARGET_WORDS = re.compile(r"label|target|^y$|y_", re.I)
_MASK_WORDS = re.compile(r"mask|tril|triu|causal", re.I)
_MATRIX_WORDS = re.compile(r"weight$|^pe$|posit|matrix|table|adj|kernel|^w\d?$|^W|lookup|glove|vectors", re.I)
_HEAD_WORDS = re.compile(r"^(q|k|v|query|key|value|queries|keys|values)$|head", re.I)
_FILLED = ("zeros", "ones", "empty", "full", "eye", "tril", "triu")
COUNTED = ("arange", "linspace", "randperm")
_IDS = re.compile(r"ids?$|tok|text|sent|word|src", re.I)
_STATE = re.compile(r"^((decoder|encoder|dec|enc|last|prev|final)_)?(hidden|state|h|c)(_state)?$")
_PICTURE = re.compile(r"^(img|image|pic|picture|photo|pixels?)\d?$", re.I)
_VECTORS = re.compile(r"emb|feat|tok|hid|vec|patch", re.I)
_RECURRENT_STATE = re.compile(r"^(h0|c0|h_0|c_0|hx|hn|cn|h_n|c_n)$")

_MOST_CALLERS = 4  # functions that are read for one explanation, the failing one included
_CALLERS_STEPS = 3000  # for each function above the failing one


class Provenance:
    """The records of the operands of one failing call.

    With a history they are those of the run itself; without one the function that failed is read from its start on
    stand-ins, as far as it can be.
    """

    def __init__(self, scene: Scene, call: Call) -> None:
        self.scene, self.call = scene, call
        self.facts = _facts(scene)
        self.history = scene.history
        self.found: dict[str, Record] = {}
        learned = _learned(scene)
        if self.history is not None:
            for name, tensor in _named(scene):
                record = self.history.of(tensor)
                record.name = record.name or name
                record.learned |= id(tensor) in learned
            for argument, tensor in _operands(call):
                self.found[argument] = self.history.of(tensor)
        else:
            with suppress(Unknown, Raised, Returned, SyntaxError, RecursionError):
                self._replay()
        _as_layers_read(self.found.values())
        for record in self.found.values():
            _label_roots(record, self.facts, set())
            labels_of(record, widths=self.facts["widths"])

    def _replay(self) -> None:
        scene, call = self.scene, self.call
        frame = scene.site_frame
        function = frame.function
        if not isinstance(function, ast.FunctionDef | ast.Module) or frame.kind != "user":
            return
        watched = History()
        handed = self._handed_down(watched)
        stage = Stage(starting_names(scene), sketch=True, watch=watched)
        stage.take(handed)
        first = frame.positions[0] or frame.line
        with quietly(), torch.device("meta"), watched:
            with suppress(Returned):
                stage.body(function.body, first)
            for argument, tensor in _operands(call):
                made = self._operand(stage, argument)
                if isinstance(made, Tensor) and tuple(made.shape) == tuple(tensor.shape):
                    self.found[argument] = watched.of(made)
        owners: dict[int, str] = {}
        for name, tensor in _named(scene):
            owners.setdefault(id(tensor), name)
        for name, value in stage.names.items():
            if isinstance(value, Tensor):
                record = watched.of(value)
                record.name = record.name or name
        learned = _learned(scene)
        for original, made in stage._standins.values():
            if isinstance(original, Tensor):
                record = watched.of(made)
                record.name = record.name or owners.get(id(original), "")
                record.learned |= isinstance(original, nn.Parameter) or id(original) in learned

    def _handed_down(self, watched: History) -> list[tuple[Tensor, Tensor]]:
        """The arguments of the failing function as its callers made them: pairs of a tensor and its stand-in.

        The callers are still on the traceback. Each is read up to its call, the outermost first.
        """
        scene = self.scene
        levels = [scene.site]
        while len(levels) < _MOST_CALLERS and (caller := _caller(scene, levels[0])) is not None:
            levels.insert(0, caller)
        pairs: list[tuple[Tensor, Tensor]] = []
        for outer, inner in pairwise(levels):
            frame = scene.frames[outer]
            stage = Stage(starting_names(scene, outer), sketch=True, watch=watched, steps=_CALLERS_STEPS)
            stage.take(pairs)
            pairs = []
            with suppress(Unknown, Raised), quietly(), torch.device("meta"), watched:
                with suppress(Returned):
                    stage.body(frame.function.body, frame.positions[0] or frame.line)  # type: ignore[attr-defined]
                start = starting_names(scene, inner)
                for name, node in _bound(scene.frames[inner], frame.node):
                    with suppress(Unknown, Raised):
                        pairs += _alike(start.get(name), stage._value(node))
        return pairs

    def _operand(self, stage: Stage, argument: str) -> Any:
        call = self.call
        base = argument.split("[")[0]
        text = call.names.get(base)
        try:
            if text is not None and not text.startswith(f"{base} of "):
                value = stage._value(ast.parse(text, mode="eval").body)
                if argument != base:
                    value = value[int(argument[len(base) + 1 : -1])]
                return stage._lift(value)
            return self._within_sequential(stage)
        except (Unknown, Raised, SyntaxError, IndexError, TypeError, KeyError):
            return None

    def _within_sequential(self, stage: Stage) -> Any:
        """The input of a layer in a Sequential: its predecessors on stand-ins."""
        scene, call = self.scene, self.call
        node = scene.site_frame.node
        holder = next((c.module for c in scene.calls if c.level > scene.site), None)
        if not isinstance(holder, nn.Sequential) or not isinstance(node, ast.Call) or not node.args:
            return None
        value = stage._lift(stage._value(node.args[0]))
        for child in holder:
            if child is call.layer:
                return value
            if isinstance(child, nn.Sequential) and any(m is call.layer for m in child.modules()):
                for inner in child:
                    if inner is call.layer:
                        return value
                    value = stage._call(inner, (value,), {})
                return None
            if not is_torch_layer(child):
                return None
            value = stage._call(child, (value,), {})
        return None

    def labels(self, argument: str, tensor: Tensor) -> tuple[str, ...]:
        """What each dimension of an operand is, "" where that is not known."""
        record = self.found.get(argument)
        if record is None:
            name = self.call.names.get(argument.split("[")[0], argument)
            if isinstance(tensor, nn.Parameter):
                return _guess_learned(tuple(tensor.shape), name)
            if "[" in argument and tensor.dim() == 1:
                return ("",)  # one of many: a row, not a batch
            return _guess(tuple(tensor.shape), tensor.dtype, name, self.facts)
        found = list(labels_of(record, widths=self.facts["widths"]))
        if "[" in argument and tensor.dim() == 1:
            return ("",)  # one of many: a row, not a batch
        name = self.call.names.get(argument, record.name)
        if len(found) == 2 and _MASK_WORDS.search(name) and found[1] in ("", "features") and not record.learned:
            return _guess(record.shape, record.dtype, name, self.facts)
        guessed = _guess(record.shape, record.dtype, self.call.names.get(argument, record.name), self.facts)
        heads = [g in ("heads", "head size") for g in guessed]
        if "part" in found and set(found) <= {"", "part"} and all(guessed):
            # Parts of a width are heads: where the name says so, and says it of the very dimensions that are parts.
            queries = "queries" in guessed  # of weights, one of the two parts is summed over
            if (queries and heads[found.index("part")]) or heads == [label == "part" for label in found]:
                return guessed
        if record.learned:
            guessed = _guess_learned(record.shape, record.name or self.call.names.get(argument, ""))
        for d, label in enumerate(found):
            size = record.shape[d]
            if label in ("features", "channels", "") and d == len(found) - 1 and size in self.facts.get("widths", {}):
                found[d] = self.facts["widths"][size]
            elif not label and not record.parents and record.operation not in COUNTED:
                found[d] = guessed[d]
            elif label == "features" and guessed[d] == "classes" and size > 1:
                found[d] = "classes"  # the name says what the features are
            if label == "stacked":
                found[d] = "layers" if _layered(record) else "stacked"
        return tuple("" if label == "1" else label for label in found)

    def origin(self, argument: str, dim: int) -> str | None:
        """Where one number comes from, in a sentence's half."""
        record = self.found.get(argument)
        text = origin(record, dim) if record is not None else None
        if text is not None:
            return text
        value = self.call.args.get(argument.split("[")[0])
        tensor = value if isinstance(value, Tensor) else None
        if tensor is None or not -tensor.dim() <= dim < tensor.dim():
            return None
        if record is not None and self.history is not None:
            return None
        return _arithmetic(tensor.shape[dim], self.scene, tensor, dim % tensor.dim() == 0)


def provenance_of(scene: Scene, call: Call) -> Provenance:
    """The provenance of a call's operands, worked out once."""
    kept = getattr(scene, "_provenance", None)
    if kept is None or kept.call is not call:
        kept = scene._provenance = Provenance(scene, call)  # type: ignore[attr-defined]
    return kept


def _layered(record: Record) -> bool:
    seen: set[int] = set()
    pending = [record]
    while pending and len(seen) < 300:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if one.operation in ("cat", "stack") and any(re.search(HIDDEN_STATES, p.name, re.I) for p in one.parents):
            return True
        if len(seen) < 50:
            pending += one.parents
    return False


def _operands(call: Call) -> Iterator[tuple[str, Tensor]]:
    for argument, value in call.args.items():
        if isinstance(value, Tensor):
            yield argument, value
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                if isinstance(item, Tensor):
                    yield f"{argument}[{index}]", item


def _caller(scene: Scene, level: int) -> int | None:
    """The level of the user's function that called the one at a level, directly or as a module."""
    between = level - 1
    while between >= 0 and scene.frames[between].kind == "torch":
        if scene.frames[between].code.co_name == "forward":
            return None  # a Sequential, or another container, stands between
        between -= 1
    frame = scene.frames[between] if between >= 0 else None
    if frame is None or frame.kind != "user" or not isinstance(frame.node, ast.Call):
        return None
    return between if isinstance(frame.function, ast.FunctionDef | ast.Module) else None


def _bound(frame: Frame, call: ast.AST | None) -> Iterator[tuple[str, ast.expr]]:
    """Which parameter of a function gets which argument of the call that led to it."""
    if not isinstance(call, ast.Call):
        return
    parameters = list(frame.code.co_varnames[: frame.code.co_argcount + frame.code.co_kwonlyargcount])
    if parameters[:1] == ["self"]:
        del parameters[0]
    for name, node in zip(parameters, call.args, strict=False):
        if isinstance(node, ast.Starred):
            break
        yield name, node
    yield from ((k.arg, k.value) for k in call.keywords if k.arg in parameters)  # type: ignore[misc]


def _alike(real: Any, made: Any) -> list[tuple[Tensor, Tensor]]:
    """The tensors of two values of the same structure, side by side."""
    if isinstance(real, Tensor) and isinstance(made, Tensor):
        step = real.dim() == 1 and _is_whole(real.dtype)  # one step of many texts, or one text: its name tells more
        return [(real, made)] if not step and real.shape == made.shape and real.dtype == made.dtype else []
    if isinstance(real, list | tuple) and isinstance(made, list | tuple) and len(real) == len(made):
        return [pair for one, other in zip(real, made, strict=True) for pair in _alike(one, other)]
    return []


def starting_names(scene: Scene, level: int | None = None) -> dict[str, Any]:
    """The names that a function begins with: its arguments as they were given, and what it never assigns."""
    level = scene.site if level is None else level
    frame = scene.frames[level]
    function = frame.function
    names = names_in_scope(scene.frames, level)
    first = frame.positions[0] or frame.line
    assigned = {
        node.id
        for node in ast.walk(function)  # type: ignore[arg-type]
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.lineno < first
    }
    start: dict[str, Any] = {name: value for name, value in names.items() if name not in assigned}
    made = next((c for c in reversed(scene.calls) if c.level < level and c.module is frame.locals.get("self")), None)
    if made is not None and frame.code.co_name == "forward":
        parameters = frame.code.co_varnames[: frame.code.co_argcount]
        start |= dict(zip(parameters, (made.module, *made.args), strict=False))
        start |= {k: v for k, v in made.kwargs.items() if k in parameters}
        defaults = type(made.module).forward.__defaults__ or ()
        for name, value in zip(parameters[len(parameters) - len(defaults) :], defaults, strict=True):
            start.setdefault(name, value)
    # A value that nobody can work out any more is taken as it is now, where it was assigned once.
    once = [n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]  # type: ignore[arg-type]
    start[ONCE] = {name: names[name] for name in assigned if once.count(name) == 1 and name in names}
    return start


def _named(scene: Scene) -> Iterator[tuple[str, Tensor]]:
    """The tensors that the variables on the stack hold, with a name for each."""
    for level in range(scene.site, -1, -1):
        frame = scene.frames[level]
        if frame.kind not in ("user", "library"):
            continue
        held = dict(frame.locals)
        for name, value in held.items():
            if name.startswith("__") or name.startswith("."):
                continue
            if isinstance(value, Tensor):
                yield name, value
            elif isinstance(value, list | tuple) and len(value) < 200:
                yield from ((f"{name}[{i}]", v) for i, v in enumerate(value) if isinstance(v, Tensor))
            elif isinstance(value, Mapping) and len(value) < 50:
                for key, item in value.items():
                    if isinstance(item, Tensor):
                        yield f"{name}.{key}", item
                    elif isinstance(item, list | tuple):
                        yield from ((f"{name}.{key}[{i}]", v) for i, v in enumerate(item) if isinstance(v, Tensor))


def _facts(scene: Scene) -> dict[str, Any]:
    """Numbers with a known meaning: a configuration's widths, the batch and the tokens of the ids."""
    widths: dict[int, str] = {}
    batch: set[int] = set()
    tokens: set[int] = set()
    for frame in scene.frames[: scene.site + 1]:
        if frame.kind == "torch":
            continue
        for value in list(frame.locals.values()):
            config = value if hasattr(type(value), "model_type") else None
            if isinstance(value, nn.Module):
                config = vars(value).get("config")
                for child in list(value.children())[:20]:
                    config = config or vars(child).get("config")
            size = getattr(config, "hidden_size", None) if config is not None else None
            if isinstance(size, int):
                widths[size] = "hidden"
            if isinstance(value, Tensor) and not value.dtype.is_floating_point and value.dim() == 2:
                batch.add(value.shape[0])
                tokens.add(value.shape[1])
    return {"widths": widths, "batch": batch, "tokens": tokens}


def _label_roots(record: Record, facts: Mapping[str, Any], seen: set[int]) -> None:
    pending = [record]
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        became_whole = bool(one.parents) and _is_whole(one.dtype) and not _is_whole(one.parents[0].dtype)
        if one.parents and not (became_whole and len(one.shape) <= 2):
            pending += one.parents
        elif one.labels is None and one.operation in COUNTED:
            one.labels = ("",)  # counted numbers: places, whatever they count
        elif (
            one.labels is None
            and one.operation in _FILLED
            and len(one.shape) == 2
            and not (_is_whole(one.dtype) or _MASK_WORDS.search(one.name))
        ):
            one.labels = ("", "")  # a table or a mask made in place, more often than a batch
        elif one.labels is None and one.learned:
            one.labels = _guess_learned(one.shape, one.name)
        elif one.labels is None:
            one.labels = _guess(one.shape, one.dtype, one.name, facts)


def _as_layers_read(records: Iterable[Record]) -> None:
    """An input of three dimensions is what the recurrent layer or the attention that took it reads: time first, or not."""
    pending, seen = list(records), set()
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        pending += one.parents
        layer, first = one.layer, one.parents[0] if one.parents else None
        if first is not None and not first.parents and first.labels is None and not first.learned:
            spatial = (
                int(one.operation[-2])
                if re.fullmatch(r"(conv|max_pool|avg_pool|conv_transpose)\dd", one.operation)
                else 0
            )
            if spatial and len(first.shape) == spatial + 2:
                first.labels = ("batch", "channels", *SPACE[spatial])
        if (
            not isinstance(layer, nn.RNNBase)
            or first is None
            or len(first.shape) != 3
            or one.operation not in RECURRENT
        ):
            continue
        if not first.parents and first.labels is None and not first.learned:
            first.labels = ("batch", "tokens", "features") if layer.batch_first else ("tokens", "batch", "features")


def _learned(scene: Scene) -> set[int]:
    """The parameters and buffers of the layers whose methods are on the stack."""
    found: set[int] = set()
    for frame in scene.frames[: scene.site + 1]:
        owner = frame.locals.get("self")
        if isinstance(owner, nn.Module):
            found |= {
                id(t) for m in owner.modules() for t in (*m._parameters.values(), *m._buffers.values()) if t is not None
            }
    return found


def _guess_learned(shape: tuple[int, ...], name: str) -> tuple[str, ...]:
    """A parameter's or a buffer's dimensions: a table of vectors for each place where it says so, else unknown."""
    rank = len(shape)
    if _MASK_WORDS.search(name) and rank >= 2 and shape[-1] == shape[-2]:
        return (*[""] * (rank - 2), "queries", "keys")
    if rank == 3 and shape[0] == 1 and (_TOKEN_WORDS.search(name) or re.search("pos|cls", name, re.I)):
        return ("", "tokens", "hidden")
    return ("",) * rank


def _is_whole(dtype: torch.dtype | None) -> bool:
    return dtype is not None and not dtype.is_floating_point


def _guess(shape: tuple[int, ...], dtype: torch.dtype | None, name: str, facts: Mapping[str, Any]) -> tuple[str, ...]:
    """What the dimensions of a tensor most likely are, by its kind of number, its rank and its name."""
    rank = len(shape)
    whole = dtype is not None and not dtype.is_floating_point
    widths = facts.get("widths", {})
    if rank == 0:
        return ()
    if whole and rank == 2 and dtype == torch.bool and shape[0] == shape[1]:
        return ("queries", "keys")
    if whole and rank == 2 and (shape[1] == 1 or shape[0] == 1):
        return ("batch", "") if shape[1] == 1 else ("batch", "tokens")
    if whole and rank == 1 and _IDS.search(name) and not _TARGET_WORDS.search(name):
        return ("",)  # the tokens of one text, or one step of many
    if whole:
        return {1: ("batch",), 2: ("batch", "tokens")}.get(rank, ("",) * rank)
    if rank == 2 and _PICTURE.search(name) and min(shape) >= 8 and max(shape) <= 4 * min(shape):
        return ("height", "width")
    if rank == 2 and _MASK_WORDS.search(name):
        return ("queries", "keys") if shape[0] == shape[1] else ("batch", "tokens")
    if _RECURRENT_STATE.search(name.split(".")[-1].split("[")[0]):
        return {2: ("batch", "hidden"), 3: ("layers x directions", "batch", "hidden")}.get(rank, ("",) * rank)
    if rank == 2 and _MATRIX_WORDS.search(name.split(".")[-1]):
        return ("", "")
    if rank == 1:
        return ("batch",) if _TARGET_WORDS.search(name) else ("",)
    if rank == 2:
        return ("batch", "classes" if _SCORE_WORDS.search(name) else widths.get(shape[-1], "features"))
    if rank == 3:
        if _IMAGE_WORDS.search(name) and not _VECTORS.search(name) and shape[0] in (1, 3, 4):
            return ("channels", "height", "width")
        if _STATE.search(name) and shape[0] <= 4:
            return ("", "", widths.get(shape[-1], "hidden"))  # a state (layers, batch, hidden), or a few texts
        tokens = shape[1] in facts.get("tokens", ()) or shape[-1] in widths or bool(_TOKEN_WORDS.search(name))
        return ("batch", "tokens", widths.get(shape[-1], "hidden")) if tokens else ("", "", "")
    if rank == 4:
        if re.search("attn|attention|scores", name, re.I):
            return ("batch", "heads", "queries", "keys")
        if _HEAD_WORDS.search(name.split(".")[-1]):
            return ("batch", "heads", "tokens", "head size")
        if shape[-1] in widths or (shape[2] in facts.get("tokens", ()) and shape[0] in facts.get("batch", ())):
            return ("batch", "layers", "tokens", widths.get(shape[-1], "hidden"))
        if _IMAGE_WORDS.search(name):
            return ("batch", "channels", "height", "width")
    return ("",) * rank


def _arithmetic(number: int, scene: Scene, tensor: Tensor, leads: bool) -> str | None:
    """A product among the numbers in sight that gives this one: likely, not known.

    A later dimension is no product with a first one: batches do not become features.
    """
    if number < 4:
        return None
    seen: set[int] = set()
    for level in range(scene.site, -1, -1):
        frame = scene.frames[level]
        if frame.kind == "torch":
            continue
        # A notebook's variables outlive their cells: of those, the ones that this cell names alone may be the cause.
        at_hand = frame.code.co_names if frame.code.co_name == "<module>" else frame.locals
        for name, value in frame.locals.items():
            if name not in at_hand:
                continue
            if isinstance(value, Mapping):
                value = list(value.values())
            groups = [(name, value)]
            if isinstance(value, list | tuple):
                groups += [(f"{name}[{i}]", v) for i, v in enumerate(value) if isinstance(v, list | tuple)]
            for text, group in groups:
                if isinstance(group, list | tuple) and len(group) > 1 and all(isinstance(v, Tensor) for v in group):
                    for size in group[0].shape:
                        if size > 1 and len(group) * size == number and len({tuple(v.shape) for v in group}) == 1:
                            noun = "hidden states" if re.search(HIDDEN_STATES, text, re.I) else "tensors"
                            return f"{number} is probably {len(group)} {noun} of {text} x {size}"
            if isinstance(value, Tensor) and value is not tensor and id(value) not in seen and value.dim() > 1:
                seen.add(id(value))
                for first in range(value.dim()):
                    for last in range(first + 2, value.dim() + 1):
                        part = value.shape[first:last]
                        if prod(part) == number and min(part) > 1 and (leads or first > 0):
                            return f"{number} is probably {' x '.join(map(str, part))} of {name} {tuple(value.shape)}"
    return None
