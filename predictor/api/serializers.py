"""What the API gives out of films, model versions and tokens, and what all that it takes in has in common."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.models import Film, Genre, Poster
from ml_core.labels import LABELS
from predictor.models import ModelVersion, Part, Prediction

_GENRE_NAMES = {label.tmdb_id: label.name for label in LABELS}


def share(**options: Any) -> serializers.FloatField:
    """A field for a number within 0..1."""
    return serializers.FloatField(min_value=0, max_value=1, **options)


class GenreSerializer(serializers.ModelSerializer):
    """A genre by TMDB's id."""

    class Meta:
        model = Genre
        fields = ("id", "name")


class CountedGenreSerializer(serializers.ModelSerializer):
    """A genre, and how many films have it."""

    films = serializers.IntegerField(
        min_value=0, source="films_count", help_text="Films with this genre, adult films left out."
    )

    class Meta:
        model = Genre
        fields = ("id", "name", "is_label", "films")


class LabelsField(serializers.Field):
    """Labels given as ids, as objects with id and name, in the order of their names."""

    def to_representation(self, value: list[int]) -> list[dict[str, Any]]:
        named = ({"id": genre_id, "name": _GENRE_NAMES[genre_id]} for genre_id in value)
        return sorted(named, key=lambda genre: genre["name"])


Labels = extend_schema_field(GenreSerializer(many=True))(LabelsField)


class PosterSerializer(serializers.ModelSerializer):
    """A stored poster."""

    url = serializers.SerializerMethodField()

    class Meta:
        model = Poster
        fields = ("url", "width", "height", "dominant_colour")

    @extend_schema_field(OpenApiTypes.URI)
    def get_url(self, poster: Poster) -> str:
        return self.context["request"].build_absolute_uri(poster.get_absolute_url())


class PredictionSummarySerializer(serializers.ModelSerializer):
    """What the displayed version says of a film, in short. Null members where TMDB gives nothing to compare with."""

    version = serializers.IntegerField(source="version_id")
    predicted = Labels()
    hits = Labels(allow_null=True)
    misses = Labels(allow_null=True)
    extras = Labels(allow_null=True)
    surprise = serializers.FloatField(
        min_value=0, allow_null=True, help_text="Mean log-loss of TMDB's labels, in nats a label."
    )
    part = serializers.ChoiceField(
        choices=Part.choices,
        allow_blank=True,
        help_text="Of the version's training. On films of `train` agreement proves nothing.",
    )

    class Meta:
        model = Prediction
        fields = ("version", "predicted", "hits", "misses", "extras", "surprise", "part")


class FilmSerializer(serializers.ModelSerializer):
    """A film in a list."""

    year = serializers.IntegerField(allow_null=True, read_only=True)
    genres = GenreSerializer(many=True, help_text="TMDB's.")
    poster = PosterSerializer(allow_null=True)
    prediction = PredictionSummarySerializer(allow_null=True)
    url = serializers.SerializerMethodField(help_text="The film's page.")

    class Meta:
        model = Film
        fields = (
            "id",
            "tmdb_id",
            "imdb_id",
            "title",
            "original_title",
            "original_language",
            "release_date",
            "year",
            "popularity",
            "vote_average",
            "vote_count",
            "adult",
            "genres",
            "poster",
            "prediction",
            "url",
        )

    @extend_schema_field(OpenApiTypes.URI)
    def get_url(self, film: Film) -> str:
        return self.context["request"].build_absolute_uri(film.get_absolute_url())


class FilmDetailSerializer(FilmSerializer):
    """A film with all that is known of it."""

    class Meta(FilmSerializer.Meta):
        fields = (  # type: ignore[assignment]
            *FilmSerializer.Meta.fields,
            *("overview", "tagline", "runtime", "added_at", "synced_at"),
        )


class FilmPageSerializer(serializers.Serializer):
    """A page of a list. `next` is the address of the page after it, null on the last."""

    next = serializers.URLField(allow_null=True)
    results = FilmSerializer(many=True)


class VersionSerializer(serializers.ModelSerializer):
    """A model version by name and content."""

    class Meta:
        model = ModelVersion
        fields = ("id", "name", "sha256")


class ModelSerializer(serializers.ModelSerializer):
    """A registered model version, with its figures on the test split by what it was given to read."""

    labels = Labels(source="label_ids")
    champion = serializers.BooleanField(help_text="Whether it answers online requests.")
    displayed = serializers.BooleanField(help_text="Whether it is what pages show.")
    test_scores = serializers.SerializerMethodField(
        help_text="For example `macro_roc_auc` under `overview_poster`; empty where none were measured."
    )

    class Meta:
        model = ModelVersion
        fields = (
            "id",
            "name",
            "sha256",
            "network",
            "size",
            "trained_at",
            "registered_at",
            "champion",
            "displayed",
            "labels",
            "test_scores",
        )

    @extend_schema_field(serializers.DictField(child=serializers.DictField(child=serializers.FloatField())))
    def get_test_scores(self, version: ModelVersion) -> dict[str, dict[str, float]]:
        return {
            inputs: {name: value for name, value in figures.items() if isinstance(value, int | float)}
            for inputs, figures in version.test_reports().items()
        }


class ModelDetailSerializer(ModelSerializer):
    """The same with all `metrics` of the artifact, measured when it was trained: by genre, slices, curves, intervals."""

    metrics = serializers.DictField()

    class Meta(ModelSerializer.Meta):
        fields = (*ModelSerializer.Meta.fields, "metrics")  # type: ignore[assignment]


class StrictSerializer(serializers.Serializer):
    """Refuses fields it does not have: with all optional, a misspelt one would silently be left out."""

    def to_internal_value(self, data: Any) -> Any:
        if hasattr(data, "keys") and (unknown := sorted(set(data) - set(self.fields))):
            raise serializers.ValidationError(
                {str(name)[:80]: ["There is no such field."] for name in unknown[:20]}, code="unknown"
            )
        return super().to_internal_value(data)


class TokenSerializer(serializers.Serializer):
    """A token of the user's. The secret itself is not kept."""

    key = serializers.CharField(source="token_key", help_text="Names the token: its first characters.")
    created = serializers.DateTimeField()
    expiry = serializers.DateTimeField(allow_null=True)


class IssuedTokenSerializer(serializers.Serializer):
    """A token just issued: the only time that `token` can be read."""

    key = serializers.CharField()
    token = serializers.CharField()
    created = serializers.DateTimeField()
    expiry = serializers.DateTimeField(allow_null=True)
