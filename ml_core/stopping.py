"""Asking a training to stop: on SIGTERM it goes on to the next step, writes its checkpoint there, and ends.

What was asked is looked at where nothing is half done: between steps of :func:`ml_core.training.fit`, and wherever
progress is reported.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_asked = threading.Event()


class TrainingStopped(RuntimeError):  # noqa: N818 - no error: somebody asked for it
    """The training was asked to stop and did; asked for again with the same working folder, it goes on."""


@contextmanager
def listening() -> Iterator[None]:
    """Take SIGTERM as the request to stop while the block runs. For the main thread alone."""
    before = signal.signal(signal.SIGTERM, lambda *_: _asked.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        _asked.clear()


def asked() -> bool:
    """Whether a stop was asked for."""
    return _asked.is_set()


def stop_if_asked() -> None:
    """Raises :class:`TrainingStopped` where a stop was asked for; called where nothing would be lost."""
    if asked():
        raise TrainingStopped("stopped on request; it goes on from its checkpoint when it is started again")
