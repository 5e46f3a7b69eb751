"""From a docstring to its prose: paragraphs of plain English, without code, tables, markup and lists of names.

Docstrings are written in four ways, often mixed: reStructuredText, the numpydoc form (headings underlined, `name : type`
and the description below), Google's (`Args:`, `name (type): description`) and Markdown. The rules here go line by line,
know all four, and keep a line where they are not sure; sentences that then do not read as English are left out
(`reads_as_prose`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator

from course_lib.corpus.sentences import split_sentences, word_set

# ---------------------------------------------------------------------------------------------------- blocks of lines

# Directives whose content is a text; of every other one nothing is kept.
_TEXT_DIRECTIVES = word_set(
    "note warning tip important caution attention hint danger error admonition seealso deprecated versionadded "
    "versionchanged deprecated-removed versionremoved topic sidebar container"
)
_DROPPED_FIELDS = word_set(
    "type rtype vartype class meth func copyright license author authors members show-inheritance"
)
_DROPPED_SECTIONS = word_set("references methods bibliography") | {"see also", "example usage", "routine listings"}
_SECTIONS = re.compile(
    r"(?:(?:other|keyword|optional|required|input|output|constructor|class|keyword-only) )?"
    r"(?:parameters?|arg(?:ument)?s|params?|keywords?|kwargs|inputs?|outputs?|returns?|yields?|raises?|warns?|attributes?|"
    r"methods?|examples?(?: usages?| uses?)?|notes?|references?|see also|warnings?|shapes?|usage|variables|exceptions?|"
    r"properties|receives|todo|tips?|important|members|throws|options|fields|side effects|returned value|return values?|"
    r"return types?|default)\s*:{0,2}",
    re.IGNORECASE,
)
_OF_ENTRIES = re.compile(r"parameters|returns|yields|raises|warns|attributes|receives|fields|inputs?|outputs?")

_CODE_LINE = re.compile(r">>>|In \[\d*\]:|\$ (?!\\)|% |@\w")
_FENCE = re.compile(r"`{3,}|~{3,}")
_DIRECTIVE = re.compile(r"\.\.\s+([\w:.-]+?)\s?::\s*(.*)")
_UNDERLINE = re.compile(r"([=\-~^*#+_.\"'`:])\1{2,}")
_MARKDOWN_HEADING = re.compile(r"#+ +\w.*")
_TABLE = re.compile(r"\+[-=+]{2,}\+?|={2,}(\s+={2,})+|-{2,}(\s+-{2,})+|[|+].*[|+]|\|.*|:?-{2,}:?(\s*\|\s*:?-{2,}:?)+")
_SIMPLE_TABLE = re.compile(r"={2,}(\s+={2,})+")
_BULLET = re.compile(r"(?:[-*+•‣–]|\(?(?:\d{1,3}|[a-zA-Z#]|[ivx]{1,4})[.)])\s+(?=\S)")
_FIELD = re.compile(r":(\w[\w-]*)(?:\s+[^:\n]*)?:(?:\s+(.*)|$)")  # :param int x: text

# Lines above an indented description: "x, y : array_like" (numpydoc), "name: int, default: 3", "**kwargs", "str or None".
_ENTRY = re.compile(
    r"[`*]{0,2}[A-Za-z_][\w.*`'\"-]*(?:\s*,\s*[`*.]*[\w.*`-]*)*[`*]{0,2}(?:\s:|:)(?:\s.*)?"
    r"|[`*]{0,2}[A-Za-z_][\w.\[\]'\"*`-]*(?:\s*,\s*[`*.]*[\w.*`'\"-]+)*(?:\(.*\))?:?"
)
# Before a description in the same line: "name (type): ", "name (`type`, *optional*, defaults to 3):" ...
_TYPED_NAME = re.compile(
    r"[`*]{0,2}[A-Za-z_][\w.*\[\]-]*[`*]{0,2}(?:\s*[,/]\s*[`*]{0,2}[\w.*-]+[`*]{0,2})*\s*"
    r"(?:\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)|<[^<>]*>)\s*(?:[:—]|--?(?=\s))\s*"
)
# ... "name: ", "`name` -- ", and two columns, "name    "
_NAME = re.compile(
    r"(?:[`*]{1,2}[\w.*=\[\]'\"-]+[`*]{1,2}|[A-Za-z]*[_.*\d][\w.*]*|[a-z]\w*|[A-Z]\w*(?:Error|Exception|Warning))"
    r"\s*(?::|--)\s+(?=\S)"
)
_COLUMN = re.compile(r"[`'\"]?[A-Za-z_*][\w.*]*\w(?:\([^()]*\))?[`'\"]?(?:\s{2,}|\s+--?\s+)(?=\S)")


def prose(docstring: str) -> list[list[str]]:
    """Return the paragraphs of a docstring, each the list of its sentences."""
    found = []
    for paragraph in paragraphs(docstring):
        sentences = [s for s in map(tidy, split_sentences(plain(paragraph))) if reads_as_prose(s)]
        if sentences:
            found.append(sentences)
    return found


def paragraphs(text: str) -> Iterator[str]:
    """Go through the paragraphs of a docstring or a Markdown text, with the markup that stands within lines.

    A paragraph ends at an empty line, at what is left out, and where the indentation changes after a stop.
    """
    held: list[str] = []
    for line in _Lines(inspect.cleandoc(text).expandtabs(4).split("\n")).kept():
        moved = held and line.strip() and _indent(line) != _indent(held[-1])
        if held and (not line.strip() or (moved and held[-1].rstrip().endswith((".", ":", "!", "?", ";")))):
            yield "\n".join(part.strip() for part in held)
            held = []
        if line.strip():
            held.append(line)
    if held:
        yield "\n".join(part.strip() for part in held)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


class _Lines:
    """The lines of a docstring, gone through once; each rule below takes the lines that it knows and goes on."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.place = 0  # of the line that is looked at
        self.section = ""  # the heading that the line stands below
        self.section_indent = 0  # what is further out stands below it no more

    def kept(self) -> Iterator[str]:
        """Go through the lines of text; an empty one stands where a paragraph ends."""
        while self.place < len(self.lines):
            line = self.lines[self.place]
            if not line.strip():
                self.place += 1
                yield ""
                continue
            if self.section and _indent(line) < self.section_indent:
                self.section = ""
            for rule in self._rules(line.strip()):
                found = rule(line.strip(), _indent(line))
                if found is not None:
                    yield ""
                    yield from found
                    break
            else:
                yield from self._text(line.strip(), _indent(line))

    def _rules(self, bare: str) -> tuple[Callable[[str, int], list[str] | None], ...]:
        """The rules that a line with this first character may fall under."""
        if bare[0].isalnum():
            return (self._code, self._heading) if bare.startswith("In [") else (self._heading,)
        return (self._code, self._fence, self._directive, self._heading, self._table, self._field)

    # Each returns None where the line is none of its kind; else it moves the place on and returns the text to keep.

    def _code(self, bare: str, indent: int) -> list[str] | None:
        if not _CODE_LINE.match(bare):
            return None
        self.place += 1
        if bare.startswith((">>>", "In [")):  # what it prints ends with an empty line
            self._skip_while(lambda line: bool(line.strip()))
        return []

    def _fence(self, bare: str, indent: int) -> list[str] | None:
        fence = _FENCE.match(bare)
        if fence is None:
            return None
        self.place += 1
        self._skip_while(lambda line: not line.strip().startswith(fence[0]))
        self.place += 1
        return []

    def _directive(self, bare: str, indent: int) -> list[str] | None:
        if not bare.startswith(".."):
            return None
        self.place += 1
        directive = _DIRECTIVE.match(bare)
        name = directive[1].rpartition(":")[2] if directive else ""
        if name not in _TEXT_DIRECTIVES:
            self._skip_block(indent)
            return []
        text = directive[2]
        if name.startswith(("version", "deprecated")):
            text = re.sub(r"^v?[\d.]+\w*\s*", "", text)
        self._skip_while(lambda line: bool(re.match(r"\s+:[\w-]+:", line)))  # options
        return [" " * (indent + 3) + text]

    def _heading(self, bare: str, indent: int) -> list[str] | None:
        following = self._following()
        underlined = bool(_UNDERLINE.fullmatch(following)) and len(following) >= min(3, len(bare) - 2)
        named = (bare.endswith(":") or (indent == 0 and not following)) and _SECTIONS.fullmatch(bare)
        if not (underlined or named):
            return None
        self.place += 1 + underlined
        section = bare.strip(": ").lower()
        if section in _DROPPED_SECTIONS or bare.endswith("::"):
            self._skip_section(indent, underlined)
            self.section = ""
        else:
            self.section = section
            self.section_indent = indent + 1 if bare.endswith(":") and not underlined else indent
        return []

    def _table(self, bare: str, indent: int) -> list[str] | None:
        """Tables, rules, and the headings of Markdown."""
        if not (_TABLE.fullmatch(bare) or _UNDERLINE.fullmatch(bare) or _MARKDOWN_HEADING.fullmatch(bare)):
            return None
        self.place += 1
        if _SIMPLE_TABLE.fullmatch(bare):  # ends with an empty line after its last rule
            self._skip_while(lambda line: bool(line.strip()))
        return []

    def _field(self, bare: str, indent: int) -> list[str] | None:
        field = _FIELD.match(bare)
        if field is None:
            return None
        self.place += 1
        return [" " * (indent + 4) + (field[2] or "")] if field[1].lower() not in _DROPPED_FIELDS else []

    def _text(self, bare: str, indent: int) -> Iterator[str]:
        self.place += 1
        bullet = _BULLET.match(bare)
        if bullet:
            yield ""
            bare = bare[bullet.end() :]
        if (self.section or bullet) and self._is_entry(bare, indent):
            yield ""
            return
        name = _TYPED_NAME.match(bare)
        if name is None and (self.section or bullet or indent):
            name = _NAME.match(bare) or _COLUMN.match(bare)
        if name:
            yield ""
            bare = bare[name.end() :]
        if bare.endswith("::"):  # code follows
            yield " " * indent + bare[:-1]
            yield ""
            self._skip_block(indent)
        elif bare:
            yield " " * indent + bare

    def _is_entry(self, bare: str, indent: int) -> bool:
        """Whether a line names what is described below it, further in."""
        below = self.lines[self.place] if self.place < len(self.lines) else ""
        deeper = bool(below.strip()) and _indent(below) > indent
        at_margin = indent == self.section_indent and _OF_ENTRIES.fullmatch(self.section)
        if deeper:
            return bool(at_margin or _ENTRY.fullmatch(bare))
        return bool(at_margin and re.match(r"[\w*, ]+ : ", bare))

    def _following(self) -> str:
        return self.lines[self.place + 1].strip() if self.place + 1 < len(self.lines) else ""

    def _skip_while(self, condition: Callable[[str], bool]) -> None:
        while self.place < len(self.lines) and condition(self.lines[self.place]):
            self.place += 1

    def _skip_block(self, indent: int) -> None:
        self._skip_while(lambda line: not line.strip() or _indent(line) > indent)

    def _skip_section(self, indent: int, underlined: bool) -> None:
        """Go to the next heading, or, where headings are not underlined, to where the indentation goes back."""

        def inside(line: str) -> bool:
            if not line.strip() or _indent(line) > indent:
                return True
            return underlined and not _UNDERLINE.fullmatch(self._following())

        self._skip_while(inside)


