"""Rate limits per user, email and address of claims, sign-ins, registrations and password changes.

Counting is django-ratelimit's (kernel.rate_limits), without its decorators: those run before DRF's authentication and do not
read JSON. Interfaces call these functions after authentication; no count needs SQL.
"""

from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts import audit
from accounts.clients import known_device
from accounts.email_links import EmailNotVerified
from accounts.models import User
from accounts.service_authentication import ServiceCaller
from kernel.client_address import client_identity
from kernel.rate_limits import RateLimited, seconds_to_wait


def check_rate(action: str, *identities: str) -> None:
    """Count one attempt of `action` (a name in settings.RATES) for each identity in order.

    Raises RateLimited at the first identity over its limit; the attempt is not counted for later identities.
    """
    for identity in identities:
        if wait := seconds_to_wait(action, identity):
            audit.record_event("limit", "refused", action=action, counted=identity)
            raise RateLimited(wait)


def check_claim(user: User) -> None:
    """Count one claim for the user, from any address. Raises EmailNotVerified where users must verify their email first."""
    if settings.REQUIRE_VERIFIED_EMAIL and user.email_verified_at is None:
        raise EmailNotVerified
    check_rate("claim", f"user:{user.pk}")


def check_sign_in(request: HttpRequest | Request, email: str) -> None:
    """Count one sign-in for the client's address, then for the email at this address. Call it before hashing the password.

    Other addresses are not counted, so that nobody can use up the attempts of another user's email. A device on which this
    email has signed in has a limit of its own: others at its address use up none of its attempts.
    """
    if device := known_device(request, email):
        check_rate("sign_in", f"device:{device}")
    else:
        client = client_identity(request)
        check_rate("sign_in", client, f"{email_identity(email)},{client}")


def check_password_change(request: HttpRequest | Request, user: User) -> None:
    """Count one check of the user's current password from this device or address, limited like sign-in, before hashing."""
    where = known_device(request, user.email) or client_identity(request)
    check_rate("sign_in", f"user:{user.pk},{where}")


def check_link_request(request: HttpRequest | Request, email: str) -> None:
    """Count one request of a link by email for the client's address, then for the mailbox, known or not."""
    check_rate("email_link_request", client_identity(request))
    check_rate("email_link", email_identity(email))


def count_wrong_password(email: str, device: str | None = None) -> None:
    """Count one wrong password for the email, from any address; raise RateLimited if there were too many.

    Call it after a wrong password: a correct one is never refused because of other clients' attempts. On a known `device` it
    does nothing: its owner, who mistyped, does not wait because of others.
    """
    if device is None:
        check_rate("wrong_password", email_identity(email))


def check_registration(request: HttpRequest | Request) -> None:
    """Count one registration for the client's address. Call it before hashing the password."""
    check_rate("register", client_identity(request))


def email_identity(email: str) -> str:
    """Return the identity of a normalised email, as a digest, because operators can see the counters' keys."""
    return f"email:{audit.email_digest(email)}"


class ClaimThrottle(BaseThrottle):
    """Limits claims per user (RATE_CLAIM), counted after authentication."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count one claim and return True; raise RateLimited, which has the Retry-After."""
        check_claim(cast(User, request.user))
        return True


class CallerThrottle(BaseThrottle):
    """Limits an action per user by one rate, and per service by another."""

    rate: str  # a name in settings.RATES; that of services begins with service_

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count one request and return True; raise RateLimited, which has the Retry-After."""
        caller: Any = request.user
        if isinstance(caller, ServiceCaller):
            check_rate(f"service_{self.rate}", f"service:{caller.pk}")
        else:
            check_rate(self.rate, f"user:{caller.pk}")
        return True


class QuoteThrottle(CallerThrottle):
    """Limits quotes (RATE_QUOTE, RATE_SERVICE_QUOTE)."""

    rate = "quote"


class FeedThrottle(CallerThrottle):
    """Limits pages of the feed of events (RATE_FEED, RATE_SERVICE_FEED)."""

    rate = "feed"


class PaymentThrottle(CallerThrottle):
    """Limits whatever changes a payment or a credit (RATE_PAYMENT, RATE_SERVICE_PAYMENT)."""

    rate = "payment"
