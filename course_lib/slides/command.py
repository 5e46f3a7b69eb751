"""`python -m course_lib slides`: the notebooks as slides that open from disk."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from course_lib.errors import DataError
from course_lib.notebooks import NOTEBOOKS, chosen_by_name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("names", nargs="*", help="beginnings of notebook names, as 01; all without")
    parser.add_argument("--output", type=Path, default=Path("slides"), help="folder for the pages (slides)")


def run(arguments: argparse.Namespace) -> int:
    """Write the decks; all of them give the index as well."""
    import nbformat

    from course_lib.slides.deck import make_deck
    from course_lib.slides.page import reveal_files, write_slides

    reveal_files()  # before anything else: without it nothing can be done
    paths = chosen_by_name(sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")), arguments.names)
    if not paths:
        raise DataError(f"There are no notebooks in {NOTEBOOKS}: make notebooks builds them.")
    decks = []
    for path in paths:
        print(f"{path.stem} ...", end=" ", flush=True, file=sys.stderr)
        decks.append(make_deck(path.stem, nbformat.read(path, as_version=4)))
        print(f"{len(decks[-1].slides)} slides", file=sys.stderr)
    write_slides(decks, arguments.output, with_index=not arguments.names)
    print(arguments.output / ("index.html" if not arguments.names else f"{paths[0].stem}.html"))
    return 0
