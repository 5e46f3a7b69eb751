"""Does the vocabulary of an encoder fit the language of some texts? Asked before anybody trains.

Two things betray a vocabulary that was made for another language: tokens that it does not know, and words that it
knows by their single letters alone. A Chinese BERT has all Latin letters, so English has no unknown token in it.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
import warnings
from collections.abc import Iterable
from typing import Any

TOO_UNKNOWN = 0.05  # share of unknown tokens above which a vocabulary and texts do not belong together
TOO_MANY_PIECES = 2.5  # a word: English in an English vocabulary has 1.0 to 1.8, in a Chinese one 3 to 4
_ENOUGH = 1000  # examples that are looked at


class LanguageWarning(UserWarning):
    """An encoder whose vocabulary was made for another language than that of the texts."""


def usual_encoder(texts: Iterable[str]) -> str:
    """An encoder that knows the language of the texts and is here without a network."""
    from course_lib.vocabulary import usual_unit

    return "mini_bert_zh" if usual_unit(texts) == "characters" else "default"


def unknown_share(texts: list[str], tokenizer: Any) -> float:
    """How many of the tokens of some texts are [UNK], 0 to 1: the language of data and encoder compared."""
    rows = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    tokens = sum(map(len, rows))
    return sum(row.count(tokenizer.unk_token_id) for row in rows) / max(tokens, 1)


def pieces_a_word(texts: list[str], tokenizer: Any) -> float:
    """Into how many tokens a word falls, a mark and a Chinese character being a word too; 0 of no words."""
    rows = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    return sum(map(len, rows)) / max(sum(map(_words, texts)), 1)


def _words(text: str) -> int:
    count = 0
    for run in re.findall(r"\w+|[^\w\s]", text):
        wide = sum(unicodedata.east_asian_width(character) in "WF" for character in run)
        count += wide + (wide < len(run))
    return count


def poor_match(texts: Iterable[str], tokenizer: Any) -> str | None:
    """A sentence about a vocabulary that was made for another language than that of the texts; None if it fits."""
    texts = list(texts)
    found = _fault(texts, tokenizer) if texts else None
    if found is None:
        return None
    from course_lib.pretrained import load_tokenizer

    usual = usual_encoder(texts).replace("default", "embedded")  # which is here, whatever COURSE_MODEL says
    hint = f", such as '{usual}'," if _fault(texts, load_tokenizer(usual)) is None else ""
    return (
        f"{found}: it was made for another language, or for other texts. Another encoder{hint} would know more of them."
    )


def _fault(texts: list[str], tokenizer: Any) -> str | None:
    share, pieces = unknown_share(texts, tokenizer), pieces_a_word(texts, tokenizer)
    if share > TOO_UNKNOWN:
        return f"{share:.0%} of the tokens of these texts are unknown to the model's vocabulary"
    if pieces > TOO_MANY_PIECES:
        return f"The words of these texts fall into {pieces:.1f} pieces each in the model's vocabulary"
    return None


def warn_poor_match(examples: Iterable[Any], tokenizer: Any, stacklevel: int = 3) -> None:
    """Say it as a `LanguageWarning`, by the first thousand examples, if a tokenizer does not fit them."""
    from course_lib.datasets.examples import texts_of

    texts = [text for example in itertools.islice(examples, _ENOUGH) for text in texts_of(example)]
    if said := poor_match(texts, tokenizer):
        warnings.warn(said, LanguageWarning, stacklevel=stacklevel)
