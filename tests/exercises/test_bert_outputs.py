"""The checks of notebook 01: what each wrong answer is told.

The wrong answers are what learners write: each differs from a right one by one mistake.
"""

import inspect

import pytest
import torch

from course_lib import pretrained
from course_lib.exercises import bert_outputs

from .exercise_cells import answer_of, cases, exercises_of, expect_sentence

CLS, SEP = 101, 102


def real_tokens(ids, mask):
    return ((ids != CLS) & (ids != SEP) & mask.bool()).sum(1)


def a_mean(hidden, mask):
    weight = mask.unsqueeze(-1).float()
    return (hidden * weight).sum(1) / weight.sum(1)


def leave_cls_out_in_place(hidden, mask):
    mask[:, 0] = 0
    return a_mean(hidden, mask)


def a_layer(h, f):
    return 4 * (h * h + h) + (h * f + f) + (f * h + h) + 4 * h


def cls_of(states, layers):
    return torch.cat([states[i][:, 0] for i in layers], dim=-1)


def column(attentions, mask):
    """The column of [CLS] (L, B, N, T), its padded rows zero, and the number of real tokens."""
    return torch.stack(attentions)[..., 0] * mask[None, :, None, :], mask.sum()


def right_attention(attentions, mask):
    total, count = column(attentions, mask)
    return total.sum((1, 3)) / count


