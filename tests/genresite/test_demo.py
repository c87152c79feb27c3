"""The demo's own handling of processes; the demo as a whole is run by tests/e2e/test_demo.py."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genresite import demo

PROJECT = Path(__file__).resolve().parents[2]
SAY_PID = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter where it goes between opening and reading
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_management_command_ends_with_the_demo_however_that_ends(
    number: signal.Signals, eventually: Callable[..., Any]
) -> None:
    code = f"""
import os, signal
from genresite import demo
os.environ["GENRESITE_NO_SECRETS"] = "1"
signal.signal(signal.SIGINT, demo._stop)
signal.signal(signal.SIGTERM, demo._stop)
demo.manage("shell", "-c", {SAY_PID!r})
"""
    starter = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert starter.stdout is not None
    numbers = (line for line in starter.stdout if line.strip().isdecimal())
    pid = int(next(numbers))
    assert alive(pid)
    starter.send_signal(number)
    starter.wait(30)
    eventually(lambda: not alive(pid), seconds=15)


def test_a_management_command_that_fails_is_told_with_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRESITE_NO_SECRETS", "1")
    with pytest.raises(
        demo.DemoError, match=r"(?s)no-such-command failed \(exit status 1\).*Unknown command"
    ):
        demo.manage("no-such-command", quiet=True)


def test_tmdbs_stand_in_runs_where_the_variables_lead(eventually: Callable[..., Any]) -> None:
    port = demo.free_port()
    variables = demo.stand_in_environment(port)
    key = {"Authorization": f"Bearer {variables['TMDB_API_KEY']}"}
    asked = urllib.request.Request(f"{variables['TMDB_API_BASE']}/authentication", headers=key)
    with subprocess.Popen(
        demo.commands(8000, port)["tmdb"], cwd=PROJECT, stdout=subprocess.DEVNULL
    ) as process:
        answer = eventually(lambda: process.poll() or answered(asked), seconds=30)
        process.terminate()
    assert answer == {"success": True, "status_code": 1, "status_message": "Success."}
    assert "tmdb" not in demo.commands(8000)


def answered(asked: urllib.request.Request) -> Any:
    try:
        with urllib.request.urlopen(asked, timeout=5) as answer:
            return json.load(answer)
    except urllib.error.URLError:
        return None


def test_a_checkout_without_tests_says_that_the_stand_in_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(demo, "PROJECT", tmp_path)
    with pytest.raises(demo.DemoError, match="TMDB_API_KEY="):
        demo.stand_in_environment(1)
