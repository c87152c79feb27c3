"""Trainings: asked for, watched, cancelled, paused, resumed. For admins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, cast

from django.contrib.auth.models import User
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from ledger.broker import BrokerUnavailableError
from predictor import audit
from predictor.api.permissions import StaffWithPermission
from predictor.api.problems import Conflict, InvalidInput, Unavailable
from predictor.api.training_serializers import (
    EstimateSerializer,
    TrainingDetailSerializer,
    TrainingRequestSerializer,
    TrainingSerializer,
)
from predictor.api.views.base import ApiView
from predictor.models import TrainingRun
from predictor.training import runs as training
from predictor.training.estimate import estimate
from predictor.training.settings import InvalidSettingsError, TrainingSettings

# Broker and queue are looked at again after so long, in seconds.
_BROKER_RETRY, _QUEUE_RETRY = 10, 60
_MOST = 100
_SEE, _ADD, _CHANGE = (f"predictor.{verb}_trainingrun" for verb in ("view", "add", "change"))


class TooManyWaiting(exceptions.APIException):
    """The queue of trainings is full."""

    status_code = HTTPStatus.TOO_MANY_REQUESTS
    default_code = "too_many_waiting"
    wait = _QUEUE_RETRY


class _TrainingView(ApiView):
    permission_classes = (StaffWithPermission,)
    extra_problems: tuple[HTTPStatus, ...] = (HTTPStatus.FORBIDDEN,)


class TrainingsView(_TrainingView):
    """All trainings."""

    permissions_by_method = {"GET": _SEE, "POST": _ADD}
    extra_problems = (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)

    @extend_schema(operation_id="trainings_list", responses=TrainingSerializer(many=True), tags=["trainings"])
    def get(self, request: Request) -> Response:
        """The newest 100 trainings, newest first."""
        runs = TrainingRun.objects.select_related("created_by").defer("curves", "log")[:_MOST]
        return Response(TrainingSerializer(runs, many=True).data)

    @extend_schema(
        operation_id="trainings_request",
        request=TrainingRequestSerializer,
        responses={200: TrainingSerializer, 201: TrainingSerializer},
        tags=["trainings"],
    )
    def post(self, request: Request) -> Response:
        """Ask for a training. The same settings sent again give the same training while it is open, with status 200.

        One runs at a time, at most 20 wait, then 429. Only films of train and validation are narrowed by the filters: every
        version is judged on all test films of the split.
        """
        with _problems():
            run, is_new = training.request_training(asked=_settings(request), by=cast(User, request.user))
        status = HTTPStatus.CREATED if is_new else HTTPStatus.OK
        return Response(TrainingSerializer(run).data, status=status)


class EstimateView(_TrainingView):
    """What a training would need."""

    permissions_by_method = {"POST": _SEE}

    @extend_schema(
        operation_id="trainings_estimate",
        request=TrainingRequestSerializer,
        responses=EstimateSerializer,
        tags=["trainings"],
    )
    def post(self, request: Request) -> Response:
        """How long a training with these settings would take, and its memory. Nothing is started."""
        with _problems():
            return Response(EstimateSerializer(estimate(_settings(request))).data)


class TrainingView(_TrainingView):
    """One training."""

    permissions_by_method = {"GET": _SEE}

    @extend_schema(operation_id="trainings_read", responses=TrainingDetailSerializer, tags=["trainings"])
    def get(self, request: Request, training_id: int) -> Response:
        """A training with its curves, log and history."""
        return Response(_detail(_run(training_id)))


class _ChangeView(_TrainingView):
    permissions_by_method = {"POST": _CHANGE}
    extra_problems = (HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT)

    def _change(self, request: Request, training_id: int, change: Callable[..., None]) -> Response:
        run = _run(training_id)
        with _problems():
            change(run, by=cast(User, request.user))
        return Response(_detail(_run(training_id)))


class CancelView(_ChangeView):
    """Ends a training."""

    @extend_schema(
        operation_id="trainings_cancel", request=None, responses=TrainingDetailSerializer, tags=["trainings"]
    )
    def post(self, request: Request, training_id: int) -> Response:
        """Cancel a training for good. One that runs is gone within 10 seconds."""
        return self._change(request, training_id, training.cancel)


class PauseView(_ChangeView):
    """Holds a training up."""

    @extend_schema(
        operation_id="trainings_pause", request=None, responses=TrainingDetailSerializer, tags=["trainings"]
    )
    def post(self, request: Request, training_id: int) -> Response:
        """Pause a training after its next checkpoint. It makes way for the next one."""
        return self._change(request, training_id, training.pause)


class ResumeView(_ChangeView):
    """Lets a training go on."""

    @extend_schema(
        operation_id="trainings_resume", request=None, responses=TrainingDetailSerializer, tags=["trainings"]
    )
    def post(self, request: Request, training_id: int) -> Response:
        """Resume a paused training from its checkpoint, when its turn comes."""
        return self._change(request, training_id, training.resume)


def _run(training_id: int) -> TrainingRun:
    return get_object_or_404(TrainingRun.objects.select_related("created_by"), pk=training_id)


def _detail(run: TrainingRun) -> Any:
    run.history = audit.history(run)  # type: ignore[attr-defined]
    return TrainingDetailSerializer(run).data


def _settings(request: Request) -> TrainingSettings:
    serializer = TrainingRequestSerializer(data=request.data)
    serializer.is_valid(raise_exception=True)
    return TrainingSettings.parse(serializer.validated_data)


@contextmanager
def _problems() -> Iterator[None]:
    """What services raise, as problems."""
    try:
        yield
    except InvalidSettingsError as error:
        raise InvalidInput(
            {
                name: [{"code": "invalid", "message": message} for message in messages]
                for name, messages in error.errors.items()
            }
        ) from error
    except training.TooManyWaitingError as error:
        raise TooManyWaiting(str(error)) from error
    except training.NotPossibleError as error:
        raise Conflict(str(error), code="not_possible") from error
    except BrokerUnavailableError as error:
        raise Unavailable(str(error), retry_after=_BROKER_RETRY) from error
