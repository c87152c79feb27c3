"""``python genresite/lifeline.py COMMAND``: run a command that must not outlive whoever started it.

The starter keeps the other end of our standard input. However it dies, the kernel closes that end, and we end
the command: SIGTERM, then SIGKILL to the whole group. (A parent-death signal would do on Linux alone, and
fires when the thread that forked ends, not the process.)
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

# Longer than a worker needs to finish the sub-batch in hand; promised to the person who pressed Ctrl-C.
GRACE_SECONDS = 10.0


def main(command: list[str]) -> int:
    """Run `command` until it ends or standard input does; returns its exit status."""
    with contextlib.suppress(PermissionError):  # already leads a session of its own
        os.setsid()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    ending = threading.Event()

    def end() -> None:
        if ending.is_set():
            return
        ending.set()
        child.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if child.poll() is None:
            os.killpg(0, signal.SIGKILL)  # us included: nothing is left to tell

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1024):
                pass
        end()

    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=end, daemon=True).start())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()
    status = child.wait()
    # What the command left behind in our group (gunicorn's or Celery's own children) goes with it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