# The name of a check -> wrong answers, each with a phrase that its message alone has.
WRONG = {
    "count_tokens": [
        (lambda ids, mask: mask.sum(1), "padding is out, but [CLS] and [SEP] are still in"),
        (lambda ids, mask: mask.sum(1) - 2, "you subtracted 2 from every text"),
        (lambda ids, mask: torch.full((len(ids),), ids.shape[1]), "you counted every position"),
        (lambda ids, mask: ((ids != CLS) & (ids != SEP)).sum(1), "are out, but padding is still in"),
        (lambda ids, mask: ((ids != SEP) & mask.bool()).sum(1), "[SEP] is out, but [CLS] is still in"),
        (lambda ids, mask: ((ids != CLS) & mask.bool()).sum(1), "[CLS] is out, but [SEP] is still in"),
        (lambda ids, mask: ((ids == CLS) | (ids == SEP)).sum(1), "you counted the special tokens"),
        (lambda ids, mask: (mask == 0).sum(1), "you counted the padding"),
        (lambda ids, mask: ((ids > 102) & mask.bool()).sum(1), "you left out [UNK]"),
        (lambda ids, mask: real_tokens(ids, mask).sum(), "you gave one number for 3 texts"),
        (lambda ids, mask: ((ids != CLS) & (ids != SEP) & mask.bool()).sum(0), "you summed over the texts"),
        (lambda ids, mask: (ids != CLS) & (ids != SEP) & mask.bool(), "a number for every token"),
        (lambda ids, mask: real_tokens(ids, mask)[:, None], "without keepdim=True"),
        (lambda ids, mask: real_tokens(ids, mask).squeeze(), "a batch of one stays a batch"),
        (lambda ids, mask: real_tokens(ids, mask).tolist(), "something of type list; return a tensor"),
        (lambda ids, mask: real_tokens(ids, mask) + 40, "expected [5, 3, 3]"),
        (lambda ids, mask: ids.nope, "AttributeError: 'Tensor' object has no attribute 'nope'"),
        (lambda ids, mask: print(end=""), "returned None. Is a `return` missing?"),
        (lambda ids: ids, "is called with 2 arguments, but it is written as <lambda>(ids)"),
    ],
    "layer_parameters": [
        (lambda h, f: 4 * h * h + 2 * h * f, "all biases and both LayerNorms are missing"),
        (lambda h, f: 4 * h * h + 2 * h * f + 4 * h, "one number for each output"),
        (lambda h, f: a_layer(h, f) - f - h, "the biases of the two feed-forward layers are missing"),
        (lambda h, f: a_layer(h, f) - 4 * h, "4 H are missing"),
        (lambda h, f: a_layer(h, f) - 2 * h, "2 H are missing"),
        (lambda h, f: a_layer(h, f) - h, "H is missing"),
        (lambda h, f: a_layer(h, f) - f, ": F is missing"),
        (lambda h, f: a_layer(h, f) - (h * h + h), "one of the four linear layers of attention is missing"),
        (lambda h, f: a_layer(h, f) - 3 * (h * h + h), "attention has four linear layers, not one"),
        (lambda h, f: a_layer(h, f) - 4 * (h * h + h), ": the four linear layers of attention are missing"),
        (lambda h, f: a_layer(h, f) - (f * h + h), "and back from F to H"),
        (lambda h, f: a_layer(h, f) - 2 * f * h - f - h, "the two linear layers of feed-forward are missing"),
        (lambda h, f: a_layer(h, f) + f - h, "has H numbers, not F"),
        (lambda h, f: a_layer(h, f) + h - f, "has F numbers, not H"),
        (lambda h, f: a_layer(h, 4 * h), "you took F = 4 H"),
        (lambda h, f: a_layer(f, h), "H and F have changed places"),
        (lambda h, f: a_layer(384, 1536), "a difference of"),
        (lambda h, f: str(a_layer(h, f)), "one number is wanted"),
        (lambda h, f: h.weight, "AttributeError"),
    ],
    "rebuild_pooler": [
        (lambda x, w, b: x[:, 0] @ w.T + b, "do not agree: the tanh after the linear layer is missing"),
        (lambda x, w, b: torch.tanh(x[:, 0] @ w + b), "so multiply with weight.T."),
        (lambda x, w, b: torch.tanh(x.mean(1) @ w.T + b), "you pooled by the mean"),
        (lambda x, w, b: torch.tanh(x.amax(1) @ w.T + b), "you pooled by the maximum"),
        (lambda x, w, b: torch.tanh(x[:, -1] @ w.T + b), "you took the last token"),
        (lambda x, w, b: torch.tanh(x[:, 0] @ w.T), "the bias is missing"),
        (lambda x, w, b: torch.tanh(x[:, 0] @ w.T) + b, "inside its brackets"),
        (lambda x, w, b: torch.tanh(x[:, 0]) @ w.T + b, "the tanh comes last"),
        (lambda x, w, b: torch.sigmoid(x[:, 0] @ w.T + b), "tanh, not sigmoid"),
        (lambda x, w, b: torch.relu(x[:, 0] @ w.T + b), "tanh, not ReLU"),
        (lambda x, w, b: x[:, 0] @ w + b, "multiply with weight.T; the tanh after"),
        (lambda x, w, b: x[:, 0], "the linear layer and the tanh are missing"),
        (lambda x, w, b: torch.tanh(x[:, 0]), "the linear layer between them is missing"),
        (lambda x, w, b: torch.tanh(x @ w.T + b), "you gave one vector a token"),
        (lambda x, w, b: torch.tanh(x[0] @ w.T + b), "you took the first text, [0]"),
        (lambda x, w, b: torch.tanh(x[:, :1] @ w.T + b), "[:, :1] keeps it"),
        (lambda x, w, b: torch.tanh(x[:, 0] @ w.T + b).squeeze(), "a batch of one stays a batch"),
        (lambda x, w, b: torch.tanh(x[:, 0] @ w.T + b) * 0.9, "off by up to 0.1"),
        (lambda x, w, b: torch.tanh(w @ x[:, 0] + b), "mat1 and mat2 shapes cannot be multiplied"),
    ],
    "masked_mean": [
        (lambda x, m: x.mean(1), "the plain mean over all T = 7 positions"),
        (lambda x, m: (x * m[..., None]).mean(1), "you still divide by T = 7"),
        (lambda x, m: (x * m[..., None]).sum(1), "you gave the sum"),
        (lambda x, m: (x * m[..., None]).sum(1) / m.sum(), "all real tokens of the batch, 15"),
        (lambda x, m: x.sum(1) / m.sum(1, keepdim=True), "the padding is still in the sum"),
        (lambda x, m: x[:, 0], "you gave the vector of [CLS]"),
        (lambda x, m: x.masked_fill(m[..., None] == 0, -1e9).amax(1), "you gave the maximum"),
        (leave_cls_out_in_place, "you left out [CLS]"),
        (lambda x, m: x[m.bool()].mean(0), "one vector for all 3 texts together"),
        (lambda x, m: x * m[..., None], "there is still one vector a token"),
        (lambda x, m: x.mean(0), "you summed over the texts"),
        (lambda x, m: x.mean(-1), "you summed over the numbers of each vector"),
        (lambda x, m: a_mean(x, m)[:, None], "without keepdim=True"),
        (lambda x, m: a_mean(x, m).squeeze(), "a batch of one stays a batch"),
        (lambda x, m: a_mean(x, m) / 0 * 0, "Did you divide by zero?"),
        (lambda x, m: a_mean(x, m) + 0.25, "off by up to 0.25"),
        (lambda x, m: (x * m).sum(1) / m.sum(1), "must match the size of tensor b"),
        (lambda x, m: a_mean(x, m) + 1e-3 * (x > 1e3).any(), "Padding must have no say"),
    ],
    "last_four_cls": [
        (lambda s: cls_of(s, (0, 1, 2, 3)), "index 0 is the embeddings. The last ones"),
        (lambda s: cls_of(s, (1, 2, 3, 4)), "the first four after the embeddings"),
        (lambda s: cls_of(s, (4, 3, 2, 1)), "in the order from 4 to 1"),
        (lambda s: cls_of(s, (-4, -3, -2, -1)), "the layers are right, the order is not"),
        (lambda s: cls_of(s, (0, -1, -2, -3)), "count i from 1 to 4"),
        (lambda s: cls_of(s, (-2, -3, -4, -5)), "[-4:-1] stops before it"),
        (lambda s: cls_of(s, (6, 5, 4, 3)), "of a model with 6. This one has 12"),
        (lambda s: cls_of(s, (-1, -1, -1, -1)), "you joined one layer four times"),
        (lambda s: torch.cat([s[-i][:, -1] for i in range(1, 5)], -1), "you took the last token"),
        (lambda s: s[-1][:, 0], "you gave [CLS] of the last layer alone"),
        (lambda s: sum(s[-i][:, 0] for i in range(1, 5)), "averaged or added"),
        (lambda s: torch.cat([s[-i] for i in range(1, 5)], -1), "you joined the layers for every token"),
        (lambda s: torch.cat([s[-i][0] for i in range(1, 5)], -1), "you took the first text, [0]"),
        (lambda s: torch.cat([s[-i][..., 0] for i in range(1, 5)], -1), "the first number of every vector"),
        (lambda s: torch.cat([s[-i][:, 0] for i in range(1, 5)]), "you joined along dim=0"),
        (lambda s: torch.stack([s[-i][:, 0] for i in range(1, 5)]), "has shape (4, 3, 5)"),
        (lambda s: torch.stack([s[-i][:, 0] for i in range(1, 5)], 1), "has shape (3, 4, 5)"),
        (lambda s: torch.cat([x[:, 0] for x in s], -1), "you joined all 7"),
        (lambda s: torch.cat([s[-i][:, 0].squeeze() for i in range(1, 5)], -1), "a batch of one stays a batch"),
        (lambda s: [s[-i][:, 0] for i in range(1, 5)], "join the four vectors into one tensor with torch.cat"),
        (lambda s: cls_of(s, (-1, -2, -3, -4)) + 1, "compare with hidden_states[-i][:, 0] for i = 1 to 4"),
    ],
    "attention_to_cls": [
        (lambda a, m: torch.stack(a)[..., 0].mean((1, 3)), "the rows of padding are in your mean"),
        (lambda a, m: torch.stack(a)[..., 0, :].mean((1, 3)), "[..., 0]; leave the rows of padding out, too"),
        (
            lambda a, m: (torch.stack(a)[..., 0, :] * m[None, :, None, :]).sum((1, 3)) / m.sum(),
            "stands in its column, [..., 0].",
        ),
        (
            lambda a, m: (column(a, m)[0].sum(3) / m.sum(1)[None, :, None]).mean(1),
            "you averaged text by text",
        ),
        (lambda a, m: column(a, m)[0].mean((1, 3)), "you still divide by B x T = 21"),
        (lambda a, m: column(a, m)[0].sum((1, 3)), "you gave the sum. Divide it"),
        (lambda a, m: torch.stack(a)[..., 0].sum((1, 3)), "you gave the sum, and the rows of padding are in it"),
        (lambda a, m: column(a, m)[0].sum((1, 3)) / len(m), "you divide by the number of texts, 3"),
        (lambda a, m: torch.stack(a)[..., 0, 0].mean(1), "what [CLS] gives to itself"),
        (
            lambda a, m: (torch.stack(a)[..., -1] * m[None, :, None, :]).sum((1, 3)) / m.sum(),
            "you read the last column",
        ),
        (lambda a, m: right_attention(a, m).T, "have changed places"),
        (lambda a, m: column(a, m)[0].sum(3) / m.sum(1)[None, :, None], "still a number for each text. Average"),
        (lambda a, m: column(a, m)[0].sum(1) / m.sum(), "still a number for each token. Average"),
        (lambda a, m: column(a, m)[0], "still a number for each text and token"),
        (lambda a, m: right_attention(a, m).mean(1), "you averaged over the heads as well"),
        (lambda a, m: right_attention(a, m).mean(0), "you averaged over the layers as well"),
        (lambda a, m: a[-1][..., 0].mean(-1), "and none for each layer"),
        (lambda a, m: list(right_attention(a, m)), "make one tensor (L, N) of the layers with torch.stack"),
        (lambda a, m: right_attention(a, m) + 0.5, "off by up to 0.5"),
        (lambda a, m: a[..., 0], "TypeError: tuple indices must be integers or slices"),
    ],
}


