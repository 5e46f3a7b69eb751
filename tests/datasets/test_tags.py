"""course_lib.datasets.tags: words with tags, and the schemes of tags."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.datasets import TaggedSentence, load_dataset, to_iob2
from course_lib.datasets.tags import TagCounts, tag_labels, wrong_transitions
from course_lib.errors import DataError

IOB2 = ["B-PER", "I-PER", "O", "B-PER", "B-PER", "O", "B-LOC"]
FORMS = {
    "IOB2": IOB2,
    "IOB1": ["I-PER", "I-PER", "O", "I-PER", "B-PER", "O", "I-LOC"],
    "BIOES": ["B-PER", "E-PER", "O", "S-PER", "S-PER", "O", "S-LOC"],
    "BMES": ["B-PER", "E-PER", "O", "S-PER", "S-PER", "O", "S-LOC"],
    "BILOU": ["B-PER", "L-PER", "O", "U-PER", "U-PER", "O", "U-LOC"],
}


def write(tmp_path, text, name="train.conll"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def tags_of(dataset):
    return [[dataset.labels[tag] for tag in sentence.tags] for sentence in dataset.train]


def scheme(tags):
    counts = TagCounts()
    counts.see(tags)
    return counts.scheme


@pytest.mark.parametrize("name", FORMS)
def test_every_scheme_becomes_iob2(name):
    assert to_iob2(FORMS[name], name) == IOB2


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (FORMS["IOB2"], "IOB2"),
        (FORMS["IOB1"], "IOB1"),
        (FORMS["BIOES"], "BIOES"),
        (["B-X", "M-X", "E-X"], "BMES"),
        (FORMS["BILOU"], "BILOU"),
        (["B-X", "I-Y", "B-X"], "IOB2"),  # a B- that IOB1 would not write, so the I- is a mistake
        (["I-X", "I-Y", "O"], "IOB1"),
        (["O", "O"], "plain"),
        (["NN", "VB", "O"], "plain"),
    ],
)
def test_the_scheme_is_found_from_the_tags(tags, expected):
    assert scheme(tags) == expected


entities = st.lists(st.tuples(st.sampled_from(["PER", "LOC", "O"]), st.integers(1, 4)), min_size=1, max_size=8)


def spelled(pieces, letters, iob1=False):
    """Tags of (type, length) pieces; letters for begin, inside, end, single."""
    tags, before = [], None
    for kind, length in pieces:
        if kind == "O":
            tags += ["O"] * length
        elif iob1:
            tags += [f"{'B' if before == kind else 'I'}-{kind}", *[f"I-{kind}"] * (length - 1)]
        elif length == 1:
            tags.append(f"{letters[3]}-{kind}")
        else:
            tags += [f"{letters[0]}-{kind}", *[f"{letters[1]}-{kind}"] * (length - 2), f"{letters[2]}-{kind}"]
        before = kind
    return tags


@given(entities)
def test_any_entities_mean_the_same_in_every_scheme(pieces):
    expected = spelled(pieces, "BIIB")
    assert to_iob2(expected, "IOB2") == expected
    for name, letters in [("BIOES", "BIES"), ("BMES", "BMES"), ("BILOU", "BILU")]:
        tags = spelled(pieces, letters)
        assert to_iob2(tags, name) == expected
        assert wrong_transitions(tags, name) == []
    assert to_iob2(spelled(pieces, "", iob1=True), "IOB1") == expected
    assert wrong_transitions(expected, "IOB2") == []


@pytest.mark.parametrize(
    ("tags", "name", "expected"),
    [
        (["O", "I-X"], "IOB2", [(1, "I-X after O")]),
        (["I-X"], "IOB2", [(0, "I-X at the beginning of a sentence")]),
        (["B-X", "I-Y"], "IOB2", [(1, "I-Y after B-X")]),
        (["B-X", "O"], "BIOES", [(1, "O after B-X")]),
        (["S-X", "E-X"], "BMES", [(1, "E-X after S-X")]),
        (["B-X", "M-X"], "BMES", [(1, "M-X at the end of a sentence")]),
        (["I-X", "I-Y"], "IOB1", []),
    ],
)
def test_transitions_that_a_scheme_lacks_are_described(tags, name, expected):
    assert wrong_transitions(tags, name) == expected


def test_a_tag_of_no_scheme_is_refused():
    with pytest.raises(ValueError, match="'Q-X' is no tag of IOB2"):
        to_iob2(["B-X", "Q-X"], "IOB2")


def test_labels_have_an_order_of_their_own():
    assert tag_labels(["I-B", "B-A", "O"]) == ("O", "B-A", "I-A", "B-B", "I-B")
    assert tag_labels(["VB", "O", "NN"]) == ("O", "NN", "VB")


# ------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("separator", [" ", "\t", "   "])
@pytest.mark.parametrize("empty", ["", "\t", " "])
def test_words_and_tags_stand_in_columns_and_sentences_end_with_empty_lines(tmp_path, separator, empty):
    lines = [f"Ada{separator}B-PER", f"met{separator}O", empty, empty, f"\u3000{separator}O", ""]
    dataset = load_dataset(write(tmp_path, "\n".join(lines)))
    assert dataset.task == "tags"
    assert dataset.labels == ("O", "B-PER", "I-PER")
    assert list(dataset.train) == [TaggedSentence(("Ada", "met"), (1, 0)), TaggedSentence(("\u3000",), (0,))]
    assert dataset.why == "train.conll has words with tags in IOB2: tags"


def test_the_word_is_the_first_column_and_the_tag_the_last(tmp_path):
    dataset = load_dataset(write(tmp_path, "Ada NNP I-NP B-PER\nmet VBD I-VP O\n"))
    assert dataset.train[0].words == ("Ada", "met")
    assert tags_of(dataset) == [["B-PER", "O"]]


def test_a_word_may_hold_spaces_where_tabs_part_the_columns(tmp_path):
    assert load_dataset(write(tmp_path, "New York\tB-LOC\n#\tO\n")).train[0].words == ("New York", "#")


def test_what_is_no_sentence_is_skipped_and_counted(tmp_path):
    text = "-DOCSTART- -X- O\n\n# id 1\na O\n\n-DOCSTART- -X- O\n# O\nb B-X\n"
    dataset = load_dataset(write(tmp_path, text))
    assert [sentence.words for sentence in dataset.train] == [("a",), ("#", "b")]
    assert dataset.notes == (
        "2 -DOCSTART- lines of 'train.conll' skipped.",
        "1 comment line of 'train.conll' skipped.",
    )


@pytest.mark.parametrize("name", ["IOB1", "BIOES", "BILOU"])
def test_a_file_in_another_scheme_is_converted_and_it_is_said(tmp_path, name):
    text = "".join(f"w {tag}\n" for tag in FORMS[name])
    dataset = load_dataset(write(tmp_path, text))
    assert tags_of(dataset) == [IOB2]
    assert f"tags in {name}, converted to IOB2" in dataset.why


def test_tags_that_cannot_follow_each_other_are_named_by_line_and_begin_an_entity(tmp_path):
    dataset = load_dataset(write(tmp_path, "a B-X\nb I-Y\n\nc I-X\nd O\ne I-X\nf O\ng I-Y\n"))
    assert tags_of(dataset) == [["B-X", "B-Y"], ["B-X", "O", "B-X", "O", "B-Y"]]
    assert (
        "4 tags of 'train.conll' cannot stand where they stand in IOB2 (line 2 has I-Y after B-X; line 4"
        in dataset.notes[0]
    )
    assert "and so on" in dataset.notes[0]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("b", "has one column ('b')"),
        ("b Q-X", "has the tag 'Q-X' at 'b', which is none of IOB2"),
        ("b NN", "the tag 'NN'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, part):
    with pytest.raises(DataError) as caught:
        load_dataset(write(tmp_path, f"a B-X\nc I-X\n\nd O\n{line}\n"))
    assert str(caught.value).startswith(f"Line 5 of '{tmp_path / 'train.conll'}' ")
    assert part in str(caught.value)


def test_a_list_of_labels_fixes_their_order_and_refuses_others(tmp_path):
    write(tmp_path, "B-X\nI-X\nO\n", "class.txt")
    assert load_dataset(write(tmp_path, "a B-X\nb O\n")).train[0].tags == (0, 2)
    with pytest.raises(DataError, match=r"Line 2 .* unknown tag 'B-Y' at 'b'"):
        load_dataset(write(tmp_path, "a B-X\nb B-Y\n"))


def test_a_text_file_whose_lines_end_in_tags_is_recognised(tmp_path):
    assert load_dataset(write(tmp_path, "a B-X\nb O\n\nc O\n", "train.txt")).task == "tags"


def test_parts_share_their_labels(tmp_path):
    write(tmp_path, "a B-X\n")
    dataset = load_dataset(write(tmp_path, "b B-A\n", "test.conll"))
    assert dataset.labels == ("O", "B-A", "I-A", "B-X", "I-X")
    assert dataset.test[0].tags == (1,)


def test_two_lists_in_json_lines_are_read_and_must_be_equally_long(tmp_path):
    good = json.dumps({"tokens": ["a b", "c"], "ner_tags": ["B-X", "O"]})
    dataset = load_dataset(write(tmp_path, f"{good}\n", "train.jsonl"))
    assert (dataset.task, dataset.train[0]) == ("tags", TaggedSentence(("a b", "c"), (1, 0)))
    bad = json.dumps({"tokens": ["a"], "ner_tags": []})
    with pytest.raises(DataError, match=r"Line 2 .* has 1 words and 0 tags"):
        load_dataset(write(tmp_path, f"{good}\n{bad}\n", "train.jsonl"))


def test_a_file_without_a_sentence_is_refused(tmp_path):
    with pytest.raises(DataError, match="has no examples"):
        load_dataset(write(tmp_path, "-DOCSTART- O\n"))
