"""Imports from TMDB's stand-in, from the request to films and posters in the catalog."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.utils import timezone

from catalog.models import Film, ImportBatch, ImportRun, LabelChange, Poster
from catalog.tmdb import listing, rate, runs, transport
from catalog.tmdb.asking import ImportRequest, RequestError, parse_ids
from catalog.tmdb.errors import TmdbNotConfiguredError
from ledger.models import WorkChunk
from ledger.tasks import work
from predictor import inference
from tests.factories import make_film, make_prediction, make_version
from tests.tmdb_stand_in import API_FAULTS, POSTER_FAULTS, StandIn

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker", "quick")]


@pytest.fixture
def quick(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience is tested elsewhere: here tries follow each other at once, and a slow answer is one of half a second."""
    settings.TMDB_REQUESTS_PER_SECOND = 1000.0
    monkeypatch.setattr(transport, "_BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(transport, "READ_SECONDS", 0.5)
    monkeypatch.setattr(transport, "BUSY_TRIES", 2)
    monkeypatch.setattr("catalog.tmdb.images.READ_SECONDS", 0.5)
    cache.clear()


def run_import(**request: Any) -> ImportRun:
    """An import from its start to its end, the worker's part done here."""
    return work_on(runs.start(ImportRequest(**request)))


def work_on(run: ImportRun) -> ImportRun:
    work(runs.LIST)
    work(runs.FETCH)
    run.refresh_from_db()
    return run


def with_poster(tmdb: StandIn, number: int = 0) -> int:
    return [i for i in tmdb.film_ids if tmdb.film(i).poster_path and tmdb.film(i).genre_ids][number]


def reasons(run: ImportRun) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for rejection in run.rejections.all():
        found.setdefault(rejection.record, []).append(rejection.code)
    return found


def test_films_come_with_texts_genres_and_posters(tmdb: StandIn) -> None:
    ids = tmdb.film_ids[:30]
    run = run_import(what="ids", tmdb_ids=tuple(ids))
    assert (run.state, run.reason, run.total, run.read, run.created) == ("done", "", 30, 30, 30)
    assert run.rejections.count() == run.rejected == 0
    for film in Film.objects.prefetch_related("genres"):
        invented = tmdb.film(film.tmdb_id)
        assert (film.title, film.overview) == (invented.title, invented.overview)
        assert {genre.id for genre in film.genres.all()} == set(invented.genre_ids)
        assert film.from_api_alone
        assert timezone.now() - film.synced_at < timedelta(minutes=1)
        assert bool(film.poster) == bool(invented.poster_path)
    assert run.posters_stored == sum(bool(tmdb.film(i).poster_path) for i in ids)
    poster = Poster.objects.first()
    assert default_storage.size(poster.file.name) == poster.size
    assert poster.width == 342
    assert not ImportBatch.objects.exists()


def test_a_film_is_one_request_and_each_poster_another(tmdb: StandIn) -> None:
    run_import(what="ids", tmdb_ids=tuple(tmdb.film_ids[:20]))
    assert tmdb.count("/movie/*") == 20
    assert tmdb.count() == 21  # and one for the sizes of posters
    assert len(tmdb.requests("image")) == Film.objects.exclude(poster=None).count()


def test_importing_again_changes_nothing_and_fetches_no_poster_again(tmdb: StandIn) -> None:
    request = {"what": "ids", "tmdb_ids": tuple(tmdb.film_ids[:20])}
    run_import(**request)
    hashes = set(Film.objects.values_list("tmdb_id", "input_hash"))
    images = len(tmdb.requests("image"))
    run = run_import(**request)
    assert (run.created, run.updated, run.unchanged, run.posters_stored) == (0, 0, 20, 0)
    assert len(tmdb.requests("image")) == images
    assert set(Film.objects.values_list("tmdb_id", "input_hash")) == hashes


def test_a_poster_that_changed_at_tmdb_is_fetched_and_one_picture_is_stored_once(tmdb: StandIn) -> None:
    one, other = with_poster(tmdb, 0), with_poster(tmdb, 1)
    run_import(what="ids", tmdb_ids=(one, other))
    tmdb.change(one, poster_path=tmdb.film(other).poster_path)
    run = run_import(what="ids", tmdb_ids=(one, other))
    posters = Film.objects.filter(tmdb_id__in=(one, other)).values_list("poster_id", flat=True)
    assert len(set(posters)) == 1
    assert (run.posters_stored, run.updated) == (1, 1)


@pytest.mark.parametrize("fault", sorted(set(API_FAULTS) - {"null-genres"}))
def test_a_film_that_cannot_be_fetched_is_listed_with_its_reason_and_the_rest_is_imported(
    tmdb: StandIn, fault: str
) -> None:
    """Promise 9."""
    bad, *good = tmdb.film_ids[:12]
    tmdb.fault(bad, fault, retry_after=0)
    run = run_import(what="ids", tmdb_ids=(bad, *good))
    assert (run.state, run.read, run.created, run.rejected) == ("done", 12, 11, 1)
    assert list(reasons(run)) == [str(bad)]
    (rejection,) = run.rejections.all()
    assert rejection.code in {"unauthorized", "not-found", "rate-limited", "unavailable", "bad-answer"}
    assert tmdb.key not in rejection.reason


@pytest.mark.parametrize("fault", sorted(POSTER_FAULTS))
def test_a_poster_that_is_none_is_listed_with_its_reason_and_its_film_is_imported(
    tmdb: StandIn, fault: str
) -> None:
    """Promises 9, 11 and 12."""
    film_id = with_poster(tmdb)
    tmdb.fault(film_id, fault)
    run = run_import(what="ids", tmdb_ids=(film_id,))
    assert (run.state, run.created, run.rejected, run.posters_stored) == ("done", 1, 0, 0)
    film = Film.objects.get(tmdb_id=film_id)
    assert (film.poster, film.poster_path) == (None, "")
    codes = {
        "poster-missing": "poster-missing",
        "poster-server-error": "poster-unavailable",
        "poster-slow": "poster-unavailable",
        "poster-html": "poster-format",
        "poster-truncated": "poster-truncated",
        "poster-cut-off": "poster-unavailable",
        "poster-empty": "poster-empty",
        "poster-enormous": "poster-too-large",
        "poster-enormous-declared": "poster-too-large",
        "poster-bomb": "poster-pixels",
        "poster-gif": "poster-format",
        "poster-redirect": "poster-refused",
    }
    if (
        fault != "poster-lying-length"
    ):  # half of a poster with a length to fit: cut short, wherever that is noticed
        assert reasons(run) == {str(film_id): [codes[fault]]}
    assert tmdb.requests("elsewhere") == []
    tmdb.heal(film_id)
    run = work_on(runs.retry_failed(run))
    film.refresh_from_db()
    assert film.poster is not None
    assert film.poster_path == tmdb.film(film_id).poster_path


def test_what_failed_is_tried_again_and_nothing_else(tmdb: StandIn) -> None:
    gone, broken, sound = tmdb.film_ids[:3]
    tmdb.fault(gone, "not-found")
    tmdb.fault(broken, "html")
    run = run_import(what="ids", tmdb_ids=(gone, broken, sound))
    assert set(reasons(run)) == {str(gone), str(broken)}
    tmdb.heal(broken)
    again = work_on(runs.retry_failed(run))
    assert (again.total, again.created, again.options["retry_of"]) == (1, 1, run.pk)
    assert not runs.can_retry(again)
    with pytest.raises(runs.NothingToRetryError):
        runs.retry_failed(again)


def test_a_key_that_tmdb_refuses_ends_the_run_at_once(tmdb: StandIn) -> None:
    tmdb.reject_key()
    run = run_import(what="ids", tmdb_ids=tuple(tmdb.film_ids))
    assert run.state == "failed"
    assert "refuses the key" in run.reason
    assert tmdb.count() == 1
    assert runs.can_retry(run)  # which is what shows the button
    tmdb.accept_key()
    again = work_on(runs.retry_failed(run))
    assert (again.state, again.created) == ("done", 100)


def test_a_key_that_is_refused_midway_ends_the_run_and_keeps_what_came(tmdb: StandIn) -> None:
    run = runs.start(ImportRequest(what="ids", tmdb_ids=tuple(tmdb.film_ids[:40])))
    work(runs.LIST)
    tmdb.reject_key()
    work(runs.FETCH)
    run.refresh_from_db()
    assert (run.state, run.created) == ("failed", 0)
    assert "refuses the key" in run.reason
    assert tmdb.count() < 30  # not every film was asked for
    assert set(WorkChunk.objects.filter(kind=runs.FETCH).values_list("state", flat=True)) == {"cancelled"}


def test_tmdb_away_for_a_while_is_waited_for_and_every_film_comes(
    tmdb: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.tmdb.fetching._DOWN_SECONDS", 0.5)
    run = runs.start(ImportRequest(what="ids", tmdb_ids=tuple(tmdb.film_ids[:20]), posters=False))
    work(runs.LIST)
    tmdb.down()
    blocked = []
    real = rate.block

    def up_after_the_first(seconds: float) -> None:
        blocked.append(seconds)
        tmdb.up()
        real(seconds)

    monkeypatch.setattr(rate, "block", up_after_the_first)
    work(runs.FETCH)
    run.refresh_from_db()
    assert (run.state, run.created, run.rejected) == ("done", 20, 0)
    assert blocked


def test_tmdb_away_for_good_leaves_each_film_listed(tmdb: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.tmdb.fetching._DOWN_SECONDS", 0.05)
    run = runs.start(ImportRequest(what="ids", tmdb_ids=tuple(tmdb.film_ids[:20]), posters=False))
    work(runs.LIST)
    tmdb.down(refuse=False)
    work(runs.FETCH)
    run.refresh_from_db()
    assert (run.state, run.read, run.rejected) == ("done", 20, 20)
    assert {code for codes in reasons(run).values() for code in codes} == {"unavailable"}
    tmdb.up()
    assert work_on(runs.retry_failed(run)).created == 20


def test_a_film_that_tmdb_deleted_is_marked_and_kept(tmdb: StandIn) -> None:
    film_id = tmdb.film_ids[0]
    run_import(what="ids", tmdb_ids=(film_id,))
    tmdb.delete(film_id)
    run = run_import(what="ids", tmdb_ids=(film_id,))
    film = Film.objects.get(tmdb_id=film_id)
    assert film.tmdb_deleted_at is not None
    assert reasons(run) == {str(film_id): ["not-found"]}
    first = film.tmdb_deleted_at
    run_import(what="ids", tmdb_ids=(film_id,))
    film.refresh_from_db()
    assert film.tmdb_deleted_at == first


def test_labels_that_change_are_history_and_the_film_is_not_predicted_anew_for_that(tmdb: StandIn) -> None:
    film_id = tmdb.film_ids[0]
    tmdb.change(film_id, genres=[18, 10770])
    run_import(what="ids", tmdb_ids=(film_id,), posters=False)
    before = Film.objects.get(tmdb_id=film_id)
    tmdb.change(film_id, genres=[35, 80])
    run_import(what="ids", tmdb_ids=(film_id,), posters=False)
    (change,) = LabelChange.objects.all()
    assert (change.film_id, change.before, change.after) == (before.pk, [18], [35, 80])
    after = Film.objects.get(tmdb_id=film_id)
    assert (after.label_ids, after.input_hash) == ([35, 80], before.input_hash)


def test_new_and_changed_films_are_found_by_the_prediction_that_follows(tmdb: StandIn) -> None:
    film_id = tmdb.film_ids[0]
    run_import(what="ids", tmdb_ids=(film_id,), posters=False)
    version = make_version()
    assert inference.any_lacking(version)
    make_prediction(Film.objects.get(), version)
    assert not inference.any_lacking(version)
    tmdb.change(film_id, overview="Everything is different now.")
    run_import(what="ids", tmdb_ids=(film_id,), posters=False)
    assert inference.any_lacking(version)


def test_a_film_that_a_file_named_is_not_the_apis_alone(tmdb: StandIn) -> None:
    film_id = tmdb.film_ids[0]
    make_film(tmdb_id=film_id, title="From a file")
    run_import(what="ids", tmdb_ids=(film_id,), posters=False)
    film = Film.objects.get(tmdb_id=film_id)
    assert (film.title, film.from_api_alone) == (tmdb.film(film_id).title, False)
    assert film.synced_at is not None


def test_without_posters_no_poster_is_asked_for(tmdb: StandIn) -> None:
    run_import(what="ids", tmdb_ids=tuple(tmdb.film_ids[:10]), posters=False)
    assert tmdb.requests("image") == []


def test_a_size_that_tmdb_does_not_have_ends_the_run_with_those_that_it_has(
    tmdb: StandIn, settings: Any
) -> None:
    settings.TMDB_POSTER_SIZE = "w300"
    run = run_import(what="ids", tmdb_ids=(tmdb.film_ids[0],))
    assert run.state == "failed"
    assert "w342" in run.reason


# Which films ----------------------------------------------------------------------------------------------


def test_a_search_imports_what_it_finds(tmdb: StandIn) -> None:
    title = tmdb.film(tmdb.film_ids[3]).title
    run = run_import(what="search", query=title, posters=False)
    assert Film.objects.filter(title=title).exists()
    assert run.total == Film.objects.count()


def test_a_list_of_tmdbs_is_taken_in_its_order_and_no_further_than_asked(tmdb: StandIn) -> None:
    run = run_import(what="list", list_name="popular", most=25, posters=False)
    assert run.created == 25
    assert tmdb.count("/movie/popular") == 2
    best = sorted(tmdb.film_ids, key=lambda i: -tmdb.film(i).popularity)[:25]
    assert set(Film.objects.values_list("tmdb_id", flat=True)) == set(best)


def test_discover_takes_the_films_that_meet_all_conditions(tmdb: StandIn) -> None:
    run_import(what="discover", genres=(18,), year_from=1970, year_to=2005, posters=False)
    wanted = {
        i
        for i in tmdb.film_ids
        if 18 in tmdb.film(i).genre_ids
        and "1970" <= (tmdb.film(i).release_date or "")[:4] <= "2005"
        and not tmdb.film(i).adult
    }
    assert wanted
    assert set(Film.objects.values_list("tmdb_id", flat=True)) == wanted


def test_more_films_than_tmdb_gives_out_are_asked_for_in_stretches_of_days(
    tmdb: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TMDB gives out 500 pages of 20; here 2, so that 100 films are too many."""
    monkeypatch.setattr(listing.client, "MOST_PAGES", 2)
    run_import(what="discover", year_from=1900, year_to=timezone.now().year + 5, posters=False)
    dated = {i for i in tmdb.film_ids if tmdb.film(i).release_date and not tmdb.film(i).adult}
    assert len(dated) > 40
    assert set(Film.objects.values_list("tmdb_id", flat=True)) == dated
    assert max(int(r.query["page"]) for r in tmdb.requests() if r.path == "/discover/movie") <= 2


def test_the_daily_export_has_all_films_but_adult_ones_and_videos(tmdb: StandIn) -> None:
    least = sorted(tmdb.film(i).popularity for i in tmdb.film_ids)[50]
    run = run_import(what="export", min_popularity=least, posters=False)
    wanted = {i for i in tmdb.film_ids if tmdb.film(i).popularity >= least and not tmdb.film(i).adult}
    assert set(Film.objects.values_list("tmdb_id", flat=True)) == wanted
    assert run.total == len(wanted)


def test_imdb_ids_are_found_and_those_unknown_are_listed(tmdb: StandIn) -> None:
    film_id = tmdb.film_ids[0]
    tmdb.change(film_id, imdb_id="tt7654321")
    run = run_import(what="ids", imdb_ids=("tt7654321", "tt0000404"), posters=False)
    assert (run.total, run.created, run.rejected, run.read) == (2, 1, 1, 2)
    assert reasons(run) == {"tt0000404": ["not-found"]}


def test_films_that_the_catalog_has_are_skipped_on_request(tmdb: StandIn) -> None:
    run_import(what="ids", tmdb_ids=tuple(tmdb.film_ids[:10]), posters=False)
    run = run_import(what="list", list_name="popular", most=30, skip_known=True, posters=False)
    assert (run.created, Film.objects.count()) == (30, 40)


def test_nothing_found_is_done(tmdb: StandIn) -> None:
    run = run_import(what="search", query="no film has this title at all")
    assert (run.state, run.total) == ("done", 0)


@pytest.mark.parametrize(
    ("request_", "films", "requests"),
    [
        ({"what": "ids", "tmdb_ids": (1, 2, 3), "imdb_ids": ("tt0000001",)}, 4, 5),
        ({"what": "list", "list_name": "popular"}, 100, 105),
        ({"what": "list", "list_name": "popular", "most": 30}, 30, 32),
        ({"what": "export"}, None, None),
        ({"what": "export", "most": 1000}, 1000, 1000),
    ],
)
def test_what_an_import_will_cost_is_told_before(
    tmdb: StandIn, settings: Any, request_: dict[str, Any], films: int | None, requests: int | None
) -> None:
    settings.TMDB_REQUESTS_PER_SECOND = 40.0
    found = runs.estimate(ImportRequest(**request_))
    assert (found.films, found.requests) == (films, requests)
    assert found.seconds is None if requests is None else found.seconds == pytest.approx(requests / 38.8)
    assert tmdb.count() <= 1


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("what", {"what": "everything"}),
        ("ids", {"what": "ids"}),
        ("ids", {"what": "ids", "tmdb_ids": (0,)}),
        ("ids", {"what": "ids", "imdb_ids": ("nm0000001",)}),
        ("query", {"what": "search", "query": " "}),
        ("year", {"what": "search", "query": "x", "year": 1500}),
        ("genres", {"what": "discover", "genres": (1,)}),
        ("year_to", {"what": "discover", "year_from": 2000, "year_to": 1999}),
        ("language", {"what": "discover", "language": "German"}),
        ("min_votes", {"what": "discover", "min_votes": -1}),
        ("sort", {"what": "discover", "sort": "title"}),
        ("list_name", {"what": "list", "list_name": "worst"}),
        ("min_popularity", {"what": "export", "min_popularity": -1.0}),
        ("most", {"what": "export", "most": 0}),
    ],
)
def test_what_cannot_be_asked_is_refused_by_field_before_anything_is_planned(
    tmdb: StandIn, field: str, request_: dict[str, Any]
) -> None:
    with pytest.raises(RequestError) as refused:
        runs.start(ImportRequest(**request_))
    assert refused.value.field == field
    assert not ImportRun.objects.exists()


def test_without_a_key_no_import_is_planned(settings: Any) -> None:
    settings.TMDB_API_KEY = ""
    with pytest.raises(TmdbNotConfiguredError, match="TMDB_API_KEY"):
        runs.start(ImportRequest(what="list"))
    assert not ImportRun.objects.exists()


def test_ids_are_read_from_what_people_paste() -> None:
    text = """603, tt0133093;27205
    https://www.themoviedb.org/movie/155-the-dark-knight?language=de
    https://www.imdb.com/title/tt1375666/ 603"""
    assert parse_ids(text) == ((603, 27205, 155), ("tt0133093", "tt1375666"))
    for wrong in ("Heat", "0", "99999999999", "tt1", "https://example.org/movie/603"):
        with pytest.raises(RequestError, match="neither a TMDB id"):
            parse_ids(f"603 {wrong}")


def test_a_request_survives_the_way_through_the_database(tmdb: StandIn) -> None:
    request = ImportRequest(what="discover", genres=(18,), year_from=1990, min_votes=5, most=7, posters=False)
    run = runs.start(request)
    run.refresh_from_db()
    assert ImportRequest.from_options(run.options["request"]) == request
    assert run.options["request"] == {
        "what": "discover", "genres": [18], "year_from": 1990, "min_votes": 5, "most": 7, "posters": False,
    }  # fmt: skip
    assert ImportRequest.from_options({"what": "list", "unknown": 1}) == replace(ImportRequest(what="list"))


# Paused, resumed, cancelled -------------------------------------------------------------------------------


def test_a_paused_run_waits_and_a_resumed_one_goes_on_where_it_was(tmdb: StandIn) -> None:
    run = runs.start(ImportRequest(what="ids", tmdb_ids=tuple(tmdb.film_ids[:40]), posters=False))
    work(runs.LIST)
    assert runs.pause(run)
    assert work(runs.FETCH) == 0
    run.refresh_from_db()
    assert run.state == "paused"
    assert not runs.pause(run)
    assert runs.resume(run)
    assert not runs.resume(run)
    work(runs.FETCH)
    run.refresh_from_db()
    assert (run.state, run.created) == ("done", 40)


def test_a_run_paused_while_it_fetches_stops_within_a_second_and_loses_no_attempt(
    tmdb: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.start(ImportRequest(what="ids", tmdb_ids=tuple(tmdb.film_ids[:40]), posters=False))
    work(runs.LIST)
    rate.block(30)
    real = WorkChunk.objects.filter
    began = time.monotonic()
    paused: list[float] = []

    def pause_after_half_a_second(*args: Any, **kwargs: Any) -> Any:
        # What the worker's look at its chunk calls: by then it waits for TMDB.
        if not paused and time.monotonic() - began > 0.5 and "pk" in kwargs:
            paused.append(time.monotonic())
            runs.pause(run)
        return real(*args, **kwargs)

    monkeypatch.setattr(WorkChunk.objects, "filter", pause_after_half_a_second)
    work(runs.FETCH)
    assert paused
    assert time.monotonic() - paused[0] < 2.5
    assert set(WorkChunk.objects.filter(kind=runs.FETCH).values_list("state", "attempts")) == {("paused", 0)}


def test_a_cancelled_run_keeps_what_it_wrote(tmdb: StandIn) -> None:
    run_import(what="ids", tmdb_ids=tuple(tmdb.film_ids[:10]), posters=False)
    run = runs.start(ImportRequest(what="ids", tmdb_ids=tuple(tmdb.film_ids[:40]), posters=False))
    work(runs.LIST)
    assert runs.cancel(run)
    assert not runs.cancel(run)
    work(runs.FETCH)
    run.refresh_from_db()
    assert (run.state, Film.objects.count()) == ("cancelled", 10)
    assert not ImportBatch.objects.exists()


def test_a_run_cancelled_before_its_films_were_listed(tmdb: StandIn) -> None:
    run = runs.start(ImportRequest(what="list"))
    assert runs.cancel(run)
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert work(runs.LIST) == 0


def test_progress_tells_rate_and_time_left(tmdb: StandIn) -> None:
    run = runs.start(ImportRequest(what="ids", tmdb_ids=tuple(tmdb.film_ids[:40]), posters=False))
    work(runs.LIST)
    run.refresh_from_db()
    assert runs.progress(run).seconds_left is None
    held = list(WorkChunk.objects.filter(kind=runs.FETCH).order_by("-first").values_list("pk", flat=True)[:2])
    WorkChunk.objects.filter(pk__in=held).update(state="paused")
    work(runs.FETCH)
    run.refresh_from_db()
    found = runs.progress(run)
    assert (found.done, found.total) == (20, 40)
    assert found.rate > 0
    assert found.seconds_left == pytest.approx(20 / found.rate)
