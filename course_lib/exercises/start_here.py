"""Checks of notebook 00_start_here: two small tasks, to learn how exercises work."""

from __future__ import annotations

import operator
from typing import Any

from course_lib.exercises.checking import Mistake, describe, exercise, expect

_NOTEBOOK = "00_start_here"


@exercise(_NOTEBOOK, "Read a shape", wanted="value")
def read_a_shape(answer: Any) -> str:
    """The answer is the number of texts in a tensor (B, T, H) = (3, 7, 384)."""
    given = answer
    answer = _whole_number(answer)
    if answer is None:
        raise Mistake(f"The answer is one whole number; you gave {describe(given)}.")
    if answer == 7:
        raise Mistake("7 is T, the number of tokens. The texts are counted by the first letter, B.")
    if answer == 384:
        raise Mistake("384 is H, the length of one token's vector. The texts are counted by the first letter, B.")
    if answer == 21:
        raise Mistake("21 is 3 x 7: all tokens of all texts together. The texts alone are counted by B.")
    if answer == 3 * 7 * 384:
        raise Mistake("8,064 is 3 x 7 x 384: all single numbers in the tensor. The texts are counted by the first letter, B.")  # fmt: skip
    if answer == 0:
        raise Mistake("0 is the position of B in the shape. How many texts there are is the number that stands there.")
    expect(answer == 3, f"{answer} is not in the shape (3, 7, 384) at all. Which of its three numbers counts texts?")
    return "B comes first in every tensor that goes into BERT or comes out of it: three texts."


@exercise(_NOTEBOOK, "Read an error message", wanted="value")
def read_an_error(answer: Any) -> str:
    """The answer is the shape (2, 3) that the second tensor must have for (4, 2) @ it to give (4, 3)."""
    form = "Give the shape as a tuple of two whole numbers, for example (4, 2)"
    expect(not isinstance(answer, str), f"{form}; you gave {describe(answer)}, a text.")
    if isinstance(answer, (set, frozenset, dict)):
        raise Mistake(f"{form}; a {type(answer).__name__} keeps no order of rows and columns, so use round brackets.")
    if len(getattr(answer, "shape", ())) > 1:
        raise Mistake(f"{form}; you gave a whole tensor of shape {tuple(answer.shape)}.")
    try:
        shape = tuple(map(_whole_number, answer))
    except TypeError:
        raise Mistake(f"{form}; you gave {describe(answer)}.") from None
    expect(None not in shape, f"{form}; you gave {describe(answer)}.")
    expect(len(shape) == 2, f"A matrix has two dimensions; {shape} has {len(shape)}.")
    if shape == (3, 2):
        raise Mistake(
            "(3, 2) is the shape that fails. In a product (4, 2) @ (?, ?) the two inner numbers must be equal."
        )
    if shape == (4, 3):
        raise Mistake("(4, 3) is the shape of the result. The second matrix has a row for each feature and a column for each class.")  # fmt: skip
    if shape == (2, 4):
        raise Mistake("(4, 2) @ (2, 4) runs and gives (4, 4): a column for every text. There are three classes, and (4, 3) was wanted.")  # fmt: skip
    if shape == (4, 2):
        raise Mistake(
            "(4, 2) is the first matrix again, and 2 is not 4. The first number of the second matrix must be 2."
        )
    expect(shape[0] == 2, f"The first number of the second matrix must equal the last one of (4, 2), which is 2; yours is {shape[0]}.")  # fmt: skip
    expect(shape[1] == 3, f"The product would be (4, {shape[1]}), but (4, 3) was wanted: the outer numbers remain.")
    return "(4, 2) @ (2, 3) = (4, 3): the inner numbers meet and vanish, the outer ones remain."


def _whole_number(value: Any) -> int | None:
    """An int of Python, NumPy or torch as an int of Python; None for anything else, True and False included."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except (TypeError, RuntimeError):  # torch raises the second for a tensor that is not one number
        return None
