"""Calibration: from a network's logits to probabilities that mean what they say.

Two maps, each fitted for every label on validation films, both strictly increasing, so that calibration never
changes the order of films within a label:

- temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", 2017), one temperature a label;
- isotonic regression in its centred form (Oron and Flournoy, "Centered Isotonic Regression", 2017): the plateaus of
  plain isotonic regression, which would tie films and cost ROC AUC, become points joined by straight lines, here
  between logits, with slope one beyond the outermost points.

``fit_calibration`` keeps the one that is more likely on films it was not fitted on. Applying a calibration needs NumPy
alone: every worker does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Matrix: TypeAlias = NDArray[np.float64]

# A temperature outside these bounds says that the label's logits carry no information, or too few films do.
_LOWEST_TEMPERATURE = 0.05
_HIGHEST_TEMPERATURE = 20.0

# Weight of the two films that are imagined beside the real ones, one with the label at the lowest logit and one
# without it at the highest, so that a few films in perfect order never make for certainty (half a film: the
# Krichevsky-Trofimov estimate of a coin never seen to fall the other way).
_IMAGINED_FILM = 0.5
# Levels that differ by less are one level; frequencies among any films that fit into memory differ by more.
_ROUNDING = 1e-10


class CalibrationError(ValueError):
    """Logits and labels that do not fit together, or a saved calibration that is damaged."""


@dataclass(frozen=True, slots=True)
class TemperatureCalibration:
    """``sigmoid(logit / temperature)``, one temperature a label."""

    temperatures: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(np.isfinite(t) and t > 0 for t in self.temperatures):
            raise CalibrationError("each temperature must be a positive number")

    @classmethod
    def fit(cls, logits: NDArray[Any], labels: NDArray[Any]) -> TemperatureCalibration:
        """The temperatures that make the labels most likely; 1 for a label that is always or never there."""
        z, y, weight = _with_imagined_films(*_checked(logits, labels))
        low = np.full(z.shape[1], 1 / _HIGHEST_TEMPERATURE)
        high = np.full(z.shape[1], 1 / _LOWEST_TEMPERATURE)
        # The likelihood is concave in 1/temperature: halving on the sign of its derivative finds the one maximum.
        for _ in range(50):
            middle = np.sqrt(low * high)
            slope = (weight * (_sigmoid(z * middle) - y) * z).sum(axis=0)
            low = np.where(slope < 0, middle, low)
            high = np.where(slope < 0, high, middle)
        told = y[:-2].any(axis=0) & ~y[:-2].all(axis=0)
        return cls(tuple(np.where(told, 1 / np.sqrt(low * high), 1.0).tolist()))

    def apply(self, logits: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities of logits, both ``(n, labels)``; NaN stays NaN."""
        z = _matrix(logits, len(self.temperatures))
        return _sigmoid(z / np.array(self.temperatures)).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """What ``calibration_from_json`` reads back."""
        return {"kind": "temperature", "temperatures": list(self.temperatures)}


