"""The pages and the admin of trainings: who sees what, what they can do, and how a page follows a training that runs."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from predictor import registry
from predictor.models import Promotion, TrainingRun
from predictor.training import runs as training
from predictor.training.settings import TrainingSettings
from tests.factories import make_film
from tests.predictor.trainable import make_trainable_films

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]

RUNS = "admin:predictor_trainingrun_changelist"
FORM = {"network": "fusion", "inputs": "both", "loss": "bce", "criterion": "f1", "split": "default"}
CURVES = [
    {
        "stage": "train heads",
        "epoch": epoch,
        "train_loss": 0.4 / epoch,
        "val_loss": 0.5 / epoch,
        "train_macro_roc_auc": 0.7,
        "val_macro_roc_auc": 0.6 + epoch / 100,
        "train_f1_micro": 0.3,
        "val_f1_micro": 0.2,
    }
    for epoch in (1, 2)
]


@pytest.fixture
def run():
    return TrainingRun.objects.create(
        state="running",
        request=TrainingSettings().as_json(),
        request_hash="0",
        curves=CURVES,
        progress={"stage": "train heads", "epoch": 2, "epochs": 20, "seconds_left": 300},
        log="epoch=2 <script>",
    )


@pytest.fixture
def viewer(client):
    """Somebody of the staff who may look and no more."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_trainingrun"))
    client.force_login(user)
    return client


def addresses(run):
    page = reverse("training", args=[run.pk])
    return [
        reverse("trainings"),
        page,
        f"{page}live/",
        reverse("training-chart", args=[run.pk, "loss", "light", "wide"]),
    ]


def test_visitors_see_no_trainings_and_users_neither(client, run):
    for address in addresses(run):
        answer = client.get(address)
        assert answer.status_code == 302
        assert answer["Location"].startswith(reverse("login"))
    client.force_login(User.objects.create_user("ada"))
    for address in addresses(run):
        assert client.get(address).status_code == 403
    for change in ("cancel", "pause", "resume"):
        assert client.post(reverse("change-training", args=[run.pk, change])).status_code == 403
    assert client.post(reverse("trainings"), FORM).status_code == 403
    assert "Trainings" not in client.get(reverse("models")).content.decode()
    run.refresh_from_db()
    assert run.wish == ""


def test_who_may_only_look_sees_all_and_can_change_nothing(viewer, run):
    for address in addresses(run):
        assert viewer.get(address).status_code == 200
    page = viewer.get(reverse("training", args=[run.pk])).content.decode()
    assert "Cancel" not in page
    assert "Start the training" not in viewer.get(reverse("trainings")).content.decode()
    assert viewer.post(reverse("trainings"), FORM).status_code == 403
    assert viewer.post(reverse("change-training", args=[run.pk, "cancel"])).status_code == 403
    assert viewer.post(reverse("rollback")).status_code == 403


def test_an_admin_estimates_and_then_starts_a_training(admin_client):
    make_trainable_films(48)
    page = admin_client.post(reverse("trainings"), FORM | {"estimate": "1"})
    assert "24 films to learn from" in page.content.decode()
    assert not TrainingRun.objects.exists()
    answer = admin_client.post(
        reverse("trainings"), FORM | {"start": "1", "languages": "en, fr", "genres": ["18", "35"]}
    )
    run = TrainingRun.objects.get()
    assert answer["Location"] == reverse("training", args=[run.pk])
    assert run.request["languages"] == ["en", "fr"]
    assert run.request["genres"] == [18, 35]
    page = admin_client.get(reverse("training", args=[run.pk])).content.decode()
    assert "<dd>en, fr</dd>" in page
    assert "<dd>Drama, Comedy</dd>" in page
    assert run.created_by.username == "admin"
    assert "No train worker is running" in admin_client.get(reverse("trainings")).content.decode()


def test_what_cannot_be_trained_is_said_beneath_its_field(admin_client):
    page = admin_client.post(reverse("trainings"), FORM | {"network": "lstm_cnn", "tune_epochs": "3"})
    assert page.status_code == 400
    assert "has no encoders to tune" in page.content.decode()
    assert admin_client.post(reverse("trainings"), FORM | {"epochs": "999"}).status_code == 400
    assert not TrainingRun.objects.exists()


def test_a_full_queue_is_said_with_429_and_a_broker_that_is_away_with_503(admin_client, settings, tmp_path):
    for seed in range(training.MOST_WAITING):
        training.request_training(asked=TrainingSettings(seed=seed + 1))
    page = admin_client.post(reverse("trainings"), FORM)
    assert page.status_code == 429
    assert "20 trainings wait already" in page.content.decode()
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    assert admin_client.post(reverse("trainings"), FORM).status_code == 503


def test_a_page_follows_its_training_until_it_has_ended(admin_client, run):
    page = admin_client.get(reverse("training", args=[run.pk])).content.decode()
    polled = re.search(r'hx-get="([^"]+)" hx-trigger="every 2s"', page)[1]
    assert admin_client.get(polled).status_code == 204
    before = re.search(r'src="([^"]+loss/light-wide.svg[^"]+)"', page)[1]
    run.curves = [*CURVES, CURVES[1] | {"epoch": 3}]
    run.save()
    changed = admin_client.get(polled)
    assert changed.status_code == 200
    after = re.search(r'src="([^"]+loss/light-wide.svg[^"]+)"', changed.content.decode())[1]
    assert after != before  # so that the browser draws it anew
    run.state = "done"
    run.save()
    assert "hx-trigger" not in admin_client.get(polled).content.decode()


