"""``manage.py load_starter``"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from catalog.models import ImportRun
from catalog.progress import Progress
from catalog.runs import close_interrupted_runs
from catalog.starter import load_starter


class Command(BaseCommand):
    help = "Loads the starter catalog; what was imported from elsewhere stays."

    def handle(self, *args: Any, **options: Any) -> None:
        close_interrupted_runs()
        run = ImportRun.objects.create(source=ImportRun.Source.STARTER)
        with Progress() as show:
            load_starter(run=run, on_poster=lambda done, total: show("Posters", done, total))
        self.stdout.write(
            f"Starter catalog: {run.created} films created, {run.updated} completed, {run.unchanged} unchanged; "
            f"{run.posters_stored} posters drawn."
        )
