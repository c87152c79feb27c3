"""Predictions on request, made by the predict worker and not in the web process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.posters import PosterError, verify_poster
from predictor.api.parsers import BoundedFormParser, BoundedJSONParser
from predictor.api.prediction_serializers import (
    ExplainedPredictionSerializer,
    PredictFormSerializer,
    PredictSerializer,
)
from predictor.api.problems import FieldProblem, Unavailable
from predictor.api.throttles import PredictThrottle
from predictor.api.views.base import ApiView
from predictor.explaining import explain_online
from predictor.explanation_panel import explained
from predictor.models import ModelVersion
from predictor.online import OnlineFilm, PredictorBusy, PredictorUnavailable, predict_online
from predictor.panel import online_panel

# A worker that restarts is back within this; asking sooner only fills the queue.
UNAVAILABLE_RETRY_SECONDS = 10
# Of the codes of catalog.posters; whatever else is wrong with an image is 422.
_POSTER_STATUSES = {
    "too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "format": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
}


class PredictView(ApiView):
    """Asks the champion."""

    permission_classes = (AllowAny,)
    parser_classes = (BoundedJSONParser, BoundedFormParser)
    throttle_classes = (PredictThrottle,)
    extra_problems = (HTTPStatus.UNPROCESSABLE_ENTITY,)

    @extend_schema(
        operation_id="predict",
        request={"application/json": PredictSerializer, "multipart/form-data": PredictFormSerializer},
        responses=ExplainedPredictionSerializer,
        tags=["predictions"],
    )
    def post(self, request: Request) -> Response:
        """Genres of a film that need not be in the catalog, from title, overview, tagline and poster.

        At least one of title, overview and poster is needed. With `explain` the answer also says which words and which
        parts of the poster moved it. Open to all; anonymous clients are limited by address, users by account and much
        less.
        """
        film, explain = _film(request)
        with or_unavailable():
            explanation = explain_online(film) if explain else None
            answer = explanation.prediction if explanation else predict_online(film)
        version = ModelVersion.objects.defer("metrics").get(pk=answer.version_id)
        panel = online_panel(answer, version)
        return Response(
            ExplainedPredictionSerializer(
                {
                    "version": version,
                    "inputs": panel.inputs,
                    "poster_text": answer.poster_text,
                    "predicted": answer.predicted,
                    "genres": panel.rows,
                    "explanation": explained(film, explanation, version) if explanation else None,
                }
            ).data
        )


@contextmanager
def or_unavailable() -> Iterator[None]:
    """Asks a worker within; a worker that is busy or away is a 503."""
    try:
        yield
    except PredictorBusy as error:
        raise Unavailable(
            "Too many requests are waiting for the model.", retry_after=error.retry_after, code="busy"
        ) from error
    except PredictorUnavailable as error:
        raise Unavailable(
            f"The model cannot be reached: {error}", retry_after=UNAVAILABLE_RETRY_SECONDS
        ) from error


def _film(request: Request) -> tuple[OnlineFilm, bool]:
    """What was sent, verified, and whether to explain it. Raises problems of 400, 413, 415 and 422."""
    in_form = request.content_type.lower().startswith("multipart/")
    serializer = (PredictFormSerializer if in_form else PredictSerializer)(data=request.data)
    serializer.is_valid(raise_exception=True)
    given: dict[str, Any] = serializer.validated_data
    poster = given["poster"]
    content: bytes | None = poster.read() if hasattr(poster, "read") else poster
    if content is not None:
        _verify(content)
    if not (given["title"] or given["overview"] or content):
        raise FieldProblem(
            status=HTTPStatus.UNPROCESSABLE_ENTITY,
            field="body",
            code="empty",
            message="Give a title, an overview or a poster: there is nothing to predict from.",
        )
    film = OnlineFilm(
        title=given["title"], overview=given["overview"], tagline=given["tagline"], poster=content
    )
    return film, given["explain"]


def _verify(content: bytes) -> None:
    try:
        verify_poster(content)
    except PosterError as error:
        raise FieldProblem(
            status=_POSTER_STATUSES.get(error.code, HTTPStatus.UNPROCESSABLE_ENTITY),
            field="poster",
            code=error.code,
            message=str(error),
        ) from error
