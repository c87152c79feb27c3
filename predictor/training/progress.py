"""What a training's child reports, read as it is written: where it is, its curves, its pace, and how long it will take."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from predictor.training.estimate import PHASES

_TRAINING_STAGES = {
    "tune on posters": "posters",
    "train heads": "train",
    "train lstm_cnn": "train",
    "tune encoders": "tune",
    "train reading": "reading",
}
_PACE = ("films_per_second", "learning_rate", "memory_mb", "gpu_memory_mb")
_CURVES = (
    "loss",
    "train_loss",
    "val_loss",
    "train_macro_roc_auc",
    "val_macro_roc_auc",
    "train_f1_micro",
    "val_f1_micro",
    "learning_rate",
    "films_per_second",
)


class ProgressReader:
    """Reads the lines of a progress file from where it left off.

    ``curves`` has an entry an epoch, the last that was told: one who goes on from a checkpoint tells its epochs again.
    """

    def __init__(
        self,
        path: Path,
        *,
        expected: Mapping[str, float],
        curves: list[dict[str, Any]],
        spent: Mapping[str, float],
    ) -> None:
        self._path, self._offset, self._rest = path, path.stat().st_size if path.exists() else 0, b""
        self._epochs = {(entry["stage"], entry["epoch"]): entry for entry in curves}
        self._expected = dict(expected)
        self._spent = dict.fromkeys(PHASES, 0.0) | dict(spent)
        self._posters_over = False
        self._phase, self._since = "prepare", time.monotonic()
        self._begun_at: float | None = (
            None  # the share of the phase that was done when this process came to it
        )
        self._done = 0.0
        self._place: dict[str, Any] = {}
        self._pace: dict[str, Any] = {}
        self.device = ""
        self.notes: list[str] = []

    def read(self) -> None:
        """Take in the lines that were written since."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except FileNotFoundError:
            return
        self._offset += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            try:
                told = json.loads(line)
            except ValueError:
                continue  # torn by a kill, and told again
            if isinstance(told, dict):
                self._take({name: _finite(value) for name, value in told.items()})

    @property
    def curves(self) -> list[dict[str, Any]]:
        """The figures of each epoch, in the order of training."""
        order = list(_TRAINING_STAGES)
        return sorted(self._epochs.values(), key=lambda entry: (order.index(entry["stage"]), entry["epoch"]))

    def summary(self) -> dict[str, Any]:
        """Where it is: stage, place in it, pace, seconds by phase, and seconds left."""
        return {
            **self._place,
            **self._pace,
            "phase": self._phase,
            "seconds_left": round(self.seconds_left(), 1),
            "seconds": {name: round(spent, 2) for name, spent in self.seconds().items()},
        }

    def seconds(self) -> dict[str, float]:
        """Seconds spent on each phase, in all processes of the run."""
        return self._spent | {self._phase: self._spent[self._phase] + time.monotonic() - self._since}

    def seconds_left(self) -> float:
        """By the pace of this phase where it is known, by the estimate where it is not."""
        expected = self._expected.get(self._phase, 0.0)
        elapsed = time.monotonic() - self._since
        advanced = self._done - (self._begun_at or 0.0)
        here = elapsed / advanced * (1 - self._done) if advanced > 0 else max(0.0, expected - elapsed)
        later = PHASES[PHASES.index(self._phase) + 1 :]
        return here + sum(
            self._expected.get(phase, 0.0)
            for phase in later
            if not (phase == "posters" and self._posters_over)
        )

    def _take(self, told: dict[str, Any]) -> None:
        stage = str(told.get("stage", ""))
        if stage == "start":
            self.device = str(told.get("device", ""))[:120]
            return
        if stage == "decode posters" and told.get("unusable"):
            self.notes.append(_unusable(told))
        phase = _TRAINING_STAGES.get(stage)
        if phase is None and stage in {"calibrate and judge", "done"}:
            phase = "finish"
        if phase is None and stage == "read posters" and self._phase != "finish":
            phase = "reading"
        if phase is None and self._phase == "posters":
            phase = "prepare"  # encoding comes after them
        self._enter(phase or self._phase)
        self._place = {"stage": stage} | {
            name: told[name] for name in ("epoch", "epochs", "step", "steps", "done", "total") if name in told
        }
        self._pace |= {name: told[name] for name in _PACE if told.get(name) is not None}
        if stage in _TRAINING_STAGES:
            self._train(stage, told)

    def _train(self, stage: str, told: Mapping[str, Any]) -> None:
        epoch, step, steps = told["epoch"], told.get("step", 0), told.get("steps", 0)
        self._done = min(1.0, (epoch + (step / steps if steps else 0)) / max(1, told["epochs"]))
        if told.get("val_loss") is not None:
            known = self._epochs.get((stage, epoch), {})
            figures = {name: told[name] for name in _CURVES if told.get(name) is not None}
            self._epochs[stage, epoch] = known | {"stage": stage, "epoch": epoch} | figures
            told_again = "films_per_second" not in told
            if told_again or self._begun_at is None:
                self._begun_at = self._done if told_again else 0.0

    def _enter(self, phase: str) -> None:
        if phase == self._phase:
            return
        self._spent = self.seconds()
        self._posters_over = self._posters_over or self._phase == "posters"
        self._phase, self._since, self._begun_at, self._done = phase, time.monotonic(), None, 0.0


def _unusable(told: Mapping[str, Any]) -> str:
    films = told.get("films") or {}
    named = "; ".join(f"TMDB {film}: {reason}" for film, reason in films.items())
    return f"{told['unusable']} of {told['total']} posters cannot be decoded; their films count as without one ({named})."


def _finite(value: Any) -> Any:
    """PostgreSQL's JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
