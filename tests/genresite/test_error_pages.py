"""Error pages: each says what is so, and stands even where what failed is the database."""

from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from django.test import Client
from django.urls import path

from genresite.outage import RETRY_SECONDS
from genresite.urls import urlpatterns as all_urls


def raising(error: Exception):
    def view(request):
        raise error

    return view


urlpatterns = [
    *all_urls,
    path("raise/400/", raising(SuspiciousOperation("odd"))),
    path("raise/403/", raising(PermissionDenied)),
    path("raise/500/", raising(RuntimeError("a secret of ours"))),
    path("raise/operational/", raising(OperationalError("connection to 10.1.2.3 refused"))),
    path("raise/interface/", raising(InterfaceError("closed"))),
    path("fine/", lambda request: HttpResponse("fine")),
]


@pytest.fixture
def client() -> Client:
    """One to which a crash is an answer, as it is to a browser."""
    return Client(raise_request_exception=False)


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/raise/400/", 400, "That request makes no sense here"),
        ("/raise/500/", 500, "The projector broke"),
        ("/raise/operational/", 503, "A short intermission"),
        ("/raise/interface/", 503, "A short intermission"),
    ],
)
def test_these_need_no_database(client, address, status, words):
    # Nothing here may touch the database: the test did not ask for one, so pytest-django would fail it.
    response = client.get(address)
    assert response.status_code == status
    page = response.content.decode()
    assert words in page
    assert "secret of ours" not in page
    assert "10.1.2.3" not in page
    assert "unsafe" not in response["Content-Security-Policy"]


@pytest.mark.urls(__name__)
def test_an_outage_says_when_to_come_back(client):
    assert client.get("/raise/operational/")["Retry-After"] == str(RETRY_SECONDS)


@pytest.mark.urls(__name__)
@pytest.mark.django_db
def test_what_is_forbidden_and_what_is_not_there(client):
    assert b"Not for this account" in client.get("/raise/403/").content
    response = client.get("/nothing/here/")
    assert response.status_code == 404
    assert b"Not in this catalog" in response.content
