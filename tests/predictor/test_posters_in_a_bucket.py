"""Predictions where posters lie in a bucket: `bucket` is one of a stand-in for S3 on loopback."""

from __future__ import annotations

from datetime import timedelta

import pytest

from catalog.posters import store_poster
from ledger.tasks import sweep, work
from predictor import inference
from predictor.models import Prediction
from tests.conftest import keep_media_in_bucket
from tests.factories import jpeg, make_film


@pytest.mark.django_db(transaction=True)
def test_a_worker_reads_posters_from_it(champion, bucket, bucket_environment, start_worker, eventually):
    films = [make_film(poster=store_poster(jpeg(seed=number))) for number in range(3)]
    lost = make_film(poster=store_poster(jpeg(seed=9)))
    bucket.Object(lost.poster.file.name).delete()
    start_worker("predict", **bucket_environment)
    run = inference.start_run()

    def ended() -> bool:
        sweep()
        run.refresh_from_db()
        return run.state != "running"

    eventually(ended, seconds=60)
    assert (run.state, run.predicted) == ("done", 4)
    for film in films:
        assert "poster" in Prediction.objects.get(film=film).inputs
    assert "cannot be read" in Prediction.objects.get(film=lost).poster_error


@pytest.mark.django_db
def test_while_it_is_away_nothing_is_predicted_as_if_there_were_no_posters(
    champion, bucket, s3_service, settings, monkeypatch
):
    film = make_film(poster=store_poster(jpeg()))
    keep_media_in_bucket(settings, "http://127.0.0.1:1")
    run = inference.start_run()
    for _ in range(3):
        work("predict")
    run.refresh_from_db()
    assert (run.state, "cannot be reached" in run.reason) == ("failed", True)
    assert not Prediction.objects.exists()
    keep_media_in_bucket(settings, s3_service)
    # As beat does for whatever lacks a prediction, when what was set aside has rested.
    monkeypatch.setattr(inference, "SET_ASIDE_REST", timedelta(0))
    inference.start_run(automatic=True)
    work("predict")
    assert "poster" in Prediction.objects.get(film=film).inputs
