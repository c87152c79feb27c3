"""Answering online requests: a thread in each predict worker takes them from the broker in micro-batches.

See `predictor.online` for the side that asks and for how requests lie in the broker. Explanations (see
`predictor.explaining`) wait in a queue of their own and are made one at a time, each when no prediction waits.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import redis
import structlog
from django.db import Error, connection

from ledger import broker
from ml_core.artifact import ArtifactError
from predictor import explaining, registry
from predictor.explaining import decode_request
from predictor.models import ModelVersion
from predictor.online import ANSWER_SECONDS, QUEUE, OnlineFilm, decode_film
from predictor.serving import models, turns

if TYPE_CHECKING:
    from ml_core.explain import Explanation
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
                queue, requests = self._take()
                if not queue:
                    self._have_champion_ready()
                elif queue == explaining.QUEUE:
                    send({request: explanation(content) for request, content in requests}, queue=queue)
                else:
                    send(answer([(request, decode_film(content)) for request, content in requests]))
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

    def _take(self) -> tuple[str, list[tuple[str, bytes]]]:
        """The next requests and their queue, or '' after IDLE_SECONDS. Predictions go before explanations.

        Where there are several predictions, more may be about to come.
        """
        client = broker.client(answer_seconds=IDLE_SECONDS + broker.ANSWER_SECONDS)
        first = cast(Any, client.blpop([QUEUE, explaining.QUEUE], timeout=IDLE_SECONDS))
        if first is None:
            self._crowded = False
            return "", []
        if first[0].decode() == explaining.QUEUE:
            return explaining.QUEUE, _collect(client, explaining.QUEUE, [first[1]])
        entries = [first[1], *(client.lpop(QUEUE, MOST_TOGETHER - 1) or [])]
        if self._crowded and len(entries) < MOST_TOGETHER:
            time.sleep(GATHER_SECONDS)
            entries += client.lpop(QUEUE, MOST_TOGETHER - len(entries)) or []
        self._crowded = len(entries) > 1
        return QUEUE, _collect(client, QUEUE, entries)


def _collect(client: redis.Redis, queue: str, entries: Sequence[bytes]) -> list[tuple[str, bytes]]:
    """What lies beside entries ``id size``; where nobody waits any more it is gone, and passed over."""
    pairs = [entry.decode().split() for entry in entries]
    with client.pipeline(transaction=False) as pipeline:
        for request, _ in pairs:
            pipeline.getdel(f"{queue}:{request}")
        pipeline.decrby(f"{queue}:bytes", sum(int(size) for _, size in pairs))
        contents = pipeline.execute()
    return [
        (request, content)
        for (request, _), content in zip(pairs, contents[:-1], strict=True)
        if content is not None
    ]


def current_champion() -> ModelVersion | None:
    """The champion; asked over a new connection where the database was restarted meanwhile."""
    return _over_a_live_connection(registry.champion)


def _over_a_live_connection(look: Callable[[], ModelVersion | None]) -> ModelVersion | None:
    try:
        return look()
    except Error:
        connection.close()
        return look()


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


def explanation(content: bytes) -> dict[str, Any]:
    """The answer to a request for an explanation: what `predictor.explaining` makes one of, or a reason."""
    version_id, film = decode_request(content)
    try:
        version = current_champion() if version_id is None else _version(version_id)
        if version is None:
            return {"reason": "That model version is not here."}
        predictor = models.get(version)
    except (ArtifactError, Error):
        log.exception("explanation refused")
        return {"reason": "The prediction worker cannot load the model."}
    from ml_core.explain import explain

    try:
        # One turn for all its passes: less than a second, and no sub-batch gets between them.
        with turns.online():
            found = explain(predictor, _film_input(film))
    except Exception:
        log.exception("explanation failed")
        return {"reason": "The model failed on this input."}
    prediction = _as_json(found.prediction, 0, version, predictor.label_ids)
    return {"prediction": prediction, **_explanation_as_json(found)}


def _version(version_id: int) -> ModelVersion | None:
    return _over_a_live_connection(lambda: ModelVersion.objects.filter(pk=version_id).first())


def _explanation_as_json(found: Explanation) -> dict[str, Any]:
    """Three decimals of log-odds: more than a page shows, and a third of the bytes."""
    return {
        "words": [[word.field, word.start, word.end, word.effects.round(3).tolist()] for word in found.words],
        "regions": None if found.regions is None else found.regions.round(3).tolist(),
        "prior": found.prior.round(3).tolist(),
        "from_texts": found.from_texts.round(3).tolist(),
        "from_poster": found.from_poster.round(3).tolist(),
    }


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
        "poster_text": batch.poster_texts[row],
    }


def send(answers: dict[str, dict[str, Any]], *, queue: str = QUEUE) -> None:
    """Put answers where those who asked wait for them."""
    with broker.client().pipeline(transaction=False) as pipeline:
        for request, content in answers.items():
            key = f"{queue}:{request}:answer"
            pipeline.lpush(key, json.dumps(content))
            pipeline.expire(key, ANSWER_SECONDS)
        pipeline.execute()
