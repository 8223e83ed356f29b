"""A claim by form: what the page says when it was done, and when it was not."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from accounts import throttles
from kernel import refusal_counts
from kernel.rate_limits import format_wait
from kernel.refusals import BadRequest, Refusal
from wallet.actions.claim_batch import Claim
from wallet.ledger.idempotency import KEY_PATTERN
from wallet.pages.auth import SignedIn, signed_in

KEY = re.compile(KEY_PATTERN)

# What a visitor is told, by the refusal's code: what happened, and what to do next.
WORDS = {
    "asset_already_claimed": (_("Gone a moment ago"), _("Somebody else claimed this credit first. Choose another one.")),
    "asset_expired": (_("Too late"), _("This credit has ended and cannot be claimed any more. Choose another one.")),
    "not_found": (_("No longer on offer"), _("It was taken back. Look at what is on offer now.")),
    "pool_sold_out": (_("All gone"), _("The last credit of this pool was just claimed. Look at the other pools.")),
    "pool_closed": (_("Closed"), _("This pool is not open for claims now. Look at the other pools.")),
    "claim_limit_reached": (_("Limit reached"), _("You hold all that this pool allows one person. Look at the other pools.")),
    "busy": (_("Very busy"), _("Many people are claiming at this moment. Try again: you will not be given two.")),
    "request_in_progress": (
        _("One moment"),
        _("Your first tap is still at work. Try again: you will not be given two."),
    ),
    "idempotency_key_reused": (_("Used before"), _("This form was used before. Claim again if you want another credit.")),
    "idempotency_key_required": (_("Nothing was claimed"), _("The form was incomplete. Here is a fresh page: claim again.")),
}


class FormIncomplete(BadRequest):
    code = "idempotency_key_required"
    meaning = gettext_noop("A claim form was sent without its key.")
    detail = gettext_noop("This form was incomplete. Reload the page and try again.")


@dataclass(frozen=True)
class Outcome:
    """What a tap came to, in a visitor's words. With `wait` the same form may be sent again after so many seconds."""

    level: int
    title: str
    text: str = ""
    status: int = 200
    wait: int | None = None
    receipt: dict[str, Any] | None = None

    @property
    def tone(self) -> str:
        """Return how it looks: success, info or warning."""
        return messages.DEFAULT_TAGS[self.level]


def claim_view(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
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


def claim_response_page(request: SignedIn, claim: Callable[[], Claim], rest: Callable[[], dict[str, Any]]) -> HttpResponse:
    """Make the claim and say what it came to: in place, or with a page.

    Arguments:
        claim: the one call into the act.
        rest: looks up what may be claimed next in the same place.
    """
    outcome = attempt_claim(request, claim)
    if request.htmx:
        return in_place(request, outcome, rest)
    if outcome.wait:
        return try_again(request, outcome)
    messages.add_message(request, outcome.level, render_to_string("pages/_message.html", {"outcome": outcome}))
    return redirect(way_back(request))


def attempt_claim(request: SignedIn, claim: Callable[[], Claim]) -> Outcome:
    """Count the try, make the claim, and return what it came to."""
    try:
        throttles.check_rate("claim", f"user:{request.user.pk}")
        done = claim()
    except Refusal as refusal:
        refusal_counts.count_refusal(refusal.code)
        return refusal_outcome(refusal)
    receipt = done.receipt | {"pk": UUID(done.receipt["id"]), "value": Decimal(done.receipt["amount"])}
    if done.status_code == 201 and not done.replayed:
        return Outcome(messages.SUCCESS, gettext("Claimed"), receipt=receipt)
    return Outcome(messages.INFO, gettext("Already yours"), receipt=receipt)


def refusal_outcome(refusal: Refusal) -> Outcome:
    """Return a refusal in a visitor's words; one that passes with time carries how long to wait."""
    wait = refusal.retry_after
    if refusal.code == "rate_limited" and wait:
        text = gettext("Wait %(time)s and try again: nothing is lost.") % {"time": format_wait(wait)}
        return Outcome(messages.WARNING, gettext("Too many tries"), text, 429, wait)
    title, said = WORDS.get(refusal.code, (_("Nothing was claimed"), refusal.message))
    return Outcome(messages.WARNING, str(title), str(said), 503 if wait else 200, wait)


def in_place(request: SignedIn, outcome: Outcome, rest: Callable[[], dict[str, Any]]) -> HttpResponse:
    """Answer with what takes the offer's place on the page, and with what a screen reader says."""
    context = {"outcome": outcome, "key": request.POST.get("key", ""), "action": request.path, "back": way_back(request)}
    found = {} if outcome.wait else rest()
    return set_retry_after(render(request, "pages/_outcome.html", context | found, status=outcome.status), outcome)


def try_again(request: SignedIn, outcome: Outcome) -> HttpResponse:
    """Offer the same form with the same key: whatever became of the first try, it is done once."""
    context = {"outcome": outcome, "key": request.POST.get("key", ""), "back": way_back(request)}
    return set_retry_after(render(request, "pages/try_again.html", context, status=outcome.status), outcome)


def set_retry_after(page: HttpResponse, outcome: Outcome) -> HttpResponse:
    """Tell browsers too how long to wait."""
    if outcome.wait:
        page["Retry-After"] = str(outcome.wait)
    return page


def way_back(request: HttpRequest) -> str:
    """Return the page of ours that the form was on, or the offers."""
    back = request.POST.get("back", "")
    ours = back.startswith("/") and url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return back if ours else reverse("offers")
