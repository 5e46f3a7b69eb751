"""Checks of notebook 02_heads, in its order. Letters: B batch, T tokens, H hidden size, L layers, V vocabulary, K classes."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from course_lib.exercises.checking import Mistake, describe, exercise, expect
from course_lib.exercises.tensors import (
    SIZES,
    advised,
    as_tensor,
    combined,
    expect_equal,
    expect_shape,
    hidden_and_mask,
    one_number,
    seeded,
    softmax,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

_NOTEBOOK = "02_heads"


@exercise(_NOTEBOOK, "Maximum without padding")
def masked_max(answer: Any) -> str:
    """answer(hidden (B, T, H), mask (B, T)) -> (B, H): the maximum over the real tokens."""
    for batch, tokens, width in SIZES:
        hidden, mask = hidden_and_mask(batch, tokens, width)
        hidden = hidden - 1  # so that for some numbers of a vector all tokens are negative, and 0 would win
        padding = mask.unsqueeze(-1) == 0
        where = f"For hidden {(batch, tokens, width)} with {mask.sum(1).tolist()} real tokens"
        for noise in (0.0, 90.0):
            if noise:
                where += f", and {noise:g} added to the padding,"
            given = hidden + noise * padding
            with advised("mask[..., None] is (B, T, 1), and so fits hidden, (B, T, H)"):
                got = answer(given, mask)
            got = as_tensor(
                got, where, ".max(dim=1) gives the values and their places. Take .values, or use .amax(dim=1)"
            )
            shapes = {
                (batch, tokens, width): "there is still one vector a token. Take the maximum over the tokens: dim=1",
                (tokens, width): "you took the maximum over the texts, dim=0. The tokens are dim=1",
                (batch, tokens): "you took the maximum of each vector, dim=-1. The tokens are dim=1",
                (width,): f"you gave one vector for all {batch} texts together. Each has its own: dim=1",
                (batch,): "you gave one number a text. Each of the H numbers has its own maximum: dim=1",
                (): "you gave one number for everything. The maximum is over the tokens alone: dim=1",
                (batch, 1, width): "the dimension of the tokens is still there. It goes without keepdim=True",
            }
            expect_shape(got, (batch, width), where, "one vector of length H a text", shapes)
            right = given.masked_fill(padding, -math.inf).amax(1)
            else_say = "your result changes. Padding must have no say, whatever its vectors hold" if noise else ""
            expect_equal(got, right, f"{where} the numbers do not agree", _wrong_maxima(given, padding), else_say)
    return "Minus infinity never wins a maximum. In a sum it is 0 that has no say."


def _wrong_maxima(hidden: Tensor, padding: Tensor) -> dict[str, Tensor]:
    real = (~padding).float()
    count = real.sum(1)
    hidden_real = hidden.masked_fill(padding, -math.inf)
    return {
        "the padding is in your maximum. It needs a value that never wins, minus infinity": hidden.amax(1),
        "the padding became 0, and 0 wins where all real tokens are negative. Minus infinity never wins": (hidden * real).amax(1),
        "the padding became -1, and -1 wins where all real tokens are smaller. Minus infinity never wins": hidden.masked_fill(padding, -1.0).amax(1),
        "the mask is turned round: you took the maximum of the padding, and a text without any has minus infinity. Hide where mask is 0": hidden.masked_fill(~padding, -math.inf).amax(1),
        "the mask is turned round, and 0 wins against negative numbers. Put minus infinity where mask is 0": (hidden * (1 - real)).amax(1),
        "you gave the mean of the real tokens. The maximum is wanted": (hidden * real).sum(1) / count,
        "you gave the mean, with the padding. The maximum of the real tokens is wanted": hidden.mean(1),
        "you gave the sum of the real tokens. The maximum is wanted": (hidden * real).sum(1),
        "you gave the minimum. The maximum is wanted": hidden.masked_fill(padding, math.inf).amin(1),
        "you gave the largest absolute value. Signs stay: -3 is smaller than 1": (hidden.abs() * real).amax(1),
        "you gave the places of the maxima, as argmax does. Their values are wanted: amax": hidden_real.argmax(1),
        "you gave the vector of [CLS]. The maximum over all real tokens is wanted": hidden[:, 0],
        "you left out [CLS]. The mask is 1 there: it is a real token": hidden_real[:, 1:].amax(1),
        "you gave the real token with the largest first number. Each of the H numbers has its own maximum": hidden[range(len(hidden)), hidden_real[..., 0].argmax(1)],
    }  # fmt: skip


@dataclass(frozen=True)
class _Model:
    """What `batch_change` is tried on: a name for the messages, and a function from a batch to scores."""

    words: str
    scores: Callable[[Tensor], Tensor]
    dimensions: int

    def __call__(self, x: Any) -> Tensor:
        if getattr(x, "ndim", None) != self.dimensions:
            have = tuple(x.shape) if hasattr(x, "shape") else type(x).__name__
            raise ValueError(
                f"the model takes a batch, with {self.dimensions} dimensions; it was given {have}. "
                "x[i] drops the dimension of the batch, x[i : i + 1] keeps it"
            )
        return self.scores(x)

    def __repr__(self) -> str:
        return self.words


def _own_scores(x: Tensor) -> Tensor:
    """Three scores for each row (B, 3) that depend on this row alone."""
    import torch

    rows = x.flatten(1).float()
    return torch.stack([rows.mean(1), rows[:, 0] - rows[:, -1], (rows**2).mean(1) / 2 - 1], dim=1)


def _rows(shape: tuple[int, ...]) -> Tensor:
    """Random rows for a model. With this seed no known mistake gives the numbers of another for the first model."""
    import torch

    return torch.randn(shape, generator=seeded(45))


def _models() -> Iterator[tuple[_Model, tuple[int, ...]]]:
    """Models with the shape of x for each."""

    def by_neighbours(x: Tensor) -> Tensor:
        own = _own_scores(x)
        return own * (1 - 0.3 * (own.sum(0) - own))

    def with_softmax(x: Tensor) -> Tensor:
        own = _own_scores(x)
        return own * softmax(own, 0)

    def sees(one: int, other: int) -> Callable[[Tensor], Tensor]:
        def scores(x: Tensor) -> Tensor:
            own = _own_scores(x)
            out = own.clone()
            out[one] = own[other]
            return out

        return scores

    leaking, clean = "a model that multiplies each row by its neighbours", "a model that looks at each row alone"
    dropping = "and drops the dimension of a batch of one"
    yield _Model(leaking, by_neighbours, 2), (5, 7)
    yield _Model("a model with a softmax over the batch", with_softmax, 3), (3, 11, 7)
    yield _Model(clean, _own_scores, 2), (5, 7)
    yield _Model("a model whose first row sees the last one", sees(0, -1), 2), (5, 7)
    yield _Model("a model whose last row sees the first one", sees(-1, 0), 2), (5, 7)
    yield _Model(f"{clean} {dropping}", lambda x: _own_scores(x).squeeze(0), 2), (5, 7)
    yield _Model(f"{leaking} {dropping}", lambda x: by_neighbours(x).squeeze(0), 3), (3, 2, 7)
    yield _Model(leaking, by_neighbours, 2), (1, 7)


@exercise(_NOTEBOOK, "Does a neighbour change the answer?")
def batch_change(answer: Any) -> str:
    """answer(model: (B, ...) -> (B, K), x (B, ...)) -> a number: the largest |together - alone| over all rows."""
    import torch

    suspects: list[str] | None = None  # mistakes that give the learner's numbers for all models so far
    for model, shape in _models():
        x = _rows(shape)
        where = f"For {model} and x {shape}"
        with advised("together[i] is (K,), and model(x[i : i + 1]) is (1, K), or (K,) where the model drops the batch"):
            given = answer(model, x)
        together = model(x).view(len(x), -1)
        alone = torch.stack([model(x[i : i + 1]).view(-1) for i in range(len(x))])
        got = one_number(given)
        if got is None:
            raise Mistake(
                f"{where} you gave {describe(given)}; one number is wanted. {_number_advice(given, together)}"
            )
        right = (together - alone).abs().max()
        wrong = _wrong_changes(together, alone, drops=model(x[:1]).dim() == 1)
        suspects = [words for words, n in wrong if _same(got, n) and (suspects is None or words in suspects)]
        if not _same(got, right):
            why = next(iter(suspects), "")
            raise Mistake(f"{where} you gave {got:.4g}; expected {right:.4g}{why and ': '}{why}.")
    return "A real model shows about 0.000001 here, because a batch is added up in another order. More than that is a leak."


def _same(got: float, number: Tensor) -> bool:
    return math.isclose(got, float(number), rel_tol=1e-5, abs_tol=1e-5)


def _number_advice(given: Any, together: Tensor) -> str:
    shape = tuple(getattr(given, "shape", ()))
    if isinstance(given, bool) or (shape == () and str(getattr(given, "dtype", "")).endswith("bool")):
        return "How large is the difference, not whether there is one?"
    if shape == together.shape or shape == (len(together), 1, together.shape[1]):
        return "There is a difference for each score of each row. Take the largest: .max()."
    if shape == (len(together),) or (isinstance(given, (list, tuple)) and len(given) == len(together)):
        return "There is one for each row. Take the largest of them: max."
    return "It is the largest difference over all rows and scores."


def _wrong_changes(together: Tensor, alone: Tensor, drops: bool) -> Iterator[tuple[str, Tensor]]:
    change = together - alone
    size = change.abs()
    yield "the absolute value is missing, so a change downwards is not seen: .abs() before .max()", change.max()
    yield "the absolute value is missing, so a change upwards is not seen: .abs() before .max()", -change.min()
    yield "the absolute value comes last, after the mean. The largest is wanted: .abs().max()", change.mean().abs()
    yield "you gave the mean of the differences. The largest one is wanted", size.mean()
    yield "you gave the sum of the differences. The largest one is wanted", size.sum()
    yield "you gave the smallest difference. The largest one is wanted", size.min()
    yield "you gave the largest square. The difference itself is wanted: .abs()", (change**2).max()
    yield "you gave the mean square. The largest absolute difference is wanted: .abs().max()", (change**2).mean()
    yield "you gave the norm of all differences. The largest one is wanted: .abs().max()", change.norm()
    yield "you summed the differences of each row. The largest single one is wanted", size.sum(1).max()
    yield "you averaged over the scores of each row. The largest single one is wanted", size.mean(1).max()
    yield "you averaged over the rows. The largest single one is wanted", size.amax(1).mean()
    yield "you looked at the first row alone. All rows are wanted", size[0].max()
    yield "you looked at the last row alone. All rows are wanted", size[-1].max()
    yield "the first row is left out", size[1:].max() if len(size) > 1 else size.max()
    yield "the last row is left out", size[:-1].max() if len(size) > 1 else size.max()
    every = (together[None] - alone[:, None]).abs()
    yield (
        "every row alone is compared with every row of the batch: (B, 1, K) minus (B, K) is (B, B, K). Compare row i with row i",
        every.max(),
    )
    yield (
        "all rows of the batch are compared with the first row alone. Compare row i with row i",
        (together - alone[0]).abs().max(),
    )
    yield (
        "all rows of the batch are compared with the last row alone. Compare row i with row i",
        (together - alone[-1]).abs().max(),
    )
    yield (
        "you compared the rows of the batch with each other. Compare row i with its own answer alone",
        (together[None] - together[:, None]).abs().max(),
    )
    yield "you gave the largest score of the batch. The difference to the rows alone is wanted", together.abs().max()
    yield "you gave the largest score of the rows alone. The difference to the batch is wanted", alone.abs().max()
    yield (
        "you compared the largest scores. Compare score with score, then take the largest difference",
        (together.max() - alone.max()).abs(),
    )
    yield "you divided by the answers. The plain difference is wanted", (size / alone.abs()).max()
    first = alone[:, :1] if drops else alone
    yield "model(...)[0] is the first score alone where the model drops the dimension of the batch. Subtract without [0]", (together - first).abs().max()  # fmt: skip
    yield "your two answers are the same: the model was given the whole batch twice, or each row alone twice", size.max() * 0  # fmt: skip


@exercise(_NOTEBOOK, "A learned mix of layers")
def mix_layers(answer: Any) -> str:
    """answer(hidden_states: L + 1 of (B, T, H), scores (L + 1,)) -> (B, T, H): the sum of the layers, weighted by softmax(scores)."""
    import torch

    for count, (batch, tokens, width) in zip((13, 7, 5), SIZES, strict=True):
        generator = seeded(count)
        states = tuple(torch.randn(batch, tokens, width, generator=generator) for _ in range(count))
        scores = torch.randn(count, generator=generator)
        where = f"For {count} hidden states {(batch, tokens, width)}"
        with advised("torch.stack(hidden_states) is (L + 1, B, T, H), and weights[:, None, None, None] is (L + 1, 1, 1, 1)"):  # fmt: skip
            given = answer(states, scores)
        got = as_tensor(given, where, "add the weighted layers up to one tensor (B, T, H)")
        shapes = {
            (count, batch, tokens, width): "there is still one tensor a layer. Sum over the layers: .sum(dim=0)",
            (batch, count, tokens, width): "there is still one tensor a layer. Sum over the layers: .sum(dim=1)",
            (count, tokens, width): "you summed over the texts. In torch.stack(hidden_states) the layers are dim=0, the texts dim=1",
            (count, batch, width): "you summed over the tokens. In torch.stack(hidden_states) the layers are dim=0",
            (count, batch, tokens): "you summed over the numbers of each vector. In torch.stack(hidden_states) the layers are dim=0",
            (count,): "you gave the weights. Multiply the layers with them, and sum",
            (batch, width): "there is one vector a text. Each token keeps its own",
            (batch, tokens, count * width): "the layers stand side by side. They are weighted and added here",
        }  # fmt: skip
        expect_shape(got, (batch, tokens, width), where, "the shape of one layer", shapes)
        right = (softmax(scores, 0)[:, None, None, None] * torch.stack(states)).sum(0)
        expect_equal(got, right, f"{where} the numbers do not agree", _wrong_mixes(torch.stack(states), scores))
    return "With equal scores this is the plain mean of the layers: where training begins."


def _wrong_mixes(states: Tensor, scores: Tensor) -> Iterator[tuple[str, Tensor]]:
    import torch

    count = len(states)
    weights = softmax(scores, 0)
    none = torch.zeros(1)
    known = {
        "you took the scores as they are. Their softmax gives weights that are positive and sum to 1": scores,
        "you divided the scores by their sum. Weights that are positive and sum to 1 come from softmax": scores / scores.sum(),
        "you took sigmoid of the scores, which does not sum to 1. The weights are softmax": torch.sigmoid(scores),
        "you took e to the scores, and did not divide by their sum. softmax does both": scores.exp(),
        "you took log_softmax, which is negative. The weights are softmax": weights.log(),
        "the scores have no say: this is the plain mean of the layers": torch.full_like(scores, 1 / count),
        "the scores have no say: this is the plain sum of the layers": torch.ones_like(scores),
        "a softmax of one number is always 1, so this is the plain sum. The softmax is over all scores together, dim=0": torch.ones_like(scores),
        f"you took the mean of the weighted layers, so all is divided by {count} once more. The weights sum to 1 already: .sum(dim=0)": weights / count,
        "softmax is taken twice. Once is enough": softmax(weights, 0),
        "the weights meet the layers in the wrong order, the last one first": weights.flip(0),
        "the embeddings, hidden_states[0], are left out. All L + 1 are mixed": torch.cat([none, softmax(scores[1:], 0)]),
        "the embeddings, hidden_states[0], are left out after the softmax, so the weights no longer sum to 1": weights * (torch.arange(count) > 0),
        "the last layer is left out. All L + 1 are mixed": torch.cat([softmax(scores[:-1], 0), none]),
        "the last layer is left out after the softmax, so the weights no longer sum to 1": weights * (torch.arange(count) < count - 1),
        "you took the layer with the largest score alone. All are mixed": (scores == scores.max()).float(),
        "you gave the last layer alone. All are mixed": (torch.arange(count) == count - 1).float(),
        "the scores have the wrong sign: you took softmax of -scores": softmax(-scores, 0),
        "the scores moved by one: hidden_states[1] meets the weight of the embeddings": torch.cat([none, weights[:-1]]),
    }  # fmt: skip
    for words, mix in known.items():
        yield words, (mix[:, None, None, None] * states).sum(0)
    scaled = scores[:, None, None, None] * states
    yield "softmax is taken of the layers times the scores, number by number. It is taken of the scores alone", (softmax(scaled, 0) * states).sum(0)  # fmt: skip
    yield "softmax is taken of the layers times the scores, number by number, and summed up. It is taken of the scores alone", softmax(scaled, 0).sum(0)  # fmt: skip
    over_texts = softmax(scaled, 1)
    yield "the softmax is over the texts, so that they see each other. It is over the layers", (over_texts * states).sum(0)  # fmt: skip
    yield "you took the largest weighted layer, number by number. The layers are added", (weights[:, None, None, None] * states).amax(0)  # fmt: skip


@exercise(_NOTEBOOK, "One matrix, two uses")
def tie(answer: Any) -> str:
    """answer(decoder: nn.Linear(H, V), embedding: nn.Embedding(V, H)) -> the decoder, its weight the embedding's own."""
    import torch

    for width, words, with_bias in ((5, 11, True), (3, 7, False)):
        with torch.random.fork_rng(devices=[]):  # new layers draw numbers; the learner's own draws stay as they are
            decoder, embedding = torch.nn.Linear(width, words, bias=with_bias), torch.nn.Embedding(words, width)
        where = f"For {decoder} and {embedding}"
        got = answer(decoder, embedding)
        decoder_given, embedding_given = answer.given
        if isinstance(got, torch.nn.Embedding):
            raise Mistake(f"{where} you returned the embedding. Return the decoder.")
        if not isinstance(got, torch.nn.Linear):
            raise Mistake(f"{where} you returned {describe(got)}. Return the decoder itself, the layer.")
        if got.weight is not embedding_given.weight:
            raise Mistake(f"{where} {_untied(got, embedding_given, decoder, embedding)}.")
        _expect_as_before(got, embedding_given, decoder, embedding, where)
        expect(got is decoder_given, f"{where} you returned another layer than the one you were given. A model keeps its own decoder: change that one.")  # fmt: skip
    return "One parameter: parameters() lists it once, and both uses add to its gradient."


