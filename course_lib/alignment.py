"""Between words and word pieces: labels to the pieces before training, predictions back to the words after it.

People label words; BERT reads word pieces. "Unaffable" is one word with one label, but three tokens:

    words        Ann      likes   unaffable             people
    labels       B-PER    O       O                     O
    tokens  [CLS] ann     likes   una   ##ffa  ##ble    people  [SEP]
    word_ids  -   0       1       2     2      2        3        -
    labels  -100  B-PER   O       O     -100   -100     O       -100

Where no label belongs, at [CLS], [SEP] and the later pieces of a word, stands -100, which cross entropy leaves out. The
first piece speaks for its word: it is there for every word that has pieces, and thanks to attention its hidden state has
seen the others (Devlin et al. 2019, section 5.3).

Names in sentences are labelled by tags, in one of two ways:

- IOB1 (Ramshaw and Marcus 1995; the files of CoNLL-2003): I-PER is a word of a name, O any other. B-PER only begins a
  name that follows directly on another name of the same type.
- IOB2 (also called BIO; what this course uses): B-PER begins every name, I-PER goes on with it.

"Ann met Bob" is I-PER O I-PER in IOB1 and B-PER O B-PER in IOB2. Read IOB1 as IOB2 by strict rules, and nearly all names
are lost: `course_lib.datasets.to_iob2` converts first. A model can also answer I-PER after O, where no name has begun. We
read that leniently, as conlleval and seqeval's default mode do: a new name begins there.

Letters: B sentences, T tokens, K classes.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from course_lib.errors import DataError

IGNORED = -100  # a label that does not count, as in cross entropy
OUTSIDE = "O"


@dataclass(frozen=True)
class Alignment:
    """Sentences as the model reads them, and which word each token comes from.

    Rows are as long as their sentence: padding is the business of the batches.
    """

    columns: dict[str, list[list[int]]]  # input_ids, attention_mask, token_type_ids, and labels where there are some
    word_ids: tuple[tuple[int | None, ...], ...]  # a word's number for each token; None for [CLS] and [SEP]
    words: tuple[int, ...]  # how many words each sentence has
    cut: tuple[int, ...]  # how many words of each sentence have no token because it was too long
    empty: tuple[tuple[int, ...], ...]  # words of each sentence that the tokenizer makes nothing of

    def __len__(self) -> int:
        """How many sentences."""
        return len(self.words)

    def __str__(self) -> str:
        cut, empty = sum(self.cut), sum(map(len, self.empty))
        shortened = sum(1 for number in self.cut if number)
        return (
            f"{_count(len(self), 'sentence')}, {_count(sum(self.words), 'word')}, "
            f"{_count(sum(map(len, self.word_ids)), 'token')}; cut off: {_count(cut, 'word')} of "
            f"{_count(shortened, 'sentence')}; without a token: {_count(empty, 'word')}."
        )


def align_labels(
    tokenizer: Any,
    sentences: Sequence[Sequence[str]],
    labels: Sequence[Sequence[int]] | None = None,
    max_tokens: int = 512,
    pieces: str = "first",
    inside: Mapping[int, int] | None = None,
) -> Alignment:
    """Tokenise sentences of words, and put the label of each word where the model shall predict it.

    A word that the tokenizer makes nothing of, such as a control character, has no token, and the words after it keep
    their numbers. What a long sentence loses is counted in `Alignment.cut`.

    Args:
        tokenizer: a fast one of transformers.
        sentences: each a list of words.
        labels: for each sentence one number a word; None where there are none, to predict.
        max_tokens: longer sentences lose their end; [CLS] and [SEP] count too.
        pieces: "first": only the first piece of a word has its label. "all": every piece has it, so a long word
            weighs more in the loss.
        inside: with "all", the label that later pieces have instead: `inside_labels(names)` turns B-PER into I-PER,
            since a name begins only once.

    Raises:
        DataError: a sentence with another number of labels than words.
        TypeError: a sentence that is one text, a word that is no text, a label that is no whole number.
        ValueError: pieces or max_tokens that make no sense.
    """
    if pieces not in ("first", "all"):
        raise ValueError(f"pieces is {pieces!r}; it may be 'first' or 'all'.")
    if max_tokens < 3:
        raise ValueError(f"max_tokens is {max_tokens}; [CLS], [SEP] and one piece need at least 3.")
    _check_words(sentences)
    if labels is not None:
        labels = _check_labels(sentences, labels)
    if not len(sentences):
        names = ("input_ids", "attention_mask", "token_type_ids", *(("labels",) if labels is not None else ()))
        return Alignment({name: [] for name in names}, (), (), (), ())
    # verbose=False: we cut ourselves, below, so that we can count; the tokenizer need not warn of long sentences.
    encoded = tokenizer([list(words) for words in sentences], is_split_into_words=True, verbose=False)
    every_id = [tuple(encoded.word_ids(number)) for number in range(len(sentences))]
    columns = {
        name: [_shortened(row, max_tokens) for row in encoded[name]]
        for name in ("input_ids", "attention_mask", "token_type_ids")
        if name in encoded
    }
    word_ids = tuple(tuple(_shortened(row, max_tokens)) for row in every_id)
    if labels is not None:
        columns["labels"] = [
            _piece_labels(ids, row, pieces, inside or {}) for ids, row in zip(word_ids, labels, strict=True)
        ]
    counts = tuple(len(words) for words in sentences)
    return Alignment(
        columns,
        word_ids,
        counts,
        tuple(len(_words_of(before) - _words_of(after)) for before, after in zip(every_id, word_ids, strict=True)),
        tuple(tuple(sorted(set(range(n)) - _words_of(ids))) for n, ids in zip(counts, every_id, strict=True)),
    )


def inside_labels(names: Sequence[str]) -> dict[int, int]:
    """For the number of each B- label, the number of its I- label, where there is one."""
    numbers = {name: number for number, name in enumerate(names)}
    return {
        number: numbers["I-" + name[2:]]
        for name, number in numbers.items()
        if name.startswith("B-") and "I-" + name[2:] in numbers
    }


def _check_words(sentences: Sequence[Sequence[str]]) -> None:
    for number, words in enumerate(sentences):
        if isinstance(words, str):
            raise TypeError(f"sentences[{number}] is one text; give its words: {_start(words)!r}.split(), for example.")
        for place, word in enumerate(words):
            if not isinstance(word, str):
                raise TypeError(
                    f"sentences[{number}][{place}] is a {type(word).__name__}; every word must be a text (str)."
                )


def _check_labels(sentences: Sequence[Sequence[str]], labels: Sequence[Sequence[int]]) -> list[list[int]]:
    if len(labels) != len(sentences):
        raise DataError(f"There are {len(sentences)} sentences and {len(labels)} rows of labels; give one row each.")
    rows = []
    for number, (words, row) in enumerate(zip(sentences, labels, strict=True)):
        if len(row) != len(words):
            raise DataError(
                f"Sentence {number} has {len(words)} words and {len(row)} labels; each word needs one label."
            )
        try:
            rows.append([operator.index(label) for label in row])
        except TypeError:
            raise TypeError(
                f"labels[{number}] is {_start(str(list(row)))}; labels are numbers, the places of their names: "
                "[names.index(name) for name in tags]."
            ) from None
    return rows


def _shortened(row: Sequence[Any], max_tokens: int) -> list[Any]:
    """The row without the tokens that are too many; the last one, [SEP], stays."""
    return list(row) if len(row) <= max_tokens else [*row[: max_tokens - 1], row[-1]]


def _words_of(word_ids: Sequence[int | None]) -> set[int]:
    return {word for word in word_ids if word is not None}


def _piece_labels(
    word_ids: Sequence[int | None], labels: Sequence[int], pieces: str, inside: Mapping[int, int]
) -> list[int]:
    row, before = [], None
    for word in word_ids:
        if word is None:
            row.append(IGNORED)
        elif word != before:
            row.append(labels[word])
        else:
            row.append(inside.get(labels[word], labels[word]) if pieces == "all" else IGNORED)
        before = word
    return row


@dataclass(frozen=True)
class WordLabels:
    """One label a word, and how many words have none of the model."""

    labels: list[list[Any]]  # for each sentence one a word
    missing: tuple[int, ...]  # words of each sentence without a token: cut off, or made nothing of


def word_predictions(alignment: Alignment, predictions: Any, names: Sequence[str] | None = None) -> WordLabels:
    """From one label a token back to one label a word: that of its first piece.

    A word without a token, cut off or made nothing of, gets "O" where `names` are given and None elsewhere, and is
    counted: whoever scores a model must know what it never saw.

    Args:
        alignment: of the sentences that were predicted.
        predictions: (B, T) label numbers, a tensor or rows; padding at the end of a row is left out.
        names: the name of label i is names[i].

    Raises:
        ValueError: other rows than sentences, a row that is too short, or scores where labels are expected.
    """
    rows = predictions.tolist() if hasattr(predictions, "tolist") else [list(row) for row in predictions]
    if len(rows) != len(alignment):
        raise ValueError(
            f"There are {len(alignment)} sentences and {len(rows)} rows of predictions; give one row each."
        )
    every, missing = [], []
    for number, (row, ids, count) in enumerate(zip(rows, alignment.word_ids, alignment.words, strict=True)):
        if len(row) < len(ids):
            raise ValueError(f"Row {number} has {len(row)} predictions for {len(ids)} tokens; each token needs one.")
        if any(isinstance(value, (list, float)) for value in row):
            raise ValueError("predictions are scores, not label numbers; give logits.argmax(dim=-1).")
        words: list[Any] = [OUTSIDE if names is not None else None] * count
        # Backwards, so that the first piece of a word has the last word.
        for word, label in reversed(list(zip(ids, row, strict=False))):
            if word is not None:
                words[word] = int(label) if names is None else names[int(label)]
        every.append(words)
        missing.append(count - len(_words_of(ids)))
    return WordLabels(every, tuple(missing))


def join_pieces(tokens: Sequence[str]) -> list[str]:
    """Word pieces put together again: ["una", "##ffa", "##ble", "man"] gives ["unaffable", "man"].

    Case and accents that the tokenizer dropped stay lost, and [UNK] stays [UNK]: to show a text, cut it from the
    original by offsets instead.
    """
    words: list[str] = []
    for token in tokens:
        if token.startswith("##") and len(token) > 2 and words:
            words[-1] += token[2:]
        else:
            words.append(token)
    return words


@dataclass(frozen=True)
class Entity:
    """A name in a text: words[start_word:end_word], and text[start_char:end_char] where the raw text is known."""

    type: str
    start_word: int
    end_word: int  # the first word after it
    text: str
    start_char: int | None = None
    end_char: int | None = None


def tag_spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """The names that IOB2 tags mark, as (type, start, end), end being the first place after it.

    An I- that continues nothing, after O or another type, begins a name (see the head of this module).

    Raises:
        ValueError: a tag that is not O, B-type or I-type.
    """
    spans: list[tuple[str, int, int]] = []
    type_, start = None, 0  # of the name that is open
    for place, tag in enumerate([*tags, OUTSIDE]):
        if tag != OUTSIDE and (tag[:2] not in ("B-", "I-") or len(tag) < 3):
            raise ValueError(f"Tag {place} is {tag!r}; IOB2 has O, B-type and I-type, such as B-PER: convert it first.")
        if tag.startswith("I-") and tag[2:] == type_:
            continue
        if type_ is not None:
            spans.append((type_, start, place))
        type_, start = (None, 0) if tag == OUTSIDE else (tag[2:], place)
    return spans


def word_offsets(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where each word stands in its text: (start, end) characters, end being the first after it.

    Raises:
        DataError: a word that does not stand in the text after the one before it.
    """
    offsets, place = [], 0
    for number, word in enumerate(words):
        start = text.find(word, place)
        if start < 0:
            raise DataError(
                f"Word {number}, {word!r}, is not in the text after character {place}, {_start(text[place:])!r}; "
                "give the text that the words were taken from, unchanged."
            )
        place = start + len(word)
        offsets.append((start, place))
    return offsets


