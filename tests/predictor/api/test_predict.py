"""Predictions on request: what is taken, what is refused and how, and what comes back from a real worker."""

from __future__ import annotations

import base64
import io
import socket
import struct
import time
import tracemalloc
import zlib

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from predictor.api import throttles
from predictor.api.throttles import parse_rate, take
from tests.factories import jpeg

URL = "/api/v1/predict/"


@pytest.fixture(autouse=True)
def _empty_broker(broker):
    """No throttle, no worker and no request of another test."""


def image(format_: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (60, 90), (10, 120, 200)).save(buffer, format_, **options)
    return buffer.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is that large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


BAD_POSTERS = {
    "a text": (b"no image at all", 415),
    "HTML": (b"<!doctype html><script>alert(1)</script>", 415),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', 415),
    "a GIF": (image("GIF"), 415),
    "a BMP": (image("BMP"), 415),
    "nothing": (b"", 422),
    "half a JPEG": (jpeg()[: len(jpeg()) // 2], 422),
    "half a PNG": (image("PNG")[:60], 422),
    "a JPEG with HTML behind it": (jpeg() + b"<script>alert(1)</script>", 422),
    "a JPEG with a ZIP behind it": (jpeg() + b"PK\x03\x04" + b"\0" * 100, 422),
    "a bomb": (png_claiming(60_000, 60_000), 422),
    "a PNG header of another size than its pixels": (png_claiming(50, 50), 422),
    "11 MB": (b"\xff\xd8\xff" + b"\0" * (10 * 2**20 + 1), 413),
}


@pytest.mark.parametrize("name", BAD_POSTERS)
def test_a_bad_poster_is_refused_by_its_content(name, anonymous, assert_problem):
    content, status = BAD_POSTERS[name]
    upload = SimpleUploadedFile("poster.jpg", content, content_type="image/jpeg")
    problem = assert_problem(
        anonymous.post(URL, {"title": "x", "poster": upload}, format="multipart"), status
    )
    assert set(problem["errors"]) == {"poster"}


@pytest.mark.parametrize("name", [name for name in BAD_POSTERS if name not in {"11 MB", "nothing"}])
def test_a_bad_poster_in_json_fares_no_better(name, anonymous, assert_problem):
    content, status = BAD_POSTERS[name]
    body = {"title": "x", "poster": base64.b64encode(content).decode()}
    assert set(assert_problem(anonymous.post(URL, body), status)["errors"]) == {"poster"}


@pytest.mark.parametrize("body", [{}, {"title": ""}, {"overview": "  "}, {"tagline": "x"}, {"poster": None}])
def test_nothing_to_predict_from_is_422(body, anonymous, assert_problem):
    assert assert_problem(anonymous.post(URL, body), 422)["code"] == "empty"


def test_an_empty_form_is_422(anonymous, assert_problem):
    assert_problem(anonymous.post(URL, {"title": ""}, format="multipart"), 422)
    assert_problem(anonymous.post(URL), 422)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": 1.5e300, "overview": []}, "overview"),
        ({"title": "a" * 501}, "title"),
        ({"overview": "a" * 20_001}, "overview"),
        ({"tagline": "a" * 1001}, "tagline"),
        ({"title": None}, "title"),
        ({"title": {"$ne": ""}}, "title"),
        ({"title": "\x00"}, "title"),
        ({"poster": "not base64!"}, "poster"),
        ({"poster": "QUJ"}, "poster"),
        ({"poster": "QU JD"}, "poster"),
        ({"poster": "é"}, "poster"),
        ({"poster": 5}, "poster"),
        ({"title": "x", "overveiw": "a misspelt one"}, "overveiw"),
        ({"title": "x", "version": 3}, "version"),
        ({"title": "x", "probabilities": [1] * 18}, "probabilities"),
        ({"title": "x", "user": 1}, "user"),
    ],
)
def test_a_field_that_cannot_be_used_is_400_and_named(body, field, anonymous, assert_problem):
    assert field in assert_problem(anonymous.post(URL, body), 400)["errors"]


def test_half_a_surrogate_pair_is_no_text(anonymous, assert_problem):
    response = anonymous.generic("POST", URL, rb'{"title": "\ud800"}', content_type="application/json")
    assert set(assert_problem(response, 400)["errors"]) == {"title"}


def test_a_poster_given_as_text_in_a_form_is_400(anonymous, assert_problem):
    problem = assert_problem(anonymous.post(URL, {"poster": "text"}, format="multipart"), 400)
    assert set(problem["errors"]) == {"poster"}


def test_hundreds_of_fields_are_refused(anonymous, assert_problem):
    assert_problem(anonymous.post(URL, {f"f{n}": "x" for n in range(1500)}, format="multipart"), 400)


def test_posters_that_are_refused_cost_little_memory_and_time(anonymous):
    big = base64.b64encode(b"\xff\xd8\xff" + b"\xff" * (4 * 2**20)).decode()
    bodies = [{"poster": base64.b64encode(png_claiming(60_000, 60_000)).decode()}, {"poster": big}]
    anonymous.post(URL, bodies[0])
    for body in bodies:
        began = time.process_time()
        anonymous.post(URL, body)
        seconds = time.process_time() - began
        tracemalloc.start()
        response = anonymous.post(URL, body)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert response.status_code == 422
        assert peak < 64 * 2**20
        assert seconds < 1


def test_without_a_worker_it_is_503_and_says_when_to_come_back(anonymous, db, assert_problem):
    began = time.perf_counter()
    response = anonymous.post(URL, {"title": "Alien"})
    assert_problem(response, 503)
    assert int(response["Retry-After"]) >= 1
    assert time.perf_counter() - began < 2