def _untied(got: nn.Linear, table: nn.Embedding, decoder: nn.Linear, embedding: nn.Embedding) -> str:
    """Which mistake left the decoder with a parameter of its own. The last two are as they were before the call."""
    import torch

    weight = got.weight
    if weight is None:
        return "the decoder has no weight any more. Assign the embedding's"
    if weight.shape != embedding.weight.shape:
        turned = weight.shape == embedding.weight.T.shape
        why = "An nn.Linear(H, V) keeps its weight as (V, H), which is the table's own shape: nothing is transposed" if turned else "It is to be the table itself"  # fmt: skip
        return f"the decoder's weight has shape {tuple(weight.shape)}. {why}"
    if weight.untyped_storage().data_ptr() == table.weight.untyped_storage().data_ptr():
        return "the two share their numbers, but are two parameters, as after .data, .detach() or nn.Parameter(...): each has its own gradient, and .to(device) parts them. Assign the parameter itself"
    if torch.equal(weight, embedding.weight):
        return "the numbers are equal, but copied: after one training step they differ. Assign the parameter itself"
    if torch.equal(weight, decoder.weight):
        return "the decoder's weight is what it was before: nothing is shared"
    return "decoder.weight is not embedding.weight, and their numbers differ. Assign the parameter itself"


def _expect_as_before(
    got: nn.Linear, table: nn.Embedding, decoder: nn.Linear, embedding: nn.Embedding, where: str
) -> None:
    """One parameter it is; nothing else has changed."""
    import torch

    if not torch.equal(got.weight, embedding.weight):
        if torch.equal(got.weight, decoder.weight):
            raise Mistake(f"{where} they share one weight, but the decoder's: what the embedding had learned is lost. Assign the other way round.")  # fmt: skip
        raise Mistake(
            f"{where} they share one weight, but its numbers have changed. The embedding's stay as they were."
        )
    expect(got.weight.requires_grad, f"{where} the shared weight is frozen: requires_grad is False, so neither use would be trained.")  # fmt: skip
    if decoder.bias is None:
        expect(got.bias is None, f"{where} the decoder had no bias, and now has one. Only the weight is shared.")
        return
    expect(
        got.bias is not table.weight,
        f"{where} the decoder's bias is the embedding's table now. Only the weight is shared.",
    )
    expect(got.bias is not None, f"{where} the decoder's bias is gone. Only the weight is shared.")
    expect(torch.equal(got.bias, decoder.bias), f"{where} the decoder's bias has other numbers. Only the weight is shared; the bias stays.")  # fmt: skip


