"""Admin of the ledger: what waits, what is worked on and by whom, what was set aside, and which workers live."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from ledger.broker import BrokerUnavailableError
from ledger.models import WorkChunk
from ledger.workers import live_workers


@admin.register(WorkChunk)
class WorkChunkAdmin(admin.ModelAdmin):
    """Chunks, to read. Their runs are cancelled where the runs are."""

    list_display = (
        "id",
        "kind",
        "run",
        "first",
        "last",
        "state",
        "attempts",
        "worker",
        "lease_until",
        "reason",
    )
    list_filter = ("state", "kind")
    show_full_result_count = False
    change_list_template = "admin/ledger/workchunk/change_list.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Services plan chunks."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: WorkChunk | None = None) -> bool:
        """Workers move chunks."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: WorkChunk | None = None) -> bool:
        """Nobody deletes the record of what was done."""
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The chunks, below the workers that are alive."""
        context: dict[str, Any] = {"workers": [], "workers_unknown": ""}
        try:
            context["workers"] = live_workers()
        except BrokerUnavailableError as error:
            context["workers_unknown"] = str(error)
        return super().changelist_view(request, context | (extra_context or {}))
