"""Checks of notebook 07_fine_tuning, in its order. Letters: n examples, K classes, H hidden size."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from course_lib.exercises.checking import Mistake, describe, exercise, expect
from course_lib.exercises.tensors import as_tensor, expect_equal, expect_shape, one_number, seeded

if TYPE_CHECKING:
    from torch import Tensor, nn

_NOTEBOOK = "07_fine_tuning"


def _expect_all(
    places: Sequence[str],
    got: Sequence[Any],
    right: Sequence[Any],
    wrong: Sequence[Sequence[tuple[str, Any]]],
    written: Callable[[Any], str] = str,
    same: Callable[[Any, Any], bool] = operator.eq,
) -> None:
    """Every answer is right, or a `Mistake` about the first that is not, with the mistake that explains most of them.

    For one input several mistakes may give the same wrong answer, and for some a mistake gives the right one. So all
    answers are looked at together before one is blamed.
    """
    failed = [number for number, pair in enumerate(zip(got, right, strict=True)) if not same(*pair)]
    if not failed:
        return
    explained: dict[str, set[int]] = {}
    for number, known in enumerate(wrong):
        for words, value in known:
            if same(got[number], value):
                explained.setdefault(words, set()).add(number)
    first = failed[0]
    fits = [words for words, numbers in explained.items() if first in numbers]
    why = max(fits, key=lambda words: len(explained[words]), default="")
    raise Mistake(
        f"{places[first]} you gave {written(got[first])}; expected {written(right[first])}{why and ': '}{why}."
    )


# ----------------------------------------------------------------------------------------------------- what decays


@exercise(_NOTEBOOK, "Which parameters decay?")
def no_decay(answer: Any) -> str:
    """answer(model) -> (those that decay, those that do not), two lists of parameters."""
    for words, model in _models():
        where = f"For {words}"
        given = answer(model)
        model = answer.given[0]  # the copy that it was called with
        if not isinstance(given, (list, tuple)) or len(given) != 2:
            raise Mistake(f"{where} you gave {describe(given)}; two lists are wanted: those that decay, those that do not.")  # fmt: skip
        names = {id(parameter): name for name, parameter in model.named_parameters(remove_duplicate=False)}
        decayed, kept = (_parameters(part, model, names, where) for part in given)
        _expect_groups(model, names, decayed, kept, where)
    return "No name was asked, so it holds for any model. The library's `parameter_groups` does the same."


def _models() -> Iterator[tuple[str, nn.Module]]:
    """BERT's names; other names for the same; a layer trained no more, a tied weight, a linear layer to one number."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, norm: str, inner: str) -> None:
            super().__init__()
            self.embed = nn.Embedding(11, 5)
            setattr(self, inner, nn.Linear(5, 5))
            setattr(self, norm, nn.LayerNorm(5))
            self.score = nn.Linear(5, 1)

    yield "a model with BERT's names", Block("LayerNorm", "dense")
    yield "a model that calls its LayerNorm ln_1", Block("ln_1", "fc")
    frozen = Block("norm", "dense")
    frozen.embed.weight.requires_grad_(False)
    yield "a model whose word table is frozen", frozen
    tied = Block("norm", "dense")
    tied.out = nn.Linear(5, 11)
    tied.out.weight = tied.embed.weight
    yield "a model whose output layer is tied to the word table", tied
    biased = Block("norm", "position_bias")
    yield "a model with a linear layer called position_bias", biased
    with torch.no_grad():
        for parameter in biased.parameters():
            parameter.add_(0)


def _parameters(part: Any, model: nn.Module, names: Mapping[int, str], where: str) -> list[str]:
    import torch

    if isinstance(part, Mapping):
        part = part.get("params", part.values())
    if isinstance(part, (torch.Tensor, str)) or not hasattr(part, "__iter__"):
        raise Mistake(f"{where} you gave {describe(part)} as one of the two; a list of parameters is wanted.")
    found = list(part)
    if any(isinstance(value, str) for value in found):
        raise Mistake(f"{where} a list holds names. The parameters themselves are wanted: an optimizer takes no names.")
    if any(isinstance(value, (tuple, list)) for value in found):
        raise Mistake(f"{where} a list holds pairs of name and parameter. The parameters alone are wanted.")
    if any(id(value) not in names for value in found):
        raise Mistake(f"{where} there is something in a list that is no parameter of the model, such as a copy of one.")
    return [names[id(value)] for value in found]


