"""All addresses of the site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("api/v1/", include("predictor.api.urls")),
    path("", include("catalog.urls")),
    path("", include("predictor.urls")),
]
