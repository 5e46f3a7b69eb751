"""A deck as a page for reveal.js, and the index of all decks. Everything opens from disk, with no network."""

from __future__ import annotations

import html
import shutil
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from course_lib.errors import DataError
from course_lib.slides.blocks import WIDTH, code_style, rendered
from course_lib.slides.deck import Deck, Section

_PACKAGE = "sphinx-revealjs"  # of which only reveal.js's own files are taken
_INSIDE = "sphinx_revealjs/_static/revealjs/"
_FILES = (
    "LICENSE",
    "dist/reset.css",
    "dist/reveal.css",
    "dist/reveal.js",
    "dist/theme/white.css",
    "plugin/notes/notes.js",
    "plugin/notes/speaker-view.html",
    "plugin/search/search.js",
)

_STYLE = """
.reveal { font-family: system-ui, "Segoe UI", Helvetica, Arial, "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", sans-serif; font-size: 25px; color: #1a1a1a; }
.reveal .slides { text-align: left; }
.reveal .slides > section { padding: 0; height: 720px; }
.reveal .slides > section > section { padding: 26px 50px 0; box-sizing: border-box; height: 720px; }
.reveal h1, .reveal h2, .reveal h3 { font-family: inherit; text-transform: none; color: #1a1a1a; margin: 0 0 18px; line-height: 1.15; }
.reveal h1 { font-size: 54px; margin-top: 190px; }
.reveal h2 { font-size: 38px; }
.reveal h2 .of { font-size: 20px; font-weight: normal; color: #595959; }
.reveal .fit { width: 1180px; transform-origin: 0 0; }
.reveal p { margin: 0 0 14px; line-height: 1.42; }
.reveal ul, .reveal ol { display: block; margin: 0 0 16px 1.2em; line-height: 1.42; }
.reveal blockquote { width: auto; margin: 0 0 14px; padding: 4px 18px; box-shadow: none; border-left: 4px solid #767676; font-style: normal; background: none; }
.reveal code { font-family: "DejaVu Sans Mono", Menlo, Consolas, "Noto Sans Mono CJK SC", monospace; font-size: 0.88em; background: #f0f0f0; padding: 0 4px; border-radius: 3px; }
.reveal pre { width: 100%; margin: 0 0 12px; box-shadow: none; font-size: 17px; line-height: 24px; font-family: "DejaVu Sans Mono", Menlo, Consolas, "Noto Sans Mono CJK SC", monospace; box-sizing: border-box; }
.reveal pre.code { background: #f5f5f5; border: 1px solid #d0d0d0; padding: 8px 14px; white-space: pre; }
.reveal pre.output { border-left: 4px solid #0072B2; padding: 4px 14px; white-space: pre-wrap; overflow-wrap: anywhere; }
.reveal pre.error { border-left-color: #D55E00; }
.reveal table { margin: 0 0 14px; font-size: 19px; border-collapse: collapse; }
.reveal table th, .reveal table td { padding: 3px 12px; border-bottom: 1px solid #b0b0b0; }
.reveal .page { font-size: 19px; margin-bottom: 12px; }
.reveal .page pre { white-space: pre-wrap; }
.reveal img { margin: 0 auto 8px; max-width: none; max-height: none; display: block; }
.reveal .columns { display: flex; gap: 30px; justify-content: center; }
.reveal .columns img { margin: 0; }
.reveal math { font-size: 1.15em; }
.reveal .question ol { margin-top: 18px; }
.reveal .question li { margin-bottom: 12px; }
.reveal .question .fragment { font-weight: bold; color: #00684d; }
.reveal .slide-number { font-size: 14px; color: #ffffff; background: #4a4a4a; }
"""

# reveal.js makes a slide fit the window; this makes what is on a slide fit the slide.
_FIT = """
function fit(section) {
  const box = section && section.querySelector(':scope > .fit');
  if (!box) return;
  box.style.transform = '';
  const scale = Math.min(1, %d / box.scrollWidth, (%d - box.offsetTop - 14) / box.scrollHeight);
  if (scale < 1) box.style.transform = `scale(${scale})`;
  box.dataset.scale = scale.toFixed(3);
}
Reveal.initialize({width: 1280, height: 720, margin: 0, center: false, hash: true, slideNumber: 'c/t', transition: 'none',
  backgroundTransition: 'none', defaultTiming: 40, pdfSeparateFragments: false, plugins: [RevealNotes, RevealSearch]});
Reveal.on('ready', event => fit(event.currentSlide));
Reveal.on('slidechanged', event => fit(event.currentSlide));
Reveal.on('pdf-ready', () => document.querySelectorAll('.slides section').forEach(fit));
""" % (WIDTH, 720)  # noqa: UP031  braces are JavaScript's


def reveal_files() -> dict[str, Path]:
    """reveal.js's files in the installed package, by their names in the folder of the slides.

    Raises:
        DataError: the package is not installed, or a file of it is missing.
    """
    try:
        installed = metadata.distribution(_PACKAGE)
    except metadata.PackageNotFoundError:
        raise DataError(f"Slides need reveal.js, which comes with {_PACKAGE}: run make slides, which installs it, or pip install -e \".[slides]\".") from None  # fmt: skip
    found = {name: Path(str(installed.locate_file(_INSIDE + name))) for name in _FILES}
    for name, path in found.items():
        if not path.is_file():
            raise DataError(f"{_PACKAGE} {installed.version} brings no {name}; install the version of constraints.txt.")
    return found


