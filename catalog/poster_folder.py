"""A folder of posters named by TMDB id, verified and stored on several threads, and given to their films."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from django.db import reset_queries, transaction
from django.db.models import F

from catalog.film_posters import give_posters
from catalog.models import Film, ImportRun
from catalog.posters import MOST_BYTES, PosterError, PosterFacts, save_file, verify_poster
from catalog.records import Rejection, SeenIds
from catalog.runs import record_rejections

# Posters a transaction; with two batches under way, and most posters below 100 kB, some 50 MB.
BATCH_POSTERS = 256
# Decoding lets go of Python's lock, and so does writing; more threads than cores hide a slow disk.
THREADS = min(2 * (os.cpu_count() or 1), 16)
_NAME = re.compile(r"(\d{1,10})\.(?:jpe?g|png|webp)", re.IGNORECASE)


@dataclass(slots=True)
class PosterCounts:
    """What became of the files so far. ``unknown`` are those whose film is not in the catalog."""

    read: int = 0
    stored: int = 0
    unchanged: int = 0
    unknown: int = 0
    rejected: int = 0


def import_posters(
    *, folder: Path, run: ImportRun, on_batch: Callable[[PosterCounts], None] | None = None
) -> PosterCounts:
    """Give films the posters ``<id>.jpg`` (or .png, .webp) of a folder, or of folders in it, by their TMDB id.

    A film whose poster is that very file is not written to. A file that is no acceptable image is recorded with the run
    and its film keeps what it had. Raises `NotADirectoryError` when there is no such folder.
    """
    require_folder(folder)
    counts = PosterCounts()
    files = _files(folder)
    with ThreadPoolExecutor(THREADS) as pool:
        under_way: list[_Reading] = []
        while True:
            batch = list(islice(files, BATCH_POSTERS))
            begun = _begin(batch, pool, counts)
            # While this batch is read and decoded, the one before is written.
            if under_way:
                _write(under_way, run, counts)
                reset_queries()  # with DEBUG, Django keeps every statement with its values
                if on_batch:
                    on_batch(counts)
            under_way = begun
            if not batch:
                return counts


def require_folder(folder: Path) -> None:
    """Raises `NotADirectoryError` where there is no such folder."""
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder of posters")


@dataclass(frozen=True, slots=True)
class _Reading:
    tmdb_id: int
    path: Path
    facts: Future[PosterFacts | None]


def _files(folder: Path) -> Iterator[tuple[int, Path]]:
    """Poster files with their films' TMDB ids, folder by folder in order; the first file of a film counts."""
    seen = SeenIds()
    folders = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())
    for place in [str(folder), *folders]:
        for name in sorted(entry.name for entry in os.scandir(place) if entry.is_file()):
            match = _NAME.fullmatch(name)
            if match and int(match[1]) < 2**31 and seen.add(int(match[1])):
                yield int(match[1]), Path(place) / name


def _begin(batch: list[tuple[int, Path]], pool: ThreadPoolExecutor, counts: PosterCounts) -> list[_Reading]:
    """Have the files of films that the catalog knows read, checked and put in their place."""
    rows = Film.objects.filter(tmdb_id__in=[tmdb_id for tmdb_id, _ in batch])
    present = {tmdb_id: sha256 or "" for tmdb_id, sha256 in rows.values_list("tmdb_id", "poster__sha256")}
    counts.read += len(batch)
    counts.unknown += sum(tmdb_id not in present for tmdb_id, _ in batch)
    return [
        _Reading(tmdb_id, path, pool.submit(_take_in, path, present[tmdb_id]))
        for tmdb_id, path in batch
        if tmdb_id in present
    ]


def _take_in(path: Path, present: str) -> PosterFacts | None:
    """Verify and store one file; None when the film has it already. Touches no database: it runs on a thread."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise PosterError("unreadable", f"The file cannot be read ({error}).") from error
    if present and hashlib.sha256(content).hexdigest() == present:
        return None
    facts = verify_poster(content)
    save_file(facts, content)
    return facts


def _write(readings: list[_Reading], run: ImportRun, counts: PosterCounts) -> None:
    found: dict[int, PosterFacts] = {}
    rejections = []
    for reading in readings:
        try:
            facts = reading.facts.result()
        except PosterError as error:
            reason = f"poster {reading.path.name}: {error}"
            rejections.append(
                Rejection(None, str(reading.tmdb_id), f"poster-{error.code}", reason, value_only=True)
            )
        else:
            if facts is None:
                counts.unchanged += 1
            else:
                found[reading.tmdb_id] = facts
    with transaction.atomic():
        stored = give_posters(found)
        record_rejections(run, rejections)
        ImportRun.objects.filter(pk=run.pk).update(posters_stored=F("posters_stored") + stored)
    counts.stored += stored
    counts.rejected += len(rejections)
