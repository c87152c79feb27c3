"""Imports from TMDB in the admin: the form, what it costs, a run's page and its buttons; TMDB is the stand-in."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from catalog.models import Film, ImportRun, LabelChange
from catalog.tmdb.rate import GRANTED_SHARE
from catalog.tmdb.runs import FETCH, LIST
from ledger.models import WorkChunk
from ledger.tasks import work
from tests.factories import make_film

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]
RUNS = "/admin/catalog/importrun/"
IMPORT = f"{RUNS}import-tmdb/"


def text_of(response):
    """What the page says, tags and runs of space made one space each."""
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def run_all():
    """As an io worker does."""
    for kind in (LIST, FETCH):
        work(kind)


def fields(page):
    """What the page's form would send again: names and values of its hidden fields."""
    found = {}
    for tag in re.findall(r"<input[^>]*type=\"hidden\"[^>]*>", page.content.decode()):
        name, value = (re.search(rf'{key}="([^"]*)"', tag) for key in ("name", "value"))
        if name and name[1] != "csrfmiddlewaretoken":
            found.setdefault(name[1], []).append(value[1] if value else "")
    return found


def staff(client, *permissions):
    """The client, logged in as somebody with these permissions alone."""
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def start(client, tmdb, number=3, **more):
    """An import of the first films by id, without posters unless told."""
    ids = "\n".join(map(str, tmdb.film_ids[:number]))
    client.post(IMPORT, {"what": "ids", "ids": ids, "step": "import"} | more)
    return ImportRun.objects.latest("id")


# The form ------------------------------------------------------------------------------------------------


def test_the_list_of_runs_leads_to_the_form(admin_client):
    page = admin_client.get(RUNS).content.decode()
    assert IMPORT in page
    assert f"{RUNS}import-csv/" in page


def test_the_form_says_what_tmdbs_terms_ask_of_the_user(admin_client, tmdb):
    page = admin_client.get(IMPORT)
    assert page.status_code == 200
    assert "https://www.themoviedb.org/api-terms-of-use" in page.content.decode()
    assert "training a model" in text_of(page)


def test_without_a_key_the_form_says_what_to_set_and_where_a_key_is_had(admin_client, settings):
    settings.TMDB_API_KEY = ""
    page = admin_client.get(IMPORT)
    assert "TMDB_API_KEY" in text_of(page)
    assert "https://www.themoviedb.org/settings/api" in page.content.decode()
    for step in ("estimate", "import"):
        assert admin_client.post(IMPORT, {"what": "list", "step": step}).status_code == 503
    assert not ImportRun.objects.exists()


@pytest.mark.parametrize(
    ("sent", "words", "options"),
    [
        (
            {"what": "ids", "ids": "9000001, https://www.themoviedb.org/movie/9000002-a-title"},
            "2 films by id; without posters",
            {"tmdb_ids": [9000001, 9000002]},
        ),
        (
            {"what": "search", "query": "the", "year": "1999", "most": "2", "skip_known": "on"},
            "Search for “the”, 1999; at most 2 films; only films that the catalog lacks; without posters",
            {"query": "the", "year": 1999, "most": 2, "skip_known": True},
        ),
        (
            {
                "what": "discover",
                "genres": ["18", "10752"],
                "year_from": "1950",
                "year_to": "2000",
                "language": "de",
                "min_votes": "3",
                "sort": "vote_count.desc",
            },
            "Drama and War, 1950 to 2000, in German, 3 votes or more, most votes first; without posters",
            {
                "genres": [18, 10752],
                "year_from": 1950,
                "year_to": 2000,
                "language": "de",
                "min_votes": 3,
                "sort": "vote_count.desc",
            },
        ),
        (
            {"what": "list", "list_name": "top_rated", "posters": "on"},
            "TMDB’s list “Top rated”",
            {"list_name": "top_rated"},
        ),
        (
            {"what": "export", "min_popularity": "2.5"},
            "TMDB’s daily list of all films, popularity 2.5 or more; without posters",
            {"min_popularity": 2.5},
        ),
    ],
)
def test_an_import_is_priced_and_then_started_as_it_was_asked_for(sent, words, options, admin_client, tmdb):
    priced = admin_client.post(IMPORT, sent | {"step": "estimate"})
    assert priced.status_code == 200
    assert words in text_of(priced)
    assert not ImportRun.objects.exists()
    # The second page sends on what the first was told.
    response = admin_client.post(IMPORT, fields(priced) | {"step": "import"}, follow=True)
    run = ImportRun.objects.get()
    assert response.redirect_chain[0][0] == f"{RUNS}{run.pk}/change/"
    assert words in text_of(response)
    asked = run.options["request"]
    assert asked.pop("what") == sent["what"]
    assert asked.pop("posters", True) == ("posters" in sent)
    assert asked == options
    assert run.created_by.is_superuser
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.is_addition()) == (str(run.pk), True)


