"""A stand-in for TMDB: a real HTTP server on loopback that answers in the shapes of its API v3, with invented films.

For tests (the fixture ``tmdb``) and by hand: ``python -m tests.tmdb_stand_in --port 8900 --films 5000 --fault-share 0.05``.
"""

from tests.tmdb_stand_in.faults import API_FAULTS, FAULTS, POSTER_FAULTS, SPREAD
from tests.tmdb_stand_in.films import FIRST_ID, InventedFilm, Translation
from tests.tmdb_stand_in.stand_in import KEY, Request, StandIn

__all__ = [
    "API_FAULTS",
    "FAULTS",
    "FIRST_ID",
    "KEY",
    "POSTER_FAULTS",
    "SPREAD",
    "InventedFilm",
    "Request",
    "StandIn",
    "Translation",
]
