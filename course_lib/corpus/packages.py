"""A corpus that every Python has: the docstrings of the standard library and of the packages that the course installs.

The sources are parsed with `ast`, nothing is imported. A document is one module: what its docstrings say, in the order
of the file, cleaned to plain sentences (`course_lib.corpus.markup`). A paragraph that stands in several places, as
inherited and copied docstrings do, is kept where it comes first.

What was read of a package is kept in the user's cache folder (COURSE_CACHE names another one), under the package's
version and a digest of the cleaning rules. A cache that cannot be read or written only means reading again.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import functools
import gc
import gzip
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import sysconfig
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.corpus import markup, sentences
from course_lib.corpus.corpus import Corpus
from course_lib.corpus.sentences import word_set
from course_lib.datasets.examples import Document, Examples
from course_lib.errors import DataError

PYTHON = "python"  # the standard library, as a package
# What the course's dependencies bring, with 50 kB of docstrings or more, the same everywhere.
PACKAGES = (
    PYTHON, "numpy", "scipy", "pandas", "matplotlib", "sklearn", "sympy", "networkx", "torch", "transformers", "datasets",
    "huggingface_hub", "sentence_transformers", "accelerate", "IPython", "mpmath", "tornado", "prompt_toolkit", "pygments",
    "PIL", "fontTools", "tensorboard", "fsspec", "werkzeug", "absl", "babel", "pyarrow", "jinja2", "click", "rich",
    "joblib", "bs4", "jupyter_server", "jupyter_client", "jupyterlab_server", "nbconvert", "nbformat", "ipywidgets",
    "traitlets", "anyio", "zmq", "onnx", "jedi", "urllib3", "requests", "httpx", "packaging", "markdown", "pexpect",
    "dateutil", "attr", "psutil", "tqdm", "narwhals", "pyparsing", "filelock", "debugpy", "setuptools",
)  # fmt: skip

# Folders of code that is not the package's own, or whose docstrings say next to nothing.
_LEFT_OUT = word_set(
    "site-packages dist-packages test tests testing conftest __pycache__ _vendor vendored vendor _vendored _third_party "
    "externals extern lib2to3 idlelib ensurepip turtledemo encodings node_modules"
)
_ADDERS = ("add_docstr", "add_newdoc", "add_docstring")  # functions that give a docstring to something written in C

Paragraphs = list[list[str]]


@dataclass(frozen=True)
class _Package:
    name: str  # as it is imported
    version: str  # "" if it is not known
    roots: tuple[Path, ...]


def docstrings(packages: Sequence[str] | None = None) -> Corpus:
    """Return the docstrings of packages as a corpus: a document a module, its sentences without markup and code.

    Args:
        packages: names as they are imported ("sklearn") or installed ("scikit-learn"), and "python" for the standard
            library; None: all of `PACKAGES` that are installed.

    Raises:
        DataError: a package that is not installed, or none whose sources have docstrings.
    """
    if isinstance(packages, str):
        packages = (packages,)
    found, missing = [], []
    for name in PACKAGES if packages is None else dict.fromkeys(packages):
        package = _find(name)
        if package is not None:
            found.append(package)
        elif packages is None:
            missing.append(name)
        else:
            raise _not_installed(name)
    documents, seen, dropped, whole = Examples(), set(), 0, 0
    with _no_collection():
        for package in found:
            for modules in _modules(package):
                kept: list[str] = []
                for paragraph in modules:
                    text = " ".join(paragraph)
                    whole += len(text)
                    key = hash(text)
                    if key in seen:
                        dropped += len(text)
                        continue
                    seen.add(key)
                    kept += paragraph
                if kept:
                    documents.append(Document(tuple(kept), package.name))
    if not documents:
        raise DataError(
            f"No docstrings were found in {', '.join(p.name for p in found) or 'no package'}; name packages that have Python "
            "sources, such as 'torch', or None for all."
        )
    notes = [f"{dropped / whole:.0%} of the text stood in several places and was kept once ({dropped:,} characters)."]
    if missing:
        notes.append(f"Not installed, so not read: {', '.join(missing)}.")
    return Corpus(documents, "docstrings", {p.name: p.version for p in found}, tuple(notes))


# ---------------------------------------------------------------------------------------------------- finding


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _find(name: str) -> _Package | None:
    """Return where a package's sources are and its version, without importing it."""
    if name == PYTHON:
        return _Package(PYTHON, platform.python_version(), (Path(sysconfig.get_path("stdlib")),))
    imported = _import_name(name)
    try:
        spec = importlib.util.find_spec(imported) if imported.isidentifier() else None
    except (ImportError, ValueError):  # a broken package, or __main__
        return None
    if spec is None or spec.origin in ("built-in", "frozen"):
        return None
    roots = [Path(p) for p in spec.submodule_search_locations or ()]
    if not roots and spec.origin:
        roots = [Path(spec.origin)]
    return _Package(imported, _version(imported), tuple(roots))


