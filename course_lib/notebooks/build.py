"""Build the notebooks from their sources, and tell whether the committed ones still agree with them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from course_lib.notebooks import NOTEBOOKS, SOLUTIONS, SOURCES, chosen_by_name
from course_lib.notebooks.execute import execute
from course_lib.notebooks.outputs import problems, tidy
from course_lib.notebooks.source import Kind, notebook

KINDS: tuple[Kind, ...] = ("learner", "solutions")


def sources(chosen: Sequence[str] = ()) -> list[Path]:
    """The source files, or those whose names begin with one of `chosen` ("01", "01_bert_outputs").

    Raises:
        DataError: nothing begins so.
    """
    return chosen_by_name(sorted(SOURCES.glob("[0-9][0-9]_*.py")), chosen)


def target(source: Path, kind: Kind) -> Path:
    """Where the notebook of one kind is kept."""
    return (NOTEBOOKS if kind == "learner" else SOLUTIONS) / f"{source.stem}.ipynb"


def build(chosen: Sequence[str] = (), workers: int = 2) -> list[str]:
    """Make, run and keep the notebooks of both kinds.

    Returns:
        What is wrong with them, a sentence each; a notebook with a failing cell is not kept.
    """
    jobs = [(source, kind) for source in sources(chosen) for kind in KINDS]
    with ThreadPoolExecutor(workers) as pool:
        return [
            what for found in pool.map(lambda job: _build_one(*job, threads=_share(workers)), jobs) for what in found
        ]


def _build_one(source: Path, kind: Kind, threads: int) -> list[str]:
    import nbformat

    path = target(source, kind)
    name = f"{path.parent.name}/{path.name}"
    made = notebook(source, kind)
    metadata = dict(made.metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    run = execute(made, path.parent, threads=threads)
    if run.error is not None:
        return [f"{name}: {run.error}"]
    run.notebook.metadata = metadata  # the kernel added its own version
    tidy(run.notebook)
    nbformat.validate(run.notebook)
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="\n") as file:
        nbformat.write(run.notebook, file)
    part.replace(path)
    return problems(run.notebook, name)


def _share(workers: int) -> int:
    return max(1, (os.cpu_count() or 1) // workers)


def drift(chosen: Sequence[str] = ()) -> list[str]:
    """Where a committed notebook differs from its source in cells, ids or metadata, and what is wrong with its outputs."""
    import nbformat

    found: list[str] = []
    for source in sources(chosen):
        for kind in KINDS:
            path = target(source, kind)
            name = f"{path.parent.name}/{path.name}"
            if not path.exists():
                found.append(f"{name} is missing; build it with `make notebooks`")
                continue
            kept = nbformat.read(path, as_version=4)
            fresh = notebook(source, kind)
            if _essence(kept) != _essence(fresh):
                cells = _first_difference(_essence(kept)[1], _essence(fresh)[1])
                found.append(f"{name} does not agree with {source.name} ({cells}); build it anew with `make notebooks`")
            found += problems(kept, name)
    built = {target(source, kind) for source in sources() for kind in KINDS}
    stray = [p for p in (*NOTEBOOKS.glob("*.ipynb"), *SOLUTIONS.glob("*.ipynb")) if p not in built]
    return found + [f"{path.parent.name}/{path.name} has no source in notebooks/src" for path in stray]


def _essence(made: Any) -> tuple[Any, list[tuple[Any, ...]]]:
    return made.metadata, [(cell.id, cell.cell_type, cell.source, dict(cell.metadata)) for cell in made.cells]


def _first_difference(kept: Iterable[Any], fresh: Iterable[Any]) -> str:
    kept, fresh = list(kept), list(fresh)
    for old, new in zip(kept, fresh, strict=False):
        if old != new:
            return f"first at cell {new[0]}"
    return f"{len(kept)} cells instead of {len(fresh)}" if len(kept) != len(fresh) else "its metadata"
