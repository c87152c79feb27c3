"""``make demo``: from nothing to a catalog with predictions in it, served on this machine.

Prepares (keys, tables, admin login, films, model), starts the processes of a real installation, has every film
predicted, and keeps all running until Ctrl-C. Run under `genresite.embedded`, which holds the servers up.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from genresite.embedded import PROJECT, var_folder

# A process that dies is started again, ever more slowly: one that cannot live must not eat the machine.
RESTART_SECONDS = (1, 2, 5, 15, 60)
START_SECONDS = 90.0
LIFELINE = str(PROJECT / "genresite" / "lifeline.py")


class DemoError(RuntimeError):
    """Something keeps the demo from running; the message says what, and what to do."""


class Stopped(Exception):  # noqa: N818 - not an error: somebody pressed Ctrl-C
    """Ctrl-C, or SIGTERM."""


def say(text: str) -> None:
    """A line for the person at the terminal."""
    print(f"\033[1m==>\033[0m {text}" if sys.stdout.isatty() else f"==> {text}", flush=True)


# Preparation ---------------------------------------------------------------------------------------------


def secret(path: Path) -> str:
    """The secret kept at `path`, made on the first run, readable by its owner alone."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50 if path.name == "secret_key" else 12))
        new.replace(path)
    return path.read_text()


def environment(var: Path, port: int) -> dict[str, str]:
    """The variables of a site on loopback: production's settings, but for TLS."""
    return {
        "GENRESITE_VAR": str(var),
        "SECRET_KEY": secret(var / "secret_key"),
        "HTTPS": "0",
        "LOG_JSON": "0",
        "STATIC_ROOT": str(var / "static"),
        "CSRF_TRUSTED_ORIGINS": f"http://127.0.0.1:{port},http://localhost:{port}",
        # The workers share few cores with the pages: one thread pool as big as the machine, not four.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(os.cpu_count() or 1)),
        "TOKENIZERS_PARALLELISM": "false",
    }


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stand_in_environment(port: int) -> dict[str, str]:
    """The variables that lead to TMDB's stand-in on that port. Raises DemoError where there is none to start."""
    if not (PROJECT / "tests" / "tmdb_stand_in").is_dir():
        raise DemoError(
            f"TMDB's stand-in lives with the tests, and there is no tests/tmdb_stand_in in {PROJECT}. Take a whole "
            "checkout, or import from TMDB itself with a key of your own: TMDB_API_KEY=... make demo"
        )
    return {
        "TMDB_API_KEY": "stand-in-key",
        "TMDB_API_BASE": f"http://127.0.0.1:{port}/3",
        "TMDB_IMAGE_BASE": f"http://127.0.0.1:{port}/t/p/",
        "TMDB_EXPORT_BASE": f"http://127.0.0.1:{port}/p/exports/",
    }


def require_free(port: int) -> None:
    """Raises DemoError where something listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoError(f"Port {port} is taken ({error}). Try another: make demo PORT=8010") from error


def manage(*arguments: str, quiet: bool = False, **extra: str) -> None:
    """Run a management command; its output, which shows progress, goes to the terminal.

    It ends with us, however we end: an import that went on alone would meet that of the next run.
    """
    with subprocess.Popen(
        [sys.executable, LIFELINE, sys.executable, str(PROJECT / "manage.py"), *arguments],
        env={"LOG_LEVEL": "WARNING"} | os.environ | extra,  # its progress is for reading, its log is not
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
    ) as process:
        try:
            output = process.stdout.read() if process.stdout else b""
            status = process.wait()
        finally:
            if process.stdin:
                process.stdin.close()
    if status:
        raise DemoError(
            f"manage.py {' '.join(arguments)} failed (exit status {status}).\n{output.decode(errors='replace')}"
        )


def prepare(var: Path, films: Path | None) -> str:
    """Tables, static files, admin login, films, model. Returns the admin's password."""
    say("Preparing the database")
    manage("migrate", "--verbosity", "0")
    manage("collectstatic", "--noinput", "--verbosity", "0", quiet=True)
    password = secret(var / "admin_password")
    import django

    django.setup()
    from django.contrib.auth import get_user_model

    from catalog.models import Film

    users = get_user_model().objects
    if not users.filter(username="admin").exists():
        users.create_superuser(username="admin", password=password)
    if films:
        say(f"Importing the films of {films}")
        posters, splits = films / "posters", films / "splits.csv"
        manage(
            "import_kaggle",
            str(films / "movies_metadata.csv"),
            *(["--posters", str(posters)] if posters.is_dir() else []),
            "--skip-if-done",
        )
        if splits.exists():
            manage("import_splits", str(splits))
    elif not Film.objects.exists():
        say("Loading the starter catalog")
        manage("load_starter")
    manage("register_model", "--promote")
    return password


# Processes -----------------------------------------------------------------------------------------------


