"""A picture of a network as SVG, with our own layout: it needs no program to be drawn, and none to be shown."""

from __future__ import annotations

import copy
import html
from collections.abc import Sequence

from course_lib.graphs.grouping import MASK
from course_lib.graphs.layered_layout import lay_out, move
from course_lib.graphs.picture_text import FONT, fitting, wide
from course_lib.graphs.scene import END, FOLD, Box, Edge, Scene, text_width
from course_lib.plots import COLOURS, INK, QUIET, SOFT_COLOURS

_MARGIN = 16.0  # pixels around the picture


def svg_text(scene: Scene, alt: str) -> str:
    """The SVG; `alt` says in words what is seen."""
    scene = copy.deepcopy(scene)
    lay_out(scene)
    width = max(scene.width, wide(scene.title) * 10.5, 340.0) + 2 * _MARGIN
    move(scene, (width - scene.width) / 2, _MARGIN + 34)
    y = scene.height + _MARGIN + 34 + 30
    parts = [_text(width / 2, _MARGIN + 10, scene.title, 15, "bold", whole=True)]
    parts += _scene_parts(scene)
    for line in _wrapped(scene.notes, width - 2 * _MARGIN):
        parts.append(_text(width / 2, y, line, 11, colour=QUIET, whole=True))
        y += 16
    return _frame(alt, scene.title, width, y, "".join(parts))


def _frame(alt: str, title: str, width: float, height: float, content: str) -> str:
    heads = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{colour}"/></marker>'
        for name, colour in (("full", COLOURS[0]), ("thin", QUIET))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title about" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" font-family="{FONT}" font-size="12">'
        f'<title id="title">{escaped(title)}</title><desc id="about">{escaped(alt)}</desc><defs>{heads}</defs>'
        f'<rect class="page" width="100%" height="100%" fill="white"/>{content}</svg>\n'
    )


def _scene_parts(scene: Scene, ground: str = "white") -> list[str]:
    # Boxes with something inside lie under the arrows inside them, and labels over the arrows they belong to.
    parts = [_box_svg(box) for box in scene.boxes]
    parts += [_edge_svg(scene, edge) for edge in scene.edges]
    parts += [_label_svg(edge, ground) for edge in scene.edges if edge.place]
    for box in scene.boxes:
        if box.inner:
            parts += _scene_parts(box.inner, box_look(box)[0])
    return parts


def box_look(box: Box) -> tuple[str, str, float]:
    """Fill, line and roundness."""
    if box.kind == END:
        return SOFT_COLOURS[2], COLOURS[2], 12
    if box.kind == MASK:
        return SOFT_COLOURS[6], QUIET, 5
    if box.kind == FOLD and box.inner:
        return "#F4F9FC", COLOURS[0], 8
    return SOFT_COLOURS[0] if box.weights else "white", COLOURS[0], 5


def _box_svg(box: Box) -> str:
    fill, stroke, round_ = box_look(box)
    left = box.x - box.width / 2
    parts = [f"<title>{escaped('; '.join([box.title, *box.lines]))}</title>"]
    if box.kind == FOLD:  # a second edge behind it: there are more of these
        parts.append(
            f'<path d="M{left + 8:.1f},{box.y - 4:.1f} H{left + box.width + 4:.1f} V{box.y + box.height - 8:.1f}" '
            f'fill="none" stroke="{stroke}" stroke-width="1.4"/>'
        )
    parts.append(
        f'<rect x="{left:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="{round_}" '
        f'fill="{fill}" stroke="{stroke}" stroke-width="1.4"/>'
    )
    parts.append(_text(box.x, box.y + (17 if box.lines or box.kind != END else 16), box.title, 12, "normal" if box.kind == END else "bold"))  # fmt: skip
    parts += [_text(box.x, box.y + 32 + 15 * n, line, 11) for n, line in enumerate(box.lines)]
    return f'<g class="{box.kind}" data-name="{escaped(box.title)}">{"".join(parts)}</g>'


def _edge_svg(scene: Scene, edge: Edge) -> str:
    (x, y), rest = edge.points[0], edge.points[1:]
    path = f"M{x:.1f},{y:.1f}"
    for number, (x2, y2) in enumerate(rest):
        if number % 2 == 0 or abs(x2 - x) < 0.5:  # within a row
            path += f" L{x2:.1f},{y2:.1f}" if (x2, y2) != (x, y) else ""
        else:
            path += f" C{x:.1f},{(y + y2) / 2:.1f} {x2:.1f},{(y + y2) / 2:.1f} {x2:.1f},{y2:.1f}"
        x, y = x2, y2
    names = scene.boxes[edge.start].title, scene.boxes[edge.end].title
    told = f"{names[0]} to {names[1]}" + (f": {', '.join(edge.shapes[:6])}" if edge.shapes else "")
    look = f'stroke="{QUIET}" stroke-width="1.3" stroke-dasharray="5 4" marker-end="url(#thin)"' if edge.dashed else f'stroke="{COLOURS[0]}" stroke-width="1.6" marker-end="url(#full)"'  # fmt: skip
    return (
        f'<path class="edge" data-from="{escaped(names[0])}" data-to="{escaped(names[1])}" d="{path}" fill="none" '
        f"{look}><title>{escaped(told)}</title></path>"
    )


def _label_svg(edge: Edge, ground: str) -> str:
    x, y = edge.place
    width = text_width(edge.label, 11)
    back = f'<rect x="{x - width / 2:.1f}" y="{y - 8:.1f}" width="{width:.1f}" height="16" fill="{ground}"/>'  # fmt: skip
    return f'<g class="label">{back}{_text(x, y + 4, edge.label, 11, whole=True)}</g>'


def _text(x: float, y: float, words: str, size: int, weight: str = "normal", colour: str = INK, whole: bool = False) -> str:  # fmt: skip
    bold = ' font-weight="bold"' if weight == "bold" else ""
    shown = words if whole else fitting(words)
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" font-size="{size}"{bold} fill="{colour}">{escaped(shown)}</text>'  # fmt: skip


def _wrapped(sentences: Sequence[str], width: float) -> list[str]:
    lines: list[str] = []
    for word in " ".join(sentences).split():
        if lines and wide(f"{lines[-1]} {word}") * 6.6 <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def escaped(text: str) -> str:
    """For XML, which has no place for control characters, escaped or not."""
    return html.escape("".join(c if c.isprintable() else " " for c in text), quote=True)
