"""The checks of notebook 07: what each wrong answer is told.

The wrong answers are what learners write: each differs from a right one by one mistake.
"""

import math

import pytest
import torch
from torch import nn

from course_lib import metrics, optim
from course_lib.exercises import fine_tuning

from .exercise_cells import cases, exercises_of, expect_sentence

# ------------------------------------------------------------------------------------------------ right answers


def split(model, decays, learns=lambda p: p.requires_grad, both=False):
    """Two lists by a rule of name and parameter."""
    pairs = [(n, p) for n, p in model.named_parameters() if learns(p)]
    decayed = [p for n, p in pairs if decays(n, p)]
    return decayed, [p for n, p in pairs if both or not decays(n, p)]


def matrices(name, parameter):
    return parameter.dim() > 1


def adamw(
    w,
    g,
    m,
    v,
    t,
    rate,
    decay,
    *,
    l2=0.0,
    factor=lambda r, d: 1 - r * d,
    one=0.9,
    two=0.999,
    fix=(1, 1),
    sign=-1,
    below=lambda v: v.sqrt() + 1e-8,
):
    g = g + l2 * decay * w
    m, v = one * m + (1 - one) * g, two * v + (1 - two) * g**2
    m = m / (1 - one**t) if fix[0] else m
    v = v / (1 - two**t) if fix[1] else v
    return factor(rate, decay) * w + sign * rate * m / below(v)


def line(step, steps, warmup, highest):
    return highest * (step / warmup if step < warmup else (steps - step) / (steps - warmup))


def stop(losses, limit, *, better=lambda new, old: new < old, late=0, reset=True):
    best, stale = 0, 0
    for number in range(1, len(losses)):
        if better(losses[number], losses[best]):
            best, stale = number, 0 if reset else stale
        else:
            stale += 1
        if stale == limit + late:
            return best, number
    return best, len(losses) - 1


