"""Why?: the page and the piece of it, what they show, and what they say where nobody answers."""

from __future__ import annotations

import re

import pytest

from ledger.workers import live_workers
from predictor.explaining import kept_explanation
from predictor.explanation_panel import contributions, explanation_panel
from predictor.models import ModelPointers
from tests.factories import make_explanation, make_film, make_poster, make_prediction, make_version
from tests.predictor.reading import page_text

pytestmark = pytest.mark.django_db
STORY = "A retired safecracker is talked into one last robbery by his daughter."


@pytest.fixture(autouse=True)
def _no_throttle(broker):
    """Nor anything kept from another test."""


@pytest.fixture
def version():
    return make_version(name="the-model")


@pytest.fixture
def film(version):
    film = make_film(title="Rififi", overview=STORY, genres=["Crime", "Drama"], poster=make_poster())
    make_prediction(film, version, probabilities={"Crime": 0.9, "Drama": 0.3, "Thriller": 0.6})
    return film


@pytest.fixture
def kept(film, version):
    make_explanation(
        film,
        version,
        probabilities={"Crime": 0.9, "Drama": 0.3, "Thriller": 0.6},
        words={
            "robbery": {"Crime": 2.0, "Drama": -0.9},
            "safecracker": {"Crime": 1.2},
            "daughter": {"Crime": -0.8, "Drama": 1.5},
            "last": {"Crime": 0.1},
        },
        cells={(0, 0): {"Crime": 0.6}, (5, 3): {"Crime": -0.4}, (2, 1): {"Crime": 0.01}},
        inputs={"texts": {"Crime": 3.0, "Drama": 1.0}, "poster": {"Crime": 1.0, "Drama": -0.5}},
    )
    return film


def why(client, film, **headers):
    return client.get(f"/films/{film.pk}-{film.slug}/why/", headers=headers)


def marks(page: str) -> list[tuple[str, str, str]]:
    return re.findall(r'<mark class="word word--(\w+) word--(\d)"[^>]*>([^<]+)</mark>', page)


# What is shown --------------------------------------------------------------------------------------------------


def test_each_genre_that_model_or_tmdb_names_is_explained(client, kept):
    shown = page_text(why(client, kept))
    assert "What spoke for Crime, Thriller and Drama, and what against" in shown
    assert "Crime ✓ Hit 90 % overview 75 %, poster 25 %" in shown
    assert "Drama − Miss 30 % overview 67 %, poster 33 % against" in shown
    assert "Share of all films 10 % Overview, 75 % +3.0 Poster, 25 % +1.0 The model says 90 %" in shown


def test_words_are_marked_in_the_text_by_what_they_did_and_how_strongly(client, kept):
    page = why(client, kept).content.decode()
    crime = page[page.index(">Crime<") : page.index(">Thriller<")]
    assert marks(crime) == [
        ("for", "2", "safecracker"),
        ("for", "3", "robbery"),
        ("against", "2", "daughter"),
    ]
    plain = re.sub(r"<[^>]+>", "", crime)
    assert f"Title: Rififi\n    Overview: {STORY}".replace("\n    ", "") in plain.replace("\n    \n    ", "")


def test_what_the_marks_say_is_said_in_words_too(client, kept):
    shown = page_text(why(client, kept))
    assert "robbery for +2.0 55 % safecracker for +1.2 73 % daughter against −0.8 95 %" in shown
    assert "top, left for +0.6 83 % bottom, right against −0.4 93 %" in shown


def test_regions_are_drawn_over_the_poster_without_inline_style(client, kept):
    response = why(client, kept)
    page = response.content.decode()
    cells = re.findall(r'heat__cell--(\w+) heat__cell--(\d)" transform="translate\((\d) (\d)\)"', page)
    assert cells == [("for", "3", "0", "0"), ("against", "2", "3", "5")]
    assert kept.poster.get_absolute_url() in page
    assert not re.search(r'\sstyle="|\son\w+="|<style', page)
    assert "unsafe" not in response["Content-Security-Policy"]


