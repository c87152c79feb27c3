from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from catalog.importing import derived_fields
from catalog.models import Film, ImportRun
from catalog.uploads import KIND, cancel_import
from ledger.models import WorkChunk
from ledger.tasks import sweep, work
from tests.catalog.dirty import HEADER, row
from tests.factories import make_film, make_poster

IMPORT = "/admin/catalog/importrun/import-csv/"


def upload(content: bytes, name: str = "films.csv") -> dict[str, SimpleUploadedFile]:
    return {"csv": SimpleUploadedFile(name, content)}


@pytest.mark.parametrize("model", ["film", "genre", "poster", "importrun", "importrejection"])
def test_every_list_and_row_of_the_catalog_opens(model: str, admin_client: Client) -> None:
    make_film(genres=["Drama"], poster=make_poster())
    run = ImportRun.objects.create(source=ImportRun.Source.KAGGLE, state="running", read=50, total=200)
    rejection = run.rejections.create(line=3, record="x", code="id", reason="no id")
    address = reverse(f"admin:catalog_{model}_changelist")
    assert (
        admin_client.get(address, {"q": "1"} if model not in {"genre", "importrun"} else {}).status_code
        == 200
    )
    key = {"importrun": run.pk, "importrejection": rejection.pk, "genre": 18}.get(model)
    key = key or (Film.objects.get().pk if model == "film" else Film.objects.get().poster_id)
    assert admin_client.get(reverse(f"admin:catalog_{model}_change", args=[key])).status_code == 200


def test_a_run_shows_how_far_it_is_and_leads_to_what_it_refused(admin_client: Client) -> None:
    run = ImportRun.objects.create(source=ImportRun.Source.KAGGLE, state="running", read=50, total=200)
    run.rejections.create(line=3, record="x", code="id", reason="no id at all")
    other = ImportRun.objects.create(source=ImportRun.Source.KAGGLE)
    other.rejections.create(line=4, record="y", code="id", reason="of another run")
    assert (
        "50 of 200 (25%)" in admin_client.get(reverse("admin:catalog_importrun_changelist")).content.decode()
    )
    address = f"{reverse('admin:catalog_importrejection_changelist')}?run__id__exact={run.pk}"
    assert (
        address in admin_client.get(reverse("admin:catalog_importrun_change", args=[run.pk])).content.decode()
    )
    listed = admin_client.get(address).content.decode()
    assert "no id at all" in listed
    assert "of another run" not in listed


def test_a_film_edited_by_hand_keeps_what_is_derived_in_line(admin_client: Client) -> None:
    film = make_film(title="Before", genres=["Drama"])
    facts = {
        "tmdb_id": film.tmdb_id,
        "title": "The Élan",
        "overview": "New.",
        "popularity": 1,
        "vote_average": 0,
        "vote_count": 0,
        "genres": [35, 10770],
    }
    address = reverse("admin:catalog_film_change", args=[film.pk])
    assert admin_client.post(address, facts).status_code == 302
    film.refresh_from_db()
    assert (film.title, film.title_sort, film.label_ids) == ("The Élan", "elan", [35])
    assert film.input_hash == derived_fields(film)["input_hash"]


def test_a_film_added_by_hand_has_all_that_is_derived(admin_client: Client) -> None:
    facts = {"title": "Mine", "popularity": 0, "vote_average": 0, "vote_count": 0, "genres": [18]}
    assert admin_client.post(reverse("admin:catalog_film_add"), facts).status_code == 302
    film = Film.objects.get(title="Mine")
    assert (film.title_sort, film.label_ids, film.tmdb_id) == ("mine", [18], None)
    assert len(film.input_hash) == 32


@pytest.mark.parametrize("user", ["nobody", "a user"])
def test_only_admins_import(user: str, client: Client, django_user_model: Any, db: None) -> None:
    if user == "a user":
        client.force_login(django_user_model.objects.create_user("somebody"))
    assert client.post(IMPORT, upload(HEADER)).status_code == 302
    assert not ImportRun.objects.exists()


def test_a_file_that_is_no_csv_of_films_is_refused_at_once(admin_client: Client, broker: Any) -> None:
    response = admin_client.post(IMPORT, upload(b"a,b\n1,2\n"))
    assert response.status_code == 400
    assert "the header lacks id, title, overview, genres" in response.content.decode()
    assert not ImportRun.objects.exists()
    assert admin_client.post(IMPORT, {}).status_code == 400


def test_nothing_is_planned_while_the_broker_is_down(admin_client: Client, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    response = admin_client.post(IMPORT, upload(HEADER + row(1)))
    assert response.status_code == 503
    assert "cannot be reached" in response.content.decode()
    assert not ImportRun.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_uploaded_csv_is_imported_by_a_worker(
    admin_client: Client, start_worker: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    start_worker("io")
    response = admin_client.post(IMPORT, upload(HEADER + row(1) + row("1997-08-20") + row(2)), follow=True)
    assert "waits for a worker" in response.content.decode()
    run = ImportRun.objects.get()
    stored = run.options["upload"]
    eventually(lambda: ImportRun.objects.filter(state=ImportRun.State.DONE).exists())
    eventually(lambda: not default_storage.exists(stored), message="the uploaded file is gone")
    run.refresh_from_db()
    assert (run.created, run.rejected, run.options["csv"]) == (2, 1, "films.csv")
    assert sorted(Film.objects.values_list("tmdb_id", flat=True)) == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_an_import_goes_on_after_its_worker_was_killed_with_nothing_lost_or_doubled(
    admin_client: Client, start_worker: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    films = 8_000
    first = start_worker("io", LEASE_SECONDS="2")
    admin_client.post(IMPORT, upload(HEADER + b"".join(row(number) for number in range(1, films + 1))))
    eventually(Film.objects.exists)
    first.kill()
    written = Film.objects.count()
    assert 0 < written < films
    start_worker("io", LEASE_SECONDS="2")

    def done() -> bool:
        sweep()  # as beat does every 15 s: the new worker may have looked before the lease ran out
        return ImportRun.objects.filter(state=ImportRun.State.DONE).exists()

    eventually(done, seconds=60)
    run = ImportRun.objects.get()
    assert (run.read, run.unchanged, run.created) == (films, written, films - written)
    assert Film.objects.count() == films
    assert WorkChunk.objects.get().attempts == 2


def test_an_upload_that_turns_out_to_be_no_csv_of_films_fails_with_its_reason_and_is_not_tried_again(
    admin_client: Client, broker: Any
) -> None:
    admin_client.post(IMPORT, upload(HEADER + row(1)))
    run = ImportRun.objects.get()
    with default_storage.open(run.options["upload"], "wb") as file:
        file.write(b"id\n1\n")
    work(KIND)
    run.refresh_from_db()
    assert run.state == ImportRun.State.FAILED
    assert "lacks title" in run.reason
    chunk = WorkChunk.objects.get()
    assert (chunk.state, chunk.attempts) == (WorkChunk.State.DONE, 1)


def test_a_waiting_import_is_cancelled_and_its_file_deleted(
    admin_client: Client, broker: Any, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    admin_client.post(IMPORT, upload(HEADER + row(1)))
    run = ImportRun.objects.get()
    with django_capture_on_commit_callbacks(execute=True):
        admin_client.post(
            reverse("admin:catalog_importrun_changelist"), {"action": "cancel", "_selected_action": [run.pk]}
        )
    run.refresh_from_db()
    assert run.state == ImportRun.State.CANCELLED
    assert not default_storage.exists(run.options["upload"])
    assert not cancel_import(run)