def plan(n, b, epochs, every):
    steps = -(-n // b) * epochs
    return sorted({*range(every, steps + 1, every), steps})


def three(c, k, *, f=lambda p, r: 2 * p * r / (p + r) if p + r else 0.0):
    p, r = ratio(c[k, k], c[:, k].sum()), ratio(c[k, k], c[k].sum())
    return p, r, f(p, r)


def ratio(part, whole):
    return float(part / whole) if whole else 0.0


def of_both(p):
    return lambda c, k: (p(c, k),) * 3


BY_NAME = ("bias", "LayerNorm.bias", "LayerNorm.weight")

# ------------------------------------------------------------------------------------------------ wrong answers

WRONG = {
    "no_decay": [
        (lambda m: split(m, lambda n, p: not any(x in n for x in BY_NAME)), "ln_1.weight decays. It is a LayerNorm by another name"),
        (lambda m: split(m, lambda n, p: "bias" not in n and "norm" not in n.lower() and "ln_" not in n), "Its name holds the word bias, and it is a matrix"),
        (lambda m: split(m, lambda n, p: not n.endswith("bias")), "LayerNorm.weight decays. It belongs to a LayerNorm"),
        (lambda m: split(m, lambda n, p: "Norm" not in n and "ln_" not in n and "norm" not in n), "dense.bias decays. It is a bias"),
        (lambda m: split(m, matrices)[::-1], "the two lists are exchanged"),
        (lambda m: split(m, matrices, learns=lambda p: True), "and it does not learn: leave out"),
        (lambda m: split(m, matrices, both=True), "is there twice. An optimizer would refuse it"),
        (lambda m: ([p for p in m.parameters() if p.requires_grad], []), "everything decays; there is one list"),
        (lambda m: ([], [p for p in m.parameters() if p.requires_grad]), "everything is left without decay"),
        (lambda m: (split(m, matrices)[0], [p for n, p in m.named_parameters() if n.endswith("bias") and p.dim() == 1]), "is in neither list"),
        (lambda m: split(m, lambda n, p: p.dim() > 1 and min(p.shape) > 1), "to one number, (1, H)"),
        (lambda m: split(m, lambda n, p: p.dim() > 1 and "embed" not in n), "An embedding is a matrix"),
        (lambda m: tuple([n for n, p in m.named_parameters() if (p.dim() > 1) is d] for d in (True, False)), "a list holds names"),
        (lambda m: tuple([(n, p) for n, p in m.named_parameters() if (p.dim() > 1) is d] for d in (True, False)), "pairs of name and parameter"),
        (lambda m: tuple([p.detach() for p in part] for part in split(m, matrices)), "no parameter of the model"),
        (lambda m: split(m, matrices)[0], "two lists are wanted"),
        (lambda m: tuple([p for n, p in m.named_parameters(remove_duplicate=False) if p.requires_grad and (p.dim() > 1) is d] for d in (True, False)), "It is tied: one parameter under two names"),
    ],
    "adamw_step": [
        (lambda *a: adamw(*a, l2=1.0, factor=lambda r, d: 1.0), "Adam with an L2 penalty"),
        (lambda *a: adamw(*a, factor=lambda r, d: 1.0), "the decay is missing"),
        (lambda *a: adamw(*a, factor=lambda r, d: 1 - d), "the weight shrank by 1 - decay"),
        (lambda *a: adamw(*a, factor=lambda r, d: 1 + r * d), "the weight grew"),
        (lambda *a: adamw(*a, fix=(0, 0)), "the means are not corrected"),
        (lambda *a: adamw(*a, fix=(1, 0)), "the mean of the squares is not corrected"),
        (lambda *a: adamw(*a, fix=(0, 1)), "the mean of the gradient is not corrected"),
        (lambda w, g, m, v, t, r, d: adamw(w, g, m, v, t + 1, r, d), "that of the next step"),
        (lambda *a: adamw(*a, sign=1), "you added the step"),
        (lambda *a: adamw(*a, one=0.999, two=0.9), "the two betas are exchanged"),
        (lambda w, g, m, v, t, r, d: (1 - r * d) * w - r * g, "a step of plain SGD"),
        (lambda w, g, m, v, t, r, d: adamw(w, g, m, v, t, r, 0.0) - w, "you gave the change alone"),
        (lambda w, g, m, v, t, r, d: (adamw(w, g, m, v, t, r, 0.0) - w) / r, "you gave the direction alone"),
        (lambda w, g, m, v, t, r, d: w, "the weight has not changed"),
        (lambda w, g, m, v, t, r, d: (1 - r * d) * w - r * ((0.9 * m + 0.1 * g) / (1 - 0.9**t)) / ((0.999 * v + 0.001 * g**2) / (1 - 0.999**t) + 1e-8), "the root is missing"),
        (lambda w, g, m, v, t, r, d: (1 - r * d) * adamw(w, g, m, v, t, r, 0.0), "the weight was moved first"),
        (lambda *a: adamw(*a, below=lambda v: v.sqrt()), "A weight that has had no gradient yet gives 0 / 0"),
        (lambda *a: adamw(*a, below=lambda v: (v + 1e-8).sqrt()), "stands inside the root"),
        (lambda *a: adamw(*a).sum(), "you gave one number for all"),
        (lambda *a: (adamw(*a), a[2], a[3]), "the new weight alone is wanted"),
    ],
    "linear_rate": [
        (lambda s, n, w, h: h * min(1.0, s / w if w else 1.0), "the rate stays up after the warm-up"),
        (lambda s, n, w, h: h * (n - s) / n, "there is no warm-up in it"),
        (lambda s, n, w, h: h * (s / w if s < w else (n - s) / n), "it jumps down where the warm-up ends"),
        (lambda s, n, w, h: h * (s / w if s < w else (n - 1 - s) / max(1, n - w - 1)), "it reaches 0 a step too soon"),
        (lambda s, n, w, h: h * ((s + 1) / w if s < w else (n - s) / (n - w)), "the warm-up is a step ahead"),
        (lambda s, n, w, h: h * (s / n if s < w else (n - s) / (n - w)), "rises in steps of 1 / steps"),
        (lambda s, n, w, h: line(s, n, w, 1.0), "you gave the share of the highest rate"),
        (lambda s, n, w, h: h * (s / w if s < w else 1 - s / (n - w)), "the fall is counted from step 0"),
        (lambda s, n, w, h: h * (s / w if s < w else (s - w) / (n - w)), "it rises after the warm-up"),
        (lambda s, n, w, h: h * (1 - s / w if s < w else 1 - (n - s) / (n - w)), "the two halves are exchanged"),
        (lambda s, n, w, h: h, "the rate is the highest one all the time"),
        (lambda s, n, w, h: h * (s / w if w else 1.0), "it never stops rising"),
        (lambda s, n, w, h: [line(i, n, w, h) for i in range(n)], "one number is wanted"),
        (lambda s, n, w, h: line(s, n, w, h) if s or w else 0.0, "with a warm-up of 0 there is no rise"),
    ],
    "patience": [
        (lambda x, n: stop(x, n)[::-1], "the two are exchanged"),
        (lambda x, n: (stop(x, n)[1],) * 2, "the last weights are kept"),
        (lambda x, n: (x.index(min(x)), len(x) - 1), "it goes on to the end"),
        (lambda x, n: (x.index(min(x)), stop(x, n)[1]), "also those that were never reached"),
        (lambda x, n: tuple(i + 1 for i in stop(x, n)), "you counted from 1"),
        (lambda x, n: stop(x, n, late=1), "one evaluation too late"),
        (lambda x, n: stop(x, n, late=-1) if n > 1 else stop(x, n), "one evaluation too soon"),
        (lambda x, n: stop(x, n, reset=False), "sets the count back to 0"),
        (lambda x, n: stop(x, n, better=lambda new, old: new <= old), "an equal loss is no new best"),
        (lambda x, n: (max(range(stop(x, n)[1] + 1), key=x.__getitem__), stop(x, n)[1]), "the highest loss is kept"),
        (lambda x, n: stop(x, 1), "it stops as soon as a loss does not fall"),
        (lambda x, n: x[stop(x, n)[0]], "two whole numbers are wanted"),
    ],
    "evaluations": [
        (lambda n, b, e, k: list(range(k, -(-n // b) * e + 1, k)), "the run's last step is missing"),
        (lambda n, b, e, k: list(range(0, -(-n // b) * e, k)), "the last step is missing, and step 0 is there"),
        (lambda n, b, e, k: [0, *plan(n, b, e, k)], "Nothing has been learned before the first step"),
        (lambda n, b, e, k: plan(n // b * b, b, e, k), "Round up"),
        (lambda n, b, e, k: plan(n * e, b, 1, k), "the epochs were joined before"),
        (lambda n, b, e, k: plan(n, b, 1, k), "that is the plan of one epoch"),
        (lambda n, b, e, k: [-(-n // b) * i for i in range(1, e + 1)], "these are the ends of the epochs"),
        (lambda n, b, e, k: [s - 1 for s in plan(n, b, e, k)], "you counted from 0"),
        (lambda n, b, e, k: [*range(k, -(-n // b) * e + 1, k), -(-n // b) * e], "twice where it is a multiple anyway"),
        (lambda n, b, e, k: plan(n * e, 1, 1, k), "you counted examples, not steps"),
        (lambda n, b, e, k: list(range(1, -(-n // b) * e + 1)), "that is every step"),
        (lambda n, b, e, k: [-(-n // b) * e], "only the last step is there"),
        (lambda n, b, e, k: plan(n, b, e, k)[::-1], "the steps are not in their order"),
        (lambda n, b, e, k: len(plan(n, b, e, k)), "a list of step numbers is wanted"),
        (lambda n, b, e, k: [s + 0.5 for s in plan(n, b, e, k)], "each step is a whole number"),
        (lambda n, b, e, k: sorted({i * -(-n // b) + s for i in range(e) for s in range(k, -(-n // b) + 1, k)} | {-(-n // b) * e}), "the count begins anew in each epoch"),
    ],
    "scores": [
        (lambda c, k: (three(c, k)[1], three(c, k)[0], three(c, k)[2]), "precision and recall are exchanged"),
        (lambda c, k: three(c, k, f=lambda p, r: (p + r) / 2), "F1 is not the plain mean"),
        (lambda c, k: three(c, k, f=lambda p, r: p * r / (p + r) if p + r else 0.0), "the 2 of F1 is missing"),
        (lambda c, k: three(c, k, f=lambda p, r: p * r), "that F1 is the product"),
        (lambda c, k: three(c, k, f=lambda p, r: math.sqrt(p * r)), "that F1 is the geometric mean"),
        (of_both(lambda c, k: float(c[k, k] / c.sum())), "you divided by all examples"),
        (of_both(lambda c, k: three(c, k)[0]), "precision stands in both places"),
        (of_both(lambda c, k: three(c, k)[1]), "recall stands in both places"),
        (of_both(lambda c, k: float(c.trace() / c.sum())), "the accuracy over all classes"),
        (of_both(lambda c, k: float(c[k, k])), "these are counts"),
        (lambda c, k: tuple(1 - x for x in three(c, k)), "1 minus what is wanted"),
        (lambda c, k: tuple(100 * x for x in three(c, k)), "the scores are in per cent"),
        (lambda c, k: (float(c[k, k] / c[:, k].sum()), *three(c, k)[1:]), "you gave nan"),
        (lambda c, k: three(c, k)[2], "three numbers are wanted"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "phrase"), cases(WRONG))
def test_a_wrong_answer_is_told_its_own_mistake(name, answer, phrase):
    outcome = getattr(fine_tuning, name)(answer)
    expect_sentence(outcome)
    assert phrase in outcome.message


def torch_adamw(w, g, m, v, t, rate, decay):
    parameter = nn.Parameter(w.clone())
    optimizer = torch.optim.AdamW([parameter], lr=rate, weight_decay=decay)
    optimizer.state[parameter] = {"step": torch.tensor(float(t - 1)), "exp_avg": m.clone(), "exp_avg_sq": v.clone()}
    parameter.grad = g
    optimizer.step()
    return parameter


def unfolded(counts, k):
    rows, columns = torch.meshgrid(*(torch.arange(len(counts)),) * 2, indexing="ij")
    flat = counts.flatten()
    labels, predictions = (x.flatten().repeat_interleave(flat) for x in (rows, columns))
    report = metrics.classification_report(labels, predictions, [str(i) for i in range(len(counts))])
    return [torch.nan_to_num(torch.tensor(x[k])) for x in (report.precision, report.recall, report.f1)]


RIGHT_TOO = {
    "no_decay": [
        lambda m: [g["params"] for g in optim.parameter_groups(m)],
        lambda m: optim.parameter_groups(m),
        lambda m: tuple(set(part) for part in split(m, matrices)),
    ],
    "adamw_step": [torch_adamw, lambda *a: adamw(*a).double()],
    "linear_rate": [
        lambda s, n, w, h: optim.rates("linear", w, n, h)[s],
        lambda s, n, w, h: torch.tensor(line(s, n, w, h), dtype=torch.float64),
        lambda s, n, w, h: h * min(s / w if w else 1.0, (n - s) / (n - w)),
    ],
    "patience": [stop, lambda x, n: torch.tensor(stop(x, n)), lambda x, n: list(stop(x, n))],
    "evaluations": [plan, lambda *a: set(plan(*a)), lambda *a: torch.tensor(plan(*a)), lambda *a: tuple(plan(*a))],
    "scores": [three, unfolded, lambda c, k: torch.tensor(three(c, k)), lambda c, k: list(three(c, k))],
}


@pytest.mark.parametrize(("name", "answer"), [(name, a) for name, found in RIGHT_TOO.items() for a in found])
def test_another_right_way_passes_too(name, answer):
    outcome = getattr(fine_tuning, name)(answer)
    assert outcome.passed, outcome.message


def test_every_check_has_wrong_answers_and_another_right_way_here():
    names = {e.name for e in exercises_of("07_fine_tuning")}
    assert set(WRONG) == set(RIGHT_TOO) == names
    assert min(map(len, WRONG.values())) >= 8


def test_the_right_plan_is_that_of_the_library():
    from course_lib.batching import Batches
    from course_lib.probing import Probe
    from course_lib.training import fit

    for examples, batch, epochs, every in fine_tuning._RUNS[1:]:
        data = {"features": torch.randn(examples, 3), "labels": torch.zeros(examples, dtype=torch.long)}
        report = fit(Probe(3, 2), Batches(data, batch), Batches(data, batch), epochs=epochs, evaluate_every=every)
        steps = {record.step for record in report.records}
        ends = {record.step for record in report.epochs}
        assert steps - ends | {max(steps)} <= set(plan(examples, batch, epochs, every)) <= steps