def test_without_the_broker_it_is_503_within_two_seconds(anonymous, settings, assert_problem):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    began = time.perf_counter()
    problem = assert_problem(anonymous.post(URL, {"title": "Alien"}), 503)
    assert time.perf_counter() - began < 2
    assert "127.0.0.1" not in problem["detail"]


def test_anonymous_clients_are_limited_by_address(anonymous, settings, assert_problem):
    settings.PREDICT_RATE_ANONYMOUS = "2/h"
    statuses = [anonymous.post(URL, {}).status_code for _ in range(3)]
    assert statuses == [422, 422, 429]
    response = anonymous.post(URL, {})
    assert_problem(response, 429)
    assert 1 <= int(response["Retry-After"]) <= 3600
    assert anonymous.post(URL, {}, REMOTE_ADDR="192.0.2.7").status_code == 422


def test_a_made_up_forwarding_header_does_not_help(anonymous, settings):
    settings.PREDICT_RATE_ANONYMOUS = "1/h"
    statuses = [
        anonymous.post(URL, {}, headers={"X-Forwarded-For": f"192.0.2.{n}"}).status_code for n in range(3)
    ]
    assert statuses == [422, 429, 429]


def test_users_are_limited_by_account_and_less(by_token, anonymous, settings):
    settings.PREDICT_RATE_ANONYMOUS, settings.PREDICT_RATE_USER = "1/h", "3/h"
    statuses = [by_token.post(URL, {}, REMOTE_ADDR=f"192.0.2.{n}").status_code for n in range(4)]
    assert statuses == [422, 422, 422, 429]
    assert anonymous.post(URL, {}).status_code == 422


def test_reading_is_not_limited(anonymous, settings, db):
    settings.PREDICT_RATE_ANONYMOUS = "1/h"
    anonymous.post(URL, {})
    assert {anonymous.get("/api/v1/models/").status_code for _ in range(5)} == {200}


def test_without_the_broker_nobody_is_limited(settings):
    settings.CACHES = settings.CACHES | {
        "default": settings.CACHES["default"] | {"LOCATION": "redis://127.0.0.1:1/0"}
    }
    assert [take(scope="test", who="me", rate="1/h") for _ in range(3)] == [None, None, None]


def test_a_broker_that_does_not_answer_holds_nobody_up_for_long(settings):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        settings.CACHES = settings.CACHES | {
            "default": settings.CACHES["default"] | {"LOCATION": f"redis://127.0.0.1:{port}/0"}
        }
        began = time.perf_counter()
        assert take(scope="test", who="me", rate="1/h") is None
        assert time.perf_counter() - began < 4


def test_a_new_window_begins_anew(monkeypatch):
    now = 7200.0
    monkeypatch.setattr(throttles.time, "time", lambda: now)
    assert take(scope="test", who="me", rate="1/h") is None
    assert take(scope="test", who="me", rate="1/h") == 3600
    now += 3600
    assert take(scope="test", who="me", rate="1/h") is None


@pytest.mark.parametrize("rate", ["", "ten/min", "10", "10/fortnight", "-1/s"])
def test_a_rate_that_is_none_is_an_error(rate):
    with pytest.raises(ValueError, match="is no rate"):
        parse_rate(rate)


def test_a_session_needs_its_csrf_token(by_session, csrf, assert_problem):
    body = {"content_type": "application/json", "data": "{}"}
    assert_problem(by_session.post(URL, **body), 403)
    assert_problem(by_session.post(URL, **body, headers=csrf), 422)


def test_the_worker_answers(champion, start_worker, anonymous):
    """One worker for all that it answers to: starting one takes seconds."""
    start_worker("predict")
    poster = jpeg()

    spoken = anonymous.post(URL, {"title": "Alien", "overview": "A crew meets something in deep space."})
    assert spoken.status_code == 200, spoken.content
    body = spoken.json()
    assert body["version"] == {"id": champion.pk, "name": champion.name, "sha256": champion.sha256}
    assert body["inputs"] == ["title", "overview"]
    assert {row["id"] for row in body["genres"]} == set(champion.label_ids)
    probabilities = [row["probability"] for row in body["genres"]]
    assert probabilities == sorted(probabilities, reverse=True)
    named = {row["id"] for row in body["genres"] if row["predicted"]}
    assert {genre["id"] for genre in body["predicted"]} == named
    assert named == {row["id"] for row in body["genres"] if row["probability"] >= row["threshold"]}
    assert all(row["poster_probability"] is None for row in body["genres"])

    film = {"title": "Alien", "overview": "A crew meets something in deep space.", "tagline": "In space"}
    as_json = anonymous.post(URL, film | {"poster": base64.b64encode(poster).decode()})
    upload = SimpleUploadedFile("../../etc/passwd", poster, content_type="text/html")
    as_form = anonymous.post(URL, film | {"poster": upload}, format="multipart")
    assert as_json.status_code == as_form.status_code == 200
    assert as_json.json()["inputs"] == ["title", "overview", "poster"]
    by_id = [{row["id"]: row["probability"] for row in one.json()["genres"]} for one in (as_json, as_form)]
    assert by_id[0] == pytest.approx(by_id[1], abs=1e-4), "the same film, however it was sent"

    picture = anonymous.post(URL, {"poster": base64.b64encode(image("WEBP")).decode()}).json()
    assert picture["inputs"] == ["poster"]
    assert all(row["overview_probability"] is None for row in picture["genres"])
    name = anonymous.post(URL, {"title": "<script>alert('Ünïcode')</script> 映画"}).json()
    assert name["inputs"] == ["title"]
