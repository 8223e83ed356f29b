"""How often one person or one address may ask; counted by django-ratelimit, never by a decorator of it.

Its decorators run before DRF knows who asks, and do not see JSON. Here an identity is a string that the door gives after
authentication, and a count costs no SQL.
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
    """Count one try of `action` (a name in settings.RATES) for each identity in turn.

    Raises RateLimited at the first identity that is over its limit: a refused try is charged to none that comes after it.
    """
    for identity in identities:
        if wait := seconds_to_wait(action, identity):
            audit.record_event("limit", "refused", action=action, counted=identity)
            raise RateLimited(wait)


def check_claim(user: User) -> None:
    """Count one claim for the user, wherever they ask from."""
    check_rate("claim", f"user:{user.pk}")


def check_sign_in(request: HttpRequest | Request, email: str) -> None:
    """Count one sign-in for the caller's address, then for the email at this address. Call it before hashing a password.

    Nobody at another address is charged, so that nobody can use up the tries of an email that is not theirs.
    """
    caller = client_identity(request)
    check_rate("sign_in", caller, f"{email_identity(email)},{caller}")


def check_password_change(request: HttpRequest | Request, user: User) -> None:
    """Count one guess at the user's present password at this address, limited as sign-in is. Call it before hashing."""
    check_rate("sign_in", f"user:{user.pk},{client_identity(request)}")


def count_wrong_password(email: str) -> None:
    """Count one wrong password for the email, from whatever address; raise RateLimited when there were too many.

    Call it after the password was found wrong: a right one is never refused for what others tried.
    """
    check_rate("wrong_password", email_identity(email))


def check_registration(request: HttpRequest | Request) -> None:
    """Count one registration for the caller's address. Call it before any password is hashed."""
    check_rate("register", client_identity(request))


def email_identity(email: str) -> str:
    """Return the same identity for an email however it is typed, and not the email itself: keys are seen by operators."""
    return f"email:{audit.email_digest(email)}"


class ClaimThrottle(BaseThrottle):
    """Lets one user claim so many times a minute (RATE_CLAIM); counted after authentication, per user and not per address."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count this claim; the refusal is raised, with its Retry-After."""
        check_claim(cast(User, request.user))
        return True
