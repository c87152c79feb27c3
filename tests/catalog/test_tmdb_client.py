"""TMDB's client against its stand-in: typed answers, and for everything that goes wrong an error that says so (promise 9)."""

from __future__ import annotations

import logging
import os
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from catalog.tmdb import client, rate, transport
from catalog.tmdb.errors import (
    TmdbAnswerError,
    TmdbBusyError,
    TmdbError,
    TmdbKeyRefusedError,
    TmdbNotConfiguredError,
    TmdbNotFoundError,
    TmdbRefusedError,
    TmdbUnavailableError,
)
from tests.tmdb_stand_in import StandIn, Translation

pytestmark = pytest.mark.usefixtures("broker", "quick")


@pytest.fixture
def quick(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience is tested elsewhere: here tries follow each other at once, and a slow answer is one of half a second."""
    settings.TMDB_REQUESTS_PER_SECOND = 1000.0
    monkeypatch.setattr(transport, "_BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(transport, "READ_SECONDS", 0.5)
    cache.clear()


def a_film(tmdb: StandIn, **facts: Any) -> int:
    """A film of the stand-in that has everything, with those facts."""
    film_id = next(
        i
        for i in tmdb.film_ids
        if tmdb.film(i).poster_path and tmdb.film(i).overview and tmdb.film(i).genre_ids
    )
    tmdb.change(film_id, **facts)
    return film_id


def test_a_film_is_one_request_and_comes_with_all_that_the_catalog_keeps(tmdb: StandIn) -> None:
    film_id = a_film(tmdb)
    invented = tmdb.film(film_id)
    found = client.film(film_id)
    record = found.record
    assert found.notes == ()
    assert (record.tmdb_id, record.title, record.imdb_id) == (film_id, invented.title, invented.imdb_id or "")
    assert (record.overview, record.tagline) == (invented.overview, invented.tagline)
    assert record.genre_ids == invented.genre_ids
    assert len(record.genre_names) == len(record.genre_ids)
    assert str(record.release_date) == invented.release_date
    assert record.poster_path == invented.poster_path
    assert (record.vote_average, record.vote_count) == (invented.vote_average, invented.vote_count)
    (request,) = tmdb.requests()
    assert request.path == f"/movie/{film_id}"
    assert request.query["append_to_response"] == ""
    assert request.query["language"] == "en-US"


def test_another_language_falls_back_to_the_english_overview_of_the_same_answer(
    tmdb: StandIn, settings: Any
) -> None:
    settings.TMDB_LANGUAGE = "de-DE"
    film_id = a_film(tmdb, translations={"de": Translation(title="Der Fall", overview="", tagline="")})
    record = client.film(film_id).record
    assert (record.title, record.overview) == ("Der Fall", tmdb.film(film_id).overview)
    (request,) = tmdb.requests()
    assert (request.query["language"], request.query["append_to_response"]) == ("de-DE", "translations")


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ("unauthorized", TmdbKeyRefusedError, "refuses the key: Invalid API key"),
        ("not-found", TmdbNotFoundError, "no such film"),
        ("rate-limited", TmdbBusyError, "slow down"),
        ("rate-limited-without-retry-after", TmdbBusyError, "slow down"),
        ("server-error", TmdbUnavailableError, "status 500"),
        ("slow", TmdbUnavailableError, "in time"),
        ("closes", TmdbUnavailableError, "could not be reached"),
        ("html", TmdbAnswerError, "no JSON, or cut short (text/html)"),
        ("truncated", TmdbAnswerError, "no JSON, or cut short"),
        ("cut-off", TmdbUnavailableError, "could not be reached"),
        ("missing-fields", TmdbAnswerError, "no title"),
        ("wrong-types", TmdbAnswerError, "title is no text: 12345"),
    ],
)
def test_each_fault_that_stays_is_an_error_that_says_what_was_wrong(
    tmdb: StandIn, monkeypatch: pytest.MonkeyPatch, fault: str, error: type[TmdbError], said: str
) -> None:
    monkeypatch.setattr(transport, "BUSY_TRIES", 2)
    film_id = a_film(tmdb)
    tmdb.fault(film_id, fault)
    with pytest.raises(error) as raised:
        client.film(film_id)
    assert said in str(raised.value)
    assert type(raised.value).code in {
        "unauthorized", "not-found", "rate-limited", "unavailable", "bad-answer"
    }  # fmt: skip


@pytest.mark.parametrize(
    "fault",
    ["rate-limited", "rate-limited-without-retry-after", "server-error", "slow", "closes", "html", "cut-off"],
)
def test_a_fault_that_passes_is_got_over(tmdb: StandIn, fault: str) -> None:
    film_id = a_film(tmdb)
    tmdb.fault(film_id, fault, times=2, retry_after=0)
    assert client.film(film_id).record.title == tmdb.film(film_id).title
    assert tmdb.count(f"/movie/{film_id}") == 3


@pytest.mark.parametrize("fault", ["unauthorized", "not-found", "missing-fields"])
def test_what_another_try_would_not_mend_is_asked_once(tmdb: StandIn, fault: str) -> None:
    film_id = a_film(tmdb)
    tmdb.fault(film_id, fault)
    with pytest.raises(TmdbError):
        client.film(film_id)
    assert tmdb.count() == 1


def test_genres_that_are_no_list_leave_the_film_whole_and_are_noted(tmdb: StandIn) -> None:
    film_id = a_film(tmdb)
    tmdb.fault(film_id, "null-genres")
    found = client.film(film_id)
    assert (found.record.title, found.record.genre_ids) == (tmdb.film(film_id).title, ())
    assert [(note.code, note.value_only) for note in found.notes] == [("value-genres", True)]


def test_values_that_cannot_be_are_left_out_each_with_a_note(tmdb: StandIn) -> None:
    film_id = a_film(tmdb, imdb_id="nm1", vote_average=11.0, poster_path="/../../etc/passwd")
    found = client.film(film_id)
    assert (found.record.imdb_id, found.record.vote_average, found.record.poster_path) == ("", None, "")
    assert {note.code for note in found.notes} == {"value-imdb-id", "value-vote-average", "value-poster-path"}


def test_retry_after_holds_up_everybody(tmdb: StandIn) -> None:
    one, other = tmdb.film_ids[:2]
    tmdb.fault(one, "rate-limited", times=1, retry_after=2)
    client.film(one)
    client.film(other)
    first, *later = [request.at for request in tmdb.requests()]
    assert min(later) - first >= 2.0


def test_a_film_that_is_refused_for_ever_does_not_hold_up_the_others(
    tmdb: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 without Retry-After: everybody waits, until it shows that others are answered."""
    blocked: list[float] = []
    monkeypatch.setattr(rate, "block", blocked.append)
    one, other = tmdb.film_ids[:2]
    tmdb.fault(one, "rate-limited-without-retry-after")
    with pytest.raises(TmdbBusyError):
        client.film(one)
    assert len(blocked) == transport.BUSY_TRIES - 1
    blocked.clear()
    answered = threading.Event()

    def answer_another(seconds: float) -> None:
        blocked.append(seconds)
        if not answered.is_set():
            answered.set()
            client.film(other)

    monkeypatch.setattr(rate, "block", answer_another)
    with pytest.raises(TmdbBusyError):
        client.film(one)
    assert len(blocked) == 1


def test_lists_are_pages_of_ids(tmdb: StandIn) -> None:
    page = client.listed("popular")
    assert (page.number, page.films, page.pages, len(page.ids)) == (1, 100, 5, 20)
    assert set(client.listed("popular", page=5).ids).isdisjoint(page.ids)
    film = tmdb.film(tmdb.film_ids[0])
    assert film.id in client.search(film.title).ids
    genre = film.genre_ids[0]
    found = client.discover({"with_genres": genre, "sort_by": "popularity.desc"})
    assert found.ids
    assert all(genre in tmdb.film(film_id).genre_ids for film_id in found.ids)


def test_a_page_that_tmdb_does_not_give_out_is_refused_in_its_words(tmdb: StandIn) -> None:
    with pytest.raises(TmdbRefusedError, match="status 400: Invalid page"):
        client.discover({}, page=501)


def test_imdb_ids_are_found(tmdb: StandIn) -> None:
    film_id = a_film(tmdb, imdb_id="tt7654321")
    assert client.find_imdb("tt7654321") == film_id
    assert client.find_imdb("tt0000001") is None


def test_changes_name_the_films_of_those_days(tmdb: StandIn) -> None:
    today = timezone.now().date()
    one, other = tmdb.film_ids[:2]
    tmdb.change(one, title="Now")
    tmdb.change(other, title="Long ago", on=today - timedelta(days=9))
    assert client.changes(first=today, last=today).ids == (one,)
    assert set(client.changes(first=today - timedelta(days=13), last=today).ids) == {one, other}


def test_poster_sizes_are_asked_for_once(tmdb: StandIn) -> None:
    assert "w342" in client.poster_sizes()
    assert client.poster_sizes() == client.poster_sizes()
    assert tmdb.count("/configuration") == 1


def test_without_a_key_nothing_is_asked(tmdb: StandIn, settings: Any) -> None:
    settings.TMDB_API_KEY = ""
    with pytest.raises(TmdbNotConfiguredError, match="TMDB_API_KEY"):
        client.film(1)
    assert tmdb.count() == 0


def test_a_read_access_token_travels_in_a_header(settings: Any) -> None:
    with StandIn(key="header.payload.signature") as tmdb:
        for name, value in tmdb.settings().items():
            setattr(settings, name, value)
        client.film(tmdb.film_ids[0])
        (request,) = tmdb.requests()
        assert request.key_by == "header"
        assert "api_key" not in request.query


@pytest.mark.parametrize("fault", ["unauthorized", "closes", "cut-off", "slow", "html", "server-error"])
def test_the_key_is_in_no_error_and_no_log(
    tmdb: StandIn, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    film_id = a_film(tmdb)
    tmdb.fault(film_id, fault)
    with caplog.at_level(logging.DEBUG), pytest.raises(TmdbError) as raised:
        client.film(film_id)
    error: BaseException | None = raised.value
    while error is not None:
        assert tmdb.key not in f"{error} {error.args!r}"
        error = error.__cause__
    assert tmdb.key not in caplog.text


def test_the_process_environment_is_left_alone(tmdb: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("page", "total_pages", "total_results"):
        monkeypatch.delenv(name, raising=False)
    before = {name: value for name, value in os.environ.items() if name != "TMDB_LANGUAGE"}
    client.listed("popular")
    client.film(tmdb.film_ids[0])
    assert {name: value for name, value in os.environ.items() if name != "TMDB_LANGUAGE"} == before


def test_every_request_takes_a_slot_of_the_common_rate(
    tmdb: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    monkeypatch.setattr(rate, "acquire", lambda **_: taken.append(1))
    tmdb.fault(tmdb.film_ids[0], "html", times=2)
    client.film(tmdb.film_ids[0])
    assert len(taken) == tmdb.count() == 3
