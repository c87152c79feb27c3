"""The data page: the catalog in charts."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from catalog.exploration import explore
from ml_core.drawing import SCHEMES
from predictor.charts import WIDTHS, svg
from predictor.data_charts import charts_of

# The address has the digest of what is drawn, so that the file at it never changes.
_FOREVER = "public, max-age=31536000, immutable"


@require_safe
def data(request: HttpRequest) -> HttpResponse:
    """The article's exploration, over the films of this catalog."""
    exploration = explore()
    return render(
        request, "predictor/data.html", {"exploration": exploration, "charts": charts_of(exploration)}
    )


@require_safe
def chart(request: HttpRequest, name: str, scheme: str, width: str) -> HttpResponse:
    """A chart as an SVG file."""
    if scheme not in SCHEMES or width not in WIDTHS:
        raise Http404("There is no such drawing of a chart.")
    for candidate in charts_of(explore()):
        if candidate.name == name:
            response = HttpResponse(svg(candidate, scheme=scheme, width=width), content_type="image/svg+xml")
            current = request.GET.get("v") == candidate.digest()
            response["Cache-Control"] = _FOREVER if current else "no-cache"
            return response
    raise Http404("There is no such chart.")
