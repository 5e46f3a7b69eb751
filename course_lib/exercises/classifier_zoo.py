"""Checks of notebook 09_classifier_zoo, in its order. Letters: B batch, T tokens, H hidden size, D size of one direction,
F filters, L layers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from course_lib.exercises.checking import Mistake, describe, exercise, expect
from course_lib.exercises.tensors import SIZES, advised, as_tensor, expect_equal, expect_shape, seeded, softmax

if TYPE_CHECKING:
    from torch import Tensor

_NOTEBOOK = "09_classifier_zoo"


def _mask(lengths: list[int], tokens: int) -> Tensor:
    import torch

    return (torch.arange(tokens)[None] < torch.tensor(lengths)[:, None]).long()


# ------------------------------------------------------------------------------------------------------- windows


@exercise(_NOTEBOOK, "Which windows count?")
def best_window(answer: Any) -> str:
    """answer(c (B, T, F), mask (B, T), kernel) -> (B, F): the maximum over the windows within the text."""
    import torch

    for lengths, tokens, filters, kernel in (
        ([7, 5, 4], 7, 5, 3), ([5], 7, 3, 2), ([2, 11, 1], 11, 13, 4), ([3, 3], 3, 2, 1),
    ):  # fmt: skip
        batch = len(lengths)
        mask = _mask(lengths, tokens)
        c = torch.randn(batch, tokens, filters, generator=seeded(tokens)) - 2  # all may be negative
        for row, length in enumerate(lengths):  # what must not count is larger than all else
            c[row, max(length - kernel + 1, 1) :] += 9
        where = f"For windows of {kernel} in texts of {lengths} tokens, c of shape {(batch, tokens, filters)},"
        with advised("a mask of windows is (B, T); [..., None] makes it (B, T, 1), which fits c, (B, T, F)"):
            got = as_tensor(answer(c.clone(), mask.clone(), kernel), where, ".max(dim=1) gives values and places: take .values, or amax")  # fmt: skip
        shapes = {
            (batch, tokens, filters): "there is still one row a window. Take the maximum over them: dim=1",
            (tokens, filters): "you took the maximum over the texts, dim=0. The windows are dim=1",
            (batch, tokens): "you took the maximum over the filters. Each filter has its own: dim=1",
            (batch,): "you gave one number a text. Each filter has its own maximum: dim=1",
            (filters,): "you gave one row for all texts together. Each text has its own: dim=1",
            (batch, 1, filters): "the dimension of the windows is still there. It goes without keepdim=True",
        }
        expect_shape(got, (batch, filters), where, "one number a filter and text", shapes)
        right = _best(c, lengths, [max(n - kernel + 1, 1) for n in lengths])
        wrong = {
            "windows that reach into padding are in your maximum. With n tokens only the first n - kernel + 1 count": _best(c, lengths, lengths),
            "windows of padding alone are in your maximum. Only windows wholly within the text count": c.amax(1),
            "you left out one window too many. A text of n tokens has n - kernel + 1 windows": _best(c, lengths, [max(n - kernel, 1) for n in lengths]),
            "one window too many counts. A text of n tokens has n - kernel + 1 windows": _best(c, lengths, [max(n - kernel + 2, 1) for n in lengths]),
            "a text that is shorter than the window has no window at all. Let its first one count": _best(c, lengths, [n - kernel + 1 for n in lengths]),
            "what does not count became 0, and 0 wins where all numbers are negative. Minus infinity never wins": _zeros(c, lengths, kernel),
            "a text that is shorter than the window became 0. Let its first window count": torch.where(torch.tensor(lengths)[:, None] < kernel, torch.zeros(()), right),
            "you took the first window alone. The best of all is wanted": c[:, 0],
            "you took the mean of the windows. The maximum is wanted": torch.stack([c[i, : max(n - kernel + 1, 1)].mean(0) for i, n in enumerate(lengths)]),
            "the window counts to the longest text of the batch. Each text has its own length: mask.sum(dim=1)": c[:, : max(max(lengths) - kernel + 1, 1)].amax(1),
        }  # fmt: skip
        expect_equal(got, right, f"{where} the numbers do not agree", wrong)
    return "A filter now says the same of a text whatever is padded behind it."


def _best(c: Tensor, lengths: list[int], counts: list[int]) -> Tensor:
    import torch

    none = torch.full(c.shape[2:], -math.inf)
    return torch.stack([c[i, :n].amax(0) if n > 0 else none for i, n in enumerate(counts)])


def _zeros(c: Tensor, lengths: list[int], kernel: int) -> Tensor:
    import torch

    kept = torch.zeros_like(c)
    for i, n in enumerate(lengths):
        count = max(n - kernel + 1, 1)
        kept[i, :count] = c[i, :count]
    return kept.amax(1)


# --------------------------------------------------------------------------------------------------- both ends


@exercise(_NOTEBOOK, "Both ends")
def both_ends(answer: Any) -> str:
    """answer(states (B, T, 2 D), mask (B, T)) -> (B, 2 D): forward at the last real token, backward at the first."""
    import torch

    for lengths, tokens, d in (([5, 7, 3], 7, 5), ([4], 5, 3), ([9, 11, 5, 7], 11, 2)):
        batch = len(lengths)
        mask = _mask(lengths, tokens)
        states = torch.randn(batch, tokens, 2 * d, generator=seeded(tokens * d))
        where = f"For states {(batch, tokens, 2 * d)} with {lengths} real tokens"
        with advised("states[torch.arange(B), last] takes one place from each row, and gives (B, 2 D)"):
            got = as_tensor(answer(states.clone(), mask.clone()), where)
        ahead, behind = states[..., :d], states[..., d:]
        end, every = torch.tensor(lengths) - 1, torch.arange(batch)
        shapes = {
            (batch, d): "half of it is missing. The two halves stand side by side: torch.cat(..., dim=-1)",
            (
                batch,
                4 * d,
            ): "each end has both halves. Of the last token take the forward half, of the first the backward half",
            (batch, tokens, 2 * d): "there is still one vector a token. One place of each row is wanted",
            (
                batch,
                batch,
                2 * d,
            ): "you took every row's place from every row. Index both: states[torch.arange(B), last]",
            (2 * batch, d): "the halves stand one below the other. Side by side is dim=-1",
            (batch, 1, 2 * d): "the dimension of the tokens is still there",
        }
        expect_shape(got, (batch, 2 * d), where, "two halves of D numbers a text", shapes)
        right = torch.cat([ahead[every, end], behind[:, 0]], dim=-1)
        wrong = {
            "the forward half was taken at the last place, padding or not. The last real token is at mask.sum(dim=1) - 1": torch.cat([ahead[:, -1], behind[:, 0]], -1),
            "both halves were taken at the last place, as out[:, -1] does": states[:, -1],
            "both halves were taken at the last real token. There the backward half has read one token": states[every, end],
            "both halves were taken at the first token. There the forward half has read one token": states[:, 0],
            "the ends are exchanged: forward at the last real token, backward at the first": torch.cat([ahead[:, 0], behind[every, end]], -1),
            "the halves are exchanged: the forward one comes first": torch.cat([behind[:, 0], ahead[every, end]], -1),
            "you took one place too far: the last of n tokens is at n - 1": torch.cat([ahead[every, (end + 1).clamp(max=tokens - 1)], behind[:, 0]], -1),
            "you took one place too early: the last of n tokens is at n - 1": torch.cat([ahead[every, (end - 1).clamp(min=0)], behind[:, 0]], -1),
            "the first D numbers are the forward half; you took the second ones for it": torch.cat([behind[every, end], ahead[:, 0]], -1),
            "every row was taken at the first row's length. Rows differ": torch.cat([ahead[:, lengths[0] - 1], behind[:, 0]], -1),
            "you gave the mean over the tokens. One place of each half is wanted": (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True),
        }  # fmt: skip
        expect_equal(got, right, f"{where} the numbers do not agree", wrong)
    return "Each half where it has read the whole text. `course_lib.zoo.lstm` gets there without packing."


# ------------------------------------------------------------------------------------------------------- shares


@exercise(_NOTEBOOK, "Shares of the real tokens")
def shares(answer: Any) -> str:
    """answer(scores (B, T), mask (B, T)) -> (B, T): a softmax over the real tokens, zeros for a row without any."""
    import torch

    for batch, tokens, empty in ((3, 7, False), (1, 5, False), (3, 7, True)):
        lengths = [0 if empty and i == 1 else max(1, tokens - 2 * i - (batch == 1)) for i in range(batch)]
        mask = _mask(lengths, tokens)
        scores = torch.randn(batch, tokens, generator=seeded(tokens + batch)) * 3
        where = f"For scores {(batch, tokens)} with {lengths} real tokens"
        got = as_tensor(answer(scores.clone(), mask.clone()), where)
        expect_shape(got, (batch, tokens), where, "a share for each token", {(batch,): "one number a text is left. A share a token is wanted"})  # fmt: skip
        right = _shares(scores, mask)
        if empty:
            broken = torch.isnan(got[1]).any()
            expect(not broken, f"{where} the row without a real token became nan: a softmax over nothing but minus infinity is 0 divided by 0. It shall be zeros.")  # fmt: skip
            if torch.allclose(got[1], torch.full((tokens,), 1 / tokens, dtype=torch.float64), atol=1e-4):
                raise Mistake(f"{where} the row without a real token has equal shares for its padding. Multiply by the mask at the end: zeros.")  # fmt: skip
        low = scores.masked_fill(mask == 0, -math.inf)
        wrong = {
            "padding has a share. Hide it before the softmax": softmax(scores, -1),
            "padding has a share: a score of 0 is no small score. Minus infinity, or the smallest number, gives share 0": softmax(scores * mask, -1),
            "the shares of a row do not add up to 1. The mask came after the softmax, and must come before it": softmax(scores, -1) * mask,
            "the mask is turned round: the real tokens have no share": _shares(scores, 1 - mask),
            "the softmax went over the texts. Over the tokens is dim=-1": torch.nan_to_num(softmax(low, 0)),
            "you gave equal shares to all real tokens. The scores decide": mask / mask.sum(1, keepdim=True).clamp(min=1),
            "you divided the scores by their sum. A softmax divides their exponentials": torch.nan_to_num(scores * mask / (scores * mask).sum(1, keepdim=True)),
            "you gave the logarithm of the shares. Plain shares are wanted": torch.nan_to_num(right.log(), neginf=-math.inf),
            "the best token has everything. A softmax shares it out": torch.nn.functional.one_hot(scores.masked_fill(mask == 0, -1e9).argmax(-1), tokens) * mask,
            "the softmax went over all texts together. Each row has its own": torch.exp(low) / torch.exp(low).sum(),
        }  # fmt: skip
        expect_equal(got, right, f"{where} the shares do not agree", wrong)
    return "A row without tokens gives zeros. Such rows come: an empty line is enough."


def _shares(scores: Tensor, mask: Tensor) -> Tensor:
    import torch

    powers = (scores - scores.amax(-1, keepdim=True)).exp() * mask
    return torch.nan_to_num(powers / powers.sum(-1, keepdim=True))


# ------------------------------------------------------------------------------------------------------- layers


@exercise(_NOTEBOOK, "Weights that do not see the batch")
def mix_layers(answer: Any) -> str:
    """answer(hidden_states, L + 1 of (B, T, H); scores (L + 1,)) -> (B, H): [CLS] of all layers, mixed."""
    import torch

    for (batch, tokens, width), layers in zip(SIZES, (4, 3, 13), strict=True):
        generator = seeded(layers)
        hidden = [torch.randn(batch, tokens, width, generator=generator) for _ in range(layers)]
        scores = torch.randn(layers, generator=generator) * 2
        scores[1] += 3  # the highest score is not at an end
        scores.requires_grad_(True)
        where = f"For {layers} layers of shape {(batch, tokens, width)}"
        with advised(
            "torch.stack of the [CLS] vectors is (L+1, B, H); weights[:, None, None] is (L+1, 1, 1), and fits it"
        ):
            raw = answer([h.clone() for h in hidden], scores)
        got = as_tensor(raw, where)
        shapes = {
            (batch, tokens, width): "every token was mixed. [CLS] alone is wanted: hidden[:, 0]",
            (layers, batch, width): "the layers are not added up yet: .sum(dim=0)",
            (batch, 1, width): "the dimension of the tokens is still there: hidden[:, 0], not hidden[:, :1]",
            (width,): "the texts were added up too. Each text has its own vector",
            (batch, layers): "one number a layer is left. A vector of H numbers a text is wanted",
            (batch, layers * width): "the layers are joined. Their weighted sum is wanted",
        }
        expect_shape(got, (batch, width), where, "a vector a text", shapes)
        firsts = torch.stack([h[:, 0] for h in hidden])  # (L+1, B, H)
        plain = scores.detach()
        weights = softmax(plain, 0)
        right = (weights[:, None, None] * firsts).sum(0)

        def mixed(by: Tensor, of: Tensor = firsts) -> Tensor:
            return (by[:, None, None] * of).sum(0)

        old = softmax((firsts * plain[:, None, None]).sum(dim=(1, 2)), 0)
        own = softmax((firsts * plain[:, None, None]).sum(dim=2), 0)  # (L+1, B)
        wrong = {
            "the weights come from sums over the batch, as in the old recipe. The scores alone decide them": mixed(old),
            "the weights come from the vectors. The scores alone decide them: scores.softmax(dim=0)": (own[..., None] * firsts).sum(0),
            "the softmax is missing: the scores themselves were taken as weights": mixed(plain),
            "all layers count alike. The softmax of the scores weighs them": firsts.mean(0),
            "the layers are only added up. The softmax of the scores weighs them": firsts.sum(0),
            "the last layer alone was taken": firsts[-1],
            "the layer with the highest score was taken alone. A softmax lets all count": firsts[int(plain.argmax())],
            "the layers are in the wrong order: scores[0] belongs to hidden_states[0]": mixed(weights.flip(0)),
            "the last token was taken, and [CLS] is the first: hidden[:, 0]": mixed(weights, torch.stack([h[:, -1] for h in hidden])),
            "the mean over the tokens was taken, and [CLS] is wanted: hidden[:, 0]": mixed(weights, torch.stack([h.mean(1) for h in hidden])),
            "the embeddings, hidden_states[0], are left out": mixed(softmax(plain[1:], 0), firsts[1:]),
            "the mean over the layers came after the weights: their sum is wanted, as the weights add up to 1": right / layers,
            "the weights went through a sigmoid. With a softmax they add up to 1": mixed(plain.sigmoid()),
        }  # fmt: skip
        expect_equal(got, right, f"{where} the numbers do not agree", wrong)
        reached = isinstance(raw, torch.Tensor) and raw.requires_grad
        expect(reached, f"{where} no gradient reaches the scores, so they could not be learned. Leave out detach, item, tolist, no_grad and .data.")  # fmt: skip
        raw.pow(2).sum().backward()
        arrived = answer.given[1].grad
        expect(arrived is not None and bool(arrived.abs().sum() > 0), f"{where} no gradient reaches the scores, so they could not be learned.")  # fmt: skip
    return "L + 1 numbers of the model, the same for every text and every batch."


# ----------------------------------------------------------------------------------------------- far enough apart


@exercise(_NOTEBOOK, "Far enough apart?")
def apart(answer: Any) -> str:
    """answer(p, q, n) -> bool: is the difference more than 1.96 of its standard errors?"""
    cases = [
        (0.9483, 0.9444, 10_000), (0.9483, 0.9444, 100_000), (0.9444, 0.9483, 100_000), (0.9, 0.88, 1000), (0.9, 0.87, 1000),
        (0.5, 0.56, 400), (0.5, 0.58, 400), (0.7, 0.7, 50), (0.61, 0.9, 41), (0.95, 0.9, 200), (0.52, 0.5, 4000), (0.6, 0.55, 500),
        (0.95, 0.93, 800), (0.9, 0.873, 1100), (0.88, 0.9, 1900), (0.9, 0.88, 1900), (0.5, 0.55, 10), (0.5, 0.75, 4),
    ]  # fmt: skip
    given = []
    for p, q, n in cases:
        got = answer(p, q, n)
        got = got.item() if callable(getattr(got, "item", None)) and getattr(got, "shape", None) == () else got
        if not isinstance(got, (bool, int)) or got not in (0, 1):
            raise Mistake(f"For {p:.2%} and {q:.2%} of {n:,} texts you gave {describe(got)}; True or False is wanted.")
        given.append(bool(got))
    right = [_apart(*case) for case in cases]
    if given == right:
        return "Two figures that are closer than that show nothing. With the same texts and a paired interval one sees a little more."
    wrong = {
        "the difference has a sign in your comparison. Either may be the larger: abs(p - q)": [_apart(*case, sign=True) for case in cases],
        "the standard error of one figure alone was taken. The variances of both add up under the root": [_apart(*case, both=False) for case in cases],
        "the two standard errors were added. Their squares add up, under one root": [_apart(*case, roots=True) for case in cases],
        "the root is missing": [_apart(*case, root=False) for case in cases],
        "the factor 1.96 is missing": [_apart(*case, factor=1.0) for case in cases],
        "n is missing: divide each p(1 - p) by n": [_apart(*case, divide=False) for case in cases],
        "True and False are exchanged": [not value for value in right],
        "p(1 - p) is a product: p times (1 - p)": [_apart(*case, product=False) for case in cases],
        "every difference above 0 counts in yours. It must exceed 1.96 standard errors": [p != q for p, q, _ in cases],
        "the answer is always the same, whatever is given": [given[0]] * len(cases),
    }  # fmt: skip
    why = next((words for words, values in wrong.items() if values == given), "")
    at = next(i for i, value in enumerate(given) if value != right[i])
    p, q, n = cases[at]
    raise Mistake(
        f"For {p:.2%} and {q:.2%} of {n:,} texts you gave {given[at]}; expected {right[at]}{why and ': '}{why}."
    )


def _apart(
    p: float,
    q: float,
    n: int,
    *,
    sign: bool = False,
    both: bool = True,
    roots: bool = False,
    root: bool = True,
    factor: float = 1.96,
    divide: bool = True,
    product: bool = True,
) -> bool:
    difference = p - q if sign else abs(p - q)
    first, second = (a * (1 - a) if product else 1 - a for a in (p, q))
    first, second = (v / n if divide else v for v in (first, second))
    variance = first + second if both else first
    error = math.sqrt(first) + math.sqrt(second) if roots else (math.sqrt(variance) if root else variance)
    return difference > factor * error
