import nbformat.v4 as v4
import pytest

from course_lib.notebooks import ROOT
from course_lib.notebooks.outputs import MAY_RAISE, problems, short_traceback, tidy
from course_lib.plots import heatmap

IMAGE = heatmap([[0.0, 1.0], [1.0, 0.0]], "A small heat map with two bright cells")._repr_mimebundle_()["text/html"]


def book(*outputs, tags=(), **metadata):
    metadata = {"tags": list(tags), **metadata}
    cell = v4.new_code_cell("x", id="part-1", execution_count=1, outputs=list(outputs), metadata=metadata)
    return v4.new_notebook(cells=[cell])


def said(*outputs, tags=(), **metadata) -> str:
    return "\n".join(problems(book(*outputs, tags=tags, **metadata), "01"))


def html(text: str):
    return v4.new_output("display_data", {"text/html": text})


def test_ordinary_outputs_pass() -> None:
    assert said(v4.new_output("stream", text="6 x 7 = 42\n"), html(IMAGE)) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("saved in /home/ada/model", "path of this machine"),
        ("/Users/ada/x.py:3", "path of this machine"),
        (r"C:\Users\ada\x.py", "path of this machine"),
        ("lib/python3.11/site-packages/torch/nn.py", "path of this machine"),
        (f"root is {ROOT}", "path of this machine"),
        ("<generator object f at 0x7f3a9c0b1d20>", "memory address"),
        ("x.py:3: UserWarning: this is old", "a warning"),
    ],
)
def test_words_that_must_not_be_committed(text: str, expected: str) -> None:
    assert expected in said(v4.new_output("stream", text=text))
    assert expected in said(v4.new_output("execute_result", {"text/plain": text}))


def test_stderr_is_refused() -> None:
    assert "stderr" in said(v4.new_output("stream", name="stderr", text="Loading: 100%"))


def test_an_error_is_refused_unless_the_cell_may_raise() -> None:
    error = v4.new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])
    assert "ValueError: no" in said(error)
    assert said(error, tags=[MAY_RAISE], raises="ValueError: no") == ""
    assert "raises nothing" in said(tags=[MAY_RAISE], raises="E: shapes")


def test_a_cell_that_is_meant_to_fail_fails_with_exactly_the_error_it_names() -> None:
    error = v4.new_output("error", ename="E", evalue="shapes (2, 3) and (4, 3)", traceback=["Cell In[1]"])
    assert said(error, tags=[MAY_RAISE], raises="E: shapes (2, 3)") == ""
    assert "and raises 'E: shapes (2, 3) and (4, 3)'" in said(error, tags=[MAY_RAISE], raises="E: other")
    assert "and raises" in said(error, tags=[MAY_RAISE], raises="KeyError: shapes")
    assert "does not say what it raises" in said(error, tags=[MAY_RAISE])


def test_a_library_path_in_a_traceback_is_refused_even_where_the_cell_may_raise() -> None:
    error = v4.new_output("error", ename="E", evalue="e", traceback=["File /opt/python/lib/torch/nn.py:3"])
    assert "path of this machine" in said(error, tags=[MAY_RAISE])


@pytest.mark.parametrize(
    "image",
    [
        IMAGE.replace('alt="A small heat map with two bright cells" ', ""),
        IMAGE.replace("A small heat map with two bright cells", ""),
        IMAGE.replace("A small heat map with two bright cells", "  "),
    ],
)
def test_an_image_needs_alternative_text(image: str) -> None:
    assert "without alternative text" in said(html(image))


def test_a_bare_png_is_refused_because_jupyterlab_drops_its_alternative_text() -> None:
    assert "image/png" in said(v4.new_output("display_data", {"image/png": "iVBORw0KGgo="}))


def test_an_empty_figure_is_refused() -> None:
    assert "empty figure" in said(html('<img alt="nothing at all" src="data:image/png;base64,iVBORw0KGgo=">'))


def test_outputs_over_one_megabyte_are_refused() -> None:
    assert "the limit is 1 MB" in said(v4.new_output("stream", text="x" * 1_000_001))


def test_a_cell_that_was_not_executed_is_named() -> None:
    notebook = book()
    notebook.cells[0].execution_count = None
    assert problems(notebook, "01") == ["01, cell part-1: was not executed"]


def test_short_tracebacks_keep_the_learners_frames_and_the_message() -> None:
    frames = [
        "\x1b[31m-----\x1b[39m",
        "\x1b[31mRuntimeError\x1b[39m    Traceback (most recent call last)",
        "\x1b[36mCell\x1b[39m In[4], line 2\n----> 2 layer(x)\n",
        "File \x1b[32m/opt/torch/module.py:1776\x1b[39m, in call(self)\n   1776 return f()\n",
        "\x1b[31mRuntimeError\x1b[39m: bad shape",
    ]
    error = v4.new_output("error", ename="RuntimeError", evalue="bad shape", traceback=frames)
    text = "\n".join(short_traceback(error))
    assert "Cell In[4], line 2" in text and text.endswith("RuntimeError: bad shape")
    assert "/opt/" not in text and "\x1b" not in text and "1 frames inside libraries" in text


def test_tidy_joins_pieces_of_one_stream_and_drops_timings() -> None:
    notebook = book(v4.new_output("stream", text="a"), v4.new_output("stream", text="b"))
    notebook.cells[0].metadata["execution"] = {"iopub.status.busy": "now"}
    tidy(notebook)
    assert [o.text for o in notebook.cells[0].outputs] == ["ab"]
    assert "execution" not in notebook.cells[0].metadata
