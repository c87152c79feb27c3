"""A fuzzer reads the schema and asks for everything it allows, and for what it does not (promise 14).

No answer may be an error of the server's, nor anything that the schema does not describe: neither in status, nor in
type, nor in body. Every example is asked in process and on the real database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from knox.models import AuthToken
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from catalog.models import Film, ImportRun
from genresite.wsgi import application
from predictor.models import ModelVersion, TrainingRun
from predictor.training.settings import TrainingSettings
from tests.factories import make_film, make_poster, make_prediction, make_version

QUICK, THOROUGH = 15, 200
NEED_A_WORKER = {"POST /api/v1/predict/", "GET /api/v1/films/{film_id}/explanation/"}
NEED_A_KEY = {f"POST /api/v1/imports/{rest}" for rest in ("", "estimate/", "{run_id}/retry/")}
CONFORMANCE = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

api = schemathesis.openapi.from_wsgi(
    "/api/v1/schema/?format=json",
    application,
    config=SchemathesisConfig.from_dict({"generation": {"mode": "all"}}),
    headers={"Host": "127.0.0.1"},
)
# Films, predictions and tokens of one test outlive its examples: that is what a fuzzed site looks like, too.
ANY_FIXTURE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]


@pytest.fixture(autouse=True)
def _one_transaction() -> Iterator[None]:
    """As Django's own test client sees to: a request's end does not close the test's connection."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def _site(db: None, broker: Any, settings: Any) -> None:
    """A few films of every kind, an import, nobody throttled; and no key, so that nothing is asked of TMDB."""
    settings.TMDB_API_KEY = ""
    settings.PREDICT_RATE_ANONYMOUS = settings.PREDICT_RATE_USER = "1000000/s"
    fill_site()


def fill_site() -> None:
    version = make_version(metrics={"test": {"overview": {"macro_roc_auc": 0.9}}})
    make_prediction(
        make_film(genres=["Drama", "War"], poster=make_poster(), release_date="1942-11-26"),
        version,
        probabilities={"Drama": 0.9, "Crime": 0.7},
    )
    make_prediction(make_film(genres=[]), version)
    make_version(displayed=False)
    make_film(adult=True, overview="", runtime=90)
    run = ImportRun.objects.create(
        source="tmdb", state="done", options={"request": {"what": "list"}}, total=1
    )
    run.rejections.create(record="603", code="bad-answer", reason="no title")
    for number, state in enumerate(("waiting", "paused", "running", "failed")):
        TrainingRun.objects.create(
            state=state,
            request=TrainingSettings(seed=number).as_json(),
            request_hash=TrainingSettings(seed=number).sha256(),
            curves=[{"stage": "train heads", "epoch": 1, "loss": 0.3}],
        )


def headers_of(request: pytest.FixtureRequest, who: str) -> dict[str, str]:
    """The headers of each kind of caller: anonymous, user or admin."""
    if who == "anonymous":
        return {}
    _, token = AuthToken.objects.create(user=request.getfixturevalue(who))
    return {"Authorization": f"Token {token}"}


@pytest.fixture
def user_headers(request: pytest.FixtureRequest, _site: None) -> dict[str, str]:
    return headers_of(request, "user")


@pytest.fixture(params=["anonymous", "user", "admin"])
def headers(request: pytest.FixtureRequest, _site: None) -> dict[str, str]:
    return headers_of(request, request.param)


@pytest.fixture
def films(_site: None) -> list[int]:
    return list(Film.objects.values_list("pk", flat=True))


