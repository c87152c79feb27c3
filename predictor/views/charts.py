"""Drawings of charts, as files of their own."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import Http404, HttpRequest, HttpResponse

from ml_core.drawing import SCHEMES
from predictor.charts import WIDTHS, Chart, svg

# The address has the digest of what is drawn, so that the file at it never changes.
_FOREVER = "public, max-age=31536000, immutable"


def drawing(
    request: HttpRequest, charts: Iterable[Chart], *, name: str, scheme: str, width: str
) -> HttpResponse:
    """The chart of that name as an SVG file. 404 where there is no such chart or drawing of it."""
    if scheme not in SCHEMES or width not in WIDTHS:
        raise Http404("There is no such drawing of a chart.")
    for chart in charts:
        if chart.name == name:
            response = HttpResponse(svg(chart, scheme=scheme, width=width), content_type="image/svg+xml")
            current = request.GET.get("v") == chart.digest()
            response["Cache-Control"] = _FOREVER if current else "no-cache"
            return response
    raise Http404("There is no such chart.")
