"""Python source as a graph of functions needs it: where each one begins, and what a call in it can mean.

A source is a file, or a cell of a notebook. Functions are named as Python's `__qualname__` does, without `<locals>`:
"Net.forward", "helper", "outer.inner"; the statements outside all functions are "(module)".

`Sources.meaning(call, function)` reads one call by the rules of the language: which functions of these sources can it
reach? It knows `self`, `super()`, names of the file, imports between the sources, and objects made in the function or
kept in `self`. Where the text alone does not tell, it says so instead of guessing.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import os
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

from course_lib.errors import DataError

MODULE = "(module)"
_CONSTRUCTORS = ("__init__", "__new__")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# What may be skipped although its line runs: the second half of `a and f()`, a lambda, a comprehension over nothing.
_PERHAPS = (ast.IfExp, ast.BoolOp, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, *_FUNCTIONS)


@dataclass(frozen=True)
class CallSite:
    """One call in a source: `owner.token(...)` or `token(...)`."""

    line: int
    token: str
    expression: ast.expr  # what is called
    perhaps: bool  # may be skipped although its line runs


@dataclass(eq=False, repr=False)
class Function:
    """A function or method of a source; `name` is unique among all sources once `Sources` has named it."""

    qualname: str
    source: Source
    first: int  # line of the first decorator, else of `def`: what a code object calls its first line
    line: int  # of `def`
    last: int
    owner: str | None = None  # the class that it is a method of
    name: str = ""
    calls: list[CallSite] = field(default_factory=list)
    imports: dict[str, str] = field(default_factory=dict)  # local name -> dotted name
    tree: Any = None


@dataclass(eq=False, repr=False)
class Class:
    """A class of a source."""

    name: str
    source: Source
    bases: list[ast.expr]
    methods: dict[str, Function] = field(default_factory=dict)
    attributes: dict[str, list[ast.expr]] = field(default_factory=dict)  # self.NAME = ..., all that is assigned


@dataclass(eq=False, repr=False)
class Source:
    """A file of Python, or a cell of a notebook (`path` is None then)."""

    label: str
    filename: str  # as code objects name it
    path: Path | None
    text: str
    functions: list[Function] = field(default_factory=list)
    classes: dict[str, Class] = field(default_factory=dict)

    @property
    def imports(self) -> dict[str, str]:
        """Local name -> dotted name, of the imports outside all functions."""
        return self.functions[0].imports

    def innermost(self, line: int) -> Function:
        """The function that this line is in; "(module)" outside all."""
        holding = [f for f in self.functions if f.first <= line <= f.last]
        return max(holding, key=lambda f: f.first)  # the module itself holds every line


class Sources:
    """Several sources, their functions named apart.

    Args:
        given: files, folders (every .py below them), modules, packages (as their folder), classes, functions, or
            objects such as an `nn.Module`: then the files of its class and of all its parts that are not torch's own.
            One of them, or several.

    Raises:
        DataError: a file that is not there or is not Python; something without Python source.
        ValueError: nothing was given.
    """

    def __init__(self, given: Any) -> None:
        found = list(dict.fromkeys(_find(given)))
        if not found:
            raise ValueError(
                "No Python file was given: name files, folders, modules, classes or a model, at least one."
            )
        self.sources = [_read(filename, number) for number, filename in enumerate(found, start=1)]
        _label_apart(self.sources)
        self.functions = [function for source in self.sources for function in source.functions]
        self._name_functions()
        self.by_name: dict[str, Function] = {}
        for function in self.functions:
            self.by_name.setdefault(function.name, function)
        self._by_file = {_same_file(source.filename): source for source in self.sources}

    def _name_functions(self) -> None:
        holders: dict[str, set[str]] = {}
        for function in self.functions:
            holders.setdefault(function.qualname, set()).add(function.source.filename)
        for function in self.functions:
            shared = len(holders[function.qualname]) > 1
            stem = function.source.label.removesuffix(".py")
            function.name = f"{stem}.{function.qualname}" if shared else function.qualname

    def of_file(self, filename: str) -> Source | None:
        """The source that code objects with this `co_filename` come from, or None."""
        return self._by_file.get(_same_file(filename))

    # ---------------------------------------------------------------------------------------------- what a call means

    def meaning(self, call: CallSite, function: Function) -> set[str] | None:
        """The functions that a call can reach: an empty set for none of these sources, None where the text cannot tell."""
        expression = call.expression
        if isinstance(expression, ast.Name):
            return self._plain_name(expression.id, function)
        if not isinstance(expression, ast.Attribute):
            return None
        owner, wanted = expression.value, expression.attr
        if isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "super":
            here = self._class_of(function)
            return _names(self._look_up(here, wanted, skip_first=True)) if here else None
        kind = self._kind_of(owner, function)
        if kind is None or isinstance(kind, str):
            return None if kind is None else self._of_module(kind, wanted)
        if _is_self(owner, function):  # a subclass may have a method of its own in its place
            return _names(self._look_up(kind, wanted)) | self._overrides(kind, wanted)
        return _names(self._look_up(kind, wanted))

    def _plain_name(self, name: str, function: Function) -> set[str] | None:
        if name in _local_names(function):
            return None
        source = function.source
        if function.qualname != MODULE and name in function.imports:
            return self._dotted(function.imports[name])
        scope = function.qualname.split(".") if function.qualname != MODULE else []
        for depth in range(len(scope), -1, -1):  # inner functions first, then those around, then the file's own
            qualname = ".".join([*scope[:depth], name])
            found = {f.name for f in source.functions if f.qualname == qualname and (f.owner is None or depth == 0)}
            if found:
                return found
        if name in source.classes:
            return self._constructor(source.classes[name])
        if name in source.imports:
            return self._dotted(source.imports[name])
        if source.path is None:  # a notebook's cells share their names
            return set().union(*(self._in_source(other, name) for other in self.sources if other.path is None))
        return set()  # a builtin, or a name from elsewhere

    def _in_source(self, source: Source, name: str) -> set[str]:
        if name in source.classes:
            return self._constructor(source.classes[name])
        return {f.name for f in source.functions if f.qualname == name}

    def _of_module(self, module: str, name: str) -> set[str]:
        source = self._source_named(module)
        return self._in_source(source, name) if source else set()

    def _dotted(self, dotted: str) -> set[str]:
        module, _, name = dotted.rpartition(".")
        source = self._source_named(module)
        return self._in_source(source, name) if source else set()

    def _source_named(self, module: str) -> Source | None:
        wanted = tuple(module.split("."))  # torch.nn.functional is no functional.py of ours: all parts must fit
        fitting = [s for s in self.sources if s.path is not None and _module_parts(s.path)[-len(wanted) :] == wanted]
        return fitting[0] if len(fitting) == 1 else None

    def _constructor(self, made: Class) -> set[str]:
        for wanted in _CONSTRUCTORS:
            if found := self._look_up(made, wanted):
                return {found.name}
        return set()

    def _class_of(self, function: Function) -> Class | None:
        return function.source.classes.get(function.owner) if function.owner else None

    def _kind_of(self, owner: ast.expr, function: Function) -> Class | str | None:
        """What stands before the dot: a class of ours (or an object of it), a module's dotted name, or None: unknown."""
        if _is_self(owner, function):
            return self._class_of(function)
        if isinstance(owner, ast.Call):
            return self._class_named(owner.func, function)
        if isinstance(owner, ast.Name):
            assigned = _assigned(function).get(owner.id)
            if assigned is not None:
                kinds = [self._made_by(value, function) for value in assigned]
                return kinds[0] if kinds and all(k is kinds[0] for k in kinds) else None
            if owner.id in _local_names(function):
                return None
            return self._class_named(owner, function) or _imports(function).get(owner.id)
        if isinstance(owner, ast.Attribute):
            here = self._class_of(function)
            if _is_self(owner.value, function) and here is not None:
                values = here.attributes.get(owner.attr, [])
                kinds = [self._made_by(value, function) for value in values]
                return kinds[0] if kinds and all(k is kinds[0] for k in kinds) else None
            return _module_of(owner, function)
        return None

    def _made_by(self, value: ast.expr, function: Function) -> Class | str | None:
        """The class of what `value` gives, where it is a call of a class: ours, or one from elsewhere as its name."""
        if not isinstance(value, ast.Call):
            return None
        if ours := self._class_named(value.func, function):
            return ours
        root = value.func
        while isinstance(root, ast.Attribute):
            root = root.value
        imported = _imports(function).get(root.id) if isinstance(root, ast.Name) else None
        written = ast.unparse(value.func)
        # nn.Linear(...) is an object from elsewhere; what a plain function from elsewhere returns is unknown.
        return imported if imported and written.rpartition(".")[2][:1].isupper() else None

    def _class_named(self, expression: ast.expr, function: Function) -> Class | None:
        if isinstance(expression, ast.Attribute):
            module = _module_of(expression.value, function)
            source = self._source_named(module) if module else None
            return source.classes.get(expression.attr) if source else None
        if not isinstance(expression, ast.Name):
            return None
        return self._class(expression.id, function.source, _imports(function))

    def _class(self, name: str, source: Source, imports: dict[str, str]) -> Class | None:
        if name in source.classes:
            return source.classes[name]
        if name in imports:
            module, _, last = imports[name].rpartition(".")
            other = self._source_named(module)
            return other.classes.get(last) if other else None
        if source.path is None:
            return next((s.classes[name] for s in self.sources if s.path is None and name in s.classes), None)
        return None

    def _line_of_classes(self, first: Class) -> Iterator[Class]:
        """A class and its bases among these sources, in the order in which Python looks (depth first will do here)."""
        seen: list[Class] = []
        waiting = [first]
        while waiting:
            current = waiting.pop(0)
            if current in seen:
                continue
            seen.append(current)
            yield current
            bases = [self._base(base, current.source) for base in current.bases]
            waiting = [base for base in bases if base is not None] + waiting

    def _base(self, base: ast.expr, source: Source) -> Class | None:
        if isinstance(base, ast.Name):
            return self._class(base.id, source, source.imports)
        if isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name):
            other = self._source_named(source.imports.get(base.value.id, ""))
            return other.classes.get(base.attr) if other else None
        return None

    def _look_up(self, here: Class, method: str, skip_first: bool = False) -> Function | None:
        line = list(self._line_of_classes(here))[1 if skip_first else 0 :]
        return next((c.methods[method] for c in line if method in c.methods), None)

    def _overrides(self, base: Class, method: str) -> set[str]:
        classes = [c for source in self.sources for c in source.classes.values()]
        return {c.methods[method].name for c in classes if method in c.methods and base in self._line_of_classes(c)}