def _expect_groups(model: nn.Module, names: Mapping[int, str], decayed: list[str], kept: list[str], where: str) -> None:
    from torch import nn

    learn = {names[id(p)] for p in model.parameters() if p.requires_grad}
    norms = {f"{n}.{p}" for n, m in model.named_modules() if isinstance(m, nn.LayerNorm) for p in ("weight", "bias")}
    shapes = {names[id(p)]: p for p in model.parameters()}
    right = {name for name in learn if shapes[name].dim() > 1}
    rest = learn - right
    everything = [*decayed, *kept]
    twice = {name for name in everything if everything.count(name) > 1}
    if set(decayed) == rest and set(kept) == right and not twice:
        raise Mistake(f"{where} the two lists are exchanged: first those that decay.")
    if twice:
        tied = "to the word table" in where
        why = "It is tied: one parameter under two names. model.parameters() gives it once" if tied else "An optimizer would refuse it"  # fmt: skip
        raise Mistake(f"{where} {_first(twice)} is there twice. {why}.")
    frozen = set(everything) - learn
    expect(not frozen, f"{where} {_first(frozen)} is there, and it does not learn: leave out what has requires_grad False.")  # fmt: skip
    missing = learn - set(everything)
    if missing:
        raise Mistake(f"{where} {_first(missing)} is in neither list, so it would not learn at all.")
    if not decayed or not kept:
        which = "decays" if not kept else "is left without decay"
        raise Mistake(f"{where} everything {which}; there is one list of each kind.")
    wrong = set(decayed) & norms
    if wrong == {n for n in norms if n.endswith("weight")} and "LayerNorm" not in next(iter(norms)):
        raise Mistake(f"{where} {_first(wrong)} decays. It is a LayerNorm by another name; ask what a parameter is, not what it is called.")  # fmt: skip
    expect(not wrong, f"{where} {_first(wrong)} decays. It belongs to a LayerNorm: a vector of scales or shifts.")
    wrong = set(decayed) & rest
    expect(not wrong, f"{where} {_first(wrong)} decays. It is a bias, a vector.")
    wrong = set(kept) & right
    if wrong:
        name = _first(wrong)
        why = {
            "score.weight": "It is the weight of a linear layer to one number, (1, H): a matrix by its dimensions",
            "position_bias.weight": "Its name holds the word bias, and it is a matrix",
            "embed.weight": "An embedding is a matrix, and BERT's own optimizer lets it decay",
        }.get(name, "It is a matrix")
        raise Mistake(f"{where} {name} is left without decay. {why}.")


def _first(names: set[str]) -> str:
    return min(names, default="")


# -------------------------------------------------------------------------------------------------- a step of AdamW

_BETAS, _EPS = (0.9, 0.999), 1e-8


@exercise(_NOTEBOOK, "One step of AdamW")
def adamw_step(answer: Any) -> str:
    """answer(weight, gradient, first, second, step, rate, decay) -> the weight after the step."""
    import torch

    why_nan = "A weight that has had no gradient yet gives 0 / 0: add 1e-8 to the root."
    for number, (shape, step, rate, decay) in enumerate(
        (((3, 5), 1, 0.1, 0.5), ((7,), 2, 0.3, 0.2), ((2, 3), 11, 0.05, 0.7), ((5,), 3, 0.2, 0.0))
    ):
        generator = seeded(number)
        weight, gradient, first = (torch.randn(shape, generator=generator) for _ in range(3))
        second = torch.rand(shape, generator=generator) + 0.1
        if step == 1:
            first, second = torch.zeros(shape), torch.zeros(shape)
        if step == 11:
            # A weight without any gradient yet, as of a word that was not read; and one whose gradients are tiny.
            gradient[0, 0] = first[0, 0] = second[0, 0] = 0.0
            gradient[0, 1] = first[0, 1] = 1e-5
            second[0, 1] = 1e-10
        where = f"For a weight {shape}, step {step}, rate {rate} and decay {decay}"
        got = as_tensor(answer(weight, gradient, first, second, step, rate, decay), where, "the new weight alone is wanted, a tensor")  # fmt: skip
        expect_shape(got, shape, where, "as large as the weight", {(): "you gave one number for all"})
        right = _adamw(weight, gradient, first, second, step, rate, decay)
        expect_equal(got, right, f"{where} the numbers do not agree", _wrong_steps(weight, gradient, first, second, step, rate, decay), why_nan=why_nan)  # fmt: skip
    return "torch.optim.AdamW gives the same. The decay never passes through the running means."


