"""What goes wrong under /api/ outside the API's own views is a problem detail as well."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from predictor.api.problems import PROBLEM_JSON, problem_body


class ProblemMiddleware:
    """Turns error pages under /api/ into problem details: a host not allowed, a redirect loop, a crash.

    Stands outermost, so that it sees what any other middleware answers; their headers are kept.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if (
            not request.path_info.startswith("/api/")
            or response.status_code < HTTPStatus.BAD_REQUEST
            or not isinstance(response, HttpResponse)
            or response.get("Content-Type", "").startswith(PROBLEM_JSON)
        ):
            return response
        status = HTTPStatus(response.status_code)
        response.content = problem_body(status=status, detail=status.description, instance=request.path)
        response["Content-Type"] = PROBLEM_JSON
        if response.has_header("Content-Length"):
            response["Content-Length"] = str(len(response.content))
        return response
