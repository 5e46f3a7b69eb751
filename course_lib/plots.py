"""Figures of the course: one style, and words for everybody who cannot see them.

Every function returns a `Picture`: a PNG image with its alternative text, which JupyterLab, exported pages and slides
put on the image itself. Colours are those of Okabe and Ito ("Color Universal Design", 2008), told apart by colour-blind
readers; the background is always light and opaque, so that a figure reads the same in a dark theme and on a wall.

Chinese labels are drawn with whatever CJK font the system has. Where there is none, a character is written as its code
point (U+6211), never as an empty box.
"""

from __future__ import annotations

import base64
import functools
import html
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito, in the order in which we use them: dark enough on white, and yellow last because it is not.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#F0E442")
SOFT_COLOURS = ("#CFE3F1", "#F8DCC9", "#CDEBE1", "#F3DFEA", "#DDF0FA", "#FBECCB", "#E3E3E3", "#FCFAD6")
INK = "#1A1A1A"
QUIET = "#5F5F5F"  # words and lines that step back
SEQUENTIAL = "cividis"  # from 0 to a maximum; made for colour-blind readers

_CJK_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "Noto Sans CJK JP",
    "PingFang SC", "Hiragino Sans GB", "Heiti SC", "STHeiti", "Songti SC", "Microsoft YaHei", "SimHei", "SimSun",
    "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Noto Serif CJK SC", "Arial Unicode MS",
)  # fmt: skip
_CJK_FILES = ("cjk", "sourcehan", "pingfang", "hiragino", "heiti", "songti", "msyh", "simhei", "simsun", "wqy", "droidsansfallback")  # fmt: skip
_DPI = 130


@dataclass(frozen=True)
class Picture:
    """A PNG image with its alternative text; the last value of a cell shows it."""

    png: bytes
    alt: str
    width: int  # CSS pixels; the image itself has more, for sharp screens

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        # JupyterLab drops the alternative text of an image/png output, so the image travels inside HTML.
        data = base64.b64encode(self.png).decode("ascii")
        tag = (
            f'<img alt="{html.escape(self.alt, quote=True)}" width="{self.width}" '
            f'style="max-width:100%;height:auto" src="data:image/png;base64,{data}">'
        )
        return {"text/html": tag, "text/plain": f"[Figure: {self.alt}]"}

    def __repr__(self) -> str:
        return f"[Figure: {self.alt}]"


@functools.cache
def find_cjk_font() -> str | None:
    """Name of an installed font that has Chinese characters, or None.

    Fonts installed after matplotlib last looked are found too.
    """
    from matplotlib import font_manager

    known = {entry.name for entry in font_manager.fontManager.ttflist}
    if not any(name in known for name in _CJK_FONTS):
        # matplotlib keeps its list of fonts in a cache file, so a font that was installed yesterday is not in it.
        for path in font_manager.findSystemFonts():
            if any(part in path.lower().replace(" ", "") for part in _CJK_FILES):
                font_manager.fontManager.addfont(path)
        known = {entry.name for entry in font_manager.fontManager.ttflist}
    return next((name for name in _CJK_FONTS if name in known), None)


def printable(text: str) -> str:
    """`text` as the figures can draw it: unchanged where a CJK font is there, else with U+XXXX for such characters."""
    if find_cjk_font() is not None:
        return text
    return "".join(f"U+{ord(c):04X}" if _needs_cjk_font(c) else c for c in text)