def deck_page(deck: Deck) -> str:
    """The page of a deck; it looks for reveal.js in the folder `reveal` beside it."""
    sections = "\n".join(_section(deck, section, first=number == 0) for number, section in enumerate(deck.sections))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{html.escape(_plain(deck.title))}</title>
<link rel="stylesheet" href="reveal/dist/reset.css">
<link rel="stylesheet" href="reveal/dist/reveal.css">
<link rel="stylesheet" href="reveal/dist/theme/white.css">
<style>{_STYLE}{code_style()}</style>
</head>
<body>
<div class="reveal"><div class="slides">
{sections}
</div></div>
<script src="reveal/dist/reveal.js"></script>
<script src="reveal/plugin/notes/notes.js"></script>
<script src="reveal/plugin/search/search.js"></script>
<script>{_FIT}</script>
</body>
</html>
"""


def _section(deck: Deck, section: Section, first: bool) -> str:
    pages, seen = [], ""
    for number, slide in enumerate(section.slides):
        again = slide.title == seen
        seen = slide.title
        words = _inline(slide.title)
        if first and number == 0:
            title = f"<h1>{words}</h1>" if not slide.blocks else f"<h2>{words}</h2>"
        else:
            title = f"<h2>{words}{' <span class=of>(continued)</span>' if again else ''}</h2>"
        body = "".join(block.html for block in slide.blocks)
        notes = "".join(slide.notes)
        if number == 0:
            exercise = f", and {section.exercise_minutes} for the exercises" if section.exercise_minutes else ""
            notes = f"<p><b>{_inline(section.title)}: about {section.minutes} minutes{exercise}.</b></p>{notes}"
        timing = f' data-timing="{max(5, round(slide.seconds))}"'
        pages.append(
            f'<section{timing}>{title}<div class="fit">{body}</div><aside class="notes">{notes}</aside></section>'
        )
    return "\n".join(["<section>", *pages, "</section>"])


def _inline(markdown: str) -> str:
    return rendered(markdown).strip().removeprefix("<p>").removesuffix("</p>")


def _plain(markdown: str) -> str:
    return markdown.replace("`", "").replace("*", "")


def index_page(decks: Sequence[Deck]) -> str:
    """The list of decks, with the slides and minutes of each section."""
    parts = []
    for deck in decks:
        rows = "".join(
            f"<tr><td>{html.escape(_plain(section.title))}</td><td>{len(section.slides)}</td><td>{section.minutes}</td><td>{section.exercise_minutes or ''}</td></tr>"
            for section in deck.sections
        )
        talk = sum(section.minutes for section in deck.sections)
        exercises = sum(section.exercise_minutes for section in deck.sections)
        parts.append(
            f'<h2><a href="{deck.name}.html">{deck.name[:2]} · {html.escape(_plain(deck.title))}</a></h2>'
            f"<p>{len(deck.slides)} slides, about {talk} minutes of talk, {exercises} minutes of exercises.</p>"
            f"<details><summary>Sections</summary><table><thead><tr><th>section</th><th>slides</th><th>talk, minutes</th>"
            f"<th>exercises, minutes</th></tr></thead><tbody>{rows}</tbody></table></details>"
        )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Slides of the BERT course</title>
<style>
body {{ font: 17px/1.5 system-ui, sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em; color: #1a1a1a; }}
table {{ border-collapse: collapse; }} td, th {{ padding: 2px 12px; border-bottom: 1px solid #b0b0b0; text-align: left; }}
td + td, th + th {{ text-align: right; }}
</style>
</head>
<body>
<h1>Slides of the BERT course</h1>
<p>Arrow right: the next section. Space: the next slide. <b>S</b>: the speaker's notes, with a clock. <b>Esc</b>: all
slides. <b>Ctrl+Shift+F</b>: search. <b>?print-pdf</b> behind the address, then print: a PDF. Talk is reckoned at 130 words
a minute of notes and 40 seconds for each cell that runs.</p>
{"".join(parts)}
</body>
</html>
"""


def write_slides(decks: Sequence[Deck], folder: Path, with_index: bool = True) -> list[Path]:
    """Write the pages of the decks, the index and reveal.js into a folder; other files in it stay.

    Raises:
        DataError: reveal.js is not installed, or the folder cannot be written.
    """
    files = reveal_files()
    written = []
    try:
        for name, source in files.items():
            target = folder / "reveal" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        pages = {f"{deck.name}.html": deck_page(deck) for deck in decks}
        if with_index:
            pages["index.html"] = index_page(decks)
        for name, page in pages.items():
            part = folder / f"{name}.part"
            part.write_text(page, encoding="utf-8", newline="\n")
            part.replace(folder / name)
            written.append(folder / name)
    except OSError as error:
        raise DataError(f"The slides cannot be written to {folder}: {error.strerror or error}. Choose another with --output.") from error  # fmt: skip
    return written
