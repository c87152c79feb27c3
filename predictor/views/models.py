"""Model versions: which there are, how well they do, and one of them in full."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from predictor.charts import with_addresses
from predictor.model_details import SLICE_FIGURES, details
from predictor.model_pages import FIGURE_NAMES, CardUnreadable, card, reports
from predictor.models import ModelPointers, ModelVersion
from predictor.views.charts import drawing

# A site that retrains often still shows a page that one reads to its end; older versions stay in the admin.
_MOST = 50


@require_safe
def models(request: HttpRequest) -> HttpResponse:
    """The versions, newest first, with their main figures."""
    pointers = ModelPointers.objects.first()
    versions = [_entry(version, pointers) for version in ModelVersion.objects.in_brief()[:_MOST]]
    return render(request, "predictor/models.html", {"versions": versions})


@require_safe
def model(request: HttpRequest, version_id: int) -> HttpResponse:
    """One version: all figures, by what `inputs` it was shown, thresholds, model card. 404 where there is no such version."""
    version = get_object_or_404(ModelVersion, pk=version_id)
    asked = request.GET.get("inputs", "")
    found = details(version, asked)
    if asked and found is None:
        raise Http404("This model has no such figures.")
    entry = _entry(version, ModelPointers.objects.first())
    try:
        entry["card"] = card(version)
    except CardUnreadable:
        entry["card"] = None
    if found is not None:
        entry["details"] = found
        entry["charts"] = with_addresses(
            found.charts, lambda *drawn: reverse("model-chart", args=(version.pk, found.inputs, *drawn))
        )
    return render(
        request,
        "predictor/model.html",
        {**entry, "figure_names": FIGURE_NAMES, "slice_figures": SLICE_FIGURES},
    )


@require_safe
def model_chart(request: HttpRequest, version_id: int, inputs: str, **drawn: str) -> HttpResponse:
    """A chart of a version as an SVG file; `drawn` says which, as `drawing` takes it."""
    found = details(get_object_or_404(ModelVersion, pk=version_id), inputs)
    if found is None:
        raise Http404("This model has no such figures.")
    return drawing(request, found.charts, **drawn)


def _entry(version: ModelVersion, pointers: ModelPointers | None) -> dict[str, Any]:
    found = reports(version)
    return {
        "version": version,
        "reports": found,
        "main": found[0] if found else None,
        "is_champion": pointers is not None and pointers.champion_id == version.pk,
        "is_displayed": pointers is not None and pointers.displayed_id == version.pk,
    }
