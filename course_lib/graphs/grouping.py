"""The operations of a dataflow graph put into groups, a box each: by their modules, at a level at which a few boxes tell
the story; and layers that repeat found, so that one of them can stand for all.

A group is named by its key: what kind of box it is, and the module or the operation that it stands for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from course_lib.graphs.dataflow import CONTENT, DATA, DataflowGraph, Node
from course_lib.graphs.module_paths import components, preceding

# A module; what an opened module does itself; all work on ids and masks outside the closed modules; one operation.
BLOCK, PIECE, MASK, OPERATION = "block", "piece", "mask", "operation"
_ENOUGH, _MANY = 4, 20  # boxes: below the first a module is opened, unless that makes more than the second

Key = tuple[str, Hashable]
_MASK_KEY: Key = (MASK, "")


@dataclass
class Group:
    """Operations that are drawn as one box, by their numbers in the graph."""

    key: Key
    members: list[int] = field(default_factory=list)


def box_key(node: Node, opened: frozenset[str], root: str) -> Key:
    """The box of an operation: the first module on the way down that is not opened."""
    path = root
    for step in components(node.path, root):
        if path not in opened:
            break
        path = f"{path}.{step}" if path else step
    if path not in opened:
        return BLOCK, path
    # An operation that stands in an opened module itself, and in none of its modules.
    return (PIECE, path) if node.kind != CONTENT else _MASK_KEY


def opened_to_depth(graph: DataflowGraph, members: Sequence[int], root: str, depth: int) -> frozenset[str]:
    """Modules to look into, so that those of `depth` levels below the root are drawn."""
    opened = {root}
    for number in members:
        steps = components(graph.nodes[number].path, root)[: depth - 1]
        opened |= {".".join(filter(None, [root, *steps[: k + 1]])) for k in range(len(steps))}
    return frozenset(opened)


def opened_by_size(graph: DataflowGraph, members: Sequence[int], root: str) -> frozenset[str]:
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


def _closed(
    graph: DataflowGraph, members: Sequence[int], opened: frozenset[str], root: str
) -> dict[str, tuple[int, bool]]:
    """Modules that can be opened: how many operations each has, and whether it is a mere list of others."""
    below: dict[str, list[str]] = {}
    for number in members:
        kind, path = box_key(graph.nodes[number], opened, root)
        if kind == BLOCK:
            rest = components(graph.nodes[number].path, str(path))
            below.setdefault(str(path), []).append(rest[0] if rest else "")
    found = {}
    for path, steps in below.items():
        stems = {re.sub(r"\.\d+$", "", step) for step in steps}
        if stems != {""}:
            found[path] = (len(steps), len(stems) == 1 and len(set(steps)) > 1)
    return found


def _size(graph: DataflowGraph, members: Sequence[int], opened: frozenset[str], root: str) -> int:
    """How many boxes there would be; one for repeated layers counts as three, as it shows their parts."""
    groups, edges = groups_of(graph, members, lambda number: box_key(graph.nodes[number], opened, root))
    runs = runs_of(graph, groups, edges)
    return sum(3 if len(run) > 1 else 1 for run in runs if groups[run[0]].key != _MASK_KEY)


def groups_of(
    graph: DataflowGraph, members: Sequence[int], key_of: Callable[[int], Key]
) -> tuple[list[Group], dict[int, set[int]]]:
    """Operations by their keys, and which group gives something to which.

    A module that is left and entered again becomes two groups: with one, the arrows would go round in a circle.
    """
    groups: list[Group] = []
    after: dict[int, set[int]] = {}
    latest: dict[Key, int] = {}
    home: dict[int, int] = {}
    for number in members:
        key = key_of(number)
        before = {home[m] for v in graph.nodes[number].inputs if (m := graph.maker.get(v)) in home}
        place = latest.get(key)
        if place is None or _reaches(after, place, before - {place}):
            place = latest[key] = len(groups)
            groups.append(Group(key))
            after[place] = set()
        groups[place].members.append(number)
        home[number] = place
        for other in before - {place}:
            after[other].add(place)
    return groups, after


def _reaches(after: Mapping[int, set[int]], start: int, ends: set[int]) -> bool:
    """Whether a way of at least one arrow leads from `start` to one of `ends`."""
    seen, waiting = {start}, [start]
    while waiting and ends:
        for following in after[waiting.pop()]:
            if following in ends:
                return True
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return False


def runs_of(graph: DataflowGraph, groups: Sequence[Group], after: Mapping[int, set[int]]) -> list[list[int]]:
    """The groups, those that repeat each other together: layer.0, layer.1 ..., each feeding the next."""
    runs: list[list[int]] = []
    place: dict[str, int] = {}
    seen = Counter(group.key for group in groups)
    in_run: dict[int, list[int]] = {}
    for number, group in enumerate(groups):
        if group.key[0] == BLOCK and seen[group.key] == 1:
            place[str(group.key[1])] = number
    for number, group in enumerate(groups):
        before = place.get(preceding(str(group.key[1])) or "") if group.key[0] == BLOCK else None
        run = in_run.get(before) if before is not None and seen[group.key] == 1 else None
        if run and number in after[before] and _signature(graph, groups[before]) == _signature(graph, group):
            run.append(number)
        else:
            run = [number]
            runs.append(run)
        in_run[number] = run
    return _without_circles([piece for run in runs for piece in _without_detours(run, after)], after)


def _without_detours(run: list[int], after: Mapping[int, set[int]]) -> list[list[int]]:
    """A run, or its groups one by one where something outside stands between two of them."""
    outside = {other for number in run for other in after[number]} - set(run)
    return [[n] for n in run] if any(_reaches(after, other, set(run)) for other in outside) else [run]


def _without_circles(runs: Sequence[list[int]], after: Mapping[int, set[int]]) -> list[list[int]]:
    """The runs, or their groups one by one where two runs feed each other, such as two streams of layers."""
    box = {number: run[0] for run in runs for number in run}
    merged: dict[int, set[int]] = {run[0]: set() for run in runs}
    for number, following in after.items():
        merged[box[number]] |= {box[other] for other in following} - {box[number]}
    pieces = ([[number] for number in run] if _reaches(merged, run[0], {run[0]}) else [run] for run in runs)
    return [piece for found in pieces for piece in found]


def _signature(graph: DataflowGraph, group: Group) -> Counter:
    """What two layers share that do the same work on the same sizes."""
    nodes = [graph.nodes[n] for n in group.members]
    nodes = [node for node in nodes if node.kind == DATA] or nodes  # the first layer may make a mask for all of them
    return Counter((n.operation, tuple(graph.shapes.get(o, "") for o in n.outputs)) for n in nodes)
