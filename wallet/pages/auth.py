"""Sign-in requirement of the pages."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from accounts.models import User


class SignedInRequest(HttpRequest):
    """A request of a signed-in user."""

    user: User
    htmx: HtmxDetails


def signed_in(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Require sign-in. Afterwards the user returns to the page, or to the offers after a form."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        sign_in = redirect_to_login(reverse("offers") if request.method == "POST" else request.get_full_path())
        # htmx would put the sign-in form into a part of the page, so redirect the whole page.
        return HttpResponseClientRedirect(sign_in["Location"]) if request.htmx else sign_in  # type: ignore[attr-defined]

    return wrapper
