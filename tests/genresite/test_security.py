"""Every address of the site, walked: who may change what, and which headers go out with each page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from knox.models import AuthToken

from catalog.models import Film, ImportRun
from predictor.models import PredictionRun, TrainingRun
from predictor.training.settings import TrainingSettings
from tests.factories import make_film, make_poster, make_prediction, make_version

PROJECT = Path(__file__).resolve().parents[2]
WRITING = ("post", "put", "patch", "delete")
# What a plain user may change: own tokens and own session. Everything else belongs to admins.
PERSONAL = {AuthToken, Session}


@pytest.fixture
def site(db: None, broker: Any) -> dict[str, str]:
    """One of everything. Returns what stands for each variable part of an address."""
    film = make_film(
        genres=["Drama"], poster=make_poster(), title="The Film", overview="Somebody does something."
    )
    version = make_version()
    make_prediction(film, version, probabilities={"Drama": 0.9})
    run = ImportRun.objects.create(source="kaggle", state="done")
    PredictionRun.objects.create(version=version, state="done")
    training = TrainingRun.objects.create(request=TrainingSettings().as_json(), request_hash="0")
    sha256 = film.poster.sha256
    return {
        "film_id": str(film.pk),
        "version_id": str(version.pk),
        "a": str(version.pk),
        "b": str(make_version(displayed=False).pk),
        "training_id": str(training.pk),
        "change": "cancel",
        "slug": film.slug,
        "object_id": str(run.pk),
        "run_id": str(run.pk),
        "content_type_id": "1",
        "app_label": "catalog",
        "key": "0" * 15,
        "url": "nothing/",
        "folder": sha256[:2],
        "sha256": sha256,
        "extension": "jpg",
        "pixels": "240",
        "name": "genres",
        "inputs": "overview_poster",
        "scheme": "light",
        "width": "wide",
        "id": str(Film.objects.get().pk),
        "pk": str(Film.objects.get().pk),
        "format": "json",
    }


def addresses(values: dict[str, str]) -> Iterator[str]:
    """Every address that the URL configuration has, with its variable parts filled in."""

    def walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[str]:
        for pattern in patterns:
            route = re.sub(r"^\^|\\Z$|\$$", "", str(pattern.pattern)).replace("\\.", ".")
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, prefix + route)
                continue
            route = re.sub(r"\(\?P<(\w+)>.*?\)(?=[/.]|$)", lambda m: values[m[1]], route)
            yield "/" + prefix + re.sub(r"<(?:\w+:)?(\w+)>", lambda m: values[m[1]], route)

    return walk(get_resolver().url_patterns, "")


def state(*, besides: set[type] = frozenset()) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    tables = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}
    tables -= {model._meta.db_table for model in besides}
    rows = {}
    with connection.cursor() as cursor:
        for table in sorted(tables):
            cursor.execute(f'SELECT * FROM "{table}"')
            rows[table] = sorted(map(repr, cursor.fetchall()))
    return rows


@pytest.fixture
def plain(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_user("plain"))
    return client


@pytest.fixture
def admin(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


def test_the_walk_finds_the_site(site):
    found = set(addresses(site))
    assert len(found) > 60
    assert {"/", "/try/", "/healthz", "/api/v1/predict/", "/admin/catalog/film/add/"} <= found
    assert f"/films/{site['film_id']}-the-film/" in found
    assert not any("<" in address or "(" in address for address in found)


def bodies(site: dict[str, str]) -> list[dict[str, str]]:
    """What somebody would send who knows how the forms of an admin look."""
    return [
        {},
        {"post": "yes", "action": "delete_selected", "_selected_action": site["film_id"], "index": "0"},
        {"title": "Taken over", "name": "x", "source": "kaggle", "_save": "Save", "is_superuser": "on"},
    ]


@pytest.mark.parametrize("who", ["anonymous", "plain user"])
def test_only_admins_change_anything(who, site, plain):
    """With CSRF protection out of the way, as if that had failed."""
    client = Client(raise_request_exception=False) if who == "anonymous" else plain
    client.raise_request_exception = False
    besides = {Session} if who == "anonymous" else PERSONAL
    before = state(besides=besides)
    for address in set(addresses(site)) - {"/logout/", "/admin/logout/"}:
        for method in WRITING:
            for body in bodies(site) if method == "post" else [{}]:
                response = getattr(client, method)(address, body)
                assert response.status_code < 500 or response.status_code == 503, (method, address)
        assert state(besides=besides) == before, address


def test_the_same_forms_do_change_things_when_an_admin_sends_them(site, admin):
    """Or the test above would prove nothing."""
    before = state(besides={Session})
    response = admin.post("/admin/catalog/film/", bodies(site)[1])
    assert response.status_code == 302
    assert state(besides={Session}) != before
    assert not Film.objects.exists()


@pytest.mark.parametrize("who", ["anonymous", "plain user"])
def test_the_admin_shows_itself_to_admins_only(who, site, plain):
    client = Client() if who == "anonymous" else plain
    open_to_all = {"/admin/login/", "/admin/logout/"}
    inside = [address for address in addresses(site) if address.startswith("/admin/")]
    for address in set(inside) - open_to_all:
        response = client.get(address)
        assert response.status_code in {302, 403, 404}, address
        if response.status_code == 302:
            assert "/login/" in response["Location"], address


def test_a_get_request_changes_nothing_not_even_an_admins(site, admin):
    before = state(besides={Session})
    for address in set(addresses(site)):
        admin.get(address)
    assert state(besides={Session}) == before


def test_forms_of_other_sites_change_nothing(site):
    """A logged-in admin who visits an evil page: no address takes a form without the CSRF token."""
    admin = Client(enforce_csrf_checks=True)
    admin.force_login(User.objects.create_superuser("boss"))
    before = state(besides={Session})
    for address in set(addresses(site)):
        response = admin.post(address, bodies(site)[1])
        assert response.status_code in {403, 404, 405, 413, 415} or address == "/admin/login/", address
    assert state(besides={Session}) == before


INLINE = re.compile(
    r"<style\b|<[^>]+\sstyle\s*=|<[^>]+\son[a-z]+\s*=|<script(?![^>]*\ssrc=)(?![^>]*type=.application/(?:ld\+)?json)[^>]*>|javascript:",
    re.IGNORECASE,
)


def test_every_page_has_a_policy_without_unsafe_inline_and_keeps_to_it(site, admin):
    pages = 0
    for address in sorted(set(addresses(site)) - {"/logout/", "/admin/logout/"}):
        response = admin.get(address)
        if not response.get("Content-Type", "").startswith("text/html"):
            continue
        pages += 1
        policy = response.get("Content-Security-Policy", "")
        assert "default-src 'none'" in policy, address
        assert "unsafe" not in policy, address
        assert "*" not in policy, address
        assert not (found := INLINE.search(response.content.decode())), (address, found)
    assert pages > 40


@pytest.mark.parametrize(
    ("address", "status"),
    [("/nothing/", 404), ("/films/999999/", 404), ("/?rating=x", None), ("/?cursor=x", None)],
)
def test_error_pages_keep_to_the_policy_too(address, status, client, db):
    response = client.get(address)
    assert status is None or response.status_code == status
    assert "default-src 'none'" in response["Content-Security-Policy"]
    assert not INLINE.search(response.content.decode())


def test_every_answer_has_the_security_headers(site, admin):
    for address in set(addresses(site)) - {"/logout/", "/admin/logout/"}:
        response = admin.get(address)
        assert response["X-Content-Type-Options"] == "nosniff", address
        assert response["X-Frame-Options"] == "DENY", address
        assert response["Referrer-Policy"] == "same-origin", address
        assert response["Cross-Origin-Opener-Policy"] == "same-origin", address


def test_what_is_personal_is_not_kept_by_shared_caches(site, admin):
    for address in ("/", "/tokens/", "/api/v1/me/tokens/", f"/films/{site['film_id']}-the-film/"):
        response = admin.get(address)
        kept = response.get("Cache-Control", "")
        assert "public" not in kept, address
        assert "Cookie" in response.get("Vary", "") or "no-store" in kept or "private" in kept, address


PRODUCTION = {
    "SECRET_KEY": "n8" * 20 + "qX5-vT7_kR2.wZ9",
    "ALLOWED_HOSTS": "films.example",
    "DATABASE_URL": "postgresql://genresite@localhost/genresite",
    "REDIS_URL": "redis://localhost:6379/0",
}


def run_in_production(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, with the settings of production and nothing from the tests' environment."""
    kept = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [sys.executable, *command],
        cwd=PROJECT,
        env=kept | PRODUCTION | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_djangos_deployment_check_is_clean():
    done = run_in_production("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues" in done.stdout


def test_without_a_secret_key_nothing_starts():
    done = run_in_production("manage.py", "check", SECRET_KEY="")
    assert done.returncode != 0
    assert "SECRET_KEY" in done.stderr


def test_production_cookies_are_for_tls_and_debug_is_off():
    code = (
        "import django; django.setup(); from django.conf import settings as s;"
        "print(s.DEBUG, s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SESSION_COOKIE_HTTPONLY,"
        " s.SESSION_COOKIE_SAMESITE, s.SECURE_SSL_REDIRECT, s.SECURE_HSTS_SECONDS >= 31536000)"
    )
    done = run_in_production("-c", code, DJANGO_SETTINGS_MODULE="genresite.settings")
    assert done.stdout.split() == ["False", "True", "True", "True", "Lax", "True", "True"], done.stderr


def test_web_manage_py_and_the_io_worker_never_import_torch():
    code = """
import sys, django
from importlib import import_module
django.setup()
from django.core.management import get_commands, load_command_class
from django.urls import get_resolver
def walk(patterns):
    for pattern in patterns:
        walk(getattr(pattern, "url_patterns", []))
walk(get_resolver().url_patterns)
import genresite.wsgi
from genresite.celery import app
app.loader.import_default_modules()
for name, owner in get_commands().items():
    if owner in ("catalog", "predictor", "ledger", "genresite"):
        load_command_class(owner, name)
heavy = ("torch", "torchvision", "transformers", "gensim", "nltk", "sklearn", "scipy")
print([name for name in heavy if name in sys.modules])
"""
    done = run_in_production("-c", code, DJANGO_SETTINGS_MODULE="genresite.settings")
    assert done.stdout.strip().splitlines()[-1:] == ["[]"], done.stdout + done.stderr
