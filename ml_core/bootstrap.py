"""How far a metric could have fallen otherwise with other films: percentile bootstrap over films.

Efron and Tibshirani, "An Introduction to the Bootstrap", chapter 13. Films are drawn with replacement, a film keeping
all of its labels; a draw for which the metric is not defined is left out. ``bootstrap_interval`` and
``bootstrap_difference`` take any metric and call it a thousand times; ``bootstrap_figures`` takes figures of weighted
films (:mod:`ml_core.weighted`), draws the same films for the same seed, and costs little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# (probabilities (n, 18), labels (n, 18)) -> one number, NaN where it is not defined.
Metric = Callable[[NDArray[Any], NDArray[Any]], float]
# Weights of films (n, draws) -> figures by name, one value a draw: (draws,), or (draws, labels).
Figures = Callable[[NDArray[np.float32]], Mapping[str, NDArray[np.float64]]]

# Draws whose weights are held at once; bounds memory, and is fastest while they fit a core's cache.
_DRAWS_AT_ONCE = 125


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


def bootstrap_figures(
    figures: Figures, *, films: int, n: int = 1000, seed: int = 0, confidence: float = 0.95
) -> dict[str, list[Interval]]:
    """The percentile intervals of all figures over ``n`` draws of films; of a figure by label, one interval a label.

    The difference of two models is a figure too, the draws being the same:
    ``lambda weights: {"f1": first(weights)["f1"] - second(weights)["f1"]}``.

    Raises:
        ValueError: there is no film.
    """
    if films == 0:
        raise ValueError("there is no film to draw from")
    random = np.random.default_rng(seed)
    values = figures(np.ones((films, 1), dtype=np.float32))
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in values}
    for start in range(0, n, _DRAWS_AT_ONCE):
        weights = np.empty((films, min(_DRAWS_AT_ONCE, n - start)), dtype=np.float32)
        for draw in range(weights.shape[1]):
            weights[:, draw] = np.bincount(random.integers(0, films, films), minlength=films)
        for name, of_draws in figures(weights).items():
            drawn[name].append(of_draws)
    return {
        name: [
            _percentiles(float(value), of_draws, confidence)
            for value, of_draws in zip(
                np.atleast_1d(values[name][0]), np.atleast_2d(np.concatenate(parts).T), strict=True
            )
        ]
        for name, parts in drawn.items()
    }


def _interval(
    metric_of: Callable[[NDArray[np.int64]], float], *, films: int, draws: int, seed: int, confidence: float
) -> Interval:
    if films == 0:
        raise ValueError("there is no film to draw from")
    random = np.random.default_rng(seed)
    drawn = np.array([metric_of(random.integers(0, films, films)) for _ in range(draws)])
    return _percentiles(metric_of(np.arange(films)), drawn, confidence)


def _percentiles(value: float, drawn: NDArray[np.float64], confidence: float) -> Interval:
    known = drawn[~np.isnan(drawn)]
    tail = 50 * (1 - confidence)
    low, high = np.percentile(known, [tail, 100 - tail]) if len(known) else (np.nan, np.nan)
    return Interval(value=value, low=float(low), high=float(high))
