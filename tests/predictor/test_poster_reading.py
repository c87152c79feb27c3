"""A poster that comes with nothing else is read by the worker, and who asked is told what was read."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from ledger.workers import live_workers
from predictor import registry
from predictor.models import ModelVersion
from predictor.online import OnlineFilm, predict_online_many
from tests.lettering import lettered
from tests.predictor.artifacts import write_random_artifact
from tests.predictor.reading import page_text

POSTER = lettered(["HAUNTED", "HOUSE"])


@pytest.fixture
def reading_champion(transactional_db: None, tmp_path: Path) -> ModelVersion:
    version = registry.register(write_random_artifact(tmp_path / "reading", seed=3, reads_posters=True))
    registry.promote(version)
    return version


@pytest.fixture(autouse=True)
def _no_throttle(broker):
    """Nobody has asked yet."""


def test_every_door_tells_what_was_read(client, reading_champion, start_worker, settings, eventually):
    settings.ONLINE_TIMEOUT_SECONDS = 60  # the first answer waits for the model to be loaded
    start_worker("predict")
    eventually(lambda: live_workers(queue="predict"))
    read, titled, blank = predict_online_many(
        [OnlineFilm(poster=POSTER), OnlineFilm(title="It", poster=POSTER), OnlineFilm(poster=lettered([]))]
    )
    assert (read.poster_text, titled.poster_text, blank.poster_text) == ("HAUNTED HOUSE", "", "")
    assert read.inputs == blank.inputs == ("poster",)
    assert read.poster_probabilities == read.probabilities

    page = client.post("/try/", {"poster": SimpleUploadedFile("poster.png", POSTER, "image/png")})
    assert "Read on it: HAUNTED HOUSE" in page_text(page)
    page = client.post(
        "/try/", {"title": "It", "poster": SimpleUploadedFile("poster.png", POSTER, "image/png")}
    )
    assert "Read on it" not in page_text(page)

    answer = APIClient().post(
        "/api/v1/predict/",
        {"poster": SimpleUploadedFile("poster.png", POSTER, "image/png"), "explain": "true"},
        format="multipart",
    )
    assert answer.status_code == 200, answer.content
    assert answer.data["poster_text"] == "HAUNTED HOUSE"
    assert answer.data["inputs"] == ["poster"]
    contributions = answer.data["explanation"]["genres"][0]["contributions"]
    assert [part["input"] for part in contributions] == ["poster"]
