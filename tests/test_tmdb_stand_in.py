"""The stand-in answers as TMDB's documentation has it, and its faults are what their names say."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from PIL import Image

from tests.conftest import PROJECT
from tests.tmdb_stand_in import API_FAULTS, FIRST_ID, POSTER_FAULTS, SPREAD, StandIn
from tests.tmdb_stand_in.api import today


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn(films=120) as running:
        yield running


@pytest.fixture
def get(stand_in: StandIn) -> Iterator[Callable[..., requests.Response]]:
    """``get("/movie/9000001", language="de-DE")``, over one connection that is kept."""
    with requests.Session() as session:

        def ask(path: str, **query: Any) -> requests.Response:
            query = {"api_key": stand_in.key} | {
                name.replace("__", "."): value for name, value in query.items()
            }
            return session.get(f"{stand_in.api_base}{path}", params=query, timeout=5)

        yield ask


def image(stand_in: StandIn, path: str | None, **options: Any) -> requests.Response:
    return requests.get(f"{stand_in.image_base}w342{path}", timeout=5, **options)


def film_with_poster(stand_in: StandIn) -> int:
    return next(pk for pk in stand_in.film_ids if stand_in.film(pk).poster_path)


# Sound answers --------------------------------------------------------------------------------------------


def test_a_film_in_its_language_with_translations(
    stand_in: StandIn, get: Callable[..., requests.Response]
) -> None:
    stand_in.change(FIRST_ID, title="Kite", overview="A kite is lost.", genres=[16, 35], translations={})
    film = get(f"/movie/{FIRST_ID}", language="de-DE", append_to_response="translations,release_dates").json()
    assert (film["title"], film["overview"]) == ("Kite", "")
    assert film["genres"] == [{"id": 16, "name": "Animation"}, {"id": 35, "name": "Komödie"}]
    english = [t for t in film["translations"]["translations"] if t["iso_639_1"] == "en"]
    assert english[0]["data"]["overview"] == "A kite is lost."
    assert film["release_dates"]["results"][0]["release_dates"][0]["type"] == 3
    assert film.keys() >= {
        "imdb_id",
        "runtime",
        "vote_count",
        "origin_country",
        "belongs_to_collection",
        "status",
    }
    assert get(f"/movie/{FIRST_ID}").json()["overview"] == "A kite is lost."


def test_films_are_the_same_for_the_same_seed() -> None:
    first, second, other = StandIn(films=20), StandIn(films=20), StandIn(films=20, seed=1)
    assert [first.film(pk) for pk in first.film_ids] == [second.film(pk) for pk in second.film_ids]
    assert [first.film(pk) for pk in first.film_ids] != [other.film(pk) for pk in other.film_ids]
    for made in (first, second, other):
        made.stop()


@pytest.mark.parametrize("name", ["popular", "top_rated", "now_playing", "upcoming"])
def test_lists_are_paged(stand_in: StandIn, get: Callable[..., requests.Response], name: str) -> None:
    for number in range(30):
        day = today() + timedelta(days=5 if name == "upcoming" else -5)
        stand_in.add(1_000 + number, release_date=day.isoformat(), vote_count=500, adult=False)
    first = get(f"/movie/{name}").json()
    rest = [get(f"/movie/{name}", page=page).json()["results"] for page in range(2, first["total_pages"] + 1)]
    ids = [film["id"] for film in first["results"]] + [film["id"] for page in rest for film in page]
    assert len(first["results"]) == 20
    assert len(ids) == len(set(ids)) == first["total_results"]
    assert set(range(1_000, 1_030)) <= set(ids)
    assert first["results"][0].keys() >= {
        "genre_ids",
        "poster_path",
        "popularity",
        "original_title",
        "release_date",
    }


def test_discover_keeps_what_fits(stand_in: StandIn, get: Callable[..., requests.Response]) -> None:
    def discover(**query: Any) -> list[dict[str, Any]]:
        return list(get("/discover/movie", **query).json()["results"])

    stand_in.add(
        1,
        genre_ids=(37, 35),
        release_date="1999-05-01",
        vote_count=10**6,
        original_language="it",
        adult=False,
    )
    wanted = {"primary_release_date__gte": "1999-05-01", "primary_release_date__lte": "1999-05-01"}
    assert [film["id"] for film in discover(with_genres="35,37", **wanted, vote_count__gte=10**6)] == [1]
    assert 1 in [film["id"] for film in discover(with_original_language="it", sort_by="vote_count.desc")]
    assert not discover(with_genres="35,37,27", **wanted)
    assert all({35, 27} & set(film["genre_ids"]) for film in discover(with_genres="35|27"))


def test_search_and_find(stand_in: StandIn, get: Callable[..., requests.Response]) -> None:
    stand_in.change(
        FIRST_ID, title="Zyxomma at Noon", release_date="1974-01-01", imdb_id="tt1234567", adult=False
    )
    assert [film["id"] for film in get("/search/movie", query="noon zyxomma").json()["results"]] == [FIRST_ID]
    assert get("/search/movie", query="zyxomma", year=1975).json()["total_results"] == 0
    found = get("/find/tt1234567", external_source="imdb_id").json()
    assert [film["id"] for film in found["movie_results"]] == [FIRST_ID]
    assert get("/find/tt7654321", external_source="imdb_id").json()["movie_results"] == []


def test_changes_tell_of_changed_new_and_deleted_films(
    stand_in: StandIn, get: Callable[..., requests.Response]
) -> None:
    stand_in.change(FIRST_ID, title="Another")
    stand_in.delete(FIRST_ID + 1)
    stand_in.add(77)
    stand_in.change(FIRST_ID + 2, on=today() - timedelta(days=10), overview="")
    days = {"start_date": str(today() - timedelta(days=14)), "end_date": str(today())}
    changed = {entry["id"]: entry["adult"] for entry in get("/movie/changes", **days).json()["results"]}
    assert changed.keys() == {77, FIRST_ID, FIRST_ID + 1, FIRST_ID + 2}
    assert changed[FIRST_ID + 1] is None
    assert {entry["id"] for entry in get("/movie/changes").json()["results"]} == changed.keys() - {
        FIRST_ID + 2
    }
    assert get(f"/movie/{FIRST_ID + 1}").status_code == 404
    for number in range(150):
        stand_in.add(1_000 + number)
    pages = [get("/movie/changes", page=page).json() for page in (1, 2)]
    assert [len(page["results"]) for page in pages] == [100, 53]


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        (f"/movie/{FIRST_ID}", {"api_key": "another"}, 401, 7),
        ("/authentication", {"api_key": ""}, 401, 7),
        ("/movie/1", {}, 404, 34),
        ("/movie/abc", {}, 404, 6),
        ("/person/1", {}, 404, 34),
        ("/discover/movie", {"page": 501}, 400, 22),
        ("/movie/changes", {"start_date": "2020-01-01", "end_date": "2020-01-16"}, 422, 20),
        ("/movie/changes", {"start_date": "yesterday"}, 400, 23),
    ],
)
def test_what_is_refused_has_tmdbs_status_and_code(
    get: Callable[..., requests.Response], path: str, query: dict[str, Any], status: int, code: int
) -> None:
    answer = get(path, **query)
    assert answer.status_code == status
    assert (answer.json()["success"], answer.json()["status_code"]) == (False, code)


def test_the_key_comes_as_a_bearer_too(stand_in: StandIn) -> None:
    headers = {"Authorization": f"Bearer {stand_in.key}"}
    assert requests.get(f"{stand_in.api_base}/authentication", headers=headers, timeout=5).json()["success"]
    stand_in.reject_key()
    assert requests.get(f"{stand_in.api_base}/configuration", headers=headers, timeout=5).status_code == 401
    assert [request.key_by for request in stand_in.requests()] == ["header", "header"]


def test_posters_are_jpegs_of_the_asked_size(
    stand_in: StandIn, get: Callable[..., requests.Response]
) -> None:
    film = stand_in.film(film_with_poster(stand_in))
    base = get("/configuration").json()["images"]["secure_base_url"]
    for size, width in (("w92", 92), ("w342", 342)):
        answer = requests.get(f"{base}{size}{film.poster_path}", timeout=5)
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert Image.open(io.BytesIO(answer.content)).size == (width, width * 3 // 2)
    again = image(stand_in, film.poster_path).content
    stand_in.change(film.id, title="Another", genres=[27], poster_path="/new.jpg")
    assert image(stand_in, film.poster_path).content == again != image(stand_in, "/new.jpg").content
    assert image(stand_in, "/unknown.jpg").status_code == 404


def test_the_daily_export_names_every_film_but_adult_ones(stand_in: StandIn) -> None:
    stand_in.change(FIRST_ID, adult=True)
    stand_in.delete(FIRST_ID + 1)
    for day in (today(), today() - timedelta(days=1)):
        answer = requests.get(f"{stand_in.export_base}movie_ids_{day:%m_%d_%Y}.json.gz", timeout=5)
        lines = [json.loads(line) for line in gzip.decompress(answer.content).splitlines()]
        assert [line["id"] for line in lines] == [
            pk for pk in stand_in.film_ids if not stand_in.film(pk).adult
        ]
        assert lines[0].keys() == {"adult", "id", "original_title", "popularity", "video"}
    old = today() - timedelta(days=2)
    assert (
        requests.get(f"{stand_in.export_base}movie_ids_{old:%m_%d_%Y}.json.gz", timeout=5).status_code == 404
    )


# Faults ---------------------------------------------------------------------------------------------------


def no_json(answer: requests.Response) -> bool:
    try:
        answer.json()
    except requests.JSONDecodeError:
        return True
    return False


API_CHECKS: dict[str, Callable[[requests.Response], bool]] = {
    "unauthorized": lambda answer: answer.status_code == 401,
    "not-found": lambda answer: answer.status_code == 404,
    "rate-limited": lambda answer: answer.status_code == 429 and answer.headers["Retry-After"] == "3",
    "rate-limited-without-retry-after": lambda answer: (
        answer.status_code == 429 and "Retry-After" not in answer.headers
    ),
    "server-error": lambda answer: answer.status_code == 500,
    "html": lambda answer: answer.ok and no_json(answer) and answer.text.startswith("<!doctype"),
    "truncated": lambda answer: (
        answer.ok and no_json(answer) and len(answer.content) == int(answer.headers["Content-Length"])
    ),
    "missing-fields": lambda answer: "title" not in answer.json() and "overview" in answer.json(),
    "null-genres": lambda answer: answer.json()["genres"] is None,
    "wrong-types": lambda answer: isinstance(answer.json()["title"], int),
}
UNANSWERED = {
    "slow": requests.ReadTimeout,
    "closes": requests.ConnectionError,
    "cut-off": requests.exceptions.ChunkedEncodingError,
}


@pytest.mark.parametrize("name", API_FAULTS)
def test_a_films_fault_spoils_its_answers_and_no_others_and_goes_away(stand_in: StandIn, name: str) -> None:
    def ask(film_id: int) -> requests.Response:
        query = {"api_key": stand_in.key}
        return requests.get(f"{stand_in.api_base}/movie/{film_id}", params=query, timeout=(5, 0.3))

    stand_in.fault(FIRST_ID, name, times=2, retry_after=3)
    assert [(pk, faults[0].name) for pk, faults in stand_in.faults().items()] == [(FIRST_ID, name)]
    for _ in range(2):
        if name in UNANSWERED:
            with pytest.raises(UNANSWERED[name]):
                ask(FIRST_ID)
        else:
            assert API_CHECKS[name](ask(FIRST_ID))
    assert ask(FIRST_ID).json()["id"] == FIRST_ID
    assert ask(FIRST_ID + 1).json()["id"] == FIRST_ID + 1
    assert stand_in.faults() == {}


def decodes(answer: requests.Response) -> bool:
    try:
        Image.open(io.BytesIO(answer.content)).load()
    except (OSError, Image.DecompressionBombError):
        return False
    return True


POSTER_CHECKS: dict[str, Callable[[requests.Response], bool]] = {
    "poster-missing": lambda answer: answer.status_code == 404,
    "poster-server-error": lambda answer: answer.status_code == 500,
    "poster-html": lambda answer: (
        answer.headers["Content-Type"] == "image/jpeg" and answer.text.startswith("<!doctype")
    ),
    "poster-truncated": lambda answer: (
        answer.ok and answer.content[:2] == b"\xff\xd8" and not decodes(answer)
    ),
    "poster-empty": lambda answer: answer.ok and not answer.content,
    "poster-enormous": lambda answer: (
        "Content-Length" not in answer.headers and len(answer.content) > 10 * 2**20
    ),
    "poster-enormous-declared": lambda answer: (
        int(answer.headers["Content-Length"]) == len(answer.content) > 10 * 2**20
    ),
    "poster-lying-length": lambda answer: len(answer.content) < 2**20 and not decodes(answer),
    "poster-bomb": lambda answer: len(answer.content) < 200 and not decodes(answer),
    "poster-gif": lambda answer: Image.open(io.BytesIO(answer.content)).format == "GIF",
    "poster-redirect": lambda answer: (
        answer.status_code == 302 and answer.headers["Location"].startswith("http://localhost:")
    ),
}
UNSENT = {"poster-slow": requests.ReadTimeout, "poster-cut-off": requests.exceptions.ChunkedEncodingError}


@pytest.mark.parametrize("name", POSTER_FAULTS)
def test_a_posters_fault_spoils_that_poster(stand_in: StandIn, name: str) -> None:
    film = stand_in.film(film_with_poster(stand_in))
    stand_in.fault(film.id, name, times=1, seconds=7)
    url = f"{stand_in.image_base}w342{film.poster_path}"
    if name in UNSENT:
        with pytest.raises(UNSENT[name]):
            requests.get(url, timeout=(5, 0.3))
    else:
        answer = requests.get(url, timeout=5, allow_redirects=False)
        assert POSTER_CHECKS[name](answer)
        if name == "poster-redirect":
            requests.get(answer.headers["Location"], timeout=5)
            assert stand_in.count("/elsewhere.jpg", "elsewhere") == 1
    assert decodes(image(stand_in, film.poster_path))
    assert stand_in.count(kind="image") == 2


def test_faults_spread_by_a_seed_can_be_asked_for(stand_in: StandIn) -> None:
    given = stand_in.spread_faults(0.3, seed=5)
    assert 120 * 0.15 < len(given) < 120 * 0.45
    assert {pk: faults[0].name for pk, faults in stand_in.faults().items()} == {
        pk: fault.name for pk, fault in given.items()
    }
    assert {fault.name for fault in given.values()} <= set(SPREAD)
    with StandIn(films=120) as other:
        assert other.spread_faults(0.3, seed=5) == {
            pk: fault for pk, fault in given.items() if other.fault(pk, fault.name) is None
        }
        assert other.spread_faults(0.3, seed=6) != given


def test_a_server_that_is_down_refuses_even_a_connection_that_stood(
    stand_in: StandIn, get: Callable[..., requests.Response]
) -> None:
    assert get("/configuration").ok
    stand_in.down()
    with pytest.raises(requests.ConnectionError):
        get("/configuration")
    stand_in.up()
    assert get("/configuration").ok
    stand_in.down(refuse=False)
    assert get("/configuration").status_code == 503
    stand_in.up()
    assert get("/configuration").ok


def test_a_slow_answer_does_not_hold_up_the_end() -> None:
    with StandIn(films=1) as stand_in:
        stand_in.fault(FIRST_ID, "slow", seconds=200)
        failed = threading.Event()

        def ask() -> None:
            try:
                requests.get(f"{stand_in.api_base}/movie/{FIRST_ID}?api_key={stand_in.key}", timeout=100)
            except requests.ConnectionError:
                failed.set()

        asking = threading.Thread(target=ask)
        asking.start()
        while not stand_in.count():
            time.sleep(0.01)
    asking.join(10)
    assert failed.is_set()


# The record -----------------------------------------------------------------------------------------------


def test_requests_are_counted_by_window(
    stand_in: StandIn, get: Callable[..., requests.Response], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 0.5, 0.75, 1.0, 3.0])
    monkeypatch.setattr("tests.tmdb_stand_in.server.monotonic", lambda: next(times))
    for film_id in range(FIRST_ID, FIRST_ID + 5):
        get(f"/movie/{film_id}")
    # What comes a whole second after the first is in the next second.
    assert [stand_in.most_in_window(seconds) for seconds in (0.125, 0.5, 1.0, 10.0)] == [1, 2, 3, 5]
    assert stand_in.count("/movie/*") == 5
    assert stand_in.count(f"/movie/{FIRST_ID}") == 1
    assert stand_in.count(kind="image") == 0
    assert all("api_key" not in request.query for request in stand_in.requests())


def test_more_than_the_limit_within_a_second_is_429(
    stand_in: StandIn, get: Callable[..., requests.Response], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 0.1, 0.2, 0.3, 1.25])
    monkeypatch.setattr("tests.tmdb_stand_in.server.monotonic", lambda: next(times))
    stand_in.rate_limit(3)
    answers = [get("/configuration") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 200]
    assert answers[3].headers["Retry-After"] == "1"
    assert answers[3].json()["status_code"] == 25


def test_by_hand_it_says_what_to_set_and_ends_when_told() -> None:
    process = subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "tests.tmdb_stand_in",
                "--port",
                "0",
                "--films",
                "40",
                "--fault-share",
                "1",
            )
        ],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(5)]
    assert "40 invented films" in told[0]
    assert "40 of them with a fault" in told[0]
    settings = dict(re.findall(r"export (\w+)=(\S+)", "".join(told)))
    answer = requests.get(
        f"{settings['TMDB_API_BASE']}/authentication", {"api_key": settings["TMDB_API_KEY"]}, timeout=5
    )
    assert answer.json()["success"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_settings_lead_to_the_stand_in(tmdb: StandIn, settings: Any) -> None:
    headers = {"Authorization": f"Bearer {settings.TMDB_API_KEY}"}
    assert requests.get(f"{settings.TMDB_API_BASE}/movie/{FIRST_ID}", headers=headers, timeout=5).ok
    assert tmdb.image_base == settings.TMDB_IMAGE_BASE
    assert tmdb.export_base == settings.TMDB_EXPORT_BASE
