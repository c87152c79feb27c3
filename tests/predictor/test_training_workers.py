"""Promises 4 and 5, on a real worker, database and broker: a training is run, killed, resumed, paused, cancelled."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from catalog.models import Film
from ml_core.artifact import ArtifactDescription, read_test_probabilities
from predictor import inference, promotion, registry
from predictor.models import ModelVersion, Prediction, Promotion, TrainingRun
from predictor.online import OnlineFilm, predict_online
from predictor.training import runs as training
from tests.predictor.trainable import MANY, ask, became, make_trainable_films, processes_of, trains

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.timeout(300)]

LEASE = "3"
LONG = 150


@pytest.fixture(autouse=True)
def _films(transactional_db, _genres):
    make_trainable_films()


def test_a_training_goes_from_the_request_to_a_candidate(start_worker, eventually, settings, admin_user):
    run = ask(epochs=3)
    TrainingRun.objects.filter(pk=run.pk).update(created_by=admin_user)
    worker = start_worker("train")
    eventually(became(run, "done", "failed"), seconds=LONG)
    assert (run.state, run.reason) == ("done", ""), run.log
    version = run.version
    assert version.registered_by == admin_user
    assert version.training == {
        "run": run.pk,
        "settings": run.request,
        "snapshot_sha256": run.snapshot_sha256,
        "code_version": run.code_version,
        "device": run.device,
        "seconds": version.training["seconds"],
        "asked_by": "admin",
    }
    assert version.training["seconds"] == pytest.approx(run.seconds, abs=5)
    assert run.device == "CPU, 1 threads"
    assert registry.champion() is None  # nothing is promoted by itself
    artifact = registry.artifact_folder(version)
    assert ArtifactDescription.read(artifact).config["snapshot"]["sha256"] == run.snapshot_sha256
    assert len(read_test_probabilities(artifact).tmdb_ids) == 12
    assert [(entry["stage"], entry["epoch"]) for entry in run.curves] == [
        ("train heads", 1),
        ("train heads", 2),
        ("train heads", 3),
    ]
    assert {"loss", "val_macro_roc_auc", "train_f1_micro", "learning_rate", "films_per_second"} <= set(
        run.curves[0]
    )
    assert (run.claims, run.interruptions) == (1, 0), worker.output()
    assert run.progress["seconds_left"] == 0, run.progress
    assert run.progress["memory_mb"] > 100
    assert "has the genre Action, Adventure" in run.notes[0]
    assert "train heads" in run.log
    assert str(settings.TRAINING_ROOT) not in run.log
    # What nobody needs any more goes, once the run is done.
    eventually(lambda: not list(Path(settings.TRAINING_ROOT).glob("*/*")))


def test_a_training_on_posters_first_that_learns_from_a_version_before(start_worker, eventually):
    first = ask()
    start_worker("train")
    eventually(became(first, "done", "failed"), seconds=LONG)
    run = ask(poster_epochs=2, tune_epochs=1, teacher=first.version_id, read_posters=True)
    eventually(became(run, "done", "failed"), seconds=LONG)
    assert (run.state, run.reason) == ("done", ""), run.log
    stages = ["tune on posters"] * 2 + ["train heads"] * 2 + ["tune encoders"]
    assert [entry["stage"] for entry in run.curves] == stages
    config = ArtifactDescription.read(registry.artifact_folder(run.version)).config
    assert config["teacher"] == {"name": first.version.name, "sha256": first.version.sha256}
    assert config["encoders"]["image"]["tuned"]
    assert config["encoders"]["sentence"]["tuned"]
    # It was to read, but nothing is written on these posters.
    assert "--read-posters" in config["command"]
    assert not config["reads_poster_text"]
    assert run.progress["seconds"]["posters"] > 0
    assert run.progress["seconds"]["reading"] > 0
    assert run.progress["units"]["posters"] == 16


def test_the_whole_cycle_trained_promoted_predicted_anew_and_rolled_back(
    start_worker, eventually, champion, admin_user
):
    """Promise 7, with the workers of a site: no restart, no answer of two versions, pages whole throughout."""
    films = Film.objects.count()
    start_worker("predict")
    inference.start_run()
    eventually(lambda: Prediction.objects.filter(version=champion).count() == films, seconds=LONG)
    run = ask(epochs=2)
    start_worker("train")
    eventually(became(run, "done", "failed"), seconds=LONG)
    assert registry.champion() == registry.displayed() == champion
    with pytest.raises(promotion.GateRefusedError, match="Too few to judge"):
        promotion.promote(run.version, by=admin_user)
    promotion.promote(run.version, by=admin_user, force_reason="A catalog of 48 films.")
    assert registry.champion() == run.version
    seen: set[int] = set()

    def all_shown() -> bool:
        shown = registry.displayed()
        # Whichever version pages show, it has predicted every film.
        assert Prediction.objects.filter(version=shown).count() == films
        seen.add(shown.pk)
        return shown == run.version

    eventually(all_shown, seconds=LONG)
    assert seen == {champion.pk, run.version.pk}
    answer = predict_online(
        OnlineFilm(title="New", overview="A haunted house awakens.", tagline="", poster=None)
    )
    assert answer.version_id == run.version.pk
    began = time.monotonic()
    promotion.rollback(by=admin_user)
    answer = predict_online(
        OnlineFilm(title="New", overview="A haunted house awakens.", tagline="", poster=None)
    )
    assert answer.version_id == champion.pk
    assert registry.displayed() == champion
    assert time.monotonic() - began < 5
    assert [(p.version, p.is_rollback) for p in Promotion.objects.all()[:2]] == [
        (champion, True),
        (run.version, False),
    ]


def test_a_killed_training_goes_on_from_its_checkpoint(start_worker, eventually, settings):
    run = ask(epochs=MANY)
    worker = start_worker("train")
    eventually(trains(run), seconds=LONG)
    (child,) = processes_of(run, settings.TRAINING_ROOT)
    before = {entry["epoch"]: entry["films_per_second"] for entry in run.curves}
    child.send_signal(signal.SIGKILL)
    eventually(became(run, "done", "failed"), seconds=LONG)
    assert (run.state, run.interruptions, run.claims) == ("done", 1, 2), run.reason
    assert [entry["epoch"] for entry in run.curves] == list(range(1, MANY + 1))
    after = {entry["epoch"]: entry.get("films_per_second") for entry in run.curves}
    # An epoch that is trained again goes at another pace, and one that is only told again has none: at most the one in
    # hand was trained again.
    assert {epoch: after[epoch] for epoch in before} == before
    assert worker.process.poll() is None


def test_a_killed_worker_leaves_no_child_and_another_goes_on(start_worker, eventually, settings):
    run = ask(epochs=MANY)
    victim = start_worker("train", LEASE_SECONDS=LEASE)
    eventually(trains(run), seconds=LONG)
    children = processes_of(run, settings.TRAINING_ROOT)
    assert children
    before = run.curves
    os.kill(victim.pid, signal.SIGKILL)
    eventually(lambda: not processes_of(run, settings.TRAINING_ROOT), seconds=10)
    settings.LEASE_SECONDS = float(LEASE)
    heir = start_worker("train", LEASE_SECONDS=LEASE)
    eventually(became(run, "done", "failed"), seconds=LONG)
    assert (run.state, run.interruptions) == ("done", 1), run.reason
    assert str(heir.pid) in run.worker
    assert [entry["epoch"] for entry in run.curves] == list(range(1, MANY + 1))
    assert run.curves[: len(before)] == before


def test_a_training_that_is_killed_each_time_fails_after_the_third_with_half_the_batch(
    start_worker, eventually, settings
):
    run = ask(epochs=MANY, tune_epochs=50)
    start_worker("train")
    for claim in (1, 2, 3):
        (child,) = eventually(
            lambda claim=claim: (
                became(run, "running")() and run.claims == claim and processes_of(run, settings.TRAINING_ROOT)
            ),
            seconds=60,
        )
        batch = child.cmdline()[child.cmdline().index("--batch-size") + 1]
        assert batch == {1: "256", 2: "256", 3: "128"}[claim]
        child.send_signal(signal.SIGKILL)
    eventually(became(run, "failed"), seconds=60)
    assert run.reason.startswith("It was interrupted 3 times and is not tried again.")
    assert "SIGKILL" in run.reason
    assert not ModelVersion.objects.exists()


def test_a_cancelled_training_is_gone_within_ten_seconds_and_the_next_one_begins(
    start_worker, eventually, settings
):
    run, following = ask(epochs=MANY, tune_epochs=50), ask(epochs=1)
    start_worker("train")
    eventually(trains(run), seconds=LONG)
    training.cancel(run)
    eventually(
        lambda: became(run, "cancelled")() and not processes_of(run, settings.TRAINING_ROOT), seconds=10
    )
    eventually(became(following, "done", "failed"), seconds=LONG)
    assert following.state == "done", following.reason
    assert run.version is None


def test_a_paused_training_goes_on_where_it_was(start_worker, eventually, settings):
    run = ask(epochs=MANY)
    start_worker("train")
    eventually(trains(run), seconds=LONG)
    training.pause(run)
    eventually(became(run, "paused"), seconds=30)
    assert not processes_of(run, settings.TRAINING_ROOT)
    before = run.curves
    assert 2 <= len(before) < MANY
    training.resume(run)
    eventually(became(run, "done", "failed"), seconds=LONG)
    assert (run.state, run.interruptions) == ("done", 0), run.reason
    assert run.curves[: len(before)] == before
    assert len(run.curves) == MANY


def test_a_training_that_exits_with_an_error_fails_with_its_reason(
    start_worker, eventually, settings, tmp_path
):
    # The article's network needs corpora that are not there.
    run = ask(network="lstm_cnn")
    start_worker("train", NLTK_DATA=str(tmp_path), HOME=str(tmp_path))
    eventually(became(run, "failed", "done"), seconds=60)
    assert run.state == "failed"
    assert "nltk" in run.reason.lower()
    assert str(tmp_path) not in run.reason + run.log


def test_a_worker_that_is_stopped_leaves_its_training_to_the_next(start_worker, eventually, settings):
    run = ask(epochs=MANY)
    first = start_worker("train")
    eventually(trains(run), seconds=LONG)
    first.stop()
    assert first.process.returncode == 0
    run.refresh_from_db()
    assert (run.state, run.interruptions) == ("interrupted", 0)
    start_worker("train")
    eventually(became(run, "done", "failed"), seconds=LONG)
    assert run.state == "done", run.reason


def test_of_two_workers_one_trains(start_worker, eventually, settings):
    runs = [ask(epochs=MANY, seed=1), ask(epochs=MANY, seed=2)]
    workers = [start_worker("train", ready=False) for _ in runs]
    for worker in workers:
        worker.wait_until_ready()
    for _ in range(4):
        training.wake()
    eventually(trains(runs[0]), seconds=LONG)
    assert TrainingRun.objects.filter(state="running").count() == 1
    assert len(processes_of(runs[0], settings.TRAINING_ROOT)) == 1
    assert not processes_of(runs[1], settings.TRAINING_ROOT)
    for run in runs:
        training.cancel(run)
    eventually(became(runs[0], "cancelled"))
    assert became(runs[1], "cancelled")()
