"""Logging in, the password, and a user's tokens for the API."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST
from rest_framework.throttling import BaseThrottle

from predictor.api.throttles import take
from predictor.tokens import MAX_TOKENS, TooManyTokens, issue_token, revoke_token, tokens_of

# A person mistypes a few times; a program that guesses passwords gets nowhere at this rate.
_LOGIN_RATE = "10/min"


class LogIn(LoginView):
    """Django's own, but slow to those who guess. `next` leads only to this site, as Django sees to."""

    template_name = "accounts/login.html"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        wait = take(scope="login", who=BaseThrottle().get_ident(cast(Any, request)), rate=_LOGIN_RATE)
        if wait is None:
            return super().post(request, *args, **kwargs)
        # Unbound, so that nothing of what was typed is checked or shown.
        context = self.get_context_data(form=self.get_form_class()(request), wait_seconds=math.ceil(wait))
        return self.render_to_response(
            context, status=HTTPStatus.TOO_MANY_REQUESTS, headers={"Retry-After": str(math.ceil(wait))}
        )


class ChangePassword(PasswordChangeView):
    """Django's own; back to the tokens page, where accounts are at home."""

    template_name = "accounts/password.html"
    success_url = reverse_lazy("tokens")

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        messages.success(self.request, "Your password was changed.")
        return super().form_valid(form)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """The user's tokens; a POST issues one, which this answer alone shows."""
    issued, problem = None, ""
    if request.method == "POST":
        try:
            issued = issue_token(user=_user(request))
        except TooManyTokens as error:
            problem = str(error)
    return render(
        request,
        "accounts/tokens.html",
        {
            "issued": issued,
            "problem": problem,
            "tokens": tokens_of(user=_user(request)),
            "most": MAX_TOKENS,
        },
        status=HTTPStatus.CONFLICT if problem else HTTPStatus.OK,
    )


@login_required
@require_POST
def revoke(request: HttpRequest) -> HttpResponse:
    """Revoke the token that `key` names, if it is the user's."""
    if revoke_token(user=_user(request), key=request.POST.get("key", "")):
        messages.success(request, "The token was revoked. Programs that use it are refused from now on.")
    else:
        messages.error(request, "You have no such token; perhaps it was revoked already.")
    return redirect("tokens")


def _user(request: HttpRequest) -> AbstractBaseUser:
    """Who asks, behind `login_required`."""
    return cast(AbstractBaseUser, request.user)
