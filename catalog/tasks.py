"""What workers do for the catalog; importing this registers it with the ledger."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from catalog.tmdb import runs
from catalog.tmdb.asking import ImportRequest
from catalog.tmdb.syncing import sync_is_due
from catalog.uploads import end_upload, import_upload
from ledger.broker import BrokerUnavailableError

__all__ = ["end_upload", "import_upload", "start_tmdb_sync"]


@shared_task(name="catalog.tasks.start_tmdb_sync")
def start_tmdb_sync() -> None:
    """Have what changed at TMDB, and what is stale, fetched again, where that is due."""
    if sync_is_due(timezone.now()):
        try:
            runs.start(ImportRequest(what="sync"))
        except BrokerUnavailableError:
            return  # beat asks again in a quarter of an hour
