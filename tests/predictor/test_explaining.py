"""Explanations on request: made by a worker, kept, and never at the cost of predictions."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ledger.workers import say_alive
from ml_core.inputs import tidy
from predictor import explaining, inference
from predictor.explaining import (
    MOST_WAITING,
    decode_request,
    explain_film,
    explain_online,
    kept_explanation,
)
from predictor.models import PredictionRun
from predictor.online import OnlineFilm, PredictorBusy, PredictorUnavailable, predict_online
from tests.factories import jpeg, make_explanation, make_film, make_poster, make_version

STORY = "A detective who cannot sleep follows a trail of letters through a city that is never awake."
FILM = OnlineFilm(title="Night Letters", overview=STORY)


@pytest.fixture(autouse=True)
def _time_enough(settings, broker):
    settings.ONLINE_TIMEOUT_SECONDS = 120  # the first answer waits for the model to be loaded


@pytest.mark.parametrize("version", [None, 7])
def test_a_request_arrives_as_it_was_sent(version, monkeypatch):
    film = OnlineFilm(title="A\nB", overview="{}", poster=b"\n\0")
    sent = []
    monkeypatch.setattr(explaining, "ask", lambda contents, **_: sent.extend(contents) or [{}])
    explaining._ask(film, version_id=version)
    assert decode_request(sent[0]) == (version, film)


def test_a_worker_explains_a_film_as_its_model_does(champion, start_worker):
    from ml_core.explain import explain
    from ml_core.predictor import FilmInput, Predictor
    from predictor import registry

    start_worker("predict")
    content = jpeg(colour=(20, 120, 60))
    film = make_film(title="Night Letters", overview=STORY, poster=make_poster(content))
    answer = explain_film(film, champion)
    alone = explain(
        Predictor.load(registry.artifact_folder(champion)), FilmInput(film.title, STORY, poster=content)
    )
    assert answer.prediction.version_id == champion.pk
    assert answer.prediction.inputs == ("title", "overview", "poster")
    assert [(w.field, w.start, w.end) for w in answer.words] == [
        (w.field, w.start, w.end) for w in alone.words
    ]
    for word, same in zip(answer.words, alone.words, strict=True):
        assert word.effects == pytest.approx(same.effects.tolist(), abs=0.02)
    assert answer.from_poster == pytest.approx(alone.from_poster.tolist(), abs=0.02)
    assert [len(row) for row in answer.regions] == [4] * 6

    # What is asked for again is known already, and is the same.
    assert kept_explanation(film, champion) == answer
    # Not of a film that changed, nor of another version.
    film.input_hash = "0" * 32
    assert kept_explanation(film, champion) is None
    assert kept_explanation(film, make_version(displayed=False)) is None

    online = explain_online(FILM)
    assert online.prediction.version_id == champion.pk
    assert online.regions is None
    broken = explain_online(OnlineFilm(title="It", poster=b"no image"))
    assert "not an image" in broken.prediction.poster_error
    assert [tidy("It")[word.start : word.end] for word in broken.words] == ["It"]
    assert explain_online(OnlineFilm()).words == ()
    with pytest.raises(PredictorUnavailable, match="not here"):
        explain_film(make_film(), make_version(displayed=False, pk=999_999) and _unsaved(999_998))


def _unsaved(pk):
    from predictor.models import ModelVersion

    return ModelVersion(pk=pk)


def test_a_version_other_than_the_champion_explains_its_own_answer(champion, other_artifact, start_worker):
    from predictor import registry

    start_worker("predict")
    other = registry.register(other_artifact)
    film = make_film(overview=STORY)
    found = {version.pk: explain_film(film, version).prediction for version in (champion, other)}
    assert {pk: prediction.version_id for pk, prediction in found.items()} == {pk: pk for pk in found}
    assert found[champion.pk].probabilities != found[other.pk].probabilities


def test_without_a_worker_one_is_told_so_at_once(champion):
    start = time.monotonic()
    with pytest.raises(PredictorUnavailable, match="No prediction worker is running"):
        explain_film(make_film(), champion)
    assert time.monotonic() - start < 1


@pytest.mark.django_db
def test_more_than_may_wait_are_refused_and_leave_room_for_predictions(broker, settings):
    settings.ONLINE_TIMEOUT_SECONDS = 3
    say_alive(name="deaf", queues=["predict"])
    with ThreadPoolExecutor(MOST_WAITING) as pool:
        waiting = [pool.submit(explain_online, FILM) for _ in range(MOST_WAITING)]
        while broker.llen(explaining.QUEUE) < MOST_WAITING:
            time.sleep(0.01)
        with pytest.raises(PredictorBusy):
            explain_online(FILM)
        with pytest.raises(PredictorUnavailable, match="did not answer in time"):
            predict_online(FILM, timeout=0.1)  # let in, though the deaf worker does not answer
        assert all(isinstance(each.exception(), PredictorUnavailable) for each in waiting)
    assert broker.llen(explaining.QUEUE) == 0


def test_a_burst_of_explanations_is_overtaken_by_predictions(champion, start_worker, broker):
    start_worker("predict")
    predict_online(FILM)
    with ThreadPoolExecutor(MOST_WAITING) as pool:
        burst = [pool.submit(explain_online, FILM) for _ in range(MOST_WAITING)]
        while broker.llen(explaining.QUEUE) < MOST_WAITING - 1:
            time.sleep(0.01)
        for _ in range(3):
            predict_online(FILM)
        done = sum(each.done() for each in burst)
        # Each of the three waited for the one explanation that was being made, and for no other.
        assert done <= 5
        assert all(each.result().words for each in burst)


def test_an_explanation_does_not_wait_for_a_chunk(champion, start_worker, monkeypatch, eventually):
    monkeypatch.setattr(inference, "FEWEST_CHUNK_FILMS", 500)  # one chunk of several sub-batches
    for _ in range(260):
        make_film(overview=STORY * 8)
    start_worker("predict")
    predict_online(FILM)
    run = inference.start_run()
    eventually(lambda: run.version.prediction_runs.filter(state="running").exists())
    assert explain_online(FILM).words
    run.refresh_from_db()
    assert (run.state, run.predicted) == (PredictionRun.State.RUNNING, 0)
    inference.cancel(run)


def test_what_is_kept_is_small(db, broker):
    film = make_film(overview=f"{STORY} " * 4, poster=make_poster())
    version = make_version()
    genres = dict.fromkeys(("Drama", "Crime", "War", "Comedy"), -1.234)
    make_explanation(film, version, words=dict.fromkeys(STORY.split(), genres))
    (key,) = broker.keys("*explanation:*")
    assert broker.strlen(key) < 8000
    assert 0 < broker.ttl(key) <= explaining.CACHE_SECONDS
