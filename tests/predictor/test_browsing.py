"""Lists of films by what the displayed version says, page by page."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from django.http import QueryDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.models import Film, Genre
from predictor.browsing import (
    SORTS,
    CursorError,
    FilmFilters,
    displayed_version,
    film_page,
    filtered_films,
)
from predictor.filter_form import AGREEMENT_CHOICES, SORT_CHOICES, FilterForm
from tests.factories import GENRE_IDS, make_film, make_prediction, make_version

pytestmark = pytest.mark.django_db
DRAMA, WAR, COMEDY = (GENRE_IDS[name] for name in ("Drama", "War", "Comedy"))


def shown(filters: FilmFilters) -> list[str]:
    return [film.title for film in film_page(filters, displayed_version()).films]


def all_pages(filters: FilmFilters, *, size: int) -> list[str]:
    """The titles of every page, one after the other."""
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = film_page(filters, displayed_version(), cursor=cursor, size=size)
        seen += [film.title for film in page.films]
        cursor = page.next_cursor
    return seen


@pytest.fixture
def compared_films() -> None:
    """A film that agrees, one with a miss, one with an extra, one that TMDB gives no label, one not predicted."""
    version = make_version()
    for title, genres, predicted in (
        ("agrees", ["Drama"], ["Drama"]),
        ("missed", ["Drama", "War"], ["Drama"]),
        ("added", ["Drama"], ["Drama", "Comedy"]),
        ("unlabelled", [], ["Comedy"]),
    ):
        film = make_film(title=title, genres=genres)
        make_prediction(film, version, probabilities=dict.fromkeys(predicted, 0.9))
    make_film(title="unpredicted", genres=["Drama"])


@pytest.mark.usefixtures("compared_films")
class TestFiltersByPrediction:
    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            (FilmFilters(agreement="agrees"), {"agrees"}),
            (FilmFilters(agreement="misses"), {"missed"}),
            (FilmFilters(agreement="extras"), {"added"}),
            (FilmFilters(predicted=(COMEDY,)), {"added", "unlabelled"}),
            (FilmFilters(predicted=(COMEDY,), agreement="extras", labels=(DRAMA,)), {"added"}),
            (FilmFilters(has_prediction=True), {"agrees", "missed", "added", "unlabelled"}),
            (FilmFilters(has_prediction=False), {"unpredicted"}),
            (FilmFilters(has_prediction=False, agreement="misses"), set()),
            (FilmFilters(labels=(DRAMA, WAR), all_labels=True), {"missed"}),
        ],
    )
    def test_what_each_lets_through(self, filters: FilmFilters, expected: set[str]) -> None:
        assert set(shown(filters)) == expected

    def test_only_the_displayed_version_counts(self) -> None:
        other = make_version(displayed=False)
        film = Film.objects.get(title="unpredicted")
        make_prediction(film, other, probabilities={"War": 0.9})
        assert set(shown(FilmFilters(has_prediction=False))) == {"unpredicted"}
        assert shown(FilmFilters(predicted=(WAR,))) == []
        assert len(shown(FilmFilters())) == 5

    def test_the_predictions_are_joined_once_however_many_filters_there_are(self) -> None:
        filters = FilmFilters(agreement="extras", predicted=(COMEDY,), has_prediction=True, sort="surprising")
        films = filtered_films(filters, displayed_version())
        assert str(films.query).count("predictor_prediction") == 1

    def test_a_page_brings_what_cards_show_in_one_query(self, django_assert_num_queries: object) -> None:
        version = displayed_version()
        with django_assert_num_queries(1):  # type: ignore[operator]
            page = film_page(FilmFilters(sort="title"), version)
            facts = [(film.title, film.poster, film.label_ids, film.year) for film in page.films]
        assert len(facts) == 5
        texts = {"overview", "tagline", "search", "folded_titles", "folded_overview"}
        assert page.films[0].get_deferred_fields() == texts
        missed = next(film for film in page.films if film.title == "missed")
        assert (missed.shown_hits, missed.shown_misses, missed.shown_extras) == ([DRAMA], [WAR], [])

    def test_most_surprising_first_and_what_cannot_be_compared_left_out(self) -> None:
        surprised = shown(FilmFilters(sort="surprising"))
        assert set(surprised) == {"agrees", "missed", "added"}
        assert surprised[-1] == "agrees"


def test_without_a_version_no_film_has_a_prediction() -> None:
    make_film(title="film")
    assert shown(FilmFilters()) == ["film"]
    assert shown(FilmFilters(has_prediction=False)) == ["film"]
    assert shown(FilmFilters(agreement="agrees")) == []


class TestPages:
    @pytest.mark.parametrize("sort", sorted(set(SORTS) - {"relevance"}))
    def test_every_film_once_whatever_the_sort_and_the_ties(self, sort: str) -> None:
        version = make_version()
        for number in range(23):
            film = make_film(
                title=f"Film {number % 5}",
                popularity=number % 3 + 0.1,
                vote_average=number % 4,
                vote_count=10,
                release_date=dt.date(1990 + number % 4, 1, 1) if number % 6 else None,
                genres=["Drama"],
            )
            make_prediction(film, version, surprise=[0.1, 1 / 3, 0.7][number % 3])
        filters = FilmFilters(sort=sort)
        whole = film_page(filters, version, size=100).films
        assert len(whole) == 23
        parts: list[int] = []
        cursor: str | None = ""
        while cursor is not None:
            page = film_page(filters, version, cursor=cursor, size=4)
            parts += [film.pk for film in page.films]
            cursor = page.next_cursor
        assert parts == [film.pk for film in whole]

    def test_a_search_is_paged_by_relevance(self) -> None:
        for number in range(9):
            make_film(title=f"Road {number}", popularity=number % 2)
        make_film(title="Road", popularity=0)
        paged = all_pages(FilmFilters(query="road"), size=2)
        assert len(paged) == len(set(paged)) == 10
        assert paged[0] == "Road"

    def test_a_film_that_comes_in_between_moves_no_other(self) -> None:
        for number in range(6):
            make_film(title=f"{number}", popularity=100 - number)
        filters = FilmFilters()
        first = film_page(filters, None, size=3)
        make_film(title="new", popularity=1000)
        assert first.next_cursor is not None
        second = film_page(filters, None, cursor=first.next_cursor, size=3)
        assert [film.title for film in second.films] == ["3", "4", "5"]
        assert second.next_cursor is None

    def test_a_cursor_is_refused_with_other_filters_another_sort_or_a_changed_letter(self) -> None:
        for _ in range(3):
            make_film(genres=["Drama"])
        cursor = film_page(FilmFilters(), None, size=1).next_cursor
        assert cursor
        for other in (FilmFilters(labels=(DRAMA,)), FilmFilters(sort="title"), FilmFilters(query="film")):
            with pytest.raises(CursorError, match="other filters"):
                film_page(other, None, cursor=cursor)
        for broken in (cursor[:-1], "x" + cursor, "garbage", "a:b:c", "\0"):
            with pytest.raises(CursorError, match="no page"):
                film_page(FilmFilters(), None, cursor=broken)


_FILTERS = st.builds(
    FilmFilters,
    query=st.sampled_from(["", "love", "a & b", "é ?=&"]),
    labels=st.sets(st.sampled_from(sorted(GENRE_IDS.values()))).map(lambda ids: tuple(sorted(ids))),
    all_labels=st.booleans(),
    predicted=st.sets(st.sampled_from(sorted(GENRE_IDS.values()))).map(lambda ids: tuple(sorted(ids))),
    agreement=st.sampled_from([value for value, _ in AGREEMENT_CHOICES]),
    first_year=st.none() | st.integers(1900, 1950),
    last_year=st.none() | st.integers(1950, 2020),
    language=st.sampled_from(["", "en", "cn"]),
    min_rating=st.none() | st.integers(0, 100).map(lambda tenths: tenths / 10),
    has_poster=st.sampled_from([None, True, False]),
    has_prediction=st.sampled_from([None, True, False]),
    adult=st.booleans(),
    sort=st.sampled_from([value or "best" for value, _ in SORT_CHOICES]),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters=_FILTERS)
def test_the_address_says_all_of_the_filters_and_every_combination_runs(filters: FilmFilters) -> None:
    version = displayed_version() or make_version()
    form = FilterForm(QueryDict(filters.query_string()), genres=Genre.objects.all())
    assert form.is_valid(), form.errors
    # "All of" one genre or of none says nothing more than "any of".
    plain = replace(filters, all_labels=filters.all_labels and len(filters.labels) > 1)
    assert form.filters() == plain
    film_page(filters, version)
