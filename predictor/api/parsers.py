"""Reading request bodies within bounds: of size, of depth, and of what JSON may hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, MultiPartParser

from predictor.api.problems import PayloadTooLarge

# A poster in JSON is base64, held several times over while it is decoded; bigger ones come as multipart, which
# is streamed. 6 MiB of JSON keep a request below 30 MiB of memory and take a poster of about 4 MB.
JSON_MAX_BYTES = 6 * 1024 * 1024
# A poster of 10 MB with its fields around it. Django keeps the first 2 MB of a file in memory, the rest on disk.
FORM_MAX_BYTES = 11 * 1024 * 1024


class BoundedJSONParser(BaseParser):
    """UTF-8 JSON of at most JSON_MAX_BYTES. Raises PayloadTooLarge and ParseError."""

    media_type = "application/json"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The decoded body."""
        raw = stream.read(JSON_MAX_BYTES + 1)
        if len(raw) > JSON_MAX_BYTES:
            raise PayloadTooLarge(
                f"A JSON body has at most {JSON_MAX_BYTES} bytes; send posters as multipart."
            )
        try:
            # Python reads NaN and Infinity, which are no JSON; and it stops at some depth of nesting.
            return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ParseError(f"The body is not valid JSON: {error}") from error


class BoundedFormParser(MultiPartParser):
    """multipart/form-data of at most FORM_MAX_BYTES, refused before it is read."""

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Fields and files. Raises PayloadTooLarge and ParseError."""
        length = (parser_context or {})["request"].META.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > FORM_MAX_BYTES:
            raise PayloadTooLarge(f"A form has at most {FORM_MAX_BYTES} bytes, with its files.")
        return super().parse(stream, media_type=media_type, parser_context=parser_context)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
