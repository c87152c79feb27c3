"""Tokens, hashed at rest, in the header ``Authorization: Token …``."""

from __future__ import annotations

import re
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from rest_framework.exceptions import AuthenticationFailed

# knox makes tokens of 64 hexadecimal digits. Whatever else comes never reaches the database, which would
# refuse, with an error of its own, a NUL character or bytes that are no text.
TOKEN = re.compile(rb"[0-9a-f]{64}")


class TokenAuthentication(KnoxTokenAuthentication):
    """knox's authentication, for tokens of the right form only."""

    def authenticate_credentials(self, token: bytes) -> tuple[Any, Any]:
        """The token's user and row. Raises AuthenticationFailed."""
        if not TOKEN.fullmatch(token):
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes the header in the OpenAPI schema."""

    target_class = "predictor.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Authorization: Token <token>`. Issued on the site's page Tokens, by "
            "`manage.py issue_token USER`, or here with a session; kept only as a hash.",
        }
