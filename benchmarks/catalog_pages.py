"""How fast lists, searches and genre counts are at a million films.

    python -m genresite.embedded run -- python -m benchmarks.catalog_pages [--films 1000000] [--rounds 9] [--keep]

Fills a database of its own (see `benchmarks.million_films`; minutes), asks the site's pages through Django's test client
in this process, so that a time is the server's work without the network, and prints 50th and 95th percentile of
every combination of sort and filter, first page and page 10,000 (or the last tenth of a shorter list), against what is
promised. Beside the times stands the processor time that this process and its database connection spent, in the middle
of the rounds: on a busy machine that is what to compare. Exit status 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import million_films

LIST_MS, SEARCH_MS, FACETS_MS, DEEP_RATIO, MAX_QUERIES = 60.0, 80.0, 400.0, 1.3, 5
DEEP_PAGE = 10_000

FILTERS = {
    "everything": "",
    "Drama": "genre=18",
    "Drama or Comedy": "genre=18&genre=35",
    "Drama and Comedy": "genre=18&genre=35&match=all",
    "Western and Music": "genre=37&genre=10402&match=all",
    "the nineties": "year_from=1990&year_to=1999",
    "before 1930": "year_to=1929",
    "Swedish": "language=sv",
    "rated 7 and up": "rating=7",
    "without poster": "poster=no",
    "without prediction": "prediction=no",
    "predicted Horror": "predicted=27",
    "full agreement": "agreement=agrees",
    "model misses": "agreement=misses",
    "model adds": "agreement=extras",
    "Western, predicted War": "genre=37&predicted=10752",
    "French drama, 7 up, missed": "genre=18&language=fr&rating=7&agreement=misses",
}
SORTS = ("popularity", "rating", "newest", "title", "added", "surprising")


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of some requests for one thing, and of the processor's time (None where it cannot be read)."""

    values: tuple[float, ...]
    processor: tuple[float, ...] = ()

    def percentile(self, share: float) -> float:
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]

    @property
    def cpu(self) -> str:
        return f"{sorted(self.processor)[len(self.processor) // 2]:7.1f}" if self.processor else "      ?"

    @property
    def p50(self) -> float:
        return self.percentile(0.5)

    @property
    def p95(self) -> float:
        return self.percentile(0.95)


def measure(ask: Callable[[], object], rounds: int) -> Times:
    """Times of `ask`, after one call that warms what a running site has warm."""
    ask()
    values, processor = [], []
    for _ in range(rounds):
        start, spent = time.perf_counter(), _processor_seconds()
        ask()
        values.append(1000 * (time.perf_counter() - start))
        if spent is not None and (after := _processor_seconds()) is not None:
            processor.append(1000 * (after - spent))
    return Times(tuple(values), tuple(processor))


def _processor_seconds() -> float | None:
    """What this process and its database connection have spent; parallel workers of a query are not in it."""
    from django.db import connection

    if connection.connection is None:
        return None
    backend = Path(f"/proc/{connection.connection.info.backend_pid}/schedstat")
    try:
        return time.process_time() + int(backend.read_text().split()[0]) / 1e9
    except (OSError, ValueError):
        return None


