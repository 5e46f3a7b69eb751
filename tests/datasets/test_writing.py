"""course_lib.datasets.writing: what is written is read."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course_lib.datasets import (
    Answer,
    Choice,
    Dataset,
    Document,
    Example,
    Examples,
    Question,
    TaggedSentence,
    load_dataset,
    write_dataset,
)
from course_lib.errors import DataError


def of(task, labels, train, dev=(), test=()):
    return Dataset("folder", labels, Examples(train), Examples(dev), Examples(test), task)


def again(dataset, folder):
    write_dataset(dataset, folder)
    read = load_dataset(folder)
    assert (read.task, read.labels, read.splits) == (dataset.task, dataset.labels, dataset.splits)
    return sorted(path.name for path in folder.iterdir())


CASES = {
    "headlines": (of("classification", ("a", "b"), [Example(" x ", 0), Example("体育", 1)], [Example("z", 1)]), "txt"),
    "tabs": (of("classification", ("a", "b"), [Example("x\ty", 0), Example("y\nz", 1)]), "jsonl"),
    "pairs": (of("classification", ("a", "b"), [Example("x", 0, "y"), Example("z", 1)]), "jsonl"),
    "numbers": (of("classification", ("1", "2", "5"), [Example("x", 0), Example("y", 1), Example("z", 2)]), "txt"),
    "several": (of("multi-label", ("a", "b"), [Example("x", (0, 1)), Example("y", ())], [Example("z", (1,))]), "jsonl"),
    "scores": (of("regression", ("score",), [Example("x", 2.0, "y"), Example("z", 0.1, "w")]), "jsonl"),
    "tags": (of("tags", ("O", "B-X", "I-X"), [TaggedSentence(("a", "#", "\u3000"), (1, 2, 0))]), "conll"),
    "words with spaces": (of("tags", ("O", "B-X", "I-X"), [TaggedSentence(("a b", "c"), (1, 0))]), "jsonl"),
    "part of speech": (of("tags", ("DT", "NN"), [TaggedSentence(("a", "b"), (0, 1))]), "conll"),
    "answers": (
        of("answers", (), [Question("1", "q", "c d c", (Answer("c", 4),)), Question("2", "r", "c d c", ())]),
        "json",
    ),
    "choices": (of("choices", ("A", "B"), [Choice("q", ("x", "y"), 1, "c"), Choice("r", ("x", "y"), 0)]), "jsonl"),
    "documents": (of("documents", (), [Document(("a.", "b.")), Document(("c.",))], [Document(("d.",))]), "txt"),
    "documents with line ends": (of("documents", (), [Document(("a\nb", " c"))]), "jsonl"),
    "documents like tags": (of("documents", (), [Document(("a O", "b O"))]), "jsonl"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_is_read(tmp_path, name):
    dataset, ending = CASES[name]
    assert f"train.{ending}" in again(dataset, tmp_path / "new" / "folder")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["folder"]


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)
labelled = st.lists(st.tuples(texts, st.integers(0, 1), st.none() | texts), min_size=1, max_size=5)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(labelled)
def test_any_texts_and_pairs_are_read_as_they_were(tmp_path_factory, rows):
    train = [Example(*row) for row in rows]
    again(of("classification", ("neg", "pos"), train), tmp_path_factory.mktemp("any") / "x")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(texts, min_size=1, max_size=3), min_size=1, max_size=4))
def test_any_documents_are_read_as_they_were(tmp_path_factory, rows):
    train = [Document(tuple(row)) for row in rows]
    again(of("documents", (), train), tmp_path_factory.mktemp("any") / "x")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(st.tuples(texts, st.integers(0, 1)), min_size=1, max_size=3), min_size=1, max_size=4))
def test_any_words_are_read_as_they_were(tmp_path_factory, rows):
    train = [TaggedSentence(*map(tuple, zip(*row, strict=True))) for row in rows]
    again(of("tags", ("O", "B-X", "I-X"), train), tmp_path_factory.mktemp("any") / "x")


def test_a_stream_is_written_as_it_is_read(tmp_path):
    (tmp_path / "train.txt").write_text("a\tx\nb\ty\n", encoding="utf-8")
    write_dataset(load_dataset(tmp_path, streaming=True), tmp_path / "copy")
    assert load_dataset(tmp_path / "copy").train == [Example("a", 0), Example("b", 1)]


@pytest.mark.parametrize(
    ("dataset", "part"),
    [
        (of("classification", ("a", "b"), []), "has no examples"),
        (
            of("classification", ("a", "b"), [Example("", 0)]),
            "could not be read again: Line 1 of 'train.txt' has no text",
        ),
        (of("classification", ("a", "b"), [Example("x", 2)]), "could not be read again: Line 1"),
        (of("classification", ("a", "a"), [Example("x", 1)]), "repeats the label 'a'"),
        (of("classification", ("1", "2"), [Example("x", 1)]), "would be read as classification with the labels ('2',)"),
        (of("tags", ("O", "B-X", "I-X"), [TaggedSentence(("a", "b"), (0, 2))]), "Example 0 of train would not be read"),
        (of("tags", ("O", "B-X"), [TaggedSentence(("a",), (5,))]), "are not those of the task tags"),
        (of("answers", (), [Example("x", 1)]), "are not those of the task answers"),
        (of("classification", ("a", "b"), [Example("\ud800", 1)]), "half a character"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(tmp_path, dataset, part):
    with pytest.raises(DataError) as caught:
        write_dataset(dataset, tmp_path / "new")
    assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []  # nothing half written


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match="exists and is not empty"):
        write_dataset(CASES["tags"][0], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    (tmp_path / "empty").mkdir()
    assert write_dataset(CASES["tags"][0], tmp_path / "empty") == tmp_path / "empty"
