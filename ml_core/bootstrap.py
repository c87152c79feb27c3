"""How far a metric could have fallen otherwise with other films: percentile bootstrap over films.

Efron and Tibshirani, "An Introduction to the Bootstrap", chapter 13. Films are drawn with replacement, a film keeping
all of its labels; a draw for which the metric is not defined is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# (probabilities (n, 18), labels (n, 18)) -> one number, NaN where it is not defined.
Metric = Callable[[NDArray[Any], NDArray[Any]], float]


@dataclass(frozen=True, slots=True)
class Interval:
    """A metric on the films given, and between which bounds it lies with the confidence asked for."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """As ``metrics.json`` holds it; None for NaN."""
        named = {"value": self.value, "low": self.low, "high": self.high}
        return {name: None if np.isnan(number) else number for name, number in named.items()}


def bootstrap_interval(
    metric: Metric,
    probabilities: NDArray[Any],
    labels: NDArray[Any],
    *,
    n: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """The percentile interval of a metric over ``n`` draws of films.

    A metric of predicted labels closes over its thresholds:
    ``lambda p, y: precision_recall_f1(apply_thresholds(p, thresholds), y)["f1"]["micro"]``.

    Raises:
        ValueError: there is no film, or the shapes differ.
    """
    if len(probabilities) != len(labels):
        raise ValueError(f"probabilities of {len(probabilities)} films, labels of {len(labels)}")
    return _interval(
        lambda films: metric(probabilities[films], labels[films]),
        films=len(labels),
        draws=n,
        seed=seed,
        confidence=confidence,
    )


def bootstrap_difference(
    metric: Metric,
    first: NDArray[Any],
    second: NDArray[Any],
    labels: NDArray[Any],
    *,
    n: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """The interval of ``metric(first) - metric(second)`` for two models' probabilities of the same films.

    Both see the same draws (a paired bootstrap), so what makes films hard for both cancels out. ``first`` is better
    with that confidence when ``low > 0``.

    Raises:
        ValueError: there is no film, or the shapes differ.
    """
    if not len(first) == len(second) == len(labels):
        raise ValueError(f"probabilities of {len(first)} and {len(second)} films, labels of {len(labels)}")
    return _interval(
        lambda films: metric(first[films], labels[films]) - metric(second[films], labels[films]),
        films=len(labels),
        draws=n,
        seed=seed,
        confidence=confidence,
    )


def _interval(
    metric_of: Callable[[NDArray[np.int64]], float], *, films: int, draws: int, seed: int, confidence: float
) -> Interval:
    if films == 0:
        raise ValueError("there is no film to draw from")
    random = np.random.default_rng(seed)
    drawn = np.array([metric_of(random.integers(0, films, films)) for _ in range(draws)])
    known = drawn[~np.isnan(drawn)]
    tail = 50 * (1 - confidence)
    low, high = np.percentile(known, [tail, 100 - tail]) if len(known) else (np.nan, np.nan)
    return Interval(value=metric_of(np.arange(films)), low=float(low), high=float(high))
