"""From a dataflow graph to a scene: a box for each group of operations, arrows where a tensor really goes from one to
another, so that residual connections show, and end pieces where tensors come from outside, or leave.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from course_lib.graphs.dataflow import CONTENT, DATA, DRAWN, SHAPE, DataflowGraph, Node
from course_lib.graphs.grouping import (
    BLOCK,
    MASK,
    OPERATION,
    PIECE,
    Group,
    Key,
    box_key,
    groups_of,
    opened_by_size,
    opened_to_depth,
    runs_of,
)
from course_lib.graphs.module_paths import components, relative, within
from course_lib.graphs.picture_text import LONGEST, counted, wide
from course_lib.graphs.scene import END, FOLD, Box, Edge, Scene

_MOST = 60  # boxes: the rest is left out
_MOST_ENDS = 20  # inputs, and outputs
_MOST_INSIDE = 12  # boxes in one that stands for repeated layers
_MINOR = {"Reshape", "Transpose", "Unsqueeze", "Squeeze", "Cast", "Identity", "Expand", "Slice", "Pad", "Flatten"}
_PLAIN = {
    "Add", "Mul", "Sub", "Div", "Where", "Concat", "Gather", "Max", "Min", "Pow", "Sqrt", "IsNaN", "QuantizeLinear",
    "DequantizeLinear", "DynamicQuantizeLinear",
}  # fmt: skip

# What end pieces stand for: inputs and outputs of the whole network; those and the modules beside a block; or just that
# something goes into a layer and comes out of it, as it does in all the layers that this one stands for.
_Ends = Literal["whole", "neighbours", "inside"]


def build_scene(graph: DataflowGraph, block: str | None, depth: int | None) -> Scene:
    """What is drawn of a network, without places.

    Args:
        graph: the network.
        block: the dotted name of the module whose operations are drawn; None for the whole network.
        depth: how many levels of modules are opened; None for as many as give a few boxes.
    """
    root, ends = block or "", "neighbours" if block else "whole"
    members = [number for number, node in enumerate(graph.nodes) if within(node.path, root) and node.kind in DRAWN]
    if not members and any(within(node.path, root) for node in graph.nodes):
        return build_scene(_all_drawn(graph), block, depth)  # nothing but work on sizes and weights: still a graph
    operations = not graph.named or (block is not None and depth is None)
    if operations:
        scene = _operations(graph, root, members, ends)
    else:
        opened = opened_to_depth(graph, members, root, depth) if depth else opened_by_size(graph, members, root)
        scene = _build(graph, root, members, lambda number: box_key(graph.nodes[number], opened, root), ends)
    scene.title = _title(graph, block)
    scene.notes[:0] = _legend(graph, scene, operations)
    hidden = sum(node.kind == SHAPE for node in graph.nodes if within(node.path, root))
    if operations and hidden:
        scene.notes.append(f"{counted(hidden, 'operation')} on shapes not drawn.")
    return scene


def _title(graph: DataflowGraph, block: str | None) -> str:
    if not block:
        return graph.title
    kind = graph.classes.get(block)
    return f"{block} ({kind}) of {graph.title}" if kind else f"{block} of {graph.title}"


def _all_drawn(graph: DataflowGraph) -> DataflowGraph:
    nodes = [replace(node, kind=CONTENT) for node in graph.nodes]
    return replace(graph, nodes=nodes, kinds=graph.kinds | {o: CONTENT for node in nodes for o in node.outputs})


def _legend(graph: DataflowGraph, scene: Scene, operations: bool) -> list[str]:
    what = "operation" if operations and not graph.by_calls else "module"
    said = [f"Each box is {'an' if what == 'operation' else 'a'} {what}; blue ones have weights."]
    said.append(
        "The arrows follow the order of the calls." if graph.by_calls else "Arrows are tensors, with their shapes."
    )
    if any(edge.dashed for edge in _all_edges(scene)):
        said.append("Dashed: ids and masks.")
    return said


def _all_edges(scene: Scene) -> Iterator[Edge]:
    yield from scene.edges
    for box in scene.boxes:
        if box.inner:
            yield from _all_edges(box.inner)


def _operations(graph: DataflowGraph, root: str, members: Sequence[int], ends: _Ends) -> Scene:
    shown = members[:_MOST]
    scene = _build(graph, root, shown, lambda number: (OPERATION, number), ends)
    if len(members) > len(shown):
        scene.notes.append(_left_out(len(members) - len(shown), "operation"))
    return scene


def _left_out(number: int, noun: str) -> str:
    return f"Left out: {counted(number, noun)}; the picture shows the first {_MOST}."


def _build(graph: DataflowGraph, root: str, members: Sequence[int], key_of: Callable[[int], Key], ends: _Ends) -> Scene:
    """The scene of some operations; `key_of` says for each in which box it is."""
    groups, after = groups_of(graph, members, key_of)
    runs = runs_of(graph, groups, after)
    shown = runs[:_MOST]
    notes = [_left_out(len(runs) - len(shown), "block")] if len(runs) > len(shown) else []
    times: Counter = Counter()
    boxes, home = [], {}
    for place, run in enumerate(shown):
        key = groups[run[0]].key
        times[key] += 1
        boxes.append(_box(graph, root, [groups[n] for n in run], times[key], ends))
        home |= {member: place for n in run for member in groups[n].members}
    joined = _Joined(boxes)
    for number in home:
        _join(graph, root, number, home, joined, ends)
    order = {id(box): n for n, box in enumerate(boxes)}
    edges = [Edge(order[a], order[b], values) for (a, b), values in joined.edges.items()]
    if ends == "whole":
        _add_idle_ends(graph, joined)
    return Scene(boxes, edges, notes=notes)


@dataclass
class _Joined:
    """Arrows so far, by the boxes they join, and the end pieces by their names."""

    boxes: list[Box]
    edges: dict[tuple[int, int], list[tuple[str, str]]] = field(default_factory=dict)
    pieces: dict[tuple[str, str], Box] = field(default_factory=dict)

    def end(self, side: str, name: str) -> Box:
        if (side, name) not in self.pieces:
            self.pieces[side, name] = Box(END, name, out=side == "out")
            self.boxes.append(self.pieces[side, name])
        return self.pieces[side, name]

    def add(self, start: Box, end: Box, kind: str, shape: str) -> None:
        values = self.edges.setdefault((id(start), id(end)), [])
        if (kind, shape) not in values:
            values.append((kind, shape))


def _join(graph: DataflowGraph, root: str, number: int, home: Mapping[int, int], joined: _Joined, ends: _Ends) -> None:
    """Arrows into one operation, and out of it to an end piece."""
    node, boxes = graph.nodes[number], joined.boxes
    here = boxes[home[number]]
    for value in node.inputs:
        maker = graph.maker.get(value)
        if maker in home:
            if boxes[home[maker]] is not here:
                joined.add(boxes[home[maker]], here, graph.kinds[value], _shape_on(graph, value, root))
        elif (name := _comes_from(graph, root, value, ends)) is not None:
            kind = DATA if value in graph.inputs else graph.kinds.get(value, DATA)  # what was given is no by-product
            joined.add(joined.end("in", name), here, kind, _shape_on(graph, value, root))
    for value in node.outputs:
        for name in _goes_to(graph, root, value, home, ends):
            joined.add(here, joined.end("out", name), graph.kinds.get(value, DATA), _shape_on(graph, value, root))


def _shape_on(graph: DataflowGraph, value: str, root: str) -> str:
    """A shape; in the order of calls, that of the outermost module that ends with this call."""
    if graph.by_calls and value not in graph.inputs:
        paths = [path for v, path in graph.ends if v == value and within(path, root) and (path or value in graph.outputs)]  # fmt: skip
        return graph.ends[value, min(paths, key=len)] if paths else graph.shapes.get(value, "")
    return graph.shapes.get(value, "")


def _comes_from(graph: DataflowGraph, root: str, value: str, ends: _Ends) -> str | None:
    """The name of the end piece that a value comes from; None where it is none of those that are drawn."""
    kind = graph.kinds.get(value, DATA)
    if kind not in DRAWN:
        return None
    if ends == "inside":
        return "in" if kind == DATA else "mask"
    if value in graph.inputs:
        names = graph.inputs[:_MOST_ENDS]
        return value if value in names else f"{len(graph.inputs) - _MOST_ENDS} more inputs"
    if ends == "whole" or value not in graph.maker:
        return None
    return "from " + _neighbour(graph, root, graph.nodes[graph.maker[value]])


def _goes_to(graph: DataflowGraph, root: str, value: str, home: Mapping[int, int], ends: _Ends) -> list[str]:
    """The names of the end pieces that a value goes to."""
    users = [n for n in graph.users.get(value, []) if n not in home and graph.nodes[n].kind in DRAWN]
    outside = [n for n in users if not within(graph.nodes[n].path, root)]
    if ends == "inside":
        # A mask that the first layer makes for all of them is nothing that comes out of each.
        return ["out"] if graph.kinds.get(value) == DATA and (outside or value in graph.outputs) else []
    names = []
    if value in graph.outputs:
        first = graph.outputs[:_MOST_ENDS]
        names = [_output_name(graph, value) if value in first else f"{len(graph.outputs) - _MOST_ENDS} more outputs"]
    if ends == "neighbours":
        places = list(dict.fromkeys(_neighbour(graph, root, graph.nodes[n]) for n in outside))
        if len(places) > 3:
            places = [f"{places[0]} and {len(places) - 1} more"]
        names += ["to " + place for place in places]
    return names


def _output_name(graph: DataflowGraph, value: str) -> str:
    if graph.by_calls:
        return "output"
    return value if value not in graph.inputs else f"{value} (output)"


def _neighbour(graph: DataflowGraph, root: str, node: Node) -> str:
    """The module beside `root` that an operation is in, as far up as the two are still different."""
    name, own = "", components(root)
    for place, step in enumerate(components(node.path)):
        name = f"{name}.{step}" if name else step
        if place >= len(own) or own[place] != step:
            return name
    return name or ("mask and shapes" if node.kind == CONTENT else graph.title)


def _add_idle_ends(graph: DataflowGraph, joined: _Joined) -> None:
    """Inputs and outputs that no arrow reaches are shown all the same."""
    for side, names in (("in", graph.inputs), ("out", graph.outputs)):
        for name in names[:_MOST_ENDS]:
            joined.end(side, name if side == "in" else _output_name(graph, name))


def _box(graph: DataflowGraph, root: str, run: Sequence[Group], time: int, ends: _Ends) -> Box:
    """The box of a group that is the `time`-th of its key, or of several that repeat each other."""
    kind, key = run[0].key
    path = str(key)
    nodes = [graph.nodes[n] for group in run for n in group.members]
    weights = any(node.weights for node in nodes)
    if kind == MASK:
        return Box(kind, "mask and shapes", ["work on ids and masks"])
    if kind == OPERATION:
        module = relative(nodes[0].path, root)
        return Box(kind, nodes[0].operation, [module] if module and module != nodes[0].operation else [], weights)
    name = relative(path, root) or path or graph.title
    if kind == PIECE:
        told = _summary(nodes)
        return Box(kind, told, [f"in {_end_of(name, LONGEST - 3)}"] if told != name else [], weights)
    if len(run) > 1:
        repeated = f" to {components(str(run[-1].key[1]), root)[-1]}, × {len(run)}"
        box = Box(FOLD, _end_of(name, LONGEST - wide(repeated)) + repeated, weights=weights)
        box.inner = None if ends == "inside" else _inner(graph, path, run[0])
    else:
        again = f", call {time}" if time > 1 else ""
        box = Box(BLOCK, _end_of(name, LONGEST - len(again)) + again, weights=weights)
    box.lines = _module_lines(graph, run[0], box.inner is not None)
    return box


def _module_lines(graph: DataflowGraph, group: Group, opened: bool) -> list[str]:
    """What a box says of its module: its class, and, where the module is not drawn inside, what it does."""
    kind = graph.classes.get(str(group.key[1]), "")
    lines = [kind] if kind else []
    if opened:
        return [f"{line}; one of them:" for line in lines]
    told = _summary([graph.nodes[n] for n in group.members])
    return lines if told in lines else [*lines, told]


def _end_of(name: str, room: float) -> str:
    """A dotted name that fits: its end tells more than its beginning."""
    if wide(name) <= room:
        return name
    rest = name
    while "." in rest and wide(rest) > room - 1:
        rest = rest.partition(".")[2]
    while wide(rest) > max(room, 8) - 1:
        rest = rest[1:]
    return "…" + rest


def _inner(graph: DataflowGraph, path: str, group: Group) -> Scene | None:
    """The picture inside a box of repeated layers: one of them; None where it would show too little, or too much."""
    opened = opened_by_size(graph, group.members, path)
    scene = _build(graph, path, group.members, lambda number: box_key(graph.nodes[number], opened, path), "inside")
    return scene if 1 < sum(box.kind != END for box in scene.boxes) <= _MOST_INSIDE else None


def _summary(nodes: Sequence[Node]) -> str:
    """The operations of a box in a few words, the telling ones first."""
    counts = Counter(node.operation for node in nodes if node.kind == DATA) or Counter(n.operation for n in nodes)
    told = {name: count for name, count in counts.items() if name not in _MINOR} or dict(counts)
    told = dict(sorted(told.items(), key=lambda item: (item[0] in _PLAIN, item[0] != "Softmax")))
    said = [name + (f" × {count}" if count > 1 else "") for name, count in told.items()]
    text, short = said[0], False
    for word in said[1:]:
        if wide(f"{text}, {word}, …") <= LONGEST:
            text += ", " + word
        else:
            short = True
    return text + (", …" if short else "")
