"""Films that are alike to the model: nearest by the embedding that it predicts from."""

from __future__ import annotations

from pgvector.django import CosineDistance

from catalog.models import Film
from predictor.models import Prediction

# What an HNSW scan of pgvector visits when not told otherwise (hnsw.ef_search): asking for more gives no more.
_CANDIDATES = 40


def similar_films(prediction: Prediction, *, count: int = 12) -> list[Film]:
    """Up to `count` films whose embedding under the same version is nearest by cosine, the nearest first.

    One query through the HNSW index; approximate, as that index is. The film itself and adult films are left out,
    and so is whatever the model calls alike only because it knows nothing of either: a film predicted from no
    input has no neighbours.

    Posters are loaded with the films. `count` is at most 39.
    """
    if not prediction.inputs:
        return []
    nearest = (
        Prediction.objects.filter(version_id=prediction.version_id)
        .select_related("film__poster")
        .only(
            "version_id",
            "film__title",
            "film__release_date",
            "film__adult",
            "film__poster__file",
            "film__poster__sha256",
            "film__poster__format",
            "film__poster__width",
            "film__poster__height",
            "film__poster__dominant_colour",
        )
        .order_by(CosineDistance("embedding", prediction.embedding))[:_CANDIDATES]
    )
    # Filtered here and not in SQL: a condition beside the distance would have the index visited again and again.
    alike = [near.film for near in nearest if near.film_id != prediction.film_id and not near.film.adult]
    return alike[:count]
