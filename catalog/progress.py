"""How far a command is, on the terminal: one line that is rewritten, or a line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from typing import Self, TextIO

_TERMINAL_SECONDS = 0.1
_LOG_SECONDS = 5.0


class Progress:
    """``with Progress("Films") as show: show(done, total)``; the last count always appears."""

    def __init__(self, what: str, *, stream: TextIO | None = None) -> None:
        self._what = what
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._started = self._shown = time.monotonic()
        self._last = ""
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __call__(self, done: int, total: int | None = None, note: str = "") -> None:
        """Show the count, unless one was shown a moment ago."""
        now = time.monotonic()
        rate = done / max(now - self._started, 1e-6)
        share = f" of {total:,} ({min(done / total, 1):.0%})" if total else ""
        self._last = f"{self._what}: {done:,}{share}, {rate:,.0f}/s" + (f", {note}" if note else "")
        if now - self._shown >= (_TERMINAL_SECONDS if self._terminal else _LOG_SECONDS):
            self._shown = now
            self._write()

    def __exit__(self, *_: object) -> None:
        if self._last:
            self._write()
            if self._terminal:
                self._stream.write("\n")
        self._stream.flush()

    def _write(self) -> None:
        if self._terminal:
            self._stream.write("\r" + self._last.ljust(self._width))
            self._width = len(self._last)
        else:
            self._stream.write(self._last + "\n")
        self._stream.flush()
        self._last = self._last if self._terminal else ""
