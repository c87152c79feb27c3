"""Prediction runs: what they cover, what they write, how they end. In this process, without a worker."""

from __future__ import annotations

import numpy as np
import pytest
from django.core.cache import cache
from django.core.files.storage import default_storage

from catalog.models import Film
from ledger import chunks
from ledger.models import WorkChunk
from ledger.tasks import work
from predictor import inference, predicting, registry
from predictor.models import Prediction, PredictionRun
from predictor.tasks import start_missing_predictions
from tests.factories import GENRE_IDS, jpeg, make_film, make_poster, make_prediction
from tests.predictor.conftest import TESTED_ON, TRAINED_ON

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _small_chunks(settings):
    settings.PREDICT_CHUNK_FILMS = 3


def run_to_its_end(run: PredictionRun) -> PredictionRun:
    work("predict")
    run.refresh_from_db()
    return run


def test_a_run_is_cut_into_chunks_of_films_that_lack_a_prediction(champion):
    films = [make_film() for _ in range(8)]
    make_prediction(films[1], champion)
    make_prediction(films[2], champion, input_hash="of an older overview")
    run = inference.start_run()
    assert (run.total, run.state) == (7, "running")
    spans = WorkChunk.objects.filter(run=run.pk).order_by("first").values_list("first", "last")
    lacking = [film.pk for film in films if film != films[1]]
    assert list(spans) == [(s[0], s[-1] + 1) for s in (lacking[:3], lacking[3:6], lacking[6:])]


def test_a_second_run_of_the_same_version_is_the_first(champion):
    make_film()
    assert inference.start_run() == inference.start_run()
    assert WorkChunk.objects.count() == 1


def test_a_run_with_nothing_to_predict_is_done(champion):
    run = inference.start_run()
    assert (run.state, run.total, run.finished_at is not None) == ("done", 0, True)


def test_without_a_champion_there_is_no_run():
    with pytest.raises(inference.NoChampionError, match="register_model --promote"):
        inference.start_run()


def test_predictions_say_what_they_rest_on(champion):
    both = make_film(poster=make_poster(jpeg()), genres=["Drama"])
    bare = make_film(title="It", overview="")
    run = run_to_its_end(inference.start_run())
    assert (run.state, run.predicted, run.total) == ("done", 2, 2)
    prediction = Prediction.objects.get(film=both)
    assert prediction.inputs == ["title", "overview", "poster"]
    assert len(prediction.probabilities) == len(prediction.poster_probabilities) == 18
    assert np.linalg.norm(prediction.embedding) == pytest.approx(1, abs=0.01)
    assert sorted(prediction.hits + prediction.misses) == both.label_ids
    assert prediction.input_hash == both.input_hash
    prediction = Prediction.objects.get(film=bare)
    assert prediction.inputs == ["title"]
    assert prediction.overview_probabilities is prediction.poster_probabilities is None
    assert prediction.hits is prediction.surprise is None


def test_a_film_is_predicted_as_by_the_model_alone(champion):
    from ml_core.predictor import FilmInput
    from predictor.serving import models

    film = make_film(poster=make_poster(content := jpeg(colour=(10, 90, 200))))
    make_film(overview="Another film of quite another length, whose words are padded or packed beside it.")
    run_to_its_end(inference.start_run())
    alone = models.get(champion).predict([FilmInput(film.title, film.overview, film.tagline, content)])
    stored = Prediction.objects.get(film=film)
    assert stored.probabilities == pytest.approx(alone.probabilities[0].tolist(), abs=0.01)
    assert stored.poster_probabilities == pytest.approx(alone.poster_probabilities[0].tolist(), abs=0.01)
    assert stored.predicted == sorted(
        label for label, p in zip(champion.label_ids, stored.probabilities, strict=True) if p >= 0.5
    )


def test_a_film_is_marked_with_its_part_in_the_versions_training(champion):
    films = [
        make_film(tmdb_id=TRAINED_ON),
        make_film(tmdb_id=TESTED_ON),
        make_film(),
        make_film(tmdb_id=None),
    ]
    run_to_its_end(inference.start_run())
    parts = dict(Prediction.objects.values_list("film", "part"))
    assert [parts[film.pk] for film in films] == ["train", "test", "", ""]


