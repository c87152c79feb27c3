"""The child process that trains: started so that it cannot outlive its supervisor, stopped, and its end explained."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

from django.conf import settings

from predictor.training.settings import TrainingSettings

# What a training gets to see of our environment: nothing that could end up in its log is secret.
_PASSED_ON = re.compile(
    r"PATH|HOME|LANG|LC_.*|TZ|TMPDIR|LD_LIBRARY_PATH|NLTK_DATA|OMP_.*|MKL_.*|CUDA_.*|NVIDIA_.*|NCCL_.*|TORCH.*|PYTORCH_.*"
)
# Pages and online answers come first on the same cores.
_NICENESS = "10"
_LOG_BYTES = 16 * 1024
_OUT_OF_MEMORY = re.compile(
    r"MemoryError|out of memory|can't allocate memory|cannot allocate memory|Cannot allocate memory|bad_alloc"
)
_DISK_FULL = re.compile(r"No space left on device|os error 28|Disk quota exceeded")
# What torchrun prints of a rank that a signal ended.
_RANK_KILLED = re.compile(r"exitcode\s*:\s*-(\d+)")
_PATH = re.compile(r"(?:/[\w.@+~-]+)+/([\w.@+~-]+)")


class End(StrEnum):
    """How a child ended."""

    DONE = "done"
    FAILED = "failed"
    OUT_OF_MEMORY = "out of memory"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended, and why, in words without paths of this machine."""

    end: End
    reason: str = ""


def command(
    asked: TrainingSettings,
    *,
    snapshot: Path,
    artifact: Path,
    work: Path,
    progress: Path,
    teacher: Path | None,
    halvings: int,
    name: str,
) -> list[str]:
    """The command line of a training; ``teacher`` is the artifact that it learns from, ``halvings`` how often its batches are to
    be halved.
    """
    options = {
        "network": asked.network,
        "inputs": asked.inputs,
        "criterion": asked.criterion,
        "loss": asked.loss,
        "seed": asked.seed,
        "epochs": asked.epochs,
        "poster-epochs": asked.poster_epochs,
        "tune-epochs": asked.tune_epochs,
        "teacher": teacher,
        "batch-size": _halved(asked.batch_size or _BATCH_SIZES[asked.network], halvings),
        "tune-batch-size": _halved(asked.tune_batch_size or _TUNE_BATCH_SIZE, halvings),
        "threads": asked.threads,
        "name": name,
        "work": work,
        "progress": progress,
    }
    words = [str(word) for key, value in options.items() if value is not None for word in (f"--{key}", value)]
    train = [sys.executable, "-m", "ml_core", "train", str(snapshot), str(artifact), *words]
    train += ["--read-posters"] if asked.read_posters else []
    return ["nice", "-n", _NICENESS, *train, "--all-gpus", "--lifeline"]


# The recipes' own, told explicitly so that they can be halved.
_BATCH_SIZES = {"fusion": 256, "lstm_cnn": 64}
_TUNE_BATCH_SIZE = 32


def _halved(size: int, halvings: int) -> int:
    return max(1, size >> halvings)


class Child:
    """The process, its log, and the lifeline on its standard input: when we are gone, so is it."""

    def __init__(self, arguments: list[str], *, log: Path) -> None:
        self.log = log
        self._log_start = log.stat().st_size if log.exists() else 0
        self._output: IO[bytes] = log.open("ab")
        # A session of its own: a Ctrl-C or a stopped worker must not reach it past its supervisor.
        self._process = subprocess.Popen(
            arguments,
            cwd=settings.BASE_DIR,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process, which also leads its group."""
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit status, or None while it is at work."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask it to write a checkpoint and end."""
        self._signal(signal.SIGTERM)

    def end(self) -> None:
        """No process of it is left when this returns. Calling it again does nothing."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()  # ranks of torchrun lead groups of their own, but hold this pipe
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._output.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def printed(self) -> str:
        """The last of what it printed, cleaned of paths."""
        with self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_start, size - _LOG_BYTES))
            return without_paths(file.read().decode(errors="replace"))

    def explain(self, status: int) -> Ending:
        """What an exit status and the log say of its end."""
        if status == 0:
            return Ending(End.DONE)
        printed = self.printed()
        rank = _RANK_KILLED.search(printed)
        if status < 0 or rank:
            number = -status if status < 0 else int(rank[1]) if rank else 0
            return Ending(End.KILLED, f"Its process was killed by {_signal_name(number)}.")
        if _OUT_OF_MEMORY.search(printed):
            return Ending(End.OUT_OF_MEMORY, "It ran out of memory.")
        if _DISK_FULL.search(printed):
            return Ending(End.FAILED, f"The disk of the train worker is full. {_last_line(printed)}")
        return Ending(
            End.FAILED, _last_line(printed) or f"It ended with exit status {status} and said nothing."
        )


def without_paths(text: str) -> str:
    """A text with folders of this machine left out of paths, and without the bytes that PostgreSQL refuses."""
    return _PATH.sub(r"…/\1", text).replace("\0", "")


def _last_line(printed: str) -> str:
    """Of an error that ml_core tells in one line, that line; of a traceback, its last."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    told = [line.removeprefix("ml_core: ") for line in lines if line.startswith("ml_core: ")]
    return (told or lines or [""])[-1][:2000]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _environment() -> dict[str, str]:
    passed = {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}
    return passed | {
        "PYTHONHASHSEED": "0",  # Word2Vec draws its first vectors from hashes of words
        "PYTHONUNBUFFERED": "1",
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait take the cores from pages
        "TOKENIZERS_PARALLELISM": "false",
    }


def told(error: Exception) -> str:
    """An error of the supervisor's own in words for the run."""
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return f"The train worker could not write or read its files: {error.strerror}."
    if type(error).__module__.partition(".")[0] in {"predictor", "ml_core"}:  # ours are told as they are
        return without_paths(str(error))[:2000]
    return without_paths(traceback.format_exception_only(error)[-1].strip())[:2000]
