"""Mistakes that one recorded run shows by itself: views, softmaxes, broadcasts, inputs of losses.

Sizes of batch and tokens are primes that occur nowhere else, so that a size tells which dimension it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from course_lib.shapes.findings import Finding
from course_lib.shapes.recording import Op, Record

_VIEWS = {"view", "reshape", "view_as", "reshape_as", "_unsafe_view"}
_SLICES = {"__getitem__", "narrow", "select", "index_select", "split", "chunk"}
_SOFTMAXES = {"softmax", "log_softmax", "softmin"}
_ARITHMETIC = {"add", "sub", "subtract", "mul", "multiply", "div", "true_divide", "rsub", "pow", "maximum", "minimum"}
_PAIR_LOSSES = {
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "soft_margin_loss", "kl_div",
    "poisson_nll_loss", "gaussian_nll_loss", "binary_cross_entropy_with_logits",
}  # fmt: skip
_SUMS = {"sum"}
_PRODUCTS = {"matmul", "bmm"}


def check(record: Record, rows: int | None, tokens: int | None, outputs: Iterable[Tensor]) -> list[Finding]:
    """All rules on one recorded run."""
    found: list[Finding] = []
    softmaxes = _Softmaxes(rows, tokens, outputs)
    for place, op in enumerate(record.ops):
        if op.name in _VIEWS:
            found += _scrambled(record.ops, place)
        if op.name.strip("_") in _ARITHMETIC or op.name in _PAIR_LOSSES:
            found += _broadcast(op, rows)
        found += _loss_input(op, softmaxes)
        found += softmaxes.see(op)
    return found + softmaxes.end()


# --- view for permute ----------------------------------------------------------------------------------------------


def is_scrambled(old: Iterable[int], new: Iterable[int]) -> bool:
    """Whether a view from one shape to the other can only be had by tearing dimensions apart.

    Splitting a dimension (12 = 3 x 4), or joining neighbours (3 x 4 = 12), keeps every number beside its neighbours.
    (5, 11, 24) -> (5, 24, 11) does not: it is no swap of the last two dimensions but a new line break.
    """
    old, new = [s for s in old if s != 1], [s for s in new if s != 1]
    if old == new or 0 in old:
        return False
    for a, b in _groups(old, new):
        if len(a) < 2 or len(b) < 2:
            continue  # one dimension on either side: a split or a join
        borders = sorted({*_borders(a), *_borders(b)})
        if any(high % low for low, high in pairwise(borders)):
            return True  # no common refinement: a border falls inside the other's dimension
        if sorted(a) == sorted(b) or any(m != b and sorted(m) == sorted(b) for m in _joins(a)):
            return True  # the same sizes in another order
    return False


def _borders(shape: list[int]) -> list[int]:
    """How many numbers lie behind each inner border: (2, 3, 4) -> 4, 12."""
    return [math.prod(shape[i:]) for i in range(1, len(shape))]


def _groups(old: list[int], new: list[int]) -> Iterable[tuple[list[int], list[int]]]:
    """Cut both shapes at the borders that they share."""
    i = j = 0
    while i < len(old) and j < len(new):
        a, b = [old[i]], [new[j]]
        i, j = i + 1, j + 1
        while math.prod(a) != math.prod(b):
            if math.prod(a) < math.prod(b):
                a.append(old[i])
                i += 1
            else:
                b.append(new[j])
                j += 1
        yield a, b


def _joins(shape: list[int]) -> Iterable[list[int]]:
    """The shape with some neighbours joined."""
    for cut in range(1, 2 ** (len(shape) - 1) if len(shape) < 8 else 1):
        joined = [shape[0]]
        for k, size in enumerate(shape[1:]):
            if cut >> k & 1:
                joined[-1] *= size
            else:
                joined.append(size)
        yield joined


def _scrambled(ops: list[Op], place: int) -> list[Finding]:
    op = ops[place]
    old, new = op.args[0], op.result
    if not isinstance(old, Tensor) or not isinstance(new, Tensor) or not is_scrambled(old.shape, new.shape):
        return []
    if _shifts(ops[place : place + 3]) or (place > 1 and _shifts(ops[place - 2 : place + 1])):
        return []  # view, cut, view back: how relative positions are lined up (Dai et al. 2019, appendix B)
    return [
        Finding(
            "view_for_permute",
            op.module,
            f"{op.name} turns {tuple(old.shape)} into {tuple(new.shape)}{op.where}: the numbers stay in their old order, "
            "so dimensions are not swapped but torn. Swap with permute or transpose first, and view only to split or "
            "join neighbouring dimensions.",
            {"from": tuple(old.shape), "to": tuple(new.shape), "place": op.place},
        )
    ]


def _shifts(three: list[Op]) -> bool:
    return len(three) == 3 and three[0].name in _VIEWS and three[1].name in _SLICES and three[2].name in _VIEWS


# --- broadcasting --------------------------------------------------------------------------------------------------


def _broadcast(op: Op, rows: int | None) -> list[Finding]:
    """(B, 1) with (B,): every prediction meets every target."""
    pair = op.tensors()[:2]
    if len(pair) < 2 or pair[0].dim() == pair[1].dim():
        return []
    low, high = sorted(pair, key=lambda t: t.dim())
    if low.dim() != 1 or high.dim() < 2 or high.shape[-1] != 1 or low.shape[0] != high.shape[0] or low.shape[0] < 2:
        return []
    if rows is not None and low.shape[0] != rows:
        return []
    if low.data_ptr() == high.data_ptr():
        return []  # x.unsqueeze(1) with x: all pairs are meant
    if op.name not in _PAIR_LOSSES and not (low.requires_grad or high.requires_grad):
        return []
    result = tuple(torch.broadcast_shapes(low.shape, high.shape))
    return [
        Finding(
            "broadcast",
            op.module,
            f"{op.name} of {tuple(pair[0].shape)} and {tuple(pair[1].shape)}{op.where} gives {result}: each of the "
            f"{low.shape[0]} predictions is paired with all {low.shape[0]} targets, {math.prod(result)} pairs where "
            f"{low.shape[0]} were meant. Make the shapes equal: .squeeze(-1) on the one or .unsqueeze(-1) on the other.",
            {"shapes": [tuple(t.shape) for t in pair], "result": result, "place": op.place},
        )
    ]


# --- softmax -------------------------------------------------------------------------------------------------------


def softmax_dimension(op: Op) -> int | None:
    """The dimension, counted from the front, that a softmax was taken over."""
    x = op.args[0] if op.args else op.kwargs.get("input")
    dim = op.kwargs.get("dim", op.args[1] if len(op.args) > 1 else None)
    if not isinstance(x, Tensor) or not x.dim():
        return None
    if dim is None:
        dim = 0 if x.dim() in (1, 3) else 1  # what torch takes when nothing is said
    return int(dim) % x.dim()


def _sums_to_one(x: Tensor, dim: int) -> bool:
    return bool((x.detach().double().sum(dim) - 1).abs().max() < 1e-3)


class _Softmaxes:
    """Follows the result of each softmax to where it is added up."""

    def __init__(self, rows: int | None, tokens: int | None, outputs: Iterable[Tensor]) -> None:
        self.rows, self.tokens = rows, tokens
        self.outputs = {id(t) for t in outputs}
        self.weights: dict[int, Op] = {}  # id of a tensor -> the softmax it comes from
        self.weighted: dict[int, tuple[Op, Tensor]] = {}  # id of weight * value -> the softmax and the weight
        self.sigmoids: set[int] = set()
        self.used: set[int] = set()
        self.reported: set[int] = set()
        self.all: list[Op] = []

    def see(self, op: Op) -> list[Finding]:
        name, result = op.name.strip("_"), op.result
        if not isinstance(result, Tensor):
            return []
        if name in _SOFTMAXES:
            self.all.append(op)
            if name != "log_softmax":
                self.weights[id(result)] = op
            return self._over_the_batch(op)
        if name == "sigmoid":
            self.sigmoids.add(id(result))
            return []
        inputs = [t for t in op.tensors() if id(t) in self.weights]
        if name in _PRODUCTS or op.name == "__matmul__" or name == "einsum":
            return self._contracted(op, inputs)
        if name in ("mul", "multiply") and inputs:
            self.weighted[id(result)] = (self.weights[id(inputs[0])], _aligned(inputs[0], result))
            if result.numel() == inputs[0].numel():
                self.weights[id(result)] = self.weights[id(inputs[0])]  # times a mask: still those weights
            return []
        if name in _SUMS and op.args and id(op.args[0]) in self.weighted:
            softmax, weight = self.weighted[id(op.args[0])]
            dims = op.kwargs.get("dim", op.args[1] if len(op.args) > 1 else None)
            if dims is not None:
                dims = [d % op.args[0].dim() for d in (dims if isinstance(dims, list | tuple) else [dims])]
                return self._judge(op, softmax, weight, dims)
            return []
        if len(inputs) == 1 and result.numel() == inputs[0].numel():
            self.weights[id(result)] = self.weights[id(inputs[0])]  # transposed, typed, masked: still those weights
        return []

    def _over_the_batch(self, op: Op) -> list[Finding]:
        x, dim = op.args[0] if op.args else op.kwargs["input"], softmax_dimension(op)
        if dim is None or self.rows is None or x.shape[dim] != self.rows or list(x.shape).count(self.rows) > 1:
            return []
        self.reported.add(id(op))
        return [
            Finding(
                "softmax_dimension",
                op.module,
                f"{op.name} over dimension {dim} of {tuple(x.shape)}{op.where}: that dimension is the batch, so the "
                f"{self.rows} examples share a total of one among them. Take the dimension of what competes: the last "
                "one (dim=-1) for classes or for the keys of attention, that of the tokens for pooling.",
                {"shape": tuple(x.shape), "dim": dim, "place": op.place},
            )
        ]

    def _contracted(self, op: Op, inputs: list[Tensor]) -> list[Finding]:
        for tensor in inputs:
            softmax = self.weights[id(tensor)]
            if op.name == "einsum":
                dims = _einsum_dims(op, tensor)
            else:
                first = op.tensors()[0] is tensor
                dims = [tensor.dim() - 1 if first or tensor.dim() == 1 else tensor.dim() - 2]
            if dims:
                found = self._judge(op, softmax, tensor, dims)
                if found:
                    return found
        return []

    def _judge(self, op: Op, softmax: Op, weight: Tensor, dims: list[int]) -> list[Finding]:
        self.used.add(id(softmax))
        if id(softmax) in self.reported or any(_sums_to_one(weight, d) for d in dims):
            return []
        others = [d for d in range(weight.dim()) if d not in dims and _sums_to_one(weight, d)]
        sums = weight.detach().double().sum(dims[0])
        if not others or weight.shape[dims[0]] == 1:
            return []
        self.reported.add(id(softmax))
        x, dim = softmax.args[0] if softmax.args else softmax.kwargs["input"], softmax_dimension(softmax)
        one = "; over a dimension of size 1 every weight is 1" if x.shape[dim] == 1 else ""
        return [
            Finding(
                "softmax_dimension",
                softmax.module,
                f"softmax over dimension {dim} of {tuple(x.shape)}{softmax.where}: its result is then added up along "
                f"another dimension, of size {weight.shape[dims[0]]}, along which the weights sum to "
                f"{sums.min():.3g} to {sums.max():.3g} and not to 1{one}. Take the softmax over the dimension that is "
                "added up.",
                {
                    "shape": tuple(x.shape),
                    "dim": dim,
                    "sums": (float(sums.min()), float(sums.max())),
                    "place": softmax.place,
                },
            )
        ]

    def end(self) -> list[Finding]:
        """Class probabilities that leave the model, taken over the tokens."""
        found = []
        for op in self.all:
            x, dim = op.args[0] if op.args else op.kwargs["input"], softmax_dimension(op)
            over_tokens = dim == 1 and x.dim() == 3 and self.tokens is not None and x.shape[1] == self.tokens
            if id(op) in self.used | self.reported or id(op.result) not in self.outputs or not over_tokens:
                continue
            if x.shape[2] < 3 or x.shape[0] != self.rows:
                continue  # two scores a token over the tokens: the start and the end of an answer
            sums = op.result.detach().double()
            sums = (sums.exp() if op.name == "log_softmax" else sums).sum(-1)
            found.append(
                Finding(
                    "softmax_dimension",
                    op.module,
                    f"{op.name} over dimension 1 of {tuple(x.shape)}{op.where}: that is the {self.tokens} tokens, so the "
                    f"{x.shape[2]} class probabilities of a token sum to {sums.min():.3g} to {sums.max():.3g} and not to "
                    "1. Use dim=-1.",
                    {"shape": tuple(x.shape), "dim": dim, "place": op.place},
                )
            )
        return found


def _aligned(weight: Tensor, result: Tensor) -> Tensor:
    """The weight with the rank of what it was multiplied into."""
    return weight.reshape((1,) * (result.dim() - weight.dim()) + tuple(weight.shape))


def _einsum_dims(op: Op, tensor: Tensor) -> list[int]:
    """The dimensions of `tensor` that an einsum adds up."""
    equation = op.args[0] if op.args and isinstance(op.args[0], str) else ""
    if "->" not in equation or "." in equation:
        return []
    left, right = equation.replace(" ", "").split("->")
    for term, value in zip(left.split(","), op.tensors(), strict=False):
        if value is tensor and len(term) == tensor.dim():
            return [i for i, letter in enumerate(term) if letter not in right]
    return []


# --- what losses get -----------------------------------------------------------------------------------------------


def _loss_input(op: Op, softmaxes: _Softmaxes) -> list[Finding]:
    if op.name == "kl_div":
        given = op.args[0] if op.args else op.kwargs.get("input")
        if isinstance(given, Tensor) and given.dim() > 1 and bool((given.detach() >= 0).all()) and _sums_to_one(given, -1):  # fmt: skip
            return [Finding("loss_input", op.module, f"kl_div{op.where} wants log-probabilities as its first argument and gets probabilities, {_range(given)}. Give it log_softmax(scores, dim=-1).", {"shape": tuple(given.shape)})]  # fmt: skip
        return []
    if op.name not in ("cross_entropy", "nll_loss", "nll_loss_nd", "binary_cross_entropy_with_logits"):
        return []
    given = op.args[0] if op.args else op.kwargs.get("input")
    if not isinstance(given, Tensor) or given.dim() < 1 or not given.is_floating_point():
        return []
    classes = 1 if given.dim() > 1 else 0
    if op.name == "cross_entropy":
        plain = given.detach()
        if given.shape[classes] > 1 and bool((plain >= 0).all()) and _sums_to_one(plain, classes):
            return [_twice(op, "softmax", "cross_entropy takes the softmax itself", "the scores as the last layer gives them")]  # fmt: skip
        return []
    if op.name == "binary_cross_entropy_with_logits":
        if id(given) in softmaxes.sigmoids or id(given._base) in softmaxes.sigmoids:
            return [_twice(op, "sigmoid", "this loss takes the sigmoid itself", "the scores as the last layer gives them")]  # fmt: skip
        return []
    chances = given.detach().double().exp()
    if _sums_to_one(chances, classes):
        return []
    sums = chances.sum(classes)
    along = [d for d in range(given.dim()) if d != classes and _sums_to_one(chances, d)]
    seen = f"the exponentials of its input {tuple(given.shape)} sum to {sums.min():.3g} to {sums.max():.3g} over the classes"  # fmt: skip
    if along:
        return [Finding("softmax_dimension", op.module, f"{op.name}{op.where} wants log-probabilities over dimension {classes}; {seen} and to 1 over dimension {along[0]}: the log_softmax was taken over the wrong dimension.", {"sums": (float(sums.min()), float(sums.max()))})]  # fmt: skip
    return [Finding("loss_input", op.module, f"{op.name}{op.where} wants log-probabilities; {seen} and not to 1. Give it log_softmax(scores, dim={classes}), or use cross_entropy on the scores.", {"sums": (float(sums.min()), float(sums.max()))})]  # fmt: skip


def _range(x: Tensor) -> str:
    return f"{float(x.detach().min()):.3g} to {float(x.detach().max()):.3g}"


def _twice(op: Op, what: str, why: str, instead: str) -> Finding:
    given: Any = op.args[0] if op.args else op.kwargs.get("input")
    low, high = float(given.detach().min()), float(given.detach().max())
    return Finding("softmax_twice", op.module, f"{op.name}{op.where} gets the result of a {what} ({low:.3g} to {high:.3g}), and {why}: twice, it can hardly be sure of anything. Give it {instead}.", {"range": (low, high)})  # fmt: skip
