"""`course_lib.shapes.diagnose` beside other tools, on the public catalogue of raising shape bugs.

Each tool is used on each bug as its users use it, with its defaults; what it prints, displays, returns and raises is kept
and scored by the rules of `benchmarks.shape_scores`, which are the same for all. torchinfo, torchview and torchvista take a
module with its inputs: they get the outermost module call in which the bug raised (`model(*args, **kwargs)`), from a fresh
failure of the same seed. Where a bug raises outside any module there is nothing to give them: not applicable.

Python's traceback, which everybody has, is no tool's merit: a tool is scored by its own output and by the messages of what
it raises. Two columns show what is there without any tool, PyTorch's message and the whole traceback. torchinfo's list of
layers that ran is left out of its text: it names every layer but the one that failed. Of torchvista's graph, the nodes that
it marks as failed count, with their panels and the shapes on the edges into them. Of tensor-sensor's picture, the line of
code and the shapes in the boxes count.

The tools are in an extra of their own: `pip install -e ".[bench]" -c constraints.txt`. One that is absent is left out.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import io
import json
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks import shape_scores as rules
from benchmarks.record import write
from benchmarks.shape_scores import Shown, percent
from benchmarks.shapes import catalogue

_SEED = 0
INSTALL = 'pip install -e ".[bench]" -c constraints.txt'


@dataclass(frozen=True)
class ModuleCall:
    """A call of a module: `model(*args, **kwargs)`."""

    model: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self) -> Any:
        return self.model(*self.args, **self.kwargs)


@dataclass(frozen=True)
class Tool:
    """How one tool is used. `show` gets the broken function, and the failing module call where `on_a_module`."""

    name: str
    show: Callable[[Any], Shown]
    package: str = ""  # the distribution that brings it
    imported: str = ""  # the name to import
    on_a_module: bool = False


# ----------------------------------------------------------------------------------------------------- the tools, as used


def torch_message(broken: Callable[[], Any]) -> Shown:
    return _shown(*_watched(broken))


def torch_traceback(broken: Callable[[], Any]) -> Shown:
    _, error = _watched(broken)
    return Shown(words=_messages(error), drawn="".join(traceback.format_exception(error)), error=error)


def torchinfo_summary(call: ModuleCall) -> Shown:
    from torchinfo import summary

    data, rest = (list(call.args), call.kwargs) if call.args else (call.kwargs, {})
    shown = _shown(*_watched(lambda: summary(call.model, input_data=data, **rest)))
    return Shown(words=re.sub(r"Executed layers up to: .*", "", shown.words), error=shown.error)


def torchview_graph(call: ModuleCall, **options: Any) -> Shown:
    from torchview import draw_graph

    data, rest = (list(call.args), call.kwargs) if call.args else (call.kwargs, {})
    return _shown(*_watched(lambda: draw_graph(call.model, input_data=data, **options, **rest)))


def tensor_sensor(broken: Callable[[], Any]) -> Shown:
    import matplotlib
    import tsensor

    matplotlib.use("Agg")
    drawn: list[str] = []

    def clarified() -> None:
        with tsensor.clarify():
            broken()

    view = tsensor.viz.PyVizView
    boxes = _noting(view, "draw", lambda view, ax, part: drawn.append(str(tuple(part.value.shape))))
    line = _noting(view, "show", lambda view: drawn.append(view.statement), after=_without_file)
    with boxes, line:
        printed, error = _watched(clarified)
    tsensor.clarify.nesting = 0  # where clarify itself failed, it is left behind counted as open
    return _shown(printed, error, "\n".join(drawn))


def torchvista_graph(call: ModuleCall) -> Shown:
    import torchvista.render

    inputs = _by_position(call)
    pages: list[str] = []
    display = torchvista.render.display
    torchvista.render.display = lambda page: pages.append(page.data)
    try:
        printed, error = _watched(lambda: torchvista.trace_model(call.model, inputs))
    finally:
        torchvista.render.display = display
    return _shown(printed, error, "\n".join(map(failed_nodes, pages)))


def _by_position(call: ModuleCall) -> tuple[Any, ...]:
    """The inputs as trace_model takes them; left-out ones before the last that was named get their defaults."""
    if not call.kwargs:
        return call.args
    bound = inspect.signature(call.model.forward).bind(*call.args, **call.kwargs)
    count = 1 + list(bound.signature.parameters).index(list(bound.arguments)[-1])
    bound.apply_defaults()
    return tuple(bound.arguments.values())[:count]


def our_diagnosis(broken: Callable[[], Any]) -> Shown:
    from course_lib import shapes

    kept: list[Any] = []
    _watched(lambda: kept.append(shapes.diagnose(broken)))
    (found,) = kept
    if found is None:
        return Shown()
    said = " ".join((found.cause, *found.origins, *found.notes))
    return Shown(words=said, drawn=str(found), fixes=tuple(fix.code for fix in found.fixes), error=found.error)


TOOLS = (
    Tool("PyTorch's message alone", torch_message),
    Tool("the whole traceback", torch_traceback),
    Tool("torchinfo", torchinfo_summary, "torchinfo", "torchinfo", on_a_module=True),
    Tool("torchview", torchview_graph, "torchview", "torchview", on_a_module=True),
    Tool("tensor-sensor", tensor_sensor, "tensor-sensor", "tsensor"),
    Tool("torchvista", torchvista_graph, "torchvista", "torchvista", on_a_module=True),
    Tool("course_lib.shapes", our_diagnosis),
)
# The first example on torchview's own page passes device="meta", which is not its default.
ASIDE = Tool("torchview, device='meta'", partial(torchview_graph, device="meta"), "torchview", "torchview", True)


def failed_nodes(page: str) -> str:
    """What torchvista's page says about the nodes that it marks as failed."""

    def table(name: str) -> dict[str, Any]:
        start = re.search(rf"\b{name}\s*=\s*(?=\{{)", page)
        return json.JSONDecoder().raw_decode(page, start.end())[0] if start else {}

    nodes, layers, calls = table("adj_list"), table("module_info"), table("func_info")
    lines = []
    for name in (name for name, node in nodes.items() if node["failed"]):
        into = [edge["dims"] for node in nodes.values() for edge in node["edges"] if edge["target"] == name]
        shown = [re.sub(r"_\d+$", "", name), *into, json.dumps(layers.get(name, {})), json.dumps(calls.get(name, {}))]
        lines.append(" ".join(shown))
    return "\n".join(lines)


