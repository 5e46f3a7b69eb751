"""The checks of notebook 04: what each wrong answer is told.

The wrong answers are what learners write: each differs from a right one by one mistake.
"""

import re

import pytest
import torch
from torch.nn import functional as F

from course_lib.exercises import bert_from_scratch

from .exercise_cells import cases, exercises_of, expect_sentence

INF = float("inf")


def summed(ids, types, w, p, t):
    return w[ids] + p[: ids.shape[1]] + t[types]


def normal(x, dim=-1, correction=0, eps=0.0):
    return (x - x.mean(dim, keepdim=True)) / (x.var(dim, correction=correction, keepdim=True) + eps).sqrt()


def scores(q, k):
    return q @ k.transpose(1, 2) / q.shape[-1] ** 0.5


def hide(s, mask, fill=-INF):
    return s.masked_fill(mask[:, None] == 0, fill)


def head(q, k, v, mask):
    return hide(scores(q, k), mask).softmax(-1) @ v


def split(x, n):
    return x.unflatten(-1, (n, -1)).transpose(1, 2)


def erf_of(x):
    return torch.erf(x / 2**0.5)


def end(name, **ends):
    *before, last = name.split(".")
    return ".".join([*before, (ends or {"gamma": "weight", "beta": "bias"}).get(last, last)])


def today(name, **ends):
    return end(name.removeprefix("bert."), **ends)


