"""The catalog in the admin. What derives from a film's facts is written with them, and nowhere else."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from catalog.csv_rows import CsvError
from catalog.importing import save_facts
from catalog.models import Film, Genre, ImportRejection, ImportRun, Poster
from catalog.uploads import cancel_import, plan_import
from ledger.broker import BrokerUnavailableError


class ReadOnly(admin.ModelAdmin):
    """Rows to look at: what wrote them is not the admin."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


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
    readonly_fields = ("label_ids", "input_hash", "added_at", "synced_at")
    exclude = ("title_sort", "folded_titles", "folded_overview")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        save_facts(form.instance)


@admin.register(ImportRejection)
class ImportRejectionAdmin(ReadOnly):
    list_display = ("run", "line", "record", "code", "reason")
    list_filter = ("code",)
    list_select_related = ("run",)
    search_fields = ("=record",)
    show_full_result_count = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # reached from its run


class CsvForm(forms.Form):
    """A CSV to import."""

    csv = forms.FileField(
        label="CSV file",
        help_text="movies_metadata.csv of Kaggle's “The Movies Dataset”, or another file of that shape, in UTF-8.",
    )


@admin.register(ImportRun)
class ImportRunAdmin(ReadOnly):
    list_display = (
        "id",
        "source",
        "state",
        "progress",
        "created",
        "updated",
        "unchanged",
        "rejected",
        "created_at",
    )
    list_filter = ("source", "state")
    readonly_fields = ("progress", "what_was_refused")
    actions = ("cancel",)
    change_list_template = "admin/catalog/importrun/change_list.html"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # For actions; a single run is shown with every field read-only.
        return admin.ModelAdmin.has_change_permission(self, request, obj) and obj is None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a worker may be at it, and its rejections are worth keeping

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.import_csv)
        return [path("import-csv/", view, name="catalog_importrun_import_csv"), *super().get_urls()]

    @admin.display(description="progress")
    def progress(self, run: ImportRun) -> str:
        """How far it is."""
        if run.total and run.state == ImportRun.State.RUNNING:
            return f"{run.read:,} of {run.total:,} ({min(run.read / run.total, 1):.0%})"
        return f"{run.read:,}"

    @admin.display(description="refused")
    def what_was_refused(self, run: ImportRun) -> str:
        """The way to the rejections of the run."""
        number = run.rejections.count()
        address = reverse("admin:catalog_importrejection_changelist")
        return format_html(
            '<a href="{}?run__id__exact={}">{} records and values</a>', address, run.pk, number
        )

    @admin.action(description="Cancel the selected imports", permissions=["change"])
    def cancel(self, request: HttpRequest, runs: QuerySet[ImportRun]) -> None:
        """Stop what waits or runs in a worker."""
        stopped = sum(cancel_import(run) for run in runs)
        self.message_user(request, f"{stopped} cancelled; what was imported is kept.", messages.SUCCESS)

    def import_csv(self, request: HttpRequest) -> HttpResponse:
        """A form to upload a CSV, which a worker then imports."""
        if not admin.ModelAdmin.has_add_permission(self, request):
            raise PermissionDenied
        form = CsvForm(request.POST or None, request.FILES or None)
        status = 200
        if request.method == "POST":
            status = 400
            if form.is_valid():
                try:
                    run = plan_import(upload=form.cleaned_data["csv"], by=request.user)
                except CsvError as error:
                    form.add_error("csv", str(error))
                except BrokerUnavailableError as error:
                    form.add_error(None, str(error))
                    status = 503
                else:
                    self.message_user(request, f"Import {run.pk} waits for a worker.", messages.SUCCESS)
                    return HttpResponseRedirect(reverse("admin:catalog_importrun_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": "Import a CSV",
            "form": form,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/catalog/importrun/import_csv.html", context, status=status)
