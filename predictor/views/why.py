"""Why the model says so: a film's explanation as a page of its own, or as a piece of the film's page to htmx."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from catalog.models import Film
from predictor.api.throttles import PredictThrottle
from predictor.explaining import explain_film, kept_explanation
from predictor.explanation_panel import explanation_panel
from predictor.online import PredictorBusy, PredictorUnavailable
from predictor.registry import displayed

# When to come back after the model could not be reached: a worker restarts within some ten seconds.
_RETRY_SECONDS = 10


@require_safe
def why(request: HttpRequest, film_id: int, slug: str) -> HttpResponse:
    """What moved the displayed version on this film. One that was asked for before is shown without asking again."""
    film = get_object_or_404(
        Film.objects.select_related("poster").defer("folded_titles", "folded_overview", "search"), pk=film_id
    )
    if slug != film.slug:
        return HttpResponsePermanentRedirect(reverse("why", args=[film.pk, film.slug]))
    version = displayed()
    if version is None:
        return _refused(request, film, "There is no model yet.", status=HTTPStatus.NOT_FOUND)
    explanation = kept_explanation(film, version)
    if explanation is None:
        throttle = PredictThrottle()
        if not throttle.allow_request(request, None):
            reason = "You have asked very often just now."
            return _refused(
                request, film, reason, status=HTTPStatus.TOO_MANY_REQUESTS, retry_after=throttle.wait() or 1
            )
        try:
            explanation = explain_film(film, version)
        except PredictorBusy as error:
            reason = "The model has more to do than it can manage at the moment."
            return _refused(request, film, reason, retry_after=error.retry_after)
        except PredictorUnavailable as error:
            reason = f"The model cannot be reached: {error}"
            return _refused(request, film, reason, retry_after=_RETRY_SECONDS)
    return _page(request, film, why=explanation_panel(film, explanation, version))


def _refused(
    request: HttpRequest,
    film: Film,
    reason: str,
    *,
    status: int = HTTPStatus.SERVICE_UNAVAILABLE,
    retry_after: float | None = None,
) -> HttpResponse:
    """Why there is no explanation just now, and when there may be one."""
    seconds = None if retry_after is None else max(1, math.ceil(retry_after))
    response = _page(request, film, status=status, refusal=reason, retry_after=seconds)
    if seconds is not None:
        response["Retry-After"] = str(seconds)
    return response


def _page(request: HttpRequest, film: Film, *, status: int = HTTPStatus.OK, **context: Any) -> HttpResponse:
    htmx = getattr(request, "htmx", None)
    part = htmx and htmx.target == "why" and not htmx.history_restore_request
    template = "predictor/why_body.html" if part else "predictor/why.html"
    response = render(request, template, {"film": film, "part": part, **context}, status=status)
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    response["X-Robots-Tag"] = "noindex"  # each look at another film costs a worker a second
    return response
