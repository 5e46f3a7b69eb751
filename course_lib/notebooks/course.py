"""Run every notebook as it stands, without a screen: does the whole course work on this machine?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from course_lib.errors import DataError
from course_lib.notebooks import NOTEBOOKS, chosen_by_name
from course_lib.notebooks.execute import execute
from course_lib.notebooks.outputs import MAY_RAISE

MEMORY_EACH = 2_000_000_000  # bytes; the limit that the course sets itself for one notebook


@dataclass(frozen=True)
class Row:
    """One line of the table: `error` is None when every cell ran."""

    name: str
    error: str | None
    seconds: float
    peak_bytes: int


def notebooks(chosen: Sequence[str] = ()) -> list[Path]:
    """The learner's notebooks in order, or those whose names begin with one of `chosen`.

    Raises:
        DataError: nothing begins so, or there are no notebooks at all.
    """
    found = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise DataError(f"There are no notebooks in {NOTEBOOKS}; run this in a clone of the course.")
    return chosen_by_name(found, chosen)


def workers() -> int:
    """How many notebooks run side by side: as many as there are cores, and memory for."""
    import psutil

    return max(1, min(os.cpu_count() or 1, psutil.virtual_memory().available // MEMORY_EACH))


def run_course(chosen: Sequence[str] = (), side_by_side: int | None = None) -> Iterator[Row]:
    """Run the notebooks and give a row for each, in order, as they finish. Nothing is written into them."""
    paths = notebooks(chosen)
    side_by_side = side_by_side or workers()
    threads = max(1, (os.cpu_count() or 1) // min(side_by_side, len(paths)))
    with ThreadPoolExecutor(side_by_side) as pool:
        yield from pool.map(lambda path: _run_one(path, threads), paths)


def _run_one(path: Path, threads: int) -> Row:
    import nbformat

    run = execute(nbformat.read(path, as_version=4), path.parent, threads=threads)
    return Row(path.stem, run.error or _untagged_error(run.notebook), run.seconds, run.peak_bytes)


def _untagged_error(notebook: object) -> str | None:
    for cell in notebook.cells:  # type: ignore[attr-defined]
        for output in cell.get("outputs", []):
            if output.output_type == "error" and MAY_RAISE not in cell.metadata.get("tags", []):
                return f"{output.ename}: {output.evalue}"
    return None
