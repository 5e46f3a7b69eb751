"""Call graphs as pictures: SVG with and without Graphviz, Mermaid, and the HTML that a notebook keeps.

Without `dot`, each class is a card with its methods as rows, and so are the functions of each file that belong to no
class. Cards stand in columns, callers to the left of what they call; a line runs from the caller's row to the row that is
called. Full lines were seen in the run; dashed ones were read from the source alone.
"""

from __future__ import annotations

import html
import itertools
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.errors import SetupError
from course_lib.graphs.graphviz import run_dot
from course_lib.graphs.picture_text import FONT, LONGEST, counted, dot_quoted, fitting, image_tag, wide
from course_lib.plots import COLOURS, INK, QUIET, SOFT_COLOURS

if TYPE_CHECKING:
    from course_lib.graphs.calls import CallGraph, Node

_LETTER, _ROW, _HEAD = 7.4, 22, 40  # pixels: a letter of the text, a row of a card, the head of a card
_GAP_ACROSS, _GAP_DOWN, _EDGE = 64, 22, 16
_MOST_IN_A_PAGE = 300  # functions; a notebook's output stays far below a megabyte with them
_SEEN = "run"


@dataclass
class _Card:
    """A class, or a file's own functions; or, without rows, the place where a long line passes a column."""

    title: str
    under: str = ""
    rows: list[Node] = field(default_factory=list)
    column: int = 0
    x: float = 0.0
    y: float = 0.0

    @property
    def width(self) -> float:
        if not self.rows:
            return 0.0
        longest = max([wide(self.title), wide(self.under) * 0.8, *(wide(_short(n)) + 5 for n in self.rows)], default=0)
        return min(LONGEST + 6, longest) * _LETTER + 20

    @property
    def height(self) -> float:
        return _HEAD + _ROW * len(self.rows) + 6 if self.rows else 10.0


def draw(graph: CallGraph, dot: bool | None, folder: Path | None) -> str:
    """The SVG text; links are relative to `folder`, None for no links to files."""
    if dot or (dot is None and shutil.which("dot")):
        try:
            return _by_dot(graph, folder)
        except SetupError:
            if dot:
                raise  # it was asked for; else our own layout, which shows as much
    return _cards_svg(graph, folder)


# ------------------------------------------------------------------------------------------------------ own layout


def _cards_svg(graph: CallGraph, folder: Path | None) -> str:
    cards = _cards(graph)
    home = {node.name: card for card in cards for node in card.rows}
    joined = [(a, b) for a, b in graph.calls if home[a] is not home[b]]
    columns, routes = _columns(cards, home, joined)
    _place(columns, home, joined, routes)
    alone = [card for card in cards if all(card not in column for column in columns)]
    right = max([c.x + c.width for column in columns for c in column if c.rows], default=0.0)
    bottom = max([c.y + c.height for column in columns for c in column], default=0.0)
    right, bottom = _place_alone(alone, max(right, 640.0), bottom)
    right += 46 if any(home[a] is home[b] for a, b in graph.calls) else 0
    parts = [_line(graph, a, b, home, routes.get((a, b), [])) for a, b in graph.calls]
    parts += [_card_svg(card, graph, folder) for card in cards]
    legend, high = _legend(graph, bottom + 26)
    width, height = right + _EDGE, bottom + _EDGE + high
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{html.escape(words(graph), quote=True)}" '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'font-family="{FONT}" font-size="12">'
        f"<title>{html.escape(words(graph))}</title>"
        f'<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">'
        f'<path d="M0,0 L8,4 L0,8 z" fill="{INK}"/></marker></defs>'
        f'<rect width="100%" height="100%" fill="white"/>' + "".join(parts) + legend + "</svg>\n"
    )


def _cards(graph: CallGraph) -> list[_Card]:
    cards: dict[tuple[str, str | None], _Card] = {}
    several = len({node.label for node in graph.nodes}) > 1
    for node in graph.nodes:
        key = (node.label, node.owner)
        if key not in cards:
            cards[key] = _Card(node.owner or node.label, "class, " + node.label if node.owner else "functions")
            if node.owner and not several:
                cards[key].under = "class"
        cards[key].rows.append(node)
    return list(cards.values())