@exercise(_NOTEBOOK, "The loss of the next token")
def next_token_loss(answer: Any) -> str:
    """answer(logits (B, T, V), labels (B, T), -100 ignored) -> (): mean cross entropy of each token's successor."""
    import torch

    for (batch, tokens, _), words in zip(SIZES, (11, 3, 17), strict=True):
        generator = seeded(words)
        logits = torch.randn(batch, tokens, words, generator=generator) * 2
        labels = torch.randint(0, words, (batch, tokens), generator=generator)
        _, mask = hidden_and_mask(batch, tokens, 2)
        labels = labels.masked_fill(mask == 0, -100)
        if batch > 1:
            labels[0, 1:3] = -100  # a question that is not to be learned, as padding is
        where = f"For logits {(batch, tokens, words)} and labels {(batch, tokens)}"
        with advised("cross_entropy takes (places, V) and (places,): flatten(0, 1) and flatten()"):
            given = answer(logits, labels)
        got = as_tensor(given, where, "a tensor is wanted, for .backward() begins at it")
        places = (labels[:, 1:] != -100).sum()
        shapes = {
            (batch,): "there is a loss for each text. The mean over all places of all texts is one number",
            (batch, tokens - 1): "there is a loss for each place. Take the mean over those that count",
            (batch * (tokens - 1),): "there is a loss for each place. Take the mean over those that count",
            (int(places),): "there is a loss for each place. Take the mean",
            (batch, tokens - 1, words): "there is a number for each word. cross_entropy makes one of all",
        }
        expect_shape(got, (), where, "one number", shapes)
        right = _mean_loss(logits[:, :-1], labels[:, 1:])
        found = f"{where} you gave {got:.4f}; expected {right:.4f}"
        off = f"{got - right:+.4f} away from it"
        expect_equal(got, right, found, _wrong_losses(logits, labels), off, "Did a place with the label -100 get in?")
    return "A model that knows nothing has a loss of about ln V: 10.3 for V = 30,522."


