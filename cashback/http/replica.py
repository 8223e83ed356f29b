"""Offers the replica to requests that only read, with the position of their sender's last write.

A browser carries the position in a cookie. A caller of the API carries it in a header: who sends it gets the new position with
each write, and who does not is served by the primary alone.
"""

import logging
import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse

from cashback.http.session_middleware import has_credentials
from kernel import replicas
from kernel.fallbacks import Fallback

log = logging.getLogger(__name__)
COOKIE, HEADER = "wallet_position", "X-Wallet-Position"
UNKNOWN = "unknown"  # a position that is not one: its sender reads from the primary
POSITION = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}")
NOT_READ = Fallback("replica.position_not_read", "the position of a write was not read; its sender reads from the primary", log)


class ReplicaMiddleware:
    """Offers the replica to GET and HEAD, and adds the position to the response to everything else."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response; that of the primary if the replica fails meanwhile."""
        if request.method in ("OPTIONS", "TRACE"):
            return self.get_response(request)
        if request.method not in ("GET", "HEAD"):
            response = self.get_response(request)
            add_position(request, response)
            return response
        position = position_of(request)
        if position is None:
            return self.get_response(request)
        with replicas.offering(position) as offer:
            response = self.get_response(request)
            if not offer.failed:
                return response
            replicas.FAILED.record()
            response.close()
            return self.get_response(fresh_request(request))


def fresh_request(request: Any) -> HttpRequest:
    """Return the request as it was before any view or middleware changed it."""
    fresh: HttpRequest = type(request)(request.environ)
    fresh.request_id = getattr(request, "request_id", None)  # type: ignore[attr-defined]
    return fresh


def position_of(request: HttpRequest) -> str | None:
    """Return the position of the sender's last write; None if the request is for the primary."""
    is_call = has_credentials(request)
    position = request.headers.get(HEADER, UNKNOWN) if is_call else request.COOKIES.get(COOKIE, replicas.START)
    return position if POSITION.fullmatch(position) else None


def add_position(request: HttpRequest, response: HttpResponse) -> None:
    """Add the position after a write: to a browser's cookies, and to the header for callers who sent one."""
    is_call = has_credentials(request)
    if is_call and HEADER not in request.headers:
        return
    try:
        position = replicas.position_batcher.submit(None)
    except (DatabaseError, InterfaceError):
        NOT_READ.record()
        position = UNKNOWN
    if is_call:
        response.headers[HEADER] = position
    else:
        response.set_cookie(COOKIE, position, httponly=True, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE)
