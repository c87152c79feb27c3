"""``manage.py export_predictions FILE [--model SHA256]``"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog.models import Film
from catalog.progress import Progress
from predictor.export import ExportError, export_predictions
from predictor.models import ModelVersion
from predictor.registry import displayed


class Command(BaseCommand):
    help = "Writes a model's predictions as a table, one row a film, to a .csv or .parquet file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file", type=Path, help="ends in .csv or .parquet; an older file there is replaced"
        )
        parser.add_argument(
            "--model",
            metavar="ID",
            help="the version's number, or how its SHA-256 begins (default: the displayed one)",
        )

    def handle(self, *args: Any, file: Path, model: str | None, **options: Any) -> None:
        version = self._version(model)
        total = version.predictions.count()
        try:
            with Progress() as show:
                rows = export_predictions(
                    file, version=version, on_batch=lambda done: show("Films", done, total)
                )
        except (ExportError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{file}: {rows:,} films, predicted by {version}.")
        if lacking := Film.objects.count() - rows:
            self.stderr.write(f"{lacking:,} films have no prediction of that model yet and are left out.")

    def _version(self, model: str | None) -> ModelVersion:
        if model is None:
            version = displayed()
            if version is None:
                raise CommandError("No model is displayed yet: register and promote one, and predict.")
            return version
        found = ModelVersion.objects.filter(sha256__startswith=model) if len(model) >= 6 else None
        if not found and model.isdecimal():
            found = ModelVersion.objects.filter(pk=int(model))
        if not found or len(found) > 1:
            raise CommandError(f"There is no one model version {model!r}.")
        return found[0]
