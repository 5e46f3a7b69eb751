from collections import Counter

import pytest

from course_lib.datasets import Document
from course_lib.errors import DataError
from course_lib.sentence_pairs import FOLLOWS, RANDOM, next_sentence_pairs

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
