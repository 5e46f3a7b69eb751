"""What a picture of a network consists of: boxes, which may hold a picture themselves, and arrows between them.

`scene_building` makes a scene, `layered_layout` gives everything in it a place, `scene_svg` and `scene_dot` draw it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from course_lib.graphs.dataflow import CONTENT, DATA
from course_lib.graphs.picture_text import fitting, wide

END, FOLD = "end", "fold"  # kinds of boxes besides those of groups: an end piece, and layers that repeat


@dataclass
class Box:
    """A box of the picture, or an end piece: where something comes from that is not drawn, or goes to."""

    kind: str
    title: str
    lines: list[str] = field(default_factory=list)
    weights: bool = False
    inner: Scene | None = None
    out: bool = False  # an end piece at which something comes out
    x: float = 0.0  # of its middle
    y: float = 0.0  # of its upper edge
    row: int = 0

    @property
    def width(self) -> float:
        """Pixels that its texts need, or the picture inside."""
        texts = [text_width(self.title, 12, self.kind != END), *(text_width(line, 11) for line in self.lines)]
        own = max(texts) + (32 if self.kind == END else 24)
        return max(own, self.inner.width + 20) if self.inner else max(own, 76.0)

    @property
    def head(self) -> float:
        """Pixels from the upper edge to the end of its texts."""
        return 26.0 + 15 * len(self.lines) if self.kind != END else 24.0

    @property
    def height(self) -> float:
        """Pixels that its texts need, and the picture inside."""
        return self.head + (self.inner.height + 16 if self.inner else 0)


@dataclass
class Edge:
    """An arrow between two boxes, by their numbers, with the values that go along it."""

    start: int
    end: int
    values: list[tuple[str, str]] = field(default_factory=list)  # (kind, shape in words)
    points: list[tuple[float, float]] = field(default_factory=list)
    place: tuple[float, float] | None = None  # of the middle of its label

    @property
    def shapes(self) -> list[str]:
        """The shapes of its values, those of data first."""
        return list(dict.fromkeys(shape for _, shape in sorted(self.values, key=lambda v: v[0] != DATA) if shape))

    @property
    def label(self) -> str:
        """What stands beside it."""
        shapes = self.shapes
        return fitting(shapes[0]) + (f" + {len(shapes) - 1} more" if len(shapes) > 1 else "") if shapes else ""

    @property
    def dashed(self) -> bool:
        """Whether nothing but ids and masks goes along it."""
        return all(kind == CONTENT for kind, _ in self.values)


@dataclass
class Scene:
    """Boxes and arrows, and what is said about them."""

    boxes: list[Box]
    edges: list[Edge]
    title: str = ""
    notes: list[str] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Pixels that a text needs at most."""
    return wide(fitting(text)) * size * (0.68 if bold else 0.6)
