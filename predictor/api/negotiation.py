"""Which representation a client gets."""

from __future__ import annotations

from collections.abc import Iterable

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class AlwaysJson(DefaultContentNegotiation):
    """Answers JSON whatever Accept says, as RFC 9110 allows: there is one representation, never a 406."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, str(first.media_type)


class SchemaNegotiation(AlwaysJson):
    """YAML, or JSON where ``?format=json`` or Accept asks for it."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        accept = request.headers.get("Accept", "")
        wants_json = request.query_params.get("format") == "json" or "json" in accept
        chosen = next(r for r in renderers if (r.format == "json") == wants_json)
        return chosen, str(chosen.media_type)
