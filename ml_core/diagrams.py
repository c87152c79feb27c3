"""What a report draws of a set of films, as data: ROC and precision-recall curves, and which genres are taken for which."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.evaluation import ranked_counts
from ml_core.labels import LABEL_IDS, LABEL_NAMES

# Points of a thinned curve, at most; a drawing of 300 pixels shows no more. Four decimals are a tenth of such a pixel.
CURVE_POINTS = 100
_DECIMALS = 4


def curves(probabilities: NDArray[Any], labels: NDArray[Any]) -> list[dict[str, Any]]:
    """The curves of each label that has both kinds of film, thinned to ``CURVE_POINTS``, probabilities falling.

    Each has ``tmdb_id``, ``name``, ``roc`` (``false_positive_rate`` and ``true_positive_rate``, from 0, 0 to 1, 1) and
    ``precision_recall`` (``recall`` and ``precision``, from the first film with the label on).
    """
    p, y = np.asarray(probabilities), np.asarray(labels)
    return [
        {"tmdb_id": LABEL_IDS[k], "name": LABEL_NAMES[k], **_curves(*ranked_counts(p[:, k], y[:, k]))}
        for k in range(y.shape[1])
        if 0 < y[:, k].sum() < len(y)
    ]


def cooccurrence(predicted: NDArray[np.bool_], labels: NDArray[Any]) -> dict[str, list[list[int]]]:
    """How genres go together in TMDB's labels and in the predictions: numbers of films, a row and a column a label.

    - ``labelled``: films that have the row's label and the column's; the diagonal is a label's films.
    - ``predicted``: films that have the row's label and are predicted the column's; the diagonal is its hits.
    - ``missed_extra``: films whose label of the row was missed while the column's was predicted and is not theirs.
    """
    y = np.asarray(labels) > 0
    pairs = {
        "labelled": (y, y),
        "predicted": (y, predicted),
        "missed_extra": (y & ~predicted, predicted & ~y),
    }
    return {
        name: (row.T.astype(np.int64) @ column.astype(np.int64)).tolist()
        for name, (row, column) in pairs.items()
    }


def _curves(
    true_positives: NDArray[np.float64], false_positives: NDArray[np.float64]
) -> dict[str, dict[str, list[float]]]:
    recall = np.append(0.0, true_positives / true_positives[-1])
    false_rate = np.append(0.0, false_positives / false_positives[-1])
    roc = _kept(recall, CURVE_POINTS // 2) | _kept(false_rate, CURVE_POINTS // 2)
    precision = true_positives / (true_positives + false_positives)
    # Where recall stands still precision only falls: the first film of each recall is the curve's upper edge.
    steps = _kept(recall[1:], CURVE_POINTS) & (true_positives > 0)
    return {
        "roc": {
            "false_positive_rate": _rounded(false_rate[roc]),
            "true_positive_rate": _rounded(recall[roc]),
        },
        "precision_recall": {"recall": _rounded(recall[1:][steps]), "precision": _rounded(precision[steps])},
    }


def _kept(rising: NDArray[np.float64], points: int) -> NDArray[np.bool_]:
    """Which entries to keep of a rising sequence: the first to reach each of ``points`` equal steps, and the last."""
    kept = np.zeros(len(rising), dtype=np.bool_)
    kept[np.searchsorted(rising, np.linspace(0, rising[-1], points))] = True
    return kept


def _rounded(values: NDArray[np.float64]) -> list[float]:
    rounded: list[float] = values.round(_DECIMALS).tolist()
    return rounded
