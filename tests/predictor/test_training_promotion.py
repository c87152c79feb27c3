"""Promise 7 and what surrounds it: the gate, the history, the way back, artifacts in the storage, pruning."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection

from ml_core.artifact import ArtifactDescription, ArtifactError
from ml_core.labels import LABELS
from predictor import artifact_storage, audit, gate, promotion, registry
from predictor.models import ModelVersion, PredictionRun, Promotion, TrainingRun, VersionFilm
from predictor.pruning import prune
from predictor.serving import LoadedModels
from tests.factories import make_film, make_prediction, make_version

pytestmark = pytest.mark.django_db

NAMES = [label.name for label in LABELS]


def candidate(**fields):
    """A version with an artifact on this machine that nobody asks for more than its being there."""
    version = make_version(displayed=False, **fields)
    folder = registry.artifact_folder(version)
    folder.mkdir(parents=True)
    (folder / "artifact.json").write_text("{}")
    return version


def predict_all(version, films, *, skill: float) -> None:
    """Predictions that know a film's genre as often as `skill` says, and else guess."""
    random = np.random.default_rng(version.pk)
    for film, genre in films:
        noise = random.uniform(0.05, 0.95, len(NAMES))
        probabilities = dict(zip(NAMES, noise.tolist(), strict=True))
        if random.uniform() < skill:
            probabilities = dict.fromkeys(NAMES, 0.1) | {genre: 0.9}
        make_prediction(film, version, probabilities=probabilities)


@pytest.fixture
def films():
    return [
        (make_film(genres=[NAMES[number % len(NAMES)]]), NAMES[number % len(NAMES)])
        for number in range(gate.FEWEST_FILMS)
    ]


@pytest.fixture
def present():
    version = candidate()
    registry.promote(version)
    return version


def test_a_version_that_is_worse_beyond_chance_is_refused_and_one_that_is_not_is_promoted(
    present, films, admin_user, broker
):
    worse, better = candidate(), candidate()
    predict_all(present, films, skill=0.6)
    predict_all(worse, films, skill=0.2)
    predict_all(better, films, skill=0.9)
    with pytest.raises(promotion.GateRefusedError) as refused:
        promotion.promote(worse, by=admin_user)
    report = refused.value.report
    assert (report.verdict, report.films) == ("worse", gate.FEWEST_FILMS)
    assert report.low < report.difference < report.high < 0
    assert registry.champion() == present
    assert not Promotion.objects.filter(version=worse).exists()
    began = time.monotonic()
    kept = promotion.promote(better, by=admin_user)
    assert time.monotonic() - began < 5
    assert registry.champion() == better
    assert (kept.before, kept.by, kept.forced_reason) == (present, admin_user, "")
    assert kept.gate["verdict"] == "not_worse"
    assert kept.gate["low"] > 0


def test_films_that_either_was_trained_on_do_not_count(present, films, broker):
    version = candidate()
    predict_all(present, films, skill=0.6)
    predict_all(version, films, skill=0.6)
    VersionFilm.objects.create(version=present, tmdb_id=films[0][0].tmdb_id, part="train")
    VersionFilm.objects.create(version=version, tmdb_id=films[1][0].tmdb_id, part="val")
    report = gate.judge(version, present)
    assert (report.verdict, report.films) == ("too_few", gate.FEWEST_FILMS - 2)
    assert "only 198 films" in report.explanation


def test_with_too_few_films_a_reason_is_needed_and_kept(present, admin_user, broker):
    version = candidate()
    make_film(genres=["Drama"])
    with pytest.raises(promotion.GateRefusedError, match="Too few to judge"):
        promotion.promote(version, by=admin_user, force_reason="  ")
    kept = promotion.promote(version, by=admin_user, force_reason="The catalog is new.")
    assert (kept.forced_reason, kept.gate["verdict"]) == ("The catalog is new.", "too_few")
    assert [deed.what for deed in audit.history(version)] == [
        "Promoted to champion against the gate: The catalog is new."
    ]
    # Pages show the former version until the new one has predicted the catalog, which begins at once.
    assert registry.displayed() == present
    assert PredictionRun.objects.get().version == version


def test_without_common_predictions_figures_on_the_same_test_films_decide(present, broker):
    def with_figures(version, value):
        interval = {"value": value, "low": value - 0.01, "high": value + 0.01}
        report = {"films": 500, "macro_roc_auc": value, "intervals": {"macro_roc_auc": interval}}
        ModelVersion.objects.filter(pk=version.pk).update(metrics={"test": {"all_films": report}})
        VersionFilm.objects.create(version=version, tmdb_id=7, part="test")
        version.refresh_from_db()
        return version

    champion = with_figures(present, 0.90)
    assert gate.judge(with_figures(candidate(), 0.895), champion).verdict == "not_worse"
    worse = gate.judge(with_figures(candidate(), 0.88), champion)
    assert (worse.verdict, worse.films) == ("worse", 500)
    other = with_figures(candidate(), 0.95)
    VersionFilm.objects.create(version=other, tmdb_id=8, part="test")
    assert gate.judge(other, champion).verdict == "too_few"


