"""Keeping in sync: which films to fetch again, and which may not be kept any longer.

TMDB's terms let nobody keep its data for longer than six months. So films that its list of changes names are fetched again,
and besides them, a bounded number at a time, those that were fetched longest ago. What a file gave is left alone.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from catalog.film_rows import lock_writing
from catalog.models import Film, ImportRun
from catalog.tmdb import client

log = structlog.get_logger(__name__)

# How far TMDB's list of changes reaches back.
CHANGES_DAYS = 14
# Films that TMDB has no longer are dropped when they are so old; six months are 181 days at least.
KEPT_DAYS = 178
_OPEN = (ImportRun.State.WAITING, ImportRun.State.RUNNING, ImportRun.State.PAUSED)


def films_to_sync(now: datetime) -> list[int]:
    """TMDB ids to fetch again: films of the catalog that changed since the last sync, then the stalest.

    Of the stale ones (`TMDB_REFRESH_DAYS`) at most `TMDB_REFRESH_FILMS`, oldest week first and within a week the most
    popular first. Raises a kind of `TmdbError`.
    """
    ids = dict.fromkeys(_changed(now))
    stale_before = now - timedelta(days=settings.TMDB_REFRESH_DAYS)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT tmdb_id FROM catalog_film
               WHERE synced_at IS NOT NULL AND synced_at < %s AND tmdb_id IS NOT NULL
               ORDER BY date_trunc('week', synced_at), popularity DESC LIMIT %s""",
            [stale_before, settings.TMDB_REFRESH_FILMS],
        )
        ids |= dict.fromkeys(row[0] for row in cursor.fetchall())
    return list(ids)


def sync_is_due(now: datetime) -> bool:
    """Whether the schedule should start a sync: there is a key, none is under way, and the last is long enough ago."""
    if not client.is_configured() or not settings.TMDB_SYNC_HOURS:
        return False
    runs = ImportRun.objects.filter(source=ImportRun.Source.TMDB, options__request__what="sync")
    last = runs.order_by("-id").first()
    if last is None:
        return Film.objects.filter(synced_at__isnull=False).exists()
    return last.state not in _OPEN and last.created_at < now - timedelta(hours=settings.TMDB_SYNC_HOURS)


def drop_outdated() -> int:
    """Drop films that only TMDB's API gave, that TMDB has no longer, and whose data are nearly six months old.

    Returns how many. What still exists at TMDB is refreshed long before; where it is not, `count_outdated` tells.
    """
    with transaction.atomic():
        lock_writing()
        _, rows = _outdated().filter(tmdb_deleted_at__isnull=False).delete()
    dropped = rows.get(Film._meta.label, 0)
    if dropped:
        log.info("films dropped that TMDB has no longer", films=dropped)
    return dropped


def count_outdated() -> int:
    """Films whose data from TMDB's API are older than its terms allow, because no sync could refresh them."""
    return _outdated().count()


def _outdated() -> QuerySet[Film]:
    oldest = timezone.now() - timedelta(days=KEPT_DAYS)
    return Film.objects.filter(from_api_alone=True, synced_at__lt=oldest)


def _changed(now: datetime) -> list[int]:
    """Films of the catalog that TMDB says have changed since the last sync that ended well."""
    today = now.date()
    first = max(_synced_until() or today - timedelta(days=1), today - timedelta(days=CHANGES_DAYS - 1))
    changed: set[int] = set()
    page = client.changes(first=first, last=today)
    changed.update(page.ids)
    for number in range(2, page.pages + 1):
        changed.update(client.changes(first=first, last=today, page=number).ids)
    fetched = Film.objects.filter(tmdb_id__in=changed, synced_at__isnull=False)
    return sorted(tmdb_id for tmdb_id in fetched.values_list("tmdb_id", flat=True) if tmdb_id is not None)


def _synced_until() -> date | None:
    """The day on which the last sync that ended well began: what changed before it is known."""
    done = ImportRun.objects.filter(
        source=ImportRun.Source.TMDB, state=ImportRun.State.DONE, options__request__what="sync"
    )
    last = done.order_by("-id").first()
    return last.created_at.date() if last else None
