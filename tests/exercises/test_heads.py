"""The checks of notebook 02: what each wrong answer is told.

The wrong answers are what learners write: each differs from a right one by one mistake.
"""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_lib import heads as library
from course_lib.exercises import heads

from .exercise_cells import cases, exercises_of, expect_sentence

INF = float("inf")
RIGHT_HEADS = {
    "spam or not": "BertForSequenceClassification",
    "which of four endings": "BertForMultipleChoice",
    "names of people in a text": "BertForTokenClassification",
    "the passage's words that answer a question": "BertForQuestionAnswering",
    "does B follow A": "BertForNextSentencePrediction",
    "a word behind [MASK]": "BertForMaskedLM",
}


def real_only(x, m):
    return x.masked_fill(m[..., None] == 0, -INF)


def alone(model, x):
    """The answers of the rows, each a batch of one, (B, K)."""
    return torch.cat([model(x[i : i + 1]).reshape(1, -1) for i in range(len(x))])


def change(model, x):
    return model(x).view(len(x), -1) - alone(model, x)


def mixed(weights, states):
    return (weights[:, None, None, None] * torch.stack(states)).sum(0)


def tied(decoder, embedding):
    decoder.weight = embedding.weight
    return decoder


def tied_with(name, value):
    """Tied rightly, and then an attribute of the decoder changed."""

    def answer(decoder, embedding):
        setattr(decoder, name, value(decoder, embedding))
        return tied(decoder, embedding)

    return answer


def tied_to_a_parameter(make):
    def answer(decoder, embedding):
        decoder.weight = nn.Parameter(make(embedding.weight))
        return decoder

    return answer


def tied_by_data(decoder, embedding):
    decoder.weight.data = embedding.weight.data
    return decoder


def tied_the_other_way(decoder, embedding):
    embedding.weight = decoder.weight
    return decoder


def tied_and_frozen(decoder, embedding):
    embedding.weight.requires_grad_(False)
    return tied(decoder, embedding)


def tied_and_new(decoder, embedding):
    nn.init.zeros_(embedding.weight)
    return tied(decoder, embedding)


def added_a_bias(decoder, embedding):
    if decoder.bias is None:
        decoder.bias = nn.Parameter(torch.zeros(len(decoder.weight)))
    return tied(decoder, embedding)


def loss(logits, labels, **options):
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), **options)


def by_text(logits, labels):
    return torch.stack([loss(s[:-1], n[1:]) for s, n in zip(logits, labels, strict=True)])


def chosen(**changes):
    """The right choice with some heads changed; the tasks are named by one of their words."""
    return {
        task: next((value for word, value in changes.items() if word in task), head)
        for task, head in RIGHT_HEADS.items()
    }


