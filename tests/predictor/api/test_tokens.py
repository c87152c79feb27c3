"""Tokens: issued to a session, shown once, stored as a hash, revoked at once."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from predictor.tokens import MAX_TOKENS

pytestmark = pytest.mark.django_db
URL = "/api/v1/me/tokens/"


def test_a_session_issues_a_token_that_then_works(by_session, csrf, anonymous):
    issued = by_session.post(URL, content_type="application/json", headers=csrf)
    assert issued.status_code == 201
    assert issued["Cache-Control"] == "no-store"
    anonymous.credentials(HTTP_AUTHORIZATION=f"Token {issued.json()['token']}")
    assert [row["key"] for row in anonymous.get(URL).json()] == [issued.json()["key"]]


def test_the_database_holds_no_token(by_session, csrf):
    token = by_session.post(URL, content_type="application/json", headers=csrf).json()["token"]
    row = AuthToken.objects.values().get()
    assert token not in map(str, row.values())
    assert token.startswith(row["token_key"])
    assert len(token) - len(row["token_key"]) >= 48


def test_lists_never_show_the_secret_or_its_hash(by_token, user):
    answer = by_token.get(URL)
    assert AuthToken.objects.get().digest not in answer.content.decode()
    assert set(answer.json()[0]) == {"key", "created", "expiry"}


def test_anonymous_clients_are_told_to_bring_a_token(anonymous, assert_problem):
    for response in (anonymous.get(URL), anonymous.post(URL), anonymous.delete(URL + "abc/")):
        assert_problem(response, 401)
        assert response["WWW-Authenticate"] == "Token"


def test_a_token_cannot_issue_tokens(by_token, assert_problem):
    assert "log in" in assert_problem(by_token.post(URL), 403)["detail"]
    assert AuthToken.objects.count() == 1


def test_a_session_without_its_csrf_token_issues_nothing(by_session, assert_problem):
    assert_problem(by_session.post(URL), 403)
    assert not AuthToken.objects.exists()


def test_revoking_ends_a_token_at_once(by_token, anonymous):
    key = by_token.get(URL).json()[0]["key"]
    assert by_token.delete(f"{URL}{key}/").status_code == 204
    assert by_token.get(URL).status_code == 401


def test_nobody_sees_or_revokes_the_tokens_of_others(by_token, admin, assert_problem):
    theirs, _ = AuthToken.objects.create(user=admin)
    assert theirs.token_key not in by_token.get(URL).content.decode()
    assert_problem(by_token.delete(f"{URL}{theirs.token_key}/"), 404)
    assert AuthToken.objects.filter(pk=theirs.pk).exists()


def test_an_admin_does_not_see_the_tokens_of_others_either(by_token, admin):
    client = APIClient()
    client.force_authenticate(admin)
    assert client.get(URL).json() == []


def test_there_is_an_end_to_tokens(by_session, csrf, user, assert_problem):
    for _ in range(MAX_TOKENS):
        AuthToken.objects.create(user=user)
    assert (
        assert_problem(by_session.post(URL, content_type="application/json", headers=csrf), 409)["code"]
        == "too_many_tokens"
    )
    AuthToken.objects.update(expiry=timezone.now() - timedelta(days=1))
    assert by_session.post(URL, content_type="application/json", headers=csrf).status_code == 201, (
        "expired tokens do not count"
    )


def test_an_expired_token_is_refused(by_token, assert_problem):
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    assert_problem(by_token.get(URL), 401)


def test_a_token_of_somebody_locked_out_is_refused(by_token, user, assert_problem):
    User.objects.update(is_active=False)
    assert_problem(by_token.get(URL), 401)


@pytest.mark.parametrize(
    "header",
    [
        "Token",
        "Token  ",
        "Token a b",
        pytest.param("Token " + "0" * 64, id="unknown"),
        pytest.param("Token " + "é" * 64, id="letters"),
        pytest.param("Token \x00" + "0" * 63, id="nul"),
        "Token " + "0" * 15 + "'; DROP TABLE knox_authtoken; --",
        pytest.param("Token " + "0" * 100_000, id="long"),
    ],
)
def test_whatever_is_no_token_is_refused_everywhere(header, anonymous, assert_problem):
    for path in (URL, "/api/v1/films/", "/api/v1/schema/"):
        assert_problem(anonymous.get(path, headers={"Authorization": header}), 401)


def test_basic_authentication_is_not_taken(anonymous, user, assert_problem):
    anonymous.credentials(HTTP_AUTHORIZATION="Basic YWRhOmEgbG9uZyBlbm91Z2ggcGFzc3dvcmQ=")
    assert_problem(anonymous.get(URL), 401)


def test_the_command_prints_a_token_that_works_and_nothing_else(user, anonymous):
    out, err = io.StringIO(), io.StringIO()
    call_command("issue_token", "ada", stdout=out, stderr=err)
    anonymous.credentials(HTTP_AUTHORIZATION=f"Token {out.getvalue().strip()}")
    assert anonymous.get(URL).status_code == 200
    assert out.getvalue().strip() not in err.getvalue()


@pytest.mark.parametrize("name", ["nobody", "", "ada' OR 1=1"])
def test_the_command_refuses_who_is_not_there(name, user):
    with pytest.raises(CommandError, match="no active user"):
        call_command("issue_token", name)


def test_the_command_refuses_one_token_too_many(user):
    for _ in range(MAX_TOKENS):
        AuthToken.objects.create(user=user)
    with pytest.raises(CommandError, match="revoke one"):
        call_command("issue_token", "ada", stdout=io.StringIO())


def test_a_logged_in_visitor_may_list_with_the_session(by_session: Client):
    assert by_session.get(URL).json() == []
