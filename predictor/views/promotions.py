"""Promoting a version on the site, and rolling back in one click. For staff."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from predictor import gate, promotion, registry
from predictor.models import ModelVersion
from predictor.views.staff import for_staff

_MOST_REASON = 1000


@require_http_methods(["GET", "HEAD", "POST"])
@for_staff("predictor.change_modelpointers")
def promote(request: HttpRequest, version_id: int) -> HttpResponse:
    """How a version compares with the champion; a POST promotes it, against the gate for a reason alone."""
    version = get_object_or_404(ModelVersion.objects.defer("metrics"), pk=version_id)
    problem, status = "", 200
    if request.method == "POST":
        try:
            promotion.promote(
                version,
                by=cast(User, request.user),
                force_reason=request.POST.get("force_reason", "")[:_MOST_REASON],
            )
        except (
            promotion.GateRefusedError,
            promotion.NotPromotableError,
            registry.ChampionChangedError,
        ) as error:
            problem, status = str(error), 409
        else:
            messages.success(request, f"{version.name} is the champion now.")
            return redirect("model", version.pk)
    context = {"version": version, "report": gate.judge(version, registry.champion()), "problem": problem}
    return render(request, "predictor/promote.html", context, status=status)


@require_POST
@for_staff("predictor.change_modelpointers")
def rollback(request: HttpRequest) -> HttpResponse:
    """Make the former champion the champion again."""
    try:
        done = promotion.rollback(by=cast(User, request.user))
    except (promotion.NotPromotableError, registry.ChampionChangedError) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{done.version.name} is the champion again.")
    return redirect("trainings")
