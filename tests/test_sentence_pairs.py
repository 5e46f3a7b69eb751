"""Pairs and packed rows: what follows follows, what does not is from elsewhere, and no token is lost without reason."""

import itertools
import math
import random
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.datasets import Document
from course_lib.errors import DataError
from course_lib.sentence_pairs import (
    FOLLOWS,
    RANDOM,
    full_sentences,
    get_token_and_segments,
    next_sentence_pairs,
    pretraining_pairs,
    truncate_pair,
)

DOCUMENTS = [Document(tuple(f"{name}{i}" for i in range(n))) for name, n in (("a", 7), ("b", 5), ("c", 1), ("d", 11))]


def test_every_sentence_but_the_last_is_once_the_first_of_a_pair() -> None:
    firsts = Counter(pair.text for pair in next_sentence_pairs(DOCUMENTS))
    assert firsts == Counter(s for d in DOCUMENTS for s in d.sentences[:-1])


def test_half_follow_and_the_others_come_from_another_document() -> None:
    pairs = next_sentence_pairs(DOCUMENTS, seed=3)
    labels = Counter(pair.label for pair in pairs)
    assert abs(labels[FOLLOWS] - labels[RANDOM]) <= 1
    for pair in pairs:
        if pair.label == FOLLOWS:
            assert pair.pair == f"{pair.text[0]}{int(pair.text[1:]) + 1}"
        else:
            assert pair.pair[0] != pair.text[0]


def test_a_seed_gives_the_same_pairs_and_another_seed_others() -> None:
    assert next_sentence_pairs(DOCUMENTS, 1) == next_sentence_pairs(DOCUMENTS, 1) != next_sentence_pairs(DOCUMENTS, 2)


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        ([], "There are 0 documents"),
        (DOCUMENTS[:1], "There are 1 documents"),
        ([Document(("a",))] * 2, "two sentences"),
    ],
)
def test_documents_that_give_no_pairs_are_one_sentence(documents, words) -> None:
    with pytest.raises(DataError, match=words):
        next_sentence_pairs(documents)


# ---- pairs of token ids. A corpus of which every token is another number tells of each row where it is from.

CLS, SEP = -1, -2


def corpus(lengths: list[list[int]]) -> list[list[list[int]]]:
    number = itertools.count()
    return [[[next(number) for _ in range(n)] for n in sentences] for sentences in lengths]


def drawn_corpus(documents: int, sentences: int, tokens: int, seed: int = 0, fewest: int = 1) -> list[list[list[int]]]:
    draw = random.Random(seed)
    return corpus([
        [draw.randint(fewest, tokens) for _ in range(draw.randint(fewest, sentences))] for _ in range(documents)
    ])  # fmt: skip


def made(documents, length: int, seed: int = 0, **how) -> list:
    return list(pretraining_pairs(documents, length, random.Random(seed), cls=CLS, sep=SEP, **how))


def halves(pair) -> tuple[list[int], list[int]]:
    ids, types, _ = pair
    assert ids[0] == CLS and ids[-1] == SEP and ids.count(SEP) == 2 and ids.count(CLS) == 1
    middle = ids.index(SEP)
    assert types == [0] * (middle + 1) + [1] * (len(ids) - middle - 1)
    return ids[1:middle], ids[middle + 1 : -1]


def near(hits: float, n: int, share: float) -> bool:
    """Within four standard deviations of what a binomial draw gives; outside one time in 16,000."""
    return abs(hits - n * share) < 4 * math.sqrt(n * share * (1 - share))


shapes = st.lists(st.lists(st.integers(0, 30), max_size=8), min_size=2, max_size=8).filter(
    lambda documents: sum(any(sentences) for sentences in documents) >= 2
)


