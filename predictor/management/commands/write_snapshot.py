"""``manage.py write_snapshot DIR [--split default]``"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog.models import Film
from catalog.progress import Progress
from predictor.snapshots import write_snapshot
from predictor.splits import DEFAULT_SPLIT


class Command(BaseCommand):
    help = "Writes the films with labels, their posters and their split as a dataset snapshot to train from."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "folder", type=Path, help="where to write it; an older snapshot there is replaced"
        )
        parser.add_argument("--split", default=DEFAULT_SPLIT, help="the split's name (default: %(default)s)")

    def handle(self, *args: Any, folder: Path, split: str, **options: Any) -> None:
        total = Film.objects.exclude(label_ids=[]).count()
        try:
            with Progress() as show:
                report = write_snapshot(folder, split=split, on_film=lambda done: show("Films", done, total))
        except OSError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{folder}: {report.films:,} films, {report.posters:,} posters, hash {report.sha256}; "
            f"{report.newly_assigned:,} films newly assigned to the split {split}."
        )
        if report.posters_missing:
            self.stderr.write(f"{report.posters_missing:,} posters have no file; see the log.")
