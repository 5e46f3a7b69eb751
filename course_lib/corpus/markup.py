"""From a docstring to its prose: paragraphs of plain English, without code, tables, markup and lists of names.

Docstrings are written in four ways, often mixed: reStructuredText, the numpydoc form (headings underlined, `name : type`
and the description below), Google's (`Args:`, `name (type): description`) and Markdown. The rules here go line by line,
know all four, and keep a line where they are not sure; sentences that then do not read as English are left out
(`reads_as_prose`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from course_lib.corpus.sentences import split_sentences, word_set

# ---------------------------------------------------------------------------------------------------- blocks of lines

# Directives whose content is a text; of every other one nothing is kept.
_TEXT_DIRECTIVES = word_set(
    "note warning tip important caution attention hint danger error admonition seealso deprecated versionadded "
    "versionchanged deprecated-removed versionremoved topic sidebar container"
)
_DIRECTIVE = re.compile(r"\.\.\s+([\w:.-]+?)\s?::\s*(.*)")
_UNDERLINE = re.compile(r"([=\-~^*#+_.\"'`:])\1{2,}")
_TABLE = re.compile(r"\+[-=+]{2,}\+?|={2,}(\s+={2,})+|-{2,}(\s+-{2,})+|[|+].*[|+]|\|.*|:?-{2,}:?(\s*\|\s*:?-{2,}:?)+")
_BULLET = re.compile(r"(?:[-*+•‣–]|\(?(?:\d{1,3}|[a-zA-Z#]|[ivx]{1,4})[.)])\s+(?=\S)")
_FIELD = re.compile(r":(\w[\w-]*)((?:\s+[^:\n]*)?):(?:\s+(.*)|$)")  # :param int x: text
_FENCE = re.compile(r"(```+|~~~+)")
# Sections of which nothing reads as a text.
_DROPPED_SECTIONS = word_set(
    "references see also methods attributes routine listings index bibliography usage demo"
) | {"see also", "example usage"}
_SECTIONS = re.compile(
    r"(?:(?:other |keyword |optional |required |input |output |constructor |class |keyword-only )?"
    r"(?:parameters?|arg(?:ument)?s|params?|keywords?|kwargs|inputs?|outputs?|returns?|yields?|raises?|warns?|attributes?|methods?|"
    r"examples?(?: usages?| uses?)?|notes?|references?|see also|warnings?|shapes?|usage|variables|exceptions?|properties|"
    r"receives|todo|tips?|important|members|throws|options|fields|side effects|returned value|return values?|return types?|default))\s*:{0,2}",
    re.IGNORECASE,
)
# "name : type" (numpydoc), with names such as "*args, **kwargs" or "x1, x2"
_NUMPY_ENTRY = re.compile(r"[`*]{0,2}[A-Za-z_][\w.*`'\"-]*(?:\s*,\s*[`*.]*[\w.*`-]*)*[`*]{0,2}\s*(?:\s:|:\s)(?:\s.*)?$")
_BARE_ENTRY = re.compile(r"[`*]{0,2}[A-Za-z_][\w.\[\]'\"*`-]*(?:\s*,\s*[`*.]*[\w.*`'\"-]+)*(?:\(.*\))?:?")
# "name (type): description", "name (`type`, *optional*, defaults to 3):" and "name: description" (Google, Hugging Face)
_GOOGLE_ENTRY = re.compile(
    r"[`*]{0,2}[A-Za-z_][\w.*\[\]-]*[`*]{0,2}(?:\s*[,/]\s*[`*]{0,2}[\w.*-]+[`*]{0,2})*\s*"
    r"(?:\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)|<[^<>]*>)\s*(?:[:—]|--?(?=\s))\s*"
)
_NAME_COLON = re.compile(r"(?:[`*]{1,2}[\w.*=\[\]'\"-]+[`*]{1,2}|[A-Za-z]*[_.*\d][\w.*]*|[a-z]\w*)\s*(?::|--)\s+(?=\S)")


def prose(docstring: str) -> list[list[str]]:
    """Return the paragraphs of a docstring, each the list of its sentences."""
    paragraphs = []
    for paragraph in _paragraphs(inspect.cleandoc(docstring).expandtabs(4).split("\n")):
        sentences = [s for s in map(tidy, split_sentences(plain(paragraph))) if reads_as_prose(s)]
        if sentences:
            paragraphs.append(sentences)
    return paragraphs


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _kept_lines(lines: list[str]) -> Iterator[str]:
    """Go through the lines of text; an empty one stands where a paragraph ends."""
    place, count = 0, len(lines)
    section = section_indent = None  # the heading that what follows belongs to, and its indentation

    def after_block(start: int, indent: int) -> int:
        """The first line from `start` on that is not empty and not further in than `indent`."""
        while start < count and (not lines[start].strip() or _indent(lines[start]) > indent):
            start += 1
        return start

    while place < count:
        line = lines[place]
        bare, indent = line.strip(), _indent(line)
        following = lines[place + 1].strip() if place + 1 < count else ""
        place += 1
        if not bare:
            yield ""
            continue
        if bare.startswith((">>>", "In [", "$ ", "% ", "@")) and not bare.startswith("$ \\"):
            yield ""
            while place < count and lines[place].strip() and not bare.startswith(("$ ", "@")):
                place += 1
            continue
        if fence := _FENCE.match(bare):
            yield ""
            while place < count and not lines[place].strip().startswith(fence[1]):
                place += 1
            place += 1
            continue
        if section is not None and indent < section_indent:
            section = None
        if bare.startswith(".."):
            yield ""
            directive = _DIRECTIVE.match(bare)
            name = directive[1].rpartition(":")[2] if directive else None
            if name in _TEXT_DIRECTIVES:
                text = directive[2]
                if name.startswith(("version", "deprecated")):
                    text = re.sub(r"^v?[\d.]+\w*\s*", "", text)
                if text:
                    yield " " * (indent + 3) + text
                while place < count and re.match(r"\s+:[\w-]+:", lines[place]):
                    place += 1
            else:
                place = after_block(place, indent)
            continue
        underlined = bool(_UNDERLINE.fullmatch(following)) and len(following) >= min(3, len(bare) - 2)
        if underlined or (_SECTIONS.fullmatch(bare) and (bare.endswith(":") or (indent == 0 and not following))):
            yield ""
            section, section_indent = bare.strip(":").lower(), indent
            if underlined:
                place += 1
            elif indent == 0 or bare.endswith(":"):
                section_indent = indent + 1
            if bare.endswith("::") or section in _DROPPED_SECTIONS:
                place = _section_end(lines, place, indent, underlined)
                section = None
            continue
        if _UNDERLINE.fullmatch(bare) or (bare.startswith("#") and not re.match(r"#+ +\w", bare)):
            yield ""
            continue
        if re.match(r"#+ +\w", bare):  # a heading of Markdown
            yield ""
            continue
        if _TABLE.fullmatch(bare):
            yield ""
            if re.match(r"={2,}\s+={2,}", bare):  # a simple table ends with an empty line after its last rule
                while place < count and lines[place].strip():
                    place += 1
            continue
        if field := _FIELD.match(bare):
            yield ""
            if field[1].lower() not in ("type", "rtype", "vartype", "class", "meth", "func") and field[3]:
                yield " " * (indent + 4) + field[3]
            continue
        if bullet := _BULLET.match(bare):
            yield ""
            bare = bare[bullet.end() :]
        literal = bare.endswith("::")
        if section is not None or bullet:
            deeper = place < count and bool(following) and _indent(lines[place]) > indent
            if deeper and (_NUMPY_ENTRY.fullmatch(bare) or _BARE_ENTRY.fullmatch(bare)):
                yield ""
                continue
        entry = _GOOGLE_ENTRY.match(bare) or (
            _NAME_COLON.match(bare) if section is not None or bullet or indent else None
        )
        if entry:
            yield ""
            bare = bare[entry.end() :]
        if bare:
            yield " " * indent + (bare[:-1] if literal else bare)
        if literal:
            yield ""
            place = after_block(place, indent)


def _section_end(lines: list[str], place: int, indent: int, underlined: bool) -> int:
    """The line where a section ends that is left out: at the next heading, or where the indentation goes back."""
    while place < len(lines):
        bare = lines[place].strip()
        if bare:
            if underlined:
                following = lines[place + 1].strip() if place + 1 < len(lines) else ""
                if _UNDERLINE.fullmatch(following) and _indent(lines[place]) <= indent:
                    return place
            elif _indent(lines[place]) <= indent:
                return place
        place += 1
    return place


def _paragraphs(lines: list[str]) -> Iterator[str]:
    """Join lines to paragraphs; a paragraph also ends where the indentation goes back after a stop."""
    held: list[str] = []
    for line in _kept_lines(lines):
        moved = held and line.strip() and _indent(line) != _indent(held[-1])
        if held and (not line.strip() or (moved and held[-1].rstrip().endswith((".", ":", "!", "?", ";")))):
            yield "\n".join(part.strip() for part in held)
            held = []
        if line.strip():
            held.append(line)
    if held:
        yield "\n".join(part.strip() for part in held)


# ---------------------------------------------------------------------------------------------------- within a line

_INLINE: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), into)
    for pattern, into in (
        (r"</?\w+(?:\s[^<>]*)?/?>", " "),  # <Tip>, <br/>
        (r"!\[[^\]]*\]\([^)]*\)", " "),
        (r"\[`+~?([^`\]]+)`+\](?:\([^)\s]*\))?", r"\1"),  # [`~Trainer.train`]
        (r"\[([^\[\]]+)\]\((?:https?:|[./#\w-])[^)\s]*\)", r"\1"),  # [text](url)
        (r":(?:\w+:)?math:`([^`]*)`", r"$\1$"),
        (r":[\w:+-]+:`~?(?:[^`<]*\.)?~([^`]+)`", r"\1"),
        (r":[\w:+-]+:`~(?:[^`<>]*\.)?([^`<>.]+)`", r"\1"),  # :class:`~torch.nn.Module` shows as Module
        (r":[\w:+-]+:`!?([^`<]+?)\s*<[^`>]*>`", r"\1"),
        (r":[\w:+-]+:`!?~?([^`]+)`", r"\1"),
        (r"`([^`<]+?)\s*<[^`>]+>`_{0,2}", r"\1"),  # `text <address>`_
        (r"\s?\[(?:\d+|[A-Z][\w+&.-]*\d{2,4}[a-z]?|#\w*)\]_", ""),  # [1]_
        (r"\|(\w[\w-]*)\|_{0,2}", r"\1"),  # |substitution|
        (r"``(.*?)``", r"\1"),
        (r"`([^`]*)`_{0,2}", r"\1"),
        (r"\s?<(?:https?|ftp|mailto):[^>\s]*>", ""),
        (r"\(?\b(?:https?|ftp)://[^\s)>\]]*[^\s)>\].,;:]\)?", " "),
        (r"(?<![\w*])\*\*(?=\S)([^*]+?)(?<=\S)\*\*(?!\w)", r"\1"),
        (r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])", r"\1"),
        (r"(?<!\w)_(?=[^\W_])([^_\n]*?[^\W_])_(?!\w)", r"\1"),
        (r"(?<=\w)__?(?=[\s.,;:)]|$)", ""),  # reference_
        (r"\$\s*([\w,.+=<>-]+(?: [\w,.+=<>-]+){0,4})\s*\$", r"\1"),  # simple formulas
        (r"\\([*_`|])", r"\1"),
    )
)
_SPACES = re.compile(r"[^\S\n]+")


def plain(text: str) -> str:
    """Return a paragraph without inline markup: roles, links, emphasis and backticks leave the text that they show."""
    for pattern, into in _INLINE:
        text = pattern.sub(into, text)
    return _SPACES.sub(" ", text).replace("`", "").strip()


_EMPTY_BRACKETS = re.compile(r"\s*[(\[]\s*(?:see|cf\.)?[\s,;.:]*[)\]]", re.IGNORECASE)
_BEFORE_MARK = re.compile(r"\s+([,.;:!?)\]])(?=\s|$)")
_TYPE_PREFIX = re.compile(
    r"^(?:\(?(?:int|float|str|bool|Tensor|dict|list|tuple|string|array|ndarray)[^.:]{0,40}\)?:\s+)(?=[A-Z])"
)


def tidy(sentence: str) -> str:
    """Close the holes that left-out markup makes: empty brackets, blanks before a comma."""
    sentence = _BEFORE_MARK.sub(r"\1", _EMPTY_BRACKETS.sub("", sentence))
    sentence = _TYPE_PREFIX.sub("", sentence)
    return " ".join(sentence.split()).strip("|>•–—- ")


_WORD = re.compile(r"[(\"'“‘\[]*[A-Za-z]+(?:['’-][A-Za-z]+)*[)\"'”’\]]*[,.;:!?]*[)\"'”’]*")
_CODE = re.compile(
    r"\\|==|!=|->|=>|<-|::|\w\(\)?\.|[{}]|\bdef \w+\(|\bimport \w+$|\w=\w|\$|^\w+\(|\+\+|\s=\s.*\(|___|\.\.\.\s*\w+\("
)
_COMMON = word_set(
    "the a an of to in is are be for and or that this it its with as by on from at not if when which will can was were has "
    "have must should may no any all each into than then use used using return returns whether only such one same other "
    "these there you"
)


def reads_as_prose(sentence: str) -> bool:
    """Whether a sentence is mostly English words, at least three, with one of the commonest among them or an end."""
    pieces = sentence.split()
    words = [piece for piece in pieces if _WORD.fullmatch(piece)]
    if len(words) < 3 or len(words) < 0.7 * len(pieces):
        return False
    if len(_CODE.findall(sentence)) > (1 if len(pieces) > 12 else 0):
        return False
    common = sum(word.lower().strip("\"'()[],.;:!?") in _COMMON for word in words)
    return common > 0 or (len(words) >= 4 and sentence[0].isupper() and sentence[-1] in ".!?")
