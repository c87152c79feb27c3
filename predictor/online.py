"""Asking for a prediction now: the side that asks. Free of torch; the answer is made by a predict worker.

A request waits in a list of the broker; its film lies beside it under a key that expires, so that what nobody
waits for any more is not worked on. The answering side is `predictor.answering`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from ledger import broker
from ledger.workers import live_workers

QUEUE = "genresite:online:waiting"
# Waiting posters beyond this many bytes are refused like waiting requests beyond the limit: both fill the broker.
MOST_WAITING_BYTES = 256 * 2**20
BYTES = f"{QUEUE}:bytes"
# An answer nobody fetches (the one who asked is gone) is forgotten after this.
ANSWER_SECONDS = 30

# In one step: refuse when too much waits, else let n requests in. Returns what waits already, or -1.
_ENTER = """
local waiting = redis.call('LLEN', KEYS[1])
local bytes = waiting == 0 and 0 or tonumber(redis.call('GET', KEYS[2]) or '0')
local n, size, milliseconds = (#ARGV - 3) / 2, 0, tonumber(ARGV[3])
for i = 1, n do size = size + #ARGV[3 + 2 * i] end
if waiting + n > tonumber(ARGV[1]) or (waiting > 0 and bytes + size > tonumber(ARGV[2])) then return -1 end
for i = 1, n do
  local id, film = ARGV[2 + 2 * i], ARGV[3 + 2 * i]
  redis.call('SET', KEYS[1] .. ':' .. id, film, 'PX', milliseconds)
  redis.call('RPUSH', KEYS[1], id .. ' ' .. #film)
end
redis.call('SET', KEYS[2], bytes + size, 'PX', milliseconds * 2)
redis.call('PEXPIRE', KEYS[1], milliseconds * 2)
return waiting
"""


class PredictorBusy(RuntimeError):  # noqa: N818 - a state to be told, not a fault
    """Too many requests wait already; `retry_after` says in how many seconds to ask again."""

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(f"Too many predictions are waiting. Please ask again in {retry_after} s.")
        self.retry_after = retry_after


class PredictorUnavailable(RuntimeError):  # noqa: N818 - a state to be told, not a fault
    """Nobody can answer just now; `reason` says why, in words for whoever asked."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineFilm:
    """What a prediction is to be made from. Empty texts and no poster are fine; so is any one of them alone.

    `poster` is the bytes of an image that was verified (`catalog.posters.verify_poster`).
    """

    title: str = ""
    overview: str = ""
    tagline: str = ""
    poster: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlinePrediction:
    """What one version, the champion, says of one film. Lists are in `label_ids` order.

    `overview_probabilities` and `poster_probabilities` are None where there is no such input; `predicted` are
    TMDB genre ids, sorted; `inputs` names what was used; `poster_error` says why a poster was not; `poster_text` is what
    was read on a poster that came with nothing else.
    """

    version_id: int
    label_ids: tuple[int, ...]
    probabilities: tuple[float, ...]
    overview_probabilities: tuple[float, ...] | None
    poster_probabilities: tuple[float, ...] | None
    thresholds: tuple[float, ...]
    predicted: tuple[int, ...]
    inputs: tuple[str, ...]
    poster_error: str | None
    poster_text: str = ""


def predict_online(film: OnlineFilm, *, timeout: float | None = None) -> OnlinePrediction:
    """Predict one film now; waits up to `timeout` seconds (ONLINE_TIMEOUT_SECONDS unless given).

    Raises:
        PredictorBusy: more than ONLINE_QUEUE_LIMIT requests wait already.
        PredictorUnavailable: the broker is down (within 2 s), no worker runs, none answered in time, or there
            is no champion.
    """
    return predict_online_many([film], timeout=timeout)[0]


def predict_online_many(
    films: Sequence[OnlineFilm], *, timeout: float | None = None
) -> list[OnlinePrediction]:
    """Predict several films now, in order; all are let in together or none. Raises as `predict_online`."""
    answers = ask(
        [encode_film(film) for film in films], queue=QUEUE, most=settings.ONLINE_QUEUE_LIMIT, timeout=timeout
    )
    return [decode_prediction(answer) for answer in answers]


def ask(
    contents: Sequence[bytes], *, queue: str, most: int, timeout: float | None = None
) -> list[dict[str, Any]]:
    """Put requests into a queue of the predict workers' and wait for the answers; all are let in together or none.

    Raises as `predict_online`, PredictorBusy where more than `most` would wait.
    """
    if not contents:
        return []
    seconds = settings.ONLINE_TIMEOUT_SECONDS if timeout is None else timeout
    deadline = time.monotonic() + seconds
    ids = [uuid.uuid4().hex for _ in contents]
    try:
        _require_worker()
        _enter(queue, ids, contents, seconds, most)
        try:
            return [_answer(queue, each, deadline) for each in ids]
        except PredictorUnavailable:
            _withdraw(queue, ids, contents)
            raise
    except (redis.exceptions.RedisError, OSError) as error:
        raise PredictorUnavailable("The message broker cannot be reached.") from error


def _require_worker() -> None:
    """Raises PredictorUnavailable at once where nobody could answer, instead of letting somebody wait."""
    try:
        workers = live_workers(queue="predict")
    except broker.BrokerUnavailableError as error:
        raise PredictorUnavailable("The message broker cannot be reached.") from error
    if not workers:
        raise PredictorUnavailable("No prediction worker is running.")


def _enter(queue: str, ids: list[str], contents: Sequence[bytes], seconds: float, most: int) -> None:
    arguments: list[Any] = [most, MOST_WAITING_BYTES, int(seconds * 1000)]
    for each, content in zip(ids, contents, strict=True):
        arguments += [each, content]
    if int(cast(int, broker.client().eval(_ENTER, 2, queue, f"{queue}:bytes", *arguments))) < 0:
        raise PredictorBusy(retry_after=5)


def _answer(queue: str, request: str, deadline: float) -> dict[str, Any]:
    seconds = deadline - time.monotonic()
    found = None
    if seconds > 0:
        found = cast(Any, _waiting_client().blpop([f"{queue}:{request}:answer"], timeout=seconds))
    if found is None:
        raise PredictorUnavailable("The prediction worker did not answer in time.")
    answer: dict[str, Any] = json.loads(found[1])
    if "reason" in answer:
        raise PredictorUnavailable(answer["reason"])
    return answer


def _withdraw(queue: str, ids: list[str], contents: Sequence[bytes]) -> None:
    """Take back what nobody waits for any more, so that it fills no queue."""
    client = broker.client()
    for each, content in zip(ids, contents, strict=True):
        if client.lrem(queue, 1, f"{each} {len(content)}"):
            client.decrby(f"{queue}:bytes", len(content))
        client.delete(f"{queue}:{each}")


def encode_film(film: OnlineFilm) -> bytes:
    """A film as it waits in the broker: a line of JSON, then the poster's bytes."""
    texts = {
        "title": film.title,
        "overview": film.overview,
        "tagline": film.tagline,
        "poster": film.poster is not None,
    }
    return json.dumps(texts).encode() + b"\n" + (film.poster or b"")


def decode_film(content: bytes) -> OnlineFilm:
    """The other direction of `encode_film`."""
    line, _, poster = content.partition(b"\n")
    texts = json.loads(line)
    return OnlineFilm(**(texts | {"poster": poster if texts["poster"] else None}))


def decode_prediction(answer: dict[str, Any]) -> OnlinePrediction:
    """A prediction out of the worker's JSON."""
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in answer.items()
    }
    return OnlinePrediction(**fields)


_waiting_clients: dict[tuple[str, float], redis.Redis] = {}


def _waiting_client() -> redis.Redis:
    """A client for BLPOP, which itself says when to give up; a dead broker shows as a closed connection."""
    url, seconds = settings.REDIS_URL, settings.ONLINE_TIMEOUT_SECONDS * 2
    if (url, seconds) not in _waiting_clients:
        _waiting_clients[url, seconds] = redis.Redis.from_url(
            url,
            socket_connect_timeout=broker.CONNECT_SECONDS,
            socket_timeout=seconds,
            retry=Retry(NoBackoff(), 0),
        )
    return _waiting_clients[url, seconds]
