"""Copies of a model that may be run, broken and thrown away, so that the user's own is never touched.

A copy shares nothing that a forward pass could change: weights, buffers, gradients, hooks' containers, mode. Hooks
themselves are part of what a model does and run in the copy too. Parameters can be turned into something else on the
way: fake tensors (shapes without numbers) or another precision.
"""

from __future__ import annotations

import copy
import dataclasses
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_DEEPEST = 6  # how far into a module's own lists, dicts and objects tensors are looked for


def copy_model(model: nn.Module, convert: Callable[[Tensor], Tensor]) -> nn.Module:
    """A copy of `model` in which every tensor t is convert(t); the model itself stays as it is.

    Tied parameters stay tied. What cannot be copied (a lock, an open file) is shared.
    """
    memo: dict[int, Any] = {}
    keep: list[Any] = []  # ids are only unique while the things live
    for tensor in _tensors_of(model):
        if id(tensor) not in memo and not isinstance(tensor, nn.parameter.UninitializedTensorMixin):
            memo[id(tensor)] = convert(tensor)
            keep.append(tensor)
    try:
        return copy.deepcopy(model, dict(memo))
    except Exception:  # something in it refuses to be copied: copy module by module and share that thing
        return _copy_modules(model, memo)


def _copy_modules(model: nn.Module, memo: dict[int, Any]) -> nn.Module:
    modules = list(model.modules())
    for module in modules:
        memo[id(module)] = object.__new__(type(module))
    for module in modules:
        target = memo[id(module)].__dict__
        for key, value in module.__dict__.items():
            try:
                target[key] = copy.deepcopy(value, memo)
            except Exception:  # shared: there is no other way to have it
                target[key] = copy.copy(value) if isinstance(value, dict | list | set) else value
    return memo[id(model)]


def _tensors_of(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()
    seen: set[int] = set()
    for module in model.modules():
        for key, value in module.__dict__.items():
            if key not in ("_parameters", "_buffers", "_modules"):
                yield from _tensors_in(value, seen, _DEEPEST)


def _tensors_in(value: Any, seen: set[int], depth: int) -> Iterator[Tensor]:
    """Tensors in plain attributes: caches, lists of layers that are no ModuleList, hooks' own state."""
    if isinstance(value, Tensor):
        yield value
        return
    if depth == 0 or id(value) in seen or value is None or isinstance(value, str | bytes | int | float | type):
        return
    seen.add(id(value))
    if isinstance(value, Mapping):
        inside: Any = list(value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        inside = list(value)
    elif isinstance(value, nn.Module) or type(value).__module__.split(".")[0] not in ("builtins", "torch", "types"):
        inside = list(getattr(value, "__dict__", {}).values())
    else:
        return
    for item in inside:
        yield from _tensors_in(item, seen, depth - 1)


def real(tensor: Tensor) -> Tensor:
    """A copy with the same numbers, of its own memory, outside any graph."""
    return same_kind(tensor, tensor.detach().clone())


def doubled(tensor: Tensor) -> Tensor:
    """The same with floating-point numbers in double precision, so that a true effect stands out from rounding."""
    dtype = torch.float64 if tensor.is_floating_point() else tensor.dtype
    return same_kind(tensor, tensor.detach().to(dtype, copy=True))


def same_kind(old: Tensor, new: Tensor) -> Tensor:
    """`new` as a parameter if `old` was one, asking for a gradient if `old` did."""
    if isinstance(old, nn.Parameter):
        return nn.Parameter(new, requires_grad=old.requires_grad)
    return new.requires_grad_(old.requires_grad and old.is_leaf and new.is_floating_point())


def map_tensors(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """`value` with every tensor in it changed: in tuples, lists, dicts, named tuples, dataclasses, ModelOutputs."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, nn.utils.rnn.PackedSequence):
        return type(value)(*(map_tensors(v, change) for v in value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(v, change) for v in value))
    if isinstance(value, list | tuple):
        return type(value)(map_tensors(v, change) for v in value)
    if isinstance(value, Mapping):
        changed = {k: map_tensors(v, change) for k, v in value.items()}
        try:
            return type(value)(changed)
        except Exception:  # a mapping with a constructor of its own: a dict does for reading
            return changed
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: map_tensors(getattr(value, f.name), change) for f in dataclasses.fields(value) if f.init}
        try:
            return type(value)(**fields)
        except Exception:
            return value
    return value


def flat_tensors(value: Any, path: str = "") -> list[tuple[str, Tensor]]:
    """Every tensor in a structure, each with the way to it: "logits", "hidden_states[2]"."""
    if isinstance(value, Tensor):
        return [(path or "output", value)]
    found: list[tuple[str, Tensor]] = []
    for key, item in items_of(value):
        step = f"[{key}]" if isinstance(key, int) else (f".{key}" if path else str(key))
        found += flat_tensors(item, f"{path or 'output'}{step}" if isinstance(key, int) else f"{path}{step}")
    return found


def items_of(value: Any) -> list[tuple[Any, Any]]:
    """What is in a container: (key, item) pairs; nothing for anything else."""
    if isinstance(value, Mapping):
        return [(str(k), v) for k, v in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
    return []


@contextmanager
def random_state_kept(*values: Any) -> Iterator[None]:
    """Whatever is drawn at random inside leaves the generators of torch, NumPy and Python as they were."""
    devices = {t.device for v in values for t in _devices_of(v)}
    cuda = sorted({d.index or 0 for d in devices if d.type == "cuda"})
    python, numpy = random.getstate(), sys.modules.get("numpy")
    kept = numpy.random.get_state() if numpy is not None else None
    mps = torch.mps.get_rng_state() if any(d.type == "mps" for d in devices) else None
    try:
        with torch.random.fork_rng(devices=cuda):
            yield
    finally:
        random.setstate(python)
        if kept is not None:
            numpy.random.set_state(kept)
        if mps is not None:
            torch.mps.set_rng_state(mps)


def _devices_of(value: Any) -> list[Tensor]:
    if isinstance(value, nn.Module):
        return [*value.parameters(), *value.buffers()]
    return [t for _, t in flat_tensors(value)]