def _mean_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """The cross entropy, over the places whose label is not -100."""
    lost = -softmax(scores, -1).log().gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    return lost[labels != -100].mean()


def _wrong_losses(logits: Tensor, labels: Tensor) -> Iterator[tuple[str, Tensor]]:
    batch, tokens, words = logits.shape
    pairs = [
        ("", (logits[:, :-1], labels[:, 1:])),
        ("each place is asked for its own token, which it sees. The scores at a place predict the next one: logits[:, :-1], labels[:, 1:]", (logits, labels)),
        ("both are cut at the end, so each place is asked for its own token. Cut the labels at the beginning: labels[:, 1:]", (logits[:, :-1], labels[:, :-1])),
        ("both are cut at the beginning, so each place is asked for its own token. Cut the logits at the end: logits[:, :-1]", (logits[:, 1:], labels[:, 1:])),
        ("you moved the wrong way: each place is asked for the token before it. It is logits[:, :-1] and labels[:, 1:]", (logits[:, 1:], labels[:, :-1])),
        ("roll brings the first token to the end, where the last place is asked for it. Nothing follows the last place: cut it off", (logits, labels.roll(-1, 1))),
        ("you flattened before you moved, so the end of each text is asked for the beginning of the next one. Cut first", (logits.reshape(1, -1, words)[:, :-1], labels.reshape(1, -1)[:, 1:])),
        ("you moved by two, as when labels that are moved already move again. The next token is one further", (logits[:, :-2], labels[:, 2:])),
        ("the texts are moved, dim=0. The tokens are dim=1: logits[:, :-1], labels[:, 1:]", (logits[:-1], labels[1:])),
    ]  # fmt: skip
    forms: list[tuple[str, Callable[[Tensor], Tensor]]] = [
        ("", lambda s: softmax(s, -1).log()),
        ("cross_entropy takes the scores as they are: it has its own softmax, and you give it another", lambda s: softmax(softmax(s, -1), -1).log()),
        ("nll_loss takes log_softmax of the scores. cross_entropy does both", lambda s: s),
        ("the logarithm is missing: the loss is -log of the probability", lambda s: softmax(s, -1)),
    ]  # fmt: skip
    # Of the logarithms of the right words (B, places), and where they count.
    ends: list[tuple[str, Callable[[Tensor, Tensor], Tensor]]] = [
        ("", lambda p, real: -p[real].mean()),
        ("the places with the label -100 are in it, as word 0. They do not count", lambda p, real: -p.mean()),
        (f"you gave the sum. Divide it by the number of places that count, {int((labels[:, 1:] != -100).sum())}", lambda p, real: -p[real].sum()),
        ("the places with the label -100 are out of the sum, but you still divide by all places", lambda p, real: -p[real].sum() / p.numel()),
        (f"you divide by B x T = {batch * tokens}. Divide by the number of places that count", lambda p, real: -p[real].sum() / (batch * tokens)),
        ("you divide by the number of texts. Divide by the number of places that count", lambda p, real: -p[real].sum() / batch),
        ("you took the mean of each text, then the mean of those, so a token of a short text counts more. One mean over all places is wanted", lambda p, real: -((p * real).sum(1) / real.sum(1)).mean()),
        ("the sign is wrong: the loss is minus the logarithm of the probability", lambda p, real: p[real].mean()),
        ("you gave the perplexity, e to the loss. The loss itself is wanted", lambda p, real: (-p[real].mean()).exp()),
        ("the logarithm is to the base 2. The natural one is wanted", lambda p, real: -p[real].mean() / math.log(2)),
    ]  # fmt: skip
    for said, ((scores, wanted), form, end) in combined(pairs, forms, ends):
        if scores.numel():  # a batch of one, moved along the texts, is empty
            chosen = form(scores).gather(-1, wanted.clamp(min=0)[..., None])[..., 0]
            yield said, end(chosen, wanted != -100)


