"""Old candidates are removed by rule: all but the newest KEEP_CANDIDATES, and never one that anything stands on."""

from __future__ import annotations

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction
from django.db.models import Exists, OuterRef, ProtectedError, QuerySet

from predictor import artifact_storage, audit, registry
from predictor.models import ModelPointers, ModelVersion, Prediction, PredictionRun, Promotion

log = structlog.get_logger(__name__)

# Dropping a version's empty table of predictions stops readers of all of them: for no longer than this.
_LOCK_MILLISECONDS = 2000


def prunable(*, keep: int | None = None) -> QuerySet[ModelVersion]:
    """The versions that the rule removes now, the oldest last: candidates that were never promoted and never predicted."""
    keep = settings.KEEP_CANDIDATES if keep is None else keep
    of_it = {"version": OuterRef("pk")}
    pointed = {
        key
        for row in ModelPointers.objects.values_list("champion", "displayed")
        for key in row
        if key is not None
    }
    candidates = (
        ModelVersion.objects.exclude(pk__in=pointed)
        .exclude(Exists(Promotion.objects.filter(**of_it)))
        .exclude(Exists(Promotion.objects.filter(before=OuterRef("pk"))))
        .exclude(Exists(Prediction.objects.filter(**of_it)))
        .exclude(Exists(PredictionRun.objects.filter(state=PredictionRun.State.RUNNING, **of_it)))
        .order_by("-pk")
    )
    newest = list(candidates.values_list("pk", flat=True)[:keep])
    return candidates.exclude(pk__in=newest).defer("metrics")


def prune(*, keep: int | None = None, by: User | None = None) -> list[str]:
    """Remove them, with their artifacts here and in the storage; returns what they were.

    One that is busy, or that something else refers to, is left to the next time.
    """
    removed = []
    for version in prunable(keep=keep):
        name = str(version)
        try:
            with transaction.atomic():
                _still_unused(version)
                audit.record(by, version, "Removed: an old candidate.")
                _drop_partition(version)
                version.delete()
        except (ProtectedError, OperationalError, _UsedError) as error:
            log.info("version not pruned", version=version.pk, error=str(error))
            continue
        artifact_storage.delete(folder=version.folder, sha256=version.sha256)
        log.info("version pruned", name=name)
        removed.append(name)
    return removed


class _UsedError(RuntimeError):
    """Something began to stand on the version since it was found."""


def _still_unused(version: ModelVersion) -> None:
    """Hold off promotions and runs of the version, and look once more."""
    ModelPointers.objects.select_for_update().first()
    ModelVersion.objects.select_for_update().only("pk").get(pk=version.pk)
    if not prunable(keep=0).filter(pk=version.pk).exists():
        raise _UsedError(f"version {version.pk} is in use")


def _drop_partition(version: ModelVersion) -> None:
    name = registry.partition_of(version)
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {_LOCK_MILLISECONDS}")
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
        if cursor.fetchone()[0]:
            cursor.execute(f"ALTER TABLE predictor_prediction DETACH PARTITION {name}")
            cursor.execute(f"DROP TABLE {name}")
