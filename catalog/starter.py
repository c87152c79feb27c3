"""The starter catalog that comes with Genresite: films to begin with, before anything was imported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from catalog.importing import end_run, set_poster, start_run, upsert_films
from catalog.models import Film, Genre, ImportRun
from catalog.posters import store_poster
from catalog.records import FilmRecord, ImportCounts
from catalog.runs import holding

FOLDER = Path(__file__).resolve().parent / "starter"
# The drawings are 500 x 750, TMDB's own shape of a poster.
_JPEG_QUALITY = 88


def load_starter(
    *, run: ImportRun, folder: Path = FOLDER, on_poster: Callable[[int, int], None] | None = None
) -> ImportCounts:
    """Load the starter catalog: its facts and texts where the catalog has none, its posters where a film has none.

    What an import from elsewhere brought stays. Loading twice changes nothing. ``on_poster`` is told how many of how many
    posters are drawn.
    """
    with holding(run):
        start_run(run)
        try:
            films = json.loads((folder / "films.json").read_text(encoding="utf-8"))
            counts = upsert_films(_records(films), run=run, fill_only=True)
            _draw_posters(folder / "posters", run, on_poster or (lambda done, total: None))
        except Exception as error:
            end_run(run, ImportRun.State.FAILED, reason=str(error))
            raise
        end_run(run, ImportRun.State.DONE)
        return counts


def _records(films: list[dict]) -> Iterator[FilmRecord]:
    names = dict(Genre.objects.values_list("id", "name"))
    for film in films:
        facts = {name: value for name, value in film.items() if value is not None and name != "genres"}
        if "release_date" in facts:
            facts["release_date"] = date.fromisoformat(facts["release_date"])
        yield FilmRecord(
            **facts,
            adult=False,
            genre_ids=tuple(film["genres"]),
            genre_names=tuple(names[genre] for genre in film["genres"]),
        )


def _draw_posters(folder: Path, run: ImportRun, on_poster: Callable[[int, int], None]) -> None:
    """Give each film without a poster, or with an older drawing of ours, the drawing named by its TMDB id."""
    # Which drawing was rendered to which poster: rendering takes a tenth of a second each.
    last = ImportRun.objects.filter(source=ImportRun.Source.STARTER, state=ImportRun.State.DONE).first()
    rendered: dict[str, dict[str, str]] = last.options.get("posters", {}) if last else {}
    drawings = {int(path.stem): path for path in sorted(folder.glob("*.svg"))}
    films = Film.objects.filter(tmdb_id__in=drawings).select_related("poster").order_by("tmdb_id")
    stored = 0
    for done, film in enumerate(films, start=1):
        assert film.tmdb_id is not None
        drawing = drawings[film.tmdb_id].read_text(encoding="utf-8")
        digest = hashlib.sha256(drawing.encode()).hexdigest()
        before = rendered.get(str(film.tmdb_id), {})
        ours = film.poster is not None and film.poster.sha256 == before.get("jpeg")
        if film.poster is None or (ours and before["svg"] != digest):
            poster = store_poster(_render(drawing))
            set_poster(film, poster)
            rendered[str(film.tmdb_id)] = {"svg": digest, "jpeg": poster.sha256}
            stored += 1
        on_poster(done, len(drawings))
    run.options, run.posters_stored = {"posters": rendered}, stored
    run.save(update_fields=["options", "posters_stored"])


def _render(drawing: str) -> bytes:
    import vl_convert

    return bytes(vl_convert.svg_to_jpeg(drawing, scale=1.0, quality=_JPEG_QUALITY))