# The name of a check -> wrong answers, each with a phrase that its message alone has.
WRONG = {
    "embed": [
        (lambda i, s, w, p, t: w[i] + t[s], "agree: the positions are missing. Add the first T rows of positions."),
        (lambda i, s, w, p, t: w[i] + p[: i.shape[1]], "agree: the token types are missing"),
        (lambda i, s, w, p, t: w[i], "positions; the token types are missing"),
        (lambda i, s, w, p, t: p[: i.shape[1]] + t[s], "the words are missing"),
        (lambda i, s, w, p, t: w[i] * 5**0.5 + p[: i.shape[1]] + t[s], "the words are multiplied by √H = 2.24"),
        (lambda i, s, w, p, t: summed(i, s, w, p, t) * w.shape[1] ** 0.5, "the sum is multiplied by √H = 2.24"),
        (lambda i, s, w, p, t: w[i] + p[1 : i.shape[1] + 1] + t[s], "the positions are counted from 1"),
        (lambda i, s, w, p, t: w[i] + p[i] + t[s], "the positions are looked up by the ids"),
        (lambda i, s, w, p, t: w[i] + p[s] + t[s], "the positions are looked up by the token types"),
        (lambda i, s, w, p, t: w[i] + p[0] + t[s], "every token has the same position, 0"),
        (lambda i, s, w, p, t: w[i] + p[i.shape[1]] + t[s], "every token has the same position, T = 7"),
        (lambda i, s, w, p, t: w[i] + p[: len(i)][:, None] + t[s], "the positions count the texts of the batch"),
        (lambda i, s, w, p, t: w[i] + p[-i.shape[1] :] + t[s], "the last T rows of positions"),
        (lambda i, s, w, p, t: w[i] + p[: i.shape[1]].flip(0) + t[s], "the positions run backwards"),
        (lambda i, s, w, p, t: w[i] + p[: i.shape[1]] + t[0], "every token has type 0"),
        (lambda i, s, w, p, t: w[i] + p[: i.shape[1]] + t[i], "agree: the types are looked up by the ids"),
        (lambda i, s, w, p, t: w[s] + p[: i.shape[1]] + t[i], "[input_ids]; the types are looked up by the ids"),
        (lambda i, s, w, p, t: F.layer_norm(summed(i, s, w, p, t), w.shape[1:]), "there is a LayerNorm on top"),
        (lambda i, s, w, p, t: summed(i, s, w, p, t) / 3, "you divide by 3"),
        (lambda i, s, w, p, t: w[i] * p[: i.shape[1]] * t[s], "you multiply the three"),
        (lambda i, s, w, p, t: summed(i, s, w, p, t) * (i != 0)[..., None], "the vectors of padding are 0"),
        (lambda i, s, w, p, t: torch.cat([w[i], p[: i.shape[1]].expand_as(w[i]), t[s]], -1), "stand side by side"),
        (lambda i, s, w, p, t: torch.cat([w[i], p[: i.shape[1]].expand_as(w[i]), t[s]], 1), "joined along the tokens"),
        (lambda i, s, w, p, t: torch.cat([w[i], p[: i.shape[1]].expand_as(w[i]), t[s]]), "joined along the texts"),
        (lambda i, s, w, p, t: torch.stack([w[i], p[: i.shape[1]].expand_as(w[i]), t[s]]), "the three are stacked"),
        (lambda i, s, w, p, t: summed(i, s, w, p, t).sum(-1), "the numbers of each vector are summed up"),
        (lambda i, s, w, p, t: summed(i, s, w, p, t).sum(1), "the tokens of each text are summed up"),
        (lambda i, s, w, p, t: summed(i, s, w, p, t).squeeze(), "a batch of one stays a batch"),
        (lambda i, s, w, p, t: w[i] + p + t[s], "the first T rows of positions, (T, H), add to it"),
        (lambda i, s, w, p, t: summed(i, s, w, p, t) + 0.5, "off by up to 0.5"),
    ],
    "layer_norm": [
        (lambda x, a, b, e: F.layer_norm(x, x.shape[-1:], a, b, e), "The numbers are right, but they come from torch's own layer_norm"),
        (lambda x, a, b, e: normal(x, correction=1, eps=e) * a + b, "as x.var and x.std do by themselves"),
        (lambda x, a, b, e: (x - x.mean(-1, True)) / (x.var(-1, correction=0, keepdim=True).sqrt() + e) * a + b, "agree: eps is outside the root"),
        (lambda x, a, b, e: (x - x.mean(-1, True)) / (x.std(-1, keepdim=True) + e) * a + b, "your variance divides by H - 1, and eps is outside the root"),
        (lambda x, a, b, e: normal(x) * a + b, "eps = 0.25 the numbers do not agree: eps has no say"),
        (lambda x, a, b, e: F.layer_norm(x, x.shape[-1:], a), "your eps is 1e-5, the one that PyTorch takes by itself. Take the argument eps; shift is missing"),
        (lambda x, a, b, e: normal(x, correction=1) * a + b, "your variance divides by H - 1, and eps has no say"),
        (lambda x, a, b, e: normal(x, dim=1, eps=e) * a + b, "over the tokens, dim=1"),
        (lambda x, a, b, e: normal(x, dim=0, eps=e) * a + b, "over the texts, dim=0"),
        (lambda x, a, b, e: normal(x, dim=(1, 2), eps=e) * a + b, "each text as a whole"),
        (lambda x, a, b, e: normal(x, dim=(0, 1, 2), eps=e) * a + b, "those of the whole tensor"),
        (lambda x, a, b, e: normal(x, eps=e), "scale and shift are missing"),
        (lambda x, a, b, e: normal(x, eps=e) * a, "agree: shift is missing"),
        (lambda x, a, b, e: normal(x, eps=e) + b, "scale is missing"),
        (lambda x, a, b, e: normal(x, eps=e) * b + a, "scale and shift have changed places"),
        (lambda x, a, b, e: (normal(x, eps=e) + b) * a, "shift is added before scale multiplies"),
        (lambda x, a, b, e: normal(x, eps=e) / a + b, "you divide by scale"),
        (lambda x, a, b, e: normal(x, eps=e) * a - b, "you subtract shift"),
        (lambda x, a, b, e: (x - x.mean(-1, True)) / (x.var(-1, correction=0, keepdim=True) + e) * a + b, "you divide by the variance"),
        (lambda x, a, b, e: (x - x.mean(-1, True)) * (x.var(-1, correction=0, keepdim=True) + e).sqrt() * a + b, "you multiply with the root"),
        (lambda x, a, b, e: (x - x.mean(-1, True)) * a + b, "and divide by nothing"),
        (lambda x, a, b, e: x / (x.var(-1, correction=0, keepdim=True) + e).sqrt() * a + b, "not subtracted above the fraction line"),
        (lambda x, a, b, e: x / ((x * x).mean(-1, True) + e).sqrt() * a + b, "that is RMSNorm"),
        (lambda x, a, b, e: -normal(x, eps=e) * a + b, "the mean has the wrong sign"),
        (lambda x, a, b, e: normal(x, eps=-e) * a + b, "eps is subtracted"),
        (lambda x, a, b, e: (x - x.mean(-1)) * a, "need keepdim=True"),
        (lambda x, a, b, e: x.mean(-1), "you gave one number a vector"),
        (lambda x, a, b, e: (normal(x, eps=e) * a + b).squeeze(), "a batch of one stays a batch"),
        (lambda x, a, b, e: normal(x, eps=e if e > 1e-6 else 0) * a + b, "eps = 1e-12 the numbers do not agree: eps has no say"),
        (lambda x, a, b, e: (normal(x, eps=e) * a + b) * float("nan"), "eps = 0.25 the numbers do not agree: some are nan"),
        (lambda x, a, b, e: normal(x, eps=e) * a + b + 0.25, "off by up to 0.25"),
    ],
    "attention_head": [
        (lambda q, k, v, m: hide(q @ k.mT, m).softmax(-1) @ v, "agree: the scores are not divided by √D, the root of q's last dimension."),
        (lambda q, k, v, m: hide(q @ k.mT / q.shape[-1], m).softmax(-1) @ v, "the scores are divided by D."),
        (lambda q, k, v, m: hide(q @ k.mT / q.shape[1] ** 0.5, m).softmax(-1) @ v, "divided by √T = 2.65"),
        (lambda q, k, v, m: hide(q @ k.mT * q.shape[-1] ** 0.5, m).softmax(-1) @ v, "multiplied with √D"),
        (lambda q, k, v, m: hide(scores(q, k), m).softmax(-2) @ v, "the softmax is over the queries"),
        (lambda q, k, v, m: hide(scores(q, k), m, -1e9).softmax(0) @ v, "the softmax is over the texts"),
        (lambda q, k, v, m: hide(scores(q, k), m) @ v, "the softmax is missing"),
        (lambda q, k, v, m: scores(q, k).softmax(-1) @ v, "agree: the mask is not used"),
        (lambda q, k, v, m: (q @ k.mT).softmax(-1) @ v, "last dimension; the mask is not used"),
        (lambda q, k, v, m: hide(scores(q, k), 1 - m).softmax(-1) @ v, "the mask is turned round"),
        (lambda q, k, v, m: (scores(q, k) * m[:, None]).softmax(-1) @ v, "and e^0 is 1, not 0"),
        (lambda q, k, v, m: (scores(q, k) + m[:, None]).softmax(-1) @ v, "you added the mask, 1 and 0"),
        (lambda q, k, v, m: (scores(q, k).softmax(-1) * m[:, None]) @ v, "no longer sum to 1"),
        (lambda q, k, v, m: scores(q, k).masked_fill(m[:, :, None] == 0, -INF).softmax(-1) @ v, "the mask is on the rows, the tokens that look"),
        (lambda q, k, v, m: hide(scores(q, k), m).masked_fill(m[:, :, None] == 0, -1e9).softmax(-1) @ v, "the mask is on the rows too"),
        (lambda q, k, v, m: (scores(q, k).softmax(-1) * m[..., None]) @ v, "the mask, after the softmax, is on the rows"),
        (lambda q, k, v, m: hide(scores(k, q), m).softmax(-1) @ v, "q and k have changed places"),
        (lambda q, k, v, m: hide(scores(q, q), m).softmax(-1) @ v, "the keys are not in it"),
        (lambda q, k, v, m: hide(scores(q, k), m).softmax(-1) @ k, "the weights multiply k"),
        (lambda q, k, v, m: hide(scores(q, k), m).softmax(-1) @ q, "the weights multiply q"),
        (lambda q, k, v, m: head(q, k, v, m) * m[..., None], "the results of padding are 0"),
        (lambda q, k, v, m: hide(scores(q, k), m).softmax(-1), "you gave the weights, or the scores"),
        (lambda q, k, v, m: (q.mT @ k).softmax(-1), "each feature with each other one"),
        (lambda q, k, v, m: head(q, k, v, m).mT, "the tokens and the features have changed places"),
        (lambda q, k, v, m: head(q, k, v, m).mean(1), "there is one vector a text"),
        (lambda q, k, v, m: head(q, k, v, m).squeeze(), "a batch of one stays a batch"),
        (lambda q, k, v, m: scores(q, k).masked_fill(m == 0, -INF).softmax(-1) @ v, "so it meets the columns"),
        (lambda q, k, v, m: (scores(q, k) - INF).softmax(-1) @ v, "a whole row of scores minus infinity"),
        (lambda q, k, v, m: head(q, k, v, torch.arange(m.shape[1]) < m.sum(1, keepdim=True)), "For q, k, v (2, 11, 13)"),
        (lambda q, k, v, m: head(q, k, v, m) + 0.5, "off by up to 0.5"),
    ],
    "split_heads": [
        (lambda x, n: x.view(len(x), n, x.shape[1], -1), "a view straight to (B, N, T, D) cuts the tokens apart"),
        (lambda x, n: x.view(*x.shape[:2], n, -1), ": (B, N, T, D). So the heads stand behind the tokens"),
        (lambda x, n: x.unflatten(-1, (-1, n)).permute(0, 3, 1, 2), "the heads are interleaved"),
        (lambda x, n: split(x, n).mT, "the tokens stand last"),
        (lambda x, n: x.view(len(x), n, -1, x.shape[1]).mT, "a view to (B, N, D, T) cuts"),
        (lambda x, n: x.mT.reshape(len(x), n, x.shape[1], -1), "you turned x to (B, H, T)"),
        (lambda x, n: x.view(n, len(x), x.shape[1], -1).transpose(0, 1), "a view that begins with N"),
        (lambda x, n: x.unflatten(-1, (-1, n)).transpose(1, 2), "The argument heads is how many there are"),
        (lambda x, n: x.unflatten(-1, (-1, n)), "N and D have changed places, and the heads stand behind"),
        (lambda x, n: torch.stack(x.split(x.shape[-1] // n, -1)), "the heads stand before the texts"),
        (lambda x, n: x.split(x.shape[-1] // n, -1), "torch.stack(parts, dim=1) makes one of parts"),
        (lambda x, n: x, "x has its old shape"),
        (lambda x, n: split(x, n).flatten(0, 1), "texts and heads are in one dimension"),
        (lambda x, n: split(x, n)[:, 0], "there is one head alone"),
        (lambda x, n: x[:, None].expand(-1, n, -1, -1), "each head has all 10 columns"),
        (lambda x, n: split(x, n).flip(1), "the heads stand in the wrong order"),
        (lambda x, n: split(x, n)[:, :1].expand(-1, n, -1, -1), "the columns of the first one"),
        (lambda x, n: split(x, n).flip(-1), "the columns of each head run backwards"),
        (lambda x, n: split(x, n).flip(2), "the tokens run backwards"),
        (lambda x, n: split(x, n).squeeze(), "a batch of one stays a batch"),
        (lambda x, n: x.view(len(x), n, x.shape[1], 64), "D is H // heads"),
        (lambda x, n: split(x, n) + 0.5, "head 0 has other numbers than the columns 0 to 4 of x: they are off by up to 0.5"),
        (lambda x, n: torch.cat([split(x, n)[:, :1], split(x, n)[:, 1:] + 1], 1), "columns 5 to 9 of x: they are off by up to 1"),
    ],
    "gelu": [
        (lambda x: torch.nn.GELU()(x), "The numbers are right, but they come from torch's own gelu"),
        (lambda x: F.gelu(x, approximate="tanh"), "that is the tanh approximation"),
        (lambda x: x * torch.sigmoid(1.702 * x), "that is x times sigmoid(1.702 x)"),
        (lambda x: F.silu(x), "that is SiLU"),
        (lambda x: F.relu(x), "that is ReLU"),
        (lambda x: F.elu(x), "that is ELU"),
        (lambda x: x * (1 + erf_of(x)), "is right: the half is missing"),
        (lambda x: x / 2 * (1 + torch.erf(x)), "is right: the root of 2 is missing"),
        (lambda x: x * (1 + torch.erf(x)), "the half and the root of 2 are missing"),
        (lambda x: x / 2 * (1 + torch.erf(x / 2)), "inside erf you divide by 2"),
        (lambda x: x / 2 * (1 + torch.erf(x * 2**0.5)), "inside erf you multiply with √2"),
        (lambda x: x / 2 * (1 + torch.erf(x) / 2**0.5), "the √2 divides the value of erf"),
        (lambda x: (1 + erf_of(x)) / 2, "is right: the factor x is missing"),
        (lambda x: 1 + erf_of(x), "the factor x and the half are missing"),
        (lambda x: x * torch.exp(-x * x / 2) / (2 * torch.pi) ** 0.5, "you took the bell curve"),
        (lambda x: torch.exp(-x * x / 2) / (2 * torch.pi) ** 0.5, "you gave the bell curve"),
        (lambda x: x / 2 * erf_of(x), "the 1 is missing"),
        (lambda x: x / 2 * (1 - erf_of(x)), "a minus between them"),
        (lambda x: x / 2 * 1 + erf_of(x), "brackets are missing"),
        (lambda x: x / 2 * (1 + torch.erfc(x / 2**0.5)), "you took erfc"),
        (lambda x: x / 2 * (1 + torch.tanh(x / 2**0.5)), "that is tanh in the place of erf"),
        (lambda x: (1 + erf_of(x)) / 2 + x * torch.exp(-x * x / 2) / (2 * torch.pi) ** 0.5, "the derivative of GELU"),
        (lambda x: x, "you gave x as it is"),
        (lambda x: F.gelu(x).squeeze(), "a batch of one stays a batch"),
        (lambda x: F.gelu(x).sum(-1), "has shape (3, 7)"),
        (lambda x: F.gelu(x) + 0.25, "term by term"),
        (lambda x: x / 2 * (1 + (x / 2**0.5).erff()), "no attribute 'erff'"),
    ],
    "today_name": [
        (lambda n: end(n), "a leading bert. is still there"),
        (lambda n: end(n.replace("bert.", "")), "replace takes bert. out of any place of a name. Only at its beginning it goes: removeprefix."),
        (lambda n: end(n.replace("bert.", "", 1)), "with a count of 1"),
        (lambda n: end(n.replace("bert", "")), "replace takes the letters bert out"),
        (lambda n: end(n.partition(".")[2]), "you take the first part off every name"),
        (lambda n: end(n[5:]), "you take five letters off every name"),
        (lambda n: end(n.lstrip("bert.")), "lstrip takes off"),
        (lambda n: end(n.removeprefix("bert")), "the dot after bert stays"),
        (lambda n: end(n[5:] if n.startswith("bert") else n), "as bertha does, stays whole"),
        (lambda n: end(n.split("bert.")[-1]), "everything before the last bert. goes"),
        (lambda n: end(".".join(p for p in n.split(".") if p != "bert")), "a part bert goes wherever it stands"),
        (lambda n: today(today(n)), "two leading bert. go"),
        (lambda n: n.removeprefix("bert."), "the last part has its old name"),
        (lambda n: today(n, gamma="weight"), "but beta is still there"),
        (lambda n: today(n, beta="bias"), "but gamma is still there"),
        (lambda n: today(n, gamma="bias", beta="weight"), "the two are exchanged"),
        (lambda n: n.removeprefix("bert.").replace("gamma", "weight").replace("beta", "bias"), "'classifier.weight_net.weight'; expected 'classifier.gamma_net.weight': replace changes gamma and beta"),
        (lambda n: n.removeprefix("bert.").replace(".gamma", ".weight").replace(".beta", ".bias"), "begins with .gamma or .beta"),
        (lambda n: ".".join({"gamma": "weight", "beta": "bias"}.get(p, p) for p in today(n).split(".")), "a part gamma or beta changes"),
        (lambda n: today(n).replace("log_gamma", "log_weight").replace("log_beta", "log_bias"), "as log_gamma, stays"),
        (lambda n: n.removeprefix("bert.").replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias"), "you look for LayerNorm.gamma"),
        (lambda n: n.replace("bert.", "").replace("gamma", "weight").replace("beta", "bias"), "removeprefix; replace changes gamma and beta"),
        (lambda n: today(n).split("."), "you gave ['encoder'"),
        (lambda n: today(n).lower(), "encoder.layer.3.output.layernorm.weight"),
        (lambda n: n.removeprefx("bert."), "no attribute 'removeprefx'"),
        (lambda n: print(end=""), "returned None. Is a `return` missing?"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "phrase"), cases(WRONG))
def test_a_wrong_answer_is_told_its_own_mistake(name, answer, phrase):
    outcome = getattr(bert_from_scratch, name)(answer)
    expect_sentence(outcome)
    assert phrase in outcome.message


def one_by_one(q, k, v, mask):
    """Attention as loops, with the padding left out instead of hidden."""
    texts = []
    for text in range(len(q)):
        real = mask[text].bool()
        rows = [(row @ k[text, real].T / len(row) ** 0.5).softmax(-1) @ v[text, real] for row in q[text]]
        texts.append(torch.stack(rows))
    return torch.stack(texts)


RIGHT_TOO = {
    "embed": [
        lambda i, s, w, p, t: F.embedding(i, w) + F.embedding(torch.arange(i.shape[1]).expand_as(i), p) + F.embedding(s, t),
        lambda i, s, w, p, t: F.one_hot(i, len(w)).float() @ w + p[None, : i.shape[1]] + F.one_hot(s, len(t)).float() @ t,
    ],
    "layer_norm": [
        lambda x, a, b, e: a * (x - x.mean(-1, True)) * (x.var(-1, correction=0, keepdim=True) + e).rsqrt() + b,
        lambda x, a, b, e: (
            (x - x.mean(2)[..., None]) / ((x**2).mean(2) - x.mean(2) ** 2 + e).sqrt()[..., None] * a + b
        ),
    ],
    "attention_head": [
        lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m[:, None].bool()),
        lambda q, k, v, m: (scores(q, k) + (m[:, None] - 1) * 1e9).softmax(-1) @ v,
        lambda q, k, v, m: F.normalize(scores(q, k).exp() * m[:, None], p=1, dim=-1) @ v,
        one_by_one,
    ],
    "split_heads": [
        lambda x, n: torch.stack(x.chunk(n, -1), dim=1),
        lambda x, n: x.mT.reshape(len(x), n, -1, x.shape[1]).mT,
        lambda x, n: torch.stack([x[..., i * x.shape[-1] // n :][..., : x.shape[-1] // n] for i in range(n)], 1),
    ],
    "gelu": [
        lambda x: x * torch.special.ndtr(x),
        lambda x: x * torch.distributions.Normal(0.0, 1.0).cdf(x),
        lambda x: x - x * torch.erfc(x / 2**0.5) / 2,
    ],
    "today_name": [
        lambda n: re.sub(r"^bert\.", "", re.sub(r"(^|\.)beta$", r"\1bias", re.sub(r"(^|\.)gamma$", r"\1weight", n))),
        lambda n: end(n[5:] if n.startswith("bert.") else n),
        lambda n: end(".".join(n.split(".")[n.split(".")[0] == "bert" :])),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name in RIGHT_TOO for answer in RIGHT_TOO[name]])
def test_another_right_way_passes_too(name, answer):
    outcome = getattr(bert_from_scratch, name)(answer)
    assert outcome.passed, outcome.message


def test_every_check_has_wrong_answers_and_another_right_way_here():
    names = {e.name for e in exercises_of("04_bert_from_scratch")}
    assert set(WRONG) == set(RIGHT_TOO) == names
    assert min(map(len, WRONG.values())) >= 8


@pytest.mark.parametrize("name", ["embed", "layer_norm", "attention_head", "split_heads"])
def test_an_answer_that_is_right_but_for_a_batch_of_one_is_found_out(name):
    right = RIGHT_TOO[name][0]
    outcome = getattr(bert_from_scratch, name)(lambda x, *more: right(x, *more) + (len(x) == 1))
    expect_sentence(outcome)
    assert "(1, 5" in outcome.message


def test_every_known_mistake_in_a_name_shows():
    """Two mistakes that give the same for all names could not be told apart, and one that gives nothing wrong is none."""
    single = [names for words, names in bert_from_scratch._wrong_names() if "; " not in words]
    assert len(single) > 20
    assert all(names != other for i, names in enumerate(single) for other in single[:i])
    assert all(any(names[name] != today(name) for name in names) for names in single)


def test_the_names_agree_with_those_that_the_library_reads():
    from transformers import BertConfig, BertModel

    config = BertConfig(vocab_size=11, hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6)
    for name in BertModel(config).state_dict():
        old = f"bert.{name}"
        if "LayerNorm" in name:
            old = old.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        assert bert_from_scratch._today(old) == name == today(old)
