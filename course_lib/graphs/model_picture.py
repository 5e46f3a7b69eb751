"""A network as a picture that lasts: its modules as boxes, the tensors between them as arrows with their shapes.

An ONNX file that torch.onnx.export wrote says for each operation in which module it happened. The operations are put
together by these modules, at a level at which a few boxes tell the story, and an arrow is drawn where a tensor really
goes from one box to another, so that residual connections show. Layers that repeat are one box, with one of them inside.

The way of a network through this package:

    onnx_dataflow, traced_dataflow    a file, or a module that is called -> `dataflow`: operations and values
    grouping, scene_building          operations -> groups -> `scene`: boxes and arrows
    layered_layout                    where they stand
    scene_svg, scene_dot, alt_text    SVG, Graphviz's language, words
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.graphs.alt_text import alt_text
from course_lib.graphs.dataflow import DataflowGraph, known_block
from course_lib.graphs.onnx_dataflow import from_onnx
from course_lib.graphs.onnx_files import read_onnx
from course_lib.graphs.picture_text import image_tag
from course_lib.graphs.scene_building import build_scene
from course_lib.graphs.scene_dot import dot_text, svg_by_dot
from course_lib.graphs.scene_svg import svg_text
from course_lib.graphs.traced_dataflow import from_calls


@dataclass(frozen=True)
class ModelPicture:
    """A drawing of a network; the last value of a cell shows it.

    `svg` needs no program and no network to be shown, `alt` says in words what is seen, and `dot_text` is the same
    graph in Graphviz's language.
    """

    svg: str
    alt: str
    dot_text: str

    def save(self, path: str | os.PathLike) -> Path:
        """Write the SVG; the file appears under its name when it is whole.

        Args:
            path: the file to write, in a folder that exists.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        path = Path(path)
        if not path.parent.is_dir():
            raise FileNotFoundError(f"There is no folder {path.parent}: make it first, or give another place.")
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".picture") as folder:
            written = Path(folder) / "picture.svg"
            written.write_text(self.svg, encoding="utf-8", newline="\n")
            written.replace(path)
        return path

    def _repr_html_(self) -> str:
        return image_tag(self.svg, self.alt)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"[Figure: {self.alt}]"


def model_picture(
    source: Any,
    example: Mapping[str, Any] | None = None,
    *,
    block: str | None = None,
    depth: int | None = None,
    dot: bool = False,
) -> ModelPicture:
    """Draw a network: an ONNX file with its true data flow, or a module in the order of its calls.

    Args:
        source: an .onnx file, an `onnx.ModelProto`, or an nn.Module.
        example: the inputs of an nn.Module by name; an ONNX file needs none.
        block: a module by its dotted name; its operations are drawn instead of the whole network.
        depth: how many levels of modules are opened; by default as many as give a few boxes. With `block`, the modules
            inside it are drawn instead of its operations.
        dot: let Graphviz draw, instead of our own layout.

    Raises:
        DataError: not an ONNX file, or one that is missing or damaged.
        ValueError: an nn.Module without an example or one that fails with it, a block that does not exist, a depth
            below 1.
        TypeError: a source of another kind.
        SetupError: `dot` is asked for, and Graphviz is not there or fails.
    """
    if depth is not None and depth < 1:
        raise ValueError(f"depth={depth}: it counts the levels of modules that are drawn, from 1.")
    graph = _graph_of(source, example)
    scene = build_scene(graph, None if block is None else known_block(graph, block), depth)
    alt = alt_text(scene)
    return ModelPicture(svg_by_dot(scene, alt) if dot else svg_text(scene, alt), alt, dot_text(scene))


def _graph_of(source: Any, example: Mapping[str, Any] | None) -> DataflowGraph:
    import onnx
    from torch import nn

    if isinstance(source, nn.Module):
        return from_calls(source, example)
    if isinstance(source, onnx.ModelProto):
        return from_onnx(source, source.graph.name or "ONNX model")
    if isinstance(source, str | os.PathLike):
        return from_onnx(read_onnx(Path(source)), Path(source).stem)
    raise TypeError(
        f"graphs.picture was given a {type(source).__name__}; it takes an .onnx file, an onnx.ModelProto or an nn.Module."
    )
