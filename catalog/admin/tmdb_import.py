"""Asking for films from TMDB in the admin: a form, what it will cost, and the import."""

from __future__ import annotations

from http import HTTPStatus

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from catalog.admin.tmdb_form import ImportForm
from catalog.import_estimates import estimate_in_time
from catalog.import_words import asked_for, estimate_in_words, request_in_words
from catalog.models import ImportRun
from catalog.tmdb import client, runs
from catalog.tmdb.errors import TmdbError, TmdbNotConfiguredError, TmdbUnavailableError
from ledger.broker import BrokerUnavailableError

TERMS = "https://www.themoviedb.org/api-terms-of-use"
KEYS = "https://www.themoviedb.org/settings/api"


def import_tmdb(model_admin: ModelAdmin[ImportRun], request: HttpRequest) -> HttpResponse:
    """The form; where it was sent with ``step`` estimate, the costs; with ``step`` import, the run that it started."""
    form = ImportForm(request.POST if request.method == "POST" else None)
    step = request.POST.get("step")
    if request.method != "POST" or step == "back":
        return _page(model_admin, request, form)
    if not form.is_valid():
        return _page(model_admin, request, form, status=HTTPStatus.BAD_REQUEST)
    try:
        if step == "import":
            return _started(model_admin, request, form)
        cost = estimate_in_time(form.import_request)
    except (BrokerUnavailableError, TmdbNotConfiguredError, TmdbUnavailableError) as error:
        form.add_error(None, str(error))
        return _page(model_admin, request, form, status=HTTPStatus.SERVICE_UNAVAILABLE)
    except TmdbError as error:
        form.add_error(None, str(error))
        return _page(model_admin, request, form, status=HTTPStatus.BAD_GATEWAY)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Import from TMDB",
        "opts": model_admin.opts,
        "form": form,
        "asked": request_in_words(form.import_request),
        "cost": cost,
        "cost_in_words": estimate_in_words(cost),
        "terms": TERMS,
    }
    return TemplateResponse(request, "admin/catalog/importrun/import_tmdb_estimate.html", context)


def _started(model_admin: ModelAdmin[ImportRun], request: HttpRequest, form: ImportForm) -> HttpResponse:
    run = runs.start(form.import_request, by=request.user)
    words = asked_for(run.options)
    model_admin.log_addition(request, run, words)
    model_admin.message_user(request, f"Import {run.pk} waits for a worker: {words}.", messages.SUCCESS)
    return HttpResponseRedirect(reverse("admin:catalog_importrun_change", args=[run.pk]))


def _page(
    model_admin: ModelAdmin[ImportRun], request: HttpRequest, form: ImportForm, *, status: int = HTTPStatus.OK
) -> HttpResponse:
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Import from TMDB",
        "opts": model_admin.opts,
        "form": form,
        "configured": client.is_configured(),
        "keys": KEYS,
        "terms": TERMS,
        "rate": settings.TMDB_REQUESTS_PER_SECOND,
    }
    return TemplateResponse(request, "admin/catalog/importrun/import_tmdb.html", context, status=status)
