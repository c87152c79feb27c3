"""What the API takes in to be predicted, and what it gives out of predictions and of why they say so."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from predictor.api.serializers import Labels, StrictSerializer, VersionSerializer, share
from predictor.models import Part
from predictor.panel import Outcome


class ProbabilitySerializer(serializers.Serializer):
    """One genre of a prediction."""

    id = serializers.IntegerField(source="genre_id", help_text="TMDB's genre id.")
    name = serializers.CharField()
    probability = share()
    threshold = share(help_text="From here on the model names the genre.")
    predicted = serializers.BooleanField()
    overview_probability = share(allow_null=True, help_text="From title and overview alone.")
    poster_probability = share(allow_null=True, help_text="From the poster alone.")


class ComparedProbabilitySerializer(ProbabilitySerializer):
    """One genre of a prediction, beside TMDB's labels."""

    labelled = serializers.SerializerMethodField(help_text="Whether TMDB names the genre.")
    outcome = serializers.SerializerMethodField(help_text="Null where TMDB gives the film no label.")

    @extend_schema_field(serializers.BooleanField(allow_null=True))
    def get_labelled(self, row: Any) -> bool | None:
        return None if self.get_outcome(row) is None else row.labelled

    @extend_schema_field(
        serializers.ChoiceField(choices=["hit", "miss", "extra", "correct_rejection"], allow_null=True)
    )
    def get_outcome(self, row: Any) -> str | None:
        return {
            Outcome.HIT: "hit",
            Outcome.MISS: "miss",
            Outcome.EXTRA: "extra",
            Outcome.REJECTION: "correct_rejection",
        }.get(row.outcome)


class ComparisonSerializer(serializers.Serializer):
    """The displayed version's prediction of a film, genre by genre, the most probable first."""

    film = serializers.IntegerField()
    version = VersionSerializer()
    part = serializers.ChoiceField(
        choices=Part.choices,
        allow_blank=True,
        help_text="Of the version's training. On films of `train` agreement proves nothing.",
    )
    inputs = serializers.ListField(child=serializers.CharField(), help_text="Of title, overview, poster.")
    poster_error = serializers.CharField(allow_blank=True, help_text="Why a stored poster was not used.")
    stale = serializers.BooleanField(help_text="Whether the film has changed since.")
    compared = serializers.BooleanField(help_text="Whether TMDB gives labels to compare with.")
    surprise = serializers.FloatField(min_value=0, allow_null=True)
    predicted_at = serializers.DateTimeField()
    genres = ComparedProbabilitySerializer(many=True)


class OnlinePredictionSerializer(serializers.Serializer):
    """The champion's answer to a request, genre by genre, the most probable first."""

    version = VersionSerializer()
    inputs = serializers.ListField(child=serializers.CharField(), help_text="Of title, overview, poster.")
    poster_text = serializers.CharField(
        allow_blank=True, help_text="What was read on a poster that came with nothing else."
    )
    predicted = Labels()
    genres = ProbabilitySerializer(many=True)


class ContributionSerializer(serializers.Serializer):
    """How much one input counted for a genre: its Shapley value."""

    input = serializers.CharField(
        source="name", help_text="overview (all the texts, with one), title, or poster."
    )
    log_odds = serializers.FloatField(source="effect", help_text="Above zero it spoke for the genre.")
    share = share(help_text="Of all that the inputs moved, either way.")


class WordEffectSerializer(serializers.Serializer):
    """Words that were taken out of a text together; characters are counted in the text as the film has it."""

    field = serializers.CharField()
    start = serializers.IntegerField(min_value=0)
    end = serializers.IntegerField(min_value=0)
    text = serializers.CharField()
    log_odds = serializers.FloatField(
        help_text="By how much they fell without it: above zero it spoke for the genre."
    )
    probability_without = share()


class RegionEffectSerializer(serializers.Serializer):
    """A rectangle of the poster that was painted over, in fractions of its width and height from the top left."""

    left = share()
    top = share()
    width = share()
    height = share()
    log_odds = serializers.FloatField()
    probability_without = share()


class ExplainedGenreSerializer(ProbabilitySerializer):
    """One genre, and what moved it. `log_odds` of prior and contributions add up to those of the probability."""

    prior = share(help_text="The genre's share of the films the model learned from: where it starts.")
    contributions = ContributionSerializer(many=True)
    words = WordEffectSerializer(many=True, help_text="In the order of the text.")
    regions = RegionEffectSerializer(many=True, help_text="Row by row; none without a usable poster.")


class ExplanationSerializer(serializers.Serializer):
    """Why a version says what it says of a film: the genres that it or TMDB names, or else the most probable."""

    version = VersionSerializer()
    inputs = serializers.ListField(child=serializers.CharField(), help_text="Of title, overview, poster.")
    poster_error = serializers.CharField(allow_blank=True, help_text="Why a poster was not used.")
    genres = ExplainedGenreSerializer(many=True)


class FilmExplanationSerializer(ExplanationSerializer):
    """Why the displayed version says what it says of a film of the catalog, as the film is now."""

    film = serializers.IntegerField()


class ExplainedPredictionSerializer(OnlinePredictionSerializer):
    """The champion's answer, and where it was asked for, why."""

    explanation = ExplanationSerializer(allow_null=True, help_text="Null unless `explain` was true.")


@extend_schema_field(OpenApiTypes.BYTE)
class Base64Field(serializers.CharField):
    """Bytes as base64, with the standard alphabet."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Those of a text look for characters that base64 has not, in the bytes' representation, one by one: over a second for 4 MB.
        self.validators = []

    def to_internal_value(self, data: Any) -> Any:
        try:
            return base64.b64decode(super().to_internal_value(data), validate=True)
        except (binascii.Error, ValueError) as error:
            raise serializers.ValidationError(
                "This is not base64 with the standard alphabet.", code="base64"
            ) from error


class PredictTextsSerializer(StrictSerializer):
    """The texts of a film to predict."""

    title = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")
    overview = serializers.CharField(max_length=20_000, required=False, allow_blank=True, default="")
    tagline = serializers.CharField(max_length=1_000, required=False, allow_blank=True, default="")
    explain = serializers.BooleanField(
        required=False, default=False, help_text="Whether to say why, too: takes some ten times as long."
    )


class PredictSerializer(PredictTextsSerializer):
    """A film to predict, as JSON. At least one of title, overview and poster must hold something."""

    poster = Base64Field(
        required=False,
        allow_null=True,
        default=None,
        help_text="A JPEG, PNG or WebP of up to some 4 MB as base64; bigger ones, up to 10 MB, come as multipart.",
    )


class PredictFormSerializer(PredictTextsSerializer):
    """A film to predict, as multipart/form-data, with the poster as a file."""

    poster = serializers.FileField(
        required=False, allow_null=True, default=None, allow_empty_file=True, help_text="JPEG, PNG or WebP."
    )