def _adamw(
    weight: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    step: int,
    rate: float,
    decay: float,
    *,
    l2: bool = False,
    shrink: str = "rate",
    correct: str = "both",
    root: str = "outside",
    sign: int = 1,
    square: bool = True,
    betas: tuple[float, float] = _BETAS,
    momentum: bool = True,
) -> Tensor:
    if l2:
        gradient = gradient + decay * weight
    one, two = betas
    first = one * first + (1 - one) * gradient if momentum else gradient
    second = two * second + (1 - two) * (gradient**2 if square else gradient)
    if correct in ("both", "first"):
        first = first / (1 - one**step)
    if correct in ("both", "second"):
        second = second / (1 - two**step)
    if correct == "next":
        first, second = first / (1 - one ** (step + 1)), second / (1 - two ** (step + 1))
    below = {
        "outside": second.sqrt() + _EPS,
        "none": second + _EPS,
        "inside": (second + _EPS).sqrt(),
    }[root]
    factor = 1.0 if l2 else {"rate": 1 - rate * decay, "no rate": 1 - decay, "grows": 1 + rate * decay, "none": 1.0}[shrink]  # fmt: skip
    return factor * weight - sign * rate * first / below


def _wrong_steps(*given: Any) -> Iterator[tuple[str, Tensor]]:
    weight, gradient, first, second, step, rate, decay = given
    choices: dict[str, dict[str, Any]] = {
        "the decay went into the gradient, and so through both means. That is Adam with an L2 penalty": {"l2": True},
        "the decay is missing. Every weight shrinks by 1 - rate * decay": {"shrink": "none"},
        "the weight shrank by 1 - decay. It is 1 - rate * decay, so that the schedule holds for it too": {
            "shrink": "no rate"
        },
        "the weight grew: 1 + rate * decay. It shrinks": {"shrink": "grows"},
        "the means are not corrected. They began at 0: divide by 1 - beta ** step": {"correct": "none"},
        "the mean of the squares is not corrected: divide by 1 - 0.999 ** step": {"correct": "first"},
        "the mean of the gradient is not corrected: divide by 1 - 0.9 ** step": {"correct": "second"},
        "the correction is that of the next step. `step` is 1 at the first one": {"correct": "next"},
        "the root is missing: divide by the square root of the second mean": {"root": "none"},
        "the 1e-8 stands inside the root. It is added to the root": {"root": "inside"},
        "you added the step. Weights go against the gradient": {"sign": -1},
        "the two betas are exchanged: 0.9 is for the gradient, 0.999 for its square": {"betas": (0.999, 0.9)},
        "the gradient went in as it is. Its running mean is wanted": {"momentum": False, "correct": "second"},
    }
    for words, options in choices.items():
        yield words, _adamw(*given, **options)
    direction = (_adamw(weight, gradient, first, second, step, rate, 0.0) - weight) / rate
    moved = _adamw(weight, gradient, first, second, step, rate, 0.0)
    yield "the weight was moved first, and the result shrunk. The old weight shrinks, and the move is taken off that", (1 - rate * decay) * moved  # fmt: skip
    yield "you gave the change alone. The weight after it is wanted", rate * direction
    yield "you gave the direction alone, without the rate. The weight after the step is wanted", direction
    yield "that is a step of plain SGD. Adam divides by the root of the squares' mean", (1 - rate * decay) * weight - rate * gradient  # fmt: skip
    yield "the weight has not changed", weight.clone()


# ------------------------------------------------------------------------------------------------------ a schedule


