"""From trained weights to an artifact: calibration and thresholds from validation films, figures from test films."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.artifact import FilmProbabilities, write_artifact
from ml_core.calibration import Calibration, TemperatureCalibration, fit_calibration
from ml_core.inputs import INPUT_SETS, Input, InputSet
from ml_core.judging import judge
from ml_core.labels import LABEL_IDS
from ml_core.model_card import model_card
from ml_core.poster_text import PosterReader
from ml_core.recipes import TrainingRequest
from ml_core.snapshot import PARTS, Snapshot
from ml_core.thresholds import DEFAULT_THRESHOLD, choose_thresholds
from ml_core.training import Rows

# Logits ``(rows, 18)`` of the trained network with exactly one set of inputs shown.
Logits = Callable[[Rows, InputSet], NDArray[np.float32]]

# Fewer validation films than this say less about a set of inputs than the network's own probabilities do.
_FEWEST_TO_CALIBRATE = 20


def finish(
    request: TrainingRequest,
    *,
    snapshot: Snapshot,
    logits: Logits,
    bare_logits: Callable[[Rows], NDArray[np.float32]] | None = None,
    has_poster: NDArray[np.bool_],
    reads: Collection[Input],
    network: str,
    network_config: Mapping[str, Any],
    weights: Mapping[str, NDArray[Any]],
    training: Mapping[str, Any],
    config: Mapping[str, Any],
    extra: Mapping[str, Any] | None = None,
    reader: PosterReader | None = None,
) -> str:
    """Calibrate, choose thresholds, judge and write the artifact; returns the SHA-256 that names it.

    ``bare_logits`` are those of posters that come with nothing else, where the network makes more of them than of the same posters
    beside a text; ``reader`` is what reads them. ``has_poster`` ``(films,)`` says where a poster could be decoded. Weights are stored in half precision. What is judged
    is the artifact as it was written aside, so that its figures are those of whoever evaluates it again.
    """
    labels = snapshot.labels
    prior = labels[snapshot.rows("train")].mean(axis=0)
    shown = _shown(snapshot, has_poster, reads)
    calibrations: dict[str, Calibration] = {}
    thresholds: dict[InputSet, NDArray[np.float32]] = {}
    val = snapshot.rows("val")
    for name in INPUT_SETS:
        rows = val[shown[name][val]]
        if len(rows) < _FEWEST_TO_CALIBRATE:
            calibrations[name] = TemperatureCalibration((1.0,) * len(LABEL_IDS))
            thresholds[name] = np.full(len(LABEL_IDS), DEFAULT_THRESHOLD, dtype=np.float32)
            continue
        raw = logits(rows, name)
        if name == "poster" and bare_logits is not None:
            calibrations["picture"] = fit_calibration(raw, labels[rows], seed=request.seed)
            raw = bare_logits(rows)
        calibrations[name] = fit_calibration(raw, labels[rows], seed=request.seed)
        thresholds[name] = choose_thresholds(calibrations[name].apply(raw), labels[rows], request.criterion)

    whole_config = {
        "name": request.name,
        "network": network,
        "network_config": dict(network_config),
        "label_ids": list(LABEL_IDS),
        "thresholds": {name: [float(value) for value in vector] for name, vector in thresholds.items()},
        "threshold_criterion": request.criterion,
        "calibration": {name: calibration.to_json() for name, calibration in calibrations.items()},
        "prior": [float(value) for value in prior],
        "snapshot": {"sha256": snapshot.sha256, "counts": snapshot.counts},
        "seed": request.seed,
        "command": _command(request, network),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **config,
    }
    ids = snapshot.tmdb_ids
    films: dict[str, list[int]] = {
        part: [int(number) for number in ids[snapshot.rows(part)] if number] for part in PARTS
    }

    def write(
        folder: Path, metrics: Mapping[str, Any], probabilities: FilmProbabilities | None = None
    ) -> str:
        return write_artifact(
            folder,
            config=whole_config,
            metrics=metrics,
            films=films,
            weights=weights,
            model_card=model_card(whole_config, metrics),
            extra=extra,
            test_probabilities=probabilities,
        )

    if request.progress is not None:
        request.progress({"stage": "calibrate and judge"})
    unjudged = request.work / "unjudged"
    write(unjudged, {"test": {}})
    said: list[FilmProbabilities] = []
    metrics = {
        "test": judge(
            unjudged, request.snapshot, part="test", device=request.device, reader=reader, tell=said.append
        ),
        "val": judge(
            unjudged, request.snapshot, part="val", device=request.device, reader=reader, in_short=True
        ),
        "training": dict(training),
    }
    shutil.rmtree(unjudged)
    return write(request.artifact, metrics, said[0])


def _command(request: TrainingRequest, network: str) -> str:
    """The command that repeats this training, paths aside."""
    words = ["python -m ml_core train SNAPSHOT ARTIFACT", f"--network {network}", f"--seed {request.seed}"]
    asked: dict[str, Any] = {"epochs": request.epochs, "batch-size": request.batch_size}
    asked["tune-batch-size"] = request.tune_batch_size
    asked["inputs"] = None if request.inputs == "both" else request.inputs
    words += [f"--{name} {value}" for name, value in asked.items() if value is not None]
    if network == "fusion":
        words += [f"--poster-epochs {request.poster_epochs}", f"--tune-epochs {request.tune_epochs}"]
        words += [f"--loss {request.loss}", f"--image-encoder {request.image_encoder}"]
    for option in ("teacher", "start"):
        if getattr(request, option) is not None:
            words.append(f"--{option} {option.upper()}")
    if request.read_posters:
        words.append("--read-posters")
    if request.second_image is not None:
        words.append("--second-image-encoder LENDER")
    if request.word_vectors is not None:
        words.append("--word-vectors FILE")
    return " ".join([*words, f"--criterion {request.criterion}"])


def half(state: Mapping[str, Any], prefix: str = "") -> dict[str, NDArray[Any]]:
    """A state dict as NumPy arrays in half precision, whole numbers as they are."""
    arrays = {}
    for name, tensor in state.items():
        array = tensor.detach().cpu().numpy()
        arrays[prefix + name] = array.astype(np.float16) if array.dtype.kind == "f" else array
    return arrays


def _shown(
    snapshot: Snapshot, has_poster: NDArray[np.bool_], reads: Collection[Input]
) -> dict[InputSet, NDArray[np.bool_]]:
    """For which films a set of inputs can be shown at all, whatever else they have."""
    overview = snapshot.has_overview & ("overview" in reads)
    title = np.array([bool(text) for text in snapshot.texts("title")]) & ("title" in reads)
    has_poster = has_poster & ("poster" in reads)
    return {
        "overview_poster": overview & has_poster,
        "overview": overview,
        "title_poster": title & has_poster,
        "title": title,
        "poster": has_poster,
    }
