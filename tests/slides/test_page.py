"""Pages that open from disk: every slide of every notebook, measured in a browser."""

import re
from importlib import metadata

import nbformat
import pytest

from course_lib.__main__ import main
from course_lib.errors import DataError
from course_lib.notebooks import NOTEBOOKS
from course_lib.slides import page as pages
from course_lib.slides.deck import make_deck

NAMES = sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


@pytest.fixture(scope="module")
def decks():
    return {name: make_deck(name, nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)) for name in NAMES}


@pytest.fixture(scope="module")
def folder(decks, tmp_path_factory):
    made = tmp_path_factory.mktemp("slides with spaces")
    pages.write_slides(list(decks.values()), made)
    return made


@pytest.mark.parametrize("name", NAMES)
def test_a_page_asks_no_server_for_anything(folder, name):
    text = (folder / f"{name}.html").read_text(encoding="utf-8")
    wanted = re.findall(r"""(?:src|href)=["']([^"'#]+)""", re.sub(r"<a\b[^>]*>", "", text))
    local = [address for address in wanted if not address.startswith("data:")]
    assert local and all((folder / address).is_file() for address in local)


def test_the_titles_are_the_headings_of_the_notebook(decks):
    for name, deck in decks.items():
        cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        wanted = re.findall(r"^#{1,3} (.+?) *$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
        titles = {slide.title for slide in deck.slides if not re.fullmatch(r"Question \d", slide.title)}
        assert titles == set(wanted)


def test_the_index_lists_every_deck_with_its_minutes(folder, decks):
    index = (folder / "index.html").read_text(encoding="utf-8")
    for name, deck in decks.items():
        assert f'href="{name}.html"' in index
        assert f"{len(deck.slides)} slides, about {sum(s.minutes for s in deck.sections)} minutes of talk" in index


def test_the_command_writes_one_deck_and_leaves_the_index_alone(tmp_path, capsys):
    assert main(["slides", "00", "--output", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["00_start_here.html", "reveal"]
    assert capsys.readouterr().out.strip().endswith("00_start_here.html")


def test_without_reveal_a_sentence_says_how_to_get_it(monkeypatch, capsys):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(pages.metadata, "distribution", missing)
    assert main(["slides"]) == 1
    assert "run make slides, which installs it" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=r"cannot be written to .*Choose another with --output"):
        pages.write_slides([], tmp_path / "file")


MEASURE = """() => Reveal.getSlides().map(slide => {
  const place = Reveal.getIndices(slide);
  Reveal.slide(place.h, place.v);
  while (Reveal.availableFragments().next) Reveal.nextFragment();
  const frame = document.querySelector('.slides').getBoundingClientRect();
  let right = 0, bottom = 0;
  slide.querySelectorAll('h1, h2, .fit, .fit *').forEach(part => {
    const at = part.getBoundingClientRect();
    if (!at.width || !at.height) return;
    right = Math.max(right, at.right - frame.left);
    bottom = Math.max(bottom, at.bottom - frame.top);
  });
  const pictures = [...slide.querySelectorAll('img')];
  const scale = Number(slide.querySelector('.fit').dataset.scale);
  const words = document.createTreeWalker(slide.querySelector('.fit'), NodeFilter.SHOW_TEXT);
  let letters = 99;
  while (words.nextNode()) if (words.currentNode.data.trim() && !words.currentNode.parentElement.closest('svg'))
    letters = Math.min(letters, scale * parseFloat(getComputedStyle(words.currentNode.parentElement).fontSize));
  return {title: slide.querySelector('h1, h2').innerText, right, bottom, letters,
    broken: pictures.filter(picture => !picture.complete || !picture.naturalWidth).length,
    bare: pictures.filter(picture => !picture.alt).length, tex: /\\$\\$|\\\\frac|\\\\text/.test(slide.innerText)};
})"""


@pytest.mark.browser
@pytest.mark.slow
def test_nothing_on_any_slide_is_cut_off_or_too_small_to_read(folder):
    from playwright.sync_api import sync_playwright
    from test_browser import needed_chromium

    asked: list[str] = []
    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=needed_chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        for name in NAMES:
            page.goto((folder / f"{name}.html").as_uri())
            page.wait_for_function("window.Reveal && Reveal.isReady()")
            for slide in page.evaluate(MEASURE):
                where = f"{name}, {slide['title']}: "
                if slide["right"] > 1280.5 or slide["bottom"] > 720.5:
                    faults.append(f"{where}reaches to {slide['right']:.0f} x {slide['bottom']:.0f}")
                if slide["letters"] < 12:
                    faults.append(f"{where}has letters of {slide['letters']:.1f} pixels")
                if slide["broken"] or slide["bare"] or slide["tex"]:
                    faults.append(f"{where}a picture without content or words, or a formula that was not drawn")
        # the speaker's window has the notes of the slide
        page.goto((folder / "01_bert_outputs.html").as_uri() + "#/3")
        page.wait_for_function("window.Reveal && Reveal.isReady()")
        with page.expect_popup() as opened:
            page.keyboard.press("s")
        opened.value.get_by_text("minutes").first.wait_for()
        browser.close()
    assert faults == []
    assert [address for address in asked if not address.startswith(("file:", "data:", "blob:"))] == []
