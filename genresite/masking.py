"""Keeps secrets out of logs, whoever writes them: libraries log whole addresses, and TMDB's older keys travel in those."""

from __future__ import annotations

import logging

import structlog
from django.conf import settings

_SHORTEST = 8  # what is shorter is no secret, but might be part of any word


def masked(text: str) -> str:
    """The text without the site's secrets."""
    for name in ("TMDB_API_KEY", "SECRET_KEY"):
        secret = getattr(settings, name, "")
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, f"[{name}]")
    return text


class MaskingFormatter(structlog.stdlib.ProcessorFormatter):
    """What formats every line of the log, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


class MaskingFilter(logging.Filter):
    """For loggers known to write addresses, so that no other handler sees the secret, either."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if (clean := masked(message)) != message:
            record.msg, record.args = clean, ()
        return True
