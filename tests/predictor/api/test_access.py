"""Every operation as anonymous, user and admin: who gets what (promise 13)."""

from __future__ import annotations

import pytest
import yaml
from knox.models import AuthToken
from rest_framework.test import APIClient

from catalog.models import ImportRun
from predictor.models import TrainingRun
from predictor.training.settings import TrainingSettings
from tests.factories import make_film, make_prediction, make_version

pytestmark = pytest.mark.django_db

# (method, address): what anonymous clients, users and admins get; users and admins come with a token.
# Predicting is 422 where it is open, nothing being sent to predict from.
ACCESS = {
    ("get", "/api/v1/"): (200, 200, 200),
    ("get", "/api/v1/films/"): (200, 200, 200),
    ("get", "/api/v1/films/{film_id}/"): (200, 200, 200),
    ("get", "/api/v1/films/{film_id}/prediction/"): (200, 200, 200),
    # Open like predicting; 503 because no worker runs here.
    ("get", "/api/v1/films/{film_id}/explanation/"): (503, 503, 503),
    ("get", "/api/v1/films/{film_id}/similar/"): (200, 200, 200),
    ("get", "/api/v1/genres/"): (200, 200, 200),
    ("get", "/api/v1/models/"): (200, 200, 200),
    ("get", "/api/v1/models/{version_id}/"): (200, 200, 200),
    # No versions are named.
    ("get", "/api/v1/models/compare/"): (400, 400, 400),
    ("get", "/api/v1/models/drift/"): (200, 200, 200),
    ("post", "/api/v1/predict/"): (422, 422, 422),
    ("get", "/api/v1/imports/"): (401, 403, 200),
    # 400: nothing is said of what to import.
    ("post", "/api/v1/imports/"): (401, 403, 400),
    ("post", "/api/v1/imports/estimate/"): (401, 403, 400),
    ("get", "/api/v1/imports/{run_id}/"): (401, 403, 200),
    ("get", "/api/v1/imports/{run_id}/rejections/"): (401, 403, 200),
    # 409: the import has ended, and nothing in it failed.
    ("post", "/api/v1/imports/{run_id}/pause/"): (401, 403, 409),
    ("post", "/api/v1/imports/{run_id}/resume/"): (401, 403, 409),
    ("post", "/api/v1/imports/{run_id}/cancel/"): (401, 403, 409),
    ("post", "/api/v1/imports/{run_id}/retry/"): (401, 403, 409),
    # For admins alone; of those that would change something, none is possible in the state that things are in here.
    ("get", "/api/v1/models/promotions/"): (401, 403, 200),
    ("post", "/api/v1/models/rollback/"): (401, 403, 409),
    ("get", "/api/v1/models/{version_id}/promote/"): (401, 403, 200),
    ("post", "/api/v1/models/{version_id}/promote/"): (401, 403, 409),
    ("get", "/api/v1/trainings/"): (401, 403, 200),
    ("post", "/api/v1/trainings/"): (401, 403, 201),
    ("post", "/api/v1/trainings/estimate/"): (401, 403, 200),
    ("get", "/api/v1/trainings/{training_id}/"): (401, 403, 200),
    ("post", "/api/v1/trainings/{training_id}/cancel/"): (401, 403, 409),
    ("post", "/api/v1/trainings/{training_id}/pause/"): (401, 403, 409),
    ("post", "/api/v1/trainings/{training_id}/resume/"): (401, 403, 409),
    ("get", "/api/v1/me/tokens/"): (401, 200, 200),
    ("post", "/api/v1/me/tokens/"): (401, 403, 403),
    ("delete", "/api/v1/me/tokens/{key}/"): (401, 404, 404),
}


@pytest.fixture
def clients(user, admin, broker):
    found = [APIClient()]
    for account in (user, admin):
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Token {AuthToken.objects.create(user=account)[1]}")
        found.append(client)
    return found


def test_the_table_has_every_operation(anonymous):
    schema = yaml.safe_load(anonymous.get("/api/v1/schema/").content)
    assert set(ACCESS) == {(method, path) for path, item in schema["paths"].items() for method in item}


def test_each_gets_what_is_theirs(clients):
    film, version = make_film(genres=["Drama"]), make_version()
    make_prediction(film, version)
    run = ImportRun.objects.create(source="tmdb", state="done")
    training = TrainingRun.objects.create(
        state="done", request=TrainingSettings().as_json(), request_hash="0"
    )
    for (method, path), expected in ACCESS.items():
        address = path.format(
            film_id=film.pk, version_id=version.pk, run_id=run.pk, training_id=training.pk, key="0" * 15
        )
        statuses = tuple(getattr(client, method)(address).status_code for client in clients)
        assert statuses == expected, (method, path)


def test_no_method_of_any_address_changes_a_film_or_a_model_even_for_an_admin(clients):
    film, version = make_film(title="As it was"), make_version()
    run = ImportRun.objects.create(source="tmdb", state="done")
    for _, path in ACCESS:
        address = path.format(
            film_id=film.pk, version_id=version.pk, run_id=run.pk, training_id=1, key="0" * 15
        )
        for method in ("post", "put", "patch", "delete"):
            body = {"title": "Changed", "name": "Changed", "champion": True, "id": film.pk}
            getattr(clients[2], method)(address, body)
    film.refresh_from_db()
    version.refresh_from_db()
    assert film.title == "As it was"
    assert version.name != "Changed"
