"""What the checks of several notebooks share: inputs of prime sizes, and right numbers told from known mistakes.

A check finds out first whether an answer is right, and looks for mistakes after that: for some inputs, as a batch of
one, a mistake gives the right numbers.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar

from course_lib.exercises.checking import Mistake, expect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import torch
    from torch import Tensor

Value = TypeVar("Value")

# B, T, H: primes, so that no two sizes agree by accident; and a batch of one, which loose code squeezes away.
SIZES = ((3, 7, 5), (1, 5, 3), (2, 11, 13))
_TOLERANCE = 1e-5


def seeded(number: int) -> torch.Generator:
    """A source of random numbers that gives the same ones in every run."""
    import torch

    return torch.Generator().manual_seed(number)


def hidden_and_mask(batch: int, tokens: int, width: int) -> tuple[Tensor, Tensor]:
    """Random vectors, and a mask whose rows have different numbers of real tokens; the first is full."""
    import torch

    hidden = torch.randn(batch, tokens, width, generator=seeded(batch * tokens))
    lengths = torch.tensor([max(2, tokens - 2 * i) for i in range(batch)]) if batch > 1 else torch.tensor([tokens - 2])
    return hidden, (torch.arange(tokens)[None] < lengths[:, None]).long()


def as_tensor(got: Any, where: str, advice: str = "a tensor is wanted") -> Tensor:
    """What the learner's function returned, as plain float numbers: of any kind, from any device, without gradients."""
    import torch

    if not isinstance(got, torch.Tensor):
        raise Mistake(f"{where} your function returned something of type {type(got).__name__}; {advice}.")
    expect(not got.is_complex(), f"{where} your function returned complex numbers; real ones are wanted.")
    return got.detach().cpu().to(torch.float64)


def one_number(value: Any) -> int | float | None:
    """A number of Python, NumPy or torch as one of Python, whole where it can be; None for anything else."""
    if callable(getattr(value, "item", None)) and getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    number = float(value)
    return int(value) if number.is_integer() else number


def expect_shape(
    got: Tensor, shape: tuple[int, ...], where: str, words: str, known: Mapping[tuple[int, ...], str]
) -> None:
    """The shape is right, or a `Mistake` that says which mistake gives this one, if it is a known one."""
    have = tuple(got.shape)
    if have == shape:
        return
    texts_lost = shape[:1] == (1,) and have == shape[1:]
    why = "the dimension of the batch is gone. Never squeeze; a batch of one stays a batch" if texts_lost else known.get(have)  # fmt: skip
    raise Mistake(f"{where} the result has shape {have}; expected {shape}: {words}." + (f" So {why}." if why else ""))


def expect_equal(
    got: Tensor,
    right: Tensor,
    found: str,
    known: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]],
    else_say: str = "",
    why_nan: str = "Did you divide by zero?",
) -> None:
    """The numbers are right, or a `Mistake` that says which mistake gives these, if it is a known one.

    `known` is looked at only where the numbers are wrong: what makes it one by one costs nothing for a right answer.
    """
    import torch

    if close(got, right):
        return
    for words, wrong in known.items() if hasattr(known, "items") else known:
        if close(got, wrong) and not torch.isnan(wrong).all():  # nan everywhere may be any mistake
            raise Mistake(f"{found}: {words}.")
    expect(not torch.isnan(got).any(), f"{found}: some are nan, not a number. {why_nan}")
    expect(not torch.isinf(got).any(), f"{found}: some are infinite.")
    raise Mistake(f"{found}: {else_say or f'they are off by up to {(got - right.double()).abs().max():.2g}'}.")


def close(got: Tensor, other: Tensor) -> bool:
    """The same numbers, up to rounding; nan, which some known mistakes give, is equal to nan."""
    import torch

    return got.shape == other.shape and torch.allclose(
        got, other.double(), atol=_TOLERANCE, rtol=_TOLERANCE, equal_nan=True
    )