def _columns(
    cards: Sequence[_Card], home: dict[str, _Card], joined: Iterable[tuple[str, str]]
) -> tuple[list[list[_Card]], dict[tuple[str, str], list[_Card]]]:
    """Cards that are joined, by column; and for each line that passes columns, the places where it passes them."""
    joined = list(joined)
    place = {id(card): number for number, card in enumerate(cards)}
    after: dict[int, set[int]] = {place[id(card)]: set() for card in cards}
    for a, b in joined:
        after[place[id(home[a])]].add(place[id(home[b])])
    depth = _longest_paths(after)
    used = {place[id(home[name])] for edge in joined for name in edge}
    for number in used:
        cards[number].column = depth[number]
    columns: list[list[_Card]] = [[] for _ in range(1 + max((depth[n] for n in used), default=-1))]
    for number in sorted(used):
        columns[depth[number]].append(cards[number])
    routes: dict[tuple[str, str], list[_Card]] = {}
    for a, b in joined:
        for column in range(home[a].column + 1, home[b].column):
            passing = _Card("", column=column)
            columns[column].append(passing)
            routes.setdefault((a, b), []).append(passing)
    return columns, routes


def _longest_paths(after: dict[int, set[int]]) -> dict[int, int]:
    """The column of each card: one more than that of every card that calls it; circles are cut where they close."""
    back: set[tuple[int, int]] = set()
    state: dict[int, int] = {}
    order: list[int] = []

    def visit(number: int) -> None:
        state[number] = 1
        for following in sorted(after[number]):
            if state.get(following) == 1:
                back.add((number, following))
            elif following not in state:
                visit(following)
        state[number] = 2
        order.append(number)

    called = {b for following in after.values() for b in following}
    for number in sorted(after, key=lambda n: (n in called, n)):  # from those that nobody calls
        if number not in state:
            visit(number)
    depth = dict.fromkeys(after, 0)
    for number in reversed(order):
        for following in after[number]:
            if (number, following) not in back:
                depth[following] = max(depth[following], depth[number] + 1)
    return depth


def _place(
    columns: list[list[_Card]],
    home: dict[str, _Card],
    joined: Sequence[tuple[str, str]],
    routes: dict[tuple[str, str], list[_Card]],
) -> None:
    """Order within the columns, by the middle of the neighbours (Sugiyama et al. 1981), then coordinates."""
    links: dict[int, list[_Card]] = {}
    for a, b in joined:
        chain = [home[a], *routes.get((a, b), []), home[b]]
        for one, other in itertools.pairwise(chain):
            links.setdefault(id(one), []).append(other)
            links.setdefault(id(other), []).append(one)
    for sweep in range(6):
        forward = sweep % 2 == 0
        for column in columns if forward else columns[::-1]:
            rank = {id(card): place for c in columns for place, card in enumerate(c)}

            def middle(card: _Card, rank: dict[int, int] = rank, forward: bool = forward) -> float:
                beside = [
                    rank[id(n)]
                    for n in links.get(id(card), [])
                    if (n.column < card.column if forward else n.column > card.column)
                ]
                return sum(beside) / len(beside) if beside else rank[id(card)]

            column.sort(key=middle)
    tallest = max((sum(c.height + _GAP_DOWN for c in column) for column in columns), default=0.0)
    x = float(_EDGE)
    for column in columns:
        y = _EDGE + (tallest - sum(c.height + _GAP_DOWN for c in column)) / 2
        for card in column:
            card.x, card.y = x, y
            y += card.height + _GAP_DOWN
        x += max(card.width for card in column) + _GAP_ACROSS


def _place_alone(alone: Sequence[_Card], right: float, bottom: float) -> tuple[float, float]:
    """Cards that no line joins to another: in rows under the rest."""
    x, y, high = float(_EDGE), bottom + (_GAP_DOWN if bottom else _EDGE), 0.0
    for card in alone:
        if x > _EDGE and x + card.width > right:
            x, y, high = float(_EDGE), y + high + _GAP_DOWN, 0.0
        card.x, card.y = x, y
        x += card.width + _GAP_DOWN
        high = max(high, card.height)
        right = max(right, card.x + card.width)
    return right, (y + high if alone else bottom)


