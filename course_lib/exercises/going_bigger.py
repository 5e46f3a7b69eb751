"""Checks of notebook 11_going_bigger, in its order. Letters: P processes, B batch, T tokens, H hidden size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from course_lib.exercises.checking import Mistake, describe, exercise, expect
from course_lib.exercises.tensors import (
    advised,
    as_tensor,
    combined,
    expect_equal,
    expect_shape,
    judge,
    listed,
    one_number,
    seeded,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_NOTEBOOK = "11_going_bigger"


# ---------------------------------------------------------------------------------------------------- how long?


@exercise(_NOTEBOOK, "How many hours?")
def training_hours(answer: Any) -> str:
    """answer(weights, examples, length, epochs, rate) -> hours: 6 operations for each weight and token, rate of them a second."""
    cases = [
        (85_000_000, 180_000, 32, 3, 5e12),
        (302_000_000, 1_230, 17, 5, 1.1e11),
        (3_000_000, 7_001, 128, 2, 7e10),
    ]

    def hours(
        weights: float,
        examples: float,
        length: float,
        epochs: float,
        rate: float,
        factor: float = 6,
        unit: float = 3600,
    ) -> float:
        return factor * weights * examples * length * epochs / rate / unit

    known: list[tuple[str, Callable[..., float]]] = [
        ("that is the way forward alone, 2 operations. The way back costs 4 more", lambda *case: hours(*case, factor=2)),
        ("that is the way back alone. The way forward costs 2 more, so 6", lambda *case: hours(*case, factor=4)),
        ("a multiplication comes with an addition: 6 operations, not 3", lambda *case: hours(*case, factor=3)),
        ("one operation for each weight and token is too little: 2 forward, 4 back", lambda *case: hours(*case, factor=1)),
        ("these are seconds. An hour has 3600", lambda *case: hours(*case, unit=1)),
        ("these are minutes. An hour has 3600 seconds", lambda *case: hours(*case, unit=60)),
        ("these are days", lambda *case: hours(*case, unit=86400)),
        ("that is one epoch. Every epoch reads all examples again", lambda w, n, t, e, r: hours(w, n, t, 1, r)),
        ("you counted examples. Each has as many tokens as a row is long", lambda w, n, t, e, r: hours(w, n, 1, e, r)),
        ("that is for one example. All of them are read", lambda w, n, t, e, r: hours(w, 1, t, e, r)),
        ("it is turned round: operations divided by operations a second are seconds", lambda *case: 1 / hours(*case)),
        ("these are operations. Divided by the rate they become time", lambda w, n, t, e, r: hours(w, n, t, e, 1)),
        ("these are operations. Divided by the rate and by 3600 they become hours", lambda w, n, t, e, r: hours(w, n, t, e, 1, unit=1)),
    ]  # fmt: skip
    judge(answer, cases, hours, _number, known, _hours_case)
    return "Before every long run: this sum, and two batches with a clock."


def _number(got: Any, case: tuple[Any, ...]) -> float:
    number = one_number(got)
    if number is None:
        raise Mistake(f"You gave {describe(got)}; a single number is wanted.")
    return float(number)


def _hours_case(case: tuple[Any, ...]) -> str:
    weights, examples, length, epochs, rate = case
    return f"{weights:,} weights, {examples:,} examples of {length} tokens, {epochs} epochs and {rate:.1e} operations a second"


# ------------------------------------------------------------------------------------------------------ what fits?


@exercise(_NOTEBOOK, "Bytes for each process")
def state_bytes(answer: Any) -> str:
    """answer(trained, frozen, processes, sharded) -> bytes in one process: 16 for a weight that learns, 4 for one that does not."""
    cases = [
        (1_000, 0, 1, False), (1_100, 700, 5, False), (1_100, 700, 5, True), (0, 910, 7, True), (3_300, 110, 11, False),
    ]  # fmt: skip

    def each(
        trained: float, frozen: float, processes: int, sharded: bool, learns: float = 16, stays: float = 4
    ) -> float:
        return (learns * trained + stays * frozen) / (processes if sharded else 1)

    known: list[tuple[str, Callable[..., float]]] = [
        ("frozen weights have no gradient and no means: 4 bytes each", lambda *case: each(*case, stays=16)),
        ("the weights alone are there. One that learns has a gradient and two means besides", lambda *case: each(*case, learns=4)),
        ("one of the four numbers of a weight that learns is missing: itself, its gradient, two means", lambda *case: each(*case, learns=12)),
        ("the two means are missing. They are numbers of 4 bytes too", lambda *case: each(*case, learns=8)),
        ("the frozen weights are missing. They do not learn, but they are used", lambda *case: each(*case, stays=0)),
        ("you counted numbers. Each has 4 bytes", lambda *case: each(*case, learns=4, stays=1)),
        ("these are bits", lambda *case: each(*case, learns=128, stays=32)),
        ("you always divide. Only in parts (sharded) does a process have less than everything", lambda t, f, p, s: each(t, f, p, True)),
        ("you never divide. In parts (sharded) each process has an equal part", lambda t, f, p, s: each(t, f, p, False)),
        ("it is turned round: it is divided where sharded is True", lambda t, f, p, s: each(t, f, p, not s)),
        ("in parts, the frozen weights are divided too", lambda t, f, p, s: each(t, 0, p, s) + 4 * f),
        ("that is for all processes together. How much is in one?", lambda t, f, p, s: each(t, f, p, s) * p),
    ]  # fmt: skip
    judge(answer, cases, each, _number, known, _bytes_case)
    return "What the layers keep for the way back comes on top, and grows with the rows of a process."


def _bytes_case(case: tuple[Any, ...]) -> str:
    trained, frozen, processes, sharded = case
    return f"{trained:,} weights that learn, {frozen:,} frozen, {processes} processes, sharded={sharded}"


# ------------------------------------------------------------------------------------------------- one gradient


@exercise(_NOTEBOOK, "One gradient of several")
def joined_gradient(answer: Any) -> str:
    """answer(gradients (P, n), counts (P,)) -> (n,): the gradient of the mean over the items of all processes."""
    import torch

    for counts, width, empty in (([5, 3], 7, None), ([2, 11, 1], 5, None), ([3, 0, 4], 2, 1), ([1], 2, None)):
        processes = len(counts)
        gradients = torch.randn(processes, width, generator=seeded(width))
        if empty is not None:
            gradients[empty] = float("nan")  # a mean over nothing
        items = torch.tensor(counts)
        where = f"For gradients of shape {(processes, width)} and counts {counts}"
        with advised("counts are (P,) and gradients (P, n); counts[:, None] is (P, 1), which fits"):
            got = as_tensor(answer(gradients.clone(), items.clone()), where)
        expect_shape(
            got,
            (width,),
            where,
            "one number for each of n",
            {
                (processes, width): "there is still one gradient a process. Add them up: dim=0",
                (processes,): "you added up the numbers of a gradient, dim=1. Add up the processes: dim=0",
                (): "everything is added up. Add up the processes alone: dim=0",
                (1, width): "the dimension of the processes is still there. It goes without keepdim=True",
            },
        )
        some = items > 0
        kept, share = gradients[some], items[some, None].float()
        right = (share * kept).sum(0) / share.sum()
        if empty is not None and torch.isnan(got).all():
            raise Mistake(
                f"{where} all numbers are nan. A process without items has a mean over nothing, nan, and 0 times nan is nan: "
                "leave it out before you add."
            )
        zeros = gradients.nan_to_num()
        wrong = {
            "all processes count alike. One with more items counts more: each gradient times its count, divided by all items": kept.mean(0),
            "that is the plain sum. The gradient of a mean is wanted: weigh each by its share of all items": zeros.sum(0),
            "it is not divided by the number of all items": (share * kept).sum(0),
            "it is divided by the number of processes. Divide by the number of all items": (share * kept).sum(0) / processes,
            "it is weighed the wrong way round: who has fewer items counts more": (kept / share).sum(0) / (1 / share).sum(),
            "the largest number of the processes is there, not their mean": zeros.amax(0),
            "that is the first process alone": gradients[0],
            "each is divided by its count. It is a mean already: multiply": (kept / share).sum(0),
        }  # fmt: skip
        expect_equal(got, right, f"{where} the numbers do not agree", wrong)
    return "`fit` weighs each process's loss by its share, so that accelerate's plain mean gives this."


# ------------------------------------------------------------------------------------------------- a shuffle buffer


class _Draws:
    """Places that are drawn, always the same ones; it keeps how many there were to choose from."""

    def __init__(self, seed: int) -> None:
        self.state, self.asked = seed, []  # type: ignore[var-annotated]

    def __call__(self, n: int) -> int:
        self.state = (self.state * 1103515245 + 12345) % 2**31
        self.asked.append(n)
        return (self.state >> 16) % n

    def __repr__(self) -> str:
        return "draw"


@exercise(_NOTEBOOK, "A shuffle buffer")
def shuffled(answer: Any) -> str:
    """answer(items, size, draw) -> list: the items in the order in which a buffer of `size` places gives them out."""
    for count, size, seed in ((11, 3, 1), (7, 5, 2), (13, 2, 5), (3, 7, 3), (5, 1, 4)):
        items = list(range(100, 100 + count))
        where = f"For the items {items[0]} to {items[-1]} and size {size}"
        given = answer(list(items), size, _Draws(seed))
        got = listed(given)
        if got is None or not all(isinstance(one_number(value), int) for value in got):
            raise Mistake(f"{where} you gave {describe(given)}; a list of the items in their new order is wanted.")
        right = _buffered(items, size, _Draws(seed))
        if got == right:
            continue
        asked = answer.given[2].asked
        found = f"{where} you gave {got}; {right} is right"
        wrong = {
            "what is left in the buffer at the end is lost. Give it out too, in its order": right[: max(count - size, 0)],
            "the rest lies in the buffer as it was filled at first. An item that was put in later takes its place there": right[: max(count - size, 0)] + items[:size],
            "what is left is given out from the back. Give it out in its order": right[: max(count - size, 0)] + right[max(count - size, 0) :][::-1],
            "what is left is sorted. Give it out as it lies in the buffer": right[: max(count - size, 0)] + sorted(right[max(count - size, 0) :]),
            "nothing was shuffled": items,
            "the buffer has one place more than size": _buffered(items, size + 1, _Draws(seed)),
            "a new item was put at the end of the buffer. Put it at the place that became free": _buffered(items, size, _Draws(seed), at_end=True),
            "you drew among the new item too. Give out one that is in the buffer already": _drawn_with_new(items, size, _Draws(seed)),
            "what was left was drawn too. Give it out in its order": _rest_drawn(items, size, _Draws(seed)),
            "the first items went out as they came. They fill the buffer, and wait there": items[:size] + right[: max(count - size, 0)],
            "everything waited in the buffer. It has room for size items": _buffered(items, count, _Draws(seed)),
        }  # fmt: skip
        for words, order in wrong.items():
            expect(got != order, f"{found}: {words}.")
        missing = sorted(set(items) - set(got))
        expect(not missing, f"{found}: {len(missing)} items are missing, such as {missing[:1]}.")
        expect(len(got) == len(set(got)), f"{found}: some items come twice.")
        expect(
            all(n == size for n in asked),
            f"{found}: draw was called with {sorted(set(asked))}; there are {size} places in the buffer, so draw(size).",
        )
        raise Mistake(f"{found}: every item is there once, in another order.")
    return (
        "An item waits in the buffer as long as chance will have it, but none comes out more than `size` places early."
    )


def _buffered(items: list[int], size: int, draw: _Draws, at_end: bool = False) -> list[int]:
    held, out = items[:size], []
    for item in items[size:]:
        place = draw(size)
        out.append(held[place])
        if at_end:
            del held[place]
            held.append(item)
        else:
            held[place] = item
    return out + held


def _drawn_with_new(items: list[int], size: int, draw: _Draws) -> list[int]:
    held, out = items[:size], []
    for item in items[size:]:
        held.append(item)
        out.append(held.pop(draw(len(held))))
    return out + held


def _rest_drawn(items: list[int], size: int, draw: _Draws) -> list[int]:
    held, out = items[:size], []
    for item in items[size:]:
        place = draw(size)
        out.append(held[place])
        held[place] = item
    while held:
        out.append(held.pop(draw(len(held))))
    return out


# -------------------------------------------------------------------------------------------- RoBERTa's positions


@exercise(_NOTEBOOK, "Where RoBERTa begins to count")
def position_ids(answer: Any) -> str:
    """answer(ids (B, T), padding) -> (B, T): RoBERTa's row of the position table for each token."""
    import torch

    for rows, padding in (
        ([[0, 31, 7, 5, 2], [0, 9, 2, 1, 1], [1, 1, 0, 8, 2]], 1),
        ([[5, 6, 7]], 0),
        ([[11, 3, 3, 12, 13, 3, 3], [3, 3, 3, 3, 11, 12, 13]], 3),
    ):
        ids = torch.tensor(rows)
        where = f"For ids = {rows} and padding {padding}"
        got = as_tensor(answer(ids.clone(), padding), where)
        shape = tuple(ids.shape)
        known = {
            shape[1:]: "there is one row for all texts. Each text has its own padding",
            (1, *shape[1:]): "there is one row for all texts. Each text has its own padding",
        }
        expect_shape(got, shape, where, "one position for each token", known)
        real = (ids != padding).long()
        counted, place = real.cumsum(1), torch.arange(shape[1]).expand(shape)
        right = padding + counted * real
        wrong = {
            "that is BERT's way, from 0. RoBERTa's first token has padding + 1": place,
            "real tokens begin at 1. They begin at padding + 1, and padding itself has the position `padding`": counted * real,
            "real tokens begin at padding, which is the row of padding itself. They begin at padding + 1": padding + (counted - 1) * real,
            "padding counts too. Count the real tokens alone: (ids != padding).cumsum(dim=1)": padding + 1 + place,
            "padding counts, though it has the right position itself. Count the real tokens alone": torch.where(real.bool(), padding + 1 + place, padding),
            "padding has a position of a real token. Multiply the count by the mask, so that padding stays at `padding`": padding + counted,
            "padding has the position 0. It has the position `padding`": (padding + counted) * real,
            "you counted down the texts, dim=0. Count along a text: dim=1": padding + real.cumsum(0) * real,
            "you counted the padding, not the real tokens": padding + (1 - real).cumsum(1) * (1 - real),
            "this is the mask. Add it up along the text": real,
            "real tokens begin at padding + 2": padding + (counted + 1) * real,
        }  # fmt: skip
        expect_equal(got, right, f"{where} the positions do not agree", wrong)
    return "With padding 1, row 0 is never read and row 1 is that of padding: so 514 rows serve 512 tokens."


