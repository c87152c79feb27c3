"""The schema says all that a client must know; its page is readable under the site's content security policy."""

from __future__ import annotations

import re

import pytest
import yaml
from drf_spectacular.validation import validate_schema

from predictor.api.urls import urlpatterns

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def schema(anonymous):
    return yaml.safe_load(anonymous.get("/api/v1/schema/").content)


def operations(schema):
    return [
        (path, method, operation)
        for path, item in schema["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def test_the_schema_is_valid_openapi_3(schema):
    validate_schema(schema)


def test_the_schema_comes_as_yaml_and_as_json(anonymous, schema):
    for response in (
        anonymous.get("/api/v1/schema/?format=json"),
        anonymous.get("/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}),
    ):
        assert response["Content-Type"].startswith("application/vnd.oai.openapi+json")
        assert response.json() == schema


@pytest.mark.parametrize(
    "query", ["version=9", "version=%0d%0aX-Evil:%201", "lang=%00", "lang=../../x", "format=%00"]
)
def test_no_parameter_gets_into_the_schema(query, anonymous, schema):
    response = anonymous.get(f"/api/v1/schema/?{query}")
    assert yaml.safe_load(response.content) == schema
    assert "X-Evil" not in response


def test_every_address_is_described(schema):
    described = {path.removeprefix("/api/v1/") for path in schema["paths"]}
    served = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(p.pattern)) for p in urlpatterns}
    assert served - described == {"schema/", "docs/", ""} - described


def test_every_operation_says_how_it_fails(schema):
    for path, method, operation in operations(schema):
        responses = operation["responses"]
        failures = {status for status in responses if status >= "400"}
        assert {"400", "401", "500", "503"} <= failures, (path, method)
        assert ("404" in failures) == ("{" in path), (path, method)
        for status in failures:
            assert responses[status]["content"] == {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            }, (path, method, status)
            assert ("headers" in responses[status]) == (status in {"429", "503"})


def test_predict_takes_json_and_forms_and_names_its_refusals(schema):
    predict = schema["paths"]["/api/v1/predict/"]["post"]
    assert set(predict["requestBody"]["content"]) == {"application/json", "multipart/form-data"}
    assert set(predict["responses"]) >= {"200", "400", "413", "415", "422", "429", "503"}
    poster = schema["components"]["schemas"]["PredictFormRequest"]["properties"]["poster"]
    assert poster["format"] == "binary"


def test_token_and_session_are_described_and_required_where_they_are(schema):
    assert set(schema["components"]["securitySchemes"]) == {"token", "cookieAuth"}
    for path, method, operation in operations(schema):
        open_to_all = {} in operation["security"]
        ours = any(part in path for part in ("/me/", "/imports/", "/trainings/", "/promot", "/rollback/"))
        assert open_to_all != ours, (path, method)


def test_operations_have_a_name_and_a_sentence(schema):
    names = [operation["operationId"] for _, _, operation in operations(schema)]
    assert len(set(names)) == len(names)
    assert all(5 < len(operation["summary"]) < 140 for _, _, operation in operations(schema))
    assert all(operation["description"].strip() for _, _, operation in operations(schema))


def test_the_way_in_leads_somewhere(anonymous, db):
    for name, address in anonymous.get("/api/v1/").json().items():
        status = anonymous.get(address).status_code
        assert status == {"predict": 405, "imports": 401, "tokens": 401, "trainings": 401}.get(name, 200), (
            name
        )


def test_the_page_needs_nothing_inline_and_nothing_from_elsewhere(anonymous):
    response = anonymous.get("/api/v1/docs/")
    page = response.content.decode()
    assert "'unsafe-inline'" not in response["Content-Security-Policy"]
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)
