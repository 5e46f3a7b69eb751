"""Checks of notebook 01_bert_outputs. Letters: B batch, T tokens, H hidden size, N heads, L layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from course_lib.exercises.checking import Mistake, describe, exercise, expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_NOTEBOOK = "01_bert_outputs"
CLS, SEP, PAD = 101, 102, 0
# B, T, H: primes, so that no two sizes agree by accident; and a batch of one, which loose code squeezes away.
_SIZES = ((3, 7, 5), (1, 5, 3), (2, 11, 13))


@exercise(_NOTEBOOK, "Count the real tokens")
def count_tokens(answer: Any) -> str:
    """answer(input_ids (B, T), attention_mask (B, T)) -> (B,): tokens that are neither padding nor [CLS] nor [SEP]."""
    import torch

    for ids, mask in _batches():
        got = answer(ids, mask)
        inside = ((ids != CLS) & (ids != SEP) & mask.bool()).sum(dim=1)
        where = f"For input_ids = {ids.tolist()}"
        expect(isinstance(got, torch.Tensor), f"{where} your function returned a {type(got).__name__}; return a tensor with one number a text.")  # fmt: skip
        if tuple(got.shape) == () or got.numel() == 1 < len(ids):
            raise Mistake(f"{where} you gave one number, {got.tolist()}, for {len(ids)} texts. Sum over the tokens alone: .sum(dim=1).")  # fmt: skip
        expect(tuple(got.shape) == (len(ids),), f"{where} the result has shape {tuple(got.shape)}; expected ({len(ids)},), one number a text.")  # fmt: skip
        if torch.equal(got, mask.sum(dim=1)) and not torch.equal(got, inside):
            raise Mistake(f"{where} you counted {got.tolist()}: padding is out, but [CLS] and [SEP] are still in. Expected {inside.tolist()}.")  # fmt: skip
        if torch.equal(got, torch.full_like(got, ids.shape[1])):
            raise Mistake(f"{where} you counted every position, {got.tolist()}, padding included. attention_mask is 0 there.")  # fmt: skip
        if torch.equal(got, mask.sum(dim=1) - 2) and not torch.equal(got, inside):
            raise Mistake(f"{where} you subtracted 2 from every text. A pair of texts has two [SEP], so 3 special tokens: look at the ids. Expected {inside.tolist()}, got {got.tolist()}.")  # fmt: skip
        expect(torch.equal(got, inside), f"{where} expected {inside.tolist()}, got {got.tolist()}.")
    return "Right for single texts, pairs, padding and a batch of one."


def _batches() -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of ids: single texts with padding, a batch of one, and a pair, which has two separators."""
    import torch

    generator = torch.Generator().manual_seed(5)
    for lengths in ((5, 2, 3), (3,), ((2, 3), (1, 1))):
        rows = []
        for length in lengths:
            parts = length if isinstance(length, tuple) else (length,)
            row = [CLS]
            for part in parts:
                row += [*torch.randint(1000, 30000, (part,), generator=generator).tolist(), SEP]
            rows.append(row)
        width = max(map(len, rows))
        ids = torch.tensor([row + [PAD] * (width - len(row)) for row in rows])
        yield ids, (ids != PAD).long()


