"""The checks of notebook 05: what each wrong answer is told.

The wrong answers are what learners write: each differs from a right one by one mistake.
"""

import itertools
import random

import numpy
import pytest
import torch
from torch.nn import functional as F

from course_lib import masking, sentence_pairs
from course_lib.exercises import pretraining_tasks as checks
from course_lib.exercises.tensors import alike

from .exercise_cells import answer_of, cases, exercises_of, expect_sentence


def hiding(chosen=lambda c, may: (c < 0.15) & may, masked=lambda f: f < 0.8, random=lambda f: (f >= 0.8) & (f < 0.9)):
    """What is chosen, masked and replaced, by what the arguments allow."""

    def answer(ids, may_hide, choose, fate, any_token, mask_id):
        at = chosen(choose, may_hide)
        return torch.where(at & random(fate), any_token, ids).masked_fill(at & masked(fate), mask_id)

    return answer


right_hiding = hiding()


def masked_first(ids, may_hide, choose, fate, any_token, mask_id):
    at = (choose < 0.15) & may_hide
    inputs = ids.masked_fill(at & (fate < 0.8), mask_id)
    return torch.where(at & (fate < 0.9), any_token, inputs)


def picked(logits, labels):
    at = labels != -100
    return logits[at], labels[at]


def by_rows(logits, labels):
    return torch.stack([F.cross_entropy(a, b) for a, b in zip(logits, labels, strict=True)]).mean()


def chances(logits, labels):
    scores, ids = picked(logits, labels)
    return scores.softmax(-1).gather(1, ids[:, None])


def over(dim):
    def answer(logits, labels):
        scores, ids = picked(logits.log_softmax(dim), labels)
        return -scores.gather(1, ids[:, None]).mean()

    return answer


def article(x, p):
    rows = torch.repeat_interleave(torch.arange(len(x)), p.shape[1])
    return x[rows, p.reshape(-1)].reshape(len(x), p.shape[1], -1)


def repeated(x, p):
    return x[torch.arange(len(x)).repeat(p.shape[1]), p.reshape(-1)].reshape(len(x), p.shape[1], -1)


def by_mask(x, p):
    at = torch.zeros(x.shape[:2], dtype=torch.bool).scatter(1, p, True)
    return x[at].reshape(len(x), p.shape[1], -1)


def pairing(label=lambda f: int(not f), names=("[CLS]", "[SEP]", "[SEP]"), border=2, numbers=(0, 1), a=lambda d, p, o, f: d[p], b=lambda d, p, o, f: d[p + 1] if f else o):  # fmt: skip
    def answer(document, place, other, follows):
        one, two = a(document, place, other, follows), b(document, place, other, follows)
        tokens = [t for t in [names[0], *one, names[1], *two, names[2]] if t]
        zeros = len(one) + border
        return tokens, [numbers[0]] * zeros + [numbers[1]] * (len(tokens) - zeros), label(follows)

    return answer


right_pair = pairing()


def cutting(gives=lambda a, b: len(a) > len(b), at=-1, spare=0):
    def answer(a, b, room):
        while len(a) + len(b) > max(0, room + spare):
            (a if (gives(a, b) and a) or not b else b).pop(at)
        return a, b

    return answer


right_cut = cutting()


def cut_once(a, b, room):
    surplus = max(0, len(a) + len(b) - room)
    return (a[: len(a) - surplus], b) if len(a) > len(b) else (a, b[: max(0, len(b) - surplus)])


def two_at_a_time(a, b, room):
    while len(a) + len(b) > room:
        longer = a if len(a) > len(b) else b
        del longer[-2:]
    return a, b


def without_shared(tensors):
    places = [t.data_ptr() for t in tensors.values()]
    return sum(t.numel() for t in tensors.values() if places.count(t.data_ptr()) == 1)


def once(key):
    return lambda tensors: sum({key(t): t.numel() for t in tensors.values()}.values())


right_count = once(torch.Tensor.data_ptr)


