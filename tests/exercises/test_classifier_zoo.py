"""The checks of notebook 09: what each wrong answer is told.

The wrong answers are what learners write: each differs from a right one by one mistake.
"""

import math

import pytest
import torch

from course_lib.exercises import classifier_zoo

from .exercise_cells import cases, exercises_of, expect_sentence

INF = float("inf")
LOWEST = torch.finfo(torch.float32).min


def best(c, m, k, count=lambda n, k: (n - k + 1).clamp(min=1), fill=-INF, take=lambda x: x.amax(1)):
    windows = count(m.sum(1, keepdim=True), k)
    return take(c.masked_fill(~(torch.arange(c.shape[1]) < windows)[..., None], fill))


def ends(s, m, at=lambda m: m.sum(1) - 1, order=False, half=0):
    d, every = s.shape[-1] // 2, torch.arange(len(s))
    ahead, behind = (s[..., :d], s[..., d:]) if half == 0 else (s[..., d:], s[..., :d])
    both = [ahead[every, at(m)], behind[:, 0]]
    return torch.cat(both[::-1] if order else both, -1)


def share(s, m, low=LOWEST, dim=-1):
    return s.masked_fill(m == 0, low).softmax(dim) * m


def mixed(h, s, weights=lambda s, f: s.softmax(0), of=lambda x: x[:, 0]):
    firsts = torch.stack([of(x) for x in h])
    return (weights(s, firsts)[:, None, None] * firsts).sum(0)


def far(p, q, n, *, a=abs, factor=1.96, error=lambda p, q, n: math.sqrt(p * (1 - p) / n + q * (1 - q) / n)):
    return a(p - q) > factor * error(p, q, n)


