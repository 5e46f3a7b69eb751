import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from course_lib import pretrained
from course_lib.alignment import (
    IGNORED,
    Entity,
    align_labels,
    entities_from_tags,
    inside_labels,
    join_pieces,
    tag_spans,
    word_offsets,
    word_predictions,
)
from course_lib.errors import DataError

NAMES = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
ANN = ["Ann", "likes", "unaffable", "people"]


@pytest.fixture(scope="module")
def tokenizer():
    return pretrained.load_tokenizer("embedded")


def tokens(tokenizer, alignment, number: int = 0) -> list[str]:
    return tokenizer.convert_ids_to_tokens(alignment.columns["input_ids"][number])


def test_the_first_piece_has_the_label_and_the_rest_is_left_out(tokenizer) -> None:
    aligned = align_labels(tokenizer, [ANN], [[1, 0, 2, 0]])
    assert tokens(tokenizer, aligned) == ["[CLS]", "ann", "likes", "una", "##ffa", "##ble", "people", "[SEP]"]
    assert aligned.columns["labels"] == [[IGNORED, 1, 0, 2, IGNORED, IGNORED, 0, IGNORED]]
    assert aligned.word_ids == ((None, 0, 1, 2, 2, 2, 3, None),)
    assert aligned.columns["attention_mask"] == [[1] * 8] and aligned.columns["token_type_ids"] == [[0] * 8]


def test_all_pieces_have_the_label_and_b_becomes_i_where_asked(tokenizer) -> None:
    same = align_labels(tokenizer, [ANN], [[0, 0, 1, 0]], pieces="all")
    assert same.columns["labels"] == [[IGNORED, 0, 0, 1, 1, 1, 0, IGNORED]]
    inside = align_labels(tokenizer, [ANN], [[0, 0, 1, 0]], pieces="all", inside=inside_labels(NAMES))
    assert inside.columns["labels"] == [[IGNORED, 0, 0, 1, 2, 2, 0, IGNORED]]
    assert inside_labels(NAMES) == {1: 2, 3: 4}
    assert inside_labels(("O", "B-X")) == {}  # no I-X to turn into


def test_words_of_nothing_keep_their_place(tokenizer) -> None:
    words = ["Ann", "\x00", "met", "", "Bob", "\u200d"]
    aligned = align_labels(tokenizer, [words], [[1, 0, 0, 0, 3, 0]])
    assert aligned.columns["labels"] == [[IGNORED, 1, 0, 3, IGNORED]]
    assert aligned.empty == ((1, 3, 5),) and aligned.cut == (0,)
    back = word_predictions(aligned, [[0, 1, 0, 3, 0]], NAMES)
    assert back.labels == [["B-PER", "O", "O", "O", "B-LOC", "O"]] and back.missing == (3,)


def test_what_is_cut_is_counted_and_sep_stays(tokenizer) -> None:
    aligned = align_labels(tokenizer, [ANN, ["short"]], [[1, 0, 2, 0], [4]], max_tokens=5)
    assert tokens(tokenizer, aligned) == ["[CLS]", "ann", "likes", "una", "[SEP]"]
    assert aligned.cut == (1, 0)  # "people"; of "unaffable" the piece with the label is still there
    assert {len(column[0]) for column in aligned.columns.values()} == {5}
    assert str(aligned) == "2 sentences, 5 words, 8 tokens; cut off: 1 word of 1 sentence; without a token: 0 words."
    back = word_predictions(aligned, [[0, 1, 0, 2, 0], [0, 4, 0, 0, 0]])
    assert back.labels == [[1, 0, 2, None], [4]] and back.missing == (1, 0)


def test_a_word_of_nothing_after_the_cut_is_not_counted_as_cut(tokenizer) -> None:
    aligned = align_labels(tokenizer, [["one", "two", "three", "\x00"]], max_tokens=3)
    assert aligned.cut == (2,) and aligned.empty == ((3,),)
    assert word_predictions(aligned, [[0, 1, 0]]).missing == (3,)


def test_without_labels_there_is_no_column_of_labels(tokenizer) -> None:
    assert set(align_labels(tokenizer, [ANN]).columns) == {"input_ids", "attention_mask", "token_type_ids"}


def test_no_sentences_and_a_sentence_without_words_are_fine(tokenizer) -> None:
    assert align_labels(tokenizer, [], []).columns["labels"] == []
    aligned = align_labels(tokenizer, [[], ["a"]], [[], [1]])
    assert aligned.columns["labels"] == [[IGNORED, IGNORED], [IGNORED, 1, IGNORED]]
    assert word_predictions(aligned, [[0, 0, 0], [0, 3, 0]], NAMES).labels == [[], ["B-LOC"]]


