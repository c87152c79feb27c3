"""``manage.py import_tmdb --ids 603 tt0133093 | --search TEXT | --discover | --list NAME | --export | --sync | --retry RUN``"""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, get_args

from django.core.management.base import BaseCommand, CommandError

from catalog.import_estimates import estimate_in_time
from catalog.import_overview import OPEN, cancel, io_worker_lives
from catalog.import_words import (
    FIELDS_OF,
    asked_for,
    duration,
    estimate_in_words,
    request_in_words,
)
from catalog.models import Genre, ImportRun
from catalog.progress import Progress
from catalog.tmdb import runs
from catalog.tmdb.asking import ImportRequest, RequestError, Sort, What, parse_ids
from catalog.tmdb.client import ListName
from catalog.tmdb.errors import TmdbError
from ledger.broker import BrokerUnavailableError

LOOK_SECONDS = 0.5
# A worker that is just starting is given time to say so.
PATIENCE_SECONDS = 20.0
SHOWN_REJECTIONS = 10
INTERRUPTED = 130
NO_WORKER = (
    "No worker of the queue io is running; the import waits for one:\n"
    "  celery -A genresite worker --queues io"
)
# The options by the field of the request they give.
OPTIONS = {
    "ids": "--ids",
    "query": "--search",
    "year": "--year",
    "genres": "--genre",
    "year_from": "--from",
    "year_to": "--to",
    "language": "--language",
    "min_votes": "--min-votes",
    "sort": "--sort",
    "list_name": "--list",
    "min_popularity": "--min-popularity",
    "most": "--most",
}


class Command(BaseCommand):
    help = "Imports films from TMDB. Workers do the work; needs TMDB_API_KEY."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--ids", nargs="+", metavar="ID", help="TMDB or IMDb ids, or addresses of films")
        what.add_argument("--ids-file", type=Path, metavar="FILE", help="a file of such ids; - for the input")
        what.add_argument("--search", metavar="TEXT", help="films that TMDB's search finds")
        what.add_argument("--discover", action="store_true", help="films that meet conditions")
        what.add_argument("--list", choices=get_args(ListName), help="one of TMDB's lists")
        what.add_argument("--export", action="store_true", help="all films, from TMDB's daily list")
        what.add_argument(
            "--sync", action="store_true", help="what changed, and what was fetched longest ago"
        )
        what.add_argument("--retry", type=int, metavar="RUN", help="what failed in that import")
        what.add_argument("--cancel", type=int, metavar="RUN", help="stop that import")
        conditions = parser.add_argument_group("conditions")
        conditions.add_argument("--year", type=int, help="of release, with --search")
        conditions.add_argument(
            "--genre", action="append", metavar="NAME", help="with --discover; repeated: all of them"
        )
        conditions.add_argument("--from", type=int, dest="year_from", metavar="YEAR", help="with --discover")
        conditions.add_argument("--to", type=int, dest="year_to", metavar="YEAR", help="with --discover")
        conditions.add_argument("--language", help="original language, such as de, with --discover")
        conditions.add_argument("--min-votes", type=int, metavar="N", help="with --discover")
        conditions.add_argument("--sort", choices=get_args(Sort), help="with --discover")
        conditions.add_argument("--min-popularity", type=float, metavar="X", help="with --export")
        parser.add_argument("--most", type=int, metavar="N", help="films at most")
        parser.add_argument(
            "--skip-known", action="store_true", help="leave films alone that the catalog has"
        )
        parser.add_argument("--no-posters", action="store_true", help="facts only")
        parser.add_argument("--estimate", action="store_true", help="say what it would cost, and stop")
        parser.add_argument("--wait", action="store_true", help="show progress until it is done")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["cancel"] is not None:
                self._cancel(options["cancel"])
            elif options["retry"] is not None:
                self._follow(self._retry(options["retry"]), wait=options["wait"])
            else:
                request = _request(options).checked()
                if options["estimate"]:
                    self.stdout.write(f"{request_in_words(request)}.")
                    self.stdout.write(estimate_in_words(estimate_in_time(request)))
                    return
                self._follow(runs.start(request), wait=options["wait"])
        except RequestError as error:
            raise CommandError(f"{OPTIONS.get(error.field, error.field)}: {error}") from error
        except (TmdbError, BrokerUnavailableError, runs.NothingToRetryError) as error:
            raise CommandError(str(error)) from error

    def _cancel(self, key: int) -> None:
        if not cancel(_run(key)):
            raise CommandError(f"Import {key} is {_run(key).state}; there is nothing to cancel.")
        self.stdout.write(f"Import {key} is cancelled; what was imported is kept.")

    def _retry(self, key: int) -> ImportRun:
        run = _run(key)
        if run.source != ImportRun.Source.TMDB:
            raise CommandError(f"Import {key} is not from TMDB.")
        return runs.retry_failed(run)

    def _follow(self, run: ImportRun, *, wait: bool) -> None:
        try:
            # Whoever reads its number may interrupt at once.
            self.stdout.write(f"Import {run.pk}: {asked_for(run.options)}.")
            self.stdout.flush()
            if wait:
                self._wait(run)
        except KeyboardInterrupt:
            self.stdout.write(
                f"\nImport {run.pk} goes on in the workers. To stop it: manage.py import_tmdb --cancel {run.pk}"
            )
            sys.exit(INTERRUPTED)
        if wait:
            self._report(run)
        elif not io_worker_lives():
            self.stdout.write(NO_WORKER)

    def _wait(self, run: ImportRun) -> None:
        began, told = time.monotonic(), False
        with Progress() as show:
            while run.state in OPEN:
                time.sleep(LOOK_SECONDS)
                run.refresh_from_db(fields=["state", "read", "total", "rejected", "started_at"])
                now = runs.progress(run)
                show("Films", now.done, now.total, note=_note(run, now))
                if not told and not run.started_at and time.monotonic() - began > PATIENCE_SECONDS:
                    told = True
                    if not io_worker_lives():
                        self.stdout.write(NO_WORKER)
        run.refresh_from_db()

    def _report(self, run: ImportRun) -> None:
        for rejection in run.rejections.all()[:SHOWN_REJECTIONS]:
            self.stdout.write(f"  {rejection}")
        if (more := run.rejections.count() - SHOWN_REJECTIONS) > 0:
            self.stdout.write(f"  ... and {more:,} more, kept with import run {run.pk}")
        took = (run.finished_at - run.started_at) if run.finished_at and run.started_at else None
        seconds = f" in {took.total_seconds():.1f} s" if took else ""
        self.stdout.write(
            f"{run.read:,} films{seconds}: {run.created:,} created, {run.updated:,} updated, "
            f"{run.unchanged:,} unchanged, {run.rejected:,} rejected; {run.posters_stored:,} posters stored."
        )
        if run.state != ImportRun.State.DONE:
            raise CommandError(f"Import {run.pk} is {run.state}. {run.reason}".rstrip())
        if run.rejected:
            self.stdout.write(f"To try what failed again: manage.py import_tmdb --retry {run.pk}")


