"""Import runs as doors show and steer them, whether a file's or TMDB's."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, JSONField, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone

from catalog import uploads
from catalog.import_words import asked_for
from catalog.models import Film, ImportRejection, ImportRun
from catalog.tmdb import runs as tmdb_runs
from catalog.tmdb.runs import ImportProgress
from ledger.broker import BrokerUnavailableError
from ledger.workers import live_workers

_State = ImportRun.State
OPEN = (_State.WAITING, _State.RUNNING, _State.PAUSED)
SHOWN_REJECTIONS = 50


@dataclass(frozen=True, slots=True)
class Rejected:
    """What was refused of one record: where to look it up, the film where the catalog has it, and each reason."""

    record: str
    line: int | None
    address: str
    film: Film | None
    reasons: tuple[ImportRejection, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """How a run stands, and what may be done about it. `nobody`: it waits for a worker, and none lives."""

    run: ImportRun
    asked: str
    progress: ImportProgress
    nobody: bool
    can_pause: bool
    can_resume: bool
    can_cancel: bool
    can_retry: bool

    @property
    def open(self) -> bool:
        """Whether it will go on."""
        return self.run.state in OPEN


def brief_runs() -> QuerySet[ImportRun]:
    """All runs, with `brief_options` for their options: a number ``ids`` in the place of up to 200,000 ids."""
    brief = RawSQL(
        """(catalog_importrun.options #- '{request,tmdb_ids}' #- '{request,imdb_ids}') || jsonb_build_object('ids',
             coalesce(jsonb_array_length(catalog_importrun.options #> '{request,tmdb_ids}'), 0)
             + coalesce(jsonb_array_length(catalog_importrun.options #> '{request,imdb_ids}'), 0))""",
        [],
        output_field=JSONField(),
    )
    return ImportRun.objects.select_related("created_by").defer("options").annotate(brief_options=brief)


def overview(run: ImportRun) -> Overview:
    """How one of `brief_runs` stands."""
    from_tmdb = run.source == ImportRun.Source.TMDB
    ended = run.state not in OPEN
    in_worker = from_tmdb or "upload" in run.brief_options  # type: ignore[attr-defined]
    return Overview(
        run=run,
        asked=asked_for(run.brief_options),  # type: ignore[attr-defined]
        progress=tmdb_runs.progress(run) if from_tmdb else _file_progress(run),
        nobody=in_worker and run.state in (_State.WAITING, _State.RUNNING) and not io_worker_lives(),
        can_pause=from_tmdb and run.state in (_State.WAITING, _State.RUNNING),
        can_resume=from_tmdb and run.state == _State.PAUSED,
        can_cancel=in_worker and not ended,
        can_retry=tmdb_runs.can_retry(run),
    )


def cancel(run: ImportRun) -> bool:
    """Stop a run in a worker for good; what it wrote is kept. Returns whether there was something to stop."""
    if run.source == ImportRun.Source.TMDB:
        return tmdb_runs.cancel(run)
    return uploads.cancel_import(run)


def rejection_counts(run: ImportRun) -> list[tuple[str, int]]:
    """How many records and values a run refused for which code, most first."""
    counts = run.rejections.order_by().values_list("code").annotate(number=Count("id"))
    return sorted(counts, key=lambda row: (-row[1], row[0]))


def rejected_records(run: ImportRun, *, most: int = SHOWN_REJECTIONS) -> list[Rejected]:
    """The first that a run refused, by record."""
    rejections = list(run.rejections.all()[:most])
    films = films_named_by(rejections)
    by_record: dict[tuple[str, int | None], list[ImportRejection]] = defaultdict(list)
    for rejection in rejections:
        by_record[rejection.record, rejection.line].append(rejection)
    return [
        Rejected(record, line, site_address(record), films.get(record), tuple(reasons))
        for (record, line), reasons in by_record.items()
    ]


def films_named_by(rejections: Iterable[ImportRejection]) -> dict[str, Film]:
    """The catalog's films among the refused records, by the record's id as given; one query."""
    ids = {int(r.record) for r in rejections if re.fullmatch(r"[0-9]{1,9}", r.record)}
    films = Film.objects.filter(tmdb_id__in=ids).only("id", "title", "tmdb_id", "release_date")
    return {str(film.tmdb_id): film for film in films}


def site_address(record: str) -> str:
    """The page of TMDB, or of IMDb, on the record of that id; empty where it is no id of theirs."""
    if re.fullmatch(r"[0-9]{1,9}", record):
        return f"https://www.themoviedb.org/movie/{record}"
    if re.fullmatch(r"tt[0-9]{5,10}", record):
        return f"https://www.imdb.com/title/{record}/"
    return ""


def io_worker_lives() -> bool:
    """Whether a worker that imports was heard of lately; False, too, where nobody can say."""
    try:
        return bool(live_workers(queue="io"))
    except BrokerUnavailableError:
        return False


def _file_progress(run: ImportRun) -> ImportProgress:
    """A file is read in one go: its rate is that since it began."""
    running = run.state == _State.RUNNING and run.started_at is not None
    seconds = (timezone.now() - run.started_at).total_seconds() if running and run.started_at else 0.0
    speed = run.read / seconds if seconds > 1 else 0.0
    left = max(run.total - run.read, 0) if run.total is not None else None
    return ImportProgress(
        done=run.read,
        total=run.total,
        rate=speed,
        seconds_left=left / speed if left is not None and speed else None,
        blocked_seconds=0.0,
        set_aside=0,
    )
