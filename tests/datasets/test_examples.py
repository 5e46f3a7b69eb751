"""course_lib.datasets.examples: examples, their columns, the parts of a data set."""

import dataclasses

import pytest

from course_lib.datasets import Choice, Dataset, Document, Example, Examples, Question, TaggedSentence
from course_lib.datasets.examples import content
from course_lib.errors import DataError


def test_examples_give_their_columns():
    examples = Examples([Example("a", 1), Example("b", 0, "c")])
    assert examples.texts == ["a", "b"]
    assert examples.label_ids == examples.labels == [1, 0]
    assert examples.pairs == [None, "c"]
    assert Examples([Example("a", (0, 2))]).labels == [(0, 2)]


def test_the_content_of_an_example_leaves_its_label_out():
    assert content(Example("a", 1)) == content(Example("a", 0)) != content(Example("a", 0, "b"))
    assert content(TaggedSentence(("a", "b"), (0, 1))) == content(TaggedSentence(("a", "b"), (1, 0)))
    assert content(Question("1", "q", "c", ())) == content(Question("2", "r", "c", ()))
    assert (
        content(Choice("q", ("a", "b"), 0))
        == content(Choice("q", ("a", "b"), 1))
        != content(Choice("q", ("b", "a"), 0))
    )
    assert content(Document(("a", "b"))) != content(Document(("a b",)))
    with pytest.raises(TypeError, match="got str"):
        content("a")


def test_a_part_that_is_needed_and_missing_is_asked_for():
    dataset = Dataset("folder", ("x",), Examples([Example("a", 0)]), Examples(), Examples())
    assert dataset.require("train", "training") == dataset.train
    with pytest.raises(DataError, match="has no dev part, which choosing an epoch needs; put a file called dev"):
        dataset.require("dev", "choosing an epoch")


def test_a_data_set_cannot_be_changed_but_copied_with_changes():
    dataset = Dataset("folder", ("x",), Examples(), Examples(), Examples())
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.labels = ()
    assert dataset.replace(labels=("y",)).labels == ("y",)
    assert repr(dataset) == "Dataset('folder', 1 label, train: 0, dev: 0, test: 0)"
