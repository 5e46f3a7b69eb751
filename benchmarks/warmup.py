"""Does a warm-up help? The same fine-tuning with and without one, at a moderate and at high learning rates.

An old conjecture has it that a warm-up keeps a model from early damage by its first large steps. So beside the accuracy on
dev stands what happened early: the mean loss of the first tenth of the steps, and how far the encoder had moved at the
end, as a share of its size. The runs of a seed share head, order and dropout; differences are taken seed by seed. Every
run ends at the same step with the same linear fall; nothing is chosen on dev, and the test split takes no part.

A run counts as failed where dev accuracy stays below 0.3; chance is 0.1.
"""

from __future__ import annotations

import math
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.decay import BATCH, EPOCHS, encoded, fine_tune, paired, spread
from benchmarks.record import write

SEEDS, WARMUP = 5, 0.1
RATES = (2e-4, 1e-3, 1.5e-3)
FAILED = 0.3


def moved(before: dict[str, Any], model: Any) -> float:
    """The length of the encoder's way from its start, over the length of its start; the head is left out."""
    import torch

    encoder = {name: value for name, value in model.named_parameters() if name.startswith("bert.")}
    way = torch.stack([(value.detach() - before[name]).norm() for name, value in encoder.items()]).norm()
    return float(way / torch.stack([before[name].norm() for name in encoder]).norm())


def run() -> dict[str, Any]:
    import torch

    from course_lib import pretrained
    from course_lib.optim import parameter_groups

    torch.set_num_threads(1)
    start, data = perf_counter(), encoded()
    steps = EPOCHS * math.ceil(len(data["train"]) / BATCH)
    early = steps // 10
    table: dict[str, Any] = {}
    for rate in RATES:
        found: dict[str, dict[str, list[float]]] = {}
        groups = partial(parameter_groups, learning_rate=rate)
        for seed in range(SEEDS):
            for arm, warmup in (("without", 0), ("with", WARMUP)):
                done = fine_tune(data, seed, groups, warmup=warmup)
                kept = found.setdefault(arm, {"accuracy": [], "early_loss": [], "last_loss": [], "moved": []})
                kept["accuracy"].append(float(done["right"].mean()))
                kept["early_loss"].append(float(np.mean(done["losses"][:early])))
                kept["last_loss"].append(float(np.mean(done["losses"][-early:])))
                kept["moved"].append(moved(done["before"], done["model"]))
        table[f"{rate:g}"] = {
            **{
                arm: {
                    "accuracy": spread(kept["accuracy"]),
                    "failed": sum(a < FAILED for a in kept["accuracy"]),
                    **{name: round(float(np.mean(kept[name])), 4) for name in ("early_loss", "last_loss", "moved")},
                }
                for arm, kept in found.items()
            },
            "with_minus_without": paired(found["with"]["accuracy"], found["without"]["accuracy"]),
        }
    return {
        "model": pretrained.find_model().name,
        "settings": {
            "seeds": SEEDS,
            "epochs": EPOCHS,
            "batch": BATCH,
            "schedule": "linear",
            "warmup": WARMUP,
            "steps": steps,
            "early_steps": early,
            "weight_decay": 0.01,
            "precision": "bfloat16 autocast",
            "threads": 1,
        },
        "examples": {name: len(part) for name, part in data.items()},
        "learning_rates": table,
        "seconds": round(perf_counter() - start),
    }


def main() -> None:
    write("warmup", **run())
