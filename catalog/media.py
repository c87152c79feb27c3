"""Serving posters and their thumbnails where no front server does: addresses are contents' hashes, so they never change."""

from __future__ import annotations

from http import HTTPStatus

import structlog
from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotModified,
    HttpResponseRedirect,
)
from django.http.response import HttpResponseBase
from django.utils.cache import add_never_cache_headers, patch_cache_control
from django.utils.http import parse_etags
from django.views.decorators.http import require_safe

from catalog.models import Poster
from catalog.posters import CONTENT_TYPES, EXTENSIONS, PosterError
from catalog.thumbnails import BusyError, store_thumbnail, thumbnail_name, thumbnail_widths

log = structlog.get_logger(__name__)

_TYPES = {extension: CONTENT_TYPES[format_] for format_, extension in EXTENSIONS.items()}
_A_YEAR = 365 * 24 * 3600


@require_safe
def poster_file(request: HttpRequest, folder: str, sha256: str, extension: str) -> HttpResponseBase:
    """The poster with that hash, to be kept by browsers and caches for good."""
    etag = f'"{sha256}"'
    if _has(request, etag):
        return _immutable(HttpResponseNotModified(), etag)
    return _stored(f"posters/{folder}/{sha256}.{extension}", _TYPES[extension], etag)


@require_safe
def thumbnail_file(request: HttpRequest, pixels: str, folder: str, sha256: str) -> HttpResponseBase:
    """The thumbnail of the poster with that hash, made when it is first asked for; to be kept for good as well.

    Where it cannot be had just now the browser is sent to the poster itself, this once.
    """
    width = int(pixels)
    if folder != sha256[:2]:
        raise Http404("No such thumbnail.")
    etag = f'"{sha256}-{width}"'
    if _has(request, etag):
        return _immutable(HttpResponseNotModified(), etag)
    try:
        return _stored(thumbnail_name(sha256, width), "image/webp", etag)
    except Http404:
        poster = Poster.objects.filter(sha256=sha256).first()
        if poster is None or width not in thumbnail_widths(poster):
            raise
    try:
        content = store_thumbnail(poster, width)
    except FileNotFoundError as error:
        raise Http404("No such poster.") from error
    except (BusyError, PosterError, OSError) as error:
        log.warning("no thumbnail", poster=sha256, width=width, error=str(error))
        response = HttpResponseRedirect(poster.get_absolute_url())
        add_never_cache_headers(response)
        return response
    return _file(ContentFile(content, name=f"{sha256}.webp"), "image/webp", etag)


def _has(request: HttpRequest, etag: str) -> bool:
    return etag in parse_etags(request.headers.get("If-None-Match", ""))


def _stored(name: str, content_type: str, etag: str) -> HttpResponseBase:
    try:
        return _file(default_storage.open(name), content_type, etag)
    except FileNotFoundError as error:
        raise Http404("No such image.") from error
    except OSError as error:
        log.warning("media unreadable", file=name, error=str(error))
        return HttpResponse(status=HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": "10"})


def _file(content: File[bytes], content_type: str, etag: str) -> HttpResponseBase:
    response = FileResponse(content, content_type=content_type)
    response["X-Content-Type-Options"] = "nosniff"
    return _immutable(response, etag)


def _immutable(response: HttpResponse | FileResponse, etag: str) -> HttpResponseBase:
    response["ETag"] = etag
    patch_cache_control(response, public=True, max_age=_A_YEAR, immutable=True)
    return response
