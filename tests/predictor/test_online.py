"""Online predictions: promises 7 and 8, and what the side that asks is told when nobody can answer."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from genresite.embedded import servers
from ledger import broker as ledger_broker
from ledger.workers import say_alive
from predictor import inference, online, registry
from predictor.models import PredictionRun
from predictor.online import (
    OnlineFilm,
    PredictorBusy,
    PredictorUnavailable,
    decode_film,
    encode_film,
    predict_online,
    predict_online_many,
)
from tests.factories import jpeg, make_film

FILM = OnlineFilm(title="Night Letters", overview="A detective who cannot sleep follows a trail of letters.")


@pytest.fixture
def deaf_worker(broker):
    """A worker that is alive and answers nothing."""
    say_alive(name="deaf", queues=["predict"])


def asked_in_vain(**options) -> tuple[PredictorUnavailable, float]:
    start = time.monotonic()
    with pytest.raises(PredictorUnavailable) as caught:
        predict_online(FILM, **options)
    return caught.value, time.monotonic() - start


@pytest.mark.parametrize("poster", [None, b"", b"\xff\xd8\n{}\n\x00"])
def test_a_film_arrives_as_it_was_sent(poster):
    film = OnlineFilm(title="Tîtle\n", overview="{}", tagline='"', poster=poster)
    assert decode_film(encode_film(film)) == film


def test_without_a_worker_one_is_told_so_at_once(broker):
    error, seconds = asked_in_vain()
    assert error.reason == "No prediction worker is running."
    assert seconds < 1


def test_a_worker_that_does_not_answer_is_waited_for_no_longer_than_allowed(deaf_worker, broker):
    error, seconds = asked_in_vain(timeout=0.3)
    assert "did not answer in time" in error.reason
    assert 0.2 < seconds < 2
    assert not [key for key in broker.keys("genresite:online:*") if b"bytes" not in key]
    assert int(broker.get(online.BYTES)) == 0


def test_a_broker_that_is_gone_is_told_within_two_seconds(settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    error, seconds = asked_in_vain()
    assert "broker" in error.reason
    assert seconds < 2


def test_a_broker_that_hangs_is_told_within_two_seconds(settings):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        error, seconds = asked_in_vain()
        assert "broker" in error.reason
        assert seconds < 2
        with pytest.raises(ledger_broker.BrokerUnavailableError):
            ledger_broker.require_broker()


def test_more_requests_than_may_wait_are_refused_with_when_to_come_again(deaf_worker, broker, settings):
    settings.ONLINE_QUEUE_LIMIT = 2
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(predict_online, FILM, timeout=3) for _ in range(2)]
        while broker.llen(online.QUEUE) < 2:
            time.sleep(0.01)
        with pytest.raises(PredictorBusy) as caught:
            predict_online(FILM)
        assert caught.value.retry_after > 0
        assert broker.llen(online.QUEUE) == 2
        for each in waiting:
            assert isinstance(each.exception(), PredictorUnavailable)
    with pytest.raises(PredictorBusy):
        predict_online_many([FILM] * 3)
    assert broker.llen(online.QUEUE) == 0


def test_posters_that_wait_are_limited_in_bytes(deaf_worker, broker, monkeypatch):
    monkeypatch.setattr(online, "MOST_WAITING_BYTES", 10_000)
    heavy = OnlineFilm(title="Poster", poster=b"x" * 8_000)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(predict_online, heavy, timeout=2)
        while broker.llen(online.QUEUE) < 1:
            time.sleep(0.01)
        with pytest.raises(PredictorBusy):
            predict_online(heavy)


def test_without_a_champion_the_worker_says_so(start_worker):
    start_worker("predict")
    error, _ = asked_in_vain()
    assert error.reason == "No model has been promoted."


def test_answers_are_those_of_the_model_and_say_their_inputs(champion, start_worker):
    from ml_core.predictor import FilmInput, Predictor

    start_worker("predict")
    poster = jpeg(colour=(20, 120, 60))
    films = [FILM, OnlineFilm(poster=poster), OnlineFilm(title="It", poster=b"no image"), OnlineFilm()]
    answers = predict_online_many(films)
    alone = Predictor.load(registry.artifact_folder(champion)).predict(
        [FilmInput(film.title, film.overview, film.tagline, film.poster) for film in films]
    )
    for row, answer in enumerate(answers):
        assert answer.version_id == champion.pk
        assert answer.probabilities == pytest.approx(alone.probabilities[row].tolist(), abs=0.01)
    assert [answer.inputs for answer in answers] == [("title", "overview"), ("poster",), ("title",), ()]
    assert answers[0].poster_probabilities is None
    assert answers[1].overview_probabilities is None
    assert len(answers[1].poster_probabilities) == 18
    assert "not an image" in answers[2].poster_error
    assert answers[3].predicted == ()


def test_no_answer_mixes_two_versions_and_a_rollback_is_answered_at_once(
    champion, other_artifact, start_worker, eventually
):
    start_worker("predict")
    other = registry.register(other_artifact)
    expected = {champion.pk: predict_online(FILM).probabilities}
    registry.promote(other)
    answer = eventually(lambda: (a := predict_online(FILM)).version_id == other.pk and a)
    expected[other.pk] = answer.probabilities
    assert not np.allclose(*expected.values(), atol=0.05)
    enough = threading.Event()

    def ask() -> list[online.OnlinePrediction]:
        answers = []
        while not enough.is_set():
            answers += predict_online_many([FILM] * 3)
        return answers

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask) for _ in range(3)]
        for _ in range(10):
            for version in (champion, other):
                registry.promote(version)
                start = time.monotonic()
                assert predict_online(FILM).version_id == version.pk
                assert time.monotonic() - start < 5
        enough.set()
        answers = [answer for each in asking for answer in each.result()]
    assert {answer.version_id for answer in answers} == set(expected)
    for answer in answers:
        assert np.allclose(answer.probabilities, expected[answer.version_id], atol=0.01)


def test_an_online_request_does_not_wait_for_a_chunk(champion, start_worker, monkeypatch, eventually):
    monkeypatch.setattr(inference, "FEWEST_CHUNK_FILMS", 500)  # one chunk of several sub-batches
    overview = "A detective follows a trail of letters through a city that is never awake. " * 10
    for _ in range(260):
        make_film(overview=overview)
    start_worker("predict")
    predict_online(FILM)
    run = inference.start_run()
    eventually(lambda: run.version.prediction_runs.filter(state="running").exists())
    answers = [predict_online(FILM) for _ in range(3)]
    assert len(answers) == 3
    run.refresh_from_db()
    assert (run.state, run.predicted) == (PredictionRun.State.RUNNING, 0)
    inference.cancel(run)


@pytest.mark.usefixtures("champion")
def test_everything_recovers_when_the_broker_comes_back(
    start_worker, settings, tmp_path, monkeypatch, eventually
):
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.setenv("DATABASE_URL", "is not to be started")
    with servers(tmp_path / "v") as (variables, _):
        settings.REDIS_URL = variables["REDIS_URL"]
        start_worker("predict")
        predict_online(FILM)
    error, seconds = asked_in_vain()
    assert "broker" in error.reason
    assert seconds < 2
    with servers(tmp_path / "v"):
        assert eventually(_answered, seconds=60)


def _answered() -> bool:
    try:
        return bool(predict_online(FILM).probabilities)
    except PredictorUnavailable:
        return False


def test_the_side_that_asks_never_imports_torch():
    import subprocess
    import sys

    code = (
        "import os, django, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'genresite.settings'; django.setup();"
        "import predictor.online, predictor.tasks, predictor.registry, predictor.admin;"
        "sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        check=False,
        env={"PATH": "", "SECRET_KEY": "x" * 50, "GENRESITE_NO_POOL": "1"},
    )
    assert done.returncode == 0
