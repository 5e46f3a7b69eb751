"""Checks of notebook 01_bert_outputs, in its order. Letters: B batch, T tokens, H hidden size, N heads, L layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from course_lib.exercises.checking import Mistake, describe, exercise, expect
from course_lib.exercises.tensors import (
    SIZES,
    as_tensor,
    close,
    combined,
    expect_equal,
    expect_shape,
    hidden_and_mask,
    one_number,
    seeded,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_NOTEBOOK = "01_bert_outputs"


@exercise(_NOTEBOOK, "Count the real tokens")
def count_tokens(answer: Any) -> str:
    """answer(input_ids (B, T), attention_mask (B, T)) -> (B,): tokens that are neither padding nor [CLS] nor [SEP]."""
    from course_lib import pretrained

    tokenizer = pretrained.load_tokenizer()  # the reader's: with another vocabulary [CLS] has another id
    cls, sep, unk = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.unk_token_id
    for ids, mask in _batches(cls, sep, tokenizer.pad_token_id, unk):
        texts, tokens = ids.shape
        real = mask.bool()
        inside = ((ids != cls) & (ids != sep) & real).sum(1)
        where = f"For input_ids = {ids.tolist()}"
        mistakes = {
            "padding is out, but [CLS] and [SEP] are still in": mask.sum(1),
            "you counted every position, padding included: attention_mask is 0 there": inside * 0 + tokens,
            "[CLS] and [SEP] are out, but padding is still in: attention_mask is 0 there": ((ids != cls) & (ids != sep)).sum(1),
            "you subtracted 2 from every text. A pair of texts has two [SEP], so 3 special tokens: look at the ids": mask.sum(1) - 2,
            "[SEP] is out, but [CLS] is still in": ((ids != sep) & real).sum(1),
            "[CLS] is out, but [SEP] is still in": ((ids != cls) & real).sum(1),
            "you counted the special tokens: the others are wanted": ((ids == cls) | (ids == sep)).sum(1),
            "you counted the padding: attention_mask is 1 where a token is real": (~real).sum(1),
            f"you left out [UNK], {unk}, too: it stands for a real word. Only padding, {cls} and {sep} go": ((ids != cls) & (ids != sep) & (ids != unk) & real).sum(1),
        }  # fmt: skip
        got = as_tensor(answer(ids, mask), where, "return a tensor with one number a text")
        shapes = {
            (): f"you gave one number for {texts} texts. Sum over the tokens alone: .sum(dim=1)",
            (tokens,): "you summed over the texts, dim=0. The tokens are dim=1",
            (texts, tokens): "you gave a number for every token. Sum over the tokens: .sum(dim=1)",
            (texts, 1): "the result has a second dimension. It goes without keepdim=True",
        }
        expect_shape(got, (texts,), where, "one number a text", shapes)
        found = f"{where} you gave [{', '.join(f'{n:g}' for n in got.tolist())}]"
        expect_equal(got, inside, found, mistakes, f"expected {inside.tolist()}")
    return "Right for single texts, pairs, padding and a batch of one."


def _batches(cls: int, sep: int, pad: int, unk: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of ids: padding and a pair, which has two separators; a batch of one; short texts; an unknown word.

    In the first, each known mistake gives other numbers.
    """
    import torch

    generator = seeded(5)
    special = torch.tensor([cls, sep, pad, unk])
    words = torch.arange(1000, 30000)
    words = words[~torch.isin(words, special)]
    for lengths in ((5, (1, 2), 3), (3,), (2, 7), (3, 1)):
        rows = []
        for length in lengths:
            parts = length if isinstance(length, tuple) else (length,)
            row = [cls]
            for part in parts:
                drawn = torch.randint(len(words), (part,), generator=generator)
                row += [*words[drawn].tolist(), sep]
            rows.append(row)
        if lengths == (3, 1):
            rows[0][2] = unk
        width = max(map(len, rows))
        ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
        yield ids, (ids != pad).long()


