"""Registering, promoting, rolling back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from ml_core.artifact import ArtifactError
from predictor import artifact_storage, registry
from predictor.models import ModelPointers, ModelVersion, VersionFilm
from tests.factories import make_film, make_prediction
from tests.predictor.conftest import TESTED_ON, TRAINED_ON

pytestmark = pytest.mark.django_db


def test_a_registered_artifact_is_copied_and_described(artifact, settings):
    version = registry.register(artifact)
    assert (version.name, version.network, len(version.label_ids)) == ("random-1", "fusion", 18)
    assert version.trained_at.year == 2026
    kept = registry.artifact_folder(version)
    assert {file.name for file in kept.iterdir()} == {file.name for file in artifact.iterdir()}
    assert [path.name for path in Path(settings.MODEL_ROOT).iterdir()] == [kept.name]


def test_its_films_are_known_by_part(artifact):
    version = registry.register(artifact)
    assert set(VersionFilm.objects.filter(version=version).values_list("tmdb_id", "part")) == {
        (TRAINED_ON, "train"),
        (TESTED_ON, "test"),
    }


def test_registering_again_gives_the_same_version(artifact):
    assert registry.register(artifact) == registry.register(artifact)
    assert ModelVersion.objects.count() == 1


def test_a_changed_artifact_is_refused_and_leaves_nothing(artifact, tmp_path, settings):
    broken = tmp_path / "broken"
    shutil.copytree(artifact, broken)
    (broken / "metrics.json").write_text("{}  ")
    with pytest.raises(ArtifactError, match=r"metrics\.json was changed"):
        registry.register(broken)
    assert not ModelVersion.objects.exists()
    assert not list(Path(settings.MODEL_ROOT).glob("*"))


def test_each_version_has_a_table_of_predictions_with_the_indexes_of_all(artifact):
    version = registry.register(artifact)
    make_prediction(make_film(), version)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_indexes WHERE tablename = %s", [registry.partition_of(version)]
        )
        own = cursor.fetchone()[0]
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'predictor_prediction'")
        assert own == cursor.fetchone()[0]
        cursor.execute(f"SELECT count(*) FROM {registry.partition_of(version)}")
        assert cursor.fetchone()[0] == 1


def test_the_first_champion_is_shown_at_once(artifact):
    version = registry.register(artifact)
    assert registry.champion() is None
    registry.promote(version)
    assert registry.champion() == registry.displayed() == version


def test_a_new_champion_is_shown_when_its_predictions_are_complete(artifact, other_artifact):
    first, second = registry.register(artifact), registry.register(other_artifact)
    registry.promote(first)
    films = [make_film(), make_film()]
    make_prediction(films[0], second)
    registry.promote(second)
    assert (registry.champion(), registry.displayed()) == (second, first)
    assert not registry.show_champion_if_complete()
    make_prediction(films[1], second)
    assert registry.show_champion_if_complete()
    assert registry.displayed() == second


def test_rolling_back_shows_the_former_predictions_at_once(artifact, other_artifact):
    first, second = registry.register(artifact), registry.register(other_artifact)
    make_prediction(make_film(), first)
    registry.promote(second)
    registry.promote(first)
    assert registry.champion() == registry.displayed() == first
    assert ModelPointers.objects.count() == 1


def test_readiness_names_what_is_missing(artifact):
    assert registry.model_ready().reason == "no model has been promoted"
    version = registry.register(artifact)
    registry.promote(version)
    assert registry.model_ready().ready
    assert registry.model_ready().sha256 == version.sha256
    artifact_storage.delete(folder=version.folder, sha256=version.sha256)
    assert not registry.model_ready().ready


def test_the_command_registers_and_promotes_and_may_be_repeated(artifact, capsys):
    call_command("register_model", str(artifact), "--promote")
    call_command("register_model", str(artifact), "--promote")
    assert registry.champion() is not None
    assert capsys.readouterr().out.count("It is the champion now.") == 1


def test_the_command_says_what_is_wrong_with_a_folder(tmp_path):
    with pytest.raises(CommandError, match=r"artifact\.json"):
        call_command("register_model", str(tmp_path))
