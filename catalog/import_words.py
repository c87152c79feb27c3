"""Imports in words: what was asked for, what it will cost, and how long that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from catalog.languages import language_name
from catalog.models import Genre
from catalog.tmdb.asking import ImportRequest, Sort, What
from catalog.tmdb.client import ListName
from catalog.tmdb.listing import ImportEstimate

SORT_NAMES: dict[Sort, str] = {
    "popularity.desc": "most popular first",
    "vote_count.desc": "most votes first",
    "vote_average.desc": "best rated first",
    "primary_release_date.desc": "newest first",
    "primary_release_date.asc": "oldest first",
}
LIST_NAMES: dict[ListName, str] = {
    "popular": "Popular",
    "top_rated": "Top rated",
    "now_playing": "Now playing",
    "upcoming": "Upcoming",
}
# The fields of a request that mean something only for some `what`.
FIELDS_OF: dict[What, tuple[str, ...]] = {
    "ids": ("tmdb_ids", "imdb_ids"),
    "search": ("query", "year"),
    "discover": ("genres", "year_from", "year_to", "language", "min_votes", "sort"),
    "list": ("list_name",),
    "export": ("min_popularity",),
    "sync": (),
}


def request_in_words(request: ImportRequest, *, ids: int | None = None) -> str:
    """What is asked for, such as “Search for “alien”, 1979; at most 20 films”.

    ``ids``: how many ids were given, where the request itself was read without them.
    """
    parts = [_WORDS[request.what](request, ids)]
    if request.most is not None:
        parts.append(f"at most {_films(request.most)}")
    if request.skip_known:
        parts.append("only films that the catalog lacks")
    if not request.posters:
        parts.append("without posters")
    return "; ".join(parts)


def asked_for(options: Mapping[str, Any]) -> str:
    """What a run was asked for, from its options, with or without the ids (`catalog.import_overview.brief_runs`)."""
    if "request" in options:
        words = request_in_words(ImportRequest.from_options(options["request"]), ids=options.get("ids"))
        retried = options.get("retry_of")
        return f"What failed in import {retried}: {words}" if retried else words
    return str(options.get("csv", ""))


def estimate_in_words(estimate: ImportEstimate) -> str:
    """What an import will cost, such as “About 1,234 films, 1,296 requests, 33 s at 40 a second.”"""
    if estimate.films is None or estimate.requests is None or estimate.seconds is None:
        return "How many films that is nobody can know before it begins."
    if not estimate.films:
        return "No film to import."
    requests = "1 request" if estimate.requests == 1 else f"{estimate.requests:,} requests"
    return (
        f"About {_films(estimate.films)}, {requests}, {duration(estimate.seconds)} "
        f"at {settings.TMDB_REQUESTS_PER_SECOND:g} a second."
    )


def duration(seconds: float) -> str:
    """12.3 as “12 s”, 4,000 as “1 h 7 min”; in seconds below two minutes, and never less than one."""
    if seconds < 119.5:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    days, hours = divmod(minutes // 60, 24)
    if not days:
        return " ".join([f"{hours} h", *([f"{minutes % 60} min"] if minutes % 60 else [])])
    return " ".join([f"{days} d", *([f"{hours} h"] if hours else [])])


def _films(number: int) -> str:
    return "1 film" if number == 1 else f"{number:,} films"


def _ids(request: ImportRequest, ids: int | None) -> str:
    number = len(request.tmdb_ids) + len(request.imdb_ids) if ids is None else ids
    return f"{_films(number)} by id"


def _search(request: ImportRequest, _: int | None) -> str:
    return f"Search for “{request.query}”" + (f", {request.year}" if request.year else "")


def _discover(request: ImportRequest, _: int | None) -> str:
    names = Genre.objects.in_bulk(request.genres) if request.genres else {}
    kinds = " and ".join(names[key].name if key in names else str(key) for key in request.genres)
    parts = [kinds or "All genres"]
    if request.year_from and request.year_to:
        same = request.year_from == request.year_to
        parts.append(str(request.year_from) if same else f"{request.year_from} to {request.year_to}")
    elif request.year_from:
        parts.append(f"since {request.year_from}")
    elif request.year_to:
        parts.append(f"until {request.year_to}")
    if request.language:
        parts.append(f"in {language_name(request.language)}")
    if request.min_votes:
        parts.append(f"{request.min_votes:,} votes or more")
    return ", ".join([*parts, SORT_NAMES[request.sort]])


def _list(request: ImportRequest, _: int | None) -> str:
    return f"TMDB’s list “{LIST_NAMES[request.list_name]}”"


def _export(request: ImportRequest, _: int | None) -> str:
    popular = f", popularity {request.min_popularity:g} or more" if request.min_popularity else ""
    return f"TMDB’s daily list of all films{popular}"


def _sync(_: ImportRequest, __: int | None) -> str:
    return "What changed at TMDB, and what was fetched longest ago"


_WORDS = {
    "ids": _ids,
    "search": _search,
    "discover": _discover,
    "list": _list,
    "export": _export,
    "sync": _sync,
}
