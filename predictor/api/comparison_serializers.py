"""What the API gives out of two versions' comparison, and of drift."""

from __future__ import annotations

from rest_framework import serializers

from predictor.drift import Advice
from predictor.version_comparison import Basis


class ComparedVersionSerializer(serializers.Serializer):
    """One of the two versions."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    sha256 = serializers.CharField()


class DifferenceSerializer(serializers.Serializer):
    """A figure of both. Null where it is not defined: no film, or all films, have a genre."""

    a = serializers.FloatField(allow_null=True)
    b = serializers.FloatField(allow_null=True)
    difference = serializers.FloatField(source="by", allow_null=True, help_text="`b` minus `a`.")
    low = serializers.FloatField(
        allow_null=True, help_text="Of the paired 95 % bootstrap interval of the difference."
    )
    high = serializers.FloatField(allow_null=True)
    better = serializers.ChoiceField(
        choices=["a", "b", ""], help_text="Which is better where the interval leaves no doubt, else empty."
    )


class FigureSerializer(DifferenceSerializer):
    """One of the main figures of both."""

    figure = serializers.CharField(source="key", help_text="Such as `macro_roc_auc`.")


class GenreDifferenceSerializer(serializers.Serializer):
    """One genre's figures of both."""

    id = serializers.IntegerField(source="genre_id", help_text="TMDB's genre id.")
    name = serializers.CharField()
    films = serializers.IntegerField(min_value=0, help_text="Films judged by that have it at TMDB.")
    few = serializers.BooleanField(help_text="Whether those are too few for the figures to mean much.")
    roc_auc = DifferenceSerializer()
    average_precision = DifferenceSerializer()
    f1 = DifferenceSerializer()


class VersionComparisonSerializer(serializers.Serializer):
    """Two versions on the same films, none of which either was trained on."""

    a = ComparedVersionSerializer()
    b = ComparedVersionSerializer()
    basis = serializers.ChoiceField(
        choices=[basis.value for basis in Basis],
        help_text="`test`: test films of both. `unseen`: this site has fewer than 200 of those, so these are all films that"
        " neither was trained or tuned on.",
    )
    films = serializers.IntegerField(min_value=0, help_text="That have current predictions of both.")
    few = serializers.BooleanField(
        help_text="Whether there are fewer than 200 films: too few to judge by, so there are no figures."
    )
    is_sample = serializers.BooleanField(help_text="Whether the films were drawn at random from more.")
    figures = FigureSerializer(many=True)
    genres = GenreDifferenceSerializer(many=True)
    counted_at = serializers.DateTimeField()


class GroupAgreementSerializer(serializers.Serializer):
    """Agreement with TMDB on some films; null without any."""

    films = serializers.IntegerField(min_value=0)
    samples_f1 = serializers.FloatField(allow_null=True)
    macro_f1 = serializers.FloatField(allow_null=True)
    surprise = serializers.FloatField(
        allow_null=True, help_text="Mean log-loss of TMDB's labels, in nats a label."
    )


class ChangeSerializer(serializers.Serializer):
    """A mean on new films minus that on test films, with its 95 % interval."""

    difference = serializers.FloatField(source="by")
    low = serializers.FloatField()
    high = serializers.FloatField()


class DriftSerializer(serializers.Serializer):
    """The catalog since the champion was trained."""

    champion = ComparedVersionSerializer()
    since = serializers.DateTimeField(help_text="When it was trained.")
    trained_on = serializers.IntegerField(min_value=0, help_text="Films it learned from.")
    added = serializers.IntegerField(min_value=0, help_text="Films added to the catalog since.")
    new_films = serializers.IntegerField(
        min_value=0, help_text="Films with a genre that were in no part of its training."
    )
    changed_inputs = serializers.IntegerField(
        min_value=0,
        allow_null=True,
        help_text="Films with another text or poster than when it first read the catalog; null before it has read it all.",
    )
    changed_labels = serializers.IntegerField(
        min_value=0, help_text="Films with other labels at TMDB than when it was trained."
    )
    test = GroupAgreementSerializer(help_text="On its test films.")
    new = GroupAgreementSerializer(help_text="On films that are new to it.")
    samples_f1_change = ChangeSerializer(
        allow_null=True, help_text="Null with fewer than 200 films on either side."
    )
    surprise_change = ChangeSerializer(
        allow_null=True, help_text="Null with fewer than 200 films on either side."
    )
    advice = serializers.ChoiceField(
        choices=[advice.value for advice in Advice],
        help_text="Whether to train again; `too-few`: nothing to say yet.",
    )
    reasons = serializers.ListField(child=serializers.CharField())
    counted_at = serializers.DateTimeField()


class CurrentDriftSerializer(serializers.Serializer):
    """Drift of the champion, if there is one."""

    drift = DriftSerializer(allow_null=True, help_text="Null without a champion.")
