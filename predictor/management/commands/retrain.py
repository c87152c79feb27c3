"""``manage.py retrain [--network fusion] [--epochs N] ... [--wait] [--estimate]``"""

from __future__ import annotations

import time
from dataclasses import fields
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger.broker import BrokerUnavailableError
from ledger.workers import live_workers
from predictor.models import TrainingRun
from predictor.training import runs as training
from predictor.training.estimate import Estimate, estimate
from predictor.training.settings import (
    CRITERIA,
    INPUTS,
    LOSSES,
    NETWORKS,
    InvalidSettingsError,
    TrainingSettings,
)

LOOK_SECONDS = 0.5
NO_WORKER = (
    "No train worker is running; the training waits for one:\n"
    "  celery -A genresite worker --pool solo --queues train"
)


class Command(BaseCommand):
    help = "Have a network trained on the films of the catalog. A train worker does it; what comes out is a candidate."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--network", choices=NETWORKS, help="by default ours")
        parser.add_argument("--inputs", choices=INPUTS, help="what it is shown")
        parser.add_argument("--epochs", type=int, help="of the network itself")
        parser.add_argument(
            "--poster-epochs", type=int, help="of the image encoder, on posters alone (fusion)"
        )
        parser.add_argument("--tune-epochs", type=int, help="of the encoders, end to end (fusion)")
        parser.add_argument("--teacher", type=int, help="id of a version that has a share in what is learned")
        parser.add_argument(
            "--read-posters",
            action="store_true",
            help="use what is written on posters that come with nothing else (fusion)",
        )
        parser.add_argument("--seed", type=int)
        parser.add_argument("--loss", choices=LOSSES)
        parser.add_argument("--criterion", choices=CRITERIA, help="what thresholds are chosen for")
        parser.add_argument("--batch-size", type=int)
        parser.add_argument("--tune-batch-size", type=int)
        parser.add_argument("--threads", type=int, help="of the CPU")
        parser.add_argument("--split", help="a name that is new makes a new split")
        parser.add_argument("--first-year", type=int)
        parser.add_argument("--last-year", type=int)
        parser.add_argument(
            "--language", action="append", dest="languages", help="may be given more than once"
        )
        parser.add_argument("--minimum-votes", type=int)
        parser.add_argument(
            "--genre", action="append", dest="genres", type=int, help="a TMDB id; more than once"
        )
        parser.add_argument("--estimate", action="store_true", help="only say how long it would take")
        parser.add_argument("--wait", action="store_true", help="show progress until it is done")

    def handle(self, *, wait: bool, **options: Any) -> None:
        names = {entry.name for entry in fields(TrainingSettings)}
        given = {name: value for name, value in options.items() if name in names and value is not None}
        try:
            settings = TrainingSettings.parse(given)
            self.stdout.write(_told(estimate(settings)))
            if options["estimate"]:
                return
            run, is_new = training.request_training(asked=settings)
            nobody = not live_workers(queue=training.QUEUE)
        except (InvalidSettingsError, training.TooManyWaitingError, BrokerUnavailableError) as error:
            raise CommandError(f"{error}") from error
        before = training.place_in_queue(run)
        self.stdout.write(
            f"Training {run.pk}{'' if is_new else ' is the same and open already'}: {run.state}"
            + (f", {before} before it" if before else "")
        )
        if nobody:
            self.stdout.write(NO_WORKER)
        if wait:
            self._wait(run)

    def _wait(self, run: TrainingRun) -> None:
        shown = ""
        while run.is_open and run.state != TrainingRun.State.PAUSED:
            line = _place(run)
            if line != shown:
                self.stdout.write(f"  {line}")
                self.stdout.flush()
                shown = line
            time.sleep(LOOK_SECONDS)
            run.refresh_from_db()
        if run.state != TrainingRun.State.DONE:
            raise CommandError(f"Training {run.pk} is {run.state}: {run.reason}")
        self.stdout.write(
            f"Done in {run.seconds:.0f} s: version {run.version_id}, {run.version}, a candidate."
        )


def _told(found: Estimate) -> str:
    films = found.films
    return (
        f"{films.train:,} films to learn from, {films.val:,} to validate and {films.test:,} to test on. It will take"
        f" about {_duration(found.seconds)} and {found.memory_megabytes / 1000:.1f} GB of memory ({found.source})."
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def _place(run: TrainingRun) -> str:
    """Where a training is, in a line."""
    progress = run.progress
    words = [run.state]
    if run.state == TrainingRun.State.RUNNING and progress.get("stage"):
        words.append(progress["stage"])
        if "epochs" in progress:
            words.append(f"epoch {progress['epoch']} of {progress['epochs']}")
        last = run.curves[-1] if run.curves else {}
        if "val_macro_roc_auc" in last:
            words.append(f"validation macro ROC AUC {last['val_macro_roc_auc']:.4f}")
    return ", ".join(words)
