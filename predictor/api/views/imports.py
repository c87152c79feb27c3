"""Imports: asked for, watched, paused, resumed, cancelled and tried again, by admins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, ClassVar

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.serializers import ValidationError

from catalog.import_estimates import estimate_in_time
from catalog.import_overview import brief_runs, cancel, films_named_by, overview, site_address
from catalog.models import ImportRun
from catalog.tmdb import runs
from catalog.tmdb.asking import RequestError
from catalog.tmdb.errors import TmdbError, TmdbNotConfiguredError, TmdbUnavailableError
from ledger.broker import BrokerUnavailableError
from predictor.api.id_pages import PAGE_PARAMETERS, id_page
from predictor.api.import_serializers import (
    ImportDetailSerializer,
    ImportEstimateSerializer,
    ImportPageSerializer,
    ImportRejectionPageSerializer,
    ImportRequestSerializer,
)
from predictor.api.problems import BadGateway, Conflict, Unavailable
from predictor.api.views.base import ApiView

# A broker that restarts is back within this, and TMDB's own troubles are seldom over sooner.
UNAVAILABLE_RETRY_SECONDS = 10
# Nobody but an operator can mend a key that is missing.
NO_KEY_RETRY_SECONDS = 3600
LOCATION = OpenApiParameter(
    "Location",
    OpenApiTypes.URI,
    location=OpenApiParameter.HEADER,
    response=[201],
    description="The import's address.",
)


class MayImport(BasePermission):
    """Staff with the permission for import runs that the method takes; views name another in `permissions`."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether this user may."""
        wanted = view.permissions.get(request.method, "view")
        user = request.user
        return bool(user.is_staff and user.has_perm(f"catalog.{wanted}_importrun"))


class ImportsApiView(ApiView):
    """A view of imports. `permissions`: which one a method takes, other than `view`."""

    permission_classes = (MayImport,)
    permissions: ClassVar[dict[str, str]] = {}
    extra_problems: tuple[HTTPStatus, ...] = (HTTPStatus.FORBIDDEN,)


class ImportsView(ImportsApiView):
    """All imports."""

    permissions = {"POST": "add"}

    @extend_schema(
        operation_id="imports_list",
        parameters=PAGE_PARAMETERS,
        responses=ImportPageSerializer,
        tags=["imports"],
    )
    def get(self, request: Request) -> Response:
        """Imports of every kind, newest first, a page at a time."""
        return Response(ImportPageSerializer(id_page(brief_runs(), request, newest_first=True)).data)

    @extend_schema(
        operation_id="imports_start",
        parameters=[LOCATION],
        request=ImportRequestSerializer,
        responses={201: ImportDetailSerializer},
        tags=["imports"],
    )
    def post(self, request: Request) -> Response:
        """Start an import from TMDB. Workers fetch the films; watch it at the address in `Location`."""
        body = ImportRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        with or_refused():
            run = runs.start(body.import_request(), by=request.user)
        return _created(run, request)


class EstimateView(ImportsApiView):
    """What an import will cost."""

    permissions = {"POST": "add"}
    extra_problems = (HTTPStatus.FORBIDDEN, HTTPStatus.BAD_GATEWAY)

    @extend_schema(
        operation_id="imports_estimate",
        request=ImportRequestSerializer,
        responses=ImportEstimateSerializer,
        tags=["imports"],
    )
    def post(self, request: Request) -> Response:
        """What an import from TMDB will cost in films, requests and seconds, before it is started."""
        body = ImportRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        with or_refused():
            return Response(ImportEstimateSerializer(estimate_in_time(body.import_request())).data)


class ImportView(ImportsApiView):
    """One import."""

    @extend_schema(operation_id="imports_read", responses=ImportDetailSerializer, tags=["imports"])
    def get(self, request: Request, run_id: int) -> Response:
        """An import: what was asked for, its counts, and how it is going."""
        return Response(_detail(run_id))


