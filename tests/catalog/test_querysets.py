"""Filtering and searching films."""

from __future__ import annotations

import datetime as dt

import pytest
from django.core.cache import cache
from django.db import connection
from django.db.models import F, Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import querysets
from catalog.models import Film
from catalog.querysets import RowComparison
from catalog.search import MAX_WORDS, words
from catalog.word_frequencies import matching_share
from tests.factories import GENRE_IDS, make_film

pytestmark = pytest.mark.django_db


def titles(films: object) -> list[str]:
    return sorted(film.title for film in films)  # type: ignore[attr-defined]


def found(text: str) -> list[str]:
    return titles(Film.objects.all().matching(text))


class TestFilters:
    def test_any_of_two_genres_and_all_of_two_genres(self) -> None:
        make_film(title="Both", genres=["Drama", "War"])
        make_film(title="Drama", genres=["Drama"])
        make_film(title="Neither", genres=["Comedy"])
        pair = [GENRE_IDS["Drama"], GENRE_IDS["War"]]
        assert titles(Film.objects.all().with_any_label(pair)) == ["Both", "Drama"]
        assert titles(Film.objects.all().with_all_labels(pair)) == ["Both"]

    def test_years_are_both_included(self) -> None:
        for date in ("1989-12-31", "1990-01-01", "1999-12-31", "2000-01-01"):
            make_film(title=date, release_date=dt.date.fromisoformat(date))
        nineties = Film.objects.all().released(first_year=1990, last_year=1999)
        assert titles(nineties) == ["1990-01-01", "1999-12-31"]

    def test_a_film_without_date_is_of_no_year(self) -> None:
        make_film(title="Undated")
        assert titles(Film.objects.all().released(last_year=2100)) == []
        assert titles(Film.objects.all().released()) == ["Undated"]

    def test_adult_films_are_hidden_unless_asked_for(self) -> None:
        make_film(title="For all")
        make_film(title="For adults", adult=True)
        assert titles(Film.objects.all().suitable()) == ["For all"]
        assert titles(Film.objects.all().suitable(adult=True)) == ["For adults", "For all"]

    def test_one_vote_of_ten_is_no_high_rating(self) -> None:
        make_film(title="One vote", vote_average=10, vote_count=1)
        make_film(title="Many votes", vote_average=8.5, vote_count=10_000)
        assert titles(Film.objects.all().rated_at_least(8)) == ["Many votes"]

    def test_languages_there_are(self) -> None:
        for code in ("fr", "en", "fr", "", "de"):
            make_film(original_language=code)
        assert Film.objects.all().languages() == ["de", "en", "fr"]

    def test_no_languages_in_an_empty_catalog(self) -> None:
        assert Film.objects.all().languages() == []


