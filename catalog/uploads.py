"""Importing an uploaded CSV: kept in the storage, planned in the ledger, imported by a worker of the queue ``io``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from shutil import copyfileobj
from tempfile import NamedTemporaryFile
from typing import IO, Any, cast
from uuid import uuid4

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction

from catalog.csv_rows import CsvError, check_header
from catalog.kaggle import REQUIRED
from catalog.models import ImportRun
from catalog.runs import end_run
from catalog.sources import import_kaggle
from ledger.broker import require_broker
from ledger.chunks import ClaimedChunk, Progress, cancel_run, plan
from ledger.handlers import handles, on_run_end
from ledger.tasks import wake

KIND = "import_kaggle"
_OPEN = (ImportRun.State.WAITING, ImportRun.State.RUNNING)


def plan_import(*, upload: File[Any], by: Any = None) -> ImportRun:
    """Keep an uploaded CSV and plan its import; returns the waiting run.

    Raises `CsvError` at once when the file is no CSV of films, and `ledger.broker.BrokerUnavailableError` when no worker
    could be told of it.
    """
    require_broker()
    check_header(cast(IO[bytes], upload), required=REQUIRED)
    upload.seek(0)
    # Not to be guessed, for a front server may serve the whole media folder.
    stored = default_storage.save(f"imports/{uuid4().hex}.csv", upload)
    options = {"csv": Path(upload.name or "").name[:200], "upload": stored}
    try:
        with transaction.atomic():
            run = ImportRun.objects.create(source=ImportRun.Source.KAGGLE, created_by=by, options=options)
            plan(kind=KIND, run=run.pk, spans=[(0, 1)])
            wake(KIND)
    except BaseException:
        default_storage.delete(stored)
        raise
    return run


def cancel_import(run: ImportRun) -> bool:
    """Stop an import that waits or runs; what it wrote is kept. Returns whether there was something to stop."""
    return cancel_run(kind=KIND, run=run.pk) > 0


@handles(KIND, queue="io")
def import_upload(chunk: ClaimedChunk) -> None:
    """The whole file is one chunk: a worker that takes it over finds what was written unchanged, at ten times the speed."""
    run = ImportRun.objects.get(pk=chunk.run)
    # When the run is failed with the reason, no other attempt would read another file.
    with suppress(CsvError), _on_this_machine(run.options["upload"]) as path:
        import_kaggle(path=path, run=run, on_films=lambda counts: chunk.still_ours())


@contextmanager
def _on_this_machine(stored: str) -> Iterator[Path]:
    """The stored file itself where the storage is a folder; else a copy, gone when it was read."""
    try:
        own: Path | None = Path(default_storage.path(stored))
    except NotImplementedError:
        own = None
    if own is not None:
        yield own
        return
    with default_storage.open(stored) as upload, NamedTemporaryFile(suffix=".csv") as copy:
        copyfileobj(upload, copy)
        copy.flush()
        yield Path(copy.name)


@on_run_end(KIND)
def end_upload(run_id: int, progress: Progress) -> None:
    """Close a run that its worker did not close, and let go of the file."""
    run = ImportRun.objects.select_for_update().filter(pk=run_id).first()
    if run is None:
        return
    if run.state in _OPEN:
        if progress.cancelled:
            end_run(run, ImportRun.State.CANCELLED)
        else:
            end_run(run, ImportRun.State.FAILED, reason=" ".join(progress.reasons))
    transaction.on_commit(partial(default_storage.delete, run.options["upload"]))
