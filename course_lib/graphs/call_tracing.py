"""What calls what in one run: Python's own trace, read for the functions of some sources alone.

A call through a library counts for the function of the sources that set it off: `self.layer(x)` runs torch's
`Module.__call__`, which runs `Layer.forward`, so the caller of `Layer.forward` is the method with `self.layer(x)` in it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from course_lib.graphs.sources import MODULE, Source, Sources


@dataclass
class Observed:
    """What was seen in a run."""

    calls: dict[tuple[str, str], Counter[int]] = field(default_factory=dict)  # (caller, callee) -> line: how often
    first: list[str] = field(default_factory=list)  # called by the run itself
    ran: set[str] = field(default_factory=set)
    lines: dict[str, set[int]] = field(default_factory=dict)  # function -> the lines of it that ran


def observe(run: Callable[[], Any], sources: Sources) -> Observed:
    """Call `run()` once and note the calls between the sources' functions, in this thread.

    An error in `run` comes through; a tracer that was there before, such as a debugger's, is put back in any case.
    """
    seen = Observed()
    own = set(_codes(run.__code__)) if getattr(run, "__name__", "") == "<lambda>" else set()  # it only starts the run
    known: dict[CodeType, str | None] = {}

    def name_of(code: CodeType) -> str | None:
        if code not in known:
            source = None if code in own else sources.of_file(code.co_filename)
            known[code] = _function_of(code, source).name if source is not None else None
        return known[code]

    def on_line(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            seen.lines[known[frame.f_code]].add(frame.f_lineno)
        return on_line

    def on_call(frame: FrameType, event: str, argument: Any) -> Any:
        name = name_of(frame.f_code)
        if name is None:
            return None
        seen.lines.setdefault(name, set()).add(frame.f_lineno)
        if frame.f_code.co_name.startswith("<") or _is_class_body(frame.f_code, name):
            return on_line  # a comprehension or a lambda belongs to the function it stands in
        seen.ran.add(name)
        before = frame.f_back
        while before.f_code is not observe.__code__ and name_of(before.f_code) is None:
            before = before.f_back
        if before.f_code is observe.__code__:  # who called for the run is no part of it
            if name not in seen.first:
                seen.first.append(name)
        else:
            pair = (name_of(before.f_code) or MODULE, name)
            seen.calls.setdefault(pair, Counter())[before.f_lineno] += 1
        return on_line

    earlier = sys.gettrace()
    sys.settrace(on_call)
    try:
        run()
    finally:
        sys.settrace(earlier)
    return seen


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


def _function_of(code: CodeType, source: Source) -> Any:
    if not code.co_name.startswith("<"):
        for function in source.functions:
            if function.first == code.co_firstlineno and function.qualname.rpartition(".")[2] == code.co_name:
                return function
    return source.innermost(code.co_firstlineno)


def _is_class_body(code: CodeType, name: str) -> bool:
    return code.co_name != name.rpartition(".")[2]
