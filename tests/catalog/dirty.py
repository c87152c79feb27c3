"""A CSV of the shape of movies_metadata.csv, with every fault that such files are known to have. Made up for the tests."""

from __future__ import annotations

import csv
import io
from pathlib import Path

COLUMNS = [
    *("adult", "belongs_to_collection", "budget", "genres", "homepage", "id", "imdb_id", "original_language"),
    *(
        "original_title",
        "overview",
        "popularity",
        "poster_path",
        "production_companies",
        "production_countries",
    ),
    *("release_date", "revenue", "runtime", "spoken_languages", "status", "tagline", "title", "video"),
    *("vote_average", "vote_count"),
]
DRAMA = "[{'id': 18, 'name': 'Drama'}]"
HEADER = (",".join(COLUMNS) + "\n").encode()


def row(tmdb_id: object, **fields: object) -> bytes:
    """A sound row, as Python's csv writes it, with the given fields in it."""
    values = {
        "adult": "False",
        "budget": "0",
        "genres": DRAMA,
        "id": tmdb_id,
        "imdb_id": "tt0000001",
        "original_language": "en",
        "original_title": f"Film {tmdb_id}",
        "overview": f"Somebody walks through film {tmdb_id}, slowly.",
        "popularity": "1.5",
        "poster_path": "/abc.jpg",
        "release_date": "1994-09-10",
        "runtime": "101.0",
        "title": f"Film {tmdb_id}",
        "video": "False",
        "vote_average": "7.1",
        "vote_count": "44",
    } | fields
    buffer = io.StringIO()
    csv.DictWriter(buffer, COLUMNS, lineterminator="\n").writerow(values)
    return buffer.getvalue().encode()


def write_csv(folder: Path, *rows: bytes, header: bytes = HEADER) -> Path:
    path = folder / "films.csv"
    path.write_bytes(header + b"".join(rows))
    return path


INVALID_GENRES = [
    *("Aniplex", "BROSTA TV", "Carousel Productions", "GoHands", "Mardock Scramble Production Committee"),
    *("Odyssey Media", "Pulser Productions", "Rogue State", "Sentai Filmworks"),
    *("Telescene Film Group Productions", "The Cartel", "Vision View Entertainment", "TV Movie", "Foreign"),
]

# Each broken row with the code that it must be refused with. They stand between sound rows.
BROKEN_ROWS: dict[str, tuple[bytes, str]] = {
    "a date in the id": (row("1997-08-20"), "id"),
    "a word in the id": (row("Ariel"), "id"),
    "an id of zero": (row(0), "id"),
    "an id beyond what a database holds": (row(2**31), "id"),
    "no id": (row(""), "id"),
    "columns shifted by one to the left": (b",".join(row(901).split(b",")[1:]), "columns"),
    "columns shifted to the right, one left out": (b"x," + row(902).rsplit(b",", 1)[0] + b"\n", "id"),
    "a row torn by a line break": (b" - Written by somebody,0.065736,/ff9.jpg,[]\n", "columns"),
    "columns missing at the end": (b"False,,0," + b"\n", "columns"),
    "genres that are no literal": (row(903, genres="[{'id': 18, 'name': "), "genres"),
    "genres that are a call": (row(904, genres="__import__('os').getcwd()"), "genres"),
    "genres that are a number": (row(905, genres="18"), "genres"),
    "genres nested without end": (row(906, genres="[" * 5000), "genres"),
    "a genre without a name": (row(907, genres="[{'id': 18}]"), "genres"),
    "bytes that are not UTF-8": (row(908, overview="caf?").replace(b"caf?", b"caf\xe9"), "encoding"),
    "an overview of a whole book": (row(909, overview="word " * 5000), "length"),
    "a title of a thousand letters": (row(910, title="a" * 1000), "length"),
    "a line of two megabytes": (row(911, overview="word " * 400_000), "columns"),
    "a film without title": (row(912, title="", original_title="nan"), "title"),
    "an adult flag that is none": (row(913, adult=" - Written by somebody"), "adult"),
    "a quote that is never closed": (
        row(914, overview="He said, ").replace(b'"He said, "', b'"He said, '),
        "quote",
    ),
    "a quote closed in the middle": (
        row(915, overview="One, two").replace(b'"One, two"', b'"One, "two"'),
        "quote",
    ),
}
