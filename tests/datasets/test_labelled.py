"""course_lib.datasets.labelled: THUCNews lines; tables and JSON lines with labels of every kind."""

import codecs
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course_lib.datasets import Example, load_dataset, read_headlines, read_labels
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


# ------------------------------------------------------------------------------------------ tables and JSON lines


def written(tmp_path, **files):
    for name, text in files.items():
        stem, _, ending = name.rpartition("_")
        (tmp_path / f"{stem}.{ending}").write_text(text, encoding="utf-8", newline="")
    return tmp_path


def triples(part):
    return [(e.text, e.label, e.pair) for e in part]


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        ("csv", "text,label\na,pos\nb,neg\n"),
        ("csv", "label;text\npos;a\nneg;b\n"),
        ("csv", '"a","pos"\n"b","neg"\n'),
        ("tsv", "id\tsentence\tlabel\n1\ta\tpos\n2\tb\tneg\n"),
        ("tsv", "pos\ta\nneg\tb\npos\tc\n"),
        ("txt", "a\tpos\nb\tneg\n"),
        ("jsonl", '{"text": "a", "label": "pos"}\n{"sentence": 1, "text": "b", "label": "neg"}\n'),
        ("json", '[{"text": "a", "label": "pos"}, {"text": "b", "label": "neg"}]'),
        ("json", '{"data": [{"text": "a", "label": "pos"}, {"text": "b", "label": "neg"}]}'),
        ("json", '{"text": "a", "label": "pos"}\n{"text": "b", "label": "neg"}\n'),
    ],
)
def test_texts_and_labels_are_found_in_every_form(tmp_path, ending, text):
    dataset = load_dataset(written(tmp_path, **{f"train_{ending}": text}))
    assert dataset.task == "classification"
    assert dataset.labels == ("neg", "pos")
    assert triples(dataset.train)[:2] == [("a", 1, None), ("b", 0, None)]


@pytest.mark.parametrize(
    ("header", "unused"),
    [
        ("sentence1,sentence2,label", ()),
        ("premise,hypothesis,gold_label", ()),
        ("text_a,text_b,class", ()),
        ("question,sentence,label", ()),
    ],
)
def test_pairs_are_found_by_their_usual_names(tmp_path, header, unused):
    dataset = load_dataset(written(tmp_path, train_csv=f"{header}\na,b,x\nc,d,y\n"))
    assert triples(dataset.train) == [("a", 0, "b"), ("c", 1, "d")]
    assert dataset.train.pairs == ["b", "d"]
    assert dataset.notes == unused


def test_quotes_hold_commas_marks_and_line_ends(tmp_path):
    dataset = load_dataset(written(tmp_path, train_csv='text,label\r\n"a, ""b""",x\r\n"two\r\nlines",y\r\nc,x\r\n'))
    assert dataset.train.texts == ['a, "b"', "two\r\nlines", "c"]


def test_the_line_of_a_wrong_row_is_counted_after_line_ends_within_quotes(tmp_path):
    message = complaint(load_dataset, written(tmp_path, train_csv='text,label\n"a\nb\nc",x\nd\n'))
    assert message.startswith(f"Line 5 of '{tmp_path / 'train.csv'}' has 1 column ('d') where the first line has 2")


def test_a_comma_without_quotes_is_explained(tmp_path):
    message = complaint(load_dataset, written(tmp_path, train_csv="text,label\na,b,x\nc,y\nd\n"))
    assert "has 3 columns ('a,b,x')" in message
    assert "a comma within a text needs quotes" in message
    assert message.endswith("In the same file one more line is wrong: 4.")


def test_a_quotation_mark_that_is_never_closed_is_named_by_the_line_where_it_opens(tmp_path):
    message = complaint(load_dataset, written(tmp_path, train_csv='text,label\na,x\n"b,y\nc,x\n'))
    assert message.startswith("Line 3 of")
    assert "quotation mark" in message


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        (['"a\tx', 'b"\ty'], ['"a', 'b"']),  # no quoting: a mark is the text's
        (['"great film"\tx', "b\ty"], ['"great film"', "b"]),
        (['"a ""q"" b"\tx', "c\ty"], ['a "q" b', "c"]),  # as a writer of quoted tables leaves it
        (['"a\tb"\tx', "c\ty"], ["a\tb", "c"]),
        (['"a\nb"\tx', "c\ty"], ["a\nb", "c"]),
    ],
)
def test_whether_tabs_come_with_quotes_is_found_out(tmp_path, rows, texts):
    dataset = load_dataset(written(tmp_path, train_tsv="text\tlabel\n" + "\n".join(rows) + "\n"))
    assert dataset.train.texts == texts


