"""What holds for every exercise of the course: its place in the notebook, its hints, its solution, its strange answers."""

import functools
import importlib
import re

import numpy
import pytest
import torch

from course_lib.exercises import exercises
from course_lib.exercises.checking import exercise
from course_lib.notebooks import SOURCES

from .exercise_cells import answer_of, cells_of, expect_sentence, source_cells

EVERY = exercises()
FUNCTIONS = [e for e in EVERY if e.wanted == "function"]
VALUES = [e for e in EVERY if e.wanted == "value"]
NO_TENSOR = {
    "layer_parameters",
    "today_name",
    "batch_change",
    "tie",
    "output_length",
    "mended",
    "report",
    "piece_labels",
    "to_iob2",
    "best_span",
    "micro_f1",
    "no_decay",
    "linear_rate",
    "patience",
    "evaluations",
    "scores",
    "sentence_pair",
    "cut_pair",
    "count_once",
    "hold_out",
    "inspect_batch",
    "neighbour_guess",
    "perplexity",
    "times_through",
    "training_operations",
    "apart",
    "changing_axes",
    "joined_edges",
    "count_layers",
    "same_answers",
    "training_hours",
    "state_bytes",
    "shuffled",
}  # these functions return something else
NEEDS_GRADIENT = {"09_classifier_zoo.mix_layers"}  # that the weights can be learned is a part of these


def by_name(exercises):
    return pytest.mark.parametrize("exercise", exercises, ids=lambda e: e.name)


@functools.cache
def messages_and_phrases(exercise):
    """What each listed wrong answer is told, and the phrase that its list expects in it."""
    module = importlib.import_module(f".test_{exercise.check.__module__.rsplit('.', 1)[1]}", __package__)
    return [(exercise(answer).message, phrase) for answer, phrase in module.WRONG.get(exercise.name, [])]


def test_there_are_exercises_in_every_notebook():
    for path in SOURCES.glob("[0-9][0-9]_*.py"):
        assert sum(e.notebook == path.stem for e in EVERY) >= (2 if path.stem == "00_start_here" else 5)


# ------------------------------------------------------------------------------------------ in the notebook


def test_no_notebook_uses_a_check_that_does_not_exist():
    for path in SOURCES.glob("[0-9][0-9]_*.py"):
        used = {name for cell in source_cells(path.stem) for name in re.findall(r"^check\.(\w+)\(", cell.source, re.M)}
        assert used == {e.name for e in EVERY if e.notebook == path.stem}


def test_the_exercises_come_in_the_order_of_the_notebook():
    for notebook in {e.notebook for e in EVERY}:
        numbers = [cells_of(e).number for e in EVERY if e.notebook == notebook]
        assert numbers == sorted(numbers)


@by_name(EVERY)
def test_the_heading_names_the_exercise_its_number_and_its_minutes(exercise):
    found = re.search(r"^### Exercise (\d+) · (.+) \((\d+) minutes?\)$", cells_of(exercise).task, re.MULTILINE)
    assert found
    siblings = [e for e in EVERY if e.notebook == exercise.notebook]
    assert int(found[1]) == siblings.index(exercise) + 1
    assert found[2].replace("`", "") == exercise.title


@by_name(EVERY)
def test_two_hints_come_after_the_check(exercise):
    after = cells_of(exercise).after
    assert re.findall(r"<details><summary>(.+?)</summary>", after) == ["Hint 1", "Hint 2"]
    assert after.count("</details>") == 2


# ------------------------------------------------------------------------------------------ solution, stub, wrong


@by_name(EVERY)
def test_the_solution_passes(exercise):
    outcome = exercise(answer_of(exercise, "solutions"))
    assert outcome.state == "passed", outcome.message
    assert outcome.message


@by_name(EVERY)
def test_the_stub_is_not_tried_and_raises_nothing(exercise, an_own_progress_file):
    assert exercise(answer_of(exercise, "learner")).state == "not tried"
    assert not an_own_progress_file.exists()


@by_name(EVERY)
def test_at_least_three_wrong_answers_are_listed_and_each_has_its_own_message(exercise):
    messages = [message for message, _ in messages_and_phrases(exercise)]
    assert len(messages) >= 3
    assert len(set(messages)) == len(messages)


@by_name(EVERY)
def test_a_mistake_is_named_by_one_phrase_alone(exercise):
    """A phrase that fits several messages would not show that the right mistake was named."""
    listed = messages_and_phrases(exercise)
    for _, phrase in listed:
        assert sum(phrase in message for message, _ in listed) == 1, phrase


# ------------------------------------------------------------------------------------------ strange answers

