"""Who may open a page."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from accounts.models import User


class SignedIn(HttpRequest):
    """A request whose sender is known."""

    user: User
    htmx: HtmxDetails


def signed_in(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Let users in; send others to sign in and then back, or to the offers when they came by a form."""

    @wraps(view)
    def door(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        sign_in = redirect_to_login(reverse("offers") if request.method == "POST" else request.get_full_path())
        # A part of a page cannot hold the sign-in form: the whole page goes there.
        return HttpResponseClientRedirect(sign_in["Location"]) if request.htmx else sign_in  # type: ignore[attr-defined]

    return door
