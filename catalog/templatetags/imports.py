"""What the pages of imports draw."""

from __future__ import annotations

from django import template

from catalog import import_words
from catalog.models import ImportRun

register = template.Library()
register.filter("duration", import_words.duration)


@register.filter
def took(run: ImportRun) -> str:
    """How long a run that has ended took."""
    if run.started_at is None or run.finished_at is None:
        return ""
    return import_words.duration((run.finished_at - run.started_at).total_seconds())
