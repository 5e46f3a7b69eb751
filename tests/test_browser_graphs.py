"""Netron and the attention controls in a real JupyterLab: drawn, clicked on, saved and opened again.

As tests/test_browser.py: needs Chromium; set COURSE_SCREENSHOTS to a folder to keep pictures.
"""

# ruff: noqa: F811  fixtures come from test_browser, and tests name them

from __future__ import annotations

import io
import json
import re
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat
import pytest
from PIL import Image
from test_browser import address, copy, page, run_all, screenshot  # noqa: F401  fixtures of this file too

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_MODEL = """import numpy as np
import onnx
from onnx import TensorProto, helper

x = helper.make_tensor_value_info("hidden_states", TensorProto.FLOAT, ["batch", "seq", 8])
y = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", "seq", 8])
nodes = [helper.make_node("MatMul", ["hidden_states", "weight"], ["scores"]), helper.make_node("Softmax", ["scores"], ["probabilities"])]
weight = onnx.numpy_helper.from_array(np.eye(8, dtype=np.float32), "weight")
onnx.save(helper.make_model(helper.make_graph(nodes, "tiny", [x], [y], [weight])), "tiny 模型.onnx")"""
_SHOW = """from course_lib.graphs.netron import show

show("tiny 模型.onnx", height=420)"""
_ATTENTION = """import torch
from course_lib.graphs.attention_explorer import attention_view

torch.manual_seed(0)
weights = [(2 * torch.randn(1, 4, 6, 6)).softmax(-1) for _ in range(3)]
attention_view(weights, ["[CLS]", "the", "cat", "看", "猫", "[SEP]"])"""
_CALLS = """from course_lib.graphs.calls import call_graph
from course_lib import bert
from course_lib.config import BertConfig

model = bert.BertModel(BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)).eval()
graph = call_graph(model, run=lambda: model(torch.tensor([[1, 2]])))
graph"""
_MERMAID = """from IPython.display import display

display({"text/vnd.mermaid": graph.called().mermaid}, raw=True)"""


@pytest.fixture(scope="module")
def requests(page) -> list[tuple[str, str]]:
    """Every request of the browser: (address, address of the frame that made it)."""
    made: list[tuple[str, str]] = []
    page.on("request", lambda request: made.append((request.url, request.frame.url)))
    return made


@pytest.fixture(scope="module")
def started(page, address: str, copy: Path, requests) -> Path:
    """A notebook with everything that this file looks at, all of its cells run."""
    cells = [nbformat.v4.new_code_cell(text) for text in (_MODEL, _SHOW, _ATTENTION, _CALLS, _MERMAID)]
    made = nbformat.v4.new_notebook(cells=cells)
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    path = copy / "notebooks" / "graphs_in_a_browser.ipynb"
    nbformat.write(made, path)
    run_all(page, address, path.stem)
    return path


@pytest.fixture(scope="module")
def keys(page, started: Path) -> dict[str, Any]:
    """Who has the keyboard when Netron has come, before anything is clicked on; and whether Ctrl+S saves."""
    page.frame_locator('iframe[title="Netron: tiny 模型.onnx"]').get_by_text("Accept").wait_for()
    page.wait_for_timeout(500)
    found = {"holder": page.evaluate("document.activeElement.tagName"), "saved by Ctrl+S": False}
    before, deadline = started.stat().st_mtime_ns, time.monotonic() + 10
    page.keyboard.press("Control+s")
    while time.monotonic() < deadline and not found["saved by Ctrl+S"]:
        page.wait_for_timeout(200)
        found["saved by Ctrl+S"] = started.stat().st_mtime_ns > before
    return found


@pytest.fixture(scope="module")
def notebook(page, started: Path, keys) -> Path:
    """The same when all is done and saved."""
    deadline = time.monotonic() + 60
    while not all(cell.execution_count for cell in saved(page, started).cells):
        assert time.monotonic() < deadline, "the notebook does not come to its end"
    return started


def saved(page, path: Path) -> nbformat.NotebookNode:
    """Save by the button, which works whoever has the keys; the file then."""
    page.wait_for_timeout(500)
    page.locator(".jp-NotebookPanel-toolbar [data-jp-item-name='save']").first.click()
    page.wait_for_timeout(1000)
    return nbformat.read(path, as_version=4)


def test_netron_leaves_the_keys_to_the_notebook_until_somebody_enters_its_frame(page, keys: dict, notebook) -> None:
    assert keys["holder"] != "IFRAME" and keys["saved by Ctrl+S"]
    page.locator("iframe[title^=Netron]").scroll_into_view_if_needed()
    page.frame_locator('iframe[title="Netron: tiny 模型.onnx"]').locator("body").click(position={"x": 5, "y": 5})
    page.wait_for_timeout(500)
    assert page.evaluate("document.activeElement.tagName") == "IFRAME"


def test_netron_draws_the_graph_in_the_cell(page, notebook: Path) -> None:
    frame = page.frame_locator('iframe[title="Netron: tiny 模型.onnx"]')
    page.locator("iframe[title^=Netron]").scroll_into_view_if_needed()
    page.get_by_text("asks an outside service for your country").wait_for()
    frame.get_by_text("Accept").click()
    canvas = frame.locator("#canvas")
    for words in ("hidden_states", "MatMul", "Softmax", "probabilities"):
        canvas.get_by_text(words, exact=True).wait_for()
    page.wait_for_timeout(500)
    screenshot(page, "netron")
    drawn = Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")
    dark = sum(count for count, (r, g, b) in drawn.getcolors(1 << 24) if r + g + b < 250)
    assert 500 < dark < 0.5 * drawn.width * drawn.height  # boxes, letters and arrows on a light ground


