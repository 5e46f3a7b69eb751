"""Is one model better than another, or was it luck? Several seeds, and two models on the same examples.

Two sources of chance need two answers. Train the same model with five seeds, and it reaches five accuracies
(`over_seeds`). Test two trained models on 872 sentences, and with 872 other sentences the difference would have been
another one (`paired_interval`). "No difference is shown" is a result.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from course_lib.metrics.arrays import as_array

_BATCH = 5_000_000  # numbers drawn at once


@dataclass(frozen=True)
class Spread:
    """One score over several runs."""

    mean: float
    sd: float  # the standard deviation of the runs, with n - 1; nan for a single run
    low: float
    high: float
    runs: int

    def __str__(self) -> str:
        if self.runs == 1:
            return f"{self.mean:.4g} (1 run; a spread needs at least 2)"
        return f"{self.mean:.4g} ± {self.sd:.2g} ({self.runs} runs, {self.low:.4g} to {self.high:.4g})"


def over_seeds(runs: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """Mean and spread of each score over runs with different seeds.

    Args:
        runs: the scores of each run, all with the same names.

    Raises:
        ValueError: no runs, or runs with different names.
    """
    if not runs:
        raise ValueError("There are no runs; give the scores of at least one.")
    for number, run in enumerate(runs):
        if set(run) != set(runs[0]):
            raise ValueError(
                f"Run {number} has the scores {', '.join(run)}, run 0 {', '.join(runs[0])}; every run needs the same ones."
            )
    return {name: _spread([float(run[name]) for run in runs]) for name in runs[0]}


def _spread(values: list[float]) -> Spread:
    sd = statistics.stdev(values) if len(values) > 1 else math.nan
    return Spread(statistics.fmean(values), sd, min(values), max(values), len(values))


@dataclass(frozen=True)
class Comparison:
    """The difference between two models on the same examples: B minus A."""

    names: tuple[str, str]
    means: tuple[float, float]
    difference: float
    low: float  # the interval of the difference
    high: float
    confidence: float
    examples: int
    only_a: int | None  # examples that only A has right; None where scores are no yes or no
    only_b: int | None
    p_value: float | None  # McNemar's exact test

    @property
    def shown(self) -> bool:
        """Is a difference shown, because the interval leaves out 0?"""
        return not self.low <= 0 <= self.high

    @property
    def verdict(self) -> str:
        """The result in words."""
        a, b = self.names
        interval = f"{self.confidence:.0%} interval from {100 * self.low:+.1f} to {100 * self.high:+.1f}"
        numbers = f"{b} minus {a} is {100 * self.difference:+.1f} points on {self.examples:,} examples, {interval}"
        if not self.shown:
            return f"No difference is shown: {numbers}, which holds 0."
        return f"{b if self.difference > 0 else a} is better: {numbers}."

    def __str__(self) -> str:
        if self.p_value is None:
            return self.verdict
        return (
            f"{self.verdict} Only {self.names[0]} is right on {self.only_a:,}, only {self.names[1]} on {self.only_b:,}; "
            f"McNemar's exact test: p = {self.p_value:.2g}."
        )


def paired_interval(
    correct_a: Any,
    correct_b: Any,
    confidence: float = 0.95,
    samples: int = 9999,
    seed: int = 0,
    names: tuple[str, str] = ("A", "B"),
) -> Comparison:
    """How far apart two models are, with the interval of a paired bootstrap (Efron 1979; percentiles).

    The examples are drawn again and again with replacement, as many as there are, each with the scores of both models:
    that they find the same examples hard does not count twice. McNemar's exact test (1947) looks only at the examples
    that one of them has right and the other wrong. Neither knows of seeds: they compare these two trained models.

    Args:
        correct_a, correct_b: (n,) one score an example, in the same order: right or wrong, or an F1.
        confidence: of the interval.
        samples: how many times the examples are drawn.
        seed: the same seed gives the same interval.
        names: of the two models.

    Raises:
        ValueError: other numbers of scores, fewer than two, one that is not finite, or a confidence not between 0 and 1.
    """
    import numpy as np
    from scipy.stats import binomtest, bootstrap

    a, b = as_array(correct_a, "correct_a").astype(float), as_array(correct_b, "correct_b").astype(float)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise ValueError(
            f"correct_a has shape {a.shape} and correct_b {b.shape}; both must be (n,), one score for each of at least 2 "
            "examples, the same ones in the same order."
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()) or not 0 < confidence < 1 or samples < 1:
        raise ValueError(
            f"confidence is {confidence} and samples {samples}; a confidence between 0 and 1, at least 1 sample and finite "
            "scores are needed."
        )
    interval = bootstrap(
        (b - a,), np.mean, n_resamples=samples, batch=max(1, _BATCH // len(a)), confidence_level=confidence,
        method="percentile", rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    only_a = only_b = p_value = None
    if np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all():
        only_a, only_b = int((a > b).sum()), int((b > a).sum())
        p_value = float(binomtest(only_b, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return Comparison(
        names, (float(a.mean()), float(b.mean())), float((b - a).mean()), float(interval.low), float(interval.high),
        confidence, len(a), only_a, only_b, p_value,
    )  # fmt: skip
