"""What surrounds a training that runs as a process of its own: progress, its folder's lock, its threads."""

from __future__ import annotations

import fcntl
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import torch

from ml_core.devices import cpu_threads
from ml_core.posters import DecodedPosters
from ml_core.snapshot import Snapshot
from ml_core.training import Progress, TrainingError


class Reporter:
    """Progress as lines of JSON in a file (appended, flushed at each line) and in words on standard output."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", encoding="utf-8")
        return self

    def __call__(self, line: dict[str, Any]) -> None:
        """Report one line; ``time`` (seconds since 1970) is added where it is missing."""
        line = {"time": round(time.time(), 3)} | line
        if self._file is not None:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        print(" ".join(f"{name}={value}" for name, value in line.items() if name != "time"))
        sys.stdout.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


@contextmanager
def alone_in(work: Path) -> Iterator[None]:
    """Hold the folder's lock: two trainings must not write the same checkpoints.

    Raises :class:`TrainingError` when another process holds it. The kernel frees it however a process ends.
    """
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(f"another training is at work in {work}") from None
        yield


def set_threads(number: int | None) -> None:
    """Use that many threads, or as many as the process may use cores."""
    torch.set_num_threads(number or cpu_threads())


# Films that are named; of the others there is only the number.
_FILMS_NAMED = 5


def tell_unusable_posters(posters: DecodedPosters, snapshot: Snapshot, progress: Progress | None) -> None:
    """Report how many posters could not be decoded, and of some the film (TMDB id) and the reason.

    Their films are trained on without a poster.
    """
    if progress is None:
        return
    named = {
        str(snapshot.tmdb_ids[row]): reason for row, reason in sorted(posters.errors.items())[:_FILMS_NAMED]
    }
    progress(
        {"stage": "decode posters", "total": int(snapshot.has_poster.sum()), "unusable": len(posters.errors)}
        | ({"films": named} if named else {})
    )
