"""What trainings leave on the train worker's disk: snapshots by their hash, and a folder for each run.

::

    TRAINING_ROOT/snapshots/<hash>/       kept while an open run stands on it
    TRAINING_ROOT/runs/<run>/             work/ (caches, checkpoints), progress.jsonl, log, artifact/
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import structlog
from django.conf import settings

import ml_core
from ml_core.snapshot import Snapshot, SnapshotError
from predictor.models import TrainingRun
from predictor.snapshots import write_snapshot
from predictor.training.settings import TrainingSettings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run's files are."""

    home: Path

    @classmethod
    def of(cls, run: TrainingRun) -> RunFolder:
        """Its folder on this machine, made where there is none."""
        home = _runs() / str(run.pk)
        home.mkdir(parents=True, exist_ok=True)
        return cls(home)

    @property
    def work(self) -> Path:
        """Caches and checkpoints of the child."""
        return self.home / "work"

    @property
    def progress(self) -> Path:
        """Lines of JSON."""
        return self.home / "progress.jsonl"

    @property
    def log(self) -> Path:
        """What the child printed."""
        return self.home / "log"

    @property
    def artifact(self) -> Path:
        """What the child writes at its end."""
        return self.home / "artifact"


def snapshot_for(run: TrainingRun, *, on_film: Callable[[int], None]) -> Snapshot:
    """The run's snapshot: the one it began with where this machine has it, for its checkpoints to stay good; else a new one.

    Raises what `predictor.snapshots.write_snapshot` raises, and what ``on_film`` does.
    """
    if run.snapshot_sha256:
        try:
            return Snapshot.open(_snapshots() / run.snapshot_sha256)
        except SnapshotError as error:
            log.info("the snapshot is written anew", run=run.pk, error=str(error))
    aside = _snapshots() / f"run-{run.pk}"
    try:
        report = write_snapshot(
            aside,
            split=run.request["split"],
            narrowed=TrainingSettings.parse(run.request),
            on_film=on_film,
        )
        home = _snapshots() / report.sha256
        if not home.exists():
            aside.rename(home)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Snapshot.open(home)


def tidy() -> None:
    """Remove the folders of runs that have ended, and the snapshots that no open run stands on."""
    # Listed before the runs are asked for: what another worker begins meanwhile is not touched.
    folders, snapshots = list(_runs().glob("*")), list(_snapshots().glob("*"))
    open_runs = TrainingRun.objects.filter(state__in=TrainingRun.OPEN)
    known = {
        pk: (state, sha256) for pk, state, sha256 in open_runs.values_list("pk", "state", "snapshot_sha256")
    }
    for folder in folders:
        if folder.name.isdecimal() and int(folder.name) not in known:
            shutil.rmtree(folder, ignore_errors=True)
    if any(state == TrainingRun.State.RUNNING for state, _ in known.values()):
        return  # its snapshot may be being written
    for folder in snapshots:
        if folder.name not in {sha256 for _, sha256 in known.values()}:
            shutil.rmtree(folder, ignore_errors=True)


@lru_cache(maxsize=1)
def code_version() -> str:
    """SHA-256 over the sources that train: what decides, with snapshot and settings, what comes out."""
    digest = hashlib.sha256()
    root = Path(ml_core.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _runs() -> Path:
    return Path(settings.TRAINING_ROOT) / "runs"


def _snapshots() -> Path:
    return Path(settings.TRAINING_ROOT) / "snapshots"
