"""The models that a predict worker holds in memory, and whose turn it is to use them.

Chunks and online requests are worked on by two threads of one process. They never run a model at the same time, and
an online request waits for one sub-batch at most, never for a chunk.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import structlog

from ledger import workers
from predictor import artifact_storage
from predictor.models import ModelVersion

if TYPE_CHECKING:
    from ml_core.predictor import Predictor

log = structlog.get_logger(__name__)

# Threads of a forward pass that wait for each other by spinning take the cores from pages and database, and are
# slower themselves wherever those are busy: with the cores shared, one film took 340 to 1,170 ms so, 100 to 200 ms
# sleeping. Read by OpenMP when torch is imported, which happens after this module.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# The champion and the one before it: a rollback answers at once, and a run of either goes on.
MOST_LOADED = 2


class Turns:
    """Mutual exclusion in which online requests go before sub-batches of chunks."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = False
        self._online_waiting = 0

    @contextlib.contextmanager
    def online(self) -> Iterator[None]:
        """The next turn."""
        with self._changed:
            self._online_waiting += 1
            self._changed.wait_for(lambda: not self._taken)
            self._online_waiting -= 1
            self._taken = True
        yield from self._turn()

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """A turn when no online request wants it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken and not self._online_waiting)
            self._taken = True
        yield from self._turn()

    def _turn(self) -> Iterator[None]:
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()


class LoadedModels:
    """Models in memory by version, the least recently used given up beyond MOST_LOADED."""

    def __init__(self) -> None:
        self._loading = threading.Lock()
        self._models: OrderedDict[int, Predictor] = OrderedDict()

    def get(self, version: ModelVersion) -> Predictor:
        """The version's model, loaded where it is not.

        Raises:
            ml_core.artifact.ArtifactError: its artifact is damaged, or neither on this machine nor in the storage.
        """
        with self._loading:
            if version.pk not in self._models:
                # Here and not above: only a predict worker ever imports torch.
                from ml_core.predictor import Predictor

                while len(self._models) >= MOST_LOADED:
                    self._models.popitem(last=False)
                self._models[version.pk] = Predictor.load(artifact_storage.local(version))
                log.info("model loaded", version=version.pk, sha256=version.sha256)
            self._models.move_to_end(version.pk)
            workers.tell(", ".join(f"version {key}" for key in reversed(self._models)))
            return self._models[version.pk]


turns = Turns()
models = LoadedModels()
