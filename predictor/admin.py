"""Admin of models and prediction runs: reading, and the few things that may be started or changed from there.

What changes something is an admin action: sent by POST, behind a permission of its own.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from knox.models import AuthToken

from ledger.broker import BrokerUnavailableError, require_broker
from ledger.workers import live_workers
from predictor import inference, registry
from predictor.models import ModelPointers, ModelVersion, PredictionRun


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that only services write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For actions on the list; a single row is there to be looked at."""
        return super().has_change_permission(request, obj) and obj is None

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """All of them."""
        return [field.name for field in self.model._meta.fields]


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    """Versions; one may be promoted, and any may be asked to predict the catalog."""

    list_display = ("name", "short_sha256", "network", "standing", "registered_at", "registered_by")
    list_filter = ("network",)
    search_fields = ("name", "sha256")
    actions = ("promote", "predict_now")
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

    @admin.action(description="Promote to champion (or roll back to it)", permissions=["promote"])
    def promote(self, request: HttpRequest, versions: QuerySet[ModelVersion]) -> None:
        """Make the one selected version the champion, and have it predict what it has not."""
        if versions.count() != 1:
            self.message_user(request, "Select the one version to promote.", messages.ERROR)
            return
        version = versions.get()
        if not registry.artifact_folder(version).is_dir():
            self.message_user(request, f"The artifact of {version} is not in MODEL_ROOT.", messages.ERROR)
            return
        registry.promote(version, by=cast(User, request.user))
        self.log_change(request, version, "Promoted to champion.")
        shown = registry.displayed() == version
        later = "" if shown else " Pages show it when its predictions are complete."
        self.message_user(request, f"{version} is the champion now.{later}", messages.SUCCESS)
        if not shown:
            self._start(request, version)

    @admin.action(description="Predict films that lack a current prediction now", permissions=["predict"])
    def predict_now(self, request: HttpRequest, versions: QuerySet[ModelVersion]) -> None:
        """Start a run of each selected version."""
        for version in versions:
            self._start(request, version)

    def _start(self, request: HttpRequest, version: ModelVersion) -> None:
        try:
            require_broker()
            run = inference.start_run(version=version, by=cast(User, request.user))
            nobody = not live_workers(queue="predict")
        except BrokerUnavailableError as error:
            self.message_user(request, f"No prediction was started. {error}", messages.ERROR)
            return
        films = "1 film" if run.total == 1 else f"{run.total:,} films"
        self.message_user(request, f"Run {run.pk} of {version}: {films} to predict.")
        if nobody and run.state == PredictionRun.State.RUNNING:
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
