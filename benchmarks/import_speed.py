"""How fast films and posters come into the catalog, in how much memory, and whether a million films cost as much each.

    python -m genresite.embedded run -- python -m benchmarks.import_speed FILMS [--rows 100000 1000000]

FILMS is a folder with movies_metadata.csv and, optionally, posters/. Each row of the table is `manage.py import_kaggle` in a
process of its own, on an empty database beside the site's, with seconds by the clock, processor seconds (of the importing
process and of the database server, where that runs on this machine and serves nobody else), the importing process's
highest memory, and the ratio to a bare reference in the same run: the same CSV read by Python's csv module and sent by
COPY to a table without index, search vector or anything derived. Made-up CSVs of the given sizes show whether cost is linear;
that is judged by processor seconds, which other work on the machine hardly changes.

Promised: the 43,921 rows in <= 40 s and <= 400 MB, linear to 1,000,000 rows. Exit status 1 where broken. Linear is taken as a
cost a film of at most LINEAR times that of the smallest made-up file: indexes deepen with their logarithm.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

DATABASE = "genresite_benchmark_import"
SECONDS, MEGABYTES, LINEAR = 40, 400, 1.5
_GENRES = [
    (18, "Drama"),
    (35, "Comedy"),
    (53, "Thriller"),
    (28, "Action"),
    (99, "Documentary"),
    (27, "Horror"),
]


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds by the clock and of processors, and the highest memory of the process, in MB."""

    seconds: float
    processor: float
    megabytes: float


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FILMS")
    parser.add_argument(
        "--rows", type=int, nargs="*", default=[100_000, 1_000_000], help="sizes of made-up CSVs"
    )
    options = parser.parse_args()
    address = os.environ["DATABASE_URL"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        environment = {
            **os.environ,
            "DATABASE_URL": make_conninfo(address, dbname=DATABASE),
            "MEDIA_ROOT": str(folder / "media"),
            "SECRET_KEY": "x" * 60,
            "HTTPS": "0",
            "GENRESITE_NO_POOL": "1",
            "DEBUG": "0",
        }
        try:
            return _report(options.folder, options.rows, folder, address, environment)
        finally:
            _recreate(address, create=False)


def _report(films: Path, sizes: list[int], folder: Path, address: str, environment: dict[str, str]) -> int:
    print(f"{os.cpu_count()} cores")
    print(
        f"{'import':<34}{'rows':>10}{'seconds':>9}{'cpu s':>8}{'rows/s':>8}{'MB':>6}{'bare s':>8}{'ratio':>7}",
        flush=True,
    )
    table = films / "movies_metadata.csv"
    _prepare(address, environment)
    first = _import(table, environment)
    rows = _count(environment)
    broken = first.seconds > SECONDS or first.megabytes > MEGABYTES
    _line("the given CSV", rows, first, _bare(table, environment))
    before = _written(environment)
    _line("the given CSV again", rows, _import(table, environment))
    broken |= _written(environment) != before
    print(f"{'':<34}rows of films written by the second import: {_written(environment) - before}")
    if (films / "posters").is_dir():
        with_posters = _import(table, environment, "--posters", str(films / "posters"))
        _line("the given CSV again, and posters", rows, with_posters)
        posters = _count(environment, "catalog_film WHERE poster_id IS NOT NULL")
        again = _import(table, environment)
        seconds = with_posters.seconds - again.seconds
        print(f"{'':<34}{posters:,} posters in {seconds:.1f} s: {posters / seconds:,.0f} posters/s")
    costs = []
    for size in sizes:
        made_up = folder / "made-up.csv"
        _make_up(made_up, size)
        _prepare(address, environment)
        measured = _import(made_up, environment)
        _line("a made-up CSV", size, measured, _bare(made_up, environment))
        broken |= measured.megabytes > MEGABYTES
        costs.append(measured.processor / size)
    if len(costs) > 1:
        growth = costs[-1] / costs[0]
        print(
            f"\nprocessor time a film, {sizes[-1]:,} against {sizes[0]:,} films: {growth:.2f} (linear: <= {LINEAR})"
        )
        broken |= growth > LINEAR
    print(
        f"promised: the given CSV in <= {SECONDS} s, every import in <= {MEGABYTES} MB, no row written twice"
    )
    return int(broken)


def _line(what: str, rows: int, measured: Measured, bare: float | None = None) -> None:
    reference = f"{bare:>8.1f}{measured.seconds / bare:>7.1f}" if bare else ""
    rate = rows / measured.seconds
    print(
        f"{what:<34}{rows:>10,}{measured.seconds:>9.1f}{measured.processor:>8.1f}{rate:>8,.0f}{measured.megabytes:>6.0f}{reference}",
        flush=True,
    )


def _import(table: Path, environment: dict[str, str], *arguments: str) -> Measured:
    start, server = time.perf_counter(), _server_seconds(environment)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "import_kaggle", str(table), *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"import_kaggle {table} failed: run it by hand to see why")
    seconds = time.perf_counter() - start
    processor = usage.ru_utime + usage.ru_stime + _server_seconds(environment) - server
    return Measured(seconds, processor, usage.ru_maxrss / 1024)


