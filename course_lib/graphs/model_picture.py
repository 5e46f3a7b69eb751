"""A network as a picture that lasts: its modules as boxes, the tensors between them as arrows with their shapes.

An ONNX file that torch.onnx.export wrote says for each operation in which module it happened. The operations are put
together by these modules, at a level at which a few boxes tell the story, and an arrow is drawn where a tensor really
goes from one box to another, so that residual connections show. Layers that repeat are one box, with one of them inside.

Not every value is worth an arrow. Four kinds are told apart, by where a value comes from:

    data       what weights or real numbers went into: drawn as full lines
    content    made of the ids or masks that were given, without any weight: dashed lines
    shape      known from the sizes of the inputs alone (the target of a Reshape, positions): not drawn
    weight     weights and constants: not drawn

The layout is that of Sugiyama et al. (1981): layers by longest path, places for the lines that pass a layer, a few sweeps
against crossings. A label is a place of its own between two layers, so it can cover neither a box nor another label.
"""

from __future__ import annotations

import ast
import base64
import copy
import difflib
import html
import itertools
import math
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from course_lib.errors import DataError
from course_lib.graphs.call_pictures import _FONT, _LONGEST, _count, _cut, _quoted, _wide, run_dot
from course_lib.graphs.onnx_files import SCOPES, read_onnx
from course_lib.plots import COLOURS, INK, SOFT_COLOURS

_DATA, _CONTENT, _SHAPE, _WEIGHT, _CONSTANT = "data", "content", "shape", "weight", "constant"
_DRAWN = (_DATA, _CONTENT)
_BLOCK, _PIECE, _MASK, _OPERATION, _END, _FOLD = "block", "piece", "mask", "operation", "end", "fold"
_ENOUGH, _MANY, _MOST = 4, 20, 60  # boxes: below the first a module is opened, above the last the rest is left out
_MOST_ENDS = 20  # inputs, and outputs
_QUIET = "#5F5F5F"
_MARGIN, _BESIDE, _LABEL = 16.0, 22.0, 17.0  # pixels: around the picture, between boxes, the height of a label
_CLASSES = "pkg.torch.onnx.class_hierarchy"
_NO_MODULE = "_empty_nn_module_stack"  # how torch calls the place of an operation that belongs to no module
_MINOR = {"Reshape", "Transpose", "Unsqueeze", "Squeeze", "Cast", "Identity", "Expand", "Slice", "Pad", "Flatten"}
_PLAIN = {
    "Add", "Mul", "Sub", "Div", "Where", "Concat", "Gather", "Max", "Min", "Pow", "Sqrt", "IsNaN", "QuantizeLinear",
    "DequantizeLinear", "DynamicQuantizeLinear",
}  # fmt: skip
_MASK_KEY = (_MASK, "")


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
        # An image of its own, because JupyterLab's cleaner would take apart an SVG that stands in the page.
        data = base64.b64encode(self.svg.encode("utf-8")).decode("ascii")
        alt = html.escape(self.alt, quote=True)
        return f'<img alt="{alt}" style="max-width:100%;height:auto" src="data:image/svg+xml;base64,{data}">'

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
    block = None if block is None else _known_block(graph, block)
    scene = _picture_scene(graph, block, depth)
    alt, text = _in_words(scene), _dot_text(scene)
    return ModelPicture(_by_dot(text, scene, alt) if dot else _svg(scene, alt), alt, text)


# ----------------------------------------------------------------------------------------------------- what is drawn


@dataclass(frozen=True)
class _Node:
    """An operation, or a call of a layer that has no layers inside."""

    operation: str
    path: str  # of its module, dotted; "" for the model itself
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: bool = False  # whether it has numbers of its own
    kind: str = _DATA


@dataclass
class _Graph:
    """A network as operations, in an order in which each comes after what it needs."""

    title: str
    nodes: list[_Node]
    inputs: list[str]
    outputs: list[str]
    shapes: dict[str, str]  # value -> its shape in words
    kinds: dict[str, str]
    classes: dict[str, str] = field(default_factory=dict)  # path of a module -> its class
    ends: dict[tuple[str, str], str] = field(default_factory=dict)  # (value, module that gives it) -> shape
    by_calls: bool = False  # the arrows follow the order of the calls
    named: bool = True  # the operations know their modules

    def __post_init__(self) -> None:
        self.maker = {value: number for number, node in enumerate(self.nodes) for value in node.outputs}
        self.users: dict[str, list[int]] = {}
        for number, node in enumerate(self.nodes):
            for value in node.inputs:
                self.users.setdefault(value, []).append(number)


def _graph_of(source: Any, example: Mapping[str, Any] | None) -> _Graph:
    import onnx
    from torch import nn

    if isinstance(source, nn.Module):
        return _from_calls(source, example)
    if isinstance(source, onnx.ModelProto):
        return _from_onnx(source, source.graph.name or "ONNX model")
    if isinstance(source, str | os.PathLike):
        return _from_onnx(read_onnx(Path(source)), Path(source).stem)
    raise TypeError(
        f"model_picture was given a {type(source).__name__}; it takes an .onnx file, an onnx.ModelProto or an nn.Module."
    )


def _known_block(graph: _Graph, block: str) -> str:
    if not graph.named:
        raise ValueError(f"block={block!r}: this file does not say which module an operation belongs to; leave block out.")  # fmt: skip
    known = sorted({"".join(p) for node in graph.nodes for p in itertools.accumulate(re.split(r"(?=\.)", node.path))})
    known = [path for path in known if path]
    for name in (block, block.removeprefix("model.")):
        if name in known:
            return name
    # A short name says enough to be found: "attention" is close to "encoder.layer.0.attention".
    close = difflib.get_close_matches(block, known, 4, 0.5)
    close += [p for p in known if p.endswith("." + block)][:3]
    hint = f"; close ones: {', '.join(dict.fromkeys(close))}" if close else f"; there are {', '.join(known[:6])} ..."
    raise ValueError(f"There is no block {block!r} in this model{hint}.")


# ---------------------------------------------------------------------------------------------------------- ONNX files


def _from_onnx(model: Any, name: str) -> _Graph:
    initial = {tensor.name: _kind_of_constant(tensor) for tensor in model.graph.initializer}
    numbers = {t.name for t in model.graph.initializer if t.data_type not in _index_types() and sum(t.dims) > 1}
    inputs = [value for value in model.graph.input if value.name not in initial]
    kinds = initial | {v.name: _DATA if v.type.tensor_type.elem_type in _real_types() else _CONTENT for v in inputs}
    raw = _sorted(model.graph.node, set(kinds), name)
    scopes = [_scope(node) for node in raw]
    named = any(path is not None for path, _ in scopes)
    nodes = []
    for node, path in zip(raw, _paths(raw, [path for path, _ in scopes]), strict=True):
        kind = _kind(node, kinds)
        kinds |= dict.fromkeys(node.output, kind)
        used = tuple(_used(node))
        nodes.append(_Node(node.op_type, path, used, tuple(o for o in node.output if o), any(u in numbers for u in used), kind))  # fmt: skip
    classes = {path: cls for _, found in scopes for path, cls in found.items()}
    nodes, classes = _without_wrapper(nodes, classes)
    title = classes.get("") or name
    outputs = [value.name for value in model.graph.output]
    return _Graph(title, nodes, [v.name for v in inputs], outputs, _shapes(model), kinds, classes, named=named)


def _real_types() -> set[int]:
    from onnx import TensorProto as T

    return {T.FLOAT, T.DOUBLE, T.FLOAT16, T.BFLOAT16}


