"""Imports as the API gives them out, and what it takes to ask for one."""

from __future__ import annotations

from typing import Any, get_args

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.import_words import FIELDS_OF, LIST_NAMES, SORT_NAMES, asked_for
from catalog.models import ImportRejection, ImportRun
from catalog.tmdb.answers import LARGEST_ID
from catalog.tmdb.asking import MOST_IDS, ImportRequest, What
from predictor.api.serializers import StrictSerializer

_ONE_KIND_ONLY = {name for names in FIELDS_OF.values() for name in names}


class ImportRequestSerializer(StrictSerializer):
    """Which films to import from TMDB: by `what`, with the fields that belong to it, and those that belong to all."""

    what = serializers.ChoiceField(
        choices=get_args(What),
        help_text="`ids` with `tmdb_ids` and `imdb_ids`; `search` with `query` and `year`; `discover` with `genres` (all of "
        "them), `year_from`, `year_to`, `language`, `min_votes` and `sort`; `list` with `list_name`; `export`, TMDB's "
        "daily list of all films, with `min_popularity`; `sync`: what changed at TMDB and what was fetched longest ago.",
    )
    tmdb_ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_ID), required=False, max_length=MOST_IDS
    )
    imdb_ids = serializers.ListField(
        child=serializers.RegexField(r"^tt[0-9]{5,10}$"), required=False, max_length=MOST_IDS
    )
    query = serializers.CharField(required=False, max_length=200)
    year = serializers.IntegerField(required=False, min_value=1, max_value=9999)
    genres = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=32_767),
        required=False,
        max_length=40,
        help_text="TMDB's genre ids.",
    )
    year_from = serializers.IntegerField(required=False, min_value=1, max_value=9999)
    year_to = serializers.IntegerField(required=False, min_value=1, max_value=9999)
    language = serializers.RegexField(
        r"^[a-z]{2}$", required=False, help_text="Of the original, as ISO 639-1."
    )
    min_votes = serializers.IntegerField(required=False, min_value=0, max_value=LARGEST_ID)
    sort = serializers.ChoiceField(
        choices=list(SORT_NAMES), required=False, help_text="`popularity.desc` unless given."
    )
    list_name = serializers.ChoiceField(
        choices=list(LIST_NAMES), required=False, help_text="`popular` unless given."
    )
    min_popularity = serializers.FloatField(required=False, min_value=0, max_value=1e9)
    most = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=LARGEST_ID, help_text="Films at most."
    )
    skip_known = serializers.BooleanField(
        required=False, help_text="Whether to leave films alone that the catalog has; false unless given."
    )
    posters = serializers.BooleanField(required=False, help_text="True unless given.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuses what belongs to another kind of import: it would silently be left out of account."""
        kind: What = attrs["what"]
        if foreign := sorted(set(attrs) & _ONE_KIND_ONLY - set(FIELDS_OF[kind])):
            raise serializers.ValidationError(
                {name: [f"This does not belong to an import of the kind {kind}."] for name in foreign},
                code="foreign",
            )
        return attrs

    def import_request(self) -> ImportRequest:
        """The request that valid input stands for, not yet checked against the catalog."""
        return ImportRequest.from_options(self.validated_data)


class ImportEstimateSerializer(serializers.Serializer):
    """What an import will cost. Null where nobody can know before it begins."""

    films = serializers.IntegerField(min_value=0, allow_null=True)
    requests = serializers.IntegerField(
        min_value=0, allow_null=True, help_text="To TMDB's API; posters not counted."
    )
    seconds = serializers.FloatField(min_value=0, allow_null=True, help_text="At the rate that is set.")


class ImportProgressSerializer(serializers.Serializer):
    """How an import is going."""

    done = serializers.IntegerField(min_value=0)
    total = serializers.IntegerField(min_value=0, allow_null=True, help_text="Null until it is known.")
    rate = serializers.FloatField(min_value=0, help_text="Films a second.")
    seconds_left = serializers.FloatField(min_value=0, allow_null=True)
    blocked_seconds = serializers.FloatField(
        min_value=0, help_text="For how long TMDB is asked nothing, since it said so or is not to be reached."
    )
    set_aside = serializers.IntegerField(
        min_value=0, help_text="Parts given up on after three attempts; a retry takes them up again."
    )


class ImportSerializer(serializers.ModelSerializer):
    """An import, newest first in lists."""

    asked_for = serializers.SerializerMethodField(help_text="In words.")
    retry_of = serializers.SerializerMethodField(help_text="The import whose failed films this one tries.")
    created_by = serializers.CharField(
        source="created_by.username",
        allow_null=True,
        default=None,
        help_text="Null: the schedule, or a command.",
    )

    class Meta:
        model = ImportRun
        fields = (
            *("id", "source", "state", "asked_for", "retry_of", "created_by", "created_at", "started_at"),
            *(
                "finished_at",
                "total",
                "read",
                "created",
                "updated",
                "unchanged",
                "rejected",
                "posters_stored",
            ),
            "reason",
        )

    def get_asked_for(self, run: ImportRun) -> str:
        return asked_for(run.brief_options)  # type: ignore[attr-defined]

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_retry_of(self, run: ImportRun) -> int | None:
        return run.brief_options.get("retry_of")  # type: ignore[attr-defined]


class ImportDetailSerializer(ImportSerializer):
    """An import, and how it is going."""

    progress = ImportProgressSerializer()

    class Meta(ImportSerializer.Meta):
        fields = (*ImportSerializer.Meta.fields, "progress")  # type: ignore[assignment]


class ImportPageSerializer(serializers.Serializer):
    """A page of imports. `next` is the address of the page after it, null on the last."""

    next = serializers.URLField(allow_null=True)
    results = ImportSerializer(many=True, source="rows")


class ImportRejectionSerializer(serializers.ModelSerializer):
    """A record, or one value of it, that an import refused."""

    film = serializers.SerializerMethodField(help_text="The catalog's film of that id, where there is one.")
    url = serializers.SerializerMethodField(help_text="The record's page at TMDB or IMDb; empty for neither.")

    class Meta:
        model = ImportRejection
        fields = ("record", "line", "code", "reason", "film", "url")

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_film(self, rejection: ImportRejection) -> int | None:
        film = self.context["films"].get(rejection.record)
        return film.pk if film else None

    @extend_schema_field(OpenApiTypes.STR)
    def get_url(self, rejection: ImportRejection) -> str:
        return self.context["address_of"](rejection.record)


class ImportRejectionPageSerializer(serializers.Serializer):
    """A page of what an import refused. `next` is the address of the page after it, null on the last."""

    next = serializers.URLField(allow_null=True)
    results = ImportRejectionSerializer(many=True, source="rows")
