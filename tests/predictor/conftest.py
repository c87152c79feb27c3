"""Models for tests of predictions."""

from __future__ import annotations

from pathlib import Path

import pytest

from predictor import registry
from predictor.models import ModelVersion
from tests.predictor.artifacts import write_random_artifact

# TMDB ids that the artifact says it was trained and tested on.
TRAINED_ON, TESTED_ON = 900_001, 900_002


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small artifact on disk, written once."""
    films = {"train": [TRAINED_ON], "test": [TESTED_ON]}
    return write_random_artifact(tmp_path_factory.mktemp("artifacts") / "first", seed=1, films=films)


@pytest.fixture(scope="session")
def other_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another one, which says other things of the same films."""
    return write_random_artifact(tmp_path_factory.mktemp("artifacts") / "second", seed=2)


@pytest.fixture
def champion(request: pytest.FixtureRequest, artifact: Path) -> ModelVersion:
    """The small artifact, registered and promoted."""
    transactional = "transactional_db" in request.fixturenames or "start_worker" in request.fixturenames
    request.getfixturevalue("transactional_db" if transactional else "db")
    version = registry.register(artifact)
    registry.promote(version)
    return version