@settings(deadline=None)
@given(shapes, st.integers(5, 40), st.integers(0, 9), st.sampled_from([0, 0.1, 1]))
def test_label_0_goes_on_and_label_1_is_from_another_document(lengths, length, seed, short) -> None:
    documents = corpus(lengths)
    home = {token: number for number, d in enumerate(documents) for sentence in d for token in sentence}
    for pair in made(documents, length, seed, short=short):
        a, b = halves(pair)
        assert a and b and len(pair.input_ids) <= length
        for part in (a, b):  # neither has a gap
            assert part == list(range(part[0], part[-1] + 1)) and len({home[token] for token in part}) == 1
        if pair.label == FOLLOWS:
            assert home[a[0]] == home[b[0]] and b[0] > a[-1]
            assert b[0] == a[-1] + 1 or len(pair.input_ids) == length  # a gap only where a full row was cut
        else:
            assert home[a[0]] != home[b[0]]


@settings(deadline=None)
@given(shapes, st.integers(0, 9))
def test_what_a_random_text_replaces_is_put_back(lengths, seed) -> None:
    """In rows that nothing is cut from, a's and what follows them are the corpus: every token once, in order."""
    documents = corpus(lengths)
    found = []
    for pair in made(documents, 600, seed, short=0.5):  # at most 240 tokens of a and 270 of b
        a, b = halves(pair)
        found += a + (b if pair.label == FOLLOWS else [])
    assert found == list(range(len(found))) and len(found) == sum(map(sum, lengths))


def test_pairs_begin_and_end_with_whole_sentences_where_nothing_is_cut() -> None:
    documents = drawn_corpus(30, 9, 20)
    starts = {sentence[0] for d in documents for sentence in d}
    ends = {sentence[-1] for d in documents for sentence in d}
    for pair in made(documents, 400):
        for part in halves(pair):
            assert part[0] in starts and part[-1] in ends


SINGLES = corpus([[1] * 300] * 4000)  # sentences of one token fill every target exactly


def test_half_of_the_pairs_follow_and_the_cut_is_anywhere() -> None:
    firsts = [
        next(pretraining_pairs(SINGLES, 103, random.Random(n), cls=CLS, sep=SEP, short=0, order=[n]))
        for n in range(4000)
    ]
    assert near(sum(pair.label for pair in firsts), 4000, 0.5)
    of_a = [len(halves(pair)[0]) for pair in firsts]
    assert min(of_a) == 1 and max(of_a) == 99  # drawn from all 99 cuts of 100 sentences
    assert abs(sum(of_a) / 4000 - 50) < 4 * math.sqrt((99**2 - 1) / 12 / 4000)
    assert all(len(pair.input_ids) == 103 for pair in firsts if pair.label == FOLLOWS)


def test_one_document_in_ten_has_short_rows_of_any_length() -> None:
    lengths = []
    for number in range(6000):
        pair = next(pretraining_pairs(SINGLES, 103, random.Random(number), cls=CLS, sep=SEP, order=[number % 4000]))
        if pair.label == FOLLOWS:
            lengths.append(len(pair.input_ids) - 3)
    short = [length for length in lengths if length < 100]
    assert near(len(short), len(lengths), 0.1 * 98 / 99)
    assert min(short) < 7 and abs(sum(short) / len(short) - 50.5) < 4 * math.sqrt(98**2 / 12 / len(short))


def test_a_sentence_left_alone_is_always_followed_by_chance_so_more_than_half_are() -> None:
    assert {pair.label for pair in made(corpus([[7]] * 50), 30)} == {RANDOM}
    pairs = made(drawn_corpus(2000, 6, 12), 40)
    assert sum(pair.label for pair in pairs) / len(pairs) > 0.55


