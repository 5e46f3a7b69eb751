"""The public catalogue of raising bugs: each is diagnosed as expected, from one run and from the traceback alone."""

import pytest
import torch
from applying import apply
from catalogue import convolutions, products, rearranging, sequences, targets, unseen_functions, unseen_layers
from catalogue.bug import ENTRIES, Bug

from course_lib import shapes
from course_lib.shapes.diagnosis import Diagnosis

assert all(
    (convolutions, products, rearranging, sequences, targets, unseen_functions, unseen_layers)
)  # importing them fills ENTRIES
entries = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


def from_traceback(entry: Bug) -> Diagnosis:
    with pytest.raises(Exception) as caught:
        entry.broken()
    return shapes.explain_error(caught.value)


def expect(diagnosis: Diagnosis | None, entry: Bug) -> None:
    assert diagnosis is not None
    assert diagnosis.operation == entry.operation
    assert diagnosis.module == entry.module
    assert diagnosis.expression == entry.expression
    shown = [operand.shape for operand in diagnosis.tensors]
    assert all(shape in shown for shape in entry.shapes), shown
    assert all(len(operand.meaning) == len(operand.shape) for operand in diagnosis.tensors)
    text = " ".join((diagnosis.cause, *diagnosis.origins, *diagnosis.notes))
    assert all(phrase in text for phrase in entry.cause), text
    assert diagnosis.location[0].endswith(".py") and diagnosis.location[1] > 0
    if entry.fix is not None:
        verified = [fix.code for fix in diagnosis.fixes if fix.verified]
        assert any(entry.fix in code for code in verified), diagnosis.fixes


def test_there_are_enough_of_them() -> None:
    assert len(ENTRIES) >= 160
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
    assert all(entry.about for entry in ENTRIES)


@entries
def test_a_bug_is_diagnosed_in_one_run(entry: Bug) -> None:
    expect(shapes.diagnose(entry.broken), entry)


@entries
def test_a_bug_is_diagnosed_from_its_traceback_alone(entry: Bug) -> None:
    expect(from_traceback(entry), entry)


@entries
def test_the_mended_one_runs_forward_and_backward(entry: Bug) -> None:
    result = entry.mended()
    if isinstance(result, torch.Tensor) and result.requires_grad:
        result.sum().backward()
    assert shapes.diagnose(entry.mended) is None


@entries
def test_every_verified_repair_really_runs(entry: Bug) -> None:
    count = sum(fix.verified for fix in from_traceback(entry).fixes)
    for number in range(count):  # each on a fresh failure, because a repair may change a layer
        diagnosis = from_traceback(entry)
        fix = [fix for fix in diagnosis.fixes if fix.verified][number]
        result = apply(diagnosis, fix)
        if isinstance(result, torch.Tensor) and result.requires_grad:
            result.sum().backward()
