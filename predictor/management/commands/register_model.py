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
        parser.add_argument("--promote", action="store_true", help="make it the champion if it is not yet")

    def handle(self, *, folder: Path, promote: bool, **_: Any) -> None:
        try:
            version = registry.register(folder)
        except ArtifactError as error:
            raise CommandError(f"{error}") from error
        self.stdout.write(f"Version {version.pk}: {version}")
        if promote and registry.champion() != version:
            registry.promote(version)
            self.stdout.write("It is the champion now.")
