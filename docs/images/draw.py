"""Draw the pictures of README.md: `.venv/bin/python docs/images/draw.py` (needs Chromium, as the browser tests do).

Each is what a learner gets: the library's own output, photographed. The course's map is drawn here.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
import torch
from torch import nn

from course_lib import pretrained, shapes
from course_lib.bert import BertModel
from course_lib.graphs import head_view, picture
from course_lib.notebooks import NOTEBOOKS, ROOT
from course_lib.plots import Box, diagram
from course_lib.quizzes import quiz
from course_lib.slides.deck import make_deck
from course_lib.slides.page import write_slides

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tests"))


def course_map() -> bytes:
    """The twelve notebooks as four steps."""
    steps = (
        ("Understand", ("00 start here", "01 BERT's outputs", "02 heads", "03 shape debugging")),
        ("Build", ("04 BERT from scratch", "05 pretraining tasks", "06 pretraining")),
        ("Use", ("07 fine-tuning", "08 tokens, spans,\nchoices", "09 classifier zoo")),
        ("Show, and grow", ("10 model graphs", "11 going bigger")),
    )
    boxes: dict[str, Box] = {}
    arrows: list[tuple[str, str]] = []
    for column, (step, names) in enumerate(steps):
        boxes[step] = Box(1.25 * column, 0, step, 6, 1.15)
        above = step
        for row, name in enumerate(names, 1):
            boxes[name] = Box(1.25 * column, row, name, column, 1.15)
            arrows.append((above, name))
            above = name
        if column:
            arrows.append((steps[column - 1][0], step))
    return diagram(
        boxes, arrows, alt="The twelve notebooks of the course in four steps, from left to right.", scale=0.72
    ).png


def diagnosis() -> str:
    """The explanation of a shape error, as a notebook shows it."""
    layers = tuple(torch.randn(32, 64, 768) for _ in range(13))
    conv = nn.Conv2d(13, 13, kernel_size=(3, 768))

    def script() -> torch.Tensor:
        x = torch.cat(layers, 0)
        return conv(x)

    found = shapes.diagnose(script)
    assert found is not None
    return found._repr_html_()


def main() -> None:
    """Write every picture beside this file."""
    from playwright.sync_api import sync_playwright
    from test_browser import needed_chromium

    (HERE / "course.png").write_bytes(course_map())
    folder = ROOT / "data" / "mini_bert_zh"
    tokenizer = pretrained.load_tokenizer(folder)
    model = BertModel.from_pretrained(folder).eval()
    batch = tokenizer("央行宣布下调贷款利率", return_tensors="pt")
    with torch.no_grad():
        attentions = model(**batch, output_attentions=True).attentions
    words = tokenizer.convert_ids_to_tokens(batch["input_ids"][0])
    (HERE / "attention.png").write_bytes(head_view(attentions, words, layer=1, head=0).png)
    drawn = picture(model, dict(batch))
    (HERE / "graph.svg").write_text(drawn.svg, encoding="utf-8")
    name = "04_bert_from_scratch"
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        write_slides([make_deck(name, nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4))], Path(temporary))
        browser = playwright.chromium.launch(executable_path=needed_chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 900, "height": 700}, device_scale_factor=1.5)
        for file, body in (("diagnosis", diagnosis()), ("quiz", quiz("03")._repr_html_())):
            page.set_content(f'<div id="it" style="font:15px/1.5 system-ui;padding:12px;width:860px">{body}</div>')
            if file == "quiz":
                page.locator("summary").nth(0).click()
                page.locator("summary").nth(1).click()
            page.locator("#it > div").first.screenshot(path=HERE / f"{file}.png")
        page.set_viewport_size({"width": 1280, "height": 720})
        page.goto((Path(temporary) / f"{name}.html").as_uri())
        page.wait_for_function("window.Reveal && Reveal.isReady()")
        page.evaluate(
            "Reveal.slide(...Object.values(Reveal.getIndices("
            "Reveal.getSlides().find(slide => slide.querySelector('h2')?.innerText == 'The plan'))))"
        )
        page.screenshot(path=HERE / "slide.png")
        browser.close()


if __name__ == "__main__":
    main()
