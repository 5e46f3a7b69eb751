"""Several ways of doing the same work, timed in turn: what a noisy machine can still tell about their ratio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import perf_counter
from typing import Any


def in_turn(ways: Mapping[str, Callable[[], Any]], turns: int, warm_up: int = 2) -> dict[str, list[float]]:
    """Seconds of each way, turn by turn. The order is reversed from turn to turn, so that a machine that slows down
    within a turn meets all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warm_up + turns):
        for name in list(ways)[:: 1 if turn % 2 else -1]:
            start = perf_counter()
            ways[name]()
            if turn >= warm_up:
                seconds[name].append(perf_counter() - start)
    return seconds


def ratio(ours: Sequence[float], theirs: Sequence[float], digits: int = 3) -> dict[str, float]:
    """ours / theirs of each turn: the median, the lowest and the highest."""
    found = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {
        "ratio": round(median(found), digits),
        "ratio_lowest": round(min(found), digits),
        "ratio_highest": round(max(found), digits),
    }