# The name of a check -> wrong answers, each with a phrase that its message alone has.
WRONG = {
    "masked_max": [
        (lambda x, m: x.amax(1), "the padding is in your maximum"),
        (lambda x, m: (x * m[..., None]).amax(1), "and 0 wins where all real tokens are negative"),
        (lambda x, m: x.masked_fill(m[..., None] == 0, -1).amax(1), "the padding became -1"),
        (lambda x, m: x.masked_fill(m[..., None] == 1, -INF).amax(1), "a text without any has minus infinity"),
        (lambda x, m: (x * (1 - m[..., None])).amax(1), "turned round, and 0 wins"),
        (lambda x, m: (x * m[..., None]).sum(1) / m.sum(1, keepdim=True), "you gave the mean of the real tokens"),
        (lambda x, m: x.mean(1), "you gave the mean, with the padding"),
        (lambda x, m: (x * m[..., None]).sum(1), "you gave the sum"),
        (lambda x, m: x.masked_fill(m[..., None] == 0, INF).amin(1), "you gave the minimum"),
        (lambda x, m: (x * m[..., None]).abs().amax(1), "you gave the largest absolute value"),
        (lambda x, m: real_only(x, m).argmax(1), "you gave the places of the maxima"),
        (lambda x, m: x[:, 0], "you gave the vector of [CLS]"),
        (lambda x, m: real_only(x, m)[:, 1:].amax(1), "you left out [CLS]"),
        (lambda x, m: x[range(len(x)), real_only(x, m)[..., 0].argmax(1)], "with the largest first number"),
        (lambda x, m: real_only(x, m).max(dim=1), "Take .values, or use .amax(dim=1)"),
        (lambda x, m: real_only(x, m), "there is still one vector a token"),
        (lambda x, m: real_only(x, m).amax(0), "the maximum over the texts"),
        (lambda x, m: real_only(x, m).amax(-1), "the maximum of each vector"),
        (lambda x, m: real_only(x, m).amax((0, 1)), "one vector for all 3 texts together"),
        (lambda x, m: real_only(x, m).amax((1, 2)), "one number a text"),
        (lambda x, m: real_only(x, m).max(), "one number for everything"),
        (lambda x, m: real_only(x, m).amax(1, keepdim=True), "without keepdim=True"),
        (lambda x, m: real_only(x, m).amax(1).squeeze(), "a batch of one stays a batch"),
        (lambda x, m: x.masked_fill(m == 0, -INF).amax(1), "mask[..., None] is (B, T, 1)"),
        (lambda x, m: (x + (m[..., None] - 1) * 50).amax(1), "and 90 added to the padding, the numbers do not agree: your result changes"),
        (lambda x, m: real_only(x, m).amax(1) + 0.25, "off by up to 0.25"),
    ],
    "batch_change": [
        (lambda f, x: change(f, x).max(), "so a change downwards is not seen"),
        (lambda f, x: (-change(f, x)).max(), "so a change upwards is not seen"),
        (lambda f, x: change(f, x).mean().abs(), "the absolute value comes last, after the mean"),
        (lambda f, x: change(f, x).abs().mean(), "you gave the mean of the differences"),
        (lambda f, x: change(f, x).abs().sum(), "you gave the sum of the differences"),
        (lambda f, x: change(f, x).abs().min(), "you gave the smallest difference"),
        (lambda f, x: (change(f, x) ** 2).max(), "you gave the largest square"),
        (lambda f, x: (change(f, x) ** 2).mean(), "you gave the mean square"),
        (lambda f, x: change(f, x).norm(), "you gave the norm"),
        (lambda f, x: change(f, x).abs().sum(1).max(), "you summed the differences of each row"),
        (lambda f, x: change(f, x).abs().mean(1).max(), "you averaged over the scores"),
        (lambda f, x: change(f, x).abs().amax(1).mean(), "you averaged over the rows"),
        (lambda f, x: change(f, x)[0].abs().max(), "you looked at the first row alone"),
        (lambda f, x: change(f, x)[-1].abs().max(), "you looked at the last row alone"),
        (lambda f, x: change(f, x)[1 if len(x) > 1 else 0 :].abs().max(), "the first row is left out"),
        (lambda f, x: change(f, x)[: -1 if len(x) > 1 else 1].abs().max(), "the last row is left out"),
        (lambda f, x: (torch.stack([f(x[i : i + 1]) for i in range(len(x))]) - f(x)).abs().max(), "(B, 1, K) minus (B, K) is (B, B, K)"),
        (lambda f, x: (f(x) - f(x[:1])).abs().max(), "compared with the first row alone"),
        (lambda f, x: (f(x) - f(x[-1:])).abs().max(), "compared with the last row alone"),
        (lambda f, x: (f(x)[None] - f(x)[:, None]).abs().max(), "the rows of the batch with each other"),
        (lambda f, x: f(x).abs().max(), "you gave the largest score of the batch"),
        (lambda f, x: alone(f, x).abs().max(), "you gave the largest score of the rows alone"),
        (lambda f, x: (f(x).max() - alone(f, x).max()).abs(), "you compared the largest scores"),
        (lambda f, x: (change(f, x) / alone(f, x)).abs().max(), "you divided by the answers"),
        (lambda f, x: (f(x) - f(x)).abs().max(), "your two answers are the same"),
        (lambda f, x: bool((change(f, x) != 0).any()), "you gave True; one number is wanted"),
        (lambda f, x: change(f, x).abs().amax(1), "There is one for each row"),
        (lambda f, x: change(f, x).abs(), "There is a difference for each score"),
        (lambda f, x: (f(x) - torch.stack([f(row) for row in x])).abs().max(), "x[i : i + 1] keeps it"),
        (lambda f, x: max((f(x)[i] - f(x[i : i + 1])[0]).abs().max() for i in range(len(x))), "model(...)[0] is the first score alone"),
        (lambda f, x: max(abs(f(x)[i, k] - f(x[i : i + 1])[0, k]) for i in range(len(x)) for k in range(3)), "(1, K), or (K,) where the model drops the batch"),
        (lambda f, x: float(change(f, x).abs().max()) + 0.5, "you gave 2.764; expected 2.264."),
        (lambda f, x: f.nope, "no attribute 'nope'"),
    ],
    "mix_layers": [
        (lambda h, s: mixed(s, h), "you took the scores as they are"),
        (lambda h, s: mixed(s / s.sum(), h), "you divided the scores by their sum"),
        (lambda h, s: mixed(s.sigmoid(), h), "you took sigmoid"),
        (lambda h, s: mixed(s.exp(), h), "you took e to the scores"),
        (lambda h, s: mixed(s.log_softmax(0), h), "you took log_softmax"),
        (lambda h, s: torch.stack(h).mean(0), "the plain mean of the layers"),
        (lambda h, s: sum(h), "the plain sum of the layers"),
        (lambda h, s: (torch.stack(h) * s.softmax(0)[:, None, None, None]).mean(0), "you took the mean of the weighted layers"),
        (lambda h, s: mixed(s.softmax(0).softmax(0), h), "softmax is taken twice"),
        (lambda h, s: mixed(s.softmax(0).flip(0), h), "in the wrong order, the last one first"),
        (lambda h, s: mixed(s[1:].softmax(0), h[1:]), "hidden_states[0], are left out. All L + 1"),
        (lambda h, s: mixed(s.softmax(0)[1:], h[1:]), "hidden_states[0], are left out after the softmax"),
        (lambda h, s: mixed(s[:-1].softmax(0), h[:-1]), "the last layer is left out."),
        (lambda h, s: h[s.argmax()], "you took the layer with the largest score alone"),
        (lambda h, s: h[-1], "you gave the last layer alone"),
        (lambda h, s: mixed((-s).softmax(0), h), "the scores have the wrong sign"),
        (lambda h, s: mixed(s.softmax(0)[:-1], h[1:]), "the scores moved by one"),
        (lambda h, s: ((s[:, None, None, None] * torch.stack(h)).softmax(0) * torch.stack(h)).sum(0), "number by number. It is taken of the scores alone"),
        (lambda h, s: ((s[:, None, None, None] * torch.stack(h)).softmax(1) * torch.stack(h)).sum(0), "the softmax is over the texts"),
        (lambda h, s: s.softmax(0)[:, None, None, None] * torch.stack(h), "there is still one tensor a layer. Sum over the layers: .sum(dim=0)"),
        (lambda h, s: (s.softmax(0)[:, None, None, None] * torch.stack(h)).sum(1), "you summed over the texts"),
        (lambda h, s: (s.softmax(0)[:, None, None, None] * torch.stack(h)).sum(2), "you summed over the tokens"),
        (lambda h, s: s.softmax(0), "you gave the weights"),
        (lambda h, s: torch.cat([w * x for w, x in zip(s.softmax(0), h, strict=True)], -1), "the layers stand side by side"),
        (lambda h, s: [w * x for w, x in zip(s.softmax(0), h, strict=True)], "add the weighted layers up to one tensor"),
        (lambda h, s: mixed(s.softmax(0), h).squeeze(), "a batch of one stays a batch"),
        (lambda h, s: (s.softmax(0) * torch.stack(h)).sum(0), "weights[:, None, None, None] is"),
        (lambda h, s: mixed(s.softmax(0), h) + 0.25, "off by up to 0.25"),
        (lambda h, s: (h * s).sum(0), "can't multiply sequence by non-int"),
    ],
    "tie": [
        (lambda d, e: d, "nothing is shared"),
        (tied_by_data, "but are two parameters"),
        (tied_to_a_parameter(torch.Tensor.clone), "the numbers are equal, but copied"),
        (tied_to_a_parameter(torch.t), "(V, H), which is the table's own shape: nothing is transposed"),
        (tied_to_a_parameter(lambda w: w[:5]), "It is to be the table itself"),
        (tied_to_a_parameter(lambda w: w / 2), "and their numbers differ"),
        (tied_the_other_way, "they share one weight, but the decoder's"),
        (tied_and_new, "but its numbers have changed"),
        (tied_and_frozen, "the shared weight is frozen"),
        (tied_with("bias", lambda d, e: None), "the decoder's bias is gone"),
        (tied_with("bias", lambda d, e: nn.Parameter(torch.zeros(len(e.weight)))), "the decoder's bias has other numbers"),
        (added_a_bias, "the decoder had no bias, and now has one"),
        (lambda d, e: tied(copy.deepcopy(d), e), "another layer than the one you were given"),
        (lambda d, e: tied(d, e) and e, "you returned the embedding"),
        (lambda d, e: tied(d, e).weight, "you returned a tensor (11, 5)"),
        (lambda d, e: (tied(d, e), e), "you returned (Linear("),
        (lambda d, e: tied(d, e) and True, "you returned True"),
        (tied_with("bias", lambda d, e: e.weight), "the decoder's bias is the embedding's table now"),
        (lambda d, e: setattr(d, "weight", e.weight.data), "cannot assign 'torch.FloatTensor' as parameter 'weight'"),
        (lambda d, e: setattr(d, "weight", e.weight), "returned None. Is a `return` missing?"),
        (lambda d: d, "is called with 2 arguments"),
    ],
    "next_token_loss": [
        (lambda s, n: loss(s, n), "which it sees. The scores at a place predict the next one: logits[:, :-1], labels[:, 1:]."),
        (lambda s, n: loss(s[:, :-1], n[:, :-1]), "both are cut at the end"),
        (lambda s, n: loss(s[:, 1:], n[:, 1:]), "both are cut at the beginning"),
        (lambda s, n: loss(s[:, 1:], n[:, :-1]), "you moved the wrong way"),
        (lambda s, n: loss(s, n.roll(-1, 1)), "roll brings the first token to the end"),
        (lambda s, n: F.cross_entropy(s.flatten(0, 1)[:-1], n.flatten()[1:]), "you flattened before you moved"),
        (lambda s, n: loss(s[:, :-2], n[:, 2:]), "you moved by two"),
        (lambda s, n: loss(s[:-1], n[1:]), "the texts are moved"),
        (lambda s, n: loss(s[:, :-1].softmax(-1), n[:, 1:]), "it has its own softmax"),
        (lambda s, n: F.nll_loss(s[:, :-1].flatten(0, 1), n[:, 1:].flatten()), "nll_loss takes log_softmax"),
        (lambda s, n: F.nll_loss(s[:, :-1].flatten(0, 1).softmax(-1), n[:, 1:].flatten()), "the logarithm is missing"),
        (lambda s, n: loss(s[:, :-1], n[:, 1:].clamp(min=0)), "as word 0"),
        (lambda s, n: loss(s[:, :-1], n[:, 1:], reduction="sum"), "expected 4.3159: you gave the sum"),
        (lambda s, n: loss(s[:, :-1], n[:, 1:], reduction="none").mean(), "you still divide by all places"),
        (lambda s, n: loss(s[:, :-1], n[:, 1:], reduction="sum") / n.numel(), "you divide by B x T = 21"),
        (lambda s, n: loss(s[:, :-1], n[:, 1:], reduction="sum") / len(n), "you divide by the number of texts"),
        (lambda s, n: by_text(s, n).mean(), "you took the mean of each text"),
        (lambda s, n: -loss(s[:, :-1], n[:, 1:]), "the sign is wrong"),
        (lambda s, n: loss(s[:, :-1], n[:, 1:]).exp(), "you gave the perplexity"),
        (lambda s, n: loss(s[:, :-1], n[:, 1:]) / torch.tensor(2.0).log(), "to the base 2"),
        (lambda s, n: loss(s, n, reduction="sum"), "labels[:, 1:]; you gave the sum"),
        (lambda s, n: by_text(s, n), "there is a loss for each text"),
        (lambda s, n: loss(s[:, :-1], n[:, 1:], reduction="none"), "has shape (18,)"),
        (lambda s, n: F.cross_entropy(s[:, :-1].mT, n[:, 1:], reduction="none"), "has shape (3, 6)"),
        (lambda s, n: loss(s[:, :-1], n[:, 1:])[None], "has shape (1,)"),
        (lambda s, n: loss(s[:, :-1], n[:, 1:]).item(), "for .backward() begins at it"),
        (lambda s, n: F.cross_entropy(s[:, :-1], n[:, 1:]), "cross_entropy takes (places, V)"),
        (lambda s, n: loss(s[:, :-1], n[:, 1:]) * float("nan"), "Did a place with the label -100 get in?"),
        (lambda s, n: loss(s[:, :-1], n[:, 1:]) + 0.5, "+0.5000 away from it"),
    ],
    "choose_heads": [
        (chosen(spam="BertForTokenClassification"), "'spam or not' is not the task of BertForTokenClassification"),
        (chosen(spam="BertForMultipleChoice"), "'spam or not' is not the task of BertForMultipleChoice"),
        (chosen(endings="BertForSequenceClassification"), "Its classes are fixed"),
        (chosen(endings="BertForNextSentencePrediction"), "Here you need one score for each of four texts"),
        (chosen(names="BertForSequenceClassification"), "It gives one label for a text or a pair. Here you need a label for each token"),
        (chosen(names="BertForQuestionAnswering"), "It gives a start and an end in a passage"),
        (chosen(passage="BertForTokenClassification"), "nothing in it makes the marked words one span"),
        (chosen(follow="BertForSequenceClassification"), "It could learn this from pairs"),
        (chosen(follow="BertForPreTraining"), "masked words too. One head has that layer alone. 5 of 6"),
        (chosen(MASK="BertForPreTraining"), "and the one for the next sentence too"),
        (chosen(MASK="BertLMHeadModel"), "made to see what stands before a word"),
        (chosen(MASK="BertForPreTraining", follow="BertForPreTraining"), "4 of 6 are right"),
        (chosen(MASK="BertForMaskedLm"), "Did you mean BertForMaskedLM?"),
        (chosen(MASK="GPT"), "There are BertForPreTraining, BertForMaskedLM"),
        (chosen(MASK=7), "For 'a word behind [MASK]' you gave 7"),
        (chosen(MASK=...), "still has three dots"),
        ({"spam or not": "BertForSequenceClassification"}, "no entry for 'which of four endings'"),
        (RIGHT_HEADS | {"spam": "BertForSequenceClassification"}, "'spam' is none of the six tasks"),
        (list(RIGHT_HEADS.values()), "dict(zip(tasks, your_list)) makes one"),
        ("BertForMaskedLM", "you gave 'BertForMaskedLM'"),
        (None, "you gave None"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "phrase"), cases(WRONG))
def test_a_wrong_answer_is_told_its_own_mistake(name, answer, phrase):
    outcome = getattr(heads, name)(answer)
    expect_sentence(outcome)
    assert phrase in outcome.message


def shared_anew(decoder, embedding):
    decoder.weight = embedding.weight = nn.Parameter(embedding.weight.detach().clone())
    return decoder


RIGHT_TOO = {
    "masked_max": [
        lambda x, m: real_only(x, m).max(dim=1).values,
        lambda x, m: torch.stack([v[n.bool()].amax(0) for v, n in zip(x, m, strict=True)]),
        lambda x, m: (x + (m[..., None] - 1) * 1e4).amax(1),
    ],
    "batch_change": [
        lambda f, x: change(f, x).abs().max(),
        lambda f, x: float(change(f, x).abs().max()),
        lambda f, x: max((f(x).view(len(x), -1)[i] - f(x[[i]])).abs().max().numpy() for i in range(len(x))),
        lambda f, x: max((f(x) - f(x.roll(-i, 0)[:1])).view(len(x), -1)[i].abs().max() for i in range(len(x))),
    ],
    "mix_layers": [
        lambda h, s: sum(w * x for w, x in zip(s.softmax(0), h, strict=True)),
        lambda h, s: torch.einsum("l,lbth->bth", s.softmax(-1), torch.stack(h)),
        lambda h, s: torch.stack(h, -1) @ s.softmax(0),
    ],
    "tie": [tied, shared_anew],
    "next_token_loss": [
        lambda s, n: F.cross_entropy(s[:, :-1].transpose(1, 2), n[:, 1:]),
        lambda s, n: loss(s, F.pad(n[:, 1:], (0, 1), value=-100)),
        lambda s, n: (F.cross_entropy(s[:, :-1].mT, n[:, 1:], reduction="none")).sum() / (n[:, 1:] != -100).sum(),
    ],
    "choose_heads": [
        {task: getattr(library, name) for task, name in RIGHT_HEADS.items()},
        dict(reversed(RIGHT_HEADS.items())),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name in RIGHT_TOO for answer in RIGHT_TOO[name]])
def test_another_right_way_passes_too(name, answer):
    outcome = getattr(heads, name)(answer)
    assert outcome.passed, outcome.message


def test_every_check_has_wrong_answers_and_another_right_way_here():
    names = {e.name for e in exercises_of("02_heads")}
    assert set(WRONG) == set(RIGHT_TOO) == names
    assert min(map(len, WRONG.values())) >= 8


def test_every_head_of_the_library_is_known_and_no_other():
    of_library = {
        name
        for name, value in vars(library).items()
        if isinstance(value, type) and issubclass(value, nn.Module) and name.startswith("Bert")
    } - {"BertModel"}
    assert of_library == set(heads._GIVES)


def test_the_loss_is_that_of_the_librarys_head():
    logits, labels = torch.randn(3, 7, 11), torch.randint(0, 11, (3, 7))
    labels[1, 5:] = -100
    ours = heads._mean_loss(logits[:, :-1], labels[:, 1:])
    moved = F.pad(labels[:, 1:], (0, 1), value=library.IGNORED)
    assert torch.allclose(ours, library.cross_entropy(logits, moved))


@pytest.mark.parametrize("name", ["masked_max", "mix_layers"])
def test_an_answer_that_is_right_but_for_a_batch_of_one_is_found_out(name):
    right = RIGHT_TOO[name][0]

    def answer(x, second):
        result = right(x, second)
        return result + (len(result) == 1)

    outcome = getattr(heads, name)(answer)
    expect_sentence(outcome)
    assert "(1, 5, 3)" in outcome.message


def test_the_loss_of_a_batch_of_one_is_checked_too():
    outcome = heads.next_token_loss(lambda s, n: F.cross_entropy(s[:, :-1].mT, n[:, 1:]) + (len(s) == 1))
    assert outcome.message.startswith("For logits (1, 5, 3)")


def test_a_check_draws_no_numbers_from_the_learners_generator():
    before = torch.random.get_rng_state()
    for exercise in exercises_of("02_heads"):
        exercise(RIGHT_TOO[exercise.name][0])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_models_of_the_check_are_what_they_are_called():
    for model, shape in heads._models():
        x = heads._rows(shape)
        leak = float(change(model, x).abs().max())
        if "looks at each row alone" in model.words or len(x) == 1:
            assert leak < 1e-6
        else:
            assert leak > 0.1
        drops = "drops the dimension of a batch of one" in model.words
        assert model(x[:1]).shape == ((3,) if drops else (1, 3))


def test_no_known_mistake_in_the_change_is_taken_for_another():
    model, shape = next(heads._models())
    x = heads._rows(shape)
    right = float(change(model, x).abs().max())
    # What these leave out is not where this model changes most; they are found out with a later one.
    later = ("row is left out", "a change upwards is not seen", "where the model drops")
    wrong = [
        float(n)
        for words, n in heads._wrong_changes(model(x), alone(model, x), drops=False)
        if not any(w in words for w in later)
    ]
    assert len(wrong) > 15
    numbers = [right, *wrong]
    assert min(abs(a - b) for i, a in enumerate(numbers) for b in numbers[:i]) > 1e-3