def _index_types() -> set[int]:
    """Types of ids, sizes and masks; a quantised weight has a smaller one."""
    from onnx import TensorProto as T

    return {T.INT64, T.INT32, T.BOOL, T.STRING}


def _kind_of_constant(tensor: Any) -> str:
    return _WEIGHT if len(tensor.dims) >= 2 and tensor.data_type not in _index_types() else _CONSTANT


def _kind(node: Any, kinds: Mapping[str, str]) -> str:
    """The kind of what an operation gives; see the head of this file."""
    if node.op_type == "Constant":
        held = [attribute.t for attribute in node.attribute if attribute.HasField("t")]
        return _kind_of_constant(held[0]) if held else _CONSTANT
    come = {kinds.get(name, _DATA) for name in _used(node)}
    if come <= {_WEIGHT, _CONSTANT}:
        return _WEIGHT if _WEIGHT in come else _CONSTANT
    if node.op_type in ("Shape", "Size"):
        return _SHAPE
    if come & {_DATA, _WEIGHT}:
        return _DATA
    return _CONTENT if _CONTENT in come else _SHAPE


def _used(node: Any) -> Iterator[str]:
    """What an operation reads, graphs inside it included."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            own = {t.name for t in inner.initializer} | {v.name for v in inner.input}
            own |= {name for n in inner.node for name in n.output}
            yield from (name for n in inner.node for name in _used(n) if name not in own)
            yield from (v.name for v in inner.output if v.name not in own)


def _sorted(nodes: Iterable[Any], known: set[str], name: str) -> list[Any]:
    """The order in which each node comes after what it needs; files keep it, hand-made graphs do not always."""
    waiting, done = list(nodes), []
    given = {output for node in waiting for output in node.output}
    while waiting:
        ready, later = [], []
        for node in waiting:
            if all(value in known or value not in given for value in _used(node)):
                known |= set(node.output)
                ready.append(node)
            else:
                later.append(node)
        if not ready:
            raise DataError(f"{name} is not a valid ONNX model: its operations go round in a circle.")
        done, waiting = done + ready, later
    return done


def _scope(node: Any) -> tuple[str | None, dict[str, str]]:
    """The module of an operation, None where the file does not say; and the classes of all modules around it."""
    properties = {entry.key: entry.value for entry in node.metadata_props}
    try:
        scopes = list(ast.literal_eval(properties.get(SCOPES, "[]")))[:-1]  # the last one is the operation itself
        classes = list(ast.literal_eval(properties.get(_CLASSES, "[]")))[:-1]
    except (ValueError, SyntaxError, TypeError):
        return None, {}
    if not scopes or not all(isinstance(s, str) for s in scopes) or scopes[0].startswith(_NO_MODULE):
        return None, {}
    return scopes[-1], {path: str(cls).rpartition(".")[2] for path, cls in zip(scopes, classes, strict=False)}


def _paths(nodes: Sequence[Any], said: Sequence[str | None]) -> list[str]:
    """A module for each operation; where the file does not say it, the one that all users of its results share."""
    paths = list(said)
    users: dict[str, list[int]] = {}
    for number, node in enumerate(nodes):
        for value in _used(node):
            users.setdefault(value, []).append(number)
    for number in reversed(range(len(nodes))):
        if paths[number] is None:
            of_users = [paths[user] or "" for value in nodes[number].output for user in users.get(value, [])]
            paths[number] = _shared(of_users)
    return [path or "" for path in paths]


def _shared(paths: Sequence[str]) -> str:
    if not paths:
        return ""
    parts = zip(*(path.split(".") for path in paths), strict=False)
    return ".".join(p[0] for p in itertools.takewhile(lambda p: len(set(p)) == 1, parts))


def _without_wrapper(nodes: list[_Node], classes: dict[str, str]) -> tuple[list[_Node], dict[str, str]]:
    """Names without the attribute in which a wrapper around the whole model keeps it."""
    first = {node.path.split(".")[0] for node in nodes if node.path}
    wrapper = min(first, default="")
    steps = {node.path.split(".")[1] for node in nodes if "." in node.path}
    # A list of layers, and a chain of them, are no wrappers: what follows there is a number.
    if len(first) != 1 or not steps or wrapper not in classes or any(step.isdecimal() for step in steps):
        return nodes, classes

    def inside(path: str) -> str:
        return path.removeprefix(wrapper).removeprefix(".")

    shorter = [replace(node, path=inside(node.path)) for node in nodes]
    return shorter, {inside(path): cls for path, cls in classes.items() if path == wrapper or path.startswith(f"{wrapper}.")}  # fmt: skip


def _shapes(model: Any) -> dict[str, str]:
    """Shape of each value as far as the file, or the rules of the operations, tell it."""
    told = {v.name: v for v in (*model.graph.value_info, *model.graph.input, *model.graph.output)}
    wanted = {name for node in model.graph.node for name in node.output if name}
    found = {name: _shape_words(value) for name, value in told.items()}
    if any("?" in found.get(name, "?") or not found[name] for name in wanted):
        names = {part for words in found.values() for part in re.findall(r"[^\W\d]\w*", words)}
        for value in _inferred(model):
            # The inference makes up names for sizes that it does not know; we do not.
            known = _shape_words(value, names)
            if known and (not found.get(value.name) or known.count("?") < found[value.name].count("?")):
                found[value.name] = known
    return found


def _inferred(model: Any) -> list[Any]:
    import onnx

    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    light.graph.name = "shapes"
    for part in ("node", "input", "output", "value_info"):
        getattr(light.graph, part).extend(getattr(model.graph, part))
    given = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:  # large weights come without their numbers: their sizes are enough
        if tensor.data_location != tensor.EXTERNAL and sum(tensor.dims) < 64:
            light.graph.initializer.append(tensor)
        elif tensor.name not in given:
            light.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    try:
        done = onnx.shape_inference.infer_shapes(light, data_prop=True)
    except Exception:  # its own error type, a RuntimeError or a ValueError: a picture without some shapes is still one
        return []
    return [*done.graph.value_info, *done.graph.output]


def _shape_words(value: Any, names: set[str] | None = None) -> str:
    """The sizes of a value, "?" for one that is unknown or whose name is not among `names`."""
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return ""
    sizes = [_size_word(d, names) for d in kind.shape.dim]
    if not sizes:
        return "one number"
    return "" if all(size == "?" for size in sizes) else f"({', '.join(sizes)})"


def _size_word(size: Any, names: set[str] | None) -> str:
    if size.dim_param:
        # Tools that inferred shapes before us left such names in the file.
        made_up = re.fullmatch(r"unk__\d+", size.dim_param) or (names is not None and size.dim_param not in names)
        return "?" if made_up else size.dim_param
    return str(size.dim_value) if size.HasField("dim_value") else "?"


# ------------------------------------------------------------------------------------------------------------- calls


def _from_calls(model: Any, example: Mapping[str, Any] | None) -> _Graph:
    from course_lib.shapes import trace

    if not isinstance(example, Mapping) or not example:
        raise ValueError(
            "An nn.Module is drawn by calling it: give its inputs by name as well, model_picture(model, {'input_ids': ids})."
        )
    traced = trace(model, **example)
    if traced.error is not None:
        where = traced.failed.name if traced.failed is not None else ""
        raise ValueError(f"The model fails with this example{f' in {where}' if where else ''}: {traced.error}")
    rows = traced.rows
    leaves = [row for row in rows if row.is_leaf]
    place = {id(leaf): number for number, leaf in enumerate(leaves)}
    ends = {}
    for number, row in enumerate(rows):
        inside = itertools.takewhile(lambda r, depth=row.depth: r.depth > depth, rows[number + 1 :])
        last = [row, *inside]
        leaf = next(r for r in reversed(last) if r.is_leaf)
        ends[_call_value(place[id(leaf)]), row.name] = _words_of(row.outputs, "" if row.name else " + {} more")
    nodes, before = [], tuple(example)
    for number, row in enumerate(leaves):
        nodes.append(_Node(row.layer, row.name, before, (_call_value(number),), bool(row.parameters or row.shared)))
        before = (_call_value(number),)
    given = {name: f"({', '.join(map(str, value.shape))})" for name, value in example.items() if hasattr(value, "shape")}  # fmt: skip
    shapes = given | {value: words for (value, path), words in ends.items() if path == leaves[_number(value)].name}
    kinds = dict.fromkeys([*example, *shapes], _DATA)
    classes = {row.name: row.layer for row in rows}
    return _Graph(traced.title, nodes, list(example), list(before), shapes, kinds, classes, ends, by_calls=True)


def _call_value(number: int) -> str:
    return f"output of call {number}"


def _number(value: str) -> int:
    return int(value.rpartition(" ")[2])


def _words_of(outputs: Any, more: str = "") -> str:
    """The shape of a layer's first tensor, as the first one is what goes on; `more` says how many others there are."""
    shapes = [f"({', '.join(map(str, shape))})" for shape in _shapes_in(outputs)]
    return shapes[0] + (more.format(len(shapes) - 1) if len(shapes) > 1 else "") if shapes else ""


