"""The client of a request: its address and device, and whether its user has signed in on this device before.

A device that has signed in keeps a signed token for a year: a cookie in a browser, the header `Device-Token` in an app. It
names the email by its digest and gives the device limits of its own (accounts.throttles), so that wrong guesses by others do
not keep its owner out: OWASP's "device cookies".
"""

import secrets
from typing import Any

from django.core import signing
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request

from accounts.audit import email_digest
from accounts.devices import Client
from accounts.models import MAX_USER_AGENT
from kernel.client_address import client_ip

COOKIE, HEADER = "device", "Device-Token"
DEVICE_SECONDS = 365 * 24 * 3600
SIGNER = signing.TimestampSigner(salt="accounts.clients.device")


def client_of(request: HttpRequest | Request) -> Client:
    """Return the client of a request."""
    user_agent = "".join(letter for letter in request.META.get("HTTP_USER_AGENT", "") if letter.isprintable())
    return Client(client_ip(request), user_agent[:MAX_USER_AGENT])


def issue_device_token(email: str) -> str:
    """Return a token for a device on which the owner of this email has just signed in."""
    return SIGNER.sign(f"{email_digest(email)}.{secrets.token_hex(8)}")


def known_device(request: HttpRequest | Request, email: str) -> str | None:
    """Return the id of the request's device if this email has signed in on it within a year, else None."""
    token = request.headers.get(HEADER) or request.COOKIES.get(COOKIE, "")
    try:
        digest, _dot, device = SIGNER.unsign(token, max_age=DEVICE_SECONDS).partition(".")
    except signing.BadSignature:
        return None
    return device if secrets.compare_digest(digest, email_digest(email)) else None


def remember_device(request: HttpRequest, email: str) -> None:
    """Note that this email has signed in, so that the response gives the browser its token (set_device_cookie)."""
    request.signed_in_email = email  # type: ignore[attr-defined]


def set_device_cookie(request: HttpRequest, response: HttpResponse, **options: Any) -> None:
    """Give the browser a token if someone has just signed in with it."""
    if email := getattr(request, "signed_in_email", None):
        response.set_cookie(COOKIE, issue_device_token(email), max_age=DEVICE_SECONDS, httponly=True, samesite="Lax", **options)
