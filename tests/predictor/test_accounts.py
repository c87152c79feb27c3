"""Logging in and out, the password, and a user's API tokens."""

from __future__ import annotations

import re

import pytest
from django.core.cache import cache
from django.utils import timezone
from knox.models import AuthToken

from predictor.tokens import MAX_TOKENS, issue_token
from tests.predictor.reading import page_text

pytestmark = pytest.mark.django_db
PASSWORD = "sunset-boulevard-1950"


@pytest.fixture(autouse=True)
def _no_throttle():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def _fast_hashing(settings):
    """How slowly passwords are hashed is Django's affair; here they are hashed dozens of times."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def ada(django_user_model):
    return django_user_model.objects.create_user("ada", password=PASSWORD)


def log_in(client, *, password=PASSWORD, **extra):
    return client.post("/login/", {"username": "ada", "password": password, **extra})


# Logging in and out -------------------------------------------------------------------------------------------


def test_logging_in_leads_to_where_one_wanted_to_go(client, ada):
    response = client.get("/tokens/")
    assert (response.status_code, response["Location"]) == (302, "/login/?next=/tokens/")
    assert 'name="next" value="/tokens/"' in client.get("/login/?next=/tokens/").content.decode()
    assert log_in(client, next="/tokens/")["Location"] == "/tokens/"
    assert client.get("/tokens/").status_code == 200


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_it_leads_nowhere_else(client, ada, target):
    assert log_in(client, next=target)["Location"] == "/"


def test_a_wrong_password_is_told_and_not_which_part_was_wrong(client, ada):
    shown = page_text(log_in(client, password="wrong"))
    assert "correct username and password" in shown
    assert shown == page_text(client.post("/login/", {"username": "nobody", "password": "wrong"})).replace(
        "nobody", "ada"
    )


def test_guessing_passwords_is_slowed_down(client, ada, broker):
    answers = [log_in(client, password=f"guess-{number}") for number in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert 0 < int(answers[-1]["Retry-After"]) <= 60
    assert "Try again in" in page_text(answers[-1], status=429)
    assert log_in(client).status_code == 429


def test_logging_out_takes_a_post(client, ada):
    client.force_login(ada)
    assert client.get("/logout/").status_code == 405
    assert "_auth_user_id" in client.session
    assert client.post("/logout/")["Location"] == "/"
    assert "_auth_user_id" not in client.session


def test_a_form_from_elsewhere_is_refused_with_an_explanation(ada):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    for address in ("/login/", "/logout/", "/try/", "/tokens/", "/tokens/revoke/"):
        client.force_login(ada)
        assert "That form was too old" in page_text(client.post(address), status=403)


# The password ---------------------------------------------------------------------------------------------------


def test_the_password_can_be_changed(client, ada):
    client.force_login(ada)
    new = "vertigo-and-rear-window"
    given = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    response = client.post("/password/", given, follow=True)
    assert response.redirect_chain == [("/tokens/", 302)]
    assert "Your password was changed." in page_text(response)
    ada.refresh_from_db()
    assert ada.check_password(new)


def test_a_poor_password_is_refused(client, ada):
    client.force_login(ada)
    given = {"old_password": PASSWORD, "new_password1": "12345678", "new_password2": "12345678"}
    assert "too common" in page_text(client.post("/password/", given))
    assert client.get("/password/").status_code == 200


# Tokens -----------------------------------------------------------------------------------------------------------


def secret_in(response) -> str:
    return re.search(r"<code>([0-9a-f]{64})</code>", response.content.decode())[1]


def test_a_token_is_shown_once_and_works(client, ada):
    client.force_login(ada)
    response = client.post("/tokens/")
    secret = secret_in(response)
    assert "no-store" in response["Cache-Control"]
    assert secret not in client.get("/tokens/").content.decode()
    assert secret[:15] in client.get("/tokens/").content.decode()
    assert not AuthToken.objects.filter(digest=secret).exists()
    client.logout()
    answer = client.get("/api/v1/films/", headers={"Authorization": f"Token {secret}"})
    assert answer.status_code == 200
    assert client.get("/api/v1/films/", headers={"Authorization": f"Token {'0' * 64}"}).status_code == 401


def test_a_token_can_be_revoked(client, ada):
    client.force_login(ada)
    secret = secret_in(client.post("/tokens/"))
    response = client.post("/tokens/revoke/", {"key": secret[:15]}, follow=True)
    assert "The token was revoked." in page_text(response)
    assert "You have none yet." in page_text(response)
    client.logout()
    assert client.get("/api/v1/films/", headers={"Authorization": f"Token {secret}"}).status_code == 401


def test_nobody_elses_token_can_be_seen_or_revoked(client, ada, django_user_model):
    other = issue_token(user=django_user_model.objects.create_user("grace"))
    client.force_login(ada)
    assert other.key not in client.get("/tokens/").content.decode()
    response = client.post("/tokens/revoke/", {"key": other.key}, follow=True)
    assert "You have no such token" in page_text(response)
    assert AuthToken.objects.count() == 1


def test_it_shows_when_a_token_was_issued_and_until_when_it_is_valid(client, ada):
    issued = issue_token(user=ada)
    client.force_login(ada)
    shown = page_text(client.get("/tokens/"))
    for moment in (issued.created, issued.expiry):
        assert f"{moment:%b} {moment:%Y}" in shown
    AuthToken.objects.update(expiry=timezone.now())
    assert "You have none yet." in page_text(client.get("/tokens/"))


def test_there_is_a_limit(client, ada):
    for _ in range(MAX_TOKENS):
        issue_token(user=ada)
    client.force_login(ada)
    assert "revoke one first" in page_text(client.post("/tokens/"), status=409)


@pytest.mark.parametrize("address", ["/tokens/", "/tokens/revoke/", "/password/"])
def test_it_all_takes_a_login(client, address):
    for response in (client.get(address), client.post(address)):
        assert (response.status_code, response["Location"]) == (302, f"/login/?next={address}")
