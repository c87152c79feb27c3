"""Predictions beside TMDB's labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_core.labels import LABEL_IDS
from predictor.comparison import compare, recompare
from predictor.models import Film, Prediction
from tests.factories import GENRE_IDS, make_film, make_prediction, make_version

DRAMA, COMEDY, WAR = GENRE_IDS["Drama"], GENRE_IDS["Comedy"], GENRE_IDS["War"]


def one(probabilities: dict[int, float], labels: list[int]):
    p = np.array([[probabilities.get(label, 0.1) for label in LABEL_IDS]], dtype=np.float32)
    return compare(probabilities=p, predicted=p >= 0.5, label_ids=LABEL_IDS, film_labels=[labels])[0]


def test_hits_misses_and_extras():
    comparison = one({DRAMA: 0.9, COMEDY: 0.7}, [DRAMA, WAR])
    assert comparison.predicted == tuple(sorted([DRAMA, COMEDY]))
    assert (comparison.hits, comparison.misses, comparison.extras) == ((DRAMA,), (WAR,), (COMEDY,))


def test_surprise_is_the_mean_log_loss_of_tmdbs_labels():
    expected = -(math.log(0.9) + math.log(1 - 0.7) + 16 * math.log(1 - 0.1)) / 18
    assert one({DRAMA: 0.9, COMEDY: 0.7}, [DRAMA]).surprise == pytest.approx(expected, rel=1e-5)


def test_without_a_label_there_is_nothing_to_compare():
    comparison = one({DRAMA: 0.9}, [])
    assert comparison.predicted == (DRAMA,)
    assert (comparison.hits, comparison.misses, comparison.extras, comparison.surprise) == (None,) * 4


def test_a_certain_mistake_is_a_finite_surprise():
    assert one({DRAMA: 0.0}, [DRAMA]).surprise < 1


@given(
    st.lists(st.floats(0, 1, width=32), min_size=18, max_size=18),
    st.sets(st.sampled_from(LABEL_IDS), min_size=1),
)
def test_hits_and_misses_are_the_labels_and_hits_and_extras_the_predicted(values, labels):
    comparison = one(dict(zip(LABEL_IDS, values, strict=True)), sorted(labels))
    assert set(comparison.hits) | set(comparison.misses) == labels
    assert set(comparison.hits) | set(comparison.extras) == set(comparison.predicted)
    assert not set(comparison.hits) & set(comparison.misses)


@pytest.mark.django_db
def test_predictions_are_compared_again_when_genres_change():
    version, other = make_version(), make_version(displayed=False)
    film, untouched = make_film(genres=["Drama"]), make_film(genres=["War"])
    for each in (version, other):
        make_prediction(film, each, probabilities={"Drama": 0.9})
    before = make_prediction(untouched, version, probabilities={"War": 0.9}, surprise=0.5)
    Film.objects.filter(pk=film.pk).update(label_ids=[DRAMA, WAR])
    assert recompare() == 2
    for prediction in Prediction.objects.filter(film=film):
        assert (prediction.hits, prediction.misses, prediction.extras) == ([DRAMA], [WAR], [])
        expected = -(math.log(0.9) + math.log(0.02) + 16 * math.log(0.98)) / 18
        assert prediction.surprise == pytest.approx(expected, rel=1e-4)
    assert Prediction.objects.get(film=untouched).surprise == before.surprise
    assert recompare() == 0


@pytest.mark.django_db
def test_a_film_that_loses_all_labels_has_nothing_to_compare_and_may_get_some_again():
    film = make_film(genres=["Drama"])
    make_prediction(film, make_version(), probabilities={"Drama": 0.9})
    Film.objects.filter(pk=film.pk).update(label_ids=[])
    assert recompare(film_ids=[film.pk]) == 1
    assert Prediction.objects.get().surprise is None
    assert Prediction.objects.get().hits is None
    Film.objects.filter(pk=film.pk).update(label_ids=[DRAMA])
    assert recompare(film_ids=[film.pk + 1]) == 0
    assert recompare(film_ids=[film.pk]) == 1
    assert Prediction.objects.get().hits == [DRAMA]
