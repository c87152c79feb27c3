"""Addresses of the pages."""

from __future__ import annotations

from django.urls import URLPattern, path

from predictor.views.browse import browse

urlpatterns: list[URLPattern] = [
    path("", browse, name="browse"),
]