def test_a_poster_that_cannot_be_read_or_decoded_costs_the_poster_alone(champion):
    lost, broken = make_poster(jpeg(seed=1)), make_poster(jpeg(seed=2))
    default_storage.delete(lost.file.name)
    with default_storage.open(broken.file.name, "wb") as file:
        file.write(b"no image at all")
    films = [make_film(poster=lost), make_film(poster=broken)]
    run = run_to_its_end(inference.start_run())
    assert run.state == "done"
    first, second = (Prediction.objects.get(film=film) for film in films)
    assert first.inputs == second.inputs == ["title", "overview"]
    assert "cannot be read" in first.poster_error
    assert "not an image" in second.poster_error


def test_the_same_chunk_worked_on_twice_leaves_what_once_leaves(champion):
    for _ in range(3):
        make_film(genres=["Drama"])
    run = inference.start_run()
    first = chunks.claim(kind="predict", worker="slow", lease_seconds=-1)
    inference_before = list(Prediction.objects.values_list("film", "probabilities"))
    assert inference_before == []
    chunks.release_expired()
    run = run_to_its_end(run)
    before = list(Prediction.objects.order_by("film").values())
    with pytest.raises(chunks.LeaseLostError):
        inference.predict_chunk(first)
    run.refresh_from_db()
    assert list(Prediction.objects.order_by("film").values()) == before
    assert (run.predicted, run.total) == (3, 3)


def test_a_film_that_changed_while_it_was_predicted_is_left_for_the_next_run(champion):
    kept, edited, labelled, deleted = (make_film(genres=["Drama"]) for _ in range(4))
    films = predicting.read_films(version=champion, first=0, last=deleted.pk + 1)
    predictions = list(predicting.predict_films(films, version=champion, between=lambda: None))
    Film.objects.filter(pk=edited.pk).update(input_hash="another")
    Film.objects.filter(pk=labelled.pk).update(label_ids=[GENRE_IDS["War"]])
    Film.objects.filter(pk=deleted.pk).delete()
    assert predicting.write_predictions(predictions, version=champion) == 1
    assert list(Prediction.objects.values_list("film", flat=True)) == [kept.pk]


def test_a_changed_film_is_predicted_again_in_its_place(champion):
    film = make_film()
    make_prediction(film, champion, input_hash="before", probabilities={"War": 0.99})
    run_to_its_end(inference.start_run())
    prediction = Prediction.objects.get()
    assert prediction.input_hash == film.input_hash
    assert max(prediction.probabilities) < 0.99


def test_a_cancelled_run_says_so_and_keeps_what_it_has(champion):
    for _ in range(9):
        make_film()
    run = inference.start_run()
    claimed = chunks.claim(kind="predict", worker="a")
    inference.predict_chunk(claimed)
    assert inference.cancel(run)
    run.refresh_from_db()
    assert (run.state, run.predicted) == ("cancelled", 3)
    assert run.reason.startswith("Cancelled with 2 of 3 chunks left.")
    assert Prediction.objects.count() == 3
    assert not inference.cancel(run)


def test_a_new_champion_is_shown_when_its_run_ends(champion, other_artifact):
    make_film()
    run_to_its_end(inference.start_run())
    new = registry.register(other_artifact)
    registry.promote(new)
    assert registry.displayed() == champion
    run_to_its_end(inference.start_run())
    assert registry.displayed() == new


def test_new_and_changed_films_are_found_by_themselves(champion, broker):
    cache.clear()
    film = make_film()
    start_missing_predictions()
    assert run_to_its_end(PredictionRun.objects.get()).predicted == 1
    Film.objects.filter(pk=film.pk).update(input_hash="changed")
    inference.start_run()
    assert run_to_its_end(PredictionRun.objects.first()).predicted == 1


def test_what_was_cancelled_is_not_started_again_by_itself(champion, broker):
    cache.clear()
    make_film()
    inference.cancel(inference.start_run())
    start_missing_predictions()
    assert PredictionRun.objects.count() == 1
    run_to_its_end(inference.start_run())
    make_film()
    start_missing_predictions()
    assert PredictionRun.objects.first().state == "running"


def test_films_set_aside_rest_from_automatic_runs_but_not_from_those_asked_for(champion, broker):
    cache.clear()
    film = make_film()
    run = inference.start_run()
    for _ in range(chunks.MAX_ATTEMPTS):
        chunks.fail(chunks.claim(kind="predict", worker="a"), "the model failed")
    run.refresh_from_db()
    assert run.state == "failed"
    assert run.reason == (f"1 of 1 chunks were set aside. Films {film.pk} to {film.pk}: the model failed")
    start_missing_predictions()
    assert PredictionRun.objects.count() == 1
    assert inference.start_run().total == 1
