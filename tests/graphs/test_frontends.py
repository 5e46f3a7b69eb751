"""What a notebook keeps that a program ran, as `make course` and the build do."""

from pathlib import Path

import nbformat

from course_lib.graphs.frontends import frontend
from course_lib.notebooks.execute import execute
from course_lib.notebooks.outputs import problems, tidy

_CELLS = (
    "from course_lib.graphs.frontends import frontend\n\nfrontend()",
    'import onnx\nfrom onnx import TensorProto, helper\n\nx = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch"])\n'
    'y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch"])\n'
    'graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "tiny", [x], [y])\n'
    'onnx.save(helper.make_model(graph), "tiny.onnx")',
    'from course_lib.graphs.netron import show\n\nshow("tiny.onnx")',
    "import numpy as np\nfrom course_lib.graphs.attention_explorer import attention_view\n\n"
    'attention_view([np.eye(2)[None, None]], ["猫", "cat"])',
    "from course_lib.graphs.calls import call_graph\nfrom course_lib import pooling\n\ncall_graph(pooling)",
    "from torch import nn\n\nclass Part(nn.Module):\n    def forward(self, x):\n        return x",
    "class Whole(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.part = Part()\n\n"
    "    def forward(self, x):\n        return self.part(x)\n\n\nmodel = Whole()\ncall_graph(model, run=lambda: model(1))",
)


def test_a_plain_process_is_a_terminal() -> None:
    assert frontend() == "terminal"


def test_a_notebook_that_a_program_runs_keeps_pictures_that_last(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in _CELLS])
    run = execute(notebook, tmp_path, timeout=60)
    assert run.error is None
    tidy(run.notebook)
    assert problems(run.notebook, "any") == []
    outputs = [cell.outputs for cell in run.notebook.cells]
    assert outputs[0][0].data["text/plain"] == "'program'"
    pages = [cell[0].data["text/html"] for cell in outputs[2:5]]
    assert "Relu" in pages[0] and 'alt="Attention of layer 1, head 1' in pages[1] and 'alt="Call graph of' in pages[2]
    kept = str(outputs)
    assert not any(live in kept for live in ("widget-view", "<script", "127.0.0.1", "<iframe"))
    of_cells = outputs[6][0].data
    assert "Whole.forward -> Part.forward   run" in of_cells["text/plain"] and "cell 2" in of_cells["text/html"]
