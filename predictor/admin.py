"""Admin of models and prediction runs: reading, and the few things that may be started or changed from there.

What changes something is an admin action: sent by POST, behind a permission of its own.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from knox.models import AuthToken

from ledger.broker import BrokerUnavailableError, require_broker
from ledger.workers import live_workers
from predictor import inference, promotion, registry
from predictor.models import ModelPointers, ModelVersion, PredictionRun
from predictor.pruning import prune
from predictor.read_only_admin import ReadOnlyAdmin
from predictor.training.admin import PromotionAdmin, TrainingRunAdmin

__all__ = ["ModelVersionAdmin", "PredictionRunAdmin", "PromotionAdmin", "TokenAdmin", "TrainingRunAdmin"]


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    """Versions; one may be promoted, and any may be asked to predict the catalog."""

    list_display = ("name", "short_sha256", "network", "standing", "registered_at", "registered_by")
    list_filter = ("network",)
    search_fields = ("name", "sha256")
    actions = ("promote", "roll_back", "predict_now", "prune_candidates")
    # Half a megabyte of numbers, which the version's page shows as what they are.
    exclude = ("metrics",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelVersion]:
        """Without what is not shown."""
        return super().get_queryset(request).defer("metrics")

    @admin.display(description="SHA-256")
    def short_sha256(self, version: ModelVersion) -> str:
        """Enough of it to tell versions apart."""
        return version.sha256[:12]

    @admin.display(description="standing")
    def standing(self, version: ModelVersion) -> str:
        """Champion, displayed, or neither."""
        pointers = ModelPointers.objects.first()
        if pointers is None:
            return ""
        names = {"champion": pointers.champion_id, "displayed": pointers.displayed_id}
        return ", ".join(name for name, key in names.items() if key == version.pk)

    def has_promote_permission(self, request: HttpRequest) -> bool:
        """Promotion changes the pointers."""
        return request.user.has_perm("predictor.change_modelpointers")

    def has_predict_permission(self, request: HttpRequest) -> bool:
        """A run is added."""
        return request.user.has_perm("predictor.add_predictionrun")

    @admin.action(description="Promote to champion", permissions=["promote"])
    def promote(self, request: HttpRequest, versions: QuerySet[ModelVersion]) -> None:
        """Make the one selected version the champion, if the gate lets it; it then predicts what it has not."""
        if versions.count() != 1:
            self.message_user(request, "Select the one version to promote.", messages.ERROR)
            return
        version = versions.get()
        try:
            promotion.promote(version, by=cast(User, request.user))
        except promotion.GateRefusedError as error:
            self.message_user(
                request,
                format_html(
                    '{} <a href="{}">Compare and promote</a>',
                    str(error),
                    reverse("promote", args=[version.pk]),
                ),
                messages.ERROR,
            )
        except (promotion.NotPromotableError, registry.ChampionChangedError) as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self._say_promoted(request, version)

    @admin.action(
        description="Roll back to the former champion (whatever is selected)", permissions=["promote"]
    )
    def roll_back(self, request: HttpRequest, versions: QuerySet[ModelVersion]) -> None:
        """Make the champion before the present one the champion again."""
        try:
            done = promotion.rollback(by=cast(User, request.user))
        except (promotion.NotPromotableError, registry.ChampionChangedError) as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self._say_promoted(request, done.version)

    @admin.action(
        description="Remove old candidates by the rule (whatever is selected)", permissions=["promote"]
    )
    def prune_candidates(self, request: HttpRequest, versions: QuerySet[ModelVersion]) -> None:
        """Remove candidates beyond the newest KEEP_CANDIDATES that nothing stands on."""
        removed = prune(by=cast(User, request.user))
        told = f"Removed: {', '.join(removed)}." if removed else "Nothing to remove."
        self.message_user(request, told, messages.SUCCESS)

    def _say_promoted(self, request: HttpRequest, version: ModelVersion) -> None:
        shown = registry.displayed() == version
        later = "" if shown else " Pages show it when its predictions are complete."
        self.message_user(request, f"{version} is the champion now.{later}", messages.SUCCESS)
        if not shown:
            self._say_if_nobody_predicts(request)

    @admin.action(description="Predict films that lack a current prediction now", permissions=["predict"])
    def predict_now(self, request: HttpRequest, versions: QuerySet[ModelVersion]) -> None:
        """Start a run of each selected version."""
        for version in versions:
            self._start(request, version)

    def _start(self, request: HttpRequest, version: ModelVersion) -> None:
        try:
            require_broker()
            run = inference.start_run(version=version, by=cast(User, request.user))
        except BrokerUnavailableError as error:
            self.message_user(request, f"No prediction was started. {error}", messages.ERROR)
            return
        films = "1 film" if run.total == 1 else f"{run.total:,} films"
        self.message_user(request, f"Run {run.pk} of {version}: {films} to predict.")
        if run.state == PredictionRun.State.RUNNING:
            self._say_if_nobody_predicts(request)

    def _say_if_nobody_predicts(self, request: HttpRequest) -> None:
        try:
            nobody = not live_workers(queue="predict")
        except BrokerUnavailableError:
            nobody = True
        if nobody:
            self.message_user(
                request, "No prediction worker is running; the run waits for one.", messages.WARNING
            )


@admin.register(PredictionRun)
class PredictionRunAdmin(ReadOnlyAdmin):
    """Runs, how far they are, and a way to stop them."""

    list_display = ("id", "version", "state", "progress", "reason", "created_at", "finished_at", "created_by")
    list_filter = ("state",)
    list_select_related = ("version", "created_by")
    actions = ("cancel",)

    @admin.display(description="progress")
    def progress(self, run: PredictionRun) -> str:
        """Films predicted of those to predict."""
        share = f" ({100 * run.predicted // run.total} %)" if run.total else ""
        return f"{run.predicted} of {run.total}{share}"

    @admin.action(description="Cancel", permissions=["change"])
    def cancel(self, request: HttpRequest, runs: QuerySet[PredictionRun]) -> None:
        """Stop what still runs; what is predicted stays."""
        for run in runs:
            stopped = inference.cancel(run, by=cast(User, request.user))
            if stopped:
                self.log_change(request, run, "Cancelled.")
            self.message_user(
                request,
                f"Run {run.pk} is cancelled." if stopped else f"Run {run.pk} had ended already.",
                messages.SUCCESS if stopped else messages.WARNING,
            )


# In place of knox's own, which lists hashes and makes tokens for others that need never expire.
admin.site.unregister(AuthToken)


@admin.register(AuthToken)
class TokenAdmin(ReadOnlyAdmin):
    """Tokens, to see whose there are and to revoke them. Their owners issue them."""

    list_display = ("token_key", "user", "created", "expiry")
    list_select_related = ("user",)
    search_fields = ("=token_key", "=user__username")
    fields = ("token_key", "user", "created", "expiry")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deleting a token revokes it."""
        return admin.ModelAdmin.has_delete_permission(self, request, obj)
