"""Probabilities that a film's own label did not shape, for every film: five networks, each answering for the films it never saw.

Label errors are looked for where such a probability and the label disagree (Northcutt et al. 2021). The encoders are those
that came pretrained, never tuned ones: an encoder that was tuned on a film has seen its label. Films of one group (a shared
overview, or title and year) are always in one fold.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml_core.calibration import fit_calibration
from ml_core.evaluation import macro_roc_auc, mean_average_precision
from ml_core.features import FeatureSource, FilmFeatures, state_sha256
from ml_core.fit_config import FitConfig
from ml_core.heads import fusion_logits, new_fusion
from ml_core.labels import LABEL_IDS
from ml_core.networks.sentence import SentenceEncoder
from ml_core.recipes import TrainingRequest
from ml_core.recipes.fusion import Films, heads_config
from ml_core.training import Progress, Rows, TrainingError, fit

PROBABILITIES_FILE, DESCRIPTION_FILE = "out_of_fold.parquet", "crossfit.json"
FOLDS = 5
# Of a network that is only asked about films it never saw, the last epochs are worth less than they cost: five of these
# cost less than two trainings of the heads.
EPOCHS = 8
# Of the films outside a fold: what its best epoch and its calibration are chosen by.
_VAL_SHARE = 0.1
# With fewer films to calibrate by, those with this set of inputs go with all the others.
_FEWEST_TO_CALIBRATE = 200


def grouped_folds(groups: NDArray[np.int64], *, folds: int, seed: int) -> NDArray[np.int64]:
    """The fold ``(films,)`` of each film, by a hash of its group: films of one group never part, new films move none."""
    of_group = {group: _share(f"{seed}:fold:{group}") for group in np.unique(groups).tolist()}
    return np.array([int(of_group[group] * folds) for group in groups.tolist()], dtype=np.int64)


def crossfit(
    snapshot: Path,
    output: Path,
    *,
    work: Path,
    folds: int = FOLDS,
    epochs: int | None = None,
    seed: int = 0,
    image_encoder: str = "efficientnet-lite0",
    device: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write out-of-fold probabilities of all films of a snapshot into a folder; returns what ``crossfit.json`` says.

    ``out_of_fold.parquet`` has a row a film, in the snapshot's order: ``film_id``, ``tmdb_id``, ``fold``, and
    ``probabilities``, calibrated, in the order of ``label_ids`` of ``crossfit.json``. Each film is answered from all inputs
    it has. Features and checkpoints are kept in ``work``; asked again with the same ``work`` it goes on where it was.

    Raises:
        TrainingError: there are fewer than two folds, or a fold that has no film.
    """
    start = time.monotonic()
    request = TrainingRequest(
        snapshot=snapshot,
        artifact=output,
        work=work,
        name="crossfit",
        epochs=epochs or EPOCHS,
        seed=seed,
        device=device,
        image_encoder=image_encoder,
        progress=progress,
    )
    films = Films.of(request)
    labels, groups = films.snapshot.labels, films.snapshot.groups
    fold_of = grouped_folds(groups, folds=folds, seed=seed)
    if folds < 2 or not all((fold_of == fold).any() for fold in range(folds)):
        raise TrainingError(
            f"{len(groups)} films do not make {folds} folds; two or more are needed, each with films"
        )
    features = films.features(films.all_rows())
    encoded = time.monotonic()
    probabilities = np.zeros(labels.shape, dtype=np.float32)
    for fold in range(folds):
        held = np.flatnonzero(fold_of == fold)
        probabilities[held] = _fold(films, features, held, fold, heads_config(request))
    figures = {
        "macro_roc_auc": macro_roc_auc(probabilities, labels),
        "mean_average_precision": mean_average_precision(probabilities, labels),
    }
    description = {
        "format_version": 1,
        "label_ids": list(LABEL_IDS),
        "films": len(labels),
        "folds": folds,
        "seed": seed,
        "epochs": request.epochs,
        "snapshot": films.snapshot.sha256,
        "encoders": {
            "sentence": SentenceEncoder.identity().as_json(),
            "image": films.image.identity().as_json(),
        },
        "figures": figures,
        "seconds": {
            "encoding": round(encoded - start, 1),
            "training": round(time.monotonic() - encoded, 1),
        },
    }
    _write(output, films, fold_of, probabilities, description)
    return description


def _fold(
    films: Films, features: FilmFeatures, held: Rows, fold: int, config: FitConfig
) -> NDArray[np.float32]:
    """Calibrated probabilities ``(held, 18)`` of a network that saw none of the films held out."""
    labels, groups = films.snapshot.labels, films.snapshot.groups
    rest = np.setdiff1d(films.all_rows(), held)
    to_val = np.array([_share(f"{config.seed}:val:{fold}:{g}") < _VAL_SHARE for g in groups[rest].tolist()])
    train, val = rest[~to_val], rest[to_val]
    network = new_fusion(features, labels, train=train, seed=config.seed + fold)
    key = f"{films.snapshot.sha256[:16]}-{state_sha256(films.image)[:8]}-{config.seed}-{config.epochs}-{fold}"
    fit(
        network,
        FeatureSource(features),
        labels,
        train=train,
        val=val,
        config=replace(config, seed=config.seed + fold),
        device=films.device,
        checkpoint=films.request.work / f"crossfit-{key}.safetensors",
        progress=films.request.progress,
        stage=f"fold {fold + 1}",
    )
    from_val, from_held = (
        fusion_logits(network, features, rows, device=films.device) for rows in (val, held)
    )
    inputs = np.stack([features.has_title, features.has_overview, features.has_poster], axis=1) @ [1, 2, 4]
    probabilities = fit_calibration(from_val, labels[val], seed=config.seed).apply(from_held)
    for kind in np.unique(inputs[held]):
        alike = inputs[val] == kind
        if alike.sum() >= _FEWEST_TO_CALIBRATE:
            calibration = fit_calibration(from_val[alike], labels[val][alike], seed=config.seed)
            mine = inputs[held] == kind
            probabilities[mine] = calibration.apply(from_held[mine])
    return probabilities


def _write(
    output: Path,
    films: Films,
    fold_of: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    description: dict[str, Any],
) -> None:
    """Write both files aside and rename them, the description last: it is there only when the table is."""
    output.mkdir(parents=True, exist_ok=True)
    ids = films.snapshot.films.select(["film_id", "tmdb_id"])
    table = pa.table(
        {
            "film_id": ids["film_id"],
            "tmdb_id": ids["tmdb_id"],
            "fold": pa.array(fold_of, pa.int16()),
            "probabilities": pa.FixedSizeListArray.from_arrays(
                pa.array(probabilities.ravel()), len(LABEL_IDS)
            ),
        }
    )
    (output / DESCRIPTION_FILE).unlink(missing_ok=True)
    aside = output / f".{PROBABILITIES_FILE}.{os.getpid()}"
    pq.write_table(table, aside, compression="zstd")
    aside.replace(output / PROBABILITIES_FILE)
    aside = output / f".{DESCRIPTION_FILE}.{os.getpid()}"
    aside.write_text(json.dumps(description, indent=1) + "\n")
    aside.replace(output / DESCRIPTION_FILE)


def _share(text: str) -> float:
    """A number within 0..1 that the text alone decides."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