def _watched(run: Callable[[], Any]) -> tuple[str, Exception | None]:
    """What a run prints and raises; its warnings and log lines are kept out of the benchmark's own output."""
    printed = io.StringIO()
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run()
    except Exception as error:
        return printed.getvalue(), error
    finally:
        logging.disable(logging.NOTSET)
    return printed.getvalue(), None


def _messages(error: BaseException | None) -> str:
    """The messages that Python prints for an exception: its own and those of the exceptions behind it."""
    texts = []
    while error is not None:
        texts.append(f"{type(error).__name__}: {error}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\n".join(texts)


def _shown(printed: str, error: BaseException | None, drawn: str = "") -> Shown:
    if error is None:  # to the tool the call ran, as in torchinfo's eval mode: it says nothing of a failure
        return Shown()
    return Shown(words=f"{printed}\n\n{_messages(error)}", drawn=drawn, error=error)


@contextlib.contextmanager
def _noting(
    owner: type, method: str, note: Callable[..., Any], after: Callable[..., Any] | None = None
) -> Iterator[None]:
    """Note each call of a method while it does what it always does."""
    original = getattr(owner, method)

    def noted(*args: Any) -> Any:
        note(*args)
        try:
            return original(*args)
        finally:
            if after is not None:
                after(*args)

    setattr(owner, method, noted)
    try:
        yield
    finally:
        setattr(owner, method, original)


def _without_file(view: Any) -> None:
    if view.filename is not None:
        Path(view.filename).unlink(missing_ok=True)


# -------------------------------------------------------------------------------------------------- one bug, one tool


@dataclass
class Failure:
    """A bug's plain run."""

    error: BaseException
    call: ModuleCall | None  # the outermost module call in which it raised
    state: dict[str, Any] = field(default_factory=dict)


def fail(broken: Callable[[], Any]) -> Failure:
    _, error = _watched(_seeded(broken))
    assert error is not None, "an entry of the catalogue raised nothing"
    call = failing_call(error)
    return Failure(error, call, state_of(call.model) if call else {})


def failing_call(error: BaseException) -> ModuleCall | None:
    """The outermost module call in an error's traceback."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "_wrapped_call_impl" and frame.f_code.co_filename.endswith("module.py"):
            names = frame.f_locals
            return ModuleCall(names["self"], names["args"], names["kwargs"])
    return None


def state_of(model: Any) -> dict[str, Any]:
    """What a tool should leave as it was, in values that can be compared."""
    return {
        "parameters": {name: (str(p.device), _digest(p)) for name, p in model.named_parameters()},
        "buffers": {name: str(b.device) for name, b in model.named_buffers()},
        "modes": {name: module.training for name, module in model.named_modules()},
        "hooks": {name: len(m._forward_hooks) + len(m._forward_pre_hooks) for name, m in model.named_modules()},
    }


def _digest(tensor: Any) -> Any:
    return None if tensor.is_meta else tensor.detach().cpu().numpy().tobytes()


def _seeded(broken: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        import torch

        torch.manual_seed(_SEED)
        return broken()

    return run


def judge(tool: Tool, entry: Any) -> dict[str, Any] | None:
    """The verdicts on one tool and one bug; None where the tool cannot be applied to it."""
    plain = fail(entry.broken)
    if tool.on_a_module:
        if plain.call is None:
            return None
        call, second, third = plain.call, fail(entry.broken).call, fail(entry.broken).call
        shown = tool.show(call)
        with Counter(second.model) as once:
            _watched(second)
        with Counter(third.model) as counted:
            tool.show(third)
    else:
        broken = _seeded(entry.broken)
        shown = tool.show(broken)
        call = failing_call(shown.error) if shown.error is not None else None
        with Counter() as once:
            _watched(broken)
        with Counter() as counted:
            tool.show(lambda: counted.clean(broken))
    return {
        "layer": rules.names_the_layer(shown, entry.operation, entry.module, _class_at(plain.call, entry.module)),
        "expression": rules.shows_the_expression(shown, entry.expression),
        "shapes": rules.shows_the_shapes(shown, entry.shapes) if entry.shapes else None,
        "cause": rules.says_the_cause(shown, entry.cause),
        "fix": rules.offers_a_fix(shown),
        "fix_runs": fix_runs(shown, entry.broken),
        "error_kept": rules.keeps_the_error(shown, plain.error),
        "nothing_twice": counted.calls <= once.calls and counted.failures <= once.failures,
        "model_kept": model_kept(call, fail(entry.broken)) if plain.call else None,
    }


def _class_at(call: ModuleCall | None, path: str | None) -> str | None:
    if call is None or path is None:
        return None
    try:
        return type(call.model.get_submodule(path)).__name__
    except AttributeError:
        return None  # the path begins at another module


def model_kept(call: ModuleCall | None, plain: Failure) -> bool:
    """Whether the model is as a plain failure leaves it, and fails in the same way when it is called again."""
    if call is None or state_of(call.model) != plain.state:
        return False
    _, again = _watched(call)
    return type(again) is type(plain.error) and str(again) == str(plain.error)


def fix_runs(shown: Shown, broken: Callable[[], Any]) -> bool:
    """Whether the first code offered raises nothing in the place of the failing expression, on the real tensors."""
    from course_lib import shapes
    from course_lib.shapes.diagnosis import Fix

    code = rules.offered_code(shown)
    if code is None:
        return False
    failing = shapes.explain_error(fail(broken).error)
    _, problem = _watched(lambda: _applying().apply(failing, Fix(code, "", False)))
    return problem is None


def _applying() -> Any:
    """tests/shapes/applying.py, which puts a repair into the failing frame."""
    folder = str(Path(__file__).parent.parent / "tests" / "shapes")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("applying")
    finally:
        sys.path.remove(folder)


class Counter:
    """Counts calls of modules, and failing calls of torch's functions, that the catalogue's own code makes.

    Code that a tool evaluates anew has the catalogue's names too and counts; so does every call of a part of `model`. What
    a tool tries with layers and tensors of its own does not: nothing of the user's happens there.
    """

    def __init__(self, model: Any = None) -> None:
        self.calls = self.failures = 0
        self.parts = set(model.modules()) if model is not None else set()

    def __enter__(self) -> Counter:
        from torch.nn.modules.module import register_module_forward_pre_hook
        from torch.overrides import TorchFunctionMode

        counter = self

        class Mode(TorchFunctionMode):
            def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
                try:
                    return func(*args, **(kwargs or {}))
                except Exception:
                    counter.failures += _in_the_catalogue() or bool(counter.parts)
                    raise

        def hook(module: Any, inputs: Any) -> None:
            self.calls += module in self.parts or _in_the_catalogue()

        self.code = Mode.__torch_function__.__code__
        self.mode, self.hook = Mode(), register_module_forward_pre_hook(hook)
        self.mode.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.mode.__exit__(*exception)
        self.hook.remove()

    def clean(self, run: Callable[[], Any]) -> Any:
        """Run it; what it raises has no frames of the counter in its traceback, since tools look for the last line."""
        try:
            return run()
        except Exception as error:
            levels, level = [], error.__traceback__.tb_next if error.__traceback__ else None
            while level is not None:
                if level.tb_frame.f_code is not self.code:
                    levels.append(level)
                level = level.tb_next
            following: TracebackType | None = None
            for level in reversed(levels):
                following = TracebackType(following, level.tb_frame, level.tb_lasti, level.tb_lineno)
            error.__traceback__ = following
            raise


def _in_the_catalogue() -> bool:
    return any(f.f_globals.get("__name__", "").startswith("catalogue.") for f, _ in traceback.walk_stack(None))


# --------------------------------------------------------------------------------------------------- all, and the table

PROPERTIES = {
    "layer": "names the layer or operation",
    "expression": "shows the failing expression",
    "shapes": "shows the operands' shapes",
    "cause": "says the cause",
    "fix": "offers a fix",
    "fix_runs": "the first fix offered runs",
    "error_kept": "keeps the error, type and text",
    "nothing_twice": "runs nothing twice",
    "model_kept": "leaves the model as it was",
}
SAFETY = ("error_kept", "nothing_twice", "model_kept")  # of the bugs that the tool was used on


def measure(tool: Tool, entries: list[Any]) -> dict[str, Any]:
    """One tool on all bugs: for each property how many, in per cent of all bugs and of those inside a module call."""
    verdicts = {entry.name: judge(tool, entry) for entry in entries}
    inside = {entry.name for entry in entries if fail(entry.broken).call is not None}
    return summed(verdicts, {entry.name for entry in entries if entry.shapes}, inside)


def summed(verdicts: dict[str, dict[str, Any] | None], with_shapes: set[str], inside: set[str]) -> dict[str, Any]:
    """Verdicts by bug (None: not applicable) as counts and shares.

    `with_shapes`: the bugs whose entry expects shapes; `inside`: those that raise inside a module call.
    """
    used = {name for name, verdict in verdicts.items() if verdict is not None}
    found: dict[str, Any] = {"used_on": len(used), "used_on_percent": percent(len(used), len(verdicts))}
    for what in PROPERTIES:
        asked = {"shapes": with_shapes, "model_kept": inside}.get(what, set(verdicts))
        asked = asked & used if what in SAFETY else asked
        yes = {name for name in used if verdicts[name][what]}
        found[what] = {
            "bugs": len(yes & asked),
            "percent": percent(len(yes & asked), len(asked)),
            "percent_inside_modules": percent(len(yes & asked & inside), len(asked & inside)),
            "missed": sorted((asked & used) - yes),
        }
    return found


def run() -> dict[str, Any]:
    entries = catalogue()
    inside = sum(fail(entry.broken).call is not None for entry in entries)
    found: dict[str, Any] = {"bugs": len(entries), "bugs_inside_modules": inside, "tool_versions": {}, "absent": []}
    found |= {"tools": {}, "aside": {}}
    for tool in (*TOOLS, ASIDE):
        if tool.imported and importlib.util.find_spec(tool.imported) is None:
            found["absent"].append(tool.name)
            print(f"{tool.name} is not installed and left out: {INSTALL}")
            continue
        if tool.package:
            found["tool_versions"][tool.package] = version(tool.package)
        shares = measure(tool, entries)
        if tool.show is not our_diagnosis:  # the others' misses are their own affair
            shares = {what: _without_names(share) for what, share in shares.items()}
        found["aside" if tool is ASIDE else "tools"][tool.name] = shares
    return found


def _without_names(share: Any) -> Any:
    return {key: value for key, value in share.items() if key != "missed"} if isinstance(share, dict) else share


def table(found: dict[str, Any]) -> str:
    """The result as a Markdown table, a column a tool: per cent of all bugs (of those inside a module call)."""
    tools = found["tools"]
    heads = [f"{name} {found['tool_versions'].get(name, '')}".strip() for name in tools]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    lines.append("| can be used on | " + " | ".join(f"{tool['used_on_percent']}" for tool in tools.values()) + " |")
    for what, text in PROPERTIES.items():
        lines.append(f"| {text} | " + " | ".join(_cell(tool[what], what) for tool in tools.values()) + " |")
    return "\n".join(lines)


def _cell(share: dict[str, Any], what: str) -> str:
    return f"{share['percent']}" if what in SAFETY else f"{share['percent']} ({share['percent_inside_modules']})"


def main() -> None:
    write("shape_tools", **run())
