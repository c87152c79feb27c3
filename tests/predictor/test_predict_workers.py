"""Promises 1, 2, 3 and 8, on real workers: killed, woken twice, killed by their work, cut off from the database."""

from __future__ import annotations

import os
import signal

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from ledger.models import WorkChunk
from ledger.tasks import sweep, work
from ledger.workers import live_workers
from predictor import inference
from predictor.management.commands import predict
from predictor.models import Prediction, PredictionRun
from tests.factories import make_film, make_prediction

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("champion")]

# Seconds: a lost worker is noticed after this, so that tests need not wait for production's half minute.
LEASE = "3"
OVERVIEW = (
    "A detective who cannot sleep follows a trail of letters through a city that is never quite awake. " * 4
)


def ended(run: PredictionRun) -> bool:
    """As beat does it every 15 s, only sooner."""
    sweep()
    run.refresh_from_db()
    return run.state != "running"


def leased_by(pid: int) -> WorkChunk | None:
    return WorkChunk.objects.filter(state="leased", worker__contains=f":{pid}:").first()


def assert_every_film_is_predicted_once(run: PredictionRun, films: int) -> None:
    assert (run.state, run.reason) == ("done", "")
    assert (run.predicted, run.total, Prediction.objects.count()) == (films, films, films)


def test_a_worker_killed_in_a_chunk_loses_nothing_and_doubles_nothing(start_worker, eventually, settings):
    settings.PREDICT_CHUNK_FILMS = 10
    for _ in range(60):
        make_film(overview=OVERVIEW)
    victim = start_worker("predict", LEASE_SECONDS=LEASE, ready=False)
    heir = start_worker("predict", LEASE_SECONDS=LEASE)
    victim.wait_until_ready()
    run = inference.start_run()
    held = eventually(lambda: leased_by(victim.pid))
    os.kill(victim.pid, signal.SIGKILL)
    eventually(lambda: ended(run), seconds=60)
    assert_every_film_is_predicted_once(run, 60)
    held.refresh_from_db()
    assert held.state == "done"
    if held.attempts == 2:  # it was killed before the chunk was finished, which is all but certain
        assert f":{heir.pid}:" in held.worker
        assert f":{victim.pid}:" in held.reason


def test_a_message_delivered_many_times_is_worked_on_once(start_worker, eventually, settings):
    settings.PREDICT_CHUNK_FILMS = 5
    for _ in range(20):
        make_film()
    run = inference.start_run()
    for _ in range(6):
        work.apply_async(("predict",), queue="predict")
    start_worker("predict")
    eventually(lambda: ended(run))
    assert_every_film_is_predicted_once(run, 20)
    assert set(WorkChunk.objects.values_list("attempts", flat=True)) == {1}


def test_a_chunk_that_kills_its_worker_three_times_is_set_aside_and_the_run_says_why(
    start_worker, eventually, settings
):
    settings.PREDICT_CHUNK_FILMS = 2
    films = [make_film() for _ in range(6)]
    run = inference.start_run()
    deaths = 0
    while not ended(run):
        worker = start_worker(
            "predict",
            ready=False,
            options=("--include", "tests.predictor.deadly"),
            LEASE_SECONDS="3",
            DEADLY_FILM=str(films[0].pk),
        )
        eventually(lambda worker=worker: ended(run) or worker.process.poll() is not None, seconds=60)
        deaths += worker.process.poll() == -signal.SIGKILL
        eventually(lambda: ended(run) or WorkChunk.objects.filter(state="waiting").exists())
        assert deaths <= 3
    assert deaths == 3
    assert (run.state, run.predicted) == ("failed", 4)
    assert f"1 of 3 chunks were set aside. Films {films[0].pk} to {films[1].pk}" in run.reason
    assert "was lost while it worked on this (attempt 3 of 3)" in run.reason


def test_a_worker_survives_losing_its_database_connections(start_worker, eventually, settings):
    settings.PREDICT_CHUNK_FILMS = 10
    for _ in range(40):
        make_film(overview=OVERVIEW)
    worker = start_worker("predict", LEASE_SECONDS=LEASE)
    run = inference.start_run()
    eventually(lambda: leased_by(worker.pid))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert cursor.fetchone()[0] >= 1
    eventually(lambda: ended(run), seconds=60)
    assert_every_film_is_predicted_once(run, 40)
    assert worker.process.poll() is None


def test_a_stopping_worker_gives_its_chunk_back_at_once(start_worker, eventually, monkeypatch):
    monkeypatch.setattr(inference, "FEWEST_CHUNK_FILMS", 500)  # one chunk of several sub-batches
    for _ in range(150):
        make_film(overview=OVERVIEW)
    worker = start_worker("predict")
    inference.start_run()
    eventually(lambda: leased_by(worker.pid))
    worker.stop()
    chunk = WorkChunk.objects.get()
    assert (chunk.state, chunk.attempts) == ("waiting", 0)
    assert not live_workers()


def test_the_command_waits_for_a_worker_and_shows_progress(start_worker, capsys):
    for _ in range(5):
        make_film()
    call_command("predict")
    assert "No prediction worker is running" in capsys.readouterr().out
    start_worker("predict", ready=False)
    call_command("predict", "--wait")
    out = capsys.readouterr().out
    assert "5 of 5 films predicted" in out or "Done: 5 films predicted." in out
    assert Prediction.objects.count() == 5
    live = live_workers(queue="predict")
    assert [worker.queues for worker in live] == [("predict",)]


def test_the_rate_shown_is_of_what_was_predicted_since_the_command_looks(broker, capsys, monkeypatch):
    for _ in range(5):
        make_film()
    run = inference.start_run()
    PredictionRun.objects.filter(pk=run.pk).update(predicted=3)
    monkeypatch.setattr(
        predict.time,
        "sleep",
        lambda _: PredictionRun.objects.update(predicted=5, state=PredictionRun.State.DONE),
    )
    call_command("predict", "--wait")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "  3 of 5 films predicted"
    assert lines[-1] == "Done: 5 films predicted."


def test_the_command_says_so_where_every_film_has_its_prediction(champion, broker, capsys):
    make_prediction(make_film(), champion)
    call_command("predict", "--wait")
    assert capsys.readouterr().out == "Every film has its prediction.\n"


def test_the_command_says_that_the_broker_is_down(settings, tmp_path):
    make_film()
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    with pytest.raises(CommandError, match="broker cannot be reached"):
        call_command("predict")
    assert not PredictionRun.objects.exists()