def _import_name(name: str) -> str:
    """Return the name to import: of "scikit-learn" it is "sklearn"."""
    if name in _distributions() or not name.replace("-", "_").replace(".", "_").isidentifier():
        return name
    wanted = name.lower().replace("_", "-")
    names = [
        imported
        for imported, owners in _distributions().items()
        if not imported.startswith("_") and any(owner.lower().replace("_", "-") == wanted for owner in owners)
    ]
    return min(names, key=len) if names else name


def _version(imported: str) -> str:
    owners = _distributions().get(imported)
    return importlib.metadata.version(owners[0]) if owners else ""


def _not_installed(name: str) -> DataError:
    near = difflib.get_close_matches(name, [PYTHON, *_distributions()], n=1)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    return DataError(
        f"There is no package '{name}' in this Python{hint}; install it, or name one that is there, such as 'torch', or "
        "'python' for the standard library."
    )


# ---------------------------------------------------------------------------------------------------- reading


def _modules(package: _Package) -> list[Paragraphs]:
    """Return the paragraphs of each module that has any, from the cache or from the sources."""
    path = _cache_path(package)
    if path is not None and (remembered := _read_cache(path)) is not None:
        return remembered
    clean = functools.cache(markup.prose)  # a third of some packages is copies
    files = (file for root in package.roots for file in _files(root))
    modules = [paragraphs for file in files if (paragraphs := _read_module(file, clean))]
    if path is not None:
        _write_cache(path, modules)
    return modules


def _files(root: Path) -> Iterator[Path]:
    """Go through the sources of a package, in the order of their names, without its tests and what it bundles."""
    if root.is_file():
        yield root
        return
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT and not name.endswith(".dist-info"))
        for name in sorted(names):
            if name.endswith(".py") and not name.startswith("test_") and name != "conftest.py":
                yield Path(folder) / name


def _read_module(path: Path, clean: Callable[[str], Paragraphs]) -> Paragraphs:
    """Return the paragraphs of a module's docstrings, or none where the file is no Python of this version."""
    data = path.read_bytes()
    if b'"""' not in data and b"'''" not in data and path.parent.name != "pydoc_data":
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # "\d" in someone's docstring
            tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError):  # a template, or a file written for another version
        return []
    return [paragraph for text in _docstrings(tree) for paragraph in clean(text)]


def _docstrings(tree: ast.AST) -> Iterator[str]:
    """Go through the docstrings of a module in the order of the file."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Expr):
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                yield node.value.value  # its own docstring, or one below an attribute
            elif isinstance(node.value, ast.Call):
                yield from _added(node.value)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            yield from _topics(node)
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.If, ast.Try)):
            yield from _docstrings(node)


def _added(call: ast.Call) -> Iterator[str]:
    function = call.func
    name = getattr(function, "id", None) or getattr(function, "attr", "")
    if name.startswith(_ADDERS):
        for argument in call.args:
            argument = argument.func.value if _is_format(argument) else argument
            parts = argument.elts if isinstance(argument, ast.Tuple) else [argument]
            for part in parts:
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and "\n" in part.value:
                    yield part.value


def _is_format(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"


def _topics(node: ast.Assign) -> Iterator[str]:
    """The chapters of the language reference that help() shows: the dictionary `topics` of pydoc_data."""
    if getattr(node.targets[0], "id", "") == "topics":
        for value in node.value.values:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector away from the trees, which hold no cycles: twice as fast."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


# ---------------------------------------------------------------------------------------------------- cache


@functools.cache
def _rules() -> str:
    """A digest of the code that reads and cleans: other rules, another cache."""
    digest = hashlib.sha256()
    for path in (Path(__file__), Path(markup.__file__), Path(sentences.__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def cache_folder() -> Path:
    """Return the folder that the course may keep files in: COURSE_CACHE, or the user's cache folder."""
    chosen = os.environ.get("COURSE_CACHE", "").strip()
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("bert-course")


def _cache_path(package: _Package) -> Path | None:
    """Return the file of a package, or None where its version is not known, so that a change would not be noticed."""
    if not package.version:
        return None
    return cache_folder() / "docstrings" / f"{package.name}-{package.version}-{_rules()}.json.gz"


def _read_cache(path: Path) -> list[Paragraphs] | None:
    try:
        return json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError, zlib.error):  # not there, or damaged: a cache, so read again
        return None


def _write_cache(path: Path, modules: list[Any]) -> None:
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=path.name, dir=path.parent)
        with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor, not a path)
            file.write(gzip.compress(json.dumps(modules, ensure_ascii=False).encode("utf-8", "surrogatepass"), 4))
        Path(temporary).replace(path)
    except OSError:
        # A cache that cannot be written costs time at the next call, nothing else.
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
