"""What goes wrong at TMDB, by name: how each fault spoils an answer that would have been sound."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.tmdb_stand_in import posters
from tests.tmdb_stand_in.api import refusal

WEB_PAGE = b"<!doctype html><html><title>Please wait</title><h1>Checking your browser</h1></html>"
JSON_TYPE = "application/json;charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer on its way out, faults and all.

    ``declared`` is the Content-Length where it is not the true one; ``filling`` are bytes that follow the body;
    without length (``chunked``) the client learns only at the end how much came; ``hang_up`` closes the connection
    after what was sent, and with status 0 before anything is.
    """

    status: int = 200
    body: bytes = b""
    type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    declared: int | None = None
    filling: int = 0
    chunked: bool = False
    hang_up: bool = False
    wait: float = 0.0


@dataclass(slots=True)
class Fault:
    """A film's fault: its name, how many more answers it spoils (None: all), and what it is told to do."""

    name: str
    left: int | None = None
    seconds: float = 30.0
    retry_after: int = 1


def error_reply(code: int, *headers: tuple[str, str]) -> Reply:
    """TMDB's refusal with that code."""
    status, content = refusal(code)
    return Reply(status=status, body=json.dumps(content).encode(), headers=headers)


def _rewritten(**values: Any) -> Callable[[Fault, Reply], Reply]:
    """The film's details with those values; a value of ``...`` leaves the field out."""

    def spoil(_fault: Fault, reply: Reply) -> Reply:
        content = json.loads(reply.body) | values
        kept = {name: value for name, value in content.items() if value is not ...}
        return replace(reply, body=json.dumps(kept).encode())

    return spoil


def _half(reply: Reply) -> bytes:
    return reply.body[: len(reply.body) // 2]


API_FAULTS: dict[str, Callable[[Fault, Reply], Reply]] = {
    "unauthorized": lambda fault, reply: error_reply(7),
    "not-found": lambda fault, reply: error_reply(34),
    "rate-limited": lambda fault, reply: error_reply(25, ("Retry-After", str(fault.retry_after))),
    "rate-limited-without-retry-after": lambda fault, reply: error_reply(25),
    "server-error": lambda fault, reply: error_reply(11),
    "slow": lambda fault, reply: replace(reply, wait=fault.seconds),
    "closes": lambda fault, reply: Reply(status=0, hang_up=True),
    "html": lambda fault, reply: Reply(body=WEB_PAGE, type="text/html"),
    "truncated": lambda fault, reply: replace(reply, body=_half(reply)),
    "cut-off": lambda fault, reply: replace(reply, body=_half(reply), declared=len(reply.body), hang_up=True),
    "missing-fields": _rewritten(title=..., original_title=...),
    "null-genres": _rewritten(genres=None),
    "wrong-types": _rewritten(title=12345, genres="Drama"),
}

POSTER_FAULTS: dict[str, Callable[[Fault, Reply], Reply]] = {
    "poster-missing": lambda fault, reply: Reply(
        status=404, body=b"<h1>File not Found</h1>", type="text/html"
    ),
    "poster-server-error": lambda fault, reply: Reply(status=500, body=WEB_PAGE, type="text/html"),
    "poster-slow": lambda fault, reply: replace(reply, wait=fault.seconds),
    "poster-html": lambda fault, reply: replace(reply, body=WEB_PAGE),
    "poster-truncated": lambda fault, reply: replace(reply, body=_half(reply)),
    "poster-cut-off": lambda fault, reply: replace(
        reply, body=_half(reply), declared=len(reply.body), hang_up=True
    ),
    "poster-empty": lambda fault, reply: replace(reply, body=b""),
    "poster-enormous": lambda fault, reply: replace(reply, filling=posters.ENORMOUS_BYTES, chunked=True),
    "poster-enormous-declared": lambda fault, reply: replace(
        reply, filling=posters.ENORMOUS_BYTES, declared=len(reply.body) + posters.ENORMOUS_BYTES
    ),
    "poster-lying-length": lambda fault, reply: replace(
        reply, filling=posters.ENORMOUS_BYTES, declared=len(reply.body) // 2, hang_up=True
    ),
    "poster-bomb": lambda fault, reply: replace(reply, body=posters.bomb(), type="image/png"),
    "poster-gif": lambda fault, reply: replace(reply, body=posters.gif(reply.body)),
    "poster-redirect": lambda fault, reply: Reply(status=302, body=b"", type="text/html"),
}

FAULTS = API_FAULTS | POSTER_FAULTS
# Without 401: a client may well, and should, take one for the end of its key and stop the whole import.
SPREAD = tuple(name for name in FAULTS if name != "unauthorized")


def spoil(fault: Fault, reply: Reply) -> Reply:
    """The reply as the fault leaves it."""
    return FAULTS[fault.name](fault, reply)