class Report:
    """Prints a line a measurement and remembers what was too slow."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.all: dict[str, list[float]] = {}

    def line(self, what: str, times: Times, *, limit: float, group: str, more: str = "") -> None:
        ok = times.p95 <= limit
        self.all.setdefault(group, []).extend(times.values)
        if not ok:
            self.broken.append(f"{what}: p95 {times.p95:.0f} ms > {limit:.0f} ms")
        print(
            f"{what:<58} {times.p50:7.1f} {times.p95:7.1f} {times.cpu}  {'' if ok else 'SLOW':<5}{more}",
            flush=True,
        )

    def summary(self) -> None:
        print(f"\n{'all together':<58} {'p50':>7} {'p95':>7} {'max':>7}")
        for group, values in self.all.items():
            times = Times(tuple(values))
            print(f"{group:<58} {times.p50:7.1f} {times.p95:7.1f} {max(values):7.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--films", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="", help="only what has this in its name")
    parser.add_argument("--keep", action="store_true", help="leave the database for the next time")
    options = parser.parse_args()
    address = million_films.use_database()
    redis = os.environ["REDIS_URL"].partition("?")[0]
    # A broker database of its own: the cache is emptied between requests.
    os.environ["REDIS_URL"] = (
        f"{redis}?db=8" if redis.startswith("unix:") else urlsplit(redis)._replace(path="/8").geturl()
    )
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "genresite.settings",
        "HTTPS": "0",
        "DEBUG": "0",
        "LOG_LEVEL": "ERROR",
    }
    os.environ |= {"ALLOWED_HOSTS": "testserver", "GENRESITE_NO_SECRETS": "1"}
    import django
    from django.conf import settings

    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    django.setup()
    try:
        million_films.fill(options.films)
        report = Report()
        run(report, options.rounds, options.only)
        report.summary()
    finally:
        if not options.keep:
            from django.db import connections

            connections.close_all()
            million_films.drop_database(address)
    print("\n" + ("Broken:\n  " + "\n  ".join(report.broken) if report.broken else "Every promise holds."))
    return 1 if report.broken else 0


def run(report: Report, rounds: int, only: str) -> None:
    """Every measurement."""
    from django.db import connections
    from django.http import QueryDict
    from django.test import Client

    from catalog.models import Genre
    from predictor.browsing import displayed_version
    from predictor.filter_form import FilterForm

    client = Client()
    genres = list(Genre.objects.all())
    version = displayed_version()

    def get(path: str) -> None:
        response = client.get(path)
        assert response.status_code == 200, (path, response.status_code)

    print(f"{'list':<58} {'p50 ms':>7} {'p95 ms':>7} {'cpu ms':>7}  {'':<5}deep p50/p95, ratio, queries")
    for sort in SORTS:
        for name, parameters in FILTERS.items():
            what = f"{sort}, {name}"
            if only not in what:
                continue
            query_string = "&".join(part for part in (parameters, f"sort={sort}") if part)
            form = FilterForm(QueryDict(query_string), genres=genres)
            assert form.is_valid(), form.errors
            first = measure(lambda path=f"/?{query_string}": get(path), rounds)
            more = ""
            cursor, page = deep_cursor(form.filters(), version)
            if cursor:
                path = f"/?{form.filters().query_string(after=cursor)}"
                deep = measure(lambda path=path: get(path), rounds)
                ratio = deep.p50 / first.p50
                more = f"page {page:,}: {deep.p50:.1f}/{deep.p95:.1f}, {ratio:.2f}, cpu {deep.cpu.strip()}"
                report.all.setdefault("list, deep page", []).extend(deep.values)
                if deep.p95 > LIST_MS or (ratio > DEEP_RATIO and deep.p50 - first.p50 > 5):
                    report.broken.append(f"{what}: page {page:,} {deep.p95:.0f} ms, ratio {ratio:.2f}")
            connection = connections["default"]
            connection.force_debug_cursor = True
            before = len(connection.queries_log)
            get(f"/?{query_string}")
            queries = len(connection.queries_log) - before
            connection.force_debug_cursor = False
            if queries > MAX_QUERIES:
                report.broken.append(f"{what}: {queries} queries")
            report.line(what, first, limit=LIST_MS, group="list, first page", more=f"{more}  q{queries}")
    _searches(report, rounds, only, get)
    _facets(report, rounds, only, get)


def deep_cursor(filters: object, version: object) -> tuple[str | None, int]:
    """A cursor to page 10,000, or to the last tenth of a shorter list, found by OFFSET; and the page's number."""
    from predictor.browsing import PAGE_SIZE, cursor_after, ordered_films, shown_films

    ids = ordered_films(filters, version).values("id")  # type: ignore[arg-type]
    count = ids.order_by()[: (DEEP_PAGE + 1) * PAGE_SIZE].count()
    page = DEEP_PAGE if count > DEEP_PAGE * PAGE_SIZE else int(count * 0.9) // PAGE_SIZE
    if page < 2:
        return None, 1
    last = page * PAGE_SIZE - 1
    film = shown_films(ids[last : last + 1], filters, version).get()  # type: ignore[arg-type]
    return cursor_after(film, filters), page  # type: ignore[arg-type]


def _searches(report: Report, rounds: int, only: str, get: Callable[[str], None]) -> None:
    words = million_films.words()
    common, middle, rare = words[0], words[300], words[40_000]
    searches = {
        "common word": common,
        "two common words": f"{words[1]} {words[2]}",
        "middling word": middle,
        "rare word": rare,
        "common and rare word": f"{common} {rare}",
        "two middling words": f"{words[200]} {words[301]}",
        "prefix of three letters": common[:3],
        "prefix of a middling word": middle[:4],
        "no match": "zzyzzx",
    }
    print(f"\n{'search':<58} {'p50 ms':>7} {'p95 ms':>7} {'cpu ms':>7}")
    for name, text in searches.items():
        for extra in ("", "&genre=18", "&sort=newest"):
            what = f"search: {name}{extra.replace('&', ', ')}"
            if only in what:
                times = measure(lambda q=text, x=extra: get(f"/?q={q}{x}"), rounds)
                report.line(what, times, limit=SEARCH_MS, group="search")


def _facets(report: Report, rounds: int, only: str, get: Callable[[str], None]) -> None:
    from django.core.cache import cache

    print(f"\n{'genre counts, cold':<58} {'p50 ms':>7} {'p95 ms':>7} {'cpu ms':>7}")
    searches = {"search, common word": f"q={million_films.words()[0]}"}
    for name, parameters in (FILTERS | searches).items():
        what = f"facets: {name}"
        if only not in what:
            continue

        def cold(parameters: str = parameters) -> None:
            cache.clear()
            get(f"/facets/?{parameters}")

        report.line(what, measure(cold, max(rounds // 2, 3)), limit=FACETS_MS, group="facets, cold")


if __name__ == "__main__":
    sys.exit(main())
