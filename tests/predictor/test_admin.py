"""The admin of models, runs and the ledger: who may do what, and how it answers."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from knox.models import AuthToken

from ledger.models import WorkChunk
from ledger.workers import say_alive
from predictor import inference, registry
from predictor.models import PredictionRun
from tests.factories import make_film, make_prediction, make_version

pytestmark = pytest.mark.django_db

VERSIONS = "admin:predictor_modelversion_changelist"
RUNS = "admin:predictor_predictionrun_changelist"
CHUNKS = "admin:ledger_workchunk_changelist"


@pytest.fixture
def viewer(client):
    """Somebody of the staff who may look and no more."""
    user = User.objects.create_user("viewer", password="x", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(codename__in=["view_modelversion", "view_predictionrun", "view_workchunk"])
    )
    client.force_login(user)
    return client


def act(client, page: str, action: str, *rows):
    data = {"action": action, "_selected_action": [row.pk for row in rows]}
    return client.post(reverse(page), data, follow=True)


@pytest.mark.parametrize("page", [VERSIONS, RUNS, CHUNKS])
def test_visitors_are_sent_to_the_login(client, page):
    answer = client.get(reverse(page))
    assert answer.status_code == 302
    assert "login" in answer["Location"]


def test_a_version_that_the_gate_refuses_is_promoted_for_a_reason_and_predicts_what_it_has_not(
    admin_client, champion, other_artifact, broker
):
    make_prediction(make_film(), champion)
    other = registry.register(other_artifact)
    answer = act(admin_client, VERSIONS, "promote", other).content.decode()
    assert "Too few to judge" in answer
    assert registry.champion() == champion
    page = reverse("promote", args=[other.pk])
    assert f'<a href="{page}">' in answer
    admin_client.post(page, {"force_reason": "A test."})
    assert registry.champion() == other
    assert registry.displayed() == champion
    run = PredictionRun.objects.get()
    assert (run.version, run.total, run.created_by.username) == (other, 1, "admin")


def test_the_first_version_is_promoted_without_a_reason(admin_client, artifact, broker):
    make_film()
    version = registry.register(artifact)
    answer = act(admin_client, VERSIONS, "promote", version)
    assert "is the champion now." in answer.content.decode()
    assert registry.champion() == registry.displayed() == version


def test_only_one_version_can_be_promoted(admin_client, champion, other_artifact, broker):
    other = registry.register(other_artifact)
    answer = act(admin_client, VERSIONS, "promote", champion, other)
    assert "Select the one version" in answer.content.decode()
    assert registry.champion() == champion


def test_a_version_without_its_files_is_not_promoted(admin_client, champion, broker):
    answer = act(admin_client, VERSIONS, "promote", make_version(displayed=False))
    assert "is neither in MODEL_ROOT nor in the storage" in answer.content.decode()
    assert registry.champion() == champion


def test_who_may_only_look_can_neither_promote_nor_predict_nor_cancel(
    viewer, champion, other_artifact, broker
):
    make_film()
    run = inference.start_run()
    other = registry.register(other_artifact)
    act(viewer, VERSIONS, "promote", other)
    act(viewer, VERSIONS, "predict_now", other)
    act(viewer, RUNS, "cancel", run)
    run.refresh_from_db()
    assert run.state == "running"
    assert registry.champion() == champion
    assert PredictionRun.objects.count() == 1


def test_nothing_happens_on_get(admin_client, champion, other_artifact):
    other = registry.register(other_artifact)
    admin_client.get(reverse(VERSIONS), {"action": "promote", "_selected_action": other.pk})
    assert registry.champion() == champion


def test_predicting_now_says_when_no_worker_runs(admin_client, champion, broker):
    make_film()
    answer = act(admin_client, VERSIONS, "predict_now", champion).content.decode()
    assert "1 film to predict" in answer
    assert "No prediction worker is running" in answer


def test_predicting_now_starts_nothing_when_the_broker_is_down(admin_client, champion, settings, tmp_path):
    make_film()
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    answer = act(admin_client, VERSIONS, "predict_now", champion).content.decode()
    assert "broker cannot be reached" in answer
    assert not PredictionRun.objects.exists()


def test_a_run_shows_its_progress_and_is_cancelled(admin_client, champion, broker):
    for _ in range(4):
        make_film()
    run = inference.start_run()
    PredictionRun.objects.update(predicted=1)
    assert "1 of 4 (25 %)" in admin_client.get(reverse(RUNS)).content.decode()
    assert f"Run {run.pk} is cancelled" in act(admin_client, RUNS, "cancel", run).content.decode()
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert f"Run {run.pk} had ended already" in act(admin_client, RUNS, "cancel", run).content.decode()


def test_the_ledger_shows_chunks_and_who_is_alive(admin_client, champion, broker):
    make_film()
    inference.start_run()
    page = admin_client.get(reverse(CHUNKS)).content.decode()
    assert "No worker was heard of" in page
    say_alive(name="predict@here", queues=["predict"], detail="version 7")
    page = admin_client.get(reverse(CHUNKS)).content.decode()
    assert "predict@here" in page
    assert "version 7" in page
    chunk = WorkChunk.objects.get()
    assert admin_client.get(reverse("admin:ledger_workchunk_change", args=[chunk.pk])).status_code == 200
    assert admin_client.get(reverse("admin:ledger_workchunk_delete", args=[chunk.pk])).status_code == 403


@pytest.mark.parametrize("model", ["modelversion", "predictionrun"])
def test_what_only_services_write_is_shown_without_a_way_to_save_it(model, admin_client, champion):
    make_film()
    row = {"modelversion": champion, "predictionrun": inference.start_run()}[model]
    address = reverse(f"admin:predictor_{model}_change", args=[row.pk])
    page = admin_client.get(address)
    assert page.status_code == 200
    assert b'name="_save"' not in page.content
    assert admin_client.post(address, {"name": "other", "state": "done"}).status_code == 403


def test_an_admin_sees_and_revokes_tokens_but_makes_none(admin_client):
    token, secret = AuthToken.objects.create(user=User.objects.create_user("ada"))
    listed = admin_client.get(reverse("admin:knox_authtoken_changelist")).content.decode()
    assert token.token_key in listed
    assert "ada" in listed
    assert admin_client.get(reverse("admin:knox_authtoken_add")).status_code == 403
    shown = admin_client.get(reverse("admin:knox_authtoken_change", args=[token.pk])).content.decode()
    assert f">{token.digest}" not in listed
    assert secret not in listed + shown
    admin_client.post(reverse("admin:knox_authtoken_delete", args=[token.pk]), {"post": "yes"})
    assert not AuthToken.objects.exists()
