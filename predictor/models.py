"""Model versions, their predictions, and the runs that made them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q, QuerySet
from django.db.models.expressions import RawSQL
from pgvector.django import HalfVectorField

from catalog.models import Film

EMBEDDING_DIMENSIONS = 256


class RealField(models.FloatField):
    """A single-precision float: half the room, and more digits than a probability of a bf16 network has."""

    def db_type(self, connection: object) -> str:
        return "real"


class Part(models.TextChoices):
    """Which part of a split a film is in. Agreement on films of the train part proves nothing."""

    TRAIN = "train"
    VAL = "val", "validation"
    TEST = "test"


class SplitAssignment(models.Model):
    """Which part a film has in a named, frozen split; films of one group are never parted."""

    split = models.CharField(max_length=40)
    film = models.ForeignKey(Film, on_delete=models.CASCADE, related_name="splits")
    part = models.CharField(max_length=5, choices=Part.choices)
    group = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["split", "film"], name="splitassignment_once")]

    def __str__(self) -> str:
        return f"{self.film_id} in {self.part} of {self.split}"


# What a report on test films holds beside its figures: nine tenths of it, and nothing that a list of versions shows.
_DETAILS = ["genres", "baselines", "reliability", "curves", "cooccurrence", "slices"]


class ModelVersionQuerySet(QuerySet["ModelVersion"]):
    """Versions; `metrics` are half a megabyte each, so what does not show them leaves them where they are."""

    def in_brief(self) -> ModelVersionQuerySet:
        """Without `metrics`, but with what `test_reports` needs for the main figures."""
        brief = RawSQL(
            """(SELECT coalesce(jsonb_object_agg(report.key, report.value - %s::text[]), '{}')
                  FROM jsonb_each(CASE jsonb_typeof(metrics -> 'test') WHEN 'object' THEN metrics -> 'test' ELSE '{}' END)
                    AS report
                 WHERE jsonb_typeof(report.value) = 'object')""",
            [_DETAILS],
            output_field=models.JSONField(),
        )
        return self.defer("metrics").annotate(brief_test_reports=brief)


class ModelVersion(models.Model):
    """A registered model artifact: immutable, known by its SHA-256."""

    name = models.CharField(max_length=80)
    network = models.CharField(max_length=40)
    sha256 = models.CharField(max_length=64, unique=True, help_text="Of the artifact's list of files.")
    folder = models.CharField(max_length=200, help_text="Of the artifact, below MODEL_ROOT.")
    size = models.PositiveBigIntegerField(help_text="Bytes.")
    label_ids = ArrayField(
        models.SmallIntegerField(), help_text="TMDB genre ids, in the order of probabilities."
    )
    metrics = models.JSONField(default=dict)
    training = models.JSONField(
        default=dict,
        blank=True,
        help_text="How it was trained here: settings, snapshot, code, device, seconds, asked by whom.",
    )
    trained_at = models.DateTimeField(null=True, blank=True)
    registered_at = models.DateTimeField(auto_now_add=True)
    registered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.sha256[:8]})"

    def test_reports(self) -> dict[str, Mapping[str, Any]]:
        """Its figures on test films by what it was shown, without details where it was read `in_brief`."""
        reports = self.__dict__.get("brief_test_reports")
        if reports is None:
            reports = self.metrics.get("test")
        if not isinstance(reports, dict):
            return {}
        return {inputs: report for inputs, report in reports.items() if isinstance(report, dict)}


class VersionFilm(models.Model):
    """Which part of its training a version saw a film in, by TMDB id: it holds on sites it is copied to."""

    pk = models.CompositePrimaryKey("version_id", "tmdb_id")
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="films")
    tmdb_id = models.PositiveIntegerField()
    part = models.CharField(max_length=5, choices=Part.choices)

    def __str__(self) -> str:
        return f"{self.tmdb_id} in {self.part} of version {self.version_id}"


class ModelPointers(models.Model):
    """The one row that says which version answers and which is shown.

    They part only while the catalog is being predicted again with a new champion.
    """

    id = models.SmallIntegerField(primary_key=True, default=1, editable=False)
    champion = models.ForeignKey(
        ModelVersion,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Answers online requests.",
    )
    displayed = models.ForeignKey(
        ModelVersion, null=True, on_delete=models.PROTECT, related_name="+", help_text="What pages show."
    )

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="modelpointers_one_row")]

    def __str__(self) -> str:
        return f"champion {self.champion_id}, displayed {self.displayed_id}"


class Promotion(models.Model):
    """A version made the champion: after which one, by whom, and what the gate said. Rolling back is one, too."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="promotions")
    before = models.ForeignKey(
        ModelVersion,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The champion until then.",
    )
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    at = models.DateTimeField(auto_now_add=True)
    is_rollback = models.BooleanField(default=False)
    forced_reason = models.TextField(blank=True, help_text="Why it was promoted against the gate.")
    gate = models.JSONField(default=dict, blank=True, help_text="What the comparison with the champion gave.")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"version {self.version_id} {'again' if self.is_rollback else 'promoted'}"


