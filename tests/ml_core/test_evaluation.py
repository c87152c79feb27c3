from __future__ import annotations

import json
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics

from ml_core.bootstrap import bootstrap_difference, bootstrap_interval
from ml_core.evaluation import (
    FIGURES,
    EvaluationError,
    article_metrics,
    evaluate,
    label_average_precision,
    label_roc_auc,
    macro_roc_auc,
    micro_roc_auc,
)
from ml_core.labels import LABEL_IDS, LABEL_NAMES, multi_hot
from ml_core.reliability import expected_calibration_error, reliability

HALVES = np.full(18, 0.5)


def films(n: int = 400, *, seed: int = 0, signal: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = (random.random((n, 18)) < np.linspace(0.05, 0.5, 18)).astype(np.float32)
    logits = random.normal(size=(n, 18)) + signal * labels - 2
    # Rounded, so that there are ties.
    return np.round(1 / (1 + np.exp(-logits)), 2).astype(np.float32), labels


def test_every_figure_agrees_with_scikit_learn() -> None:
    p, y = films()
    thresholds = np.linspace(0.1, 0.6, 18, dtype=np.float32)
    report = evaluate(p, y, thresholds)
    predicted = p >= thresholds
    assert report["macro_roc_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(y, p, average="macro"))
    assert report["micro_roc_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(y, p, average="micro"))
    assert report["mean_average_precision"] == pytest.approx(sklearn_metrics.average_precision_score(y, p))
    assert report["coverage_error"] == pytest.approx(sklearn_metrics.coverage_error(y, p))
    assert report["ranking_loss"] == pytest.approx(sklearn_metrics.label_ranking_loss(y, p))
    assert report["hamming_loss"] == pytest.approx(sklearn_metrics.hamming_loss(y, predicted))
    assert report["subset_accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(y, predicted))
    for average in ("micro", "macro", "weighted", "samples"):
        expected = sklearn_metrics.precision_recall_fscore_support(
            y, predicted, average=average, zero_division=0
        )
        ours = [report[name][average] for name in ("precision", "recall", "f1")]
        assert ours == pytest.approx(expected[:3]), average
    for k, genre in enumerate(report["genres"]):
        assert (genre["tmdb_id"], genre["name"]) == (LABEL_IDS[k], LABEL_NAMES[k])
        assert genre["support"] == y[:, k].sum()
        assert genre["threshold"] == pytest.approx(thresholds[k])
        assert genre["roc_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(y[:, k], p[:, k]))
        assert genre["average_precision"] == pytest.approx(
            sklearn_metrics.average_precision_score(y[:, k], p[:, k])
        )
        assert genre["f1"] == pytest.approx(sklearn_metrics.f1_score(y[:, k], predicted[:, k]))


@settings(max_examples=60)
@given(
    scores=arrays(np.float32, (12, 2), elements=st.floats(0, 1, width=32) | st.sampled_from([0.0, 0.5, 1.0])),
    labels=arrays(np.int64, (12, 2), elements=st.integers(0, 1)),
)
def test_ranking_metrics_agree_with_scikit_learn_whatever_the_ties(
    scores: np.ndarray, labels: np.ndarray
) -> None:
    for k in range(2):
        column, truth = scores[:, k], labels[:, k]
        if 0 < truth.sum() < len(truth):
            assert label_roc_auc(scores, labels)[k] == pytest.approx(
                sklearn_metrics.roc_auc_score(truth, column)
            )
        else:
            assert np.isnan(label_roc_auc(scores, labels)[k])
        if truth.any():
            expected = sklearn_metrics.average_precision_score(truth, column)
            assert label_average_precision(scores, labels)[k] == pytest.approx(expected)
        else:
            assert np.isnan(label_average_precision(scores, labels)[k])


def test_the_articles_metrics_by_hand() -> None:
    """Two films over 18 labels; only Action and Drama are ever asked about."""
    action, drama = LABEL_NAMES.index("Action"), LABEL_NAMES.index("Drama")
    labels = np.stack([multi_hot([28]), multi_hot([28, 18])])
    p = np.zeros((2, 18))
    p[0, action], p[0, drama] = 0.9, 0.6
    p[1, action], p[1, drama] = 0.8, 0.3
    figures = article_metrics(p, labels)
    assert figures["accuracy"] == pytest.approx(1 - (0.1 + 0.6 + 0.2 + 0.7) / 36)
    assert figures["loss"] == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.3]).sum() / 36)
    assert figures["precision"] == pytest.approx((1 / 2 + 1) / 2)
    assert figures["recall"] == pytest.approx((1 + 1 / 2) / 2)
    assert figures["f1"] == pytest.approx(2 / 3)
    assert figures["hamming"] == pytest.approx(2 / 36)
    # Drama alone has both kinds of film, and the film with it stands behind the one without.
    assert figures["macro_roc_auc"] == 0.0


def test_the_article_judges_at_a_half_whatever_the_thresholds() -> None:
    p, y = films()
    low, high = evaluate(p, y, np.full(18, 0.1)), evaluate(p, y, np.full(18, 0.9))
    assert low["article"] == high["article"]
    assert low["f1"] != high["f1"]
    assert evaluate(p, y, HALVES)["f1"]["samples"] == pytest.approx(low["article"]["f1"])


def test_saying_no_to_everything_has_the_accuracy_that_the_article_reports_as_its_own() -> None:
    p, y = films()
    report = evaluate(p, y, HALVES)
    no = report["baselines"]["always_no"]
    assert no["article"]["accuracy"] == pytest.approx(1 - y.mean())
    assert no["hamming_loss"] == pytest.approx(y.mean())
    assert no["article"]["f1"] == 0
    assert no["macro_roc_auc"] == 0.5
    assert no["f1"]["micro"] == no["recall"]["samples"] == 0
    # All genres are equally likely: each pair of them is in wrong order, and all are needed to cover a film's.
    labelled = y.any(axis=1).mean()
    assert (no["ranking_loss"], no["coverage_error"]) == pytest.approx((labelled, 18 * labelled))


def test_the_prior_baseline_takes_the_training_films_frequencies() -> None:
    p, y = films()
    prior = np.full(18, 0.25)
    baseline = evaluate(p, y, HALVES, prior=prior)["baselines"]["prior"]
    assert baseline["loss"] == pytest.approx(-(y * np.log(0.25) + (1 - y) * np.log(0.75)).mean())
    assert baseline["expected_calibration_error"] == pytest.approx(abs(0.25 - y.mean()))


def test_every_figure_stands_where_it_is_said_to_stand() -> None:
    report = evaluate(*films(), HALVES)
    for found in (report, *report["baselines"].values()):
        for path in FIGURES.values():
            value = found
            for key in path:
                value = value[key]
            assert isinstance(value, float), path


def test_the_calibration_error_of_a_genre_is_that_of_its_own_probabilities() -> None:
    p, y = films()
    genre = evaluate(p, y, HALVES)["genres"][3]
    assert genre["expected_calibration_error"] == pytest.approx(
        expected_calibration_error(p[:, 3:4], y[:, 3:4])
    )


def test_calibration_error_by_hand() -> None:
    p = np.array([[0.1, 0.1, 0.9, 0.9]])
    y = np.array([[0.0, 1.0, 1.0, 1.0]])
    assert [b["count"] for b in reliability(p, y)] == [2, 2]
    assert expected_calibration_error(p, y) == pytest.approx((2 * 0.4 + 2 * 0.1) / 4)
    assert reliability(np.array([[1.0]]), np.array([[1.0]]))[0]["high"] == 1.0


def test_films_judged_by_thresholds_of_their_own_inputs() -> None:
    p, y = films(2)
    thresholds = np.stack([np.zeros(18), np.full(18, 1.01)])
    report = evaluate(p, y, thresholds)
    assert report["recall"]["samples"] == pytest.approx(np.mean([y[0].any(), 0]))
    assert {genre["threshold"] for genre in report["genres"]} == {None}


@pytest.mark.parametrize("labels", [np.zeros((1, 18)), np.ones((1, 18)), np.stack([multi_hot([37])])])
def test_a_set_too_small_to_judge_gives_null_and_no_crash(labels: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = evaluate(np.full((1, 18), 0.5), labels, HALVES)
    assert report["macro_roc_auc"] is None
    assert json.loads(json.dumps(report, allow_nan=False)) == report


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p, y, t: (p[:, :17], y, t), "shape"),
        (lambda p, y, t: (p[:0], y[:0], t), "n > 0"),
        (lambda p, y, t: (p, y, t[:5]), "thresholds"),
        (lambda p, y, t: (p * np.nan, y, t), "within 0..1"),
        (lambda p, y, t: (p + 1, y, t), "within 0..1"),
        (lambda p, y, t: (p, y + 1, t), "zeros and ones"),
    ],
)
def test_what_does_not_fit_together_is_refused(change: Callable, says: str) -> None:
    with pytest.raises(EvaluationError, match=says):
        evaluate(*change(*films(3), HALVES))


