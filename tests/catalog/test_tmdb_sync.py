"""Keeping in sync with TMDB: what changed, what is stale, what may not be kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from catalog.importing import save_facts, upsert_films
from catalog.models import Film, ImportRun, LabelChange
from catalog.records import FilmRecord
from catalog.tasks import start_tmdb_sync
from catalog.tmdb import runs
from catalog.tmdb.asking import ImportRequest
from catalog.tmdb.syncing import count_outdated, films_to_sync, sync_is_due
from ledger.tasks import work
from tests.factories import make_film
from tests.tmdb_stand_in import StandIn

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker", "quick")]


@pytest.fixture
def quick(settings: Any) -> None:
    settings.TMDB_REQUESTS_PER_SECOND = 1000.0
    cache.clear()


def run_import(**request: Any) -> ImportRun:
    run = runs.start(ImportRequest(**({"posters": False} | request)))
    work(runs.LIST)
    work(runs.FETCH)
    run.refresh_from_db()
    return run


def aged(days: float, **films: Any) -> None:
    Film.objects.filter(**films).update(synced_at=timezone.now() - timedelta(days=days))


def test_a_sync_fetches_the_films_of_the_catalog_that_changed_and_no_others(tmdb: StandIn) -> None:
    mine, other = tmdb.film_ids[:5], tmdb.film_ids[50]
    run_import(what="ids", tmdb_ids=tuple(mine))
    tmdb.change(mine[0], overview="It is another story now.")
    tmdb.change(other, title="Nobody asked for it")
    run = run_import(what="sync")
    assert (run.state, run.total, run.updated) == ("done", 1, 1)
    assert Film.objects.get(tmdb_id=mine[0]).overview == "It is another story now."
    assert not Film.objects.filter(tmdb_id=other).exists()


def test_changes_are_asked_for_from_the_day_of_the_last_sync_that_ended_well(tmdb: StandIn) -> None:
    today = timezone.now().date()
    done = ImportRun.objects.create(source="tmdb", state="done", options={"request": {"what": "sync"}})
    ImportRun.objects.filter(pk=done.pk).update(created_at=timezone.now() - timedelta(days=5))
    ImportRun.objects.create(source="tmdb", state="failed", options={"request": {"what": "sync"}})
    films_to_sync(timezone.now())
    (request,) = tmdb.requests()
    assert request.query["start_date"] == (today - timedelta(days=5)).isoformat()
    assert request.query["end_date"] == today.isoformat()


def test_tmdb_is_never_asked_for_more_than_fourteen_days(tmdb: StandIn) -> None:
    done = ImportRun.objects.create(source="tmdb", state="done", options={"request": {"what": "sync"}})
    ImportRun.objects.filter(pk=done.pk).update(created_at=timezone.now() - timedelta(days=60))
    films_to_sync(timezone.now())
    (request,) = tmdb.requests()
    assert request.query["start_date"] == (timezone.now().date() - timedelta(days=13)).isoformat()


def test_all_pages_of_changes_are_read(tmdb: StandIn) -> None:
    for number in range(250):
        tmdb.add(9_100_000 + number)
    make_film(tmdb_id=9_100_249, synced_at=timezone.now())
    assert films_to_sync(timezone.now()) == [9_100_249]
    assert tmdb.count("/movie/changes") == 3


def test_stale_films_are_refreshed_oldest_week_first_then_by_popularity_and_not_all_at_once(
    tmdb: StandIn, settings: Any
) -> None:
    settings.TMDB_REFRESH_FILMS = 3
    now = timezone.now()
    for tmdb_id, days, popularity in [
        (1, 170, 1.0),
        (2, 170, 9.0),
        (3, 160, 50.0),
        (4, 155, 99.0),
        (5, 10, 99.0),
    ]:
        make_film(tmdb_id=tmdb_id, popularity=popularity, synced_at=now - timedelta(days=days))
    make_film(tmdb_id=6, popularity=99.0)  # came from a file: left alone
    assert films_to_sync(now) == [2, 1, 3]


def test_a_refreshed_film_is_fresh_again(tmdb: StandIn) -> None:
    film_id = tmdb.film_ids[0]
    run_import(what="ids", tmdb_ids=(film_id,))
    aged(160, tmdb_id=film_id)
    run = run_import(what="sync")
    assert (run.total, run.unchanged) == (1, 1)
    assert films_to_sync(timezone.now()) == []


def test_what_tmdb_deleted_is_dropped_before_its_data_are_six_months_old(
    tmdb: StandIn, django_capture_on_commit_callbacks: Any
) -> None:
    fresh, deleted, from_file, still_there = tmdb.film_ids[:4]
    make_film(tmdb_id=from_file)
    run_import(what="ids", tmdb_ids=tuple(tmdb.film_ids[:4]))
    for film_id in (fresh, deleted, from_file):
        tmdb.delete(film_id)
    aged(180, tmdb_id__in=(deleted, from_file, still_there))
    assert count_outdated() == 2  # what a file gave may stay
    with django_capture_on_commit_callbacks(execute=True):
        run_import(what="sync")
    assert set(Film.objects.values_list("tmdb_id", flat=True)) == {fresh, from_file, still_there}
    assert Film.objects.filter(tmdb_id=from_file, tmdb_deleted_at__isnull=False).exists()
    assert count_outdated() == 0


def test_a_film_that_is_back_at_tmdb_is_not_marked_any_more(tmdb: StandIn) -> None:
    film_id = tmdb.film_ids[0]
    run_import(what="ids", tmdb_ids=(film_id,))
    Film.objects.update(tmdb_deleted_at=timezone.now())
    run_import(what="ids", tmdb_ids=(film_id,))
    assert Film.objects.get().tmdb_deleted_at is None


def test_a_file_that_names_a_film_makes_it_more_than_the_apis(tmdb: StandIn) -> None:
    film_id = tmdb.film_ids[0]
    run_import(what="ids", tmdb_ids=(film_id,))
    run = ImportRun.objects.create(source="kaggle")
    upsert_films([FilmRecord(tmdb_id=film_id, title=tmdb.film(film_id).title)], run=run)
    assert not Film.objects.get().from_api_alone


def test_the_schedule_starts_a_sync_when_one_is_due_and_not_twice(tmdb: StandIn, settings: Any) -> None:
    settings.TMDB_SYNC_HOURS = 6
    now = timezone.now()
    assert not sync_is_due(now)  # nothing came from TMDB yet
    run_import(what="ids", tmdb_ids=(tmdb.film_ids[0],))
    start_tmdb_sync()
    start_tmdb_sync()
    (run,) = ImportRun.objects.filter(options__request__what="sync")
    assert not sync_is_due(now + timedelta(hours=7))  # it has not ended yet
    work(runs.LIST)
    run.refresh_from_db()
    assert run.state == "done"
    assert not sync_is_due(now + timedelta(hours=5))
    assert sync_is_due(now + timedelta(hours=7))


@pytest.mark.parametrize("off", [{"TMDB_API_KEY": ""}, {"TMDB_SYNC_HOURS": 0}])
def test_without_a_key_or_a_schedule_nothing_starts_by_itself(
    tmdb: StandIn, settings: Any, off: dict[str, Any]
) -> None:
    make_film(synced_at=timezone.now() - timedelta(days=170))
    assert sync_is_due(timezone.now())
    for name, value in off.items():
        setattr(settings, name, value)
    assert not sync_is_due(timezone.now())


def test_labels_changed_by_hand_are_history_too() -> None:
    film = make_film(genres=["Drama"])
    film.genres.set([35])
    save_facts(film)
    save_facts(film)
    (change,) = LabelChange.objects.all()
    assert (change.before, change.after) == ([18], [35])
