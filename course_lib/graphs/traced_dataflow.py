"""The dataflow graph of an nn.Module that is called: its layers, each given what the one called before it returned.

A run shows the order of the calls, not where each value goes; the pictures say so.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from course_lib.graphs.dataflow import DATA, DataflowGraph, Node


def from_calls(model: Any, example: Mapping[str, Any] | None) -> DataflowGraph:
    """Call a module, and read its layers in the order of their calls.

    Args:
        model: an nn.Module.
        example: its inputs by name.

    Raises:
        ValueError: there is no example, or the module fails with it.
    """
    from course_lib.shapes import trace

    if not isinstance(example, Mapping) or not example:
        raise ValueError(
            "An nn.Module is drawn by calling it: give its inputs by name as well, graphs.picture(model, {'input_ids': ids})."
        )
    traced = trace(model, **example)
    if traced.error is not None:
        where = traced.failed.name if traced.failed is not None else ""
        raise ValueError(f"The model fails with this example{f' in {where}' if where else ''}: {traced.error}")
    leaves = [row for row in traced.rows if row.is_leaf]
    ends = _ends(traced.rows, leaves)
    nodes, before = [], tuple(example)
    for number, row in enumerate(leaves):
        nodes.append(Node(row.layer, row.name, before, (_call_value(number),), bool(row.parameters or row.shared)))
        before = (_call_value(number),)
    shapes = {name: _shape_words(value.shape) for name, value in example.items() if hasattr(value, "shape")}
    shapes |= {_call_value(number): ends[_call_value(number), leaf.name] for number, leaf in enumerate(leaves)}
    kinds = dict.fromkeys([*example, *shapes], DATA)
    classes = {row.name: row.layer for row in traced.rows}
    return DataflowGraph(traced.title, nodes, list(example), list(before), shapes, kinds, classes, ends, by_calls=True)


def _ends(rows: Sequence[Any], leaves: Sequence[Any]) -> dict[tuple[str, str], str]:
    """For each module the value that its last layer gives, and the shape of what it returns itself."""
    place = {id(leaf): number for number, leaf in enumerate(leaves)}
    ends = {}
    for number, row in enumerate(rows):
        inside = itertools.takewhile(lambda r, depth=row.depth: r.depth > depth, rows[number + 1 :])
        last = next(r for r in reversed([row, *inside]) if r.is_leaf)
        ends[_call_value(place[id(last)]), row.name] = _words_of(row.outputs, "" if row.name else " + {} more")
    return ends


def _call_value(number: int) -> str:
    return f"output of call {number}"


def _shape_words(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))})"


def _words_of(outputs: Any, more: str = "") -> str:
    """The shape of a layer's first tensor, as the first one is what goes on; `more` says how many others there are."""
    shapes = [_shape_words(shape) for shape in _shapes_in(outputs)]
    return shapes[0] + (more.format(len(shapes) - 1) if len(shapes) > 1 else "") if shapes else ""


def _shapes_in(outputs: Any) -> Iterator[tuple[int, ...]]:
    from course_lib.shapes.dimensions import Shape

    if isinstance(outputs, Shape):
        yield outputs
    elif isinstance(outputs, Mapping | tuple | list):
        for value in outputs.values() if isinstance(outputs, Mapping) else outputs:
            yield from _shapes_in(value)