@exercise(_NOTEBOOK, "Up and down in straight lines")
def linear_rate(answer: Any) -> str:
    """answer(step, steps, warmup, highest) -> the learning rate of that step, the first being 0."""
    cases = [
        (step, steps, warmup, highest)
        for steps, warmup, highest in ((20, 5, 2e-5), (7, 1, 3.0), (13, 0, 0.5), (11, 10, 1.0))
        for step in range(steps)
    ]
    places = [f"For step {a} of {b}, a warm-up of {c} and a highest rate of {d:g}" for a, b, c, d in cases]
    got: list[float] = []
    for case, where in zip(cases, places, strict=True):
        given = answer(*case)
        number = one_number(given)
        if number is None:
            raise Mistake(f"{where} you gave {describe(given)}; one number is wanted, the rate.")
        got.append(number)
    right, wrong = [_rate(*case) for case in cases], [list(_wrong_rates(*case)) for case in cases]
    _expect_all(places, got, right, wrong, "{:.4g}".format, _same)
    return "The library's `rates('linear', ...)` gives the same line."


def _rate(step: int, steps: int, warmup: int, highest: float) -> float:
    return highest * (step / warmup if step < warmup else (steps - step) / (steps - warmup))


def _wrong_rates(step: int, steps: int, warmup: int, highest: float) -> Iterator[tuple[str, float]]:
    up = step / warmup if warmup else 1.0
    left = steps - warmup
    climbing = step < warmup
    yield "with a warm-up of 0 there is no rise: step 0 has the highest rate", 0.0 if step == warmup == 0 else _rate(step, steps, warmup, highest)  # fmt: skip
    yield "the rate stays up after the warm-up. It falls to 0 in a straight line", highest * (up if climbing else 1)
    yield "there is no warm-up in it: it falls from the start", highest * (steps - step) / steps
    yield "it falls as if there had been no warm-up, so it jumps down where the warm-up ends. Divide by steps - warmup", highest * (up if climbing else (steps - step) / steps)  # fmt: skip
    yield "it reaches 0 a step too soon. 0 would come at step `steps`, one after the last", highest * (up if climbing else (steps - 1 - step) / max(1, left - 1))  # fmt: skip
    yield "the warm-up is a step ahead: step 0 has the rate 0, so that the first step moves nothing", highest * ((step + 1) / warmup if climbing else (steps - step) / left)  # fmt: skip
    yield "the warm-up rises in steps of 1 / steps. It takes `warmup` steps to the top", highest * (step / steps if climbing else (steps - step) / left)  # fmt: skip
    yield "you gave the share of the highest rate. Multiply by `highest`", _rate(step, steps, warmup, 1.0)
    yield "the fall is counted from step 0, so it goes on below 0 or ends too high", highest * (up if climbing else 1 - step / left)  # fmt: skip
    yield "it rises after the warm-up. The steps that are left count: steps - step", highest * (up if climbing else (step - warmup) / left)  # fmt: skip
    yield "the two halves are exchanged: it falls during the warm-up", highest * ((1 - up) if climbing else 1 - (steps - step) / left)  # fmt: skip
    yield "the rate is the highest one all the time", highest
    yield "it never stops rising: after the warm-up it falls", highest * up


def _same(got: float, number: float) -> bool:
    return math.isclose(got, number, rel_tol=1e-6, abs_tol=1e-12)


# ---------------------------------------------------------------------------------------------- what is kept, when

_LOSSES = (
    ([2.6, 0.69, 0.55, 0.5, 0.47, 0.45, 0.451, 0.46, 0.44, 0.47, 0.49, 0.471, 0.472], 3),
    ([1.0, 0.9, 0.95, 0.92, 0.8, 0.85, 0.84, 0.83, 0.7], 3),
    ([0.5, 0.6, 0.7], 1),
    ([1.0, 1.1, 1.2, 1.15, 1.3, 1.4], 2),
    ([3.0, 2.0, 1.0], 2),
    ([1.0, 0.8, 0.8, 0.8, 0.8, 0.5], 3),
    ([2.3, 2.2, 2.25, 2.24, 2.1, 2.3, 2.0], 2),
)


@exercise(_NOTEBOOK, "Patience")
def patience(answer: Any) -> str:
    """answer(losses, limit) -> (number of the evaluation whose weights are kept, number of the last evaluation)."""
    given = [answer(list(losses), limit) for losses, limit in _LOSSES]
    for (losses, limit), one in zip(_LOSSES, given, strict=True):
        if _pair(one) is None:
            raise Mistake(f"For the losses {losses} and a patience of {limit} you gave {describe(one)}; two whole numbers are wanted: the evaluation that is kept, and the last one. They count from 0.")  # fmt: skip
    _expect_all(
        [f"For the losses {losses} and a patience of {limit}" for losses, limit in _LOSSES],
        [_pair(one) for one in given],
        [_stopped(*case) for case in _LOSSES],
        [list(_wrong_stops(*case)) for case in _LOSSES],
    )
    return "`patience=` of the library counts so too. And the weights of the best evaluation come back, not those of the last."


