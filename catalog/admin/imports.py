"""Imports in the admin: asked for, watched, paused, resumed, cancelled, tried again; and what they refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from catalog.admin.read_only import ReadOnly
from catalog.admin.tmdb_import import import_tmdb
from catalog.csv_rows import CsvError
from catalog.import_overview import (
    SHOWN_REJECTIONS,
    brief_runs,
    cancel,
    overview,
    rejected_records,
    rejection_counts,
    site_address,
)
from catalog.import_words import asked_for
from catalog.models import ImportRejection, ImportRun
from catalog.tmdb import runs
from catalog.tmdb.errors import TmdbError
from catalog.tmdb.syncing import KEPT_DAYS, count_outdated
from catalog.uploads import plan_import
from ledger.broker import BrokerUnavailableError

TEMPLATES = "admin/catalog/importrun"


@admin.register(ImportRejection)
class ImportRejectionAdmin(ReadOnly):
    list_display = ("run", "line", "record_link", "code", "reason")
    list_filter = ("code",)
    list_select_related = ("run",)
    search_fields = ("=record",)
    show_full_result_count = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # reached from its run

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="record", ordering="record")
    def record_link(self, rejection: ImportRejection) -> str:
        """The record, with a way to its page where it has one."""
        address = site_address(rejection.record)
        if not address:
            return rejection.record
        return format_html('<a href="{}" rel="external noreferrer">{}</a>', address, rejection.record)


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
        "asked",
        "state",
        "progress",
        "created",
        "updated",
        "unchanged",
        "rejected",
        "created_at",
    )
    list_filter = ("source", "state")
    actions = ("cancel",)
    change_list_template = f"{TEMPLATES}/change_list.html"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # For actions; a single run is shown with buttons and nothing to edit.
        return self.may_change(request) and obj is None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a worker may be at it, and its rejections are worth keeping

    def may_change(self, request: HttpRequest) -> bool:
        """Whether the user may pause, resume and cancel runs."""
        return admin.ModelAdmin.has_change_permission(self, request)

    def may_add(self, request: HttpRequest) -> bool:
        """Whether the user may ask for imports."""
        return admin.ModelAdmin.has_add_permission(self, request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ImportRun]:
        """Without the ids that were asked for."""
        return brief_runs().order_by("-id")

    def get_urls(self) -> list[URLPattern]:
        def guarded(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            return self.admin_site.admin_view(view)

        name = "catalog_importrun"
        buttons = {"pause": self.pause, "resume": self.resume, "cancel": self.cancel_one, "retry": self.retry}
        return [
            path("import-csv/", guarded(self.import_csv), name=f"{name}_import_csv"),
            path("import-tmdb/", guarded(self.import_tmdb), name=f"{name}_import_tmdb"),
            # Asked for by a script, which would put a login page into the run's: it is told 403.
            path("<int:run_id>/live/", never_cache(require_safe(self.live)), name=f"{name}_live"),
            *(
                path(f"<int:run_id>/{verb}/", guarded(view), name=f"{name}_{verb}")
                for verb, view in buttons.items()
            ),
            *super().get_urls(),
        ]

    # The list --------------------------------------------------------------------------------------------

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The runs; above them, how many films are older than TMDB's terms allow."""
        context = {
            "title": "Import runs",
            "outdated": count_outdated(),
            "kept_days": KEPT_DAYS,
            "may_add": self.may_add(request),
        }
        return super().changelist_view(request, context | (extra_context or {}))

    @admin.display(description="asked for")
    def asked(self, run: ImportRun) -> str:
        """What was asked for, in words."""
        return Truncator(asked_for(run.brief_options)).chars(80)  # type: ignore[attr-defined]

    @admin.display(description="progress")
    def progress(self, run: ImportRun) -> str:
        """How far it is."""
        if run.total and run.state in (ImportRun.State.RUNNING, ImportRun.State.PAUSED):
            return f"{run.read:,} of {run.total:,} ({min(run.read / run.total, 1):.0%})"
        return f"{run.read:,}"

    @admin.action(description="Cancel the selected imports", permissions=["change"])
    def cancel(self, request: HttpRequest, selected: QuerySet[ImportRun]) -> None:
        """Stop what waits or runs in a worker."""
        stopped = 0
        for run in selected:
            if cancel(run):
                stopped += 1
                self.log_change(request, run, "Cancelled.")
        self.message_user(request, f"{stopped} cancelled; what was imported is kept.", messages.SUCCESS)

    # A run -----------------------------------------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """How a run stands, with buttons. It refreshes itself while the run is open."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        run = self.get_object(request, object_id)
        if run is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined]
        context = {
            **self.admin_site.each_context(request),
            "title": f"{run.get_source_display()} import {run.pk}",
            "opts": self.opts,
            "original": run,
            **self._live_context(request, run),
            **self._rejections_context(run),
        }
        return TemplateResponse(request, f"{TEMPLATES}/run.html", context)

    def live(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """The part of a run's page that changes, and what was refused where that has grown since ``listed``."""
        if not (self.admin_site.has_permission(request) and self.has_view_or_change_permission(request)):
            return HttpResponse(status=403)
        run = get_object_or_404(brief_runs(), pk=run_id)
        context = self._live_context(request, run)
        listed = request.GET.get("listed", "")
        context["grown"] = listed != str(context["listed"])
        if context["grown"]:
            context |= self._rejections_context(run)
        return TemplateResponse(request, f"{TEMPLATES}/run_live.html", context)

    def _live_context(self, request: HttpRequest, run: ImportRun) -> dict[str, Any]:
        return {
            "overview": overview(run),
            "may_change": self.may_change(request),
            "may_add": self.may_add(request),
            "listed": run.rejections.count(),
        }

    def _rejections_context(self, run: ImportRun) -> dict[str, Any]:
        address = f"{reverse('admin:catalog_importrejection_changelist')}?run__id__exact={run.pk}"
        return {
            "rejected": rejected_records(run),
            "rejection_counts": rejection_counts(run),
            "rejections_address": address,
            "shown_rejections": SHOWN_REJECTIONS,
        }

    # Buttons ---------------------------------------------------------------------------------------------

    def pause(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Let a run rest."""
        return self._steered(request, run_id, runs.pause, "Paused.")

    def resume(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Let a paused run go on."""
        return self._steered(request, run_id, runs.resume, "Resumed.")

    def cancel_one(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Stop a run for good."""
        return self._steered(request, run_id, cancel, "Cancelled; what was imported is kept.")

    def _steered(
        self, request: HttpRequest, run_id: int, steer: Callable[[ImportRun], bool], done: str
    ) -> HttpResponse:
        run = self._run_to_post_to(request, run_id, allowed=self.may_change(request))
        try:
            if steer(run):
                self.log_change(request, run, done)
                self.message_user(request, done, messages.SUCCESS)
            else:
                run.refresh_from_db(fields=["state"])
                words = f"Nothing was changed: the import is {run.state}."
                self.message_user(request, words, messages.WARNING)
        except BrokerUnavailableError as error:
            self.message_user(request, str(error), messages.ERROR)
        return HttpResponseRedirect(reverse("admin:catalog_importrun_change", args=[run_id]))

    def retry(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """A new run of what failed in this one."""
        run = self._run_to_post_to(request, run_id, allowed=self.may_add(request))
        try:
            again = runs.retry_failed(run, by=request.user)
        except (runs.NothingToRetryError, BrokerUnavailableError, TmdbError) as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.log_change(request, run, f"What failed is tried again by import {again.pk}.")
            self.log_addition(request, again, f"What failed in import {run.pk}.")
            self.message_user(
                request, f"Import {again.pk} tries what failed in import {run.pk}.", messages.SUCCESS
            )
            run_id = again.pk
        return HttpResponseRedirect(reverse("admin:catalog_importrun_change", args=[run_id]))

    def _run_to_post_to(self, request: HttpRequest, run_id: int, *, allowed: bool) -> ImportRun:
        if not allowed:
            raise PermissionDenied
        if request.method != "POST":
            raise Http404
        return get_object_or_404(ImportRun, pk=run_id)

    # Asking for one --------------------------------------------------------------------------------------

    def import_tmdb(self, request: HttpRequest) -> HttpResponse:
        """The form that asks for films from TMDB."""
        if not self.may_add(request):
            raise PermissionDenied
        return import_tmdb(self, request)

    def import_csv(self, request: HttpRequest) -> HttpResponse:
        """A form to upload a CSV, which a worker then imports."""
        if not self.may_add(request):
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
                    self.log_addition(request, run, f"From {run.options['csv']}.")
                    self.message_user(request, f"Import {run.pk} waits for a worker.", messages.SUCCESS)
                    return HttpResponseRedirect(reverse("admin:catalog_importrun_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": "Import a CSV",
            "form": form,
            "opts": self.opts,
        }
        return TemplateResponse(request, f"{TEMPLATES}/import_csv.html", context, status=status)
