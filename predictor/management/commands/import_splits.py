"""``manage.py import_splits CSV [--name default]``"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog.csv_rows import CsvError
from catalog.kaggle import count_lines, read_splits
from catalog.progress import Progress
from predictor.splits import DEFAULT_SPLIT, SplitError, import_splits


class Command(BaseCommand):
    help = "Assigns films to the parts of a split from a CSV with the columns id (TMDB's) and split."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("csv", type=Path, help="the CSV file: id,split with train, val or test")
        parser.add_argument("--name", default=DEFAULT_SPLIT, help="the split's name (default: %(default)s)")

    def handle(self, *args: Any, csv: Path, name: str, **options: Any) -> None:
        try:
            with Progress() as show:
                total = count_lines(csv)
                counts = import_splits(
                    read_splits(csv), split=name, on_batch=lambda done: show("Films", done, total)
                )
        except (CsvError, SplitError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Split {name}: {counts.assigned:,} films assigned, {counts.unchanged:,} unchanged, "
            f"{counts.unknown:,} not in the catalog."
        )
        if counts.parted_groups:
            self.stderr.write(
                f"Groups of films that share an overview, or title and year, but not their part: {counts.parted_groups:,}."
            )
