"""course_lib.datasets.labelled: THUCNews lines; tables and JSON lines with labels of every kind."""

import codecs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course_lib.datasets import Example, read_headlines, read_labels
from course_lib.errors import DataError

LABELS = ["finance", "sports", "game"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "train.txt"


def complaint(function, *arguments):
    with pytest.raises(DataError) as caught:
        function(*arguments)
    return str(caught.value)


def complaint_about(path, *lines, encoding="utf-8"):
    path.write_bytes("\n".join(lines).encode(encoding))
    return complaint(read_headlines, path, LABELS)


# ------------------------------------------------------------------------------------------ what is accepted


def test_a_label_is_a_number_or_a_name(path):
    path.write_text("a\t2\nb\tgame\nc\t 0 \n", encoding="utf-8")
    assert read_headlines(path, LABELS) == [Example("a", 2), Example("b", 2), Example("c", 0)]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("tail", [0, 1, 3])
def test_byte_order_mark_line_ends_and_empty_lines_at_the_end_change_nothing(path, ends, mark, tail):
    path.write_bytes(mark + ("体育\t1" + ends + "b\t0" + ends * tail).encode())
    assert read_headlines(path, LABELS) == [Example("体育", 1), Example("b", 0)]
    path.write_bytes(mark + ("体育" + ends + "b" + ends * tail).encode())
    assert read_labels(path) == ["体育", "b"]


def test_line_separators_of_unicode_stay_inside_a_text(path):
    path.write_text("a\u2028b\x0bc\x85d\x1ce\t1\n", encoding="utf-8", newline="")
    assert read_headlines(path, LABELS).texts == ["a\u2028b\x0bc\x85d\x1ce"]


def test_spaces_around_a_text_are_kept(path):
    path.write_text("  a b \t1\n", encoding="utf-8")
    assert read_headlines(path, LABELS).texts == ["  a b "]


texts = st.text(st.characters(exclude_characters="\t\n", exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda text: text.strip() and not text.startswith("\ufeff")
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(texts, st.integers(0, 2), st.booleans()), min_size=1, max_size=8),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_written_is_read(path, rows, ends):
    lines = [f"{text}\t{LABELS[label] if by_name else label}" for text, label, by_name in rows]
    path.write_bytes((ends.join(lines) + ends).encode())
    examples = read_headlines(path, LABELS)
    assert list(zip(examples.texts, examples.label_ids, strict=True)) == [(text, label) for text, label, _ in rows]


# ------------------------------------------------------------------------------------------ wrong lines


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("b\t3", ["label number '3'", "after 'b'", "from 0 to 2"]),
        ("b\t-1", ["label number '-1'", "from 0 to 2"]),
        ("b\t1.0", ["label number '1.0'", "from 0 to 2"]),
        ("b\t３", ["label number '３'"]),
        ("b\t12345678901", ["label number '12345678901'"]),
        ("b\tsport", ["unknown label 'sport'", "did you mean 'sports'?", "finance, sports, game"]),
        ("b\tFinance", ["unknown label 'Finance'", "did you mean 'finance'?"]),
        ("b\tcooking", ["unknown label 'cooking' after 'b'", "finance, sports, game"]),
        ("b\t", ["no label after its tab ('b')"]),
        ("\t1", ["no text before its tab ('\\t1')"]),
        (" \u3000\t1", ["no text before its tab"]),
        ("b", ["no tab ('b'); a text, one tab and a label are expected"]),
        ("b 1", ["a space stands where the tab should be"]),
        ("b    sports", ["4 spaces stand where the tab should be"]),
        ("b, c,1", ["',' stands where the tab should be"]),
        ("中国\uff0c1", ["'\uff0c' stands where the tab should be"]),
        ("b\tc\t1", ["2 tabs ('b\\tc\\t1')", "exactly one is expected"]),
        ("", ["is empty", "at the very end only"]),
        ("b" * 99 + "\t9", ["'" + "b" * 37 + "...'"]),
    ],
)
def test_a_wrong_line_is_named_with_what_came_and_what_was_expected(path, line, parts):
    message = complaint_about(path, "a\t0", line, "c\t1")
    assert message.startswith(f"Line 2 of '{path}'")
    for part in parts:
        assert part in message
    assert "more line" not in message


def test_the_label_suggestion_is_left_out_where_nothing_is_near(path):
    assert "did you mean" not in complaint_about(path, "a\tqqq")


def test_further_wrong_lines_are_counted_and_the_first_five_named(path):
    assert complaint_about(path, "a", "b\t1", "c").endswith("In the same file one more line is wrong: 3.")
    message = complaint_about(path, *["x"] * 9)
    assert message.startswith("Line 1 ")
    assert message.endswith("In the same file 8 more lines are wrong: 2, 3, 4, 5 and so on.")
    assert complaint_about(path, *["x"] * 5).endswith("4 more lines are wrong: 2, 3, 4, 5.")


# ------------------------------------------------------------------------------------------ lists of labels


@pytest.mark.parametrize(
    ("content", "start", "part"),
    [
        ("a\nb\na\n", "Line 3 ", "repeats the label 'a' of line 1"),
        ("a\n\nb\n", "Line 2 ", "is empty"),
        ("a\t0\n", "Line 1 ", "has a tab"),
        ("1\nb\n", "Line 1 ", "names label 0 '1', which reads as another label's number"),
    ],
)
def test_wrong_label_lists_are_refused(path, content, start, part):
    path.write_text(content, encoding="utf-8")
    message = complaint(read_labels, path)
    assert message.startswith(start)
    assert part in message


def test_labels_may_be_their_own_numbers(path):
    path.write_text("0\n1\n", encoding="utf-8")
    assert read_labels(path) == ["0", "1"]