@exercise(_NOTEBOOK, "Count the parameters of one layer")
def layer_parameters(answer: Any) -> str:
    """answer(hidden_size, intermediate_size) -> int: the parameters of one BERT layer."""
    # First two primes: with F = 4 H, as in most models, different mistakes can give the same number.
    for h, f in ((389, 1543), (384, 1536), (768, 3072), (5, 7)):
        given = answer(h, f)
        got = one_number(given)
        right = layer_size(h, f)
        where = f"For hidden_size = {h} and intermediate_size = {f}"
        if got is None:
            raise Mistake(f"{where} you gave {describe(given)}; one number is wanted.")
        found = f"{where} you gave {got:,}"
        if got != right and got in (known := layer_mistakes(h, f)):
            raise Mistake(f"{found}: {known[got]}. Expected {right:,}.")
        expect(got == right, f"{found}; expected {right:,}, a difference of {got - right:+,}.")
    return "Six linear layers with biases and two LayerNorms."


def layer_size(h: int, f: int) -> int:
    """The parameters of one layer of hidden size h and feed-forward size f."""
    return 4 * (h * h + h) + (h * f + f) + (f * h + h) + 2 * 2 * h


def layer_mistakes(h: int, f: int) -> dict[int, str]:
    """Wrong counts with the words for the mistake behind them."""
    right = layer_size(h, f)
    return {
        4 * h * h + 2 * h * f: "the weight matrices are right; all biases and both LayerNorms are missing",
        right - 5 * h - f: "the biases are missing: every linear layer has one number for each output",
        right - h - f: "the biases of the two feed-forward layers are missing: F in the first, H in the second",
        right - 4 * h: "4 H are missing: the two LayerNorms, each with a scale and a shift, or the four biases of attention",
        right - 2 * h: "2 H are missing: there are two LayerNorms, and each has a scale and a shift",
        right - h: "H is missing: one linear layer seems to lack its bias",
        right - f: "F is missing: it is the bias of the first feed-forward layer",
        right - (h * h + h): "one of the four linear layers of attention is missing: query, key, value and output",
        right - 3 * (h * h + h): "attention has four linear layers, not one: query, key, value and output",
        right - 4 * (h * h + h): "the four linear layers of attention are missing",
        right - (f * h + h): "the feed-forward part has two linear layers: H to F, and back from F to H",
        right - (f * h + f): "the feed-forward part has two linear layers: H to F, and back from F to H",
        right - (2 * f * h + f + h): "the two linear layers of feed-forward are missing",
        right + f - h: "the second feed-forward layer goes from F to H, so its bias has H numbers, not F",
        right + h - f: "the first feed-forward layer goes from H to F, so its bias has F numbers, not H",
        right - 4 * h - (h * h + h): "the output layer of attention and the two LayerNorms are missing",
        layer_size(h, 4 * h): "you took F = 4 H. That is so in most models; here F is the second argument",
        layer_size(f, h): "H and F have changed places",
    }  # fmt: skip


@exercise(_NOTEBOOK, "Rebuild pooler_output")
def rebuild_pooler(answer: Any) -> str:
    """answer(last_hidden_state (B, T, H), weight (H, H), bias (H,)) -> (B, H): tanh(W cls + b)."""
    import torch

    for batch, tokens, width in SIZES:
        hidden, _ = hidden_and_mask(batch, tokens, width)
        generator = seeded(width)
        weight = torch.randn(width, width, generator=generator)
        bias = torch.randn(width, generator=generator)
        where = f"For last_hidden_state {(batch, tokens, width)}"
        got = as_tensor(answer(hidden, weight, bias), where)
        shapes = {
            (batch, tokens, width): "you gave one vector a token. The pooler reads the first token alone: [:, 0]",
            (tokens, width): "you took the first text, [0], with all its tokens. The first token of every text is [:, 0]",
            (batch, 1, width): "the dimension of the tokens is still there. The slice [:, 0] drops it, [:, :1] keeps it",
        }  # fmt: skip
        expect_shape(got, (batch, width), where, "one vector of length H a text", shapes)
        right = torch.tanh(hidden[:, 0] @ weight.T + bias)
        expect_equal(got, right, f"{where} the numbers do not agree", _wrong_poolers(hidden, weight, bias))
    return "tanh(W cls + b), and nothing else: that is all of BERT's pooler."


