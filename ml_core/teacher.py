"""Learning from a model that was trained before: its probabilities of the training films soften their labels.

TMDB's genres are given by many hands: a film that could have a genre often lacks it. A network that is held against them alone
learns who forgot what; one that is held half against what another network made of all films learns what most films say
(Hinton et al. 2015; Furlanello et al. 2018, whose student has its teacher's size as ours has).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ml_core.array_cache import HalfArray, cached_array
from ml_core.artifact import ArtifactDescription
from ml_core.judging import columns_of, films_of
from ml_core.labels import LABELS
from ml_core.predictor import Predictor
from ml_core.snapshot import Snapshot
from ml_core.stopping import stop_if_asked
from ml_core.training import Progress, Rows

# The share that the teacher has in a target; the labels have the rest.
SHARE = 0.5


class TeacherError(RuntimeError):
    """An artifact that must not teach this training, or be its start. The message says why."""


def softened_labels(
    teacher: Path,
    snapshot: Snapshot,
    rows: Rows,
    *,
    cache_dir: Path,
    device: torch.device,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Targets ``(films, 18)`` of all films of the snapshot: those of ``rows`` half their labels and half the teacher's calibrated
    probabilities from all that the film has, the others' as they are labelled.

    Raises :class:`TeacherError` where the teacher was trained on films that are to validate or test here: what it says of others
    would carry their labels over. Raises :class:`ml_core.artifact.ArtifactError` where it is damaged or cannot be run here.
    """
    description = ArtifactDescription.read(teacher)
    refuse_who_knows(description, snapshot, role="teach")

    def fill(out: HalfArray) -> None:
        predictor = Predictor.load(teacher, device=str(device))
        columns = columns_of(predictor)
        done = 0
        for films in films_of(snapshot, rows):
            stop_if_asked()
            some = rows[done : done + len(films)]
            out[some] = predictor.predict(films).probabilities[:, columns]
            done += len(films)
            if progress is not None:
                progress({"stage": "ask the teacher", "done": done, "total": len(rows)})

    told = cached_array(
        cache_dir / f"teacher-{description.sha256[:16]}-{snapshot.sha256[:16]}-{len(rows)}.npy",
        (len(snapshot), len(LABELS)),
        fill,
    )
    targets = snapshot.labels.astype(np.float32)
    targets[rows] += SHARE * (told[rows].astype(np.float32) - targets[rows])
    return targets


def refuse_who_knows(description: ArtifactDescription, snapshot: Snapshot, *, role: str) -> None:
    """Raise :class:`TeacherError` where that model was trained on films that are to validate or test what it is to ``role`` here."""
    judged = snapshot.tmdb_ids[np.concatenate([snapshot.rows("val"), snapshot.rows("test")])]
    seen = np.intersect1d(judged[judged != 0], description.films["train"])
    if len(seen):
        raise TeacherError(
            f"{description.name} cannot {role} here: it was trained on {len(seen):,} of the films that validate or test this"
            f" training (TMDB {seen[0]}, for one)"
        )
