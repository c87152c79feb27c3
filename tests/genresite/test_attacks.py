"""The site as seen by somebody who means it ill."""

from __future__ import annotations

import base64
import logging
import pickle
import re
from urllib.parse import parse_qs, quote, urlsplit
from wsgiref.util import setup_testing_defaults

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core import signing
from django.test import Client
from knox.models import AuthToken

from catalog.models import Film
from genresite.wsgi import application
from tests.factories import make_film, make_poster, make_prediction, make_version

pytestmark = pytest.mark.django_db

SQL = [
    "' OR 1=1 --",
    "'; DROP TABLE catalog_film; --",
    "1) UNION SELECT password FROM auth_user --",
    "\\'; SELECT pg_sleep(10); --",
    "$$; SELECT 1; $$",
    "%' AND pg_sleep(10) AND '%'='",
    "a:*&!|<->b ''' \\",
    "((((((", "!!!", "<->", ":*", "\\", "%s %d %(x)s", "{0}",
]  # fmt: skip
HTML = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg/onload=alert(1)>"
PARAMETERS = [
    *("q", "genre", "match", "predicted", "agreement", "year_from", "year_to", "language"),
    *("rating", "poster", "prediction", "adult", "sort", "cursor", "after", "page_size"),
]
# The two lists of films, and what each calls its cursor.
LISTS = {"/": "after", "/api/v1/films/": "cursor"}
# What no browser takes for markup once it is told not to guess.
TEXT = {"text/plain", "application/json", "application/problem+json"}


