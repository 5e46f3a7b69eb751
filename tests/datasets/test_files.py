"""course_lib.datasets.files: lines of UTF-8, other encodings named, complaints collected."""

import gzip

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course_lib.datasets import read_headlines, read_labels
from course_lib.datasets.files import Complaint, Source, numbered_lines
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
    assert complaint(read_headlines, path, LABELS).endswith(
        " is empty: write lines of text, a tab and a label into it, or remove it."
    )
    assert complaint(read_labels, path).endswith(" is empty: write one label name a line into it, or remove it.")


def test_a_missing_file_is_an_error(path):
    assert f"There is no file '{path}'" in complaint(read_headlines, path, LABELS)
    assert "cannot be read" in complaint(read_headlines, path.parent, LABELS)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_words(path, data):
    path.write_bytes(data)
    for read in (lambda: read_headlines(path, LABELS), lambda: read_labels(path)):
        try:
            assert len(read()) >= 1
        except DataError as error:
            assert str(path) in str(error)


# ------------------------------------------------------------------------------------------ sources and streams


def test_a_packed_file_is_read_like_any_other(tmp_path):
    path = tmp_path / "train.txt.gz"
    path.write_bytes(gzip.compress("a\t1\n体育\t0\n".encode()))
    assert read_headlines(path, LABELS).texts == ["a", "体育"]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"no archive", lambda data: data[:12] + b"xxxx"]
)
def test_a_damaged_archive_is_named(tmp_path, damage):
    path = tmp_path / "train.txt.gz"
    path.write_bytes(damage(gzip.compress(b"a\t1\n" * 50)))
    assert f"'{path}' is no whole gzip archive" in complaint(read_headlines, path, LABELS)


def test_empty_lines_are_held_back_until_something_follows(path):
    path.write_text("a\n\n\nb\n\n", encoding="utf-8")
    assert list(numbered_lines(path)) == [(1, "a"), (2, ""), (3, ""), (4, "b")]


def test_lines_are_read_when_they_are_asked_for(path):
    path.write_bytes(b"a\nb\n" * 50_000 + b"\xff\n")
    lines = numbered_lines(path)
    assert next(lines) == (1, "a")  # the damage at the end has not been met
    with pytest.raises(DataError, match="in line 100001"):
        list(lines)


def test_a_complaint_may_name_another_line_than_that_of_its_item():
    def parse(item):
        raise Complaint("is wrong", line=7)

    with pytest.raises(DataError, match=r"^Line 7 of 'x' is wrong.$"):
        Source("x", lambda: [(1, "a")]).read(parse)


def test_only_complaints_are_collected_other_errors_are_not_hidden():
    with pytest.raises(ZeroDivisionError):
        Source("x", lambda: [(1, 0)]).read(lambda item: 1 / item)


def test_a_stream_can_be_gone_through_again_and_filtered_and_checks_what_changed(path):
    path.write_text("".join(f"t{i}\t{i % 3}\n" for i in range(11)), encoding="utf-8")
    stream = read_headlines(path, LABELS, streaming=True)
    assert [e.text for e in stream] == [e.text for e in stream] == [f"t{i}" for i in range(11)]
    assert [e.text for e in stream.where(lambda e: e.label == 2).where(lambda e: e.text != "t5")] == ["t2", "t8"]
    path.write_text("t\t9\n", encoding="utf-8")
    assert "label number '9'" in complaint(list, stream)
