"""Model versions: which there are, how well they do, and one of them in full."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from predictor.model_pages import FIGURE_NAMES, CardUnreadable, card, reports
from predictor.models import ModelPointers, ModelVersion

# A site that retrains often still shows a page that one reads to its end; older versions stay in the admin.
_MOST = 50


@require_safe
def models(request: HttpRequest) -> HttpResponse:
    """The versions, newest first, with their main figures."""
    pointers = ModelPointers.objects.first()
    versions = [_entry(version, pointers) for version in ModelVersion.objects.all()[:_MOST]]
    return render(request, "predictor/models.html", {"versions": versions})


@require_safe
def model(request: HttpRequest, version_id: int) -> HttpResponse:
    """One version: all figures, thresholds, model card. 404 where there is no such version."""
    version = get_object_or_404(ModelVersion, pk=version_id)
    entry = _entry(version, ModelPointers.objects.first())
    try:
        entry["card"] = card(version)
    except CardUnreadable:
        entry["card"] = None
    return render(request, "predictor/model.html", {**entry, "figure_names": FIGURE_NAMES})


def _entry(version: ModelVersion, pointers: ModelPointers | None) -> dict[str, Any]:
    found = reports(version)
    return {
        "version": version,
        "reports": found,
        "main": found[0] if found else None,
        "is_champion": pointers is not None and pointers.champion_id == version.pk,
        "is_displayed": pointers is not None and pointers.displayed_id == version.pk,
    }