def authors(documents, length: int, draw: random.Random, short: float = 0.1):
    """create_instances_from_document and truncate_seq_pair, in their own steps: (tokens of a, of b, is random)."""
    room = length - 3
    for number, document in enumerate(documents):
        target = draw.randint(2, room) if draw.random() < short else room
        chunk, held, i = [], 0, 0
        while i < len(document):
            chunk.append(document[i])
            held += len(document[i])
            if i == len(document) - 1 or held >= target:
                end = draw.randint(1, len(chunk) - 1) if len(chunk) >= 2 else 1
                a = [token for sentence in chunk[:end] for token in sentence]
                b = []
                is_random = len(chunk) == 1 or draw.random() < 0.5
                if is_random:
                    for _ in range(10):
                        other = draw.randint(0, len(documents) - 1)
                        if other != number:
                            break
                    for sentence in documents[other][draw.randint(0, len(documents[other]) - 1) :]:
                        b += sentence
                        if len(b) >= target - len(a):
                            break
                    i -= len(chunk) - end
                else:
                    b = [token for sentence in chunk[end:] for token in sentence]
                one_by_one(a, b, room, draw)
                yield a, b, is_random
                chunk, held = [], 0
            i += 1


def one_by_one(a: list[int], b: list[int], room: int, draw: random.Random) -> None:
    while len(a) + len(b) > room:
        longer = a if len(a) > len(b) else b
        if draw.random() < 0.5:
            del longer[0]
        else:
            longer.pop()


def test_pairs_are_like_those_of_the_authors_program() -> None:
    documents = drawn_corpus(3000, 30, 40)
    ours = [(*halves(pair), pair.label) for pair in made(documents, 64, 1)]
    theirs = list(authors(documents, 64, random.Random(2)))
    assert len(ours) > 20_000 and len(ours) == pytest.approx(len(theirs), rel=0.01)

    def same(measure, room: float) -> None:
        a, b = ([float(measure(*row)) for row in rows] for rows in (ours, theirs))
        apart = np.mean(a) - np.mean(b)
        assert abs(apart) < room * math.sqrt(np.var(a) / len(a) + np.var(b) / len(b))

    same(lambda a, b, label: label, 4)
    same(lambda a, b, label: len(a), 4)
    same(lambda a, b, label: len(b), 4)
    same(lambda a, b, label: len(a) + len(b) == 61, 4)
    same(lambda a, b, label: (len(a) + len(b)) ** 2, 4)
    same(lambda a, b, label: not label and b[0] - a[-1], 4)  # what is lost where a meets b
    assert len({token for a, *_ in ours for token in a}) == pytest.approx(
        len({token for a, *_ in theirs for token in a}), rel=0.01
    )


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(2, 40), st.integers(0, 99))
def test_cutting_at_once_leaves_what_cutting_one_by_one_leaves(a, b, room, seed) -> None:
    first, second = list(range(a)), list(range(100, 100 + b))
    ours = truncate_pair(first, second, room, random.Random(seed))
    theirs = (list(first), list(second))
    one_by_one(*theirs, room, random.Random(seed))
    assert [len(part) for part in ours] == [len(part) for part in theirs]
    assert all(part == list(range(part[0], part[0] + len(part))) for part in ours)


def test_as_much_is_cut_at_the_front_as_coins_would() -> None:
    draw, counts = random.Random(0), Counter()
    for _ in range(8000):
        a, b = truncate_pair(list(range(14)), [100, 101], 12, draw)  # four go
        assert b == [100, 101]
        counts[a[0]] += 1
    assert all(near(counts[heads], 8000, math.comb(4, heads) / 16) for heads in range(5))


def test_a_seed_gives_the_same_rows_again() -> None:
    documents = drawn_corpus(20, 9, 20)
    assert made(documents, 64, 3) == made(documents, 64, 3) != made(documents, 64, 4)


def test_only_documents_named_by_order_begin_rows_and_each_as_often() -> None:
    documents = drawn_corpus(20, 9, 20)
    home = {token: number for number, d in enumerate(documents) for sentence in d for token in sentence}
    firsts = [home[halves(pair)[0][0]] for pair in made(documents, 64, order=[7, 2, 7])]
    assert [number for number, _ in itertools.groupby(firsts)] == [7, 2, 7]
    with pytest.raises(ValueError, match="order names document -1; there are documents 0 to 19"):
        made(documents, 64, order=[-1])