def test_a_text_longer_than_the_csv_module_likes_is_read_and_its_limit_is_as_before(tmp_path):
    import csv

    before = csv.field_size_limit()
    dataset = load_dataset(written(tmp_path, train_csv="text,label\n" + "a" * 200_000 + ",x\nb,y\n"))
    assert len(dataset.train[0].text) == 200_000
    assert csv.field_size_limit() == before


def test_other_names_are_given_and_columns_that_nothing_reads_are_said(tmp_path):
    folder = written(tmp_path, train_csv="id,body,tone\n1,a,x\n2,b,y\n")
    message = complaint(load_dataset, folder)
    assert "has the columns id, body, tone, and none is known to be the label" in message
    dataset = load_dataset(folder, columns={"text": "body", "label": "tone"})
    assert triples(dataset.train) == [("a", 0, None), ("b", 1, None)]
    assert dataset.notes == ("Columns of 'train.csv' that were not read: id.",)
    assert "(read as text = body, label = tone)" in dataset.why
    with pytest.raises(DataError, match=r"no column 'bdy' \(did you mean 'body'\?\)"):
        load_dataset(folder, columns={"text": "bdy", "label": "tone"})
    with pytest.raises(DataError, match="the field 'txt'; the fields of this task are text, pair, label"):
        load_dataset(folder, columns={"txt": "body"})


def test_columns_without_a_header_are_given_by_place(tmp_path):
    folder = written(tmp_path, train_csv="7,x,a,q\n8,y,b,q\n")
    assert "has 4 columns and no header" in complaint(load_dataset, folder)
    assert triples(load_dataset(folder, columns={"text": 2, "label": 1}).train) == [("a", 0, None), ("b", 1, None)]


def test_scores_make_a_regression(tmp_path):
    dataset = load_dataset(written(tmp_path, train_csv="a,b,5.0\nc,d,3.75\n", dev_csv="e,f,2\n"))
    assert (dataset.task, dataset.labels) == ("regression", ("score",))
    assert triples(dataset.train) == [("a", 5.0, "b"), ("c", 3.75, "d")]
    assert triples(dataset.dev) == [("e", 2.0, "f")]
    whole = load_dataset(written(tmp_path, train_csv="text,score\na,4\nb,3\n", dev_csv="text,score\na,4\n"))
    assert whole.task == "regression"


@pytest.mark.parametrize("value", ["bad", "nan", "inf", "1_0", ""])
def test_a_score_that_is_no_number_is_refused(tmp_path, value):
    rows = "".join(f"t{i},{i / 2}\n" for i in range(30))
    message = complaint(load_dataset, written(tmp_path, train_csv=f"text,score\n{rows}x,{value}\n"))
    assert message.startswith("Line 32 of")
    assert "a number is expected" in message


