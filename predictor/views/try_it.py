"""Try it: a poster and an overview of one's own, predicted by a worker. Nothing of it is stored."""

from __future__ import annotations

import base64
import io
import math
from http import HTTPStatus
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods
from PIL import Image

from catalog.models import Film
from catalog.posters import MOST_BYTES, PosterError, verify_poster
from predictor.api.throttles import PredictThrottle
from predictor.models import ModelVersion
from predictor.online import OnlineFilm, PredictorBusy, PredictorUnavailable, predict_online
from predictor.panel import online_panel

MAX_OVERVIEW = 10_000
# A body up to here is read and refused in words; what is larger is not worth reading for that.
_MAX_BODY_BYTES = 32 * 1024 * 1024
# When to come back after the model could not be reached: a worker restarts within some ten seconds.
_RETRY_SECONDS = 10
_SHOWN_POSTER = (400, 600)


class TryForm(forms.Form):
    """What a prediction may be made from: a poster, an overview, or both; the title beside them."""

    title = forms.CharField(
        max_length=500, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    overview = forms.CharField(
        max_length=MAX_OVERVIEW,
        required=False,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text="What happens, in a few sentences of English.",
    )
    poster = forms.FileField(
        required=False,
        widget=forms.FileInput(attrs={"accept": "image/jpeg,image/png,image/webp"}),
        help_text=f"JPEG, PNG or WebP, at most {MOST_BYTES // 2**20} MB.",
    )

    def clean_poster(self) -> bytes | None:
        """The poster's bytes, verified by what they decode to and not by what they are called."""
        upload: UploadedFile | None = self.cleaned_data["poster"]
        if upload is None:
            return None
        if (upload.size or 0) > MOST_BYTES:
            raise forms.ValidationError(
                f"The poster has {(upload.size or 0) / 2**20:.1f} MB; at most {MOST_BYTES // 2**20} MB are taken.",
                code="too-large",
            )
        content = upload.read()
        try:
            verify_poster(content)
        except PosterError as error:
            raise forms.ValidationError(str(error), code=error.code) from error
        return content

    def clean(self) -> dict[str, Any]:
        """There must be something to predict from."""
        cleaned = super().clean() or self.cleaned_data
        if not self.errors and not cleaned.get("overview") and not cleaned.get("poster"):
            raise forms.ValidationError("Give a poster, an overview, or both.", code="nothing")
        return cleaned


@csrf_exempt
def try_it(request: HttpRequest) -> HttpResponse:
    """The form, and with a POST the prediction beneath it.

    Exempt here and protected below, so that an endless body is refused before the CSRF check reads it all.
    """
    if int(request.META.get("CONTENT_LENGTH") or 0) > _MAX_BODY_BYTES:
        form = TryForm({})
        form.errors.clear()
        form.add_error("poster", f"That is far more than {MOST_BYTES // 2**20} MB; nothing of it was read.")
        return _page(request, form, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return _try_it(request)


@csrf_protect
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def _try_it(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return _page(request, TryForm(initial=_texts_of_film(request.GET.get("film", ""))))
    form = TryForm(request.POST, request.FILES)
    throttle = PredictThrottle()
    if not throttle.allow_request(request, None):
        return _refused(
            request,
            form,
            status=HTTPStatus.TOO_MANY_REQUESTS,
            reason="You have asked very often just now.",
            retry_after=throttle.wait() or 1,
        )
    if not form.is_valid():
        too_large = form.has_error("poster", "too-large")
        return _page(
            request,
            form,
            status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE if too_large else HTTPStatus.BAD_REQUEST,
        )
    poster: bytes | None = form.cleaned_data["poster"]
    try:
        prediction = predict_online(
            OnlineFilm(
                title=form.cleaned_data["title"],
                overview=form.cleaned_data["overview"],
                tagline="",
                poster=poster,
            )
        )
    except PredictorBusy as error:
        return _refused(
            request,
            form,
            status=HTTPStatus.SERVICE_UNAVAILABLE,
            reason="The model has more to do than it can manage at the moment.",
            retry_after=error.retry_after,
        )
    except PredictorUnavailable as error:
        return _refused(
            request,
            form,
            status=HTTPStatus.SERVICE_UNAVAILABLE,
            reason=f"The model cannot be reached: {error}",
            retry_after=_RETRY_SECONDS,
        )
    return _page(
        request,
        form,
        panel=online_panel(prediction, ModelVersion.objects.defer("metrics").get(pk=prediction.version_id)),
        poster_url=_as_data_url(poster) if poster else "",
    )


def _page(
    request: HttpRequest,
    form: TryForm,
    *,
    status: int = HTTPStatus.OK,
    headers: dict[str, str] | None = None,
    **context: Any,
) -> HttpResponse:
    response = render(request, "predictor/try_it.html", {"form": form, **context}, status=status)
    for name, value in (headers or {}).items():
        response[name] = value
    return response


def _refused(
    request: HttpRequest, form: TryForm, *, status: int, reason: str, retry_after: float
) -> HttpResponse:
    """The page with what was typed kept, and when to try again."""
    seconds = max(1, math.ceil(retry_after))
    return _page(
        request,
        form,
        status=status,
        headers={"Retry-After": str(seconds)},
        refusal=reason,
        retry_after=seconds,
    )


def _texts_of_film(film_id: str) -> dict[str, str]:
    """Title and overview of a film of the catalog to begin with; nothing where there is no such film."""
    if not film_id.isdecimal():
        return {}
    film = Film.objects.filter(pk=int(film_id)).only("title", "overview").first()
    return {"title": film.title, "overview": film.overview} if film else {}


def _as_data_url(poster: bytes) -> str:
    """The verified poster, small, to be shown beside its prediction without being kept anywhere."""
    with Image.open(io.BytesIO(poster)) as image:
        image.draft("RGB", _SHOWN_POSTER)
        shown = image.convert("RGB")
        shown.thumbnail(_SHOWN_POSTER)
        buffer = io.BytesIO()
        shown.save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