class Far:
    """A million documents that are nowhere until asked for; notes which were."""

    def __init__(self) -> None:
        self.asked: set[int] = set()

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, number: int) -> list[np.ndarray]:
        self.asked.add(number)
        return [np.arange(9, dtype=np.uint16) + number % 1000 for _ in range(20)]


def test_a_corpus_is_reached_by_number_and_never_gone_through() -> None:
    documents = Far()
    pairs = made(documents, 64, order=range(10))
    assert 10 <= len(documents.asked) <= 12 + len(pairs)
    rows = full_sentences(documents, 64, cls=CLS, sep=SEP)
    assert len(next(rows)) == 62 - 62 % 9 + 2


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, tuple])
def test_arrays_give_the_rows_of_lists_as_plain_numbers(kind) -> None:
    documents = drawn_corpus(10, 9, 20)
    other = [[kind(sentence) for sentence in d] for d in documents]
    assert made(other, 64) == made(documents, 64)
    rows = list(full_sentences(other, 64, cls=CLS, sep=SEP))
    assert rows == list(full_sentences(documents, 64, cls=CLS, sep=SEP))
    assert {type(number) for row in rows for number in row} == {int}


def test_ids_above_the_vocabulary_tell_words_after_cutting() -> None:
    """The way of the module's first lines: V is added to what goes on with a word."""
    v = 1000
    documents = [[[5, 6 + v, 7 + v], [8, 9], [10, 11 + v]], [[12, 13 + v], [14]]]
    for pair in pretraining_pairs(documents, 9, random.Random(0), cls=1, sep=2):
        ids = torch.tensor(pair.input_ids)
        words = (ids < v).cumsum(dim=0).tolist()
        for left, right in itertools.pairwise(range(len(ids))):
            together = (ids[left].item() % v, ids[right].item() % v) in {(5, 6), (6, 7), (10, 11), (12, 13)}
            assert (words[left] == words[right]) == (together or ids[right].item() > v)


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        ([], "Of 0 documents, 0 have a sentence; at least two"),
        ([[[5, 6], [7]]], "Of 1 documents, 1 have"),
        ([[], [[5, 6], [7]], [[], []]], "Of 3 documents, 1 have"),
    ],
)
def test_without_a_second_document_there_are_no_pairs(documents, words) -> None:
    with pytest.raises(DataError, match=words):
        made(documents, 64)


def test_two_documents_among_many_empty_ones_are_found() -> None:
    documents = [[]] * 3000 + [[[5, 6], [7]]] + [[[]]] * 3000 + [[[8], [], [9, 10]]]
    for seed in range(5):
        for a, b, label in ((*halves(pair), pair.label) for pair in made(documents, 64, seed, short=0)):
            assert ((a[0] < 8) == (b[0] < 8)) == (label == FOLLOWS)


def test_a_length_or_share_that_cannot_be_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"length is 4; .* need at least 5"):
        made(SINGLES, 4)
    with pytest.raises(ValueError, match=r"short is 10; a share from 0 to 1"):
        made(SINGLES, 64, short=10)
    with pytest.raises(ValueError, match=r"length is 2; .* need at least 3"):
        full_sentences(SINGLES, 2, cls=CLS, sep=SEP)


# ---- whole sentences, one after the other


@settings(deadline=None)
@given(shapes, st.integers(3, 40), st.booleans())
def test_every_token_of_the_corpus_is_used_once_in_order(lengths, length, cross) -> None:
    rows = list(full_sentences(corpus(lengths), length, cls=CLS, sep=SEP, cross=cross))
    assert all(row[0] == CLS and row[-1] == SEP and CLS not in row[1:] and 3 <= len(row) <= length for row in rows)
    assert [token for row in rows for token in row if token >= 0] == list(range(sum(map(sum, lengths))))


