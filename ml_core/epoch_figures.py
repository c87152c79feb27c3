"""The figures of an epoch: cheap ones, by which a training is watched; those of an artifact are `ml_core.judging`'s."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml_core.evaluation import macro_roc_auc


def spread(rows: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """At most so many of the rows, evenly spread over all of them."""
    return rows[np.linspace(0, len(rows) - 1, min(number, len(rows))).astype(np.int64)]


def epoch_figures(part: str, logits: NDArray[np.float32], labels: NDArray[np.float32]) -> dict[str, float]:
    """Loss (mean binary cross-entropy), macro ROC AUC, and micro F1 with the threshold 0.5 for all labels.

    ``logits`` and ``labels`` are ``(films, 18)``; the names begin with ``part``, such as "val".
    """
    predicted = logits >= 0
    hits = float((predicted & (labels > 0)).sum())
    counted = float(predicted.sum() + labels.sum())
    return {
        f"{part}_loss": float((np.logaddexp(0, logits) - labels * logits).mean()),
        f"{part}_macro_roc_auc": macro_roc_auc(logits, labels),
        f"{part}_f1_micro": 2 * hits / counted if counted else 0.0,
    }
