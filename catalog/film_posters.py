"""Giving stored posters to their films, many in one step."""

from __future__ import annotations

from django.db import connection

from catalog.derived import input_hash
from catalog.film_rows import lock_writing
from catalog.models import Film, Poster
from catalog.posters import PosterFacts


def give_posters(found: dict[int, PosterFacts]) -> int:
    """Write posters' rows and give them to the films with those TMDB ids; returns how many films were given one.

    The files must be in their place already. In a transaction.
    """
    if not found:
        return 0
    by_hash = {facts.sha256: facts for facts in found.values()}
    Poster.objects.bulk_create(
        [
            Poster(
                sha256=facts.sha256,
                file=facts.name,
                format=facts.format,
                size=facts.size,
                width=facts.width,
                height=facts.height,
                dominant_colour=facts.dominant_colour,
            )
            for facts in by_hash.values()
        ],
        ignore_conflicts=True,
    )
    keys = dict(Poster.objects.filter(sha256__in=by_hash).values_list("sha256", "id"))
    lock_writing()
    films = Film.objects.filter(tmdb_id__in=found).values_list(
        "id", "tmdb_id", "title", "overview", "tagline"
    )
    rows = []
    for film_id, tmdb_id, title, overview, tagline in films:
        assert tmdb_id is not None
        sha256 = found[tmdb_id].sha256
        digest = input_hash(title=title, overview=overview, tagline=tagline, poster_sha256=sha256)
        rows.append((film_id, keys[sha256], digest))
    if not rows:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE catalog_film f SET poster_id = given.poster_id, input_hash = given.input_hash
               FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS given (id, poster_id, input_hash)
               WHERE f.id = given.id""",
            [list(column) for column in zip(*rows, strict=True)],
        )
    return len(rows)
