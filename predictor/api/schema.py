"""What the OpenAPI schema says of every operation without each view repeating it: problems, bodies, security."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

from predictor.api.problems import PROBLEM_JSON


class FieldProblemSerializer(serializers.Serializer):
    """One thing wrong with one field."""

    code = serializers.CharField(help_text="For programs, such as `required`.")
    message = serializers.CharField(help_text="For people.")


class ProblemSerializer(serializers.Serializer):
    """A problem detail of RFC 9457."""

    type = serializers.CharField(help_text="`about:blank`: the title is HTTP's phrase for the status.")
    title = serializers.CharField()
    status = serializers.IntegerField(min_value=400, max_value=599)
    detail = serializers.CharField(help_text="What went wrong, and what to do.")
    instance = serializers.CharField(help_text="The path that was asked for.")
    code = serializers.CharField(required=False, help_text="For programs to branch on.")
    errors = serializers.DictField(  # type: ignore[assignment]
        child=FieldProblemSerializer(many=True), required=False, help_text="By name of the field."
    )


# Said of every status that can carry them.
RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds to wait before trying again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
DESCRIPTIONS = {
    HTTPStatus.BAD_REQUEST: "What was given cannot be used; `errors` says what, by field.",
    HTTPStatus.UNAUTHORIZED: "The token is missing, wrong or expired.",
    HTTPStatus.FORBIDDEN: "Not allowed, or a session's request without its CSRF token.",
    HTTPStatus.NOT_FOUND: "There is no such thing.",
    HTTPStatus.CONFLICT: "Not in the present state of things.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body, or the poster in it, is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body's type, or the poster's format, is not taken.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The body is well formed, but nothing can be made of it.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests from this address or account.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong here.",
    HTTPStatus.BAD_GATEWAY: "TMDB refused, or answered nonsense.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Something the answer needs is busy or away.",
}
WITH_RETRY_AFTER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


class ProblemAutoSchema(AutoSchema):
    """Adds to each operation the problems it can answer with.

    A view names those that only it knows in `extra_problems`, a tuple of statuses.
    """

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        responses = super()._get_response_bodies(direction)
        for status in sorted(self._problems()):
            body = self._get_response_for_code(  # type: ignore[no-untyped-call]
                ProblemSerializer, str(int(status)), [PROBLEM_JSON], direction
            )
            body["description"] = DESCRIPTIONS[status]
            if status in WITH_RETRY_AFTER:
                body["headers"] = RETRY_AFTER
            responses[str(int(status))] = body
        return dict(sorted(responses.items()))

    def get_summary(self) -> str | None:
        """The first sentence of the description."""
        sentence, _, _ = self.get_description().replace("\n", " ").partition(". ")
        return sentence.rstrip(".") or None

    def _problems(self) -> set[HTTPStatus]:
        problems = {
            HTTPStatus.BAD_REQUEST,  # also a host name that is not this site's
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.INTERNAL_SERVER_ERROR,
            HTTPStatus.SERVICE_UNAVAILABLE,
            *getattr(self.view, "extra_problems", ()),
        }
        if "{" in self.path:
            problems.add(HTTPStatus.NOT_FOUND)
        if self.method not in ("GET", "HEAD"):
            problems.add(HTTPStatus.FORBIDDEN)
        if self.method in ("POST", "PUT", "PATCH"):
            problems |= {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
        if self.view.get_throttles():
            problems.add(HTTPStatus.TOO_MANY_REQUESTS)
        return problems
