"""Serving posters where no front server does: their address is their content's hash, so they never change."""

from __future__ import annotations

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control
from django.utils.http import parse_etags
from django.views.decorators.http import require_safe

from catalog.posters import CONTENT_TYPES, EXTENSIONS

_TYPES = {extension: CONTENT_TYPES[format_] for format_, extension in EXTENSIONS.items()}
_A_YEAR = 365 * 24 * 3600


@require_safe
def poster_file(request: HttpRequest, folder: str, sha256: str, extension: str) -> HttpResponseBase:
    """The poster with that hash, to be kept by browsers and caches for good."""
    etag = f'"{sha256}"'
    if etag in parse_etags(request.headers.get("If-None-Match", "")):
        return _immutable(HttpResponseNotModified(), etag)
    try:
        content = default_storage.open(f"posters/{folder}/{sha256}.{extension}")
    except FileNotFoundError as error:
        raise Http404("No such poster.") from error
    response = FileResponse(content, content_type=_TYPES[extension])
    response["X-Content-Type-Options"] = "nosniff"
    return _immutable(response, etag)


def _immutable(response: HttpResponse | FileResponse, etag: str) -> HttpResponseBase:
    response["ETag"] = etag
    patch_cache_control(response, public=True, max_age=_A_YEAR, immutable=True)
    return response
