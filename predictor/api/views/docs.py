"""What the API says of itself: where things are, the OpenAPI schema, and a page to read it on."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from predictor.api.negotiation import SchemaNegotiation
from predictor.api.views.base import ApiView


class SchemaView(SpectacularAPIView):
    """The OpenAPI 3 schema of this API."""

    renderer_classes = [OpenApiYamlRenderer, OpenApiJsonRenderer]
    content_negotiation_class = SchemaNegotiation

    def _get_version_parameter(self, request: Request) -> None:
        # There is one version. The parameter would go into the schema and into a header as it comes.
        return None


@require_safe
@ensure_csrf_cookie
def docs(request: HttpRequest) -> HttpResponse:
    """The schema, readable, with requests that can be tried out."""
    return render(request, "api/docs.html")


class RootView(ApiView):
    """The way in."""

    @extend_schema(
        operation_id="root",
        responses={200: {"type": "object", "additionalProperties": {"type": "string", "format": "uri"}}},
        tags=["about"],
    )
    def get(self, request: Request) -> Response:
        """Addresses of what there is."""
        names = ("films", "genres", "models", "trainings", "predict", "imports", "tokens", "schema", "docs")
        return Response({name: reverse(f"api-{name}", request=request) for name in names})


class UnknownView(APIView):
    """Whatever has no address of its own: a 404 for every method, never a redirect that would lose a body."""

    permission_classes = (AllowAny,)
    authentication_classes = ()
    http_method_names: list[str] = []
    schema = None

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        hint = "" if request.path.endswith("/") else " Addresses of this API end with a slash."
        raise NotFound(f"There is nothing at this address.{hint}")
