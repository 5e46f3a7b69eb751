"""What the checks of several notebooks share."""

import math

import numpy
import pytest
import torch

from course_lib.exercises.checking import Mistake
from course_lib.exercises.tensors import (
    SIZES,
    advised,
    as_tensor,
    combined,
    expect_equal,
    expect_shape,
    hidden_and_mask,
    one_number,
    softmax,
)

RIGHT = torch.tensor([1.0, 2.0], dtype=torch.float64)  # as_tensor makes every answer so


def said(check, *arguments):
    with pytest.raises(Mistake) as found:
        check(*arguments)
    return str(found.value)


def test_sizes_are_primes_without_a_repetition_and_one_batch_is_of_one():
    for sizes in SIZES:
        assert len(set(sizes)) == 3
        assert all(n == 1 or all(n % d for d in range(2, n)) for n in sizes)
    assert [sizes[0] for sizes in SIZES].count(1) == 1


@pytest.mark.parametrize("sizes", SIZES)
def test_every_batch_has_padding_and_no_text_is_empty(sizes):
    hidden, mask = hidden_and_mask(*sizes)
    again, _ = hidden_and_mask(*sizes)
    assert hidden.shape == sizes
    assert mask.shape == sizes[:2]
    assert mask.sum(1).min() >= 2
    assert (mask == 0).any()
    assert torch.equal(hidden, again)


def test_right_numbers_pass_before_any_mistake_is_looked_at():
    def known():
        raise AssertionError("the search for a mistake costs time")
        yield

    expect_equal(RIGHT + 1e-7, RIGHT, "found", known())


def test_a_known_mistake_is_named_and_another_one_measured():
    known = {"one": RIGHT + 1, "nan": RIGHT + torch.tensor([math.nan, 1.0])}
    assert said(expect_equal, RIGHT + 1, RIGHT, "Here", known) == "Here: one."
    assert said(expect_equal, RIGHT + 1, RIGHT, "Here", iter(known.items())) == "Here: one."
    assert said(expect_equal, known["nan"], RIGHT, "Here", known) == "Here: nan."
    assert said(expect_equal, RIGHT + 3, RIGHT, "Here", known) == "Here: they are off by up to 3."
    assert said(expect_equal, RIGHT + 3, RIGHT, "Here", known, "look again") == "Here: look again."


def test_numbers_that_are_none_are_told_with_their_likely_cause():
    nothing = {"may be anything": RIGHT * math.nan}
    assert said(expect_equal, RIGHT * math.nan, RIGHT, "Here", nothing).endswith("Did you divide by zero?")
    assert said(expect_equal, RIGHT * math.nan, RIGHT, "Here", nothing, "", "A row?").endswith("not a number. A row?")
    assert said(expect_equal, RIGHT + math.inf, RIGHT, "Here", nothing) == "Here: some are infinite."


def test_a_shape_is_told_with_its_known_cause():
    known = {(3,): "you summed"}
    expect_shape(torch.zeros(2, 3), (2, 3), "Here", "a pair", known)
    assert said(expect_shape, torch.zeros(3), (2, 3), "Here", "a pair", known) == (
        "Here the result has shape (3,); expected (2, 3): a pair. So you summed."
    )
    assert said(expect_shape, torch.zeros(4), (2, 3), "Here", "a pair", known).endswith("expected (2, 3): a pair.")
    assert "a batch of one stays a batch" in said(expect_shape, torch.zeros(3), (1, 3), "Here", "a row", known)
    assert said(expect_shape, torch.zeros(3), (), "Here", "a number", {}).endswith("expected (): a number.")


def test_single_mistakes_come_first_and_no_choice_is_without_one():
    choices = list(combined([("", 1), ("a", 2), ("b", 3)], [("", 10), ("c", 20)], [("", 0), ("d", 5)]))
    assert [words for words, _ in choices[:4]] == ["a", "b", "c", "d"]
    assert ("a; c", (2, 20, 0)) in choices
    assert len(choices) == 4 + 5
    deeper = list(combined([("", 1), ("a", 2)], [("", 10), ("c", 20)], [("", 0), ("d", 5)], most=3))
    assert deeper[-1] == ("a; c; d", (2, 20, 5))


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_the_own_softmax_is_torchs(dim):
    scores = torch.randn(3, 5, 7).masked_fill(torch.arange(7) > 4, -math.inf)
    assert torch.allclose(softmax(scores, dim), scores.softmax(dim), equal_nan=True)


def test_advice_follows_an_error_of_torch_and_no_other():
    for error, helped in ((RuntimeError("shapes"), True), (IndexError("dim"), True), (ValueError("x"), False)):
        with pytest.raises(Mistake) as found, advised("use keepdim"):
            raise Mistake("It failed.") from error
        assert ("\nIf shapes do not fit there: use keepdim." in str(found.value)) == helped
        assert found.value.__cause__ is error
    with pytest.raises(Mistake, match=r"^It failed\.$"), advised("use keepdim"):
        raise Mistake("It failed.")


def test_one_number_is_one_of_any_kind():
    for value in (3, 3.0, numpy.int64(3), numpy.float32(3), torch.tensor(3), torch.tensor(3.0)):
        assert one_number(value) == 3
        assert isinstance(one_number(value), int)
    for value in (True, torch.tensor(True), torch.ones(1), [3], "3", 3j, None):
        assert one_number(value) is None


def test_what_is_no_tensor_is_told_with_advice():
    assert as_tensor(torch.ones(2, dtype=torch.int8, requires_grad=False), "Here").dtype == torch.float64
    assert said(as_tensor, [1], "Here", "stack them") == (
        "Here your function returned something of type list; stack them."
    )
    assert "complex" in said(as_tensor, torch.ones(2) * 1j, "Here")
