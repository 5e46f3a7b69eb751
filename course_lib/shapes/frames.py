"""From a traceback to the call that failed: whose frame it is, its source text, and the layers that were being called.

Nothing is run. A traceback keeps every frame with its local variables, and since Python 3.11 the exact columns of the
call in each (PEP 657), so that a call over several lines, in a comprehension or in a lambda is found as surely as any.
"""

from __future__ import annotations

import ast
import copy
import dis
import linecache
import os
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, Literal

import torch
from torch import nn

Kind = Literal["user", "torch", "library", "own"]
_TORCH = str(Path(torch.__file__).parent) + os.sep
_COURSE = str(Path(__file__).parent.parent) + os.sep
_OWN = str(Path(__file__).parent) + os.sep
_STANDARD = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})
_COMPREHENSIONS = ("<listcomp>", "<genexpr>", "<setcomp>", "<dictcomp>")


@lru_cache(maxsize=512)
def kind_of(file: str) -> Kind:
    """Whose code a file is: the user's own, torch's, another library's (this course's among them), or this package's."""
    if file.startswith(_OWN):
        return "own"
    if file.startswith(_TORCH):
        return "torch"
    if file.startswith((_COURSE, "<frozen")) or "site-packages" in file or "dist-packages" in file:
        return "library"
    return "library" if file.startswith(_STANDARD) else "user"


class Source:
    """The syntax tree of a file or a notebook cell, its nodes found by where they end."""

    def __init__(self, tree: ast.AST) -> None:
        self.tree = tree
        self.ends: dict[tuple[int, int], list[ast.AST]] = {}
        self.functions: dict[tuple[str, int], ast.AST] = {}
        self.callers: dict[int, ast.Call] = {}  # id of an attribute -> the call of it
        self.statements: dict[int, ast.AST] = {}  # id of a target -> its assignment or loop
        for node in ast.walk(tree):
            if isinstance(node, ast.expr | ast.stmt) and not isinstance(node, ast.Expr):
                self.ends.setdefault((node.end_lineno or 0, node.end_col_offset or 0), []).append(node)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                self.functions[node.name, first] = node
            elif isinstance(node, ast.Call):
                self.callers[id(node.func)] = node
            elif isinstance(node, ast.Assign):
                self.statements.update({id(target): node for target in node.targets})
            elif isinstance(node, ast.For | ast.AugAssign | ast.AnnAssign):
                self.statements[id(node.target)] = node


@lru_cache(maxsize=16)
def _source(text: str) -> Source | None:
    lines = [f"#{line[1:]}" if line[:1] in "!%" else line for line in text.splitlines(keepends=True)]
    for attempt in (text, "".join(lines)):
        try:
            return Source(ast.parse(attempt))
        except (SyntaxError, ValueError):
            continue
    return None


def source_of(code: CodeType, names: Mapping[str, Any] | None = None) -> Source | None:
    """The syntax tree of the file, or the notebook cell, in which a code object stands; None where there is no text."""
    return _source("".join(linecache.getlines(code.co_filename, dict(names or {}))))


def function_node(code: CodeType, source: Source | None) -> ast.AST | None:
    """The `def` or the whole module that a code object was made from."""
    if source is None or code.co_name == "<module>":
        return source.tree if source is not None else None
    return source.functions.get((code.co_name, code.co_firstlineno))


@dataclass(eq=False)
class Frame:
    """One level of a traceback."""

    frame: FrameType
    instruction: int  # index of the failing instruction, in bytes
    line: int

    @property
    def code(self) -> CodeType:
        """The code object."""
        return self.frame.f_code

    @property
    def file(self) -> str:
        """The file's name, or a notebook cell's."""
        return self.code.co_filename

    @property
    def kind(self) -> Kind:
        """Whose code it is."""
        return kind_of(self.file)

    @cached_property
    def locals(self) -> Mapping[str, Any]:
        """The local variables as they were when the call failed."""
        return dict(self.frame.f_locals)

    @property
    def globals(self) -> Mapping[str, Any]:
        """The module's variables."""
        return self.frame.f_globals

    @cached_property
    def source(self) -> Source | None:
        """The file's syntax tree."""
        return source_of(self.code, self.globals)

    @cached_property
    def positions(self) -> tuple[int | None, int | None, int | None, int | None]:
        """First line, last line, first column, last column (in UTF-8 bytes) of the failing expression."""
        for index, found in enumerate(self.code.co_positions()):
            if index == self.instruction // 2:
                return found
        return (self.line, None, None, None)

    @property
    def opcode(self) -> str:
        """The name of the failing instruction."""
        return dis.opname[self.code.co_code[self.instruction]] if 0 <= self.instruction < len(self.code.co_code) else ""

    @cached_property
    def node(self) -> ast.AST | None:
        """The failing expression (or the target that could not be assigned to) in the syntax tree."""
        first, last, start, end = self.positions
        if self.source is None or last is None or end is None:
            return None
        loose = None
        for node in self.source.ends.get((last, end), ()):
            if (node.lineno, node.col_offset) == (first, start):
                return node
            # For a method called on a line of its own, the compiler moves the start to that line.
            if isinstance(node, ast.Call) and node.lineno <= (first or 0) and loose is None:
                loose = node
        return loose

    @property
    def statement(self) -> ast.AST | None:
        """The assignment or the loop whose target is the failing expression."""
        return self.source.statements.get(id(self.node)) if self.source is not None else None

    @cached_property
    def whole(self) -> ast.AST | None:
        """The failing expression as one would quote it: `output.size(0)` where only `output.size` failed."""
        if isinstance(self.node, ast.Attribute) and self.source is not None:
            return self.source.callers.get(id(self.node), self.node)
        if isinstance(self.statement, ast.Assign):  # a target that could not be assigned to, or unpacked into
            return self.statement
        return self.node

    def replaced(self, node: ast.AST, changes: list[tuple[ast.AST, str]]) -> str:
        """The source text of a node with the text of some parts of it replaced, everything else as it was typed."""
        if (
            any(inner.lineno != node.lineno or inner.end_lineno != node.lineno for inner, _ in changes)
            or node.lineno != node.end_lineno
        ):
            swap = {id(inner): text for inner, text in changes}

            class Swap(ast.NodeTransformer):
                def visit(self, inner: ast.AST) -> ast.AST:
                    return (
                        ast.Name(f"__part{id(inner)}__", ast.Load())
                        if id(inner) in swap
                        else self.generic_visit(_shallow(inner))
                    )

            text = ast.unparse(ast.fix_missing_locations(Swap().generic_visit(_shallow(node))))
            for key, new in swap.items():
                text = text.replace(f"__part{key}__", new)
            return text
        line = linecache.getlines(self.file, dict(self.globals))[node.lineno - 1].encode()
        found, place = b"", node.col_offset
        for inner, new in sorted(changes, key=lambda change: change[0].col_offset):
            found += line[place : inner.col_offset] + new.encode()
            place = inner.end_col_offset
        return (found + line[place : node.end_col_offset]).decode()

    @property
    def function(self) -> ast.AST | None:
        """The syntax tree of the function that was running."""
        return function_node(self.code, self.source)

    def text(self, node: ast.AST | None = None) -> str:
        """The source text of a node (default: the failing one) on one line; the whole line where there are no columns."""
        node = node if node is not None else self.node
        if node is None:
            return linecache.getline(self.file, self.line, dict(self.globals)).strip()
        lines = linecache.getlines(self.file, dict(self.globals))[node.lineno - 1 : node.end_lineno]
        if len(lines) == 1:
            return lines[0].encode()[node.col_offset : node.end_col_offset].decode()
        return ast.unparse(node)


