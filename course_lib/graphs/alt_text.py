"""A picture of a network in words, for those who do not see it."""

from __future__ import annotations

from course_lib.graphs.grouping import BLOCK, OPERATION, PIECE
from course_lib.graphs.scene import END, Box, Scene

_MOST = 25  # boxes that are named


def alt_text(scene: Scene) -> str:
    """What is seen, in sentences: what goes in, the boxes in order, what comes out."""
    labels = {edge.end if scene.boxes[edge.end].out else edge.start: edge.label for edge in scene.edges}
    ends = [(box, f"{box.title} {labels.get(n, '')}".strip()) for n, box in enumerate(scene.boxes) if box.kind == END]
    first, last = ([said for box, said in ends if box.out == out] for out in (False, True))
    blocks = [_told(box) for box in scene.boxes if box.kind != END]
    said = [f"Picture of {scene.title}, from top to bottom"]
    said += [f"Goes in: {', '.join(first)}"] if first else []
    order = f"{len(blocks)} box{'' if len(blocks) == 1 else 'es'} in order: {', '.join(blocks[:_MOST])}"
    said += [order] if blocks else []
    said[-1] += f", and {len(blocks) - _MOST} more" if len(blocks) > _MOST else ""
    said += [f"Comes out: {', '.join(last)}"] if last else []
    return ". ".join(said) + ". " + " ".join(scene.notes)


def _told(box: Box) -> str:
    kind = f" ({box.lines[0]})" if box.lines and box.kind in (BLOCK, OPERATION, PIECE) else ""
    inside = [b.title for b in box.inner.boxes if b.kind != END] if box.inner else []
    return box.title + kind + (f" (each with {', '.join(inside)})" if inside else "")
