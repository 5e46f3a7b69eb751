"""Where a line of the user's stands, in words: of a file, or of a notebook's cell.

IPython compiles each cell under a file name of its own making (`.../ipykernel_77/78135320.py`), which tells a learner
nothing. So a line of a cell is said to be one.
"""

from __future__ import annotations

import linecache
from pathlib import Path

Place = tuple[str, int]  # file and line


def in_cell(file: str) -> bool:
    """Is this file name one that a notebook made for a cell?"""
    return file.startswith("<ipython") or any(part.startswith("ipykernel_") for part in Path(file).parts[:-1])


def line_of(place: Place) -> str:
    """ "line 12 of model.py (x = x.view(2, 3))", "line 3 of the cell (...)"; without brackets where there is no source."""
    file, number = place
    line = linecache.getline(file, number).strip()
    return f"line {number} of {'the cell' if in_cell(file) else Path(file).name}" + (f" ({line})" if line else "")


def place_words(place: Place | None) -> str:
    """ " on line 12 of model.py (x = x.view(2, 3))", or "" where the source is not to be had."""
    return f" on {line_of(place)}" if place and linecache.getline(*place).strip() else ""