# ---------------------------------------------------------------------------------------------------- within a line

_TAGS = (
    "a|abbr|b|blockquote|br|center|code|dd|del|details|div|dl|dt|em|figure|font|frameworkcontent|h[1-6]|hfoptions?|hr|i|"
    "iframe|img|kbd|li|ol|p|pre|pt|section|small|source|span|strong|sub|summary|sup|table|tbody|td|tf|th|thead|Tip|tr|tt|"
    "u|ul|var|video|Youtube"
)
# A character without which there is nothing to find (looking for it is fast), the pattern, and what stays of it.
_INLINE: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (mark, re.compile(pattern, re.DOTALL), into)
    for mark, pattern, into in (
        ("<", rf"</?(?:{_TAGS})(?:\s[^<>]*)?/?>", " "),
        ("[", r"!\[[^\]]*\]\([^)]*\)", " "),
        ("`", r"\[`+~?([^`\]]+)`+\](?:\([^)\s]*\))?", r"\1"),  # [`~Trainer.train`]
        ("[", r"\[([^\[\]]+)\]\((?:https?:|[./#\w-])[^)\s]*\)", r"\1"),  # [text](url)
        ("`", r":(?:\w+:)?math:`([^`]*)`", r"$\1$"),
        ("`", r":[\w:+-]+:`~(?:[^`<>]*\.)?([^`<>.]+)`", r"\1"),  # :class:`~torch.nn.Module` shows as Module
        ("`", r":[\w:+-]+:`!?([^`<]+?)\s*<[^`>]*>`", r"\1"),
        ("`", r":[\w:+-]+:`!?~?\.?([^`]+)`", r"\1"),
        ("`", r"`([^`<]+?)\s*<[^`>]+>`_{0,2}", r"\1"),  # `text <address>`_
        ("[", r"\s?\[(?:\d+|[A-Z][\w+&.-]*\d{2,4}[a-z]?|#\w*)\]_", ""),  # [1]_
        ("|", r"\|(\w[\w-]*)\|_{0,2}", r"\1"),  # |substitution|
        ("`", r"``(.*?)``", r"\1"),
        ("`", r"`(?:~?\.(?=[A-Z]|[\w.]+\.))?([^`]*)`_{0,2}", r"\1"),  # `.Axes.plot`
        ("<", r"\s?<(?:https?|ftp|mailto):[^>\s]*>", ""),
        (":", r"\(?\b(?:https?|ftp)://[^\s)>\]]*[^\s)>\].,;:]\)?", " "),
        ("*", r"(?<![\w*])\*\*(?=\S)([^*]+?)(?<=\S)\*\*(?!\w)", r"\1"),
        ("*", r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])", r"\1"),
        ("_", r"(?<!\w)_(?=[^\W_])([^_\n]*?[^\W_])_(?!\w)", r"\1"),
        ("~", r"(?<![\w~/])~\.?(?=[A-Za-z_])", ""),  # ~.Axes.plot
        ("\\", r"(?<=\w)\\(?:\s|(?=s\b))", ""),  # `Artist`\\s and i\ th
        ("$", r"\$\s*([\w,.+=<>-]+(?: [\w,.+=<>-]+){0,4})\s*\$", r"\1"),  # simple formulas
        ("\\", r"\\([*_`|])", r"\1"),
    )
)
_SPACES = re.compile(r"[^\S\n]+")


