"""Admin of trainings and promotions: a form to ask for one, how far they are, and what may be done with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from ledger.broker import BrokerUnavailableError
from predictor.models import Promotion, TrainingRun
from predictor.read_only_admin import ReadOnlyAdmin
from predictor.training import runs as training
from predictor.training.estimate import estimate
from predictor.training.form import TrainingForm


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnlyAdmin):
    """Trainings; they are asked for with a form of their own."""

    list_display = (
        "id",
        "state",
        "network",
        "where",
        "reason",
        "created_at",
        "created_by",
        "version",
        "watch",
    )
    list_filter = ("state",)
    list_select_related = ("created_by", "version")
    actions = ("cancel", "pause", "resume")
    change_list_template = "admin/predictor/trainingrun/change_list.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrainingRun]:
        """Without what is not shown in the list."""
        return super().get_queryset(request).defer("version__metrics")

    def get_urls(self) -> list[URLPattern]:
        """With the form."""
        view = self.admin_site.admin_view(self.start)
        return [path("start/", view, name="predictor_trainingrun_start"), *super().get_urls()]

    @admin.display(description="network")
    def network(self, run: TrainingRun) -> str:
        """What is trained."""
        return str(run.request.get("network", ""))

    @admin.display(description="progress")
    def where(self, run: TrainingRun) -> str:
        """Stage and epoch, or the place in the queue."""
        before = training.place_in_queue(run)
        if before is not None:
            return f"{before} before it"
        progress = run.progress
        epoch = f", epoch {progress['epoch']} of {progress['epochs']}" if "epochs" in progress else ""
        return f"{progress.get('stage', '')}{epoch}"

    @admin.display(description="")
    def watch(self, run: TrainingRun) -> str:
        """The way to its page, with curves."""
        return format_html('<a href="{}">watch</a>', reverse("training", args=[run.pk]))

    @admin.action(description="Cancel", permissions=["change"])
    def cancel(self, request: HttpRequest, runs: QuerySet[TrainingRun]) -> None:
        """End them for good."""
        self._each(request, runs, training.cancel, "is cancelled")

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, runs: QuerySet[TrainingRun]) -> None:
        """Hold them up after a checkpoint."""
        self._each(request, runs, training.pause, "pauses after its next checkpoint")

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, runs: QuerySet[TrainingRun]) -> None:
        """Let them go on."""
        self._each(request, runs, training.resume, "goes on when its turn comes")

    def _each(
        self, request: HttpRequest, runs: QuerySet[TrainingRun], change: Callable[..., None], done: str
    ) -> None:
        for run in runs:
            try:
                change(run, by=cast(User, request.user))
            except (training.NotPossibleError, BrokerUnavailableError) as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.message_user(request, f"Training {run.pk} {done}.", messages.SUCCESS)

    def start(self, request: HttpRequest) -> HttpResponse:
        """The form that asks for a training, and says before what it will need."""
        if not admin.ModelAdmin.has_add_permission(self, request):
            raise PermissionDenied
        form, found, status = TrainingForm(request.POST or None), None, 200
        if request.method == "POST":
            if not form.is_valid():
                status = 400
            elif "estimate" in request.POST:
                found = estimate(form.cleaned_settings)
            else:
                try:
                    run, is_new = training.request_training(
                        asked=form.cleaned_settings, by=cast(User, request.user)
                    )
                except (training.TooManyWaitingError, BrokerUnavailableError) as error:
                    form.add_error(None, str(error))
                    status = 503 if isinstance(error, BrokerUnavailableError) else 429
                else:
                    told = "waits for its turn" if is_new else "is the same, and open already"
                    self.message_user(request, f"Training {run.pk} {told}.", messages.SUCCESS)
                    return HttpResponseRedirect(reverse("admin:predictor_trainingrun_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": "Train a model",
            "form": form,
            "estimate": found,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/predictor/trainingrun/start.html", context, status=status)


@admin.register(Promotion)
class PromotionAdmin(ReadOnlyAdmin):
    """What was promoted, by whom, and what the gate said. To read."""

    list_display = ("at", "version", "before", "by", "is_rollback", "forced_reason")
    list_filter = ("is_rollback",)
    list_select_related = ("version", "before", "by")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: it is a record."""
        return False
