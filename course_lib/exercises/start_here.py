"""Checks of notebook 00_start_here: two small tasks, to learn how exercises work."""

from __future__ import annotations

from typing import Any

from course_lib.exercises.checking import Mistake, exercise, expect

_NOTEBOOK = "00_start_here"


@exercise(_NOTEBOOK, "Read a shape")
def read_a_shape(answer: Any) -> str:
    """The answer is the number of texts in a tensor (B, T, H) = (3, 7, 384)."""
    expect(not isinstance(answer, bool) and isinstance(answer, int), f"The answer is a whole number; you gave {answer!r}.")  # fmt: skip
    if answer == 7:
        raise Mistake("7 is T, the number of tokens. The texts are counted by the first letter, B.")
    if answer == 384:
        raise Mistake("384 is H, the length of one token's vector. The texts are counted by the first letter, B.")
    if answer == 21:
        raise Mistake("21 is 3 x 7: all tokens of all texts together. The texts alone are counted by B.")
    expect(answer == 3, f"{answer} is not in the shape (3, 7, 384) at all. Which of its three numbers counts texts?")
    return "B comes first in every tensor of this course: three texts."


@exercise(_NOTEBOOK, "Read an error message")
def read_an_error(answer: Any) -> str:
    """The answer is the shape (2, 3) that the second tensor must have for (4, 2) @ it to give (4, 3)."""
    if isinstance(answer, str):
        raise Mistake(f"Give the shape as a tuple of two numbers, for example (4, 2); you gave the text {answer!r}.")
    try:
        shape = tuple(int(n) for n in answer)
    except TypeError:
        raise Mistake(f"Give the shape as a tuple of two numbers, for example (4, 2); you gave {answer!r}.") from None
    expect(len(shape) == 2, f"A matrix has two dimensions; {shape} has {len(shape)}.")
    if shape == (3, 2):
        raise Mistake(
            "(3, 2) is the shape that fails. In a product (4, 2) @ (?, ?) the two inner numbers must be equal."
        )
    if shape == (4, 2):
        raise Mistake(
            "(4, 2) is the first matrix again, and 2 is not 4. The first number of the second matrix must be 2."
        )
    expect(shape[0] == 2, f"The first number of the second matrix must equal the last one of (4, 2), which is 2; yours is {shape[0]}.")  # fmt: skip
    expect(shape[1] == 3, f"The product would be (4, {shape[1]}), but (4, 3) was wanted: the outer numbers remain.")
    return "(4, 2) @ (2, 3) = (4, 3): the inner numbers meet and vanish, the outer ones remain."
