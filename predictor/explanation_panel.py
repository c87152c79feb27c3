"""An explanation ready to be drawn: genre by genre the words and regions that spoke for it and against it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.models import Film
from predictor.explaining import FilmExplanation, Word
from predictor.models import ModelVersion
from predictor.online import OnlineFilm
from predictor.panel import GenreRow, Panel, online_panel, percent, phrase

# Marked is what moved the genre by this share of what moved it most, in three strengths.
_STRENGTHS = (0.2, 0.4, 0.7)
# Where hardly anything moved a genre, nothing is drawn as if it had: the scale covers at least so many log-odds.
_LEAST_WORD, _LEAST_REGION = 0.8, 0.4
# As many lines as one reads.
_MOST_WORDS, _MOST_REGIONS = 6, 5
# Where a region is; the grid has six rows and four columns.
_ROWS = ("top", "upper", "upper middle", "lower middle", "lower", "bottom")
_COLUMNS = ("left", "centre left", "centre right", "right")
_FIELDS = {"title": "Title", "tagline": "Tagline", "overview": "Overview"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text. `strength` is 0 where it is not marked, else 1 to 3; `influence` says what it did."""

    text: str
    strength: int = 0
    influence: Influence | None = None


@dataclass(frozen=True, slots=True)
class Influence:
    """What a word, or a region, did: above zero it spoke for the genre. `without` is the probability without it."""

    what: str
    effect: float
    without: float

    @property
    def speaks_for(self) -> bool:
        return self.effect > 0

    @property
    def signed(self) -> str:
        """The effect in log-odds: "+1.2", "−0.4"."""
        return signed(self.effect)

    @property
    def without_percent(self) -> str:
        return percent(self.without)


@dataclass(frozen=True, slots=True)
class Passage:
    """One text of the film, cut into pieces."""

    field: str
    pieces: tuple[Piece, ...]

    @property
    def name(self) -> str:
        return _FIELDS[self.field]


@dataclass(frozen=True, slots=True)
class Cell:
    """A marked cell of the grid over the poster."""

    column: int
    row: int
    strength: int
    influence: Influence


@dataclass(frozen=True, slots=True)
class Contribution:
    """How much one input counted for a genre: signed log-odds, and its share of all that the inputs moved."""

    name: str
    effect: float
    share: float

    @property
    def signed(self) -> str:
        return signed(self.effect)

    @property
    def speaks_for(self) -> bool:
        return self.effect >= 0

    @property
    def percent(self) -> str:
        return f"{round(100 * self.share)} %"

    @property
    def width(self) -> str:
        """Length in a drawing that is 100 wide."""
        return f"{100 * self.share:.2f}"


@dataclass(frozen=True, slots=True)
class GenreExplanation:
    """One genre: its row of the comparison, and what moved it."""

    row: GenreRow
    usual: float
    contributions: tuple[Contribution, ...]
    passages: tuple[Passage, ...]
    words: tuple[Influence, ...]
    cells: tuple[Cell, ...]

    @property
    def usual_percent(self) -> str:
        """The genre's share of all films, which is where the model starts from."""
        return percent(self.usual)

    @property
    def regions(self) -> tuple[Influence, ...]:
        """What the poster's marked regions did, the strongest first."""
        strongest = sorted(self.cells, key=lambda cell: -abs(cell.influence.effect))
        return tuple(cell.influence for cell in strongest[:_MOST_REGIONS])

    @property
    def poster_x(self) -> str:
        """Where the second bar begins in a drawing that is 100 wide."""
        return self.contributions[0].width


@dataclass(frozen=True, slots=True)
class ExplanationPanel:
    """An explanation laid out for the genres that model or TMDB name, or for the most probable where neither does."""

    panel: Panel
    genres: tuple[GenreExplanation, ...]
    grid: tuple[int, int] | None

    @property
    def names(self) -> str:
        return phrase([genre.row.name for genre in self.genres])


def explanation_panel(film: Film, explanation: FilmExplanation, version: ModelVersion) -> ExplanationPanel:
    """What pages and API show of an explanation of a film as it is now."""
    prediction = explanation.prediction
    panel = online_panel(prediction, version, labels=film.label_ids)
    columns = {label: column for column, label in enumerate(prediction.label_ids)}
    regions = explanation.regions
    return ExplanationPanel(
        panel=panel,
        genres=tuple(_genre(film, explanation, row, columns[row.genre_id]) for row in _explained_rows(panel)),
        grid=None if regions is None else (len(regions), len(regions[0])),
    )


def explained(
    film: Film | OnlineFilm,
    explanation: FilmExplanation,
    version: ModelVersion,
    *,
    labels: Collection[int] = (),
) -> dict[str, Any]:
    """An explanation as the API gives it: the same genres, with all that was taken away and not the strongest alone."""
    prediction = explanation.prediction
    panel = online_panel(prediction, version, labels=labels)
    columns = {label: column for column, label in enumerate(prediction.label_ids)}
    return {
        "version": version,
        "inputs": panel.inputs,
        "poster_error": panel.poster_error,
        "genres": [
            _as_mapping(film, explanation, row, columns[row.genre_id]) for row in _explained_rows(panel)
        ],
    }


