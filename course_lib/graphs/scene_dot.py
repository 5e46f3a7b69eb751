"""A picture of a network in Graphviz's language, and as SVG drawn by Graphviz."""

from __future__ import annotations

import re

from course_lib.graphs.graphviz import run_dot
from course_lib.graphs.picture_text import dot_quoted
from course_lib.graphs.scene import END, Edge, Scene
from course_lib.graphs.scene_svg import box_look, escaped
from course_lib.plots import COLOURS, QUIET


def dot_text(scene: Scene) -> str:
    """The text; boxes with something inside are clusters."""
    lines = [
        "digraph model {",
        f'  rankdir=TB; bgcolor="white"; fontname="DejaVu Sans"; fontsize=13; labelloc=t; label={dot_quoted(scene.title)};',
        '  node [shape=box, style="rounded,filled", fontname="DejaVu Sans", fontsize=12];',
        '  edge [fontname="DejaVu Sans", fontsize=11];',
        *_dot_lines(scene, "n"),
    ]
    return "\n".join([*lines, "}"]) + "\n"


def _dot_lines(scene: Scene, prefix: str) -> list[str]:
    lines = []
    for number, box in enumerate(scene.boxes):
        fill, stroke, _ = box_look(box)
        label = dot_quoted("\n".join([box.title, *box.lines])).replace("\n", "\\n")
        if box.inner:
            lines.append(f'  subgraph cluster_{prefix}{number} {{ label={label}; style="rounded,filled"; fillcolor="{fill}"; color="{stroke}";')  # fmt: skip
            lines += ["  " + line for line in _dot_lines(box.inner, f"{prefix}{number}_")]
            lines.append("  }")
        else:
            lines.append(f'  {prefix}{number} [label={label}, fillcolor="{fill}", color="{stroke}"];')
    for edge in scene.edges:
        start, end = _dot_end(scene, prefix, edge, True), _dot_end(scene, prefix, edge, False)
        look = f'style=dashed, color="{QUIET}"' if edge.dashed else f'color="{COLOURS[0]}"'
        lines.append(f"  {start} -> {end} [label={dot_quoted(edge.label)}, {look}];")
    return lines


def _dot_end(scene: Scene, prefix: str, edge: Edge, start: bool) -> str:
    """A box's name for Graphviz; an arrow to a box with something inside goes to the end piece there."""
    number = edge.start if start else edge.end
    inner = scene.boxes[number].inner
    if inner is None:
        return f"{prefix}{number}"
    wanted = "out" if start else "mask" if edge.dashed else "in"
    ends = [n for n, box in enumerate(inner.boxes) if box.kind == END]
    # Layers that work on constants alone have no end pieces.
    other = ends[0] if ends else len(inner.boxes) - 1 if start else 0
    place = next((n for n in ends if inner.boxes[n].title == wanted), other)
    return f"{prefix}{number}_{place}"


def svg_by_dot(scene: Scene, alt: str) -> str:
    """The SVG that Graphviz draws; `alt` says in words what is seen.

    Raises:
        SetupError: Graphviz is not there, or fails.
    """
    named = f"<title>{escaped(scene.title)}</title><desc>{escaped(alt)}</desc>"
    return re.sub(
        r"<svg([^>]*)>", lambda found: f'<svg role="img"{found[1]}>{named}', run_dot(dot_text(scene)), count=1
    )
