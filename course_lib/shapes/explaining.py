"""`diagnose`, and what else turns an error into a Diagnosis."""

from __future__ import annotations

import ast
import contextlib
import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.shapes.diagnosis import Diagnosis, Fix, Operand
from course_lib.shapes.frames import names_in_scope
from course_lib.shapes.history import History, layer_text
from course_lib.shapes.operations import Call, Scene, bind, existing, operation_name, read
from course_lib.shapes.provenance import Provenance, provenance_of
from course_lib.shapes.rules import find
from course_lib.shapes.rules.convolution import input_names, weight_names
from course_lib.shapes.rules.earlier import earlier_layers, fails_later, runs_again
from course_lib.shapes.rules.finding import Candidate, Finding
from course_lib.shapes.standins import Raised, Unknown, quietly, tensors_in, works

_MOST_OPERANDS = 8


def diagnose(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Diagnosis | None:
    """Call `fn(*args, **kwargs)` once. None where it runs, else why it failed.

    The error is not raised; `diagnosis.error` is the very exception, with its traceback as torch left it. Nothing runs
    twice: repairs are tried on stand-ins of the same shapes.
    """
    history = History()
    try:
        with history:
            fn(*args, **kwargs)
    except Exception as error:
        _untouch(error)
        given = (fn, args, kwargs)
        return explain_error(error, history, given)
    return None


def explain_error(
    error: BaseException, history: History | None = None, given: tuple[Any, tuple, dict] | None = None
) -> Diagnosis:
    """Why an exception was raised, from its traceback alone. An unknown error keeps torch's own words.

    Whatever the error, explaining it raises nothing.

    Raises:
        TypeError: `error` is not an exception, such as its text alone.
    """
    if not isinstance(error, BaseException):
        raise TypeError(
            f"explain_error was given a {type(error).__name__}; it takes the exception, whose traceback says where: "
            "except RuntimeError as error: explain_error(error)."
        )
    try:
        with quietly(), _undisturbed():
            return _explain(error, history, given)
    except Exception as problem:  # the helper's own failure must not hide torch's error
        return _plain(error, problem)


@dataclass
class Explanation:
    """What `explain` hands out: after an error, its `diagnosis`."""

    diagnosis: Diagnosis | None = None


@contextlib.contextmanager
def explain(show: Callable[[Diagnosis], Any] | None = None) -> Iterator[Explanation]:
    """`with shapes.explain(): ...`: an error within is explained, and raised on as it was.

    The explanation is shown by `show`: by default in the page of a notebook, elsewhere on standard error.
    """
    found = Explanation()
    try:
        yield found
    except Exception as error:
        found.diagnosis = explain_error(error)
        with contextlib.suppress(Exception):
            (show or show_diagnosis)(found.diagnosis)
        raise


def show_diagnosis(diagnosis: Diagnosis) -> None:
    """In a notebook's page as HTML, elsewhere as text on standard error."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and hasattr(shell, "kernel"):
        sys.modules["IPython"].display.display(diagnosis)
    else:
        sys.stderr.write(f"\n{diagnosis}\n")


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """No modes of the user's act on the stand-ins, and no collection of garbage falls into the explanation."""
    was = gc.isenabled()
    gc.disable()
    try:
        with (
            torch._C.DisableTorchFunctionSubclass()
            if hasattr(torch._C, "DisableTorchFunctionSubclass")
            else contextlib.nullcontext()
        ):
            yield
    finally:
        if was:
            gc.enable()


def _untouch(error: BaseException) -> None:
    """The traceback as it would be without the watcher: its frames are taken out, and the doubled calls they cause."""
    levels: list[TracebackType] = []
    traceback = error.__traceback__
    while traceback is not None:
        levels.append(traceback)
        traceback = traceback.tb_next
    kept: list[TracebackType] = []
    for level in levels:
        code = level.tb_frame.f_code
        if code.co_filename == __file__ and code.co_name == "diagnose":
            continue
        if code is History.__torch_function__.__code__:
            continue
        if code.co_name == "handle_torch_function" and code.co_filename.endswith("overrides.py"):
            if kept:
                kept.pop()  # the same function's first frame, which only asked whether anybody watches
            continue
        kept.append(level)
    following: TracebackType | None = None
    for level in reversed(kept):
        following = TracebackType(following, level.tb_frame, level.tb_lasti, level.tb_lineno)
    error.__traceback__ = following


def _own_words(error: BaseException) -> str:
    """The error's first line; for TorchScript, which begins with a traceback of its own, the last."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[-1] if 'TorchScript interpreter' in lines[0] else lines[0]}"


def _plain(error: BaseException, problem: BaseException | None = None) -> Diagnosis:
    return Diagnosis(
        error, type(error).__name__, None, "", ("", 0), (), _own_words(error), known=False,
        notes=(f"No explanation: {type(problem).__name__}: {problem}",) if problem is not None else (),
    )  # fmt: skip


def _explain(error: BaseException, history: History | None, given: tuple[Any, tuple, dict] | None) -> Diagnosis:
    scene = read(error, history)
    if scene is None:
        if given is None:
            return _plain(error)
        return _called_directly(error, history, given)
    if (
        given is not None
        and scene.call is None
        and history is not None
        and history.failed is not None
        and history.error is error
    ):
        func, args, kwargs = history.failed
        scene.call = bind(operation_name(func), func, args, kwargs)
    call = scene.call
    finding = find(call, scene) if call is not None else None
    frame = scene.frame
    expression = frame.text(frame.whole) or (call.operation if call is not None else "")
    if isinstance(frame.whole, ast.For | ast.While | ast.With):
        expression = expression.splitlines()[0].rstrip(": ") if expression else expression  # its head, not its body
    location = (frame.file, frame.line)
    if frame.kind == "torch" and scene.calls:
        outer = scene.calls[0]
        given_names = ", ".join([*(f"argument {i}" for i in range(1, len(outer.args))), *outer.kwargs])
        expression = f"{type(outer.module).__name__}(input{', ' if given_names else ''}{given_names})"
        location = ("", 0)
    inside = ""
    if scene.in_library and frame.kind != "torch":
        inner = scene.site_frame
        name = inner.file.split("site-packages")[-1].lstrip("/\\")
        inside = f"{inner.text()}   ({name}, line {inner.line})"
    operands, origins, notes = _operands(scene, call, finding)
    notes += _unregistered(scene, call)
    fixes = _verify(scene, finding.fixes, finding.most) if finding is not None else []
    if finding is not None and call is not None and len(fixes) < finding.most and not scene.in_library:
        more = _verify(scene, list(earlier_layers(scene, call, finding)), finding.most - len(fixes))
        more = [fix for fix in more if fix.verified]
        fixes = [*fixes, *more] if finding.equal is not None else [*more, *fixes]
    cause = finding.cause if finding is not None else _own_words(error)
    return Diagnosis(
        error=error,
        operation=(
            finding.operation
            if finding is not None and finding.operation
            else call.operation
            if call is not None
            else type(error).__name__
        ),
        module=call.module if call is not None else None,
        expression=expression,
        location=location,
        tensors=tuple(operands),
        cause=cause,
        fixes=tuple(fixes),
        layer=layer_text(call.layer) if call is not None else "",
        inside=inside,
        origins=tuple(origins),
        notes=tuple(notes),
        known=finding is not None,
    )


def _unregistered(scene: Scene, call: Call | None) -> list[str]:
    if call is None or call.path is None or "[" not in call.path:
        return []
    holder = call.path.split("[")[0]
    return [
        f"{holder} is a plain list or dictionary: torch does not know the layers in it (no parameters, no .to, no .eval); nn.ModuleList or nn.ModuleDict registers them."
    ]


def _called_directly(error: BaseException, history: History | None, given: tuple[Any, tuple, dict]) -> Diagnosis:
    """`diagnose(torch.cat, [a, b], 0)`: no frame of anybody's, but the call itself."""
    import functools

    fn, args, kwargs = given
    while isinstance(fn, functools.partial):
        fn, args, kwargs = fn.func, (*fn.args, *args), {**fn.keywords, **kwargs}
    name = operation_name(fn)
    owner = getattr(fn, "__self__", None)
    values = [owner, *args] if isinstance(owner, Tensor) else list(args)
    call = bind(name, fn, values, kwargs)
    frame = sys._getframe(0)
    from course_lib.shapes.frames import Frame

    scene = Scene(error, [Frame(frame, 0, 0)], 0, 0, [], {}, history, call)
    call.direct = False
    finding = find(call, scene)
    operands, origins, notes = _operands(scene, call, finding)
    shown = ", ".join(call.args)
    return Diagnosis(
        error, call.operation, None, f"{name}({shown})", ("", 0), tuple(operands),
        finding.cause if finding is not None else _own_words(error),
        origins=tuple(origins), notes=tuple(notes), known=finding is not None,
    )  # fmt: skip


def _verify(scene: Scene, candidates: list[Candidate], most: int) -> list[Fix]:
    """Each candidate is tried; one that fails is dropped, one that could not be tried comes last, and says so."""
    tried: list[Fix] = []
    leading: list[Fix] = []  # what fails in a later line of the same function, where another repair does not
    untried: list[Fix] = []
    seen: set[str] = set()
    for candidate in candidates:
        if candidate.code in seen or len(tried) >= most or len(leading) > 2 * most:
            continue
        seen.add(candidate.code)
        if candidate.trial == "!" or candidate.checked:
            if candidate.checked:
                tried.append(Fix(candidate.code, candidate.why, True, candidate.earlier))
            continue
        if candidate.trial == "?":
            untried.append(Fix(candidate.code, candidate.why, False))
            continue
        try:
            if candidate.replay or candidate.reread:
                runs_again(scene, candidate)
                tried.append(Fix(candidate.code, candidate.why, True, candidate.earlier))
                continue
            names = dict(scene.names)
            names.update(candidate.given if candidate.trial else {})
            value = works(names, candidate.given, candidate.trial or candidate.code, candidate.needs_values)
            later = "" if candidate.earlier else fails_later(scene, value, candidate.code)
            if later:
                leading.append(Fix(candidate.code, f"{candidate.why}; {later}", True, candidate.earlier))
                continue
        except Raised:
            continue
        except (Unknown, SyntaxError, RuntimeError, TypeError, ValueError, AttributeError, LookupError):
            untried.append(Fix(candidate.code, candidate.why, False))
        else:
            tried.append(Fix(candidate.code, candidate.why, True, candidate.earlier))
    return [*tried, *leading, *untried][:most]


def _operands(scene: Scene, call: Call | None, finding: Finding | None) -> tuple[list[Operand], list[str], list[str]]:
    notes = list(finding.notes) if finding is not None else []
    if call is None:
        found = [
            Operand(name, tuple(t.shape), _filled(("",) * t.dim(), t), str(t.dtype).removeprefix("torch."))
            for name, t in _in_expression(scene)
        ]
        return found[:_MOST_OPERANDS], [], notes
    if (call.layer is not None and call.op in ("linear", "embedding")) or "conv" in call.op:
        weight = call.tensor("weight")
        if weight is not None:
            call.args.setdefault("weight", weight)
    provenance = provenance_of(scene, call)
    operands: list[Operand] = []
    for argument, value in call.args.items():
        read = finding.read_as.get(argument, ()) if finding is not None else ()
        if argument == "weight" and not read and not (finding is not None and finding.means.get("weight")):
            read = {"linear": ("out_features", "in_features"), "embedding": ("rows", "hidden")}.get(call.op, ())
            if "conv" in call.op and value.dim() > 2:
                read = weight_names("transpose" in call.op, value.dim() - 2)
        if argument == "input" and not read and "conv" in call.op and isinstance(value, Tensor):
            read = input_names(value.dim(), int(call.op[-2]))
        name = call.name(argument)
        if isinstance(value, Tensor):
            means = finding.means.get(argument, ()) if finding is not None else ()
            operands.append(_operand(provenance, argument, name, value, read, means))
        elif argument == "state_dict":
            continue
        elif isinstance(value, list | tuple | dict):
            operands += _many(provenance, argument, name, value, finding.means if finding is not None else {})
    if scene.in_library:
        shown = {id(v) for v in call.args.values()}
        operands += [
            Operand(
                name,
                tuple(t.shape),
                _meaning(provenance.labels(name, t), (), t),
                str(t.dtype).removeprefix("torch."),
                "argument",
            )
            for name, t in _in_expression(scene)
            if id(t) not in shown
        ]
    if not operands:
        operands = [
            Operand(
                name, tuple(t.shape), _meaning(provenance.labels(name, t), (), t), str(t.dtype).removeprefix("torch.")
            )
            for name, t in _in_expression(scene)
        ]
    origins = []
    for argument, dim in finding.focus if finding is not None else ():
        text = provenance.origin(argument, dim)
        if text is not None and text not in origins:
            origins.append(text)
    return _unlike(operands)[:_MOST_OPERANDS], origins, notes


def _unlike(operands: list[Operand]) -> list[Operand]:
    """Each tensor once: query, key and value are mostly one."""
    found: list[Operand] = []
    for one in operands:
        if all((one.name, one.shape, one.meaning) != (other.name, other.shape, other.meaning) for other in found):
            found.append(one)
    return found


def _operand(
    provenance: Provenance,
    argument: str,
    name: str,
    tensor: Tensor,
    read: tuple[str, ...],
    means: tuple[str, ...] = (),
) -> Operand:
    labels = provenance.labels(argument, tensor) if argument not in ("weight", "bias") else ()
    if means:  # a width that a configuration states stays what it is
        widths = provenance.facts["widths"]
        guessed = (*labels, *[""] * (tensor.dim() - len(labels)))
        labels = tuple(
            guess if size in widths else known or guess
            for known, guess, size in zip(means, guessed, tensor.shape, strict=True)
        )
    return Operand(
        name, tuple(tensor.shape), _meaning(labels, read, tensor), str(tensor.dtype).removeprefix("torch."), argument
    )


def _many(
    provenance: Provenance, argument: str, name: str, value: Any, known: Mapping[str, tuple[str, ...]]
) -> list[Operand]:
    if isinstance(value, dict) or hasattr(value, "keys"):
        items = [(f"{name}[{key!r}]", item) for key, item in value.items()]
    else:
        texts = _texts(name, len(value))
        items = list(zip(texts, value, strict=True))
    tensors = [named for text, item in items for named in _each(text, item)]
    if not tensors:
        return []
    first = tensors[0][1]
    if len(tensors) > 3 and len({tuple(t.shape) for _, t in tensors}) == 1:
        meaning = _meaning(provenance.labels(f"{argument}[0]", first), (), first)
        return [
            Operand(name, tuple(first.shape), meaning, str(first.dtype).removeprefix("torch."), argument, len(tensors))
        ]
    return [
        Operand(
            text,
            tuple(t.shape),
            _meaning(_item_labels(provenance, known, argument, i, t), (), t),
            str(t.dtype).removeprefix("torch."),
            argument,
        )
        for i, (text, t) in enumerate(tensors[:_MOST_OPERANDS])
    ]


def _item_labels(
    provenance: Provenance, known: Mapping[str, tuple[str, ...]], argument: str, i: int, tensor: Tensor
) -> tuple[str, ...]:
    """What the dimensions of one of many are: as the rule knows them, else by their making."""
    place = f"{argument}[{i}]"
    means = known.get(place, known.get(argument, ()))
    return means if len(means) == tensor.dim() else provenance.labels(place, tensor)


def _each(text: str, item: Any) -> list[tuple[str, Tensor]]:
    """The first tensors of one item; those of a tuple or list within it by their places."""
    if type(item) in (list, tuple):
        return [(f"{text}[{i}]", t) for i, part in enumerate(item) for t in tensors_in(part)][:3]
    return [(text, t) for t in list(tensors_in(item))[:3]]


def _texts(name: str, count: int) -> list[str]:
    try:
        node = ast.parse(name, mode="eval").body
    except SyntaxError:
        node = None
    if isinstance(node, ast.List | ast.Tuple) and len(node.elts) == count:
        return [ast.unparse(e) for e in node.elts]
    return [f"{name}[{i}]" for i in range(count)]


def _meaning(labels: tuple[str, ...], read: tuple[str, ...], tensor: Tensor) -> tuple[str, ...]:
    found = []
    for d in range(tensor.dim()):
        label = labels[d] if d < len(labels) else ""
        as_read = read[d] if d < len(read) else ""
        if label and as_read and label != as_read:
            found.append(f"{label} (read as {as_read})")
        else:
            found.append(label or as_read)
    return _filled(tuple(found), tensor)


def _filled(found: tuple[str, ...], tensor: Tensor) -> tuple[str, ...]:
    fixed = isinstance(tensor, nn.Parameter)
    return tuple(
        text
        or (
            "batch"
            if d == 0 and tensor.dim() > 2 and tensor.shape[0] > 1 and not any(found) and not fixed
            else f"dimension {d}"
        )
        for d, text in enumerate(found)
    )


def _in_expression(scene: Scene) -> list[tuple[str, Tensor]]:
    """The tensors that the shown expression names."""
    node: ast.AST | None = scene.frame.node
    if scene.call is not None and scene.call.op == "unpack" and not scene.in_library:
        with contextlib.suppress(SyntaxError):
            node = ast.parse(scene.call.name("input"), mode="eval").body
    names = names_in_scope(scene.frames, scene.user)
    found: list[tuple[str, Tensor]] = []
    for part in ast.walk(node) if node is not None else ():
        if isinstance(part, ast.Name | ast.Attribute | ast.Subscript):
            value = existing(part, names)
            text = ast.unparse(part)
            if (
                isinstance(value, Tensor)
                and not isinstance(value, nn.Parameter)
                and all(t is not value for _, t in found)
            ):
                found.append((text, value))
            elif isinstance(value, list | tuple) and not isinstance(value, torch.Size):
                found += [(f"{text}[{i}]", v) for i, v in enumerate(value[:3]) if isinstance(v, Tensor)]
    return found
