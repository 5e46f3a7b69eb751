"""course_lib.datasets.choices: questions with answers to choose from, in three forms."""

import json

import pytest

from course_lib.datasets import Choice, load_dataset
from course_lib.errors import DataError

OURS = {"question": "Where does it rain?", "choices": ["in Spain", "on Mars", "nowhere"], "label": 1}


def write(tmp_path, *records, name="train.jsonl"):
    (tmp_path / name).write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("label", [1, "1", "B", "b"])
@pytest.mark.parametrize("name", ["label", "answer", "answerKey"])
def test_the_label_is_a_number_or_a_letter(tmp_path, label, name):
    record = {"question": OURS["question"], "choices": OURS["choices"], name: label}
    dataset = load_dataset(write(tmp_path, record))
    assert (dataset.task, dataset.labels) == ("choices", ("A", "B", "C"))
    assert list(dataset.train) == [Choice(OURS["question"], tuple(OURS["choices"]), 1)]
    assert dataset.why == "train.jsonl has questions with 3 choices: choices"


@pytest.mark.parametrize(
    "record",
    [
        {
            "question": {"stem": "q", "choices": [{"label": "1", "text": "a"}, {"label": "2", "text": "b"}]},
            "answerKey": "2",
        },
        {"question": "q", "choices": {"label": ["1", "2"], "text": ["a", "b"]}, "answerKey": "2"},
        {"question": "q", "choices": [{"label": "X", "text": "a"}, {"label": "Y", "text": "b"}], "answerKey": "Y"},
        {"question": "q", "options": ["a", "b"], "answer": "B"},
    ],
)
def test_the_label_is_found_among_the_labels_of_the_choices(tmp_path, record):
    assert list(load_dataset(write(tmp_path, record)).train) == [Choice("q", ("a", "b"), 1)]


def test_swag_is_read_from_json_and_from_its_table(tmp_path):
    endings = {f"ending{i}": f"e{i}" for i in range(11)}  # ten and more, so that the order must be that of the numbers
    record = {"sent1": "He sat.", "sent2": "She", **endings, "label": 10}
    expected = [Choice("She", tuple(f"e{i}" for i in range(11)), 10, "He sat.")]
    assert load_dataset(write(tmp_path, record)).train == expected
    table = tmp_path / "table"
    table.mkdir()
    rows = ",".join(["fold", *record]) + "\n" + ",".join(["f", *map(str, record.values())]) + "\n"
    (table / "train.csv").write_text(rows, encoding="utf-8")
    assert load_dataset(table).train == expected


def test_a_context_and_other_names_are_read(tmp_path):
    record = {"stem": "q", "options": ["a", "b"], "right": 0, "passage": "p"}
    dataset = load_dataset(write(tmp_path, record), columns={"label": "right"})
    assert list(dataset.train) == [Choice("q", ("a", "b"), 0, "p")]


def test_questions_may_have_different_numbers_of_choices(tmp_path):
    dataset = load_dataset(write(tmp_path, OURS, {**OURS, "choices": ["a", "b"]}))
    assert "2 to 3 choices" in dataset.why
    assert dataset.labels == ("A", "B", "C")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"label": 3}, "has the label '3' for 'Where does it rain?' with its 3 choices; a number from 0 to 2"),
        ({"label": -1}, "has the label '-1'"),
        ({"label": "D"}, "has the label 'D'"),
        ({"label": None}, "has no label"),
        ({"label": True}, "has no label"),
        ({"choices": ["a"]}, "has 1 choices"),
        ({"choices": ["a", " "]}, "an empty choice (number 1 from 0)"),
        ({"choices": "ab"}, "has the choices 'ab'; a list"),
        ({"choices": ["a", 3]}, "a list of texts"),
        ({"question": ""}, "has the question ''"),
        ({"context": 7}, "has the context '7'"),
    ],
)
def test_a_wrong_question_is_named(tmp_path, change, part):
    with pytest.raises(DataError) as caught:
        load_dataset(write(tmp_path, {**OURS, "context": "c"}, {**OURS, **change}))
    assert str(caught.value).startswith(f"Line 2 of '{tmp_path / 'train.jsonl'}' ")
    assert part in str(caught.value)
