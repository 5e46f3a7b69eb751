"""Which function calls which: read from the source, and seen in a run.

Neither is enough alone. code2flow reads the source: it finds functions that no run reached, but it goes by names. It
cannot know that `self.layer(x)` is `Layer.forward`, it takes `x.view()` for any function that is called `view`, and it
does not follow imports from a package. A traced run shows what really happened, and nothing else. `call_graph` joins the
two: what the run saw is true; what code2flow read is kept where the rules of Python allow it and the run does not
contradict it, and set aside with the reason where they do not. A call whose meaning those rules settle (a function of
the file, an import, a method of `self`) is added where code2flow missed it.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from course_lib.graphs.call_tracing import Observed, observe
from course_lib.graphs.sources import MODULE, CallSite, Function, Source, Sources

READ, NAMED, SEEN = "code2flow", "names", "run"  # the ways in which a call is found


@dataclass(frozen=True)
class Node:
    """A function or method.

    `ran` is None where there was no run. `path` is the file it stands in, None for a cell of a notebook.
    """

    name: str
    label: str  # of its source: "net.py", "cell 3"
    owner: str | None  # the class, for a method
    line: int
    ran: bool | None = None
    path: Path | None = None


@dataclass(frozen=True)
class Call:
    """How an edge is known, and the lines of the caller where it stands.

    `found_by` holds one or more of "code2flow", "names" (the rules of Python settle what the name means) and "run".
    """

    found_by: tuple[str, ...]
    lines: tuple[int, ...] = ()
    times: int = 0  # how often the run made it


@dataclass(frozen=True)
class Dropped:
    """An edge that code2flow gave and that is not believed, with the reason."""

    caller: str
    callee: str
    reason: str


@dataclass(frozen=True)
class CallGraph:
    """Functions and who calls whom; the last value of a cell draws it.

    `edges` are (caller, callee) pairs of names such as "Net.forward"; where two files have a function of the same name,
    the file's name stands before it. `calls` says of each edge how it is known; `dropped` what was not believed.
    """

    nodes: tuple[Node, ...]
    calls: dict[tuple[str, str], Call]
    dropped: tuple[Dropped, ...] = ()
    first: tuple[str, ...] = ()  # called by the run itself
    notes: tuple[str, ...] = ()

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """(caller, callee), in the order of the source."""
        return tuple(self.calls)

    @property
    def isolated(self) -> tuple[str, ...]:
        """Functions that call nothing here, and that nothing here calls."""
        joined = {name for edge in self.calls for name in edge}
        return tuple(node.name for node in self.nodes if node.name not in joined)

    def called(self) -> CallGraph:
        """The part that the run reached: for a big file, of which one model is a corner.

        Raises:
            ValueError: there was no run.
        """
        if all(node.ran is None for node in self.nodes):
            raise ValueError(
                "This call graph was made without a run: give one, call_graph(files, run=lambda: model(x))."
            )
        kept = {node.name for node in self.nodes if node.ran}
        return replace(
            self,
            nodes=tuple(node for node in self.nodes if node.name in kept),
            calls={edge: call for edge, call in self.calls.items() if kept.issuperset(edge) and SEEN in call.found_by},
            dropped=tuple(d for d in self.dropped if kept.issuperset((d.caller, d.callee))),
        )

    def to_svg(self, path: str | os.PathLike | None = None, dot: bool | None = None) -> str:
        """The graph as the text of an SVG file; with `path` it is written there too, and links to the sources.

        Args:
            dot: lay it out by Graphviz's `dot`. By default where `dot` is installed and works; without it, each class is
                a card, and the cards stand in columns, callers to the left.

        Raises:
            SetupError: `dot=True`, and it is not there or fails.
            OSError: the file cannot be written; nothing is half written.
        """
        from course_lib.graphs.call_pictures import draw

        folder = Path(path).resolve().parent if path is not None else None
        text = draw(self, dot, folder)
        if path is not None:
            _write(Path(path), text)
        return text

    @property
    def mermaid(self) -> str:
        """The graph as Mermaid text, which JupyterLab and many repository pages draw."""
        from course_lib.graphs.call_pictures import mermaid

        return mermaid(self)

    @property
    def dot(self) -> str:
        """The graph in Graphviz's language."""
        from course_lib.graphs.call_pictures import dot_text

        return dot_text(self, None)

    @property
    def json(self) -> str:
        """Everything as JSON: nodes, edges with how they are known, what was dropped and why, notes."""
        nodes = [
            {"name": n.name, "source": n.label, "class": n.owner, "line": n.line, "ran": n.ran} for n in self.nodes
        ]
        edges = [
            {"caller": a, "callee": b, "found_by": list(c.found_by), "lines": list(c.lines), "times": c.times}
            for (a, b), c in self.calls.items()
        ]
        dropped = [{"caller": d.caller, "callee": d.callee, "reason": d.reason} for d in self.dropped]
        whole = {
            "nodes": nodes,
            "edges": edges,
            "first": list(self.first),
            "dropped": dropped,
            "notes": list(self.notes),
        }
        return json.dumps(whole, ensure_ascii=False, indent=1)

    @property
    def alt(self) -> str:
        """The graph in words."""
        from course_lib.graphs.call_pictures import words

        return words(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from course_lib.graphs.call_pictures import html_of

        return {"text/html": html_of(self), "text/plain": repr(self)}

    def __repr__(self) -> str:
        seen = sum(SEEN in call.found_by for call in self.calls.values())
        lines = [f"Call graph: {len(self.nodes)} functions, {len(self.calls)} calls ({seen} seen in the run)"]
        for (caller, callee), call in self.calls.items():
            lines.append(f"  {caller} -> {callee}   {' and '.join(call.found_by)}")
        lines += [f"  {name} (alone)" for name in self.isolated]
        lines += [f"  not believed: {d.caller} -> {d.callee}: {d.reason}" for d in self.dropped]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def call_graph(files: Any, run: Callable[[], Any] | None = None) -> CallGraph:
    """Which function calls which, in some Python sources.

    Args:
        files: files, folders, modules, packages, classes, functions or a model (then the sources of its classes; cells of
            a notebook too). One of them or several.
        run: called once, without arguments; the calls that it makes among the sources are seen. For a model:
            `lambda: model(x)`. Calls in other threads and processes are not seen.

    Raises:
        DataError: a file that is missing or not Python.
        ValueError: nothing given, or `run` cannot be called.
        Whatever `run` raises.
    """
    if run is not None and not callable(run):
        raise ValueError(
            f"run is a {type(run).__name__}; give something to call without arguments, such as lambda: model(x)."
        )
    sources = Sources(files)
    observed = observe(run, sources) if run is not None else None
    read, notes = _read_by_code2flow(sources)
    named = _settled(sources)
    seen = observed.calls if observed else {}
    calls: dict[tuple[str, str], Call] = {}
    dropped = []
    for edge in dict.fromkeys([*seen, *read, *named]):
        found = {READ: edge in read, NAMED: edge in named, SEEN: edge in seen}
        ways = tuple(way for way, holds in found.items() if holds)
        if edge in seen:
            calls[edge] = Call(ways, tuple(sorted(seen[edge])), sum(seen[edge].values()))
            continue
        lines, reason = _judge(edge, sources, observed)
        if not reason:
            calls[edge] = Call(ways, lines)
        elif edge in read:
            dropped.append(Dropped(*edge, reason))
    order = {function.name: place for place, function in enumerate(sources.functions)}
    calls = dict(sorted(calls.items(), key=lambda item: (order[item[0][0]], order[item[0][1]])))
    used = {name for edge in calls for name in edge}
    nodes = [
        Node(f.name, f.source.label, f.owner, f.line, f.name in observed.ran if observed else None, f.source.path)
        for f in sources.by_name.values()
        if f.qualname != MODULE or f.name in used
    ]
    first = tuple(observed.first) if observed else ()
    return CallGraph(tuple(nodes), calls, tuple(dropped), first, tuple(notes))


def _settled(sources: Sources) -> set[tuple[str, str]]:
    """The calls of which the source itself tells the one function that they mean."""
    found = set()
    for function in sources.functions:
        for call in function.calls:
            meaning = sources.meaning(call, function)
            if meaning and len(meaning) == 1:
                found.add((function.name, *meaning))
    return found


def _judge(edge: tuple[str, str], sources: Sources, observed: Observed | None) -> tuple[tuple[int, ...], str]:
    """The lines where an edge that was read may stand, and why it is not believed: empty where it is."""
    caller, callee = sources.by_name[edge[0]], sources.by_name[edge[1]]
    sites = [site for site in caller.calls if _may_mean(site, callee)]
    meanings = [(site, sources.meaning(site, caller)) for site in sites]
    fitting = [site for site, meaning in meanings if meaning is not None and callee.name in meaning]
    short = callee.qualname.rpartition(".")[2]
    if not fitting:
        if any(meaning is None for _, meaning in meanings):
            return (), f"found by the name `{short}` alone: the source does not tell whose it is"
        return (), f"what is called `{short}` there is another function"
    if observed is not None and caller.name in observed.ran:
        passed = observed.lines[caller.name]
        if all(site.line in passed and not site.perhaps for site in fitting):
            line = fitting[0].line
            return (), f"the run passed line {line} and did not come to it: another class's `{short}` was called"
    return tuple(sorted({site.line for site in fitting})), ""


def _may_mean(site: CallSite, callee: Function) -> bool:
    last = callee.qualname.rpartition(".")[2]
    return site.token == last or (last in ("__init__", "__new__") and site.token == callee.owner)


# ---------------------------------------------------------------------------------------------------------- code2flow


def _read_by_code2flow(sources: Sources) -> tuple[list[tuple[str, str]], list[str]]:
    """The edges that code2flow gives, as names of ours, and a note for each source that it cannot read."""
    try:
        return _code2flow(sources.sources), []
    except Exception as error:  # it asserts and looks up, without a type of error of its own
        if len(sources.sources) == 1:
            return [], [_stumbled(sources.sources[0].label, error)]
    notes, readable = [], []
    for source in sources.sources:  # one that it stumbles over must not cost the others
        try:
            _code2flow([source])
            readable.append(source)
        except Exception as error:
            notes.append(_stumbled(source.label, error))
    try:
        return (_code2flow(readable) if readable else []), notes
    except Exception as error:
        return [], [*notes, _stumbled(", ".join(source.label for source in readable), error)]


def _stumbled(what: str, error: Exception) -> str:
    return f"code2flow could not read {what} ({type(error).__name__}): calls that no run saw are missing there."


def _code2flow(sources: Sequence[Source]) -> list[tuple[str, str]]:
    from code2flow import code2flow

    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, Source] = {}
        for source in sources:  # copies, because it tells files apart by their last name alone
            stem = re.sub(r"\W", "_", source.label.removesuffix(".py")) if source.path is None else source.path.stem
            unique, number = stem, 1
            while unique in files:
                number += 1
                unique = f"{stem}_{number}"
            files[unique] = source
            Path(folder, f"{unique}.py").write_text(source.text, encoding="utf-8")
        output = Path(folder, "graph.json")
        with _quiet():
            paths = [str(Path(folder, f"{stem}.py")) for stem in files]
            code2flow(paths, str(output), language="py", no_trimming=True, level=logging.CRITICAL)
        graph = json.loads(output.read_text(encoding="utf-8"))["graph"]
    names = {uid: _our_name(node, files) for uid, node in graph["nodes"].items()}
    pairs = [(names[edge["source"]], names[edge["target"]]) for edge in graph["edges"]]
    return list(dict.fromkeys((a, b) for a, b in pairs if a and b))


def _our_name(node: dict[str, str], files: dict[str, Source]) -> str | None:
    """A node such as {"label": "12: forward()", "name": "net::Net.forward"} as one of our functions."""
    stem, _, token = node["name"].partition("::")
    line = int(node["label"].partition(":")[0])
    source = files[stem]
    if token.endswith("(global)"):
        return source.functions[0].name
    return next((f.name for f in source.functions[1:] if f.line == line), None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """code2flow logs through the root logger and may set it up; afterwards all is as it was."""
    root, before = logging.getLogger(), logging.root.manager.disable
    silent = logging.NullHandler()
    root.addHandler(silent)  # with a handler there, logging.basicConfig does nothing
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
        root.removeHandler(silent)


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