def test_chinese_words_of_several_characters_have_one_label(tokenizer) -> None:
    aligned = align_labels(tokenizer, [["北京", "很", "大"]], [[3, 0, 0]], pieces="all")
    assert aligned.word_ids == ((None, 0, 0, 1, 2, None),)
    assert aligned.columns["labels"] == [[IGNORED, 3, 3, 0, 0, IGNORED]]


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_predictions_may_be_rows_arrays_and_tensors_with_padding(tokenizer, kind) -> None:
    aligned = align_labels(tokenizer, [ANN, ["Bob"]])
    padded = kind([[9, 1, 0, 2, 3, 3, 0, 9], [9, 4, 9, 9, 9, 9, 9, 9]])
    assert word_predictions(aligned, padded).labels == [[1, 0, 2, 0], [4]]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.text(max_size=9), max_size=7), min_size=1, max_size=4),
    st.sampled_from(["first", "all"]),
    st.integers(3, 23),
)
def test_labels_go_to_the_pieces_and_come_back_unchanged(tokenizer, sentences, pieces, max_tokens) -> None:
    labels = [list(range(len(words))) for words in sentences]
    aligned = align_labels(tokenizer, sentences, labels, max_tokens=max_tokens, pieces=pieces)
    back = word_predictions(aligned, aligned.columns["labels"])
    for number, words in enumerate(sentences):
        kept = [label for label in back.labels[number] if label is not None]
        assert all(label in (None, place) for place, label in enumerate(back.labels[number]))
        assert len(kept) + back.missing[number] == len(words)
        assert back.missing[number] == aligned.cut[number] + len(aligned.empty[number])
        assert len(aligned.columns["input_ids"][number]) <= max_tokens
        counted = sum(label != IGNORED for label in aligned.columns["labels"][number])
        assert counted == len(kept) if pieces == "first" else counted >= len(kept)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"labels": [[1, 0]]}, DataError, "Sentence 0 has 4 words and 2 labels"),
        ({"labels": []}, DataError, "1 sentences and 0 rows of labels"),
        ({"labels": [["O", "O", "O", "O"]]}, TypeError, "labels are numbers"),
        ({"pieces": "last"}, ValueError, "pieces is 'last'"),
        ({"max_tokens": 2}, ValueError, "at least 3"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(tokenizer, arguments, kind, message) -> None:
    with pytest.raises(kind, match=message):
        align_labels(tokenizer, [ANN], **arguments)


def test_a_text_instead_of_words_is_refused(tokenizer) -> None:
    with pytest.raises(TypeError, match=r"sentences\[1\] is one text"):
        align_labels(tokenizer, [ANN, "Ann likes people"])
    with pytest.raises(TypeError, match=r"sentences\[0\]\[1\] is a int"):
        align_labels(tokenizer, [["a", 3]])


def test_predictions_that_do_not_fit_are_refused(tokenizer) -> None:
    aligned = align_labels(tokenizer, [ANN])
    with pytest.raises(ValueError, match="1 sentences and 2 rows"):
        word_predictions(aligned, [[0] * 8] * 2)
    with pytest.raises(ValueError, match="7 predictions for 8 tokens"):
        word_predictions(aligned, [[0] * 7])
    with pytest.raises(ValueError, match="argmax"):
        word_predictions(aligned, torch.zeros(1, 8, 5))


def test_pieces_are_joined_to_words() -> None:
    assert join_pieces(["una", "##ffa", "##ble", "man", "##", "."]) == ["unaffable", "man", "##", "."]
    assert join_pieces([]) == [] and join_pieces(["##ing"]) == ["##ing"]


TAGS = st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]), max_size=13)


@given(TAGS)
def test_names_are_those_of_seqeval(tags: list[str]) -> None:
    assert tag_spans(tags) == [(kind, start, end + 1) for kind, start, end in get_entities(tags)]


@pytest.mark.parametrize("tag", ["X", "B", "B-", "S-PER", "E-PER", "b-PER", ""])
def test_other_tags_are_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="Tag 1 is"):
        tag_spans(["O", tag])


def test_names_are_cut_from_the_raw_text() -> None:
    text = "Ann  Lee, of New\u00a0York."
    words = ["Ann", "Lee", ",", "of", "New", "York", "."]
    tags = ["B-PER", "I-PER", "O", "O", "I-LOC", "I-LOC", "O"]
    assert entities_from_tags(words, tags, text) == [
        Entity("PER", 0, 2, "Ann  Lee", 0, 8),
        Entity("LOC", 4, 6, "New\u00a0York", 13, 21),
    ]
    assert [e.text for e in entities_from_tags(words, tags)] == ["Ann Lee", "New York"]
    assert entities_from_tags(list("他在北京"), ["O", "O", "B-LOC", "I-LOC"], between="")[0].text == "北京"
    assert entities_from_tags(["b", "b"], ["O", "B-X"], "b b", [(0, 1), (2, 3)]) == [Entity("X", 1, 2, "b", 2, 3)]


@given(st.lists(st.tuples(st.text(alphabet=" \n\u3000", max_size=2), st.text(alphabet="abé我", min_size=1, max_size=4)), max_size=9))  # fmt: skip
def test_offsets_of_words_give_the_words_back(parts) -> None:
    words = [word for _, word in parts]
    text = "".join(space + word for space, word in parts)
    offsets = word_offsets(text, words)
    assert [text[start:end] for start, end in offsets] == words
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(offsets))


def test_entities_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="2 words and 1 tags"):
        entities_from_tags(["a", "b"], ["O"])
    with pytest.raises(DataError, match="Word 1, 'b', is not in the text after character 2"):
        entities_from_tags(["a", "b"], ["O", "O"], "ba")
    with pytest.raises(ValueError, match="without the text"):
        entities_from_tags(["a"], ["O"], offsets=[(0, 1)])
