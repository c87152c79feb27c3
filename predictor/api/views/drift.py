"""Drift."""

from __future__ import annotations

from dataclasses import fields

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from predictor import drift, registry
from predictor.api.comparison_serializers import CurrentDriftSerializer
from predictor.api.views.base import ApiView


class DriftView(ApiView):
    """The champion's drift."""

    @extend_schema(operation_id="models_drift", responses=CurrentDriftSerializer, tags=["models"])
    def get(self, request: Request) -> Response:
        """How far the catalog has gone on since the champion was trained, and whether that speaks for training again.

        Counted at most every few seconds, at a million films every few minutes: `counted_at` says when.
        """
        champion = registry.champion()
        body = None
        if champion is not None:
            found = drift.drift(champion)
            body = {field.name: getattr(found, field.name) for field in fields(found)}
            body["champion"] = champion
        return Response(CurrentDriftSerializer({"drift": body}).data)
