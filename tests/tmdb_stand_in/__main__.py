"""Runs the stand-in until Ctrl-C, and says what to set for Genresite to use it."""

from __future__ import annotations

import argparse
import signal
import threading

from tests.tmdb_stand_in import KEY, StandIn

REPORT_SECONDS = 10.0


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.tmdb_stand_in", description=__doc__)
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--films", type=int, default=5000)
    parser.add_argument("--fault-share", type=float, default=0.0, help="share of films with a fault each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds until an answer, as 0.1 at TMDB")
    parser.add_argument("--key", default=KEY, help="the API key that is right")
    options = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stand_in = StandIn(
        films=options.films, seed=options.seed, latency=options.latency, port=options.port, key=options.key
    )
    faults = stand_in.spread_faults(options.fault_share, seed=options.seed)
    with stand_in:
        first, last = stand_in.film_ids[0], stand_in.film_ids[-1]
        print(f"{options.films} invented films, ids {first} to {last}, {len(faults)} of them with a fault")
        print(
            *(f"export {name}={value}" for name, value in stand_in.settings().items()), sep="\n", flush=True
        )
        reported = 0
        while not stopped.wait(REPORT_SECONDS):
            asked, images = len(stand_in.requests()), len(stand_in.requests("image"))
            if asked + images > reported:
                reported = asked + images
                most = stand_in.most_in_window(1.0)
                print(f"{asked} API requests, at most {most} in a second; {images} posters", flush=True)


if __name__ == "__main__":
    main()