def _line(graph: CallGraph, a: str, b: str, home: dict[str, _Card], route: Sequence[_Card]) -> str:
    start, end = home[a], home[b]
    y, to = _row_middle(start, a), _row_middle(end, b)
    if start is end:
        x, far = start.x + start.width, 22 + 4 * abs(start.rows.index(_row(start, a)) - end.rows.index(_row(end, b)))
        path = f"M{x:.0f},{y:.0f} C{x + far:.0f},{y:.0f} {x + far:.0f},{to + (6 if a == b else 0):.0f} {x:.0f},{to + (6 if a == b else 0):.0f}"
    elif start.column >= end.column:  # back to the left, where a circle closes
        x, far = end.x + end.width, start.x
        path = f"M{far:.0f},{y:.0f} C{far - 40:.0f},{y:.0f} {x + 40:.0f},{to:.0f} {x:.0f},{to:.0f}"
    else:
        points = [(start.x + start.width, y)]
        for card in route:
            points += [(card.x, card.y + 5), (card.x + _GAP_ACROSS, card.y + 5)]
        points.append((end.x, to))
        path = f"M{points[0][0]:.0f},{points[0][1]:.0f}"
        for number, ((x1, y1), (x2, y2)) in enumerate(itertools.pairwise(points)):
            if number % 2 and route:
                path += f" L{x2:.0f},{y2:.0f}"
            else:
                bend = max(24.0, abs(x2 - x1) / 2)
                path += f" C{x1 + bend:.0f},{y1:.0f} {x2 - bend:.0f},{y2:.0f} {x2:.0f},{y2:.0f}"
    seen = _SEEN in graph.calls[a, b].found_by
    look = f'stroke="{COLOURS[0]}" stroke-width="1.8"' if seen else f'stroke="{QUIET}" stroke-width="1.3" stroke-dasharray="5 4"'  # fmt: skip
    told = _told(graph, a, b)
    return f'<path d="{path}" fill="none" {look} marker-end="url(#head)"><title>{html.escape(told)}</title></path>'


def _told(graph: CallGraph, a: str, b: str) -> str:
    call = graph.calls[a, b]
    where = f", line {', '.join(map(str, call.lines))}" if call.lines else ""
    times = f", {call.times} times in the run" if call.times > 1 else ""
    return f"{a} calls {b}{where} ({'seen in the run' if _SEEN in call.found_by else 'read from the source'}{times})"


def _row(card: _Card, name: str) -> Node:
    return next(node for node in card.rows if node.name == name)


def _row_middle(card: _Card, name: str) -> float:
    return card.y + _HEAD + _ROW * card.rows.index(_row(card, name)) + _ROW / 2


def _card_svg(card: _Card, graph: CallGraph, folder: Path | None) -> str:
    colour = 0 if card.under != "functions" else 2
    parts = [
        f'<rect x="{card.x:.0f}" y="{card.y:.0f}" width="{card.width:.0f}" height="{card.height:.0f}" rx="7" '
        f'fill="white" stroke="{COLOURS[colour]}" stroke-width="1.4"/>',
        f'<path d="M{card.x:.0f},{card.y + 34:.0f} v-27 a7,7 0 0 1 7,-7 h{card.width - 14:.0f} a7,7 0 0 1 7,7 v27 z" fill="{SOFT_COLOURS[colour]}"/>',
        _text(card.x + 10, card.y + 16, card.title, 'font-weight="bold"'),
        _text(card.x + 10, card.y + 29, card.under, f'font-size="9.5" fill="{INK}"'),
    ]
    for node in card.rows:
        middle = _row_middle(card, node.name)
        look = f'fill="{INK}"' if node.ran is not False else f'fill="{QUIET}" font-style="italic"'
        row = _text(card.x + 10, middle + 4, _short(node), look)
        row += _text(card.x + card.width - 10, middle + 4, str(node.line), f'fill="{QUIET}" font-size="9.5" text-anchor="end"')  # fmt: skip
        target = link(node, folder)
        told = f"{node.name}, {node.label}, line {node.line}" + (", not run" if node.ran is False else "")
        row = f"<title>{html.escape(told)}</title>{row}"
        parts.append(f'<a href="{html.escape(target, quote=True)}">{row}</a>' if target else f"<g>{row}</g>")
    return "<g>" + "".join(parts) + "</g>"