def plain(text: str) -> str:
    """Return a paragraph without inline markup: roles, links, emphasis and backticks leave the text that they show."""
    for mark, pattern, into in _INLINE:
        if mark in text:
            text = pattern.sub(into, text)
    return _SPACES.sub(" ", text).replace("`", "").strip()


_EMPTY_BRACKETS = re.compile(r"\s*[(\[]\s*(?:see|cf\.)?[\s,;.:]*[)\]]", re.IGNORECASE)
_OPEN_BRACKET = re.compile(r"\s*\((?:see|cf|e\.g|i\.e|from)?\.?$")
_LEADING_STARS = re.compile(r"^\*+ ")
_BEFORE_MARK = re.compile(r"(?<=\S) +([,.;:!?)\]])(?=\s|$)")
_TYPE = (
    r"(?:int|integer|float|str|string|bool|boolean|Tensor|dict|list|tuple|array|ndarray|callable|object|None|any|Any)"
)
_TYPES_FIRST = re.compile(
    rf"\(?{_TYPE}\)?\s+(?=[A-Z])"  # bool True if ...
    rf"|(?:{_TYPE}|Optional|Union|List|Dict|Tuple)\b[^.:]{{0,40}}:\s+(?=\w)"  # Optional[int]: the ...
    r"|[\w.\[\], ]+(?:\s\|\s[\w.\[\], ]+)+:\s+(?=\w)"  # str | None: the ...
)