def _names(function: Function | None) -> set[str]:
    return {function.name} if function else set()


def _imports(function: Function) -> dict[str, str]:
    return {**function.source.imports, **function.imports}


def _module_of(expression: ast.expr, function: Function) -> str | None:
    """The dotted name that an imported name with its attributes stands for, or None."""
    if isinstance(expression, ast.Attribute):
        before = _module_of(expression.value, function)
        return f"{before}.{expression.attr}" if before else None
    if isinstance(expression, ast.Name) and expression.id not in _local_names(function):
        return _imports(function).get(expression.id)
    return None


def _is_self(owner: ast.expr, function: Function) -> bool:
    if not isinstance(owner, ast.Name) or function.owner is None or function.tree is None:
        return False
    parameters = [*function.tree.args.posonlyargs, *function.tree.args.args]
    decorators = {d.id for d in function.tree.decorator_list if isinstance(d, ast.Name)}
    return bool(parameters) and parameters[0].arg == owner.id and "staticmethod" not in decorators


def _assigned(function: Function) -> dict[str, list[ast.expr]]:
    """Local name -> everything that `name = ...` gives it in this function."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function.tree) if function.tree is not None else ():
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
    return found


def _local_names(function: Function) -> set[str]:
    """Parameters and everything bound inside a function, imports apart: such a name can be anything."""
    if function.qualname == MODULE or function.tree is None:
        return set()
    arguments = function.tree.args
    names = {a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}
    names |= {a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None}
    return names | {n.id for n in ast.walk(function.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


# ------------------------------------------------------------------------------------------------------------ reading


def _find(given: Any) -> Iterator[str]:
    """The file names behind whatever was given, in order."""
    if isinstance(given, str | os.PathLike):
        yield from _files(Path(given))
    elif isinstance(given, ModuleType):
        yield from _of_python_module(given)
    elif isinstance(given, type):
        yield _of_class(given)
    elif isinstance(given, FunctionType | MethodType):
        yield _known_file(inspect.unwrap(given).__code__.co_filename, given.__qualname__)
    elif callable(getattr(given, "modules", None)):  # an nn.Module, not imported for its sake
        parts = [type(part) for part in given.modules()]
        own = [kind for kind in parts if kind.__module__.partition(".")[0] != "torch"]
        if not own:
            raise DataError(f"This {type(given).__name__} has only parts of torch's own: give the file that builds it.")
        for kind in dict.fromkeys(own):
            yield _of_class(kind)
    elif isinstance(given, Iterable) and not isinstance(given, bytes):
        for one in given:
            yield from _find(one)
    else:
        raise ValueError(
            f"A {type(given).__name__} was given: name files, folders, modules, classes, functions or a model."
        )


def _files(path: Path) -> Iterator[str]:
    if path.is_dir():
        inside = sorted(p for p in path.rglob("*.py") if not _is_hidden(p.relative_to(path)))
        if not inside:
            raise DataError(f"The folder {path.name} holds no Python file (.py): name the folder with the sources.")
        yield from (str(p.resolve()) for p in inside)
    elif not path.exists():
        raise DataError(
            f"There is no file {path}: check the name and the folder that you are in. For the model of a notebook, give "
            "the model itself."
        )
    elif path.suffix != ".py":
        raise DataError(
            f"{path.name} is not a Python file (.py): give Python sources; for classes in a notebook, the model itself."
        )
    else:
        yield str(path.resolve())


def _is_hidden(relative: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in relative.parts)


def _of_python_module(module: ModuleType) -> Iterator[str]:
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py"):
        raise DataError(f"The module {module.__name__} has no Python source: give one that is written in Python.")
    yield from _files(Path(file).parent if hasattr(module, "__path__") else Path(file))


def _of_class(kind: type) -> str:
    for value in vars(kind).values():
        inner = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
        if isinstance(inner, FunctionType) and inner.__module__ == kind.__module__:
            return _known_file(inspect.unwrap(inner).__code__.co_filename, kind.__name__)
    try:  # a class without a function of its own
        return _known_file(inspect.getsourcefile(kind) or "", kind.__name__)
    except (TypeError, OSError):
        raise DataError(
            f"The class {kind.__name__} has no Python source: give one that is written in Python."
        ) from None


def _known_file(filename: str, what: str) -> str:
    if Path(filename).is_file():
        return str(Path(filename).resolve())
    if linecache.getlines(filename):  # a cell of a notebook
        return filename
    raise DataError(f"The source of {what} cannot be found: define it in a file or in a cell of the notebook.")


def _read(filename: str, number: int) -> Source:
    path = Path(filename)
    on_disk = path.is_file()
    label = path.name if on_disk else f"cell {number}"
    if label == "__init__.py":
        label = f"{path.parent.name}/{label}"
    try:
        if on_disk:
            with tokenize.open(filename) as file:  # the encoding that the file declares, UTF-8 else
                text = file.read()
        else:
            text = "".join(linecache.getlines(filename))  # IPython keeps it with %magics already made into calls
        tree = ast.parse(text)
    except SyntaxError as error:
        where = f"line {error.lineno} of {label}" if error.lineno else label
        raise DataError(f"{where} is not Python ({error.msg}): mend it, or leave this file out.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{label} is not UTF-8 text: save it as UTF-8, or leave it out.") from error
    source = Source(label, filename, path if on_disk else None, text)
    whole = Function(MODULE, source, 0, 1, max(1, text.count("\n") + 1))
    whole.tree = None
    source.functions.append(whole)
    _collect(tree.body, [], None, source, whole)
    return source


def _label_apart(sources: Sequence[Source]) -> None:
    """Two files of the same name get their folders' names before them."""
    for depth in (1, 2, 3, 4):
        labels = [source.label for source in sources]
        for source in sources:
            if labels.count(source.label) > 1 and source.path is not None and len(source.path.parts) > depth + 1:
                source.label = Path(*source.path.parts[-depth - 1 :]).as_posix()