def _request(options: dict[str, Any]) -> ImportRequest:
    """The request that the options mean. Raises RequestError and CommandError."""
    kind = _what(options)
    given: dict[str, Any] = {
        "query": options["search"],
        "year": options["year"],
        "genres": _genres(options["genre"]) if options["genre"] else None,
        "list_name": options["list"],
        **{
            name: options[name]
            for name in ("year_from", "year_to", "language", "min_votes", "sort", "min_popularity")
        },
    }
    given = {name: value for name, value in given.items() if value is not None}
    if foreign := sorted(set(given) - set(FIELDS_OF[kind])):
        raise CommandError(f"{OPTIONS[foreign[0]]} does not go with this kind of import.")
    if kind == "ids":
        given["tmdb_ids"], given["imdb_ids"] = parse_ids(_ids_text(options))
    return ImportRequest(
        what=kind,
        most=options["most"],
        skip_known=options["skip_known"],
        posters=not options["no_posters"],
        **given,
    )


def _what(options: dict[str, Any]) -> What:
    if options["search"] is not None:
        return "search"
    return next((kind for kind in ("discover", "list", "export", "sync") if options[kind]), "ids")


def _ids_text(options: dict[str, Any]) -> str:
    if options["ids"]:
        return " ".join(options["ids"])
    path: Path = options["ids_file"]
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error


def _genres(names: list[str]) -> tuple[int, ...]:
    known = {name.lower(): (key, name) for key, name in Genre.objects.values_list("id", "name")}
    found = []
    for name in names:
        if name.lower() not in known:
            there = ", ".join(sorted(name for _, name in known.values()))
            raise CommandError(f"There is no genre {name!r}. There are {there}.")
        found.append(known[name.lower()][0])
    return tuple(dict.fromkeys(found))


def _run(key: int) -> ImportRun:
    run = ImportRun.objects.filter(pk=key).first()
    if run is None:
        raise CommandError(f"There is no import {key}.")
    return run


def _note(run: ImportRun, now: runs.ImportProgress) -> str:
    notes = []
    if run.state != ImportRun.State.RUNNING:
        notes.append(str(run.state))
    if now.rate:
        notes.append(f"{now.rate:.1f} a second")
    if now.seconds_left:
        notes.append(f"{duration(now.seconds_left)} left")
    if run.rejected:
        notes.append(f"{run.rejected:,} rejected")
    if now.blocked_seconds:
        notes.append(f"TMDB asked to wait: {duration(now.blocked_seconds)}")
    return ", ".join(notes)
