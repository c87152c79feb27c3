"""Many films with predictions of two versions, written in bulk: for tests that need enough of them to judge by."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.utils import timezone

from catalog.importing import derived_fields
from catalog.models import Film
from ml_core.labels import LABEL_IDS
from predictor.comparison import compare
from predictor.models import EMBEDDING_DIMENSIONS, ModelVersion, Prediction, VersionFilm

FIRST_TMDB_ID = 5_000_000
# Not the same for all labels, nor for the versions.
THRESHOLDS = {"a": np.linspace(0.3, 0.5, 18, dtype=np.float32), "b": np.full(18, 0.4, np.float32)}


def made_answers(n: int, *, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels ``(n, 18)``, each film having one, and probabilities that know them the less the more `noise`."""
    random = np.random.default_rng(seed)
    labels = (random.random((n, 18)) < np.linspace(0.1, 0.4, 18)).astype(np.float32)
    labels[np.arange(n), np.arange(n) % 18] = 1
    logits = (
        3 * labels - 1.5 + noise * np.random.default_rng(seed + int(100 * noise)).normal(size=labels.shape)
    )
    return labels, (1 / (1 + np.exp(-logits))).astype(np.float32)


def make_films(labels: np.ndarray, **fields: Any) -> list[Film]:
    """A film a row of `labels`, with TMDB ids from FIRST_TMDB_ID on."""
    first = FIRST_TMDB_ID + Film.objects.count()
    films = []
    for number, row in enumerate(labels):
        facts = {
            "tmdb_id": first + number,
            "title": f"Film {number}",
            "overview": f"Number {number}.",
        } | fields
        film = Film(**facts, label_ids=sorted(np.array(LABEL_IDS)[row > 0].tolist()))
        for name, value in derived_fields(film).items():
            setattr(film, name, value)
        films.append(film)
    return Film.objects.bulk_create(films)


def make_predictions(
    films: list[Film],
    version: ModelVersion,
    probabilities: np.ndarray,
    *,
    thresholds: np.ndarray = THRESHOLDS["b"],
    part: str = "",
) -> None:
    """The version's predictions of the films, which are in this part of its training; columns in the order of LABELS."""
    order = [LABEL_IDS.index(label) for label in version.label_ids]
    probabilities, limits = probabilities[:, order], thresholds[order]
    compared = compare(
        probabilities=probabilities,
        predicted=probabilities >= limits,
        label_ids=version.label_ids,
        film_labels=[film.label_ids for film in films],
    )
    if part:
        VersionFilm.objects.bulk_create(
            VersionFilm(version=version, tmdb_id=film.tmdb_id, part=part) for film in films
        )
    Prediction.objects.bulk_create(
        Prediction(
            version=version,
            film=film,
            probabilities=row.tolist(),
            thresholds=limits.tolist(),
            embedding=[1.0] + [0.0] * (EMBEDDING_DIMENSIONS - 1),
            inputs=["title", "overview"],
            predicted=list(found.predicted),
            hits=None if found.hits is None else list(found.hits),
            misses=None if found.misses is None else list(found.misses),
            extras=None if found.extras is None else list(found.extras),
            surprise=found.surprise,
            part=part,
            input_hash=film.input_hash,
            predicted_at=timezone.now(),
        )
        for film, row, found in zip(films, probabilities, compared, strict=True)
    )