def test_the_price_is_in_films_requests_and_time(admin_client, tmdb, settings):
    settings.TMDB_REQUESTS_PER_SECOND = 4.0
    page = admin_client.post(IMPORT, {"what": "list", "step": "estimate"})
    films = sum(not tmdb.film(pk).adult for pk in tmdb.film_ids)
    requests = films + -(-films // 20)
    seconds = round(requests / (4 * GRANTED_SHARE))
    assert f"About {films} films, {requests} requests, {seconds} s at 4 a second." in text_of(page)
    assert len(tmdb.requests()) == 1


def test_of_the_daily_list_nobody_knows_the_price(admin_client, tmdb):
    page = admin_client.post(IMPORT, {"what": "export", "step": "estimate"})
    assert "nobody can know before it begins" in text_of(page)
    assert 'value="import"' in page.content.decode()


def test_where_nothing_fits_there_is_nothing_to_start(admin_client, tmdb):
    page = admin_client.post(IMPORT, {"what": "search", "query": "qqqqqq", "step": "estimate"})
    assert "No film to import." in text_of(page)
    assert 'value="import"' not in page.content.decode()


def test_one_comes_back_to_the_form_as_one_left_it(admin_client, tmdb):
    sent = {"what": "discover", "genres": ["18"], "year_from": "1950", "most": "7"}
    priced = admin_client.post(IMPORT, sent | {"step": "estimate"})
    form = admin_client.post(IMPORT, fields(priced) | {"step": "back"}).context["form"]
    kept = {name: form[name].value() for name in ("what", "genres", "year_from", "most", "posters")}
    assert kept == sent | {"posters": False}


@pytest.mark.parametrize(
    ("sent", "field", "message"),
    [
        ({}, "what", "required"),
        ({"what": "ids", "ids": ""}, "ids", "at least one id"),
        ({"what": "ids", "ids": "603 nonsense"}, "ids", "nonsense"),
        ({"what": "search", "query": " "}, "query", "title"),
        ({"what": "search", "query": "x", "year": "1492"}, "year", "1492"),
        ({"what": "discover", "genres": ["4711"]}, "genres", "4711"),
        ({"what": "discover", "language": "DE"}, "language", "small letters"),
        ({"what": "discover", "year_from": "2000", "year_to": "1999"}, "year_to", "before the first"),
        ({"what": "list", "list_name": "x"}, "list_name", "valid choice"),
        ({"what": "export", "min_popularity": "-1"}, "min_popularity", "greater than"),
        ({"what": "list", "most": "0"}, "most", "greater than"),
    ],
)
def test_what_cannot_be_asked_for_is_said_by_the_field(sent, field, message, admin_client, tmdb):
    for step in ("estimate", "import"):
        response = admin_client.post(IMPORT, sent | {"step": step})
        assert response.status_code == 400
        errors = response.context["form"].errors
        assert list(errors) == [field]
        assert message in " ".join(errors[field])
    assert not ImportRun.objects.exists()


def test_what_belongs_to_another_kind_is_left_out_of_account(admin_client, tmdb):
    run = start(admin_client, tmdb, query="x" * 500, year_from="nonsense", min_votes="-1")
    assert set(run.options["request"]) == {"what", "tmdb_ids", "posters"}


def test_a_key_that_tmdb_refuses_is_said(admin_client, tmdb):
    tmdb.reject_key()
    response = admin_client.post(IMPORT, {"what": "list", "step": "estimate"})
    assert response.status_code == 502
    assert "TMDB refuses the key" in text_of(response)
    assert tmdb.key not in response.content.decode()


def test_a_tmdb_that_is_down_is_said(admin_client, tmdb, monkeypatch):
    monkeypatch.setattr("catalog.import_estimates.ESTIMATE_SECONDS", 0.1)
    tmdb.down()
    response = admin_client.post(IMPORT, {"what": "list", "step": "estimate"})
    assert response.status_code == 503
    assert "try again later" in text_of(response)


def test_without_the_broker_nothing_is_priced_or_started(admin_client, tmdb, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    for step in ("estimate", "import"):
        response = admin_client.post(IMPORT, {"what": "list", "step": step})
        assert response.status_code == 503
        assert "broker" in text_of(response)
    assert not ImportRun.objects.exists()


# A run's page --------------------------------------------------------------------------------------------


def test_a_run_says_how_far_it_is_and_looks_again_while_it_goes_on(admin_client, tmdb):
    run = start(admin_client, tmdb, 30)
    page = admin_client.get(f"{RUNS}{run.pk}/change/")
    assert "No worker of the queue io is running" in text_of(page)
    assert f'hx-get="{RUNS}{run.pk}/live/?listed=0"' in page.content.decode()
    work(LIST)
    assert "0 of 30" in text_of(admin_client.get(f"{RUNS}{run.pk}/live/?listed=0"))
    work(FETCH)
    ended = admin_client.get(f"{RUNS}{run.pk}/live/?listed=0")
    assert "Done 30 of 30" in text_of(ended)
    assert "hx-get" not in ended.content.decode()
    assert "Created 30" in text_of(ended)


def test_a_run_says_that_tmdb_asked_to_wait(admin_client, tmdb):
    from catalog.tmdb import rate

    run = start(admin_client, tmdb, 30)
    work(LIST)
    rate.block(90)
    assert re.search("TMDB asked to wait: (89|90) s", text_of(admin_client.get(f"{RUNS}{run.pk}/change/")))


def test_what_was_refused_is_listed_by_film_and_sent_anew_only_when_it_has_grown(admin_client, tmdb):
    first, second, third = tmdb.film_ids[:3]
    tmdb.fault(first, "missing-fields")
    tmdb.fault(second, "null-genres")
    run = start(admin_client, tmdb)
    work(LIST)
    assert b"run-rejections" not in admin_client.get(f"{RUNS}{run.pk}/live/?listed=0").content
    work(FETCH)
    listed = run.rejections.count()
    grown = admin_client.get(f"{RUNS}{run.pk}/live/?listed=0").content.decode()
    assert re.search(r'id="run-rejections"\s+hx-swap-oob="true"', grown)
    assert b"run-rejections" not in admin_client.get(f"{RUNS}{run.pk}/live/?listed={listed}").content
    page = admin_client.get(f"{RUNS}{run.pk}/change/")
    content = page.content.decode()
    assert f'href="https://www.themoviedb.org/movie/{first}"' in content
    assert Film.objects.get(tmdb_id=second).get_absolute_url() in content
    assert str(third) not in content
    assert "bad-answer 1" in text_of(page)
    assert f"run__id__exact={run.pk}&amp;code__exact=bad-answer" in content


def test_a_long_list_of_the_refused_is_cut_and_leads_to_all(admin_client):
    run = ImportRun.objects.create(source="tmdb", state="done")
    for number in range(60):
        run.rejections.create(record=str(number + 1), code="refused", reason=f"reason {number}.")
    text = text_of(admin_client.get(f"{RUNS}{run.pk}/change/"))
    assert "All 60 records and values" in text
    assert text.count("reason ") == 50


def test_a_run_of_a_file_has_its_page_too(admin_client):
    began = timezone.now() - timedelta(seconds=10)
    run = ImportRun.objects.create(
        source="kaggle",
        state="running",
        started_at=began,
        read=50,
        total=200,
        options={"csv": "films.csv", "upload": "imports/x.csv"},
    )
    text = text_of(admin_client.get(f"{RUNS}{run.pk}/change/"))
    assert "films.csv" in text
    assert "50 of 200" in text
    assert re.search(r"about (29|30|31) s left", text)
    assert "Cancel" in text
    assert "Pause" not in text


def test_the_ids_of_a_large_import_are_read_neither_for_its_page_nor_for_the_list(admin_client):
    options = {"request": {"what": "ids", "tmdb_ids": list(range(1, 50_001))}}
    run = ImportRun.objects.create(source="tmdb", state="done", options=options)
    for address in (RUNS, f"{RUNS}{run.pk}/change/"):
        page = admin_client.get(address)
        assert "50,000 films by id" in text_of(page)
    shown = page.context["overview"].run
    assert "options" in shown.get_deferred_fields()


# Buttons -------------------------------------------------------------------------------------------------


def test_a_run_is_paused_resumed_and_cancelled_with_a_line_in_its_history(admin_client, tmdb):
    run = start(admin_client, tmdb, 30)
    states = []
    for verb in ("pause", "resume", "cancel", "resume"):
        response = admin_client.post(f"{RUNS}{run.pk}/{verb}/", follow=True)
        run.refresh_from_db()
        states.append(str(run.state))
    assert states == ["paused", "waiting", "cancelled", "cancelled"]
    assert "Nothing was changed: the import is cancelled." in text_of(response)
    history = admin_client.get(f"{RUNS}{run.pk}/history/")
    for said in ("Paused.", "Resumed.", "Cancelled; what was imported is kept."):
        assert said in text_of(history)
    assert LogEntry.objects.filter(object_id=str(run.pk)).count() == 4
    run_all()
    assert not Film.objects.exists()


def test_what_failed_is_tried_again_by_a_run_of_its_own(admin_client, tmdb):
    tmdb.fault(tmdb.film_ids[0], "missing-fields")
    run = start(admin_client, tmdb)
    run_all()
    assert "Retry the failed" in text_of(admin_client.get(f"{RUNS}{run.pk}/change/"))
    tmdb.heal(tmdb.film_ids[0])
    response = admin_client.post(f"{RUNS}{run.pk}/retry/", follow=True)
    again = ImportRun.objects.latest("id")
    assert response.redirect_chain[0][0] == f"{RUNS}{again.pk}/change/"
    assert f"What failed in import {run.pk}: 1 film by id" in text_of(response)
    run_all()
    again.refresh_from_db()
    assert (again.state, again.created) == ("done", 1)
    assert "Retry the failed" not in text_of(admin_client.get(f"{RUNS}{again.pk}/change/"))
    response = admin_client.post(f"{RUNS}{again.pk}/retry/", follow=True)
    assert "nothing left that another try could mend" in text_of(response)


def test_the_action_of_the_list_cancels_runs_of_both_kinds(admin_client, tmdb):
    from_tmdb = start(admin_client, tmdb)
    from_file = ImportRun.objects.create(source="kaggle", options={"upload": "imports/x.csv"})
    WorkChunk.objects.create(kind="import_kaggle", run=from_file.pk, first=0, last=1)
    ended = ImportRun.objects.create(source="tmdb", state="done")
    selected = [from_tmdb.pk, from_file.pk, ended.pk]
    response = admin_client.post(RUNS, {"action": "cancel", "_selected_action": selected}, follow=True)
    assert "2 cancelled" in text_of(response)
    states = dict(ImportRun.objects.values_list("id", "state"))
    assert [states[key] for key in selected] == ["cancelled", "cancelled", "done"]


def test_the_broker_away_a_paused_run_stays_paused_and_one_is_told(admin_client, tmdb, settings):
    run = start(admin_client, tmdb)
    admin_client.post(f"{RUNS}{run.pk}/pause/")
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    response = admin_client.post(f"{RUNS}{run.pk}/resume/", follow=True)
    assert "broker" in text_of(response)
    run.refresh_from_db()
    assert run.state == "paused"


# Who may -------------------------------------------------------------------------------------------------

DOORS = [
    ("get", IMPORT, "add"),
    ("post", IMPORT, "add"),
    ("get", f"{RUNS}{{run}}/change/", "view"),
    ("get", f"{RUNS}{{run}}/live/", "view"),
    ("post", f"{RUNS}{{run}}/pause/", "change"),
    ("post", f"{RUNS}{{run}}/resume/", "change"),
    ("post", f"{RUNS}{{run}}/cancel/", "change"),
    ("post", f"{RUNS}{{run}}/retry/", "add"),
]


@pytest.mark.parametrize(("method", "address", "permission"), DOORS)
def test_each_door_opens_to_its_permission_alone(method, address, permission, client):
    run = ImportRun.objects.create(source="tmdb", state="paused")
    path = address.format(run=run.pk)
    assert getattr(client, method)(path).status_code in {302, 403}, "anonymous"
    client.force_login(User.objects.create_user("ada"))
    assert getattr(client, method)(path).status_code in {302, 403}, "a user"
    # To see implies nothing; to change or add does not let one do the other.
    others = (
        {"view", "add", "change", "delete"} - {permission} - ({"change"} if permission == "view" else set())
    )
    staff(client, *(f"{other}_importrun" for other in others))
    assert getattr(client, method)(path).status_code == 403
    User.objects.get(username="staff").user_permissions.add(
        Permission.objects.get(codename=f"{permission}_importrun")
    )
    assert getattr(client, method)(path).status_code in {200, 302, 400}
    run.refresh_from_db()
    assert run.state == "paused"


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "retry"])
def test_a_link_steers_nothing(verb, admin_client):
    run = ImportRun.objects.create(source="tmdb")
    assert admin_client.get(f"{RUNS}{run.pk}/{verb}/").status_code == 404
    assert admin_client.post(f"{RUNS}4711/{verb}/").status_code == 404


