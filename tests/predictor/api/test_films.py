"""Films: filtered, paged, and with what the displayed version says of them."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from predictor.api.film_list import LIST_PARAMETERS
from predictor.browsing import PAGE_SIZE
from predictor.filter_form import FilterForm
from predictor.models import ModelPointers
from tests.factories import make_film, make_poster, make_prediction, make_version

pytestmark = pytest.mark.django_db
URL = "/api/v1/films/"


def titles(response):
    assert response.status_code == 200, response.content
    return [film["title"] for film in response.json()["results"]]


def test_the_list_goes_from_page_to_page_without_loss_or_repeat(anonymous):
    expected = [make_film(title=f"Film {n:03}", popularity=n).title for n in range(7)][::-1]
    found, following = [], f"{URL}?page_size=3"
    while following:
        response = anonymous.get(following)
        found += titles(response)
        following = response.json()["next"]
    assert found == expected


def test_the_next_address_keeps_filters_sort_and_page_size(anonymous):
    for year in (1990, 1991, 1992):
        make_film(title=f"Of {year}", release_date=f"{year}-06-01", genres=["Drama"])
    make_film(title="Elsewhere", release_date="1991-01-01", genres=["War"])
    first = anonymous.get(f"{URL}?genre=18&sort=newest&page_size=2")
    assert titles(first) == ["Of 1992", "Of 1991"]
    query = parse_qs(urlsplit(first.json()["next"]).query)
    assert query.keys() == {"genre", "sort", "page_size", "cursor"}
    assert titles(anonymous.get(first.json()["next"])) == ["Of 1990"]


def test_a_page_has_36_films_unless_told_otherwise(anonymous):
    for _ in range(PAGE_SIZE + 1):
        make_film()
    response = anonymous.get(URL)
    assert len(response.json()["results"]) == PAGE_SIZE
    assert response.json()["next"].startswith("http://testserver/api/v1/films/?cursor=")


def test_search_finds_by_title_and_overview(anonymous):
    make_film(title="Amélie", overview="A waitress in Montmartre does good by stealth.")
    make_film(title="Alien", overview="A crew meets something in deep space.")
    assert titles(anonymous.get(URL, {"q": "amelie"})) == ["Amélie"]
    assert titles(anonymous.get(URL, {"q": "space crew"})) == ["Alien"]


def test_adult_films_are_shown_only_when_asked_for(anonymous):
    make_film(title="For all")
    make_film(title="Adult", adult=True)
    assert titles(anonymous.get(URL)) == ["For all"]
    assert sorted(titles(anonymous.get(f"{URL}?adult=yes"))) == ["Adult", "For all"]


def test_films_carry_what_the_displayed_version_says(anonymous):
    film = make_film(genres=["Drama", "Crime"])
    version = make_version()
    make_prediction(film, version, probabilities={"Drama": 0.9, "War": 0.8})
    bare = make_film(popularity=0.5)
    first, second = anonymous.get(URL).json()["results"]
    assert first["prediction"] == {
        "version": version.pk,
        "predicted": [{"id": 18, "name": "Drama"}, {"id": 10752, "name": "War"}],
        "hits": [{"id": 18, "name": "Drama"}],
        "misses": [{"id": 80, "name": "Crime"}],
        "extras": [{"id": 10752, "name": "War"}],
        "surprise": pytest.approx(first["prediction"]["surprise"]),
        "part": "test",
    }
    assert first["prediction"]["surprise"] > 0
    assert second["id"] == bare.pk
    assert second["prediction"] is None
    assert anonymous.get(f"{URL}{film.pk}/").json()["prediction"] == first["prediction"]


def test_an_old_version_is_not_shown(anonymous):
    film = make_film(genres=["Drama"])
    make_prediction(film, make_version(), probabilities={"Drama": 0.9})
    make_version()
    assert anonymous.get(URL).json()["results"][0]["prediction"] is None
    assert anonymous.get(f"{URL}{film.pk}/").json()["prediction"] is None


def test_a_film_with_everything(anonymous):
    film = make_film(
        title="The Third Man",
        original_title="The Third Man",
        overview="A writer looks for a friend in Vienna.",
        tagline="Hunted by men",
        release_date="1949-08-31",
        runtime=104,
        original_language="en",
        imdb_id="tt0041959",
        genres=["Thriller", "Mystery"],
        poster=make_poster(),
    )
    body = anonymous.get(f"{URL}{film.pk}/").json()
    assert body["year"] == 1949
    assert body["release_date"] == "1949-08-31"
    assert [genre["name"] for genre in body["genres"]] == ["Mystery", "Thriller"]
    assert body["overview"] == film.overview
    assert body["url"] == f"http://testserver/films/{film.pk}-the-third-man/"
    assert body["poster"]["dominant_colour"] == "#c81e3c"
    poster = anonymous.get(body["poster"]["url"])
    assert poster.status_code == 200
    assert poster["Content-Type"] == "image/jpeg"


def test_a_film_without_date_or_poster_says_so(anonymous):
    film = make_film(release_date=None)
    body = anonymous.get(f"{URL}{film.pk}/").json()
    assert body["year"] is None
    assert body["release_date"] is None
    assert body["poster"] is None


@pytest.mark.parametrize("film_id", ["0", "999999999", "9" * 25])
@pytest.mark.parametrize("rest", ["", "prediction/", "similar/"])
def test_a_film_that_is_not_there_is_404(film_id, rest, anonymous, assert_problem):
    assert_problem(anonymous.get(f"{URL}{film_id}/{rest}"), 404)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("genre=1", "genre"),
        ("genre=18&genre=x", "genre"),
        ("genre=99999999999999999999", "genre"),
        ("match=some", "match"),
        ("predicted=0", "predicted"),
        ("agreement=perhaps", "agreement"),
        ("year_from=1066", "year_from"),
        ("year_from=2000&year_to=1990", "year_to"),
        ("year_to=99999999999999999999", "year_to"),
        ("language=english", "language"),
        ("language=e%00", "language"),
        ("rating=11", "rating"),
        ("rating=nan", "rating"),
        ("rating=inf", "rating"),
        ("poster=maybe", "poster"),
        ("prediction=1", "prediction"),
        ("adult=only", "adult"),
        ("sort=random", "sort"),
        ("q=%00", "q"),
        ("q=" + "a" * 201, "q"),
        ("page_size=0", "page_size"),
        ("page_size=101", "page_size"),
        ("page_size=1000000", "page_size"),
        ("page_size=-1", "page_size"),
        ("page_size=٣", "page_size"),
        ("page_size=", "page_size"),
        ("cursor=x", "cursor"),
        ("cursor=%00", "cursor"),
        ("offset=10", "offset"),
        ("genres=18", "genres"),
    ],
)
def test_a_value_out_of_range_is_named(query, field, anonymous, assert_problem):
    problem = assert_problem(anonymous.get(f"{URL}?{query}"), 400)
    assert set(problem["errors"]) == {field}


def test_all_that_is_wrong_is_named_at_once(anonymous, assert_problem):
    problem = assert_problem(anonymous.get(f"{URL}?rating=11&sort=random&nonsense=1"), 400)
    assert set(problem["errors"]) == {"rating", "sort", "nonsense"}


def test_the_schema_documents_the_filters_of_the_browse_page_and_no_others():
    documented = {parameter.name for parameter in LIST_PARAMETERS}
    assert documented == set(FilterForm.base_fields) | {"cursor", "page_size"}


def test_the_list_takes_at_most_five_queries(anonymous):
    version = make_version()
    for _ in range(5):
        make_prediction(make_film(genres=["Drama", "War"], poster=make_poster()), version)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        anonymous.get(f"{URL}?genre=18&q=somebody&sort=rating")
    assert len(queries) <= 5


def test_the_comparison_says_of_each_genre_how_it_came_out(anonymous):
    film = make_film(genres=["Drama", "Crime"], poster=make_poster())
    version = make_version()
    probabilities = {"Drama": 0.9, "Crime": 0.3, "War": 0.8}
    make_prediction(film, version, probabilities=probabilities, part="val", poster_probabilities=[0.25] * 18)
    body = anonymous.get(f"{URL}{film.pk}/prediction/").json()
    assert body["version"] == {"id": version.pk, "name": version.name, "sha256": version.sha256}
    assert (body["film"], body["part"], body["compared"], body["stale"]) == (film.pk, "val", True, False)
    assert body["inputs"] == ["title", "overview", "poster"]
    rows = {row["name"]: row for row in body["genres"]}
    assert len(rows) == 18
    assert [row["probability"] for row in body["genres"]] == sorted(
        (row["probability"] for row in body["genres"]), reverse=True
    )
    outcomes = {name: rows[name]["outcome"] for name in ("Drama", "Crime", "War", "Music")}
    assert outcomes == {"Drama": "hit", "Crime": "miss", "War": "extra", "Music": "correct_rejection"}
    drama = rows["Drama"]
    assert drama["probability"] == pytest.approx(0.9)
    assert drama["overview_probability"] == pytest.approx(0.9)
    assert drama["poster_probability"] == pytest.approx(0.25)
    assert (drama["threshold"], drama["predicted"], drama["labelled"]) == (0.5, True, True)


def test_without_labels_of_tmdb_nothing_is_compared(anonymous):
    film = make_film(genres=[])
    make_prediction(film, make_version(), probabilities={"Drama": 0.9})
    body = anonymous.get(f"{URL}{film.pk}/prediction/").json()
    assert body["compared"] is False
    assert body["surprise"] is None
    drama = body["genres"][0]
    assert (drama["name"], drama["predicted"]) == ("Drama", True)
    assert (drama["labelled"], drama["outcome"]) == (None, None)
    assert drama["poster_probability"] is None


def test_a_film_changed_since_is_marked(anonymous):
    film = make_film(genres=["Drama"])
    make_prediction(film, make_version(), input_hash="0" * 32)
    assert anonymous.get(f"{URL}{film.pk}/prediction/").json()["stale"] is True


def test_what_is_missing_for_a_comparison_is_told_apart(anonymous, assert_problem):
    film = make_film()
    assert assert_problem(anonymous.get(f"{URL}{film.pk}/prediction/"), 404)["code"] == "no_model"
    make_version()
    assert assert_problem(anonymous.get(f"{URL}{film.pk}/prediction/"), 404)["code"] == "no_prediction"
    assert assert_problem(anonymous.get(f"{URL}{film.pk}/similar/"), 404)["code"] == "no_prediction"


def test_similar_films_come_nearest_first(anonymous):
    version = make_version()
    films = [make_film(title=f"Angle {n}") for n in range(4)]
    for n, film in enumerate(films):
        make_prediction(film, version, embedding=[1.0, n / 10, *[0.0] * 254], probabilities={"Drama": 0.9})
    hidden = make_film(adult=True)
    make_prediction(hidden, version, embedding=[1.0, *[0.0] * 255])
    answer = anonymous.get(f"{URL}{films[0].pk}/similar/")
    assert [film["title"] for film in answer.json()] == ["Angle 1", "Angle 2", "Angle 3"]
    assert answer.json()[0]["prediction"]["predicted"] == [{"id": 18, "name": "Drama"}]


def test_genres_come_with_the_number_of_their_films(anonymous, broker):
    make_film(genres=["Drama", "War"])
    make_film(genres=["Drama"])
    make_film(genres=["Drama"], adult=True)
    made_for_tv = make_film()
    made_for_tv.genres.add(10770)
    genres = {genre["name"]: genre for genre in anonymous.get("/api/v1/genres/").json()}
    assert len(genres) == 19
    assert genres["Drama"] == {"id": 18, "name": "Drama", "is_label": True, "films": 2}
    assert genres["War"]["films"] == 1
    assert genres["Music"]["films"] == 0
    assert genres["TV Movie"] == {"id": 10770, "name": "TV Movie", "is_label": False, "films": 1}


def test_models_say_which_answers_and_which_is_shown(anonymous, assert_problem):
    measured = {"test": {"overview": {"macro_roc_auc": 0.94, "films": 100, "genres": [{"name": "Drama"}]}}}
    shown = make_version(metrics=measured)
    champion = make_version(displayed=False)
    other = make_version(displayed=False)
    ModelPointers.objects.update(champion=champion)
    models = {model["id"]: model for model in anonymous.get("/api/v1/models/").json()}
    roles = {pk: (model["champion"], model["displayed"]) for pk, model in models.items()}
    assert roles == {shown.pk: (False, True), champion.pk: (True, False), other.pk: (False, False)}
    one = anonymous.get(f"/api/v1/models/{shown.pk}/").json()
    assert one == models[shown.pk] | {"metrics": measured}
    assert one["test_scores"] == {"overview": {"macro_roc_auc": 0.94, "films": 100}}
    assert models[other.pk]["test_scores"] == {}
    assert len(one["labels"]) == 18
    assert "folder" not in one
    assert_problem(anonymous.get("/api/v1/models/999999/"), 404)
