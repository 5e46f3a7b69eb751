"""What a diagnosis costs: nothing where nothing fails, and how long where something does.

Every bug of the catalogue is diagnosed from its traceback; and a good run of a small BERT is timed plainly, within
`explain`, and with `diagnose` watching, in turn in one process, so that a slow moment of the machine meets all three.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

from benchmarks.record import write

_CATALOGUE = Path(__file__).parent.parent / "tests" / "shapes"
_FAMILIES = (
    "convolutions", "products", "rearranging", "sequences", "targets", "unseen_functions", "unseen_layers",
)  # fmt: skip


def run() -> dict[str, Any]:
    return {**diagnoses(), **good_run()}


def catalogue() -> list[Any]:
    """The raising bugs of tests/shapes/catalogue."""
    sys.path.insert(0, str(_CATALOGUE))
    try:
        for family in _FAMILIES:
            importlib.import_module(f"catalogue.{family}")
        return importlib.import_module("catalogue.bug").ENTRIES
    finally:
        sys.path.remove(str(_CATALOGUE))


def diagnoses() -> dict[str, Any]:
    """The time of each diagnosis of the catalogue, the second time, when the modules are loaded."""
    import warnings

    from course_lib import shapes

    times: dict[str, float] = {}
    for entry in catalogue():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                entry.broken()
        except Exception as error:
            shapes.explain_error(error)
            turns = []
            for _ in range(5):
                start = perf_counter()
                shapes.explain_error(error)
                turns.append(perf_counter() - start)
            times[entry.name] = median(turns)
    found = sorted(times.values())
    slowest = max(times, key=lambda name: times[name])
    return {
        "bugs": len(found),
        "diagnosis_milliseconds_median": round(1000 * median(found), 1),
        "diagnosis_milliseconds_95_percent": round(1000 * quantiles(found, n=20)[-1], 1),
        "diagnosis_milliseconds_most": round(1000 * found[-1], 1),
        "slowest": slowest,
    }


def good_run() -> dict[str, Any]:
    """A forward pass that works, three ways."""
    import torch

    from course_lib import pretrained, shapes

    model = pretrained.load_model("embedded").eval()
    ids = torch.randint(1000, 30000, (8, 64), generator=torch.Generator().manual_seed(0))
    plain, within, watched = [], [], []
    with torch.no_grad():
        for turn in range(25):
            start = perf_counter()
            model(input_ids=ids)
            first = perf_counter()
            with shapes.explain():
                model(input_ids=ids)
            second = perf_counter()
            assert shapes.diagnose(model, input_ids=ids) is None
            third = perf_counter()
            if turn >= 5:
                plain.append(first - start)
                within.append(second - first)
                watched.append(third - second)
    return {
        "forward_milliseconds": round(1000 * median(plain), 2),
        "forward_within_explain": round(median(w / p for w, p in zip(within, plain, strict=True)), 3),
        "forward_within_diagnose": round(median(w / p for w, p in zip(watched, plain, strict=True)), 3),
    }


def main() -> None:
    write("shapes", **run())
