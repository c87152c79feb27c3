"""Clients of each kind, and what every problem detail has to look like."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from knox.models import AuthToken
from rest_framework.test import APIClient

PROBLEM_MEMBERS = {"type", "title", "status", "detail", "instance"}


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create_superuser("root")


@pytest.fixture
def anonymous() -> APIClient:
    return APIClient()


@pytest.fixture
def by_token(user: User) -> APIClient:
    """The plain user, known by a token."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {AuthToken.objects.create(user=user)[1]}")
    return client


@pytest.fixture
def by_session(user: User) -> Client:
    """The plain user, logged in on the site, with CSRF checked as in production."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


@pytest.fixture
def csrf(by_session: Client) -> dict[str, str]:
    """The header that the session's own pages send with what changes something."""
    by_session.get("/api/v1/docs/")
    return {"X-CSRFToken": by_session.cookies["csrftoken"].value}


@pytest.fixture
def assert_problem() -> Callable[..., dict[str, Any]]:
    """``assert_problem(response, 404)``: a well-formed problem detail with that status; returns it."""

    def check(response: Any, status: int) -> dict[str, Any]:
        assert response.status_code == status, response.content[:500]
        assert response["Content-Type"] == "application/problem+json"
        problem = response.json()
        assert set(problem) >= PROBLEM_MEMBERS, problem
        assert problem["type"] == "about:blank"
        assert problem["title"] == HTTPStatus(status).phrase
        assert problem["status"] == status
        assert problem["detail"]
        assert problem["instance"] == response.wsgi_request.path
        for messages in problem.get("errors", {}).values():
            assert messages
            assert all(set(message) == {"code", "message"} for message in messages)
        return problem

    return check