def tidy(sentence: str) -> str:
    """Close the holes that left-out markup makes: empty brackets, blanks before a comma."""
    if "(" in sentence or "[" in sentence:
        sentence = _OPEN_BRACKET.sub("", _EMPTY_BRACKETS.sub("", sentence))
    sentence = _BEFORE_MARK.sub(r"\1", sentence)
    if types := _TYPES_FIRST.match(sentence):
        sentence = sentence[types.end() :]
    return _LEADING_STARS.sub("", " ".join(sentence.split()).strip("|>•–—,;- "))


_WORD = re.compile(r"[(\"'“‘\[]*[A-Za-z]+(?:['’-][A-Za-z]+)*[)\"'”’\]]*[,.;:!?]*[)\"'”’]*")
_CODE = re.compile(
    r"==|!=|->|=>|<-|::|\w\(\)?\.|\bdef \w+\(|\bimport (?:\w+\.)*\w+(?:$|;)|\w=\w|\$|^\w+\(|\+\+|\s=\s.*\(|___|\.\.\.\s*\w+\("
)
# formulas in LaTeX, what a template leaves, and lines of code that read nearly like English
_NEVER = re.compile(r"\\[A-Za-z]{2,}|[{}]|^(?:import|from) [\w.]+ (?:as|import) ")
_SUSPECT = re.compile(
    r"[\\{}=$<>+_(]|::|\.\.\.|\bimport\b"
)  # nothing of the two without one of these; fast to look for
_TYPE_WORDS = re.compile(
    rf"(?:{_TYPE}s?|or|of|and|optional|default|array[-_]like|[\w.]*\.\w+|True|False)", re.IGNORECASE
)
_COMMON = word_set(
    "the a an of to in is are be for and or that this it its with as by on from at not if when which will can was were has "
    "have must should may no any all each into than then use used using return returns whether only such one same other "
    "these there you"
)


def reads_as_prose(sentence: str) -> bool:
    """Whether a sentence is mostly English words, at least three, and neither code nor a list of types."""
    pieces = sentence.split()
    words = [piece.strip("\"'()[],.;:!?“”‘’") for piece in pieces if _WORD.fullmatch(piece)]
    if len(words) < 3 or len(words) < 0.7 * len(pieces) or sentence.startswith(("(c) ", "Copyright")):
        return False
    if _SUSPECT.search(sentence) and (_NEVER.search(sentence) or len(_CODE.findall(sentence)) > (len(pieces) > 12)):
        return False
    if len(words) < 8 and all(map(_TYPE_WORDS.fullmatch, words)):
        return False
    common = any(word.lower() in _COMMON for word in words)
    return common or (len(words) >= 4 and sentence[0].isupper() and sentence[-1] in ".!?")