def test_several_labels_come_as_lists_or_parted_by_bars_or_as_columns(tmp_path):
    lists = '{"text": "a", "labels": ["y", "x"]}\n{"text": "b", "labels": []}\n{"text": "c", "labels": ["y"]}\n'
    expected = [("a", (0, 1), None), ("b", (), None), ("c", (1,), None)]
    for name, text, columns in [
        ("jsonl", lists, None),
        ("csv", "text,labels\na,y|x\nb,\nc,y\n", None),
        ("csv", "text,x,y\na,1,1\nb,0,0\nc,0,1\n", {"label": ["x", "y"]}),
    ]:
        folder = tmp_path / f"{name}{columns is None}"
        folder.mkdir()
        dataset = load_dataset(written(folder, **{f"train_{name}": text}), columns=columns)
        assert (dataset.task, dataset.labels) == ("multi-label", ("x", "y"))
        assert triples(dataset.train) == expected
    (folder / "train.csv").write_text("text,x,y\na,1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="has '2' in the column 'y'; 0 or 1"):
        load_dataset(folder, columns={"label": ["x", "y"]})


def test_label_numbers_that_do_not_begin_at_0_are_moved_and_it_is_said(tmp_path):
    dataset = load_dataset(written(tmp_path, train_csv="a,1\nb,2\nc,5\n"))
    assert dataset.labels == ("1", "2", "5")
    assert dataset.train.label_ids == [0, 1, 2]
    assert dataset.notes == (f"The labels 1, 2, 5 of '{tmp_path / 'train.csv'}' became 0 to 2.",)


def test_numbers_with_a_point_as_tables_with_gaps_write_them_are_labels(tmp_path):
    dataset = load_dataset(written(tmp_path, train_csv="text,label\na,1.0\nb,0.0\n"))
    assert (dataset.task, dataset.train.label_ids) == ("classification", [1, 0])


def test_a_label_that_the_training_part_lacks_is_refused_with_the_nearest(tmp_path):
    message = complaint(load_dataset, written(tmp_path, train_csv="a,pos\nb,neg\n", dev_csv="c,ps\n"))
    assert "unknown label 'ps' (did you mean 'pos'?) after 'c'" in message
    assert "the labels of train.csv; if another is right, list all names in a class.txt" in message
    (tmp_path / "class.txt").write_text("pos\nneg\nps\n", encoding="utf-8")
    assert load_dataset(tmp_path).dev.label_ids == [2]


def test_a_column_of_texts_is_not_taken_for_labels(tmp_path):
    rows = "".join(f"{i},text number {i}\n" for i in range(80))
    assert "80 different ones in 80 examples" in complaint(load_dataset, written(tmp_path, train_csv=rows))


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ('{"text": "a"', "is not JSON (Expecting ',' delimiter"),
        ("[1]", "is JSON but no object ('[1]')"),
        ('{"text": 3, "label": "x"}', "has '3' as its text, an int"),
        ('{"text": " ", "label": "x"}', "has an empty text"),
        ('{"text": "a"}', "has no field 'label' (only text)"),
        ('{"text": "a", "label": null}', "has no label after 'a'; one of x, y is expected"),
        ('{"text": "a", "label": {"b": 1}}', "a dict; a name or a number is expected"),
        ('{"text": "a", "label": ["x"]}', "has several labels"),
        ("", "is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"text": "a", "label": ' + "7" * 5000 + "}", "with a whole number of more digits than Python reads"),
    ],
)
def test_a_wrong_line_of_json_is_named(tmp_path, line, part):
    good = '{"text": "a", "label": "x"}\n'
    folder = written(tmp_path, train_jsonl=good + json.dumps({"text": "b", "label": "y"}) + f"\n{line}\n{good}")
    with pytest.raises(DataError) as caught:
        load_dataset(folder, task="classification")
    assert str(caught.value).startswith(f"Line 3 of '{tmp_path / 'train.jsonl'}' ")
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("3", "holds no list of objects"),
        ("[]", "holds no list of objects"),
        ("[1]", "Object 1 of"),
        ('{"a": [', "is not JSON: Expecting value in line 1"),
        ("[" * 100_000, "is JSON nested too deeply; get or mend the file"),
        ("[" + "7" * 5000 + "]", "is JSON with a whole number of more digits than Python reads"),
    ],
)
def test_a_wrong_json_file_is_named(tmp_path, text, part):
    assert part in complaint(load_dataset, written(tmp_path, train_json=text))


def test_a_header_alone_and_a_name_twice_are_refused(tmp_path):
    assert "has a header (text, label) and no rows" in complaint(
        load_dataset, written(tmp_path, train_csv="text,label\n")
    )
    assert "has the column 'text' twice" in complaint(load_dataset, written(tmp_path, train_csv="text,text\na,b\n"))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=80), st.sampled_from(["csv", "tsv", "jsonl", "json", "txt", "conll"]), st.booleans())
def test_any_bytes_in_any_form_are_read_or_refused_in_words(tmp_path, data, ending, header):
    path = tmp_path / f"data.{ending}"
    path.write_bytes((b"text,label\n" if header else b"") + data)
    try:
        dataset = load_dataset(path)
        assert sum(map(len, dataset.splits.values())) >= 1
    except DataError as error:
        assert str(path) in str(error)
    path.unlink()


@pytest.mark.parametrize(
    ("first", "header"),
    [
        ("text,label", True),
        ("body,tone", True),  # one usual name
        ("remark,polarity", True),  # words that never come again, above a column of labels
        ("remark,pos", False),  # the first example
        ("a remark,polarity", False),  # no name has a space, and a label may be rare
        ("title,pos", False),
    ],
)
def test_a_header_is_told_from_a_first_example(tmp_path, first, header):
    rows = "".join(f"text {i},{'pos' if i % 2 else 'neg'}\n" for i in range(12))
    columns = {"text": 0, "label": 1}
    dataset = load_dataset(written(tmp_path, train_csv=f"{first}\n{rows}"), columns=columns)
    assert len(dataset.train) == (12 if header else 13)