@pytest.fixture(autouse=True)
def _quick_passwords(settings):
    """Passwords here are not worth the seconds that guessing them has to cost."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def films(db):
    return [make_film(title=f"Film {n}", popularity=n, genres=["Drama"]) for n in range(12)]


def raw_script(response) -> bool:
    """Whether some of HTML arrived as markup."""
    return bool(re.search(rb"<script>alert|<img src=x|<svg/onload", response.content))


@pytest.mark.parametrize("path", LISTS)
def test_sql_in_a_search_finds_words_and_nothing_else(path, client, films):
    for attack in SQL:
        response = client.get(path, {"q": attack})
        assert response.status_code in {200, 400}, attack
        if path != "/":
            found = response.json().get("results", [])
            assert len(found) < len(films), f"{attack} became a condition that is always true"
    assert Film.objects.count() == len(films)


@pytest.mark.parametrize("path", LISTS)
def test_sql_in_any_filter_is_a_value_out_of_range(path, client, films):
    for parameter in PARAMETERS:
        for attack in SQL[:4]:
            response = client.get(path, {parameter: attack})
            assert response.status_code < 500, (parameter, attack)
            if path != "/" and parameter != "q":
                assert response.status_code == 400, (parameter, attack)
    assert Film.objects.count() == len(films)


@pytest.mark.parametrize("path", [*LISTS, "/facets/", "/compare/", "/login/", "/try/", "/data/"])
def test_html_in_any_filter_comes_back_as_text(path, client, films):
    for parameter in PARAMETERS:
        response = client.get(path, {parameter: HTML, "next": HTML})
        assert response.status_code < 500
        if response["Content-Type"].startswith("text/html"):
            assert not raw_script(response), parameter
        else:
            assert response["Content-Type"].partition(";")[0] in TEXT
            assert response["X-Content-Type-Options"] == "nosniff"


def test_html_in_a_films_facts_is_shown_as_text(client, settings):
    film = make_film(
        title=HTML, original_title=HTML, overview=HTML, tagline=HTML, imdb_id="javascript:1", genres=["War"]
    )
    film.original_language = "<b>"
    film.save()
    version = make_version(name=HTML[:60], metrics={HTML: HTML})
    make_prediction(film, version, poster_error=HTML)
    User.objects.create_superuser("boss")
    admin = Client()
    admin.force_login(User.objects.get())
    pages = [
        *(
            "/",
            film.get_absolute_url(),
            "/models/",
            f"/models/{version.pk}/",
            "/compare/",
            "/data/",
            "/?q=script",
        ),
        *("/admin/catalog/film/", f"/admin/catalog/film/{film.pk}/change/", "/admin/predictor/modelversion/"),
        f"/try/?film={film.pk}",
    ]
    for page in pages:
        response = admin.get(page)
        assert response.status_code == 200, page
        assert not raw_script(response), page
        assert b'href="javascript:' not in response.content, page


def cursor_of(client, path="/api/v1/films/", **query) -> str:
    following = client.get(path, {"page_size": 5, **query}).json()["next"]
    return parse_qs(urlsplit(following).query)["cursor"][0]


def test_a_cursor_cannot_be_changed_in_any_place(client, films):
    cursor = cursor_of(client)
    assert client.get("/api/v1/films/", {"cursor": cursor, "page_size": 5}).status_code == 200
    for place in range(0, len(cursor), 3):
        other = "A" if cursor[place] != "A" else "B"
        changed = cursor[:place] + other + cursor[place + 1 :]
        for path, name in LISTS.items():
            assert client.get(path, {name: changed}).status_code == 400, changed


@pytest.mark.parametrize(
    "query", [{"sort": "title"}, {"genre": 18}, {"adult": "yes"}, {"q": "film"}, {"year_from": 1900}]
)
def test_a_cursor_holds_for_its_own_list_only(query, client, films):
    cursor = cursor_of(client)
    for path, name in LISTS.items():
        assert client.get(path, {name: cursor} | query).status_code == 400


def test_a_cursor_made_up_with_another_of_our_signatures_is_refused(client, films):
    fingerprint = "0" * 16
    forged = [
        signing.Signer().sign_object([fingerprint, 1.0, 1]),
        signing.Signer(salt="predictor.browsing.cursor", key="guessed").sign_object([fingerprint, 1.0, 1]),
        signing.dumps(["x"]),
        base64.urlsafe_b64encode(pickle.dumps(print)).decode(),
        "é", "\x00", "." * 5000, ":" * 50, "eyJ9:x", "A" * 7000,
    ]  # fmt: skip
    for cursor in forged:
        for path, name in LISTS.items():
            assert client.get(path, {name: cursor}).status_code == 400, cursor


@pytest.mark.parametrize("size", ["101", "1000000000", "9" * 5000, "1e9", "0x10", "٩٩", "-5", " 5"])
def test_nobody_gets_a_huge_page(size, client, films):
    assert client.get("/api/v1/films/", {"page_size": size}).status_code == 400


def test_parameters_by_the_thousand_are_refused_or_ignored_quickly(client, films):
    query = "&".join(["genre=18"] * 2000)
    assert client.get(f"/api/v1/films/?{query}").status_code in {200, 400}
    assert client.get(f"/?{query}").status_code in {200, 400}


@pytest.mark.parametrize(
    "charset", ["zlib", "base64", "utf-16", "rot13", "unicode_escape", "idna", "no-such"]
)
def test_an_odd_charset_breaks_nothing(charset):
    """The request is made by the WSGI application itself, before any middleware could catch what goes wrong."""
    environ = {"CONTENT_TYPE": f"text/html; charset={charset}", "QUERY_STRING": "q=%C3%A9%FF"}
    setup_testing_defaults(environ)
    assert application.request_class(environ).GET["q"] == "é\ufffd"


TRAVERSALS = [
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "....//....//etc/passwd",
    "..\\..\\etc\\passwd",
    "/etc/passwd",
    "posters/../../settings.py",
    "posters/aa/../../../manage.py",
    "posters/aa/" + "a" * 64 + ".jpg%00.html",
    "posters/aa/" + "a" * 64 + ".py",
    "posters/zz/" + "a" * 64 + ".jpg",
    "posters/",
    "",
]


@pytest.mark.parametrize("path", TRAVERSALS)
@pytest.mark.parametrize("root", ["/media/", "/static/", "/data/genres/", "/api/v1/"])
def test_no_path_leads_out_of_its_folder(root, path, client):
    response = client.get(root + path)
    if root + path == "/api/v1/":
        return
    assert response.status_code in {400, 404}
    body = b"".join(response.streaming_content) if response.streaming else response.content
    assert b"root:" not in body
    assert b"DJANGO_SETTINGS_MODULE" not in body


def test_a_poster_is_served_as_the_image_that_it_is_and_nothing_else(client, settings):
    poster = make_poster()
    url = poster.get_absolute_url()
    response = client.get(url)
    assert response["Content-Type"] == "image/jpeg"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in response["Content-Security-Policy"]
    response.close()
    # What lies in the media folder without being a poster is not served.
    secret = settings.MEDIA_ROOT / "secret.txt"
    secret.write_text("secret")
    assert client.get("/media/secret.txt").status_code == 404


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Original-Url", "X-Rewrite-Url", "Forwarded"])
def test_addresses_in_answers_cannot_be_made_to_point_elsewhere(header, client, films):
    response = client.get("/api/v1/films/", headers={header: "evil.example"})
    assert b"evil.example" not in response.content
    assert client.get("/api/v1/films/", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"]
)
def test_a_login_leads_nowhere_else(target, client, broker):
    User.objects.create_user("ada", password="a long enough password")
    response = client.post(
        f"/login/?next={quote(target)}",
        {"username": "ada", "password": "a long enough password", "next": target},
    )
    assert response.status_code == 302
    assert response["Location"] == "/"


def test_tokens_and_passwords_are_in_no_log_and_no_page(client, caplog, broker):
    user = User.objects.create_user("ada", password="correct horse battery")
    row, token = AuthToken.objects.create(user=user)
    with caplog.at_level(logging.DEBUG):
        for path in ("/api/v1/me/tokens/", "/api/v1/nothing/", "/api/v1/films/?rating=x", "/"):
            response = client.get(path, headers={"Authorization": f"Token {token}"})
            assert token not in response.content.decode()
        client.post("/login/", {"username": "ada", "password": "correct horse batteries"})
        client.post("/login/", {"username": "ada", "password": "correct horse battery"})
        page = client.get("/tokens/").content.decode()
    assert token not in page
    assert row.digest not in page
    for secret in (token, row.digest, "correct horse", django_settings.SECRET_KEY):
        assert secret not in caplog.text


def test_the_token_page_shows_a_new_token_once(client, broker):
    client.force_login(User.objects.create_user("ada"))
    shown = client.post("/tokens/").content.decode()
    tokens = re.findall(r"\b[0-9a-f]{64}\b", shown)
    assert len(set(tokens)) == 1
    assert tokens[0] not in client.get("/tokens/").content.decode()


def test_sessions_are_out_of_reach_of_scripts_and_other_sites(client, broker):
    User.objects.create_user("ada", password="a long enough password")
    client.post("/login/", {"username": "ada", "password": "a long enough password"})
    cookie = client.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_a_session_is_a_new_one_after_login(client, broker):
    User.objects.create_user("ada", password="a long enough password")
    client.cookies["sessionid"] = "f" * 32
    client.post("/login/", {"username": "ada", "password": "a long enough password"})
    assert client.cookies["sessionid"].value != "f" * 32


def test_no_other_site_may_read_the_api(client):
    response = client.get("/api/v1/models/", headers={"Origin": "https://evil.example"})
    assert not [name for name in response.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "FOO", "PROPFIND", "X" * 500])
def test_odd_methods_are_refused(method, client):
    for path in ("/", "/api/v1/films/", "/healthz", "/admin/", "/media/x"):
        assert client.generic(method, path).status_code in {302, 400, 403, 404, 405, 501}, path


@pytest.fixture
def boss(client):
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.mark.parametrize(
    "address",
    [
        "/admin/catalog/importrun/?state__exact=%00",
        "/admin/ledger/workchunk/?state__exact=%00",
        "/admin/catalog/film/?q=%00",
        "/admin/autocomplete/?term=%00&app_label=predictor&model_name=prediction&field_name=film",
    ],
)
def test_no_nul_character_reaches_the_database_by_the_admin(address, boss):
    assert boss.get(address).status_code == 400


@pytest.mark.parametrize("key", ["abc", "\x00", "1 OR 1=1", ""])
def test_a_selection_that_names_no_row_is_refused_by_the_admin(key, boss, films):
    answer = boss.post("/admin/catalog/film/", {"action": "delete_selected", "_selected_action": key})
    assert answer.status_code == 400
    assert Film.objects.count() == len(films)


def test_the_admin_has_no_door_of_its_own_for_guessing_passwords(client, broker):
    User.objects.create_superuser("boss", password="a long enough password")
    arrived = client.get("/admin/", follow=True)
    assert arrived.redirect_chain[-1][0] == "/login/?next=/admin/"
    guess = {"username": "boss", "password": "a long enough password", "next": "/admin/"}
    assert client.post("/admin/login/", guess)["Location"].startswith("/login/?next=")
    assert client.get("/admin/").status_code == 302, "the admin's address logged somebody in"
    answer = client.post("/login/", guess)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert client.get("/admin/").status_code == 200


@pytest.mark.parametrize("key", ["\x00", "\x00" * 15, "'", "x" * 5000])
def test_a_key_that_no_token_has_revokes_nothing(key, client):
    user = User.objects.create_user("ada")
    AuthToken.objects.create(user=user)
    client.force_login(user)
    assert client.post("/tokens/revoke/", {"key": key}).status_code == 302
    assert client.delete(f"/api/v1/me/tokens/{quote(key, safe='')}/").status_code in {403, 404, 414}
    assert AuthToken.objects.count() == 1