@dataclass(frozen=True, slots=True)
class IsotonicCalibration:
    """For each label a broken line from the network's logit to the calibrated logit.

    ``knots[k]`` is label k's pair (network's logits, calibrated logits), both strictly increasing, same length.
    """

    knots: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]

    def __post_init__(self) -> None:
        for label, (xs, ys) in enumerate(self.knots):
            points = np.array([xs, ys]) if len(xs) == len(ys) and xs else None
            if points is None or not np.isfinite(points).all() or (np.diff(points, axis=1) <= 0).any():
                raise CalibrationError(f"the knots of label {label} must be finite and strictly increasing")

    @classmethod
    def fit(cls, logits: NDArray[Any], labels: NDArray[Any]) -> IsotonicCalibration:
        """Centred isotonic regression of each label on its logit."""
        z, y, weight = _with_imagined_films(*_checked(logits, labels))
        return cls(tuple(_centred_isotonic(z[:, k], y[:, k], weight[:, 0]) for k in range(z.shape[1])))

    def apply(self, logits: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities of logits, both ``(n, labels)``; NaN stays NaN."""
        z = _matrix(logits, len(self.knots))
        calibrated = np.empty_like(z)
        for k, (xs, ys) in enumerate(self.knots):
            inside = np.interp(z[:, k], xs, ys)
            # np.interp holds the outermost values: what a logit exceeds them by is added, which is slope one.
            calibrated[:, k] = inside + (z[:, k] - np.clip(z[:, k], xs[0], xs[-1]))
        return _sigmoid(calibrated).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """What ``calibration_from_json`` reads back."""
        return {
            "kind": "isotonic",
            "knots": [{"logits": list(xs), "calibrated": list(ys)} for xs, ys in self.knots],
        }


Calibration: TypeAlias = TemperatureCalibration | IsotonicCalibration


def fit_calibration(
    logits: NDArray[Any], labels: NDArray[Any], *, folds: int = 5, seed: int = 0
) -> TemperatureCalibration | IsotonicCalibration:
    """The calibration that has the lower negative log-likelihood on held-out folds, fitted on all the films given.

    Args:
        logits: the network's, shape ``(n, labels)``; of validation films, never of training films.
        labels: zeros and ones, shape ``(n, labels)``.
        folds: the films are dealt into this many; with fewer than two films a fold it is temperature scaling.
        seed: of the dealing.

    Raises:
        CalibrationError: shapes differ, there is no film, or a number is not finite.
    """
    z, y = _checked(logits, labels)
    if len(z) < 2 * folds:
        return TemperatureCalibration.fit(z, y)
    fold = np.random.default_rng(seed).permutation(len(z)) % folds
    kinds: tuple[Callable[[Matrix, Matrix], Calibration], ...] = (
        TemperatureCalibration.fit,
        IsotonicCalibration.fit,
    )
    losses = [
        sum(
            negative_log_likelihood(fit(z[fold != f], y[fold != f]).apply(z[fold == f]), y[fold == f])
            * (fold == f).sum()
            for f in range(folds)
        )
        for fit in kinds
    ]
    return kinds[int(np.argmin(losses))](z, y)


def calibration_from_json(saved: Mapping[str, Any]) -> TemperatureCalibration | IsotonicCalibration:
    """A calibration out of an artifact's ``config.json``.

    Raises:
        CalibrationError: the kind is unknown, or the numbers are missing, infinite or not increasing.
    """
    try:
        if saved["kind"] == "temperature":
            return TemperatureCalibration(tuple(float(t) for t in saved["temperatures"]))
        if saved["kind"] == "isotonic":
            return IsotonicCalibration(
                tuple(
                    (tuple(float(x) for x in knot["logits"]), tuple(float(y) for y in knot["calibrated"]))
                    for knot in saved["knots"]
                )
            )
    except (KeyError, TypeError, ValueError) as error:
        raise CalibrationError(f"damaged calibration: {error}") from error
    raise CalibrationError(f"unknown kind of calibration: {saved['kind']!r}")


def negative_log_likelihood(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """Mean binary cross-entropy over all films and labels (see ``label_losses``)."""
    return float(label_losses(probabilities, labels).mean())


def label_losses(probabilities: NDArray[Any], labels: NDArray[Any]) -> Matrix:
    """Binary cross-entropy of each film and label, the logarithms bounded by -100 as in ``torch.nn.BCELoss``."""
    p = np.asarray(probabilities, dtype=np.float64)
    y = np.asarray(labels, dtype=np.float64)
    with np.errstate(divide="ignore"):
        yes, no = np.maximum(np.log(p), -100.0), np.maximum(np.log1p(-p), -100.0)
    losses: Matrix = -(y * yes + (1 - y) * no)
    return losses


def _with_imagined_films(z: Matrix, y: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Logits, labels and weights ``(n + 2, 1)``, the imagined films last."""
    some = np.ones((1, z.shape[1]))
    weight = np.concatenate([np.ones(len(z)), [_IMAGINED_FILM, _IMAGINED_FILM]])
    ends = (z.min(axis=0, keepdims=True), z.max(axis=0, keepdims=True))
    return np.concatenate([z, *ends]), np.concatenate([y, some, 0 * some]), weight[:, None]


def _centred_isotonic(x: Matrix, y: Matrix, weight: Matrix) -> tuple[tuple[float, ...], tuple[float, ...]]:
    # Imported where it is fitted: a worker that only applies a calibration does without scikit-learn.
    from sklearn.isotonic import isotonic_regression

    distinct, where = np.unique(x, return_inverse=True)
    films = np.bincount(where, weights=weight)
    fitted = isotonic_regression(np.bincount(where, weights=weight * y) / films, sample_weight=films)
    # Pooled films have one level, but for what rounding leaves: two knots that apart in nothing would be none.
    starts = np.flatnonzero(np.append(True, np.diff(fitted) > _ROUNDING))
    centres = np.add.reduceat(distinct * films, starts) / np.add.reduceat(films, starts)
    levels = np.clip(fitted[starts], 1e-12, 1 - 1e-12)
    return tuple(centres.tolist()), tuple(np.log(levels / (1 - levels)).tolist())


def _checked(logits: NDArray[Any], labels: NDArray[Any]) -> tuple[Matrix, Matrix]:
    z = np.asarray(logits, dtype=np.float64)
    y = np.asarray(labels, dtype=np.float64)
    if z.ndim != 2 or z.shape != y.shape or len(z) == 0:
        raise CalibrationError(
            f"logits {z.shape} and labels {y.shape} must have one shape (n, labels), n > 0"
        )
    if not np.isfinite(z).all():
        raise CalibrationError(
            "logits hold NaN or infinity: leave out the films that lack the input they are for"
        )
    if not ((y == 0) | (y == 1)).all():
        raise CalibrationError("labels must be zeros and ones")
    return z, y


def _matrix(logits: NDArray[Any], labels: int) -> Matrix:
    z = np.asarray(logits, dtype=np.float64)
    if z.ndim != 2 or z.shape[1] != labels:
        raise CalibrationError(f"expected logits of shape (n, {labels}), got {z.shape}")
    return z


def _sigmoid(z: Matrix) -> Matrix:
    # By way of logaddexp: no overflow, and full precision at the small end.
    with np.errstate(invalid="ignore"):  # NaN, a film without the input, stays NaN and is no fault
        result: Matrix = np.exp(-np.logaddexp(0.0, -z))
    return result
