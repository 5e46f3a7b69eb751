"""course_lib.datasets.documents: running text with the borders of its documents."""

import json

import pytest

from course_lib.datasets import Document, load_dataset
from course_lib.errors import DataError


def write(tmp_path, text, name="train.txt"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_an_empty_line_ends_a_document(tmp_path):
    dataset = load_dataset(write(tmp_path, "\none.\n two. \n\n \n\nthree.\n"))
    assert (dataset.task, dataset.labels) == ("documents", ())
    assert list(dataset.train) == [Document(("one.", "two.")), Document(("three.",))]
    assert dataset.why == "train.txt has lines without tabs, and empty lines between documents: documents"


def test_articles_of_wikitext_begin_with_their_titles_and_may_hold_empty_lines(tmp_path):
    text = " \n = One = \n \n text\n \n = = Part = = \n more\n = Two = \n end\n"
    dataset = load_dataset(write(tmp_path, text, "wiki.train.tokens"))
    assert list(dataset.train) == [
        Document(("= One =", "text", "= = Part = =", "more")),
        Document(("= Two =", "end")),
    ]
    assert "articles" in dataset.why


def test_of_a_book_of_project_gutenberg_only_the_book_is_read_and_the_rest_counted(tmp_path):
    text = "Licence\n\n*** START OF THIS PROJECT GUTENBERG EBOOK X ***\nCall me.\n\nThen.\n*** END OF THIS PROJECT GUTENBERG\nMore\n"
    dataset = load_dataset(write(tmp_path, text))
    assert list(dataset.train) == [Document(("Call me.",)), Document(("Then.",))]
    assert dataset.notes == ("5 lines of 'train.txt' before and after the book were left out.",)


def test_json_lines_with_sentences_or_a_text_alone_are_documents(tmp_path):
    records = [{"sentences": ["a\nb", "c"]}, {"sentences": ["d"]}]
    dataset = load_dataset(write(tmp_path, "".join(json.dumps(r) + "\n" for r in records), "train.jsonl"))
    assert list(dataset.train) == [Document(("a\nb", "c")), Document(("d",))]
    (tmp_path / "train.jsonl").unlink()
    dataset = load_dataset(write(tmp_path, json.dumps({"text": "a\n\nb"}) + "\n", "train.jsonl"))
    assert list(dataset.train) == [Document(("a", "b"))]


@pytest.mark.parametrize("value", [[], ["a", " "], [1], 3, "  "])
def test_a_document_without_a_sentence_is_named(tmp_path, value):
    good = json.dumps({"sentences": ["a"]})
    with pytest.raises(DataError, match=r"^Line 2 of .*(no sentence|a list of sentences)"):
        load_dataset(write(tmp_path, f"{good}\n{json.dumps({'sentences': value})}\n", "train.jsonl"))


def test_labels_beside_a_text_without_tabs_are_a_mistake_not_running_text(tmp_path):
    write(tmp_path, "a\nb\n", "class.txt")
    with pytest.raises(DataError, match="has no tab"):
        load_dataset(write(tmp_path, "one 0\ntwo 1\n"))
