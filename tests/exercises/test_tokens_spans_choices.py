"""The checks of notebook 08: what each wrong answer is told.

The wrong answers are what learners write: each differs from a right one by one mistake.
"""

import itertools

import numpy
import pytest
import torch
from sklearn.metrics import f1_score

from course_lib import alignment, datasets
from course_lib.exercises import tokens_spans_choices as checks
from course_lib.exercises.tensors import alike

from .exercise_cells import answer_of, cases, exercises_of, expect_sentence


def labelled(choose, special=-100):
    """Labels by a choice for each token: choose(word, word before, label)."""

    def answer(word_ids, labels):
        found, before = [], None
        for word in word_ids:
            found.append(special if word is None else choose(word, before, labels[word]))
            before = word
        return found

    return answer


def first(word, before, label):
    return label if word != before else -100


def last_piece(word_ids, labels):
    return labelled(first)(word_ids[::-1], labels)[::-1]


def by_label(word_ids, labels):
    found, before = [], None
    for word in word_ids:
        label = None if word is None else labels[word]
        found.append(-100 if label in (None, before) else label)
        before = label
    return found


def counted(word_ids, labels):
    waiting, found, before = iter(labels), [], None
    for word in word_ids:
        found.append(-100 if word is None or word == before else next(waiting))
        before = word
    return found


def begun(begins):
    """Tags in which I- becomes B- where begins(tag, tag before)."""

    def answer(tags):
        befores = ["O", *tags[:-1]]
        return ["B" + t[1:] if t[0] == "I" and begins(t, b) else t for t, b in zip(tags, befores, strict=True)]

    return answer


right_tags = begun(lambda tag, before: tag[1:] != before[1:])


def first_name_alone(tags):
    return ["B" + tag[1:] if tag[0] == "I" and set(tags[:place]) <= {"O"} else tag for place, tag in enumerate(tags)]


def spans(score=lambda a, b: a + b, low=lambda b: b, high=lambda a, t: a, reach=lambda n: n, least=1, give=lambda i, j: (i, j)):  # fmt: skip
    """The best of all pairs, by what the arguments allow."""

    def answer(start, end, begin, after, longest):
        pairs = [
            (score(start[i], end[j]).item(), i, j)
            for i, j in itertools.product(range(low(begin), high(after, len(start))), repeat=2)
            if least <= j - i + 1 <= max(reach(longest), 1)
        ]
        _, i, j = max(pairs, default=(0, begin, begin))
        return give(i, j)

    return answer


right_span = spans()


def by_start(start, end, begin, after, longest):
    i = start[begin:after].argmax() + begin
    return i, i + end[i : min(i + longest, after)].argmax()


def by_end(start, end, begin, after, longest):
    j = end[begin:after].argmax() + begin
    low = max(begin, j - longest + 1)
    return low + start[low : j + 1].argmax(), j


def scores(encode, ids):
    return encode(ids.flatten(0, 1)).view(ids.shape[:2])


def mixed(encode, ids):
    batch, choices, _ = ids.shape
    return encode(ids.flatten(0, 1)).view(choices, batch).T


def turned(encode, ids):
    return encode(ids.transpose(0, 1).flatten(0, 1)).view(ids.shape[:2])


def table(labels, guessed):
    return tuple((a & b).sum().item() for a in (labels == 1, labels == 0) for b in (guessed == 1, guessed == 0))


def of_counts(function):
    def answer(labels, guessed):
        tp, fn, fp, tn = table(labels, guessed)
        return function(tp, fp, fn, tn)

    return answer


def f1(labels, guessed, average):
    return f1_score(labels, guessed, average=average, zero_division=0)


