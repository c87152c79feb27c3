"""Why the model says so, for a film of the catalog."""

from __future__ import annotations

from http import HTTPStatus

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, Throttled
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.models import Film
from predictor.api.prediction_serializers import FilmExplanationSerializer
from predictor.api.throttles import PredictThrottle
from predictor.api.views.base import ApiView
from predictor.api.views.predict import or_unavailable
from predictor.explaining import explain_film, kept_explanation
from predictor.explanation_panel import explained
from predictor.registry import displayed


class ExplanationView(ApiView):
    """Why the displayed version says what it says."""

    extra_problems = (HTTPStatus.TOO_MANY_REQUESTS,)

    @extend_schema(
        operation_id="films_explanation", responses=FilmExplanationSerializer, tags=["predictions"]
    )
    def get(self, request: Request, film_id: int) -> Response:
        """Which words and which parts of the poster moved each genre, and how much overview and poster counted.

        Made by a worker when it is first asked for, which counts like a prediction and takes up to a few seconds, and
        kept for a day. It explains the film as it is now.
        """
        films = Film.objects.select_related("poster").defer("search", "folded_titles", "folded_overview")
        film = get_object_or_404(films, pk=film_id)
        version = displayed()
        if version is None:
            raise NotFound("There is no model whose predictions are shown.", code="no_model")
        explanation = kept_explanation(film, version)
        if explanation is None:
            # Here and not by `throttle_classes`: what is kept is free.
            throttle = PredictThrottle()
            if not throttle.allow_request(request, self):
                raise Throttled(throttle.wait())
            with or_unavailable():
                explanation = explain_film(film, version)
        body = explained(film, explanation, version, labels=film.label_ids) | {"film": film.pk}
        return Response(FilmExplanationSerializer(body).data)