def _text(x: float, y: float, words_: str, look: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" {look}>{html.escape(fitting(words_))}</text>'


def _short(node: Node) -> str:
    """The name inside its card: without the class, and without the file."""
    own = f"{node.owner}." if node.owner else ""
    return node.name.rpartition(own)[2] if own else node.name


def _legend(graph: CallGraph, y: float) -> tuple[str, float]:
    """What the lines mean, where there are two kinds of them."""
    kinds = {_SEEN in call.found_by for call in graph.calls.values()}
    ran = {node.ran for node in graph.nodes}
    if False not in kinds and ran != {True, False}:
        return "", 0.0
    entries = [(COLOURS[0], "", "seen in the run"), (QUIET, ' stroke-dasharray="5 4"', "read from the source alone")]
    parts, x = [], float(_EDGE)
    for seen, (colour, dashes, text) in zip((True, False), entries, strict=True):
        if seen not in kinds:
            continue
        parts.append(f'<path d="M{x:.0f},{y - 4:.0f} h30" stroke="{colour}" stroke-width="1.8"{dashes}/>')
        parts.append(f'<text x="{x + 36:.0f}" y="{y:.0f}" font-size="11" fill="{INK}">{text}</text>')
        x += 60 + _LETTER * len(text)
    if ran == {True, False}:
        parts.append(f'<text x="{x:.0f}" y="{y:.0f}" font-size="11" fill="{QUIET}" font-style="italic">grey: not run</text>')  # fmt: skip
    return "".join(parts), 24.0


# -------------------------------------------------------------------------------------------------------------- dot


def dot_text(graph: CallGraph, folder: Path | None) -> str:
    """The graph in Graphviz's language, classes as clusters."""
    ids = {node.name: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = [
        "digraph calls {",
        '  rankdir=LR; bgcolor="white"; fontname="DejaVu Sans"; fontsize=12;',
        f'  node [shape=box, style="rounded,filled", fillcolor="white", color="{COLOURS[0]}", fontname="DejaVu Sans", fontsize=11];',
        f'  edge [color="{COLOURS[0]}"];',
    ]
    for number, card in enumerate(_cards(graph)):
        lines.append(f"  subgraph cluster_{number} {{ label={dot_quoted(card.title)}; style=filled; color={dot_quoted(SOFT_COLOURS[0])};")  # fmt: skip
        for node in card.rows:
            grey = f', fontcolor="{QUIET}", color="{QUIET}"' if node.ran is False else ""
            target = link(node, folder)
            url = f", URL={dot_quoted(target)}" if target else ""
            told = dot_quoted(f"{node.name}, {node.label}, line {node.line}")
            lines.append(f"    {ids[node.name]} [label={dot_quoted(_short(node))}, tooltip={told}{url}{grey}];")
        lines.append("  }")
    for (a, b), call in graph.calls.items():
        look = "" if _SEEN in call.found_by else f', style=dashed, color="{QUIET}"'
        lines.append(f"  {ids[a]} -> {ids[b]} [tooltip={dot_quoted(_told(graph, a, b))}{look}];")
    return "\n".join([*lines, "}"]) + "\n"


def _by_dot(graph: CallGraph, folder: Path | None) -> str:
    drawn = run_dot(dot_text(graph, folder))
    return drawn.replace("<svg", f'<svg role="img" aria-label="{html.escape(words(graph), quote=True)}"', 1)


# ---------------------------------------------------------------------------------------------------------- Mermaid


def mermaid(graph: CallGraph) -> str:
    """Mermaid text, classes as subgraphs; calls that were only read are dotted."""
    ids = {node.name: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for number, card in enumerate(_cards(graph)):
        lines.append(f'  subgraph g{number}["{_mermaid_words(card.title)}"]')
        lines += [f'    {ids[node.name]}["{_mermaid_words(_short(node))}"]' for node in card.rows]
        lines.append("  end")
    lines += [f"  {ids[a]} {'-->' if _SEEN in c.found_by else '-.->'} {ids[b]}" for (a, b), c in graph.calls.items()]
    grey = [ids[node.name] for node in graph.nodes if node.ran is False]
    if grey:
        lines.append(f"  classDef notrun color:{QUIET},stroke:{QUIET}")
        lines.append(f"  class {','.join(grey)} notrun")
    return "\n".join(lines) + "\n"


def _mermaid_words(text: str) -> str:
    # Names and file names alone: what Mermaid would read as Markdown or an entity is written by its number.
    return "".join(f"#{ord(c)};" if c in '"#;<>&`*_~' else c for c in text)


# -------------------------------------------------------------------------------------------- words, links, notebook


def words(graph: CallGraph) -> str:
    """The graph in words: how much there is, and who calls whom, as far as a few sentences carry it."""
    seen = sum(_SEEN in call.found_by for call in graph.calls.values())
    said = [f"Call graph of {counted(len(graph.nodes), 'function')} with {counted(len(graph.calls), 'call')}"]
    if any(node.ran is not None for node in graph.nodes):
        said[0] += f", {seen} of them seen in a run"
    by_caller: dict[str, list[str]] = {}
    for a, b in graph.calls:
        by_caller.setdefault(a, []).append(b)
    said += [f"{caller} calls {', '.join(called)}" for caller, called in list(by_caller.items())[:12]]
    if len(by_caller) > 12:
        said.append(f"{len(by_caller) - 12} more functions call others")
    if graph.isolated:
        shown = graph.isolated[:8]
        more = f" and {len(graph.isolated) - 8} more" if len(graph.isolated) > 8 else ""
        said.append(f"Alone: {', '.join(shown)}{more}")
    return ". ".join(said) + "."


def link(node: Node, folder: Path | None) -> str:
    """The way from `folder` to a node's line, or nothing for a cell of a notebook."""
    if folder is None or node.path is None:
        return ""
    try:
        relative = os.path.relpath(node.path, folder)
    except ValueError:  # another drive of Windows
        return f"{node.path.as_uri()}#L{node.line}"
    from urllib.parse import quote

    return f"{quote(Path(relative).as_posix())}#L{node.line}"


def html_of(graph: CallGraph) -> str:
    """An image with its alternative text, and under it each function with a link to its line where it is near."""
    if len(graph.nodes) > _MOST_IN_A_PAGE:
        said = (
            f"{len(graph.nodes):,} functions are too many for one picture: give fewer files, take .called() for what the "
            'run reached, or write .to_svg("calls.svg").'
        )
        return f"<p>{html.escape(said)}</p>"
    image = image_tag(draw(graph, None, None), words(graph))
    lines = []
    for node in graph.nodes:
        calls = [b for a, b in graph.calls if a == node.name]
        target = _near(node)
        shown = f"{html.escape(node.label)}, line {node.line}"
        place = f'<a href="{html.escape(target, quote=True)}">{shown}</a>' if target else shown
        does = f" calls {html.escape(', '.join(calls))}" if calls else ""
        lines.append(f"<li><code>{html.escape(node.name)}</code> ({place}){does}</li>")
    lines += [
        f"<li>Not believed: {html.escape(d.caller)} to {html.escape(d.callee)}, {html.escape(d.reason)}</li>"
        for d in graph.dropped
    ]
    lines += [f"<li>{html.escape(note)}</li>" for note in graph.notes]
    return f"{image}<details><summary>The same in words, with the lines</summary><ul>{''.join(lines)}</ul></details>"


def _near(node: Node) -> str:
    """A link that works from the folder of work, for files in it or beside it: no path of a machine gets into a page."""
    target = link(node, Path.cwd())
    if target.startswith("file:") or target.startswith("../../") or "-packages/" in target:
        return ""
    return target
