import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib import plots

ALT = "A picture for a test with enough words"


def make_all() -> dict[str, plots.Picture]:
    matrix = torch.rand(3, 3, generator=torch.Generator().manual_seed(0))
    return {
        "heatmap": plots.heatmap(matrix, ALT, rows=list("abc"), columns=list("abc"), numbers="{:.2f}", title="t"),
        "heatmaps": plots.heatmaps([matrix] * 4, list("wxyz"), ALT, labels=list("abc"), columns=3),
        "lines": plots.lines({"one": [1, 2], "two": [2, 1]}, ALT, y_limits=(0, 3)),
        "bars": plots.bars({"one": 1.0, "two": 2.5}, ALT, form="{:.1f}"),
        "points": plots.points({"one": 1.0, "two": 2.0}, {"all": [(0, 2), (1, 4)], "some": [(0.9, 1.1), (2, 2)]}, ALT),
        "scatters": plots.scatters({"a": [[0, 1], [1, 0]], "b": [[1, 1], [0, 0]]}, ["x", "y"], ALT, marks=["1", "2"]),
        "diagram": plots.diagram({"a": plots.Box(0, 0, "A"), "b": plots.Box(1.5, 1, "B")}, [("a", "b", "to")], ALT),
    }


@pytest.fixture(scope="module")
def pictures() -> dict[str, plots.Picture]:
    return make_all()


@pytest.mark.parametrize("name", ["heatmap", "heatmaps", "lines", "bars", "points", "scatters", "diagram"])
def test_every_figure_is_a_light_opaque_image_with_something_on_it(pictures: dict, name: str) -> None:
    image = Image.open(io.BytesIO(pictures[name].png)).convert("RGBA")
    assert image.width > 200 and image.height > 100
    colours = image.getcolors(maxcolors=1 << 20)
    assert len(colours) > 5
    assert all(colour[3] == 255 for _, colour in colours)  # opaque: the same in a dark theme
    assert image.getpixel((1, 1))[:3] == (255, 255, 255)


@pytest.mark.parametrize("name", ["heatmap", "heatmaps", "lines", "bars", "points", "scatters", "diagram"])
def test_the_alternative_text_is_on_the_image(pictures: dict, name: str) -> None:
    shown = pictures[name]._repr_mimebundle_()
    assert f'alt="{ALT}"' in shown["text/html"] and ALT in shown["text/plain"]
    assert set(shown) == {"text/html", "text/plain"}


def test_alternative_text_is_escaped() -> None:
    shown = plots.bars({"a": 1.0}, 'A bar <that> says "one" & nothing')._repr_mimebundle_()["text/html"]
    assert 'alt="A bar &lt;that&gt; says &quot;one&quot; &amp; nothing"' in shown


@pytest.mark.parametrize("alt", ["", "figure", "a plot"])
def test_an_alternative_text_that_says_nothing_is_refused(alt: str) -> None:
    with pytest.raises(ValueError, match="says too little"):
        plots.bars({"a": 1.0}, alt)


def test_the_same_figure_gives_the_same_bytes() -> None:
    first, second = make_all(), make_all()
    assert all(first[name].png == second[name].png for name in first)


def widths(picture: plots.Picture, colour: str) -> list[int]:
    """How far apart the outermost pixels of a colour are, row by row, where there are any."""
    pixels = np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)
    near = np.abs(pixels - [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).max(axis=-1) < 12
    return [int(np.ptp(np.flatnonzero(row))) for row in near if row.any()]


def test_error_bars_are_as_long_as_they_say_and_kinds_differ_in_thickness() -> None:
    bars = {"examples": [(0.0, 8.0), (2.0, 6.0)], "seeds": [(3.0, 5.0), (3.0, 5.0)]}
    drawn = plots.points({"a": 4.0, "b": 4.0}, bars, ALT)
    thin, thick = (widths(drawn, colour) for colour in plots.COLOURS[:2])
    long = [width for width in thin if width > 150]  # not the sample in the legend
    assert max(long) / min(long) == pytest.approx(2.0, rel=0.05)  # 8 against 4
    assert len(thick) > 2 * len(thin)


def test_error_bars_must_be_as_many_as_points() -> None:
    with pytest.raises(ValueError, match="1 bars of 'seeds' for 2 values"):
        plots.points({"a": 1.0, "b": 2.0}, {"seeds": [(0, 1)]}, ALT)


def test_pictures_are_small_enough_to_commit(pictures: dict) -> None:
    assert all(len(picture.png) < 100_000 for picture in pictures.values())


def test_a_title_wider_than_its_matrix_is_not_cut_off() -> None:
    title = "A title that is a good deal wider than two columns"
    wide = plots.heatmap(torch.eye(2), ALT, title=title)
    image = Image.open(io.BytesIO(wide.png)).convert("L")
    left, right = image.crop((0, 0, 4, image.height)), image.crop((image.width - 4, 0, image.width, image.height))
    assert left.getextrema()[0] > 200 and right.getextrema()[0] > 200  # nothing dark at either edge


def test_without_a_cjk_font_characters_become_code_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "find_cjk_font", lambda: None)
    assert plots.printable("我 am") == "U+6211 am"
    plots.bars({"我": 1.0}, ALT)  # warnings are errors in this suite: a missing glyph would warn


def test_with_a_cjk_font_chinese_is_drawn() -> None:
    if plots.find_cjk_font() is None:
        pytest.skip("This system has no CJK font; `python -m course_lib check` says how to get one.")
    assert plots.printable("我") == "我"
    plots.heatmap(torch.eye(2), ALT, rows=["我", "在"], columns=["测", "试"], title="热爱")


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_ink_on_soft_colours_meets_the_contrast_of_wcag_aaa() -> None:
    for colour in (*plots.SOFT_COLOURS, "#FFFFFF"):
        lighter, darker = _luminance(colour), _luminance(plots.INK)
        assert (lighter + 0.05) / (darker + 0.05) > 7


def test_quiet_words_can_be_read_on_every_ground() -> None:
    for colour in (*plots.SOFT_COLOURS, "#FFFFFF"):
        assert (_luminance(colour) + 0.05) / (_luminance(plots.QUIET) + 0.05) > 4.5, colour


def test_a_table_shows_numbers_with_separators_and_escapes_text() -> None:
    table = plots.Table(["name", "size"], [["<a>", 1234567]])
    assert "1,234,567" in table._repr_html_() and "&lt;a&gt;" in table._repr_html_()
    assert re.split(r" {2,}|\n", repr(table)) == ["name", "size", "<a>", "1,234,567"]


def test_a_column_of_a_table_can_stand_right() -> None:
    table = plots.Table(["class", "F1"], [["sport", "0.5"], ["art", "-"]], right=(1,))
    assert repr(table).splitlines() == ["class   F1", "sport  0.5", "art      -"]
    assert '<td style="text-align:right">-</td>' in table._repr_html_()
    assert '<th style="text-align:right">F1</th>' in table._repr_html_()
