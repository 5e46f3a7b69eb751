"""Every notebook as one HTML page, for printing and for those without Jupyter: with its figures and their words."""

import re

import nbformat
import pytest

from course_lib.notebooks import NOTEBOOKS

BOOKS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_exports_with_all_its_figures_and_quiz(path):
    from nbconvert import HTMLExporter

    notebook = nbformat.read(path, as_version=4)
    page, _ = HTMLExporter(embed_images=True).from_notebook_node(notebook)
    pages = [o.data.get("text/html", "") for c in notebook.cells for o in c.get("outputs", []) if "data" in o]
    inside = re.findall(r"<img\b[^>]*>", "".join(pages))
    exported = re.findall(r"<img\b[^>]*>", page)
    assert len(exported) >= len(inside)
    assert {re.search(r'src="([^"]{80})', tag)[1] for tag in inside} <= {tag[tag.find('src="') + 5 :][:80] for tag in exported}  # fmt: skip
    assert all(re.search(r'alt="[^"]+"', tag) and 'src="data:' in tag for tag in exported)
    assert page.count("<summary") == sum(text.count("<summary") for text in pages) + sum(
        cell.source.count("<summary") for cell in notebook.cells if cell.cell_type == "markdown"
    )
