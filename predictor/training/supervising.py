"""What a train worker does: takes up a training, writes its snapshot, minds its child process, registers what comes out.

The child does all that needs PyTorch, so that a crash, an out-of-memory kill or a cancel never takes the worker along.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from django.contrib.auth.models import User
from django.db import Error, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from ledger import workers
from ledger.tasks import stopping
from ml_core.artifact import ArtifactDescription, ArtifactError
from ml_core.labels import LABELS
from ml_core.snapshot import Snapshot
from predictor import artifact_storage, registry
from predictor.models import ModelVersion, TrainingRun
from predictor.pruning import prune
from predictor.training.child import Child, End, Ending, command, told
from predictor.training.claims import (
    Claim,
    ClaimLostError,
    Heartbeat,
    claim_next,
    interrupt,
    persistently,
    release_lost,
)
from predictor.training.estimate import estimate, units_of
from predictor.training.folders import RunFolder, code_version, snapshot_for, tidy
from predictor.training.progress import ProgressReader
from predictor.training.settings import TrainingSettings

log = structlog.get_logger(__name__)

# How often the child is looked at, the database asked for wishes, and progress written to it.
_LOOK_SECONDS, _WISH_SECONDS, _TELL_SECONDS = 0.1, 0.5, 1.0
# What a child has to write its checkpoint and end in: 300 MB where encoders are tuned. A worker that is to stop has less.
_PAUSE_SECONDS, _STOPPING_SECONDS = 60.0, 10.0
FEWEST_TRAIN, FEWEST_VAL = 16, 4
_State, _Wish = TrainingRun.State, TrainingRun.Wish


class AskedToStop(Exception):  # noqa: N818 - nothing is wrong
    """Somebody wants the run paused or cancelled, or the worker is to stop."""

    def __init__(self, wish: str) -> None:
        super().__init__(wish or "the worker is to stop")
        self.wish = wish


class TooFewFilmsError(RuntimeError):
    """There is too little to learn from, or to choose the best epoch by."""


def work() -> int:
    """Supervise trainings, one after the other, until none waits; returns how many."""
    done = 0
    worker = f"{socket.gethostname()}:{os.getpid()}"
    while not stopping():
        release_lost()
        claim = claim_next(worker=worker)
        if claim is None:
            break
        done += 1
        workers.tell(f"training {claim.run_id}")
        try:
            _Supervisor(claim).supervise()
        except ClaimLostError as lost:
            log.warning("training left", reason=str(lost))
        finally:
            workers.tell("")
    tidy()
    return done


@dataclass(slots=True)
class _Timer:
    """Says when something is due again."""

    every: float
    last: float = 0.0

    def is_due(self) -> bool:
        now = time.monotonic()
        if now - self.last < self.every:
            return False
        self.last = now
        return True


class _Supervisor:
    """One claim of one run, from the snapshot to the registered version."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.run = TrainingRun.objects.select_related("created_by").get(pk=claim.run_id)
        self.settings = TrainingSettings.parse(self.run.request)
        self.folder = RunFolder.of(self.run)
        self.notes: list[str] = list(self.run.notes)
        self._told: dict[str, Any] = {}
        self._began = time.monotonic()
        self._wishes, self._telling = _Timer(_WISH_SECONDS), _Timer(_TELL_SECONDS)

    def supervise(self) -> None:
        """All of it. However it goes, the run says how."""
        log.info("training begins", run=self.run.pk, claim=self.claim.number)
        try:
            with Heartbeat(self.claim):
                self._train()
        except AskedToStop as asked:
            self._stopped(asked.wish)
        except ClaimLostError:
            raise
        except Error as error:
            log.exception("the supervisor lost the database", run=self.run.pk)
            reason = f"The supervisor lost the database ({type(error).__name__})."
            persistently(lambda: interrupt(self.claim, reason, **self._spent()))
        except Exception as error:
            if not isinstance(error, TooFewFilmsError):
                log.exception("training failed", run=self.run.pk)
            self._fail(told(error))

    def _train(self) -> None:
        snapshot = self._snapshot()
        counted = {name: snapshot.counts[name] for name in ("train", "val", "test", "posters")}
        units = units_of(self.settings, **counted)
        reader = ProgressReader(
            self.folder.progress,
            expected=estimate(self.settings).phases,
            curves=self.run.curves,
            spent=self.run.progress.get("seconds", {}),
        )
        ending = Ending(End.DONE)
        # Killed between its end and ours, a run has its artifact already.
        if not self._artifact_is_whole():
            child = Child(
                command(
                    self.settings,
                    snapshot=snapshot.folder,
                    artifact=self.folder.artifact,
                    work=self.folder.work,
                    progress=self.folder.progress,
                    teacher=self._teacher(),
                    halvings=self.run.halvings,
                    name=f"{self.settings.network}-{self.run.pk}",
                ),
                log=self.folder.log,
            )
            try:
                status = self._mind(child, reader, units)
                self._tell(child, reader, units)
            finally:
                child.end()
            ending = child.explain(status)
        self._conclude(ending, reader, units)

    def _snapshot(self) -> Snapshot:
        """The films, written where they are not yet, and whether they will do."""
        self.claim.update(
            progress=self.run.progress | {"stage": "write snapshot"}, code_version=code_version()
        )
        snapshot = snapshot_for(self.run, on_film=lambda _: self._look())
        counts = snapshot.counts
        if counts["train"] < FEWEST_TRAIN or counts["val"] < FEWEST_VAL:
            raise TooFewFilmsError(
                f"There are too few films: {counts['train']} to learn from (at least {FEWEST_TRAIN} are needed) and"
                f" {counts['val']} to validate on (at least {FEWEST_VAL})."
            )
        learned = snapshot.labels[snapshot.rows("train")].sum(axis=0)
        lacking = [label.name for label, films in zip(LABELS, learned, strict=True) if not films]
        if lacking:
            self._note(f"No film to learn from has the genre {', '.join(lacking)}: it will not be predicted.")
        self.claim.update(snapshot_sha256=snapshot.sha256, notes=self.notes)
        return snapshot

    def _teacher(self) -> Path | None:
        """The artifact of the version that it learns from, fetched where it is not on this machine."""
        if self.settings.teacher is None:
            return None
        version = ModelVersion.objects.filter(pk=self.settings.teacher).defer("metrics").first()
        if version is None:
            raise ArtifactError(f"version {self.settings.teacher}, which was to teach, was deleted")
        return artifact_storage.local(version)

    def _mind(self, child: Child, reader: ProgressReader, units: dict[str, int]) -> int:
        """Wait for the child, and look at what it tells and what is asked meanwhile; returns its exit status.

        Raises AskedToStop when it was stopped on request, ClaimLostError when the run is not ours any more.
        """
        while (status := child.poll()) is None:
            time.sleep(_LOOK_SECONDS)
            reader.read()
            try:
                if self._telling.is_due():
                    self._tell(child, reader, units)
                self._look()
            except AskedToStop as asked:
                if self._let_stop(child, asked.wish) == 0:
                    return 0  # it was done that very moment
                self._tell(child, reader, units)
                raise
            except Error as error:  # the child trains on while the database is away
                log.warning("training not told: database unreachable", error=str(error))
                connection.close()
        reader.read()
        return status

    def _let_stop(self, child: Child, wish: str) -> int | None:
        """Stop the child: cancelled at once, else after its checkpoint. Its exit status if it ended by itself."""
        if wish == _Wish.CANCEL:
            return None
        child.stop()
        deadline = time.monotonic() + (_PAUSE_SECONDS if wish else _STOPPING_SECONDS)
        while (status := child.poll()) is None and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
            if self._wishes.is_due() and self.claim.wish() == _Wish.CANCEL:
                raise AskedToStop(_Wish.CANCEL)
        return status

    def _look(self) -> None:
        """Raises AskedToStop where somebody asked for it, ClaimLostError where the run is another's."""
        if not self._wishes.is_due():
            return
        if wish := self.claim.wish():
            raise AskedToStop(wish)
        if stopping():
            raise AskedToStop(_Wish.NOTHING)

    def _tell(self, child: Child, reader: ProgressReader, units: dict[str, int]) -> None:
        for note in reader.notes:
            self._note(note)
        state = {
            "progress": reader.summary() | {"units": units},
            "curves": reader.curves,
            "log": child.printed(),
            "notes": list(self.notes),
            "device": reader.device or self.run.device,
        }
        new = {name: value for name, value in state.items() if value != self._told.get(name)}
        self.claim.update(heartbeat=Now(), **new)
        self._told = state

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _conclude(self, ending: Ending, reader: ProgressReader, units: dict[str, int]) -> None:
        """What follows from how the child ended."""
        log.info("training's process ended", run=self.run.pk, end=str(ending.end), reason=ending.reason)
        if ending.end == End.DONE:
            self._register(reader, units)
        elif ending.end == End.FAILED:
            self._fail(ending.reason)
        elif ending.end == End.OUT_OF_MEMORY:
            if self.run.halvings:
                self._fail(f"{ending.reason} Halving its batches once did not help.")
            else:
                reason = f"{ending.reason} It goes on with half the batch."
                persistently(
                    lambda: interrupt(self.claim, reason, counted=False, halvings=1, **self._spent())
                )
        else:
            # Linux ends what takes the last of the memory by SIGKILL: the second time, that is what it looks like.
            halve = "SIGKILL" in ending.reason and self.run.interruptions == 1 and not self.run.halvings
            reason = ending.reason + (
                " Memory may have run out: it goes on with half the batch." if halve else ""
            )
            halvings = self.run.halvings + halve
            persistently(lambda: interrupt(self.claim, reason, halvings=halvings, **self._spent()))

    def _register(self, reader: ProgressReader, units: dict[str, int]) -> None:
        """The artifact as a candidate, and the run done: both or neither."""
        if persistently(self.claim.wish) == _Wish.CANCEL:
            raise AskedToStop(_Wish.CANCEL)
        run = self.run
        by: User | None = run.created_by
        run.refresh_from_db(fields=["snapshot_sha256", "device", "seconds"])
        facts = {
            "run": run.pk,
            "settings": run.request,
            "snapshot_sha256": run.snapshot_sha256,
            "code_version": code_version(),
            "device": run.device,
            "seconds": round(run.seconds + time.monotonic() - self._began, 1),
            "asked_by": by.get_username() if by else "",
        }

        def register() -> ModelVersion:
            with transaction.atomic():
                version = registry.register(self.folder.artifact, by=by, training=facts)
                self.claim.update(
                    state=_State.DONE,
                    wish=_Wish.NOTHING,
                    version=version,
                    reason="",
                    finished_at=Now(),
                    progress=reader.summary() | {"units": units, "seconds_left": 0},
                    **self._spent(),
                )
            return version

        version = persistently(register)
        log.info("training done", run=run.pk, version=version.pk)
        prune()

    def _stopped(self, wish: str) -> None:
        """Paused, cancelled, or left to another worker because this one is to stop."""
        if wish == _Wish.CANCEL:
            end: dict[str, Any] = {"state": _State.CANCELLED, "reason": "", "finished_at": Now()}
        elif wish == _Wish.PAUSE:
            end = {"state": _State.PAUSED, "reason": ""}
        else:
            end = {"state": _State.INTERRUPTED, "reason": "Its worker was stopped; another goes on."}
        persistently(lambda: self.claim.update(wish=_Wish.NOTHING, **end, **self._spent()))
        log.info("training stopped", run=self.run.pk, wish=wish)

    def _fail(self, reason: str) -> None:
        persistently(
            lambda: self.claim.update(
                state=_State.FAILED,
                wish=_Wish.NOTHING,
                reason=reason,
                finished_at=Now(),
                notes=self.notes,
                **self._spent(),
            )
        )

    def _spent(self) -> dict[str, Any]:
        return {"seconds": F("seconds") + round(time.monotonic() - self._began, 2)}

    def _artifact_is_whole(self) -> bool:
        try:
            ArtifactDescription.read(self.folder.artifact)
        except ArtifactError:
            return False
        return True