def test_the_bootstrap_interval_holds_the_value_and_narrows_with_films() -> None:
    few = bootstrap_interval(macro_roc_auc, *films(100), n=200)
    many = bootstrap_interval(macro_roc_auc, *films(1600), n=200)
    assert few.low < few.value < few.high
    assert many.high - many.low < 0.5 * (few.high - few.low)


def test_the_bootstrap_interval_of_a_mean_is_that_of_statistics() -> None:
    """For a mean the interval is known: 1.96 standard errors to either side."""
    y = films(2000)[1]
    interval = bootstrap_interval(lambda p, labels: float(labels.mean()), y, y, n=2000)
    standard_error = y.mean(axis=1).std() / np.sqrt(len(y))
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * standard_error, rel=0.1)


def test_the_same_seed_draws_the_same_films() -> None:
    p, y = films(60)
    assert bootstrap_interval(macro_roc_auc, p, y, n=20) == bootstrap_interval(macro_roc_auc, p, y, n=20)
    assert bootstrap_interval(macro_roc_auc, p, y, n=20) != bootstrap_interval(
        macro_roc_auc, p, y, n=20, seed=1
    )


def test_draws_that_a_metric_is_not_defined_for_are_left_out() -> None:
    y = np.zeros((6, 18))
    y[0] = 1
    interval = bootstrap_interval(macro_roc_auc, y, y, n=50)
    assert (interval.value, interval.low, interval.high) == (1.0, 1.0, 1.0)
    never = bootstrap_interval(macro_roc_auc, np.zeros((3, 18)), np.zeros((3, 18)), n=5)
    assert never.to_json() == {"value": None, "low": None, "high": None}


def test_a_model_that_is_better_on_the_same_films_is_told_apart() -> None:
    p, y = films(300)
    worse = films(300, signal=0.5)[0]
    assert bootstrap_difference(micro_roc_auc, p, worse, y, n=100).low > 0
    same = bootstrap_difference(micro_roc_auc, p, p, y, n=20)
    assert (same.low, same.value, same.high) == (0.0, 0.0, 0.0)


def test_the_bootstrap_refuses_films_that_do_not_match() -> None:
    p, y = films(4)
    with pytest.raises(ValueError, match="films"):
        bootstrap_interval(macro_roc_auc, p[:3], y)
    with pytest.raises(ValueError, match="films"):
        bootstrap_difference(macro_roc_auc, p, p[:3], y)
    with pytest.raises(ValueError, match="no film"):
        bootstrap_interval(macro_roc_auc, p[:0], y[:0])
