"""Model versions: registered once, by their hash, and the two pointers that say which answers and which is shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from catalog.models import Film
from ml_core.artifact import ArtifactDescription
from predictor import artifact_storage
from predictor.models import ModelPointers, ModelVersion, Promotion

log = structlog.get_logger(__name__)

# A new champion is shown once it has predicted this share of the films. Not all of them: films arrive while it
# predicts, and one that no attempt survives must not keep an old model on every page.
SHOWN_SHARE = 0.99


class ChampionChangedError(RuntimeError):
    """The champion is another than the one that a decision rests on."""


@dataclass(frozen=True, slots=True)
class ModelReadiness:
    """Whether there is a champion whose artifact is where it should be; `reason` says what is missing."""

    ready: bool
    version_id: int | None
    name: str
    sha256: str
    reason: str


def register(folder: Path, *, by: User | None = None, training: dict[str, Any] | None = None) -> ModelVersion:
    """Take an artifact into MODEL_ROOT and the storage as a candidate; the same artifact again gives the same version.

    ``training`` are the facts of a training on this site: settings, snapshot, code, device, seconds, asked by whom.

    Raises:
        ml_core.artifact.ArtifactError: it is incomplete, was changed, or is not for this Genresite.
    """
    description = ArtifactDescription.read(folder)
    artifact_storage.keep(description)
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Two registrations of one artifact at once: the second waits and finds the first's.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [description.sha256])
        version = ModelVersion.objects.filter(sha256=description.sha256).first()
        if version is not None:
            return version
        version = ModelVersion.objects.create(
            name=description.name,
            network=description.network,
            sha256=description.sha256,
            folder=artifact_storage.folder_name(description.sha256),
            size=description.size_bytes,
            label_ids=list(description.label_ids),
            metrics=description.metrics,
            training=training or {},
            trained_at=_moment(description.created),
            registered_by=by,
        )
        _note_films(version, description)
        _create_partition(version)
    log.info("model registered", version=version.pk, name=version.name, sha256=version.sha256)
    return version


def promote(
    version: ModelVersion,
    *,
    by: User | None = None,
    over: int | None = None,
    is_rollback: bool = False,
    forced_reason: str = "",
    gate: dict[str, Any] | None = None,
) -> Promotion | None:
    """Make a version the champion, in one atomic step that the history keeps; None where it was the champion.

    It is shown at once where its predictions are complete or none is shown, and else when they are. No gate is asked here:
    `predictor.promotion` does. ``over`` is the champion that it was compared with.

    Raises:
        ChampionChangedError: the champion is not ``over`` any more.
    """
    with transaction.atomic():
        ModelPointers.objects.get_or_create(id=1)
        pointers = ModelPointers.objects.select_for_update().get(id=1)
        before = pointers.champion_id
        if over is not None and before != over:
            raise ChampionChangedError("Another version was promoted meanwhile: compare again.")
        if before == version.pk:
            return None
        pointers.champion = version
        if pointers.displayed_id is None or covers_catalog(version):
            pointers.displayed = version
        pointers.save()
        promotion = Promotion.objects.create(
            version=version,
            before_id=before,
            by=by,
            is_rollback=is_rollback,
            forced_reason=forced_reason,
            gate=gate or {},
        )
    log.info("model promoted", version=version.pk, before=before, by=by.pk if by else None)
    return promotion


def show_champion_if_complete() -> bool:
    """Show the champion's predictions once they cover the catalog; True when it is shown now."""
    with transaction.atomic():
        pointers = ModelPointers.objects.select_for_update().filter(id=1).first()
        if pointers is None or pointers.champion is None:
            return False
        if pointers.displayed_id != pointers.champion_id:
            if not covers_catalog(pointers.champion):
                return False
            pointers.displayed = pointers.champion
            pointers.save()
            log.info("model displayed", version=pointers.champion_id)
        return True


def champion() -> ModelVersion | None:
    """The version that answers online requests and predicts new films."""
    pointers = ModelPointers.objects.select_related("champion").defer("champion__metrics").first()
    return pointers.champion if pointers else None


def displayed() -> ModelVersion | None:
    """The version whose predictions pages show. Ask once a page, so that no answer mixes two."""
    pointers = ModelPointers.objects.select_related("displayed").defer("displayed__metrics").first()
    return pointers.displayed if pointers else None


def covers_catalog(version: ModelVersion) -> bool:
    """Whether a version has predicted nearly every film (SHOWN_SHARE), as it is or as it was before an edit."""
    films = Film.objects.count()
    return version.predictions.count() >= films * SHOWN_SHARE


def artifact_folder(version: ModelVersion) -> Path:
    """Where a version's artifact lies on this machine."""
    return Path(settings.MODEL_ROOT) / version.folder


def model_ready() -> ModelReadiness:
    """For /readyz: a champion is promoted and its artifact, by its hash, is on this machine or can be fetched."""
    version = champion()
    if version is None:
        return ModelReadiness(False, None, "", "", "no model has been promoted")
    there = artifact_storage.is_at_hand(version)
    reason = "" if there else "the champion's artifact is neither in MODEL_ROOT nor in the storage"
    return ModelReadiness(not reason, version.pk, version.name, version.sha256, reason)


def _moment(created: str | datetime) -> datetime | None:
    moment = datetime.fromisoformat(created) if isinstance(created, str) and created else created
    if not isinstance(moment, datetime):
        return None
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)


def _note_films(version: ModelVersion, description: ArtifactDescription) -> None:
    columns = "predictor_versionfilm (version_id, tmdb_id, part)"
    with connection.cursor() as cursor, cursor.copy(f"COPY {columns} FROM STDIN") as copy:
        for part, tmdb_ids in description.films.items():
            for tmdb_id in dict.fromkeys(tmdb_ids):
                copy.write_row((version.pk, tmdb_id, part))


def _create_partition(version: ModelVersion) -> None:
    """The version's own table of predictions. Attached, not created in place: that would lock readers out."""
    name = partition_of(version)
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {name} (LIKE predictor_prediction INCLUDING DEFAULTS INCLUDING INDEXES)"
        )
        cursor.execute(
            f"ALTER TABLE predictor_prediction ATTACH PARTITION {name} FOR VALUES IN ({version.pk:d})"
        )


def partition_of(version: ModelVersion) -> str:
    """The table that holds a version's predictions."""
    return f"predictor_prediction_v{version.pk:d}"
