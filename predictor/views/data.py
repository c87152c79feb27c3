"""The data page: the catalog in charts."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from catalog.exploration import explore
from predictor.charts import with_addresses
from predictor.data_charts import charts_of
from predictor.views.charts import drawing


@require_safe
def data(request: HttpRequest) -> HttpResponse:
    """The article's exploration, over the films of this catalog."""
    exploration = explore()
    charts = with_addresses(charts_of(exploration), lambda *drawn: reverse("chart", args=drawn))
    return render(request, "predictor/data.html", {"exploration": exploration, "charts": charts})


@require_safe
def chart(request: HttpRequest, name: str, scheme: str, width: str) -> HttpResponse:
    """A chart as an SVG file."""
    return drawing(request, charts_of(explore()), name=name, scheme=scheme, width=width)
