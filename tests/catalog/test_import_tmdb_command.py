"""``manage.py import_tmdb`` against the stand-in, with real workers where it waits for them."""

from __future__ import annotations

import signal
import subprocess
import sys
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from catalog.models import Film, ImportRun
from catalog.tmdb.runs import FETCH, LIST
from ledger.tasks import work
from tests.conftest import PROJECT, process_environment
from tests.factories import make_film


def import_tmdb(*arguments, **options):
    """What the command writes."""
    output = StringIO()
    call_command("import_tmdb", *map(str, arguments), stdout=output, **options)
    return output.getvalue()


def request_of(run):
    return run.options["request"]


@pytest.mark.django_db
@pytest.mark.usefixtures("broker")
class TestAsking:
    """What is asked for, without anybody who does it."""

    @pytest.mark.parametrize(
        ("arguments", "asked"),
        [
            (
                ["--ids", "603", "tt0133093", "https://www.themoviedb.org/movie/604-a-title"],
                {"what": "ids", "tmdb_ids": [603, 604], "imdb_ids": ["tt0133093"]},
            ),
            (["--search", "alien", "--year", "1979"], {"what": "search", "query": "alien", "year": 1979}),
            (
                [
                    "--discover",
                    "--genre",
                    "drama",
                    "--genre",
                    "Science Fiction",
                    "--from",
                    "1970",
                    "--to",
                    "1979",
                ],
                {"what": "discover", "genres": [18, 878], "year_from": 1970, "year_to": 1979},
            ),
            (
                ["--discover", "--language", "de", "--min-votes", "9", "--sort", "vote_count.desc"],
                {"what": "discover", "language": "de", "min_votes": 9, "sort": "vote_count.desc"},
            ),
            (["--list", "upcoming"], {"what": "list", "list_name": "upcoming"}),
            (["--export", "--min-popularity", "2.5"], {"what": "export", "min_popularity": 2.5}),
            (["--sync"], {"what": "sync"}),
            (
                ["--list", "popular", "--most", "5", "--skip-known", "--no-posters"],
                {"what": "list", "most": 5, "skip_known": True, "posters": False},
            ),
        ],
    )
    def test_the_options_are_the_request(self, arguments, asked, tmdb):
        said = import_tmdb(*arguments)
        run = ImportRun.objects.get()
        assert request_of(run) == asked
        assert f"Import {run.pk}: " in said
        assert "No worker of the queue io is running" in said

    def test_ids_come_from_a_file(self, tmdb, tmp_path):
        path = tmp_path / "ids.txt"
        path.write_text("603\n604, tt0133093\n")
        import_tmdb("--ids-file", path)
        assert request_of(ImportRun.objects.get()) == {
            "what": "ids",
            "tmdb_ids": [603, 604],
            "imdb_ids": ["tt0133093"],
        }

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "one of the arguments"),
            (["--ids", "1", "--list", "popular"], "not allowed with"),
            (["--ids", "nonsense"], "--ids: 'nonsense' is neither"),
            (["--ids-file", "nowhere.txt"], "nowhere.txt cannot be read"),
            (["--search", "alien", "--year", "1492"], "--year: 1492"),
            (["--search", "alien", "--genre", "Drama"], "--genre does not go with"),
            (["--discover", "--genre", "Dramma"], "There is no genre 'Dramma'. There are Action, "),
            (["--discover", "--from", "2000", "--to", "1999"], "--to: The last year is before the first"),
            (["--list", "popular", "--most", "0"], "--most: "),
            (["--retry", "4711"], "There is no import 4711"),
        ],
    )
    def test_what_cannot_be_asked_for_is_said_by_option(self, arguments, message, tmdb):
        with pytest.raises(CommandError, match=message):
            import_tmdb(*arguments)
        assert not ImportRun.objects.exists()

    def test_without_a_key_it_says_what_to_set(self, settings):
        settings.TMDB_API_KEY = ""
        for more in ([], ["--estimate"]):
            with pytest.raises(CommandError, match="TMDB_API_KEY"):
                import_tmdb("--list", "popular", *more)

    def test_without_the_broker_it_says_so(self, tmdb, settings):
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        for more in ([], ["--estimate"]):
            with pytest.raises(CommandError, match="broker cannot be reached"):
                import_tmdb("--list", "popular", *more)
        assert not ImportRun.objects.exists()

    def test_an_estimate_starts_nothing(self, tmdb):
        said = import_tmdb("--ids", *tmdb.film_ids[:40], "--estimate")
        assert "40 films by id." in said
        assert "About 40 films, 40 requests, 1 s at 40 a second." in said
        assert not ImportRun.objects.exists()

    def test_an_import_is_cancelled(self, tmdb):
        import_tmdb("--list", "popular")
        run = ImportRun.objects.get()
        assert "is cancelled" in import_tmdb("--cancel", run.pk)
        with pytest.raises(CommandError, match="is cancelled; there is nothing to cancel"):
            import_tmdb("--cancel", run.pk)

    def test_what_failed_is_tried_again(self, tmdb):
        tmdb.fault(tmdb.film_ids[0], "missing-fields")
        import_tmdb("--ids", *tmdb.film_ids[:2], "--no-posters")
        work(LIST)
        work(FETCH)
        run = ImportRun.objects.get()
        said = import_tmdb("--retry", run.pk)
        assert f"What failed in import {run.pk}: 1 film by id" in said
        assert request_of(ImportRun.objects.latest("id"))["tmdb_ids"] == [tmdb.film_ids[0]]

    def test_an_import_of_a_file_is_not_tried_again(self, tmdb):
        run = ImportRun.objects.create(source="kaggle", state="failed")
        with pytest.raises(CommandError, match="is not from TMDB"):
            import_tmdb("--retry", run.pk)


@pytest.mark.django_db(transaction=True)
class TestWaiting:
    """With a worker."""

    def test_it_waits_and_ends_with_the_counts_and_the_first_failures(self, tmdb, start_worker):
        broken, known, *_ = ids = tmdb.film_ids[:30]
        tmdb.fault(broken, "missing-fields")
        make_film(tmdb_id=known)
        start_worker("io")
        said = import_tmdb("--ids", *ids, "--skip-known", "--no-posters", "--wait")
        run = ImportRun.objects.get()
        assert f"{broken}: The answer names no title." in said
        assert "29 films in " in said
        assert "28 created, 0 updated, 0 unchanged, 1 rejected; 0 posters stored." in said
        assert f"--retry {run.pk}" in said
        assert Film.objects.count() == 29

    def test_a_run_that_fails_ends_with_its_reason(self, tmdb, start_worker):
        tmdb.reject_key()
        start_worker("io")
        with pytest.raises(CommandError, match=r"is failed\. TMDB refuses the key"):
            import_tmdb("--list", "popular", "--wait")

    def test_ctrl_c_leaves_the_run_going_and_says_how_to_cancel_it(self, tmdb, broker, settings, eventually):
        # Tests that run in the background of a shell ignore it, and so would every process that they start.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [sys.executable, "manage.py", "import_tmdb", "--ids", "9000001", "--wait"],
            cwd=PROJECT,
            env=process_environment(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        signal.signal(signal.SIGINT, before)
        eventually(ImportRun.objects.exists, seconds=60)
        assert process.stdout.readline().startswith("Import ")
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        run = ImportRun.objects.get()
        assert f"manage.py import_tmdb --cancel {run.pk}" in said, said
        assert "Traceback" not in said
        assert (process.returncode, run.state) == (130, "waiting")
