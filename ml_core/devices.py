"""Where the numbers are computed, and in which precision."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from contextlib import AbstractContextManager
from functools import lru_cache

import torch

# Rounding to bfloat16 and back costs time of its own between the matrix products.
_WORTH_ROUNDING = 1.5
# What a forward pass over the largest batch frees is below 200 MB.
_MOST_KEPT_BYTES = 2**29


def choose_device(name: str | None = None) -> torch.device:
    """The device of that name, else the first GPU, else the CPU."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


@lru_cache(maxsize=1)
def _cpu_multiplies_bf16() -> bool:
    """Whether this CPU multiplies matrices in bfloat16 faster than in float32: found out by doing it, in 0.2 s.

    No flag of the CPU tells: with AMX it is eight times as fast; with AVX-512's bfloat16 alone four times on one maker's
    processors and half as fast on another's.
    """
    kinds = torch.float32, torch.bfloat16
    # The shapes of the sentence encoder's largest layer.
    pairs = {kind: (torch.zeros(512, 384, dtype=kind), torch.zeros(1536, 384, dtype=kind)) for kind in kinds}
    seconds = dict.fromkeys(kinds, float("inf"))
    for _ in range(8):
        # By turns: what else the machine does then weighs on both.
        for kind, (states, weight) in pairs.items():
            start = time.perf_counter()
            torch.nn.functional.linear(states, weight)
            seconds[kind] = min(seconds[kind], time.perf_counter() - start)
    return seconds[torch.bfloat16] * _WORTH_ROUNDING < seconds[torch.float32]


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 where the hardware multiplies it faster than float32, float32 elsewhere."""
    fast = device.type == "cuda" or (device.type == "cpu" and _cpu_multiplies_bf16())
    context: AbstractContextManager[None] = torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast)
    return context


def cpu_threads() -> int:
    """Cores that this process may use: what the scheduler grants, not what the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory() -> None:
    """Have glibc keep what tensors free for the next ones, instead of giving it back to the kernel each time.

    A forward pass frees and asks for the same megabytes over and over; each time around, the kernel would zero them
    anew. Measured on EfficientNet-Lite0 in batches of 16: 39 posters/s before, 145 after. Does nothing where the C
    library is another.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(mmap_threshold, 2**30)
        library.mallopt(trim_threshold, _MOST_KEPT_BYTES)
