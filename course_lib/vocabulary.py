"""A vocabulary made from a training set: its characters, or its words, as a tokenizer for models without a BERT.

    characters   each character is a token, blanks too: what Chinese needs, as its words are not set apart
    words        runs of letters and digits, and marks by themselves, in lower case: for raw text with blanks
    split        what stands between blanks, as it stands, case and marks too: for text that has been split into words
                 already, as Chinese is before vectors of words can be looked up ("iPhone", "3.5%" and "C++" stay whole)

The result is a tokenizer of transformers (`tokenizers` underneath), so it is called, saved and loaded like BERT's. It
has no [CLS] and no [SEP]: [PAD] is 0, [UNK] is 1, and the most frequent token 2.

A token that is rarer than `minimum` is left out, so that [UNK] is met in training, and its row learns something.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_lib.errors import DataError, ModelFilesError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

UNITS = ("characters", "words", "split")
PADDING, UNKNOWN = "[PAD]", "[UNK]"


def usual_unit(texts: Iterable[str]) -> str:
    """Characters where most letters are Chinese, Japanese or Korean, else words."""
    wide = letters = 0
    for text in texts:
        for character in text:
            if character.isalpha():
                letters += 1
                wide += unicodedata.east_asian_width(character) in "WF"
    return "characters" if wide * 2 > letters else "words"


def make_vocabulary(
    texts: Iterable[str],
    unit: str | None = None,
    *,
    minimum: int = 2,
    most: int | None = None,
    lowercase: bool | None = None,
) -> PreTrainedTokenizerFast:
    """The tokens of some texts, by how often they occur; equally frequent ones in the order of their characters.

    Args:
        texts: of the training set, and of nothing else.
        unit: one of `UNITS`; by default what suits the texts (`usual_unit`).
        minimum: how often a token must occur.
        most: tokens that are kept, the most frequent ones; None keeps all.
        lowercase: by default "words" are made lower case, and the others are left as they are.

    Raises:
        ValueError: an unknown unit, or numbers that make no sense.
        DataError: no token is frequent enough.
    """
    texts = list(texts)
    unit = usual_unit(texts) if unit is None else unit
    if unit not in UNITS:
        raise ValueError(f"unit is {unit!r}; it may be {', '.join(UNITS)}.")
    if minimum < 1 or (most is not None and most < 1):
        raise ValueError(f"minimum is {minimum} and most {most}; at least 1 is needed.")
    splitter = _tokenizer({PADDING: 0, UNKNOWN: 1}, unit, unit == "words" if lowercase is None else lowercase)
    counts = Counter(chain.from_iterable(_split(splitter, text) for text in texts))
    for special in (PADDING, UNKNOWN):
        counts.pop(special, None)
    kept = sorted((token for token, count in counts.items() if count >= minimum), key=lambda t: (-counts[t], t))[:most]
    if not kept:
        raise DataError(
            f"None of the {len(counts):,} {'words' if unit == 'split' else unit} of {len(texts):,} texts occurs {minimum} times: give more texts, or a lower minimum."
        )
    tokens = {token: number for number, token in enumerate([PADDING, UNKNOWN, *kept])}
    return _wrapped(_tokenizer(tokens, unit, splitter.normalizer is not None))


def load_vocabulary(folder: str | Path) -> PreTrainedTokenizerFast:
    """What `save_pretrained` of such a tokenizer wrote.

    Raises:
        ModelFilesError: there is none, or it is damaged.
    """
    from tokenizers import Tokenizer

    path = Path(folder).expanduser() / "tokenizer.json"
    if not path.is_file():
        raise ModelFilesError(f"'{folder}' has no tokenizer.json; give a folder that a model of the zoo was saved in.")
    try:
        return _wrapped(Tokenizer.from_str(path.read_text(encoding="utf-8")))
    except Exception as error:  # tokenizers raises plain Exception
        raise ModelFilesError(f"'{path}' is damaged ({error}); train again, or copy it again.") from error


def vocabulary_digest(tokenizer: Any) -> str:
    """A short digest of all tokens in the order of their ids: a model's table fits this vocabulary and no other."""
    ordered = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return hashlib.blake2b(repr(ordered).encode(errors="surrogatepass"), digest_size=8).hexdigest()


def check_vocabulary(tokenizer: Any, folder: str | Path, digest: str | None, rows: int | None) -> None:
    """Is the tokenizer in a folder the one that its model was trained with?

    Args:
        digest: `vocabulary_digest`, as the model's card has it; None of an old card.
        rows: of the model's table, V, which count where there is no digest. There may be more of them than tokens.

    Raises:
        ModelFilesError: it is another one.
    """
    if digest is not None:
        if vocabulary_digest(tokenizer) != digest:
            raise ModelFilesError(
                f"The vocabulary in '{folder}' is not the one that the model was trained with, so its ids mean other tokens: "
                "copy the tokenizer that was saved with the model, or train again."
            )
    elif rows is not None and max(tokenizer.get_vocab().values()) >= rows:
        raise ModelFilesError(
            f"The vocabulary in '{folder}' has {len(tokenizer):,} tokens, and the model has rows for {rows:,}: copy the "
            "tokenizer that was saved with the model, or train again."
        )


def _tokenizer(tokens: dict[str, int], unit: str, lowercase: bool) -> Any:
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import WordLevel

    tokenizer = Tokenizer(WordLevel(tokens, unk_token=UNKNOWN))
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = {
        "characters": pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated"),
        "words": pre_tokenizers.Whitespace(),
        "split": pre_tokenizers.WhitespaceSplit(),
    }[unit]
    return tokenizer


def _split(tokenizer: Any, text: str) -> list[str]:
    normal = text if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str(text)
    return [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)]


def _wrapped(tokenizer: Any) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PADDING,
        unk_token=UNKNOWN,
        split_special_tokens=True,  # a text that says [PAD] means these five characters
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )
