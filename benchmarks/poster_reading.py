"""What it costs to read a poster that comes with nothing else.

``python -m benchmarks.poster_reading ARTIFACT SNAPSHOT [--posters N]`` takes posters of films of the test part, and for each in turn
predicts it beside its title, predicts it alone, reads it alone, and explains it alone, so that all four meet the same machine. Then it
reads them all in one call, as a training does, and predicts them alone in one call. Prints medians, and by how much reading and several views
lengthen a prediction.

Promised: the median poster that comes alone is answered within 1 s, and explained within 1 s more, on two cores. Exit status 1 where broken.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ml_core.devices import choose_device, cpu_threads
from ml_core.explain import explain
from ml_core.poster_text import PosterReader
from ml_core.predictor import FilmInput, Predictor
from ml_core.snapshot import Snapshot

PROMISED_SECONDS = 1.0


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; returns 1 where a promise is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.poster_reading", description=__doc__.split("\n")[0]
    )
    parser.add_argument("artifact", type=Path)
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("--posters", type=int, default=100)
    options = parser.parse_args(arguments)
    predictor, reader = Predictor.load(options.artifact), PosterReader()
    if not predictor.scorer.reads_poster_text:
        parser.error(f"{predictor.description.name} does not read posters")
    snapshot = Snapshot.open(options.snapshot)
    titles = snapshot.texts("title")
    rows = [row for row in snapshot.rows("test").tolist() if snapshot.has_poster[row]][: options.posters]
    posters = [(titles[row], snapshot.poster_bytes(row) or b"") for row in rows]
    bare = [FilmInput("", "", poster=poster) for _, poster in posters]
    for film in bare[:2]:  # engines are loaded with the first poster
        explain(predictor, film)
        reader.read(film.poster or b"")
    ways: dict[str, Callable[[str, bytes], object]] = {
        "predicted beside its title": lambda title, poster: predictor.predict(
            [FilmInput(title, "", poster=poster)]
        ),
        "read": lambda title, poster: reader.read(poster),
        "predicted alone": lambda title, poster: predictor.predict([FilmInput("", "", poster=poster)]),
        "explained alone": lambda title, poster: explain(predictor, FilmInput("", "", poster=poster)),
    }
    measured: dict[str, list[float]] = {name: [] for name in ways}
    for title, poster in posters:
        for name, way in ways.items():
            measured[name].append(seconds(lambda way=way, title=title, poster=poster: way(title, poster)))
    print(f"{len(posters)} posters one at a time, {cpu_threads()} cores, {choose_device().type}")
    medians = {name: statistics.median(times) for name, times in measured.items()}
    for name, median in medians.items():
        print(f"  {name:<28}{1000 * median:>8.0f} ms{median / medians['predicted beside its title']:>8.1f}")
    read = seconds(lambda: reader.read_all([poster for _, poster in posters]))
    whole = seconds(lambda: predictor.predict(bare))
    beside = seconds(
        lambda: predictor.predict([FilmInput(title, "", poster=poster) for title, poster in posters])
    )
    print("all in one call")
    for name, taken in (
        ("predicted beside their titles", beside),
        ("read", read),
        ("predicted alone", whole),
    ):
        print(f"  {name:<28}{len(posters) / taken:>8.1f} posters/s{taken / beside:>8.1f}")
    legible = sum(bool(text) for text in predictor.predict(bare).poster_texts)
    print(f"something was read on {legible} of {len(posters)}")
    alone, explained = medians["predicted alone"], medians["explained alone"] - medians["predicted alone"]
    print(
        f"promised <= {PROMISED_SECONDS:.0f} s each: answered in {alone:.2f} s, explained in {explained:.2f} s more"
    )
    return 0 if max(alone, explained) <= PROMISED_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