def commands(port: int, stand_in_port: int | None = None) -> dict[str, list[str]]:
    """Every process of an installation, by name, as docker-compose.yml has them too; and TMDB's stand-in if asked for."""
    celery = [sys.executable, "-m", "celery", "-A", "genresite"]

    def worker(name: str, *options: str) -> list[str]:
        return [
            *(*celery, "worker", "--queues", name, "--hostname", f"{name}@%h", "--loglevel", "INFO"),
            *("--without-gossip", "--without-mingle", *options),
        ]

    processes = {
        "web": [
            *(sys.executable, "-m", "gunicorn", "genresite.wsgi", "--bind", f"127.0.0.1:{port}"),
            *("--worker-class", "gthread", "--workers", "2", "--threads", "8"),
            *("--access-logfile", "-", "--graceful-timeout", "5"),
        ],
        "io": worker("io", "--pool", "threads", "--concurrency", "4"),
        "train": worker("train", "--pool", "solo"),
        "predict": worker("predict", "--pool", "solo"),
        "beat": [*celery, "beat", "--loglevel", "INFO", "--pidfile="],
    }
    if stand_in_port:
        # As slow as TMDB, and as often at fault as makes an import show what it does about it.
        processes["tmdb"] = [
            *(sys.executable, "-m", "tests.tmdb_stand_in", "--port", str(stand_in_port), "--films", "5000"),
            *("--key", "stand-in-key", "--fault-share", "0.05", "--latency", "0.1"),
        ]
    return processes


@dataclass(slots=True)
class Child:
    """One process of the installation, started again when it dies."""

    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    next_start: float = 0.0
    _output: IO[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self._output is None:
            self._output = self.log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, LIFELINE, *self.command],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | ({"GENRESITE_CELERY": "1"} if self.name != "web" else {}),
        )
        self.starts += 1

    def look_after(self) -> None:
        """Start the process again where it died, after a while that grows with each death."""
        if self.process is None or self.process.poll() is None:
            return
        now = time.monotonic()
        if not self.next_start:
            wait = RESTART_SECONDS[min(self.starts - 1, len(RESTART_SECONDS) - 1)]
            say(
                f"{self.name} ended with status {self.process.returncode}; again in {wait} s (log: {self.log})"
            )
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)  # where the lifeline itself was killed
            self.next_start = now + wait
        elif now >= self.next_start:
            self.next_start = 0.0
            self.start()

    def end(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()


@contextlib.contextmanager
def running(children: list[Child]) -> Iterator[None]:
    """All children up for as long as the block runs; all gone after it."""
    try:
        for child in children:
            child.start()
        yield
    finally:
        for child in children:
            child.end()
        for child in children:
            if child.process is not None:
                child.process.wait()


def wait_for_site(port: int, children: list[Child]) -> None:
    """Returns when the site answers that all it stands on is there."""
    deadline = time.monotonic() + START_SECONDS
    answer = "no answer"
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except urllib.error.HTTPError as error:
            answer = error.read().decode(errors="replace")[:500]
        except OSError as error:
            answer = str(error)
        for child in children:
            child.look_after()
        time.sleep(0.2)
    raise DemoError(f"The site is not ready after {START_SECONDS:.0f} s: {answer} (log: {children[0].log})")


def serve(var: Path, port: int, password: str, stand_in_port: int | None = None) -> None:
    """Start everything, predict what lacks a prediction, and look after it until stopped."""
    logs = var / "log"
    processes = commands(port, stand_in_port)
    children = [Child(name, command, logs / f"{name}.log") for name, command in processes.items()]
    stand_in = (
        f"\n    TMDB           a stand-in with invented films, http://127.0.0.1:{stand_in_port}/3; import from it at"
        f"\n                   http://127.0.0.1:{port}/admin/catalog/importrun/ or by command (README.md)"
    )
    say("Starting web, the workers io, train and predict, and beat")
    with running(children):
        wait_for_site(port, children)
        say(f"Browse at http://127.0.0.1:{port}/ (predictions appear as they are made)")
        manage("predict", "--wait")
        say("Ready")
        print(
            f"\n    The catalog    http://127.0.0.1:{port}/"
            f"\n    Try it         http://127.0.0.1:{port}/try/"
            f"\n    Compare        http://127.0.0.1:{port}/compare/"
            f"\n    The API        http://127.0.0.1:{port}/api/v1/docs/"
            f"\n    Admin          http://127.0.0.1:{port}/admin/   login: admin   password: {password}"
            f"{stand_in if stand_in_port else ''}"
            f"\n    Logs           {logs}\n\n    Ctrl-C stops everything; the data stay in {var}.\n",
            flush=True,
        )
        while True:
            for child in children:
                child.look_after()
            time.sleep(0.5)


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the way out is short; a second Ctrl-C must not cut it off
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m genresite.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--films", type=Path, help="folder with movies_metadata.csv, posters/ and splits.csv")
    parser.add_argument("--tmdb", choices=["stand-in"], help="import from a stand-in with invented films")
    options = parser.parse_args(arguments)
    var = var_folder()
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    try:
        if options.films and not (options.films / "movies_metadata.csv").is_file():
            raise DemoError(f"There is no movies_metadata.csv in {options.films}")
        require_free(options.port)
        os.environ.update(environment(var, options.port))
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "genresite.settings")
        stand_in_port = free_port() if options.tmdb else None
        if stand_in_port:
            os.environ.update(stand_in_environment(stand_in_port))
        password = prepare(var, options.films.resolve() if options.films else None)
        serve(var, options.port, password, stand_in_port)
    except Stopped:
        say("Stopped")
    except DemoError as error:
        print(f"make demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
