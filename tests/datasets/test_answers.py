"""course_lib.datasets.answers: questions whose answers are pieces of a context."""

import json

import pytest

from course_lib.datasets import Answer, Question, load_dataset
from course_lib.errors import DataError

CONTEXT = "Rain fell. The rain in Spain, the rain."


def squad(tmp_path, *questions, context=CONTEXT, name="train.json"):
    value = {"version": "1", "data": [{"title": "t", "paragraphs": [{"context": context, "qas": list(questions)}]}]}
    (tmp_path / name).write_text(json.dumps(value), encoding="utf-8")
    return tmp_path


def asked(number, *answers, **more):
    listed = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": number, "question": f"What is {number}?", "answers": listed, **more}


def complaint(*arguments, **more):
    with pytest.raises(DataError) as caught:
        load_dataset(*arguments, **more)
    return str(caught.value)


def test_answers_and_impossible_questions_are_read(tmp_path):
    dataset = load_dataset(squad(tmp_path, asked("a", ("rain", 15), ("Spain", 23)), asked("b", is_impossible=True)))
    assert dataset.task == "answers"
    assert dataset.labels == ()
    first, second = dataset.train
    assert first == Question("a", "What is a?", CONTEXT, (Answer("rain", 15), Answer("Spain", 23)))
    assert first.answerable
    assert not second.answerable
    assert dataset.notes == ("1 of 2 questions of 'train.json' have no answer.",)


@pytest.mark.parametrize(("start", "found"), [(-1, 15), (0, 15), (14, 15), (30, 34), (99, 34), (25, 34)])
def test_a_start_beside_the_text_is_moved_to_the_nearest_place_and_counted(tmp_path, start, found):
    dataset = load_dataset(squad(tmp_path, asked("a", ("rain", start))))
    assert dataset.train[0].answers == (Answer("rain", found),)
    assert (
        "1 of 1 answers of 'train.json' did not stand where answer_start says (the first: id 'a')" in dataset.notes[0]
    )


def test_spaces_around_an_answer_are_cut_off_and_its_start_moves_along(tmp_path):
    context = "The rain in  Spain , again."
    dataset = load_dataset(squad(tmp_path, asked("a", ("  Spain ", 11)), context=context))
    assert dataset.train[0].answers == (Answer("Spain", 13),)
    assert dataset.notes == ("1 of 1 answers of 'train.json' had spaces around them, which were cut off.",)


def test_an_answer_that_stands_nowhere_is_refused_with_the_id(tmp_path):
    message = complaint(squad(tmp_path, asked("a", ("rain", 15)), asked("b7", ("snow", 3))))
    assert message.startswith(f"Question 2 of '{tmp_path / 'train.json'}' (id 'b7') has the answer 'snow'")


def test_beside_another_answer_of_the_same_question_it_is_left_out_and_counted(tmp_path):
    dataset = load_dataset(squad(tmp_path, asked("a", ("snow", 3), ("rain", 15))))
    assert dataset.train[0].answers == (Answer("rain", 15),)
    assert "1 answers of 'train.json' stand nowhere in their context and were left out" in dataset.notes[0]


def test_answers_of_impossible_questions_and_plausible_ones_are_left_out_and_counted(tmp_path):
    more = {"is_impossible": True, "plausible_answers": [{"text": "rain", "answer_start": 15}]}
    dataset = load_dataset(squad(tmp_path, asked("a", ("rain", 15), **more)))
    assert not dataset.train[0].answerable
    assert "called impossible and have answers all the same" in " ".join(dataset.notes)
    assert "1 plausible answers" in " ".join(dataset.notes)


def test_empty_answers_mean_no_answer(tmp_path):
    assert not load_dataset(squad(tmp_path, asked("a", ("", 0)))).train[0].answerable


@pytest.mark.parametrize(
    ("question", "part"),
    [
        (asked("a", ("rain", 15)), "the id 'a', which another question has already"),
        ({**asked("b"), "answers": "rain"}, "(id 'b') has answers 'rain'; a list of objects"),
        (asked("b", ("rain", None)), "with the start None"),
        (asked("b", ("rain", True)), "with the start True"),
        (asked("b", (7, 1)), "the answer '7'"),
        ({**asked("b"), "question": " "}, "an empty question (id 'b')"),
        ({"id": "b", "question": "q"}, "has no field 'answers'"),
    ],
)
def test_a_wrong_question_is_named(tmp_path, question, part):
    message = complaint(squad(tmp_path, asked("a", ("rain", 15)), question))
    assert message.startswith("Question 2 of")
    assert part in message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('{"data": [{"paragraphs": [{"cntext": 1}]}]}', "not of SQuAD's form ('qas' is missing"),
        ('{"data": [{"paragraphs": []}]}', "has no questions"),
        ('{"data": [{"paragraphs": [', "is not JSON: Expecting value in line 1"),
        ('{"data": [{"paragraphs": ' + "[" * 100_000, "is JSON nested too deeply"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, text, part):
    (tmp_path / "dev.json").write_text(text, encoding="utf-8")
    assert part in complaint(tmp_path)


def test_a_question_without_an_id_gets_the_same_one_every_time(tmp_path):
    question = {key: value for key, value in asked("a", ("rain", 15)).items() if key != "id"}
    first = load_dataset(squad(tmp_path, question)).train[0].id
    assert first == load_dataset(squad(tmp_path, question)).train[0].id != ""
    other = {**question, "question": "Where?"}
    assert load_dataset(squad(tmp_path, other)).train[0].id != first


@pytest.mark.parametrize("as_lists", [True, False])
def test_json_lines_are_read_and_streamed(tmp_path, as_lists):
    answers = {"text": ["rain"], "answer_start": [15]} if as_lists else [{"text": "rain", "answer_start": 15}]
    record = {"id": "a", "question": "q", "context": CONTEXT, "answers": answers}
    (tmp_path / "train.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    expected = [Question("a", "q", CONTEXT, (Answer("rain", 15),))]
    assert load_dataset(tmp_path).train == expected
    stream = load_dataset(tmp_path, streaming=True).train
    assert list(stream) == list(stream) == expected


def test_one_json_value_cannot_be_streamed_and_it_is_said(tmp_path):
    assert "can only be read whole" in complaint(squad(tmp_path, asked("a", ("rain", 15))), streaming=True)


def test_questions_about_one_context_stay_in_one_part(tmp_path):
    paragraphs = [
        {"context": f"{CONTEXT} {i}", "qas": [{"id": f"{i}-{j}", "question": "q", "answers": []} for j in range(3)]}
        for i in range(40)
    ]
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), encoding="utf-8")
    contexts = [{question.context for question in part} for part in load_dataset(path).splits.values()]
    assert sum(map(len, contexts)) == len(set.union(*contexts)) == 40
