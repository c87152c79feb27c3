"""Where the private servers live, and what keeps them from it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
# A Unix socket's address holds 107 bytes; ".s.PGSQL.5432.lock" and the separator take 19 of them.
LONGEST_SOCKET_FOLDER = 88
# Recovery after a crash replays up to max_wal_size; measured at well under a minute for 2 GB.
START_SECONDS = 120


class EmbeddedServerError(RuntimeError):
    """A private server could not be started or stopped; the message names its log."""


def var_folder() -> Path:
    """The folder of everything a machine keeps: databases, media, logs (``GENRESITE_VAR``, else ``var/``)."""
    return Path(os.environ.get("GENRESITE_VAR") or PROJECT / "var").resolve()


def socket_folder(var: Path) -> Path:
    """Where the servers' sockets lie: in ``var``, or in the temporary folder where that path is too long."""
    folder = var / "run"
    if len(os.fsencode(folder)) <= LONGEST_SOCKET_FOLDER:
        return folder
    digest = hashlib.sha256(os.fsencode(var)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"genresite-{os.getuid()}-{digest}"
