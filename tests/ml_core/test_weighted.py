"""Figures of weighted films against those of films that are there as often as their weight says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_core.bootstrap import bootstrap_difference, bootstrap_figures, bootstrap_interval
from ml_core.evaluation import FIGURES, evaluate, macro_roc_auc, mean_average_precision, micro_roc_auc
from ml_core.weighted import WeightedFigures

from .made_figures import CUTS, films


def figure(report: dict[str, Any], path: tuple[str, ...]) -> float:
    value: Any = report
    for key in path:
        value = value[key]
    return np.nan if value is None else value


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=25, max_size=25).filter(any), st.integers(0, 3))
def test_a_film_of_weight_two_counts_like_two_films(weights: list[int], seed: int) -> None:
    p, y = films(25, seed)
    repeated = np.repeat(np.arange(25), weights)
    report = evaluate(p[repeated], y[repeated], CUTS)
    found = WeightedFigures(p, p >= CUTS, y).every(np.array(weights, dtype=np.float32)[:, None])
    assert {name for name in found if not name.startswith("label_")} == set(FIGURES)
    for name, path in FIGURES.items():
        assert found[name][0] == pytest.approx(figure(report, path), abs=1e-6, nan_ok=True), name
    for name in ("roc_auc", "average_precision", "precision", "recall", "f1"):
        by_label = [np.nan if genre[name] is None else genre[name] for genre in report["genres"]]
        assert found[f"label_{name}"][0] == pytest.approx(by_label, abs=1e-6, nan_ok=True), name


def test_the_headline_is_part_of_all_figures() -> None:
    p, y = films(60)
    figures = WeightedFigures(p, p >= CUTS, y)
    weights = np.random.default_rng(0).integers(0, 3, (60, 5)).astype(np.float32)
    every = figures.every(weights)
    for name, values in figures.headline_by_label(weights).items():
        assert values == pytest.approx(every[name])
    assert not [name for name in figures.headline(weights) if name.startswith("label_")]


def test_macro_averages_are_over_the_labels_asked_for() -> None:
    p, y = films(60)
    some = np.arange(18) >= 12
    found = WeightedFigures(p, p >= CUTS, y, macro=some).headline(np.ones((60, 1), np.float32))
    report = evaluate(p, y, CUTS)
    assert found["macro_roc_auc"][0] == pytest.approx(np.mean([g["roc_auc"] for g in report["genres"][12:]]))
    assert found["f1_macro"][0] == pytest.approx(np.mean([g["f1"] for g in report["genres"][12:]]))
    assert found["f1_micro"][0] == pytest.approx(report["f1"]["micro"])


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("macro_roc_auc", macro_roc_auc),
        ("micro_roc_auc", micro_roc_auc),
        ("mean_average_precision", mean_average_precision),
    ],
)
def test_its_bootstrap_draws_the_films_that_the_plain_one_draws(name: str, metric: Any) -> None:
    p, y = films(80)
    plain = bootstrap_interval(metric, p, y, n=150)
    (ours,) = bootstrap_figures(WeightedFigures(p, p >= CUTS, y).every, films=80, n=150)[name]
    assert (ours.value, ours.low, ours.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_a_difference_is_a_figure_over_the_same_draws() -> None:
    p, y = films(80)
    q = films(80, seed=1)[0]
    first, second = (WeightedFigures(scores, scores >= CUTS, y) for scores in (p, q))
    (ours,) = bootstrap_figures(
        lambda weights: {
            "auc": first.headline(weights)["macro_roc_auc"] - second.headline(weights)["macro_roc_auc"]
        },
        films=80,
        n=50,
    )["auc"]
    plain = bootstrap_difference(macro_roc_auc, p, q, y, n=50)
    assert (ours.value, ours.low, ours.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_every_label_has_an_interval_of_its_own() -> None:
    p, y = films(120)
    intervals = bootstrap_figures(WeightedFigures(p, p >= CUTS, y).every, films=120, n=60)["label_f1"]
    assert len(intervals) == 18
    assert all(one.low <= one.value <= one.high for one in intervals if one.value > 0)
    assert len({one.value for one in intervals}) > 10


def test_no_film_has_no_interval() -> None:
    with pytest.raises(ValueError, match="no film"):
        bootstrap_figures(lambda weights: {}, films=0)
