"""One row a chunk of a long job. The row is the truth; a Celery message only wakes a worker to look at it."""

from django.db import models
from django.db.models import Q


class WorkChunk(models.Model):
    """A half-open stretch of a run's work: what lies in ``first <= key < last``, by the run's own keys.

    Claimed with FOR UPDATE SKIP LOCKED, held by a lease that its worker renews. A lease that ran out belongs
    to a dead worker; after `ledger.chunks.MAX_ATTEMPTS` attempts the chunk is set aside with its reason.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        LEASED = "leased"
        PAUSED = "paused"
        DONE = "done"
        SET_ASIDE = "set_aside", "set aside"
        CANCELLED = "cancelled"

    kind = models.CharField(max_length=40, help_text="Names the handler, such as “predict”.")
    run = models.BigIntegerField(help_text="Key of the run, in the table that belongs to the kind.")
    first = models.BigIntegerField()
    last = models.BigIntegerField(help_text="Exclusive.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.SmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=120, blank=True)
    reason = models.TextField(blank=True, help_text="Why the last attempt failed.")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "run", "first"], name="workchunk_once_per_run"),
            models.CheckConstraint(condition=Q(last__gt=models.F("first")), name="workchunk_not_empty"),
        ]
        indexes = [
            models.Index(fields=["kind", "id"], name="workchunk_waiting", condition=Q(state="waiting")),
            models.Index(fields=["lease_until"], name="workchunk_leased", condition=Q(state="leased")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} run {self.run}: {self.first} to {self.last} ({self.state})"
