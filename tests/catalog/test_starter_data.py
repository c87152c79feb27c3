"""The starter catalog as data: whatever loads it may rely on what is stated here. No database is needed."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import vl_convert
from PIL import Image

import catalog

STARTER = Path(catalog.__file__).parent / "starter"
POSTERS = sorted((STARTER / "posters").glob("*.svg"), key=lambda path: int(path.stem))

# TMDB's ids of the 18 genres that count as labels.
LABEL_IDS = {12, 14, 16, 18, 27, 28, 35, 36, 37, 53, 80, 99, 878, 9648, 10402, 10749, 10751, 10752}

REQUIRED = {
    "tmdb_id": int,
    "imdb_id": str,
    "title": str,
    "original_title": str,
    "release_date": str,
    "original_language": str,
    "runtime": int,
    "genres": list,
    "overview": str,
    "tagline": str,
}
OPTIONAL = {"popularity": float, "vote_average": float, "vote_count": int}

SVG = "{http://www.w3.org/2000/svg}"
DRAWING_ELEMENTS = {
    "svg", "title", "defs", "g", "use", "clipPath", "mask", "pattern", "linearGradient", "radialGradient", "stop",
    "rect", "circle", "ellipse", "line", "polyline", "polygon", "path", "text", "tspan",
}  # fmt: skip


def read_films() -> list[dict[str, Any]]:
    films: list[dict[str, Any]] = json.loads((STARTER / "films.json").read_text(encoding="utf-8"))
    return films


FILMS = read_films()
BY_ID = {film["tmdb_id"]: film for film in FILMS}


def with_poster() -> list[dict[str, Any]]:
    drawn = {int(path.stem) for path in POSTERS}
    return [film for film in FILMS if film["tmdb_id"] in drawn]


def test_every_film_has_the_agreed_fields_and_types() -> None:
    for film in FILMS:
        assert film.keys() >= REQUIRED.keys(), film["title"]
        assert film.keys() <= REQUIRED.keys() | OPTIONAL.keys(), film["title"]
        for field, kind in (REQUIRED | OPTIONAL).items():
            assert isinstance(film.get(field, kind()), kind), (film["title"], field)


def test_facts_are_plausible() -> None:
    for film in FILMS:
        released = dt.date.fromisoformat(film["release_date"])
        assert 1888 <= released.year <= 2026, film["title"]
        assert 1 <= film["runtime"] <= 600, film["title"]
        assert re.fullmatch(r"tt\d{7,8}", film["imdb_id"]), film["title"]
        assert re.fullmatch(r"[a-z]{2}", film["original_language"]), film["title"]
        assert film["title"].strip(), film["tmdb_id"]
        assert film["original_title"].strip(), film["title"]
        assert 0 <= film.get("vote_average", 0) <= 10, film["title"]
        assert ("vote_average" in film) == ("vote_count" in film), film["title"]


def test_ids_are_unique_and_the_file_is_sorted_by_them() -> None:
    ids = [film["tmdb_id"] for film in FILMS]

    assert ids == sorted(set(ids))
    assert len({film["imdb_id"] for film in FILMS}) == len(FILMS)


def test_every_label_is_well_represented() -> None:
    films_by_genre = Counter(genre for film in FILMS for genre in film["genres"])

    assert films_by_genre.keys() == LABEL_IDS
    assert min(films_by_genre.values()) >= 12, films_by_genre


def test_no_film_is_without_a_label_or_has_one_twice() -> None:
    for film in FILMS:
        assert film["genres"], film["title"]
        assert len(set(film["genres"])) == len(film["genres"]), film["title"]


def test_films_come_from_many_decades_and_languages() -> None:
    assert len(FILMS) >= 240
    assert len({film["release_date"][:3] for film in FILMS}) >= 12
    assert len({film["original_language"] for film in FILMS}) >= 20


def test_overviews_are_two_to_four_sentences_and_each_is_its_own() -> None:
    overviews = [film["overview"] for film in FILMS if film["overview"]]

    for overview in overviews:
        assert 35 <= len(overview.split()) <= 75, overview
        assert 2 <= len(re.findall(r"[.!?](?=\s|$)", overview)) <= 4, overview
        assert overview == overview.strip()
        assert "http" not in overview
    assert len(set(overviews)) == len(overviews)


def test_each_way_of_predicting_has_its_films() -> None:
    posters = with_poster()
    both = [film for film in posters if film["overview"]]
    poster_only = [film for film in posters if not film["overview"]]
    overview_only = len([film for film in FILMS if film["overview"]]) - len(both)

    assert len(both) >= 24
    assert len(poster_only) >= 8
    assert overview_only >= 150
    assert all(film["overview"] or film in poster_only for film in FILMS), (
        "a film with neither text nor picture"
    )


def test_every_label_can_be_seen_on_a_poster() -> None:
    assert {genre for film in with_poster() for genre in film["genres"]} == LABEL_IDS


@pytest.mark.parametrize("path", POSTERS, ids=lambda path: path.stem)
def test_poster_is_a_self_contained_drawing_of_a_film_in_the_catalog(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    # The file is the repository's own, so the standard library's parser is safe; it declares no document type.
    assert "<!" not in source
    root = ET.fromstring(source)

    assert int(path.stem) in BY_ID
    assert root.tag == f"{SVG}svg"
    assert root.get("viewBox") == "0 0 500 750"
    assert len(source.encode()) <= 12_000
    for element in root.iter():
        assert element.tag.removeprefix(SVG) in DRAWING_ELEMENTS, element.tag
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on"), name
            if name.endswith("href"):
                assert value.startswith("#"), value
            assert all(target.startswith("#") for target in re.findall(r"url\(\s*['\"]?([^)'\"]*)", value)), (
                value
            )


@pytest.mark.parametrize("path", POSTERS, ids=lambda path: path.stem)
def test_poster_is_lettered_with_the_title_of_its_film(path: Path) -> None:
    root = ET.fromstring(path.read_text(encoding="utf-8"))
    film = BY_ID[int(path.stem)]

    lettering = "".join("".join(element.itertext()) for element in root.iter(f"{SVG}text"))

    def letters(text: str) -> str:
        return "".join(filter(str.isalnum, text.casefold()))

    assert letters(film["title"]) in letters(lettering)


@pytest.mark.parametrize("path", POSTERS, ids=lambda path: path.stem)
def test_poster_renders_to_a_picture(path: Path) -> None:
    picture = vl_convert.svg_to_jpeg(path.read_text(encoding="utf-8"), scale=0.2)

    with Image.open(io.BytesIO(picture)) as image:
        assert image.size == (100, 150)
        # A drawing whose paint could not be resolved comes out as one flat colour.
        assert max(high - low for low, high in image.convert("RGB").getextrema()) > 100
