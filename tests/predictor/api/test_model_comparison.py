"""Two versions compared, and drift, for programs."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.utils import timezone

from predictor.version_comparison import FIGURE_NAMES
from tests.factories import make_film, make_version
from tests.predictor.two_versions import made_answers, make_films, make_predictions

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_cache():
    cache.clear()


@pytest.fixture
def versions():
    return make_version(name="first"), make_version(name="second", displayed=False)


def compare(client, a, b):
    return client.get("/api/v1/models/compare/", {"a": a, "b": b})


def test_figures_of_both_with_the_interval_of_the_difference(anonymous, versions):
    labels, good = made_answers(210, noise=1.0)
    _, worse = made_answers(210, noise=2.5)
    films = make_films(labels)
    for version, p in zip(versions, (good, worse), strict=True):
        make_predictions(films, version, p, part="test")
    found = compare(anonymous, *(version.pk for version in versions)).json()
    assert (found["a"]["id"], found["b"]["name"]) == (versions[0].pk, "second")
    assert (found["basis"], found["films"], found["few"], found["is_sample"]) == ("test", 210, False, False)
    assert [figure["figure"] for figure in found["figures"]] == list(FIGURE_NAMES)
    auc = found["figures"][0]
    assert auc["low"] <= auc["difference"] <= auc["high"] < 0
    assert auc["better"] == "a"
    assert len(found["genres"]) == 18
    assert {"roc_auc", "average_precision", "f1"} <= set(found["genres"][0])


def test_on_too_few_films_there_are_no_figures(anonymous, versions):
    found = compare(anonymous, *(version.pk for version in versions)).json()
    assert (found["films"], found["few"], found["figures"], found["genres"]) == (0, True, [], [])


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (("", ""), ("a", "required")),
        (("{a}", ""), ("b", "required")),
        (("404404", "{a}"), ("a", "unknown")),
        (("{a}", "-1"), ("b", "unknown")),
        (("{a}", "{a}"), ("b", "same")),
    ],
)
def test_versions_that_cannot_be_compared_are_refused_by_name(
    anonymous, versions, assert_problem, asked, refusal
):
    field, code = refusal
    a, b = (key.format(a=versions[0].pk) for key in asked)
    problem = assert_problem(compare(anonymous, a, b), 400)
    assert [error["code"] for error in problem["errors"][field]] == [code]


def test_drift_of_the_champion(anonymous, versions):
    make_film(genres=["Drama"])
    found = anonymous.get("/api/v1/models/drift/").json()["drift"]
    assert found["champion"]["id"] == versions[0].pk
    assert (found["added"], found["new_films"], found["advice"]) == (1, 1, "too-few")
    assert found["new"] == {"films": 0, "samples_f1": None, "macro_f1": None, "surprise": None}
    assert found["counted_at"][:10] == timezone.now().date().isoformat()


def test_without_a_champion_there_is_no_drift(anonymous):
    assert anonymous.get("/api/v1/models/drift/").json() == {"drift": None}