def _wrong_poolers(hidden: Tensor, weight: Tensor, bias: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What one, two or more mistakes at once give: every way to pool with every way to go on."""
    import torch

    first = hidden[:, 0]
    yield "you gave the vector of [CLS] as it is: the linear layer and the tanh are missing", first
    yield "you gave the tanh of the vector of [CLS]: the linear layer between them is missing", torch.tanh(first)
    yield "the bias comes before the tanh, inside its brackets", torch.tanh(first @ weight.T) + bias
    yield "the tanh comes last, after the linear layer", torch.tanh(first) @ weight.T + bias
    vectors = [
        ("", first),
        ("you took the last token, [:, -1], and [CLS] is the first one, [:, 0]", hidden[:, -1]),
        ("you pooled by the mean of all tokens, and BERT's pooler takes the first token alone", hidden.mean(1)),
        ("you pooled by the maximum of all tokens, and BERT's pooler takes the first token alone", hidden.amax(1)),
    ]
    weights = [("", weight.T), ("nn.Linear stores its weight as (out, in), so multiply with weight.T", weight)]
    biases = [("", bias), ("the bias is missing", torch.zeros_like(bias))]
    ends = [
        ("", torch.tanh),
        ("the tanh after the linear layer is missing: your numbers leave the range -1 to 1", lambda x: x),
        ("the function after the linear layer is tanh, not sigmoid", torch.sigmoid),
        ("the function after the linear layer is tanh, not ReLU", torch.relu),
        ("the function after the linear layer is tanh, not GELU", torch.nn.functional.gelu),
    ]
    for words, (x, w, b, end) in combined(vectors, weights, biases, ends, most=4):
        yield words, end(x @ w + b)


@exercise(_NOTEBOOK, "Mean without padding")
def masked_mean(answer: Any) -> str:
    """answer(hidden (B, T, H), mask (B, T)) -> (B, H): the mean of the vectors of real tokens."""
    for batch, tokens, width in SIZES:
        hidden, mask = hidden_and_mask(batch, tokens, width)
        weight = mask.unsqueeze(-1).float()
        total, count = (hidden * weight).sum(1), weight.sum(1)
        right = total / count
        without_cls = (total - hidden[:, 0]) / (count - 1)
        where = f"For hidden {(batch, tokens, width)} with {mask.sum(1).tolist()} real tokens"
        got = as_tensor(answer(hidden, mask), where)
        shapes = {
            (batch, tokens, width): "there is still one vector a token. Sum over the tokens: dim=1",
            (tokens, width): "you summed over the texts, dim=0. The tokens are dim=1",
            (batch, tokens): "you summed over the numbers of each vector, dim=-1. The tokens are dim=1",
            (width,): f"you gave one vector for all {batch} texts together. Each text has its own mean: sum over dim=1",
            (batch, 1, width): "the dimension of the tokens is still there. It goes without keepdim=True",
        }
        expect_shape(got, (batch, width), where, "one vector of length H a text", shapes)
        mistakes = {
            f"you gave the plain mean over all T = {tokens} positions: the padding is in it": hidden.mean(1),
            f"the padding is out of the sum, but you still divide by T = {tokens}. Divide by the number of real tokens": total / tokens,
            "you gave the sum. Divide it by the number of real tokens of each text": total,
            f"you divide by all real tokens of the batch, {int(mask.sum())}. Each text has its own number: sum over dim=1": total / mask.sum(),
            "the divisor is right, but the padding is still in the sum. Multiply with the mask first": hidden.sum(1) / count,
            "you gave the vector of [CLS]; the mean of all real tokens is wanted": hidden[:, 0],
            "you gave the maximum; the mean is wanted": hidden.masked_fill(weight == 0, float("-inf")).amax(1),
            "you left out [CLS]. The mask is 1 there: it is a real token": without_cls,
        }  # fmt: skip
        expect_equal(got, right, f"{where} the numbers do not agree", mistakes)
    # The last batch again, with noise where the padding is.
    noisy = as_tensor(answer(hidden.masked_fill(weight == 0, 1e4), mask), where)
    expect(
        close(noisy, right),
        f"{where}: when I change the vectors of padding, your result changes. Padding must have no say.",
    )
    return "The padding has no say, whatever its vectors hold."


@exercise(_NOTEBOOK, "[CLS] of the last four layers")
def last_four_cls(answer: Any) -> str:
    """answer(hidden_states: L + 1 of (B, T, H)) -> (B, 4 H): the [CLS] vectors joined, the last layer first."""
    import torch

    for layers, (batch, tokens, width) in zip((6, 12, 4), SIZES, strict=True):
        generator = seeded(layers)
        states = tuple(torch.randn(batch, tokens, width, generator=generator) for _ in range(layers + 1))
        first = [state[:, 0] for state in states]
        where = f"For {layers + 1} hidden states {(batch, tokens, width)}"
        got = as_tensor(answer(states), where, "join the four vectors into one tensor with torch.cat")
        if tuple(got.shape) == (batch, width) and close(got, first[-1]):
            raise Mistake(f"{where} you gave [CLS] of the last layer alone. Four layers stand side by side here: {(batch, 4 * width)}.")  # fmt: skip
        shapes = {
            (batch, width): f"the four vectors are averaged or added. Here they stand side by side, {(batch, 4 * width)}",
            (batch, tokens, 4 * width): "you joined the layers for every token. Take the first token, [:, 0], before or after",
            (tokens, 4 * width): "you took the first text, [0], with all its tokens. The first token of every text is [:, 0]",
            (batch, 4 * tokens): "you took the first number of every vector, [..., 0]. The first token is [:, 0]",
            (4 * batch, width): f"you joined along dim=0: the layers became {4 * batch} texts. Join along the last dimension, dim=-1",
            (4 * width,): "the dimension of the batch is gone. Slice with [:, 0] and never squeeze; a batch of one stays a batch",
            (4, batch, width): "you stacked them: torch.stack makes a new dimension, torch.cat joins along one that is there",
            (batch, 4, width): "you stacked them: torch.stack makes a new dimension, torch.cat joins along one that is there",
            (batch, (layers + 1) * width): f"you joined all {layers + 1}. Only the last four are wanted",
        }  # fmt: skip
        expect_shape(got, (batch, 4 * width), where, "four vectors of length H, side by side, a text", shapes)
        joined = {
            "you took the first four, and index 0 is the embeddings. The last ones are [-1], [-2], [-3], [-4]": first[:4],
            "you took the first four after the embeddings. The last ones are [-1], [-2], [-3], [-4]": first[1:5],
            "you took the first four, in the order from 4 to 1. The last ones are [-1], [-2], [-3], [-4]": first[4:0:-1],
            "the layers are right, the order is not: the last layer comes first here, as in the forum's code": first[-4:],
            "you began with index 0, the embeddings. [-0] is [0]: count i from 1 to 4": [first[-i] for i in range(4)],
            "the last layer is missing: begin with [-1]. In a slice, [-4:] goes to the end and [-4:-1] stops before it": first[-2:-6:-1],
            "the last layer is missing, and the order is turned round: begin with [-1]": first[-5:-1],
            f"you took layers 6, 5, 4 and 3, which are the last ones of a model with 6. This one has {layers}: count from the end": first[6:2:-1],
            f"you took layers 12, 11, 10 and 9, which are the last ones of a model with 12. This one has {layers}: count from the end": first[12:8:-1],
            "you took the last token, [:, -1]. [CLS] is the first one, [:, 0]": [states[-i][:, -1] for i in range(1, 5)],
            "you joined one layer four times": [first[-1]] * 4,
        }  # fmt: skip
        mistakes = {words: torch.cat(parts, dim=-1) for words, parts in joined.items() if len(parts) == 4}
        right = torch.cat([first[-i] for i in range(1, 5)], dim=-1)
        found = f"{where} the numbers do not agree"
        expect_equal(got, right, found, mistakes, "compare with hidden_states[-i][:, 0] for i = 1 to 4")
    return "Four layers of [CLS], (B, 4 H), for any depth and a batch of one."


@exercise(_NOTEBOOK, "How much each head looks at [CLS]")
def attention_to_cls(answer: Any) -> str:
    """answer(attentions: L of (B, N, T, T), mask (B, T)) -> (L, N): mean weight that real tokens give to [CLS]."""
    import torch

    for layers, heads, (batch, tokens, _) in zip((2, 3, 5), (5, 2, 3), SIZES, strict=True):
        generator = seeded(tokens)
        _, mask = hidden_and_mask(batch, tokens, 2)
        scores = torch.randn(layers, batch, heads, tokens, tokens, generator=generator)
        scores = scores.masked_fill(~mask.bool()[None, :, None, None, :], float("-inf"))
        stacked = scores.softmax(-1)  # (L, B, N, T, T): the rows look, the columns are looked at
        where = f"For {layers} layers of {(batch, heads, tokens, tokens)} with {mask.sum(1).tolist()} real tokens"
        got = as_tensor(answer(tuple(stacked), mask), where, "make one tensor (L, N) of the layers with torch.stack")
        shapes = {
            (heads, layers): "the layers and the heads have changed places: layers first",
            (layers, batch, heads): "there is still a number for each text. Average over the texts as well",
            (layers, heads, tokens): "there is still a number for each token. Average over the tokens as well",
            (layers, batch, heads, tokens): "there is still a number for each text and token. Average over both",
            (layers,): "you averaged over the heads as well. Each head has its own number",
            (heads,): "you averaged over the layers as well, or took one of them. Each layer has its own numbers",
            (batch, heads): "there is a number for each text, and none for each layer. Stack the layers, average over the texts",
        }  # fmt: skip
        expect_shape(got, (layers, heads), where, "(L, N), a number for each head of each layer", shapes)
        rows = mask[None, :, None, :].float()
        column, row = stacked[..., 0], stacked[..., 0, :]
        row_words = "you read the row of [CLS]: where [CLS] looks. Who looks at [CLS] stands in its column, [..., 0]"
        mistakes = {
            row_words: (row * rows).sum((1, 3)) / mask.sum(),
            f"{row_words}; leave the rows of padding out, too": row.mean((1, 3)),
            f"{row_words}, and a sum is no mean": row.sum((1, 3)),
            "the rows of padding are in your mean. Padding looks somewhere too; leave its rows out": column.mean((1, 3)),
            "you averaged text by text, so a token of a short text counts more. Sum over all real tokens, then divide once by their number": ((column * rows).sum(3) / rows.sum(3)).mean(1),
            f"the rows of padding are out of the sum, but you still divide by B x T = {batch * tokens}. Divide by the number of real tokens": (column * rows).mean((1, 3)),
            "you gave the sum. Divide it by the number of real tokens": (column * rows).sum((1, 3)),
            "you gave the sum, and the rows of padding are in it. A mean over the real tokens is wanted": column.sum((1, 3)),
            f"you divide by the number of texts, {batch}. Divide by the number of real tokens": (column * rows).sum((1, 3)) / batch,
            "you took what [CLS] gives to itself. All real tokens look at [CLS]": column[..., 0].mean(1),
            "you read the last column, [..., -1]. [CLS] is the first token": (stacked[..., -1] * rows).sum((1, 3)) / mask.sum(),
        }  # fmt: skip
        right = (column * rows).sum((1, 3)) / mask.sum()
        expect_equal(got, right, f"{where} the numbers do not agree", mistakes)
    return "Columns say who is looked at, rows who looks; padding does neither."