def _collect(body: Sequence[ast.stmt], scope: list[str], owner: Class | None, source: Source, around: Function) -> None:
    for statement in body:
        if isinstance(statement, _FUNCTIONS):
            first = min([statement.lineno, *(d.lineno for d in statement.decorator_list)])
            function = Function(
                ".".join([*scope, statement.name]), source, first, statement.lineno, statement.end_lineno or first,
                owner.name if owner else None, tree=statement,
            )  # fmt: skip
            source.functions.append(function)
            if owner is not None:
                owner.methods.setdefault(statement.name, function)
                _collect_attributes(statement, owner)
            function.calls = list(_calls(statement.body))
            _collect(statement.body, [*scope, statement.name], None, source, function)
        elif isinstance(statement, ast.ClassDef):
            made = Class(statement.name, source, statement.bases)
            source.classes.setdefault(statement.name, made)
            _collect(statement.body, [*scope, statement.name], made, source, around)
        else:
            _collect_imports(statement, around)
            inner = [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt)]
            inner += [s for h in getattr(statement, "handlers", []) for s in h.body]
            inner += [s for c in getattr(statement, "cases", []) for s in c.body]
            _collect(inner, scope, owner, source, around)
            if around.qualname == MODULE and owner is None:
                around.calls.extend(_calls([statement], without_statements=True))