def _shapes_in(outputs: Any) -> Iterator[tuple[int, ...]]:
    from course_lib.shapes.dimensions import Shape

    if isinstance(outputs, Shape):
        yield outputs
    elif isinstance(outputs, Mapping | tuple | list):
        for value in outputs.values() if isinstance(outputs, Mapping) else outputs:
            yield from _shapes_in(value)


# ------------------------------------------------------------------------------------------- from operations to boxes


@dataclass
class _Box:
    """A box of the picture, or an end piece."""

    kind: str
    title: str
    lines: list[str] = field(default_factory=list)
    weights: bool = False
    inner: _Scene | None = None
    out: bool = False  # an end piece at which something comes out
    x: float = 0.0  # of its middle
    y: float = 0.0  # of its upper edge
    row: int = 0

    @property
    def width(self) -> float:
        texts = [_long(self.title, 12, self.kind != _END), *(_long(line, 11) for line in self.lines)]
        own = max(texts) + (32 if self.kind == _END else 24)
        return max(own, self.inner.width + 20) if self.inner else max(own, 76.0)

    @property
    def head(self) -> float:
        return 26.0 + 15 * len(self.lines) if self.kind != _END else 24.0

    @property
    def height(self) -> float:
        return self.head + (self.inner.height + 16 if self.inner else 0)


@dataclass
class _Edge:
    """An arrow between two boxes, by their numbers, with the values that go along it."""

    start: int
    end: int
    values: list[tuple[str, str]] = field(default_factory=list)  # (kind, shape in words)
    points: list[tuple[float, float]] = field(default_factory=list)
    place: tuple[float, float] | None = None  # of the middle of its label

    @property
    def shapes(self) -> list[str]:
        return list(dict.fromkeys(shape for _, shape in sorted(self.values, key=lambda v: v[0] != _DATA) if shape))

    @property
    def label(self) -> str:
        shapes = self.shapes
        return _fitting(shapes[0]) + (f" + {len(shapes) - 1} more" if len(shapes) > 1 else "") if shapes else ""

    @property
    def dashed(self) -> bool:
        return all(kind == _CONTENT for kind, _ in self.values)


@dataclass
class _Scene:
    """Boxes and arrows, and what is said about them."""

    boxes: list[_Box]
    edges: list[_Edge]
    title: str = ""
    notes: list[str] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


def _long(text: str, size: float, bold: bool = False) -> float:
    """Pixels that a text needs at most."""
    return _wide(_fitting(text)) * size * (0.68 if bold else 0.6)


def _fitting(text: str) -> str:
    return text if _wide(text) <= _LONGEST else _cut(text)


_Key = tuple[str, Hashable]  # kind of the box, and the module or operation it stands for


def _picture_scene(graph: _Graph, block: str | None, depth: int | None) -> _Scene:
    root = block or ""
    members = [number for number, node in enumerate(graph.nodes) if _within(node.path, root) and node.kind in _DRAWN]
    if not members and any(_within(node.path, root) for node in graph.nodes):
        return _picture_scene(_all_drawn(graph), block, depth)  # nothing but work on sizes and weights: still a graph
    operations = not graph.named or (block is not None and depth is None)
    hidden = sum(n.kind == _SHAPE for n in graph.nodes if _within(n.path, root)) if operations else 0
    if operations:
        scene = _operations(graph, root, members)
    else:
        opened = _to_depth(graph, members, root, depth) if depth else _opened(graph, members, root)
        scene = _build(graph, root, members, lambda number: _key(graph.nodes[number], opened, root), bool(root))
    scene.title = f"{block} ({graph.classes[block]})" if graph.classes.get(root) and block else block or graph.title
    if block:
        scene.title += f" of {graph.title}"
    scene.notes[:0] = _legend(graph, scene, operations)
    if hidden:
        scene.notes.append(f"{_count(hidden, 'operation')} on shapes not drawn.")
    return scene


def _all_drawn(graph: _Graph) -> _Graph:
    nodes = [replace(node, kind=_CONTENT) for node in graph.nodes]
    return replace(graph, nodes=nodes, kinds=graph.kinds | {o: _CONTENT for node in nodes for o in node.outputs})


def _within(path: str, root: str) -> bool:
    return not root or path == root or path.startswith(root + ".")


def _legend(graph: _Graph, scene: _Scene, operations: bool) -> list[str]:
    what = "operation" if operations and not graph.by_calls else "module"
    said = [f"Each box is {'an' if what == 'operation' else 'a'} {what}; blue ones have weights."]
    said.append(
        "The arrows follow the order of the calls." if graph.by_calls else "Arrows are tensors, with their shapes."
    )
    if any(edge.dashed for edge in _all_edges(scene)):
        said.append("Dashed: ids and masks.")
    return said


def _all_edges(scene: _Scene) -> Iterator[_Edge]:
    yield from scene.edges
    for box in scene.boxes:
        if box.inner:
            yield from _all_edges(box.inner)


def _operations(graph: _Graph, root: str, members: list[int]) -> _Scene:
    shown = members[:_MOST]
    scene = _build(graph, root, shown, lambda number: (_OPERATION, number), bool(root))
    if len(members) > len(shown):
        scene.notes.append(_left_out(len(members) - len(shown), "operation"))
    return scene


def _left_out(number: int, noun: str) -> str:
    return f"Left out: {_count(number, noun)}; the picture shows the first {_MOST}."


def _components(path: str, root: str = "") -> list[str]:
    """The steps from a module down to another; one in a list is one step: encoder, layer.0, attention."""
    return re.findall(r"[^.\d][^.]*\.\d+(?=\.|$)|[^.]+", _relative(path, root))


def _key(node: _Node, opened: frozenset[str], root: str) -> _Key:
    """The box of an operation: the first module on the way down that is not opened."""
    path = root
    for step in _components(node.path, root):
        if path not in opened:
            break
        path = f"{path}.{step}" if path else step
    if path not in opened:
        return _BLOCK, path
    # An operation that stands in an opened module itself, and in none of its modules.
    return (_PIECE, path) if node.kind != _CONTENT else _MASK_KEY


def _to_depth(graph: _Graph, members: Sequence[int], root: str, depth: int) -> frozenset[str]:
    opened = {root}
    for number in members:
        steps = _components(graph.nodes[number].path, root)[: depth - 1]
        opened |= {".".join(filter(None, [root, *steps[: k + 1]])) for k in range(len(steps))}
    return frozenset(opened)


