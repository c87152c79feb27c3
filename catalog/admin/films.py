"""Films, genres and posters in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.html import format_html_join

from catalog.admin.read_only import ReadOnly
from catalog.importing import save_facts
from catalog.models import Film, Genre, Poster

SHOWN_CHANGES = 20


@admin.register(Genre)
class GenreAdmin(ReadOnly):
    list_display = ("id", "name", "is_label")
    ordering = ("name",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Poster)
class PosterAdmin(ReadOnly):
    list_display = ("id", "sha256", "format", "width", "height", "size", "added_at")
    list_filter = ("format",)
    search_fields = ("=sha256",)
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Film)
class FilmAdmin(admin.ModelAdmin):
    list_display = ("title", "release_date", "tmdb_id", "popularity", "added_at")
    list_filter = ("genres", "adult")
    # Each by an index; the site's own search finds words within.
    search_fields = ("=tmdb_id", "title_sort__startswith")
    search_help_text = "A TMDB id, or how the title begins, in lower case and without article."
    show_full_result_count = False
    ordering = ("-id",)
    filter_horizontal = ("genres",)
    raw_id_fields = ("poster",)
    readonly_fields = (
        "label_ids",
        "label_history",
        "input_hash",
        "added_at",
        "synced_at",
        "tmdb_deleted_at",
        "from_api_alone",
    )
    exclude = ("title_sort", "folded_titles", "folded_overview")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        save_facts(form.instance)

    @admin.display(description="label history")
    def label_history(self, film: Film) -> str:
        """When its labels were changed, and how, newest first."""
        if not film.pk:
            return ""
        names = dict(Genre.objects.values_list("id", "name"))

        def named(ids: list[int]) -> str:
            return ", ".join(sorted(names.get(key, str(key)) for key in ids)) or "none"

        return format_html_join(
            "",
            "<div>{}: {} → {}</div>",
            (
                (date_format(change.changed_at, "j F Y H:i"), named(change.before), named(change.after))
                for change in film.label_changes.all()[:SHOWN_CHANGES]
            ),
        )
