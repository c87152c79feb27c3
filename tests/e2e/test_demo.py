"""`make demo` as a newcomer runs it: from an empty folder to a browsable catalog, stopped, killed, and run again.

Minutes long, for it starts everything for real; the installation step alone is the Makefile's.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

PROJECT = Path(__file__).resolve().parents[2]
FIRST_RUN_SECONDS = 240
SECOND_RUN_SECONDS = 60

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Demo:
    """One run of the demo, and what it has said so far."""

    def __init__(self, var: Path, port: int) -> None:
        self.port = port
        self.log = var.parent / f"demo-{time.monotonic_ns()}.log"
        outer = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE", "DEBUG"}
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "genresite.embedded", "run", "--"),
                *(sys.executable, "-m", "genresite.demo", "--port", str(port)),
            ],
            cwd=PROJECT,
            env={k: v for k, v in os.environ.items() if k not in outer} | {"GENRESITE_VAR": str(var)},
            stdin=subprocess.DEVNULL,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.seen: set[int] = set()

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_until_ready(self, seconds: float) -> float:
        """Seconds until it said "Ready"."""
        start = time.monotonic()
        while "==> Ready" not in self.output():
            assert self.process.poll() is None, self.output()[-4000:]
            assert time.monotonic() - start < seconds, self.output()[-4000:]
            self.remember_descendants()
            time.sleep(0.2)
        self.remember_descendants()
        return time.monotonic() - start

    def remember_descendants(self) -> None:
        with_children = psutil.Process(self.process.pid).children(recursive=True)
        self.seen |= {child.pid for child in with_children}

    def left_over(self, *, servers: bool = True) -> list[str]:
        """Command lines of its processes that still live, the private servers among them or not."""
        lines = []
        for pid in self.seen:
            try:
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE and (
                    servers or process.name() not in {"postgres", "valkey-server"}
                ):
                    lines.append(" ".join(process.cmdline()))
            except psutil.NoSuchProcess:
                continue
        return lines

    def pid_of(self, words: str) -> int:
        """The number of its living process whose command line has those words."""
        for pid in self.seen:
            with contextlib.suppress(psutil.NoSuchProcess):  # a management command that has ended
                if words in " ".join(psutil.Process(pid).cmdline()):
                    return pid
        raise AssertionError(f"no process {words!r}: {self.left_over()}")

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return str(answer.read().decode())

    def interrupt(self) -> None:
        """Ctrl-C: the terminal sends it to the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(60)


@pytest.fixture
def var(tmp_path: Path) -> Iterator[Path]:
    for parent in [tmp_path, *tmp_path.parents]:
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    folder = tmp_path / "var"
    yield folder
    subprocess.run(
        [sys.executable, "-m", "genresite.embedded", "stop"],
        env=os.environ | {"GENRESITE_VAR": str(folder)},
        cwd=PROJECT,
        check=False,
        capture_output=True,
    )


def test_from_nothing_to_predictions_then_stopped_killed_and_run_again(
    var: Path, eventually: Callable[..., Any]
) -> None:
    port = free_port()
    demo = Demo(var, port)
    demo.wait_until_ready(FIRST_RUN_SECONDS)

    films = json.loads((PROJECT / "catalog" / "starter" / "films.json").read_text())
    assert re.search(r"login: admin {3}password: \S{12,}", demo.output())
    assert "class=" in demo.get("/")
    listed = json.loads(demo.get("/api/v1/films/?q=dark%20knight"))
    assert any(film["tmdb_id"] == 155 for film in listed["results"])
    assert count(var, "catalog_film") == len(films)
    assert count(var, "predictor_prediction") == len(films)
    assert len(demo.seen) >= 5

    demo.interrupt()
    assert demo.process.returncode == 0, demo.output()[-3000:]
    assert "Traceback" not in demo.output()
    eventually(lambda: not demo.left_over(), seconds=15, message="processes left after Ctrl-C")

    again = Demo(var, port)
    assert again.wait_until_ready(SECOND_RUN_SECONDS) < SECOND_RUN_SECONDS
    assert "Loading the starter catalog" not in again.output()
    again.process.send_signal(signal.SIGKILL)  # the holder of the servers
    os.kill(again.pid_of("genresite.demo"), signal.SIGKILL)
    # Nobody was left to stop the servers: the next run takes them over, and stops them.
    eventually(lambda: not again.left_over(servers=False), seconds=30, message="processes left after kill -9")

    third = Demo(var, port)
    third.wait_until_ready(SECOND_RUN_SECONDS)
    assert count(var, "predictor_prediction") == len(films)
    third.interrupt()
    assert third.process.returncode == 0
    for run in (again, third):
        eventually(lambda run=run: not run.left_over(), seconds=15, message="processes left at the end")


def count(var: Path, table: str) -> int:
    import psycopg

    from genresite.embedded import postgres

    with psycopg.connect(postgres.url(var)) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def test_a_taken_port_is_told_before_anything_is_made(var: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        demo = Demo(var, taken.getsockname()[1])
        assert demo.process.wait(60) == 1
    assert "PORT=" in demo.output()
