"""A learner's first hour: JupyterLab by the project's own command, a notebook, Run All, and every figure in view.

Needs Chromium (COURSE_CHROMIUM names it, else it is looked for). Set COURSE_SCREENSHOTS to a folder to keep pictures.
Run All is tried on two notebooks, the first one and that with what only a browser can show, Netron and widgets; explanations
under failing cells have a test of their own. COURSE_BROWSER=all tries it on every notebook, which takes a quarter of an hour
more; that each of them runs, `tests/notebooks` sees without a browser.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import nbformat.reader
import pytest

from course_lib.notebooks import NOTEBOOKS, ROOT
from course_lib.notebooks.execute import offline_environment
from course_lib.notebooks.outputs import MAY_RAISE

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NAMES = (
    sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if os.environ.get("COURSE_BROWSER") == "all"
    else ["00_start_here", "10_model_graphs"]
)


def chromium() -> str | None:
    if chosen := os.environ.get("COURSE_CHROMIUM"):
        return chosen
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
    return next((path for path in map(shutil.which, names) if path), None)


def needed_chromium() -> str:
    """The browser's path; without one the test is skipped, but in CI it fails."""
    if path := chromium():
        return path
    if os.environ.get("CI"):
        pytest.fail("CI must have Chromium: .ci/run installs it.")
    pytest.skip("No Chromium found: install it, or set COURSE_CHROMIUM to a Chrome, Chromium or Edge.")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The course in another folder, its notebooks without outputs: what runs there is what the learner ran."""
    folder = tmp_path_factory.mktemp("a course with spaces") / "bert course"
    skip = shutil.ignore_patterns(".venv", ".git", ".course", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info")
    shutil.copytree(ROOT, folder, ignore=skip)
    for path in (folder / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, path)
    return folder


@pytest.fixture(scope="module")
def address(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """JupyterLab of the copy, offline; the address with its token, as the terminal shows it."""
    scratch = tmp_path_factory.mktemp("scratch")
    environment = {**os.environ, **offline_environment(scratch)}
    environment["PYTHONPATH"] = os.pathsep.join([str(copy), environment["PYTHONPATH"]])
    environment["JUPYTER_CONFIG_DIR"] = str(scratch / "jupyter")  # a user who never ran Jupyter before
    command = [sys.executable, "-m", "course_lib", "lab", "--no-browser"]
    server = subprocess.Popen(
        command, cwd=copy, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    printed: list[str] = []
    reader = threading.Thread(target=lambda: printed.extend(iter(server.stdout.readline, "")), daemon=True)
    reader.start()
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/\S*token=\w+", "".join(printed))):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail("JupyterLab did not start:\n" + "".join(printed))
            time.sleep(0.2)
        yield found[0]
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[object]:
    browser_path = needed_chromium()
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=flags)
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        tab = context.new_page()
        tab.set_default_timeout(60_000)
        yield tab
        browser.close()


def screenshot(page, name: str) -> None:
    if folder := os.environ.get("COURSE_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def run_all(page, address: str, name: str) -> None:
    """Open a notebook and choose Run > Run All Cells, as a person would."""
    base, token = re.match(r"(http://[^/]+)/.*?(token=\w+)", address).groups()
    page.goto(f"{base}/lab/tree/notebooks/{name}.ipynb?reset&{token}")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # before that, JupyterLab asks which kernel
    page.locator(".lm-MenuBar-item", has_text="Run").first.click()
    page.locator(".lm-Menu-item", has_text=re.compile("^Run All Cells")).first.click()
    screenshot(page, f"{name}-started")


def failures_of(cells: list) -> list[str]:
    return [
        f"{cell.id}: {output.ename}: {output.evalue}"
        for cell in cells
        for output in cell.get("outputs", [])
        if output.output_type == "error" and MAY_RAISE not in cell.metadata.get("tags", [])
    ]


def saved_when_done(page, path: Path, seconds: int = 300) -> nbformat.NotebookNode:
    """Save whenever the kernel rests, until every code cell of the file was executed; the file then."""
    deadline = time.monotonic() + seconds
    code: list[nbformat.NotebookNode] = []
    rests = page.get_by_text("Python 3 (ipykernel) | Idle")  # a moment between two cells may be seen as rest, too
    while time.monotonic() < deadline:
        page.wait_for_timeout(1000)
        if not rests.count():
            continue
        page.keyboard.press("Control+s")
        page.wait_for_timeout(500)
        try:
            notebook = nbformat.read(path, as_version=4)
        except nbformat.reader.NotJSONError:
            continue  # JupyterLab is just writing it
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        if all(cell.execution_count for cell in code):
            return notebook
    screenshot(page, f"{path.stem}-not-done")
    waiting = next((cell.source for cell in code if not cell.execution_count), "no cell: the file was never whole")
    pytest.fail(f"{path.name}: after {seconds} s this cell has not run:\n{waiting}")


_DESCRIBED = "es => es.map(e => ({alt: e.alt, width: e.naturalWidth, key: e.src.slice(-200)}))"


def figures_in_view(page, name: str) -> list[dict]:
    """Scroll through the notebook; every image that appears, once: alternative text and width as loaded."""
    page.locator(".jp-Notebook .jp-Cell").first.click()
    page.keyboard.press("Escape")
    seen: dict[str, dict] = {}
    place = page.locator(".jp-WindowedPanel-outer").first
    shot, stuck, before = 0, 0, -1
    place.evaluate("e => { e.scrollTop = 0 }")
    while stuck < 3:
        page.wait_for_timeout(250)
        for found in page.locator(".jp-OutputArea-output img").evaluate_all(_DESCRIBED):
            seen[found["key"]] = found
        screenshot(page, f"{name}-{shot:02}")
        shot += 1
        now = place.evaluate("e => { e.scrollTop += 700; return e.scrollTop }")
        stuck = stuck + 1 if now == before else 0
        before = now
    return list(seen.values())


@pytest.mark.parametrize("name", NAMES)
def test_run_all_in_jupyterlab_shows_every_figure_and_no_error(page, address: str, copy: Path, name: str) -> None:
    run_all(page, address, name)
    notebook = saved_when_done(page, copy / "notebooks" / f"{name}.ipynb")
    assert failures_of(notebook.cells) == []
    kept = re.findall(r"data:image/(?:png|svg\+xml);base64,[\w+/=]+", json.dumps(notebook))
    expected = {uri[-200:] for uri in kept}  # a drawing that stands twice, alone and under a live view, is seen once
    figures = figures_in_view(page, name)
    assert expected and {figure["key"] for figure in figures} == expected
    for figure in figures:
        assert figure["width"] > 100, f"not drawn: {figure['alt']}"
        assert len(figure["alt"].split()) > 3


def test_saved_figures_and_hints_show_before_anything_is_run(page, address: str, copy: Path) -> None:
    """A notebook from a fresh clone is not trusted, and JupyterLab cleans its HTML: the figures must survive that."""
    base, token = re.match(r"(http://[^/]+)/.*?(token=\w+)", address).groups()
    page.goto(f"{base}/lab/tree/notebooks/solutions/01_bert_outputs.ipynb?reset&{token}")
    page.locator(".jp-Notebook h1", has_text="What goes into BERT").wait_for()
    saved = (copy / "notebooks/solutions/01_bert_outputs.ipynb").read_text(encoding="utf-8")
    figures = figures_in_view(page, "untouched")
    assert len(figures) == saved.count("data:image/png;base64,")
    assert all(figure["width"] > 100 and figure["alt"] for figure in figures)


_GLUED = """import torch
from torch import nn

