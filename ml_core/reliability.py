"""Whether probabilities come true as often as they say: reliability diagram and expected calibration error.

Guo et al., "On Calibration of Modern Neural Networks", 2017; the bins are equally wide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# As many as Guo et al. have.
CALIBRATION_BINS = 15


def reliability(
    probabilities: NDArray[Any], labels: NDArray[Any], bins: int = CALIBRATION_BINS
) -> list[dict[str, float]]:
    """A reliability diagram as data: one entry for each equally wide bin of probability that is not empty.

    An entry has ``low`` and ``high`` (the bin's bounds), ``count`` (pairs of film and label), ``mean_probability``,
    and ``frequency`` (how many of those pairs are true).
    """
    p = np.asarray(probabilities, dtype=np.float64).ravel()
    y = np.asarray(labels, dtype=np.float64).ravel()
    where = calibration_bins(p, bins)
    count = np.bincount(where, minlength=bins)
    sum_p, sum_y = np.bincount(where, p, bins), np.bincount(where, y, bins)
    return [
        {
            "low": b / bins,
            "high": (b + 1) / bins,
            "count": int(count[b]),
            "mean_probability": float(sum_p[b] / count[b]),
            "frequency": float(sum_y[b] / count[b]),
        }
        for b in np.flatnonzero(count).tolist()
    ]


def calibration_bins(probabilities: NDArray[Any], bins: int = CALIBRATION_BINS) -> NDArray[np.int64]:
    """Into which bin of ``reliability`` each probability falls: its number, of the same shape."""
    p = np.asarray(probabilities, dtype=np.float64)
    where: NDArray[np.int64] = np.minimum((p * bins).astype(np.int64), bins - 1)
    return where


def expected_calibration_error(
    probabilities: NDArray[Any], labels: NDArray[Any], bins: int = CALIBRATION_BINS
) -> float:
    """Mean distance of probability and frequency over the bins of ``reliability``, weighted by their counts."""
    diagram = reliability(probabilities, labels, bins)
    return sum(b["count"] * abs(b["mean_probability"] - b["frequency"]) for b in diagram) / np.size(labels)
