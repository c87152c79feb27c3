"""Imports over the API, by an admin: asked for, watched, steered; what TMDB is, the stand-in is."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from knox.models import AuthToken
from rest_framework.test import APIClient

from catalog.models import Film, ImportRun
from catalog.tmdb.runs import FETCH, LIST
from ledger.models import WorkChunk
from ledger.tasks import work
from tests.factories import make_film

IMPORTS = "/api/v1/imports/"


@pytest.fixture
def by_admin(admin):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {AuthToken.objects.create(user=admin)[1]}")
    return client


@pytest.fixture
def no_key(settings):
    settings.TMDB_API_KEY = ""


def run_all(kinds=(LIST, FETCH)):
    """As an io worker does."""
    for kind in kinds:
        work(kind)


def some_ids(tmdb, number):
    return tmdb.film_ids[:number]


# Starting ------------------------------------------------------------------------------------------------


def test_an_import_is_started_done_and_watched(by_admin, admin, tmdb, broker):
    wanted = some_ids(tmdb, 3)
    response = by_admin.post(IMPORTS, {"what": "ids", "tmdb_ids": wanted, "posters": False})
    assert response.status_code == 201
    run = ImportRun.objects.get()
    assert response["Location"] == f"http://testserver{IMPORTS}{run.pk}/"
    started = response.json()
    assert (started["state"], started["source"], started["created_by"]) == ("waiting", "tmdb", admin.username)
    assert started["asked_for"] == "3 films by id; without posters"
    assert run.options["request"] == {"what": "ids", "tmdb_ids": wanted, "posters": False}
    run_all()
    ended = by_admin.get(response["Location"]).json()
    assert (ended["state"], ended["created"], ended["retry_of"]) == ("done", 3, None)
    assert ended["progress"] == {
        "done": 3,
        "total": 3,
        "rate": 0.0,
        "seconds_left": None,
        "blocked_seconds": 0.0,
        "set_aside": 0,
    }
    assert sorted(Film.objects.values_list("tmdb_id", flat=True)) == wanted


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "what"),
        ({"what": "everything"}, "what"),
        ({"what": "ids"}, "tmdb_ids"),
        ({"what": "ids", "tmdb_ids": [0]}, "tmdb_ids.0"),
        ({"what": "ids", "imdb_ids": ["tt12", "nm0000102"]}, "imdb_ids.0"),
        ({"what": "search"}, "query"),
        ({"what": "search", "query": "alien", "year": 1492}, "year"),
        ({"what": "search", "query": "alien", "language": "de"}, "language"),
        ({"what": "discover", "genres": [4711]}, "genres"),
        ({"what": "discover", "year_from": 2000, "year_to": 1999}, "year_to"),
        ({"what": "list", "list_name": "unpopular"}, "list_name"),
        ({"what": "export", "min_popularity": -1}, "min_popularity"),
        ({"what": "list", "most": 0}, "most"),
        ({"what": "list", "mots": 10}, "mots"),
    ],
)
@pytest.mark.usefixtures("broker")
def test_what_cannot_be_asked_for_is_refused_by_field(body, field, by_admin, tmdb, assert_problem):
    for address in (IMPORTS, f"{IMPORTS}estimate/"):
        problem = assert_problem(by_admin.post(address, body), 400)
        assert field in problem["errors"], problem
    assert not ImportRun.objects.exists()
    assert not tmdb.requests()


def test_without_a_key_nothing_is_started_and_the_answer_says_why(by_admin, no_key, broker, assert_problem):
    for address in (IMPORTS, f"{IMPORTS}estimate/"):
        response = by_admin.post(address, {"what": "list"})
        problem = assert_problem(response, 503)
        assert problem["code"] == "not_configured"
        assert "TMDB_API_KEY" in problem["detail"]
        assert int(response["Retry-After"]) > 0
    assert not ImportRun.objects.exists()


def test_without_the_broker_nothing_is_started(by_admin, tmdb, settings, assert_problem):
    run = ImportRun.objects.create(source="tmdb", state="paused")
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    for address in (IMPORTS, f"{IMPORTS}estimate/", f"{IMPORTS}{run.pk}/resume/"):
        assert "broker" in assert_problem(by_admin.post(address, {"what": "list"}), 503)["detail"]
    assert ImportRun.objects.count() == 1
    assert not tmdb.requests()


# What it costs -------------------------------------------------------------------------------------------


def test_an_estimate_costs_one_request_and_starts_nothing(by_admin, tmdb, broker, settings):
    cost = by_admin.post(f"{IMPORTS}estimate/", {"what": "list", "list_name": "popular"}).json()
    films = sum(not tmdb.film(pk).adult for pk in tmdb.film_ids)
    assert (cost["films"], cost["requests"]) == (films, films + -(-films // 20))
    assert cost["seconds"] == pytest.approx(cost["requests"] / settings.TMDB_REQUESTS_PER_SECOND, rel=0.05)
    assert len(tmdb.requests()) == 1
    assert not ImportRun.objects.exists()


def test_nobody_can_know_the_cost_of_the_daily_list(by_admin, tmdb, broker):
    cost = by_admin.post(f"{IMPORTS}estimate/", {"what": "export", "min_popularity": 2}).json()
    assert cost == {"films": None, "requests": None, "seconds": None}


def test_a_key_that_tmdb_refuses_is_a_bad_gateway(by_admin, tmdb, broker, assert_problem):
    tmdb.reject_key()
    response = by_admin.post(f"{IMPORTS}estimate/", {"what": "list"})
    problem = assert_problem(response, 502)
    assert problem["code"] == "unauthorized"
    assert tmdb.key not in response.content.decode()


def test_a_tmdb_that_holds_everybody_up_is_not_waited_for_for_long(
    by_admin, tmdb, broker, assert_problem, monkeypatch
):
    from catalog.tmdb import rate

    monkeypatch.setattr("catalog.import_estimates.ESTIMATE_SECONDS", 0.2)
    rate.block(60)
    assert (
        "try again later"
        in assert_problem(by_admin.post(f"{IMPORTS}estimate/", {"what": "list"}), 503)["detail"]
    )


# Watching ------------------------------------------------------------------------------------------------


def test_imports_are_listed_newest_first_page_by_page(by_admin, broker):
    runs = [ImportRun.objects.create(source="kaggle", options={"csv": f"{n}.csv"}) for n in range(5)]
    seen, address = [], f"{IMPORTS}?page_size=2"
    while address:
        page = by_admin.get(address).json()
        seen += [run["asked_for"] for run in page["results"]]
        address = page["next"]
    assert seen == [run.options["csv"] for run in reversed(runs)]


@pytest.mark.parametrize(
    "query", ["cursor=x", "page_size=0", "page_size=101", "page_size=%C2%B2", "before=3"]
)
def test_a_page_that_there_is_not_is_refused(query, by_admin, assert_problem):
    problem = assert_problem(by_admin.get(f"{IMPORTS}?{query}"), 400)
    assert list(problem["errors"]) == [query.partition("=")[0]]


def test_a_cursor_holds_for_its_own_list_alone(by_admin, assert_problem):
    runs = [ImportRun.objects.create(source="tmdb") for _ in range(2)]
    for run in runs:
        for number in range(2):
            run.rejections.create(record=str(number), code="refused", reason="no")
    address = f"{IMPORTS}{runs[0].pk}/rejections/?page_size=1"
    following = by_admin.get(address).json()["next"]
    assert by_admin.get(following).json()["next"] is None
    assert_problem(by_admin.get(following.replace(f"/{runs[0].pk}/", f"/{runs[1].pk}/")), 400)


def test_what_an_import_refused_is_listed_with_its_reason_and_film(by_admin, tmdb, broker):
    first, second, third = some_ids(tmdb, 3)
    tmdb.fault(first, "missing-fields")
    tmdb.delete(second)
    film = make_film(tmdb_id=second)
    body = {"what": "ids", "tmdb_ids": [first, second, third], "imdb_ids": ["tt0000001"], "posters": False}
    address = by_admin.post(IMPORTS, body)["Location"]
    run_all()
    refused = {row["record"]: row for row in by_admin.get(f"{address}rejections/").json()["results"]}
    assert set(refused) == {str(first), str(second), "tt0000001"}
    assert refused[str(first)]["code"] == "bad-answer"
    assert refused[str(second)] == {
        "record": str(second),
        "line": None,
        "code": "not-found",
        "reason": refused[str(second)]["reason"],
        "film": film.pk,
        "url": f"https://www.themoviedb.org/movie/{second}",
    }
    assert refused["tt0000001"]["url"] == "https://www.imdb.com/title/tt0000001/"


def test_where_an_upload_is_kept_is_nobodys_business(by_admin):
    run = ImportRun.objects.create(
        source="kaggle", options={"csv": "films.csv", "upload": "imports/secret.csv"}
    )
    assert b"secret" not in by_admin.get(IMPORTS).content + by_admin.get(f"{IMPORTS}{run.pk}/").content


# Steering ------------------------------------------------------------------------------------------------


def test_an_import_is_paused_resumed_and_cancelled_each_only_where_it_applies(
    by_admin, tmdb, broker, assert_problem
):
    address = by_admin.post(IMPORTS, {"what": "ids", "tmdb_ids": some_ids(tmdb, 30), "posters": False})[
        "Location"
    ]
    assert_problem(by_admin.post(f"{address}resume/"), 409)
    assert by_admin.post(f"{address}pause/").json()["state"] == "paused"
    assert_problem(by_admin.post(f"{address}pause/"), 409)
    run_all()
    assert not Film.objects.exists()
    assert by_admin.post(f"{address}resume/").json()["state"] == "waiting"
    run_all(kinds=[LIST])
    assert by_admin.post(f"{address}cancel/").json()["state"] == "cancelled"
    run_all()
    assert not Film.objects.exists()
    for verb in ("pause", "resume", "cancel"):
        assert "is cancelled" in assert_problem(by_admin.post(f"{address}{verb}/"), 409)["detail"]


def test_what_failed_is_tried_again_by_an_import_of_its_own(by_admin, tmdb, broker, assert_problem):
    first, second = some_ids(tmdb, 2)
    tmdb.fault(first, "missing-fields")
    body = {"what": "ids", "tmdb_ids": [first, second], "posters": False}
    address = by_admin.post(IMPORTS, body)["Location"]
    run_all()
    tmdb.heal(first)
    again = by_admin.post(f"{address}retry/")
    assert again.status_code == 201
    run_all()
    ended = by_admin.get(again["Location"]).json()
    assert (ended["state"], ended["created"], ended["read"]) == ("done", 1, 1)
    assert ended["retry_of"] == int(address.rstrip("/").rpartition("/")[2])
    assert_problem(by_admin.post(f"{again['Location']}retry/"), 409)


def test_an_import_of_a_file_is_cancelled_but_neither_paused_nor_tried_again(
    by_admin, broker, assert_problem
):
    run = ImportRun.objects.create(source="kaggle", options={"csv": "films.csv", "upload": "imports/x.csv"})
    WorkChunk.objects.create(kind="import_kaggle", run=run.pk, first=0, last=1)
    address = f"{IMPORTS}{run.pk}/"
    for verb in ("pause", "resume", "retry"):
        assert_problem(by_admin.post(f"{address}{verb}/"), 409)
    assert by_admin.post(f"{address}cancel/").json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("get", ""),
        ("get", "rejections/"),
        *(("post", f"{verb}/") for verb in ("pause", "resume", "cancel", "retry")),
    ],
)
def test_an_import_that_there_is_not_is_a_404(method, rest, by_admin, assert_problem):
    for key in ("4711", "9" * 30):
        assert_problem(getattr(by_admin, method)(f"{IMPORTS}{key}/{rest}"), 404)


# Who may -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("permission", "allowed"), [("view", {"read"}), ("add", {"start", "retry"}), ("change", {"pause"})]
)
@pytest.mark.usefixtures("no_key", "broker")
def test_staff_may_what_their_permission_says(permission, allowed, user, by_token):
    user.is_staff = True
    user.save()
    user.user_permissions.add(Permission.objects.get(codename=f"{permission}_importrun"))
    run = ImportRun.objects.create(source="tmdb", state="done")
    statuses = {
        "read": by_token.get(f"{IMPORTS}{run.pk}/").status_code,
        "start": by_token.post(IMPORTS, {"what": "list"}).status_code,
        "retry": by_token.post(f"{IMPORTS}{run.pk}/retry/").status_code,
        "pause": by_token.post(f"{IMPORTS}{run.pk}/pause/").status_code,
    }
    assert {name for name, status in statuses.items() if status != 403} == allowed, statuses


def test_a_permission_without_being_staff_is_not_enough(user, by_token):
    user.user_permissions.add(Permission.objects.get(codename="view_importrun"))
    assert by_token.get(IMPORTS).status_code == 403


def test_a_session_needs_its_csrf_token(admin, by_session, no_key, broker):
    by_session.force_login(admin)
    by_session.get("/api/v1/docs/")
    body = {"data": {"what": "list"}, "content_type": "application/json"}
    assert by_session.post(IMPORTS, **body).status_code == 403
    token = by_session.cookies["csrftoken"].value
    assert by_session.post(IMPORTS, **body, headers={"X-CSRFToken": token}).status_code == 503
