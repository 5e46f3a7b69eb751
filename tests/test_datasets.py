"""course_lib.datasets: the THUCNews form, line by line."""

import codecs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course_lib.datasets import Example, describe, load_dataset, read_headlines, read_labels
from course_lib.errors import DataError

LABELS = ["finance", "sports", "game"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "train.txt"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "headlines"
    folder.mkdir()
    (folder / "class.txt").write_text("finance\nsports\ngame\n", encoding="utf-8")
    (folder / "train.txt").write_text("rates rise\t0\nfinal whistle\t1\nold rates\tfinance\n", encoding="utf-8")
    (folder / "dev.txt").write_text("a new level\t2\n", encoding="utf-8")
    (folder / "test.txt").write_text("one more final\t1\nshares of a club\t0\n", encoding="utf-8")
    return folder


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


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_words(path, data):
    path.write_bytes(data)
    for read in (lambda: read_headlines(path, LABELS), lambda: read_labels(path)):
        try:
            assert len(read()) >= 1
        except DataError as error:
            assert str(path) in str(error)


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


# ------------------------------------------------------------------------------------------ wrong files

CHINESE = ["体验巅峰 倚天屠龙记十大创新概览\t1", "同步A股首秀：港股缩量回调\t2"]


@pytest.mark.parametrize(
    ("lines", "encoding", "parts"),
    [
        (CHINESE, "gbk", ["not UTF-8", "byte 0 (0xcc, in line 1)", "probably GBK", 'encoding="gb18030"']),
        (["a\t1", *CHINESE], "gbk", ["byte 4 (0xcc, in line 2)", "probably GBK"]),
        (["股市大漲 體驗巔峰\t1"], "big5", ["not UTF-8", "probably Big5", 'encoding="big5"']),
        (CHINESE, "utf-16", ["in UTF-16", "byte order mark", 'encoding="utf-16"']),
        (CHINESE, "utf-16-be", ["not UTF-8", "probably UTF-16", 'encoding="utf-16-be"']),
        (["a\t1", "b\t2"], "utf-16-le", ["UTF-16 without a byte order mark", 'encoding="utf-16-le"']),
        (["a\t1", "b\t2"], "utf-16-be", ["UTF-16 without a byte order mark", 'encoding="utf-16-be"']),
        (["Café de Paris\t1", "Müller geht über die Straße\t2"], "cp1252", ["byte 3 (0xe9", "Windows-1252"]),
    ],
)
def test_other_encodings_are_recognised(path, lines, encoding, parts):
    message = complaint_about(path, *lines, encoding=encoding)
    for part in [str(path), *parts]:
        assert part in message


def test_the_advice_on_encodings_works(path):
    path.write_bytes("\n".join(CHINESE).encode("gbk"))
    advice = complaint(read_headlines, path, LABELS).partition("in Python: ")[2].rstrip(".")
    eval(advice, {"path": path})
    assert read_headlines(path, LABELS).texts == [line.split("\t")[0] for line in CHINESE]


def test_a_file_that_ends_inside_a_character_is_called_cut_off(path):
    path.write_bytes("a\t1\n中".encode()[:-1])
    assert "in line 2) begins a character that the end of the file cuts off" in complaint(read_headlines, path, LABELS)


@pytest.mark.parametrize("content", ["", "\n\n", "  \n", "\ufeff"])
def test_an_empty_file_is_an_error(path, content):
    path.write_text(content, encoding="utf-8")
    assert "is empty" in complaint(read_headlines, path, LABELS)
    assert "is empty" in complaint(read_labels, path)


def test_a_missing_file_is_an_error(path):
    assert f"There is no file '{path}'" in complaint(read_headlines, path, LABELS)
    assert "cannot be read" in complaint(read_headlines, path.parent, LABELS)


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


# ------------------------------------------------------------------------------------------ folders


def test_a_folder_becomes_a_data_set(folder):
    dataset = load_dataset(folder)
    assert dataset.labels == ("finance", "sports", "game")
    assert dataset.train == [Example("rates rise", 0), Example("final whistle", 1), Example("old rates", 0)]
    assert dataset.test.texts == ["one more final", "shares of a club"]
    assert dataset.test.label_ids == [1, 0]
    assert list(dataset.splits) == ["train", "dev", "test"]
    assert load_dataset(str(folder)) == dataset
    assert "3 labels, train: 3, dev: 1, test: 2" in repr(dataset)


def test_missing_files_are_all_named(folder):
    (folder / "dev.txt").unlink()
    (folder / "class.txt").unlink()
    assert "lacks class.txt, dev.txt," in complaint(load_dataset, folder)


def test_a_misspelt_folder_a_folder_above_and_a_file_get_a_hint(folder):
    assert f"did you mean '{folder}'?" in complaint(load_dataset, folder.parent / "headline")
    assert f"did you mean its folder '{folder}'?" in complaint(load_dataset, folder.parent)
    assert f"give its folder '{folder}'" in complaint(load_dataset, folder / "train.txt")


def test_a_wrong_line_of_any_part_stops_the_reading(folder):
    (folder / "test.txt").write_text("a\t9\n", encoding="utf-8")
    assert complaint(load_dataset, folder).startswith(f"Line 1 of '{folder / 'test.txt'}'")


def test_the_summary_counts_labels_and_measures_texts(folder):
    summary = describe(load_dataset(folder))
    assert summary.counts["train"] == {"finance": 2, "sports": 1, "game": 0}
    assert summary.lengths["train"] == (9, 10, 13)
    assert summary.lengths["test"] == (14, 15, 16)
    assert str(summary).splitlines()[0].split() == ["label", "train", "dev", "test"]
    assert "all                3    1     2" in str(summary)


def test_the_summary_aligns_chinese_labels(folder):
    (folder / "class.txt").write_text("财经\nsports\ngame\n", encoding="utf-8")
    (folder / "train.txt").write_text("a\t0\n", encoding="utf-8")
    lines = str(describe(load_dataset(folder))).splitlines()
    assert lines[1].startswith("财经   ")
    assert lines[1].index("1") == lines[2].index("0") - 2  # two characters that are four columns wide
