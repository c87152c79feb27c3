"""The admin site: Genresite's name, the site's own login, and 400 for what Django would answer with a crash."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.urls import reverse


class GenresiteAdminSite(AdminSite):
    """Django's own admin site, with the doors that it leaves ajar closed."""

    site_header = "Genresite"
    site_title = "Genresite"
    index_title = "Administration"

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The site's own login, which is slow to those who guess passwords; Django's here would not be."""
        target = request.GET.get(REDIRECT_FIELD_NAME) or reverse("admin:index", current_app=self.name)
        return redirect_to_login(target, login_url=resolve_url(settings.LOGIN_URL))

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Django's, around a view that is asked only what it can answer; BadRequest otherwise."""
        return super().admin_view(self._checked(view), cacheable)

    def _checked(self, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            for values in (request.GET, request.POST):
                if any("\0" in value for _, given in values.lists() for value in given):
                    raise BadRequest("There is no text with NUL characters.")
            self._check_selection(request)
            return view(request, *args, **kwargs)

        return checked

    def _check_selection(self, request: HttpRequest) -> None:
        """The rows selected for an action are named by keys of their table."""
        selected = request.POST.getlist(ACTION_CHECKBOX_NAME)
        page = request.resolver_match.url_name if request.resolver_match else None
        for model in self._registry if selected else ():
            if page == f"{model._meta.app_label}_{model._meta.model_name}_changelist":
                try:
                    for key in selected:
                        model._meta.pk.to_python(key)
                except ValidationError as error:
                    raise BadRequest("A selected row is named by no key.") from error
