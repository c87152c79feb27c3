"""What an import from TMDB will cost, for somebody who waits for the answer."""

from __future__ import annotations

import time

from catalog.tmdb import client
from catalog.tmdb.asking import ImportRequest
from catalog.tmdb.errors import TmdbNotConfiguredError, TmdbUnavailableError
from catalog.tmdb.listing import ImportEstimate, estimate
from catalog.tmdb.transport import called_off_by
from ledger.broker import require_broker

# A worker waits for TMDB as long as it must; a page does not.
ESTIMATE_SECONDS = 15.0


class _LateError(Exception):
    pass


def estimate_in_time(request: ImportRequest) -> ImportEstimate:
    """What the import will cost; asks TMDB where only TMDB knows, and gives up after ESTIMATE_SECONDS.

    Raises `RequestError` for what cannot be asked, `TmdbNotConfiguredError` without a key,
    `ledger.broker.BrokerUnavailableError`, without which nobody may ask TMDB, and other kinds of `TmdbError`.
    """
    request.checked()
    if not client.is_configured():
        raise TmdbNotConfiguredError("There is no key for TMDB's API: set TMDB_API_KEY.")
    require_broker()
    ends = time.monotonic() + ESTIMATE_SECONDS

    def give_up() -> None:
        if time.monotonic() > ends:
            raise _LateError

    try:
        with called_off_by(give_up):
            return estimate(request)
    except _LateError as error:
        raise TmdbUnavailableError(
            f"TMDB gave no answer within {ESTIMATE_SECONDS:.0f} s; try again later."
        ) from error