def _opened(graph: _Graph, members: Sequence[int], root: str) -> frozenset[str]:
    """Modules to look into, so that neither three boxes nor thirty are drawn."""
    opened = frozenset([root])
    while True:
        tried = sorted(_closed(graph, members, opened, root).items(), key=lambda item: (-item[1][0], item[0]))
        now = _size(graph, members, opened, root)
        for path, (_, plain) in tried:
            more = opened | {path}
            if plain or (now < _ENOUGH and _size(graph, members, more, root) <= _MANY):
                opened = more
                break
        else:
            return opened


def _closed(graph: _Graph, members: Sequence[int], opened: frozenset[str], root: str) -> dict[str, tuple[int, bool]]:
    """Modules that can be opened: how many operations each has, and whether it is a mere list of others."""
    below: dict[str, list[str]] = {}
    for number in members:
        kind, path = _key(graph.nodes[number], opened, root)
        if kind == _BLOCK:
            rest = _components(graph.nodes[number].path, str(path))
            below.setdefault(str(path), []).append(rest[0] if rest else "")
    found = {}
    for path, steps in below.items():
        stems = {re.sub(r"\.\d+$", "", step) for step in steps}
        if stems != {""}:
            found[path] = (len(steps), len(stems) == 1 and len(set(steps)) > 1)
    return found


def _size(graph: _Graph, members: Sequence[int], opened: frozenset[str], root: str) -> int:
    """How many boxes there would be; one for repeated layers counts as three, as it shows their parts."""
    groups, edges = _groups(graph, members, lambda number: _key(graph.nodes[number], opened, root))
    runs = _runs(graph, groups, edges)
    return sum(3 if len(run) > 1 else 1 for run in runs if groups[run[0]].key != _MASK_KEY)


# ------------------------------------------------------------------------------------------------ groups and repeats


@dataclass
class _Group:
    key: _Key
    members: list[int] = field(default_factory=list)


def _groups(
    graph: _Graph, members: Sequence[int], key_of: Callable[[int], _Key]
) -> tuple[list[_Group], dict[int, set[int]]]:
    """Operations by their keys, and which group gives something to which.

    A module that is left and entered again becomes two groups: with one, the arrows would go round in a circle.
    """
    groups: list[_Group] = []
    after: dict[int, set[int]] = {}
    latest: dict[_Key, int] = {}
    home: dict[int, int] = {}
    for number in members:
        key = key_of(number)
        before = {home[m] for v in graph.nodes[number].inputs if (m := graph.maker.get(v)) in home}
        place = latest.get(key)
        if place is None or _reaches(after, place, before - {place}):
            place = latest[key] = len(groups)
            groups.append(_Group(key))
            after[place] = set()
        groups[place].members.append(number)
        home[number] = place
        for other in before - {place}:
            after[other].add(place)
    return groups, after


def _reaches(after: Mapping[int, set[int]], start: int, ends: set[int]) -> bool:
    seen, waiting = {start}, [start]
    while waiting and ends:
        for following in after[waiting.pop()]:
            if following in ends:
                return True
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return False


def _runs(graph: _Graph, groups: Sequence[_Group], after: Mapping[int, set[int]]) -> list[list[int]]:
    """The groups, those that repeat each other together: layer.0, layer.1 ..., each feeding the next."""
    runs: list[list[int]] = []
    place: dict[str, int] = {}
    seen = Counter(group.key for group in groups)
    in_run: dict[int, list[int]] = {}
    for number, group in enumerate(groups):
        if group.key[0] == _BLOCK and seen[group.key] == 1:
            place[str(group.key[1])] = number
    for number, group in enumerate(groups):
        before = place.get(_one_before(str(group.key[1])) or "") if group.key[0] == _BLOCK else None
        run = in_run.get(before) if before is not None and seen[group.key] == 1 else None
        if run and number in after[before] and _signature(graph, groups[before]) == _signature(graph, group):
            run.append(number)
        else:
            run = [number]
            runs.append(run)
        in_run[number] = run
    return [piece for run in runs for piece in _without_detours(run, after)]


def _without_detours(run: list[int], after: Mapping[int, set[int]]) -> list[list[int]]:
    """A run, or its groups one by one where something outside stands between two of them."""
    outside = {other for number in run for other in after[number]} - set(run)
    return [[n] for n in run] if any(_reaches(after, other, set(run)) for other in outside) else [run]


def _one_before(path: str) -> str | None:
    found = re.fullmatch(r"(.*?)([.@]?)(\d+)", path)
    if not found or not int(found[3]):
        return None
    if found[2] == "@" and found[3] == "1":  # torch's name for the second call of one module
        return found[1]
    return f"{found[1]}{found[2]}{int(found[3]) - 1}" if found[2] or not found[1] else None


def _signature(graph: _Graph, group: _Group) -> Counter:
    nodes = [graph.nodes[n] for n in group.members if graph.nodes[n].kind == _DATA]
    return Counter((n.operation, tuple(graph.shapes.get(o, "") for o in n.outputs)) for n in nodes)


# ---------------------------------------------------------------------------------------------------- boxes and ends


def _build(
    graph: _Graph, root: str, members: Sequence[int], key_of: Callable[[int], _Key], ends: bool, inside: bool = False
) -> _Scene:
    """The scene of some operations: `ends` for neighbours as end pieces, `inside` for a layer inside a box."""
    groups, after = _groups(graph, members, key_of)
    runs = _runs(graph, groups, after)
    shown = runs[:_MOST]
    notes = [_left_out(len(runs) - len(shown), "block")] if len(runs) > len(shown) else []
    times: Counter = Counter()
    boxes, home = [], {}
    for place, run in enumerate(shown):
        key = groups[run[0]].key
        times[key] += 1
        boxes.append(_box(graph, root, [groups[n] for n in run], times[key], inside))
        home |= {member: place for n in run for member in groups[n].members}
    joined = _Joined(boxes)
    for number in home:
        _join(graph, root, number, home, joined, "inside" if inside else "neighbours" if ends else "whole")
    order = {id(box): n for n, box in enumerate(boxes)}
    edges = [_Edge(order[a], order[b], values) for (a, b), values in joined.edges.items()]
    if not (ends or inside):
        _add_idle_ends(graph, joined)
    return _Scene(boxes, edges, notes=notes)


@dataclass
class _Joined:
    """Arrows so far, by the boxes they join, and the end pieces by their names."""

    boxes: list[_Box]
    edges: dict[tuple[int, int], list[tuple[str, str]]] = field(default_factory=dict)
    pieces: dict[tuple[str, str], _Box] = field(default_factory=dict)

    def end(self, side: str, name: str) -> _Box:
        if (side, name) not in self.pieces:
            self.pieces[side, name] = _Box(_END, name, out=side == "out")
            self.boxes.append(self.pieces[side, name])
        return self.pieces[side, name]

    def add(self, start: _Box, end: _Box, kind: str, shape: str) -> None:
        values = self.edges.setdefault((id(start), id(end)), [])
        if (kind, shape) not in values:
            values.append((kind, shape))


