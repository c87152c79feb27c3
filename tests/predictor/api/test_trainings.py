"""Trainings and promotions through the API: what is answered, and what is refused with which status (promises 5, 7)."""

from __future__ import annotations

import pytest
from knox.models import AuthToken
from rest_framework.test import APIClient

from predictor import registry
from predictor.models import TrainingRun
from predictor.training import runs as training
from predictor.training.settings import TrainingSettings
from tests.factories import make_film, make_version
from tests.predictor.trainable import make_trainable_films

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]

TRAININGS = "/api/v1/trainings/"


@pytest.fixture
def by_admin(admin):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {AuthToken.objects.create(user=admin)[1]}")
    return client


def test_a_training_is_asked_for_once_however_often_it_is_sent(by_admin):
    first = by_admin.post(TRAININGS, {"epochs": 3, "languages": ["en"], "genres": [18]})
    assert first.status_code == 201
    body = first.json()
    assert (body["state"], body["asked_by"], body["queue"]) == ("waiting", "root", 0)
    assert body["settings"] == TrainingSettings(epochs=3, languages=("en",), genres=(18,)).as_json()
    again = by_admin.post(TRAININGS, {"epochs": 3, "languages": ["en"], "genres": [18], "seed": 0})
    assert (again.status_code, again.json()["id"]) == (200, body["id"])
    assert [row["id"] for row in by_admin.get(TRAININGS).json()] == [body["id"]]


def test_it_is_asked_for_to_read_posters(by_admin, assert_problem):
    asked = by_admin.post(TRAININGS, {"read_posters": True}).json()
    assert asked["settings"]["read_posters"] is True
    assert by_admin.post(TRAININGS, {}).json()["settings"]["read_posters"] is False
    for wrong in ({"read_posters": "perhaps"}, {"read_posters": True, "inputs": "overview"}):
        problem = assert_problem(by_admin.post(TRAININGS, wrong), 400)
        assert set(problem["errors"]) == {"read_posters"}


def test_settings_are_refused_by_field(by_admin, assert_problem):
    problem = assert_problem(by_admin.post(TRAININGS, {"epochs": 0, "epoch": 1}), 400)
    assert set(problem["errors"]) == {"epoch"}
    problem = assert_problem(by_admin.post(TRAININGS, {"network": "lstm_cnn", "tune_epochs": 2}), 400)
    assert set(problem["errors"]) == {"tune_epochs"}
    assert not TrainingRun.objects.exists()


def test_the_twenty_first_that_would_wait_gets_429_with_retry_after(by_admin, assert_problem):
    for seed in range(training.MOST_WAITING):
        training.request_training(asked=TrainingSettings(seed=seed))
    answer = by_admin.post(TRAININGS, {"seed": 100})
    assert assert_problem(answer, 429)["code"] == "too_many_waiting"
    assert int(answer["Retry-After"]) > 0


def test_without_a_broker_it_is_503(by_admin, assert_problem, settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    assert_problem(by_admin.post(TRAININGS, {}), 503)
    assert not TrainingRun.objects.exists()


def test_a_training_is_paused_resumed_and_cancelled_and_tells_who_did_so(by_admin, assert_problem):
    address = f"{TRAININGS}{by_admin.post(TRAININGS, {}).json()['id']}/"
    assert by_admin.post(f"{address}pause/").json()["state"] == "paused"
    assert by_admin.post(f"{address}resume/").json()["state"] == "waiting"
    assert by_admin.post(f"{address}cancel/").json()["state"] == "cancelled"
    assert assert_problem(by_admin.post(f"{address}cancel/"), 409)["code"] == "not_possible"
    body = by_admin.get(address).json()
    assert [(deed["by"], deed["what"]) for deed in body["history"]] == [
        ("root", what) for what in ("Asked for.", "Paused.", "Resumed.", "Cancelled.")
    ]
    assert_problem(by_admin.get(f"{TRAININGS}999999/"), 404)


def test_curves_come_as_json(by_admin):
    curves = [{"stage": "train heads", "epoch": 1, "val_macro_roc_auc": 0.7}]
    run = TrainingRun.objects.create(
        request=TrainingSettings().as_json(), request_hash="0", curves=curves, progress={"seconds_left": 5}
    )
    body = by_admin.get(f"{TRAININGS}{run.pk}/").json()
    assert body["curves"] == curves
    assert body["progress"] == {"seconds_left": 5}


def test_an_estimate_starts_nothing(by_admin):
    make_trainable_films(48)
    body = by_admin.post(f"{TRAININGS}estimate/", {"epochs": 2}).json()
    assert (body["train"], body["val"], body["test"]) == (24, 12, 12)
    assert body["seconds"] == pytest.approx(sum(body["phases"].values()))
    assert not TrainingRun.objects.exists()


def test_a_version_is_promoted_through_the_gate_or_for_a_reason_and_rolled_back(
    by_admin, assert_problem, artifact, other_artifact
):
    make_film()
    first, second = registry.register(artifact), registry.register(other_artifact)
    promote = "/api/v1/models/{}/promote/"
    assert by_admin.get(promote.format(first.pk)).json()["verdict"] == "first"
    assert by_admin.post(promote.format(first.pk)).status_code == 200
    gate = by_admin.get(promote.format(second.pk)).json()
    assert (gate["verdict"], gate["opens"], gate["champion"]) == ("too_few", False, first.pk)
    assert assert_problem(by_admin.post(promote.format(second.pk)), 409)["code"] == "gate_refused"
    forced = by_admin.post(promote.format(second.pk), {"force_reason": "A test."})
    assert (forced.json()["before"], forced.json()["forced_reason"]) == (first.pk, "A test.")
    assert registry.champion() == second
    rolled_back = by_admin.post("/api/v1/models/rollback/").json()
    assert (rolled_back["version"], rolled_back["is_rollback"], rolled_back["by"]) == (first.pk, True, "root")
    assert registry.champion() == first
    listed = by_admin.get("/api/v1/models/promotions/").json()
    assert [row["version"] for row in listed] == [first.pk, second.pk, first.pk]
    assert assert_problem(by_admin.post("/api/v1/models/rollback/"), 409)["code"] == "not_promotable"


def test_staff_without_the_permission_may_not(user, assert_problem):
    user.is_staff = True
    user.save()
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {AuthToken.objects.create(user=user)[1]}")
    run = TrainingRun.objects.create(request=TrainingSettings().as_json(), request_hash="0")
    version = make_version()
    for method, address in (
        ("get", TRAININGS),
        ("post", TRAININGS),
        ("post", f"{TRAININGS}{run.pk}/cancel/"),
        ("post", f"/api/v1/models/{version.pk}/promote/"),
        ("post", "/api/v1/models/rollback/"),
    ):
        assert_problem(getattr(client, method)(address), 403)
    run.refresh_from_db()
    assert run.state == "waiting"