@pytest.mark.parametrize(("name", "answer", "phrase"), cases(WRONG))
def test_a_wrong_answer_is_told_its_own_mistake(name, answer, phrase):
    outcome = getattr(bert_outputs, name)(answer)
    expect_sentence(outcome)
    assert phrase in outcome.message


RIGHT_TOO = {
    "count_tokens": [
        lambda ids, mask: mask.sum(1) - (ids == CLS).sum(1) - (ids == SEP).sum(1),
        lambda ids, mask: torch.tensor([sum(n not in (0, CLS, SEP) for n in row) for row in ids.tolist()]),
        lambda ids, mask: real_tokens(ids, mask).float(),
        lambda ids, mask: real_tokens(ids, mask).to(torch.int8),
    ],
    "layer_parameters": [
        lambda h, f: float(a_layer(h, f)),
        lambda h, f: torch.tensor(a_layer(h, f)),
        lambda h, f: (
            sum(
                p.numel()
                for o, i in ((h, h), (h, h), (h, h), (h, h), (f, h), (h, f))
                for p in (torch.empty(o, i), torch.empty(o))
            )
            + 4 * h
        ),
    ],
    "rebuild_pooler": [
        lambda x, w, b: torch.nn.functional.linear(x[:, 0], w, b).tanh(),
        lambda x, w, b: torch.tanh(torch.einsum("oh,bh->bo", w, x[:, 0]) + b),
    ],
    "masked_mean": [
        lambda x, m: torch.stack([v[n.bool()].mean(0) for v, n in zip(x, m, strict=True)]),
        lambda x, m: torch.einsum("bth,bt->bh", x, m / m.sum(1, keepdim=True)),
        lambda x, m: x.masked_fill(m[..., None] == 0, float("nan")).nanmean(1),
    ],
    "last_four_cls": [
        lambda s: torch.cat([h[:, 0] for h in reversed(s[-4:])], dim=1),
        lambda s: torch.stack(s[:-5:-1])[:, :, 0].permute(1, 0, 2).flatten(1),
    ],
    "attention_to_cls": [
        lambda a, m: torch.stack([x.permute(0, 2, 1, 3)[m.bool()][..., 0].mean(0) for x in a]),
    ],
}


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name in RIGHT_TOO for answer in RIGHT_TOO[name]])
def test_another_right_way_passes_too(name, answer):
    outcome = getattr(bert_outputs, name)(answer)
    assert outcome.passed, outcome.message


