"""Rows for pretraining from running text: pairs for next sentence prediction, or whole sentences without it.

Next sentence prediction (Devlin et al. 2019, section 3.1) asks of two texts: does the second follow the first? Label 0,
as in transformers, says that it does; label 1, that it comes from another document. RoBERTa leaves the question out and
fills its rows with whole sentences (Liu et al. 2019, section 4.2).

A corpus is a sequence of documents, a document a sequence of sentences, a sentence a sequence of token ids. Everything is
reached by its number and nothing is kept, so all of it may be views of a file that does not fit into memory. The ids may
be any numbers. For whole words in Chinese, for example, add V, the size of the vocabulary, to those of characters that go
on with a word: of the rows, ids % V are the tokens, and (ids < V).cumsum(dim=1) the words that `mask_tokens` takes.

`next_sentence_pairs` is for fine-tuning: pairs of texts, not yet tokens, one for each two neighbours.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from course_lib.datasets import Document, Example
from course_lib.errors import DataError

FOLLOWS, RANDOM = 0, 1

Sentence = Sequence[int]  # or a numpy array, a tensor: whatever has a length and gives its ids
Sentences = Sequence[Sentence]


class Pair(NamedTuple):
    """A row for pretraining: [CLS] a [SEP] b [SEP], 0 for each token of a's part and 1 for b's, and does b follow a?"""

    input_ids: list[int]
    token_type_ids: list[int]
    label: int


def pretraining_pairs(
    documents: Sequence[Sentences],
    length: int,
    draw: random.Random,
    *,
    cls: int,
    sep: int,
    order: Iterable[int] | None = None,
    short: float = 0.1,
) -> Iterator[Pair]:
    """Pairs as the authors of BERT made them (create_pretraining_data.py), document by document.

    Sentences are collected until they fill a row, and cut at a random sentence: what comes before it is a. Half the time
    b is the rest. Otherwise b is as many sentences of another document, and the rest is put back for the next row. At the
    end of a document a row may stay short; where one sentence is left alone, b is always random, so more than half of all
    pairs are.

    Args:
        documents: at least two with sentences. Empty sentences are passed over.
        length: tokens a row has at most, its three special tokens included.
        draw: where the draws come from; for the same pairs twice, give random.Random(seed) twice.
        cls, sep: the ids of [CLS] and [SEP].
        order: numbers of the documents to go through, each as often as it comes; by default all of them in turn. Random
            sentences come from all documents in any case.
        short: share of the documents whose rows are filled to a random length from 2 only, so that the model sees short
            texts as well.

    Raises:
        ValueError: length below 5, or a share `short` that is none.
        DataError: fewer than two documents with a sentence.

    Two remarks. The authors' program may, though seldom, take a random text from the same document; here it never is. And
    what is cut away is gone: of ordinary prose one time through leaves out about 2 % of the tokens in rows of 512, and
    about 10 % in rows of 128. They went through several times, each with other draws; `order` can do the same.
    """
    if length < 5:
        raise ValueError(f"length is {length}; [CLS], [SEP], [SEP] and a token of each text need at least 5.")
    if not 0 <= short <= 1:
        raise ValueError(f"short is {short}; a share from 0 to 1 is needed, such as 0.1.")
    filled = sum(1 for _ in itertools.islice(filter(_has_text, (documents[n] for n in range(len(documents)))), 2))
    if filled < 2:
        raise DataError(
            f"Of {len(documents)} documents, {filled} have a sentence; at least two are needed, because a text that does "
            "not follow is taken from another one."
        )
    return _pairs(documents, length - 3, draw, cls, sep, range(len(documents)) if order is None else order, short)


def _pairs(
    documents: Sequence[Sentences],
    room: int,
    draw: random.Random,
    cls: int,
    sep: int,
    order: Iterable[int],
    short: float,
) -> Iterator[Pair]:
    for number in order:
        if not 0 <= number < len(documents):
            raise ValueError(f"order names document {number}; there are documents 0 to {len(documents) - 1}.")
        target = draw.randint(2, room) if draw.random() < short else room
        document = documents[number]
        place, sentences = 0, len(document)
        chunk: list[Sentence] = []
        held = 0
        while place < sentences:
            sentence = _ids(document[place])
            place += 1
            if sentence:
                chunk.append(sentence)
                held += len(sentence)
            if not chunk or (held < target and place < sentences):
                continue
            cut = 1 if len(chunk) == 1 else draw.randrange(1, len(chunk))
            a = _joined(chunk[:cut])
            if len(chunk) > 1 and draw.random() < 0.5:
                b, label = _joined(chunk[cut:]), FOLLOWS
            else:
                b, label = _from_another(documents, number, target - len(a), draw), RANDOM
                unused = len(chunk) - cut
                while unused:
                    place -= 1
                    unused -= len(document[place]) > 0
            a, b = truncate_pair(a, b, room, draw)
            yield Pair([cls, *a, sep, *b, sep], [0] * (len(a) + 2) + [1] * (len(b) + 1), label)
            chunk, held = [], 0


def _from_another(documents: Sequence[Sentences], number: int, target: int, draw: random.Random) -> list[int]:
    """Sentences from a random place of a random document but this one, until there are `target` tokens."""
    document = _another(documents, number, draw)
    start = draw.randrange(len(document))
    if not len(document[start]):
        start = draw.choice([place for place in range(len(document)) if len(document[place])])
    found = list(_ids(document[start]))
    while len(found) < target and start + 1 < len(document):
        start += 1
        found += _ids(document[start])
    return found


def _another(documents: Sequence[Sentences], number: int, draw: random.Random) -> Sentences:
    for _ in range(1000):
        other = draw.randrange(len(documents) - 1)
        document = documents[other + (other >= number)]
        if _has_text(document):
            return document
    return documents[draw.choice([n for n in range(len(documents)) if n != number and _has_text(documents[n])])]


def _has_text(document: Sentences) -> bool:
    return any(len(document[place]) for place in range(len(document)))


def truncate_pair(a: list[int], b: list[int], room: int, draw: random.Random) -> tuple[list[int], list[int]]:
    """Two texts cut to `room` tokens together: from the longer one, at its front or its end by chance.

    The authors' program takes away one token after the other, always from the text that is longer at that moment, b where
    they are equal, and tosses a coin for each: front or end. So the lengths that remain are certain, and how many tokens
    go at the front is a number of heads.
    """
    keep_a, keep_b = _kept(len(a), len(b), room)
    return _shortened(a, keep_a, draw), _shortened(b, keep_b, draw)


def _kept(a: int, b: int, room: int) -> tuple[int, int]:
    """How much of two lengths is left in `room`, if the longer one gives, b where they are equal."""
    if a + b <= room:
        return a, b
    shorter = min(a, b)
    if 2 * shorter > room:
        return room - room // 2, room // 2
    return (room - shorter, shorter) if a > b else (shorter, room - shorter)  # the longer one gives all


def _shortened(ids: list[int], keep: int, draw: random.Random) -> list[int]:
    surplus = len(ids) - keep
    if not surplus:
        return ids
    front = draw.getrandbits(surplus).bit_count()
    return ids[front : front + keep]


def full_sentences(
    documents: Sequence[Sentences],
    length: int,
    *,
    cls: int,
    sep: int,
    order: Iterable[int] | None = None,
    cross: bool = True,
) -> Iterator[list[int]]:
    """Rows of whole sentences, one after the other, as many as fit: [CLS] sentences [SEP].

    RoBERTa's FULL-SENTENCES: a row goes on with the next document, with one more [SEP] between the two. With cross=False
    its DOC-SENTENCES: a document's last row stays as short as it is. A sentence longer than a row begins one and goes on
    in the next, so every token of the documents comes exactly once.

    Args:
        documents: as in `pretraining_pairs`; one is enough.
        length: tokens a row has at most, special tokens included.
        cls, sep: the ids of [CLS] and [SEP].
        order: numbers of the documents to go through; by default all of them in turn.
        cross: may a row hold parts of several documents?

    Raises:
        ValueError: length below 3.
    """
    if length < 3:
        raise ValueError(f"length is {length}; [CLS], [SEP] and a token need at least 3.")
    return _packed(documents, length - 2, cls, sep, range(len(documents)) if order is None else order, cross)


def _packed(
    documents: Sequence[Sentences], room: int, cls: int, sep: int, order: Iterable[int], cross: bool
) -> Iterator[list[int]]:
    row: list[int] = []
    for number in order:
        border = bool(row)  # between what the row holds and this document
        if row and not cross:
            yield [cls, *row, sep]
            row, border = [], False
        for sentence in documents[number]:
            ids = _ids(sentence)
            if not ids:
                continue
            if row and len(row) + border + len(ids) > room:
                yield [cls, *row, sep]
                row, border = [], False
            if border:
                row.append(sep)
                border = False
            row += ids
            while len(row) > room:
                yield [cls, *row[:room], sep]
                row = row[room:]
    if row:
        yield [cls, *row, sep]


def _ids(sentence: Any) -> Sequence[int]:
    """As Python's numbers: a list grows by them much faster than by an array's."""
    return sentence.tolist() if hasattr(sentence, "tolist") else sentence


def _joined(sentences: Iterable[Sequence[int]]) -> list[int]:
    joined: list[int] = []
    for sentence in sentences:
        joined += sentence
    return joined


def get_token_and_segments(
    tokens_a: Sequence[Any], tokens_b: Sequence[Any] | None = None, length: int | None = None
) -> tuple[list[Any], list[int]]:
    """Tokens and segments of one text or two: [CLS] a [SEP], or [CLS] a [SEP] b [SEP]; 0 for a's part and 1 for b's.

    Args:
        tokens_a, tokens_b: the words, without special tokens.
        length: tokens at most; what is too long loses its end, of two texts the longer one first.

    Raises:
        ValueError: a length without room for a token of each text.
    """
    a, b = list(tokens_a), None if tokens_b is None else list(tokens_b)
    if length is not None:
        special, texts = (2, 1) if b is None else (3, 2)
        if length < special + texts:
            raise ValueError(f"length is {length}; {special} special tokens and a token of each text do not fit.")
        room = length - special
        if b is None:
            a = a[:room]
        else:
            keep_a, keep_b = _kept(len(a), len(b), room)
            a, b = a[:keep_a], b[:keep_b]
    tokens, segments = ["[CLS]", *a, "[SEP]"], [0] * (len(a) + 2)
    if b is not None:
        tokens += [*b, "[SEP]"]
        segments += [1] * (len(b) + 1)
    return tokens, segments


def next_sentence_pairs(documents: Sequence[Document], seed: int = 0) -> list[Example]:
    """One pair for each two neighbours: every sentence but the last of its document is once the first of a pair.

    Raises:
        DataError: fewer than two documents, or none with two sentences.
    """
    if len(documents) < 2:
        raise DataError(
            f"There are {len(documents)} documents; at least two are needed, because a sentence that does not follow is "
            "taken from another one. An empty line ends a document."
        )
    draw = random.Random(seed)
    firsts = [(number, place) for number, d in enumerate(documents) for place in range(len(d.sentences) - 1)]
    if not firsts:
        raise DataError("No document has two sentences, one a line; none follows another.")
    labels = [FOLLOWS, RANDOM] * (len(firsts) // 2) + [draw.choice((FOLLOWS, RANDOM))] * (len(firsts) % 2)
    draw.shuffle(labels)
    pairs = []
    for (number, place), label in zip(firsts, labels, strict=True):
        sentences = documents[number].sentences
        if label == FOLLOWS:
            second = sentences[place + 1]
        else:
            other = draw.randrange(len(documents) - 1)
            second = draw.choice(documents[other + (other >= number)].sentences)
        pairs.append(Example(sentences[place], label, second))
    return pairs
