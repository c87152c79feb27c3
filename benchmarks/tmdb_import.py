"""How near an import from TMDB comes to the rate that is set, with many workers, and whether it ever exceeds it.

    python -m genresite.embedded run -- python -m benchmarks.tmdb_import [--films 2000] [--workers 8] [--rate 40]
        [--latency 0.1] [--faults 0.0]

Films and posters come from the stand-in of tests/, which answers after `latency` seconds and writes down when each request
arrived. Each worker is a process of its own with one thread for chunks. Counted is from when all workers work to the
last request but those of the final second.

Promised: >= 95 % of the rate with 8 workers, never more than 1.05 times the rate in any second. Exit status 1 where broken.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.prediction_catalog import use_own_database
from tests.tmdb_stand_in import StandIn

SHARE, EXCESS = 0.95, 1.05
# So long after the first request all workers are up, and then it begins to count.
WARM_UP_SECONDS, END_SECONDS = 5.0, 1.0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--rate", type=float, default=40.0)
    parser.add_argument("--latency", type=float, default=0.1)
    parser.add_argument("--faults", type=float, default=0.0, help="share of the films that have one")
    options = parser.parse_args()
    gc.disable()  # a collection holds up the stand-in, which then sees at once what came one by one
    with (
        tempfile.TemporaryDirectory() as folder,
        StandIn(films=options.films, latency=options.latency) as tmdb,
    ):
        if options.faults:
            tmdb.spread_faults(options.faults)
        os.environ |= tmdb.settings() | {"TMDB_REQUESTS_PER_SECOND": str(options.rate)}
        use_own_database(Path(folder))
        seconds, run = _import(tmdb.film_ids, options.workers, Path(folder))
        return _report(tmdb, run, seconds, options.rate, options.workers)


def _import(film_ids, workers: int, folder: Path):
    """The import from its start to its end, on workers that are up before; returns its seconds and its run."""
    from catalog.models import ImportRun
    from catalog.tmdb import runs
    from catalog.tmdb.asking import ImportRequest
    from ledger.tasks import sweep
    from ledger.workers import live_workers

    with (folder / "workers.log").open("wb") as log, contextlib.ExitStack() as stack:
        for number in range(workers):
            command = [
                *(
                    sys.executable,
                    "-m",
                    "celery",
                    "-A",
                    "genresite",
                    "worker",
                    "--pool",
                    "solo",
                    "--queues",
                    "io",
                ),
                *(
                    "--hostname",
                    f"io{number}@%h",
                    "--without-gossip",
                    "--without-mingle",
                    "--loglevel",
                    "WARNING",
                ),
            ]
            process = subprocess.Popen(
                command, env=os.environ | {"GENRESITE_CELERY": "1"}, stdout=log, stderr=log
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        while len(live_workers(queue="io")) < workers:
            time.sleep(0.2)
        began = time.monotonic()
        run = runs.start(ImportRequest(what="ids", tmdb_ids=tuple(film_ids)))
        while run.state in (ImportRun.State.WAITING, ImportRun.State.RUNNING):
            time.sleep(1)
            sweep()
            run.refresh_from_db()
        return time.monotonic() - began, run


def _report(tmdb: StandIn, run, seconds: float, rate: float, workers: int) -> int:
    times = [request.at for request in tmdb.requests() if request.path.startswith("/movie/")]
    steady = [at for at in times if times[0] + WARM_UP_SECONDS <= at <= times[-1] - END_SECONDS]
    reached = (len(steady) - 1) / (steady[-1] - steady[0]) / rate
    most = tmdb.most_in_window(1.0)
    print(
        f"{run.read:,} films in {seconds:.0f} s by {workers} workers on {os.cpu_count()} cores: {run.created:,} imported, "
        f"{run.rejected:,} refused, {run.posters_stored:,} posters stored; the run is {run.state}"
    )
    print(f"requests/s: {reached * rate:.1f} of {rate:.0f} ({reached:.1%}; promised >= {SHARE:.0%})")
    print(f"most in any second: {most} (promised <= {EXCESS * rate:.0f})")
    return int(reached < SHARE or most > EXCESS * rate)


if __name__ == "__main__":
    sys.exit(main())