def _stopped(losses: Sequence[float], limit: int, equal: bool = False, total: bool = False) -> tuple[int, int]:
    best, stale = 0, 0
    for number in range(1, len(losses)):
        if losses[number] < losses[best] or (equal and losses[number] == losses[best]):
            best, stale = number, stale if total else 0
        else:
            stale += 1
        if stale == limit:
            return best, number
    return best, len(losses) - 1


def _wrong_stops(losses: Sequence[float], limit: int) -> Iterator[tuple[str, tuple[int, int]]]:
    best, last = _stopped(losses, limit)
    lowest = min(range(len(losses)), key=lambda i: losses[i])
    yield "the two are exchanged: first the one that is kept", (last, best)
    yield "the last weights are kept. Those with the lowest loss so far are wanted", (last, last)
    yield "it goes on to the end. It stops after so many evaluations without a new best", (lowest, len(losses) - 1)
    yield "it stops at the right place, but keeps the best of all losses, also those that were never reached", (lowest, last)  # fmt: skip
    yield "you counted from 1. The first evaluation is number 0", (best + 1, last + 1)
    yield "it stops one evaluation too late: after exactly `limit` of them without a new best", _stopped(losses, limit + 1)  # fmt: skip
    yield "it stops one evaluation too soon: after exactly `limit` of them without a new best", _stopped(losses, max(1, limit - 1))  # fmt: skip
    yield "the worse evaluations of the whole run are counted. A new best sets the count back to 0", _stopped(losses, limit, total=True)  # fmt: skip
    yield "an equal loss is no new best: of equals the first is kept", _stopped(losses, limit, equal=True)
    worse = next((i for i in range(limit, len(losses)) if all(losses[i - j] > losses[i - j - 1] for j in range(limit))), len(losses) - 1)  # fmt: skip
    yield "it waits for a loss that rises so many times in a row. A loss below the one before is not yet a new best", (min(range(worse + 1), key=lambda i: losses[i]), worse)  # fmt: skip
    yield "the highest loss is kept. The lowest is the best", (max(range(last + 1), key=lambda i: losses[i]), last)
    first = next((i - 1 for i in range(1, len(losses)) if losses[i] >= losses[i - 1]), len(losses) - 1)
    yield "it stops as soon as a loss does not fall. It is to wait `limit` evaluations", (first, min(first + 1, len(losses) - 1))  # fmt: skip
    yield "the number kept is right, but not the one at which it stops", (best, len(losses))


def _pair(given: Any) -> tuple[int, int] | None:
    if callable(getattr(given, "tolist", None)):
        given = given.tolist()
    if not isinstance(given, (list, tuple)) or len(given) != 2:
        return None
    numbers = [one_number(value) for value in given]
    if not all(isinstance(number, int) for number in numbers):
        return None
    return numbers[0], numbers[1]  # type: ignore[return-value]


# ------------------------------------------------------------------------------------------------ when to evaluate

# examples, batch, epochs, every: the failed run of the log first
_RUNS = ((1471, 128, 3, 100), (26, 5, 2, 4), (7, 7, 5, 2), (30, 7, 2, 10), (11, 3, 3, 1))


@exercise(_NOTEBOOK, "When is the model evaluated?")
def evaluations(answer: Any) -> str:
    """answer(examples, batch, epochs, every) -> the numbers of the steps after which the model is evaluated."""
    places = [
        f"For {examples} examples, a batch of {batch}, {epochs} epochs and every {every} steps"
        for examples, batch, epochs, every in _RUNS
    ]
    got = [_whole_numbers(answer(*run), where) for run, where in zip(_RUNS, places, strict=True)]
    right = [_evaluated(math.ceil(run[0] / run[1]) * run[2], run[3]) for run in _RUNS]
    wrong = [[*_wrong_evaluations(*run), *_disorder(mine, fine)] for run, mine, fine in zip(_RUNS, got, right, strict=True)]  # fmt: skip
    _expect_all(places, got, right, wrong, _short)
    return "The last step is always among them, however short the run. That alone would have saved the run of the log."


