"""Who did what to trainings and models, in the admin's own history, whichever door it came through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model


@dataclass(frozen=True, slots=True)
class Deed:
    """One line of the history: `by` is a user's name."""

    at: datetime
    by: str
    what: str


def record(by: User | None, row: Model, what: str, *, added: bool = False) -> None:
    """Note what somebody did to a row, in the caller's transaction. What the site does by itself has no entry."""
    if by is None:
        return
    LogEntry.objects.create(
        user_id=by.pk,
        content_type=ContentType.objects.get_for_model(row),
        object_id=str(row.pk),
        object_repr=str(row)[:200],
        action_flag=ADDITION if added else CHANGE,
        change_message=what,
    )


def history(row: Model) -> Sequence[Deed]:
    """What was done to a row, the first first."""
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(row), object_id=str(row.pk)
    ).select_related("user")
    return [
        Deed(entry.action_time, entry.user.get_username(), entry.get_change_message())
        for entry in entries.order_by("action_time", "pk")
    ]