# The name of a check -> wrong answers, each with a phrase that its message alone has.
WRONG = {
    "best_window": [
        (lambda c, m, k: best(c, m, k, lambda n, k: n), "windows that reach into padding are in your maximum"),
        (lambda c, m, k: c.amax(1), "windows of padding alone"),
        (lambda c, m, k: best(c, m, k, lambda n, k: (n - k).clamp(min=1)), "you left out one window too many"),
        (lambda c, m, k: best(c, m, k, lambda n, k: (n - k + 2).clamp(min=1)), "one window too many counts"),
        (lambda c, m, k: best(c, m, k, lambda n, k: n - k + 1), "has no window at all"),
        (lambda c, m, k: best(c, m, k, fill=0.0), "0 wins where all numbers are negative"),
        (lambda c, m, k: torch.nan_to_num(best(c, m, k, lambda n, k: n - k + 1), neginf=0.0), "became 0. Let its first window count"),
        (lambda c, m, k: c[:, 0], "you took the first window alone"),
        (lambda c, m, k: torch.stack([r[: max(int(n) - k + 1, 1)].mean(0) for r, n in zip(c, m.sum(1), strict=True)]), "you took the mean"),
        (lambda c, m, k: c[:, : max(int(m.sum(1).max()) - k + 1, 1)].amax(1), "the longest text of the batch"),
        (lambda c, m, k: best(c, m, k, take=lambda x: x), "there is still one row a window"),
        (lambda c, m, k: best(c, m, k, take=lambda x: x.amax(0)), "the maximum over the texts"),
        (lambda c, m, k: best(c, m, k, take=lambda x: x.amax(2)), "the maximum over the filters"),
        (lambda c, m, k: best(c, m, k, take=lambda x: x.amax((1, 2))), "one number a text"),
        (lambda c, m, k: best(c, m, k, take=lambda x: x.amax(1, keepdim=True)), "without keepdim=True"),
        (lambda c, m, k: best(c, m, k).squeeze(), "a batch of one stays a batch"),
        (lambda c, m, k: best(c, m, k, take=lambda x: x.max(1)), "take .values, or amax"),
        (lambda c, m, k: best(c, m, k) + 0.5, "off by up to 0.5"),
    ],
    "both_ends": [
        (lambda s, m: ends(s, m, lambda m: torch.full((len(m),), m.shape[1] - 1)), "at the last place, padding or not"),
        (lambda s, m: s[:, -1], "as out[:, -1] does"),
        (lambda s, m: s[torch.arange(len(s)), m.sum(1) - 1], "both halves were taken at the last real token"),
        (lambda s, m: s[:, 0], "both halves were taken at the first token"),
        (lambda s, m: torch.cat([s[:, 0, : s.shape[-1] // 2], s[torch.arange(len(s)), m.sum(1) - 1, s.shape[-1] // 2 :]], -1), "the ends are exchanged"),
        (lambda s, m: ends(s, m, order=True), "the halves are exchanged"),
        (lambda s, m: ends(s, m, lambda m: m.sum(1).clamp(max=m.shape[1] - 1)), "one place too far"),
        (lambda s, m: ends(s, m, lambda m: (m.sum(1) - 2).clamp(min=0)), "one place too early"),
        (lambda s, m: ends(s, m, half=1), "you took the second ones for it"),
        (lambda s, m: ends(s, m, lambda m: m.sum(1)[:1].expand(len(m)) - 1), "at the first row's length"),
        (lambda s, m: (s * m[..., None]).sum(1) / m.sum(1, keepdim=True), "you gave the mean over the tokens"),
        (lambda s, m: ends(s, m)[:, : s.shape[-1] // 2], "half of it is missing"),
        (lambda s, m: torch.cat([s[torch.arange(len(s)), m.sum(1) - 1], s[:, 0]], -1), "each end has both halves"),
        (lambda s, m: s[:, m.sum(1) - 1], "from every row"),
        (lambda s, m: ends(s, m)[:, None], "the dimension of the tokens is still there"),
        (lambda s, m: ends(s, m) + 0.5, "off by up to 0.5"),
    ],
    "shares": [
        (lambda s, m: s.softmax(-1), "padding has a share. Hide it"),
        (lambda s, m: (s * m).softmax(-1), "a score of 0 is no small score"),
        (lambda s, m: s.softmax(-1) * m, "do not add up to 1"),
        (lambda s, m: torch.nan_to_num(share(s, 1 - m)), "turned round"),
        (lambda s, m: torch.nan_to_num(share(s, m, -INF, 0)), "over the texts"),
        (lambda s, m: m / m.sum(1, keepdim=True), "equal shares to all real tokens"),
        (lambda s, m: (s * m) / (s * m).sum(1, keepdim=True), "you divided the scores by their sum"),
        (lambda s, m: share(s, m).log(), "the logarithm"),
        (lambda s, m: torch.nn.functional.one_hot((s - 1e9 * (1 - m)).argmax(-1), s.shape[1]).float() * m, "the best token has everything"),
        (lambda s, m: s.masked_fill(m == 0, -INF).softmax(-1), "became nan"),
        (lambda s, m: s.masked_fill(m == 0, -1e9).softmax(-1), "equal shares for its padding"),
        (lambda s, m: share(s, m).sum(1), "one number a text is left"),
        (lambda s, m: share(s, m) + 0.5, "off by up to 0.5"),
    ],
    "mix_layers": [
        (lambda h, s: mixed(h, s, lambda s, f: (f * s[:, None, None]).sum((1, 2)).softmax(0)), "as in the old recipe"),
        (lambda h, s: (lambda f: ((f * s[:, None, None]).sum(2).softmax(0)[..., None] * f).sum(0))(torch.stack([x[:, 0] for x in h])), "the weights come from the vectors"),
        (lambda h, s: mixed(h, s, lambda s, f: s), "the softmax is missing"),
        (lambda h, s: torch.stack([x[:, 0] for x in h]).mean(0) + 0 * s.sum(), "all layers count alike"),
        (lambda h, s: torch.stack([x[:, 0] for x in h]).sum(0), "only added up"),
        (lambda h, s: h[-1][:, 0], "the last layer alone"),
        (lambda h, s: h[int(s.argmax())][:, 0], "with the highest score"),
        (lambda h, s: mixed(h[::-1], s), "in the wrong order"),
        (lambda h, s: mixed(h, s, of=lambda x: x[:, -1]), "the last token was taken"),
        (lambda h, s: mixed(h, s, of=lambda x: x.mean(1)), "the mean over the tokens was taken"),
        (lambda h, s: mixed(h[1:], s[1:]), "are left out"),
        (lambda h, s: mixed(h, s) / len(h), "came after the weights"),
        (lambda h, s: mixed(h, s, lambda s, f: s.sigmoid()), "a sigmoid"),
        (lambda h, s: mixed(h, s.detach()), "no gradient reaches the scores"),
        (lambda h, s: (torch.stack(h) * s.softmax(0)[:, None, None, None]).sum(0), "every token was mixed"),
        (lambda h, s: torch.stack([x[:, 0] for x in h]) * s.softmax(0)[:, None, None], "not added up yet"),
        (lambda h, s: mixed(h, s)[:, None], "not hidden[:, :1]"),
        (lambda h, s: mixed(h, s).squeeze(), "a batch of one stays a batch"),
        (lambda h, s: mixed(h, s) + 0.5, "off by up to 0.5"),
    ],
    "apart": [
        (lambda p, q, n: far(p, q, n, a=lambda x: x), "has a sign"),
        (lambda p, q, n: far(p, q, n, error=lambda p, q, n: math.sqrt(p * (1 - p) / n)), "one figure alone"),
        (lambda p, q, n: far(p, q, n, error=lambda p, q, n: math.sqrt(p * (1 - p) / n) + math.sqrt(q * (1 - q) / n)), "errors were added"),
        (lambda p, q, n: far(p, q, n, error=lambda p, q, n: p * (1 - p) / n + q * (1 - q) / n), "the root is missing"),
        (lambda p, q, n: far(p, q, n, factor=1), "1.96 is missing"),
        (lambda p, q, n: far(p, q, n, error=lambda p, q, n: math.sqrt(p * (1 - p) + q * (1 - q))), "n is missing"),
        (lambda p, q, n: not far(p, q, n), "exchanged"),
        (lambda p, q, n: far(p, q, n, error=lambda p, q, n: math.sqrt((1 - p) / n + (1 - q) / n)), "is a product"),
        (lambda p, q, n: p != q, "every difference above 0"),
        (lambda p, q, n: True, "always the same"),
        (lambda p, q, n: abs(p - q), "True or False is wanted"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "phrase"), cases(WRONG))
def test_a_wrong_answer_is_told_its_mistake(name, answer, phrase) -> None:
    outcome = getattr(classifier_zoo, name)(answer)
    expect_sentence(outcome)
    assert phrase in outcome.message


def test_every_exercise_has_its_wrong_answers() -> None:
    assert {exercise.name for exercise in exercises_of("09_classifier_zoo")} == set(WRONG)
    assert all(len(answers) >= 8 for answers in WRONG.values())


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("best_window", best),
        ("both_ends", ends),
        ("shares", share),
        ("mix_layers", mixed),
        ("apart", far),
    ],
)
def test_other_right_answers_pass(name, answer) -> None:
    outcome = getattr(classifier_zoo, name)(answer)
    assert outcome.passed, outcome.message
