"""All addresses of the site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path

from genresite.health import healthz, readyz
from predictor.api.views.docs import UnknownView

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("admin/", admin.site.urls),
    path("api/v1/", include("predictor.api.urls")),
    re_path(r"^api/", UnknownView.as_view()),
    path("", include("catalog.urls")),
    path("", include("predictor.urls")),
]
