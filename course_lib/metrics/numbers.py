"""Scores for predicted numbers, and the perplexity of a language model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from course_lib.metrics.arrays import as_array

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class RegressionScores:
    """How well predicted numbers follow the true ones."""

    pearson: float  # do they lie on a line? 1: exactly; nan where one side is constant
    spearman: float  # are they in the same order?
    mse: float  # the mean squared difference

    def __str__(self) -> str:
        return f"Pearson {self.pearson:.3f}, Spearman {self.spearman:.3f}, mean squared error {self.mse:.4g}"


def regression_scores(labels: Any, predictions: Any) -> RegressionScores:
    """Pearson's and Spearman's correlation and the mean squared error.

    Args:
        labels, predictions: (n,) or (n, 1).

    Raises:
        ValueError: other numbers of them, fewer than two, or one that is not finite.
    """
    return RegressionScores(pearson(labels, predictions), spearman(labels, predictions), mse(labels, predictions))


def pearson(labels: Any, predictions: Any) -> float:
    """Pearson's correlation; nan where one side is constant and nothing can go along with it."""
    from scipy.stats import pearsonr

    labels, predictions = _numbers(labels, predictions)
    return math.nan if _constant(labels, predictions) else float(pearsonr(labels, predictions).statistic)


def spearman(labels: Any, predictions: Any) -> float:
    """Spearman's correlation, of the ranks; nan where one side is constant."""
    from scipy.stats import spearmanr

    labels, predictions = _numbers(labels, predictions)
    return math.nan if _constant(labels, predictions) else float(spearmanr(labels, predictions).statistic)


def mse(labels: Any, predictions: Any) -> float:
    """The mean squared error."""
    from sklearn.metrics import mean_squared_error

    return float(mean_squared_error(*_numbers(labels, predictions)))


def perplexity(loss: float) -> float:
    """exp of the mean loss a word, in nats: among how many equally likely words the model seems to choose."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def _numbers(labels: Any, predictions: Any) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    truth, guess = as_array(labels, "labels").astype(float), as_array(predictions, "predictions").astype(float)
    truth, guess = (v[:, 0] if v.ndim == 2 and v.shape[1] == 1 else v for v in (truth, guess))
    if truth.shape != guess.shape or truth.ndim != 1 or len(truth) < 2:
        raise ValueError(
            f"labels have shape {truth.shape} and predictions {guess.shape}; both must be (n,), for at least 2 examples."
        )
    if not (np.isfinite(truth).all() and np.isfinite(guess).all()):
        raise ValueError(
            "labels or predictions hold numbers that are not finite; look for a loss of nan in the training."
        )
    return truth, guess


def _constant(*columns: np.ndarray) -> bool:
    return any((column == column[0]).all() for column in columns)
