"""Imports from files, as runs: what an import reads, from its start to its end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from catalog.csv_rows import CsvError
from catalog.importing import end_run, start_run, upsert_films
from catalog.kaggle import count_lines, read_films
from catalog.models import ImportRun
from catalog.poster_folder import PosterCounts, import_posters, require_folder
from catalog.records import ImportCounts
from catalog.runs import holding


def import_kaggle(
    *,
    path: Path,
    run: ImportRun,
    posters: Path | None = None,
    on_films: Callable[[ImportCounts], None] | None = None,
    on_posters: Callable[[PosterCounts], None] | None = None,
) -> ImportCounts:
    """Import a CSV of Kaggle's shape, and a folder of posters where one is given, as the given run.

    ``on_films`` and ``on_posters`` are called after each batch; what they raise ends the import, its run still open. Raises
    `CsvError` when the file is no such CSV and `OSError` when something cannot be read; the run is then failed with the
    reason. A process that was killed leaves its run to `close_interrupted_runs`; importing again finds what was
    written, and goes on.
    """
    with holding(run):
        start_run(run, total=count_lines(path) if path.is_file() else None)
        try:
            if posters is not None:
                require_folder(posters)
            counts = upsert_films(read_films(path), run=run, on_batch=on_films)
            if posters is not None:
                import_posters(folder=posters, run=run, on_batch=on_posters)
        except KeyboardInterrupt:
            end_run(run, ImportRun.State.CANCELLED)
            raise
        except (CsvError, OSError) as error:
            end_run(run, ImportRun.State.FAILED, reason=str(error))
            raise
        end_run(run, ImportRun.State.DONE)
        return counts


def fingerprint(path: Path, posters: Path | None = None) -> str:
    """32 hexadecimal digits of what an import would read: the CSV's content, and the posters' names, sizes and times."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    if posters is not None:
        for poster in sorted(posters.glob("**/*.*")):
            facts = poster.stat()
            digest.update(f"{poster.name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def already_imported(found: str) -> ImportRun | None:
    """The last finished import of files with that fingerprint."""
    return ImportRun.objects.filter(state=ImportRun.State.DONE, options__fingerprint=found).first()