def combined(*parts: Sequence[tuple[str, Value]], most: int = 2) -> Iterator[tuple[str, tuple[Value, ...]]]:
    """Every choice of one value from each part with 1 to `most` mistakes, and the words of those mistakes.

    The first value of a part is the right one; the others come with their words. Single mistakes come first, because two
    together may give the numbers of one.
    """
    for count in range(1, most + 1):
        for places in itertools.combinations(range(len(parts)), count):
            for mistakes in itertools.product(*(parts[place][1:] for place in places)):
                values = [part[0][1] for part in parts]
                for place, (_, value) in zip(places, mistakes, strict=True):
                    values[place] = value
                yield "; ".join(words for words, _ in mistakes), tuple(values)


def softmax(scores: Tensor, dim: int) -> Tensor:
    """As torch's own, which wakes all threads for a tensor of any size: on a busy machine, 20 ms for 100 numbers.

    The search for a mistake takes hundreds of them.
    """
    powers = (scores - scores.amax(dim, keepdim=True)).exp()
    return powers / powers.sum(dim, keepdim=True)


@contextlib.contextmanager
def advised(words: str) -> Iterator[None]:
    """Where the learner's function fails inside torch, add these words about the shapes to what torch said."""
    try:
        yield
    except Mistake as mistake:
        # The kind of the error, not its text, which changes between versions; so the words say "if".
        if isinstance(mistake.__cause__, (RuntimeError, IndexError)):
            raise Mistake(f"{mistake}\nIf shapes do not fit there: {words}.") from mistake.__cause__
        raise


def expect_by_hand(answer: Callable[..., Any], given: tuple[Any, ...], *names: str) -> None:
    """A `Mistake` if a right answer calls one of these functions of torch.nn.functional, or a layer that does."""
    import torch.nn.functional as functions

    def refusing(name: str) -> Callable[..., Any]:
        def refused(*args: Any, **kwargs: Any) -> Any:
            raise Mistake(
                f"The numbers are right, but they come from torch's own {name}. Here it is to be written by hand, from the "
                "formula: the ready function is what to compare with afterwards."
            )

        return refused

    before = {name: getattr(functions, name) for name in names}
    try:
        for name in names:
            setattr(functions, name, refusing(name))
        answer(*given)
    finally:
        for name, function in before.items():
            setattr(functions, name, function)


def judge(
    answer: Any,
    cases: Sequence[tuple[Any, ...]],
    right: Callable[..., Any],
    read: Callable[[Any, tuple[Any, ...]], Any],
    known: Iterable[tuple[str, Callable[..., Any]]],
    show: Callable[[tuple[Any, ...]], str],
) -> None:
    """All cases are right, or a `Mistake` that names the known mistake which gives what was given, if there is one.

    By all cases together: for one alone, different mistakes give the same.
    """
    given = [read(answer(*case), case) for case in cases]
    wanted = [right(*case) for case in cases]
    if alike(given, wanted):
        return
    at = next(number for number, value in enumerate(given) if not alike(value, wanted[number]))
    why = next((words for words, wrong in known if alike(given, [wrong(*case) for case in cases])), "")
    raise Mistake(
        f"For {show(cases[at])} you gave {_written(given[at])}; {_written(wanted[at])} is right{why and ': '}{why}."
    )


def alike(one: Any, other: Any) -> bool:
    """Equal, numbers up to rounding, in lists and tuples of the same length."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) or isinstance(other, float):
        return isinstance(one, (int, float)) and isinstance(other, (int, float)) and math.isclose(one, other, abs_tol=1e-5)  # fmt: skip
    return bool(one == other)


def _written(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 160 else f"{text[:157]}..."


def listed(got: Any) -> list[Any] | None:
    """A list, tuple, array or tensor of one dimension as a list of Python's values; None for anything else."""
    if callable(getattr(got, "tolist", None)):
        got = got.tolist()
    return list(got) if isinstance(got, (list, tuple)) else None