def _join(graph: _Graph, root: str, number: int, home: Mapping[int, int], joined: _Joined, mode: str) -> None:
    """Arrows into one operation, and out of it to an end piece."""
    node, boxes = graph.nodes[number], joined.boxes
    here = boxes[home[number]]
    for value in node.inputs:
        maker = graph.maker.get(value)
        if maker in home:
            if boxes[home[maker]] is not here and graph.kinds.get(value) in _DRAWN:
                joined.add(boxes[home[maker]], here, graph.kinds[value], _shape_on(graph, value, root))
        elif (name := _comes_from(graph, root, value, mode)) is not None:
            kind = _DATA if value in graph.inputs else graph.kinds.get(value, _DATA)  # what was given is no by-product
            joined.add(joined.end("in", name), here, kind, _shape_on(graph, value, root))
    for value in node.outputs:
        if graph.kinds.get(value) in (_WEIGHT, _CONSTANT, _SHAPE) and value not in graph.outputs:
            continue
        for name in _goes_to(graph, root, value, home, mode):
            joined.add(here, joined.end("out", name), graph.kinds.get(value, _DATA), _shape_on(graph, value, root))


def _shape_on(graph: _Graph, value: str, root: str) -> str:
    """A shape; in the order of calls, that of the outermost module that ends with this call."""
    if graph.by_calls and value not in graph.inputs:
        paths = [path for v, path in graph.ends if v == value and _within(path, root) and (path or value in graph.outputs)]  # fmt: skip
        return graph.ends[value, min(paths, key=len)] if paths else graph.shapes.get(value, "")
    return graph.shapes.get(value, "")


def _comes_from(graph: _Graph, root: str, value: str, mode: str) -> str | None:
    """The name of the end piece that a value comes from; None where it is none of those that are drawn."""
    kind = graph.kinds.get(value, _DATA)
    if kind not in _DRAWN:
        return None
    if mode == "inside":
        return "in" if kind == _DATA else "mask"
    if value in graph.inputs:
        names = graph.inputs[:_MOST_ENDS]
        return value if value in names else f"{len(graph.inputs) - _MOST_ENDS} more inputs"
    if mode == "whole" or value not in graph.maker:
        return None
    return "from " + _neighbour(graph, root, graph.nodes[graph.maker[value]])


def _goes_to(graph: _Graph, root: str, value: str, home: Mapping[int, int], mode: str) -> list[str]:
    users = [n for n in graph.users.get(value, []) if n not in home and graph.nodes[n].kind in _DRAWN]
    outside = [n for n in users if not _within(graph.nodes[n].path, root)]
    if mode == "inside":
        # A mask that the first layer makes for all of them is nothing that comes out of each.
        return ["out"] if graph.kinds.get(value) == _DATA and (outside or value in graph.outputs) else []
    names = []
    if value in graph.outputs:
        first = graph.outputs[:_MOST_ENDS]
        names = [_output_name(graph, value) if value in first else f"{len(graph.outputs) - _MOST_ENDS} more outputs"]
    if mode == "neighbours":
        places = list(dict.fromkeys(_neighbour(graph, root, graph.nodes[n]) for n in outside))
        if len(places) > 3:
            places = [f"{places[0]} and {len(places) - 1} more"]
        names += ["to " + place for place in places]
    return names


def _output_name(graph: _Graph, value: str) -> str:
    if graph.by_calls:
        return "output"
    return value if value not in graph.inputs else f"{value} (output)"


def _neighbour(graph: _Graph, root: str, node: _Node) -> str:
    """The module beside `root` that an operation is in, as far up as the two are still different."""
    name, own = "", _components(root)
    for place, step in enumerate(_components(node.path)):
        name = f"{name}.{step}" if name else step
        if place >= len(own) or own[place] != step:
            return name
    return name or ("mask and shapes" if node.kind == _CONTENT else graph.title)


def _add_idle_ends(graph: _Graph, joined: _Joined) -> None:
    """Inputs and outputs that no arrow reaches are shown all the same."""
    for side, names in (("in", graph.inputs), ("out", graph.outputs)):
        for name in names[:_MOST_ENDS]:
            joined.end(side, name if side == "in" else _output_name(graph, name))


def _box(graph: _Graph, root: str, run: Sequence[_Group], time: int, inside: bool) -> _Box:
    group = run[0]
    kind, path = group.key
    nodes = [graph.nodes[n] for g in run for n in g.members]
    weights = any(node.weights for node in nodes)
    if kind == _OPERATION:
        module = _relative(nodes[0].path, root)
        return _Box(kind, nodes[0].operation, [module] if module and module != nodes[0].operation else [], weights)
    if kind == _MASK:
        return _Box(kind, "mask and shapes", ["work on ids and masks"])
    if kind == _PIECE:
        place = _relative(str(path), root) or str(path) or graph.title
        told = _summary(nodes)
        return _Box(kind, told, [f"in {_end_of(place, _LONGEST - 3)}"] if told != place else [], weights)
    name = _relative(str(path), root) or str(path) or graph.title
    if len(run) > 1:
        repeated = f" to {_components(str(run[-1].key[1]))[-1]}, × {len(run)}"
        box = _Box(
            _FOLD, _end_of(name, _LONGEST - _wide(repeated)) + repeated, [graph.classes.get(str(path), "")], weights
        )
        box.inner = None if inside else _inner(graph, str(path), group)
    else:
        again = f", call {time}" if time > 1 else ""
        box = _Box(_BLOCK, _end_of(name, _LONGEST - len(again)) + again, [graph.classes.get(str(path), "")], weights)
    box.lines = [line for line in box.lines if line]
    if box.inner is None and (told := _summary(nodes[: len(group.members)])) not in box.lines:
        box.lines.append(told)
    elif box.inner is not None:
        box.lines[-1:] = [f"{line}; one of them:" for line in box.lines[-1:]]
    return box


def _end_of(name: str, room: float) -> str:
    """A dotted name that fits: its end tells more than its beginning."""
    if _wide(name) <= room:
        return name
    rest = name
    while "." in rest and _wide(rest) > room - 1:
        rest = rest.partition(".")[2]
    while _wide(rest) > max(room, 8) - 1:
        rest = rest[1:]
    return "…" + rest


def _relative(path: str, root: str) -> str:
    return path.removeprefix(root).removeprefix(".") if _within(path, root) else path


def _inner(graph: _Graph, path: str, group: _Group) -> _Scene | None:
    opened = _opened(graph, group.members, path)
    scene = _build(graph, path, group.members, lambda number: _key(graph.nodes[number], opened, path), False, True)
    return scene if 1 < sum(box.kind != _END for box in scene.boxes) <= 12 else None


def _summary(nodes: Sequence[_Node]) -> str:
    """The operations of a box in a few words, the telling ones first."""
    counts = Counter(node.operation for node in nodes if node.kind == _DATA) or Counter(n.operation for n in nodes)
    told = {name: count for name, count in counts.items() if name not in _MINOR} or dict(counts)
    told = dict(sorted(told.items(), key=lambda item: (item[0] in _PLAIN, item[0] != "Softmax")))
    said = [name + (f" × {count}" if count > 1 else "") for name, count in told.items()]
    text, short = said[0], False
    for word in said[1:]:
        if _wide(f"{text}, {word}, …") <= _LONGEST:
            text += ", " + word
        else:
            short = True
    return text + (", …" if short else "")


# ----------------------------------------------------------------------------------------------------------- layout


@dataclass
class _Cell:
    """A place in a row of the layout: a box, a label, or the point where a long arrow passes."""

    row: int
    width: float
    height: float
    box: _Box | None = None
    passing: bool = False  # of an arrow that passes rows
    x: float = 0.0
    y: float = 0.0
    before: list[_Cell] = field(default_factory=list)
    after: list[_Cell] = field(default_factory=list)


