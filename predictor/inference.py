"""Predicting the catalog: runs, their chunks in the work ledger, and what ends them.

A run covers the films that lack a current prediction of its version: none at all, or one of an input that has
changed since. Chunks are ranges of film ids; a chunk done twice writes the same rows once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from ledger import chunks
from ledger.handlers import handles, on_run_end
from ledger.tasks import wake
from predictor import registry
from predictor.models import ModelVersion, PredictionRun

log = structlog.get_logger(__name__)

KIND = "predict"
# A chunk of fewer films than one sub-batch would leave the network idle.
FEWEST_CHUNK_FILMS = 64
# Films in a chunk that was set aside are left out of automatic runs for so long: what killed three workers would
# kill three more every half minute, but a mended worker should find them again. Asking by hand includes them.
SET_ASIDE_REST = timedelta(hours=24)

_LACKING = """
    FROM catalog_film f
    LEFT JOIN predictor_prediction p
        ON p.version_id = %(version)s AND p.film_id = f.id AND p.input_hash = f.input_hash
    WHERE p.film_id IS NULL AND NOT EXISTS (
        SELECT 1 FROM ledger_workchunk c JOIN predictor_predictionrun r ON r.id = c.run
        WHERE c.kind = 'predict' AND c.state = 'set_aside' AND r.version_id = %(version)s
          AND c.finished_at > %(resting_since)s AND f.id >= c.first AND f.id < c.last
    )
"""


class NoChampionError(RuntimeError):
    """No model has been promoted, so there is nothing to predict with."""


@dataclass(frozen=True, slots=True)
class Span:
    """Film ids ``first <= id < last``, of which `films` lack a current prediction."""

    first: int
    last: int
    films: int


def start_run(
    *, version: ModelVersion | None = None, by: User | None = None, automatic: bool = False
) -> PredictionRun:
    """Have a version (the champion) predict all films that lack its current prediction.

    A run of that version that is already going is returned as it is: two would predict the same films twice. One
    that finds nothing to predict is returned done. An `automatic` run lets films rest that were set aside lately.

    Raises:
        NoChampionError: no version was given and none is promoted.
    """
    version = version or registry.champion()
    if version is None:
        raise NoChampionError("No model has been promoted: run `manage.py register_model --promote` first.")
    try:
        with transaction.atomic():
            run = PredictionRun.objects.create(version=version, created_by=by)
            spans = lacking(version, automatic=automatic)
            run.total = sum(span.films for span in spans)
            if not spans:
                run.state = PredictionRun.State.DONE
                run.finished_at = timezone.now()
            run.save()
            chunks.plan(kind=KIND, run=run.pk, spans=[(span.first, span.last) for span in spans])
            if spans:
                wake(KIND)
            else:
                registry.show_champion_if_complete()
    except IntegrityError:
        running = PredictionRun.objects.filter(version=version, state=PredictionRun.State.RUNNING).first()
        if running is None:  # it ended in this very moment
            return start_run(version=version, by=by, automatic=automatic)
        return running
    log.info("prediction run started", run=run.pk, version=version.pk, films=run.total, chunks=len(spans))
    return run


def cancel(run: PredictionRun, *, by: User | None = None) -> bool:
    """Stop a run within the sub-batches that are in hand; what is predicted stays. False when it had ended."""
    log.info("prediction run cancelled", run=run.pk, by=by.pk if by else None)
    return chunks.cancel_run(kind=KIND, run=run.pk) > 0


def lacking(version: ModelVersion, *, automatic: bool = False) -> list[Span]:
    """The spans of a run: the films that lack a current prediction, at most PREDICT_CHUNK_FILMS to a span.

    A short run is cut finer, so that its progress is seen and several workers share it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT min(id), max(id) + 1, count(*)
            FROM (
                SELECT f.id, (row_number() OVER (ORDER BY f.id) - 1)
                    / least(%(films)s, greatest(%(fewest)s, count(*) OVER () / 8)) AS span
                {_LACKING}
            ) AS numbered
            GROUP BY span ORDER BY span
            """,  # noqa: S608 - of constants
            _lacking_parameters(version, automatic=automatic)
            | {"films": settings.PREDICT_CHUNK_FILMS, "fewest": FEWEST_CHUNK_FILMS},
        )
        return [Span(*row) for row in cursor.fetchall()]


def any_lacking(version: ModelVersion) -> bool:
    """Whether an automatic run would find something to predict."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT EXISTS (SELECT 1 {_LACKING})", _lacking_parameters(version, automatic=True))
        return bool(cursor.fetchone()[0])


def is_paused(version: ModelVersion) -> bool:
    """Whether somebody cancelled the version's last run: it must not be started again behind their back."""
    last = version.prediction_runs.order_by("-id").values_list("state", flat=True).first()
    return last == PredictionRun.State.CANCELLED


def catalog_writes() -> str:
    """A figure that changes with every write to the films: PostgreSQL's own count of changed rows.

    It is told a moment after a write is visible, never before, so a look that follows it misses nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables
            WHERE relid = 'catalog_film'::regclass
            """
        )
        return " ".join(map(str, cursor.fetchone() or ()))


def _lacking_parameters(version: ModelVersion, *, automatic: bool) -> dict[str, Any]:
    now = timezone.now()
    return {
        "version": version.pk,
        "resting_since": now - SET_ASIDE_REST if automatic else now + SET_ASIDE_REST,
    }


@handles(KIND, queue="predict")
def predict_chunk(chunk: chunks.ClaimedChunk) -> None:
    """Predict a chunk's films and write their predictions and the chunk's end in one transaction."""
    from predictor.predicting import predict_films, read_films, write_predictions

    run = PredictionRun.objects.select_related("version").defer("version__metrics").get(pk=chunk.run)
    films = read_films(version=run.version, first=chunk.first, last=chunk.last)
    predicted = list(predict_films(films, version=run.version, between=chunk.still_ours))
    with transaction.atomic():
        written = write_predictions(predicted, version=run.version)
        # The ledger first: it takes the run's lock, which whoever cancels the run holds while it waits for the row.
        chunks.finish(chunk)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE predictor_predictionrun SET predicted = predicted + %s WHERE id = %s",
                [written, run.pk],
            )


@on_run_end(KIND)
def end_run(run_id: int, progress: chunks.Progress) -> None:
    """Note how a run ended, and show the champion where its predictions are complete now."""
    state, reason = PredictionRun.State.DONE, ""
    if progress.cancelled:
        state = PredictionRun.State.CANCELLED
        reason = (
            f"Cancelled with {progress.cancelled} of {progress.total} chunks left. Nothing is predicted by itself"
            " until a run is started by hand."
        )
    elif progress.set_aside:
        state = PredictionRun.State.FAILED
        reason = f"{progress.set_aside} of {progress.total} chunks were set aside. Films " + " / ".join(
            progress.reasons
        )
    PredictionRun.objects.filter(pk=run_id, state=PredictionRun.State.RUNNING).update(
        state=state, reason=reason, finished_at=timezone.now()
    )
    log.info("prediction run ended", run=run_id, state=str(state), reason=reason)
    if not progress.cancelled:
        registry.show_champion_if_complete()
