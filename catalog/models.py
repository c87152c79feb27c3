"""Films, genres, posters, and the imports that brought them."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Coalesce, Now
from django.urls import reverse
from django.utils.text import slugify

from catalog.querysets import FilmQuerySet

# A film's rating is drawn towards the mean of all films until it has votes of its own, so that one vote of
# 10 does not lead the list: IMDb's published formula, with these as prior votes and prior mean.
PRIOR_VOTES, PRIOR_RATING = 50, 6.0

# What filters of the film list read.
LISTED = ("adult", "label_ids", "release_sort", "original_language", "weighted_rating", "poster")


def _beside(column: str) -> list[str]:
    return [name for name in LISTED if name != column]


class Genre(models.Model):
    """A genre of TMDB's. Its key is TMDB's own id, the same on every site."""

    id = models.SmallIntegerField(primary_key=True, help_text="TMDB's genre id.")
    name = models.CharField(max_length=40, unique=True)
    is_label = models.BooleanField(default=False, help_text="Whether models learn and predict it.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Poster(models.Model):
    """A stored, verified poster. Equal images are stored once, under their content's SHA-256."""

    sha256 = models.CharField(max_length=64, unique=True)
    file = models.FileField(max_length=200)
    format = models.CharField(max_length=4, choices=[("jpeg", "JPEG"), ("png", "PNG"), ("webp", "WebP")])
    size = models.PositiveIntegerField(help_text="Bytes.")
    width = models.PositiveSmallIntegerField(help_text="Pixels.")
    height = models.PositiveSmallIntegerField(help_text="Pixels.")
    dominant_colour = models.CharField(max_length=7, help_text="As #rrggbb, for the placeholder.")
    added_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.sha256[:12]} ({self.width}x{self.height})"

    def get_absolute_url(self) -> str:
        """Address of the file, which the site serves wherever it is stored. It changes with the content: kept for good."""
        extension = str(self.file).rpartition(".")[2]
        return reverse("poster-file", args=[self.sha256[:2], self.sha256, extension])


class Film(models.Model):
    """A film as TMDB knows it. Every write goes through `catalog.importing`, which keeps the derived columns."""

    tmdb_id = models.PositiveIntegerField(null=True, blank=True, unique=True, verbose_name="TMDB id")
    imdb_id = models.CharField(max_length=12, blank=True, verbose_name="IMDb id")
    title = models.CharField(max_length=500)
    original_title = models.CharField(max_length=500, blank=True)
    overview = models.TextField(blank=True)
    tagline = models.TextField(blank=True)
    release_date = models.DateField(null=True, blank=True)
    runtime = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Minutes.")
    original_language = models.CharField(max_length=8, blank=True, help_text="ISO 639-1.")
    popularity = models.FloatField(default=0, help_text="TMDB's figure; 0 where unknown.")
    vote_average = models.FloatField(default=0, help_text="0 to 10; 0 where there are no votes.")
    vote_count = models.PositiveIntegerField(default=0)
    adult = models.BooleanField(default=False)
    poster = models.ForeignKey(Poster, null=True, blank=True, on_delete=models.SET_NULL, related_name="films")
    poster_path = models.CharField(max_length=200, blank=True, help_text="TMDB's path of the poster.")
    genres = models.ManyToManyField(Genre, blank=True, related_name="films")
    synced_at = models.DateTimeField(null=True, blank=True, help_text="When last fetched from TMDB's API.")
    tmdb_deleted_at = models.DateTimeField(
        null=True, blank=True, help_text="When TMDB first said that it has no such film any more."
    )
    from_api_alone = models.BooleanField(
        default=False,
        db_default=False,
        help_text="No file named it: what TMDB's API gave must be refreshed or dropped within six months.",
    )
    added_at = models.DateTimeField(auto_now_add=True)

    # Derived by catalog.importing.derived_fields, in the same write as what they derive from.
    label_ids = ArrayField(
        models.SmallIntegerField(), default=list, blank=True, help_text="Genres that are labels, sorted."
    )
    input_hash = models.CharField(max_length=32, help_text="Of what a prediction reads.")
    title_sort = models.CharField(max_length=500, help_text="Folded, without a leading article.")
    folded_titles = models.TextField(help_text="Title and original title, lower case, without accents.")
    folded_overview = models.TextField(blank=True, help_text="Only where folding changes the overview.")

    # Generated by the database, so that no writer can forget them. In the first migration: adding a stored
    # column to a full table rewrites it under lock.
    release_sort = models.GeneratedField(
        expression=Coalesce(F("release_date"), Value("0001-01-01"), output_field=models.DateField()),
        output_field=models.DateField(),
        db_persist=True,
    )
    weighted_rating = models.GeneratedField(
        expression=(F("vote_average") * F("vote_count") + Value(PRIOR_RATING * PRIOR_VOTES))
        / (F("vote_count") + Value(float(PRIOR_VOTES))),
        output_field=models.FloatField(),
        db_persist=True,
    )
    search = models.GeneratedField(
        expression=SearchVector("folded_titles", config="simple", weight="A")
        + SearchVector(
            Case(When(folded_overview="", then=F("overview")), default=F("folded_overview")),
            config="english",
            weight="B",
        ),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    objects = FilmQuerySet.as_manager()

    class Meta:
        indexes = [
            GinIndex(fields=["search"], name="film_search"),
            GinIndex(fields=["label_ids"], name="film_label_ids"),
            # Each order of the list, with the facts that filters read: which films a page has is then found in the
            # index alone, without fetching the films that a filter leaves out (`benchmarks.catalog_pages`).
            models.Index(fields=["-popularity", "-id"], include=LISTED, name="film_by_popularity"),
            models.Index(
                fields=["-weighted_rating", "-id"], include=_beside("weighted_rating"), name="film_by_rating"
            ),
            models.Index(
                fields=["-release_sort", "-id"], include=_beside("release_sort"), name="film_by_release"
            ),
            models.Index(fields=["title_sort", "id"], include=LISTED, name="film_by_title"),
            models.Index(fields=["-added_at", "-id"], include=LISTED, name="film_by_added"),
            models.Index(fields=["original_language", "-popularity", "-id"], name="film_by_language"),
            models.Index(fields=["id"], include=LISTED, name="film_facts"),
            models.Index(fields=["synced_at"], condition=Q(synced_at__isnull=False), name="film_by_sync"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(vote_average__range=(0, 10)), name="film_vote_average_0_to_10"
            ),
            models.CheckConstraint(condition=~Q(title=""), name="film_has_title"),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.year})" if self.year else self.title

    def get_absolute_url(self) -> str:
        return reverse("film", args=[self.pk, self.slug])

    @property
    def year(self) -> int | None:
        """Year of release."""
        return self.release_date.year if self.release_date else None

    @property
    def slug(self) -> str:
        """The readable part of the address; never looked up by."""
        return slugify(self.title)[:60] or "film"


