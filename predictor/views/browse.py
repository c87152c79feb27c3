"""The browse page: films as a grid of posters, searched, filtered and sorted; and the counts beside its filters."""

from __future__ import annotations

from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe
from django_htmx.http import trigger_client_event

from catalog.models import Film, Genre
from predictor.browsing import CursorError, FilmFilters, displayed_version, film_page
from predictor.facets import facet_counts
from predictor.film_cards import active_filters, film_cards
from predictor.filter_form import FilterForm

LANGUAGES_CACHE_SECONDS = 600


@require_safe
def browse(request: HttpRequest) -> HttpResponse:
    """A page of films; to htmx, the list alone, or what comes after the films already there."""
    genres = list(Genre.objects.all())
    form = FilterForm(request.GET, genres=genres, languages=_languages())
    context: dict[str, Any] = {"form": form, "genres": [genre for genre in genres if genre.is_label]}
    if not form.is_valid():
        return _respond(request, context, status=400)
    filters = form.filters()
    names = {genre.pk: genre.name for genre in genres}
    context |= {"filters": filters, "here": filters.query_string(), "active": active_filters(filters, names)}
    cursor = request.GET.get("after", "")
    try:
        page = film_page(filters, displayed_version(), cursor=cursor)
    except CursorError as error:
        return _respond(request, context | {"cursor_error": str(error)}, status=400)
    context |= {
        "cards": film_cards(page, names),
        "next": filters.query_string(after=page.next_cursor) if page.next_cursor else "",
        "continued": bool(cursor),
    }
    return _respond(request, context, filters=filters)


@require_safe
def facets(request: HttpRequest) -> HttpResponse:
    """How many films of each genre the list has, as pieces for htmx to put into the page."""
    genres = list(Genre.objects.all())
    form = FilterForm(request.GET, genres=genres)
    if not form.is_valid():
        return HttpResponse("These filters are not valid.", status=400, content_type="text/plain")
    counts = facet_counts(form.filters(), displayed_version())
    labels = [(genre, counts.by_label.get(genre.pk, 0)) for genre in genres if genre.is_label]
    return render(request, "predictor/browse_facets.html", {"counts": counts, "labels": labels})


def _respond(
    request: HttpRequest, context: dict[str, Any], *, filters: FilmFilters | None = None, status: int = 200
) -> HttpResponse:
    htmx = getattr(request, "htmx", None)
    part = htmx.target if htmx and not htmx.history_restore_request else None
    template = {"more": "predictor/browse_films.html", "results": "predictor/browse_results.html"}.get(
        part or "", "predictor/browse.html"
    )
    response = render(request, template, context | {"partial": part == "results"}, status=status)
    if part == "results" and filters is not None:
        # The address as one would write it, without the fields of the form that were left empty.
        here = filters.query_string()
        response["HX-Push-Url"] = reverse("browse") + (f"?{here}" if here else "")
        trigger_client_event(response, "films-listed")  # the counts beside the filters ask for themselves
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    return response


def _languages() -> list[str]:
    return (
        cache.get_or_set("browse:languages", lambda: Film.objects.all().languages(), LANGUAGES_CACHE_SECONDS)
        or []
    )
