"""The demo's own handling of processes; the demo as a whole is run by tests/e2e/test_demo.py."""

from __future__ import annotations

import signal
import subprocess
import sys
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
    except FileNotFoundError:
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