def entities_from_tags(
    words: Sequence[str],
    tags: Sequence[str],
    text: str | None = None,
    offsets: Sequence[tuple[int, int]] | None = None,
    between: str = " ",
) -> list[Entity]:
    """The names in a sentence, by its IOB2 tags.

    Args:
        words, tags: as many of one as of the other.
        text: the raw text; each name is then cut from it, with its own spaces.
        offsets: (start, end) characters of each word in `text`; found by `word_offsets` if not given.
        between: what joins the words of a name where there is no text; "" for Chinese characters.

    Raises:
        DataError: other tags than words, or a word that is not in the text.
        ValueError: a tag that is not O, B-type or I-type, or offsets without their text.
    """
    if len(words) != len(tags):
        raise DataError(f"There are {len(words)} words and {len(tags)} tags; each word needs one tag.")
    if text is None:
        if offsets is not None:
            raise ValueError("offsets were given without the text that they count in; give text as well.")
        return [Entity(t, start, end, between.join(words[start:end])) for t, start, end in tag_spans(tags)]
    places = word_offsets(text, words) if offsets is None else offsets
    entities = []
    for type_, start, end in tag_spans(tags):
        first, last = places[start][0], places[end - 1][1]
        entities.append(Entity(type_, start, end, text[first:last], first, last))
    return entities


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _start(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
