"""Invented films, each made from a seed and its id alone, in the shapes of TMDB's API v3."""

from __future__ import annotations

import math
import random
import string
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from tests.tmdb_stand_in.vocabulary import (
    ADJECTIVES,
    GENRES,
    LANGUAGES,
    NAMES,
    PLACES,
    TAGLINES,
    TRANSLATED,
)

# Far above TMDB's own ids, so that an invented film never takes a real one's place in a catalog.
FIRST_ID = 9_000_001


@dataclass(frozen=True, slots=True)
class Translation:
    """A film's texts in another language than English. A text may be empty."""

    title: str
    overview: str
    tagline: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InventedFilm:
    """A film's facts, its texts in English (``overview`` may be empty) and in whatever else it is translated to."""

    id: int
    title: str
    original_title: str
    original_language: str
    overview: str
    tagline: str
    genre_ids: tuple[int, ...]
    release_date: str
    runtime: int
    popularity: float
    vote_average: float
    vote_count: int
    imdb_id: str | None
    adult: bool
    poster_path: str | None
    budget: int
    revenue: int
    translations: dict[str, Translation] = field(default_factory=dict)

    def texts(self, language: str) -> Translation:
        """What TMDB shows in that language (``de-DE``): where nobody translated it, the title alone stays."""
        code = language[:2].lower()
        if code in {"en", ""}:
            return Translation(self.title, self.overview, self.tagline)
        return self.translations.get(code) or Translation(self.title, "", "")

    def details(self, language: str) -> dict[str, Any]:
        """The answer of ``/movie/{id}``."""
        texts = self.texts(language)
        spoken, own, country, country_name, *_ = LANGUAGES[self.original_language]
        return {
            "adult": self.adult,
            "backdrop_path": None,
            "belongs_to_collection": None,
            "budget": self.budget,
            "genres": [{"id": pk, "name": genre_name(pk, language)} for pk in self.genre_ids],
            "homepage": "",
            "id": self.id,
            "imdb_id": self.imdb_id,
            "origin_country": [country],
            "original_language": self.original_language,
            "original_title": self.original_title,
            "overview": texts.overview,
            "popularity": self.popularity,
            "poster_path": self.poster_path,
            "production_companies": [],
            "production_countries": [{"iso_3166_1": country, "name": country_name}],
            "release_date": self.release_date,
            "revenue": self.revenue,
            "runtime": self.runtime,
            "spoken_languages": [{"english_name": spoken, "iso_639_1": self.original_language, "name": own}],
            "status": "Released",
            "tagline": texts.tagline,
            "title": texts.title,
            "video": False,
            "vote_average": self.vote_average,
            "vote_count": self.vote_count,
        }

    def listed(self, language: str) -> dict[str, Any]:
        """The film as lists and searches have it."""
        texts = self.texts(language)
        return {
            "adult": self.adult,
            "backdrop_path": None,
            "genre_ids": list(self.genre_ids),
            "id": self.id,
            "original_language": self.original_language,
            "original_title": self.original_title,
            "overview": texts.overview,
            "popularity": self.popularity,
            "poster_path": self.poster_path,
            "release_date": self.release_date,
            "title": texts.title,
            "video": False,
            "vote_average": self.vote_average,
            "vote_count": self.vote_count,
        }

    def translated(self) -> dict[str, Any]:
        """What ``append_to_response=translations`` appends. A title equal to the original one is empty there."""
        texts = {"en": Translation(self.title, self.overview, self.tagline)} | self.translations
        entries = []
        for code, text in texts.items():
            english_name, own_name, country, *_ = LANGUAGES[code]
            title = "" if text.title == self.original_title else text.title
            data = {"homepage": "", "overview": text.overview, "runtime": 0, "tagline": text.tagline}
            entries.append(
                {
                    "iso_3166_1": country,
                    "iso_639_1": code,
                    "name": own_name,
                    "english_name": english_name,
                    "data": data | {"title": title},
                }
            )
        return {"translations": entries}

    def released(self) -> dict[str, Any]:
        """What ``append_to_response=release_dates`` appends."""
        if not self.release_date:
            return {"results": []}
        entry = {
            "certification": "R" if self.adult else "PG",
            "descriptors": [],
            "iso_639_1": "",
            "note": "",
            "release_date": f"{self.release_date}T00:00:00.000Z",
            "type": 3,
        }
        return {"results": [{"iso_3166_1": LANGUAGES[self.original_language][2], "release_dates": [entry]}]}


