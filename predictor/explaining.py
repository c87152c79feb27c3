"""Asking why: explanations of a film's prediction, made by a predict worker and kept for a day. Free of torch.

They wait in a short queue of their own, from which a worker takes one only when no prediction waits: a burst of them
costs a prediction one explanation's time at most, and is refused beyond MOST_WAITING. `predictor.answering` answers.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from django.core.cache import cache
from django.core.files.storage import default_storage

from catalog.models import Film
from predictor.models import ModelVersion
from predictor.online import OnlineFilm, OnlinePrediction, ask, decode_film, decode_prediction, encode_film

log = structlog.get_logger(__name__)

QUEUE = "genresite:explanations:waiting"
# At a second each, or two beside a batch run, the last of them is answered before ONLINE_TIMEOUT_SECONDS are over.
MOST_WAITING = 10
# A film that people look at is looked at again the same day; some 4 KB each, so a day of any crawler fits.
CACHE_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Word:
    """Words that were taken out together: ``text[start:end]`` of the film's `field`, and the effect on each genre."""

    field: str
    start: int
    end: int
    effects: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmExplanation:
    """Why one version says of a film what it says; see `ml_core.explain` for how each figure is defined.

    Effects are log-odds in the order of ``prediction.label_ids``. `regions` are the poster's cells by row and column, None
    without a usable poster. `prior`, `from_texts` and `from_poster` add up to the log-odds of the probabilities.
    """

    prediction: OnlinePrediction
    words: tuple[Word, ...]
    regions: tuple[tuple[tuple[float, ...], ...], ...] | None
    prior: tuple[float, ...]
    from_texts: tuple[float, ...]
    from_poster: tuple[float, ...]


def kept_explanation(film: Film, version: ModelVersion) -> FilmExplanation | None:
    """What was asked before, of the film as it is now. Costs nothing that a throttle should count."""
    kept = cache.get(_key(film, version))
    return None if kept is None else _explanation(json.loads(zlib.decompress(kept)))


def explain_film(film: Film, version: ModelVersion) -> FilmExplanation:
    """Have a worker explain what a version says of a film as it is now, and keep it. Raises as `predict_online`."""
    answer = _ask(
        OnlineFilm(title=film.title, overview=film.overview, tagline=film.tagline, poster=_read_poster(film)),
        version_id=version.pk,
    )
    keep_explanation(film, version, answer)
    return _explanation(answer)


def keep_explanation(film: Film, version: ModelVersion, answer: Mapping[str, Any]) -> None:
    """Keep a worker's answer for whoever looks next, until the film's texts or poster change."""
    cache.set(_key(film, version), zlib.compress(json.dumps(answer).encode()), timeout=CACHE_SECONDS)


def explain_online(film: OnlineFilm) -> FilmExplanation:
    """Have a worker explain what the champion says of a film that is in no catalog. Raises as `predict_online`."""
    return _explanation(_ask(film, version_id=None))


def decode_request(content: bytes) -> tuple[int | None, OnlineFilm]:
    """A request as it waits in the broker: the version that is asked for, None for the champion, and the film."""
    version, _, film = content.partition(b"\n")
    return json.loads(version), decode_film(film)


def _ask(film: OnlineFilm, *, version_id: int | None) -> dict[str, Any]:
    content = json.dumps(version_id).encode() + b"\n" + encode_film(film)
    return ask([content], queue=QUEUE, most=MOST_WAITING)[0]


def _key(film: Film, version: ModelVersion) -> str:
    return f"explanation:{version.pk}:{film.input_hash}"


def _read_poster(film: Film) -> bytes | None:
    """The stored poster's bytes. A lost file costs the film its poster, as it does in a prediction."""
    if film.poster is None:
        return None
    try:
        with default_storage.open(str(film.poster.file)) as file:
            content: bytes = file.read()
            return content
    except OSError as error:
        log.warning("poster unreadable", film=film.pk, error=str(error))
        return None


def _explanation(answer: Mapping[str, Any]) -> FilmExplanation:
    regions = answer["regions"]
    return FilmExplanation(
        prediction=decode_prediction(answer["prediction"]),
        words=tuple(
            Word(field, start, end, tuple(effects)) for field, start, end, effects in answer["words"]
        ),
        regions=None
        if regions is None
        else tuple(tuple(tuple(effects) for effects in row) for row in regions),
        prior=tuple(answer["prior"]),
        from_texts=tuple(answer["from_texts"]),
        from_poster=tuple(answer["from_poster"]),
    )
