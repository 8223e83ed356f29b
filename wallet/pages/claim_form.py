"""Claims by form: the claim, its outcome in the user's words, and the response with or without htmx."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
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
from wallet.actions.claim_decisions import NotYetClaimable, PeriodLimitReached, SoldOutUntil
from wallet.ledger.idempotency import KEY_PATTERN
from wallet.pages.auth import SignedInRequest, signed_in
from wallet.pages.dates import format_moment
from wallet.pages.page_parts import ShownOffer, ShownParts, balance_in, renewed_parts

KEY = re.compile(KEY_PATTERN)

# Title and text of a refusal, by its code: what happened, and what to do next.
REFUSAL_MESSAGES = {
    "asset_already_claimed": (
        _("Just claimed by someone else"),
        _("Someone else claimed this credit first. Choose another one."),
    ),
    "asset_expired": (_("Expired"), _("This credit has expired and can no longer be claimed. Choose another one.")),
    "not_found": (_("No longer available"), _("This offer was withdrawn. See what's on offer now.")),
    "pool_sold_out": (_("Fully claimed"), _("The last credit in this pool was just claimed. See the other pools.")),
    "pool_closed": (_("Closed"), _("This pool isn't open for claims right now. See the other pools.")),
    "claim_limit_reached": (_("Limit reached"), _("You've reached the limit for this offer. See the other pools.")),
    "asset_not_yet_claimable": (_("Not yet"), _("This credit can't be claimed yet.")),
    "email_not_verified": (
        _("Confirm your email first"),
        _("Open the link that we sent you, or send it again from your account page. Then claim."),
    ),
    "never_spendable": (
        _("Can't be used"),
        _("This credit would expire before you could use it. Choose another one."),
    ),
    "busy": (_("Very busy"), _("Many people are claiming right now. Try again; you can't claim twice by accident.")),
    "request_in_progress": (
        _("One moment"),
        _("We're still processing your first tap. You won't get it twice."),
    ),
    "idempotency_key_reused": (_("Already used"), _("This form was already used. Claim again if you want another credit.")),
    "idempotency_key_required": (_("Nothing was claimed"), _("The form was incomplete. This page is up to date; claim again.")),
}


class FormIncomplete(BadRequest):
    code = "idempotency_key_required"
    meaning = gettext_noop("A claim form was sent without its key.")
    detail = gettext_noop("This form was incomplete. Reload the page and try again.")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a claim in the user's words. With `wait`, the same form may be sent again after that many seconds."""

    level: int
    title: str
    text: str = ""
    status: int = 200
    wait: int | None = None
    receipt: dict[str, Any] | None = None
    balance: Decimal | None = None  # after the claim, in the receipt's currency

    @property
    def claimed_offer(self) -> ShownOffer | None:
        """Return the offer of the claimed credit, to be claimed again through its pool."""
        return ShownOffer(UUID(self.receipt["asset"]), through_pool=True) if self.receipt else None

    @property
    def tone(self) -> str:
        """Return the style of the message: success, info or warning."""
        return messages.DEFAULT_TAGS[self.level]


def claim_view(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponseBase]:
    """Accept a claim by POST from a signed-in user; respond 405 to any other method."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST":
            return signed_in(view)(request, *args, **kwargs)
        page = render(request, "405.html")
        return HttpResponseNotAllowed(["POST"], page.content)

    return wrapper


def form_key(request: HttpRequest) -> str:
    """Return the form's idempotency key; raise FormIncomplete when it is missing or malformed."""
    key = request.POST.get("key", "")
    if not KEY.fullmatch(key):
        raise FormIncomplete
    return key


def claim_response_page(request: SignedInRequest, claim: Callable[[], Claim], target: ShownOffer | None = None) -> HttpResponse:
    """Make the claim and return its outcome: as a fragment for htmx, or as a page.

    Arguments:
        claim: calls the action.
        target: the offer whose place on the page the outcome takes, unless the form's field `row` names another.
    """
    outcome = attempt_claim(request, claim)
    if request.htmx:
        row = ShownOffer.parse(request.POST.get("row", ""))
        return render_in_place(request, outcome, row or target or outcome.claimed_offer)
    if outcome.wait:
        return render_try_again(request, outcome)
    messages.add_message(request, outcome.level, render_to_string("pages/_message.html", {"outcome": outcome}))
    return redirect(return_url(request))


def attempt_claim(request: SignedInRequest, claim: Callable[[], Claim]) -> Outcome:
    """Check the rate limit, make the claim, and return its outcome."""
    try:
        throttles.check_claim(request.user)
        result = claim()
    except Refusal as refusal:
        refusal_counts.count_refusal(refusal.code)
        return refusal_outcome(refusal)
    receipt = result.receipt | {"pk": UUID(result.receipt["id"]), "value": Decimal(result.receipt["amount"])}
    if result.status_code == 201 and not result.replayed:
        balance = balance_in(request.user, receipt["currency"])
        return Outcome(messages.SUCCESS, gettext("Claimed"), receipt=receipt, balance=balance)
    return Outcome(messages.INFO, gettext("Already yours"), receipt=receipt)


def refusal_outcome(refusal: Refusal) -> Outcome:
    """Return the outcome of a refusal. A temporary refusal has the seconds to wait."""
    wait = refusal.retry_after
    if refusal.code == "rate_limited" and wait:
        text = gettext("Please wait %(time)s, then try again.") % {"time": format_wait(wait)}
        return Outcome(messages.WARNING, gettext("Too many attempts"), text, 429, wait)
    title, message = REFUSAL_MESSAGES.get(refusal.code, (_("Nothing was claimed"), refusal.message))
    if isinstance(refusal, (NotYetClaimable, PeriodLimitReached, SoldOutUntil)):
        message = gettext("You can claim from %(time)s on.") % {"time": format_moment(refusal.next_claim_at)}
    return Outcome(messages.WARNING, str(title), str(message), 503 if wait else 200, wait)


def render_in_place(request: SignedInRequest, outcome: Outcome, target: ShownOffer | None) -> HttpResponse:
    """Return the outcome in the place of the claimed offer, the text for screen readers, and all renewed parts of the page."""
    context = {"outcome": outcome, "key": request.POST.get("key", ""), "action": request.path, "back": return_url(request)}
    context["row"] = request.POST.get("row", "")
    parts = {} if outcome.wait else renewed_parts(ShownParts.of(request), target, request.user)
    return set_retry_after(render(request, "pages/_outcome.html", context | parts, status=outcome.status), outcome)


def render_try_again(request: SignedInRequest, outcome: Outcome) -> HttpResponse:
    """Return a page with the same form and key, so that the claim is made at most once."""
    context = {"outcome": outcome, "key": request.POST.get("key", ""), "back": return_url(request)}
    return set_retry_after(render(request, "pages/try_again.html", context, status=outcome.status), outcome)


def set_retry_after(page: HttpResponse, outcome: Outcome) -> HttpResponse:
    """Set the header Retry-After when the outcome has a wait."""
    if outcome.wait:
        page["Retry-After"] = str(outcome.wait)
    return page


def return_url(request: HttpRequest) -> str:
    """Return the URL of our page that the form was on, or of the offers."""
    back = request.POST.get("back", "")
    is_ours = back.startswith("/") and url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return back if is_ours else reverse("offers")
