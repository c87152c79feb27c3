"""Judging an artifact on a snapshot's films, by the very path that serves predictions: bytes in, probabilities out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.evaluation import evaluate
from ml_core.inputs import INPUT_SETS, InputSet
from ml_core.labels import LABEL_IDS
from ml_core.predictor import FilmInput, Predictor
from ml_core.snapshot import Part, Snapshot

# Films predicted at a time; bounds the posters in memory.
_AT_A_TIME = 1024


def judge(
    artifact: Path, snapshot_folder: Path, *, part: Part = "test", device: str | None = None
) -> dict[str, Any]:
    """The figures of :func:`ml_core.evaluation.evaluate` for each set of inputs that the part has films for.

    "overview" hides posters and "poster" hides all else, on every film that has the input; "overview_poster" and
    "title_poster" are the films that have exactly these inputs. Also says how many films of the part are among those
    that the artifact was trained on (``trained_on``), where figures would mean nothing.
    """
    snapshot = Snapshot.open(snapshot_folder)
    predictor = Predictor.load(artifact, device=device)
    columns = [LABEL_IDS.index(tmdb_id) for tmdb_id in predictor.label_ids]
    rows = snapshot.rows(part)
    labels = snapshot.labels[rows][:, columns]
    titles, overviews, taglines = (snapshot.texts(name) for name in ("title", "overview", "tagline"))
    pieces = []
    for start in range(0, len(rows), _AT_A_TIME):
        films = [
            FilmInput(titles[row], overviews[row], taglines[row], poster=snapshot.poster_bytes(row))
            for row in rows[start : start + _AT_A_TIME].tolist()
        ]
        pieces.append(predictor.predict(films))
    trained = set(predictor.description.films["train"])
    report: dict[str, Any] = {"trained_on": sum(int(i) in trained for i in snapshot.tmdb_ids[rows])}
    if not pieces:
        return report
    joint = np.concatenate([piece.probabilities for piece in pieces])
    used = [inputs for piece in pieces for inputs in piece.inputs_used]
    has_poster = np.array(["poster" in inputs for inputs in used])
    has_overview = np.array(["overview" in inputs for inputs in used])
    answers: dict[InputSet, tuple[NDArray[np.float32], NDArray[np.bool_]]] = {
        "overview_poster": (joint, has_overview & has_poster),
        "overview": (np.concatenate([piece.overview_probabilities for piece in pieces]), has_overview),
        "title_poster": (joint, has_poster & ~has_overview),
        "poster": (np.concatenate([piece.poster_probabilities for piece in pieces]), has_poster),
    }
    thresholds = predictor.description.thresholds
    for name in INPUT_SETS:
        if name in answers:
            probabilities, mask = answers[name]
            if mask.any():
                report[name] = evaluate(
                    probabilities[mask], labels[mask], np.asarray(thresholds[name], np.float32)
                )
    return report
