"""Curves and co-occurrence by hand, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from ml_core.diagrams import CURVE_POINTS, cooccurrence, curves
from ml_core.labels import LABEL_NAMES

from .made_figures import films

ACTION, COMEDY, DRAMA = (LABEL_NAMES.index(name) for name in ("Action", "Comedy", "Drama"))


def one_label(scores: list[float], truth: list[int]) -> tuple[np.ndarray, np.ndarray]:
    p, y = np.zeros((len(scores), 18)), np.zeros((len(scores), 18))
    p[:, ACTION], y[:, ACTION] = scores, truth
    return p, y


def test_curves_of_four_films_by_hand() -> None:
    (curve,) = curves(*one_label([0.9, 0.8, 0.4, 0.1], [1, 0, 1, 0]))
    assert (curve["tmdb_id"], curve["name"]) == (28, "Action")
    assert curve["roc"] == {
        "false_positive_rate": [0.0, 0.0, 0.5, 0.5, 1.0],
        "true_positive_rate": [0.0, 0.5, 0.5, 1.0, 1.0],
    }
    assert curve["precision_recall"] == {"recall": [0.5, 1.0], "precision": [1.0, 0.6667]}


def test_films_of_equal_probability_are_one_point() -> None:
    (curve,) = curves(*one_label([0.9, 0.5, 0.5, 0.5], [1, 1, 0, 0]))
    assert curve["roc"]["false_positive_rate"] == [0.0, 0.0, 1.0]
    assert curve["roc"]["true_positive_rate"] == [0.0, 0.5, 1.0]
    assert curve["precision_recall"] == {"recall": [0.5, 1.0], "precision": [1.0, 0.5]}


def test_thinned_curves_stay_close_to_the_whole_ones() -> None:
    p, y = films(3000)
    for curve in curves(p, y):
        k = LABEL_NAMES.index(curve["name"])
        roc = curve["roc"]
        assert len(roc["false_positive_rate"]) <= CURVE_POINTS
        assert (roc["false_positive_rate"][0], roc["true_positive_rate"][0]) == (0, 0)
        assert (roc["false_positive_rate"][-1], roc["true_positive_rate"][-1]) == (1, 1)
        area = np.trapezoid(roc["true_positive_rate"], roc["false_positive_rate"])
        assert area == pytest.approx(sklearn_metrics.roc_auc_score(y[:, k], p[:, k]), abs=0.004)
        recall, precision = curve["precision_recall"]["recall"], curve["precision_recall"]["precision"]
        assert len(recall) <= CURVE_POINTS
        assert recall == sorted(recall)
        whole = dict(
            zip(
                *(
                    values.round(4).tolist()
                    for values in reversed(sklearn_metrics.precision_recall_curve(y[:, k], p[:, k])[:2])
                ),
                strict=True,
            )
        )
        assert all(r in whole for r in recall)
        assert recall[-1] == 1
        assert precision[-1] <= whole[1.0]


def test_a_label_with_one_kind_of_film_has_no_curve() -> None:
    assert curves(*one_label([0.1, 0.9], [1, 1])) == []


def test_which_genres_are_predicted_for_which_by_hand() -> None:
    """Three films: a drama taken for a comedy, a comedy and drama with both, an action film with nothing."""
    labels, predicted = np.zeros((3, 18)), np.zeros((3, 18), dtype=bool)
    labels[0, DRAMA] = labels[1, DRAMA] = labels[1, COMEDY] = labels[2, ACTION] = 1
    predicted[0, COMEDY] = predicted[1, DRAMA] = predicted[1, COMEDY] = True
    found = {name: np.array(matrix) for name, matrix in cooccurrence(predicted, labels).items()}
    assert found["labelled"][DRAMA, DRAMA] == 2
    assert found["labelled"][DRAMA, COMEDY] == found["labelled"][COMEDY, DRAMA] == 1
    assert found["labelled"].sum() == 2 + 1 + 1 + 2
    assert found["predicted"][DRAMA, COMEDY] == 2
    assert found["predicted"][DRAMA, DRAMA] == 1
    assert found["predicted"][COMEDY, COMEDY] == 1
    assert found["predicted"][ACTION].sum() == 0
    assert found["missed_extra"][DRAMA, COMEDY] == 1
    assert found["missed_extra"].sum() == 1
