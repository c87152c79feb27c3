"""The browse page: what it shows, what it refuses, and that it works as plain links and through htmx."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from catalog.models import Film
from predictor import browsing
from predictor.filter_form import FilterForm
from tests.factories import GENRE_IDS, make_film, make_poster, make_prediction, make_version

pytestmark = pytest.mark.django_db
TMDB_NOTICE = "This product uses the TMDB API but is not endorsed or certified by TMDB."
DRAMA = GENRE_IDS["Drama"]
PARAMETERS = [*FilterForm.base_fields, "after", "unknown"]


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    cache.clear()


def page(client: Client, address: str = "/", **headers: str) -> str:
    response = client.get(address, headers=headers)
    assert response.status_code == 200, response.content
    return response.content.decode()


def titles(content: str) -> list[str]:
    return [
        html.unescape(title) for title in re.findall(r'class="card__title"><a href="[^"]+">([^<]+)', content)
    ]


class TestCards:
    def test_a_card_says_what_both_say_what_only_one_says_and_whether_it_was_trained_on(
        self, client: Client
    ) -> None:
        film = make_film(title="Heat", genres=["Crime", "Drama"], poster=make_poster())
        make_prediction(film, make_version(), probabilities={"Crime": 0.9, "War": 0.8}, part="train")
        content = page(client)
        assert titles(content) == ["Heat"]
        assert re.search(r'class="is-hit"><span[^>]*>Agreed: </span>Crime', content)
        assert re.search(r'class="is-miss"><span[^>]*>Only at TMDB: </span>Drama', content)
        assert re.search(r'class="is-extra"><span[^>]*>Only predicted: </span>War', content)
        assert 'title="1 agreed, 1 missed, 1 added"' in content
        assert "in training" in content
        assert film.get_absolute_url() in content
        assert film.poster.get_absolute_url() in content

    def test_a_film_without_poster_has_a_title_card_without_inline_style(self, client: Client) -> None:
        make_film(title="<Alien> & Co")
        content = page(client)
        assert '<svg class="art__title"' in content
        assert "&lt;Alien&gt;" in content
        assert "<Alien>" not in content
        assert not re.search(r"""\sstyle=|\son\w+=""", content)

    def test_without_prediction_the_genres_stand_alone(self, client: Client) -> None:
        make_film(title="Plain", genres=["Drama"])
        content = page(client)
        assert "<li>Drama</li>" in content
        assert "card__agreement" not in content


class TestEveryPage:
    @pytest.mark.parametrize("address", ["/", "/?q=nothing-here", "/?year_from=never", "/data/"])
    def test_has_the_notice_that_is_owed_to_tmdb_and_a_way_past_the_header(
        self, client: Client, address: str
    ) -> None:
        content = client.get(address).content.decode()
        assert TMDB_NOTICE in content
        assert '<a class="skip-link" href="#main">' in content
        assert 'rel="icon"' in content

    def test_admins_alone_are_shown_the_way_to_the_admin(self, client: Client, admin_client: Client) -> None:
        assert "/admin/" not in page(client)
        assert "/admin/" in page(admin_client)


class TestLinks:
    def test_next_goes_on_without_javascript_until_the_end(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(browsing.film_page, "__kwdefaults__", {"cursor": "", "size": 4})
        made = {make_film(title=f"Film {n}", popularity=n).title for n in range(10)}
        seen: list[str] = []
        address: str | None = "/?sort=title"
        while address:
            content = page(client, address)
            seen += titles(content)
            link = re.search(r'<a [^>]*href="([^"]+)" rel="next"', content)
            address = html.unescape(link[1]) if link else None
        assert sorted(seen) == sorted(made)
        assert len(seen) == len(made)

    def test_each_filter_that_is_set_has_a_link_that_takes_it_away(self, client: Client) -> None:
        make_film(genres=["Drama", "War"], original_language="fr")
        content = page(client, f"/?genre={DRAMA}&genre={GENRE_IDS['War']}&language=fr&year_to=2100&q=film")
        chips = re.findall(r'class="chip chip--accent" href="([^"]+)">([^<]+)', content)
        assert [text.strip() for _, text in chips] == ["“film”", "Drama", "War", "Until 2100", "French"]
        without_drama = html.unescape(chips[1][0])
        assert f"genre={DRAMA}" not in without_drama
        assert f"genre={GENRE_IDS['War']}" in without_drama

    def test_the_form_remembers_what_was_asked(self, client: Client) -> None:
        content = page(client, f"/?genre={DRAMA}&match=all&q=two+words&sort=rating&rating=7.5&poster=no")
        assert f'name="genre" value="{DRAMA}" checked' in content
        assert 'name="match" value="all" checked' in content
        assert 'value="two words"' in content
        assert '<option value="rating" selected>' in content
        assert 'value="7.5"' in content
        assert 'name="poster" value="no" checked' in content

    def test_head_is_answered_and_post_is_not(self, client: Client) -> None:
        assert client.head("/").status_code == 200
        assert client.post("/").status_code == 405


class TestHtmx:
    def test_results_come_alone_with_the_address_as_one_would_write_it(self, client: Client) -> None:
        make_film(title="Love")
        response = client.get(
            "/?q=love&year_from=&language=&match=any&poster=&sort=",
            headers={"HX-Request": "true", "HX-Target": "results"},
        )
        content = response.content.decode()
        assert titles(content) == ["Love"]
        assert "<html" not in content
        assert response["HX-Push-Url"] == "/?q=love"
        assert 'id="filter-count" hx-swap-oob' in content

    def test_what_comes_after_comes_as_cards_alone(self, client: Client) -> None:
        for n in range(browsing.PAGE_SIZE + 1):
            make_film(title=f"Film {n}", popularity=n)
        first = page(client)
        more = html.unescape(re.search(r'id="more" hx-get="([^"]+)"', first)[1])  # type: ignore[index]
        content = page(client, more, **{"HX-Request": "true", "HX-Target": "more"})
        assert titles(content) == ["Film 0"]
        assert content.lstrip().startswith("<li")
        assert 'id="more"' not in content

    def test_a_history_request_gets_the_whole_page(self, client: Client) -> None:
        headers = {"HX-Request": "true", "HX-Target": "results", "HX-History-Restore-Request": "true"}
        assert "<html" in page(client, "/", **headers)

    def test_caches_are_told_that_the_answers_differ(self, client: Client) -> None:
        assert {"HX-Request", "HX-Target"} <= {part.strip() for part in client.get("/")["Vary"].split(",")}


class TestRefusals:
    @pytest.mark.parametrize(
        ("parameters", "reason"),
        [
            ("genre=1", "1 is no genre"),
            ("genre=drama", "drama is no genre"),
            ("genre=10770", "10770 is no genre"),
            ("predicted=-5", "-5 is no genre"),
            ("match=some", "some is not one of"),
            ("agreement=maybe", "maybe is not one of"),
            ("year_from=1", "greater than or equal to 1870"),
            ("year_to=99999", "less than or equal to 2100"),
            ("year_from=2000&year_to=1990", "ends before it begins"),
            ("year_from=two", "whole number"),
            ("language=EN-us", "ISO 639-1"),
            ("rating=11", "less than or equal to 10"),
            ("rating=nan", "number"),
            ("poster=perhaps", "perhaps is not one of"),
            ("adult=1", "1 is not one of"),
            ("sort=random", "random is not one of"),
            ("q=%00", "Null characters"),
            (f"q={'x' * 201}", "at most 200"),
        ],
    )
    def test_a_value_that_cannot_be_asked_for_is_named(
        self, client: Client, parameters: str, reason: str
    ) -> None:
        for headers in ({}, {"HX-Request": "true", "HX-Target": "results"}):
            response = client.get(f"/?{parameters}", headers=headers)
            assert response.status_code == 400
            assert reason in html.unescape(response.content.decode())
        assert client.get(f"/facets/?{parameters}").status_code == 400

    @pytest.mark.parametrize("cursor", ["garbage", "a:b", "%00", "W10:1sHTpV:x"])
    def test_a_cursor_not_made_here_is_refused_with_a_way_back(self, client: Client, cursor: str) -> None:
        response = client.get(f"/?sort=title&after={cursor}")
        assert response.status_code == 400
        assert 'href="/?sort=title"' in response.content.decode()

    @settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        parameters=st.dictionaries(
            st.sampled_from(PARAMETERS),
            st.lists(
                st.text(max_size=20) | st.sampled_from(["18", "yes", "1990", "9", "1e309", "-0", "title"]),
                max_size=3,
            ),
            max_size=5,
        )
    )
    @example(parameters={"rating": ["1e309"]})
    @example(parameters={"year_from": ["９９９９"], "genre": ["१८"]})
    @example(parameters={"q": ["\ud800"]})
    def test_no_query_string_breaks_the_page(self, client: Client, parameters: dict[str, Any]) -> None:
        data = {
            name: [value.encode("utf-8", "surrogatepass").decode("latin-1") for value in values]
            for name, values in parameters.items()
        }
        assert client.get("/", data).status_code in {200, 400}
        assert client.get("/facets/", data).status_code in {200, 400}


class TestQueries:
    def test_a_page_takes_at_most_five_even_signed_in_and_cold(
        self, client: Client, admin_client: Client, django_assert_max_num_queries: Any
    ) -> None:
        version = make_version()
        for n in range(30):
            film = make_film(genres=["Drama"], poster=make_poster() if n % 2 else None)
            make_prediction(film, version, probabilities={"Drama": 0.9})
        for address in ("/", "/?q=film&agreement=agrees", "/?sort=surprising"):
            cache.clear()
            with django_assert_max_num_queries(5):
                page(client, address)
            with django_assert_max_num_queries(5):
                page(admin_client, address)


class TestFacets:
    def counts(self, client: Client, parameters: str = "") -> dict[str, str]:
        content = client.get(f"/facets/?{parameters}").content.decode()
        found = dict(re.findall(r'id="count-(\d+)" hx-swap-oob="true">([\d,]+)<', content))
        found["total"] = re.search(r'id="total"[^>]*>([^<]+)<', content)[1]  # type: ignore[index]
        return found

    def test_counts_by_genre_under_the_other_filters(self, client: Client) -> None:
        make_film(genres=["Drama"], original_language="fr")
        make_film(genres=["Drama", "War"], original_language="fr")
        make_film(genres=["Comedy"], original_language="en")
        french = self.counts(client, "language=fr")
        assert french["total"] == "2 films"
        assert french[str(DRAMA)] == "2"
        assert french[str(GENRE_IDS["War"])] == "1"
        assert french[str(GENRE_IDS["Comedy"])] == "0"

    def test_any_of_counts_what_a_genre_would_add_all_of_what_it_would_leave(self, client: Client) -> None:
        make_film(genres=["Drama"])
        make_film(genres=["Drama", "War"])
        make_film(genres=["War"])
        war = GENRE_IDS["War"]
        any_of = self.counts(client, f"genre={DRAMA}")
        assert (any_of["total"], any_of[str(war)]) == ("2 films", "2")
        all_of = self.counts(client, f"genre={DRAMA}&genre={war}&match=all")
        assert (all_of["total"], all_of[str(DRAMA)]) == ("1 film", "1")

    def test_counted_once_for_a_while(self, client: Client, django_assert_num_queries: Any) -> None:
        make_film(genres=["Drama"])
        first = self.counts(client)
        Film.objects.all().delete()
        assert self.counts(client) == first
        with django_assert_num_queries(2):  # genres and version; no counting
            self.counts(client)

    def test_predictions_and_searches_are_counted_too(self, client: Client) -> None:
        film = make_film(title="Ran", genres=["War"])
        make_prediction(film, make_version(), probabilities={"Drama": 0.9})
        make_film(title="Ikiru", genres=["Drama"])
        assert self.counts(client, "agreement=misses")["total"] == "1 film"
        assert self.counts(client, "q=ikiru")[str(DRAMA)] == "1"


def test_browsing_goes_on_while_the_broker_is_away(client: Client, settings: Any) -> None:
    make_film(title="Still here", genres=["Drama"])
    default = settings.CACHES["default"]
    settings.CACHES = {"default": {**default, "LOCATION": "redis://127.0.0.1:1/0"}}
    assert titles(page(client)) == ["Still here"]
    assert client.get("/facets/").status_code == 200
