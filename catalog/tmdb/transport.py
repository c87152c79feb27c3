"""Requests to TMDB's API: at the rate that all keep, with time-outs, tried again where that helps, the key never shown."""

from __future__ import annotations

import contextlib
import json
import random
import re
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import requests
import structlog
from requests.adapters import HTTPAdapter
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from catalog.tmdb import rate
from catalog.tmdb.errors import (
    TmdbAnswerError,
    TmdbBusyError,
    TmdbKeyRefusedError,
    TmdbNotFoundError,
    TmdbRefusedError,
    TmdbUnavailableError,
)

log = structlog.get_logger(__name__)

CONNECT_SECONDS, READ_SECONDS = 5.0, 8.0
# The whole of an answer: one that trickles keeps every read below its own limit.
ANSWER_SECONDS = 30.0
MOST_BYTES = 8 * 2**20
# Tries in all: of a connection that fails or an answer that is broken, and of one that only asks for patience.
TRIES, BUSY_TRIES = 4, 6
_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS = 0.5, 8.0
# Where the library puts its key, which is not the key.
_NO_KEY = re.compile(r"(?<=[?&])api_key=[^&]*&?")
# In place of names that the library would write to the process's environment, which threads share.
_RENAMED = {name: f"answer_{name}" for name in ("page", "total_pages", "total_results")}

_between: ContextVar[Callable[[], object]] = ContextVar("tmdb_between", default=lambda: None)


@contextlib.contextmanager
def called_off_by(between: Callable[[], object]) -> Iterator[None]:
    """Have ``between`` called while this thread waits for TMDB within the block; what it raises ends the wait."""
    token = _between.set(between)
    try:
        yield
    finally:
        _between.reset(token)


@dataclass(frozen=True, slots=True)
class Answer:
    """What tmdbv3api takes for a response: the decoded JSON, and no headers, which it would only misread."""

    content: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        return {_RENAMED.get(name, name): value for name, value in self.content.items()}


class Transport:
    """What tmdbv3api is given for its session. Threads may share it."""

    def __init__(self, *, key: str) -> None:
        self._key = key
        # TMDB's older keys are 32 hexadecimal digits and travel in the address; its tokens are JWTs for a header.
        self._token = "." in key
        self._session = requests.Session()
        # When TMDB last gave an answer, by the monotonic clock.
        self._answered = 0.0
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=64))

    def request(self, method: str, url: str, **_: Any) -> Answer:
        """Ask, again where it may help. Raises a kind of `TmdbError`."""
        url = _NO_KEY.sub("", url)
        retrying = Retrying(
            retry=retry_if_exception_type((TmdbUnavailableError, TmdbAnswerError)),
            stop=_enough,
            wait=self._backoff,
            sleep=_sleep,
            reraise=True,
        )
        return retrying(self._ask, method, url)

    def _ask(self, method: str, url: str) -> Answer:
        rate.acquire(between=_between.get())
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            with self._session.request(
                method,
                url,
                params=None if self._token else {"api_key": self._key},
                headers=headers,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = _read(response)
        except requests.Timeout as error:
            raise TmdbUnavailableError("TMDB did not answer in time.") from self._masked(error)
        except requests.RequestException as error:
            raise TmdbUnavailableError(
                f"TMDB could not be reached ({type(error).__name__})."
            ) from self._masked(error)
        answer = _judged(response, content)
        self._answered = time.monotonic()
        return answer

    def _backoff(self, state: RetryCallState) -> float:
        """Seconds until the next try.

        A 429 that names none holds up everybody, unless others were answered since this request was begun: then it is
        the film's, and not the rate's.
        """
        error = state.outcome.exception() if state.outcome else None
        longest = min(_BACKOFF_SECONDS * 2**state.attempt_number, _LONGEST_BACKOFF_SECONDS)
        seconds = random.uniform(longest / 2, longest)  # noqa: S311 - so that not all come back at once
        if isinstance(error, _BusyError):
            if error.told or _enough(state):
                return 0.0
            if self._answered < state.start_time:
                rate.block(seconds)
                return 0.0
        log.info(
            "TMDB is asked again", attempt=state.attempt_number, reason=str(error), seconds=round(seconds, 1)
        )
        return seconds

    def _masked(self, error: Exception) -> Exception:
        """The error without the key, which the library's messages hold with the whole address."""
        return type(error)(str(error).replace(self._key, "[key]"))


def _read(response: requests.Response) -> bytes:
    ends = time.monotonic() + ANSWER_SECONDS
    content = bytearray()
    for block in response.iter_content(65_536):
        content += block
        if len(content) > MOST_BYTES:
            raise TmdbAnswerError(f"TMDB's answer has more than {MOST_BYTES // 2**20} MB.")
        if time.monotonic() > ends:
            raise TmdbUnavailableError(f"TMDB's answer took longer than {ANSWER_SECONDS:.0f} s.")
    return bytes(content)


def _judged(response: requests.Response, content: bytes) -> Answer:
    status = response.status_code
    if status == HTTPStatus.OK:
        try:
            decoded = json.loads(content)
        except ValueError as error:
            kind = response.headers.get("Content-Type", "no type").partition(";")[0]
            raise TmdbAnswerError(f"TMDB's answer is no JSON, or cut short ({kind}).") from error
        if not isinstance(decoded, dict):
            raise TmdbAnswerError("TMDB's answer is JSON, but no object.")
        return Answer(decoded)
    said = _message(content)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        seconds = _retry_after(response.headers.get("Retry-After", ""))
        if seconds is not None:
            rate.block(seconds)
        raise _BusyError(f"TMDB asked to slow down{said}", told=seconds is not None)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise TmdbKeyRefusedError(f"TMDB refuses the key{said}")
    if status == HTTPStatus.NOT_FOUND:
        raise TmdbNotFoundError(f"TMDB has no such film{said}")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TmdbUnavailableError(f"TMDB answered with status {status}{said}")
    if status >= HTTPStatus.BAD_REQUEST:
        raise TmdbRefusedError(f"TMDB answered with status {status}{said}")
    raise TmdbAnswerError(f"TMDB answered with status {status}, which it should not.")


class _BusyError(TmdbBusyError):
    """Whether TMDB said for how long decides whether we wait longer each time."""

    def __init__(self, message: str, *, told: bool) -> None:
        super().__init__(message)
        self.told = told


def _message(content: bytes) -> str:
    """What TMDB says beside a status, as the end of a sentence."""
    try:
        decoded = json.loads(content)
    except ValueError:
        return "."
    said = decoded.get("status_message") if isinstance(decoded, dict) else None
    return f": {said[:200]}" if isinstance(said, str) and said else "."


def _retry_after(text: str) -> float | None:
    """Seconds of a Retry-After header; None where there is none, or a date, which TMDB never sends."""
    return float(text) if re.fullmatch(r"\d{1,6}(\.\d+)?", text.strip()) else None


def _enough(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    return state.attempt_number >= (BUSY_TRIES if isinstance(error, TmdbBusyError) else TRIES)


def _sleep(seconds: float) -> None:
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        _between.get()()
        time.sleep(min(left, 1.0))
