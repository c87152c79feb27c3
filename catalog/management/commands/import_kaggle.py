"""``manage.py import_kaggle CSV [--posters DIR] [--skip-if-done]``"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog.csv_rows import CsvError
from catalog.models import ImportRun
from catalog.progress import Progress
from catalog.runs import close_interrupted_runs
from catalog.sources import already_imported, fingerprint, import_kaggle

SHOWN_REJECTIONS = 10


class Command(BaseCommand):
    help = 'Imports films from a CSV of the shape of Kaggle\'s "The Movies Dataset" (movies_metadata.csv).'

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("csv", type=Path, help="the CSV file")
        parser.add_argument(
            "--posters",
            type=Path,
            metavar="DIR",
            help="a folder of posters <TMDB id>.jpg, or of folders of them",
        )

        parser.add_argument(
            "--skip-if-done",
            action="store_true",
            help="do nothing where these very files were imported before",
        )

    def handle(self, *args: Any, csv: Path, posters: Path | None, skip_if_done: bool, **options: Any) -> None:
        close_interrupted_runs()
        try:
            found = fingerprint(csv, posters)
            done = already_imported(found) if skip_if_done else None
            if done:
                self.stdout.write(f"{csv.name} was imported before, by import run {done.pk}.")
                return
            run = ImportRun.objects.create(
                source=ImportRun.Source.KAGGLE, options={"csv": csv.name, "fingerprint": found}
            )
            self._import(run, csv, posters)
        except (CsvError, OSError) as error:
            raise CommandError(str(error)) from error
        for rejection in run.rejections.all()[:SHOWN_REJECTIONS]:
            self.stdout.write(f"  {rejection}")
        if (more := run.rejections.count() - SHOWN_REJECTIONS) > 0:
            self.stdout.write(f"  ... and {more:,} more, kept with import run {run.pk}")
        seconds = (
            (run.finished_at - run.started_at).total_seconds() if run.finished_at and run.started_at else 0
        )
        self.stdout.write(
            f"{run.read:,} records in {seconds:.1f} s: {run.created:,} films created, {run.updated:,} updated, "
            f"{run.unchanged:,} unchanged, {run.rejected:,} rejected; {run.posters_stored:,} posters stored."
        )

    def _import(self, run: ImportRun, csv: Path, posters: Path | None) -> None:
        with Progress() as show:
            import_kaggle(
                path=csv,
                posters=posters,
                run=run,
                on_films=lambda counts: show("Films", counts.read, run.total),
                on_posters=lambda counts: show("Posters", counts.read, note=f"{counts.stored:,} new"),
            )
