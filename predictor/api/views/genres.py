"""Genres and how many films have them."""

from __future__ import annotations

from django.db.models import Count, Q
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.models import Genre
from predictor.api.serializers import CountedGenreSerializer
from predictor.api.views.base import ApiView
from predictor.browsing import FilmFilters, displayed_version
from predictor.facets import facet_counts


class GenresView(ApiView):
    """All genres."""

    @extend_schema(operation_id="genres_list", responses=CountedGenreSerializer(many=True), tags=["films"])
    def get(self, request: Request) -> Response:
        """Genres with the number of their films, as the browse page counts them; `is_label` where models predict them."""
        counts = facet_counts(FilmFilters(), displayed_version()).by_label
        genres = list(Genre.objects.all())
        # Those that are no labels have few films, and no column of their own to count by.
        others = dict(
            Genre.objects.filter(is_label=False)
            .annotate(number=Count("films", filter=Q(films__adult=False)))
            .values_list("id", "number")
        )
        for genre in genres:
            genre.films_count = counts.get(genre.pk, 0) if genre.is_label else others.get(genre.pk, 0)  # type: ignore[attr-defined]
        return Response(CountedGenreSerializer(genres, many=True).data)