def test_curves_are_svg_files_with_their_numbers_in_the_page(admin_client, run):
    page = admin_client.get(reverse("training", args=[run.pk])).content.decode()
    assert {"Loss", "Macro ROC AUC", "Micro F1"} <= set(
        re.findall(r"<h2 id=\"[\w-]+-title\">([^<]+)</h2>", page)
    )
    assert "0.6200" in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    for name in ("loss", "macro-roc-auc", "f1-micro"):
        for scheme in ("light", "dark"):
            drawn = admin_client.get(reverse("training-chart", args=[run.pk, name, scheme, "narrow"]))
            assert drawn["Content-Type"] == "image/svg+xml"
            assert b"<svg" in drawn.content
    kept = admin_client.get(re.search(r'src="([^"]+loss/light-wide.svg[^"]+)"', page)[1])["Cache-Control"]
    assert "immutable" in kept
    assert "private" in kept
    assert "public" not in kept
    assert "no-store" in admin_client.get(reverse("trainings"))["Cache-Control"]


def test_a_running_training_is_asked_to_pause_and_to_stop(admin_client, run):
    def change(name):
        return admin_client.post(
            reverse("change-training", args=[run.pk, name]), follow=True
        ).content.decode()

    assert "about to pause" in change("pause")
    assert "about to pause" not in change("resume")
    assert "about to be cancelled" in change("cancel")
    assert "cannot be paused" in change("pause")
    run.refresh_from_db()
    assert (run.state, run.wish) == ("running", "cancel")
    assert admin_client.get(reverse("change-training", args=[run.pk, "cancel"])).status_code == 405


def test_a_version_is_promoted_and_rolled_back_on_the_site(admin_client, artifact, other_artifact):
    make_film()
    first, second = registry.register(artifact), registry.register(other_artifact)
    registry.promote(first)
    page = admin_client.get(reverse("promote", args=[second.pk])).content.decode()
    assert "Too few to judge" in page
    assert admin_client.post(reverse("promote", args=[second.pk])).status_code == 409
    admin_client.post(reverse("promote", args=[second.pk]), {"force_reason": "A test."})
    assert registry.champion() == second
    assert f"Roll back to {first.name}" in admin_client.get(reverse("trainings")).content.decode()
    admin_client.post(reverse("rollback"))
    assert registry.champion() == first
    assert Promotion.objects.first().by.username == "admin"
    assert "rolled back" in admin_client.get(reverse("trainings")).content.decode()


def test_promoting_is_not_for_everybody(viewer, artifact, client):
    version = registry.register(artifact)
    assert viewer.get(reverse("promote", args=[version.pk])).status_code == 403
    assert viewer.post(reverse("promote", args=[version.pk])).status_code == 403
    client.logout()
    assert client.get(reverse("promote", args=[version.pk])).status_code == 302
    assert client.post(reverse("rollback")).status_code == 302
    assert registry.champion() is None


def test_the_admin_starts_trainings_and_acts_on_them(admin_client):
    make_trainable_films(48)
    start = reverse("admin:predictor_trainingrun_start")
    assert admin_client.get(start).status_code == 200
    assert "24 films to learn from" in admin_client.post(start, FORM | {"estimate": "1"}).content.decode()
    assert admin_client.post(start, FORM | {"epochs": "0"}).status_code == 400
    assert admin_client.post(start, FORM | {"start": "1"}).status_code == 302
    run = TrainingRun.objects.get()
    for action, state in (("pause", "paused"), ("resume", "waiting"), ("cancel", "cancelled")):
        admin_client.post(reverse(RUNS), {"action": action, "_selected_action": [run.pk]})
        run.refresh_from_db()
        assert run.state == state
    assert "cancelled" in admin_client.get(reverse(RUNS)).content.decode()
    shown = admin_client.get(reverse("admin:predictor_trainingrun_change", args=[run.pk]))
    assert b'name="_save"' not in shown.content
    history = admin_client.get(reverse("admin:predictor_trainingrun_history", args=[run.pk])).content.decode()
    assert all(what in history for what in ("Asked for.", "Paused.", "Resumed.", "Cancelled."))


def test_the_admin_lets_nobody_start_or_stop_without_the_permission(viewer, run):
    assert viewer.get(reverse(RUNS)).status_code == 200
    assert viewer.get(reverse("admin:predictor_trainingrun_start")).status_code == 403
    viewer.post(reverse(RUNS), {"action": "cancel", "_selected_action": [run.pk]})
    run.refresh_from_db()
    assert (run.state, run.wish) == ("running", "")


def test_the_admin_rolls_back_shows_promotions_and_prunes(admin_client, artifact, other_artifact):
    first, second = registry.register(artifact), registry.register(other_artifact)
    registry.promote(first)
    registry.promote(second)
    versions = reverse("admin:predictor_modelversion_changelist")
    admin_client.post(versions, {"action": "roll_back", "_selected_action": [first.pk]})
    assert registry.champion() == first
    page = admin_client.post(
        versions, {"action": "prune_candidates", "_selected_action": [first.pk]}, follow=True
    )
    assert "Nothing to remove." in page.content.decode()
    assert admin_client.get(reverse("admin:predictor_promotion_changelist")).status_code == 200
    kept = Promotion.objects.first()
    assert admin_client.post(
        reverse("admin:predictor_promotion_change", args=[kept.pk]), {"forced_reason": "Changed"}
    ).status_code in (302, 403)
    kept.refresh_from_db()
    assert kept.forced_reason == ""
