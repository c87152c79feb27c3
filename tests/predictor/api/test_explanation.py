"""Why, through the API: for films of the catalog, and for what is sent."""

from __future__ import annotations

import base64
import math

import pytest

from predictor.explaining import kept_explanation
from tests.factories import jpeg, make_explanation, make_film, make_poster, make_prediction, make_version

pytestmark = pytest.mark.django_db
STORY = "A retired safecracker is talked into one last robbery."


@pytest.fixture(autouse=True)
def _empty_broker(broker):
    """No throttle, no worker, nothing kept from another test."""


@pytest.fixture
def film():
    version = make_version()
    film = make_film(title="Rififi", overview=STORY, genres=["Crime", "Drama"], poster=make_poster())
    make_prediction(film, version, probabilities={"Crime": 0.9})
    make_explanation(
        film,
        version,
        probabilities={"Crime": 0.9, "War": 0.6},
        words={"robbery": {"Crime": 2.0, "Drama": -0.5}},
        cells={(5, 3): {"Crime": -0.25}},
        inputs={"texts": {"Crime": 3.0}, "poster": {"Crime": -1.0}},
    )
    return film


def url(film) -> str:
    return f"/api/v1/films/{film.pk}/explanation/"


def test_the_genres_that_model_or_tmdb_names(film, anonymous):
    body = anonymous.get(url(film)).json()
    assert body["film"] == film.pk
    assert body["inputs"] == ["title", "overview", "poster"]
    assert [(genre["name"], genre["predicted"]) for genre in body["genres"]] == [
        ("Crime", True),
        ("War", True),
        ("Drama", False),
    ]


def test_words_have_their_place_and_what_is_left_without_them(film, anonymous):
    crime = anonymous.get(url(film)).json()["genres"][0]
    word = next(word for word in crime["words"] if word["log_odds"])
    assert word["text"] == getattr(film, word["field"])[word["start"] : word["end"]] == "robbery"
    assert word["probability_without"] == pytest.approx(1 / (1 + math.exp(2.0 - math.log(9))))
    assert [word["field"] for word in crime["words"]] == ["title"] + ["overview"] * len(STORY.split())


def test_regions_are_fractions_of_the_poster(film, anonymous):
    regions = anonymous.get(url(film)).json()["genres"][0]["regions"]
    assert len(regions) == 24
    assert sum(region["width"] * region["height"] for region in regions) == pytest.approx(1)
    last = regions[-1]
    assert (last["left"] + last["width"], last["top"] + last["height"]) == pytest.approx((1, 1))
    assert last["log_odds"] == -0.25


def test_contributions_are_signed_and_their_shares_add_up(film, anonymous):
    crime = anonymous.get(url(film)).json()["genres"][0]
    assert crime["contributions"] == [
        {"input": "overview", "log_odds": 3.0, "share": 0.75},
        {"input": "poster", "log_odds": -1.0, "share": 0.25},
    ]
    assert crime["prior"] == pytest.approx(0.1)


def test_problems_are_told_as_such(anonymous, assert_problem, settings):
    assert_problem(anonymous.get("/api/v1/films/987654/explanation/"), 404)
    film = make_film()
    assert assert_problem(anonymous.get(url(film)), 404)["code"] == "no_model"
    make_version()
    settings.PREDICT_RATE_ANONYMOUS = "1/min"
    refused = anonymous.get(url(film))
    assert "No prediction worker is running" in assert_problem(refused, 503)["detail"]
    assert int(refused["Retry-After"]) >= 1
    slow_down = anonymous.get(url(film))
    assert_problem(slow_down, 429)
    assert int(slow_down["Retry-After"]) >= 1


def test_what_is_kept_is_free(film, anonymous, settings):
    settings.PREDICT_RATE_ANONYMOUS = "1/h"
    assert {anonymous.get(url(film)).status_code for _ in range(4)} == {200}


def test_the_worker_explains_films_and_what_is_sent(champion, start_worker, anonymous, settings):
    settings.ONLINE_TIMEOUT_SECONDS = 120
    film = make_film(title="Rififi", overview=STORY, genres=["Crime"], poster=make_poster())
    start_worker("predict")
    of_film = anonymous.get(url(film))
    assert of_film.status_code == 200, of_film.content
    assert kept_explanation(film, champion) is not None
    assert anonymous.get(url(film)).json() == of_film.json()

    sent = {"title": "Rififi", "overview": STORY, "poster": base64.b64encode(jpeg()).decode()}
    plain = anonymous.post("/api/v1/predict/", sent).json()
    assert plain["explanation"] is None
    body = anonymous.post("/api/v1/predict/", sent | {"explain": True}).json()
    assert body["genres"][0]["probability"] == pytest.approx(plain["genres"][0]["probability"], abs=0.01)
    genres = body["explanation"]["genres"]
    assert genres
    for genre in genres:
        moved = sum(part["log_odds"] for part in genre["contributions"])
        odds = [math.log(p / (1 - p)) for p in (genre["prior"], genre["probability"])]
        assert odds[0] + moved == pytest.approx(odds[1], abs=0.02)
        assert len(genre["regions"]) == 24
