"""The checks of notebook 00: what each wrong answer is told."""

import numpy
import pytest
import torch

from course_lib.exercises import start_here

from .exercise_cells import cases, expect_sentence

# The name of a check -> wrong answers, each with a phrase that its message alone has.
WRONG = {
    "read_a_shape": [
        (7, "7 is T, the number of tokens"),
        (384, "384 is H, the length"),
        (21, "21 is 3 x 7"),
        (8064, "all single numbers in the tensor"),
        (0, "0 is the position of B"),
        (2, "2 is not in the shape (3, 7, 384) at all"),
        ((3, 7, 384), "you gave (3, 7, 384)"),
        ("3", "you gave '3'"),
        (3.0, "you gave 3.0"),
        (True, "you gave True"),
        (None, "you gave None"),
    ],
    "read_an_error": [
        ((3, 2), "(3, 2) is the shape that fails"),
        ((4, 2), "(4, 2) is the first matrix again"),
        ((4, 3), "(4, 3) is the shape of the result"),
        ((2, 4), "a column for every text"),
        ((5, 3), "which is 2; yours is 5"),
        ((2, 2), "The product would be (4, 2)"),
        ((2, 3, 1), "(2, 3, 1) has 3"),
        ("(2, 3)", "you gave '(2, 3)', a text"),
        (("2", "3"), "you gave ('2', '3')"),
        ((2.5, 3.5), "you gave (2.5, 3.5)"),
        ({2, 3}, "a set keeps no order"),
        (6, "you gave 6"),
        (None, "you gave None"),
        (torch.zeros(2, 3), "a whole tensor of shape (2, 3)"),
    ],
}


@pytest.mark.parametrize(("name", "answer", "phrase"), cases(WRONG))
def test_a_wrong_answer_is_told_its_own_mistake(name, answer, phrase):
    outcome = getattr(start_here, name)(answer)
    expect_sentence(outcome)
    assert phrase in outcome.message


@pytest.mark.parametrize("three", [3, numpy.int64(3), torch.tensor(3), torch.zeros(3, 7, 384).shape[0]])
def test_three_is_three_in_any_kind_of_whole_number(three):
    assert start_here.read_a_shape(three).passed


@pytest.mark.parametrize(
    "shape", [(2, 3), [2, 3], torch.Size([2, 3]), torch.tensor([2, 3]), numpy.array([2, 3]), numpy.zeros((2, 3)).shape]
)
def test_a_shape_may_come_as_any_sequence(shape):
    assert start_here.read_an_error(shape).passed
