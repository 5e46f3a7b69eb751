"""Where a mask goes: which layers are given it, and which layer a wrong one was given to."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sys import modules

from torch import nn

from course_lib.shapes import copies
from course_lib.shapes.batches import Batch
from course_lib.shapes.recording import Record, Runner

_INSTALLED = tuple({str(Path(sysconfig.get_path(kind))) for kind in ("purelib", "platlib")})
_OURS = str(Path(__file__).parents[1])
_CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)


def without_mask(runner: Runner, batch: Batch, path: str) -> str | None:
    """The topmost layer on the way down to `path` that is not given the mask; None if every one of them is.

    A tensor is the mask, or made from it, as long as neither weights nor the texts took part.
    """
    record = Record()
    model = runner.fresh()
    with _all_weights_tracked(model):
        runner.run(batch, record, grad=True, model=model)
    leaves = list(zip(batch.leaves, record.given, strict=True))
    made = {id(t) for leaf, t in leaves if leaf.role in ("mask", "length")}
    texts = {id(t) for leaf, t in leaves if leaf.role == "content"}
    given = {path for path, ids in record.received.items() if ids & made}
    for op in record.ops:
        inputs = {id(t) for t in op.tensors()}
        results = [t for _, t in copies.flat_tensors(op.result)]
        if inputs & made:
            given.add(op.module)
        if any(t.requires_grad for t in results):
            continue
        if inputs & texts:
            texts |= {id(t) for t in results}
        elif inputs & made:
            made |= {id(t) for t in results}
    given |= {layer for layer, ids in record.received.items() if ids & made}
    parts = path.split(".")
    for n in range(1, len(parts) + 1):
        layer = ".".join(parts[:n])
        if not isinstance(model.get_submodule(layer), _CONTAINERS) and not any(_is_within(g, layer) for g in given):
            return layer
    return None


def _is_within(path: str, layer: str) -> bool:
    return path == layer or path.startswith(layer + ".")


@contextmanager
def _all_weights_tracked(model: nn.Module) -> Iterator[None]:
    """Frozen weights too ask for a gradient, so that what they made is told from a mask."""
    frozen = [p for p in model.parameters() if not p.requires_grad and p.is_floating_point()]
    for p in frozen:
        p.requires_grad_(True)
    try:
        yield
    finally:
        for p in frozen:
            p.requires_grad_(False)


def users_layer(model: nn.Module, path: str) -> str:
    """The layer that the user's own code calls: `bert` for a mistake that shows in bert.encoder.layer.0.attention.self.

    Layers of a library are right as they are; what they were given is not. A path in a model that is a library's as a
    whole, and a path to a layer of the user's, stay as they are.
    """
    parts = path.split(".") if path else []
    ways = [".".join(parts[:n]) for n in range(1, len(parts) + 1)]
    if _is_library(model) or any(not _is_library(model.get_submodule(way)) for way in ways[-1:]):
        return path
    best = path
    for way in reversed(ways):
        layer = model.get_submodule(way)
        if not _is_library(layer):
            break
        if not isinstance(layer, _CONTAINERS):
            best = way
    return best


def is_installed(file: str) -> bool:
    """Whether a line is in an installed package: there a view that tears is a trick, not a mistake of the user's."""
    return file.startswith(_INSTALLED)


def _is_library(module: nn.Module) -> bool:
    source = getattr(modules.get(type(module).__module__), "__file__", None) or ""
    return source.startswith((*_INSTALLED, _OURS))
