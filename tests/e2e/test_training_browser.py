"""A training in a real browser: started from the admin, its curve grows while one looks, and it is stopped from its page."""

from __future__ import annotations

import pytest
from django.core.cache import cache

from predictor.models import TrainingRun
from predictor.training.settings import TrainingSettings
from tests.predictor.trainable import MANY, became, make_trainable_films

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

FIGURES = {"train_loss": 0.4, "train_macro_roc_auc": 0.7, "val_macro_roc_auc": 0.6, "train_f1_micro": 0.3}


def log_in(page) -> None:
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("password")
    page.get_by_role("button", name="Log in").click()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_training_started_in_the_admin_shows_its_curve_grow_without_a_reload(
    open_page, start_worker, eventually, admin_user
):
    make_trainable_films()
    start_worker("train")
    page = open_page("/admin/predictor/trainingrun/")
    log_in(page)
    page.get_by_role("link", name="Train a model").click()
    page.get_by_label("Epochs:").fill(str(MANY))
    page.get_by_label("Threads:").fill("1")
    page.get_by_role("button", name="Estimate time and memory").click()
    page.get_by_text("24 films to learn from").wait_for()
    page.get_by_role("button", name="Start the training").click()
    page.get_by_role("link", name="watch").click()
    page.evaluate("window.sameDocument = true")
    loss = page.locator("section", has=page.get_by_role("heading", name="Loss", exact=True)).locator("img")
    loss.wait_for(timeout=120_000)
    loss.evaluate("async image => { await image.decode() }")
    first, epochs = loss.get_attribute("src"), page.locator("tbody").first.locator("tr").count()
    eventually(lambda: loss.get_attribute("src") != first)
    assert page.locator("tbody").first.locator("tr").count() > epochs
    assert page.evaluate("window.sameDocument")
    page.get_by_role("button", name="Cancel").click()
    run = TrainingRun.objects.get()
    eventually(became(run, "cancelled"), seconds=10)
    page.locator(".badge", has_text="cancelled").wait_for()
    assert page.get_by_role("button", name="Cancel").count() == 0


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize(("width", "dark"), [(390, True), (1440, False)])
def test_nothing_overflows_and_the_form_works_without_scripts(open_page, eventually, admin_user, width, dark):
    cache.clear()
    curves = [
        {"stage": "train heads", "epoch": epoch, "val_loss": 0.5 / epoch, "val_f1_micro": 0.2} | FIGURES
        for epoch in range(1, 9)
    ]
    run = TrainingRun.objects.create(
        state="failed",
        request=TrainingSettings().as_json(),
        request_hash="0",
        curves=curves,
        progress={
            "stage": "train heads",
            "epoch": 8,
            "epochs": 20,
            "films_per_second": 812.0,
            "memory_mb": 900,
        },
        device="CPU, 2 threads",
        reason="The disk of the train worker is full.",
        log="stage=train heads epoch=8 " * 40,
    )
    page = open_page(f"/models/trainings/{run.pk}/", width=width, dark=dark, java_script_enabled=False)
    log_in(page)
    drawings = page.locator(".data__drawing")
    assert drawings.count() == 3
    for number in range(3):
        drawings.nth(number).scroll_into_view_if_needed()
        # Not by a function that waits in the page, where nothing runs.
        eventually(lambda number=number: drawings.nth(number).evaluate("image => image.naturalWidth") > 100)
    for address in (f"/models/trainings/{run.pk}/", "/models/trainings/"):
        page.goto(address)
        overflow = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, address
    page.get_by_text("Advanced").click()
    page.get_by_label("Seed").fill("7")
    page.get_by_role("button", name="Start the training").click()
    page.get_by_role("heading", name="Training ").wait_for()
    assert TrainingRun.objects.first().request["seed"] == 7
