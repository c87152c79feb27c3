"""``manage.py register_model [FOLDER] [--promote]``"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ml_core.artifact import ArtifactError
from predictor import registry


class Command(BaseCommand):
    help = "Register a model artifact, the shipped one unless told another. Again: nothing changes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", nargs="?", type=Path, default=settings.SHIPPED_MODEL)
        parser.add_argument(
            "--promote",
            action="store_true",
            help="make it the champion, unless it was before and another is now",
        )

    def handle(self, *, folder: Path, promote: bool, **_: Any) -> None:
        try:
            version = registry.register(folder)
        except ArtifactError as error:
            raise CommandError(f"{error}") from error
        self.stdout.write(f"Version {version.pk}: {version}")
        if not promote or registry.champion() == version:
            return
        if version.promotions.exists():
            # This command runs at every start of a site: it must not undo what somebody promoted since.
            self.stdout.write(f"It was the champion once; {registry.champion()} is now, and stays.")
            return
        registry.promote(version)
        self.stdout.write("It is the champion now.")
