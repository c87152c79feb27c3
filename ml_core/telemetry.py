"""How a training runs, beside how well it learns: films a second, memory, device. Told with its progress, never kept in
an artifact: two trainings with equal results differ in it.
"""

from __future__ import annotations

import resource
import sys
import time

import torch

# Often enough for somebody who watches, seldom enough to cost nothing.
TELL_SECONDS = 2.0
# Linux counts the resident size in kilobytes, macOS in bytes.
_RESIDENT_UNIT = 1 if sys.platform == "darwin" else 1024


def device_name(device: torch.device, processes: int = 1) -> str:
    """What to call a device, with the number of GPUs or threads that share the work."""
    if device.type == "cuda":
        return f"{processes} × {torch.cuda.get_device_name(device)}"
    return f"CPU, {torch.get_num_threads()} threads" + (f" × {processes} processes" if processes > 1 else "")


def memory_megabytes(device: torch.device) -> dict[str, float]:
    """The most memory that this process has held so far: ``memory_mb`` and, on a GPU, ``gpu_memory_mb``."""
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RESIDENT_UNIT
    held = {"memory_mb": round(resident / 2**20, 1)}
    if device.type == "cuda":
        held["gpu_memory_mb"] = round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    return held


class Meter:
    """Measures the pace of a training's steps, and says when it is time to tell again."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._films, self._busy = 0, 0.0
        self._began = self._told = time.monotonic()

    def start(self) -> None:
        """An epoch begins: its pace is measured anew."""
        self._films, self._busy = 0, 0.0
        self.resume()

    def count(self, films: int) -> None:
        """So many films more were trained on since the last call of any of these methods."""
        now = time.monotonic()
        self._films, self._busy, self._began = self._films + films, self._busy + now - self._began, now

    def resume(self) -> None:
        """Training goes on after something else, such as a checkpoint: its time is no step's."""
        self._began = time.monotonic()

    def is_due(self) -> bool:
        """Whether the last line of progress is so old that another is due."""
        return time.monotonic() - self._told >= TELL_SECONDS

    def read(self) -> dict[str, float]:
        """The figures for a line of progress: the epoch's pace, and memory."""
        self._told = time.monotonic()
        pace = {"films_per_second": round(self._films / self._busy, 1)} if self._busy > 0 else {}
        return pace | memory_megabytes(self.device)
