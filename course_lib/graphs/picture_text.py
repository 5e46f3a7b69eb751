"""Text in pictures: what call graphs and pictures of networks share.

A picture is drawn before anybody knows with which font it is shown, so the room for a text is reckoned from its letters.
"""

from __future__ import annotations

import base64
import html
import unicodedata

FONT = "'DejaVu Sans','Noto Sans CJK SC','PingFang SC','Microsoft YaHei',sans-serif"
LONGEST = 34  # letters of a name; longer ones are cut, with the whole name as a tooltip


def wide(text: str) -> float:
    """How many letters of a Latin text need the same room: a Chinese one counts for more than one."""
    return sum(1.7 if unicodedata.east_asian_width(c) in "WF" else 1.0 for c in text)


def fitting(text: str) -> str:
    """A text, cut where it is longer than any that is drawn whole."""
    if wide(text) <= LONGEST:
        return text
    while wide(text) > LONGEST - 1:
        text = text[:-1]
    return text + "…"


def counted(number: int, noun: str) -> str:
    """A number of things: "1 call", "1,200 calls"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def dot_quoted(text: str) -> str:
    """A string of Graphviz's language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def image_tag(svg: str, alt: str) -> str:
    """The HTML that shows an SVG, with its alternative text.

    An image of its own, because JupyterLab's cleaner would take apart an SVG that stands in the page.
    """
    data = base64.b64encode(svg.encode("utf-8")).decode("ascii")
    said = html.escape(alt, quote=True)
    return f'<img alt="{said}" style="max-width:100%;height:auto" src="data:image/svg+xml;base64,{data}">'
