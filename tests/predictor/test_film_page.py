"""A film's page: its facts, and the model's answer beside TMDB's genres."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.template import Context, Template

from catalog.models import LabelChange
from predictor.panel import Outcome, film_panel
from tests.factories import make_film, make_poster, make_prediction, make_version
from tests.predictor.reading import page_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def version():
    return make_version(name="the-model")


def rows(panel) -> dict[str, str]:
    return {row.name: row.outcome.value for row in panel.rows}


# Where it is ------------------------------------------------------------------------------------------------


def test_a_wrong_slug_leads_to_the_right_address(client):
    film = make_film(title="The Dark Knight")
    response = client.get(f"/films/{film.pk}-the-bright-knight/")
    assert (response.status_code, response["Location"]) == (301, f"/films/{film.pk}-the-dark-knight/")
    assert client.get(f"/films/{film.pk}/")["Location"] == f"/films/{film.pk}-the-dark-knight/"


def test_a_title_without_a_letter_of_the_latin_alphabet_has_an_address_too(client):
    film = make_film(title="千と千尋の神隠し")
    assert client.get(film.get_absolute_url()).status_code == 200


@pytest.mark.parametrize("number", [987_654, 2**63, 10**30])
def test_an_unknown_id_is_not_found(client, number):
    response = client.get(f"/films/{number}-nothing/")
    assert response.status_code == 404
    assert b"Not in this catalog" in response.content


def test_it_is_read_only(client):
    film = make_film()
    assert client.post(film.get_absolute_url()).status_code == 405


# Facts ------------------------------------------------------------------------------------------------------


def test_it_shows_the_facts(client):
    film = make_film(
        title="La Haine",
        original_title="La Haine (original)",
        imdb_id="tt0113247",
        tmdb_id=406,
        overview="Twenty hours of three friends.",
        tagline="So far, so good.",
        release_date=dt.date(1995, 5, 31),
        runtime=98,
        original_language="fr",
        vote_average=8.1,
        vote_count=3421,
        genres=["Drama", "Crime"],
    )
    response = client.get(film.get_absolute_url())
    shown = page_text(response)
    for fact in (
        "La Haine 1995",
        "31 May 1995",
        "1 h 38 min",
        "French",
        "8.1 of 10, 3,421 votes",
        "So far, so good.",
    ):
        assert fact in shown
    assert "Twenty hours of three friends." in shown
    page = response.content.decode()
    assert 'href="https://www.themoviedb.org/movie/406"' in page
    assert 'href="https://www.imdb.com/title/tt0113247/"' in page
    assert ">Crime</a>" in page


def test_what_is_unknown_is_left_out(client):
    shown = page_text(client.get(make_film(overview="").get_absolute_url()))
    for label in ("Released", "Runtime", "Language", "Rating"):
        assert label not in shown
    assert "TMDB has no overview" in shown


def test_a_stored_text_cannot_become_markup(client):
    film = make_film(
        title="<script>alert(1)</script>", overview="<img src=x onerror=alert(1)>", imdb_id='"><b>'
    )
    page = client.get(film.get_absolute_url()).content.decode()
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "imdb.com" not in page


def test_the_poster_or_else_a_title_card(client):
    poster = make_poster()
    assert (
        poster.get_absolute_url() in client.get(make_film(poster=poster).get_absolute_url()).content.decode()
    )
    assert 'class="art__title"' in client.get(make_film().get_absolute_url()).content.decode()


def test_nothing_in_it_is_styled_or_scripted_inline(client, version):
    film = make_film(genres=["Drama"], poster=make_poster())
    make_prediction(film, version, probabilities={"Drama": 0.9})
    response = client.get(film.get_absolute_url())
    assert not re.search(rb'\sstyle="|\son\w+="|<style|javascript:', response.content)
    assert "unsafe" not in response["Content-Security-Policy"]


# The comparison -----------------------------------------------------------------------------------------------


def test_each_of_the_18_genres_has_its_outcome(version):
    film = make_film(genres=["Action", "Drama"])
    prediction = make_prediction(film, version, probabilities={"Action": 0.9, "Crime": 0.6, "Drama": 0.4})
    panel = film_panel(film, prediction)
    outcomes = rows(panel)
    assert len(outcomes) == 18
    assert {name: outcomes[name] for name in ("Action", "Crime", "Drama", "War")} == {
        "Action": "hit",
        "Crime": "extra",
        "Drama": "miss",
        "War": "rejection",
    }
    assert [row.name for row in panel.prominent] == ["Action", "Crime", "Drama"]
    assert {row.outcome for row in panel.rest} == {Outcome.REJECTION}


@pytest.mark.parametrize(
    ("genres", "probabilities", "verdict"),
    [
        (["Drama"], {"Drama": 0.8}, "Model and TMDB agree: Drama."),
        (["Drama", "War"], {"Drama": 0.8}, "Both say Drama; the model misses War."),
        (["Drama"], {"Drama": 0.8, "War": 0.7}, "Both say Drama; the model adds War."),
        (
            ["Drama", "Crime"],
            {"Drama": 0.8, "War": 0.7},
            "Both say Drama; the model misses Crime and adds War.",
        ),
        (["Comedy"], {"Horror": 0.7}, "Model and TMDB disagree: TMDB says Comedy, the model Horror."),
        (["Comedy"], {}, "TMDB says Comedy; the model is sure of no genre."),
        (
            [],
            {"Horror": 0.7, "War": 0.6},
            "TMDB lists no genre for this film. The model says Horror and War.",
        ),
        ([], {}, "TMDB lists no genre for this film. The model is sure of no genre."),
    ],
)
def test_the_verdict_says_it_in_a_sentence(client, version, genres, probabilities, verdict):
    film = make_film(genres=genres)
    make_prediction(film, version, probabilities=probabilities)
    assert verdict in page_text(client.get(film.get_absolute_url()))


def test_outcomes_are_told_in_words_and_shapes_not_only_colours(client, version):
    film = make_film(genres=["Action", "Drama"])
    make_prediction(film, version, probabilities={"Action": 0.9, "Crime": 0.6})
    shown = page_text(client.get(film.get_absolute_url()))
    assert re.search(r"Action 90 % \(says yes from 50 %\) 90 % yes yes ✓ Hit", shown)
    assert re.search(r"Crime 60 % \(says yes from 50 %\) 60 % no yes \+ Extra", shown)
    assert re.search(r"Drama 2 % \(says yes from 50 %\) 2 % yes no − Miss", shown)
    assert "15 genres that neither names" in shown


def test_overview_and_poster_alone_stand_beside_both_together(client, version):
    film = make_film(genres=["Drama"], poster=make_poster())
    alone = [0.02] * 18
    drama = version.label_ids.index(18)
    make_prediction(
        film,
        version,
        probabilities={"Drama": 0.9},
        overview_probabilities=[*alone[:drama], 0.71, *alone[drama + 1 :]],
        poster_probabilities=[*alone[:drama], 0.33, *alone[drama + 1 :]],
    )
    shown = page_text(client.get(film.get_absolute_url()))
    assert "Predicted from title, overview and poster" in shown
    assert "Drama 90 % (says yes from 50 %) 71 % 33 % yes yes ✓ Hit" in shown


def test_a_film_without_poster_says_what_it_was_predicted_from(client, version):
    film = make_film(genres=["Drama"])
    make_prediction(film, version)
    shown = page_text(client.get(film.get_absolute_url()))
    assert "Predicted from title and overview; the film has no poster the model could use" in shown
    assert "poster alone" not in shown


def test_a_poster_that_could_not_be_used_is_told(client, version):
    film = make_film(genres=["Drama"], poster=make_poster())
    make_prediction(film, version, inputs=["title", "overview"], poster_error="The image is truncated.")
    assert "The poster could not be used: The image is truncated." in page_text(
        client.get(film.get_absolute_url())
    )


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("train", "Agreement here proves nothing."),
        ("val", "Validation film"),
        ("test", "Test film"),
        ("", "Unseen film"),
    ],
)
def test_the_part_of_the_training_is_marked(client, version, part, words):
    film = make_film(genres=["Drama"])
    make_prediction(film, version, part=part)
    shown = page_text(client.get(film.get_absolute_url()))
    assert words in shown
    assert ("proves nothing" in shown) == (part == "train")


def test_a_film_that_changed_since_is_marked(client, version):
    film = make_film(genres=["Drama"])
    make_prediction(film, version, input_hash="of an older overview")
    assert "The film changed after this was predicted." in page_text(client.get(film.get_absolute_url()))


def test_without_a_prediction_it_says_so(client, version):
    shown = page_text(client.get(make_film(genres=["Drama"]).get_absolute_url()))
    assert "No prediction yet." in shown
    assert "the-model has not come to this film yet" in shown


def test_without_a_model_it_says_so(client):
    assert "There is no model yet." in page_text(client.get(make_film(genres=["Drama"]).get_absolute_url()))


def test_only_the_displayed_versions_prediction_is_shown(client, version):
    film = make_film(genres=["Drama"])
    make_prediction(film, make_version(name="another", displayed=False), probabilities={"War": 0.9})
    shown = page_text(client.get(film.get_absolute_url()))
    assert "No prediction yet." in shown


def test_a_probability_beside_its_threshold_is_not_rounded_onto_it(version):
    film = make_film(genres=["Drama"])
    panel = film_panel(film, make_prediction(film, version, probabilities={"Drama": 0.4962}))
    drama = next(row for row in panel.rows if row.name == "Drama")
    assert (drama.percent, drama.threshold_percent, drama.outcome) == ("49.6 %", "50.0 %", "miss")


def test_the_panel_is_a_tag_that_any_template_may_use(version):
    film = make_film(genres=["Drama"])
    make_prediction(film, version, probabilities={"Drama": 0.8})
    page = Template("{% load comparison %}{% comparison_panel film %}").render(Context({"film": film}))
    assert "Model and TMDB agree: Drama." in page


# What TMDB changed ----------------------------------------------------------------------------------------------


def test_changes_of_tmdbs_labels_are_told_newest_first(client):
    film = make_film(genres=["Drama"])
    day = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    LabelChange.objects.create(film=film, before=[], after=[18, 10752], changed_at=day)
    LabelChange.objects.create(
        film=film, before=[18, 10752], after=[18], changed_at=day + dt.timedelta(days=30)
    )
    text = page_text(client.get(film.get_absolute_url()))
    first = text.index("labels changed on 31 March 2026 : Drama, War → Drama")
    assert first < text.index("labels changed on 1 March 2026 : none → Drama, War")


def test_a_film_whose_labels_never_changed_tells_of_no_change(client):
    film = make_film(genres=["Drama"])
    assert "labels changed" not in page_text(client.get(film.get_absolute_url()))


def test_when_a_film_was_fetched_and_that_tmdb_has_it_no_longer_is_said(client):
    film = make_film(
        synced_at=dt.datetime(2026, 2, 3, tzinfo=dt.UTC),
        tmdb_deleted_at=dt.datetime(2026, 5, 6, tzinfo=dt.UTC),
    )
    text = page_text(client.get(film.get_absolute_url()))
    assert "Fetched from TMDB on 3 February 2026" in text
    assert "TMDB has had no such film since 6 May 2026" in text
    text = page_text(client.get(make_film().get_absolute_url()))
    assert "Fetched from TMDB" not in text
    assert "no such film" not in text


# Similar films, and what it all costs ---------------------------------------------------------------------------


def test_similar_films_are_linked(client, version):
    film, other = make_film(title="One"), make_film(title="Another")
    for each in (film, other):
        make_prediction(each, version)
    assert f'href="{other.get_absolute_url()}"' in client.get(film.get_absolute_url()).content.decode()


def test_it_takes_at_most_8_queries_logged_in(
    client, django_user_model, version, django_assert_max_num_queries
):
    film = make_film(genres=["Drama", "War"], poster=make_poster())
    make_prediction(film, version)
    for _ in range(5):
        make_prediction(make_film(poster=make_poster(), genres=["Crime"]), version)
    client.force_login(django_user_model.objects.create_user("ada"))
    with django_assert_max_num_queries(8):
        response = client.get(film.get_absolute_url())
    assert page_text(response).count("Film ") >= 5