# The name of a check -> wrong answers, each with a phrase that its message alone has.
WRONG = {
    "hide_words": [
        (lambda i, m, c, f, a, n: i, "nothing was hidden"),
        (hiding(lambda c, m: c < 0.15), "special tokens and padding are hidden too"),
        (hiding(masked=lambda f: f < 2, random=lambda f: f > 2), "every chosen token became mask_id"),
        (hiding(lambda c, m: m), "all tokens are treated as if they were chosen"),
        (hiding(lambda c, m: c < 2), "all tokens, special ones too"),
        (hiding(lambda c, m: (c >= 0.15) & m), "the tokens that were not chosen are hidden"),
        (hiding(random=lambda f: f >= 0.9), "random and kept have changed places"),
        (hiding(random=lambda f: f >= 0.8), "every chosen token without mask_id"),
        (hiding(random=lambda f: f > 2), "no token became a random one"),
        (masked_first, "random tokens were written over mask_id"),
        (hiding(masked=lambda f: f < 0.9, random=lambda f: f > 2), "mask_id stands where fate is below 0.9"),
        (hiding(lambda c, m: (c <= 0.15) & m), "a token with choose of 0.15"),
        (hiding(masked=lambda f: f <= 0.8), "a token with fate of 0.8 became mask_id"),
        (hiding(random=lambda f: (f >= 0.8) & (f <= 0.9)), "a token with fate of 0.9"),
        (lambda i, m, c, f, a, n: torch.where(i > 0, right_hiding(i, m, c, f, a, n), i), "the token 0 is never hidden"),
        (lambda i, m, c, f, a, n: torch.where((c < 0.15) & m, i, -100), "these are the labels"),
        (lambda i, m, c, f, a, n: right_hiding(i, m, c, f, a, n) * ((c < 0.15) & m), "where nothing is hidden stands 0"),
        (lambda *g: right_hiding(*g).flatten(), "the rows are lost"),
        (lambda *g: right_hiding(*g) + 0.5, "no whole ones"),
        (lambda *g: right_hiding(*g).tolist(), "something of type list"),
        (lambda i, m, c, f, a, n: i.masked_fill(c, n), "raised RuntimeError"),
    ],
    "word_labels": [
        (lambda i, c: i, "every token has its id as a label"),
        (lambda i, c: i * c, "0 stands where no label counts"),
        (lambda i, c: torch.where(c, i, -1), "-1 stands where no label counts"),
        (lambda i, c: torch.where(c, i, 100), "100 has lost its minus sign"),
        (lambda i, c: i.masked_fill(c, -100), "it is the wrong way round"),
        (lambda i, c: torch.where(c, 1, -100), "the ids have lost their numbers"),
        (lambda i, c: c, "this is chosen itself"),
        (lambda i, c: torch.where(i * c > 0, i, -100), "a chosen token with the id 0 has lost its label"),
        (lambda i, c: torch.full_like(i, -100), "all labels are -100"),
        (lambda i, c: i - 100 * ~c, "-100 was added to the id"),
        (lambda i, c: i[c], "only the chosen tokens are there"),
        (lambda i, c: i.masked_fill(~c, -100).flatten(), "the rows are lost"),
        (lambda i, c: i.masked_fill(~c, -100).tolist(), "something of type list"),
        (lambda i, c: i[c].view(i.shape), "raised RuntimeError"),
    ],
    "word_loss": [
        (lambda x, y: F.cross_entropy(x.flatten(0, 1), y.flatten()), "they come from torch's own cross_entropy"),
        (lambda x, y: F.nll_loss(x.log_softmax(-1).transpose(1, 2), y), "they come from torch's own nll_loss"),
        (lambda x, y: -F.cross_entropy(*picked(x, y)), "the sign is wrong"),
        (lambda x, y: F.cross_entropy(*picked(x, y), reduction="sum"), "this is the sum"),
        (lambda x, y: F.cross_entropy(*picked(x, y), reduction="sum") / y.numel(), "divided by all B * T places"),
        (lambda x, y: F.cross_entropy(*picked(x, y), reduction="sum") / len(y), "divided by the B rows"),
        (by_rows, "the mean of each row's own mean"),
        (lambda x, y: chances(x, y).mean(), "this is the mean probability"),
        (lambda x, y: -chances(x, y).mean(), "this is minus the mean probability"),
        (lambda x, y: -chances(x, y).mean().log(), "the logarithm was taken after the mean"),
        (lambda x, y: F.cross_entropy(*picked(x, y)).exp(), "this is the perplexity"),
        (lambda x, y: -chances(x, y).log2().mean(), "the logarithm has base 2"),
        (lambda x, y: -chances(x, y).log10().mean(), "the logarithm has base 10"),
        (lambda x, y: -picked(x, y)[0].gather(1, picked(x, y)[1][:, None]).mean(), "The softmax is missing"),
        (over(1), "the softmax goes over the tokens"),
        (over(0), "the softmax goes over the rows"),
        (lambda x, y: F.cross_entropy(*picked(x.softmax(-1), y)), "the softmax was taken twice"),
        (lambda x, y: -picked(x, y)[0].softmax(-1).amax(-1).log().mean(), "the probability is that of the best word"),
        (lambda x, y: F.cross_entropy(x.flatten(0, 1), y.flatten().clamp(min=0)), "places with -100 count"),
        (lambda x, y: F.cross_entropy(x.flatten(0, 1), y.flatten().masked_fill(y.flatten() == 0, -100)), "the label 0 was left out"),
        (lambda x, y: F.cross_entropy(*picked(x, y))[None], "the mean keeps no dimension"),
        (lambda x, y: F.cross_entropy(*picked(x, y), reduction="none"), "there is a loss for each label"),
        (lambda x, y: F.cross_entropy(x.flatten(0, 1), y.flatten(), reduction="none").view(y.shape), "a loss for each place"),
        (lambda x, y: F.cross_entropy(*picked(x, y)).item(), "something of type float"),
        (lambda x, y: F.cross_entropy(x, y), "raised"),
    ],
    "pick_places": [
        (lambda x, p: x[:, p], "every row was asked for the places of all rows"),
        (by_mask, "the vectors stand in the order of the text"),
        (lambda x, p: x[:, p[0]], "every row has the places of the first"),
        (lambda x, p: x[0][p], "all vectors are those of the first row"),
        (repeated, "rows and tokens do not match"),
        (lambda x, p: article(x, p).transpose(0, 1).reshape(len(x), p.shape[1], -1), "(p, B, n) was read as (B, p, n)"),
        (lambda x, p: article(x, p - 1), "one place before"),
        (lambda x, p: article(x, (p + 1) % x.shape[1]), "one place behind"),
        (lambda x, p: x[:, : p.shape[1]], "the first p tokens"),
        (lambda x, p: x[:, -p.shape[1] :], "the last p tokens"),
        (lambda x, p: article(x, -1 - p), "counted from the end"),
        (lambda x, p: article(x, p).flip(1), "stand the wrong way round"),
        (lambda x, p: article(x, p).flatten(0, 1), "stand in one list"),
        (lambda x, p: article(x, p).transpose(0, 1), "rows and places have changed places"),
        (lambda x, p: article(x, p).transpose(1, 2), "places and numbers have changed places"),
        (lambda x, p: article(x, p)[..., 0], "one number a place is left"),
        (lambda x, p: article(x, p)[:, 0], "one vector a row is left"),
        (lambda x, p: x[torch.arange(len(x)), p], "goes with (B, p), such as (B, 1)"),
        (lambda x, p: article(x, p).tolist(), "something of type list"),
    ],
    "sentence_pair": [
        (pairing(int), "the label is the wrong way round"),
        (pairing(lambda f: 0), "the label is always 0"),
        (pairing(lambda f: 1), "the label is always 1"),
        (pairing(names=("<cls>", "<sep>", "<sep>")), "not <cls> and <sep>"),
        (pairing(names=("[CLS]", "[SEP]", "")), "the last [SEP] is missing"),
        (pairing(names=("", "[SEP]", "[SEP]"), border=1), "[CLS] is missing at the front"),
        (pairing(names=("[CLS]", "", "[SEP]"), border=1), "no [SEP] between A and B"),
        (pairing(b=lambda d, p, o, f: ["[CLS]", *(d[p + 1] if f else o)]), "B has a [CLS] of its own"),
        (pairing(border=1), "the [SEP] behind A has segment 1"),
        (pairing(border=3), "B's first token has segment 0"),
        (pairing(numbers=(0, 0)), "all segments are 0"),
        (pairing(numbers=(1, 2)), "segments are 1 and 2"),
        (pairing(numbers=(1, 0)), "segments are the wrong way round"),
        (lambda *c: (right_pair(*c)[0], [*right_pair(*c)[1][:-1], 0], right_pair(*c)[2]), "the last [SEP] has segment 0"),
        (pairing(b=lambda d, p, o, f: d[p + 1]), "B is always the next sentence"),
        (pairing(b=lambda d, p, o, f: o), "B is always other"),
        (pairing(b=lambda d, p, o, f: o if f else d[p + 1]), "the two cases have changed places"),
        (pairing(b=lambda d, p, o, f: d[p] if f else o), "B is A itself"),
        (pairing(a=lambda d, p, o, f: d[0]), "A is always the first sentence"),
        (pairing(a=lambda d, p, o, f: d[p + 1] if f else o, b=lambda d, p, o, f: d[p]), "A and B have changed places"),
        (pairing(b=lambda d, p, o, f: [*itertools.chain(*d[p + 1 :])] if f else o), "all that comes after A"),
        (lambda d, p, o, f: (["[CLS]", d[p], "[SEP]", d[p + 1], "[SEP]"], [0], 0), "a list among your tokens"),
        (lambda *c: (right_pair(*c)[0], right_pair(*c)[1][1:-1], 0), "Each token has one, [CLS] and [SEP] too"),
        (lambda *c: right_pair(*c)[:2], "three things are wanted"),
        (lambda *c: (right_pair(*c)[0], "0011", 0), "a list with a number for each token"),
        (lambda *c: (" ".join(right_pair(*c)[0]), *right_pair(*c)[1:]), "a list of tokens is wanted"),
        (lambda *c: (*right_pair(*c)[:2], "random"), "your label is 'random'"),
    ],
    "cut_pair": [
        (lambda a, b, room: (a, b), "nothing was cut"),
        (lambda a, b, room: right_cut(a, b, max(room, len(a) + len(b) - 1)), "only one token was taken away"),
        (cutting(lambda a, b: len(a) >= len(b)), "where both are equally long"),
        (cutting(lambda a, b: len(a) < len(b)), "the shorter text loses its tokens"),
        (cutting(lambda a, b: True), "a alone loses tokens"),
        (cutting(at=0), "taken away at the front"),
        (lambda a, b, room: (a[: room - room // 2], b[: room // 2]), "each gets half of the room"),
        (lambda a, b, room: (a[:room], b[: max(0, room - len(a))]), "b alone loses tokens, as where the joined row"),
        (cut_once, "which one is longer was asked once"),
        (cutting(spare=1), "one token too many is left"),
        (cutting(spare=-1), "one token too many was taken away"),
        (two_at_a_time, "two tokens were taken away at a time"),
        (lambda a, b, room: right_cut(a, b, room)[::-1], "a and b have changed places"),
        (lambda a, b, room: [*itertools.chain(*right_cut(a, b, room))], "two lists of tokens are wanted"),
    ],
    "count_once": [
        (lambda t: sum(x.numel() for x in t.values()), "every name was counted"),
        (once(lambda x: tuple(x.flatten().tolist())), "tensors with equal numbers were counted once"),
        (once(lambda x: x.shape), "tensors of the same shape"),
        (once(id), "id() or `is` tells objects apart"),
        (without_shared, "was left out altogether"),
        (lambda t: len({x.data_ptr() for x in t.values()}), "tensors were counted, not their numbers"),
        (len, "names were counted"),
        (lambda t: 4 * right_count(t), "bytes were counted"),
        (lambda t: sum({x.data_ptr(): len(x) for x in t.values()}.values()), "only the rows were counted"),
        (lambda t: sum(x.numel() for x in t.values()) - right_count(t), "what is saved was counted"),
        (lambda t: [x.numel() for x in t.values()], "one number is wanted"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "phrase"), cases(WRONG))
def test_a_wrong_answer_is_told_its_own_mistake(name, answer, phrase):
    outcome = getattr(checks, name)(answer)
    expect_sentence(outcome)
    assert phrase in outcome.message


def by_loop(ids, may_hide, choose, fate, any_token, mask_id):
    out = ids.clone()
    for i, t in itertools.product(*map(range, ids.shape)):
        if may_hide[i, t] and choose[i, t] < 0.15:
            out[i, t] = mask_id if fate[i, t] < 0.8 else any_token[i, t] if fate[i, t] < 0.9 else ids[i, t]
    return out


def by_lengths(a, b, room):
    x, y = len(a), len(b)
    while x + y > room:
        x, y = (x - 1, y) if x > y else (x, y - 1)
    return a[:x], tuple(b[:y])


def seen_before(tensors):
    found, total = [], 0
    for tensor in tensors.values():
        if tensor.untyped_storage().data_ptr() not in found:
            found.append(tensor.untyped_storage().data_ptr())
            total += tensor.numel()
    return torch.tensor(total)


RIGHT_TOO = {
    "hide_words": [by_loop, lambda *g: right_hiding(*g).float()],
    "word_labels": [
        lambda i, c: torch.where(c, i, torch.tensor(-100)),
        lambda i, c: i * c - 100 * (~c).long(),
    ],
    "word_loss": [
        lambda x, y: -chances(x, y).log().mean(),
    ],
    "pick_places": [
        article,
        lambda x, p: x.gather(1, p[..., None].expand(-1, -1, x.shape[2])),
        lambda x, p: torch.stack([row[places] for row, places in zip(x, p, strict=True)]),
    ],
    "sentence_pair": [
        lambda *c: list(right_pair(*c)),
        lambda d, p, o, f: (
            *sentence_pairs.get_token_and_segments(d[p], d[p + 1] if f else o), torch.tensor(int(not f))
        ),
        lambda *c: (tuple(right_pair(*c)[0]), numpy.array(right_pair(*c)[1]), not c[3]),
    ],
    "cut_pair": [by_lengths, lambda *c: list(right_cut(*c))],
    "count_once": [seen_before, lambda t: sum({x.data_ptr(): x.nbytes // x.element_size() for x in t.values()}.values())],
}  # fmt: skip


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name in RIGHT_TOO for answer in RIGHT_TOO[name]])
def test_another_right_way_passes_too(name, answer):
    outcome = getattr(checks, name)(answer)
    assert outcome.passed, outcome.message


def test_every_check_has_another_right_way_and_many_wrong_ones_here():
    names = {e.name for e in exercises_of("05_pretraining_tasks")}
    assert set(RIGHT_TOO) == set(WRONG) == names
    assert all(len(WRONG[name]) >= 8 for name in names)


# ------------------------------------------------------------------------------------------ known mistakes


@pytest.mark.parametrize(
    ("right", "wrong", "inputs"),
    [
        (checks._pair, checks._wrong_pairs(), checks._PAIRS),
        (checks._cut, checks._wrong_cuts(), checks._CUTS),
        (checks._once, checks._wrong_counts(), [(tensors,) for _, tensors in checks._models()]),
    ],
    ids=["pairs", "cuts", "counts"],
)
def test_every_known_mistake_differs_from_the_right_answer_and_from_the_others(right, wrong, inputs):
    found = [[right(*case) for case in inputs], *([function(*case) for case in inputs] for _, function in wrong)]
    same = [(a, b) for a, b in itertools.combinations(range(len(found)), 2) if alike(found[a], found[b])]
    assert same == []


def tensors_of(name):
    if name == "hiding":
        given = (*checks._batch(*checks._ROWS[0]), *checks._draws(*checks._ROWS[0]), 99)
        return checks._hidden(*given), checks._wrong_hidden(*given)
    if name == "labels":
        ids, may_hide = checks._batch(*checks._ROWS[0])
        chosen = (checks._draws(*checks._ROWS[0])[0] < 0.15) & may_hide
        return ids.masked_fill(~chosen, -100), checks._wrong_labels(ids, chosen)
    if name == "losses":
        given = checks._scored(*checks._SCORED[0])
        return checks._loss(*given), checks._wrong_losses(*given)
    given = checks._picked(*checks._PICKED[0])
    return checks._pick(*given), checks._wrong_picks(*given)


@pytest.mark.parametrize("name", ["hiding", "labels", "losses", "picks"])
def test_every_known_mistake_in_tensors_differs_from_the_others(name):
    right, wrong = tensors_of(name)
    found = [right.double(), *(values.double() for _, values in wrong)]
    same = [
        (a, b)
        for a, b in itertools.combinations(range(len(found)), 2)
        if found[a].shape == found[b].shape and torch.allclose(found[a], found[b], atol=1e-4)
    ]
    assert same == []


# ------------------------------------------------------------------------------------------ the library agrees


def test_the_solution_hides_as_the_library_does():
    ids, may_hide = checks._batch(3, 31)
    draws = torch.Generator().manual_seed(1)
    choose, first, second = (torch.rand(ids.shape, generator=draws) for _ in range(3))
    any_token = torch.randint(97, ids.shape, generator=draws)
    fate = torch.where(first < 0.8, 0.0, torch.where(second < 0.5, 0.85, 0.95))
    inputs, labels = masking.mask_tokens(ids, may_hide, 99, 97, generator=torch.Generator().manual_seed(1))
    right = answer_of(checks.hide_words, "solutions")
    assert torch.equal(right(ids, may_hide, choose, fate, any_token, 99), inputs)
    assert torch.equal(answer_of(checks.word_labels, "solutions")(ids, labels != -100), labels)


@pytest.mark.parametrize("room", [1, 2, 5, 8, 11, 12])
def test_the_solution_cuts_to_the_lengths_of_the_library(room):
    a, b = list("abcdefghi"), list("xyz")
    found = sentence_pairs.truncate_pair(a, b, room, random.Random(0))
    assert list(map(len, answer_of(checks.cut_pair, "solutions")(a, b, room))) == list(map(len, found))
