"""The checks of notebook 10: what each wrong answer is told.

The wrong answers are what learners write: each differs from a right one by one mistake.
"""

import pytest
import torch

from course_lib.exercises import model_graphs

from .exercise_cells import cases, exercises_of, expect_sentence


def dims(value):
    return value.type.tensor_type.shape.dim


def steps(w, n=255, how=torch.round, low=None, high=None):
    low, high = w.min() if low is None else low, w.max() if high is None else high
    s = (high - low) / n
    return how((w - low) / s) * s + low


def size(w):
    return (w.max() - w.min()) / 255


def edges(read, seen, ran, keep=lambda a, b, ran: a not in ran):
    return seen | {(a, b) for a, b in read if keep(a, b, ran)}


def kinds(graph):
    return [node.op_type for node in graph.node]


def same(a, b, t):
    return a.shape == b.shape and bool(((a - b).abs() <= t).all())


WRONG = {
    "changing_axes": [
        (lambda v: [d.dim_param for d in dims(v)], "empty dim_param"),
        (lambda v: [d.dim_param or d.dim_value for d in dims(v)], "fixed sizes are to be None"),
        (lambda v: [d.dim_param for d in dims(v) if d.dim_param], "Their places count"),
        (lambda v: [bool(d.dim_param) for d in dims(v)], "True and False"),
        (lambda v: [None if d.dim_param else d.dim_value for d in dims(v)], "turned round"),
        (lambda v: [d.dim_value for d in dims(v)], "The names are in dim_param"),
        (lambda v: [d.dim_param or None for d in dims(v)][::-1], "wrong order"),
        (lambda v: list(dims(v)), "own objects"),
        (lambda v: {d.dim_param for d in dims(v)}, "a list with an entry"),
        (lambda v: ["batch"], "gave ['batch']; ['batch', 'tokens'] is wanted"),
    ],
    "eight_bits": [
        (lambda w: w, "nothing was rounded"),
        (lambda w: steps(w, 256), "255 distances"),
        (lambda w: steps(w, how=torch.floor), "not floor or int"),
        (lambda w: steps(w, how=torch.ceil), "not ceil"),
        (lambda w: torch.round((w - w.min()) / size(w)), "the whole numbers q"),
        (lambda w: torch.round((w - w.min()) / size(w)) * size(w), "missing at the end"),
        (lambda w: torch.round(w / size(w)) * size(w), "the steps begin at 0"),
        (lambda w: steps(w, low=-w.abs().max(), high=w.abs().max()), "minus the largest"),
        (lambda w: w.round(), "whole ones"),
        (lambda w: steps(w).tolist(), "of type list"),
    ],
    "joined_edges": [
        (lambda r, s, ran: r | s, "The run knows better"),
        (lambda r, s, ran: r & s, "only what is in both"),
        (lambda r, s, ran: s, "did not run is missing"),
        (lambda r, s, ran: {(a, b) for a, b in r if a not in ran}, "what was seen is missing"),
        (lambda r, s, ran: edges(r, s, ran, lambda a, b, ran: b not in ran), "whether the callee ran"),
        (lambda r, s, ran: edges(r, s, ran, lambda a, b, ran: a in ran), "turned round"),
        (lambda r, s, ran: edges(r, s, ran, lambda a, b, ran: a not in ran and b not in ran), "as soon as its caller"),
        (lambda r, s, ran: len(r), "a set of pairs"),
    ],
    "count_layers": [
        (lambda g: len(g.node), "all operations"),
        (lambda g: kinds(g).count("MatMul"), "counted the products"),
        (lambda g: kinds(g).count("MatMul") // 2, "halved the products"),
        (lambda g: len(set(kinds(g))), "the kinds"),
        (lambda g: sum(k != "Softmax" for k in kinds(g)), "no softmax"),
        (lambda g: int("Softmax" in kinds(g)), "whether there is one"),
        (lambda g: [k for k in kinds(g) if k == "Softmax"], "no number"),
        (lambda g: kinds(g).count("softmax"), "you gave 0: 5 is wanted"),
        (lambda g: kinds(g).count("Softmax") + 1, "you gave 6: 5 is wanted"),
    ],
    "same_answers": [
        (lambda a, b, t: not same(a, b, t), "turned round"),
        (lambda a, b, t: torch.equal(a, b), "rounding is allowed"),
        (lambda a, b, t: a.shape == b.shape and bool((a - b).abs().mean() <= 0.002), "The largest difference counts"),
        (lambda a, b, t: a.shape == b.shape and bool(((b - a) <= t).all()), "Take abs"),
        (lambda a, b, t: same(a, b, 1e-4), "the tolerance that was given"),
        (lambda a, b, t: a.shape == b.shape and not bool(((a - b).abs() > t).any()), "comparison with nan"),
        (lambda a, b, t: bool(((a - b).abs() <= t).all()), "Compare the shapes first"),
        (lambda a, b, t: a.numel() == b.numel() and same(a.reshape(-1), b.reshape(-1), t), "numbers of elements"),
        (lambda a, b, t: a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=t, equal_nan=True), "equal_nan"),
        (lambda a, b, t: same(a, b, t) or bool(a.isnan().any()), "which of the two has it"),
        (lambda a, b, t: (a - b).abs() <= t, "True or False"),
        (lambda a, b, t: a.shape == b.shape and torch.allclose(a, b, atol=t), "Give rtol=0"),
        (lambda a, b, t: a.shape == b.shape and bool(((a - b).abs() < t).all()), "Take <=, not <"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "phrase"), cases(WRONG))
def test_a_wrong_answer_is_told_its_mistake(name, answer, phrase) -> None:
    outcome = getattr(model_graphs, name)(answer)
    expect_sentence(outcome)
    assert phrase in outcome.message


def test_every_exercise_has_its_wrong_answers() -> None:
    assert {exercise.name for exercise in exercises_of("10_model_graphs")} == set(WRONG)
    assert all(len(answers) >= 8 for answers in WRONG.values())


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("changing_axes", lambda v: [d.dim_param or None for d in dims(v)]),
        ("eight_bits", steps),
        ("joined_edges", edges),
        ("count_layers", lambda g: sum(node.op_type == "Softmax" for node in g.node)),
        ("same_answers", same),
    ],
)
def test_right_answers_pass(name, answer) -> None:
    outcome = getattr(model_graphs, name)(answer)
    assert outcome.passed, outcome.message