def test_rolling_back_takes_one_step_at_a_time_and_seconds_at_most(films, admin_user, broker):
    first, second, third = candidate(), candidate(), candidate()
    for version in (first, second, third):
        promotion.promote(version, by=admin_user, force_reason="A test.")
    for version, skill in ((first, 0.5), (second, 0.6)):
        predict_all(version, films, skill=skill)
    began = time.monotonic()
    rolled_back = promotion.rollback(by=admin_user)
    assert time.monotonic() - began < 5
    assert (rolled_back.version, rolled_back.before, rolled_back.is_rollback) == (second, third, True)
    assert registry.champion() == registry.displayed() == second  # whose predictions are still there
    assert promotion.rollback(by=admin_user).version == first
    with pytest.raises(promotion.NotPromotableError, match="no former champion"):
        promotion.rollback(by=admin_user)
    assert registry.champion() == first


def test_a_decision_that_rests_on_another_champion_changes_nothing(present, broker):
    version, other = candidate(), candidate()
    registry.promote(other)
    with pytest.raises(registry.ChampionChangedError):
        registry.promote(version, over=present.pk)
    assert registry.champion() == other


def test_a_version_without_its_artifact_is_not_promoted(present, broker):
    with pytest.raises(promotion.NotPromotableError, match="neither in MODEL_ROOT nor in the storage"):
        promotion.promote(make_version(displayed=False), force_reason="A test.")
    with pytest.raises(promotion.NotPromotableError, match="is the champion already"):
        promotion.promote(present)
    assert registry.champion() == present


def test_registering_at_each_start_does_not_undo_a_promotion(artifact, other_artifact, capsys, broker):
    call_command("register_model", str(artifact), "--promote")
    chosen = registry.register(other_artifact)
    promotion.promote(chosen, force_reason="A test.")
    call_command("register_model", str(artifact), "--promote")
    assert registry.champion() == chosen
    assert "and stays" in capsys.readouterr().out


def test_another_machine_fetches_an_artifact_from_the_storage_and_verifies_it(artifact, settings, tmp_path):
    version = registry.register(artifact)
    stored = set(default_storage.listdir(f"models/{version.sha256}")[1])
    assert stored == {file.name for file in artifact.iterdir()}
    settings.MODEL_ROOT = tmp_path / "elsewhere"
    assert artifact_storage.is_at_hand(version)
    predictor = LoadedModels().get(version)
    assert predictor.description.sha256 == version.sha256
    assert ArtifactDescription.read(tmp_path / "elsewhere" / version.folder).sha256 == version.sha256


@pytest.mark.parametrize("harm", ["changed", "missing", "escaping"])
def test_an_artifact_that_the_storage_has_otherwise_is_refused_and_leaves_nothing(
    artifact, settings, tmp_path, harm
):
    version = registry.register(artifact)
    stored = Path(settings.MEDIA_ROOT) / "models" / version.sha256
    if harm == "changed":
        (stored / "metrics.json").write_text('{"test": {}}')
    elif harm == "missing":
        (stored / "model.safetensors").unlink()
    else:
        (stored / "artifact.json").write_text('{"format_version": 1, "files": {"../../evil.json": "0"}}')
    settings.MODEL_ROOT = tmp_path / "elsewhere"
    with pytest.raises(ArtifactError):
        artifact_storage.local(version)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.django_db(transaction=True)
def test_old_candidates_are_pruned_and_never_one_that_something_stands_on(artifact, settings, admin_user):
    real = registry.register(artifact)
    champion, displayed, predicted, former = candidate(), candidate(), candidate(), candidate()
    registry.promote(former)
    registry.promote(champion)
    registry.promote(displayed)
    registry.promote(champion)
    make_prediction(make_film(), predicted)
    run = TrainingRun.objects.create(request={}, request_hash="0", state="done", version=real)
    younger = [candidate(), candidate()]
    settings.KEEP_CANDIDATES = 2
    assert prune(by=admin_user) == [str(real)]
    assert set(ModelVersion.objects.all()) == {champion, displayed, predicted, former, *younger}
    assert not registry.artifact_folder(real).exists()
    assert not (Path(settings.MEDIA_ROOT) / "models" / real.sha256).exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [f"predictor_prediction_v{real.pk}"])
        assert cursor.fetchone() == (None,)
    run.refresh_from_db()
    assert run.version is None
    assert prune() == []


def test_the_command_says_what_it_would_remove_before_it_does(capsys):
    old = candidate()
    call_command("prune_models", "--keep", "0", "--dry-run")
    assert f"Would remove {old}" in capsys.readouterr().out
    assert ModelVersion.objects.filter(pk=old.pk).exists()
    call_command("prune_models", "--keep", "0")
    assert f"Removed {old}" in capsys.readouterr().out
    call_command("prune_models", "--keep", "0")
    assert capsys.readouterr().out == "Nothing to remove.\n"


def test_readiness_knows_that_an_artifact_can_be_fetched(artifact):
    version = registry.register(artifact)
    registry.promote(version)
    shutil.rmtree(registry.artifact_folder(version))
    assert registry.model_ready().ready
