"""``manage.py issue_token USER``: a token for the API, printed once."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from predictor.tokens import TooManyTokens, issue_token


class Command(BaseCommand):
    """Prints the token alone on standard output, so that a script can take it."""

    help = "Issues an API token for a user and prints it. Only its hash is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="User name.")

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model().objects.filter(is_active=True)
        user = users.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no active user named {options['user']!r}.")
        try:
            issued = issue_token(user=user)
        except TooManyTokens as error:
            raise CommandError(str(error)) from error
        self.stdout.write(issued.token)
        until = f" It is valid until {issued.expiry:%Y-%m-%d}." if issued.expiry else ""
        self.stderr.write(f"Send it as “Authorization: Token …”. It cannot be shown again.{until}")
