"""Trainings on the site, for staff: asked for, watched while they run, cancelled, paused and resumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from ledger.broker import BrokerUnavailableError
from ledger.workers import live_workers
from ml_core.labels import LABELS
from predictor import audit, registry
from predictor.charts import with_addresses
from predictor.models import Promotion, TrainingRun
from predictor.promotion import former_champion
from predictor.training import runs as training
from predictor.training.charts import charts_of
from predictor.training.estimate import estimate
from predictor.training.form import TrainingForm
from predictor.views.charts import drawing
from predictor.views.staff import for_staff

# Newest first; older ones stay in the admin.
_MOST = 50
_GENRES = {label.tmdb_id: label.name for label in LABELS}
_CHANGES: dict[str, tuple[Callable[..., None], str]] = {
    "cancel": (training.cancel, "Training {} is cancelled."),
    "pause": (training.pause, "Training {} pauses after its next checkpoint."),
    "resume": (training.resume, "Training {} goes on when its turn comes."),
}


@require_http_methods(["GET", "HEAD", "POST"])
@for_staff("predictor.view_trainingrun")
def trainings(request: HttpRequest) -> HttpResponse:
    """The trainings, and the form for another; a POST estimates it or asks for it."""
    may_ask = request.user.has_perm("predictor.add_trainingrun")
    form, found, status = TrainingForm(), None, 200
    if request.method == "POST":
        if not may_ask:
            raise PermissionDenied
        form = TrainingForm(request.POST)
        if form.is_valid() and "estimate" in request.POST:
            found = estimate(form.cleaned_settings)
        elif form.is_valid():
            try:
                run, is_new = training.request_training(
                    asked=form.cleaned_settings, by=cast(User, request.user)
                )
            except (training.TooManyWaitingError, BrokerUnavailableError) as error:
                form.add_error(None, str(error))
                status = 503 if isinstance(error, BrokerUnavailableError) else 429
            else:
                if not is_new:
                    messages.info(request, "The same training is open already: this is it.")
                return redirect("training", run.pk)
        else:
            status = 400
    runs = TrainingRun.objects.select_related("version", "created_by").defer(
        "curves", "log", "version__metrics"
    )
    context = {
        "runs": runs[:_MOST],
        "form": form if may_ask else None,
        "estimate": found,
        "nobody": _nobody_works(),
        "promotions": Promotion.objects.select_related("version", "before", "by").defer(
            "version__metrics", "before__metrics"
        )[:_MOST],
        "former": former_champion(champion.pk) if (champion := registry.champion()) else None,
        "may_promote": request.user.has_perm("predictor.change_modelpointers"),
    }
    return render(request, "predictor/trainings.html", context, status=status)


@require_safe
@for_staff("predictor.view_trainingrun")
def training_page(request: HttpRequest, training_id: int) -> HttpResponse:
    """One training: its curves, which grow while it runs, its settings, log and history."""
    run = get_object_or_404(TrainingRun.objects.select_related("created_by"), pk=training_id)
    context = _live(request, run) | {
        "history": audit.history(run),
        "settings": _settings(run),
    }
    return render(request, "predictor/training.html", context)


@require_safe
@for_staff("predictor.view_trainingrun")
def training_live(request: HttpRequest, training_id: int) -> HttpResponse:
    """The part of the page that changes; 204 where nothing has since the page's `seen`."""
    run = get_object_or_404(TrainingRun, pk=training_id)
    context = _live(request, run)
    if request.GET.get("seen") == context["seen"]:
        return HttpResponse(status=204)
    return render(request, "predictor/training_live.html", context)


@require_safe
@for_staff("predictor.view_trainingrun")
def training_chart(request: HttpRequest, training_id: int, **drawn: str) -> HttpResponse:
    """A curve as an SVG file."""
    run = get_object_or_404(TrainingRun.objects.only("curves"), pk=training_id)
    return drawing(request, charts_of(run.curves), **drawn)


@require_POST
@for_staff("predictor.change_trainingrun")
def change_training(request: HttpRequest, training_id: int, change: str) -> HttpResponse:
    """Cancel, pause or resume."""
    run = get_object_or_404(TrainingRun, pk=training_id)
    do, done = _CHANGES[change]
    try:
        do(run, by=cast(User, request.user))
    except (training.NotPossibleError, BrokerUnavailableError) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, done.format(run.pk))
    return redirect("training", run.pk)


def _live(request: HttpRequest, run: TrainingRun) -> dict[str, Any]:
    progress = run.progress
    done, total = progress.get("done"), progress.get("total")
    if "epochs" in progress and not done:
        steps = progress.get("steps") or 0
        done = progress["epoch"] + (progress.get("step", 0) / steps if steps else 0)
        total = progress["epochs"]
    return {
        "run": run,
        "progress": progress,
        "share": done / total if done is not None and total else None,
        "queue": training.place_in_queue(run),
        "charts": with_addresses(
            charts_of(run.curves), lambda *drawn: reverse("training-chart", args=(run.pk, *drawn))
        ),
        "can": _possible(run),
        "may_change": request.user.has_perm("predictor.change_trainingrun"),
        "may_promote": request.user.has_perm("predictor.change_modelpointers"),
        "nobody": run.state in TrainingRun.QUEUED and _nobody_works(),
        "seen": f"{run.state}-{run.wish}-{run.claims}-{len(run.curves)}-{progress.get('seconds_left', '')}",
    }


def _settings(run: TrainingRun) -> list[tuple[str, Any]]:
    """What was asked for, in the order of the form, what was left open left out."""
    named = run.request | {
        "genres": [_GENRES.get(genre, str(genre)) for genre in run.request.get("genres", [])]
    }
    if run.request.get("teacher"):
        named["teacher"] = f"half from version {run.request['teacher']}"
    if run.request.get("read_posters"):
        named["read_posters"] = "yes"
    labels = {field.name: str(field.label) for field in TrainingForm()}
    return [
        (label, ", ".join(named[name]) if isinstance(named[name], list) else named[name])
        for name, label in labels.items()
        if named.get(name) not in (None, "", [], 0)
    ]


def _possible(run: TrainingRun) -> list[str]:
    """What can be done with it now."""
    state = TrainingRun.State
    if run.state == state.PAUSED or (run.state == state.RUNNING and run.wish == TrainingRun.Wish.PAUSE):
        return ["resume", "cancel"]
    if run.wish == TrainingRun.Wish.CANCEL or not run.is_open:
        return []
    return ["pause", "cancel"]


def _nobody_works() -> bool:
    """Whether no train worker is alive, as far as can be told."""
    try:
        return not live_workers(queue=training.QUEUE)
    except BrokerUnavailableError:
        return False
