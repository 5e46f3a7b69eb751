"""A source file (jupytext py:percent) -> the learner's notebook and the solutions notebook.

In a code cell, the lines between `# BEGIN SOLUTION` and `# END SOLUTION` are the solution of an exercise. The learner
sees three dots in their place: `return ...` inside a function, `name = ...` where the marker names variables
(`# BEGIN SOLUTION answer`). The solutions notebook has the lines, without the markers.

Cell ids come from the heading above a cell and its number under it, so that a change in one section leaves the ids of
all others as they are. `items="001-02 001-05"` on a cell names the statements of the five documents that it treats.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from course_lib.errors import DataError

Kind = Literal["learner", "solutions"]

_BLOCK = re.compile(
    r"^(?P<indent>[ \t]*)# BEGIN SOLUTION(?P<names>[^\n]*)\n(?P<body>.*?)^[ \t]*# END SOLUTION[ \t]*\n?",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)]+)\)")
_FOLDER_ABOVE = re.compile(r"([\"'])\.\./")  # a path in code: the solutions lie one folder deeper, and run there
PICTURE = "picture"  # the tag of a cell that draws a diagram and teaches nothing by its code: JupyterLab folds it
YOUR_TURN = "# your turn: replace the three dots"


def notebook(source: Path, kind: Kind) -> Any:
    """The notebook of one kind, made from a source file; no outputs yet.

    Raises:
        DataError: a solution marker without its partner.
    """
    import jupytext

    made = jupytext.read(source, fmt="py:percent")
    _set_metadata(made)
    section, count = "top", 0
    for number, cell in enumerate(made.cells, 1):
        if cell.cell_type == "code":
            cell.source = code_for(kind, cell.source, f"{source.name}, cell {number}")
            if kind == "solutions":
                cell.source = _FOLDER_ABOVE.sub(r"\1../../", cell.source)
            cell.outputs, cell.execution_count = [], None
        else:
            if title := heading(cell.source):
                section, count = slug(title), 0
            if kind == "solutions":
                cell.source = _LINK.sub(r"](../\1)", cell.source)
        count += 1
        cell.id = f"{section}-{count}"
    if kind == "solutions":
        made.cells[0].source += f"\n\n*Solutions. The exercises are in [{source.stem}](../{source.stem}.ipynb).*"
    _check_unique_ids(made, source)
    return made


def code_for(kind: Kind, code: str, where: str = "a cell") -> str:
    """The code of a cell as the learner or the reader of the solutions sees it."""

    def replace(block: re.Match[str]) -> str:
        indent, names = block["indent"], block["names"].split()
        if kind == "solutions":
            return block["body"]
        if names:
            return "".join(f"{indent}{name} = ...  {YOUR_TURN}\n" for name in names)
        return f"{indent}return ...  {YOUR_TURN}\n"

    done = _BLOCK.sub(replace, code + "\n").rstrip("\n")
    if "# BEGIN SOLUTION" in done or "# END SOLUTION" in done:
        raise DataError(f"{where}: a `# BEGIN SOLUTION` or `# END SOLUTION` has no partner; write both.")
    return done


def heading(markdown: str) -> str | None:
    """The last heading of a Markdown cell, or None."""
    found = re.findall(r"^#{1,4} +(.+?) *$", without_comments(markdown), re.MULTILINE)
    return found[-1] if found else None


def without_comments(markdown: str) -> str:
    """Markdown of the same length in which no line of a block of code looks like a heading."""
    return re.sub(
        r"^(```+|~~~+).*?^\1", lambda block: block[0].replace("\n#", "\n "), markdown, flags=re.MULTILINE | re.DOTALL
    )


def slug(title: str) -> str:
    """A heading as part of a cell id: lower-case letters, digits and hyphens, at most 40 of them."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40] or "section"


def _set_metadata(made: Any) -> None:
    # Without a kernelspec JupyterLab opens a dialog instead of the notebook. Everything else would change by itself.
    made.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
    }
    made.nbformat, made.nbformat_minor = 4, 5
    for cell in made.cells:
        cell.metadata = {
            key: value for key, value in sorted(cell.metadata.items()) if key in ("tags", "items", "raises")
        }
        if PICTURE in cell.metadata.get("tags", []):
            cell.metadata["jupyter"] = {"source_hidden": True}


def _check_unique_ids(made: Any, source: Path) -> None:
    seen: set[str] = set()
    for cell in made.cells:
        if cell.id in seen:
            raise DataError(f"{source.name}: two sections are called {cell.id.rsplit('-', 1)[0]!r}; give one another heading.")  # fmt: skip
        seen.add(cell.id)
