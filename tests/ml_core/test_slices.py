"""Figures of some of the films."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ml_core.evaluation import evaluate
from ml_core.labels import LABEL_NAMES
from ml_core.slices import FEWEST_FILMS, FilmFacts, slices
from ml_core.snapshot import Snapshot

from .made_figures import CUTS, films

N = 400


def sliced(**changes: Any) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    p, y = films(N)
    facts = {
        "years": [1994 if number < 100 else 2003 for number in range(N)],
        "languages": ["en"] * 300 + ["fr"] * 60 + ["ja"] * 25 + ["de"] * 5 + [""] * 10,
        "overview_words": np.array([0] * 60 + [9] * 60 + [10] * 140 + [150] * 140),
        "inputs": ["overview_poster"] * 200 + ["overview"] * 199 + [None],
    }
    places = np.arange(N)
    return slices(p, p >= CUTS, y, places, FilmFacts(**(facts | changes))), p, y


def named(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in entries}


def test_every_film_is_in_one_slice_of_a_kind_and_in_one_of_each_of_its_genres() -> None:
    found, _, y = sliced()
    for kind in ("decade", "language", "overview_words", "inputs"):
        assert sum(entry["films"] for entry in found[kind]) == N
    assert {entry["name"]: entry["films"] for entry in found["genre"]} == dict(
        zip(LABEL_NAMES, y.sum(axis=0).astype(int).tolist(), strict=True)
    )


def test_a_slice_has_the_figures_of_its_films_alone() -> None:
    found, p, y = sliced()
    decade = named(found["decade"])["1990s"]
    report = evaluate(p[:100], y[:100], CUTS)
    figures = {name: one["value"] for name, one in decade["figures"].items()}
    assert decade["films"] == 100
    assert figures["f1_micro"] == pytest.approx(report["f1"]["micro"])
    assert figures["f1_samples"] == pytest.approx(report["f1"]["samples"])
    assert figures["expected_calibration_error"] == pytest.approx(report["expected_calibration_error"])
    assert all(one["low"] <= one["high"] for one in decade["figures"].values())


def test_macro_averages_leave_out_the_labels_that_hardly_any_film_has_or_lacks() -> None:
    found, p, y = sliced()
    decade = named(found["decade"])["1990s"]
    counted = [k for k in range(18) if 10 <= y[:100, k].sum() <= 90]
    assert 0 < len(counted) < 18
    assert decade["macro_labels"] == len(counted)
    report = evaluate(p[:100], y[:100], CUTS)
    expected = np.mean([report["genres"][k]["roc_auc"] for k in counted])
    assert decade["figures"]["macro_roc_auc"]["value"] == pytest.approx(expected)


def test_too_few_films_say_so_and_nothing_else() -> None:
    years = [1994] * (FEWEST_FILMS - 1) + [2003] * (N - FEWEST_FILMS + 1)
    found = named(sliced(years=years)[0]["decade"])
    assert found["1990s"] == {"name": "1990s", "films": 49, "macro_labels": 0, "figures": None}
    assert found["2000s"]["figures"] is not None


def test_languages_of_few_films_stand_together() -> None:
    found = {entry["name"]: entry["films"] for entry in sliced()[0]["language"]}
    assert found == {"en": 300, "fr": 60, "2 others": 30, "unknown": 10}


def test_bands_of_words_and_inputs() -> None:
    found = sliced()[0]
    words = {entry["name"]: entry["films"] for entry in found["overview_words"]}
    assert words == {"none": 60, "1 to 9": 60, "10 to 19": 140, "100 or more": 140}
    inputs = {entry["name"]: entry["films"] for entry in found["inputs"]}
    assert inputs == {"overview and poster": 200, "overview, no poster": 199, "none": 1}


def test_a_film_without_a_year_is_of_an_unknown_decade() -> None:
    years = [None] * 60 + [1999] * (N - 60)
    assert [entry["name"] for entry in sliced(years=years)[0]["decade"]] == ["1990s", "unknown"]


def test_what_does_not_part_the_films_is_left_out() -> None:
    found = sliced(years=[2001] * N, inputs=["poster"] * N)[0]
    assert {"decade", "inputs"}.isdisjoint(found)


def test_films_picked_by_their_genre_have_no_calibration_error() -> None:
    found = sliced()[0]
    assert "expected_calibration_error" not in named(found["genre"])["Western"]["figures"]


def test_facts_come_from_the_snapshots_rows(opened: Snapshot) -> None:
    rows = opened.rows("test")[:3]
    facts = FilmFacts.of(opened, rows, ["overview", None, "poster"])
    overviews = opened.texts("overview")
    assert facts.years == [1950 + int(row) for row in rows]
    assert facts.languages == ["en"] * 3
    assert facts.overview_words.tolist() == [len(overviews[row].split()) for row in rows]