def _lay_out(scene: _Scene) -> None:
    """Give every box, label and arrow of a scene its place, those inside boxes first."""
    for box in scene.boxes:
        if box.inner:
            _lay_out(box.inner)
    _set_rows(scene)
    cells = {id(box): _Cell(2 * box.row, box.width, box.height, box) for box in scene.boxes}
    chains = [_chain(scene, edge, cells) for edge in scene.edges]
    rows: list[list[_Cell]] = [[] for _ in range(1 + max((2 * box.row for box in scene.boxes), default=0))]
    for cell in _by_first_use(cells, chains):
        rows[cell.row].append(cell)
    rows = _fewest_crossings(rows)
    _set_across(rows)
    _straighten(rows)
    left = min((cell.x - cell.width / 2 for row in rows for cell in row), default=0.0)
    for cell in itertools.chain(*rows):
        cell.x -= left
    scene.width = max((cell.x + cell.width / 2 for row in rows for cell in row), default=0.0)
    ports = _ports(scene, cells, chains)
    scene.height = _set_down(rows, chains, ports)
    for cell in cells.values():
        cell.box.x, cell.box.y = cell.x, cell.y
    for edge, chain, (start, end) in zip(scene.edges, chains, ports, strict=True):
        _set_points(edge, chain, start, end, rows)
    for box in scene.boxes:
        if box.inner:
            _move(box.inner, box.x - box.inner.width / 2, box.y + box.head + 8)


def _set_rows(scene: _Scene) -> None:
    """Each box one row below all that it needs; what needs nothing, just above what needs it."""
    after: dict[int, list[int]] = {number: [] for number in range(len(scene.boxes))}
    before: dict[int, list[int]] = {number: [] for number in range(len(scene.boxes))}
    for edge in scene.edges:
        after[edge.start].append(edge.end)
        before[edge.end].append(edge.start)
    waiting, missing = [n for n in after if not before[n]], {n: len(before[n]) for n in before}
    for number in waiting:
        for following in after[number]:
            scene.boxes[following].row = max(scene.boxes[following].row, scene.boxes[number].row + 1)
            missing[following] -= 1
            if not missing[following]:
                waiting.append(following)
    for number, box in enumerate(scene.boxes):
        if not before[number] and after[number]:
            box.row = min(scene.boxes[n].row for n in after[number]) - 1
        elif not before[number] and box.out:  # what leads there is left out
            box.row = max(b.row for b in scene.boxes)


def _chain(scene: _Scene, edge: _Edge, cells: Mapping[int, _Cell]) -> list[_Cell]:
    """The cells that an arrow goes through, from box to box; the first between them carries its label."""
    start, end = cells[id(scene.boxes[edge.start])], cells[id(scene.boxes[edge.end])]
    chain = [start]
    for row in range(start.row + 1, end.row):
        labelled = row == start.row + 1 and edge.label
        width, height = (_long(edge.label, 11) + 6, _LABEL) if labelled else (10.0, 0.0)
        chain.append(_Cell(row, width, height, passing=end.row - start.row > 2))
    chain.append(end)
    for one, other in itertools.pairwise(chain):
        one.after.append(other)
        other.before.append(one)
    return chain


def _by_first_use(cells: Mapping[int, _Cell], chains: Sequence[Sequence[_Cell]]) -> list[_Cell]:
    return list({id(cell): cell for cell in itertools.chain(cells.values(), *chains)}.values())


def _fewest_crossings(rows: list[list[_Cell]]) -> list[list[_Cell]]:
    """Each row by the middle of its neighbours, down and up in turn; the best order of all is kept."""
    best, fewest = [list(row) for row in rows], _crossings(rows)
    for sweep in range(12):
        down = sweep % 2 == 0
        for row in rows if down else rows[::-1]:
            rank = {id(cell): place for r in rows for place, cell in enumerate(r)}

            def middle(cell: _Cell, rank: dict[int, int] = rank, down: bool = down) -> float:
                beside = [rank[id(n)] for n in (cell.before if down else cell.after)]
                return sum(beside) / len(beside) if beside else rank[id(cell)]

            if sweep % 4 > 1:
                row.reverse()  # ties the other way round: the sort keeps the order of equals
            row.sort(key=middle)
        if (now := _crossings(rows)) < fewest:
            best, fewest = [list(row) for row in rows], now
    _swap(best)
    return best


def _swap(rows: Sequence[list[_Cell]]) -> None:
    """Change places of neighbours as long as that takes crossings away: the middles alone leave ties."""
    for _ in range(6):
        changed = False
        for number, row in enumerate(rows):
            beside = [rows[n] for n in (number - 1, number, number + 1) if 0 <= n < len(rows)]
            for place in range(len(row) - 1):
                before = _crossings(beside)
                row[place], row[place + 1] = row[place + 1], row[place]
                if _crossings(beside) < before:
                    changed = True
                else:
                    row[place], row[place + 1] = row[place + 1], row[place]
        if not changed:
            return


def _crossings(rows: Sequence[Sequence[_Cell]]) -> int:
    count = 0
    for row, below in itertools.pairwise(rows):
        rank = {id(cell): place for place, cell in enumerate(below)}
        ends = [(place, rank[id(n)]) for place, cell in enumerate(row) for n in cell.after]
        count += sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for a, b in itertools.combinations(ends, 2))
    return count


def _set_across(rows: Sequence[Sequence[_Cell]]) -> None:
    """Every cell as near to the middle of its neighbours as the cells beside it allow."""
    for row in rows:
        _settle(row, [0.0] * len(row))
    for sweep in range(24):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            near = [cell.before if sweep % 2 == 0 else cell.after for cell in row]
            if sweep >= 20:  # at the end both sides count, so that nothing hangs to the left of what it feeds
                near = [[*cell.before, *cell.after] for cell in row]
            _settle(row, [_pull(cell, n) for cell, n in zip(row, near, strict=True)])


def _pull(cell: _Cell, near: Sequence[_Cell]) -> float:
    """Where the neighbours would have a cell; long arrows pull harder, to be straight."""
    if not near:
        return cell.x
    weights = [4.0 if n.box is None and cell.box is None else 1.0 for n in near]
    return sum(w * n.x for w, n in zip(weights, near, strict=True)) / sum(weights)


