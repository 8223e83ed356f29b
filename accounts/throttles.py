"""Rate limits per user, email and address of claims, sign-ins, registrations and password changes.

Counting is django-ratelimit's (kernel.rate_limits), without its decorators: those run before DRF's authentication and do not
read JSON. Interfaces call these functions after authentication; no count needs SQL.
"""

from typing import Any, cast

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts import audit
from accounts.models import User
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
    """Count one claim for the user, from any address."""
    check_rate("claim", f"user:{user.pk}")


def check_sign_in(request: HttpRequest | Request, email: str) -> None:
    """Count one sign-in for the client's address, then for the email at this address. Call it before hashing the password.

    Other addresses are not counted, so that nobody can use up the attempts of another user's email.
    """
    client = client_identity(request)
    check_rate("sign_in", client, f"{email_identity(email)},{client}")


def check_password_change(request: HttpRequest | Request, user: User) -> None:
    """Count one check of the user's current password from this address, limited like sign-in. Call it before hashing."""
    check_rate("sign_in", f"user:{user.pk},{client_identity(request)}")


def count_wrong_password(email: str) -> None:
    """Count one wrong password for the email, from any address; raise RateLimited if there were too many.

    Call it after a wrong password: a correct one is never refused because of other clients' attempts.
    """
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
