"""Answering online requests: a thread in each predict worker takes them from the broker in micro-batches.

See `predictor.online` for the side that asks and for how requests lie in the broker.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import redis
import structlog
from django.db import Error, connection

from ledger import broker
from ml_core.artifact import ArtifactError
from predictor import registry
from predictor.models import ModelVersion
from predictor.online import ANSWER_SECONDS, BYTES, QUEUE, OnlineFilm, decode_film
from predictor.serving import models, turns

if TYPE_CHECKING:
    from ml_core.predictor import BatchPrediction, FilmInput, Predictor

log = structlog.get_logger(__name__)

# Films answered together at most: on two cores about a third of a second's work.
MOST_TOGETHER = 32
# How long the first of several is kept back for the others to arrive.
GATHER_SECONDS = 0.005
# How often an idle thread looks whether it is to end, or another champion is to be loaded.
IDLE_SECONDS = 1

Request = tuple[str, OnlineFilm]


class AnsweringThread(threading.Thread):
    """Takes, predicts, answers, until `stop`. Survives a broker or a database that comes and goes."""

    def __init__(self) -> None:
        super().__init__(name="online", daemon=True)
        self._ended = threading.Event()
        self._crowded = False

    def stop(self) -> None:
        """End after what is in hand is answered."""
        self._ended.set()
        self.join(timeout=10)

    def run(self) -> None:
        """The thread's life."""
        self._have_champion_ready()
        while not self._ended.is_set():
            try:
                requests = self._take()
                if requests:
                    send(answer(requests))
                else:
                    self._have_champion_ready()
            except (redis.exceptions.RedisError, OSError) as error:
                log.warning("online requests: broker unreachable", error=str(error))
                self._ended.wait(IDLE_SECONDS)
            except Exception:
                log.exception("online requests")
                self._ended.wait(IDLE_SECONDS)
        connection.close()

    def _have_champion_ready(self) -> None:
        """Load the champion before somebody waits for it."""
        try:
            version = current_champion()
            if version is not None:
                models.get(version)
        except (ArtifactError, Error):
            log.exception("the champion cannot be loaded")
            self._ended.wait(IDLE_SECONDS)

    def _take(self) -> list[Request]:
        """The next requests, or none after IDLE_SECONDS. Where there are several, more may be about to come."""
        client = broker.client(answer_seconds=IDLE_SECONDS + broker.ANSWER_SECONDS)
        first = cast(Any, client.blpop([QUEUE], timeout=IDLE_SECONDS))
        if first is None:
            self._crowded = False
            return []
        entries = [first[1], *(client.lpop(QUEUE, MOST_TOGETHER - 1) or [])]
        if self._crowded and len(entries) < MOST_TOGETHER:
            time.sleep(GATHER_SECONDS)
            entries += client.lpop(QUEUE, MOST_TOGETHER - len(entries)) or []
        self._crowded = len(entries) > 1
        return _collect(client, entries)


def _collect(client: redis.Redis, entries: Sequence[bytes]) -> list[Request]:
    """The films of entries ``id size``; one that nobody waits for any more is gone, and passed over."""
    pairs = [entry.decode().split() for entry in entries]
    with client.pipeline(transaction=False) as pipeline:
        for request, _ in pairs:
            pipeline.getdel(f"{QUEUE}:{request}")
        pipeline.decrby(BYTES, sum(int(size) for _, size in pairs))
        contents = pipeline.execute()
    return [
        (request, decode_film(content))
        for (request, _), content in zip(pairs, contents[:-1], strict=True)
        if content is not None
    ]


def current_champion() -> ModelVersion | None:
    """The champion; asked over a new connection where the database was restarted meanwhile."""
    try:
        return registry.champion()
    except Error:
        connection.close()
        return registry.champion()


def answer(requests: Sequence[Request]) -> dict[str, dict[str, Any]]:
    """Answers by request, all of one version: what `predictor.online` makes an OnlinePrediction of, or a reason."""
    try:
        version = current_champion()
        if version is None:
            return _refusal(requests, "No model has been promoted.")
        predictor = models.get(version)
    except (ArtifactError, Error):
        log.exception("online requests refused")
        return _refusal(requests, "The prediction worker cannot load the model.")
    try:
        return _predict(requests, version, predictor)
    except Exception:
        log.exception("online requests failed together", requests=len(requests))
    answers: dict[str, dict[str, Any]] = {}
    for request in requests:  # one bad request must not take the others along
        try:
            answers |= _predict([request], version, predictor)
        except Exception:
            log.exception("online request failed")
            answers |= _refusal([request], "The model failed on this input.")
    return answers


def _refusal(requests: Sequence[Request], reason: str) -> dict[str, dict[str, Any]]:
    return {request: {"reason": reason} for request, _ in requests}


def _predict(
    requests: Sequence[Request], version: ModelVersion, predictor: Predictor
) -> dict[str, dict[str, Any]]:
    with turns.online():
        batch = predictor.predict([_film_input(film) for _, film in requests])
    return {
        request: _as_json(batch, row, version, predictor.label_ids)
        for row, (request, _) in enumerate(requests)
    }


def _film_input(film: OnlineFilm) -> FilmInput:
    from ml_core.predictor import FilmInput

    return FilmInput(title=film.title, overview=film.overview, tagline=film.tagline, poster=film.poster)


def _as_json(
    batch: BatchPrediction, row: int, version: ModelVersion, label_ids: Sequence[int]
) -> dict[str, Any]:
    inputs = batch.inputs_used[row]
    overview, poster = batch.overview_probabilities[row], batch.poster_probabilities[row]
    return {
        "version_id": version.pk,
        "label_ids": list(label_ids),
        "probabilities": batch.probabilities[row].tolist(),
        "overview_probabilities": overview.tolist() if "overview" in inputs else None,
        "poster_probabilities": poster.tolist() if "poster" in inputs else None,
        "thresholds": batch.thresholds[row].tolist(),
        "predicted": sorted(
            label for label, said in zip(label_ids, batch.predicted[row].tolist(), strict=True) if said
        ),
        "inputs": list(inputs),
        "poster_error": batch.poster_errors[row],
    }


def send(answers: dict[str, dict[str, Any]]) -> None:
    """Put answers where those who asked wait for them."""
    with broker.client().pipeline(transaction=False) as pipeline:
        for request, content in answers.items():
            key = f"{QUEUE}:{request}:answer"
            pipeline.lpush(key, json.dumps(content))
            pipeline.expire(key, ANSWER_SECONDS)
        pipeline.execute()