def _collect_imports(statement: ast.stmt, around: Function) -> None:
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            around.imports[alias.asname or alias.name.partition(".")[0]] = (
                alias.name if alias.asname else alias.name.partition(".")[0]
            )
    elif isinstance(statement, ast.ImportFrom):
        path = around.source.path
        before = statement.module or (path.parent.name if path else "")
        for alias in statement.names:
            around.imports[alias.asname or alias.name] = f"{before}.{alias.name}"


def _collect_attributes(function: Any, owner: Class) -> None:
    if not function.args.args:
        return
    itself = function.args.args[0].arg
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == itself:
                owner.attributes.setdefault(target.attr, []).append(node.value)


def _calls(body: Sequence[ast.AST], perhaps: bool = False, without_statements: bool = False) -> Iterator[CallSite]:
    """Every call below some statements, those in inner functions too, because code2flow counts them here."""
    for node in body:
        if isinstance(node, ast.Call):
            function = node.func
            token = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if token:
                yield CallSite(node.lineno, token, function, perhaps)
        below = [c for c in ast.iter_child_nodes(node) if not (without_statements and isinstance(c, ast.stmt))]
        yield from _calls(below, perhaps or isinstance(node, _PERHAPS), without_statements)


def _same_file(filename: str) -> str:
    return os.path.normcase(os.path.realpath(filename)) if Path(filename).is_file() else filename


def _module_parts(path: Path) -> tuple[str, ...]:
    return path.parent.parts if path.name == "__init__.py" else (*path.parent.parts, path.stem)