# The name of a check -> wrong answers, each with a phrase that its message alone has.
WRONG = {
    "piece_labels": [
        (labelled(lambda word, before, label: label), "every piece has the label of its word"),
        (labelled(lambda word, before, label: label, 0), "every piece has a label, and [CLS]"),
        (labelled(first, 0), "[CLS] and [SEP] have the label 0"),
        (labelled(lambda w, b, label: label if w != b else 0), "the later pieces have the label 0"),
        (labelled(lambda w, b, label: label if w != b else 0, 0), "0 stands where no label counts"),
        (labelled(lambda w, b, label: label if w != b else -1, -1), "-1 stands where"),
        (labelled(lambda w, b, label: label if w != b else None, None), "None stands where"),
        (labelled(lambda w, b, label: label if w != b else 100, 100), "100 has lost its minus sign"),
        (last_piece, "the last piece of a word has its label"),
        (by_label, "a word with the label of the word before it"),
        (counted, "a word that has no token shifts"),
        (lambda w, n: n, "That is one for each word"),
        (lambda w, n: [n[i] for i in w if i is not None], "[CLS] and [SEP] are tokens too"),
        (lambda w, n: [*labelled(first)(w, n), -100], "8 labels for 7 tokens. Each token needs one"),
        (lambda w, n: dict(zip(w, n, strict=False)), "a list with a label for each token is wanted"),
        (lambda w, n: [n[i] for i in w], "raised TypeError"),
    ],
    "to_iob2": [
        (lambda t: [tag.replace("I-", "B-") for tag in t], "every I- became B-"),
        (lambda t: t, "nothing changed"),
        (lambda t: t[:1] + right_tags(t)[1:], "the first tag of the sentence has nothing before it"),
        (begun(lambda tag, before: before == "O"), "only after O does a name begin"),
        (begun(lambda tag, before: tag != before), "the whole tags are compared"),
        (lambda t: right_tags([tag.replace("B-", "I-") for tag in t]), "the B- that was there is lost"),
        (first_name_alone, "only the first name of the sentence"),
        (lambda t: [tag[0] for tag in right_tags(t)], "the types are lost"),
        (lambda t: [{"B": "I", "I": "B", "O": "O"}[tag[0]] + tag[1:] for tag in right_tags(t)], "have changed places"),
        (lambda t: [tag.replace("B-", "I-") for tag in right_tags(t)], "lost the B- again"),
        (begun(lambda tag, before: tag[1:] == before[1:]), "where the type stays the same"),
        (lambda t: [tag for tag in right_tags(t) if tag != "O"], "each of the 4 words keeps one"),
        (lambda t: " ".join(right_tags(t)), "a list of tags is wanted"),
    ],
    "best_span": [
        (lambda s, e, b, a, n: (s.argmax(), e.argmax()), "of the whole row are taken each by itself"),
        (lambda s, e, b, a, n: (b + s[b:a].argmax(), b + e[b:a].argmax()), "of the passage are taken each by itself"),
        (by_start, "the start is chosen first"),
        (by_end, "the end is chosen first"),
        (spans(low=lambda b: 0, high=lambda a, t: t), "the pairs of the question take part"),
        (spans(low=lambda b: 0), "the question takes part"),
        (spans(high=lambda a, t: t), "what is behind the passage takes part"),
        (spans(high=lambda a, t: a + 1), "the token at after takes part"),
        (spans(high=lambda a, t: a - 1), "the last token of the passage is left out"),
        (spans(low=lambda b: b + 1), "the first token of the passage is left out"),
        (spans(reach=lambda n: 99), "longest has no say"),
        (spans(reach=lambda n: n + 1), "answers of longest + 1 tokens"),
        (spans(reach=lambda n: n - 1), "answers of longest tokens are left out"),
        (spans(least=2), "answers of one token are left out"),
        (spans(lambda a, b: a * b), "the scores are multiplied"),
        (spans(lambda a, b: -a - b), "the worst pair is taken"),
        (lambda s, e, b, a, n: right_span(e, s, b, a, n), "start and end have changed places"),
        (spans(give=lambda i, j: (i, j + 1)), "the place behind the last token is given"),
        (spans(give=lambda i, j: (j, i)), "the pair is given the wrong way round"),
        (lambda s, e, b, a, n: [p - b for p in right_span(s, e, b, a, n)], "the places are counted from begin"),
        (spans(give=lambda i, j: (i, j, 0.5)), "a pair of places, (first, last), is wanted."),
        (spans(give=lambda i, j: (i / 7, j / 7)), "two whole numbers"),
    ],
    "choice_probabilities": [
        (lambda f, x: scores(f, x), "these are the scores. Their softmax"),
        (lambda f, x: scores(f, x).softmax(0), "the softmax goes over the examples"),
        (lambda f, x: scores(f, x).flatten().softmax(0).view(x.shape[:2]), "over all rows together"),
        (lambda f, x: f(x.flatten(0, 1)).softmax(-1).view(x.shape[:2]), "over the one score of each text"),
        (lambda f, x: scores(f, x).sigmoid(), "these are sigmoids"),
        (lambda f, x: scores(f, x).log_softmax(1), "these are logarithms"),
        (lambda f, x: scores(f, x) / scores(f, x).sum(1, keepdim=True), "divided by their sum"),
        (lambda f, x: mixed(f, x).softmax(1), "(B * M) was cut into (M, B)"),
        (lambda f, x: turned(f, x).softmax(1), "exchanged before they were joined"),
        (mixed, "the scores, with the choices of different examples mixed"),
        (lambda f, x: (scores(f, x) == scores(f, x).amax(1, keepdim=True)).float(), "the best choice has 1"),
        (lambda f, x: scores(f, x).softmax(1).softmax(1), "the softmax was taken twice"),
        (lambda f, x: (-scores(f, x)).softmax(1), "have lost their sign"),
        (lambda f, x: scores(f, x).softmax(1)[..., None], "the last dimension is still there"),
        (lambda f, x: f(x.flatten(0, 1)).softmax(0).flatten(), "has shape (15,)"),
        (lambda f, x: scores(f, x).softmax(1).T, "examples and choices have changed places"),
        (lambda f, x: scores(f, x).argmax(1), "there is one number an example"),
        (lambda f, x: scores(f, x).softmax(1).squeeze(0), "the dimension of the batch is gone"),
        (lambda f, x: f(x), "encode takes texts and tokens, (N, T)"),
        (lambda f, x: scores(f, x).softmax(1).tolist(), "something of type list"),
    ],
    "micro_f1": [
        (of_counts(lambda tp, fp, fn, tn: (tp + tn) / (tp + fp + fn + tn)), "the share of decisions that are right"),
        (lambda a, b: (a == b).all(1).float().mean(), "subset accuracy"),
        (of_counts(lambda tp, fp, fn, tn: tp / max(tp + fp, 1)), "you gave the precision"),
        (of_counts(lambda tp, fp, fn, tn: tp / max(tp + fn, 1)), "you gave the recall"),
        (of_counts(lambda tp, fp, fn, tn: (tp / max(tp + fp, 1) + tp / max(tp + fn, 1)) / 2), "the mean of precision"),
        (of_counts(lambda tp, fp, fn, tn: tp / max(tp + fp, 1) * tp / max(tp + fn, 1)), "the product of precision"),
        (lambda a, b: f1(a, b, "macro"), "macro F1"),
        (lambda a, b: f1(a, b, "samples"), "each text's own F1"),
        (of_counts(lambda tp, fp, fn, tn: tp / (2 * tp + fp + fn)), "the 2 is missing above"),
        (of_counts(lambda tp, fp, fn, tn: tp / (tp + fp + fn)), "the Jaccard index"),
        (of_counts(lambda tp, fp, fn, tn: 2 * tp / (tp + fp + fn)), "the 2 is missing below"),
        (of_counts(lambda tp, fp, fn, tn: 2 * tn / (2 * tn + fp + fn)), "yes and no have changed places"),
        (lambda a, b: 100 * f1(a, b, "micro"), "in per cent"),
        (of_counts(lambda tp, fp, fn, tn: tp), "how often yes is right"),
        (of_counts(lambda tp, fp, fn, tn: 2 * tp / (2 * tp + fp + fn) if tp else float("nan")), "you gave nan"),
        (lambda a, b: f1_score(a, b, average=None, zero_division=0), "one number is wanted"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "phrase"), cases(WRONG))
def test_a_wrong_answer_is_told_its_own_mistake(name, answer, phrase):
    outcome = getattr(checks, name)(answer)
    expect_sentence(outcome)
    assert phrase in outcome.message


def by_matrix(start, end, begin, after, longest):
    length = torch.arange(len(end))[None] - torch.arange(len(start))[:, None] + 1
    pairs = (start[:, None] + end[None]).masked_fill((length < 1) | (length > longest), -torch.inf)
    inside = pairs[begin:after, begin:after]
    i, j = divmod(inside.argmax().item(), inside.shape[1])
    return numpy.array([begin + i, begin + j])


RIGHT_TOO = {
    "piece_labels": [
        lambda w, n: [
            n[i] if i is not None and i not in w[:place] else -100 for place, i in enumerate(w)
        ],
        lambda w, n: torch.tensor(labelled(first)(w, n)),
        lambda w, n: tuple(labelled(first)(w, n)),
    ],
    "to_iob2": [
        lambda t: datasets.tags.to_iob2(t, "IOB1"),
        lambda t: tuple(right_tags(t)),
    ],
    "best_span": [
        by_matrix,
        lambda *case: torch.tensor(right_span(*case)),
        lambda s, e, b, a, n: right_span(s.log_softmax(0), e.log_softmax(0), b, a, n),
        lambda *case: list(right_span(*case)),
    ],
    "choice_probabilities": [
        lambda f, x: torch.stack([f(row).flatten().softmax(0) for row in x]),
        lambda f, x: torch.cat([f(x[:, i]) for i in range(x.shape[1])], dim=1).softmax(-1),
        lambda f, x: f(x.view(-1, x.size(-1))).view(-1, x.shape[1]).softmax(1),
    ],
    "micro_f1": [
        lambda a, b: f1(a, b, "micro"),
        lambda a, b: torch.tensor(f1(a, b, "micro")),
        lambda a, b: 2 * (a * b).sum() / (a.sum() + b.sum()),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name in RIGHT_TOO for answer in RIGHT_TOO[name]])
def test_another_right_way_passes_too(name, answer):
    outcome = getattr(checks, name)(answer)
    assert outcome.passed, outcome.message


def test_every_check_has_another_right_way_and_many_wrong_ones_here():
    names = {e.name for e in exercises_of("08_tokens_spans_choices")}
    assert set(RIGHT_TOO) == set(WRONG) == names
    assert all(len(WRONG[name]) >= 8 for name in names)


# ------------------------------------------------------------------------------------------ known mistakes


@pytest.mark.parametrize(
    ("right", "wrong", "inputs"),
    [
        (checks._piece_labels, checks._wrong_labels(), checks._ALIGNED),
        (checks._to_iob2, checks._wrong_tags(), [(tags,) for tags in checks._TAGS]),
        (checks._best, checks._wrong_spans(), checks._span_cases()),
        (checks._micro, checks._wrong_f1(), [tuple(map(torch.tensor, case)) for case in checks._LABELLED]),
    ],
    ids=["labels", "tags", "spans", "f1"],
)
def test_every_known_mistake_differs_from_the_right_answer_and_from_the_others(right, wrong, inputs):
    found = [[right(*case) for case in inputs], *([function(*case) for case in inputs] for _, function in wrong)]
    same = [(a, b) for a, b in itertools.combinations(range(len(found)), 2) if alike(found[a], found[b])]
    assert same == []


@pytest.mark.parametrize("shape", checks._CHOICES[:2])
def test_every_known_mistake_with_choices_differs_from_the_others(shape):
    ids = torch.randint(5, 97, shape, generator=torch.Generator().manual_seed(shape[0]))
    wrong = [values for _, values in checks._wrong_probabilities(checks._Encoder(), ids)]
    wrong.append(scores(checks._Encoder(), ids).softmax(1).double())
    assert not any(torch.allclose(a, b, atol=1e-5) for a, b in itertools.combinations(wrong, 2))


# ------------------------------------------------------------------------------------------ the library agrees


def test_the_solution_gives_the_labels_of_the_library():
    from course_lib import pretrained

    tokenizer = pretrained.load_tokenizer()
    found = alignment.align_labels(tokenizer, [["Unaffable", "people", "in", "Wrocław"]], [[1, 0, 0, 2]])
    right = answer_of(checks.piece_labels, "solutions")
    assert list(right(list(found.word_ids[0]), [1, 0, 0, 2])) == found.columns["labels"][0]
