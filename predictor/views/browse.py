"""The browse page: films as a grid of posters."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from catalog.models import Film


@require_safe
def browse(request: HttpRequest) -> HttpResponse:
    """The most popular films."""
    films = Film.objects.order_by("-popularity", "-id")[:36]
    return render(request, "predictor/browse.html", {"films": films})
