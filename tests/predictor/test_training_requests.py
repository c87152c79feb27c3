"""Promise 5 and the doors of trainings: what is asked for, what is refused, and what the queue does with it."""

from __future__ import annotations

import re
import threading
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from ledger.broker import BrokerUnavailableError
from predictor import audit
from predictor.models import ModelVersion, SplitAssignment, TrainingRun
from predictor.snapshots import count_films
from predictor.training import runs as training
from predictor.training.claims import Claim, ClaimLostError, claim_next, interrupt, release_lost
from predictor.training.estimate import estimate
from predictor.training.form import TrainingForm
from predictor.training.settings import InvalidSettingsError, TrainingSettings
from predictor.training.supervising import FEWEST_TRAIN, work
from tests.predictor.trainable import ask, make_trainable_films

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]


@pytest.mark.parametrize(
    ("given_", "field"),
    [
        ({"network": "resnet"}, "network"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": "20"}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"seed": None}, "seed"),
        ({"split": "../x"}, "split"),
        ({"languages": ["EN"]}, "languages"),
        ({"languages": "en"}, "languages"),
        ({"genres": [1]}, "genres"),
        ({"first_year": 2000, "last_year": 1990}, "last_year"),
        ({"network": "lstm_cnn", "tune_epochs": 1}, "tune_epochs"),
        ({"network": "lstm_cnn", "loss": "balanced"}, "loss"),
        ({"network": "lstm_cnn", "poster_epochs": 1}, "poster_epochs"),
        ({"network": "lstm_cnn", "teacher": 1}, "teacher"),
        ({"inputs": "overview", "poster_epochs": 1}, "poster_epochs"),
        ({"network": "lstm_cnn", "read_posters": True}, "read_posters"),
        ({"inputs": "poster", "read_posters": True}, "read_posters"),
        ({"read_posters": "yes"}, "read_posters"),
        ({"read_posters": 1}, "read_posters"),
        ({"teacher": 0}, "teacher"),
        ({"epoch": 3}, "epoch"),
    ],
)
def test_settings_that_no_training_can_have_are_refused_by_field(given_, field):
    with pytest.raises(InvalidSettingsError) as refused:
        TrainingSettings.parse(given_)
    assert list(refused.value.errors) == [field]


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "epochs": st.none() | st.integers(1, 200),
            "seed": st.integers(0, 2**31 - 1),
            "read_posters": st.booleans(),
            "languages": st.lists(st.sampled_from(["en", "fr", "de"]), max_size=5),
            "genres": st.lists(st.sampled_from([18, 35, 27])),
        },
    )
)
def test_settings_survive_being_kept(given_):
    asked = TrainingSettings.parse(given_)
    assert TrainingSettings.parse(asked.as_json()) == asked
    assert TrainingSettings.parse(asked.as_json()).sha256() == asked.sha256()


def make_version(split: str = "", **more) -> ModelVersion:
    """A version that was trained here on that split, or registered from a file."""
    given = {"name": "fusion-1", "network": "fusion", "sha256": more.pop("sha256", "a" * 64), "size": 1}
    training_ = {"settings": {"split": split}} if split else {}
    return ModelVersion.objects.create(**given, folder="a", label_ids=[18], training=training_, **more)


#: What the form sends where nothing was changed, empty fields aside.
FORM = {"network": "fusion", "inputs": "both", "loss": "bce", "criterion": "f1", "split": "default"}


def test_form_and_command_ask_for_posters_to_be_read(admin_client):
    page = admin_client.get(reverse("trainings")).content.decode()
    assert re.search(r'<label class="choice"><input type="checkbox" name="read_posters"', page)
    assert admin_client.post(reverse("trainings"), FORM | {"read_posters": "on"}).status_code == 302
    assert TrainingRun.objects.latest("pk").request["read_posters"] is True
    assert admin_client.post(reverse("trainings"), FORM | {"seed": "3"}).status_code == 302
    run = TrainingRun.objects.latest("pk")
    assert run.request["read_posters"] is False
    assert "Reads what is on posters" not in _settings_shown(admin_client, run)
    call_command("retrain", "--read-posters", "--seed", "5")
    run = TrainingRun.objects.latest("pk")
    assert run.request["read_posters"] is True
    assert "Reads what is on posters" in _settings_shown(admin_client, run)
    # Two trainings that differ in it are two.
    assert TrainingSettings(read_posters=True).sha256() != TrainingSettings().sha256()


def _settings_shown(client, run) -> str:
    return client.get(reverse("training", args=(run.pk,))).content.decode()