def ask(case: Case, *, headers: dict[str, str], films: list[int]) -> None:
    """One example. Half of those that name a film or a model name one that there is."""
    there = {
        "film_id": films,
        "version_id": list(ModelVersion.objects.values_list("pk", flat=True)),
        "run_id": list(ImportRun.objects.values_list("pk", flat=True)),
        "training_id": list(TrainingRun.objects.values_list("pk", flat=True)),
    }
    for name, keys in there.items():
        number = case.path_parameters.get(name)
        if isinstance(number, int) and number % 2:
            case.path_parameters[name] = keys[number % len(keys)]
    if case.operation.label == "GET /api/v1/models/compare/":
        for name in ("a", "b"):
            number = case.query.get(name)
            if isinstance(number, int) and number % 2:
                case.query[name] = there["version_id"][number % len(there["version_id"])]
    response = case.call(headers={"Host": "127.0.0.1"} | headers)
    checks: list[Callable[..., Any]] = list(CONFORMANCE)
    if not (response.status_code == 503 and case.operation.label in NEED_A_WORKER | NEED_A_KEY):
        # 503 is an answer there: no worker runs, or it is busy, or there is no key for TMDB. The schema has to say so, which is checked.
        checks.append(not_a_server_error)
    case.validate_response(response, checks=checks)


@api.parametrize()
@settings(max_examples=QUICK, deadline=None, suppress_health_check=ANY_FIXTURE, database=None)
def test_no_answer_is_outside_the_schema(case: Case, user_headers: dict[str, str], films: list[int]) -> None:
    ask(case, headers=user_headers, films=films)


@pytest.mark.slow
@api.parametrize()
@settings(max_examples=THOROUGH, deadline=None, suppress_health_check=ANY_FIXTURE, database=None)
def test_no_answer_is_outside_the_schema_however_long_one_tries(
    case: Case, headers: dict[str, str], films: list[int]
) -> None:
    ask(case, headers=headers, films=films)


@pytest.fixture
def working_site(champion: Any, start_worker: Any, settings: Any) -> None:
    settings.PREDICT_RATE_ANONYMOUS = "1000000/s"
    start_worker("predict")


@pytest.mark.slow
@api.include(path=["/api/v1/predict/", "/api/v1/films/{film_id}/explanation/"]).parametrize()
@settings(max_examples=THOROUGH, deadline=None, suppress_health_check=ANY_FIXTURE, database=None)
def test_a_real_worker_answers_only_within_the_schema(case: Case, working_site: None) -> None:
    response = case.call(headers={"Host": "127.0.0.1"})
    case.validate_response(response, checks=[*CONFORMANCE, not_a_server_error])


BOUNDARY = "b"
PARTS = st.lists(
    st.sampled_from(
        [
            b"--b\r\n",
            b"--b--\r\n",
            b"\r\n",
            b"\r\n\r\n",
            b'Content-Disposition: form-data; name="poster"; filename="a.jpg"\r\n',
            b'Content-Disposition: form-data; name="title"\r\n',
            b"Content-Disposition: form-data\r\n",
            b"Content-Transfer-Encoding: base64\r\n",
            b"Content-Type: text/plain; charset=zlib\r\n",
            b"\xff\xd8\xff\xe0",
            b"\x89PNG\r\n\x1a\n",
            b"RIFF\x10\0\0\0WEBPVP8 ",
            b"\0",
            b"=",
        ]
    )
    | st.binary(max_size=40),
    max_size=12,
).map(b"".join)


@pytest.mark.usefixtures("_site")
@given(
    body=st.binary(max_size=200) | PARTS,
    content_type=st.sampled_from(
        [
            "application/json",
            f"multipart/form-data; boundary={BOUNDARY}",
            "multipart/form-data",
            "multipart/mixed",
            "*/*",
        ]
    ),
)
@settings(max_examples=150, deadline=None, suppress_health_check=ANY_FIXTURE, database=None)
def test_any_bytes_at_all_get_a_refusal_of_the_right_kind(body: bytes, content_type: str) -> None:
    response = Client().generic("POST", "/api/v1/predict/", body, content_type=content_type)
    # 503: the bytes happened to be a title, and no worker runs.
    assert response.status_code in {400, 415, 422, 503}
    assert response["Content-Type"] == "application/problem+json"
