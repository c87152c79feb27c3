"""Try it: a form, a prediction by a worker, and nothing kept."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from catalog.models import Film, Poster
from catalog.posters import MOST_BYTES
from ledger.workers import live_workers, say_alive
from predictor.models import ModelPointers, Prediction
from tests.factories import jpeg, make_film
from tests.predictor.reading import page_text

pytestmark = pytest.mark.django_db
STORY = "A retired safecracker is talked into one last robbery by his daughter."


@pytest.fixture(autouse=True)
def _no_throttle(broker):
    cache.clear()


def upload(content: bytes, name: str = "poster.jpg", kind: str = "image/jpeg") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, kind)


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


# The form -----------------------------------------------------------------------------------------------------


def test_the_form_needs_no_script(client):
    page = client.get("/try/").content.decode()
    assert re.search(r'<form[^>]+method="post"[^>]+action="/try/"[^>]+enctype="multipart/form-data"', page)
    for field in ("title", "overview", "poster"):
        assert f'name="{field}"' in page


def test_it_can_begin_with_a_film_of_the_catalog(client):
    film = make_film(title="Rififi", overview=STORY)
    page = client.get(f"/try/?film={film.pk}").content.decode()
    assert 'value="Rififi"' in page
    assert STORY in page


@pytest.mark.parametrize("number", ["0", "-1", "x", "99999999999999999999", "²"])
def test_a_film_there_is_not_begins_with_nothing(client, number):
    assert client.get("/try/", {"film": number}).status_code == 200


def test_something_must_be_given(client):
    assert "Give a poster, an overview, or both." in page_text(
        client.post("/try/", {"title": "Heist"}), status=400
    )


@pytest.mark.parametrize(
    ("poster", "words"),
    [
        (upload(b"<html>not found</html>"), "image"),
        (upload(jpeg()[:-200]), "ends before it is complete"),
        (upload(b""), "empty"),
        (upload(png(30_000, 30_000), "bomb.png", "image/png"), "pixels"),
    ],
    ids=["no image", "truncated", "empty", "bomb"],
)
def test_a_poster_that_is_none_is_refused_with_the_reason(client, poster, words):
    poster.seek(0)
    began = time.monotonic()
    response = client.post("/try/", {"overview": STORY, "poster": poster})
    assert time.monotonic() - began < 5
    shown = page_text(response, status=400)
    assert re.search(words, shown, re.IGNORECASE)
    assert STORY in response.content.decode()


def test_a_poster_of_more_than_10_mb_is_refused(client):
    response = client.post("/try/", {"poster": upload(jpeg() + b"\0" * MOST_BYTES)})
    assert "The poster has 10.0 MB; at most 10 MB are taken." in page_text(response, status=413)


def test_an_endless_body_is_refused_before_it_is_read(client):
    class Unread(io.BytesIO):
        def read(self, *args):
            raise AssertionError("the body was read")

    response = client.generic(
        "POST",
        "/try/",
        b"",
        content_type="multipart/form-data; boundary=x",
        **{
            "CONTENT_LENGTH": str(2 * 2**30),
            "wsgi.input": Unread(),
        },
    )
    assert "far more than 10 MB" in page_text(response, status=413)


def test_an_overview_without_end_is_refused(client):
    assert "at most 10000 characters" in page_text(
        client.post("/try/", {"overview": "x" * 10_001}), status=400
    )


# When nobody answers ------------------------------------------------------------------------------------------


def test_without_a_worker_it_says_so_and_keeps_what_was_written(client):
    response = client.post("/try/", {"overview": STORY})
    assert int(response["Retry-After"]) > 0
    assert "No prediction worker is running." in page_text(response, status=503)
    assert STORY in response.content.decode()


def test_when_too_much_waits_it_says_when_to_come_back(client, settings):
    settings.ONLINE_QUEUE_LIMIT = 0
    say_alive(name="a worker", queues=["predict"])
    response = client.post("/try/", {"overview": STORY})
    assert response["Retry-After"] == "5"
    assert "Try again in 5 seconds." in page_text(response, status=503)


def test_a_worker_that_does_not_answer_is_not_waited_for_without_end(client, settings):
    settings.ONLINE_TIMEOUT_SECONDS = 0.2
    say_alive(name="a worker", queues=["predict"])
    assert "did not answer in time" in page_text(client.post("/try/", {"overview": STORY}), status=503)


def test_without_the_broker_it_says_so_within_two_seconds(client, settings):
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    began = time.monotonic()
    shown = page_text(client.post("/try/", {"overview": STORY}), status=503)
    assert time.monotonic() - began < 2
    assert "The message broker cannot be reached." in shown


# How often ------------------------------------------------------------------------------------------------------


def test_who_asks_too_often_waits(client, settings):
    settings.PREDICT_RATE_ANONYMOUS = "2/min"
    answers = [client.post("/try/", {"overview": STORY}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 429]
    assert 0 < int(answers[-1]["Retry-After"]) <= 60
    assert STORY in answers[-1].content.decode()
    assert client.get("/try/").status_code == 200
    assert client.post("/try/", {"overview": STORY}, REMOTE_ADDR="10.0.0.9").status_code == 503


def test_a_forged_address_is_no_way_around(client, settings):
    settings.PREDICT_RATE_ANONYMOUS = "1/min"
    answers = [
        client.post("/try/", {"overview": STORY}, headers={"X-Forwarded-For": f"10.0.0.{number}"})
        for number in range(2)
    ]
    assert [answer.status_code for answer in answers] == [503, 429]


# The answer -----------------------------------------------------------------------------------------------------


def test_a_worker_predicts_it_and_nothing_is_kept(client, champion, start_worker, settings, eventually):
    settings.ONLINE_TIMEOUT_SECONDS = 60  # the first answer waits for the model to be loaded
    start_worker("predict")
    eventually(lambda: live_workers(queue="predict"))
    # A random model: whether it says yes is no matter, all 18 genres are shown either way.
    both = client.post("/try/", {"title": "Heist", "overview": STORY, "poster": upload(jpeg())})
    shown = page_text(both)
    assert "Predicted from title, overview and poster" in shown
    assert len(re.findall(r"\(says yes from \d", shown)) == 18
    assert "TMDB yes" not in shown
    assert f'href="/models/{champion.pk}/"' in both.content.decode()
    assert "overview alone" in shown
    assert "poster alone" in shown
    assert 'src="data:image/jpeg;base64,' in both.content.decode()
    assert "img-src 'self' data:" in both["Content-Security-Policy"]

    overview = page_text(client.post("/try/", {"overview": STORY}))
    assert "Predicted from overview; there was no poster" in overview
    poster = page_text(client.post("/try/", {"poster": upload(jpeg())}))
    assert "Predicted from poster; there was no overview" in poster

    assert not Film.objects.exists()
    assert not Poster.objects.exists()
    assert not Prediction.objects.exists()
    # The storage holds the champion's artifact, and nothing of what was sent.
    kept = [
        path.relative_to(settings.MEDIA_ROOT)
        for path in Path(settings.MEDIA_ROOT).rglob("*")
        if path.is_file()
    ]
    assert {path.parts[0] for path in kept} == {"models"}
    assert "no-store" in both["Cache-Control"]

    # Its champion is taken back: an answer, and no crash.
    ModelPointers.objects.update(champion=None, displayed=None)
    assert client.post("/try/", {"overview": STORY}).status_code in {200, 503}
