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
from dataclasses import dataclass, field

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
    for name in (block, block.removeprefix("model.")):
        if name in known:
            return name
    # A short name says enough to be found: "attention" is close to "encoder.layer.0.attention".
    close = difflib.get_close_matches(block, known, 4, 0.5)
    close += [p for p in known if p.endswith("." + block)][:3]
    hint = f"; close ones: {', '.join(dict.fromkeys(close))}" if close else f"; there are {', '.join(known[:6])} ..."
    raise ValueError(f"There is no block {block!r} in this model{hint}.")
