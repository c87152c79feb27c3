"""API tokens of a user. Only a hash is stored: a token can be read once, when it is issued."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from knox.models import AuthToken

# As `request.user` is typed; whoever calls has seen to it that somebody is logged in.
TokenOwner: TypeAlias = AbstractBaseUser | AnonymousUser
# Enough for every machine of one person; a limit at all so that a loop cannot fill the table.
MAX_TOKENS = 20


class TooManyTokens(Exception):  # noqa: N818 - says what is so; callers read it like that
    """The user has MAX_TOKENS tokens that are still valid."""

    def __init__(self) -> None:
        super().__init__(f"There are {MAX_TOKENS} valid tokens already; revoke one first.")


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token. `token` is the secret itself, never to be seen again; `key` names it in lists."""

    key: str
    token: str
    created: datetime
    expiry: datetime | None


def issue_token(*, user: TokenOwner) -> IssuedToken:
    """A new token for the user. Raises TooManyTokens."""
    with transaction.atomic():
        # Two requests at once must not both count 19.
        get_user_model().objects.select_for_update().get(pk=user.pk or 0)
        if tokens_of(user=user).count() >= MAX_TOKENS:
            raise TooManyTokens
        row, token = AuthToken.objects.create(user=user)
    return IssuedToken(key=row.token_key, token=token, created=row.created, expiry=row.expiry)


def tokens_of(*, user: TokenOwner) -> QuerySet[AuthToken]:
    """The user's valid tokens, newest first."""
    return AuthToken.objects.filter(
        Q(expiry__isnull=True) | Q(expiry__gt=timezone.now()), user_id=user.pk
    ).order_by("-created", "digest")


def revoke_token(*, user: TokenOwner, key: str) -> bool:
    """Whether the user had a token with this key; it is gone now."""
    if "\0" in key:
        return False  # no text that PostgreSQL could look for
    deleted, _ = AuthToken.objects.filter(user_id=user.pk, token_key=key).delete()
    return bool(deleted)
