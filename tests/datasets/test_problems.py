"""course_lib.datasets.problems: what may spoil an experiment though every line is readable."""

import pytest

from course_lib.datasets import (
    Answer,
    Choice,
    Dataset,
    Example,
    Examples,
    Question,
    TaggedSentence,
    load_dataset,
    problems,
)

TWO = [Example("good", 1), Example("bad", 0)]


def of(train, dev=(), test=(), labels=("neg", "pos"), task="classification"):
    return Dataset("folder", labels, Examples(train), Examples(dev), Examples(test), task)


def without_empty(dataset):
    return [sentence for sentence in problems(dataset) if "is empty" not in sentence]


def test_nothing_is_found_where_nothing_is_wrong():
    assert problems(of(TWO, [Example("fine", 1), Example("poor", 0)], [Example("great", 1), Example("sad", 0)])) == []


def test_empty_parts_are_named():
    assert problems(of(TWO)) == ["The part dev is empty.", "The part test is empty."]


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        (
            of([Example("a", 1), Example("b", 1)]),
            "All 2 examples of train have the label 'pos'; a model can only learn",
        ),
        (
            of(TWO, labels=("neg", "pos", "mixed")),
            "The part train has no example of the label 'mixed'; a model cannot learn it.",
        ),
        (
            of([*TWO, Example("x", 2)], [Example("y", 0), Example("z", 1)], labels=("neg", "pos", "mixed")),
            "The part dev has no example of the label 'mixed'; no score there says anything about it.",
        ),
        (
            of(TWO, [Example("a", 0)]),
            "The only example of dev has the label 'neg'; no score there says anything about the other label.",
        ),
        (
            of(TWO, [Example("a", 0), Example("b", 0)]),
            "All 2 examples of dev have the label 'neg'; no score there says anything about the other label.",
        ),
        (of([Example("a", 1)]), "The only example of train has the label 'pos'; a model can only learn to say that."),
        (
            of([*TWO, Example("good", 1), Example("good", 1), Example("good", 1)]),
            "3 of 5 examples of train repeat an earlier one (train 3 = train 1: 'good'; train 4 = train 1: 'good').",
        ),
        (of([*TWO, Example("good", 0)]), "1 text of train has different labels (train 3 = train 1: 'good')."),
        (
            of(TWO, [Example("new", 0), Example("good", 1)]),
            "1 of 2 examples of dev stands in train too: a leak (dev 2 = train 1: 'good').",
        ),
        (
            of(TWO, (), [Example("good", 0), Example("bad", 0)]),
            "2 of 2 examples of test stand in train too, 1 of them with the same label: a leak (test 1 = train 1: 'good'; test 2 = "
            "train 2: 'bad').",
        ),
        (
            of(TWO, [Example(" Good ", 1), Example("new", 0), Example("BAD", 1), Example("bad", 0)]),
            "2 of 4 examples of dev stand in train too but for blanks and capital letters, 1 of them with the same label: nearly a "
            "leak (dev 1 = train 1: ' Good '; dev 3 = train 2: 'BAD').",
        ),
        (
            of([*TWO, Example("good ", 1), Example("good ", 1)]),
            "1 of 4 examples of train repeats an earlier one but for blanks and capital letters (train 3 = train 1: 'good ').",
        ),
        (
            of([*TWO, Example("good ", 1), Example("good ", 1)]),
            "1 of 4 examples of train repeats an earlier one (train 4 = train 3: 'good ').",
        ),
        (of([*TWO, Example(" ", 1)]), "1 of 3 examples of train has an empty text."),
        (of([*TWO, Example("x", 1, "")]), "1 of 3 examples of train has an empty text."),
        (of([*TWO, Example("x" * 100_001, 1)]), "1 of 3 examples of train has a text over 100,000 characters"),
        (
            of([TaggedSentence(("a",), (1,))], labels=("O", "B-X", "I-X", "B-Y", "I-Y"), task="tags"),
            "The part train has no example of the tags 'O', 'Y'; a model cannot learn them.",
        ),
        (
            of([Choice("q", ("a", "a"), 0)], labels=("A", "B"), task="choices"),
            "1 of 1 examples of train has the same choice twice.",
        ),
        (
            of([Question("1", "q", "c", ())], [Question("2", "r", "c", ())], labels=(), task="answers"),
            "1 context of dev stands in train too: a leak (dev 1 = train 1: 'c').",
        ),
        (
            of([Question("1", "q", "c", ()), Question("2", "q", "c", (Answer("c", 0),))], labels=(), task="answers"),
            "1 text of train has different labels (train 2 = train 1: 'q\\tc').",
        ),
    ],
)
def test_each_problem_is_one_sentence(dataset, sentence):
    found = without_empty(dataset)
    assert [text for text in found if text.startswith(sentence)], found


def test_a_text_of_exactly_100000_characters_is_not_too_long_and_texts_without_labels_have_none():
    assert without_empty(of([*TWO, Example("x" * 100_000, 1)])) == []
    scores = of([Example("a", 1.5), Example("b", 2.5)], labels=("score",), task="regression")
    assert without_empty(scores) == []


def test_streamed_parts_are_looked_at_too(tmp_path):
    (tmp_path / "train.txt").write_text("a\tx\nb\ty\na\tx\n", encoding="utf-8")
    assert problems(load_dataset(tmp_path, streaming=True)) == problems(load_dataset(tmp_path))
    assert "1 of 3 examples of train repeats an earlier one (train 3 = train 1: 'a')." in problems(
        load_dataset(tmp_path, streaming=True)
    )
