"""Model versions."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from predictor.api.serializers import ModelDetailSerializer, ModelSerializer
from predictor.api.views.base import ApiView
from predictor.models import ModelPointers, ModelVersion


class ModelsView(ApiView):
    """All versions."""

    @extend_schema(operation_id="models_list", responses=ModelSerializer(many=True), tags=["models"])
    def get(self, request: Request) -> Response:
        """Registered model versions, newest first, with their main figures."""
        return Response(ModelSerializer(_pointed(list(ModelVersion.objects.in_brief())), many=True).data)


class ModelView(ApiView):
    """One version."""

    @extend_schema(operation_id="models_read", responses=ModelDetailSerializer, tags=["models"])
    def get(self, request: Request, version_id: int) -> Response:
        """A registered model version with all its metrics."""
        version = get_object_or_404(ModelVersion, pk=version_id)
        return Response(ModelDetailSerializer(_pointed([version])[0]).data)


def _pointed(versions: list[ModelVersion]) -> list[ModelVersion]:
    """The versions, told whether they are champion and displayed."""
    pointers = ModelPointers.objects.filter(id=1).first()
    for version in versions:
        version.champion = pointers is not None and pointers.champion_id == version.pk  # type: ignore[attr-defined]
        version.displayed = pointers is not None and pointers.displayed_id == version.pk  # type: ignore[attr-defined]
    return versions
