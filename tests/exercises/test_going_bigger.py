"""The checks of notebook 11: what each wrong answer is told.

The wrong answers are what learners write: each differs from a right one by one mistake.
"""

import pytest
import torch
from torch.nn import functional as F

from course_lib.exercises import going_bigger

from .exercise_cells import cases, exercises_of, expect_sentence


def hours(w, n, t, e, r, factor=6, unit=3600):
    return factor * w * n * t * e / r / unit


def each(t, f, p, s, learns=16, stays=4):
    return (learns * t + stays * f) / (p if s else 1)


def joined(g, c):
    some = c > 0
    return (c[some, None] * g[some]).sum(0) / c[some].sum()


def buffered(items, size, draw, fill=None, at_end=False, rest=lambda held, draw: held):
    held, out = items[: fill or size], []
    for item in items[fill or size :]:
        place = draw(len(held))
        out.append(held[place])
        if at_end:
            del held[place]
            held.append(item)
        else:
            held[place] = item
    return out + rest(held, draw)


def drawn_with_new(items, size, draw):
    held, out = items[:size], []
    for item in items[size:]:
        held.append(item)
        out.append(held.pop(draw(len(held))))
    return out + held


def nothing_put_in(items, size, draw):
    held, out = items[:size], []
    for _ in items[size:]:
        out.append(held[draw(size)])
    return out + held


def draws_less(items, size, draw):
    held, out = items[:size], []
    for item in items[size:]:
        place = draw(max(size - 1, 1))
        out.append(held[place])
        held[place] = item
    return out + held


def drawn_out(held, draw):
    return [held.pop(draw(len(held))) for _ in range(len(held))]


def first_kept(items, size, draw):
    """The places of the first items in the rest, though others have taken them."""
    return buffered(items, size, draw)[: max(len(items) - size, 0)] + items[:size]


def first_out(items, size, draw):
    return items[:size] + buffered(items, size, draw)[: max(len(items) - size, 0)]


def counted(ids, padding):
    real = (ids != padding).long()
    return real.cumsum(1), real, torch.arange(ids.shape[1]).expand(ids.shape)


def positions(ids, padding):
    count, real, _ = counted(ids, padding)
    return padding + count * real


def loss(a, b, t):
    return F.cross_entropy(F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / t, torch.arange(len(a), device=a.device))


def scored(a, b, t, **options):
    return F.cross_entropy(F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / t, torch.arange(len(a)), **options)


