"""Films, what the model says of them, and their like."""

from __future__ import annotations

from django.db.models import prefetch_related_objects
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.models import Film
from predictor.api.film_list import LIST_PARAMETERS, parse_film_list
from predictor.api.prediction_serializers import ComparisonSerializer
from predictor.api.problems import InvalidInput
from predictor.api.serializers import (
    FilmDetailSerializer,
    FilmPageSerializer,
    FilmSerializer,
)
from predictor.api.views.base import ApiView
from predictor.browsing import CursorError, displayed_version, film_page
from predictor.models import Prediction
from predictor.panel import film_panel, shown
from predictor.similarity import similar_films


class FilmsView(ApiView):
    """The catalog."""

    @extend_schema(
        operation_id="films_list", parameters=LIST_PARAMETERS, responses=FilmPageSerializer, tags=["films"]
    )
    def get(self, request: Request) -> Response:
        """Films, filtered, searched and sorted as on the browse page, a page at a time.

        Go on with the address in `next`: its cursor holds for these filters and this sort only, and every
        page is as fast as the first.
        """
        asked = parse_film_list(request.query_params)
        version = displayed_version()
        try:
            page = film_page(asked.filters, version, cursor=asked.cursor, size=asked.page_size)
        except CursorError as error:
            raise InvalidInput({"cursor": [{"code": "cursor", "message": str(error)}]}) from error
        prefetch_related_objects(page.films, "genres")
        for film in page.films:
            film.prediction = _summary(film, version.pk if version else 0)  # type: ignore[attr-defined]
        following = None
        if page.next_cursor:
            extra = {"cursor": page.next_cursor} | asked.extra
            following = request.build_absolute_uri(f"{request.path}?{asked.filters.query_string(**extra)}")
        body = {"next": following, "results": page.films}
        return Response(FilmPageSerializer(body, context={"request": request}).data)


class FilmView(ApiView):
    """One film."""

    @extend_schema(operation_id="films_read", responses=FilmDetailSerializer, tags=["films"])
    def get(self, request: Request, film_id: int) -> Response:
        """A film with all that is known of it."""
        films = Film.objects.select_related("poster").prefetch_related("genres")
        film = get_object_or_404(films.defer("search", "folded_titles", "folded_overview"), pk=film_id)
        film.prediction = shown(film).prediction  # type: ignore[attr-defined]
        return Response(FilmDetailSerializer(film, context={"request": request}).data)


class PredictionView(ApiView):
    """What the displayed version says of a film."""

    @extend_schema(operation_id="films_prediction", responses=ComparisonSerializer, tags=["predictions"])
    def get(self, request: Request, film_id: int) -> Response:
        """The displayed version's prediction of a film beside TMDB's labels, genre by genre."""
        film, prediction = _predicted(film_id)
        panel = film_panel(film, prediction)
        comparison = {
            "film": film.pk,
            "version": panel.version,
            "part": panel.part,
            "inputs": panel.inputs,
            "poster_error": panel.poster_error,
            "stale": panel.stale,
            "compared": panel.compared,
            "surprise": prediction.surprise,
            "predicted_at": prediction.predicted_at,
            "genres": sorted(panel.rows, key=lambda row: (-row.probability, row.name)),
        }
        return Response(ComparisonSerializer(comparison).data)


class SimilarView(ApiView):
    """Films like a film."""

    @extend_schema(operation_id="films_similar", responses=FilmSerializer(many=True), tags=["films"])
    def get(self, request: Request, film_id: int) -> Response:
        """Up to 12 films that the displayed version finds most alike, the nearest first; adult films left out."""
        _, prediction = _predicted(film_id)
        alike = [film.pk for film in similar_films(prediction)]
        films = Film.objects.select_related("poster").prefetch_related("genres").in_bulk(alike)
        predictions = Prediction.objects.defer("embedding").filter(
            version_id=prediction.version_id, film_id__in=alike
        )
        by_film = {row.film_id: row for row in predictions}
        for film in films.values():
            film.prediction = by_film.get(film.pk)  # type: ignore[attr-defined]
        ordered = [films[pk] for pk in alike if pk in films]
        return Response(FilmSerializer(ordered, many=True, context={"request": request}).data)


def _predicted(film_id: int) -> tuple[Film, Prediction]:
    """The film and its prediction. Raises NotFound, which says which of them is missing."""
    film = get_object_or_404(Film.objects.defer("search", "folded_titles", "folded_overview"), pk=film_id)
    found = shown(film)
    if found.version is None:
        raise NotFound("There is no model whose predictions are shown.", code="no_model")
    if found.prediction is None:
        raise NotFound("This film has not been predicted yet.", code="no_prediction")
    return film, found.prediction


def _summary(film: Film, version_id: int) -> Prediction | None:
    """The prediction that a page of films carries with each of them."""
    if film.shown_predicted is None:  # type: ignore[attr-defined]
        return None
    names = ("predicted", "hits", "misses", "extras", "surprise", "part")
    return Prediction(
        version_id=version_id, film_id=film.pk, **{name: getattr(film, f"shown_{name}") for name in names}
    )