# Each task of the exercise: the head, and what is needed.
_TASKS = {
    "spam or not": ("BertForSequenceClassification", "one label for the whole text"),
    "which of four endings": ("BertForMultipleChoice", "one score for each of four texts, and the best of the four"),
    "names of people in a text": ("BertForTokenClassification", "a label for each token"),
    "the passage's words that answer a question": ("BertForQuestionAnswering", "the token where the answer starts and the one where it ends"),
    "does B follow A": ("BertForNextSentencePrediction", "one of two labels for a pair of texts, with the layer that pretraining has trained for it"),
    "a word behind [MASK]": ("BertForMaskedLM", "a score for each word of the vocabulary, from what stands on both sides"),
}  # fmt: skip
_GIVES = {
    "BertForPreTraining": "masked words and the next sentence, both at once, as pretraining needs them",
    "BertForMaskedLM": "scores for words, at every token",
    "BertLMHeadModel": "scores for the next word, as a text is written from left to right",
    "BertForNextSentencePrediction": "whether the second text follows the first",
    "BertForSequenceClassification": "one label for a text or a pair",
    "BertForMultipleChoice": "one score for each of several texts",
    "BertForTokenClassification": "a label for each token",
    "BertForQuestionAnswering": "a start and an end in a passage",
}
# Answers that are near: what is true of them, and what decides.
_NEAR = {
    ("which of four endings", "BertForSequenceClassification"): "Its classes are fixed, and the endings are new in every question: each is read together with its beginning, and their scores are compared",
    ("the passage's words that answer a question", "BertForTokenClassification"): "It could mark each token, but nothing in it makes the marked words one span. A start and an end do",
    ("does B follow A", "BertForSequenceClassification"): "It could learn this from pairs, but it would begin at nothing. One head is there for it, and pretraining has trained it",
    ("does B follow A", "BertForPreTraining"): "It has that layer, and the one for masked words too. One head has that layer alone",
    ("a word behind [MASK]", "BertForPreTraining"): "It has that layer, and the one for the next sentence too. One head has that layer alone",
    ("a word behind [MASK]", "BertLMHeadModel"): "It has the same layer, but is made to see what stands before a word and nothing after it",
}  # fmt: skip


