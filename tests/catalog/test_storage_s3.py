"""Media in a bucket instead of a folder: `bucket` is one of a stand-in for S3 on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client

from catalog.models import Film, ImportRun, Poster
from catalog.poster_folder import import_posters
from catalog.posters import save_file, store_poster, verify_poster
from catalog.thumbnails import thumbnail_name
from ml_core.snapshot import Snapshot
from predictor.snapshots import write_snapshot
from tests.catalog.dirty import HEADER, row
from tests.conftest import PROJECT, keep_media_in_bucket, process_environment
from tests.factories import jpeg, make_film

pytestmark = pytest.mark.django_db


def keys(bucket: Any) -> list[str]:
    return sorted(found.key for found in bucket.objects.all())


def content_of(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def test_a_poster_stored_twice_is_one_object_and_sent_once(bucket: Any) -> None:
    content = jpeg(seed=1)
    poster = store_poster(content)
    assert poster.file.name == f"posters/{poster.sha256[:2]}/{poster.sha256}.jpg"
    bucket.Versioning().enable()
    assert store_poster(content) == poster
    # Neither another name nor another version of this one.
    assert [found.key for found in bucket.object_versions.all()] == [poster.file.name]
    assert bucket.Object(poster.file.name).content_type == "image/jpeg"


def test_half_an_object_is_replaced(bucket: Any) -> None:
    content = jpeg(seed=2)
    facts = verify_poster(content)
    bucket.put_object(Key=facts.name, Body=content[:100])
    save_file(facts, content)
    assert bucket.Object(facts.name).get()["Body"].read() == content


def test_the_site_serves_it_under_its_own_address(bucket: Any, client: Client, s3_service: str) -> None:
    poster = store_poster(jpeg(seed=3, width=500, height=750))
    address = poster.get_absolute_url()
    assert address == f"/media/{poster.file.name}"
    response = client.get(address)
    assert content_of(response) == jpeg(seed=3, width=500, height=750)
    assert response["Content-Type"] == "image/jpeg"
    assert response["Content-Length"] == str(poster.size)
    assert response["Cache-Control"] == "public, max-age=31536000, immutable"
    film = make_film(poster=poster)
    for page in ("/", film.get_absolute_url(), f"/api/v1/films/{film.pk}/"):
        text = client.get(page).content.decode()
        assert address in text
        assert s3_service not in text
        assert "X-Amz" not in text


def test_its_thumbnails_are_made_and_kept_there(bucket: Any, client: Client) -> None:
    poster = store_poster(jpeg(seed=4, width=500, height=750))
    name = thumbnail_name(poster.sha256, 240)
    content = content_of(client.get(f"/media/{name}"))
    assert keys(bucket) == [poster.file.name, name]
    assert bucket.Object(name).get()["Body"].read() == content == content_of(client.get(f"/media/{name}"))
    assert bucket.Object(name).content_type == "image/webp"


def test_what_is_not_in_the_bucket_is_a_404(bucket: Any, client: Client) -> None:
    assert client.get(f"/media/posters/00/{'0' * 64}.jpg").status_code == 404
    lost = store_poster(jpeg(seed=5, width=500, height=750))
    default_storage.delete(lost.file.name)
    assert client.get(lost.get_absolute_url()).status_code == 404
    assert client.get(f"/media/{thumbnail_name(lost.sha256, 240)}").status_code == 404


def test_pages_come_without_pictures_while_the_bucket_is_away(
    bucket: Any, client: Client, settings: Any
) -> None:
    poster = store_poster(jpeg(seed=6, width=500, height=750))
    film = make_film(poster=poster)
    keep_media_in_bucket(settings, "http://127.0.0.1:1")
    assert client.get(film.get_absolute_url()).status_code == 200
    assert client.get("/").status_code == 200
    assert client.get(poster.get_absolute_url()).status_code == 503
    assert client.get(f"/media/{thumbnail_name(poster.sha256, 240)}").status_code == 503


def test_a_folder_of_posters_is_imported_into_it(bucket: Any, tmp_path: Path) -> None:
    for number in range(1, 13):
        make_film(tmdb_id=number)
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(seed=number % 4))
    run = ImportRun.objects.create(source="kaggle", state="running")
    counts = import_posters(folder=tmp_path, run=run)
    assert (counts.stored, counts.rejected) == (12, 0)
    assert keys(bucket) == sorted(Poster.objects.values_list("file", flat=True))
    assert len(keys(bucket)) == 4


def test_an_import_that_loses_the_bucket_fails_with_the_reason(
    bucket: Any, tmp_path: Path, settings: Any
) -> None:
    make_film(tmdb_id=1)
    posters = tmp_path / "posters"
    posters.mkdir()
    (posters / "1.jpg").write_bytes(jpeg())
    table = tmp_path / "films.csv"
    table.write_bytes(HEADER + row(1))
    keep_media_in_bucket(settings, "http://127.0.0.1:1")
    with pytest.raises(Exception, match="cannot be reached"):
        call_command("import_kaggle", str(table), posters=posters)
    run = ImportRun.objects.get()
    assert (run.state, "cannot be reached" in run.reason) == ("failed", True)


def test_a_snapshot_reads_it(bucket: Any, tmp_path: Path) -> None:
    content = jpeg(seed=7)
    make_film(genres=["Drama"], poster=store_poster(content))
    lost = store_poster(jpeg(seed=8))
    make_film(genres=["War"], poster=lost)
    default_storage.delete(lost.file.name)
    report = write_snapshot(tmp_path / "snapshot")
    assert (report.films, report.posters, report.posters_missing) == (2, 1, 1)
    assert Snapshot.open(tmp_path / "snapshot").poster_bytes(0) == content


def test_a_big_upload_lies_on_disk_while_it_is_read(bucket: Any) -> None:
    content = bytes(range(256)) * 80_000
    default_storage.save("imports/big.csv", ContentFile(content))
    with default_storage.open("imports/big.csv") as file:
        assert file.read() == content
        assert file.file._rolled


@pytest.mark.django_db(transaction=True)
def test_an_uploaded_csv_goes_through_it_to_a_worker(
    bucket: Any,
    admin_client: Client,
    start_worker: Callable[..., Any],
    eventually: Callable[..., Any],
    bucket_environment: dict[str, str],
) -> None:
    start_worker("io", **bucket_environment)
    films = HEADER + row(1) + row("1997-08-20") + row(2)
    admin_client.post("/admin/catalog/importrun/import-csv/", {"csv": SimpleUploadedFile("a.csv", films)})
    run = ImportRun.objects.get()
    assert keys(bucket) == [run.options["upload"]]
    eventually(lambda: ImportRun.objects.filter(state=ImportRun.State.DONE).exists())
    eventually(lambda: not keys(bucket), message="the uploaded file is gone")
    run.refresh_from_db()
    assert (run.total, run.created, run.rejected) == (3, 2, 1)
    assert sorted(Film.objects.values_list("tmdb_id", flat=True)) == [1, 2]


def test_the_environment_chooses_the_bucket(
    bucket: Any, settings: Any, bucket_environment: dict[str, str]
) -> None:
    code = (
        "import django; django.setup(); from django.core.files.storage import default_storage as storage;"
        "from django.core.files.base import ContentFile; print(storage.save('a/b.txt', ContentFile(b'c')))"
    )
    given = process_environment(settings, **bucket_environment, DJANGO_SETTINGS_MODULE="genresite.settings")
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=PROJECT, env=given, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "a/b.txt", done.stderr
    assert bucket.Object("a/b.txt").get()["Body"].read() == b"c"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"MEDIA_STORAGE": "s3", "AWS_STORAGE_BUCKET_NAME": ""}, "Set AWS_STORAGE_BUCKET_NAME"),
        ({"MEDIA_STORAGE": "gcs"}, "has to be `folder` or `s3`"),
    ],
)
def test_a_storage_that_is_half_set_up_starts_nothing(
    given: dict[str, str], said: str, settings: Any
) -> None:
    command = [sys.executable, "manage.py", "check"]
    environment = process_environment(settings, **given)
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert said in done.stderr