class TrainingRun(models.Model):
    """A training that was asked for, and how far it is. Supervised by one worker at a time (`predictor.training.supervising`).

    The row is the truth; a Celery message only wakes a worker to look at it.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        PAUSED = "paused"
        INTERRUPTED = "interrupted", "interrupted, goes on by itself"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    class Wish(models.TextChoices):
        """What its supervisor is asked to do next."""

        NOTHING = "", "nothing"
        PAUSE = "pause"
        CANCEL = "cancel"

    # States of runs that are still to come to an end.
    OPEN = (State.WAITING, State.RUNNING, State.PAUSED, State.INTERRUPTED)
    # States that a worker takes up.
    QUEUED = (State.WAITING, State.INTERRUPTED)

    state = models.CharField(max_length=11, choices=State.choices, default=State.WAITING)
    wish = models.CharField(max_length=6, choices=Wish.choices, default=Wish.NOTHING, blank=True)
    request = models.JSONField(help_text="The settings, see predictor.training.settings.")
    request_hash = models.CharField(max_length=64)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(default=0, help_text="That it was worked on, waiting and pauses left out.")
    claims = models.PositiveIntegerField(default=0, help_text="How often a worker took it up.")
    worker = models.CharField(max_length=120, blank=True)
    heartbeat = models.DateTimeField(
        null=True, blank=True, help_text="When its supervisor was last heard of."
    )
    interruptions = models.PositiveSmallIntegerField(
        default=0, help_text="Kills and lost workers it went on after."
    )
    halvings = models.PositiveSmallIntegerField(
        default=0, help_text="How often memory ran out and batches were halved."
    )
    snapshot_sha256 = models.CharField(max_length=64, blank=True)
    code_version = models.CharField(max_length=64, blank=True, help_text="SHA-256 of ml_core's sources.")
    device = models.CharField(max_length=120, blank=True)
    progress = models.JSONField(default=dict, blank=True, help_text="Stage, place in it, pace, seconds left.")
    curves = models.JSONField(default=list, blank=True, help_text="Figures of each epoch, by stage.")
    notes = models.JSONField(default=list, blank=True, help_text="What it went on in spite of.")
    log = models.TextField(blank=True, help_text="The last lines of what it printed.")
    reason = models.TextField(blank=True, help_text="Why it failed or was interrupted.")
    version = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.SET_NULL, related_name="training_runs"
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=Q(state="running"), name="trainingrun_one_running"
            ),
            models.UniqueConstraint(
                fields=["request_hash"],
                condition=Q(state__in=["waiting", "running", "paused", "interrupted"]),
                name="trainingrun_one_open_a_request",
            ),
        ]

    def __str__(self) -> str:
        return f"training {self.pk} ({self.state})"

    @property
    def is_open(self) -> bool:
        """Whether it is still to come to an end."""
        return self.state in self.OPEN


class PredictionRun(models.Model):
    """A pass of one version over films that lack its current prediction, cut into chunks of the ledger."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="prediction_runs")
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    total = models.PositiveIntegerField(default=0, help_text="Films to predict when it began.")
    predicted = models.PositiveIntegerField(default=0)
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            # Two runs of one version would predict the same films twice.
            models.UniqueConstraint(
                fields=["version"], condition=Q(state="running"), name="predictionrun_one_running_per_version"
            )
        ]

    def __str__(self) -> str:
        return f"prediction run {self.pk} of version {self.version_id} ({self.state})"


class Prediction(models.Model):
    """What one version says of one film, and how that compares with TMDB's labels.

    A table partitioned by version (see the first migration): a version's predictions are dropped in one step.
    Probabilities are in the version's `label_ids` order; null where the input they would rest on is missing.
    `hits`, `misses`, `extras` and `surprise` are null where TMDB gives the film no label to compare with.
    """

    pk = models.CompositePrimaryKey("version_id", "film_id")
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="predictions")
    film = models.ForeignKey(Film, on_delete=models.CASCADE, related_name="predictions")
    probabilities = ArrayField(RealField())
    overview_probabilities = ArrayField(RealField(), null=True)
    poster_probabilities = ArrayField(RealField(), null=True)
    thresholds = ArrayField(RealField())
    embedding = HalfVectorField(dimensions=EMBEDDING_DIMENSIONS)
    inputs = ArrayField(
        models.CharField(max_length=8), help_text="Of title, overview, poster: what was used."
    )
    poster_error = models.TextField(blank=True, help_text="Why a stored poster could not be used.")
    predicted = ArrayField(models.SmallIntegerField(), help_text="TMDB genre ids, sorted.")
    hits = ArrayField(models.SmallIntegerField(), null=True)
    misses = ArrayField(models.SmallIntegerField(), null=True)
    extras = ArrayField(models.SmallIntegerField(), null=True)
    surprise = RealField(null=True, help_text="Mean log-loss of TMDB's labels, in nats a label.")
    part = models.CharField(
        max_length=5, choices=Part.choices, blank=True, help_text="Of this version's training."
    )
    input_hash = models.CharField(max_length=32)
    predicted_at = models.DateTimeField()

    class Meta:
        indexes = [
            GinIndex(fields=["predicted"], name="prediction_predicted"),
            GinIndex(fields=["misses"], name="prediction_misses"),
            GinIndex(fields=["extras"], name="prediction_extras"),
            # With what filters of the film list read, so that they are answered from the index alone.
            models.Index(
                F("surprise").desc(nulls_last=True),
                F("film_id").desc(),
                include=["version", "predicted", "misses", "extras"],
                name="prediction_by_surprise",
            ),
            models.Index(
                fields=["film"],
                include=["version", "predicted", "misses", "extras", "surprise"],
                name="prediction_film",
            ),
            # Embeddings are indexed a version at a time, after its run: see predictor.indexing.
        ]

    def __str__(self) -> str:
        return f"version {self.version_id} on film {self.film_id}"
