"""The checks of notebook 06: what each wrong answer is told.

The wrong answers are what learners write: each differs from a right one by one mistake.
"""

import math
from collections import Counter

import pytest
import torch

from course_lib.exercises import pretraining

from .exercise_cells import cases, exercises_of, expect_sentence

# ------------------------------------------------------------------------------------------------ right answers


def parts(documents, sources, *, held=None, clean=True, keep_empty=False, order=list):
    held = held or (lambda source: source in sources)
    train = [(s, t) for s, t in documents if not held(s)]
    known = {sentence for _, t in train for sentence in t}
    dev = [(s, order(x for x in t if not (clean and x in known))) for s, t in documents if held(s)]
    return train, [(s, t) for s, t in dev if t or keep_empty]


def without_known(documents, others):
    known = {sentence for _, t in others for sentence in t}
    return [(s, kept) for s, t in documents if (kept := [x for x in t if x not in known])]


def whole_documents(documents, sources):
    train, dev = parts(documents, sources, clean=False)
    known = {sentence for _, t in train for sentence in t}
    return train, [(s, t) for s, t in dev if not known.intersection(t)]


def one_of_each(documents, sources):
    seen, train, dev = set(), [], []
    for source, sentences in documents:
        (dev if source in sources and source not in seen else train).append((source, sentences))
        seen.add(source)
    return train, without_known(dev, train)


def cleaned_train(documents, sources):
    train, dev = parts(documents, sources, clean=False)
    return without_known(train, dev), dev


def cleaned_both(documents, sources):
    train, dev = parts(documents, sources, clean=False)
    return without_known(train, dev), without_known(dev, train)


def shared_alone(documents, sources):
    train, dev = parts(documents, sources, clean=False)
    known = {sentence for _, t in train for sentence in t}
    return train, [(s, kept) for s, t in dev if (kept := [x for x in t if x in known])]


def entropy(counts, log=torch.log, weigh=lambda p: p):
    p = counts[counts > 0].double()
    p = p / p.sum()
    return -(weigh(p) * log(p)).sum()


def guess(left, right, between, after, words, pick=lambda counts: counts.most_common(1)[0][0]):
    if (left, right) in between:
        return pick(between[left, right])
    return pick(after[left]) if left in after else pick(words)


def kept(losses, counts):
    return [(loss, count) for loss, count in zip(losses, counts, strict=True) if count]


def mean(losses, counts):
    return sum(loss * count for loss, count in kept(losses, counts)) / sum(counts)


def look(ids, mask, labels, mask_id, order="nperm", every=None, masks=None, same=torch.all, padding=0, none=torch.all):
    """n: no label; p: labels on padding; e: everywhere; r: labels are masks (replaced); m: nothing hidden (missing)."""
    at = labels != -100
    every = every or (lambda at: bool(at[mask == 1].all()))
    masks = masks or (lambda found: int(found.sum()) > len(found) / 2)
    found = {
        "n": (bool(none(~at)), "no label"),
        "p": (bool((at & (mask == padding)).any()), "labels on padding"),
        "e": (every(at), "labels everywhere"),
        "r": (bool(masks(labels[at] == mask_id)), "labels are masks"),
        "m": (bool(same(ids[at] == labels[at])), "nothing hidden"),
    }
    return next((found[letter][1] for letter in order if found[letter][0]), "fine")


def looks(**change):
    return lambda *case: look(*case, **change)


def times(phases, corpus, part=lambda s, r, n: s * r * n):
    return sum(part(*phase) for phase in phases) / corpus


def operations(layers, h, f, t, tokens, projections=4, inner=2, attention=2, factor=6):
    return factor * layers * (projections * h * h + inner * h * f + attention * t * h) * tokens


def ops(**change):
    return lambda *sizes: operations(*sizes, **change)


# ------------------------------------------------------------------------------------------------ wrong answers

