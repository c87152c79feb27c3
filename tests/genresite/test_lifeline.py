"""A command under a lifeline never outlives whoever started it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIFELINE = str(Path(__file__).resolve().parents[2] / "genresite" / "lifeline.py")
SAY_PID = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(600)"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter where it goes between opening and reading
        return False


def test_status_of_the_command_is_the_lifelines() -> None:
    process = subprocess.Popen(
        [sys.executable, LIFELINE, sys.executable, "-c", "raise SystemExit(3)"],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.wait(30) == 3


def test_command_ends_when_its_starter_is_killed(eventually: Callable[..., Any]) -> None:
    code = f"""
import subprocess, sys, time
command = [sys.executable, {LIFELINE!r}, sys.executable, "-c", {SAY_PID!r}]
subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
time.sleep(600)
"""
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    assert alive(pid)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    eventually(lambda: not alive(pid), seconds=15)


def test_command_that_ignores_sigterm_is_killed_with_its_children(eventually: Callable[..., Any]) -> None:
    stubborn = f"""
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # which its children inherit
subprocess.Popen([sys.executable, "-c", {SAY_PID!r}])
time.sleep(600)
"""
    lifeline = f"""
import sys
sys.path.insert(0, {str(Path(LIFELINE).parent)!r})
import lifeline
lifeline.GRACE_SECONDS = 0.5
lifeline.main([sys.executable, "-c", {stubborn!r}])
"""
    process = subprocess.Popen(
        [sys.executable, "-c", lifeline],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    grandchild = int(process.stdout.readline())
    process.stdin.close()
    process.wait(30)
    eventually(lambda: not alive(grandchild), seconds=15)
