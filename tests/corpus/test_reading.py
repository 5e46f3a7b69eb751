"""course_lib.corpus.reading: files, folders, tables and data sets of the hub as documents of sentences."""

import gzip
import json
import textwrap
import tracemalloc

import datasets
import pytest

from course_lib.corpus import read_corpus, reading
from course_lib.datasets import Document
from course_lib.errors import DataError

STORY = (
    "It was a dark night and nobody was out in the streets of the town. The old lamp burned low. A man came round the "
    "corner, looked behind him, and went on without a word to anyone."
)


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_are_split_into_sentences_and_an_empty_line_ends_a_document(tmp_path):
    path = put(tmp_path / "a.txt", "One. Two.\nThree!\n\n\n我们来了。他们走了。\n")
    corpus = read_corpus(path)
    assert list(corpus.documents) == [Document(("One.", "Two.", "Three!")), Document(("我们来了。", "他们走了。"))]
    assert corpus.sources() == {"a.txt": 2}
    assert not corpus.streamed


def test_short_lines_without_a_stop_are_sentences_of_their_own(tmp_path):
    lines = [
        "The cat",
        "A much longer line that says more than the others do",
        "Dogs bark",
        "看来是黄金组合啊",
        "不服老!",
    ]
    (document,) = read_corpus(put(tmp_path / "a.txt", "\n".join(lines))).documents
    assert list(document.sentences) == lines


def test_wrapped_lines_are_joined_and_several_empty_lines_end_a_document(tmp_path):
    paragraph = textwrap.fill(STORY, 60)
    chapter = f"CHAPTER I\n\n\n{paragraph}\n\n{paragraph}\n\n{paragraph}"
    corpus = read_corpus(put(tmp_path / "book.txt", f"{chapter}\n\n\n\n{chapter}\n"))
    sentences = tuple(f"{s}." for s in STORY.rstrip(".").split(". "))
    assert [d.sentences for d in corpus.documents] == [("CHAPTER I", *sentences * 3)] * 2


def test_wrapped_chinese_is_joined_without_blanks(tmp_path):
    text = "今天天气很好，我们一起去公园散步，看见了许多美丽的花。" * 8
    wrapped = "\n".join(text[i : i + 20] for i in range(0, len(text), 20))
    (document,) = read_corpus(put(tmp_path / "a.txt", wrapped)).documents
    assert "".join(document.sentences) == text
    assert len(document.sentences) == 8


def test_wikitext_loses_its_headings_and_the_marks_of_its_words(tmp_path):
    text = " \n = One = \n \n 1 @,@ 000 people came . They left . \n \n = = Part = = \n \n More of it . \n = Two = \n The end . \n"
    assert [d.sentences for d in read_corpus(put(tmp_path / "wiki.tokens", text)).documents] == [
        ("1,000 people came .", "They left .", "More of it ."),
        ("The end .",),
    ]


def test_markdown_is_one_document_without_code_and_links(tmp_path):
    text = "# Title\n\nThe [text](https://a.org) is **here**. It goes\non.\n\n```\ncode\n```\n\n- an item\n- 第二项。还有。\n"
    (document,) = read_corpus(put(tmp_path / "a.md", text)).documents
    assert document.sentences == ("The text is here.", "It goes on.", "an item", "第二项。", "还有。")


def test_of_a_folder_every_text_file_is_read_packed_ones_and_those_of_its_folders_too(tmp_path):
    put(tmp_path / "b.txt", "In b.")
    put(tmp_path / "deep" / "c.md", "In c.")
    put(tmp_path / "table.csv", "x,y")
    put(tmp_path / ".hidden" / "d.txt", "In d.")
    put(tmp_path / "empty.txt", "")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"In a."))
    corpus = read_corpus(tmp_path)
    assert [(d.source, *d.sentences) for d in corpus.documents] == [
        ("a.txt.gz", "In a."),
        ("b.txt", "In b."),
        ("deep/c.md", "In c."),
    ]
    assert corpus.notes == (f"3 text files of '{tmp_path}', 0.0 MB.",)
    assert corpus.only("b.txt").counts["documents"] == 1


def test_big_files_are_streamed_and_read_again_each_time(tmp_path, monkeypatch):
    path = put(tmp_path / "a.txt", "One. Two.\n\nThree.\n")
    monkeypatch.setattr(reading, "STREAMED_FROM", 10)
    corpus = read_corpus(path)
    assert corpus.streamed
    held = read_corpus(path, streaming=False)
    assert list(corpus.documents) == list(corpus.documents) == list(held.documents)
    put(path, "Another.\n")
    assert [d.sentences for d in corpus.documents] == [("Another.",)]


