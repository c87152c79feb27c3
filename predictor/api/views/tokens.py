"""A user's own tokens: list, issue, revoke."""

from __future__ import annotations

from http import HTTPStatus

from drf_spectacular.utils import extend_schema
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from predictor.api.problems import Conflict
from predictor.api.serializers import IssuedTokenSerializer, TokenSerializer
from predictor.api.views.base import ApiView
from predictor.tokens import TooManyTokens, issue_token, revoke_token, tokens_of


class TokensView(ApiView):
    """The user's tokens."""

    permission_classes = (IsAuthenticated,)
    extra_problems = (HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT)

    @extend_schema(operation_id="tokens_list", responses=TokenSerializer(many=True), tags=["tokens"])
    def get(self, request: Request) -> Response:
        """Your valid tokens, newest first, without their secrets."""
        return Response(TokenSerializer(tokens_of(user=request.user), many=True).data)

    @extend_schema(
        operation_id="tokens_issue", request=None, responses={201: IssuedTokenSerializer}, tags=["tokens"]
    )
    def post(self, request: Request) -> Response:
        """Issue a token, shown this once. Needs a session, that is a login on the site.

        A token cannot issue tokens: revoking one that leaked ends all that whoever found it can do.
        """
        if not isinstance(request.successful_authenticator, SessionAuthentication):
            raise PermissionDenied("Tokens are issued to a session: log in on the site.")
        try:
            issued = issue_token(user=request.user)
        except TooManyTokens as error:
            raise Conflict(str(error), code="too_many_tokens") from error
        return Response(
            IssuedTokenSerializer(issued).data,
            status=HTTPStatus.CREATED,
            headers={"Cache-Control": "no-store"},
        )


class TokenView(ApiView):
    """One of the user's tokens."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(operation_id="tokens_revoke", responses={204: None}, tags=["tokens"])
    def delete(self, request: Request, key: str) -> Response:
        """Revoke a token of yours by its key, at once."""
        if not revoke_token(user=request.user, key=key):
            raise NotFound("You have no token with this key.")
        return Response(status=HTTPStatus.NO_CONTENT)
