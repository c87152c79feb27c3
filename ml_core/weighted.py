"""The figures of films that count with weights: the bootstrap's thousand draws at the cost of a few.

A draw with replacement is a weight for each film, how often it was drawn. What does not depend on the weights (the
order of the films, what is right of what was predicted) is worked out once; a draw is then sums. The figures are those
of :mod:`ml_core.evaluation`, exactly: a film of weight two counts like two such films.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ml_core.evaluation import film_figures
from ml_core.reliability import CALIBRATION_BINS, calibration_bins

Array = NDArray[np.float64]


class WeightedFigures:
    """Figures of one set of films, for any weights of them.

    Args:
        probabilities: shape ``(n, labels)``, n >= 1.
        predicted: the labels said to be there, shape ``(n, labels)``.
        labels: zeros and ones, shape ``(n, labels)``.
        macro: which labels macro averages (mAP among them) are over, shape ``(labels,)``; all when left out. Micro
            and samples averages are over all labels in any case.
    """

    def __init__(
        self,
        probabilities: NDArray[Any],
        predicted: NDArray[np.bool_],
        labels: NDArray[Any],
        *,
        macro: NDArray[np.bool_] | None = None,
    ) -> None:
        p, y = np.asarray(probabilities), np.asarray(labels) > 0
        self.films, self.labels = y.shape
        self._macro = np.ones(self.labels, dtype=np.bool_) if macro is None else macro
        films = np.arange(self.films)
        self._rankings = [_Ranking(p[:, k], y[:, k], films) for k in range(self.labels)]
        self._pairs = _Ranking(p.ravel(), y.ravel(), np.repeat(films, self.labels))
        self._counts = np.concatenate([predicted & y, predicted, y], axis=1).astype(np.float64).T
        self._by_film = film_figures(p, predicted, y)
        self._bins = _bins(p, y)

    def headline(self, weights: NDArray[np.float32]) -> dict[str, Array]:
        """The figures that slices and differences are told in, each of shape ``(draws,)``.

        ``weights`` has shape ``(n, draws)``. The names: ``macro_roc_auc``, ``mean_average_precision``, ``f1_micro``,
        ``f1_macro``, ``f1_samples``, ``expected_calibration_error``.
        """
        figures = self.headline_by_label(weights)
        return {name: values for name, values in figures.items() if not name.startswith("label_")}

    def headline_by_label(self, weights: NDArray[np.float32]) -> dict[str, Array]:
        """The same, and what they are averages of: ``label_roc_auc``, ``label_average_precision`` and ``label_f1``, each of
        shape ``(draws, labels)``.
        """
        roc_auc, average_precision = self._areas(weights)
        hits, predicted, actual = self._label_counts(weights)
        f1 = _ratio(2 * hits, predicted + actual)
        return {
            "macro_roc_auc": _known_mean(roc_auc[self._macro]),
            "mean_average_precision": _known_mean(average_precision[self._macro]),
            "f1_micro": _ratio(2 * hits.sum(axis=0), predicted.sum(axis=0) + actual.sum(axis=0)),
            "f1_macro": _mean(f1[self._macro]),
            "f1_samples": self._by_film["f1_samples"] @ weights / weights.sum(axis=0),
            "expected_calibration_error": self._calibration_error(weights),
            "label_roc_auc": roc_auc.T,
            "label_average_precision": average_precision.T,
            "label_f1": f1.T,
        }

    def every(self, weights: NDArray[np.float32]) -> dict[str, Array]:
        """All figures of :data:`ml_core.evaluation.FIGURES`, ``(draws,)``, and those of each label, ``(draws, labels)``.

        The latter are named ``label_roc_auc``, ``label_average_precision``, ``label_precision``, ``label_recall`` and
        ``label_f1``.
        """
        roc_auc, average_precision = self._areas(weights)
        figures = {
            "macro_roc_auc": _known_mean(roc_auc[self._macro]),
            "article_macro_roc_auc": _known_mean(roc_auc[self._macro]),
            "micro_roc_auc": self._pairs.areas(weights)[0],
            "mean_average_precision": _known_mean(average_precision[self._macro]),
            "expected_calibration_error": self._calibration_error(weights),
            "label_roc_auc": roc_auc.T,
            "label_average_precision": average_precision.T,
        }
        hits, predicted, actual = self._label_counts(weights)
        share = actual / np.maximum(actual.sum(axis=0), 1)
        for name, part, whole in (
            ("precision", hits, predicted),
            ("recall", hits, actual),
            ("f1", 2 * hits, predicted + actual),
        ):
            by_label = _ratio(part, whole)
            figures[f"{name}_micro"] = _ratio(part.sum(axis=0), whole.sum(axis=0))
            figures[f"{name}_macro"] = _mean(by_label[self._macro])
            figures[f"{name}_weighted"] = (by_label * share).sum(axis=0)
            figures[f"label_{name}"] = by_label.T
        for name, values in self._by_film.items():
            figures[name] = values @ weights / weights.sum(axis=0)
        return figures

    def _areas(self, weights: NDArray[np.float32]) -> tuple[Array, Array]:
        areas = [ranking.areas(weights) for ranking in self._rankings]
        return np.stack([roc for roc, _ in areas]), np.stack([precision for _, precision in areas])

    def _label_counts(self, weights: NDArray[np.float32]) -> tuple[Array, Array, Array]:
        hits, predicted, actual = np.split(self._counts @ weights, 3)
        return hits, predicted, actual

    def _calibration_error(self, weights: NDArray[np.float32]) -> Array:
        gaps: Array = np.abs(self._bins @ weights).sum(axis=0) / (self.labels * weights.sum(axis=0))
        return gaps


class _Ranking:
    """Rows in falling order of probability, cut into segments: equal probabilities with a positive among them, or all
    rows between two such runs, whose inner order no area depends on.
    """

    def __init__(self, scores: NDArray[Any], truth: NDArray[np.bool_], films: NDArray[np.int64]) -> None:
        order = np.argsort(-scores, kind="stable")
        ranked, true = scores[order], truth[order]
        run = np.cumsum(np.append(False, ranked[1:] != ranked[:-1]))
        holds = (np.bincount(run, true) > 0)[run]
        segment = np.cumsum(np.append(False, (run[1:] != run[:-1]) & (holds[1:] | holds[:-1])))
        shape = (int(segment[-1]) + 1, int(films[-1]) + 1)
        ones = np.ones(len(order), dtype=np.float32)
        self._all = csr_array((ones, (segment, films[order])), shape=shape)
        self._positive = csr_array((ones[true], (segment[true], films[order][true])), shape=shape)

    def areas(self, weights: NDArray[np.float32]) -> tuple[Array, Array]:
        """ROC AUC and average precision ``(draws,)``, NaN where not defined."""
        total = (self._all @ weights).astype(np.float64)
        positive = (self._positive @ weights).astype(np.float64)
        above = np.cumsum(positive, axis=0)
        positives = above[-1]
        negatives = total.sum(axis=0) - positives
        area = ((total - positive) * (above - positive / 2)).sum(axis=0)
        precision = _ratio(above, np.cumsum(total, axis=0))
        with np.errstate(invalid="ignore", divide="ignore"):
            roc_auc = np.where(positives * negatives > 0, area / (positives * negatives), np.nan)
            average = np.where(positives > 0, (positive * precision).sum(axis=0) / positives, np.nan)
        return roc_auc, average


def _bins(p: NDArray[Any], y: NDArray[np.bool_]) -> Array:
    """For each bin of probability and film, the sum of probability minus truth over its labels there: ``(bins, n)``."""
    films = np.repeat(np.arange(len(p)), p.shape[1])
    sums = np.zeros((CALIBRATION_BINS, len(p)))
    np.add.at(sums, (calibration_bins(p).ravel(), films), p.ravel().astype(np.float64) - y.ravel())
    return sums


def _ratio(part: Array, whole: Array) -> Array:
    ratio: Array = np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole > 0)
    return ratio


def _mean(values: Array) -> Array:
    mean: Array = values.mean(axis=0) if len(values) else np.full(values.shape[1], np.nan)
    return mean


def _known_mean(values: Array) -> Array:
    """Mean over the labels ``(labels, draws)`` for which the figure is defined; NaN where it is for none."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    mean: Array = np.where(count > 0, np.where(known, values, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
    return mean