def test_one_who_may_only_look_sees_no_buttons(client, tmdb):
    run = ImportRun.objects.create(source="tmdb", state="paused")
    staff(client, "view_importrun")
    page = client.get(f"{RUNS}{run.pk}/change/").content.decode()
    assert "run-resume" not in page
    assert "Import from TMDB" not in client.get(RUNS).content.decode()


def test_a_form_from_elsewhere_steers_nothing(admin_user):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    run = ImportRun.objects.create(source="tmdb")
    assert client.post(f"{RUNS}{run.pk}/cancel/").status_code == 403
    assert client.post(IMPORT, {"what": "list", "step": "import"}).status_code == 403


# Duties to TMDB ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [RUNS, IMPORT, "/admin/catalog/film/"])
def test_the_admins_pages_carry_tmdbs_notice(path, admin_client):
    notice = "This product uses the TMDB API but is not endorsed or certified by TMDB."
    assert notice in text_of(admin_client.get(path))


def test_the_list_warns_of_films_older_than_tmdbs_terms_allow(admin_client):
    assert "older than" not in text_of(admin_client.get(RUNS))
    make_film(from_api_alone=True, synced_at=timezone.now() - timedelta(days=179))
    assert "1 film with data from TMDB’s API older than 178 days" in text_of(admin_client.get(RUNS))


def test_a_films_page_in_the_admin_has_the_history_of_its_labels(admin_client):
    film = make_film(genres=["Drama"])
    LabelChange.objects.create(film=film, before=[18, 10752], after=[18])
    assert "Drama, War → Drama" in text_of(admin_client.get(f"/admin/catalog/film/{film.pk}/change/"))
    assert admin_client.get("/admin/catalog/film/add/").status_code == 200
