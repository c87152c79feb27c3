"""Whatever goes wrong under /api/ is a problem detail, and says nothing of the inside."""

from __future__ import annotations

import pytest
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.test import Client
from rest_framework.serializers import ValidationError
from rest_framework.test import APIRequestFactory

from predictor.api import problems
from predictor.api.parsers import JSON_MAX_BYTES
from predictor.api.views.base import ApiView

READ_ONLY = [
    "/api/v1/",
    "/api/v1/films/",
    "/api/v1/films/1/",
    "/api/v1/films/1/prediction/",
    "/api/v1/films/1/similar/",
    "/api/v1/genres/",
    "/api/v1/models/",
    "/api/v1/models/1/",
    "/api/v1/schema/",
]


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1/nothing/", "/api/v2/films/", "/api/v1/films", "/api/v1/films/x/"]
)
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_unknown_address_is_404_for_every_method(path, method, anonymous, assert_problem):
    assert_problem(getattr(anonymous, method)(path), 404)


def test_an_address_without_its_slash_is_told_what_it_lacks(anonymous, assert_problem):
    assert "end with a slash" in assert_problem(anonymous.post("/api/v1/predict"), 404)["detail"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", READ_ONLY)
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options", "trace"])
@pytest.mark.parametrize("who", ["anonymous", "by_token"])
def test_what_only_reads_allows_no_other_method(path, method, who, request, assert_problem):
    client = request.getfixturevalue(who)
    response = getattr(client, method)(path)
    assert_problem(response, 405)
    assert "GET" in response["Allow"]


@pytest.mark.django_db
def test_head_answers_like_get_without_a_body(anonymous):
    for path in ("/api/v1/films/", "/api/v1/genres/"):
        response = anonymous.head(path)
        assert (response.status_code, response.content) == (200, b"")
    assert anonymous.head("/api/v1/me/tokens/").status_code == 401


@pytest.mark.django_db
def test_any_accept_header_gets_json(anonymous):
    for accept in ("text/html", "application/xml", "*/*;q=0", "nonsense", "image/" + "x" * 10_000):
        response = anonymous.get("/api/v1/models/?format=xml", headers={"Accept": accept})
        assert response["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "body",
    ["", "{", "[1,", '{"title": NaN}', '{"title": Infinity}', b"\xff\xfe", "[" * 100_000, '{"a":' * 50_000],
)
def test_a_body_that_is_no_json_is_400(body, anonymous, assert_problem):
    if body == "":
        body = " "
    response = anonymous.generic("POST", "/api/v1/predict/", body, content_type="application/json")
    assert_problem(response, 400)


@pytest.mark.parametrize("body", ["[]", '"text"', "1", "null", "true", "[{}]"])
def test_json_that_is_no_object_is_400(body, anonymous, assert_problem):
    response = anonymous.generic("POST", "/api/v1/predict/", body, content_type="application/json")
    assert_problem(response, 400)


@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "base64", "zlib", "rot13", "no-such"])
def test_json_is_utf_8_whatever_its_header_says(charset, anonymous, assert_problem):
    response = anonymous.generic(
        "POST",
        "/api/v1/predict/",
        '{"title": 1, "é": 2}'.encode(),
        content_type=f"application/json; charset={charset}",
    )
    assert "é" in assert_problem(response, 400)["errors"]


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "application/x-www-form-urlencoded", "x" * 5000, "nonsense"],
)
def test_another_content_type_is_415(content_type, anonymous, assert_problem):
    response = anonymous.generic("POST", "/api/v1/predict/", "title=x", content_type=content_type)
    assert_problem(response, 415)


def test_a_form_without_its_boundary_is_400(anonymous, assert_problem):
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=é"):
        response = anonymous.generic("POST", "/api/v1/predict/", b"--x--", content_type=content_type)
        assert_problem(response, 400)


def test_too_much_json_is_413_whatever_it_says_of_its_length(anonymous, assert_problem):
    body = b'{"overview": "' + b"a" * JSON_MAX_BYTES + b'"}'
    response = anonymous.generic("POST", "/api/v1/predict/", body, content_type="application/json")
    assert_problem(response, 413)


def test_a_form_too_large_is_refused_by_its_length_alone(anonymous, assert_problem):
    response = anonymous.generic(
        "POST",
        "/api/v1/predict/",
        b"--b\r\n",
        content_type="multipart/form-data; boundary=b",
        CONTENT_LENGTH=str(50 * 1024**3),
    )
    assert_problem(response, 413)


def test_a_host_that_is_not_ours_gets_a_problem_as_well(anonymous, assert_problem):
    response = anonymous.get("/api/v1/films/", headers={"Host": "evil.example"})
    problem = assert_problem(response, 400)
    assert "evil.example" not in problem["detail"]


def test_pages_keep_their_own_errors(db):
    response = Client().get("/nothing/here/")
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


class Failing(ApiView):
    """Raises what it is told to."""

    permission_classes = ()
    error: Exception = Exception()

    def get(self, request):
        raise self.error


@pytest.fixture
def answer():
    def ask(error):
        request = APIRequestFactory().get("/api/v1/failing/")
        response = Failing.as_view(error=error)(request)
        response.wsgi_request = request
        response.json = lambda: __import__("json").loads(response.content)
        return response

    return ask


def test_an_error_nobody_foresaw_tells_nothing_of_itself(answer, assert_problem, caplog):
    response = answer(RuntimeError("password=hunter2 in /srv/app/secret.py"))
    problem = assert_problem(response, 500)
    assert b"hunter2" not in response.content
    assert b"RuntimeError" not in response.content
    assert b"Traceback" not in response.content
    assert problem["code"] == "error"
    assert "hunter2" in caplog.text, "but it is in the log"


def test_a_database_away_is_503_with_a_time_to_come_back(answer, assert_problem):
    response = answer(OperationalError('connection to server at "db.internal" failed'))
    assert_problem(response, 503)
    assert int(response["Retry-After"]) >= 1
    assert b"db.internal" not in response.content


def test_djangos_own_refusals_keep_their_status(answer, assert_problem):
    assert_problem(answer(RequestDataTooBig("too big")), 413)
    assert_problem(answer(SuspiciousOperation("odd")), 400)


def test_nested_errors_are_named_by_their_path(answer, assert_problem):
    error = ValidationError({"films": [{}, {"title": ["Too long."]}], "non_field_errors": ["Odd."]})
    problem = assert_problem(answer(error), 400)
    assert problem["errors"] == {
        "films.1.title": [{"code": "invalid", "message": "Too long."}],
        "body": [{"code": "invalid", "message": "Odd."}],
    }


def test_the_body_is_ascii_so_that_no_reader_can_mistake_it():
    body = problems.problem_body(status=400, detail="é\u2028</script>", instance="/api/é")
    assert body.isascii()