class ImportRun(models.Model):
    """One import: where from, how far, and how it ended. What it refused is in `rejections`."""

    class Source(models.TextChoices):
        KAGGLE = "kaggle", "Kaggle CSV"
        STARTER = "starter", "Starter catalog"
        TMDB = "tmdb", "TMDB"

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        PAUSED = "paused"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    source = models.CharField(max_length=10, choices=Source.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    options = models.JSONField(default=dict, blank=True, help_text="What was asked for.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    total = models.PositiveIntegerField(null=True, blank=True, help_text="Records to read, where known.")
    read = models.PositiveIntegerField(default=0)
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    posters_stored = models.PositiveIntegerField(default=0)
    reason = models.TextField(blank=True, help_text="Why it failed.")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_source_display()} import {self.pk} ({self.state})"


class ImportRejection(models.Model):
    """A record, or a film's poster, that an import refused, and why."""

    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="rejections")
    line = models.PositiveIntegerField(null=True, blank=True, help_text="Line of the file, counted from 1.")
    record = models.CharField(max_length=200, blank=True, help_text="Its id as given.")
    code = models.CharField(max_length=40)
    reason = models.TextField()

    class Meta:
        ordering = ["run", "id"]

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}" if self.line else f"{self.record}: {self.reason}"


class ImportBatch(models.Model):
    """Films that a run fetches together, by TMDB id: what a chunk of the ledger with the key `number` is about."""

    run = models.ForeignKey(ImportRun, on_delete=models.CASCADE, related_name="batches")
    number = models.PositiveIntegerField()
    tmdb_ids = ArrayField(models.PositiveIntegerField())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="importbatch_once")]

    def __str__(self) -> str:
        return f"batch {self.number} of import {self.run_id}"


class LabelChange(models.Model):
    """When a film's labels were changed, and from what: a model is measured against them, so they are history."""

    film = models.ForeignKey(Film, on_delete=models.CASCADE, related_name="label_changes")
    changed_at = models.DateTimeField(db_default=Now(), db_index=True)
    before = ArrayField(models.SmallIntegerField(), help_text="Genre ids, sorted.")
    after = ArrayField(models.SmallIntegerField(), help_text="Genre ids, sorted.")

    class Meta:
        ordering = ["-changed_at", "-id"]

    def __str__(self) -> str:
        return f"film {self.film_id}: {self.before} to {self.after}"
