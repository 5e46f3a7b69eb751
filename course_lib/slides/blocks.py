"""A cell of a built notebook as pieces of a slide.

Heights are estimates in pixels of a slide of 1280 x 720, good enough to decide what goes together; what is a little too
high in the end, the page makes smaller (page.py).
"""

from __future__ import annotations

import ast
import base64
import functools
import html
import math
import re
import struct
from dataclasses import dataclass
from typing import Any, Literal

from course_lib.notebooks.source import without_comments

WIDTH, HEIGHT = 1180, 590  # what a slide has below its title
_TEXT_LINE, _TEXT_CHARACTERS = 36, 92
_CODE_LINE, _CODE_CHARACTERS = 24, 112
_PAGE_CHARACTERS = 115  # of a line of an HTML output
_MOST_CODE_LINES = 22
_MOST_OUTPUT_LINES = 16
_FORMULA = re.compile(r"(?P<mark>\$\$?)(?P<tex>(?!\s)[^$]+?)(?P=mark)(?!\d)")
_BACKSLASH = "\ue000"  # in a formula, while Markdown is read: Markdown takes a backslash for its own
_SHORT_PARAGRAPH = 30  # words up to which a paragraph stands on the slide as it is

Kind = Literal["text", "code", "output"]


@dataclass(frozen=True)
class Block:
    """A piece of a slide: HTML, its estimated height in pixels, and what it is."""

    html: str
    height: int
    kind: Kind


# ------------------------------------------------------------------------------------------------ Markdown


def text_blocks(markdown: str, whole: bool = False) -> list[Block]:
    """What of a Markdown cell stands on the slide: all of it, or of long paragraphs the first sentence. No headings."""
    blocks = []
    for token in _parsed(_FORMULA.sub(lambda found: found[0].replace("\\", _BACKSLASH), _without_hints(markdown))):
        match token["type"]:
            case "paragraph":
                words = _raw(token["children"])
                if words.strip().startswith("$$"):
                    blocks.append(Block(rendered(words), 110, "text"))
                else:
                    shown = words if whole or len(words.split()) <= _SHORT_PARAGRAPH else first_sentence(words)
                    blocks.append(Block(rendered(shown), _text_height(shown), "text"))
            case "list":
                items = [_raw_item(item) for item in token["children"]]
                first = token["attrs"].get("start", 1)
                marks = [
                    f"{number}." if token["attrs"]["ordered"] else "-" for number in range(first, first + len(items))
                ]
                blocks += _list_blocks(items, marks)
            case "table":
                body = _table_markdown(token)
                blocks.append(Block(rendered(body), 44 * body.count("\n") + 20, "text"))
            case "block_code":
                blocks.append(
                    _code_block(token["raw"].rstrip("\n"), python=token.get("attrs", {}).get("info") == "python")
                )
            case "block_quote":
                words = "".join(_raw(child["children"]) for child in token["children"] if "children" in child)
                blocks.append(Block(f"<blockquote>{rendered(words)}</blockquote>", _text_height(words) + 10, "text"))
            case "block_html":
                blocks.append(Block(token["raw"], _text_height(re.sub(r"<[^>]+>", "", token["raw"])), "text"))
    return blocks


def notes(markdown: str) -> str:
    """The whole of a Markdown cell as the speaker's text, without headings and without the hints of an exercise."""
    said = _without_hints(markdown)
    lines = zip(said.split("\n"), without_comments(said).split("\n"), strict=True)
    kept = "\n".join(line for line, outside in lines if not re.match("#{1,6} ", outside)).strip()
    return rendered(kept) if kept else ""


def first_sentence(words: str) -> str:
    """The first sentence of a paragraph in Markdown; marks that stay open are closed."""
    flat = " ".join(words.split())
    for found in re.finditer(r"[.?!:](?=\*{0,2} |\*{0,2}$)|[。？！]", flat):
        end = found.end()
        before = flat[:end]
        if re.search(r"\b(e\.g|i\.e|al|Fig|vs|cf|Eq)\.$", before) or before.count("`") % 2 or before.count("(") > before.count(")"):  # fmt: skip
            continue
        if before.endswith(":"):
            return flat  # what follows a colon belongs to it
        while flat[end : end + 1] == "*":
            end += 1
        sentence = flat[:end]
        if len(sentence.split()) < 4 and sentence.isascii():
            continue  # "Yes." alone says too little
        return sentence + ("**" if sentence.count("**") % 2 else "")
    return flat


def _without_hints(markdown: str) -> str:
    return re.sub(r"<details>.*?</details>", "", markdown, flags=re.DOTALL)


def _list_blocks(items: list[str], marks: list[str]) -> list[Block]:
    """A list, in parts that fit on a slide each."""
    blocks, part, height = [], [], 0
    for item, mark in zip(items, marks, strict=True):
        rows = _text_height(item) - 12
        if part and height + rows > HEIGHT - 60:
            blocks.append(Block(rendered("\n".join(part)), height + 20, "text"))
            part, height = [], 0
        part.append(f"{mark} {item}")
        height += rows
    return [*blocks, Block(rendered("\n".join(part)), height + 20, "text")]


