"""Liveness asks nothing of anybody; readiness asks for everything and gives nothing away."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ledger.workers import say_alive
from predictor import artifact_storage, registry
from tests.predictor.artifacts import write_random_artifact


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_artifact(tmp_path_factory.mktemp("artifact") / "model", seed=3)


@pytest.fixture
def ready(db, broker, artifact):
    """A site with all that it stands on."""
    version = registry.register(artifact)
    registry.promote(version)
    return version


def test_the_process_answers_without_database_or_broker(client, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    response = client.get("/healthz")  # without the `db` fixture a query would fail this test
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert "no-store" in response["Cache-Control"]


def test_ready_with_database_broker_and_model(client, ready):
    response = client.get("/readyz")
    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "ready"
    assert body["checks"] == {
        "database": {"ok": True},
        "broker": {"ok": True},
        "model": {"ok": True, "name": ready.name, "sha256": ready.sha256},
    }


def test_workers_are_told_for_information(client, ready):
    assert client.get("/readyz").json()["workers"] == {"io": 0, "train": 0, "predict": 0}
    say_alive(name="predict@here", queues=["predict"])
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["workers"]["predict"] == 1


def test_not_ready_without_a_model(client, db, broker):
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "not ready"
    assert response.json()["checks"]["model"]["ok"] is False
    assert "promoted" in response.json()["checks"]["model"]["reason"]


def test_not_ready_when_the_models_files_are_gone(client, ready):
    artifact_storage.delete(folder=ready.folder, sha256=ready.sha256)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["database"] == {"ok": True}
    assert response.json()["checks"]["model"]["ok"] is False


def test_not_ready_without_the_broker_and_told_so_within_two_seconds(client, ready, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    began = time.perf_counter()
    response = client.get("/readyz")
    assert time.perf_counter() - began < 2
    assert response.status_code == 503
    assert response.json()["checks"]["broker"] == {"ok": False, "reason": "cannot be reached"}
    assert response.json()["workers"] is None
    assert b"127.0.0.1" not in response.content


def test_not_ready_without_the_database_and_nothing_told_of_it(client, ready):
    def refuse(*_):
        from django.db import OperationalError

        raise OperationalError('connection to server at "db.internal", port 5432 failed')

    with connection.execute_wrapper(refuse):
        response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["database"] == {"ok": False, "reason": "cannot be reached"}
    assert b"db.internal" not in response.content


def test_a_probe_costs_two_queries_at_most(client, ready):
    with CaptureQueriesContext(connection) as queries:
        client.get("/readyz")
    assert len(queries) <= 2


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_only_read(path, client, db):
    assert client.post(path).status_code == 405
    assert client.head("/healthz").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_come_without_tls_and_are_not_sent_away(path, client, ready, settings):
    settings.SECURE_SSL_REDIRECT = True
    assert client.get(path).status_code == 200
