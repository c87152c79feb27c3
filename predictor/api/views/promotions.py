"""Promoting a version through the gate, rolling back, and what was promoted. For admins."""

from __future__ import annotations

from http import HTTPStatus
from typing import cast

from django.contrib.auth.models import User
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from predictor import gate, promotion, registry
from predictor.api.permissions import StaffWithPermission
from predictor.api.problems import Conflict
from predictor.api.training_serializers import GateSerializer, PromoteSerializer, PromotionSerializer
from predictor.api.views.base import ApiView
from predictor.models import ModelVersion, Promotion

_MOST = 100
_SEE, _CHANGE = "predictor.view_promotion", "predictor.change_modelpointers"


class PromotionsView(ApiView):
    """What was promoted."""

    permission_classes = (StaffWithPermission,)
    permissions_by_method = {"GET": _SEE}
    extra_problems = (HTTPStatus.FORBIDDEN,)

    @extend_schema(operation_id="promotions_list", responses=PromotionSerializer(many=True), tags=["models"])
    def get(self, request: Request) -> Response:
        """The newest 100 promotions and rollbacks: by whom, when, after which version, and why where they were forced."""
        promotions = Promotion.objects.select_related("by")[:_MOST]
        return Response(PromotionSerializer(promotions, many=True).data)


class PromoteView(ApiView):
    """The gate before the champion's place."""

    permission_classes = (StaffWithPermission,)
    permissions_by_method = {"GET": _SEE, "POST": _CHANGE}
    extra_problems = (HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT)

    @extend_schema(operation_id="models_gate", responses=GateSerializer, tags=["models"])
    def get(self, request: Request, version_id: int) -> Response:
        """How a version compares with the champion. Nothing is changed."""
        return Response(GateSerializer(gate.judge(_version(version_id), registry.champion())).data)

    @extend_schema(
        operation_id="models_promote",
        request=PromoteSerializer,
        responses=PromotionSerializer,
        tags=["models"],
    )
    def post(self, request: Request, version_id: int) -> Response:
        """Make a version the champion. Where the gate refuses it (409, `gate_refused`), a reason overrules it.

        It answers online requests at once; pages show it when it has predicted the catalog, which starts now.
        """
        serializer = PromoteSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            promoted = promotion.promote(
                _version(version_id),
                by=cast(User, request.user),
                force_reason=serializer.validated_data["force_reason"],
            )
        except promotion.GateRefusedError as error:
            raise Conflict(str(error), code="gate_refused") from error
        except (promotion.NotPromotableError, registry.ChampionChangedError) as error:
            raise Conflict(str(error), code="not_promotable") from error
        return Response(PromotionSerializer(promoted).data)


class RollbackView(ApiView):
    """The way back."""

    permission_classes = (StaffWithPermission,)
    permissions_by_method = {"POST": _CHANGE}
    extra_problems = (HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT)

    @extend_schema(
        operation_id="models_rollback", request=None, responses=PromotionSerializer, tags=["models"]
    )
    def post(self, request: Request) -> Response:
        """Make the former champion the champion again, at once and in one step."""
        try:
            rolled_back = promotion.rollback(by=cast(User, request.user))
        except (promotion.NotPromotableError, registry.ChampionChangedError) as error:
            raise Conflict(str(error), code="not_promotable") from error
        return Response(PromotionSerializer(rolled_back).data)


def _version(version_id: int) -> ModelVersion:
    return get_object_or_404(ModelVersion.objects.defer("metrics"), pk=version_id)