def _text_height(words: str) -> int:
    shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", words)
    wide = sum(1 for letter in shown if ord(letter) > 0x2E80)  # Chinese characters are twice as wide
    return _TEXT_LINE * math.ceil((len(shown) + wide) / _TEXT_CHARACTERS) + 14


@functools.cache
def _reader() -> Any:
    import mistune

    return mistune.create_markdown(renderer=None, plugins=["table"])


def _parsed(markdown: str) -> list[dict[str, Any]]:
    return [token for token in _reader()(markdown) if token["type"] != "blank_line"]


def _raw(children: list[dict[str, Any]]) -> str:
    """Inline tokens as the Markdown they came from."""
    made = []
    for child in children:
        inner = _raw(child.get("children", []))
        match child["type"]:
            case "text":
                made.append(child["raw"])
            case "codespan":
                made.append(f"`{child['raw']}`")
            case "strong":
                made.append(f"**{inner}**")
            case "emphasis":
                made.append(f"*{inner}*")
            case "link":
                made.append(f"[{inner}]({child['attrs']['url']})")
            case "softbreak" | "linebreak":
                made.append(" ")
            case _:
                made.append(child.get("raw", inner))
    return "".join(made)


def _raw_item(item: dict[str, Any]) -> str:
    """An item of a list in one line; a list inside it is joined by semicolons."""
    parts = []
    for child in item["children"]:
        if child["type"] == "list":
            parts.append("; ".join(_raw_item(inner) for inner in child["children"]))
        else:
            parts.append(_raw(child.get("children", [])) or child.get("raw", ""))
    return " ".join(part.strip() for part in parts if part.strip())


def _table_markdown(token: dict[str, Any]) -> str:
    head, *rest = token["children"]
    rows = [[_raw(cell["children"]) for cell in head["children"]]]
    rows += [[_raw(cell["children"]) for cell in row["children"]] for body in rest for row in body["children"]]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def rendered(markdown: str) -> str:
    """Markdown as HTML: formulas as MathML, links as their words (a slide has no place to go to)."""
    kept: list[str] = []

    def keep(formula: re.Match[str]) -> str:
        kept.append(mathml(formula["tex"].replace(_BACKSLASH, "\\"), display=formula["mark"] == "$$"))
        return f"\x02{len(kept) - 1}\x03"

    import mistune

    plain = re.sub(r"\[((?:`[^`]*`|[^\]])*)\]\((?!https?:)[^)]+\)", r"\1", markdown)
    plain = _FORMULA.sub(keep, plain)
    made = str(mistune.create_markdown(escape=False, plugins=["table"])(plain))
    return re.sub(r"\x02(\d+)\x03", lambda found: kept[int(found[1])], made)


def mathml(tex: str, display: bool = False) -> str:
    """A formula in TeX as MathML, which browsers draw by themselves."""
    from latex2mathml.converter import convert

    # latex2mathml knows no \big and no \!: sizes and small distances, which MathML finds by itself.
    plain = re.sub(r"\\[bB]ig[lrg]?(?![a-z])|\\!", "", tex.strip())
    return str(convert(plain, display="block" if display else "inline"))


# ------------------------------------------------------------------------------------------------ code and outputs


def code_blocks(code: str) -> list[Block]:
    """A cell's code, cut between statements where it is too long for one slide."""
    return [_code_block(part, python=True) for part in _parts(code.strip("\n"))]


def _parts(code: str) -> list[str]:
    lines = code.split("\n")
    if len(lines) <= _MOST_CODE_LINES:
        return [code]
    try:
        outer, inner = _starts(code)
    except SyntaxError:  # a magic command
        outer, inner = [], list(range(len(lines)))
    parts, begin = [], 0
    while len(lines) - begin > _MOST_CODE_LINES:
        latest = begin + _MOST_CODE_LINES
        whole = [start for start in outer if begin + _MOST_CODE_LINES // 3 <= start <= latest]
        within = [start for start in inner if begin < start <= latest]
        cut = whole[-1] if whole else within[-1] if within else latest
        while cut - 1 > begin and lines[cut - 1].lstrip().startswith("#"):
            cut -= 1  # a comment goes with the line below it
        parts.append("\n".join(lines[begin:cut]).strip("\n"))
        begin = cut
    parts.append("\n".join(lines[begin:]).strip("\n"))
    return [part for part in parts if part.strip()]


def _starts(code: str) -> tuple[list[int], list[int]]:
    """Lines, from 0, in which the statements of a module begin, and those in the bodies of its classes and functions."""
    body = ast.parse(code).body
    inner: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            inner += node.body
            inner += [statement for each in node.body if isinstance(each, ast.FunctionDef) for statement in each.body]
    first = [min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1 for node in [*body, *inner]]  # fmt: skip
    return first[: len(body)], first


def _code_block(code: str, python: bool) -> Block:
    lines = code.split("\n")
    widest = max(map(len, lines))
    size = "" if widest <= _CODE_CHARACTERS else f' style="font-size:{17 * _CODE_CHARACTERS / widest:.1f}px"'
    return Block(f'<pre class="code"{size}>{_coloured(code) if python else html.escape(code)}</pre>', _CODE_LINE * len(lines) + 30, "code")  # fmt: skip


def _coloured(code: str) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return str(highlight(code, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True))).rstrip("\n")