# ------------------------------------------------------------------------------------------ the partner among all


@exercise(_NOTEBOOK, "The partner among all")
def partner_loss(answer: Any) -> str:
    """answer(a (B, H), b (B, H), temperature) -> one number: which text of b belongs to each of a?"""
    import torch
    from torch.nn import functional as F

    for batch, width, temperature in ((5, 7, 0.05), (3, 11, 0.5), (2, 3, 0.1)):
        draw = seeded(width)
        a = torch.randn(batch, width, generator=draw) * 3
        b = a + torch.randn(batch, width, generator=draw) * 2
        where = f"For vectors of shape {(batch, width)} and temperature {temperature}"
        with advised("a and b are (B, H), so a @ b.T is (B, B)"):
            got = as_tensor(answer(a.clone(), b.clone(), temperature), where)
        shapes = {
            (batch,): "there is one loss a text. Take their mean",
            (batch, batch): "these are the scores. Cross entropy makes one number of them",
        }
        expect_shape(got, (), where, "one number, the mean of the losses", shapes)

        def loss(
            form: str = "cosine",
            scale: float = 1 / temperature,
            of: str = "rows",
            how: str = "mean",
            a: Tensor = a,
            b: Tensor = b,
            batch: int = batch,
        ) -> Tensor:
            x, y = (F.normalize(v, dim=0 if form == "columns" else 1) for v in (a, b))
            if form == "plain":
                x, y = a, b
            if form == "one":
                y = b
            scores = x @ y.T * scale
            if of == "columns":
                scores = scores.T
            if of == "both":
                halves = [F.cross_entropy(s, torch.arange(batch)) for s in (scores, scores.T)]
                return torch.stack(halves).mean()
            if how == "diagonal":
                return -scores.diagonal().mean()
            if how == "softmax twice":
                scores = scores.softmax(1)
            return F.cross_entropy(scores, torch.arange(batch), reduction="sum" if how == "sum" else "mean")

        forms = [
            ("", "cosine"),
            ("the vectors are not brought to length 1. Normalise them first, dim=1", "plain"),
            ("b is not brought to length 1", "one"),
            ("the vectors are normalised over the texts, dim=0. Each vector has length 1: dim=1", "columns"),
        ]
        scales = [
            ("", 1 / temperature),
            ("the scores are multiplied by the temperature. Divide", temperature),
            ("the temperature is not used", 1.0),
        ]
        directions = [
            ("", "rows"),
            ("each text of b looks for its partner in a. It is the other way round here: a @ b.T", "columns"),
            ("that is the mean of both directions. Here each text of a looks for its partner in b", "both"),
        ]
        ways = [
            ("", "mean"),
            ("the losses are added up. Take their mean", "sum"),
            ("cross entropy makes a softmax itself: give it the scores", "softmax twice"),
            (
                "that is how close the partners are, without the others. Cross entropy compares each with all",
                "diagonal",
            ),
        ]
        mistakes = (
            (words, loss(form, scale, of, how))
            for words, (form, scale, of, how) in combined(forms, scales, directions, ways)
        )
        expect_equal(got, loss(), f"{where} the loss is not right", mistakes)
    return "In a batch of B pairs each text has B - 1 wrong partners, for nothing. So here a larger batch is a harder task."
