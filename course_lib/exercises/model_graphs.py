"""Checks of notebook 10_model_graphs, in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from course_lib.exercises.checking import Mistake, describe, exercise, expect
from course_lib.exercises.tensors import as_tensor, expect_equal, expect_shape, judge, one_number, seeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_NOTEBOOK = "10_model_graphs"


# -------------------------------------------------------------------------------------------------- the difference


@exercise(_NOTEBOOK, "The same, up to rounding")
def same_answers(answer: Any) -> str:
    """answer(ours, theirs, tolerance) -> bool: two tensors have one shape, and no number differs by more than the tolerance."""
    import torch

    a = torch.tensor([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]])
    nan = a.clone()
    nan[0, 1] = float("nan")
    flat = a[0].clone()
    near, far, below = a + 1e-6, a.clone(), a.clone()
    far[1, 2] += 0.01
    below[1, 2] -= 0.01
    cases: list[tuple[str, Tensor, Tensor, float, bool]] = [
        ("equal tensors", a, a.clone(), 1e-4, True),
        ("a difference of 0.000001 everywhere", a, near, 1e-4, True),
        ("one number larger by 0.01", a, far, 1e-4, False),
        ("one number smaller by 0.01", a, below, 1e-4, False),
        ("the same with tolerance 0.1", a, below, 0.1, True),
        ("differences of +1 and -1, whose sum is 0", a[:1, :2], a[:1, :2] + torch.tensor([1.0, -1.0]), 1e-4, False),
        ("a nan on one side", a, nan, 1e-4, False),
        ("a nan on the other side", nan, a, 1e-4, False),
        ("a nan on both sides, at the same place", nan, nan.clone(), 1e-4, False),
        ("shapes (2, 3) and (1, 3), which would broadcast", a[:1].repeat(2, 1), a[:1], 1e-4, False),
        ("shapes (1, 3) and (3,), as many numbers", a[:1], flat, 1e-4, False),
        ("numbers of 1000 that differ by 0.005", torch.full((1, 2), 1000.0), torch.full((1, 2), 1000.005), 1e-4, False),
        ("equal tensors and no tolerance", a, a.clone(), 0.0, True),
    ]
    for words, one, other, tolerance, right in cases:
        got = answer(one.clone(), other.clone(), tolerance)
        got = got.item() if callable(getattr(got, "item", None)) and getattr(got, "shape", None) == () else got
        where = f"For {words} (tolerance {tolerance:g}) you gave {describe(got)};"
        if not isinstance(got, bool):
            raise Mistake(f"{where} True or False is wanted.")
        if got is right:
            continue
        hints = {
            "equal tensors": "True is wanted. Is it turned round?",
            "a difference of 0.000001 everywhere": "True is wanted: rounding is allowed, up to the tolerance",
            "one number larger by 0.01": "False is wanted: one number is enough. The largest difference counts, not the mean",
            "one number smaller by 0.01": "False is wanted: differences may be negative. Take abs",
            "the same with tolerance 0.1": "True is wanted: use the tolerance that was given",
            "differences of +1 and -1, whose sum is 0": "False is wanted: differences must not cancel. Take abs before you add or take the mean",
            "a nan on one side": "False is wanted: every comparison with nan is false, so ask whether the difference is small, not whether it is large",
            "a nan on the other side": "False is wanted here as well: it does not matter which of the two has it",
            "a nan on both sides, at the same place": "False is wanted: what is no number is no answer, and nothing can be said of it. equal_nan stays False",
            "shapes (1, 3) and (3,), as many numbers": "False is wanted: as many numbers are not the same shape. Compare the shapes, not their numbers of elements",
            "shapes (2, 3) and (1, 3), which would broadcast": "False is wanted: torch repeats the smaller one silently. Compare the shapes first",
            "numbers of 1000 that differ by 0.005": "False is wanted: torch.allclose also allows a share of the number, rtol=1e-5. Give rtol=0 as well",
            "equal tensors and no tolerance": "True is wanted: no number differs by more than 0. Take <=, not <",
        }  # fmt: skip
        raise Mistake(f"{where} {hints[words]}.")
    return "That is the heart of `verify_onnx`."


# ---------------------------------------------------------------------------------------------- attention, counted


@exercise(_NOTEBOOK, "Count the layers")
def count_layers(answer: Any) -> str:
    """answer(graph) -> how many attention layers an ONNX graph has: its Softmax operations."""
    from onnx import helper

    # Linear layers are products too, so half of the products is not the number of layers.
    for layers, others, linear in ((5, 7, 9), (2, 5, 13), (12, 30, 1), (0, 4, 3), (1, 3, 6)):
        kinds = ["Softmax", "MatMul", "MatMul"] * layers + ["Add", "Relu"] * others + ["MatMul"] * linear
        nodes = [helper.make_node(kind, [f"x{i}"], [f"x{i + 1}"]) for i, kind in enumerate(kinds)]
        got = one_number(answer(helper.make_graph(nodes, "g", [], [])))
        products = 2 * layers + linear
        where = f"For a graph with {layers} Softmax, {products} MatMul and {2 * others} other operations"
        expect(got is not None, f"{where} your function gave no number. Count, and return the count.")
        if got == layers:
            continue
        wrong = {
            "you counted all operations": len(nodes),
            "you counted the products. Attention has two of them, and a softmax; linear layers have them too": products,
            "you halved the products. Attention has two of them, but linear layers are products too": products // 2,
            "you counted the kinds of operations": len(set(kinds)),
            "you counted what is no softmax": len(nodes) - layers,
            "you said whether there is one. How many is wanted": int(layers > 0),
        }
        why = next((words for words, value in wrong.items() if value == got), f"{layers} is wanted")
        raise Mistake(f"{where} you gave {got}: {why}.")
    return "A classifier may have one softmax more, at its end. Ours gives scores, so it has none."


# ------------------------------------------------------------------------------------------------- a graph's axes


@exercise(_NOTEBOOK, "Which sizes may change?")
def changing_axes(answer: Any) -> str:
    """answer(value) -> for an input of a graph, the name of each axis that may change, and None for a fixed one."""
    from onnx import TensorProto, helper

    for axes in (["batch", "tokens"], ["batch", 3, "height", "width"], [2, 10], ["n", 1], ["batch", "tokens", 768], []):
        value = helper.make_tensor_value_info("x", TensorProto.FLOAT, axes)
        got = answer(value)
        where = f"For an input of shape {axes} your function gave {describe(got)};"
        if not isinstance(got, list | tuple):
            raise Mistake(f"{where} a list with an entry for each axis is wanted.")
        right = [axis if isinstance(axis, str) else None for axis in axes]
        found = list(got)
        if found == right:
            continue
        wrong: dict[str, list[Any]] = {
            "an axis without a name has an empty dim_param. None is wanted there": [axis if isinstance(axis, str) else "" for axis in axes],
            "fixed sizes are to be None: the names alone tell what may change": list(axes),
            "you left the fixed axes out. Their places count: None": [axis for axis in axes if isinstance(axis, str)],
            "you gave True and False. The name is wanted, and None": [isinstance(axis, str) for axis in axes],
            "it is turned round: None is for what is fixed": [None if isinstance(axis, str) else axis for axis in axes],
            "you gave the sizes, dim_value. The names are in dim_param": [0 if isinstance(axis, str) else axis for axis in axes],
            "the axes are in the wrong order": right[::-1],
            "these are torch's or ONNX's own objects; of each take dim_param, and None where that is empty": list(value.type.tensor_type.shape.dim),
        }  # fmt: skip
        why = next((words for words, values in wrong.items() if values == found), f"{right} is wanted")
        raise Mistake(f"{where} {why}.")
    return "So you can tell a graph that is secretly of one size before anybody uses it."


# ---------------------------------------------------------------------------------------------------- joined edges


@exercise(_NOTEBOOK, "Read and seen")
def joined_edges(answer: Any) -> str:
    """answer(read, seen, ran) -> set of (caller, callee): all that was seen, and what was read of functions that did not run."""
    cases = [
        ({("a", "b"), ("b", "c")}, {("a", "d")}, {"a", "d"}),
        ({("a", "b")}, {("a", "b"), ("b", "c")}, {"a", "b", "c"}),
        ({("x", "y"), ("a", "x")}, set(), {"a"}),
        (set(), {("a", "b")}, {"a", "b"}),
        ({("a", "b"), ("c", "d"), ("e", "a")}, {("a", "c")}, {"a", "c"}),
    ]
    known: list[tuple[str, Callable[..., Any]]] = [
        ("a pair that was only read counts in yours, though its caller ran and did not call it. The run knows better", lambda read, seen, ran: read | seen),
        ("only what is in both is there. What was seen counts by itself", lambda read, seen, ran: read & seen),
        ("what was read of functions that did not run is missing: the run says nothing about them", lambda read, seen, ran: seen),
        ("what was seen is missing", lambda read, seen, ran: {(a, b) for a, b in read if a not in ran}),
        ("you looked whether the callee ran. It is the caller whose calls the run has seen", lambda read, seen, ran: seen | {(a, b) for a, b in read if b not in ran}),
        ("it is turned round: read pairs count where the caller did not run", lambda read, seen, ran: seen | {(a, b) for a, b in read if a in ran}),
        ("you took what was read alone", lambda read, seen, ran: read),
        ("a pair counts as soon as its caller did not run, whatever the callee did", lambda read, seen, ran: seen | {(a, b) for a, b in read if a not in ran and b not in ran}),
    ]  # fmt: skip

    def read_of(got: Any, case: Any) -> tuple[Any, ...]:
        if not (isinstance(got, set | frozenset | list | tuple) and all(map(_is_pair, got))):
            raise Mistake(f"For {_case(case)} you gave {describe(got)}; a set of pairs (caller, callee) is wanted.")
        return _sorted(got)

    def judged(*case: Any) -> Any:
        return answer(*(set(each) for each in case))

    judge(
        judged,
        cases,
        lambda read, seen, ran: _sorted(seen | {(a, b) for a, b in read if a not in ran}),
        read_of,
        [(words, lambda *case, wrong=wrong: _sorted(wrong(*case))) for words, wrong in known],
        _case,
    )
    return "`call_graph` does this, and says of each edge how it is known."


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(name, str) for name in value)


def _sorted(pairs: Any) -> tuple[Any, ...]:
    return tuple(sorted(set(pairs), key=str))


def _case(case: Any) -> str:
    read, seen, ran = case
    return f"read {_set(read)}, seen {_set(seen)}, ran {_set(ran)}"


def _set(pairs: Any) -> str:
    shown = sorted(" -> ".join(map(str, pair)) if isinstance(pair, tuple) else str(pair) for pair in pairs)
    return "{" + ", ".join(shown) + "}"


# ------------------------------------------------------------------------------------------------------ eight bits


@exercise(_NOTEBOOK, "Round to 256 steps")
def eight_bits(answer: Any) -> str:
    """answer(w) -> w with each number moved to the nearest of 256 steps from the smallest to the largest, as floats."""
    import torch

    for shape, shift in (((7, 5), 0.0), ((11,), 3.0), ((1, 3), -2.0)):
        w = torch.randn(shape, generator=seeded(shape[0])) + shift
        where = f"For w of shape {shape}, from {w.min():.3f} to {w.max():.3f},"
        got = as_tensor(answer(w.clone()), where)
        expect_shape(got, shape, where, "a number for each of w", {})

        def stepped(
            low: Tensor, high: Tensor, steps: int, how: Callable[[Tensor], Tensor] = torch.round, w: Tensor = w
        ) -> Tensor:
            s = (high - low) / steps
            return how((w - low) / s) * s + low

        low, high = w.min(), w.max()
        s = (high - low) / 255
        wrong = {
            "nothing was rounded": w,
            "256 steps have 255 distances between them: s = (largest - smallest) / 255": stepped(low, high, 256),
            "you cut off where the nearest step is wanted: round, not floor or int": stepped(low, high, 255, torch.floor),
            "you rounded up where the nearest step is wanted: round, not ceil": stepped(low, high, 255, torch.ceil),
            "these are the whole numbers q, 0 to 255. Turn them back: s * q + smallest": torch.round((w - low) / s),
            "the smallest number is missing at the end: s * q + smallest": torch.round((w - low) / s) * s,
            "the steps begin at 0, and w does not. Take the smallest number away before, and add it after": torch.round(w / s) * s,
            "the steps go from minus the largest to the largest number. Here they go from the smallest to the largest": stepped(-w.abs().max(), w.abs().max(), 255),
            "the numbers were rounded to whole ones": torch.round(w),
        }  # fmt: skip
        expect_equal(got, stepped(low, high, 255), f"{where} the numbers do not agree", wrong)
    return "No number is further than half a step from its own. A matrix of BERT has a step of about 0.004."
