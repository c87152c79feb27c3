"""WSGI entry point, for gunicorn."""

import os
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "genresite.settings")


class Utf8Request(WSGIRequest):
    """A request that is read as UTF-8, whatever charset its Content-Type claims.

    Django takes any codec that Python knows and decodes the query string with it while the request is made, also one
    that is no text encoding ("zlib", "idna"): a crash that no middleware sees. Browsers send UTF-8, as our pages are.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


application = get_wsgi_application()
application.request_class = Utf8Request
