"""Two versions side by side."""

from __future__ import annotations

from dataclasses import fields

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from predictor.api.comparison_serializers import VersionComparisonSerializer
from predictor.api.problems import InvalidInput
from predictor.api.views.base import ApiView
from predictor.version_choice import VersionChoiceError, chosen_versions
from predictor.version_comparison import version_comparison

_VERSION = {"type": "integer", "minimum": 1}


class VersionComparisonView(ApiView):
    """Two versions."""

    @extend_schema(
        operation_id="models_compare",
        parameters=[
            OpenApiParameter("a", _VERSION, required=True, description="Id of the one version."),
            OpenApiParameter("b", _VERSION, required=True, description="Id of the other one."),
        ],
        responses=VersionComparisonSerializer,
        tags=["models"],
    )
    def get(self, request: Request) -> Response:
        """Two versions on the same films that neither was trained on, with the paired interval of each difference.

        By the predictions that this site holds of both. Worked out when first asked for, and kept while neither films nor
        predictions change. Ids that are missing, unknown or the same are refused with 400.
        """
        try:
            a, b = chosen_versions(request.query_params.get("a", ""), request.query_params.get("b", ""))
        except VersionChoiceError as error:
            message = {"code": error.code, "message": str(error)}
            raise InvalidInput({error.field: [message]}) from error
        found = version_comparison(a, b)
        body = {field.name: getattr(found, field.name) for field in fields(found) if field.name != "reports"}
        return Response(VersionComparisonSerializer(body | {"a": a, "b": b, "few": found.few}).data)
