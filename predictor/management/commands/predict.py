"""``manage.py predict [--version-id ID] [--wait]``"""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger.broker import BrokerUnavailableError, require_broker
from ledger.workers import live_workers
from predictor import inference
from predictor.models import ModelVersion, PredictionRun

LOOK_SECONDS = 0.5
# A worker that is just starting imports its model's library first.
PATIENCE_SECONDS = 20.0


class Command(BaseCommand):
    help = "Have the champion predict all films that lack its current prediction. Workers do the work."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--version-id", type=int, help="of a registered model, instead of the champion")
        parser.add_argument("--wait", action="store_true", help="show progress until it is done")

    def handle(self, *, version_id: int | None, wait: bool, **_: Any) -> None:
        version = None
        if version_id is not None:
            version = ModelVersion.objects.filter(pk=version_id).first()
            if version is None:
                raise CommandError(f"There is no model version {version_id}.")
        try:
            require_broker()
            run = inference.start_run(version=version)
        except (BrokerUnavailableError, inference.NoChampionError) as error:
            raise CommandError(f"{error}") from error
        if not run.total:
            self.stdout.write("Every film has its prediction.")
            return
        self.stdout.write(f"Prediction run {run.pk}: {run.total:,} films with version {run.version_id}.")
        if wait:
            self._wait(run)
        elif run.state == PredictionRun.State.RUNNING and not _worker():
            self.stdout.write(NO_WORKER)

    def _wait(self, run: PredictionRun) -> None:
        start, before, told, shown = time.monotonic(), run.predicted, False, -1
        while run.state == PredictionRun.State.RUNNING:
            seconds = time.monotonic() - start
            if run.predicted != shown:
                new = run.predicted - before  # the run may have been under way for long
                rate = f", {new / seconds:.0f} films/s" if new and seconds else ""
                self.stdout.write(f"  {run.predicted:,} of {run.total:,} films predicted{rate}")
                self.stdout.flush()
                shown = run.predicted
            if not told and not run.predicted and seconds > PATIENCE_SECONDS and not _worker():
                self.stdout.write(NO_WORKER)
                told = True
            time.sleep(LOOK_SECONDS)
            run.refresh_from_db()
        if run.state != PredictionRun.State.DONE:
            raise CommandError(f"Prediction run {run.pk} is {run.state}: {run.reason}")
        self.stdout.write(f"Done: {run.predicted:,} films predicted.")


NO_WORKER = (
    "No prediction worker is running; the work waits for one:\n"
    "  celery -A genresite worker --pool solo --queues predict"
)


def _worker() -> bool:
    try:
        return bool(live_workers(queue="predict"))
    except BrokerUnavailableError:
        return False
