"""Figures that are dear to work out, kept in the cache for as long as they are worth.

What was dear is kept longer, so that working it out never takes more than a hundredth of the time. Who comes while
another works it out is given the old figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.core.cache import cache

T = TypeVar("T")

_SHORTEST_AGE, _LONGEST_AGE, _AGE_PER_COST = 10.0, 900.0, 100.0
# Seconds after which whoever was counting is taken to have died over it.
_LONGEST_COUNT = 60
# How long figures are kept that are known to be of the present state of things.
_UNCHANGED_AGE = 24 * 3600


def kept(key: str, count: Callable[[], T], *, state: str = "") -> T:
    """What `count()` gives, from the cache where it is fresh there; it must be no None.

    It is fresh for a hundred times what counting took, at least 10 s and at most 15 min; and where `state` is given, for
    a day as long as that is the same: a figure that changes whenever what is counted does.
    """
    counting = f"{key}:counting"
    known: tuple[str, T] | None = cache.get(key)
    if known is not None:
        fresh = (bool(state) and known[0] == state) or cache.get(f"{key}:fresh") is not None
        if fresh or not cache.add(counting, True, timeout=_LONGEST_COUNT):
            return known[1]
    began = time.monotonic()
    counted = count()
    age = min(max(_SHORTEST_AGE, _AGE_PER_COST * (time.monotonic() - began)), _LONGEST_AGE)
    cache.set(key, (state, counted), timeout=_UNCHANGED_AGE if state else int(_LONGEST_AGE) + _LONGEST_COUNT)
    cache.set(f"{key}:fresh", True, timeout=int(age))
    cache.delete(counting)
    return counted
