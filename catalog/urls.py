"""Addresses of the catalog's own: the posters' files and their thumbnails'."""

from django.urls import URLPattern, re_path

from catalog import media
from catalog.thumbnails import WIDTHS

urlpatterns: list[URLPattern] = [
    re_path(
        r"^media/posters/(?P<folder>[0-9a-f]{2})/(?P<sha256>[0-9a-f]{64})\.(?P<extension>jpg|png|webp)$",
        media.poster_file,
        name="poster-file",
    ),
    re_path(
        rf"^media/thumbnails/(?P<pixels>{'|'.join(map(str, WIDTHS))})"
        r"/(?P<folder>[0-9a-f]{2})/(?P<sha256>[0-9a-f]{64})\.webp$",
        media.thumbnail_file,
        name="thumbnail-file",
    ),
]