def genre_name(pk: int, language: str) -> str:
    """The genre's name in that language; in English where the stand-in knows no other."""
    words = GENRES[pk]
    return {"de": words.german, "fr": words.french}.get(language[:2].lower(), words.english)


def invent_film(film_id: int, *, seed: int, today: date) -> InventedFilm:
    """The film of that id: equal arguments, equal film. One in fifty comes out within a month of `today`."""
    dice = random.Random(f"{seed}:{film_id}")
    genre_ids = tuple(dice.sample(list(GENRES), dice.choices((0, 1, 2, 3), (4, 36, 40, 20))[0]))
    code = dice.choices(list(LANGUAGES), [language[-1] for language in LANGUAGES.values()])[0]
    words = {"name": dice.choice(NAMES), "place": dice.choice(PLACES), "other": dice.choice(PLACES)}
    main = GENRES[genre_ids[0] if genre_ids else 18]
    words["noun"] = noun = dice.choice(main.nouns)
    title = dice.choice(
        (
            f"The {dice.choice(ADJECTIVES)} {noun}",
            f"{noun} at {words['place']}",
            f"{words['name']}'s {noun}",
            f"{dice.choice(ADJECTIVES)} {noun} {dice.randint(2, 9)}",
        )
    )
    sentences = [
        dice.choice(GENRES[pk].sentences).format(
            name=words["name"] if first else dice.choice(NAMES), place=words["place" if first else "other"]
        )
        for pk, first in zip(genre_ids or (18,), (True, False, False), strict=False)
    ]
    released = date(1930, 1, 1) + timedelta(days=int(34_000 * dice.random() ** 0.5))
    if dice.random() < 0.02:
        released = today + timedelta(days=dice.randint(-30, 30))
    translations = {}
    for language, (title_, overview, tagline) in TRANSLATED.items():
        genre = genre_name(genre_ids[0], language) if genre_ids else "–"
        if dice.random() < 0.7:
            translations[language] = Translation(
                title_.format(**words),
                "" if dice.random() < 0.3 else overview.format(genre=genre, **words),
                tagline.format(**words) if dice.random() < 0.5 else "",
            )
    votes = int(math.exp(dice.gauss(4, 2)))
    return InventedFilm(
        id=film_id,
        title=title,
        original_title=title if code == "en" else LANGUAGES[code][4].format(**words),
        original_language=code,
        overview="" if dice.random() < 0.03 else " ".join(sentences),
        tagline=dice.choice(TAGLINES).format(**words) if dice.random() < 0.5 else "",
        genre_ids=genre_ids,
        release_date="" if dice.random() < 0.01 else released.isoformat(),
        runtime=0 if dice.random() < 0.03 else dice.randint(62, 188),
        popularity=round(math.exp(dice.gauss(1, 1.2)), 3),
        vote_average=round(min(max(dice.gauss(6.2, 1.1), 0.5), 10), 3) if votes else 0.0,
        vote_count=votes,
        imdb_id=None if dice.random() < 0.05 else f"tt{90_000_000 + film_id}",
        adult=dice.random() < 0.005,
        poster_path=None if dice.random() < 0.1 else invent_path(dice),
        budget=dice.choice((0, 0, dice.randint(1, 180) * 1_000_000)),
        revenue=dice.choice((0, 0, dice.randint(1, 600) * 1_000_000)),
        translations=translations,
    )


def invent_path(dice: random.Random) -> str:
    """A path of an image, as TMDB's look."""
    return f"/{''.join(dice.choices(string.ascii_letters + string.digits, k=27))}.jpg"
