"""What a card of the browse page says of a film, and what the chips above the cards say of the list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from catalog.languages import language_name
from catalog.models import Film
from predictor.browsing import FilmFilters, FilmPage
from predictor.models import Part


@dataclass(frozen=True, slots=True)
class CardGenre:
    """A genre on a card: its name, how TMDB and the model stand to it, and that in words.

    ``kind`` is "hit", "miss" or "extra"; empty where there is no prediction to compare with.
    """

    name: str
    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class FilmCard:
    """A film and its genres, those first that both name; the counts by kind, none where nothing was compared."""

    film: Film
    genres: list[CardGenre]
    hits: int
    misses: int
    extras: int
    trained_on: bool

    @property
    def summary(self) -> str:
        """The counts in words, for those who do not see colours; empty where nothing was compared."""
        counts = ((self.hits, "agreed"), (self.misses, "missed"), (self.extras, "added"))
        return ", ".join(f"{number} {what}" for number, what in counts if number)


@dataclass(frozen=True, slots=True)
class ActiveFilter:
    """A filter that is set, in words, and the query string of the same list without it."""

    text: str
    query_string: str


def film_cards(page: FilmPage, names: Mapping[int, str]) -> list[FilmCard]:
    """The cards of a page; `names` are the genres' by id."""
    return [_film_card(film, names) for film in page.films]


def _film_card(film: Film, names: Mapping[int, str]) -> FilmCard:
    shown: dict[str, Any] = {name: getattr(film, f"shown_{name}", None) for name in _READ}
    compared = shown["hits"] is not None
    kinds = (
        [("hit", "Agreed: ", shown["hits"]), ("miss", "Only at TMDB: ", shown["misses"])]
        if compared
        else [("", "", film.label_ids)]
    )
    # Where TMDB names no genre there is nothing to compare with, and what was predicted is all extra.
    kinds.append(("extra", "Only predicted: ", shown["extras"] if compared else shown["predicted"]))
    return FilmCard(
        film=film,
        genres=[
            CardGenre(name=name, kind=kind, words=words)
            for kind, words, ids in kinds
            for name in sorted(names[number] for number in ids or () if number in names)
        ],
        hits=len(shown["hits"] or ()),
        misses=len(shown["misses"] or ()),
        extras=len(shown["extras"] or ()),
        trained_on=shown["part"] == Part.TRAIN,
    )


_READ = ("hits", "misses", "extras", "predicted", "part")
_AGREEMENT = {"agrees": "Full agreement", "misses": "Model misses a genre", "extras": "Model adds a genre"}


def active_filters(filters: FilmFilters, names: Mapping[int, str]) -> list[ActiveFilter]:
    """Each filter that is set, in the order of the form."""
    active: list[ActiveFilter] = []

    def add(text: str, **changes: object) -> None:
        active.append(ActiveFilter(text, replace(filters, **changes).query_string()))  # type: ignore[arg-type]

    if filters.query:
        add(f"“{filters.query}”", query="")
    for label in filters.labels:
        add(names.get(label, str(label)), labels=tuple(other for other in filters.labels if other != label))
    for label in filters.predicted:
        rest = tuple(other for other in filters.predicted if other != label)
        add(f"Predicted {names.get(label, label)}", predicted=rest)
    if filters.agreement:
        add(_AGREEMENT[filters.agreement], agreement="")
    if filters.first_year is not None or filters.last_year is not None:
        add(_years(filters), first_year=None, last_year=None)
    if filters.language:
        add(language_name(filters.language), language="")
    if filters.min_rating is not None:
        add(f"Rating {filters.min_rating:g} and up", min_rating=None)
    _add_yes_no(add, filters)
    return active


def _add_yes_no(add: Callable[..., None], filters: FilmFilters) -> None:
    if filters.has_poster is not None:
        add("With poster" if filters.has_poster else "Without poster", has_poster=None)
    if filters.has_prediction is not None:
        add("With prediction" if filters.has_prediction else "Without prediction", has_prediction=None)
    if filters.adult:
        add("Adult films too", adult=False)


def _years(filters: FilmFilters) -> str:
    first, last = filters.first_year, filters.last_year
    if first == last:
        return str(first)
    if first is None:
        return f"Until {last}"
    return f"From {first}" if last is None else f"{first} to {last}"
