"""The stand-in as a running server: films, faults, and a record of who asked what and when."""

from __future__ import annotations

import fnmatch
import json
import random
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.tmdb_stand_in.api import Api, today
from tests.tmdb_stand_in.faults import (
    API_FAULTS,
    FAULTS,
    POSTER_FAULTS,
    SPREAD,
    Fault,
    Reply,
    error_reply,
    spoil,
)
from tests.tmdb_stand_in.films import FIRST_ID, InventedFilm, invent_film
from tests.tmdb_stand_in.posters import SIZES, draw_poster
from tests.tmdb_stand_in.server import HOST, Server, bound_socket
from tests.tmdb_stand_in.vocabulary import GENRES

KEY = "stand-in-key"
_KINDS = {"/3": "api", "/t/p": "image", "/p/exports": "export"}


@dataclass(frozen=True, slots=True)
class Request:
    """A request that came: when (seconds of the monotonic clock), what for, and how the key came along.

    ``kind`` is api, image, export or elsewhere (where a faulty image server redirects to); ``path`` is without what
    all of a kind have in common; ``key_by`` is query, header or nothing.
    """

    at: float
    kind: str
    path: str
    query: dict[str, str]
    key_by: str


class StandIn:
    """TMDB on loopback, with invented films. A context manager: the server runs inside the block."""

    def __init__(
        self, *, films: int = 100, seed: int = 0, latency: float = 0.0, port: int = 0, key: str = KEY
    ) -> None:
        self.key = key
        self.seed = seed
        self.latency = latency
        self._lock = threading.Lock()
        self._films: dict[int, InventedFilm] = {}
        self._changed: dict[int, date] = {}
        self._faults: dict[int, dict[str, Fault]] = {}
        self._artwork: dict[str, tuple[int, str, int]] = {}
        self._requests: list[Request] = []
        self._recent: deque[float] = deque()
        self._limit: int | None = None
        self._key_rejected = self._offline = False
        self._export: bytes | None = None
        self._started_on = today()
        for film_id in range(FIRST_ID, FIRST_ID + films):
            self._keep(invent_film(film_id, seed=seed, today=self._started_on))
        self._socket = bound_socket(port)
        self.port: int = self._socket.getsockname()[1]
        self._server: Server | None = None
        self._api = Api(self._films, self._changed, self.image_base)

    # Where it is -----------------------------------------------------------------------------------------

    @property
    def api_base(self) -> str:
        return f"http://{HOST}:{self.port}/3"

    @property
    def image_base(self) -> str:
        return f"http://{HOST}:{self.port}/t/p/"

    @property
    def export_base(self) -> str:
        return f"http://{HOST}:{self.port}/p/exports/"

    def settings(self) -> dict[str, str]:
        """The settings, and environment variables, that send Genresite here instead of to TMDB."""
        return {
            "TMDB_API_KEY": self.key,
            "TMDB_API_BASE": self.api_base,
            "TMDB_IMAGE_BASE": self.image_base,
            "TMDB_EXPORT_BASE": self.export_base,
        }

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the server and every connection; the port is free again."""
        self._end_server()
        self._socket.close()

    # Films -----------------------------------------------------------------------------------------------

    @property
    def film_ids(self) -> list[int]:
        return sorted(self._films)

    def film(self, film_id: int) -> InventedFilm:
        """The film as it is now."""
        return self._films[film_id]

    def add(self, film_id: int, *, on: date | None = None, **facts: Any) -> InventedFilm:
        """A new film of that id, with `facts` (fields of `InventedFilm`) instead of invented ones."""
        self._keep(invent_film(film_id, seed=self.seed, today=self._started_on))
        return self.change(film_id, on=on, **facts)

    def change(self, film_id: int, *, on: date | None = None, **facts: Any) -> InventedFilm:
        """Sets `facts` (fields of `InventedFilm`; ``genres`` for ``genre_ids``); told by the changes of that day, else today's."""
        if "genres" in facts:
            facts["genre_ids"] = tuple(facts.pop("genres"))
        film = replace(self._films[film_id], **facts)
        self._changed[film_id] = on or today()
        self._keep(film)
        return film

    def delete(self, film_id: int, *, on: date | None = None) -> None:
        """Takes the film away: 404 from now on, and told by the changes of that day, else today's."""
        del self._films[film_id]
        self._changed[film_id] = on or today()
        self._export = None

    def _keep(self, film: InventedFilm) -> None:
        if film.poster_path:
            hue = GENRES[film.genre_ids[0]].hue if film.genre_ids else 0
            # A path keeps its picture, whatever becomes of the film or whoever else takes the path.
            self._artwork.setdefault(film.poster_path, (film.id, film.title, hue))
        self._films[film.id] = film
        self._export = None

    # Faults ----------------------------------------------------------------------------------------------

    def fault(
        self,
        film_id: int,
        name: str,
        *,
        times: int | None = None,
        seconds: float = 30.0,
        retry_after: int = 1,
    ) -> None:
        """Spoils the film's next `times` answers, or all of them. A film has at most one fault of the API and one of its poster.

        `seconds` is how slow the slow ones are, `retry_after` what the rate-limited ones ask for. Raises ValueError
        for an unknown name, and for a poster's fault where the film has no poster.
        """
        if name not in FAULTS:
            raise ValueError(f"{name!r} is no fault; there are {', '.join(FAULTS)}")
        if name in POSTER_FAULTS and not self._films[film_id].poster_path:
            raise ValueError(f"Film {film_id} has no poster to spoil")
        kind = "image" if name in POSTER_FAULTS else "api"
        with self._lock:
            self._faults.setdefault(film_id, {})[kind] = Fault(name, times, seconds, retry_after)

    def heal(self, film_id: int) -> None:
        """Takes the film's faults away."""
        with self._lock:
            self._faults.pop(film_id, None)

    def faults(self) -> dict[int, list[Fault]]:
        """What each film's faults are, of those that still spoil answers."""
        with self._lock:
            holding = {
                film_id: [replace(fault) for fault in by_kind.values() if fault.left != 0]
                for film_id, by_kind in self._faults.items()
            }
        return {film_id: faults for film_id, faults in sorted(holding.items()) if faults}

    def spread_faults(
        self, share: float, *, seed: int = 0, names: Iterable[str] = SPREAD, seconds: float = 30.0
    ) -> dict[int, Fault]:
        """Gives about that share of the films a fault each, the same for the same seed; returns them by film.

        Half stay; a quarter spoil two answers, which a client that tries again gets over by itself, and a quarter
        spoil eight, which is over by the time that somebody asks for the failed ones again.
        """
        names = tuple(names)
        without_poster = tuple(name for name in names if name in API_FAULTS)
        given = {}
        for film_id in self.film_ids:
            dice = random.Random(f"{seed}:fault:{film_id}")
            possible = names if self._films[film_id].poster_path else without_poster
            if dice.random() < share and possible:
                fault = Fault(dice.choice(possible), dice.choice((None, None, 2, 8)), seconds)
                self.fault(film_id, fault.name, times=fault.left, seconds=seconds)
                given[film_id] = fault
        return given

    def reject_key(self) -> None:
        """From now on no key is right."""
        self._key_rejected = True

    def accept_key(self) -> None:
        """The key is right again."""
        self._key_rejected = False

    def rate_limit(self, most: int | None) -> None:
        """Answers 429 with ``Retry-After: 1`` once more than `most` API requests came within a second; None: never."""
        self._limit = most

    def down(self, *, refuse: bool = True) -> None:
        """Refuses connections, those that stand included; with ``refuse=False`` answers 503 instead."""
        self._offline = True
        if refuse:
            self._end_server()
            self._socket.close()
            self._socket = bound_socket(self.port)  # holds the port, but does not listen

    def up(self) -> None:
        """Starts the server, at first or after `down`."""
        self._offline = False
        if self._server is None:
            self._server = Server(self._socket, self.reply)
            self._server.start()

    def _end_server(self) -> None:
        if self._server is not None:
            self._server.end()
            self._server = None

    # What was asked --------------------------------------------------------------------------------------

    def requests(self, kind: str = "api") -> list[Request]:
        """The requests of that kind so far, in order of arrival."""
        with self._lock:
            return sorted((r for r in self._requests if r.kind == kind), key=lambda request: request.at)

    def count(self, pattern: str = "*", kind: str = "api") -> int:
        """How many requests had a path like that (``/movie/*``)."""
        return sum(fnmatch.fnmatchcase(request.path, pattern) for request in self.requests(kind))

    def most_in_window(self, seconds: float, kind: str = "api") -> int:
        """The most requests that came within any window of that length, wherever it begins."""
        times = [request.at for request in self.requests(kind)]
        most = first = 0
        for last, at in enumerate(times):
            while at - times[first] >= seconds:
                first += 1
            most = max(most, last - first + 1)
        return most

    def forget(self) -> None:
        """Empties the record."""
        with self._lock:
            self._requests.clear()

    # Answering -------------------------------------------------------------------------------------------

    def reply(self, url: str, authorization: str, at: float) -> Reply:
        """What is sent to a GET of `url` that arrived `at`, which is recorded."""
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        given = query.pop("api_key", None)
        key_by = "query" if given is not None else "header" if authorization else ""
        prefix = next((prefix for prefix in _KINDS if parts.path.startswith(f"{prefix}/")), "")
        path, kind = parts.path.removeprefix(prefix), _KINDS.get(prefix, "elsewhere")
        too_many = self._record(Request(at, kind, path, query, key_by))
        if self._offline:
            return error_reply(9)
        if kind != "api":
            return self._file(kind, path)
        if too_many:
            return error_reply(25, ("Retry-After", "1"))
        if self._key_rejected or self.key not in (given, authorization.removeprefix("Bearer ")):
            return error_reply(7)
        return self._api_reply(path, query)

    def _file(self, kind: str, path: str) -> Reply:
        if kind == "image":
            return self._image(path)
        if kind == "export":
            return self._daily_export(path)
        return Reply(body=draw_poster("/elsewhere", caption="Elsewhere", hue=0, width=92), type="image/jpeg")

    def _record(self, request: Request) -> bool:
        """Whether the request is one too many within a second."""
        with self._lock:
            self._requests.append(request)
            if request.kind != "api" or self._limit is None:
                return False
            self._recent.append(request.at)
            while self._recent[0] <= request.at - 1:
                self._recent.popleft()
            return len(self._recent) > self._limit

    def _api_reply(self, path: str, query: dict[str, str]) -> Reply:
        status, content = self._api.answer(path, query)
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        reply = Reply(status=status, body=body, wait=self.latency)
        film_id = path.removeprefix("/movie/")
        fault = self._take_fault(int(film_id), "api") if status == 200 and film_id.isdecimal() else None
        return spoil(fault, reply) if fault else reply

    def _image(self, path: str) -> Reply:
        size, _, name = path.strip("/").partition("/")
        if size not in SIZES or f"/{name}" not in self._artwork:
            return spoil(Fault("poster-missing"), Reply())
        film_id, caption, hue = self._artwork[f"/{name}"]
        body = draw_poster(f"/{name}", caption=caption, hue=hue, width=SIZES[size])
        caching = ("Cache-Control", "public, max-age=31919000")
        reply = Reply(body=body, type="image/jpeg", headers=(caching,), wait=self.latency)
        fault = self._take_fault(film_id, "image")
        if fault is None:
            return reply
        reply = spoil(fault, reply)
        if (
            reply.status == HTTPStatus.FOUND
        ):  # the same machine by another name: whoever follows finds a sound JPEG there
            return replace(reply, headers=(("Location", f"http://localhost:{self.port}/elsewhere.jpg"),))
        return reply

    def _daily_export(self, path: str) -> Reply:
        days = (today(), today() - timedelta(days=1))
        if path not in {f"/movie_ids_{day:%m_%d_%Y}.json.gz" for day in days}:
            return Reply(status=404, body=b"<Error><Code>NoSuchKey</Code></Error>", type="application/xml")
        if self._export is None:
            self._export = self._api.export()
        return Reply(body=self._export, type="application/gzip")

    def _take_fault(self, film_id: int, kind: str) -> Fault | None:
        with self._lock:
            fault = self._faults.get(film_id, {}).get(kind)
            if fault is None or fault.left == 0:
                return None
            if fault.left is not None:
                fault.left -= 1
            return fault
