"""Where a probability becomes a predicted genre: one threshold for each label, chosen on validation films.

The article used 0.5 for all and ended with the wish for a threshold of each label's own, by Matthews correlation;
both that and F1 are here.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Criterion = Literal["f1", "mcc"]

# What a label gets that validation films say nothing about; the article's threshold.
DEFAULT_THRESHOLD = 0.5


def apply_thresholds(probabilities: NDArray[Any], thresholds: NDArray[Any]) -> NDArray[np.bool_]:
    """Predicted labels, shape ``(n, labels)``: a probability that reaches its threshold counts as yes."""
    predicted: NDArray[np.bool_] = np.asarray(probabilities) >= np.asarray(thresholds)
    return predicted


def choose_thresholds(
    probabilities: NDArray[Any], labels: NDArray[Any], criterion: Criterion = "f1"
) -> NDArray[np.float32]:
    """For each label the threshold that no other one beats on these films, shape ``(labels,)``, float32.

    The sweep is exact: it tries every distinct probability of a label. The threshold lies half way down to the next
    lower probability, so that a film just below the last accepted one is not turned away. Among equals the highest
    wins, which predicts least. Probabilities are compared as float32, as they are stored and served. A label
    without positives, or on which no threshold is better than chance, gets 0.5.

    Args:
        probabilities: shape ``(n, labels)``.
        labels: zeros and ones, shape ``(n, labels)``.
        criterion: ``"f1"`` or ``"mcc"`` (Matthews correlation).

    Raises:
        ValueError: the shapes differ, a probability is NaN, or the criterion is unknown.
    """
    if criterion not in get_args(Criterion):
        raise ValueError(f"unknown criterion {criterion!r}: expected one of {', '.join(get_args(Criterion))}")
    scores = np.asarray(probabilities, dtype=np.float32)
    truth = np.asarray(labels).astype(bool)
    if scores.ndim != 2 or scores.shape != truth.shape:
        raise ValueError(
            f"probabilities {scores.shape} and labels {truth.shape} must have one shape (n, labels)"
        )
    if np.isnan(scores).any():
        raise ValueError("probabilities hold NaN: leave out the films that lack the input they are meant for")
    columns = [_best_threshold(scores[:, k], truth[:, k], criterion) for k in range(scores.shape[1])]
    return np.array(columns, dtype=np.float32)


def _best_threshold(scores: NDArray[np.float32], truth: NDArray[np.bool_], criterion: Criterion) -> float:
    positives = int(truth.sum())
    if positives == 0:
        return DEFAULT_THRESHOLD
    order = np.argsort(-scores, kind="stable")
    descending = scores[order]
    # Films with the same probability pass together: only the last of each run of equals is a possible cut.
    last_of_run = np.flatnonzero(np.append(descending[1:] != descending[:-1], True))
    true_positives = np.cumsum(truth[order])[last_of_run].astype(np.float64)
    predicted = (last_of_run + 1).astype(np.float64)
    if criterion == "f1":
        quality = 2 * true_positives / (predicted + positives)
    else:
        quality = _matthews(true_positives, predicted, float(positives), float(len(scores)))
    best = int(np.argmax(quality))
    if quality[best] <= 0:
        return DEFAULT_THRESHOLD
    accepted = descending[last_of_run[best]]
    if best + 1 == len(last_of_run):
        return float(accepted)
    refused = descending[last_of_run[best] + 1]
    halfway = np.float32((float(accepted) + float(refused)) / 2)
    # Between two neighbouring float32 numbers there is no half way.
    return float(halfway if halfway > refused else accepted)


def _matthews(
    true_positives: NDArray[np.float64], predicted: NDArray[np.float64], positives: float, films: float
) -> NDArray[np.float64]:
    covariance = true_positives * films - predicted * positives
    spread = np.sqrt(predicted * (films - predicted)) * np.sqrt(positives * (films - positives))
    correlation: NDArray[np.float64] = np.divide(
        covariance, spread, out=np.zeros_like(spread), where=spread > 0
    )
    return correlation
