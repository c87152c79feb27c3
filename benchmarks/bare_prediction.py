"""How fast posters are decoded and films predicted with no database around: the reference of every other rate.

``python -m benchmarks.bare_prediction ARTIFACT SNAPSHOT [--films N]`` reads films of a snapshot, decodes their posters,
encodes both inputs and runs the heads, slice by slice, in a loop of its own beside ``Predictor.predict`` on the very
same films, and prints films a second of both and their ratio. Rounds alternate, so both meet the same machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ml_core.inputs import tidy
from ml_core.posters import decode_poster
from ml_core.predictor import FilmInput, Predictor
from ml_core.scorers import FilmText, Shown
from ml_core.snapshot import Snapshot

SLICE = 256
ROUNDS = 3
PROMISED_RATIO = 0.95


def bare_films_a_second(predictor: Predictor, films: Sequence[FilmInput]) -> float:
    """Films a second of decode, encode and heads, with nothing around them: no threads, no calibration, no bookkeeping."""
    scorer = predictor._scorer
    start = time.perf_counter()
    for first in range(0, len(films), SLICE):
        some = films[first : first + SLICE]
        has_poster = np.array([film.poster is not None for film in some])
        pixels = [decode_poster(film.poster, scorer.poster_size) for film in some if film.poster is not None]
        texts = [FilmText(tidy(film.title), tidy(film.overview), tidy(film.tagline)) for film in some]
        has_overview = np.array([bool(text.overview) for text in texts])
        has_text = np.array([bool(text.title or text.overview) for text in texts])
        text, poster = scorer.encode_texts(texts), scorer.encode_posters(pixels, has_poster)
        scorer.score(text, poster, Shown(has_text, has_overview, has_poster))
    return len(films) / (time.perf_counter() - start)


def films_a_second(predictor: Predictor, films: Sequence[FilmInput]) -> float:
    """Films a second of ``Predictor.predict``."""
    start = time.perf_counter()
    predictor.predict(films)
    return len(films) / (time.perf_counter() - start)


def readable_films(snapshot: Snapshot, most: int) -> list[FilmInput]:
    """The first films of a snapshot's test part, overview and poster as they have them."""
    titles, overviews, taglines = (snapshot.texts(name) for name in ("title", "overview", "tagline"))
    rows = snapshot.rows("test")[:most].tolist()
    return [
        FilmInput(titles[row], overviews[row], taglines[row], poster=snapshot.poster_bytes(row))
        for row in rows
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; returns 1 where the promised ratio is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bare_prediction", description=__doc__.split("\n")[0]
    )
    parser.add_argument("artifact", type=Path)
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("--films", type=int, default=1024)
    options = parser.parse_args(arguments)
    predictor = Predictor.load(options.artifact)
    films = readable_films(Snapshot.open(options.snapshot), options.films)
    predictor.predict(films[:SLICE])
    bare, whole = [], []
    for _ in range(ROUNDS):
        bare.append(bare_films_a_second(predictor, films))
        whole.append(films_a_second(predictor, films))
    ratio = statistics.median(whole) / statistics.median(bare)
    with_poster = sum(film.poster is not None for film in films)
    print(f"{len(films)} films, {with_poster} with poster; median of {ROUNDS} rounds")
    print(f"{'bare loop':<20}{statistics.median(bare):>8.1f} films/s")
    print(f"{'Predictor.predict':<20}{statistics.median(whole):>8.1f} films/s")
    print(f"{'ratio':<20}{ratio:>8.2f} (promised >= {PROMISED_RATIO})")
    return 0 if ratio >= PROMISED_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