@exercise(_NOTEBOOK, "Mean without padding")
def masked_mean(answer: Any) -> str:
    """answer(hidden (B, T, H), mask (B, T)) -> (B, H): the mean of the vectors of real tokens."""
    import torch

    for batch, tokens, width in _SIZES:
        hidden, mask = _hidden_and_mask(batch, tokens, width)
        got = answer(hidden.clone(), mask)
        weight = mask.unsqueeze(-1).float()
        right = (hidden * weight).sum(1) / weight.sum(1)
        where = f"For hidden {tuple(hidden.shape)} with {mask.sum(1).tolist()} real tokens"
        _expect_shape(got, (batch, width), where, "one vector of length H a text")
        if torch.allclose(got, hidden.mean(1), atol=1e-5) and not torch.allclose(hidden.mean(1), right, atol=1e-5):
            raise Mistake(f"{where} you gave the plain mean over all T = {tokens} positions: the padding is in it.")
        if torch.allclose(got, (hidden * weight).sum(1) / tokens, atol=1e-5):
            raise Mistake(f"{where} the padding is out of the sum, but you still divide by T = {tokens}. Divide by the number of real tokens.")  # fmt: skip
        if torch.allclose(got, (hidden * weight).sum(1), atol=1e-5):
            raise Mistake(f"{where} you gave the sum. Divide it by the number of real tokens of each text.")
        if torch.allclose(got, (hidden * weight).sum(1) / weight.sum(), atol=1e-5):
            raise Mistake(f"{where} you divide by all real tokens of the batch, {int(mask.sum())}. Each text has its own number: sum over dim=1.")  # fmt: skip
        expect(torch.allclose(got, right, atol=1e-5), f"{where} the numbers are off by up to {(got - right).abs().max():.3f}.")  # fmt: skip
    noise = hidden.masked_fill(~mask.bool().unsqueeze(-1), 1e4)
    expect(torch.allclose(answer(noise, mask), right, atol=1e-5), "When I change the vectors of padding, your result changes. Padding must have no say.")  # fmt: skip
    return "The padding has no say, whatever its vectors hold."


@exercise(_NOTEBOOK, "Rebuild pooler_output")
def rebuild_pooler(answer: Any) -> str:
    """answer(last_hidden_state (B, T, H), weight (H, H), bias (H,)) -> (B, H): tanh(W cls + b)."""
    import torch

    for batch, tokens, width in _SIZES:
        hidden, _ = _hidden_and_mask(batch, tokens, width)
        generator = torch.Generator().manual_seed(width)
        weight = torch.randn(width, width, generator=generator)
        bias = torch.randn(width, generator=generator)
        got = answer(hidden.clone(), weight, bias)
        first = hidden[:, 0]
        linear = first @ weight.T + bias
        where = f"For last_hidden_state {tuple(hidden.shape)}"
        if isinstance(got, torch.Tensor) and tuple(got.shape) == (batch, tokens, width):
            raise Mistake(f"{where} you gave one vector a token, {tuple(got.shape)}. The pooler reads the first token alone: [:, 0].")  # fmt: skip
        if isinstance(got, torch.Tensor) and tuple(got.shape) == (tokens, width):
            raise Mistake(f"{where} you took the first text, [0], with all its tokens. The first token of every text is [:, 0].")  # fmt: skip
        _expect_shape(got, (batch, width), where, "one vector of length H a text")
        if torch.allclose(got, linear, atol=1e-5):
            raise Mistake(f"{where} the linear layer is right; the tanh after it is missing: your numbers leave the range -1 to 1.")  # fmt: skip
        if torch.allclose(got, torch.tanh(first @ weight + bias), atol=1e-5):
            raise Mistake(f"{where} you multiplied with the weight as it lies. nn.Linear stores it as (out, in): multiply with weight.T.")  # fmt: skip
        if torch.allclose(got, torch.tanh(hidden.mean(1) @ weight.T + bias), atol=1e-5):
            raise Mistake(f"{where} you pooled by the mean of all tokens. BERT's pooler takes the first token alone.")
        if torch.allclose(got, torch.tanh(hidden[:, -1] @ weight.T + bias), atol=1e-5):
            raise Mistake(f"{where} you took the last token, [:, -1]. [CLS] is the first one, [:, 0].")
        if torch.allclose(got, torch.tanh(first @ weight.T), atol=1e-5):
            raise Mistake(f"{where} the bias is missing.")
        right = torch.tanh(linear)
        expect(torch.allclose(got, right, atol=1e-5), f"{where} the numbers are off by up to {(got - right).abs().max():.3f}.")  # fmt: skip
    return "tanh(W cls + b), and nothing else: that is all of BERT's pooler."