def _needs_cjk_font(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def _style() -> dict[str, Any]:
    cjk = find_cjk_font()
    return {
        "font.family": ["DejaVu Sans", *([cjk] if cjk else [])],
        "font.size": 11,
        "axes.titlesize": 12,
        "axes.prop_cycle": _colour_cycle(),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "figure.facecolor": "white",
        "axes.facecolor": "white",
        "savefig.facecolor": "white",
        "legend.frameon": False,
        "lines.linewidth": 2,
    }


def _colour_cycle() -> Any:
    from cycler import cycler

    return cycler(color=COLOURS[:7])


def new_figure(width: float = 7.0, height: float = 3.6, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    """A figure in the style of the course, and its axes (one, or an array of rows x columns).

    Args:
        width, height: size in inches; 7 inches fill the width of a notebook.
        rows, columns: how many plots.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_style()):
        # Figure() instead of pyplot: pyplot would keep every figure, and show each a second time in a notebook.
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns)
    return figure, axes


def picture(figure: Figure, alt: str) -> Picture:
    """Turn a figure into a `Picture`.

    Args:
        alt: what the figure shows, in a sentence or two, for a reader who cannot see it.

    Raises:
        ValueError: the alternative text says nothing.
    """
    import matplotlib
    from matplotlib.text import Text
    from PIL import Image

    if len(alt.split()) < 4:
        raise ValueError(f"The alternative text {alt!r} says too little: describe in a sentence what the figure shows.")
    style = _style()
    for text in figure.findobj(Text):  # a text keeps the fonts of the moment it was made, in whatever style that was
        text.set_fontfamily(style["font.family"])
    raw = io.BytesIO()
    with matplotlib.rc_context(style):
        figure.savefig(raw, format="png", dpi=_DPI, metadata={"Software": None})
    # 256 colours are enough for a diagram and make the file a third of the size: notebooks stay small to clone.
    image = Image.open(raw).convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small = io.BytesIO()
    image.save(small, format="PNG", optimize=True)
    return Picture(small.getvalue(), alt, round(figure.get_figwidth() * 96))


def heatmap(
    values: Any,
    alt: str,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    title: str = "",
    row_title: str = "",
    column_title: str = "",
    limits: tuple[float, float] | None = None,
    numbers: str = "",
    colours: str = SEQUENTIAL,
) -> Picture:
    """One matrix as a heat map.

    Args:
        values: (rows, columns) numbers; a tensor or an array.
        rows, columns: labels, one a row and one a column; none, or all.
        limits: values of the two ends of the colour scale; by default the smallest and largest value.
        numbers: how each value is written into its cell, for example "{:.2f}"; empty for not at all.
    """
    import numpy as np

    matrix = np.asarray(values, dtype=float)
    height, width = matrix.shape
    cell = 0.5 if numbers else 0.36
    names = 0.1 * max((len(printable(r)) for r in rows), default=0)
    wide = max(1.2 + names + cell * width, 0.5 + 0.1 * len(printable(title)))
    figure, axes = new_figure(min(8.2, wide), min(7.0, 1.5 + 0.34 * height))
    mesh = _draw_matrix(axes, matrix, rows, columns, limits, colours)
    if numbers:
        low, high = mesh.get_clim()
        for i in range(height):
            for j in range(width):
                light = mesh.cmap((matrix[i, j] - low) / ((high - low) or 1.0))
                bright = 0.299 * light[0] + 0.587 * light[1] + 0.114 * light[2]
                axes.text(j, i, numbers.format(matrix[i, j]), ha="center", va="center", fontsize=9, color="white" if bright < 0.55 else INK)  # fmt: skip
    axes.set(ylabel=row_title, xlabel=column_title)
    figure.suptitle(printable(title), fontsize=12)  # over the whole figure: the matrix may be narrower than its title
    figure.colorbar(mesh, ax=axes, shrink=0.9)
    return picture(figure, alt)


def heatmaps(
    matrices: Sequence[Any],
    titles: Sequence[str],
    alt: str,
    labels: Sequence[str] = (),
    columns: int = 3,
    limits: tuple[float, float] = (0.0, 1.0),
) -> Picture:
    """Several square matrices over the same tokens, side by side, under one scale: attention heads, for example.

    Args:
        matrices: each (T, T); row = from which token, column = to which token.
        titles: one a matrix.
        labels: the T tokens.
    """
    import numpy as np

    count = len(matrices)
    rows = -(-count // columns)
    side = 7.6 / min(columns, count)
    figure, axes = new_figure(7.8, (side + 0.55) * rows, rows, min(columns, count))
    places = np.atleast_1d(axes)
    for index, place in enumerate(places.flat):
        if index >= count:
            place.set_visible(False)
            continue
        mesh = _draw_matrix(place, np.asarray(matrices[index], dtype=float), labels, labels, limits, SEQUENTIAL)
        place.set_title(printable(titles[index]), fontsize=11)
        place.tick_params(labelsize=8)
    figure.colorbar(mesh, ax=places, fraction=0.03, pad=0.02).outline.set_visible(False)
    return picture(figure, alt)


def _draw_matrix(
    axes: Axes, matrix: Any, rows: Sequence[str], columns: Sequence[str], limits: Any, colours: str
) -> Any:
    low, high = limits if limits is not None else (None, None)
    mesh = axes.imshow(matrix, cmap=colours, vmin=low, vmax=high, aspect="auto")
    if len(rows):
        axes.set_yticks(range(len(rows)), [printable(r) for r in rows])
    if len(columns):
        rotation = 0 if max(len(printable(c)) for c in columns) <= 2 else 90
        axes.set_xticks(range(len(columns)), [printable(c) for c in columns], rotation=rotation)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    return mesh


def lines(
    series: dict[str, Sequence[float]],
    alt: str,
    x: Sequence[float] | None = None,
    title: str = "",
    x_title: str = "",
    y_title: str = "",
    y_limits: tuple[float, float] | None = None,
) -> Picture:
    """Several curves over one axis, each marked by colour and by the form of its points."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = new_figure(7.0, 3.4)
    for (name, values), marker in zip(series.items(), "osD^vPX*" * (1 + len(series) // 8), strict=False):
        axes.plot(range(len(values)) if x is None else x, values, marker=marker, label=printable(name))
    axes.set(title=printable(title), xlabel=x_title, ylabel=y_title)
    if x is None or all(float(place).is_integer() for place in x):  # half an epoch or layer is no tick
        axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, steps=[1, 2, 5, 10]))
    if y_limits is not None:
        axes.set_ylim(*y_limits)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.grid(axis="y", alpha=0.3)
    return picture(figure, alt)


def bars(values: dict[str, float], alt: str, title: str = "", x_title: str = "", form: str = "{:,.0f}") -> Picture:
    """One horizontal bar a name, the value written at its end.

    Args:
        form: how a value is written, a format string.
    """
    figure, axes = new_figure(7.0, 0.8 + 0.36 * len(values))
    names = [printable(name) for name in values]
    drawn = axes.barh(names, list(values.values()), color=COLOURS[0])
    axes.bar_label(drawn, [form.format(v) for v in values.values()], padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set(title=printable(title), xlabel=x_title, xticks=[])  # each bar has its number
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return picture(figure, alt)


def points(
    values: dict[str, float],
    spans: dict[str, Sequence[tuple[float, float]]],
    alt: str,
    title: str = "",
    x_title: str = "",
    line: float | None = None,
) -> Picture:
    """One point a name, with its error bars; several kinds of them are told apart by thickness and colour.

    Args:
        values: name -> where its point stands.
        spans: kind of error bar -> (low, high) for each name, in the order of the names; the widest kind first.
        line: where a dashed vertical line stands, to compare with.

    Raises:
        ValueError: a kind with another number of bars than there are names.
    """
    figure, axes = new_figure(7.4, 1.2 + 0.33 * len(values))
    heights = range(len(values))
    for number, (kind, bars_of_kind) in enumerate(spans.items()):
        if len(bars_of_kind) != len(values):
            raise ValueError(f"spans has {len(bars_of_kind)} bars of '{kind}' for {len(values)} values; give one each.")
        low, high = zip(*bars_of_kind, strict=True)
        axes.hlines(heights, low, high, color=COLOURS[number], linewidth=1.6 + 4.4 * number, label=printable(kind))
    axes.plot(list(values.values()), heights, "o", color=INK, markersize=4)
    if line is not None:
        axes.axvline(line, color=INK, linestyle="--", linewidth=1, zorder=0)
    axes.set_yticks(heights, [printable(name) for name in values])
    axes.invert_yaxis()
    axes.set(title=printable(title), xlabel=x_title)
    axes.grid(axis="x", alpha=0.3)
    axes.tick_params(axis="y", length=0)
    if spans:
        figure.legend(loc="outside lower center", ncols=len(spans))
    return picture(figure, alt)


def scatters(
    panels: dict[str, Any], groups: Sequence[str], alt: str, marks: Sequence[str] = (), columns: int = 4
) -> Picture:
    """The same points in several small plots, for example one a layer.

    Args:
        panels: title -> (points, 2) coordinates.
        groups: one name a point; points of a group share colour and form.
        marks: a short text beside each point.
    """
    import numpy as np

    rows = -(-len(panels) // columns)
    figure, axes = new_figure(8.0, 2.25 * rows + 0.4, rows, columns)
    names = list(dict.fromkeys(groups))
    for place in np.atleast_1d(axes).flat[len(panels) :]:
        place.set_visible(False)
    for place, (title, points) in zip(np.atleast_1d(axes).flat, panels.items(), strict=False):
        for number, name in enumerate(names):
            chosen = np.asarray([g == name for g in groups])
            place.scatter(*np.asarray(points)[chosen].T, color=COLOURS[number], marker="osD^v"[number % 5], s=36, label=printable(name))  # fmt: skip
        for point, mark in zip(np.asarray(points), marks, strict=False):
            place.annotate(printable(mark), point, xytext=(4, 3), textcoords="offset points", fontsize=8)
        place.set_title(title, fontsize=11)
        place.set(xticks=[], yticks=[])
        place.margins(0.15)
    first = np.atleast_1d(axes).flat[0]
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=len(names))
    return picture(figure, alt)


@dataclass(frozen=True)
class Box:
    """A box of a diagram: its middle at column `x`, row `y` (down), its words, and the number of its colour."""

    x: float
    y: float
    text: str
    colour: int = 0
    width: float = 1.0


def diagram(
    boxes: dict[str, Box], arrows: Sequence[tuple[str, str] | tuple[str, str, str]], alt: str, scale: float = 1.0
) -> Picture:
    """Boxes and arrows: the picture for a structure.

    Args:
        boxes: name -> Box.
        arrows: (from, to) or (from, to, words beside the arrow), by the names of the boxes.
        scale: inches a row; a column is 2.1 of it.
    """
    from matplotlib.patches import FancyBboxPatch

    right = max(b.x + b.width / 2 for b in boxes.values())
    left = min(b.x - b.width / 2 for b in boxes.values())
    bottom, top = max(b.y for b in boxes.values()), min(b.y for b in boxes.values())
    figure, axes = new_figure(min(8.2, 2.1 * scale * (right - left) + 0.2), scale * (bottom - top + 1))
    for box in boxes.values():
        wide, high = box.width - 0.12, 0.62
        axes.add_patch(
            FancyBboxPatch(
                (box.x - wide / 2, box.y - high / 2), wide, high, boxstyle="round,pad=0,rounding_size=0.08",
                facecolor=SOFT_COLOURS[box.colour], edgecolor=COLOURS[box.colour], linewidth=1.5,
            )
        )  # fmt: skip
        axes.text(box.x, box.y, printable(box.text), ha="center", va="center", fontsize=9.5, linespacing=1.25)
    for start, end, *words in arrows:
        a, b = boxes[start], boxes[end]
        tail, head = _edge_points(a, b)
        axes.annotate("", head, tail, arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0})  # fmt: skip
        if words:
            across = abs(head[0] - tail[0]) > abs(head[1] - tail[1])
            axes.text(
                (tail[0] + head[0]) / 2 + (0 if across else 0.05), (tail[1] + head[1]) / 2 - (0.06 if across else 0),
                printable(words[0]), fontsize=8.5, ha="center" if across else "left", va="bottom" if across else "center",
            )  # fmt: skip
    axes.set(xlim=(left - 0.05, right + 0.05), ylim=(bottom + 0.5, top - 0.5))
    axes.axis("off")
    return picture(figure, alt)


def _edge_points(a: Box, b: Box) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where an arrow leaves box a and meets box b: at the sides when they stand side by side, else bottom and top."""
    if abs(a.x - b.x) > (a.width + b.width) / 2 - 0.12:
        sign = 1 if b.x > a.x else -1
        return (a.x + sign * (a.width / 2 - 0.06), a.y), (b.x - sign * (b.width / 2 - 0.06), b.y)
    sign = 1 if b.y > a.y else -1
    return (a.x, a.y + sign * 0.31), (b.x, b.y - sign * 0.31)


@dataclass(frozen=True)
class Table:
    """Rows and columns; the last value of a cell shows it. Numbers stand right, words left."""

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    right: Sequence[int] = ()  # columns that stand right with their header, such as numbers written as words

    def _repr_html_(self) -> str:
        def cells(tag: str, values: Sequence[Any]) -> str:
            sides = ["right" if place in self.right else _side(value) for place, value in enumerate(values)]
            return "".join(
                f'<{tag} style="text-align:{side}">{html.escape(_written(value))}</{tag}>'
                for side, value in zip(sides, values, strict=True)
            )

        body = "".join(f"<tr>{cells('td', row)}</tr>" for row in self.rows)
        return f"<table><thead><tr>{cells('th', self.header)}</tr></thead><tbody>{body}</tbody></table>"

    def __repr__(self) -> str:
        grid = [[_written(v) for v in row] for row in (self.header, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
        return "\n".join(
            "  ".join(
                v.rjust(w) if place in self.right else v.ljust(w)
                for place, (v, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in grid
        )


def _written(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _side(value: Any) -> str:
    return "right" if isinstance(value, (int, float)) else "left"
