"""From ids to films and posters: a chunk of a run, fetched on several threads and written in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from catalog.film_posters import give_posters
from catalog.film_rows import GenreDirectory, write_batch
from catalog.models import Film, ImportBatch, ImportRun
from catalog.posters import PosterError, PosterFacts, save_file, verify_poster
from catalog.records import FilmRecord, Rejection
from catalog.runs import record_rejections
from catalog.tmdb import client, rate
from catalog.tmdb.errors import (
    TmdbError,
    TmdbKeyRefusedError,
    TmdbNotFoundError,
    TmdbUnavailableError,
)
from catalog.tmdb.images import download_poster
from catalog.tmdb.transport import called_off_by
from ledger import chunks
from ledger.chunks import MAX_ATTEMPTS, ClaimedChunk

log = structlog.get_logger(__name__)

# Requests of one chunk under way at once. TMDB answers in 0.1 to 0.2 s, so that one worker's four chunks alone
# could keep up 100 a second; the rate is what holds them back.
THREADS = 8
_LOOK_SECONDS = 0.5
# So many films must all have failed before it is TMDB that is down, and everybody waits so long.
_DOWN_FILMS, _DOWN_SECONDS = 5, 20.0


class _CalledOff(Exception):  # noqa: N818 - not an error: the chunk is not to be worked on any more
    pass


@dataclass(slots=True)
class _Outcome:
    """What became of one film. A record, or an error, or what the film's thread has not come to."""

    tmdb_id: int
    record: FilmRecord | None = None
    poster: PosterFacts | None = None
    error: TmdbError | None = None
    notes: list[Rejection] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the catalog has of a film before it is fetched."""

    poster_path: str
    has_poster: bool


def fetch_chunk(chunk: ClaimedChunk, *, run: ImportRun, poster_size: str | None) -> None:
    """Fetch the films of a chunk, with posters in that size where it is given, and write them with the chunk's end.

    A film that cannot be fetched is listed with its reason. Where all fail since TMDB is not to be reached the attempt
    fails, for the films to be tried again, and only in the last attempt they are listed.

    Raises:
        TmdbKeyRefusedError: TMDB does not accept the key any more, so nothing else will be accepted either.
        TmdbUnavailableError: TMDB is not to be reached.
    """
    batch = ImportBatch.objects.get(run=run, number=chunk.first)
    outcomes = _fetch_all(batch.tmdb_ids, chunk.still_ours, poster_size)
    errors = [outcome.error for outcome in outcomes if outcome.error]
    if any(isinstance(error, TmdbKeyRefusedError) for error in errors):
        # One film may be closed to us; a key that is refused is refused everywhere.
        client.check_key()
    down = [error for error in errors if isinstance(error, TmdbUnavailableError)]
    if len(down) == len(outcomes) >= _DOWN_FILMS and chunk.attempt < MAX_ATTEMPTS:
        rate.block(_DOWN_SECONDS)
        raise down[-1]
    _write(chunk, run, outcomes)


def _fetch_all(
    tmdb_ids: list[int], still_ours: Callable[[], object], poster_size: str | None
) -> list[_Outcome]:
    known = {
        tmdb_id: _Known(poster_path, poster is not None)
        for tmdb_id, poster_path, poster in Film.objects.filter(tmdb_id__in=tmdb_ids).values_list(
            "tmdb_id", "poster_path", "poster_id"
        )
    }
    over = threading.Event()

    def between() -> None:
        if over.is_set():
            raise _CalledOff

    def fetch(tmdb_id: int) -> _Outcome:
        with called_off_by(between):
            return _fetch(tmdb_id, known.get(tmdb_id), poster_size)

    with ThreadPoolExecutor(THREADS, thread_name_prefix="tmdb") as pool:
        futures: list[Future[_Outcome]] = [pool.submit(fetch, tmdb_id) for tmdb_id in tmdb_ids]
        try:
            while wait(futures, timeout=_LOOK_SECONDS, return_when=FIRST_EXCEPTION).not_done:
                still_ours()
                failed = next((f for f in futures if f.done() and f.exception()), None)
                if failed:
                    failed.result()
        except BaseException:
            over.set()
            pool.shutdown(cancel_futures=True)
            raise
        return [future.result() for future in futures]


def _fetch(tmdb_id: int, known: _Known | None, poster_size: str | None) -> _Outcome:
    """One film and its poster. Touches no database: it runs on a thread."""
    outcome = _Outcome(tmdb_id)
    try:
        film = client.film(tmdb_id)
    except TmdbError as error:
        outcome.error = error
        return outcome
    outcome.record = film.record
    outcome.notes += film.notes
    path = film.record.poster_path
    if poster_size and path and not (known and known.has_poster and known.poster_path == path):
        try:
            content = download_poster(path, size=poster_size)
            facts = verify_poster(content)
            save_file(facts, content)
            outcome.poster = facts
        except PosterError as error:
            reason = f"poster {path}: {error}"
            outcome.notes.append(
                Rejection(None, str(tmdb_id), f"poster-{error.code}", reason, value_only=True)
            )
            # The path stays as it was, so that the next fetch finds that the poster is still to be had.
            outcome.record = replace(outcome.record, poster_path="")
    return outcome


def _write(chunk: ClaimedChunk, run: ImportRun, outcomes: list[_Outcome]) -> None:
    records = {o.tmdb_id: o.record for o in outcomes if o.record}
    rejections = [note for outcome in outcomes for note in outcome.notes]
    gone = [o.tmdb_id for o in outcomes if isinstance(o.error, TmdbNotFoundError)]
    refused = [
        Rejection(None, str(o.tmdb_id), o.error.code, str(o.error)) for o in outcomes if o.error is not None
    ]
    with transaction.atomic():
        # The ledger first: it takes the run's lock, which whoever cancels the run holds while it waits for the row.
        chunks.finish(chunk)
        created, updated = write_batch(records, GenreDirectory(), set(), from_api=True)
        stored = give_posters({o.tmdb_id: o.poster for o in outcomes if o.poster})
        Film.objects.filter(tmdb_id__in=gone, tmdb_deleted_at=None).update(tmdb_deleted_at=timezone.now())
        record_rejections(run, [*refused, *rejections])
        counts: dict[str, Any] = {
            "read": len(outcomes),
            "created": created,
            "updated": updated,
            "unchanged": len(records) - created - updated,
            "rejected": len(refused),
            "posters_stored": stored,
        }
        ImportRun.objects.filter(pk=run.pk).update(**{n: F(n) + number for n, number in counts.items()})