WRONG = {
    "hold_out": [
        (lambda d, s: parts(d, s, clean=False), "sentences of dev that stand in train too are still there"),
        (lambda d, s: parts(d, s, keep_empty=True), "documents of dev without a sentence are still there"),
        (cleaned_train, "the shared sentences were taken out of train"),
        (cleaned_both, "the shared sentences were taken out of both parts"),
        (whole_documents, "left out whole because of one shared sentence"),
        (lambda d, s: parts(d, s)[::-1], "the two parts have changed places"),
        (lambda d, s: parts(d, s[:1]), "only the first of the sources was held out"),
        (lambda d, s: parts(d, s[1:] or s), "only the last of the sources was held out"),
        (one_of_each, "of each source one document was held out"),
        (lambda d, s: parts(d, s, held=lambda source: any(name in source for name in s)), "its name holds another one"),
        (lambda d, s: parts(d, s, order=lambda texts: list(dict.fromkeys(texts))), "dev has lost sentences that it has twice"),
        (lambda d, s: parts(d, s, order=lambda texts: sorted(set(texts))), "dev's sentences are in another order"),
        (shared_alone, "dev holds the shared sentences alone"),
        (lambda d, s: parts(d, s, held=lambda source: source not in s), "and all others held out"),
        (lambda d, s: (d, []), "nothing was held out"),
        (lambda d, s: parts(d, s)[0], "two lists are wanted"),
        (lambda d, s: tuple([t for _, t in part] for part in parts(d, s)), "a document is a pair, (source, sentences), with"),
        (lambda d, s: tuple([x for _, t in part for x in t] for part in parts(d, s)), "holds sentences or names by themselves"),
        (lambda d, s: tuple(map(dict, parts(d, s))), "a list of documents is wanted"),
    ],
    "inspect_batch": [
        (lambda *c: "fine", "it is always fine"),
        (looks(order="perm"), "the fault 'no label' is never found"),
        (looks(order="nerm"), "the fault 'labels on padding' is never found"),
        (looks(order="nprm"), "the fault 'labels everywhere' is never found"),
        (looks(order="npem"), "the fault 'labels are masks' is never found"),
        (looks(order="nper"), "the fault 'nothing hidden' is never found"),
        (looks(order="neprm"), "padding is asked about after the whole batch"),
        (looks(order="mnper"), "'nothing hidden' is asked first"),
        (looks(order="nmper"), "'nothing hidden' is asked before 'labels everywhere'"),
        (looks(order="npemr"), "'nothing hidden' is asked before 'labels are masks'"),
        (looks(masks=lambda found: found.all() and len(found)), "you ask whether all labels are mask_id"),
        (looks(masks=torch.any), "one label that is mask_id is enough for you"),
        (looks(same=torch.any), "one label that is what the model reads is enough"),
        (lambda i, m, labels, k: found if (found := look(i, m, labels, k, order="nper")) != "fine" else "fine" if (i == k).any() else "nothing hidden", "a batch without a [MASK] is not what"),
        (looks(every=lambda at: bool(at.all())), "'labels everywhere' looks at padding too"),
        (looks(every=lambda at: bool(at.any())), "a row without a free place is enough for you"),
        (looks(padding=1), "'labels on padding' looks where attention_mask is 1"),
        (looks(none=torch.any), "'no label' looks for one place without a label"),
        (lambda *c: True, "a text is wanted, one of"),
        (lambda *c: "padding", "labels on padding, labels everywhere, labels are masks, nothing hidden, fine is wanted"),
    ],
    "unigram_entropy": [
        (lambda c: -entropy(c), "the sign is wrong"),
        (lambda c: entropy(c, torch.log2), "base 2"),
        (lambda c: entropy(c, torch.log10), "base 10"),
        (lambda c: entropy(c).exp(), "this is the perplexity"),
        (lambda c: torch.tensor(math.log(len(c))), "logarithm of V"),
        (lambda c: torch.tensor(math.log((c > 0).sum())), "number of words that occur. Frequent"),
        (lambda c: entropy(c, weigh=lambda p: 1 / len(p)), "each term was weighted alike"),
        (lambda c: entropy(c, weigh=lambda p: 1), "without weights"),
        (lambda c: entropy(c) / len(c), "the sum was divided by V"),
        (lambda c: entropy(c) * c.sum(), "the counts themselves are the weights"),
        (lambda c: -(c[c > 0] * c[c > 0].log()).sum(), "the counts were not divided by their sum"),
        (lambda c: -(c / c.sum()).max().log(), "the most frequent word alone"),
        (lambda c: entropy(c + 1), "one was added to each count"),
        (lambda c: -(c.double().softmax(0) * c.double().log_softmax(0)).sum(), "a softmax was taken of the counts"),
        (lambda c: -(c / c.sum() * (c / c.sum()).log()).sum(), "0 times log 0 is nan"),
        (lambda c: -(c / c.sum()) * (c / c.sum()).clamp(min=1e-9).log(), "there is a term for each word. Their"),
        (lambda c: entropy(c)[None], "the sum keeps no dimension"),
        (lambda c: entropy(c).item(), "one number is wanted, as a tensor"),
    ],
    "neighbour_guess": [
        (lambda *c: c[4].most_common(1)[0][0], "the most frequent word of all, whatever stands beside"),
        (lambda left, right, between, *rest: guess(left, right, {}, *rest), "`between` was not asked"),
        (lambda left, right, between, after, words: guess(left, right, between, {}, words), "`after` was not asked"),
        (lambda left, right, between, after, words: guess(left, None, {}, after, words) if left in after else guess(left, right, between, {}, words), "`after` was asked before `between`"),
        (lambda left, right, between, after, words: guess(right, left, between, {left: after[left]} if left in after else {}, words) if (right, left) in between else guess(left, None, {}, after, words), "looked up as (right, left)"),
        (lambda left, right, between, after, words: guess(left, right, between, {left: after[right]} if right in after else {}, words), "`after` was asked for the right neighbour"),
        (lambda *c: guess(*c, pick=lambda counts: counts.most_common()[-1][0]), "the rarest word was taken"),
        (lambda *c: guess(*c, pick=max), "max(counter) compares the words themselves"),
        (lambda *c: guess(*c, pick=min), "min(counter) compares the words themselves"),
        (lambda *c: guess(*c, pick=lambda counts: next(iter(counts))), "the first word of the table was taken"),
        (lambda *c: guess(*c, pick=lambda counts: list(counts)[-1]), "the last word of the table was taken"),
        (lambda left, right, between, after, words: (between.get((left, right), Counter()) + after.get(left, Counter()) + words).most_common(1)[0][0], "the counts of the three tables were added"),
        (lambda left, *rest: left, "this is the left neighbour itself"),
        (lambda left, right, *rest: right, "this is the right neighbour itself"),
        (lambda *c: guess(*c, pick=lambda counts: counts.most_common(1)[0]), "a word with its count"),
        (lambda *c: [guess(*c)], "a list of one"),
        (lambda left, right, between, after, words: between[left, right].most_common(1)[0][0], "raised KeyError"),
    ],
    "perplexity": [
        (lambda x, n: math.exp(sum(loss for loss, _ in kept(x, n)) / len(kept(x, n))), "every batch counts alike"),
        (lambda x, n: sum(math.exp(loss) for loss, _ in kept(x, n)) / len(kept(x, n)), "this is the mean of the batches' perplexities"),
        (lambda x, n: mean([math.exp(loss) for loss in x], n), "this is the weighted mean of the batches' perplexities"),
        (mean, "this is the mean loss. The perplexity"),
        (lambda x, n: 2 ** mean(x, n), "this is 2 to the mean loss"),
        (lambda x, n: math.exp(-mean(x, n)), "exp of minus the mean"),
        (lambda x, n: math.exp(sum(loss for loss, _ in kept(x, n))), "this is exp of the sum of the losses"),
        (lambda x, n: math.exp(sum(loss * c for loss, c in kept(x, n)) / len(kept(x, n))), "divided by the number of batches"),
        (lambda x, n: math.exp(sum(loss for loss, _ in kept(x, n)) / len(x)), "counts as one with loss 0"),
        (lambda x, n: math.exp(x[-1]), "of the last batch alone"),
        (lambda x, n: math.exp(x[0]), "of the first batch alone"),
        (lambda x, n: math.exp(min(loss for loss, _ in kept(x, n))), "of the best batch alone"),
        (lambda x, n: math.exp(sum(loss * c for loss, c in zip(x, n, strict=True)) / sum(n)), "has no loss, nan, and 0 times nan"),
        (lambda x, n: [math.exp(loss) for loss in x], "one number is wanted"),
    ],
    "times_through": [
        (lambda p, c: times(p[:1], c), "only the first phase was counted"),
        (lambda p, c: times(p[-1:], c), "only the last phase was counted"),
        (lambda p, c: times(p, c, lambda s, r, n: s * r), "steps times rows is a number of rows"),
        (lambda p, c: times(p, c, lambda s, r, n: s * n), "the rows of a batch are missing"),
        (lambda p, c: times(p, c, lambda s, r, n: r * n), "the steps are missing"),
        (lambda p, c: int(times(p, c)), "divide with /, not with //"),
        (lambda p, c: round(times(p, c)), "this is rounded"),
        (lambda p, c: times(p, 1), "these are the tokens. Divide by the corpus"),
        (lambda p, c: 1 / times(p, c), "it is upside down"),
        (lambda p, c: 0.15 * times(p, c), "15 % is what is hidden"),
        (lambda p, c: sum(s * r for s, r, _ in p) * max(n for *_, n in p) / c, "the longest length"),
        (lambda p, c: sum(s * r for s, r, _ in p) * sum(n for *_, n in p) / len(p) / c, "the mean length"),
        (lambda p, c: times(p, c, lambda s, r, n: s * r * (n - 2)), "[CLS] and [SEP] were taken off"),
        (lambda p, c: [times([phase], c) for phase in p], "one number is wanted"),
    ],
    "training_operations": [
        (ops(factor=2), "only the way forward was counted. The way back costs"),
        (ops(factor=4), "the way back was counted like the way forward"),
        (ops(factor=3), "a multiplication and an addition are two operations"),
        (ops(factor=1), "multiplications were counted alone"),
        (ops(attention=0), "scores and sums, are missing"),
        (ops(attention=1), "attention has two products, scores and sums of values"),
        (ops(inner=1), "two matrices, in and out"),
        (ops(inner=0), "the feed-forward part is missing"),
        (ops(projections=3), "the output projection of attention is missing"),
        (ops(projections=1), "attention has four projections of H"),
        (ops(projections=0), "the four projections are missing"),
        (lambda layers, *rest: operations(1, *rest), "only one layer was counted"),
        (lambda *sizes: operations(*sizes[:4], 1), "this is the cost of one token"),
        (lambda n, h, f, t, d: 6 * n * (4 * h * h + 2 * h * f + 2 * t * t) * d, "T · T for each token. For"),
        (lambda n, h, f, t, d: 6 * n * (4 * h * h + 2 * h * f + 2 * t * t * h) * d, "T · T · H for each token"),
        (lambda *sizes: operations(*sizes) * sizes[3], "multiplied by T once more"),
        (lambda n, h, f, t, d: operations(n, h, 4 * h, t, d), "F was taken as 4"),
        (lambda *sizes: [operations(*sizes)], "one number is wanted"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "phrase"), cases(WRONG))
def test_a_wrong_answer_is_told_its_mistake(name, answer, phrase):
    outcome = getattr(pretraining, name)(answer)
    expect_sentence(outcome)
    assert phrase in outcome.message


def test_every_exercise_of_the_notebook_has_wrong_answers_here():
    assert list(WRONG) == [exercise.name for exercise in exercises_of("06_pretraining")]


# ------------------------------------------------------------------------------------------------ other right answers


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("hold_out", lambda d, s: tuple([list(map(list, part)) for part in parts(d, s)])),
        ("unigram_entropy", lambda c: torch.distributions.Categorical(probs=c / c.sum()).entropy()),
        ("unigram_entropy", lambda c: torch.special.entr(c / c.sum()).sum()),
        ("neighbour_guess", guess),
        ("perplexity", lambda x, n: torch.tensor(mean(x, n)).exp()),
        ("inspect_batch", lambda *c: look(*c).upper() + "."),
        ("times_through", times),
        ("training_operations", lambda *sizes: float(operations(*sizes))),
    ],
)
def test_other_right_answers_pass(name, answer):
    outcome = getattr(pretraining, name)(answer)
    assert outcome.passed, outcome.message