def _disorder(got: list[int], right: list[int]) -> Iterator[tuple[str, list[int]]]:
    if sorted(set(got)) == right:
        yield ("there are steps twice" if len(set(got)) < len(got) else "the steps are not in their order"), got


def _evaluated(steps: int, every: int) -> list[int]:
    return sorted({*range(every, steps + 1, every), steps})


def _wrong_evaluations(examples: int, batch: int, epochs: int, every: int) -> Iterator[tuple[str, list[int]]]:
    up, down = math.ceil(examples / batch), examples // batch
    steps, fewer = up * epochs, down * epochs
    yield "the run's last step is missing. Without it, what was learned at the end is never looked at", list(range(every, steps + 1, every))  # fmt: skip
    yield "the last step is missing, and step 0 is there: the log's own fault. A model that has learned nothing needs no evaluation", list(range(0, steps + 1, every))  # fmt: skip
    yield "the last step is missing, and step 0 is there: the log's own fault. A model that has learned nothing needs no evaluation", list(range(0, steps, every))  # fmt: skip
    yield "step 0 is there. Nothing has been learned before the first step", [0, *_evaluated(steps, every)]
    yield "step 0 is there. Nothing has been learned before the first step", sorted({*range(0, steps, every), steps})
    yield "the smaller batch at the end of each epoch is a step too. Round up", _evaluated(fewer, every)
    yield (
        "the smaller batch at the end of each epoch is a step too, and the last step is missing",
        list(range(every, fewer + 1, every)),
    )
    yield (
        "the epochs were joined before they were cut into batches. Each epoch has its own smaller batch at the end",
        _evaluated(math.ceil(examples * epochs / batch), every),
    )
    yield "that is the plan of one epoch. There are more", _evaluated(up, every)
    yield "these are the ends of the epochs. Every so many steps is asked, and the last one", [up * e for e in range(1, epochs + 1)]  # fmt: skip
    yield "you counted from 0: the first step is number 1, the last one steps", [s - 1 for s in _evaluated(steps, every)]  # fmt: skip
    yield (
        "the last step is there twice where it is a multiple anyway",
        [*range(every, steps + 1, every), steps],
    )
    yield (
        "the count begins anew in each epoch. Count the steps of the whole run",
        sorted({e * up + s for e in range(epochs) for s in range(every, up + 1, every)} | {steps}),
    )
    yield "you counted examples, not steps. A step takes a whole batch", _evaluated(examples * epochs, every)
    yield "that is every step", list(range(1, steps + 1))
    yield "only the last step is there", [steps]


def _whole_numbers(got: Any, where: str) -> list[int]:
    """The learner's steps as a list of whole numbers."""
    if callable(getattr(got, "tolist", None)) and getattr(got, "shape", None) != ():
        got = got.tolist()
    if isinstance(got, str) or not isinstance(got, (list, tuple, set, range)):
        raise Mistake(f"{where} you gave {describe(got)}; a list of step numbers is wanted, such as [100, 200, 250].")
    numbers = [one_number(value) for value in got]
    if any(not isinstance(number, int) for number in numbers):
        raise Mistake(f"{where} you gave {describe(got)}; each step is a whole number.")
    found = [number for number in numbers if isinstance(number, int)]
    return sorted(found) if isinstance(got, set) else found


def _short(steps: Sequence[int]) -> str:
    if len(steps) <= 8:
        return str(list(steps))
    return f"[{', '.join(map(str, steps[:4]))}, ..., {steps[-1]}] ({len(steps)} steps)"


# ------------------------------------------------------------------------------------------ scores from a confusion matrix


