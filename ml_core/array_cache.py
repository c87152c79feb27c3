"""Arrays that are computed once and mapped from disk afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Half precision halves the caches, and what reads them starts with a normalisation.
HalfArray = NDArray[np.float16]


def cached_array(path: Path, shape: tuple[int, int], fill: Callable[[HalfArray], None]) -> HalfArray:
    """Map the array in that file; where it is not there yet, have it filled aside and renamed into place first."""
    if 0 in shape:
        return np.zeros(shape, dtype=np.float16)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        array = np.lib.format.open_memmap(aside, "w+", dtype=np.float16, shape=shape)
        fill(array)
        array.flush()
        del array
        aside.replace(path)
    mapped: HalfArray = np.load(path, mmap_mode="r")
    return mapped