@exercise(_NOTEBOOK, "[CLS] of the last four layers")
def last_four_cls(answer: Any) -> str:
    """answer(hidden_states: L + 1 of (B, T, H)) -> (B, 4 H): the [CLS] vectors joined, the last layer first."""
    import torch

    for layers, (batch, tokens, width) in zip((6, 12, 4), _SIZES, strict=True):
        generator = torch.Generator().manual_seed(layers)
        states = tuple(torch.randn(batch, tokens, width, generator=generator) for _ in range(layers + 1))
        got = answer(states)
        right = torch.cat([states[-i][:, 0] for i in range(1, 5)], dim=-1)
        where = f"For {layers + 1} hidden states {(batch, tokens, width)}"
        expect(isinstance(got, torch.Tensor), f"{where} your function returned a {type(got).__name__}; join the four vectors into one tensor with torch.cat.")  # fmt: skip
        shape = tuple(got.shape)
        if shape == (batch, width):
            raise Mistake(f"{where} you gave {shape}: the four vectors are averaged or added. Here they stand side by side: {(batch, 4 * width)}.")  # fmt: skip
        if shape == (batch, tokens, 4 * width):
            raise Mistake(f"{where} you joined the layers for every token, {shape}. Take the first token, [:, 0], before or after.")  # fmt: skip
        if shape == (4 * batch, width):
            raise Mistake(f"{where} you joined along dim=0: the layers became {4 * batch} texts. Join along the last dimension, dim=-1.")  # fmt: skip
        if shape == (4 * width,):
            raise Mistake(f"{where} the batch dimension is gone: {shape}. Slice with [:, 0] and never squeeze; a batch of one stays a batch.")  # fmt: skip
        expect(shape == (batch, 4 * width), f"{where} the result has shape {shape}; expected {(batch, 4 * width)}.")
        if torch.equal(got, torch.cat([states[i][:, 0] for i in range(4)], dim=-1)):
            raise Mistake(f"{where} you took the first four, and index 0 is the embeddings. The last ones are [-1], [-2], [-3], [-4].")  # fmt: skip
        if torch.equal(got, torch.cat([states[-i][:, 0] for i in range(4, 0, -1)], dim=-1)):
            raise Mistake(f"{where} the layers are right, the order is not: the last layer comes first here, as in the forum's code.")  # fmt: skip
        expect(torch.equal(got, right), f"{where} the numbers do not agree. Is it hidden_states[-i][:, 0] for i = 1 to 4?")  # fmt: skip
    return "Four layers of [CLS], (B, 4 H), for any depth and a batch of one."


@exercise(_NOTEBOOK, "Count the parameters of one layer")
def layer_parameters(answer: Any) -> str:
    """answer(hidden_size, intermediate_size) -> int: the parameters of one BERT layer."""
    for h, f in ((384, 1536), (768, 3072), (5, 7)):
        got = answer(h, f)
        right = 4 * (h * h + h) + (h * f + f) + (f * h + h) + 2 * 2 * h
        where = f"For hidden_size = {h} and intermediate_size = {f}"
        expect(isinstance(got, (int, float)), f"{where} you gave {describe(got)}; a number is wanted.")
        mistakes = {
            4 * h * h + 2 * h * f: "the weight matrices are right; all biases and both LayerNorms are missing",
            4 * h * h + 2 * h * f + 4 * h: "the biases of all six linear layers are missing",
            right - 4 * h: "the two LayerNorms are missing: each has a scale and a shift, 2 x H",
            right - 2 * h: "one LayerNorm is missing: there is one after attention and one after feed-forward",
            right - (h * h + h): "one of the four linear layers of attention is missing: query, key, value and output",
            right - 5 * h - f: "the biases are missing: every linear layer has one number for each output",
            right - (f * h + h): "the feed-forward part has two linear layers: H to F, and back from F to H",
            right - 4 * h - (h * h + h): "the output layer of attention and the two LayerNorms are missing",
        }
        if got != right and got in mistakes:
            raise Mistake(f"{where} you gave {got:,}: {mistakes[got]}. Expected {right:,}.")
        expect(got == right, f"{where} you gave {got:,}; expected {right:,}, a difference of {got - right:+,}.")
    return "Six linear layers with biases and two LayerNorms."


