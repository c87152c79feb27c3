"""Posters from TMDB's image host, and from nowhere else (promise 12)."""

from __future__ import annotations

import functools
import ipaddress
import re
import time
from http import HTTPStatus
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from requests.adapters import HTTPAdapter

from catalog.posters import MOST_BYTES, PosterError
from catalog.tmdb.answers import POSTER_PATH

CONNECT_SECONDS, READ_SECONDS = 5.0, 8.0
IMAGE_SECONDS = 60.0
TRIES = 3
_SIZE = re.compile(r"original|w\d{1,5}")
_AGAIN = {HTTPStatus.TOO_MANY_REQUESTS, 500, 502, 503, 504}


def image_base() -> str:
    """Where posters are fetched from, with a slash at the end: https, or http on this machine alone.

    Raises `ImproperlyConfigured` where ``TMDB_IMAGE_BASE`` is another kind of address.
    """
    base: str = settings.TMDB_IMAGE_BASE
    parts = urlsplit(base)
    if parts.query or parts.fragment or parts.username or not parts.hostname:
        raise ImproperlyConfigured("TMDB_IMAGE_BASE is no address such as https://image.tmdb.org/t/p/.")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise ImproperlyConfigured("TMDB_IMAGE_BASE must be https (http only for a loopback address).")
    return base if base.endswith("/") else f"{base}/"


def download_poster(path: str, *, size: str) -> bytes:
    """The bytes of a poster that TMDB names ``path``, in one of its sizes; not yet verified.

    At most `catalog.posters.MOST_BYTES`. No redirect is followed. Raises `PosterError` with a code: ``path``, ``missing``,
    ``refused``, ``unavailable``, ``too-large``, ``cut-short``.
    """
    if not POSTER_PATH.fullmatch(path) or not _SIZE.fullmatch(size):
        raise PosterError("path", "TMDB names the poster in a form that it never has.")
    for attempt in range(1, TRIES + 1):
        try:
            return _fetch(f"{image_base()}{size}{path}")
        except _TransientError as error:
            if attempt == TRIES:
                raise PosterError("unavailable", f"{error} ({TRIES} tries).") from error
            time.sleep(0.3 * 2**attempt)
    raise AssertionError("the last try returns or raises")


class _TransientError(Exception):
    pass


def _fetch(address: str) -> bytes:
    try:
        with _session().get(
            address, timeout=(CONNECT_SECONDS, READ_SECONDS), allow_redirects=False, stream=True
        ) as response:
            status = response.status_code
            if status == HTTPStatus.NOT_FOUND:
                raise PosterError("missing", "TMDB's image host has no such poster.")
            if status in _AGAIN:
                raise _TransientError(f"TMDB's image host answered with status {status}")
            if status != HTTPStatus.OK:
                raise PosterError("refused", f"TMDB's image host answered with status {status}.")
            return _read(response)
    except requests.RequestException as error:
        raise _TransientError(f"TMDB's image host could not be reached ({type(error).__name__})") from error


def _read(response: requests.Response) -> bytes:
    declared = response.headers.get("Content-Length", "")
    if declared.isdecimal() and int(declared) > MOST_BYTES:
        raise PosterError("too-large", f"The image has more than {MOST_BYTES // 2**20} MB.")
    ends = time.monotonic() + IMAGE_SECONDS
    content = bytearray()
    for block in response.iter_content(65_536):
        content += block
        if len(content) > MOST_BYTES:
            raise PosterError("too-large", f"The image has more than {MOST_BYTES // 2**20} MB.")
        if time.monotonic() > ends:
            raise _TransientError(f"TMDB's image host took longer than {IMAGE_SECONDS:.0f} s")
    return bytes(content)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@functools.lru_cache(maxsize=1)
def _session() -> requests.Session:
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_connections=2, pool_maxsize=64))
    return session
