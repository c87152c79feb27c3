"""How fast a film's page, with its comparison and similar films, and the compare page are.

    python -m genresite.embedded run -- python -m benchmarks.film_pages [--films 44000] [--rounds 300] [--keep]

Fills the database of `benchmarks.million_films` (its own, beside the site's), gives every film an embedding near that of
its genres, builds the index over them as a prediction run does, and asks the pages through Django's test client in
this process: a time is the server's work without the network. The film page is asked for another film each
time. Agreement is counted without its cache. Exit status 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from urllib.parse import urlsplit

import numpy as np

from benchmarks import million_films
from benchmarks.catalog_pages import Report, measure

FILM_PAGE_MS, MAX_QUERIES = 60.0, 8
# Cached for a hundred times what it takes, so that it may take a second or two; never longer than a page may.
AGREEMENT_MS = 2_000.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--films", type=int, default=44_000)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--no-similar", action="store_true", help="no index over embeddings, no film pages")
    parser.add_argument("--keep", action="store_true", help="leave the database for the next time")
    options = parser.parse_args()
    address = million_films.use_database()
    redis = os.environ["REDIS_URL"].partition("?")[0]
    os.environ["REDIS_URL"] = (
        f"{redis}?db=8" if redis.startswith("unix:") else urlsplit(redis)._replace(path="/8").geturl()
    )
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "genresite.settings",
        "HTTPS": "0",
        "DEBUG": "0",
        "LOG_LEVEL": "ERROR",
        "ALLOWED_HOSTS": "testserver",
        "STATIC_ROOT": "/nonexistent",
        "GENRESITE_NO_SECRETS": "1",
        "GENRESITE_NO_POOL": "1",
    }
    import django
    from django.conf import settings

    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    django.setup()
    report = Report()
    try:
        million_films.fill(options.films)
        print(f"{'':<58} {'p50 ms':>7} {'p95 ms':>7} {'cpu ms':>7}")
        if not options.no_similar:
            _embed()
            _film_pages(report, options.films, options.rounds)
        _compare_page(report)
    finally:
        if not options.keep:
            from django.db import connections

            connections.close_all()
            million_films.drop_database(address)
    print("\n" + ("Broken:\n  " + "\n  ".join(report.broken) if report.broken else "Every promise holds."))
    return 1 if report.broken else 0


def _embed() -> None:
    """Embeddings as a model's are: films of one genre near each other; and the index that a run ends with."""
    import psycopg
    from pgvector.psycopg import register_vector

    from predictor.indexing import index_embeddings
    from predictor.models import EMBEDDING_DIMENSIONS
    from predictor.registry import displayed, partition_of

    version = displayed()
    assert version is not None
    start = time.perf_counter()
    random = np.random.default_rng(5)
    centres = {label: random.normal(size=EMBEDDING_DIMENSIONS) for label in version.label_ids}
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        register_vector(connection)
        rows = connection.execute("SELECT id, label_ids FROM catalog_film").fetchall()
        connection.execute(
            "CREATE TEMP TABLE embedded (film_id bigint, embedding halfvec(256)) ON COMMIT DROP"
        )
        with connection.cursor() as cursor, cursor.copy("COPY embedded FROM STDIN") as copy:
            for film_id, labels in rows:
                vector = random.normal(size=EMBEDDING_DIMENSIONS) + sum(centres[label] for label in labels)
                vector /= np.linalg.norm(vector)
                copy.write_row((film_id, "[" + ",".join(f"{x:.4f}" for x in vector) + "]"))
        connection.execute(
            f"UPDATE {partition_of(version)} p SET embedding = e.embedding FROM embedded e"
            " WHERE e.film_id = p.film_id"
        )
    print(f"  embeddings: {time.perf_counter() - start:.0f} s", flush=True)
    start = time.perf_counter()
    index_embeddings(version)
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
    print(f"  their index: {time.perf_counter() - start:.0f} s", flush=True)


def _film_pages(report: Report, films: int, rounds: int) -> None:
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    anonymous, known = Client(), Client()
    user, _ = get_user_model().objects.get_or_create(username="benchmark")
    known.force_login(user)
    random = np.random.default_rng(8)
    for who, client in (("anonymous", anonymous), ("logged in", known)):
        ids = random.integers(1, films + 1, rounds + 1).tolist()
        addresses = [client.get(f"/films/{film_id}/")["Location"] for film_id in ids]
        remaining = iter(addresses)
        # The first page, which compiles the templates, is not counted.
        times = measure(lambda c=client, left=remaining: c.get(next(left)), rounds)  # type: ignore[misc]
        with CaptureQueriesContext(connection) as queries:
            assert client.get(addresses[0]).status_code == 200
        if len(queries) > MAX_QUERIES:
            report.broken.append(f"film page, {who}: {len(queries)} queries")
        report.line(
            f"film page, {who}", times, limit=FILM_PAGE_MS, group="film page", more=f"q{len(queries)}"
        )


def _compare_page(report: Report) -> None:
    from django.core.cache import cache
    from django.test import Client

    client = Client()
    for films in ("test", "held-out", "all"):

        def cold(films: str = films) -> None:
            cache.clear()
            assert client.get(f"/compare/?films={films}").status_code == 200

        report.line(f"compare page, {films}, counted", measure(cold, 5), limit=AGREEMENT_MS, group="compare")
        warm = measure(lambda films=films: client.get(f"/compare/?films={films}"), 20)
        report.line(f"compare page, {films}, cached", warm, limit=FILM_PAGE_MS, group="compare, cached")


if __name__ == "__main__":
    sys.exit(main())
