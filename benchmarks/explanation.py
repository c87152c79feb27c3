"""What an explanation costs beside the prediction that it explains.

``python -m benchmarks.explanation ARTIFACT [SNAPSHOT] [--films N]`` takes films with overview and poster, from the test
part of a snapshot or else from the starter catalog, and for each in turn makes one prediction alone and then its
explanation, so that both meet the same machine. Prints the seconds of both, by length of text, and their ratio; the processor time
beside them is what a machine that does other things meanwhile would have spent on it, on all cores together.

Promised: the median film with both inputs is explained within 1 s on two cores. Exit status 1 where broken.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.bare_prediction import readable_films
from ml_core.devices import choose_device, cpu_threads
from ml_core.explain import explain, word_spans
from ml_core.predictor import FilmInput, Predictor
from ml_core.snapshot import Snapshot

PROMISED_SECONDS = 1.0
STARTER = Path(__file__).resolve().parent.parent / "catalog" / "starter"
# Words of title and overview that part the rows of the table.
LENGTHS = ((0, 30), (30, 64), (64, 10_000))


def starter_films() -> list[FilmInput]:
    """The films of the starter catalog that have both."""
    import vl_convert

    films = []
    for film in json.loads((STARTER / "films.json").read_text()):
        drawing = STARTER / "posters" / f"{film['tmdb_id']}.svg"
        if film["overview"] and drawing.exists():
            poster = bytes(vl_convert.svg_to_jpeg(drawing.read_text(), scale=1.0, quality=88))
            films.append(FilmInput(film["title"], film["overview"], film["tagline"], poster))
    return films


def words_of(film: FilmInput) -> int:
    """Words that are taken out in turn."""
    return len(word_spans(film.title)) + len(word_spans(film.overview))


def seconds(predictor: Predictor, film: FilmInput) -> tuple[float, float, float]:
    """Wall-clock seconds of the film's prediction alone and of its explanation, and the latter's processor seconds."""
    start = time.perf_counter()
    predictor.predict([film])
    between, used = time.perf_counter(), time.process_time()
    explain(predictor, film)
    return between - start, time.perf_counter() - between, time.process_time() - used


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; returns 1 where the promise is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.explanation", description=__doc__.split("\n")[0]
    )
    parser.add_argument("artifact", type=Path)
    parser.add_argument("snapshot", type=Path, nargs="?")
    parser.add_argument("--films", type=int, default=50)
    options = parser.parse_args(arguments)
    predictor = Predictor.load(options.artifact)
    if options.snapshot:
        films = readable_films(Snapshot.open(options.snapshot), 10 * options.films)
        films = [film for film in films if film.overview and film.poster is not None]
    else:
        films = starter_films()
    films = films[: options.films]
    seconds(predictor, films[0])
    measured = [(words_of(film), *seconds(predictor, film)) for film in films]
    print(f"{len(films)} films with overview and poster, {cpu_threads()} cores, {choose_device().type}")
    print(
        f"{'words':<14}{'films':>6}{'prediction ms':>15}{'explanation ms':>16}{'p95 ms':>9}{'ratio':>7}{'CPU ms':>8}"
    )
    for low, high in (*LENGTHS, (0, 10_000)):
        rows = [row for row in measured if low <= row[0] < high]
        if rows:
            bare, whole, used = (statistics.median(row[part] for row in rows) for part in (1, 2, 3))
            p95 = float(np.percentile([row[2] for row in rows], 95))
            name = "all" if (low, high) == (0, 10_000) else f"{low} to {min(high, 9_999)}"
            print(
                f"{name:<14}{len(rows):>6}{1000 * bare:>15.0f}{1000 * whole:>16.0f}{1000 * p95:>9.0f}"
                f"{whole / bare:>7.1f}{1000 * used:>8.0f}"
            )
    median = statistics.median(row[2] for row in measured)
    print(f"median {median:.2f} s, promised <= {PROMISED_SECONDS:.0f} s")
    return 0 if median <= PROMISED_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
