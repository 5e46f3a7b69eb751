"""The index of statements, docs/sources.md: its first columns are written by hand, its links by this module.

A cell names the statements it treats in its metadata, `items="001-02 001-05"`; a row of the index looks like

    | 001-02 | what the document says | what the course does | links to the cells |
"""

from __future__ import annotations

import re
from pathlib import Path

from course_lib.notebooks import ROOT
from course_lib.notebooks.build import sources
from course_lib.notebooks.source import heading, notebook

INDEX = ROOT / "docs" / "sources.md"
_ROW = re.compile(r"^(\| (\d{3}-\d+) \|.*\|.*\|)[^|]*\|$", re.MULTILINE)


def treated() -> dict[str, list[str]]:
    """Statement -> links to the cells that treat it, in the order of the notebooks."""
    found: dict[str, list[str]] = {}
    for source in sources():
        title = source.stem
        for cell in notebook(source, "learner").cells:
            if cell.cell_type == "markdown":
                title = heading(cell.source) or title
            shown = title.replace("|", "\\|")
            link = f"[{source.stem[:2]} · {shown}](../notebooks/{source.stem}.ipynb#cell-id={cell.id})"
            for number in cell.metadata.get("items", "").split():
                found.setdefault(number, []).append(link)
    return found


def link_index(path: Path = INDEX) -> list[str]:
    """Write the links of every row anew; everything else stays.

    Returns:
        What a person has to write: statements that a cell treats and no row has, or the other way round.
    """
    cells = treated()
    index = path.read_text(encoding="utf-8")
    numbers = [row[2] for row in _ROW.finditer(index)]
    done = _ROW.sub(lambda row: f"{row[1]} {', '.join(cells.get(row[2], ['nowhere yet']))} |", index)
    if done != index:
        part = path.with_suffix(".part")
        part.write_text(done, encoding="utf-8", newline="\n")
        part.replace(path)
    missing = [
        f"{path.name}: {number} is treated in a cell and has no row" for number in sorted(set(cells) - set(numbers))
    ]
    empty = [f"{path.name}: no cell names {number}" for number in numbers if number not in cells]
    return missing + empty