def test_to_htmx_it_is_the_piece_alone(client, kept):
    response = why(client, kept, HX_Request="true", HX_Target="why")
    page = response.content.decode()
    assert page.lstrip().startswith("<section")
    assert page.count('id="why"') == 1
    assert "<html" not in page
    assert "HX-Request" in response["Vary"]


def test_a_stored_text_cannot_become_markup(client, version):
    film = make_film(title="<script>x</script>", overview="<img src=x onerror=alert(1)> robbery")
    make_explanation(film, version, words={"robbery": {"Crime": 1.0}, "onerror": {"Crime": 2.0}})
    page = why(client, film).content.decode()
    assert "<img src=x" not in page
    assert "<script>x" not in page


def test_the_most_probable_genre_is_explained_where_none_is_named(client, version):
    film = make_film(overview=STORY)
    make_explanation(film, version, probabilities={"War": 0.4})
    shown = page_text(why(client, film))
    assert "What spoke for War, and what against" in shown
    assert "No single word moved it noticeably." in shown
    assert "overview 100 %" in shown


def test_an_explanation_of_nothing_says_so(version):
    film = make_film(overview="")
    answer = make_explanation(film, version)
    answer["prediction"]["inputs"] = []
    from predictor.explaining import _explanation

    panel = explanation_panel(film, _explanation(answer), version)
    assert panel.genres == ()
    assert contributions(_explanation(answer), 0) == ()


def test_it_is_of_the_film_as_it_is_now(film, kept, version):
    assert kept_explanation(film, version) is not None
    film.input_hash = "f" * 32
    assert kept_explanation(film, version) is None


# Where it is, and who asks ------------------------------------------------------------------------------------------


def test_a_films_page_links_to_it_and_asks_for_nothing_by_itself(client, film, django_assert_max_num_queries):
    with django_assert_max_num_queries(8):
        page = client.get(film.get_absolute_url()).content.decode()
    link = re.search(r'<a [^>]*href="([^"]+/why/)"[^>]*>Why does the model say so\?</a>', page)
    assert link
    assert 'rel="nofollow"' in link[0]
    assert 'hx-target="#why"' in link[0]


def test_a_film_without_a_prediction_has_no_link(client, version):
    assert "/why/" not in client.get(make_film().get_absolute_url()).content.decode()


def test_a_wrong_slug_leads_to_the_right_address(client, film):
    response = client.get(f"/films/{film.pk}-another/why/")
    assert (response.status_code, response["Location"]) == (301, f"/films/{film.pk}-rififi/why/")
    assert client.get("/films/987654-x/why/").status_code == 404
    assert client.post(f"/films/{film.pk}-rififi/why/").status_code == 405


@pytest.mark.parametrize("headers", [{}, {"HX_Request": "true", "HX_Target": "why"}])
def test_without_a_worker_it_says_so(client, film, headers):
    response = why(client, film, **headers)
    assert "No prediction worker is running." in page_text(response, status=503)
    assert int(response["Retry-After"]) > 0
    assert "Ask again" in response.content.decode()


def test_without_the_broker_it_says_so(client, film, settings):
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    assert "The message broker cannot be reached." in page_text(why(client, film), status=503)


def test_without_a_model_it_says_so(client):
    ModelPointers.objects.all().delete()
    assert "There is no model yet." in page_text(why(client, make_film()), status=404)


def test_who_asks_too_often_waits_but_what_is_kept_is_free(client, kept, version, settings):
    settings.PREDICT_RATE_ANONYMOUS = "2/min"
    assert [why(client, kept).status_code for _ in range(4)] == [200] * 4
    other = make_film()
    answers = [why(client, other) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 429]
    assert 0 < int(answers[-1]["Retry-After"]) <= 60
    assert why(client, kept).status_code == 200


def test_a_worker_explains_it(client, champion, start_worker, settings, eventually):
    settings.ONLINE_TIMEOUT_SECONDS = 120
    film = make_film(title="Rififi", overview=STORY, genres=["Crime"], poster=make_poster())
    start_worker("predict")
    eventually(lambda: live_workers(queue="predict"))
    first = why(client, film)
    assert "Crime" in page_text(first)
    assert STORY in re.sub(r"<[^>]+>", "", first.content.decode())
    assert why(client, film).content == first.content