def test_who_teaches_was_trained_here_on_the_same_split(admin_client):
    ours, other, foreign = (
        make_version(split, sha256=letter * 64)
        for split, letter in (("default", "a"), ("new", "b"), ("", "c"))
    )
    for version in (other, foreign):
        with pytest.raises(
            InvalidSettingsError, match=rf"No version {version.pk} was trained here on the split"
        ):
            training.request_training(asked=TrainingSettings(teacher=version.pk))
    run, _ = training.request_training(asked=TrainingSettings(teacher=ours.pk))
    assert run.request["teacher"] == ours.pk
    form = TrainingForm()
    assert [value for value, _ in form.fields["teacher"].choices] == ["", other.pk, ours.pk]
    asked = FORM
    wrong = admin_client.post(reverse("trainings"), asked | {"teacher": str(other.pk)})
    assert wrong.status_code == 400
    assert f"No version {other.pk} was trained here" in wrong.content.decode()
    right = admin_client.post(reverse("trainings"), asked | {"teacher": str(ours.pk), "seed": "5"})
    assert right.status_code == 302
    assert TrainingRun.objects.get(request__seed=5).request["teacher"] == ours.pk


def test_the_same_request_sent_twice_returns_the_same_run_while_it_is_open(admin_user):
    first, is_new = training.request_training(asked=TrainingSettings(), by=admin_user)
    assert is_new
    assert training.request_training(asked=TrainingSettings()) == (first, False)
    assert training.request_training(asked=TrainingSettings(seed=1))[0] != first
    training.cancel(first)
    again, is_new = training.request_training(asked=TrainingSettings())
    assert is_new
    assert again != first


def test_the_database_itself_refuses_a_second_open_run_and_a_second_that_runs():
    run = ask(seed=1)
    for changes in ({"request_hash": run.request_hash}, {"state": "running"}):
        TrainingRun.objects.filter(pk=run.pk).update(state="running")
        with pytest.raises(IntegrityError), transaction.atomic():
            TrainingRun.objects.create(**{"request": {}, "request_hash": "x"} | changes)


def test_the_twenty_first_that_would_wait_is_refused_and_leaves_nothing():
    for seed in range(training.MOST_WAITING):
        ask(seed=seed)
    with pytest.raises(training.TooManyWaitingError, match="20 trainings wait already"):
        ask(seed=100)
    assert TrainingRun.objects.count() == training.MOST_WAITING
    assert not training.request_training(
        asked=TrainingSettings.parse({"epochs": 2, "threads": 1, "seed": 3})
    )[1]
    training.cancel(TrainingRun.objects.first())
    ask(seed=100)