def test_a_click_on_a_token_draws_its_picture(page, notebook: Path) -> None:
    shown = page.locator("[data-attention-picture]")
    shown.scroll_into_view_if_needed()
    image = shown.locator("img")
    before = image.get_attribute("src")
    page.locator(".widget-toggle-button", has_text="猫").click()
    shown.get_by_text("猫 looks at").wait_for()
    screenshot(page, "attention-token")
    assert image.get_attribute("src") != before
    page.locator(".widget-dropdown select").nth(1).select_option(label="3")
    page.locator("[data-attention-picture] img[alt*='layer 1, head 3']").wait_for()
    matrix = image.get_attribute("src")
    page.locator(".widget-dropdown select").nth(2).select_option(label="lines")
    page.wait_for_function("before => document.querySelector('[data-attention-picture] img').src != before", arg=matrix)
    screenshot(page, "attention-lines")
    kept = saved(page, notebook).cells[2].outputs
    pictures = [o.data["text/html"] for o in kept if "text/html" in o.get("data", {})]
    assert len(pictures) == 1 and "layer 1, head 3" in pictures[0] and "猫 looks at" in pictures[0]


def test_keys_choose_as_clicks_do(page, notebook: Path) -> None:
    """A number in a list, the space bar on a token; the arrow keys are JupyterLab's own, for the cells."""
    layer = page.locator(".widget-dropdown select").first
    for number in (2, 1):
        layer.focus()
        page.wait_for_timeout(1500)  # else the browser takes two keys for the beginning of one word
        page.keyboard.press(str(number))
        page.locator(f"[data-attention-picture] img[alt*='layer {number}, head']").wait_for()
    for word in ("cat", "猫"):
        page.locator(".widget-toggle-button", has_text=word).focus()
        page.keyboard.press("Space")
        page.locator("[data-attention-picture]").get_by_text(f"{word} looks at").wait_for()


def test_the_call_graph_is_drawn_as_an_image_and_by_mermaid(page, notebook: Path) -> None:
    image = page.locator(".jp-OutputArea-output img[alt^='Call graph']")
    image.scroll_into_view_if_needed()
    assert image.evaluate("e => e.naturalWidth") > 500
    page.wait_for_timeout(500)
    screenshot(page, "calls")
    page.locator(".jp-RenderedMermaid img").scroll_into_view_if_needed()
    assert page.locator(".jp-RenderedMermaid img").evaluate("e => e.naturalWidth") > 200
    screenshot(page, "calls-mermaid")


def test_nothing_but_netrons_page_asks_outside(notebook: Path, requests) -> None:
    outside = [
        (url, asker) for url, asker in requests if urlsplit(url).hostname not in ("127.0.0.1", "localhost", None)
    ]
    saved_page = json.dumps(nbformat.read(notebook, as_version=4).cells[1].outputs)
    netron = re.search(r"http://127\.0\.0\.1:\d+", saved_page)[0]
    assert {asker.rstrip("/") for _, asker in outside} <= {netron}
    assert any(url.startswith(netron) for url, _ in requests)


def test_opened_again_without_its_kernel_pictures_are_there_and_nothing_dead(
    page,
    address: str,
    notebook: Path,
) -> None:
    base, token = re.match(r"(http://[^/]+)/.*?token=(\w+)", address).groups()
    header = {"Authorization": f"token {token}"}
    listed = urllib.request.urlopen(urllib.request.Request(f"{base}/api/kernels", headers=header))
    for kernel in json.load(listed):
        request = urllib.request.Request(f"{base}/api/kernels/{kernel['id']}", headers=header, method="DELETE")
        urllib.request.urlopen(request)
    for name in (notebook.name, "from_somebody_else.ipynb"):  # signed by this user, or not trusted
        if name != notebook.name:
            made = nbformat.read(notebook, as_version=4)
            made.cells[0].source += "  # another notebook, which nobody signed"
            nbformat.write(made, notebook.with_name(name))
        page.goto(f"{base}/lab/tree/notebooks/{name}?reset&token={token}")
        page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        image = page.locator(".jp-OutputArea-output img[alt*='layer 1, head 3']")
        page.locator(".jp-Notebook .jp-Cell").first.hover()
        for _ in range(120):  # JupyterLab draws a cell when it comes near the view, or when it has nothing else to do
            if image.count():
                break
            page.mouse.wheel(0, 400)
            page.wait_for_timeout(500)
        image.scroll_into_view_if_needed()
        page.wait_for_timeout(2000)  # the time that a widget has to be missed
        screenshot(page, f"again-{name.partition('.')[0]}")
        assert image.evaluate("e => e.naturalWidth") > 300
        assert page.locator("td", has_text="Softmax").count() == 1  # the table under Netron's place
        assert page.locator("iframe[title^=Netron]").count() == 0
        signed = name == notebook.name
        assert page.get_by_text("Netron does not answer any more").is_visible() is signed
        assert page.get_by_text("[Run this cell to choose").is_visible() is not signed
        assert not page.get_by_text("Error displaying widget").is_visible()
        assert not page.get_by_text("inline scripts").is_visible()
        assert page.locator(".jp-OutputArea-output img[alt^='Call graph']").evaluate("e => e.naturalWidth") > 500