@exercise(_NOTEBOOK, "How much each head looks at [CLS]")
def attention_to_cls(answer: Any) -> str:
    """answer(attentions: L of (B, N, T, T), mask (B, T)) -> (L, N): mean weight that real tokens give to [CLS]."""
    import torch

    for layers, heads, (batch, tokens, _) in zip((2, 3, 5), (7, 2, 3), _SIZES, strict=True):
        generator = torch.Generator().manual_seed(tokens)
        _, mask = _hidden_and_mask(batch, tokens, 2)
        scores = torch.randn(layers, batch, heads, tokens, tokens, generator=generator)
        scores = scores.masked_fill(~mask.bool()[None, :, None, None, :], float("-inf"))
        attentions = tuple(scores.softmax(-1))
        got = answer(attentions, mask)
        stacked = torch.stack(attentions)  # (L, B, N, T, T)
        rows = mask[None, :, None, :].float()  # the rows, that is the tokens that look
        right = (stacked[..., 0] * rows).sum((1, 3)) / mask.sum()
        where = f"For {layers} layers of {tuple(attentions[0].shape)} with {mask.sum(1).tolist()} real tokens"
        if isinstance(got, torch.Tensor) and tuple(got.shape) == (heads, layers) != (layers, heads):
            raise Mistake(f"{where} the result is (N, L) = {tuple(got.shape)}; give (L, N): layers first.")
        _expect_shape(got, (layers, heads), where, "(L, N), a number for each head of each layer")
        swapped = (stacked[..., 0, :] * rows).sum((1, 3)) / mask.sum()
        if torch.allclose(got, swapped, atol=1e-5) or torch.allclose(got, stacked[..., 0, :].mean((1, 3)), atol=1e-5):
            raise Mistake(f"{where} you read the row of [CLS]: where [CLS] looks. Who looks at [CLS] stands in its column: [..., 0].")  # fmt: skip
        if torch.allclose(got, stacked[..., 0].mean((1, 3)), atol=1e-5) and not torch.allclose(got, right, atol=1e-5):
            raise Mistake(f"{where} the rows of padding are in your mean. Padding looks somewhere too; leave its rows out.")  # fmt: skip
        per_text = ((stacked[..., 0] * rows).sum(3) / rows.sum(3)).mean(1)
        if torch.allclose(got, per_text, atol=1e-5) and not torch.allclose(got, right, atol=1e-5):
            raise Mistake(f"{where} you averaged text by text, so a token of a short text counts more. Sum over all real tokens, then divide once by their number.")  # fmt: skip
        expect(torch.allclose(got, right, atol=1e-5), f"{where} the numbers are off by up to {(got - right).abs().max():.3f}.")  # fmt: skip
    return "Columns say who is looked at, rows who looks; padding does neither."


def _hidden_and_mask(batch: int, tokens: int, width: int) -> tuple[Tensor, Tensor]:
    """Random vectors, and a mask whose rows have different numbers of real tokens; the first is full."""
    import torch

    generator = torch.Generator().manual_seed(batch * tokens)
    hidden = torch.randn(batch, tokens, width, generator=generator)
    lengths = torch.tensor([max(2, tokens - 2 * i) for i in range(batch)]) if batch > 1 else torch.tensor([tokens - 2])
    return hidden, (torch.arange(tokens)[None] < lengths[:, None]).long()


def _expect_shape(got: Any, shape: tuple[int, ...], where: str, words: str) -> None:
    import torch

    expect(isinstance(got, torch.Tensor), f"{where} your function returned a {type(got).__name__}; a tensor is wanted.")
    expect(tuple(got.shape) == shape, f"{where} the result has shape {tuple(got.shape)}; expected {shape}: {words}.")