def _server_seconds(environment: dict[str, str]) -> float:
    """Processor seconds that the database server and all its processes have taken so far; 0 where it is elsewhere."""
    ticks = os.sysconf("SC_CLK_TCK")

    def stat(process: str) -> list[str]:
        # The name in parentheses may hold spaces.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()

    with psycopg.connect(environment["DATABASE_URL"]) as connection:
        if not connection.info.host.startswith("/"):
            return 0.0
        server = stat(str(connection.info.backend_pid))[1]
        # Of the server itself and of its children that ended: fields 14 to 17 of proc(5). Of those that live: 14 and 15.
        total = sum(map(int, stat(server)[11:15]))
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                fields = stat(process.name)
                total += sum(map(int, fields[11:13])) if fields[1] == server else 0
    return total / ticks


def _bare(table: Path, environment: dict[str, str]) -> float:
    """Seconds that the same CSV takes without anything that makes a catalog of it."""
    start = time.perf_counter()
    with (
        psycopg.connect(environment["DATABASE_URL"]) as connection,
        table.open(newline="", encoding="utf-8") as file,
        connection.cursor() as cursor,
    ):
        reader = csv.reader(file)
        columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in next(reader))
        cursor.execute(sql.SQL("CREATE TEMP TABLE bare ({})").format(columns))
        with cursor.copy("COPY bare FROM STDIN") as copy:
            for row in reader:
                copy.write_row(row)
    return time.perf_counter() - start


def _prepare(address: str, environment: dict[str, str]) -> None:
    _recreate(address, create=True)
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], env=environment, check=True)


def _recreate(address: str, *, create: bool) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        name = sql.Identifier(DATABASE)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        if create:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))


def _count(environment: dict[str, str], what: str = "catalog_film") -> int:
    return _number(environment, f"SELECT count(*) FROM {what}")


def _written(environment: dict[str, str]) -> int:
    """How many rows of films, and of their genres, lie elsewhere than where the first import put them."""
    return _number(
        environment,
        "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
        " WHERE relname IN ('catalog_film', 'catalog_film_genres')",
    )


def _number(environment: dict[str, str], query: str) -> int:
    # Statistics arrive when the session that made them ends, which the import's has by now.
    with psycopg.connect(environment["DATABASE_URL"]) as connection:
        return int(connection.execute(query).fetchone()[0])  # type: ignore[arg-type, index]


def _make_up(path: Path, rows: int) -> None:
    """A CSV of as many films, with as many words as real ones, spread as Zipf's law spreads them."""
    generator = np.random.default_rng(0)
    letters = "etaoinshrdlu"
    words = np.array(
        ["".join(word) for word in itertools.islice(itertools.product(letters, repeat=5), 60_000)]
    )
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "title", "original_title", "overview", "genres", "release_date", "popularity"])
        for number, chosen in enumerate(_chosen(generator, rows), start=1):
            title = " ".join(words[chosen[:3]]).title()
            genres = [_GENRES[number % 6], _GENRES[chosen[0] % 6]][: 1 + (number % 3 > 0)]
            literal = [{"id": id_, "name": name} for id_, name in dict(genres).items()]
            day = f"{1930 + number % 90}-{1 + number % 12:02}-{1 + number % 28:02}"
            writer.writerow([number, title, title, " ".join(words[chosen]), literal, day, number % 1000 / 10])


def _chosen(generator: np.random.Generator, rows: int) -> Iterator[np.ndarray]:
    for start in range(0, rows, 10_000):
        yield from np.minimum(generator.zipf(1.3, (min(10_000, rows - start), 45)) - 1, 59_999)


if __name__ == "__main__":
    sys.exit(main())