class RejectionsView(ImportsApiView):
    """What an import refused."""

    @extend_schema(
        operation_id="imports_rejections",
        parameters=PAGE_PARAMETERS,
        responses=ImportRejectionPageSerializer,
        tags=["imports"],
    )
    def get(self, request: Request, run_id: int) -> Response:
        """Records and values that an import refused, each with its reason, in order of their appearance."""
        run = get_object_or_404(ImportRun.objects.defer("options"), pk=run_id)
        page = id_page(run.rejections.all(), request)
        context = {"films": films_named_by(page.rows), "address_of": site_address}
        return Response(ImportRejectionPageSerializer(page, context=context).data)


class _SteeringView(ImportsApiView):
    permissions = {"POST": "change"}
    extra_problems = (HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT)

    def steer(self, run_id: int, service: Callable[[ImportRun], bool], participle: str) -> Response:
        """Have the service do it. Raises Conflict where it does not apply."""
        run = get_object_or_404(ImportRun.objects.defer("options"), pk=run_id)
        with or_refused():
            done = service(run)
        if not done:
            run.refresh_from_db(fields=["state"])
            raise Conflict(f"The import is {run.state}: it cannot be {participle}.", code="not_applicable")
        return Response(_detail(run_id))


class PauseView(_SteeringView):
    """Pausing."""

    @extend_schema(
        operation_id="imports_pause", request=None, responses=ImportDetailSerializer, tags=["imports"]
    )
    def post(self, request: Request, run_id: int) -> Response:
        """Let an import from TMDB rest until it is resumed; what is in hand is given up within a second."""
        return self.steer(run_id, runs.pause, "paused")


class ResumeView(_SteeringView):
    """Resuming."""

    @extend_schema(
        operation_id="imports_resume", request=None, responses=ImportDetailSerializer, tags=["imports"]
    )
    def post(self, request: Request, run_id: int) -> Response:
        """Let a paused import go on."""
        return self.steer(run_id, runs.resume, "resumed")


class CancelView(_SteeringView):
    """Cancelling."""

    @extend_schema(
        operation_id="imports_cancel", request=None, responses=ImportDetailSerializer, tags=["imports"]
    )
    def post(self, request: Request, run_id: int) -> Response:
        """Stop an import for good. What it wrote is kept."""
        return self.steer(run_id, cancel, "cancelled")


class RetryView(ImportsApiView):
    """Trying again."""

    permissions = {"POST": "add"}
    extra_problems = (HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT)

    @extend_schema(
        operation_id="imports_retry",
        parameters=[LOCATION],
        request=None,
        responses={201: ImportDetailSerializer},
        tags=["imports"],
    )
    def post(self, request: Request, run_id: int) -> Response:
        """Start an import of the films that an import from TMDB failed to fetch, or whose posters it did."""
        run = get_object_or_404(ImportRun, pk=run_id)
        if run.source != ImportRun.Source.TMDB:
            raise Conflict("Only an import from TMDB can be tried again.", code="not_applicable")
        try:
            with or_refused():
                again = runs.retry_failed(run, by=request.user)
        except runs.NothingToRetryError as error:
            raise Conflict(str(error), code="nothing_to_retry") from error
        return _created(again, request)


@contextmanager
def or_refused() -> Iterator[None]:
    """Asks for an import within; what cannot be asked for is a 400, a missing key or broker a 503, TMDB's refusal a 502."""
    try:
        yield
    except RequestError as error:
        field = "tmdb_ids" if error.field == "ids" else error.field
        raise ValidationError({field: [str(error)]}) from error
    except TmdbNotConfiguredError as error:
        raise Unavailable(str(error), retry_after=NO_KEY_RETRY_SECONDS, code="not_configured") from error
    except (TmdbUnavailableError, BrokerUnavailableError) as error:
        raise Unavailable(str(error), retry_after=UNAVAILABLE_RETRY_SECONDS) from error
    except TmdbError as error:
        raise BadGateway(str(error), code=error.code.replace("-", "_")) from error


def _detail(run_id: int) -> Any:
    run = get_object_or_404(brief_runs(), pk=run_id)
    run.progress = overview(run).progress  # type: ignore[attr-defined]
    return ImportDetailSerializer(run).data


def _created(run: ImportRun, request: Request) -> Response:
    address = reverse("api-import", args=[run.pk], request=request)
    return Response(_detail(run.pk), status=HTTPStatus.CREATED, headers={"Location": address})
