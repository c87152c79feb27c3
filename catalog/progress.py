"""How far a command is, on the terminal: one line that is rewritten, or a line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from typing import Any, Self

_TERMINAL_SECONDS = 0.1
_LOG_SECONDS = 5.0


class Progress:
    """``with Progress() as show: show("Films", done, total)``; the last count of each step always appears."""

    def __init__(self, *, stream: Any = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._step = self._line = ""
        self._started = self._shown = 0.0
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __call__(self, step: str, done: int, total: int | None = None, note: str = "") -> None:
        """Show the count, unless one was shown a moment ago. Another step begins another line."""
        now = time.monotonic()
        if step != self._step:
            self._end_line()
            self._step, self._started, self._shown = step, now, now
        share = f" of {total:,} ({min(done / total, 1):.0%})" if total else ""
        self._line = f"{step}: {done:,}{share}" + (f", {note}" if note else "")
        if now - self._started > 1:
            self._line += f", {now - self._started:.0f} s"
        if now - self._shown >= (_TERMINAL_SECONDS if self._terminal else _LOG_SECONDS):
            self._shown = now
            self._write()

    def __exit__(self, *_: object) -> None:
        self._end_line()

    def _end_line(self) -> None:
        if self._line:
            self._write()
        if self._step and self._terminal:
            self._stream.write("\n")
            self._width = 0
        self._stream.flush()

    def _write(self) -> None:
        if self._terminal:
            self._stream.write("\r" + self._line.ljust(self._width))
            self._width = len(self._line)
        else:
            self._stream.write(self._line + "\n")
            self._line = ""
        self._stream.flush()
