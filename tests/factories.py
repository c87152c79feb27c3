"""Rows for tests, small and valid; every field can be overridden by keyword."""

from __future__ import annotations

import hashlib
import io
import itertools
import math
import re
from typing import Any

import numpy as np
from django.core.files.base import ContentFile
from django.db import connection
from django.utils import timezone
from PIL import Image

from catalog.models import Film, Genre, Poster
from ml_core.labels import LABELS
from predictor.models import EMBEDDING_DIMENSIONS, ModelPointers, ModelVersion, Prediction

_numbers = itertools.count(1)
GENRE_IDS = {label.name: label.tmdb_id for label in LABELS}


def ensure_genres() -> None:
    """The 18 labels and TMDB's one genre that is no label."""
    rows = [Genre(id=label.tmdb_id, name=label.name, is_label=True) for label in LABELS]
    Genre.objects.bulk_create([*rows, Genre(id=10770, name="TV Movie")], ignore_conflicts=True)


def make_film(*, genres: tuple[str, ...] | list[str] = (), **fields: Any) -> Film:
    """A film with the named genres; what is derived from its facts is derived as the importer does it."""
    from catalog.importing import derived_fields

    number = next(_numbers)
    facts: dict[str, Any] = {
        "tmdb_id": 1_000_000 + number,
        "title": f"Film {number}",
        "overview": f"Somebody looks for film number {number}.",
        "popularity": 1.0,
    } | fields
    film = Film(**facts)
    film.label_ids = sorted(GENRE_IDS[name] for name in genres)
    for name, value in derived_fields(film).items():
        setattr(film, name, value)
    film.save()
    film.genres.set(film.label_ids)
    # What the database generates is read back.
    film.refresh_from_db()
    return film


def jpeg(
    *, width: int = 100, height: int = 150, colour: tuple[int, int, int] = (200, 30, 60), seed: int = 0
) -> bytes:
    """A small JPEG; equal arguments give equal bytes."""
    image = Image.new("RGB", (width, height), colour)
    image.putpixel((seed % width, (seed // width) % height), (255, 255, 255))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def make_poster(content: bytes | None = None, **fields: Any) -> Poster:
    """A stored poster with its file."""
    content = content if content is not None else jpeg(seed=next(_numbers))
    digest = hashlib.sha256(content).hexdigest()
    with Image.open(io.BytesIO(content)) as image:
        width, height = image.size
    poster = Poster(
        **{
            "sha256": digest,
            "format": "jpeg",
            "size": len(content),
            "width": width,
            "height": height,
            "dominant_colour": "#c81e3c",
        }
        | fields
    )
    poster.file.save(f"posters/{digest[:2]}/{digest}.jpg", ContentFile(content), save=False)
    poster.save()
    return poster


def make_version(*, displayed: bool = True, **fields: Any) -> ModelVersion:
    """A registered version with its partition of the predictions, champion and displayed unless told not."""
    number = next(_numbers)
    version = ModelVersion.objects.create(
        **{
            "name": f"model-{number}",
            "network": "fusion",
            "sha256": hashlib.sha256(str(number).encode()).hexdigest(),
            "folder": f"model-{number}",
            "size": 1000,
            "label_ids": [label.tmdb_id for label in LABELS],
        }
        | fields
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS predictor_prediction_v{version.pk}"
            f" PARTITION OF predictor_prediction FOR VALUES IN ({version.pk})"
        )
    if displayed:
        ModelPointers.objects.update_or_create(id=1, defaults={"champion": version, "displayed": version})
    return version


def make_prediction(
    film: Film, version: ModelVersion, *, probabilities: dict[str, float] | None = None, **fields: Any
) -> Prediction:
    """A prediction with the given probabilities by genre name (others 0.02), thresholds of 0.5 all over."""
    given = probabilities or {}
    names = {label.tmdb_id: label.name for label in LABELS}
    values = [given.get(names[label], 0.02) for label in version.label_ids]
    predicted = sorted(label for label, value in zip(version.label_ids, values, strict=True) if value >= 0.5)
    labels = set(film.label_ids)
    truth = np.array([label in labels for label in version.label_ids])
    p = np.clip(np.array(values), 1e-6, 1 - 1e-6)
    compared = bool(labels)
    seed = np.random.default_rng(film.pk).normal(size=EMBEDDING_DIMENSIONS)
    return Prediction.objects.create(
        **{
            "version": version,
            "film": film,
            "probabilities": values,
            "overview_probabilities": values if film.overview else None,
            "poster_probabilities": values if film.poster_id else None,
            "thresholds": [0.5] * len(values),
            "embedding": (seed / np.linalg.norm(seed)).tolist(),
            "inputs": [
                "title",
                *(["overview"] if film.overview else []),
                *(["poster"] if film.poster_id else []),
            ],
            "predicted": predicted,
            "hits": sorted(labels & set(predicted)) if compared else None,
            "misses": sorted(labels - set(predicted)) if compared else None,
            "extras": sorted(set(predicted) - labels) if compared else None,
            "surprise": float(-np.log(np.where(truth, p, 1 - p)).mean()) if compared else None,
            "part": "test",
            "input_hash": film.input_hash,
            "predicted_at": timezone.now(),
        }
        | fields
    )


def make_explanation(
    film: Film,
    version: ModelVersion,
    *,
    probabilities: dict[str, float] | None = None,
    words: dict[str, dict[str, float]] | None = None,
    cells: dict[tuple[int, int], dict[str, float]] | None = None,
    inputs: dict[str, dict[str, float]] | None = None,
) -> dict[str, Any]:
    """A worker's explanation of a film, kept as if it had been asked for; returns the worker's answer.

    Effects are given by genre name: of words of title or overview, of cells (row, column) of the poster, and of `inputs`
    ("texts" and "poster"); all others are 0, other probabilities 0.02, thresholds 0.5, the prior 0.1.
    """
    from predictor.explaining import keep_explanation

    names = [next(name for name, pk in GENRE_IDS.items() if pk == label) for label in version.label_ids]

    def effects(given: dict[str, float] | None) -> list[float]:
        return [(given or {}).get(name, 0.0) for name in names]

    values = [(probabilities or {}).get(name, 0.02) for name in names]
    texts = [
        (field, match.start(), match.end(), match[0])
        for field in ("title", "overview")
        for match in re.finditer(r"\w+", getattr(film, field))
    ]
    answer = {
        "prediction": {
            "version_id": version.pk,
            "label_ids": version.label_ids,
            "probabilities": values,
            "overview_probabilities": values if film.overview else None,
            "poster_probabilities": values if film.poster_id else None,
            "thresholds": [0.5] * len(values),
            "predicted": sorted(
                pk for pk, value in zip(version.label_ids, values, strict=True) if value >= 0.5
            ),
            "inputs": [
                "title",
                *(["overview"] if film.overview else []),
                *(["poster"] if film.poster_id else []),
            ],
            "poster_error": None,
        },
        "words": [[field, start, end, effects((words or {}).get(word))] for field, start, end, word in texts],
        "regions": [[effects((cells or {}).get((row, column))) for column in range(4)] for row in range(6)]
        if film.poster_id
        else None,
        "prior": [math.log(0.1 / 0.9)] * len(values),
        "from_texts": effects((inputs or {}).get("texts")),
        "from_poster": effects((inputs or {}).get("poster")),
    }
    keep_explanation(film, version, answer)
    return answer