def _settle(row: Sequence[_Cell], wanted: Sequence[float]) -> None:
    """The places nearest to the wanted ones without overlap (pool adjacent violators, by least squares)."""
    offsets = [0.0]
    for one, other in itertools.pairwise(row):
        offsets.append(offsets[-1] + _apart(one, other))
    pools: list[tuple[float, float, int]] = []  # mean, weight, cells
    for cell, want, offset in zip(row, wanted, offsets, strict=False):
        mean, weight, count = want - offset, 3.0 if cell.box is None else 2.0, 1
        while pools and pools[-1][0] > mean:
            other, heavy, many = pools.pop()
            mean, weight, count = (mean * weight + other * heavy) / (weight + heavy), weight + heavy, count + many
        pools.append((mean, weight, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    for cell, mean, offset in zip(row, means, offsets, strict=False):
        cell.x = mean + offset


def _straighten(rows: Sequence[Sequence[_Cell]]) -> None:
    """Cells that follow each other without a branch come to stand in one upright line (after Brandes and Köpf, 2002)."""
    line = _lines(rows)
    beside: dict[int, list[tuple[int, float]]] = {n: [] for n in set(line.values())}  # to the right, and how far
    left: dict[int, list[tuple[int, float]]] = {n: [] for n in beside}
    for row in rows:
        for one, other in itertools.pairwise(row):
            beside[line[id(one)]].append((line[id(other)], _apart(one, other)))
            left[line[id(other)]].append((line[id(one)], _apart(one, other)))
    cells: dict[int, list[_Cell]] = {n: [] for n in beside}
    for cell in itertools.chain(*rows):
        cells[line[id(cell)]].append(cell)
    order = _from_the_left(beside, left)
    wanted = {n: sum(c.x for c in of) / len(of) for n, of in cells.items()}
    low, high = dict(wanted), dict(wanted)
    for n in order:
        low[n] = max([wanted[n], *(low[m] + gap for m, gap in left[n])])
    for n in reversed(order):
        high[n] = min([wanted[n], *(high[m] - gap for m, gap in beside[n])])
    x = {n: (low[n] + high[n]) / 2 for n in order}  # both keep all distances, so their middle does
    for _ in range(30):
        for n in order:
            near = [line[id(o)] for c in cells[n] for o in (*c.before, *c.after) if line[id(o)] != n]
            least = max((x[m] + gap for m, gap in left[n]), default=-math.inf)
            most = min((x[m] - gap for m, gap in beside[n]), default=math.inf)
            alone = least if left[n] else most if beside[n] else x[n]
            want = sum(x[m] for m in near) / len(near) if near else alone
            x[n] = min(max(want, least), most) if least <= most else x[n]
    for n, of in cells.items():
        for cell in of:
            cell.x = x[n]


def _apart(one: _Cell, other: _Cell) -> float:
    gap = _BESIDE if one.box is not None or other.box is not None else 12.0
    return (one.width + other.width) / 2 + gap


def _lines(rows: Sequence[Sequence[_Cell]]) -> dict[int, int]:
    """For each cell the number of the upright line it stands in; two lines never cross."""
    line = {id(cell): number for number, cell in enumerate(itertools.chain(*rows))}
    for row, below in itertools.pairwise(rows):
        rank = {id(cell): place for place, cell in enumerate(below)}
        links = [(place, rank[id(n)], cell, n) for place, cell in enumerate(row) for n in cell.after]
        links.sort(key=lambda link: _rank_of(link[2], link[3]))
        taken: list[tuple[int, int]] = []
        for place, under, cell, following in links:
            if all((place - a) * (under - b) > 0 for a, b in taken):
                taken.append((place, under))
                line[id(following)] = line[id(cell)]
    return line


def _rank_of(cell: _Cell, following: _Cell) -> tuple[bool, bool, float]:
    """What is made straight first: long arrows within themselves, then the way from box to box, its middle first."""
    inner = cell.box is None and following.box is None
    aside = _from_middle(cell.after, following) + _from_middle(following.before, cell)
    return not inner, cell.passing or following.passing, aside


def _from_middle(cells: Sequence[_Cell], cell: _Cell) -> float:
    return abs(sorted(cells, key=lambda c: c.x).index(cell) - (len(cells) - 1) / 2)


def _from_the_left(beside: Mapping[int, list[tuple[int, float]]], left: Mapping[int, list]) -> list[int]:
    missing = {n: len(found) for n, found in left.items()}
    order = [n for n in sorted(missing) if not missing[n]]
    for n in order:
        for following, _ in beside[n]:
            missing[following] -= 1
            if not missing[following]:
                order.append(following)
    return order


def _ports(scene: _Scene, cells: Mapping[int, _Cell], chains: Sequence[Sequence[_Cell]]) -> list[tuple[float, float]]:
    """Where each arrow leaves its box and reaches the next: straight above or below where it goes on, if it can."""
    found = [[0.0, 0.0] for _ in chains]
    for cell in cells.values():
        for side in (0, 1):
            mine = [n for n, chain in enumerate(chains) if chain[-side] is cell]
            mine.sort(key=lambda n, side=side: (chains[n][-2 if side else 1].x, n))
            room = cell.width - 28
            step = min(18.0, room / max(1, len(mine) - 1))
            wanted = [chains[n][-2 if side else 1].x for n in mine]
            if len(mine) == 1 and abs(wanted[0] - cell.x) > room / 2:
                wanted = [cell.x]  # an arrow that has to bend anyhow looks best in the middle
            # Each in its own part of the edge, so that they stay side by side and inside.
            for place, (number, want) in enumerate(zip(mine, wanted, strict=True)):
                low = cell.x - room / 2 + step * place
                high = cell.x + room / 2 - step * (len(mine) - 1 - place)
                if place:
                    low = max(low, found[mine[place - 1]][side] + step)
                found[number][side] = min(max(want, low), high)
    return [(start, end) for start, end in found]


def _set_down(rows: Sequence[Sequence[_Cell]], chains: Sequence[Sequence[_Cell]], ports: Sequence[tuple[float, float]]) -> float:  # fmt: skip
    """The height of each row, with more room where an arrow goes far to a side."""
    far = [0.0] * len(rows)
    for chain, (start, end) in zip(chains, ports, strict=True):
        across = [start, *(cell.x for cell in chain[1:-1]), end]
        for cell, (one, other) in zip(chain, itertools.pairwise(across), strict=False):
            far[cell.row] = max(far[cell.row], abs(one - other))
    y = 0.0
    for number, row in enumerate(rows):
        high = max((cell.height for cell in row), default=0.0)
        for cell in row:
            cell.y = y + (high - cell.height) / 2
        y += high
        if number < len(rows) - 1:
            y += (9.0 if number % 2 == 0 else 15.0) + min(22.0, far[number] * 0.1)
    return y


def _set_points(edge: _Edge, chain: Sequence[_Cell], start: float, end: float, rows: Sequence[Sequence[_Cell]]) -> None:  # fmt: skip
    """The corners of an arrow: straight down within rows, a curve from one row to the next."""

    def limits(row: int) -> tuple[float, float]:
        return min(c.y for c in rows[row]), max(c.y + c.height for c in rows[row])

    first, last = chain[0], chain[-1]
    edge.points = [(start, first.y + first.height), (start, limits(first.row)[1])]
    for cell in chain[1:-1]:
        top, bottom = limits(cell.row)
        edge.points += [(cell.x, top), (cell.x, bottom)]
    edge.points += [(end, limits(last.row)[0]), (end, last.y)]
    if edge.label:
        edge.place = (chain[1].x, chain[1].y + chain[1].height / 2)


def _move(scene: _Scene, right: float, down: float) -> None:
    for box in scene.boxes:
        box.x, box.y = box.x + right, box.y + down
        if box.inner:
            _move(box.inner, right, down)
    for edge in scene.edges:
        edge.points = [(x + right, y + down) for x, y in edge.points]
        edge.place = (edge.place[0] + right, edge.place[1] + down) if edge.place else None


# ---------------------------------------------------------------------------------------------------------- drawing


def _svg(scene: _Scene, alt: str) -> str:
    scene = copy.deepcopy(scene)
    _lay_out(scene)
    width = max(scene.width, _wide(scene.title) * 10.5, 340.0) + 2 * _MARGIN
    _move(scene, (width - scene.width) / 2, _MARGIN + 34)
    y = scene.height + _MARGIN + 34 + 30
    parts = [_text(width / 2, _MARGIN + 10, scene.title, 15, "bold", whole=True)]
    parts += _scene_parts(scene)
    for line in _wrapped(scene.notes, width - 2 * _MARGIN):
        parts.append(_text(width / 2, y, line, 11, colour=_QUIET, whole=True))
        y += 16
    return _frame(alt, scene.title, width, y, "".join(parts))


def _frame(alt: str, title: str, width: float, height: float, content: str) -> str:
    heads = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{colour}"/></marker>'
        for name, colour in (("full", COLOURS[0]), ("thin", _QUIET))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title about" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" font-family="{_FONT}" font-size="12">'
        f'<title id="title">{_escaped(title)}</title><desc id="about">{_escaped(alt)}</desc><defs>{heads}</defs>'
        f'<rect class="page" width="100%" height="100%" fill="white"/>{content}</svg>\n'
    )


def _scene_parts(scene: _Scene, ground: str = "white") -> list[str]:
    # Boxes with something inside lie under the arrows inside them, and labels over the arrows they belong to.
    parts = [_box_svg(box) for box in scene.boxes]
    parts += [_edge_svg(scene, edge) for edge in scene.edges]
    parts += [_label_svg(edge, ground) for edge in scene.edges if edge.place]
    for box in scene.boxes:
        if box.inner:
            parts += _scene_parts(box.inner, _look(box)[0])
    return parts


def _look(box: _Box) -> tuple[str, str, float]:
    """Fill, line and roundness."""
    if box.kind == _END:
        return SOFT_COLOURS[2], COLOURS[2], 12
    if box.kind == _MASK:
        return SOFT_COLOURS[6], _QUIET, 5
    if box.kind == _FOLD and box.inner:
        return "#F4F9FC", COLOURS[0], 8
    return SOFT_COLOURS[0] if box.weights else "white", COLOURS[0], 5


def _box_svg(box: _Box) -> str:
    fill, stroke, round_ = _look(box)
    left = box.x - box.width / 2
    parts = [f"<title>{_escaped('; '.join([box.title, *box.lines]))}</title>"]
    if box.kind == _FOLD:  # a second edge behind it: there are more of these
        parts.append(
            f'<path d="M{left + 8:.1f},{box.y - 4:.1f} H{left + box.width + 4:.1f} V{box.y + box.height - 8:.1f}" '
            f'fill="none" stroke="{stroke}" stroke-width="1.4"/>'
        )
    parts.append(
        f'<rect x="{left:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="{round_}" '
        f'fill="{fill}" stroke="{stroke}" stroke-width="1.4"/>'
    )
    parts.append(_text(box.x, box.y + (17 if box.lines or box.kind != _END else 16), box.title, 12, "normal" if box.kind == _END else "bold"))  # fmt: skip
    parts += [_text(box.x, box.y + 32 + 15 * n, line, 11) for n, line in enumerate(box.lines)]
    return f'<g class="{box.kind}" data-name="{_escaped(box.title)}">{"".join(parts)}</g>'


def _edge_svg(scene: _Scene, edge: _Edge) -> str:
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
    look = f'stroke="{_QUIET}" stroke-width="1.3" stroke-dasharray="5 4" marker-end="url(#thin)"' if edge.dashed else f'stroke="{COLOURS[0]}" stroke-width="1.6" marker-end="url(#full)"'  # fmt: skip
    return (
        f'<path class="edge" data-from="{_escaped(names[0])}" data-to="{_escaped(names[1])}" d="{path}" fill="none" '
        f"{look}><title>{_escaped(told)}</title></path>"
    )


def _label_svg(edge: _Edge, ground: str) -> str:
    x, y = edge.place
    width = _long(edge.label, 11)
    back = f'<rect x="{x - width / 2:.1f}" y="{y - 8:.1f}" width="{width:.1f}" height="16" fill="{ground}"/>'  # fmt: skip
    return f'<g class="label">{back}{_text(x, y + 4, edge.label, 11, whole=True)}</g>'


def _text(x: float, y: float, words: str, size: int, weight: str = "normal", colour: str = INK, whole: bool = False) -> str:  # fmt: skip
    bold = ' font-weight="bold"' if weight == "bold" else ""
    shown = words if whole else _fitting(words)
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" font-size="{size}"{bold} fill="{colour}">{_escaped(shown)}</text>'  # fmt: skip


def _wrapped(sentences: Sequence[str], width: float) -> list[str]:
    lines: list[str] = []
    for word in " ".join(sentences).split():
        if lines and _wide(f"{lines[-1]} {word}") * 6.6 <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def _escaped(text: str) -> str:
    """For XML, which has no place for control characters, escaped or not."""
    return html.escape("".join(c if c.isprintable() else " " for c in text), quote=True)


# ----------------------------------------------------------------------------------------------------- words and dot


def _in_words(scene: _Scene) -> str:
    """What is seen, in sentences: what goes in, the boxes in order, what comes out."""
    labels = {edge.end if scene.boxes[edge.end].out else edge.start: edge.label for edge in scene.edges}
    ends = [(box, f"{box.title} {labels.get(n, '')}".strip()) for n, box in enumerate(scene.boxes) if box.kind == _END]
    first, last = ([said for box, said in ends if box.out == out] for out in (False, True))
    blocks = [_told(box) for box in scene.boxes if box.kind != _END]
    said = [f"Picture of {scene.title}, from top to bottom"]
    said += [f"Goes in: {', '.join(first)}"] if first else []
    order = f"{len(blocks)} box{'' if len(blocks) == 1 else 'es'} in order: {', '.join(blocks[:25])}"
    said += [order] if blocks else []
    said[-1] += f", and {len(blocks) - 25} more" if len(blocks) > 25 else ""
    said += [f"Comes out: {', '.join(last)}"] if last else []
    return ". ".join(said) + ". " + " ".join(scene.notes)


def _told(box: _Box) -> str:
    kind = f" ({box.lines[0]})" if box.lines and box.kind in (_BLOCK, _OPERATION, _PIECE) else ""
    inside = [b.title for b in box.inner.boxes if b.kind != _END] if box.inner else []
    return box.title + kind + (f" (each with {', '.join(inside)})" if inside else "")


def _dot_text(scene: _Scene) -> str:
    lines = [
        "digraph model {",
        f'  rankdir=TB; bgcolor="white"; fontname="DejaVu Sans"; fontsize=13; labelloc=t; label={_quoted(scene.title)};',
        '  node [shape=box, style="rounded,filled", fontname="DejaVu Sans", fontsize=12];',
        '  edge [fontname="DejaVu Sans", fontsize=11];',
        *_dot_lines(scene, "n"),
    ]
    return "\n".join([*lines, "}"]) + "\n"


def _dot_lines(scene: _Scene, prefix: str) -> list[str]:
    lines = []
    for number, box in enumerate(scene.boxes):
        fill, stroke, _ = _look(box)
        label = _quoted("\n".join([box.title, *box.lines])).replace("\n", "\\n")
        if box.inner:
            lines.append(f'  subgraph cluster_{prefix}{number} {{ label={label}; style="rounded,filled"; fillcolor="{fill}"; color="{stroke}";')  # fmt: skip
            lines += ["  " + line for line in _dot_lines(box.inner, f"{prefix}{number}_")]
            lines.append("  }")
        else:
            lines.append(f'  {prefix}{number} [label={label}, fillcolor="{fill}", color="{stroke}"];')
    for edge in scene.edges:
        start, end = _dot_end(scene, prefix, edge, True), _dot_end(scene, prefix, edge, False)
        look = f'style=dashed, color="{_QUIET}"' if edge.dashed else f'color="{COLOURS[0]}"'
        lines.append(f"  {start} -> {end} [label={_quoted(edge.label)}, {look}];")
    return lines


def _dot_end(scene: _Scene, prefix: str, edge: _Edge, start: bool) -> str:
    """A box's name for Graphviz; an arrow to a box with something inside goes to the end piece there."""
    number = edge.start if start else edge.end
    inner = scene.boxes[number].inner
    if inner is None:
        return f"{prefix}{number}"
    wanted = "out" if start else "mask" if edge.dashed else "in"
    ends = [n for n, box in enumerate(inner.boxes) if box.kind == _END]
    place = next((n for n in ends if inner.boxes[n].title == wanted), ends[0])
    return f"{prefix}{number}_{place}"


def _by_dot(text: str, scene: _Scene, alt: str) -> str:
    named = f"<title>{_escaped(scene.title)}</title><desc>{_escaped(alt)}</desc>"
    return re.sub(r"<svg([^>]*)>", lambda found: f'<svg role="img"{found[1]}>{named}', run_dot(text), count=1)
