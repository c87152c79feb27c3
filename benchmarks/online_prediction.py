"""Online predictions through the API: what one client waits beyond the model itself, and what 32 get together.

    python -m genresite.embedded run -- python -m benchmarks.online_prediction FILMS [--artifact FOLDER]
        [--requests 200] [--clients 32]

FILMS is a folder with movies_metadata.csv and posters/. Starts the site's web server and one predict worker on a database
and a broker database of their own, and posts films with overview and poster to /api/v1/predict/. One client: every request
is followed by the same film's bare decode and forward pass in this process, so that both meet the same machine. Many
clients: the worker's share is compared with the same model's batch prediction of the same films in this process, once
before and once after.

Promised: p50 <= bare p50 + 25 ms; 32 clients >= 60 % of the batch rate, no request lost. Exit status 1 where broken.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.prediction_catalog import import_films, promote, use_own_database

EXTRA_MS, SHARE = 25.0, 0.60
START_SECONDS = 120
BOUNDARY = "a-boundary-that-occurs-in-no-film"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FILMS")
    parser.add_argument("--artifact", type=Path)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # A broker database of its own, so that no running site's worker answers.
        os.environ["REDIS_URL"] = _with_database(os.environ["REDIS_URL"], 7)
        use_own_database(Path(folder))
        import_films(options.folder, 4 * options.requests)
        promote(options.artifact)
        films = _films(options.requests)
        token = _token()
        with _site(Path(folder)) as port:
            return _measure(port, token, films, options.clients)


def _measure(port: int, token: str, films: list, clients: int) -> int:
    from predictor import registry
    from predictor.online import OnlineFilm, predict_online
    from predictor.serving import models

    predictor = models.get(registry.champion())
    predictor.predict(films[:32])
    bodies = [_body(film) for film in films]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for body in bodies[:5]:
        _post(connection, token, body)
    bare, queued, online = [], [], []
    for film, body in zip(films, bodies, strict=True):
        start = time.perf_counter()
        predictor.predict([film])
        bare.append(1000 * (time.perf_counter() - start))
        start = time.perf_counter()
        predict_online(OnlineFilm(title=film.title, overview=film.overview, poster=film.poster))
        queued.append(1000 * (time.perf_counter() - start))
        start = time.perf_counter()
        status = _post(connection, token, body)
        online.append(1000 * (time.perf_counter() - start))
        assert status == 200, status
    extra = statistics.median(online) - statistics.median(bare)
    print(f"{len(films)} films with overview and poster, {os.cpu_count()} cores\n")
    print(f"one client: p50 {statistics.median(online):.1f} ms, bare {statistics.median(bare):.1f} ms")
    print(
        f"  without the web server, through broker and worker alone: p50 {statistics.median(queued):.1f} ms"
    )
    print(f"  difference {extra:.1f} ms, promised <= {EXTRA_MS:.0f} ms: {_verdict(extra <= EXTRA_MS)}")

    before = _batch_rate(predictor, films)
    seconds, statuses = _together(port, token, bodies * 2, clients)
    after = _batch_rate(predictor, films)
    batch = 2 / (1 / before + 1 / after)
    rate = statuses[200] / seconds
    print(f"{clients} clients: {rate:.1f} films/s, batch {batch:.1f} films/s, answers {dict(statuses)}")
    print(f"  share {rate / batch:.2f}, promised >= {SHARE}: {_verdict(rate / batch >= SHARE)}")
    lost = 2 * len(bodies) - sum(statuses.values())
    refused = sum(count for status, count in statuses.items() if status not in {200, 503})
    print(
        f"  lost {lost}, other answers than 200 and 503 {refused}, promised none: {_verdict(not lost + refused)}"
    )
    return int(not (extra <= EXTRA_MS and rate / batch >= SHARE and not lost + refused))


def _verdict(kept: bool) -> str:
    return "ok" if kept else "BROKEN"


def _batch_rate(predictor, films: list) -> float:
    start = time.perf_counter()
    predictor.predict(films)
    return len(films) / (time.perf_counter() - start)


def _together(port: int, token: str, bodies: list[bytes], clients: int) -> tuple[float, Counter[int]]:
    """Seconds that so many clients need for all bodies together, and the statuses of the answers."""
    waiting = list(bodies)
    statuses: Counter[int] = Counter()
    lock = threading.Lock()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with lock:
                if not waiting:
                    return
                body = waiting.pop()
            status = _post(connection, token, body)
            with lock:
                statuses[status] += 1

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start, statuses


def _post(connection: http.client.HTTPConnection, token: str, body: bytes) -> int:
    headers = {
        "Authorization": f"Token {token}",
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
    }
    connection.request("POST", "/api/v1/predict/", body=body, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status == 200:
        json.loads(content)
    return answer.status


def _body(film) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in (("title", film.title), ("overview", film.overview))
    ]
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="poster"; filename="poster.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return b"".join([*parts, head.encode(), film.poster, f"\r\n--{BOUNDARY}--\r\n".encode()])


def _films(count: int) -> list:
    """The first films that have an overview and a poster, as the model reads them."""
    from django.core.files.storage import default_storage

    from catalog.models import Film
    from ml_core.predictor import FilmInput

    chosen = Film.objects.exclude(overview="").exclude(poster=None).select_related("poster").order_by("id")
    films = []
    for film in chosen[:count]:
        with default_storage.open(film.poster.file.name) as file:
            films.append(FilmInput(film.title, film.overview, film.tagline, file.read()))
    return films


def _token() -> str:
    from django.contrib.auth import get_user_model

    from predictor.tokens import issue_token

    user = get_user_model().objects.create_user(username="benchmark", password=None)
    return issue_token(user=user).token


def _with_database(address: str, number: int) -> str:
    address = address.partition("?")[0]
    return (
        f"{address}?db={number}" if address.startswith("unix:") else f"{address.rsplit('/', 1)[0]}/{number}"
    )


@contextlib.contextmanager
def _site(folder: Path) -> Iterator[int]:
    """The web server and one predict worker, as `make demo` starts them; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    web = [
        *(sys.executable, "-m", "gunicorn", "genresite.wsgi", "--bind", f"127.0.0.1:{port}"),
        *("--worker-class", "gthread", "--workers", "2", "--threads", "24", "--keep-alive", "30"),
    ]
    worker = [
        *(sys.executable, "-m", "celery", "-A", "genresite", "worker", "--pool", "solo"),
        *("--queues", "predict", "--without-gossip", "--without-mingle", "--loglevel", "WARNING"),
    ]
    environment = os.environ | {"HTTPS": "0", "PREDICT_RATE_USER": "1000000/min"}
    del environment["GENRESITE_NO_POOL"]  # set for this process alone: the site has its pool of connections
    with (folder / "site.log").open("wb") as log, contextlib.ExitStack() as stack:
        for command, extra in ((web, {}), (worker, {"GENRESITE_CELERY": "1"})):
            process = subprocess.Popen(command, env=environment | extra, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        deadline = time.monotonic() + START_SECONDS
        while not _ready(port):
            if time.monotonic() > deadline:
                raise SystemExit((folder / "site.log").read_text()[-4000:])
            time.sleep(0.2)
        yield port


def _ready(port: int) -> bool:
    """The site answers and its worker has the model loaded."""
    from ledger.workers import live_workers

    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return any(worker.detail for worker in live_workers(queue="predict"))
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
