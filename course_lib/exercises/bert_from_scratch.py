"""Checks of notebook 04_bert_from_scratch, in its order.

Letters: B batch, T tokens, H hidden size, N heads, D head size, V words, P positions, S token types.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from course_lib.exercises.checking import Mistake, describe, exercise, expect
from course_lib.exercises.tensors import (
    SIZES,
    advised,
    as_tensor,
    close,
    combined,
    expect_by_hand,
    expect_equal,
    expect_shape,
    hidden_and_mask,
    seeded,
    softmax,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

_NOTEBOOK = "04_bert_from_scratch"


def _same(x: Any) -> Any:
    return x


@exercise(_NOTEBOOK, "Sum three tables")
def embed(answer: Any) -> str:
    """answer(input_ids (B, T), token_type_ids (B, T), words (V, H), positions (P, H), types (S, H)) -> (B, T, H)."""
    import torch

    for batch, tokens, width in SIZES:
        generator = seeded(width)
        # Every table has a row for every id, so that a look-up in the wrong table gives wrong numbers and no error.
        words, positions, types = (torch.randn(rows, width, generator=generator) for rows in (11, 13, 17))
        ids = torch.randint(1, 11, (batch, tokens), generator=generator)
        _, mask = hidden_and_mask(batch, tokens, width)
        ids = ids * mask  # padding has the id 0
        kinds = torch.randint(0, 2, (batch, tokens), generator=generator)
        where = f"For ids {(batch, tokens)} and tables of {width} columns"
        with advised(
            "words[input_ids] has shape (B, T, H); the first T rows of positions, (T, H), add to it as they are"
        ):
            given = answer(ids, kinds, words, positions, types)
        got = as_tensor(given, where)
        shapes = {
            (batch, tokens, 3 * width): "the three vectors stand side by side. BERT adds them: +, not torch.cat",
            (batch, 3 * tokens, width): "the three were joined along the tokens, so each text became three times as long. BERT adds them",
            (3 * batch, tokens, width): "the three were joined along the texts, so the batch became three times as large. BERT adds them",
            (3, batch, tokens, width): "the three are stacked. Add them: their sum has no new dimension",
            (batch, tokens, 3, width): "the three are stacked. Add them: their sum has no new dimension",
            (batch, tokens): "the numbers of each vector are summed up, dim=-1. The sum is over the three tables alone",
            (batch, width): "the tokens of each text are summed up, dim=1. Each token keeps its vector",
            (tokens, width): "the texts are summed up, or only one is there. Each text keeps its vectors",
        }  # fmt: skip
        expect_shape(got, (batch, tokens, width), where, "one vector of length H a token", shapes)
        right = words[ids] + positions[:tokens] + types[kinds]
        expect_equal(got, right, f"{where} the numbers do not agree", _wrong_sums(ids, kinds, words, positions, types))
    return "Without the positions BERT could not tell one order of the same words from another."


def _wrong_sums(
    ids: Tensor, kinds: Tensor, words: Tensor, positions: Tensor, types: Tensor
) -> Iterator[tuple[str, Tensor]]:
    import torch

    (batch, tokens), width, nothing = ids.shape, words.shape[1], torch.zeros(words.shape[1])
    right = words[ids] + positions[:tokens] + types[kinds]
    yield "you divide by 3, a mean of the three. The plain sum is wanted", right / 3
    yield "you multiply the three. BERT adds them", words[ids] * positions[:tokens] * types[kinds]
    yield "the vectors of padding are 0. It has an id, a position and a type as all tokens do; attention is where it is left out", right * (ids != 0)[..., None]  # fmt: skip
    root = width**0.5
    of_words = [
        ("", words[ids]),
        ("the words are missing. Add words[input_ids]", nothing),
        ("the words are looked up by the token types. Their rows are words[input_ids]", words[kinds]),
        (f"the words are multiplied by √H = {root:.3g}. The Transformer of 2017 does that, BERT does not", words[ids] * root),
        (f"the words are divided by √H = {root:.3g}. That root belongs to attention", words[ids] / root),
    ]  # fmt: skip
    of_places = [
        ("", positions[:tokens]),
        ("the positions are missing. Add the first T rows of positions", nothing),
        ("the positions are counted from 1. The first token of a text has position 0", positions[1 : tokens + 1]),
        ("the positions are looked up by the ids. A position is the place in the text, 0 to T - 1, whatever stands there", positions[ids]),
        ("the positions are looked up by the token types. They are 0 to T - 1 in every text", positions[kinds]),
        ("every token has the same position, 0. Token t has row t of positions", positions[0]),
        (f"every token has the same position, T = {tokens}. Token t has row t of positions", positions[tokens]),
        (f"every token has the same position, T - 1 = {tokens - 1}. Token t has row t of positions", positions[tokens - 1]),
        ("the positions count the texts of the batch. They count the tokens of each text", positions[:batch, None]),
        ("the positions run backwards. The first token of a text has position 0", positions[:tokens].flip(0)),
        ("you took the last T rows of positions. The first T are wanted: positions[:T]", positions[-tokens:]),
    ]  # fmt: skip
    of_types = [
        ("", types[kinds]),
        ("the token types are missing. Add types[token_type_ids]", nothing),
        ("every token has type 0. Look the types up by token_type_ids", types[0]),
        ("every token has type 1. Look the types up by token_type_ids", types[1]),
        ("the types are looked up by the ids. Their rows are types[token_type_ids]", types[ids]),
        ("the types are the positions of the text. Look them up by token_type_ids", types[:tokens]),
    ]  # fmt: skip
    ends: list[tuple[str, Callable[[Tensor], Tensor]]] = [
        ("", _same),
        ("there is a LayerNorm on top. It comes next in BERT; here the plain sum is wanted", lambda x: (x - x.mean(-1, True)) / x.std(-1, correction=0, keepdim=True)),
        (f"the sum is multiplied by √H = {root:.3g}. The plain sum is wanted", lambda x: x * root),
    ]  # fmt: skip
    for words_, (a, b, c, end) in combined(of_words, of_places, of_types, ends):
        yield words_, end((a + b + c).expand_as(right))


@exercise(_NOTEBOOK, "LayerNorm by hand")
def layer_norm(answer: Any) -> str:
    """answer(x (B, T, H), scale (H,), shift (H,), eps) -> (B, T, H): normalised over the last dimension."""
    import torch

    # First an eps so large that its place can be seen; then BERT's own, and a vector of equal numbers, whose variance is 0.
    for (batch, tokens, width), eps in zip(SIZES, (0.25, 1e-12, 1e-5), strict=True):
        generator = seeded(width)
        x = torch.randn(batch, tokens, width, generator=generator) * 1.5 + 2
        if eps == 1e-12:
            x[0, 1] = 2.0
        scale, shift = torch.randn(2, width, generator=generator)
        where = f"For x {(batch, tokens, width)} and eps = {eps:g}"
        with advised("the mean and the variance need keepdim=True, so that they are (B, T, 1) and x is (B, T, H)"):
            given = answer(x, scale, shift, eps)
        got = as_tensor(given, where)
        shapes = {
            (batch, tokens): "you gave one number a vector. The result has all H of them, like x",
            (batch, tokens, 1): "you gave one number a vector. The result has all H of them, like x",
            (tokens, width): "the dimension of the texts is gone. Nothing is summed over them",
        }
        expect_shape(got, (batch, tokens, width), where, "the shape of x", shapes)
        right = torch.nn.functional.layer_norm(x, (width,), scale, shift, eps)
        found = f"{where} the numbers do not agree"
        expect_equal(got, right, found, _wrong_norms(x, scale, shift, eps))
    expect_by_hand(answer, (x, scale, shift, eps), "layer_norm")
    return "Each vector by itself: no neighbour and no padding has a say, unlike in batch normalisation."


def _wrong_norms(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Iterator[tuple[str, Tensor]]:
    dims: list[tuple[str, tuple[int, ...]]] = [
        ("", (-1,)),
        ("you normalise over the tokens, dim=1. Each vector is normalised by itself, dim=-1", (1,)),
        ("you normalise over the texts, dim=0, as batch normalisation does. Each vector is normalised by itself, dim=-1", (0,)),
        ("you normalise each text as a whole, dim=(1, 2). Each vector is normalised by itself, dim=-1", (1, 2)),
        ("mean and variance are those of the whole tensor. Each vector has its own: dim=-1", (0, 1, 2)),
    ]  # fmt: skip
    # Each takes x, its mean, its variance, and the variance with H - 1.
    formulas: list[tuple[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]]] = [
        ("", lambda x, m, v, u: (x - m) / (v + eps).sqrt()),
        ("your variance divides by H - 1, as x.var and x.std do by themselves. Divide by H: correction=0", lambda x, m, v, u: (x - m) / (u + eps).sqrt()),
        ("eps is outside the root. It is added to the variance, before the root is taken", lambda x, m, v, u: (x - m) / (v.sqrt() + eps)),
        ("your variance divides by H - 1, and eps is outside the root. Divide by H, and add eps before the root is taken", lambda x, m, v, u: (x - m) / (u.sqrt() + eps)),
        ("eps has no say. Add it to the variance, or a vector of equal numbers is divided by 0", lambda x, m, v, u: (x - m) / v.sqrt()),
        ("your variance divides by H - 1, and eps has no say. Divide by H, and add eps to the variance", lambda x, m, v, u: (x - m) / u.sqrt()),
        ("your eps is 1e-5, the one that PyTorch takes by itself. Take the argument eps", lambda x, m, v, u: (x - m) / (v + 1e-5).sqrt()),
        ("eps is subtracted. It is added to the variance, so that the root is never 0", lambda x, m, v, u: (x - m) / (v - eps).sqrt()),
        ("eps stands above the fraction line. It is added to the variance, below it", lambda x, m, v, u: (x - m + eps) / v.sqrt()),
        ("you divide by the variance. Divide by its root", lambda x, m, v, u: (x - m) / (v + eps)),
        ("you multiply with the root. Divide by it", lambda x, m, v, u: (x - m) * (v + eps).sqrt()),
        ("you subtract the mean and divide by nothing. Divide by the root of variance + eps", lambda x, m, v, u: x - m),
        ("the mean is not subtracted above the fraction line. x - mean stands there", lambda x, m, v, u: x / (v + eps).sqrt()),
        ("the mean is not subtracted at all, neither from x nor in the variance: that is RMSNorm, of newer models. LayerNorm begins with x - mean", lambda x, m, v, u: x / (v + m * m + eps).sqrt()),
        ("the mean has the wrong sign: x - mean is wanted", lambda x, m, v, u: (m - x) / (v + eps).sqrt()),
    ]  # fmt: skip
    ends: list[tuple[str, Callable[[Tensor], Tensor]]] = [
        ("", lambda y: y * scale + shift),
        ("scale and shift are missing. Multiply with scale, then add shift", _same),
        ("shift is missing. Add it at the end", lambda y: y * scale),
        ("scale is missing. Multiply with it before shift is added", lambda y: y + shift),
        ("scale and shift have changed places. Multiply with scale, add shift", lambda y: y * shift + scale),
        ("shift is added before scale multiplies. Multiply first", lambda y: (y + shift) * scale),
        ("you divide by scale. Multiply with it", lambda y: y / scale + shift),
        ("you subtract shift. Add it", lambda y: y * scale - shift),
    ]
    for words, (dim, formula, end) in combined(dims, formulas, ends):
        mean, variance = x.mean(dim, True), x.var(dim, correction=0, keepdim=True)
        count = x.numel() / variance.numel()
        wider = variance * count / (count - 1) if count > 1 else variance * math.nan
        yield words, end(formula(x, mean, variance, wider))


@exercise(_NOTEBOOK, "One head of attention")
def attention_head(answer: Any) -> str:
    """answer(q, k, v (B, T, D), mask (B, T)) -> (B, T, D): softmax(q k^T / √D) v, padding not looked at."""
    import torch

    for batch, tokens, size in SIZES:
        q, k, v = torch.randn(3, batch, tokens, size, generator=seeded(size))
        _, mask = hidden_and_mask(batch, tokens, size)
        if batch == 2:
            mask = mask.flip(1)  # padding on the left: the mask says where it is, a count does not
        side = ", padding on the left," if batch == 2 else ""
        where = f"For q, k, v {(batch, tokens, size)} with {mask.sum(1).tolist()} real tokens{side}"
        with advised("q @ k.transpose(1, 2) is (B, T, T), and mask[:, None, :] is (B, 1, T), so it meets the columns"):
            given = answer(q, k, v, mask)
        got = as_tensor(given, where)
        shapes = {
            (batch, tokens, tokens): "you gave the weights, or the scores. Multiply the weights with v: weights @ v",
            (batch, size, size): "you multiplied q^T with k, each feature with each other one. Each token meets each other one: q @ k.transpose(1, 2)",
            (batch, size, tokens): "the tokens and the features have changed places. weights @ v has shape (B, T, D) as it is",
            (batch, tokens): "the numbers of each vector are summed up. weights @ v keeps all D",
            (batch, size): "there is one vector a text. Each token that looks gets its own: weights @ v",
        }  # fmt: skip
        expect_shape(got, (batch, tokens, size), where, "one vector of length D a token", shapes)
        scores = (q @ k.mT / math.sqrt(size)).masked_fill(mask[:, None] == 0, -math.inf)
        right = softmax(scores, -1) @ v
        nan = "Is a whole row of scores minus infinity? Only the columns where mask is 0 become so"
        expect_equal(got, right, f"{where} the numbers do not agree", _wrong_heads(q, k, v, mask), "", f"{nan}.")
    return "torch.nn.functional.scaled_dot_product_attention gives the same in one call, and need not keep the (T, T) table."


def _wrong_heads(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Iterator[tuple[str, Tensor]]:
    size, tokens = q.shape[-1], q.shape[1]
    real = mask.bool()
    column, row = real[:, None, :], real[:, :, None]  # who is looked at, who looks

    def fill(where: Tensor, value: float) -> Callable[[Tensor], Tensor]:
        return lambda scores: scores.masked_fill(where, value)

    products = [
        ("", q @ k.mT),
        ("q and k have changed places: row i holds the scores of query i with every key, q @ k.transpose(1, 2)", k @ q.mT),
        ("the keys are not in it: you multiplied q with q", q @ q.mT),
        ("the queries are not in it: you multiplied k with k", k @ k.mT),
    ]  # fmt: skip
    factors = [
        ("", 1 / math.sqrt(size)),
        ("the scores are not divided by √D, the root of q's last dimension", 1.0),
        ("the scores are divided by D. Divide by its root", 1 / size),
        (f"the scores are divided by √T = {math.sqrt(tokens):.3g}. The root of D, the length of a query, is wanted", 1 / math.sqrt(tokens)),
        ("the scores are multiplied with √D. Divide by it", math.sqrt(size)),
    ]  # fmt: skip
    # What is done to the scores before the softmax, and to the weights after it.
    turned = "the mask is turned round: you hide the real tokens. Hide where mask is 0"
    rows = (
        "the mask is on the rows, the tokens that look. mask[:, None, :] puts it on the columns, the tokens looked at"
    )
    both = "the mask is on the rows too. Padding may look where it likes: hide the columns alone"
    masks: list[tuple[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]]] = [
        ("", (fill(~column, -math.inf), _same)),
        ("the mask is not used: padding is looked at. Before the softmax its scores become minus infinity", (_same, _same)),
        (turned, (fill(column, -math.inf), _same)),
        (turned, (fill(column, -1e9), _same)),
        (rows, (fill(~row, -math.inf), _same)),
        (rows, (fill(~row, -1e9), _same)),
        (both, (fill(~(row & column), -math.inf), _same)),
        (both, (fill(~(row & column), -1e9), _same)),
        ("the scores of padding became 0, and e^0 is 1, not 0. Before the softmax they must be minus infinity", (fill(~column, 0.0), _same)),
        ("you added the mask, 1 and 0, to the scores. Padding needs minus infinity there, and real tokens nothing", (lambda s: s + column, _same)),
        ("the weights of padding are 0, but those of a row no longer sum to 1. Hide padding before the softmax", (_same, fill(~column, 0.0))),
        ("the mask, after the softmax, is on the rows. Before the softmax, on the columns, minus infinity hides padding", (_same, fill(~row, 0.0))),
    ]  # fmt: skip
    softmaxes: list[tuple[str, Callable[[Tensor], Tensor]]] = [
        ("", lambda s: softmax(s, -1)),
        ("the softmax is over the queries, dim=1. The weights of each row sum to 1: dim=-1", lambda s: softmax(s, 1)),
        ("the softmax is over the texts, dim=0, so that they see each other. Each row has its own: dim=-1", lambda s: softmax(s, 0)),
        ("the softmax is missing: it makes the scores of each row into weights that sum to 1", _same),
        ("you took log_softmax. The weights are softmax", lambda s: softmax(s, -1).log()),
    ]  # fmt: skip
    values = [
        ("", v),
        ("the weights multiply k. They mix the values: weights @ v", k),
        ("the weights multiply q. They mix the values: weights @ v", q),
    ]
    ends = [
        ("", 1.0),
        ("the results of padding are 0. Padding looks as all tokens do; it only must not be looked at", row.float()),
    ]
    for words, (product, factor, (before, after), weights, value, end) in combined(
        products, factors, masks, softmaxes, values, ends
    ):
        yield words, after(weights(before(product * factor))) @ value * end


@exercise(_NOTEBOOK, "Many heads by one reshape")
def split_heads(answer: Any) -> str:
    """answer(x (B, T, H), heads) -> (B, N, T, D): head n has the columns n D to (n + 1) D."""
    import torch

    for (batch, tokens, _), heads, size in zip(SIZES, (2, 3, 5), (5, 7, 3), strict=True):
        width = heads * size
        x = torch.randn(batch, tokens, width, generator=seeded(width))
        where = f"For x {(batch, tokens, width)} and {heads} heads"
        with advised("a view must keep the count of numbers, so D is H // heads"):
            given = answer(x, heads)
        got = as_tensor(given, where, "one tensor is wanted. torch.stack(parts, dim=1) makes one of parts")
        shapes = {
            (batch, tokens, heads, size): "the heads stand behind the tokens. Let the two change places: .transpose(1, 2)",
            (batch, heads, size, tokens): "the tokens stand last. The last dimension is D, the vector of one head",
            (batch, size, tokens, heads): "N and D have changed places. The argument heads is how many there are, not how long each is",
            (batch, tokens, size, heads): "N and D have changed places, and the heads stand behind the tokens. View as (B, T, N, D), then .transpose(1, 2)",
            (heads, batch, tokens, size): "the heads stand before the texts. torch.stack(parts, dim=1) puts them behind",
            (batch, tokens, width): "x has its old shape. View it as (B, T, N, D), then let T and N change places",
            (batch * heads, tokens, size): "texts and heads are in one dimension. Here they stay apart",
            (heads * batch, tokens, size): "texts and heads are in one dimension. Here they stay apart",
            (batch, tokens, size): "there is one head alone. All of them are wanted",
            (batch, heads, tokens, width): f"each head has all {width} columns. It gets its own D = {size} of them",
        }  # fmt: skip
        expect_shape(got, (batch, heads, tokens, size), where, "(B, N, T, D)", shapes)
        right = torch.stack(x.split(size, -1), 1)
        for n in range(heads):
            found = f"{where} head {n} has other numbers than the columns {n * size} to {(n + 1) * size - 1} of x"
            if not close(got[:, n], right[:, n]):
                expect_equal(got, right, found, _wrong_splits(x, heads, size))
    return "With a view and a transpose nothing is computed and nothing copied: the same numbers are read in another order."


def _wrong_splits(x: Tensor, heads: int, size: int) -> dict[str, Tensor]:
    import torch

    batch, tokens, _ = x.shape
    parts = torch.stack(x.split(size, -1), 1)
    return {
        "a view straight to (B, N, T, D) cuts the tokens apart, for a view never moves a number. View as (B, T, N, D) first, then .transpose(1, 2)": x.reshape(batch, heads, tokens, size),
        "the heads are interleaved: yours takes every N-th column. The view is (B, T, N, D), with N before D": x.reshape(batch, tokens, size, heads).permute(0, 3, 1, 2),
        "a view to (B, N, D, T) cuts the tokens apart. View as (B, T, N, D) first, then .transpose(1, 2)": x.reshape(batch, heads, size, tokens).mT,
        "you turned x to (B, H, T) and viewed it as (B, N, T, D), so tokens and columns are mixed. View x itself as (B, T, N, D), then .transpose(1, 2)": x.mT.reshape(batch, heads, tokens, size),
        "a view that begins with N cuts the texts apart. The batch stays first: (B, T, N, D)": x.reshape(heads, batch, tokens, size).transpose(0, 1),
        "a view to (B, D, T, N) cuts the tokens apart. View as (B, T, N, D) first, then .transpose(1, 2)": x.reshape(batch, size, tokens, heads).transpose(1, 3),
        "the heads stand in the wrong order, the last one first": parts.flip(1),
        "every head has the columns of the first one": parts[:, :1].expand_as(parts),
        "every head has the columns of the last one": parts[:, -1:].expand_as(parts),
        "the columns of each head run backwards": parts.flip(-1),
        "the tokens run backwards": parts.flip(2),
    }  # fmt: skip


@exercise(_NOTEBOOK, "The exact GELU")
def gelu(answer: Any) -> str:
    """answer(x of any shape) -> the same shape: x/2 (1 + erf(x/√2))."""
    import torch

    for shape in (*SIZES, (11,)):
        x = torch.linspace(-4, 4, math.prod(shape)).flip(0).reshape(shape)
        where = f"For x {shape}"
        got = as_tensor(answer(x), where)
        expect_shape(got, shape, where, "GELU is taken of each number, so the shape stays", {})
        right = torch.nn.functional.gelu(x)
        worst = (got - right.double()).abs().nan_to_num(math.inf).argmax()
        at = f"For x = {x.flatten()[worst]:.3f} you gave {got.flatten()[worst]:.5f}, and {right.flatten()[worst]:.5f} is right"  # fmt: skip
        expect_equal(got, right, at, _wrong_gelus(x), "it is the largest difference. Compare with x / 2 * (1 + erf(x / √2)), term by term")  # fmt: skip
    expect_by_hand(answer, (x,), "gelu")
    return "It has its lowest point, -0.17, near x = -0.75: a little below 0 GELU lets something through, ReLU nothing."


def _wrong_gelus(x: Tensor) -> dict[str, Tensor]:
    import torch

    erf, root, f = torch.erf, math.sqrt(2), torch.nn.functional
    normal = 0.5 * (1 + erf(x / root))
    density = torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return {
        "that is the tanh approximation, as in GPT: close, but up to 0.0005 away. The exact one has erf": f.gelu(x, approximate="tanh"),
        "that is x times sigmoid(1.702 x), a quicker approximation. The exact one has erf": x * torch.sigmoid(1.702 * x),
        "that is SiLU, x times sigmoid(x). GELU has erf": f.silu(x),
        "that is ReLU, which is 0 below 0. GELU is smooth": f.relu(x),
        "that is ELU. GELU has erf": f.elu(x),
        "the half is missing: x / 2 stands before the brackets": x * (1 + erf(x / root)),
        "the root of 2 is missing: erf(x / √2)": x / 2 * (1 + erf(x)),
        "the half and the root of 2 are missing: x / 2 before the brackets, x / √2 in those of erf": x * (1 + erf(x)),
        "inside erf you divide by 2. Divide by its root": x / 2 * (1 + erf(x / 2)),
        "inside erf you multiply with √2. Divide by it": x / 2 * (1 + erf(x * root)),
        "the √2 divides the value of erf. It divides x, inside the brackets of erf": x / 2 * (1 + erf(x) / root),
        "the factor x is missing: you gave the share of a normal distribution below x": normal,
        "the factor x and the half are missing: x / 2 stands before the brackets": 2 * normal,
        "you took the bell curve of the normal distribution, its density. The share below x is wanted, (1 + erf(x / √2)) / 2": x * density,
        "you gave the bell curve of the normal distribution. GELU is x times the share below x, (1 + erf(x / √2)) / 2": density,
        "the 1 is missing: 1 + erf(...)": x / 2 * erf(x / root),
        "the 1 and erf have a minus between them. Add them": x / 2 * (1 - erf(x / root)),
        "brackets are missing: x / 2 multiplies the whole of (1 + erf(...))": x / 2 + erf(x / root),
        "you took erfc, which is 1 - erf. The formula has 1 + erf": x / 2 * (1 + torch.erfc(x / root)),
        "that is tanh in the place of erf": x / 2 * (1 + torch.tanh(x / root)),
        "that is the derivative of GELU": normal + x * density,
        "you gave x as it is": x,
    }  # fmt: skip


# Each known mistake shows in one of them at least.
_NAMES = (
    "bert.encoder.layer.3.output.LayerNorm.gamma",
    "bert.embeddings.LayerNorm.beta",
    "bert.encoder.layer.11.attention.self.query.weight",
    "cls.predictions.transform.LayerNorm.gamma",
    "encoder.norm.beta",
    "albert.embeddings.LayerNorm.beta",
    "distilbert.bert.pooler.bias",
    "bertha.encoder.weight",
    "classifier.gamma_net.weight",
    "classifier.beta.dense.weight",
    "bert.mixer.gamma.LayerNorm.gamma",
    "classifier.log_gamma",
    "classifier.log_beta",
    "bert.bert.pooler.dense.weight",
)


@exercise(_NOTEBOOK, "Old names of weights")
def today_name(answer: Any) -> str:
    """answer(name) -> str: a leading "bert." goes, a last part gamma becomes weight, a last part beta becomes bias."""
    given = {}
    for name in _NAMES:
        got = answer(name)
        expect(isinstance(got, str), f"For {name!r} you gave {describe(got)}; a name is wanted, as text.")
        given[name] = got
    right = {name: _today(name) for name in _NAMES}
    if given != right:
        # By all names together, because for one alone different mistakes give the same.
        why = next((words for words, wrong in _wrong_names() if given == wrong), "")
        name = next(name for name in _NAMES if given[name] != right[name])
        raise Mistake(f"For {name!r} you gave {describe(given[name])}; expected {right[name]!r}{why and ': '}{why}.")
    return "gamma and beta are the names of TensorFlow, in which BERT was first written. The numbers behind them never changed."


def _today(name: str) -> str:
    return _last_parts(gamma="weight", beta="bias")(name.removeprefix("bert."))


def _last_parts(**today: str) -> Callable[[str], str]:
    def change(name: str) -> str:
        before, dot, last = name.rpartition(".")
        return before + dot + today.get(last, last)

    return change


def _wrong_names() -> Iterator[tuple[str, dict[str, str]]]:
    """What known mistakes make of all the names."""
    beginnings: list[tuple[str, Callable[[str], str]]] = [
        ("", lambda n: n.removeprefix("bert.")),
        ("a leading bert. is still there", _same),
        ("replace takes bert. out of any place of a name. Only at its beginning it goes: removeprefix", lambda n: n.replace("bert.", "")),
        ("replace with a count of 1 takes the first bert. out of any place. Only at the beginning it goes: removeprefix", lambda n: n.replace("bert.", "", 1)),
        ("replace takes the letters bert out of any place, and leaves the dot. removeprefix with the dot is wanted", lambda n: n.replace("bert", "")),
        ("you take the first part off every name. It goes only where it is bert", lambda n: n.partition(".")[2]),
        ("you take five letters off every name. They go only where they are bert and a dot", lambda n: n[5:]),
        ("lstrip takes off any of the letters b, e, r, t and dots, in any order. removeprefix takes off a text", lambda n: n.lstrip("bert.")),
        ("strip takes off any of the letters b, e, r, t and dots, at both ends. removeprefix takes off a text", lambda n: n.strip("bert.")),
        ("the dot after bert stays. It goes too", lambda n: n.removeprefix("bert")),
        ("a first part that only begins with bert, as bertha does, stays. Ask for the dot too", lambda n: n.partition(".")[2] if n.startswith("bert") else n),
        ("a first part that only begins with bert, as bertha does, stays whole. Ask for the dot too", lambda n: n[5:] if n.startswith("bert") else n),
        ("everything before the last bert. goes. Only a leading bert. does", lambda n: n.split("bert.")[-1]),
        ("a part bert goes wherever it stands. Only the first part may go", lambda n: ".".join(p for p in n.split(".") if p != "bert")),
        ("two leading bert. go. Only the first one does", lambda n: n.removeprefix("bert.").removeprefix("bert.")),
    ]  # fmt: skip
    endings: list[tuple[str, Callable[[str], str]]] = [
        ("", _last_parts(gamma="weight", beta="bias")),
        ("the last part has its old name, gamma or beta", _same),
        ("gamma is right, but beta is still there. It becomes bias", _last_parts(gamma="weight")),
        ("beta is right, but gamma is still there. It becomes weight", _last_parts(beta="bias")),
        ("the two are exchanged. gamma, which multiplies, is the weight; beta, which is added, is the bias", _last_parts(gamma="bias", beta="weight")),
        ("replace changes gamma and beta in any place of a name. Only the whole last part changes", lambda n: n.replace("gamma", "weight").replace("beta", "bias")),
        ("replace changes what begins with .gamma or .beta in any place. Only the whole last part changes", lambda n: n.replace(".gamma", ".weight").replace(".beta", ".bias")),
        ("a part gamma or beta changes wherever it stands. Only the last part does", lambda n: ".".join({"gamma": "weight", "beta": "bias"}.get(p, p) for p in n.split("."))),
        ("a last part that only ends with gamma or beta, as log_gamma, stays. Ask for the whole part", lambda n: _ends(_ends(n, "gamma", "weight"), "beta", "bias")),
        ("you look for LayerNorm.gamma and LayerNorm.beta. The last part alone decides", lambda n: _ends(_ends(n, "LayerNorm.gamma", "LayerNorm.weight"), "LayerNorm.beta", "LayerNorm.bias")),
    ]  # fmt: skip
    for words, (begin, end) in combined(beginnings, endings):
        yield words, {name: end(begin(name)) for name in _NAMES}


def _ends(name: str, old: str, new: str) -> str:
    return name.removesuffix(old) + new if name.endswith(old) else name
