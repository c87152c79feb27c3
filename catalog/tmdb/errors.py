"""What can go wrong with TMDB. Each has a `code`, which stands beside the film in the run's list of what failed."""

from __future__ import annotations


class TmdbError(Exception):
    """Something that TMDB said or did. The message never holds the key."""

    code = "tmdb"


class TmdbNotConfiguredError(TmdbError):
    """There is no key for TMDB's API."""

    code = "not-configured"


class TmdbKeyRefusedError(TmdbError):
    """TMDB does not accept the key (401), or not for this (403)."""

    code = "unauthorized"


class TmdbNotFoundError(TmdbError):
    """TMDB has no such thing (404): it was deleted, or never was."""

    code = "not-found"


class TmdbRefusedError(TmdbError):
    """TMDB does not answer such a question (another 4xx)."""

    code = "refused"


class TmdbAnswerError(TmdbError):
    """An answer that is not what it should be: HTML for JSON, cut short, without what a film must have."""

    code = "bad-answer"


class TmdbUnavailableError(TmdbError):
    """TMDB could not be reached, did not answer in time, or answered with 5xx, several times in a row."""

    code = "unavailable"


class TmdbBusyError(TmdbUnavailableError):
    """TMDB asked to slow down (429), again and again."""

    code = "rate-limited"