layers = tuple(torch.randn(32, 64, 768) for _ in range(13))
nn.Conv2d(13, 13, kernel_size=(3, 768))(torch.cat(layers, 0))"""


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_a_failing_cell_explains_itself_under_its_traceback(page, address: str, copy: Path, theme: str) -> None:
    """In any notebook after %load_ext, readable in both themes: the text's colour is the theme's own."""
    cells = [nbformat.v4.new_code_cell("%load_ext course_lib.shapes"), nbformat.v4.new_code_cell(_GLUED)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    nbformat.write(notebook, copy / "notebooks" / f"any_{theme}.ipynb")
    run_all(page, address, f"any_{theme}")
    page.locator(".lm-MenuBar-item", has_text="Settings").first.click()
    page.locator(".lm-Menu-item", has_text=re.compile("^Theme")).first.hover()
    page.locator(".lm-Menu-item", has_text=re.compile(f"^JupyterLab {theme}$")).first.click()
    fix = page.locator(".jp-OutputArea-output", has_text="Fix 1").first
    fix.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    assert "416 = 13 tensors x 32" in fix.inner_text() and "torch.stack(layers, dim=1)" in fix.inner_text()
    assert page.get_by_text("expected input[1, 416, 64, 768]").first.is_visible()  # torch's own error, above it
    colours = (
        "e => [getComputedStyle(e).color, getComputedStyle(document.querySelector('.jp-Notebook')).backgroundColor]"
    )
    ink, paper = (sum(map(int, re.findall(r"\d+", c)[:3])) for c in fix.get_by_text("Why:").first.evaluate(colours))
    assert abs(ink - paper) > 400
    screenshot(page, f"explained-{theme}")


def test_a_page_opens_rendered_and_a_link_of_the_index_leads_to_its_cell(page, address: str) -> None:
    base, token = re.match(r"(http://[^/]+)/.*?(token=\w+)", address).groups()
    page.goto(f"{base}/lab/tree/docs/sources.md?reset&{token}")
    page.locator(".jp-RenderedMarkdown a", has_text="Is pooling expensive").first.click()
    page.locator(".jp-Notebook h3", has_text="Is pooling expensive").wait_for()
    page.wait_for_function("""() => [...document.querySelectorAll(".jp-Notebook h3")].some(
        h => h.innerText.includes("Is pooling expensive") && h.getBoundingClientRect().bottom > 0
             && h.getBoundingClientRect().top < innerHeight)""")


def test_no_dialog_and_no_news_meet_a_new_user(page, address: str) -> None:
    page.goto(address)
    page.locator(".jp-Notebook h1", has_text="Start here").wait_for()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.wait_for_timeout(1000)  # a pop-up would come now
    assert page.locator(".jp-Dialog").count() == 0
    assert page.locator(".Toastify__toast").count() == 0
    screenshot(page, "start")
