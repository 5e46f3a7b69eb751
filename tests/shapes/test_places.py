"""Lines of files and of cells, in words."""

import linecache

import pytest
import torch
from torch import nn

from course_lib import shapes
from course_lib.shapes.places import in_cell, line_of, place_words

CELL = "ipykernel_77/78135320.py"
TEXT = """class Careless(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.fc = nn.Embedding(99, 24), nn.Linear(24, 3)

    def forward(self, input_ids, attention_mask):
        pooled = self.table(input_ids).mean(dim=1)
        return self.fc(pooled)
"""


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a cell whose source is to be had, as in a notebook."""
    monkeypatch.setitem(linecache.cache, CELL, (len(TEXT), None, TEXT.splitlines(keepends=True), CELL))
    return CELL


@pytest.mark.parametrize(
    ("file", "answer"),
    [
        (CELL, True),
        (f"/some/folder/{CELL}", True),
        ("<ipython-input-3-4f5e>", True),
        ("/home/me/model.py", False),
        ("/venv/lib/site-packages/ipykernel/kernelbase.py", False),
        ("/home/me/ipykernel_notes.py", False),
        ("<stdin>", False),
    ],
)
def test_which_names_are_those_of_cells(file: str, answer: bool) -> None:
    assert in_cell(file) == answer


def test_a_line_of_a_cell_is_not_said_to_be_of_a_file_with_a_made_up_name(cell: str) -> None:
    assert line_of((cell, 8)) == "line 8 of the cell (return self.fc(pooled))"
    assert place_words((cell, 8)) == " on line 8 of the cell (return self.fc(pooled))"


def test_without_a_source_there_is_the_number_or_nothing() -> None:
    assert line_of(("/nowhere/model.py", 12)) == "line 12 of model.py"
    assert place_words(("/nowhere/model.py", 12)) == place_words(None) == ""


def test_findings_and_traces_of_a_cell_name_the_cell(cell: str) -> None:
    names: dict = {"nn": nn, "torch": torch}
    exec(compile(TEXT, cell, "exec"), names)
    ids = torch.randint(1, 99, (5, 11))
    findings = shapes.preflight(names["Careless"](), ids, torch.ones_like(ids))
    assert findings and all("78135320" not in finding.message for finding in findings)
    assert "line 7 of the cell (pooled = self.table(input_ids).mean(dim=1))" in str(findings)
    trace = str(shapes.trace(names["Careless"](), ids.repeat(2, 1)[:, :, None].float(), None))
    assert "of the cell" in trace and "78135320" not in trace
