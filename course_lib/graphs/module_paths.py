"""Dotted names of modules, such as encoder.layer.0.attention, as paths in the tree of modules."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence


def within(path: str, root: str) -> bool:
    """Whether a module is `root`, or inside it; "" is the whole model."""
    return not root or path == root or path.startswith(root + ".")


def relative(path: str, root: str) -> str:
    """The way from `root` down to a module inside it; the whole path of one that is not."""
    return path.removeprefix(root).removeprefix(".") if within(path, root) else path


def components(path: str, root: str = "") -> list[str]:
    """The steps from a module down to another; one in a list is one step: encoder, layer.0, attention."""
    return re.findall(r"[^.\d][^.]*\.\d+(?=\.|$)|[^.]+", relative(path, root))


def common(paths: Sequence[str]) -> str:
    """The innermost module that all of these are in."""
    if not paths:
        return ""
    parts = zip(*(path.split(".") for path in paths), strict=False)
    return ".".join(p[0] for p in itertools.takewhile(lambda p: len(set(p)) == 1, parts))


def preceding(path: str) -> str | None:
    """The module one before in a list of layers: layer.4 for layer.5; None for what is in no list, or its first."""
    found = re.fullmatch(r"(.*?)([.@]?)(\d+)", path)
    if not found or not int(found[3]):
        return None
    if found[2] == "@" and found[3] == "1":  # torch's name for the second call of one module
        return found[1]
    return f"{found[1]}{found[2]}{int(found[3]) - 1}" if found[2] or not found[1] else None
