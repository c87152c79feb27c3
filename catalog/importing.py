"""Writing films to the catalog: the one place that does, so that what is derived never parts from its source.

Two rules make an import repeatable. A value that a source leaves empty never erases one that the catalog has; and of
films that a source names twice the first stands, later ones only filling what it left empty. So the same source read
again finds every film as it left it, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from django.db import reset_queries, transaction

from catalog.derived import derived_fields, input_hash
from catalog.film_rows import GenreDirectory, filled, lock_writing, write_batch
from catalog.models import Film, ImportRun, LabelChange, Poster
from catalog.records import FilmRecord, ImportCounts, Rejection, SeenIds
from catalog.runs import end_run, record_rejections, start_run

__all__ = [
    "FilmRecord",
    "ImportCounts",
    "Rejection",
    "derived_fields",
    "end_run",
    "input_hash",
    "record_rejections",
    "save_facts",
    "set_poster",
    "start_run",
    "upsert_films",
]

# Films a transaction: some 2 MB of texts, and little lost by a kill.
BATCH_FILMS = 2000


def upsert_films(
    records: Iterable[FilmRecord | Rejection],
    *,
    run: ImportRun,
    fill_only: bool = False,
    on_batch: Callable[[ImportCounts], None] | None = None,
    batch_films: int = BATCH_FILMS,
) -> ImportCounts:
    """Write films in batches, each one transaction with its rejections and the run's counts; returns the counts.

    Constant memory, whatever the number of records. ``on_batch`` is called after each commit; what it raises ends the
    import between two batches. A film already as its record says is not written to. With ``fill_only``
    films that the catalog knows keep what they have and are only completed.
    """
    counts = ImportCounts()
    genres = GenreDirectory()
    seen = SeenIds()
    for batch in _batches(records, batch_films):
        films: dict[int, FilmRecord] = {}
        rejections: list[Rejection] = []
        counts.read += sum(1 for item in batch if not (isinstance(item, Rejection) and item.value_only))
        repeated = 0
        repeats = set()
        for item in batch:
            if isinstance(item, Rejection):
                rejections.append(item)
            elif item.tmdb_id in films:
                films[item.tmdb_id] = filled(films[item.tmdb_id], item)
                repeated += 1
            else:
                films[item.tmdb_id] = item
                if not seen.add(item.tmdb_id) or fill_only:
                    repeats.add(item.tmdb_id)
        with transaction.atomic():
            created, updated = write_batch(films, genres, repeats)
            counts.created += created
            counts.updated += updated
            counts.unchanged += len(films) - created - updated + repeated
            counts.rejected += sum(1 for rejection in rejections if not rejection.value_only)
            record_rejections(run, rejections)
            ImportRun.objects.filter(pk=run.pk).update(**counts.as_dict())
        reset_queries()  # with DEBUG, Django keeps every statement with its values
        if on_batch:
            on_batch(counts)
    return counts


def set_poster(film: Film, poster: Poster | None) -> None:
    """Give a film its poster, or take it away."""
    with transaction.atomic():
        lock_writing()
        film.refresh_from_db()
        film.poster = poster
        film.input_hash = derived_fields(film)["input_hash"]
        film.save(update_fields=["poster", "input_hash"])


def save_facts(film: Film) -> None:
    """Bring what is derived from a film in line after its facts or genres were edited by hand."""
    with transaction.atomic():
        lock_writing()
        for name, value in derived_fields(film).items():
            setattr(film, name, value)
        before = Film.objects.values_list("label_ids", flat=True).get(pk=film.pk)
        film.label_ids = sorted(film.genres.filter(is_label=True).values_list("id", flat=True))
        film.save()
        if film.label_ids != before:
            LabelChange.objects.create(film=film, before=before, after=film.label_ids)


def _batches(items: Iterable[FilmRecord | Rejection], size: int) -> Iterator[list[FilmRecord | Rejection]]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
