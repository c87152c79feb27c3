"""The private servers: started once, shared, stopped with their last user, whatever kills whom."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from genresite import embedded
from genresite.embedded import places, postgres, valkey

PROJECT = Path(__file__).resolve().parents[2]
COUNT = "import os, psycopg; print(psycopg.connect(os.environ['DATABASE_URL']).execute('SELECT 1 + 1').fetchone()[0])"
PING = "import os, redis; print(redis.Redis.from_url(os.environ['REDIS_URL']).ping())"


@pytest.fixture
def var(tmp_path: Path) -> Any:
    folder = tmp_path / "var"
    for parent in [tmp_path, *tmp_path.parents]:  # PostgreSQL's own account has to get there when we are root
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    yield folder
    run(folder, "stop")


def environment(var: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
    return kept | {"GENRESITE_VAR": str(var)}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "genresite.embedded", *arguments]


def run(var: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=environment(var),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def says(var: Path, code: str) -> str:
    """What a command with the servers up prints."""
    done = run(var, "run", "--", sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def start(var: Path, code: str) -> subprocess.Popen[str]:
    """A user of the servers that says "up" and stays until its input ends."""
    process = subprocess.Popen(
        command("run", "--", sys.executable, "-c", f"{code}; print('up', flush=True); input()"),
        env=environment(var),
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while process.stdout.readline().strip() != "up":
        assert process.poll() is None
    return process


def servers_up(var: Path) -> tuple[bool, bool]:
    """Whether PostgreSQL and Valkey of the folder answer."""
    return postgres.runs(var), valkey.answers(var)


def test_command_gets_a_database_and_a_broker_and_its_status_is_ours(var: Path) -> None:
    assert says(var, COUNT) == "2"
    assert says(var, PING) == "True"
    assert run(var, "run", "--", sys.executable, "-c", "raise SystemExit(7)").returncode == 7
    assert servers_up(var) == (False, False)


def test_data_outlive_the_servers(var: Path) -> None:
    write = "import os, psycopg; c = psycopg.connect(os.environ['DATABASE_URL'], autocommit=True); c.execute('CREATE TABLE kept AS SELECT 5 AS n')"
    read = "import os, psycopg; print(psycopg.connect(os.environ['DATABASE_URL']).execute('SELECT n FROM kept').fetchone()[0])"
    run(var, "run", "--", sys.executable, "-c", write)
    assert says(var, read) == "5"


def test_what_the_environment_names_already_is_left_alone(var: Path) -> None:
    named = environment(var) | {"DATABASE_URL": "postgresql://elsewhere/db", "REDIS_URL": "redis://elsewhere"}
    code = "import os; print(os.environ['DATABASE_URL'], os.environ['REDIS_URL'])"
    done = subprocess.run(
        command("run", "--", sys.executable, "-c", code),
        env=named,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["postgresql://elsewhere/db", "redis://elsewhere"]
    assert not var.exists()


def test_servers_stop_with_their_last_user_only(var: Path) -> None:
    first = start(var, COUNT)
    second = start(var, PING)
    first.communicate("\n", timeout=60)
    assert servers_up(var) == (True, True)
    second.communicate("\n", timeout=60)
    assert servers_up(var) == (False, False)


def test_a_killed_user_leaves_nothing_that_breaks_the_next(var: Path, eventually: Callable[..., Any]) -> None:
    user = start(var, COUNT)
    user.send_signal(signal.SIGKILL)
    user.wait()
    assert servers_up(var) == (True, True)  # its command lives on and holds the lock
    assert says(var, COUNT) == "2"
    assert servers_up(var) == (True, True)
    assert user.stdin is not None
    user.stdin.close()
    eventually(lambda: _users_gone(var), seconds=20)
    assert says(var, COUNT) == "2"
    assert servers_up(var) == (False, False)


def _users_gone(var: Path) -> bool:
    import fcntl

    with (var / "users.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_crashed_database_recovers_at_the_next_start(var: Path, eventually: Callable[..., Any]) -> None:
    user = start(var, COUNT)
    pid = int((var / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    user.communicate("\n", timeout=60)
    assert says(var, COUNT) == "2"


def test_a_sigterm_reaches_the_command(var: Path) -> None:
    user = start(var, COUNT)
    user.terminate()
    assert user.wait(60) == 128 + signal.SIGTERM
    assert servers_up(var) == (False, False)


def test_a_long_folder_name_still_gives_a_short_socket(tmp_path: Path) -> None:
    var = tmp_path / ("deep-" * 30)
    assert len(os.fsencode(embedded.socket_folder(var))) <= places.LONGEST_SOCKET_FOLDER
    assert embedded.socket_folder(var) != embedded.socket_folder(tmp_path / ("deeq-" * 30))


def test_sockets_are_for_their_owner_alone(var: Path) -> None:
    user = start(var, COUNT)
    assert embedded.socket_folder(var).stat().st_mode & 0o077 == 0
    with psycopg.connect(postgres.url(var)) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    user.communicate("\n", timeout=60)


def test_status_names_both_and_their_addresses(var: Path) -> None:
    lines = run(var, "status").stdout.splitlines()
    assert lines[0].split() == ["PostgreSQL:", "down", postgres.url(var)]
    assert lines[1].split() == ["Valkey:", "down", valkey.url(var)]


def test_run_without_a_command_says_so(var: Path) -> None:
    done = run(var, "run")
    assert done.returncode == 2
    assert "needs a command" in done.stderr