def test_a_stream_holds_little_of_a_file_without_an_empty_line(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LONGEST_DOCUMENT", 100)
    path = put(tmp_path / "a.txt", "This is a sentence of the file.\n" * 40_000)  # 3 MB as strings
    corpus = read_corpus(path, streaming=True)
    tracemalloc.start()
    lengths = [len(document.sentences) for document in corpus.documents]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lengths == [100] * 400
    assert peak < 1_000_000  # the first 2,000 lines, by which its form is known


def test_what_no_mark_ends_is_cut_and_nothing_is_lost(tmp_path):
    words = put(tmp_path / "words.txt", "word " * 10_000)
    (document,) = read_corpus(words).documents
    assert " ".join(document.sentences) == ("word " * 10_000).strip()
    assert max(map(len, document.sentences)) <= reading.LONGEST_SENTENCE
    (document,) = read_corpus(put(tmp_path / "x.txt", "x" * 5_000)).documents
    assert list(map(len, document.sentences)) == [2_000, 2_000, 1_000]


def test_json_lines_are_read_whole(tmp_path):
    texts = [f"This is text {i}. It ends." for i in range(40)]
    path = put(tmp_path / "a.jsonl", "".join(json.dumps({"body": text}) + "\n" for text in texts))
    for streaming in (None, True):
        corpus = read_corpus(path, columns={"sentences": "body"}, streaming=streaming)
        assert sorted(" ".join(d.sentences) for d in corpus.documents) == sorted(texts)
        assert corpus.streamed == bool(streaming)


def test_of_the_hub_the_training_part_is_streamed(monkeypatch):
    asked = []

    def load(name, configuration, streaming):
        asked.append((name, configuration, streaming))
        rows = [{"text": "One. Two.\nThree."}, {"text": "Four."}]
        make = datasets.IterableDataset.from_generator if streaming else lambda g: datasets.Dataset.from_list(list(g()))
        return {"train": make(lambda: iter(rows)), "validation": make(lambda: iter(rows[:1]))}

    monkeypatch.setattr(datasets, "load_dataset", load)
    corpus = read_corpus("owner/name:zh")
    assert corpus.streamed
    expected = [Document(("One.", "Two.", "Three.")), Document(("Four.",))]
    assert list(corpus.documents) == list(corpus.documents) == expected
    assert corpus.notes == ("Of 'owner/name:zh' the training part was read.",)
    assert list(read_corpus("owner/name:zh", streaming=False).documents) == expected
    assert asked == [("owner/name", "zh", True), ("owner/name", "zh", False)]


def test_docstrings_is_a_name(monkeypatch):
    monkeypatch.setattr(reading, "docstrings", lambda: "the docstrings")
    assert read_corpus("docstrings") == "the docstrings"


# ---------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("text", ["", "\n \n\n", " \n = Title = \n"])
def test_a_file_without_text(tmp_path, text):
    with pytest.raises(DataError, match=r"(is empty|has no text).*\.$"):
        read_corpus(put(tmp_path / "a.txt", text))


def test_a_folder_without_text_files_says_what_it_has(tmp_path):
    put(tmp_path / "train.jsonl", "{}")
    with pytest.raises(
        DataError, match=r"has no text files \(it has \.jsonl\): \.txt or \.md .* give the file itself\.$"
    ):
        read_corpus(tmp_path)


def test_nothing_of_that_name(tmp_path):
    with pytest.raises(DataError, match=r"^There is no file .*none\.txt"):
        read_corpus(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a binary file"),
        (b"words and more words " * 100_000 + b"\0", "is a binary file"),
        ("一些中文文字，很多的中文文字\n".encode("gbk") * 9, "is not UTF-8.*GBK"),
        (b"good line\n" * 200_000 + b"caf\xe9\n", r"is not UTF-8: byte 2000003 \(0xe9, in line 200001\).*Windows-1252"),
        ("text\n".encode("utf-16"), "UTF-16"),
        ("text and more text\n".encode("utf-16-le"), "UTF-16"),
        ("中".encode()[:2], "cuts off"),
    ],
)
def test_what_is_no_text_in_utf8_is_refused_at_once_also_from_a_stream(tmp_path, data, message):
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_corpus(tmp_path / "a.txt", streaming=True)


def test_a_damaged_archive(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"some text\n" * 1000)[:-20])
    with pytest.raises(DataError, match="is no whole gzip archive"):
        read_corpus(tmp_path)


def test_a_line_beyond_memory_is_refused_before_it_is_held(tmp_path):
    with gzip.open(tmp_path / "a.txt.gz", "wb", compresslevel=1) as file:
        for _ in range(40):
            file.write(b"x" * 1_000_000)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"a line of more than 16 MB.*put line ends between its paragraphs"):
        read_corpus(tmp_path / "a.txt.gz")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
