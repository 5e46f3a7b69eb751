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
    installed = _Installed()
    found, missing = [], []
    for name in PACKAGES if packages is None else dict.fromkeys(packages):
        package = installed.find(name)
        if package is not None:
            found.append(package)
        elif packages is None:
            missing.append(name)
        else:
            raise installed.missing(name)
    found = list({package.name: package for package in found}.values())
    documents, seen = Examples(), _Seen()
    with _no_collection():
        for package in found:
            for paragraphs in _modules(package):
                sentences = tuple(
                    sentence for paragraph in paragraphs if seen.is_new(paragraph) for sentence in paragraph
                )
                if sentences:
                    documents.append(Document(sentences, package.name))
    if not documents:
        raise DataError(
            f"No docstrings were found in {', '.join(p.name for p in found) or 'no package'}; name packages that have Python "
            "sources, such as 'torch', or None for all."
        )
    notes = [seen.note()]
    if missing:
        notes.append(f"Not installed, so not read: {', '.join(missing)}.")
    return Corpus(documents, "docstrings", {p.name: p.version for p in found}, tuple(notes))


class _Seen:
    """Paragraphs that came before, and how many characters were repeats of them."""

    def __init__(self) -> None:
        self.hashes: set[int] = set()
        self.whole = self.repeated = 0

    def is_new(self, paragraph: list[str]) -> bool:
        key = hash(tuple(paragraph))
        size = sum(map(len, paragraph))
        self.whole += size
        if key in self.hashes:
            self.repeated += size
            return False
        self.hashes.add(key)
        return True

    def note(self) -> str:
        return (
            f"{self.repeated / self.whole:.0%} of the text stood in several places and was kept once "
            f"({self.repeated:,} of {self.whole:,} characters left out)."
        )


# ---------------------------------------------------------------------------------------------------- finding


class _Installed:
    """What is installed in this Python, looked up once, and only as far as it is asked for."""

    @functools.cached_property
    def owners(self) -> Mapping[str, list[str]]:
        """The name to import -> the distributions that bring it."""
        return importlib.metadata.packages_distributions()

    def find(self, name: str) -> _Package | None:
        """Return where a package's sources are and its version, without importing it."""
        if name == PYTHON:
            return _Package(PYTHON, platform.python_version(), (Path(sysconfig.get_path("stdlib")),))
        imported = name if _roots(name) else self.import_name(name)
        roots = _roots(imported)
        return _Package(imported, self.version(imported), roots) if roots else None

    def import_name(self, name: str) -> str:
        """Return the name to import: of "scikit-learn" it is "sklearn"."""
        wanted = name.lower().replace("_", "-")
        names = [
            imported
            for imported, distributions in self.owners.items()
            if not imported.startswith("_") and wanted in (d.lower().replace("_", "-") for d in distributions)
        ]
        return min(names, key=len) if names else name

    def version(self, imported: str) -> str:
        """Return the version of the distribution that brings a package, or "" if that is not known."""
        try:
            return importlib.metadata.version(imported)
        except importlib.metadata.PackageNotFoundError:
            owners = self.owners.get(imported)
            return importlib.metadata.version(owners[0]) if owners else ""

    def missing(self, name: str) -> DataError:
        """Return the fault that a package is not installed."""
        near = difflib.get_close_matches(name, [PYTHON, *self.owners], n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        return DataError(
            f"There is no package '{name}' in this Python{hint}; install it, or name one that is there, such as 'torch', "
            "or 'python' for the standard library."
        )


def _roots(imported: str) -> tuple[Path, ...]:
    """Return the folders of a package, or the file of a module; none if there is none of this name."""
    try:
        spec = importlib.util.find_spec(imported) if imported.isidentifier() else None
    except (ImportError, ValueError):  # a broken package, or __main__
        return ()
    if spec is None or spec.origin in ("built-in", "frozen"):
        return ()
    folders = tuple(Path(path) for path in spec.submodule_search_locations or ())
    return folders or ((Path(spec.origin),) if spec.origin else ())


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