@exercise(_NOTEBOOK, "Which head?", wanted="value")
def choose_heads(answer: Any) -> str:
    """The answer is a dictionary: each of six tasks, and the name of the head class that fits it."""
    if not isinstance(answer, Mapping):
        listed = isinstance(answer, (list, tuple)) and len(answer) == len(_TASKS)
        more = " dict(zip(tasks, your_list)) makes one of a list." if listed else ""
        raise Mistake(f"Give a dictionary, from each task to the name of a head; you gave {describe(answer)}.{more}")
    if missing := [task for task in _TASKS if task not in answer]:
        raise Mistake(f"Your dictionary has no entry for {missing[0]!r}. Its keys are the six tasks, as they are written in tasks.")  # fmt: skip
    if more := [key for key in answer if key not in _TASKS]:
        raise Mistake(f"{describe(more[0])} is none of the six tasks. Leave it out.")
    chosen = {task: _head(answer[task], task) for task in _TASKS}
    wrong = [task for task, name in chosen.items() if name != _TASKS[task][0]]
    if wrong:
        task = wrong[0]
        name = chosen[task]
        why = _NEAR.get((task, name)) or f"It gives {_GIVES[name]}. Here you need {_TASKS[task][1]}"
        raise Mistake(
            f"{task!r} is not the task of {name}. {why}. {len(_TASKS) - len(wrong)} of {len(_TASKS)} are right."
        )
    return "Only the head is new in each task; the encoder under it is the same."


def _head(value: Any, task: str) -> str:
    """The name of a head from a name or a class; a `Mistake` where there is none of this name."""
    name = value.__name__ if isinstance(value, type) else value
    expect(name is not ..., f"For {task!r} your dictionary still has three dots.")
    expect(isinstance(name, str), f"For {task!r} you gave {describe(value)}. Give the name of a head class, as text.")
    if name not in _GIVES:
        near = difflib.get_close_matches(name, _GIVES, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(_GIVES)}."
        raise Mistake(f"For {task!r} you gave {describe(name)}, and no head has this name. {hint}")
    return name