WRONG = {
    "training_hours": [
        (lambda *case: hours(*case, factor=2), "the way forward alone"),
        (lambda *case: hours(*case, factor=4), "the way back alone"),
        (lambda *case: hours(*case, factor=3), "not 3"),
        (lambda *case: hours(*case, factor=1), "is too little"),
        (lambda *case: hours(*case, unit=1), "these are seconds"),
        (lambda *case: hours(*case, unit=60), "these are minutes"),
        (lambda *case: hours(*case, unit=86400), "these are days"),
        (lambda w, n, t, e, r: hours(w, n, t, 1, r), "one epoch"),
        (lambda w, n, t, e, r: hours(w, n, 1, e, r), "you counted examples"),
        (lambda w, n, t, e, r: hours(w, 1, t, e, r), "for one example"),
        (lambda *case: 1 / hours(*case), "turned round"),
        (lambda w, n, t, e, r: hours(w, n, t, e, 1), "Divided by the rate they become time"),
        (lambda w, n, t, e, r: 6 * w * n * t * e, "by the rate and by 3600"),
        (lambda *case: str(hours(*case)), "a single number"),
    ],
    "state_bytes": [
        (lambda *case: each(*case, stays=16), "frozen weights have no gradient"),
        (lambda *case: each(*case, learns=4), "the weights alone are there"),
        (lambda *case: each(*case, learns=12), "one of the four numbers"),
        (lambda *case: each(*case, learns=8), "the two means are missing"),
        (lambda *case: each(*case, stays=0), "the frozen weights are missing"),
        (lambda *case: each(*case, learns=4, stays=1), "you counted numbers"),
        (lambda *case: each(*case, learns=128, stays=32), "these are bits"),
        (lambda t, f, p, s: each(t, f, p, True), "you always divide"),
        (lambda t, f, p, s: each(t, f, p, False), "you never divide"),
        (lambda t, f, p, s: each(t, f, p, not s), "where sharded is True"),
        (lambda t, f, p, s: 16 * t / (p if s else 1) + 4 * f, "are divided too"),
        (lambda t, f, p, s: each(t, f, p, s) * p, "all processes together"),
        (lambda *case: [each(*case)], "a single number"),
    ],
    "joined_gradient": [
        (lambda g, c: g[c > 0].mean(0), "all processes count alike"),
        (lambda g, c: g.nan_to_num().sum(0), "the plain sum"),
        (lambda g, c: joined(g, c) * c.sum(), "it is not divided by the number"),
        (lambda g, c: joined(g, c) * c.sum() / len(c), "divided by the number of processes"),
        (lambda g, c: (g / c[:, None]).sum(0) / (1 / c).sum(), "the wrong way round"),
        (lambda g, c: (g * c[:, None]).sum(0) / c.sum(), "0 times nan is nan"),
        (lambda g, c: g.nan_to_num().amax(0), "the largest number"),
        (lambda g, c: g[0], "the first process alone"),
        (lambda g, c: (g / c[:, None]).sum(0), "It is a mean already"),
        (lambda g, c: g * c[:, None] / c.sum(), "still one gradient a process"),
        (lambda g, c: (g * c[:, None]).sum(1), "you added up the numbers of a gradient"),
        (lambda g, c: g * c, "counts[:, None] is (P, 1)"),
    ],
    "shuffled": [
        (lambda i, s, d: buffered(i, s, d, rest=lambda held, draw: []), "is lost"),
        (first_kept, "as it was filled at first"),
        (lambda i, s, d: buffered(i, s, d, rest=lambda held, draw: held[::-1]), "from the back"),
        (lambda i, s, d: buffered(i, s, d, rest=lambda held, draw: sorted(held)), "is sorted"),
        (lambda i, s, d: i, "nothing was shuffled"),
        (lambda i, s, d: buffered(i, s, d, fill=s + 1), "one place more"),
        (lambda i, s, d: buffered(i, s, d, at_end=True), "at the end of the buffer"),
        (drawn_with_new, "among the new item too"),
        (lambda i, s, d: buffered(i, s, d, rest=drawn_out), "what was left was drawn too"),
        (first_out, "went out as they came"),
        (nothing_put_in, "items are missing"),
        (draws_less, "so draw(size)"),
        (lambda i, s, d: i + i, "come twice"),
        (lambda i, s, d: i[::-1], "every item is there once"),
        (lambda i, s, d: len(i), "a list of the items"),
    ],
    "position_ids": [
        (lambda i, p: counted(i, p)[2], "BERT's way"),
        (lambda i, p: positions(i, p) - p, "real tokens begin at 1"),
        (lambda i, p: p + (counted(i, p)[0] - 1) * counted(i, p)[1], "which is the row of padding itself"),
        (lambda i, p: p + 1 + counted(i, p)[2], "padding counts too"),
        (lambda i, p: torch.where(i != p, p + 1 + counted(i, p)[2], p), "though it has the right position"),
        (lambda i, p: p + counted(i, p)[0], "a position of a real token"),
        (lambda i, p: (p + counted(i, p)[0]) * (i != p), "padding has the position 0"),
        (lambda i, p: p + (i != p).cumsum(0) * (i != p), "you counted down the texts"),
        (lambda i, p: p + (i == p).cumsum(1) * (i == p), "you counted the padding"),
        (lambda i, p: (i != p).long(), "this is the mask"),
        (lambda i, p: p + (counted(i, p)[0] + 1) * (i != p), "padding + 2"),
        (lambda i, p: positions(i, p)[0], "one row for all texts"),
        (lambda i, p: positions(i, p).tolist(), "type list"),
    ],
    "partner_loss": [
        (lambda a, b, t: F.cross_entropy(a @ b.T / t, torch.arange(len(a))), "not brought to length 1. Normalise"),
        (lambda a, b, t: F.cross_entropy(F.normalize(a) @ b.T / t, torch.arange(len(a))), "b is not brought"),
        (lambda a, b, t: F.cross_entropy(F.normalize(a, dim=0) @ F.normalize(b, dim=0).T / t, torch.arange(len(a))), "over the texts, dim=0"),
        (lambda a, b, t: scored(a, b, 1 / t), "multiplied by the temperature"),
        (lambda a, b, t: scored(a, b, 1), "is not used"),
        (lambda a, b, t: scored(b, a, t), "each text of b looks"),
        (lambda a, b, t: (scored(a, b, t) + scored(b, a, t)) / 2, "both directions"),
        (lambda a, b, t: scored(a, b, t, reduction="sum"), "are added up"),
        (lambda a, b, t: F.cross_entropy((F.normalize(a) @ F.normalize(b).T / t).softmax(1), torch.arange(len(a))), "makes a softmax itself"),
        (lambda a, b, t: -(F.normalize(a) * F.normalize(b)).sum(1).mean() / t, "without the others"),
        (lambda a, b, t: scored(a, b, t, reduction="none"), "one loss a text"),
        (lambda a, b, t: F.normalize(a) @ F.normalize(b).T / t, "these are the scores"),
        (lambda a, b, t: F.normalize(a) @ F.normalize(b) / t, "so a @ b.T is (B, B)"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "phrase"), cases(WRONG))
def test_a_wrong_answer_is_told_its_mistake(name, answer, phrase) -> None:
    outcome = getattr(going_bigger, name)(answer)
    expect_sentence(outcome)
    assert phrase in outcome.message


def test_every_exercise_has_its_wrong_answers() -> None:
    assert {exercise.name for exercise in exercises_of("11_going_bigger")} == set(WRONG)
    assert all(len(answers) >= 8 for answers in WRONG.values())


def no_gradient_for_the_empty(g, c):
    return (g.nan_to_num() * c[:, None]).sum(0) / c.sum()


def shorter(items, size, draw):
    """The same buffer, written another way."""
    held = list(items[:size])
    out = []
    for item in items[size:]:
        place = draw(len(held))
        out.append(held[place])
        held[place] = item
    return (*out, *held)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("training_hours", hours),
        ("state_bytes", each),
        ("joined_gradient", joined),
        ("joined_gradient", no_gradient_for_the_empty),
        ("shuffled", buffered),
        ("shuffled", shorter),
        ("position_ids", positions),
        ("partner_loss", loss),
        ("partner_loss", lambda a, b, t: -(F.cosine_similarity(a[:, None], b[None], dim=-1) / t).log_softmax(1).diag().mean()),
    ],
)  # fmt: skip
def test_right_answers_pass(name, answer) -> None:
    outcome = getattr(going_bigger, name)(answer)
    assert outcome.passed, outcome.message
