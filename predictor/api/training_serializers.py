"""What the API takes in and gives out of trainings and promotions."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ml_core.labels import LABELS
from predictor.api.serializers import StrictSerializer
from predictor.models import Promotion, TrainingRun
from predictor.training.runs import place_in_queue
from predictor.training.settings import (
    BOUNDS,
    CRITERIA,
    INPUTS,
    LOSSES,
    MOST_LANGUAGES,
    NETWORKS,
)


def _bounded(name: str, **options: Any) -> serializers.IntegerField:
    least, most = BOUNDS[name]
    return serializers.IntegerField(min_value=least, max_value=most, required=False, **options)


class TrainingRequestSerializer(StrictSerializer):
    """What a training is asked for. What is left out is as it is by default; null leaves it to the network."""

    network = serializers.ChoiceField(choices=list(NETWORKS.items()), required=False)
    inputs = serializers.ChoiceField(choices=list(INPUTS.items()), required=False)
    epochs = _bounded("epochs", allow_null=True)
    poster_epochs = _bounded(
        "poster_epochs", help_text="Of the image encoder, on posters alone; of `fusion` alone."
    )
    tune_epochs = _bounded("tune_epochs", help_text="Of the encoders, end to end; of `fusion` alone.")
    teacher = _bounded(
        "teacher",
        allow_null=True,
        help_text="A version trained on the films of the same split, whose probabilities have a share in what is learned.",
    )
    read_posters = serializers.BooleanField(
        required=False,
        help_text="Use what is written on posters that come with nothing else; of `fusion` with both inputs alone.",
    )
    seed = _bounded("seed")
    loss = serializers.ChoiceField(choices=list(LOSSES.items()), required=False)
    criterion = serializers.ChoiceField(
        choices=list(CRITERIA.items()), required=False, help_text="What thresholds are chosen for."
    )
    batch_size = _bounded("batch_size", allow_null=True)
    tune_batch_size = _bounded("tune_batch_size", allow_null=True)
    threads = _bounded("threads", allow_null=True)
    split = serializers.RegexField(
        r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$", required=False, help_text="A name that is new makes a new split."
    )
    first_year = _bounded("first_year", allow_null=True, help_text="Of the films to learn from.")
    last_year = _bounded("last_year", allow_null=True)
    languages = serializers.ListField(
        child=serializers.RegexField(r"^[a-z]{2,3}$"), max_length=MOST_LANGUAGES, required=False
    )
    minimum_votes = _bounded("minimum_votes")
    genres = serializers.ListField(
        child=serializers.ChoiceField(choices=[(label.tmdb_id, label.name) for label in LABELS]),
        max_length=len(LABELS),
        required=False,
        help_text="TMDB ids, of which a film to learn from has one.",
    )


class TrainingSerializer(serializers.ModelSerializer):
    """A training, and how far it is."""

    settings = serializers.DictField(source="request", help_text="As they were asked for.")
    asked_by = serializers.SerializerMethodField(help_text="A user's name; null for the schedule's.")
    queue = serializers.SerializerMethodField(
        help_text="How many come before it; null where it does not wait."
    )
    progress = serializers.DictField(
        help_text="Such as `stage`, `epoch` of `epochs`, `seconds_left`, `films_per_second`, `memory_mb`."
    )
    notes = serializers.ListField(child=serializers.CharField(), help_text="What it went on in spite of.")
    version = serializers.IntegerField(
        source="version_id", allow_null=True, help_text="The candidate that came out of it."
    )

    class Meta:
        model = TrainingRun
        fields = (
            "id",
            "state",
            "settings",
            "asked_by",
            "created_at",
            "started_at",
            "finished_at",
            "seconds",
            "queue",
            "progress",
            "notes",
            "reason",
            "interruptions",
            "snapshot_sha256",
            "code_version",
            "device",
            "version",
        )

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_asked_by(self, run: TrainingRun) -> str | None:
        return run.created_by.get_username() if run.created_by else None

    @extend_schema_field(serializers.IntegerField(allow_null=True, min_value=0))
    def get_queue(self, run: TrainingRun) -> int | None:
        return place_in_queue(run)


class DeedSerializer(serializers.Serializer):
    """Something that somebody did."""

    at = serializers.DateTimeField()
    by = serializers.CharField()
    what = serializers.CharField()


class TrainingDetailSerializer(TrainingSerializer):
    """A training with its curves, its log, and who did what to it."""

    curves = serializers.ListField(
        child=serializers.DictField(),
        help_text="An entry an epoch: `stage`, `epoch`, `loss`, and loss, macro ROC AUC and micro F1 at 0.5 of films of"
        " `train` and of `val`, `learning_rate`, `films_per_second`.",
    )
    log = serializers.CharField(help_text="The last of what it printed.")
    history = DeedSerializer(many=True)

    class Meta(TrainingSerializer.Meta):
        fields = (*TrainingSerializer.Meta.fields, "curves", "log", "history")  # type: ignore[assignment]


class EstimateSerializer(serializers.Serializer):
    """What a training will need."""

    seconds = serializers.FloatField(min_value=0)
    phases = serializers.DictField(child=serializers.FloatField(), help_text="Seconds of each.")
    memory_megabytes = serializers.FloatField(min_value=0)
    train = serializers.IntegerField(source="films.train", min_value=0)
    val = serializers.IntegerField(source="films.val", min_value=0)
    test = serializers.IntegerField(source="films.test", min_value=0)
    known_from = serializers.CharField(source="source", help_text="Where these figures are known from.")


class GateSerializer(serializers.Serializer):
    """How a version compares with the champion on films that neither was trained on."""

    verdict = serializers.ChoiceField(choices=["first", "not_worse", "worse", "too_few"])
    opens = serializers.BooleanField(help_text="Whether it may be promoted without a reason.")
    champion = serializers.IntegerField(source="champion_id", allow_null=True)
    films = serializers.IntegerField(min_value=0)
    difference = serializers.FloatField(
        allow_null=True, help_text="Of macro ROC AUC; above 0 it is the better one."
    )
    low = serializers.FloatField(allow_null=True, help_text="Bounds of the 95 % interval.")
    high = serializers.FloatField(allow_null=True)
    explanation = serializers.CharField()


class PromoteSerializer(StrictSerializer):
    """Why a version is to be promoted against the gate; without a reason the gate decides."""

    force_reason = serializers.CharField(
        max_length=1000, required=False, allow_blank=True, default="", help_text="It is kept."
    )


class PromotionSerializer(serializers.ModelSerializer):
    """A promotion or a rollback."""

    version = serializers.IntegerField(source="version_id")
    before = serializers.IntegerField(
        source="before_id", allow_null=True, help_text="The champion until then."
    )
    by = serializers.SerializerMethodField(help_text="A user's name; null for a command's.")
    gate = serializers.DictField(help_text="What the comparison gave; empty for a rollback.")

    class Meta:
        model = Promotion
        fields = ("id", "version", "before", "by", "at", "is_rollback", "forced_reason", "gate")

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_by(self, promotion: Promotion) -> str | None:
        return promotion.by.get_username() if promotion.by else None
