"""Where a sentence ends, in English and in Chinese.

A full stop is the end of a sentence in most places and not in some: after an abbreviation, in a number or a name such as
`torch.nn`, in "J. R. R. Tolkien". These are told apart by rules, a few dozen abbreviations and what follows: after a
stop, a sentence begins with a capital letter, a digit, an opening quote or bracket. No rule is right everywhere ("in the
U.S. How" is not split here). Of small libraries pysbd knows more cases; it took thirty times as long over a novel, and
keeps a quotation of many sentences in one piece.
"""

from __future__ import annotations

import re


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


# After these a capital letter or a number says nothing about a new sentence.
_ABBREVIATIONS = word_set(
    "e.g i.e eg ie cf vs viz resp approx al ca incl excl esp abbr aka a.k.a w.r.t "
    "fig figs eq eqs eqn eqns sec secs ch chap vol vols nos pp refs tab thm prop lem ed eds "
    "dr mr mrs ms prof st sr jr rev lt capt sgt hon gov sen messrs mme mlle "
    "inc ltd corp dept univ assn bros jan feb mar apr jun jul aug sep sept oct nov dec mt ft ph.d u.s"
)
_BEFORE_NUMBERS = word_set(
    "no p art may mar sun ex def ref rep col gen v"
)  # words, or short for something before a number
_CLOSERS = "\"'”’»)\\]）】」』》〉"
_CHINESE_CLOSERS = "”’」』）】》〉\"'"
_OPENERS = "\"'“‘«(\\[（【「『《〈*`_~<¿¡$#-"

_END = re.compile(
    rf"""(?<![.!?…])(?P<stop>[.!?…]++)[{_CLOSERS}]*+(?=\s|$|[\u3400-\u9fff])  # and a blank, or Chinese, after it
    |[。！？｡]++[{_CHINESE_CLOSERS}]*+""",
    re.VERBOSE,
)
_WORD_BEFORE = re.compile(r"[\w.]*$")
_NEXT = re.compile(rf"\s*[{_OPENERS}]*(.)", re.DOTALL)
_NAME_NEXT = re.compile(r"\s+[a-z]\w*(?:_\w|\.[a-z_])")  # a name of code, which may begin a sentence
_CHINESE = r"[\u3001-\u303f\u3400-\u9fff\uff00-\uffef]"
_WRAPPED_CHINESE = re.compile(rf"(?<={_CHINESE})[^\S\n]*\n\s*(?={_CHINESE})")
_SPACED_DOTS = re.compile(r"\.(?: \.)++")  # ". . ." is one mark
_BLANKS = re.compile(r"\s+")


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a paragraph, in order; blanks and line ends become single blanks.

    Lines that end within a sentence are joined, with a blank in English and without one in Chinese. Nothing but white
    space is lost.
    """
    text = _SPACED_DOTS.sub(_close_up, _BLANKS.sub(" ", _WRAPPED_CHINESE.sub("", text))).strip()
    sentences, begin = [], 0
    for match in _END.finditer(text):
        if match["stop"] is not None and not _ends(text, begin, match):
            continue
        sentences.append(text[begin : match.end()].strip())
        begin = match.end()
    if rest := text[begin:].strip():
        sentences.append(rest)
    return [sentence for sentence in sentences if sentence]


def _close_up(match: re.Match[str]) -> str:
    return match[0].replace(" ", "")


def _ends(text: str, begin: int, match: re.Match[str]) -> bool:
    """Whether a sentence that began at `begin` ends with this stop."""
    following = _NEXT.match(text, match.end())
    if following is None:
        return True
    first, stop = following[1], match["stop"]
    if first.islower() and not (stop == "." and _NAME_NEXT.match(text, match.end())):  # "What?" he said.  e.g. this
        return False
    if stop != ".":
        return not set(stop) <= set(".…") or first.isupper()
    word = _WORD_BEFORE.search(text, max(begin, match.start() - 40), match.start())[0]
    item = match.start() - begin < 8 and text[begin : match.start()].strip() == word
    if item and (word.isdigit() or len(word) == 1):  # the number of an item: "1. First", "2.) Second"
        return False
    if not word or match.end() > match.start() + 1:  # what ends is quoted or in brackets: no abbreviation
        return True
    if word.lower() in _ABBREVIATIONS or (word.lower() in _BEFORE_NUMBERS and first.isdigit()):
        return False
    if len(word) == 1 and word.isalpha() and word != "I":  # an initial, a version (v. 2); but "for all x. Then"
        return word.islower() and not first.isdigit()
    if re.fullmatch(r"(?:[A-Za-z]\.)+[A-Za-z]", word):  # U.S, a.m
        return word.lower() in ("a.m", "p.m")
    return True
