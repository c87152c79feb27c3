"""What a model's probabilities are worth: the article's metrics by their exact definitions, and the usual ones.

The definitions are scikit-learn's (the tests compare the two); those that the bootstrap repeats a thousand times are
written out here, since scikit-learn's checks of its input cost more than the metric itself. A metric that a set of
films says nothing about (the ROC AUC of a genre that none of them has) is NaN, left out of macro averages, and
``null`` in JSON.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.calibration import label_losses, negative_log_likelihood
from ml_core.labels import LABEL_IDS, LABEL_NAMES
from ml_core.reliability import expected_calibration_error, reliability
from ml_core.thresholds import DEFAULT_THRESHOLD, apply_thresholds

Array = NDArray[np.float64]

AVERAGES = ("micro", "macro", "weighted", "samples")

# Every figure by the name that its interval goes by, and where it stands in what `evaluate` returns.
FIGURES: dict[str, tuple[str, ...]] = {
    **{
        name: (name,)
        for name in (
            "macro_roc_auc",
            "micro_roc_auc",
            "mean_average_precision",
            "coverage_error",
            "ranking_loss",
            "loss",
            "expected_calibration_error",
            "hamming_loss",
            "subset_accuracy",
        )
    },
    **{
        f"{name}_{average}": (name, average) for name in ("precision", "recall", "f1") for average in AVERAGES
    },
    **{
        f"article_{name}": ("article", name)
        for name in ("accuracy", "loss", "precision", "recall", "f1", "hamming", "macro_roc_auc")
    },
}


class EvaluationError(ValueError):
    """Probabilities, labels and thresholds that do not fit together."""


def evaluate(
    probabilities: NDArray[Any],
    labels: NDArray[Any],
    thresholds: NDArray[Any],
    *,
    prior: NDArray[Any] | None = None,
) -> dict[str, Any]:
    """Every figure of one set of films, ready for ``json.dumps`` (None where a metric is not defined).

    - ``films``, ``labels_per_film``.
    - ``article``: the article's seven figures, its threshold 0.5 for all labels (see ``article_metrics``).
    - ``macro_roc_auc``, ``micro_roc_auc``, ``mean_average_precision``, ``coverage_error``, ``ranking_loss``,
      ``loss`` (mean binary cross-entropy), ``expected_calibration_error``: of the probabilities.
    - ``precision``, ``recall``, ``f1``: each ``{"micro", "macro", "weighted", "samples"}``; ``hamming_loss``,
      ``subset_accuracy``: of the labels predicted at ``thresholds``.
    - ``genres``: for each label ``tmdb_id``, ``name``, ``support``, ``threshold``, ``roc_auc``,
      ``average_precision``, ``precision``, ``recall``, ``f1``, ``expected_calibration_error``.
    - ``reliability``: of all labels together, see :mod:`ml_core.reliability`.
    - ``baselines``: ``always_no`` (no genre for any film) and ``prior`` (each film gets the genres' frequencies; at
      0.5), each with every figure of :data:`FIGURES`.

    Args:
        probabilities: shape ``(n, 18)``, n >= 1, columns in the order of ``ml_core.labels.LABELS``.
        labels: zeros and ones, shape ``(n, 18)``.
        thresholds: shape ``(18,)``, or ``(n, 18)`` where films were judged by different ones.
        prior: frequencies of the labels among training films, shape ``(18,)``; those of ``labels`` when left out.

    Raises:
        EvaluationError: shapes differ, there is no film, a probability is not within 0..1, a label not 0 or 1.
    """
    p, y = _checked(probabilities, labels)
    limits = np.asarray(thresholds)
    if limits.shape not in {(p.shape[1],), p.shape}:
        raise EvaluationError(f"thresholds {limits.shape} must have shape ({p.shape[1]},) or {p.shape}")
    predicted = apply_thresholds(probabilities, thresholds)
    by_label = {
        "roc_auc": label_roc_auc(p, y),
        "average_precision": label_average_precision(p, y),
        **dict(
            zip(
                ("precision", "recall", "f1"),
                _precision_recall_f1(*_counts(predicted, y, axis=0)),
                strict=True,
            )
        ),
        "expected_calibration_error": np.array(
            [expected_calibration_error(p[:, k], y[:, k]) for k in range(p.shape[1])]
        ),
    }
    report = {
        "films": len(y),
        "labels_per_film": float(y.sum(axis=1).mean()),
        **_figures(p, predicted, y),
        "genres": [
            {
                "tmdb_id": LABEL_IDS[k],
                "name": LABEL_NAMES[k],
                "support": int(y[:, k].sum()),
                "threshold": float(limits[k]) if limits.ndim == 1 else None,
                **{name: float(values[k]) for name, values in by_label.items()},
            }
            for k in range(p.shape[1])
        ],
        "reliability": reliability(p, y),
        "baselines": _baselines(y, y.mean(axis=0) if prior is None else np.asarray(prior, dtype=np.float64)),
    }
    jsonable: dict[str, Any] = _nan_to_none(report)
    return jsonable


def article_metrics(probabilities: NDArray[Any], labels: NDArray[Any]) -> dict[str, float]:
    """The article's figures by the definitions of its code.

    - ``accuracy``: mean of ``1 - |p - y|`` over films and labels; always-no already takes it to 1 - label density.
    - ``loss``: mean binary cross-entropy.
    - ``precision``, ``recall``, ``f1``: at 0.5, of each film, then averaged over films (0 where nothing is predicted).
    - ``hamming``: share of wrong decisions at 0.5.
    - ``macro_roc_auc``: mean over the labels that have both kinds of film.
    """
    p, y = _checked(probabilities, labels)
    predicted = apply_thresholds(probabilities, np.full(p.shape[1], DEFAULT_THRESHOLD))
    precision, recall, f1 = (float(v.mean()) for v in _precision_recall_f1(*_counts(predicted, y, axis=1)))
    return {
        "accuracy": float(1 - np.abs(p - y).mean()),
        "loss": negative_log_likelihood(p, y),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "hamming": float((predicted != (y > 0)).mean()),
        "macro_roc_auc": macro_roc_auc(p, y),
    }


def macro_roc_auc(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """Mean ROC AUC over the labels that have both kinds of film; NaN when none has."""
    return _mean_of_known(label_roc_auc(probabilities, labels))


def micro_roc_auc(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """ROC AUC over all pairs of film and label as one ranking."""
    return float(label_roc_auc(np.reshape(probabilities, (-1, 1)), np.reshape(labels, (-1, 1)))[0])


def mean_average_precision(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """Mean average precision (mAP) over the labels that have a film; NaN when none has."""
    return _mean_of_known(label_average_precision(probabilities, labels))


def label_roc_auc(probabilities: NDArray[Any], labels: NDArray[Any]) -> Array:
    """ROC AUC of each label, ties counted half, shape ``(labels,)``; NaN for a label with one kind of film only."""

    def area(true_positives: Array, false_positives: Array) -> float:
        positives, negatives = true_positives[-1], false_positives[-1]
        if positives == 0 or negatives == 0:
            return math.nan
        return float(np.trapezoid(np.append(0.0, true_positives), np.append(0.0, false_positives))) / float(
            positives * negatives
        )

    return _by_label(area, probabilities, labels)


def label_average_precision(probabilities: NDArray[Any], labels: NDArray[Any]) -> Array:
    """Average precision of each label: precision weighted by the step in recall; NaN for a label without films."""

    def average(true_positives: Array, false_positives: Array) -> float:
        if true_positives[-1] == 0:
            return math.nan
        precision = true_positives / (true_positives + false_positives)
        return float((np.diff(true_positives, prepend=0.0) * precision).sum() / true_positives[-1])

    return _by_label(average, probabilities, labels)


def ranked_counts(scores: NDArray[Any], truth: NDArray[Any]) -> tuple[Array, Array]:
    """True and false positives of one label at each distinct probability as its threshold, the highest first.

    ``scores`` and ``truth`` have shape ``(n,)``.
    """
    order = np.argsort(scores)[::-1]
    ranked = scores[order]
    last_of_run = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    true_positives = np.cumsum(truth[order] > 0)[last_of_run].astype(np.float64)
    return true_positives, last_of_run + 1.0 - true_positives


def precision_recall_f1(predicted: NDArray[np.bool_], labels: NDArray[Any]) -> dict[str, dict[str, float]]:
    """Precision, recall and F1, each as its micro, macro, weighted and samples average; 0 for 0/0.

    ``macro`` is over all labels, as in scikit-learn, so a label without any film here pulls it down.
    """
    y = np.asarray(labels, dtype=np.float64)
    micro = _precision_recall_f1(*(c.sum(keepdims=True) for c in _counts(predicted, y, axis=0)))
    by_label = _precision_recall_f1(*_counts(predicted, y, axis=0))
    by_film = _precision_recall_f1(*_counts(predicted, y, axis=1))
    support = y.sum(axis=0) / max(y.sum(), 1)
    return {
        name: {
            "micro": float(micro[i][0]),
            "macro": float(by_label[i].mean()),
            "weighted": float((by_label[i] * support).sum()),
            "samples": float(by_film[i].mean()),
        }
        for i, name in enumerate(("precision", "recall", "f1"))
    }


def film_figures(
    probabilities: NDArray[Any], predicted: NDArray[np.bool_], labels: NDArray[Any]
) -> dict[str, Array]:
    """Those of :data:`FIGURES` that are a mean over films, for each film, shape ``(n,)``."""
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    at_half = apply_thresholds(probabilities, np.array(DEFAULT_THRESHOLD))
    samples = _precision_recall_f1(*_counts(predicted, y, axis=1))
    article = _precision_recall_f1(*_counts(at_half, y, axis=1))
    names = ("precision", "recall", "f1")
    loss = label_losses(p, y).mean(axis=1)
    return {
        "loss": loss,
        "coverage_error": _covered(p, y),
        "ranking_loss": _ranking_losses(p, y),
        "hamming_loss": (predicted != (y > 0)).mean(axis=1),
        "subset_accuracy": (predicted == (y > 0)).all(axis=1).astype(np.float64),
        **{f"{name}_samples": values for name, values in zip(names, samples, strict=True)},
        "article_accuracy": 1 - np.abs(p - y).mean(axis=1),
        "article_loss": loss,
        **{f"article_{name}": values for name, values in zip(names, article, strict=True)},
        "article_hamming": (at_half != (y > 0)).mean(axis=1),
    }


def _figures(p: Array, predicted: NDArray[np.bool_], y: Array) -> dict[str, Any]:
    return {
        "article": article_metrics(p, y),
        "macro_roc_auc": macro_roc_auc(p, y),
        "micro_roc_auc": micro_roc_auc(p, y),
        "mean_average_precision": mean_average_precision(p, y),
        "loss": negative_log_likelihood(p, y),
        "expected_calibration_error": expected_calibration_error(p, y),
        "coverage_error": float(_covered(p, y).mean()),
        "ranking_loss": float(_ranking_losses(p, y).mean()),
        **precision_recall_f1(predicted, y),
        "hamming_loss": float((predicted != (y > 0)).mean()),
        "subset_accuracy": float((predicted == (y > 0)).all(axis=1).mean()),
    }


def _baselines(y: Array, prior: Array) -> dict[str, Any]:
    return {
        name: _figures(p, apply_thresholds(p, np.array(DEFAULT_THRESHOLD)), y)
        for name, p in (("always_no", np.zeros_like(y)), ("prior", np.broadcast_to(prior, y.shape)))
    }


def _by_label(
    metric: Callable[[Array, Array], float], probabilities: NDArray[Any], labels: NDArray[Any]
) -> Array:
    scores, truth = np.asarray(probabilities), np.asarray(labels)
    return np.array([metric(*ranked_counts(scores[:, k], truth[:, k])) for k in range(scores.shape[1])])


def _counts(predicted: NDArray[np.bool_], y: Array, axis: int) -> tuple[Array, Array, Array]:
    """True positives, predicted and actual, summed over films (axis 0) or labels (axis 1)."""
    return (predicted * y).sum(axis=axis), predicted.sum(axis=axis, dtype=np.float64), y.sum(axis=axis)


def _precision_recall_f1(hits: Array, predicted: Array, actual: Array) -> tuple[Array, Array, Array]:
    return _ratio(hits, predicted), _ratio(hits, actual), _ratio(2 * hits, predicted + actual)


def _ratio(part: Array, whole: Array) -> Array:
    ratio: Array = np.divide(part, whole, out=np.zeros_like(part, dtype=np.float64), where=whole > 0)
    return ratio


def _covered(p: Array, y: Array) -> Array:
    """How many labels, likeliest first, one must take to cover all of each film's; 0 for a film without labels."""
    lowest = np.where(y > 0, p, np.inf).min(axis=1, keepdims=True)
    covered: Array = (p >= lowest).sum(axis=1).astype(np.float64)
    return covered


def _ranking_losses(p: Array, y: Array) -> Array:
    """Share of each film's pairs (its label, another label) in wrong order, ties wrong; 0 where there is no such pair."""
    yes, no = y > 0, y == 0
    wrong = ((p[:, :, None] <= p[:, None, :]) & yes[:, :, None] & no[:, None, :]).sum(axis=(1, 2))
    return _ratio(wrong.astype(np.float64), (yes.sum(axis=1) * no.sum(axis=1)).astype(np.float64))


def _mean_of_known(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _checked(probabilities: NDArray[Any], labels: NDArray[Any]) -> tuple[Array, Array]:
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if p.ndim != 2 or p.shape != y.shape or len(p) == 0 or p.shape[1] != len(LABEL_IDS):
        raise EvaluationError(
            f"probabilities {p.shape} and labels {y.shape} must both have shape (n, {len(LABEL_IDS)}), n > 0"
        )
    if not ((p >= 0) & (p <= 1)).all():
        raise EvaluationError("probabilities must lie within 0..1; leave out films that lack the input (NaN)")
    if not ((y == 0) | (y == 1)).all():
        raise EvaluationError("labels must be zeros and ones")
    return p, y


def _nan_to_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nan_to_none(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_nan_to_none(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
