"""Layered graph drawing: where boxes, labels and arrows stand, so that all arrows run downwards and few of them cross.

The layout is that of Sugiyama et al. (1981): layers by longest path, places for the lines that pass a layer, a few sweeps
against crossings. A label is a place of its own between two layers, so it can cover neither a box nor another label.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from course_lib.graphs.scene import Box, Edge, Scene, text_width

_BESIDE, _LABEL = 22.0, 17.0  # pixels: between boxes, the height of a label

_Gaps = dict[int, list[tuple[int, float]]]  # upright line -> the lines beside it, and how far from it they have to be


@dataclass
class _Cell:
    """A place in a row of the layout: a box, a label, or the point where a long arrow passes."""

    row: int
    width: float
    height: float
    box: Box | None = None
    passing: bool = False  # of an arrow that passes rows
    x: float = 0.0
    y: float = 0.0
    before: list[_Cell] = field(default_factory=list)
    after: list[_Cell] = field(default_factory=list)


def lay_out(scene: Scene) -> None:
    """Give every box, label and arrow of a scene its place, those inside boxes first."""
    for box in scene.boxes:
        if box.inner:
            lay_out(box.inner)
    _set_rows(scene)
    cells = {id(box): _Cell(2 * box.row, box.width, box.height, box) for box in scene.boxes}
    chains = [_chain(scene, edge, cells) for edge in scene.edges]
    rows: list[list[_Cell]] = [[] for _ in range(1 + max((2 * box.row for box in scene.boxes), default=0))]
    for cell in _by_first_use(cells, chains):
        rows[cell.row].append(cell)
    rows = _fewest_crossings(rows)
    _set_across(rows)
    _straighten(rows)
    scene.width = _to_the_left(rows)
    ports = _ports(scene, cells, chains)
    scene.height = _set_down(rows, chains, ports)
    for cell in cells.values():
        cell.box.x, cell.box.y = cell.x, cell.y
    for edge, chain, (start, end) in zip(scene.edges, chains, ports, strict=True):
        _set_points(edge, chain, start, end, rows)
    for box in scene.boxes:
        if box.inner:
            move(box.inner, box.x - box.inner.width / 2, box.y + box.head + 8)


def _to_the_left(rows: Sequence[Sequence[_Cell]]) -> float:
    """Move everything so that it begins at 0; how wide it is."""
    left = min((cell.x - cell.width / 2 for row in rows for cell in row), default=0.0)
    for cell in itertools.chain(*rows):
        cell.x -= left
    return max((cell.x + cell.width / 2 for row in rows for cell in row), default=0.0)


def _set_rows(scene: Scene) -> None:
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


def _chain(scene: Scene, edge: Edge, cells: Mapping[int, _Cell]) -> list[_Cell]:
    """The cells that an arrow goes through, from box to box; the first between them carries its label."""
    start, end = cells[id(scene.boxes[edge.start])], cells[id(scene.boxes[edge.end])]
    chain = [start]
    for row in range(start.row + 1, end.row):
        labelled = row == start.row + 1 and edge.label
        width, height = (text_width(edge.label, 11) + 6, _LABEL) if labelled else (10.0, 0.0)
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
    left, right = _gaps(rows, line)
    cells: dict[int, list[_Cell]] = {n: [] for n in left}
    for cell in itertools.chain(*rows):
        cells[line[id(cell)]].append(cell)
    near = {
        n: [line[id(other)] for cell in of for other in (*cell.before, *cell.after) if line[id(other)] != n]
        for n, of in cells.items()
    }
    x = _spread({n: sum(c.x for c in of) / len(of) for n, of in cells.items()}, left, right)
    _pull_lines(x, near, left, right)
    for n, of in cells.items():
        for cell in of:
            cell.x = x[n]


def _gaps(rows: Sequence[Sequence[_Cell]], line: Mapping[int, int]) -> tuple[_Gaps, _Gaps]:
    """For each line those to its left, and those to its right."""
    left: _Gaps = {n: [] for n in set(line.values())}
    right: _Gaps = {n: [] for n in left}
    for row in rows:
        for one, other in itertools.pairwise(row):
            right[line[id(one)]].append((line[id(other)], _apart(one, other)))
            left[line[id(other)]].append((line[id(one)], _apart(one, other)))
    return left, right


def _spread(wanted: Mapping[int, float], left: _Gaps, right: _Gaps) -> dict[int, float]:
    """Places near the wanted ones that keep all distances; the lines stand in it from left to right."""
    order = _from_the_left(left, right)
    low, high = dict(wanted), dict(wanted)
    for n in order:
        low[n] = max([wanted[n], *(low[m] + gap for m, gap in left[n])])
    for n in reversed(order):
        high[n] = min([wanted[n], *(high[m] - gap for m, gap in right[n])])
    return {n: (low[n] + high[n]) / 2 for n in order}  # both keep all distances, so their middle does


def _pull_lines(x: dict[int, float], near: Mapping[int, Sequence[int]], left: _Gaps, right: _Gaps) -> None:
    """Move each line as near to the middle of those it is joined to as the lines beside it allow."""
    for _ in range(30):
        for n in x:
            least = max((x[m] + gap for m, gap in left[n]), default=-math.inf)
            most = min((x[m] - gap for m, gap in right[n]), default=math.inf)
            alone = least if left[n] else most if right[n] else x[n]
            want = sum(x[m] for m in near[n]) / len(near[n]) if near[n] else alone
            x[n] = min(max(want, least), most) if least <= most else x[n]


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


def _from_the_left(left: _Gaps, right: _Gaps) -> list[int]:
    missing = {n: len(found) for n, found in left.items()}
    order = [n for n in sorted(missing) if not missing[n]]
    for n in order:
        for following, _ in right[n]:
            missing[following] -= 1
            if not missing[following]:
                order.append(following)
    return order


def _ports(scene: Scene, cells: Mapping[int, _Cell], chains: Sequence[Sequence[_Cell]]) -> list[tuple[float, float]]:
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


def _set_points(edge: Edge, chain: Sequence[_Cell], start: float, end: float, rows: Sequence[Sequence[_Cell]]) -> None:  # fmt: skip
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


def move(scene: Scene, right: float, down: float) -> None:
    """Move all of a scene by so many pixels."""
    for box in scene.boxes:
        box.x, box.y = box.x + right, box.y + down
        if box.inner:
            move(box.inner, right, down)
    for edge in scene.edges:
        edge.points = [(x + right, y + down) for x, y in edge.points]
        edge.place = (edge.place[0] + right, edge.place[1] + down) if edge.place else None