def _as_mapping(
    film: Film | OnlineFilm, explanation: FilmExplanation, row: GenreRow, column: int
) -> dict[str, Any]:
    grid = explanation.regions or ()
    return {
        "genre_id": row.genre_id,
        "name": row.name,
        "probability": row.probability,
        "threshold": row.threshold,
        "predicted": row.predicted,
        "overview_probability": row.overview_probability,
        "poster_probability": row.poster_probability,
        "prior": _probability(explanation.prior[column]),
        "contributions": contributions(explanation, column),
        "words": [
            {
                "field": word.field,
                "start": word.start,
                "end": word.end,
                "text": getattr(film, word.field)[word.start : word.end],
                "log_odds": word.effects[column],
                "probability_without": _without(row.probability, word.effects[column]),
            }
            for word in explanation.words
        ],
        "regions": [
            {
                "left": x / len(cells),
                "top": y / len(grid),
                "width": 1 / len(cells),
                "height": 1 / len(grid),
                "log_odds": effects[column],
                "probability_without": _without(row.probability, effects[column]),
            }
            for y, cells in enumerate(grid)
            for x, effects in enumerate(cells)
        ],
    }


def _explained_rows(panel: Panel) -> tuple[GenreRow, ...]:
    """The genres that model or TMDB name, or the most probable; none where there was nothing to go by."""
    return (panel.prominent or panel.rest[:1]) if panel.inputs else ()


def signed(effect: float) -> str:
    """Log-odds with their sign, one decimal: "+1.2", "−0.4"."""
    return f"{'−' if effect < 0 else '+'}{abs(effect):.1f}"


def contributions(explanation: FilmExplanation, column: int) -> tuple[Contribution, ...]:
    """What the texts and the poster counted for in the genre of that column; only those that were there."""
    inputs = explanation.prediction.inputs
    effects = []
    if texts := [name for name in inputs if name != "poster"]:
        effects.append(("overview" if "overview" in texts else texts[0], explanation.from_texts[column]))
    if "poster" in inputs:
        effects.append(("poster", explanation.from_poster[column]))
    total = sum(abs(effect) for _, effect in effects)
    return tuple(
        Contribution(name=name, effect=effect, share=abs(effect) / total if total else 1 / len(effects))
        for name, effect in effects
    )


def _genre(film: Film, explanation: FilmExplanation, row: GenreRow, column: int) -> GenreExplanation:
    marked = [(word, _influence(film, word, column, row)) for word in explanation.words]
    scale = max([_LEAST_WORD, *(abs(influence.effect) for _, influence in marked)])
    fields = list(dict.fromkeys(word.field for word in explanation.words))
    listed = sorted(
        (influence for _, influence in marked if _strength(influence.effect, scale)),
        key=lambda influence: -abs(influence.effect),
    )
    return GenreExplanation(
        row=row,
        usual=_probability(explanation.prior[column]),
        contributions=contributions(explanation, column),
        passages=tuple(
            Passage(
                field, tuple(_pieces(getattr(film, field), [m for m in marked if m[0].field == field], scale))
            )
            for field in fields
        ),
        words=tuple(
            [influence for influence in listed if influence.speaks_for][:_MOST_WORDS]
            + [influence for influence in listed if not influence.speaks_for][:_MOST_WORDS]
        ),
        cells=tuple(_cells(explanation, row, column)),
    )


def _influence(film: Film, word: Word, column: int, row: GenreRow) -> Influence:
    effect = word.effects[column]
    return Influence(
        what=" ".join(getattr(film, word.field)[word.start : word.end].split()),
        effect=effect,
        without=_without(row.probability, effect),
    )


def _pieces(text: str, marked: Sequence[tuple[Word, Influence]], scale: float) -> Iterator[Piece]:
    """The text whole, cut where words are marked."""
    end = 0
    for word, influence in marked:
        if strength := _strength(influence.effect, scale):
            if word.start > end:
                yield Piece(text[end : word.start])
            yield Piece(text[word.start : word.end], strength, influence)
            end = word.end
    if end < len(text):
        yield Piece(text[end:])


def _cells(explanation: FilmExplanation, row: GenreRow, column: int) -> Iterator[Cell]:
    grid = explanation.regions or ()
    scale = max([_LEAST_REGION, *(abs(effects[column]) for cells in grid for effects in cells)])
    for y, cells in enumerate(grid):
        for x, effects in enumerate(cells):
            effect = effects[column]
            if strength := _strength(effect, scale):
                place = f"{_ROWS[y]}, {_COLUMNS[x]}"
                yield Cell(x, y, strength, Influence(place, effect, _without(row.probability, effect)))


def _strength(effect: float, scale: float) -> int:
    return sum(abs(effect) >= share * scale for share in _STRENGTHS)


def _without(probability: float, effect: float) -> float:
    bounded = min(max(probability, 1e-6), 1 - 1e-6)
    return _probability(math.log(bounded / (1 - bounded)) - effect)


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))
