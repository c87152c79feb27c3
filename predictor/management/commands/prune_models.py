"""``manage.py prune_models [--keep 20] [--dry-run]``"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from predictor.pruning import prunable, prune


class Command(BaseCommand):
    help = "Remove old candidates with their artifacts; never one that was promoted once or has predictions."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--keep",
            type=int,
            default=settings.KEEP_CANDIDATES,
            help="the newest candidates that stay (default: %(default)s)",
        )
        parser.add_argument("--dry-run", action="store_true", help="only say which would be removed")

    def handle(self, *, keep: int, dry_run: bool, **_: Any) -> None:
        names = [str(version) for version in prunable(keep=keep)] if dry_run else prune(keep=keep)
        for name in names:
            self.stdout.write(f"{'Would remove' if dry_run else 'Removed'} {name}")
        if not names:
            self.stdout.write("Nothing to remove.")