@settings(deadline=None)
@given(shapes, st.integers(3, 40), st.booleans())
def test_sentences_stay_whole_and_rows_are_as_full_as_they_can_be(lengths, length, cross) -> None:
    documents = corpus(lengths)
    size = {sentence[0]: len(sentence) for d in documents for sentence in d if sentence}
    home = {token: number for number, d in enumerate(documents) for sentence in d for token in sentence}
    rows = list(full_sentences(documents, length, cls=CLS, sep=SEP, cross=cross))
    for row, after in itertools.pairwise(rows):
        first = after[1]
        if first not in size:  # the rest of a sentence that is longer than a row
            assert len(row) == length
        elif cross or home[row[-2]] == home[first]:
            border = home[row[-2]] != home[first]
            assert len(row) + border + size[first] > length
    for row in rows:
        inner = row[1:-1]
        for left, right in itertools.pairwise(range(len(inner))):
            if inner[right] == SEP:
                assert cross and home[inner[left]] != home[inner[right + 1]]
            elif inner[left] != SEP:
                assert home[inner[left]] == home[inner[right]]


def test_a_border_between_documents_is_one_more_sep() -> None:
    documents = [[[10, 11], [12]], [[], [13, 14]], [], [[15]]]
    assert list(full_sentences(documents, 10, cls=1, sep=2)) == [[1, 10, 11, 12, 2, 13, 14, 2, 15, 2]]
    assert list(full_sentences(documents, 9, cls=1, sep=2)) == [[1, 10, 11, 12, 2, 13, 14, 2], [1, 15, 2]]
    apart = list(full_sentences(documents, 10, cls=1, sep=2, cross=False))
    assert apart == [[1, 10, 11, 12, 2], [1, 13, 14, 2], [1, 15, 2]]
    assert list(full_sentences(documents, 10, cls=1, sep=2, order=[3, 0])) == [[1, 15, 2, 10, 11, 12, 2]]


def test_a_sentence_longer_than_a_row_goes_on_in_the_next() -> None:
    rows = full_sentences([[[10], [11, 12, 13, 14, 15, 16, 17, 18], [19]]], 5, cls=1, sep=2)
    assert list(rows) == [[1, 10, 2], [1, 11, 12, 13, 2], [1, 14, 15, 16, 2], [1, 17, 18, 19, 2]]


# ---- the handwritten article's function


def test_tokens_and_segments_of_one_text_and_of_two() -> None:
    assert get_token_and_segments(["a", "b"]) == (["[CLS]", "a", "b", "[SEP]"], [0, 0, 0, 0])
    tokens, segments = get_token_and_segments(["a", "b"], ["c"])
    assert tokens == ["[CLS]", "a", "b", "[SEP]", "c", "[SEP]"] and segments == [0, 0, 0, 0, 1, 1]
    assert get_token_and_segments([], []) == (["[CLS]", "[SEP]", "[SEP]"], [0, 0, 1])


@settings(deadline=None)
@given(st.integers(0, 20), st.integers(0, 20) | st.none(), st.integers(5, 30))
def test_what_is_too_long_loses_its_end_the_longer_text_first(a, b, length) -> None:
    first, second = [f"a{i}" for i in range(a)], None if b is None else [f"b{i}" for i in range(b)]
    tokens, segments = get_token_and_segments(first, second, length)
    whole = get_token_and_segments(first, second)[0]
    assert len(tokens) == len(segments) == min(length, len(whole))
    kept_a, kept_b = ([t for t in tokens if t[0] == name] for name in "ab")
    assert kept_a == first[: len(kept_a)] and kept_b == (second or [])[: len(kept_b)]
    if len(kept_a) < a and second is not None:
        assert len(kept_a) + 1 >= len(kept_b)
    if second is not None and len(kept_b) < b:
        assert len(kept_b) + 1 >= len(kept_a)


def test_a_length_without_room_for_the_texts_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"length is 4; 3 special tokens and a token of each text"):
        get_token_and_segments(["a"], ["b"], 4)
