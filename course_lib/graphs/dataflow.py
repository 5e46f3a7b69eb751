"""The dataflow graph of a network: its operations, the values between them, and the modules in which they happen.

Not every value is worth an arrow. Four kinds are told apart, by where a value comes from:

    data       what weights or real numbers went into: drawn as full lines
    content    made of the ids or masks that were given, without any weight: dashed lines
    shape      known from the sizes of the inputs alone (the target of a Reshape, positions): not drawn
    weight     weights and constants: not drawn
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from course_lib.graphs.module_paths import relative, within

DATA, CONTENT, SHAPE, WEIGHT, CONSTANT = "data", "content", "shape", "weight", "constant"
DRAWN = (DATA, CONTENT)


@dataclass(frozen=True)
class Node:
    """An operation, or a call of a layer that has no layers inside."""

    operation: str
    path: str  # of its module, dotted; "" for the model itself
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: bool = False  # whether it has numbers of its own
    kind: str = DATA


@dataclass
class DataflowGraph:
    """A network as operations, in an order in which each comes after what it needs."""

    title: str
    nodes: list[Node]
    inputs: list[str]
    outputs: list[str]
    shapes: dict[str, str]  # value -> its shape in words
    kinds: dict[str, str]
    classes: dict[str, str] = field(default_factory=dict)  # path of a module -> its class
    ends: dict[tuple[str, str], str] = field(default_factory=dict)  # (value, module that gives it) -> shape
    by_calls: bool = False  # the arrows follow the order of the calls
    named: bool = True  # the operations know their modules
    wrapper: str = ""  # the attribute in which a module around the whole model keeps it; no path has it

    def __post_init__(self) -> None:
        self.maker = {value: number for number, node in enumerate(self.nodes) for value in node.outputs}
        self.users: dict[str, list[int]] = {}
        for number, node in enumerate(self.nodes):
            for value in node.inputs:
                self.users.setdefault(value, []).append(number)


def known_block(graph: DataflowGraph, block: str) -> str:
    """The dotted name of a module, as the graph has it.

    Raises:
        ValueError: there is no such module, or the graph knows none.
    """
    if not graph.named:
        raise ValueError(f"block={block!r}: this file does not say which module an operation belongs to; leave block out.")  # fmt: skip
    known = sorted({"".join(p) for node in graph.nodes for p in itertools.accumulate(re.split(r"(?=\.)", node.path))})
    known = [path for path in known if path]
    # "model" is how most people call the whole, in their program if not in a wrapper.
    for name in (block, block.removeprefix("model.")):
        if name in known:
            return name
    inside = relative(block, graph.wrapper)
    if graph.wrapper and within(block, graph.wrapper) and inside in ("", *known):
        return inside
    raise ValueError(f"There is no block {block!r} in this model{_what_there_is(block, known)}.")


def _what_there_is(block: str, known: Sequence[str]) -> str:
    # A short name says enough to be found: "attention" is close to "encoder.layer.0.attention".
    close = difflib.get_close_matches(block, known, 4, 0.5)
    close += [p for p in known if p.endswith("." + block)][:3]
    if close:
        return f"; close ones: {', '.join(dict.fromkeys(close))}"
    if not known:
        return ", which has no modules inside: leave block out"
    return f"; there are {', '.join(known[:6])}" + (f" and {len(known) - 6} more" if len(known) > 6 else "")
