"""For health checks of containers: is the worker of this machine alive?"""

from __future__ import annotations

import socket
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger.broker import BrokerUnavailableError
from ledger.workers import live_workers


class Command(BaseCommand):
    help = "Exits with 0 when a worker of the queue has lately given a sign of life from this machine."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queue", help="io, train or predict")
        parser.add_argument("--anywhere", action="store_true", help="on any machine, not just this one")

    def handle(self, *, queue: str, anywhere: bool, **_: Any) -> None:
        try:
            workers = live_workers(queue=queue)
        except BrokerUnavailableError as error:
            raise CommandError(str(error)) from error
        here = [worker for worker in workers if anywhere or worker.host == socket.gethostname()]
        if not here:
            where = "anywhere" if anywhere else f"on {socket.gethostname()}"
            raise CommandError(f"No worker of queue {queue} is alive {where}.")
        for worker in here:
            self.stdout.write(f"{worker.name}: seen {worker.age:.0f} s ago. {worker.detail}".rstrip())