def test_without_a_broker_nothing_is_asked_for(settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    with pytest.raises(BrokerUnavailableError):
        ask()
    assert not TrainingRun.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_workers_racing_for_several_runs_take_one():
    for seed in range(4):
        ask(seed=seed)
    claims: list[Claim | None] = []
    barrier = threading.Barrier(4)

    def race() -> None:
        barrier.wait()
        claims.append(claim_next(worker="racer"))
        connection.close()

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([claim for claim in claims if claim]) == 1
    assert TrainingRun.objects.filter(state="running").count() == 1


def test_who_lost_its_claim_can_write_nothing_more():
    run = ask()
    old = claim_next(worker="first")
    TrainingRun.objects.filter(pk=run.pk).update(heartbeat=timezone.now() - timedelta(hours=1))
    assert release_lost() == 1
    run.refresh_from_db()
    assert (run.state, run.interruptions) == ("interrupted", 1)
    assert "first was lost" in run.reason
    new = claim_next(worker="second")
    assert new.run_id == old.run_id
    with pytest.raises(ClaimLostError):
        old.update(reason="mine")
    new.update(reason="mine")


def test_a_run_that_lost_its_supervisor_does_what_was_wished():
    run = ask()
    for wish, state in (("pause", "paused"), ("cancel", "cancelled")):
        TrainingRun.objects.filter(pk=run.pk).update(state="waiting")
        claim_next(worker="w")
        TrainingRun.objects.filter(pk=run.pk).update(heartbeat=timezone.now() - timedelta(hours=1), wish=wish)
        release_lost()
        run.refresh_from_db()
        assert (run.state, run.wish) == (state, "")


def test_a_run_interrupted_for_the_third_time_fails():
    run = ask()
    states = [interrupt(claim_next(worker="w"), "Killed.") for _ in range(3)]
    assert states == ["interrupted", "interrupted", "failed"]
    run.refresh_from_db()
    assert run.reason == "It was interrupted 3 times and is not tried again. The last time: Killed."
    assert run.finished_at


def test_an_interrupted_run_goes_before_those_that_wait():
    first, second = ask(seed=1), ask(seed=2)
    third = ask(seed=3)
    interrupt(claim_next(worker="w"), "Killed.")
    TrainingRun.objects.filter(pk=first.pk).update(state="waiting")
    TrainingRun.objects.filter(pk=third.pk).update(state="interrupted")
    for run in (first, second, third):
        run.refresh_from_db()
    assert [training.place_in_queue(run) for run in (third, first, second)] == [0, 1, 2]
    assert claim_next(worker="w").run_id == third.pk


def test_each_change_is_kept_with_who_made_it(admin_user):
    run, _ = training.request_training(asked=TrainingSettings(), by=admin_user)
    training.pause(run, by=admin_user)
    assert run.state == "paused"
    training.resume(run, by=admin_user)
    training.cancel(run, by=admin_user)
    assert [(deed.by, deed.what) for deed in audit.history(run)] == [
        ("admin", what) for what in ("Asked for.", "Paused.", "Resumed.", "Cancelled.")
    ]
    for change in (training.cancel, training.pause, training.resume):
        with pytest.raises(training.NotPossibleError, match="cancelled"):
            change(run, by=admin_user)
    assert LogEntry.objects.count() == 4


def test_filters_narrow_what_is_learned_and_never_what_is_tested():
    make_trainable_films(48)
    everything = count_films(TrainingSettings())
    assert (everything.train, everything.val, everything.test) == (24, 12, 12)
    for narrowed in (
        TrainingSettings(first_year=1960, last_year=1979),
        TrainingSettings(languages=("en",)),
        TrainingSettings(minimum_votes=20),
        TrainingSettings(genres=(18,)),
    ):
        counts = count_films(narrowed)
        assert 0 < counts.train < 24
        assert counts.test == 12


def test_too_few_films_and_a_full_disk_are_told_on_the_run(monkeypatch):
    make_trainable_films(16)
    run = ask()
    assert work() == 1
    run.refresh_from_db()
    assert run.state == "failed"
    assert run.reason == (
        f"There are too few films: 8 to learn from (at least {FEWEST_TRAIN} are needed) and 4 to validate on (at least 4)."
    )

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/somewhere/secret")

    monkeypatch.setattr("predictor.training.folders.write_snapshot", full)
    run = ask()
    work()
    run.refresh_from_db()
    assert run.state == "failed"
    assert run.reason == "The train worker could not write or read its files: No space left on device."


def test_an_estimate_says_where_its_figures_are_from():
    make_trainable_films(48)
    first = estimate(TrainingSettings())
    assert first.films.train == 24
    assert "two CPU cores" in first.source
    tuned = estimate(TrainingSettings(tune_epochs=4))
    assert tuned.seconds > first.seconds
    assert tuned.memory_megabytes > first.memory_megabytes
    by_posters = estimate(TrainingSettings(poster_epochs=2))
    # Every third film has a poster: 8 of 24.
    assert by_posters.phases["posters"] == pytest.approx(2 * 8 * 0.02)
    assert "posters" not in first.phases
    reading = estimate(TrainingSettings(read_posters=True))
    assert reading.phases["reading"] == pytest.approx(16 * 0.17)  # of films that validate and test, too
    assert "reading" not in first.phases
    assert reading.memory_megabytes == first.memory_megabytes + 400  # what reads are four engines at most
    done = TrainingRun.objects.create(
        state="done",
        device="H100",
        request=TrainingSettings().as_json(),
        request_hash="0",
        progress={
            "seconds": {"prepare": 48.0, "train": 20.0, "finish": 12.0},
            "units": {"prepare": 48, "train": 480, "finish": 24, "tune": 0},
            "memory_mb": 900.0,
        },
    )
    known = estimate(TrainingSettings(epochs=40))
    assert known.source == f"measured by training {done.pk} on this site (H100)"
    assert dict(known.phases) == pytest.approx({"prepare": 48.0, "train": 40.0, "finish": 12.0})
    assert known.memory_megabytes == 900


def test_films_of_a_split_that_is_yet_to_be_made_are_estimated_by_its_shares():
    make_trainable_films(100)
    SplitAssignment.objects.all().delete()
    films = estimate(TrainingSettings()).films
    assert (films.train, films.val, films.test) == (80, 9, 11)


def test_a_filter_that_leaves_no_film_is_estimated_too():
    make_trainable_films(8)
    found = estimate(TrainingSettings(first_year=1874, last_year=1874))
    assert (found.films.train, list(found.phases)) == (0, ["prepare"])


def test_a_schedule_asks_for_a_training_when_the_last_is_old_enough(settings):
    settings.RETRAIN_EVERY_DAYS = 7
    assert training.request_scheduled() is None  # nothing to count from
    last = ask()
    assert training.request_scheduled() is None  # one is open
    training.cancel(last)
    assert training.request_scheduled() is None  # too soon
    TrainingRun.objects.filter(pk=last.pk).update(created_at=timezone.now() - timedelta(days=8))
    run = training.request_scheduled()
    assert run.request == TrainingSettings().as_json()
    assert run.created_by is None
    settings.RETRAIN_EVERY_DAYS = 0
    TrainingRun.objects.all().update(created_at=timezone.now() - timedelta(days=800), state="done")
    assert training.request_scheduled() is None


def test_the_command_estimates_asks_and_says_that_nobody_works(capsys):
    make_trainable_films(48)
    call_command("retrain", "--estimate")
    assert "24 films to learn from" in capsys.readouterr().out
    assert not TrainingRun.objects.exists()
    call_command("retrain", "--epochs", "3", "--language", "en")
    out = capsys.readouterr().out
    assert "waiting" in out
    assert "No train worker is running" in out
    run = TrainingRun.objects.get()
    assert (run.request["epochs"], run.request["languages"]) == (3, ["en"])
    call_command("retrain", "--epochs", "3", "--language", "en")
    assert "is the same and open already" in capsys.readouterr().out
    with pytest.raises(CommandError, match="epochs"):
        call_command("retrain", "--epochs", "0")