def code_style() -> str:
    """The style sheet for the colours of code."""
    from pygments.formatters import HtmlFormatter

    return str(HtmlFormatter(style="default").get_style_defs("pre.code"))


def output_blocks(outputs: list[Any]) -> list[Block]:
    """What a cell printed and drew, each output a piece."""
    blocks = []
    for output in outputs:
        if output["output_type"] == "error":
            text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output["traceback"]))
            blocks.append(_printed(text, " error"))
        elif output["output_type"] == "stream":
            blocks.append(_printed(output["text"].rstrip("\n")))
        elif page := output["data"].get("text/html"):
            blocks.append(_page(page, output["data"].get("text/plain", "")))
        elif "text/plain" in output["data"]:
            blocks.append(_printed(output["data"]["text/plain"]))
    return [block for block in blocks if block.html]


def _printed(text: str, kind: str = "") -> Block:
    lines = text.split("\n")
    if len(lines) > _MOST_OUTPUT_LINES:
        half = _MOST_OUTPUT_LINES // 2
        lines = [*lines[:half], f"... {len(lines) - 2 * half} more lines ...", *lines[-half:]]
    rows = sum(max(1, math.ceil(len(line) / _CODE_CHARACTERS)) for line in lines)
    shown = html.escape("\n".join(lines))
    return Block(f'<pre class="output{kind}">{shown}</pre>', _CODE_LINE * rows + 24, "output")


def _page(page: str, plain: str) -> Block:
    """An HTML output; a picture is given the size that leaves room for a line or two above it."""
    page = _without_hints(page)  # what opens on a click has no place on a slide
    if found := re.search(r'<img\b[^>]*?src="data:image/(png|svg\+xml)[^,]*,([^"]+)"', page):
        width, height = _size(found[1], found[2], page)
        columns, scale = _columns(width, height)
        tag = re.search(r"<img\b[^>]*>", page)
        assert tag
        bare = re.sub(r'\s(width|height|style)="[^"]*"', "", tag[0])
        high = height * scale if columns == 1 else HEIGHT - 100
        images = [
            (bare if number == 0 else re.sub(r'\salt="[^"]*"', ' alt="the same picture, further down"', bare)).replace(
                "<img",
                f'<img style="width:{width * scale:.0f}px;height:{high:.0f}px;object-fit:cover;'
                f'object-position:0 {100 * number / max(1, columns - 1):.0f}%"',
                1,
            )
            for number in range(columns)
        ]
        shown = images[0] if columns == 1 else f'<div class="columns">{"".join(images)}</div>'
        return Block(page.replace(tag[0], shown), round(high) + 16, "output")
    if "<svg" in page:
        return Block(page, 420, "output")
    if "<table" in page:
        rows = _words_lines(re.sub(r"<table.*?</table>", "<br>", page, flags=re.DOTALL))
        return Block(f'<div class="page">{page}</div>', 33 * page.count("<tr") + 30 + 30 * rows, "output")
    rows = max(_words_lines(page), plain.count("\n") + 1)
    return Block(f'<div class="page">{page}</div>', 34 * rows + 30, "output")


def _columns(width: float, height: float) -> tuple[int, float]:
    """In how many columns a picture is shown, each a part from top to bottom, so that it is large; and its scale."""

    def scale(columns: int) -> float:
        seen_twice = 1 + 0.05 * (columns - 1)  # what is cut at the end of a column begins the next one
        wide = (WIDTH - 30 * (columns - 1)) / (columns * width)
        return min(wide, columns * (HEIGHT - 100) / (height * seen_twice), 1.6)

    if scale(1) >= 0.6 or height < 2 * width:  # large enough, or no long picture: what is broad is not cut
        return 1, scale(1)
    return max(((columns, scale(columns)) for columns in (1, 2, 3)), key=lambda found: found[1])


def _words_lines(page: str) -> int:
    """How many lines the words of an HTML output fill."""
    text = html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"<br>|</p>|</div>|</tr>|</?pre[^>]*>", "\n", page)))
    return sum(math.ceil(len(line.strip()) / _PAGE_CHARACTERS) for line in text.split("\n"))


def _size(kind: str, data: str, page: str) -> tuple[float, float]:
    """Width and height of an embedded image, in pixels as the notebook shows it."""
    shown = re.search(r'<img\b[^>]*?\swidth="(\d+)"', page)
    if kind == "png":
        width, height = struct.unpack(">II", base64.b64decode(data[:64])[16:24])
    else:
        drawing = base64.b64decode(data).decode("utf-8", "replace")[:2000]
        sizes = re.search(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"', drawing)
        width, height = (float(sizes[1]), float(sizes[2])) if sizes else (800, 450)
    return (float(shown[1]), float(shown[1]) * height / width) if shown else (float(width), float(height))
