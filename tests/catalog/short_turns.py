"""Included by a worker under test: its turns take a second instead of twenty."""

from ledger import tasks

tasks.TURN_SECONDS = 1.0
