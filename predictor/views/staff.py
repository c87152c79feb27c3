"""Pages for staff alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.cache import add_never_cache_headers, patch_cache_control

View = Callable[..., HttpResponse]


def for_staff(permission: str) -> Callable[[View], View]:
    """Visitors are sent to the login; who is logged in needs to be staff and to hold the permission."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not (request.user.is_staff and request.user.has_perm(permission)):
                raise PermissionDenied
            response = view(request, *args, **kwargs)
            if response.has_header("Cache-Control"):
                patch_cache_control(
                    response, private=True
                )  # a drawing keeps for good, but not in shared caches
            else:
                add_never_cache_headers(response)
            return response

        return checked

    return decorate