def test_every_check_has_another_right_way_here():
    assert set(RIGHT_TOO) == {e.name for e in exercises_of("01_bert_outputs")}


def test_no_mistake_in_the_count_of_parameters_is_taken_for_another():
    """The dictionary of mistakes is keyed by the wrong number: two equal keys would hide one of them."""
    mistakes = bert_outputs.layer_mistakes(389, 1543)
    lines = inspect.getsource(bert_outputs.layer_mistakes).splitlines()
    assert len(mistakes) == sum(line.endswith('",') for line in lines)
    assert bert_outputs.layer_size(389, 1543) not in mistakes


def test_the_formula_for_a_layer_agrees_with_a_real_one():
    from transformers import BertConfig
    from transformers.models.bert.modeling_bert import BertLayer

    config = BertConfig(hidden_size=12, intermediate_size=20, num_attention_heads=3)
    counted = sum(parameter.numel() for parameter in BertLayer(config).parameters())
    assert bert_outputs.layer_size(12, 20) == counted


def test_a_mistake_that_only_a_batch_of_one_shows_is_found_there():
    right = answer_of(bert_outputs.masked_mean, "solutions")
    outcome = bert_outputs.masked_mean(lambda x, m: right(x, m) if len(x) > 1 else x.mean(1))
    assert outcome.message.startswith("For hidden (1, 5, 3) with [3] real tokens")


def test_the_message_shows_the_ids_on_which_an_answer_is_wrong():
    outcome = bert_outputs.count_tokens(lambda ids, mask: mask.sum(1))
    assert "For input_ids = [[101, " in outcome.message
    assert "you gave [7, 6, 5]" in outcome.message


def test_the_ids_of_the_special_tokens_are_those_of_the_readers_own_tokenizer(monkeypatch):
    monkeypatch.setenv("COURSE_MODEL", "mini_bert")
    tokenizer = pretrained.load_tokenizer()
    assert tokenizer.cls_token_id != CLS

    def right(ids, mask):
        special = (ids == tokenizer.cls_token_id) | (ids == tokenizer.sep_token_id)
        return (~special & mask.bool()).sum(1)

    assert bert_outputs.count_tokens(right).passed
    literal = bert_outputs.count_tokens(real_tokens)  # 101 and 102
    assert literal.state == "failed" and "[CLS] and [SEP] are still in" in literal.message
