"""Promoting a version through the gate, and rolling back: each one atomic update, which the history keeps."""

from __future__ import annotations

import structlog
from django.contrib.auth.models import User
from django.db import transaction

from predictor import artifact_storage, audit, gate, inference, registry
from predictor.gate import GateReport
from predictor.models import ModelPointers, ModelVersion, Promotion

log = structlog.get_logger(__name__)


class GateRefusedError(RuntimeError):
    """The version is worse than the champion, or nothing is known of that; a reason would overrule it."""

    def __init__(self, report: GateReport) -> None:
        super().__init__(f"{report.explanation} Give a reason to promote it all the same.")
        self.report = report


class NotPromotableError(RuntimeError):
    """There is nothing to promote: no artifact, or no champion before this one; or it is the champion already."""


def promote(version: ModelVersion, *, by: User | None = None, force_reason: str = "") -> Promotion:
    """Make a version the champion if the gate lets it, or for a reason, which is kept; the catalog is then predicted anew.

    Raises:
        GateRefusedError: it is worse, or too little is known, and no reason was given.
        NotPromotableError: its artifact is nowhere, or it is the champion.
        predictor.registry.ChampionChangedError: another was promoted while the two were compared.
    """
    if not artifact_storage.is_at_hand(version):
        raise NotPromotableError(f"The artifact of {version} is neither in MODEL_ROOT nor in the storage.")
    report = gate.judge(version, registry.champion())
    forced = force_reason.strip()
    if not report.opens and not forced:
        raise GateRefusedError(report)
    with transaction.atomic():
        promotion = registry.promote(
            version,
            by=by,
            over=report.champion_id,
            forced_reason="" if report.opens else forced,
            gate=report.as_json(),
        )
        if promotion is None:
            raise NotPromotableError(f"{version} is the champion already.")
        what = "Promoted to champion." if report.opens else f"Promoted to champion against the gate: {forced}"
        audit.record(by, version, what)
    _predict_anew(version, by)
    return promotion


def rollback(*, by: User | None = None) -> Promotion:
    """Make the former champion the champion again: the one that the present one took over from.

    Raises:
        NotPromotableError: there was none, or its artifact is gone.
    """
    with transaction.atomic():
        pointers = ModelPointers.objects.select_for_update().filter(id=1).first()
        former = former_champion(pointers.champion_id if pointers else None)
        if former is None or pointers is None:
            raise NotPromotableError("There is no former champion to roll back to.")
        if not artifact_storage.is_at_hand(former):
            raise NotPromotableError(f"The artifact of {former} is neither in MODEL_ROOT nor in the storage.")
        promotion = registry.promote(former, by=by, over=pointers.champion_id, is_rollback=True)
        if promotion is None:
            raise NotPromotableError(f"{former} is the champion already.")
        audit.record(by, former, f"Rolled back to from version {pointers.champion_id}.")
    _predict_anew(former, by)
    return promotion


def former_champion(champion_id: int | None) -> ModelVersion | None:
    """Which version the champion took over from when it was promoted, rollbacks left out: they take one step each."""
    last = (
        Promotion.objects.filter(version_id=champion_id, is_rollback=False)
        .exclude(before=None)
        .select_related("before")
        .defer("before__metrics")
        .first()
    )
    return last.before if last else None


def _predict_anew(version: ModelVersion, by: User | None) -> None:
    """Pages show the former version until the new one's predictions are complete; a run is what completes them."""
    if registry.displayed() != version:
        inference.start_run(version=version, by=by)
