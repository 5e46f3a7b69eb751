"""The choices of a training run, in one place, so that a run can be repeated, resumed and written down."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from course_lib.optim import SCHEDULES

PRECISIONS = ("float32", "bfloat16", "auto")


@dataclass(frozen=True)
class Recipe:
    """How to train. The defaults suit a small new layer on vectors; `FINE_TUNING` suits a whole BERT.

    Raises:
        ValueError: a number that makes no sense; the sentence names it.
    """

    epochs: int = 3  # times through the training data
    steps: int | None = None  # optimiser steps, in place of epochs
    learning_rate: float = 1e-3  # the highest of the schedule; 2e-5 to 5e-5 is usual for a whole BERT
    weight_decay: float = 0.01  # of matrices; biases and normalisations have none (course_lib.optim)
    schedule: str = "constant"  # how the rate goes on after the warm-up
    warmup: int | float = 0  # steps, or below 1 a share of the run, in which the rate rises from 0
    accumulate: int = 1  # batches that make one step together
    clip: float | None = None  # the longest gradient, as a norm over all parameters
    precision: str = "float32"  # or "bfloat16"; "auto": bfloat16 where the machine has it natively
    layer_decay: float | None = None  # below 1, lower layers learn more slowly, each by this factor
    head_learning_rate: float | None = None  # another rate for what follows the stack of layers
    evaluate_every: int | None = None  # steps; the end of each epoch and of the run are always evaluated
    save_every: int | None = None  # steps; the end of each epoch is always saved, where there is an output folder
    metric: str | None = None  # what "best" means; None: accuracy where labels are classes, then the loss
    patience: int | None = None  # evaluations without a new best, after which the run stops

    def __post_init__(self) -> None:
        if self.epochs < 1 or not self.learning_rate > 0 or self.weight_decay < 0:
            raise ValueError(
                f"epochs is {self.epochs}, learning_rate {self.learning_rate} and weight_decay {self.weight_decay}; "
                "at least 1, more than 0, and at least 0 are needed."
            )
        for name in ("steps", "accumulate", "evaluate_every", "save_every", "patience"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} is {value!r}; a whole number of at least 1 is needed.")
        for name in ("clip", "head_learning_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value!r}; a number above 0 is needed, or None to leave it out.")
        if self.layer_decay is not None and not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay is {self.layer_decay!r}; a factor above 0 and up to 1 is needed.")
        if not self.warmup >= 0:
            raise ValueError(f"warmup is {self.warmup!r}; a number of steps, or a share of the run below 1, is needed.")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision!r}; it may be {', '.join(PRECISIONS)}.")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule is {self.schedule!r}; it may be {', '.join(SCHEDULES)}.")

    def but(self, **changes: Any) -> Recipe:
        """The same recipe with other values for some fields.

        Raises:
            TypeError: a field that a recipe does not have; the closest is named.
        """
        known = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                import difflib

                near = difflib.get_close_matches(name, known, n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                raise TypeError(f"A recipe has no {name}{hint}; it has {', '.join(known)}.")
        return dataclasses.replace(self, **changes)

    def differences(self, other: Recipe) -> list[str]:
        """Each field with another value, as "epochs: 3, not 5"."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return [f"{name}: {mine[name]}, not {theirs[name]}" for name in mine if mine[name] != theirs[name]]


# A whole BERT on a task, as in the paper's appendix A.3 (2 to 4 epochs, 2e-5 to 5e-5), with warm-up and clipping.
FINE_TUNING = Recipe(
    epochs=3, learning_rate=5e-5, schedule="linear", warmup=0.1, clip=1.0, precision="auto", metric=None
)
