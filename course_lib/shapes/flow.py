"""A drawing of a trace: the tensors as boxes to scale, one below the other, with the names of their axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from course_lib.shapes.dimensions import Shape

if TYPE_CHECKING:
    from course_lib.plots import Picture
    from course_lib.shapes.tracing import Row, Trace

_WIDEST = 2.6  # inches: the longest edge of the drawing
_SLANT = 0.42  # how much shorter an edge into the depth is drawn
_UNEVEN = 150  # from this ratio of the longest edge to the middle one on, edges are drawn as square roots


def draw(trace: Trace, depth: int | None, limit: int) -> Picture:
    """See `Trace.draw`."""
    from course_lib import plots

    rows, omitted = _chosen(trace, depth, limit)
    steps = [(_label(row, trace), _main(row.outputs) if row.finished else None, row.failed) for row in rows]
    start = _main(trace.rows[0].inputs) if trace.rows else None
    steps.insert(0, ("input", start, False))
    edges = [size for _, shape, _ in steps if shape for size in _solid(shape)[1]]
    middle = sorted(edges)[len(edges) // 2] if edges else 1
    root = bool(edges) and max(edges) > _UNEVEN * middle
    longest = max([e**0.5 if root else e for e in edges] or [1])
    boxes = [(text, shape, failed, _inches(shape, root, longest)) for text, shape, failed in steps]
    return _paint(plots, trace, boxes, root, omitted)


def _chosen(trace: Trace, depth: int | None, limit: int) -> tuple[list[Row], int]:
    def at(level: int) -> list[Row]:
        return [
            r for r in trace.rows if r.failed or (r.depth and (r.depth == level or (r.is_leaf and r.depth < level)))
        ]

    deepest = max((row.depth for row in trace.rows), default=0)
    if depth is None:
        fitting = [level for level in range(1, deepest + 1) if len(at(level)) <= limit]
        depth = fitting[-1] if fitting else 1
    rows = at(depth) or trace.rows[:1]
    if len(rows) <= limit:
        return rows, 0
    half = limit // 2
    return [*rows[:half], *rows[half - limit :]], len(rows) - limit


def _label(row: Row, trace: Trace) -> str:
    return f"{row.name or trace.title} · {row.layer}"


def _main(value: Any) -> Shape | None:
    """The tensor that stands for a structure: the first one."""
    if isinstance(value, Shape):
        return value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return next((found for item in inside if (found := _main(item)) is not None), None)


def _solid(shape: Shape) -> tuple[Shape, tuple[int, ...]]:
    """The part of a shape that is drawn, its last three dimensions without the batch, and their sizes."""
    pairs = list(zip(shape.names, shape, strict=True))
    if len(pairs) > 1 and (pairs[0][0] == "B" or len(pairs) > 3):
        pairs = pairs[1:]
    pairs = pairs[-3:]
    return Shape([s for _, s in pairs], [n for n, _ in pairs]), tuple(s for _, s in pairs)


def _inches(shape: Shape | None, root: bool, longest: float) -> tuple[float, float, float]:
    """Depth, height and width of the box."""
    if shape is None:
        return (0.0, 0.3, 1.0)
    sizes = [max((s**0.5 if root else s) / longest * _WIDEST, 0.03) for s in _solid(shape)[1]]
    deep, high, wide = [*[0.0, 0.03, 0.03][: 3 - len(sizes)], *sizes]
    return deep, high, wide


def _axis_labels(
    shape: Shape | None, x: float, base: float, slant: float, high: float, wide: float
) -> list[tuple[str, tuple[float, float, str, str]]]:
    """The names of the edges and where they stand: width below, height to the left, depth above."""
    if shape is None:
        return []
    part = _solid(shape)[0]
    words = [f"{name} {size}".strip() for name, size in zip(part.names, part, strict=True)][::-1]
    places = [
        (x + wide / 2, base - 0.03, "center", "top"),
        (x - 0.06, base + high / 2, "right", "center"),
        (x + wide + slant + 0.05, base + high + slant, "left", "center"),
    ]
    return list(zip(words, places, strict=False))


def _paint(plots: Any, trace: Trace, boxes: list, root: bool, omitted: int) -> Picture:
    from matplotlib.patches import Polygon

    left = 0.75  # room for the names of upright edges
    gap, text_at = 0.5, left + _WIDEST * (1 + _SLANT) + 0.35
    heights = [max(size[1] + size[0] * _SLANT, 0.34) for _, _, _, size in boxes]
    total = sum(heights) + gap * len(boxes) + 0.3
    width = 8.0
    figure, axes = plots.new_figure(width, total)
    y = -0.1
    for number, ((text, shape, failed, (deep, high, wide)), room) in enumerate(zip(boxes, heights, strict=True)):
        base = y - room / 2 - (high + deep * _SLANT) / 2
        x = left + (_WIDEST * (1 + _SLANT) - wide - deep * _SLANT) / 2
        colour = 1 if failed else 2 if number == 0 else 0
        edge, face = plots.COLOURS[colour], plots.SOFT_COLOURS[colour]
        slant = deep * _SLANT
        style = {"edgecolor": edge, "linewidth": 1.2, "closed": True, "linestyle": "--" if shape is None else "-"}
        axes.add_patch(Polygon([(x, base), (x + wide, base), (x + wide, base + high), (x, base + high)], facecolor=face, **style))  # fmt: skip
        if slant > 0.01:
            top = [(x, base + high), (x + wide, base + high), (x + wide + slant, base + high + slant), (x + slant, base + high + slant)]  # fmt: skip
            side = [(x + wide, base), (x + wide, base + high), (x + wide + slant, base + high + slant), (x + wide + slant, base + slant)]  # fmt: skip
            axes.add_patch(Polygon(top, facecolor=face, **style))
            axes.add_patch(Polygon(side, facecolor=face, **style))
        middle = y - room / 2
        text, _, kind = text.partition(" · ")
        title = plots.printable(text) + ("   ✗ FAILED" if failed else "")
        axes.text(text_at, middle + 0.02, title, fontsize=9.5, va="bottom", fontweight="bold" if failed else "normal")
        words = f"{kind}{' → ' if number else ''}{shape}" if shape is not None else f"{kind}: no output"
        for label, place in _axis_labels(shape, x, base, deep * _SLANT, high, wide):
            axes.text(*place[:2], plots.printable(label), fontsize=7, ha=place[2], va=place[3])
        axes.text(text_at, middle - 0.02, plots.printable(words), fontsize=8.2, va="top")
        if number + 1 < len(boxes):
            centre = left + _WIDEST * (1 + _SLANT) / 2
            axes.annotate("", (centre, y - room - gap + 0.06), (centre, y - room - 0.2), arrowprops={"arrowstyle": "-|>", "color": plots.INK, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0})  # fmt: skip
        y -= room + gap
    law = "the square root of their sizes" if root else "their sizes"
    note = f"Edges in proportion to {law}; the batch is not drawn." + (
        f" {omitted} layers left out." if omitted else ""
    )
    axes.text(0, y, note, fontsize=8.2, va="top")
    axes.set(xlim=(-0.05, width - 0.4), ylim=(y - 0.3, 0.05), aspect="equal")
    axes.axis("off")
    flow = "; ".join(f"{text} gives {shape}" if i else f"the input is {shape}" for i, (text, shape, _, _) in enumerate(boxes) if shape)  # fmt: skip
    end = next((f"; {text} fails" for text, _, failed, _ in boxes if failed), "")
    left = f"; {omitted} layers between are left out" if omitted else ""
    return plots.picture(figure, f"Tensors flowing through {trace.title}, one box each, {note.split(';')[0].lower()}: {flow}{end}{left}.")  # fmt: skip