def _shallow(node: ast.AST) -> ast.AST:
    """A copy whose lists are its own, so that a change of it leaves the tree as it was."""
    made = copy.copy(node)
    for name, value in ast.iter_fields(node):
        if isinstance(value, list):
            setattr(made, name, [_shallow(item) if isinstance(item, ast.keyword) else item for item in value])
    return made


def frames_of(traceback: TracebackType | None) -> list[Frame]:
    """All levels of a traceback, outermost first, without those of this package."""
    found = []
    while traceback is not None:
        found.append(Frame(traceback.tb_frame, traceback.tb_lasti, traceback.tb_lineno))
        traceback = traceback.tb_next
    return [frame for frame in found if frame.kind != "own"]


@dataclass(eq=False)
class LayerCall:
    """A module that was being called when the error was raised."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    level: int  # index of the frame
    entered: bool = False  # did its forward begin?


def layer_calls(frames: list[Frame]) -> list[LayerCall]:
    """The modules on the stack, outermost first, with what they were called with.

    `Module.__call__` still holds its arguments, even where `forward` has reassigned them.
    """
    calls: list[LayerCall] = []
    for level, frame in enumerate(frames):
        module = frame.locals.get("self")
        if not isinstance(module, nn.Module):
            continue
        if frame.kind == "torch" and frame.code.co_name in ("_call_impl", "_wrapped_call_impl"):
            args, kwargs = frame.locals.get("args", ()), frame.locals.get("kwargs", {})
            if calls and calls[-1].module is module and not calls[-1].entered:
                continue
            calls.append(LayerCall(module, args, kwargs, level))
        elif calls and calls[-1].module is module:
            calls[-1].entered = True
        elif frame.code.co_name == "forward":  # forward called by name
            names = frame.code.co_varnames[1 : frame.code.co_argcount]
            values = {name: frame.locals[name] for name in names if name in frame.locals}
            calls.append(LayerCall(module, (), values, level, True))
    return calls


def module_path(module: nn.Module, roots: list[nn.Module]) -> str | None:
    """The dotted path of a module in the first of the roots that contains it; None for a root itself or a stranger.

    Layers kept in a plain list or dict, where torch does not register them, are found too: `blocks[2]`.
    """
    for root in roots:
        if root is module:
            continue
        if not isinstance(root, nn.Module):
            continue
        for name, child in root.named_modules():
            if child is module:
                return name
        for name, child in _unregistered(root):
            for inner, grandchild in child.named_modules():
                if grandchild is module:
                    return f"{name}.{inner}" if inner else name
    return None


def _unregistered(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for prefix, parent in root.named_modules():
        for name, value in vars(parent).items():
            if name.startswith("_") or not isinstance(value, list | tuple | dict):
                continue
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in items:
                if isinstance(item, nn.Module):
                    yield f"{prefix}.{name}[{key!r}]".lstrip("."), item


def names_in_scope(frames: list[Frame], level: int) -> dict[str, Any]:
    """The variables that the failing expression can name: module, builtins, function, and for a comprehension its home."""
    frame = frames[level]
    home: dict[str, Any] = {}
    if frame.code.co_name in (*_COMPREHENSIONS, "<lambda>"):
        for outer in reversed(frames[:level]):
            if outer.file == frame.file:
                home = dict(outer.locals)
                break
    own = {k: v for k, v in frame.locals.items() if not k.startswith(".")}
    return {**frame.globals, **home, **own}
