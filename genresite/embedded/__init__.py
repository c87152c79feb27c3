"""A private PostgreSQL and Valkey for a machine that has neither.

``python -m genresite.embedded run -- COMMAND`` starts both under ``var/`` (or ``GENRESITE_VAR``), sets
``DATABASE_URL`` and ``REDIS_URL`` for COMMAND, and stops them when the last user is gone. A variable that
is already set is left alone, and its server is not started.

Users are counted by a shared ``flock`` on ``var/users.lock``, which the kernel drops however a process dies:
unlike a list of process ids in a file, it cannot go stale. The command inherits the lock, so the servers
outlive a killed ``embedded run`` for as long as its command lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from genresite.embedded import postgres, valkey
from genresite.embedded.places import PROJECT, EmbeddedServerError, socket_folder, var_folder

__all__ = ["PROJECT", "EmbeddedServerError", "run", "servers", "socket_folder", "var_folder"]


@contextlib.contextmanager
def _exclusively(var: Path) -> Iterator[None]:
    """Only one process at a time starts or stops the servers of a folder."""
    with (var / "servers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def servers(var: Path) -> Iterator[tuple[dict[str, str], int | None]]:
    """Hold the private servers of `var` up; yields the variables that name them and the lock's descriptor.

    Raises:
        EmbeddedServerError: a server did not start.
    """
    environment: dict[str, str] = {}
    wants_postgres = not os.environ.get("DATABASE_URL")
    wants_valkey = not os.environ.get("REDIS_URL")
    if not (wants_postgres or wants_valkey):
        yield environment, None
        return
    var.mkdir(parents=True, exist_ok=True)
    folder = socket_folder(var)
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid not in {os.getuid(), *([u.pw_uid] if (u := postgres.system_user()) else [])}:
        raise EmbeddedServerError(f"{folder} belongs to another account than {getpass.getuser()}")
    folder.chmod(0o700)
    with (var / "users.lock").open("w") as users:
        with _exclusively(var):
            if wants_postgres:
                postgres.start(var)
                postgres.create_database(var)
                environment["DATABASE_URL"] = postgres.url(var)
            if wants_valkey:
                valkey.start(var)
                environment["REDIS_URL"] = valkey.url(var)
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield environment, users.fileno()
        finally:
            with _exclusively(var):
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    pass  # somebody else still uses them
                else:
                    valkey.stop(var)
                    postgres.stop(var)


def run(command: list[str]) -> int:
    """Run `command` with the private servers up; returns its exit status (128 + n after signal n)."""
    with servers(var_folder()) as (environment, lock):
        child = subprocess.Popen(
            command, env=os.environ | environment, pass_fds=[lock] if lock is not None else []
        )

        def forward(number: int, _frame: FrameType | None) -> None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)

        # The terminal sends Ctrl-C to the whole group, so the child has it already; we only wait for its end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, forward)
        signal.signal(signal.SIGHUP, forward)
        status = child.wait()
    return status if status >= 0 else 128 - status