STRANGE = {
    "None": None,
    "text": "seven",
    "number": 3.5,
    "list": [1, 2],
    "empty tuple": (),
    "nested": [[1, 2], [3]],
    "dots in a tuple": (..., ...),
    "texts": ("two", "three"),
    "infinity": (2, float("inf")),
    "array": numpy.zeros((2, 2)),
    "array of one": numpy.zeros(1),
    "tensor": torch.zeros(3, 7),
    "empty tensor": torch.zeros(0),
    "tensor of one": torch.tensor([0.5]),
    "complex": torch.zeros(3, dtype=torch.complex64),
    "object": object(),
    "class": dict,
    "dictionary": {"a": 1},
    "True": True,
    "error": ValueError("oh"),
    "long text": "word " * 500,
}


@by_name(EVERY)
@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
def test_a_strange_answer_gets_a_sentence(exercise, strange):
    expect_sentence(exercise(strange))


@by_name(FUNCTIONS)
@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
def test_a_function_that_returns_something_strange_gets_a_sentence(exercise, strange):
    expect_sentence(exercise(lambda *inputs: strange))


@by_name(VALUES)
def test_a_function_in_the_place_of_a_value_gets_a_sentence(exercise):
    def answer():
        return 3

    outcome = exercise(answer)
    expect_sentence(outcome)
    assert "answer is a function: call it" in outcome.message


@by_name(FUNCTIONS)
@pytest.mark.parametrize("form", [numpy.asarray, torch.Tensor.tolist, list, tuple, str, torch.Tensor.unbind])
def test_the_right_answer_in_another_form_gets_a_sentence(exercise, form):
    right = answer_of(exercise, "solutions")

    def answer(*inputs):
        result = right(*inputs)
        if isinstance(result, torch.Tensor):
            return form(result)
        return [result] if isinstance(result, str) else str(result)

    expect_sentence(exercise(answer))


@by_name(FUNCTIONS)
@pytest.mark.parametrize(
    "change",
    [
        lambda x: x * float("nan"),
        lambda x: x + float("inf"),
        lambda x: x + 1,
        lambda x: -x - 1,
        lambda x: (x + 1)[None] if isinstance(x, torch.Tensor) else (x,),
        lambda x: (x + 1).reshape(-1) if isinstance(x, torch.Tensor) and x.dim() > 1 else x + 2,
        lambda x: x.sum() + (x.dim() == 0) if isinstance(x, torch.Tensor) else [x, x],
        lambda x: x != x,
        lambda x: x + 1j,
    ],
    ids=["nan", "infinite", "more", "negative", "one more dimension", "flat", "sum", "booleans", "complex"],
)
def test_numbers_that_are_wrong_get_a_sentence(exercise, change):
    right = answer_of(exercise, "solutions")
    expect_sentence(exercise(lambda *inputs: change(right(*inputs))))


@by_name([e for e in FUNCTIONS if e.name not in NO_TENSOR])
@pytest.mark.parametrize(
    "change", [torch.Tensor.double, lambda x: (x.double()).requires_grad_()], ids=["double", "grad"]
)
def test_the_right_numbers_pass_in_another_precision_and_with_a_gradient(exercise, change):
    right = answer_of(exercise, "solutions")
    assert exercise(lambda *inputs: change(right(*inputs))).passed


@by_name(FUNCTIONS)
def test_a_function_with_other_parameters_gets_a_sentence_that_shows_them(exercise):
    def mine():
        return 0

    outcome = exercise(mine)
    expect_sentence(outcome)
    assert "written as mine()" in outcome.message


@by_name(FUNCTIONS)
def test_the_result_in_the_place_of_the_function_gets_a_sentence(exercise):
    outcome = exercise(torch.zeros(2, 3))
    assert "without parentheses" in outcome.message
    assert "a tensor (2, 3)" in outcome.message


@by_name(FUNCTIONS)
def test_any_callable_is_taken_as_a_function(exercise):
    right = answer_of(exercise, "solutions")

    class Answer(torch.nn.Module):
        def forward(self, *inputs):
            return right(*inputs)

    assert exercise(functools.partial(right)).passed
    assert exercise(Answer()).passed
    without = exercise(torch.no_grad()(right))
    if f"{exercise.notebook}.{exercise.name}" in NEEDS_GRADIENT:
        expect_sentence(without)
        assert "no_grad" in without.message
    else:
        assert without.passed
    expect_sentence(exercise(functools.partial(lambda *inputs: 1 / 0)))


@by_name(FUNCTIONS)
def test_an_answer_that_writes_into_its_input_is_judged_by_the_input_it_was_given(exercise):
    right = answer_of(exercise, "solutions")

    def answer(*inputs):
        for value in inputs:
            for tensor in value if isinstance(value, tuple) else (value,):
                if isinstance(tensor, torch.Tensor):
                    tensor.zero_()
        result = right(*inputs)
        return result if isinstance(result, torch.Tensor) else result + 1

    expect_sentence(exercise(answer))


def test_an_unexpected_error_of_a_check_is_told_and_not_raised():
    @exercise("00_start_here", "Broken", wanted="value")
    def broken(answer):
        return answer.surprise

    outcome = broken(3)
    assert outcome.state == "failed"
    assert (
        "cannot make sense of this answer (AttributeError: 'int' object has no attribute 'surprise')" in outcome.message
    )