@exercise(_NOTEBOOK, "Precision, recall and F1 from the matrix")
def scores(answer: Any) -> str:
    """answer(counts (K, K), k) -> (precision, recall, F1) of class k; rows are the labels."""
    import torch

    matrices = (
        torch.tensor([[7, 2, 0], [1, 5, 5], [0, 1, 3]]),
        torch.tensor([[5, 0, 2, 0], [3, 0, 1, 0], [1, 0, 9, 0], [0, 0, 0, 0]]),
        torch.tensor([[2, 3], [11, 1]]),
    )
    suspects: set[str] | None = None
    for counts in matrices:
        for k in range(len(counts)):
            where = f"For counts {counts.tolist()} and class {k}"
            got = _three(answer(counts, k), where)
            right = _class_scores(counts, k)
            known = dict(_wrong_scores(counts, k))
            fits = {words for words, wrong in known.items() if _alike(got, wrong)}
            agree = fits if suspects is None else suspects & fits
            if not _alike(got, right):
                if any(math.isnan(value) for value in got):
                    raise Mistake(f"{where} you gave nan: a class that is never predicted, or has no examples, divides by 0. Give 0 there.")  # fmt: skip
                words = next((w for w in known if w in agree), next((w for w in known if w in fits), ""))
                raise Mistake(f"{where} you gave {_three_words(got)}; expected {_three_words(right)}{words and ': '}{words}.")  # fmt: skip
            suspects = agree
    return "scikit-learn sets what is not defined to 0 as well, with a warning; the course's report says which classes they are."


def _class_scores(counts: Tensor, k: int) -> tuple[float, float, float]:
    hit, labelled, predicted = (float(n) for n in (counts[k, k], counts[k].sum(), counts[:, k].sum()))
    precision, recall = _share(hit, predicted), _share(hit, labelled)
    return precision, recall, _share(2 * precision * recall, precision + recall)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _wrong_scores(counts: Tensor, k: int) -> Iterator[tuple[str, tuple[float, float, float]]]:
    precision, recall, f1 = _class_scores(counts, k)
    hit, labelled, predicted, total = (float(n) for n in (counts[k, k], counts[k].sum(), counts[:, k].sum(), counts.sum()))  # fmt: skip
    yield "precision and recall are exchanged. Rows are labels: the row's sum belongs to recall", (recall, precision, f1)  # fmt: skip
    yield "F1 is not the plain mean, which forgives a score of 0. It is 2 * P * R / (P + R)", (precision, recall, (precision + recall) / 2)  # fmt: skip
    yield "the 2 of F1 is missing: 2 * P * R / (P + R)", (precision, recall, f1 / 2)
    yield "that F1 is the product. It is 2 * P * R / (P + R)", (precision, recall, precision * recall)
    yield "that F1 is the geometric mean. It is the harmonic one, 2 * P * R / (P + R)", (precision, recall, math.sqrt(precision * recall))  # fmt: skip
    yield "you divided by all examples. Precision divides by those predicted as k, recall by those labelled k", (_share(hit, total), _share(hit, total), _share(hit, total))  # fmt: skip
    other = _share(hit, predicted - hit), _share(hit, labelled - hit)
    yield "you divided by the mistakes alone. The right ones belong to the whole", (*other, _share(2 * other[0] * other[1], sum(other)))  # fmt: skip
    yield "precision stands in both places. Recall divides by the row", (precision, precision, precision)
    yield "recall stands in both places. Precision divides by the column", (recall, recall, recall)
    yield "these are shares of mistakes: 1 minus what is wanted", (1 - precision, 1 - recall, 1 - f1)
    accuracy = _share(float(counts.trace()), total)
    yield "that is the accuracy over all classes. Class k alone is wanted", (accuracy, accuracy, accuracy)
    yield "these are counts. Shares are wanted", (hit, hit, hit)
    yield "the scores are in per cent. Shares from 0 to 1 are wanted", (100 * precision, 100 * recall, 100 * f1)


def _three(given: Any, where: str) -> tuple[float, float, float]:
    if callable(getattr(given, "tolist", None)):
        given = given.tolist()
    numbers = [one_number(value) for value in given] if isinstance(given, (list, tuple)) else []
    if len(numbers) != 3 or any(number is None for number in numbers):
        raise Mistake(f"{where} you gave {describe(given)}; three numbers are wanted: precision, recall, F1.")
    return tuple(float(number) for number in numbers)  # type: ignore[arg-type,return-value]


def _alike(got: Sequence[float], other: Sequence[float]) -> bool:
    return all(math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-6) for a, b in zip(got, other, strict=True))


def _three_words(values: Sequence[float]) -> str:
    return f"({', '.join(f'{value:.3g}' for value in values)})"