class TestSearch:
    def test_every_word_must_be_there_in_title_or_overview(self) -> None:
        make_film(title="Heat", overview="A detective follows a careful thief.")
        make_film(title="Thief", overview="A safe cracker wants to retire.")
        assert found("thief") == ["Heat", "Thief"]
        assert found("thief detective") == ["Heat"]
        assert found("heat thief") == ["Heat"]
        assert found("thief submarine") == []

    @pytest.mark.parametrize("text", ["amelie", "Amélie", "AMELIE", "fabuleux destin"])
    def test_accents_case_and_the_original_title_do_not_matter(self, text: str) -> None:
        make_film(
            title="Amélie", original_title="Le Fabuleux Destin d'Amélie Poulain", overview="A waitress."
        )
        assert found(text) == ["Amélie"]

    def test_overviews_are_searched_as_english(self) -> None:
        make_film(title="Dusk", overview="Three brothers were hunting.")
        assert found("hunted brother") == ["Dusk"]

    def test_titles_of_stop_words_are_found(self) -> None:
        make_film(title="It", overview="A clown.")
        make_film(title="Them!", overview="Ants.")
        assert found("it") == ["It"]
        assert found("them!") == ["Them!"]

    def test_stop_words_beside_others_are_not_asked_for(self) -> None:
        make_film(title="Jaws", overview="Something hunts off a quiet beach.")
        assert found("the hunt of beaches") == ["Jaws"]

    def test_the_last_word_may_be_a_beginning_of_three_letters(self) -> None:
        make_film(title="Casablanca", overview="A café.")
        assert found("cas") == ["Casablanca"]
        assert found("ca") == []
        assert found("cas café") == []

    def test_a_last_word_just_begun_hides_nothing(self) -> None:
        make_film(title="Lion Country", overview="Nothing with that letter.")
        assert found("lion k") == ["Lion Country"]

    @pytest.mark.parametrize("text", ["", "   ", "!!!", "'", "&|!():*"])
    def test_no_words_find_nothing(self, text: str) -> None:
        make_film(title="Anything")
        assert found(text) == []

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.text(max_size=80).filter(lambda text: "\0" not in text))
    def test_any_text_is_a_search(self, text: str) -> None:
        list(Film.objects.all().matching(text).with_relevance(text)[:5])

    def test_only_so_many_words_count(self) -> None:
        assert len(words("word " * 100)) == MAX_WORDS

    def test_the_very_title_comes_first_then_titles_then_overviews(self) -> None:
        make_film(title="The Long Road Home", popularity=50)
        make_film(title="Trip", overview="They take the road north.", popularity=99)
        make_film(title="The Road", popularity=1)
        make_film(title="Road House", popularity=2)
        ranked = Film.objects.all().matching("road").with_relevance("road").order_by("-relevance")
        assert [film.title for film in ranked] == ["The Road", "Road House", "The Long Road Home", "Trip"]

    def test_among_equal_matches_the_better_known_comes_first(self) -> None:
        make_film(title="Star Quest", popularity=1)
        make_film(title="Star Wars", popularity=90)
        ranked = Film.objects.all().matching("star").with_relevance("star").order_by("-relevance")
        assert [film.title for film in ranked] == ["Star Wars", "Star Quest"]

    def test_at_most_so_many_candidates_are_ranked_the_popular_ones(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(querysets, "SEARCH_CANDIDATES", 2)
        for popularity in (1, 2, 3):
            make_film(title=f"Love {popularity}", popularity=popularity)
        make_film(title="Love", popularity=0)
        candidates = Film.objects.filter(id__in=Film.objects.all().search_candidates("love"))
        assert titles(candidates) == ["Love", "Love 2", "Love 3"]


class TestWordFrequencies:
    @pytest.fixture(autouse=True)
    def _analysed_films(self) -> None:
        for number in range(60):
            make_film(title=f"Number{number}", overview="A story of love." if number % 2 else "A story.")
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE catalog_film")
        cache.clear()

    def test_words_are_as_common_as_the_films_that_have_them(self) -> None:
        assert matching_share("story") == pytest.approx(1)
        assert matching_share("love stories") == pytest.approx(0.5, abs=0.05)
        assert matching_share("lov") == pytest.approx(0.5, abs=0.05)
        assert matching_share("submarine") == 0

    @pytest.mark.parametrize(("text", "walks"), [("love", True), ("number7", False)])
    def test_only_common_words_are_searched_in_the_order_of_popularity(self, text: str, walks: bool) -> None:
        candidates = str(Film.objects.all().search_candidates(text).query)
        assert ('"popularity" + ' not in candidates) is walks


class TestRowComparison:
    def test_compares_the_second_column_where_the_first_is_equal(self) -> None:
        for popularity, title in ((1, "a"), (1, "b"), (2, "a")):
            make_film(popularity=popularity, title=title)
        before = RowComparison([F("popularity"), F("title")], "<", [Value(1.0), Value("b")])
        assert [(film.popularity, film.title) for film in Film.objects.filter(before)] == [(1, "a")]

    @pytest.mark.parametrize(("operator", "right"), [("<=", [Value(1)]), ("<", [Value(1), Value(2)])])
    def test_refuses_what_is_no_row_comparison(self, operator: str, right: list[Value]) -> None:
        with pytest.raises(ValueError, match="row comparison"):
            RowComparison([F("popularity")], operator, list(right))
