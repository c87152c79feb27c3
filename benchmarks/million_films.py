"""A database of a million made-up films, and a prediction of each, for benchmarks.

Words follow Zipf's law with Mandelbrot's offset, set so that a word is in somewhat more overviews than the word of its
rank in Kaggle's data (the 1st in 14 % there, the 10th in 5 %, the 100th in 1.3 %, the 1,000th in 0.13 %); genres have
their shares in those data, half of the films have a poster, and texts are as long as real ones. It is a database of its own, beside the site's, filled by COPY with its secondary indexes built at the end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import numpy as np
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

DATABASE = "genresite_benchmark"
VOCABULARY = 60_000
# Words of an overview that the index keeps, and those that it drops, written after them.
OVERVIEW_WORDS = 24
STOP_WORDS = (
    "the",
    "of",
    "a",
    "and",
    "his",
    "to",
    "in",
    "with",
    "is",
    "who",
    "her",
    "by",
    "an",
    "from",
    "for",
    "he",
)
RANK_OFFSET = 20
# Share of films of each genre, from the 43,921 films that this was measured with.
GENRE_SHARES = {
    28: 0.155, 12: 0.077, 16: 0.049, 35: 0.322, 80: 0.096, 99: 0.080, 18: 0.490, 10751: 0.071, 14: 0.059,
    36: 0.038, 27: 0.109, 10402: 0.039, 9648: 0.059, 10749: 0.179, 878: 0.067, 53: 0.187, 10752: 0.026, 37: 0.013,
}  # fmt: skip
LANGUAGES = {
    "en": 0.62,
    "fr": 0.09,
    "ja": 0.06,
    "es": 0.06,
    "de": 0.05,
    "it": 0.05,
    "ko": 0.03,
    "": 0.03,
    "sv": 0.01,
}
COLUMNS = (
    "id, tmdb_id, imdb_id, title, original_title, overview, tagline, release_date, runtime, original_language,"
    " popularity, vote_average, vote_count, adult, poster_id, poster_path, added_at, label_ids, input_hash, title_sort,"
    " folded_titles, folded_overview"
)


def use_database() -> str:
    """Makes the benchmark's database, if need be, the one that Django is going to use; returns its address."""
    address = os.environ["DATABASE_URL"]
    with psycopg.connect(address, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if not known:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    os.environ["DATABASE_URL"] = make_conninfo(address, dbname=DATABASE)
    return os.environ["DATABASE_URL"]


def drop_database(address: str) -> None:
    """Drops it, through the maintenance database."""
    with psycopg.connect(make_conninfo(address, dbname="postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(DATABASE)))


def fill(films: int) -> None:
    """Migrates the database and fills it, unless it already has that many films."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        (present,) = connection.execute("SELECT count(*) FROM catalog_film").fetchone() or (0,)
        if present == films:
            return
        connection.execute("TRUNCATE catalog_film, catalog_poster, predictor_modelversion CASCADE")
        connection.execute("SET maintenance_work_mem = '1GB'; SET synchronous_commit = off")
        indexes = _drop_indexes(connection)
        _timed(f"{films:,} films", lambda: _copy_films(connection, films))
        _timed("their predictions", lambda: _predict(connection))
        _timed("indexes", lambda: [connection.execute(index) for index in indexes])
        _timed("statistics", lambda: connection.execute("VACUUM (ANALYZE)"))


def _timed(what: str, do: object) -> None:
    start = time.perf_counter()
    do()  # type: ignore[operator]
    print(f"  {what}: {time.perf_counter() - start:.0f} s", flush=True)


def _drop_indexes(connection: psycopg.Connection) -> list[str]:
    """Drops every index that no constraint needs; returns what makes them again.

    The one over embeddings is left out: it takes an hour and no page of a list reads it.
    """
    rows = connection.execute(
        """
        SELECT c.relname, pg_get_indexdef(i.indexrelid)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid IN ('catalog_film'::regclass, 'predictor_prediction'::regclass)
          AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid)
        """
    ).fetchall()
    for name, _ in rows:
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    return [
        definition.replace(" ON ONLY ", " ON ") for name, definition in rows if name != "prediction_embedding"
    ]


def words() -> list[str]:
    """The vocabulary, the most frequent first: pronounceable, all different, none a stop word."""
    syllables = [a + b for a in "bdfgklmnprstv" for b in ("a", "e", "i", "o", "u", "an", "or")]
    made = []
    for number in range(VOCABULARY):
        parts, rest = [], number + len(syllables)
        while rest:
            rest, part = divmod(rest, len(syllables))
            parts.append(syllables[part])
        made.append("".join(parts))
    return made


def _copy_films(connection: psycopg.Connection, films: int) -> None:
    connection.execute(
        "INSERT INTO catalog_poster (id, sha256, file, format, size, width, height, dominant_colour, added_at)"
        " SELECT n, encode(sha256(n::text::bytea), 'hex'), 'posters/x.jpg', 'jpeg', 9000, 140, 210, '#334455', now()"
        " FROM generate_series(1, %s) n",
        [films // 2],
    )
    with connection.cursor() as cursor, cursor.copy(f"COPY catalog_film ({COLUMNS}) FROM STDIN") as copy:
        for row in _films(films):
            copy.write_row(row)


def _films(films: int, batch: int = 10_000) -> Iterator[tuple[object, ...]]:
    random = np.random.default_rng(20)
    vocabulary = np.array(words(), dtype=object)
    weights = 1 / np.arange(1 + RANK_OFFSET, VOCABULARY + 1 + RANK_OFFSET)
    cumulative = np.cumsum(weights / weights.sum())
    genre_ids, shares = np.array(list(GENRE_SHARES)), np.array(list(GENRE_SHARES.values()))
    codes = np.array(list(LANGUAGES))
    for start in range(1, films + 1, batch):
        n = min(batch, films + 1 - start)
        picks = vocabulary[np.searchsorted(cumulative, random.random((n, OVERVIEW_WORDS + 3)))]
        genres = random.random((n, 18)) < shares
        language = random.choice(codes, n, p=list(LANGUAGES.values()))
        popularity = np.round(random.exponential(4, n) ** 1.6, 3)
        votes = (random.pareto(0.9, n) * 3).astype(int)
        average = np.clip(np.round(random.normal(6, 1.3, n), 1), 0, 10)
        days = (random.beta(5, 1.4, n) * 46_000).astype(int)
        dates = np.datetime_as_string(np.datetime64("1900-01-01") + days)
        title_words = random.integers(1, 4, n)
        for i in range(n):
            film_id = start + i
            title = " ".join(picks[i, : title_words[i]])
            labels = "{" + ",".join(map(str, sorted(genre_ids[genres[i]]))) + "}"
            yield (
                film_id, film_id, "", title.title(), "", " ".join([*picks[i, 3:], *STOP_WORDS]), "", dates[i], 100, language[i],
                popularity[i], average[i] if votes[i] else 0, min(votes[i], 30_000), film_id % 97 == 0,
                film_id // 2 if film_id % 2 == 0 else None, "", f"2026-01-01 00:00:00.{film_id % 1_000_000:06d}+00",
                labels, "0" * 32, title, title, "",
            )  # fmt: skip


def _predict(connection: psycopg.Connection) -> None:
    """One version's predictions: three of four genres found, some added, all but one film in fifty predicted."""
    (version,) = connection.execute(
        "INSERT INTO predictor_modelversion (name, network, sha256, folder, size, label_ids, metrics, registered_at)"
        " VALUES ('made up', 'fusion', repeat('0', 64), '', 0, %s, '{}', now()) RETURNING id",
        [list(GENRE_SHARES)],
    ).fetchone() or (0,)
    connection.execute(
        f"CREATE TABLE predictor_prediction_v{version}"
        f" PARTITION OF predictor_prediction FOR VALUES IN ({version})"
    )
    connection.execute(
        "INSERT INTO predictor_modelpointers (id, champion_id, displayed_id) VALUES (1, %(v)s, %(v)s)"
        " ON CONFLICT (id) DO UPDATE SET champion_id = %(v)s, displayed_id = %(v)s",
        {"v": version},
    )
    connection.execute(
        f"""
        INSERT INTO predictor_prediction_v{version}
        SELECT {version}, f.id, p.reals, p.reals, CASE WHEN f.poster_id IS NOT NULL THEN p.reals END, p.reals,
               p.embedding, '{{title,overview}}', '', d.predicted,
               CASE WHEN known THEN d.found END,
               CASE WHEN known THEN ARRAY(SELECT unnest(f.label_ids) EXCEPT SELECT unnest(d.found) ORDER BY 1) END,
               CASE WHEN known THEN ARRAY(SELECT unnest(d.predicted) EXCEPT SELECT unnest(f.label_ids) ORDER BY 1) END,
               CASE WHEN known THEN (random() * random())::real END,
               CASE WHEN f.id %% 10 < 8 THEN 'train' ELSE 'test' END, f.input_hash, now()
        FROM (SELECT *, label_ids <> '{{}}' AS known FROM catalog_film WHERE id %% 50 <> 0) f
        CROSS JOIN (SELECT array_fill(0.125::real, ARRAY[18]) AS reals,
                           array_fill(0.0625::real, ARRAY[256])::vector::halfvec(256) AS embedding) p
        CROSS JOIN LATERAL (
            SELECT found, CASE WHEN random() < 0.4
                THEN ARRAY(SELECT DISTINCT unnest(found || ARRAY[
                    (%(labels)s::smallint[])[1 + floor(random() * 18)::int]]) ORDER BY 1)
                ELSE found END AS predicted
            FROM (SELECT ARRAY(SELECT l FROM unnest(f.label_ids) l WHERE random() < 0.75) AS found) x
        ) d
        """,
        {"labels": list(GENRE_SHARES)},
    )
