"""A claim by form: what the page says when it was done, and when it was not."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render

from accounts import throttles
from accounts.refusals import Refusal
from wallet.claims import Claim
from wallet.pages.people import SignedIn, signed_in

KEY = re.compile(r"[A-Za-z0-9_-]{16,64}")

# Where the act speaks to programmers, the page says it in a visitor's words; `message` stands for the rest.
WORDS = {
    "busy": "Too many people are claiming at this moment. Try again in a second: you will not be given two.",
    "request_in_progress": "Your first tap is still being worked on. Try again in a second: you will not be given two.",
    "idempotency_key_reused": "This form was used before. Here is a fresh page: claim again if you want another credit.",
    "pool_closed": "This pool is not open for claims now. Look at the other pools.",
}


class FormIncomplete(Refusal):
    """The form came without the key that every pool's form carries."""

    code = "idempotency_key_required"
    detail = "This form was incomplete. Here is a fresh page: please claim again."


def claim_door(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Take a claim by POST from a signed-in user; answer anything else 405."""

    @wraps(view)
    def door(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "POST":
            return signed_in(view)(request, *args, **kwargs)
        page = render(request, "405.html")
        return HttpResponseNotAllowed(["POST"], page.content)

    return door


def form_key(request: HttpRequest) -> str:
    """Return the key that the form carries; raise FormIncomplete when it is none."""
    key = request.POST.get("key", "")
    if not KEY.fullmatch(key):
        raise FormIncomplete
    return key


def answer(request: SignedIn, claim: Callable[[], Claim]) -> HttpResponse:
    """Make the claim and go to the dashboard with a message, or offer the very same form again when it may help."""
    try:
        throttles.check("claim", f"user:{request.user.pk}")
        done = claim()
    except Refusal as refusal:
        text = WORDS.get(refusal.code, refusal.message)
        if refusal.retry_after:
            return try_again(request, text, refusal)
        messages.warning(request, text)
    else:
        say(request, done)
    return redirect("dashboard")


def say(request: HttpRequest, done: Claim) -> None:
    """Tell the user what they hold."""
    what = "{title}: {amount} {currency}".format(**done.receipt)
    if done.status_code == 201 and not done.replayed:
        messages.success(request, f"Claimed. {what} is in your balance now.")
    else:
        messages.info(request, f"{what} is already yours: you claimed it before, and it counts once.")


def try_again(request: HttpRequest, text: str, refusal: Refusal) -> HttpResponse:
    """Offer the same form with the same key: whatever became of the first try, it is done once."""
    status = 429 if refusal.code == "rate_limited" else 503
    page = render(request, "pages/try_again.html", {"text": text, "key": request.POST.get("key", "")}, status=status)
    page["Retry-After"] = str(refusal.retry_after)
    return page
