"""How much of the model's own speed is left from database to database, and whether it stays so as the catalog grows.

    python -m genresite.embedded run -- python -m benchmarks.batch_prediction FILMS [--artifact FOLDER] [--films 2048]
        [--rounds 4] [--grow 100000]

FILMS is a folder with movies_metadata.csv and posters/. Its films go into a database of their own, and are then, round by
round, predicted twice in this process and by the same loaded model: once bare (`benchmarks.bare_prediction`: texts and poster
bytes in memory to logits in memory, without any database), once as a predict worker does it (ledger, films and posters read, predictions
compared and written, chunk ended). Rounds alternate, so that whatever else the machine does weighs on both. With --grow
the catalog is then filled up with as many other films, predicted already, and measured again.

Promised: >= 0.85 of the bare rate; cost a film in a larger catalog <= 1.1 x that in a small one. Exit status 1 where broken.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bare_prediction import bare_films_a_second
from benchmarks.prediction_catalog import import_films, promote, use_own_database

RATIO, GROWTH = 0.85, 1.1


@dataclass(frozen=True, slots=True)
class Rates:
    """Films a second over all rounds."""

    bare: float
    database: float

    @property
    def ratio(self) -> float:
        """The database's share of the bare rate."""
        return self.database / self.bare


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FILMS")
    parser.add_argument("--artifact", type=Path)
    parser.add_argument("--films", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--grow", type=int, default=0, help="other films to add for the second measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        use_own_database(Path(folder))
        films = import_films(options.folder, options.films)
        version = promote(options.artifact)
        print(f"{films} films, {os.cpu_count()} cores, {options.rounds} rounds\n")
        print(f"{'catalog':>10}  {'bare films/s':>12}  {'database films/s':>16}  {'ratio':>6}  promised")
        small = measure(version, options.rounds)
        broken = _report(films, small)
        if options.grow:
            _grow(version, options.grow)
            large = measure(version, options.rounds)
            broken |= _report(films + options.grow, large)
            # A film's cost against the bare loop's in the same rounds: the machine may have been busier in one.
            growth = small.ratio / large.ratio
            print(f"\ncost a film, larger catalog against smaller: {growth:.3f} (promised <= {GROWTH})")
            broken |= growth > GROWTH
    return int(broken)


def measure(version, rounds: int) -> Rates:
    """Predict the films with posters and overviews of the folder, alternately bare and through the database."""
    from django.core.files.storage import default_storage
    from django.db import connection

    from catalog.models import Film
    from ledger.tasks import work
    from ml_core.predictor import FilmInput
    from predictor import inference
    from predictor.models import PredictionRun
    from predictor.serving import models

    predictor = models.get(version)
    measured = Film.objects.exclude(popularity=-1).select_related("poster").order_by("id")
    inputs = []
    for film in measured:
        content = None
        if film.poster is not None:
            with default_storage.open(film.poster.file.name) as file:
                content = file.read()
        inputs.append(FilmInput(film.title, film.overview, film.tagline, content))
    ids = list(measured.values_list("id", flat=True))
    predictor.predict(inputs[:64])
    bare = database = 0.0
    for _ in range(rounds):
        bare += len(inputs) / bare_films_a_second(predictor, inputs)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM predictor_prediction WHERE film_id = ANY(%s)", [ids])
        start = time.perf_counter()
        run = inference.start_run(version=version)
        work("predict")
        database += time.perf_counter() - start
        run.refresh_from_db()
        assert (run.state, run.predicted) == (PredictionRun.State.DONE, len(ids)), (run.state, run.reason)
    return Rates(bare=rounds * len(ids) / bare, database=rounds * len(ids) / database)


def _report(catalog: int, rates: Rates) -> bool:
    verdict = "ok" if rates.ratio >= RATIO else "BROKEN"
    print(
        f"{catalog:>10,}  {rates.bare:>12.1f}  {rates.database:>16.1f}  {rates.ratio:>6.3f}  >= {RATIO} {verdict}",
        flush=True,
    )
    return rates.ratio < RATIO


def _grow(version, films: int) -> None:
    """Other films, each with a prediction, as a full catalog has them; known by a popularity of -1."""
    from django.db import connection

    from predictor.registry import partition_of

    columns = (
        "tmdb_id, title, overview, tagline, popularity, input_hash, label_ids, title_sort, folded_titles, folded_overview,"
        " imdb_id, original_title, original_language, vote_average, vote_count, adult, poster_path, added_at"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO catalog_film ({columns})
            SELECT 10000000 + n, 'Film ' || n, f.overview, f.tagline, -1, md5(n::text), f.label_ids, 'film ' || n,
                   'film ' || n, '', '', '', 'en', 0, 0, false, '', now()
            FROM generate_series(1, {films:d}) n
            JOIN (SELECT *, row_number() OVER (ORDER BY id) AS r, count(*) OVER () AS c FROM catalog_film) f
                ON f.r = n % f.c + 1
            """
        )
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
            [partition_of(version)],
        )
        names = [row[0] for row in cursor.fetchall() if row[0] not in {"film_id", "input_hash"}]
        cursor.execute(
            f"""
            INSERT INTO predictor_prediction (film_id, input_hash, {", ".join(names)})
            SELECT f.id, f.input_hash, {", ".join("p." + name for name in names)}
            FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM catalog_film WHERE popularity = -1) f
            JOIN (SELECT *, row_number() OVER (ORDER BY film_id) AS r, count(*) OVER () AS c
                  FROM predictor_prediction) p ON p.r = f.n % p.c + 1
            """
        )
        cursor.execute("VACUUM ANALYZE catalog_film")
        cursor.execute("VACUUM ANALYZE predictor_prediction")


if __name__ == "__main__":
    sys.exit(main())
