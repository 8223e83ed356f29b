"""What is recorded of each request: its id, its duration in the metrics and, with LOG_FORMAT=json, a line of the access log."""

import logging
from collections.abc import Callable
from functools import cache
from time import perf_counter
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject
from prometheus_client import Histogram

from kernel.metrics import REGISTRY
from kernel.request_id import REQUEST_ID_HEADER, choose_request_id, current_request_id

Handler = Callable[[HttpRequest], HttpResponse]

log = logging.getLogger("cashback.access")
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
DURATIONS = Histogram(
    "cashback_http_request_duration_seconds",
    "Time until the response is complete, or until its first part if it is streamed.",
    ["route", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)


class RequestMiddleware:
    """Gives each request its id, measures it, and writes the access log."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        self.writes_log = settings.LOG_FORMAT == "json"

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response, with the id of the request in its header."""
        started = perf_counter()
        request_id = choose_request_id(request.META.get("HTTP_X_REQUEST_ID"))
        token = current_request_id.set(request_id)
        request.request_id = request_id  # type: ignore[attr-defined]  # for what Django logs after this middleware
        try:
            answer = self.get_response(request)
            answer.headers[REQUEST_ID_HEADER] = request_id
            seconds = perf_counter() - started
            method = request.method if request.method in METHODS else "other"
            duration_metric(route_of(request), method, answer.status_code // 100).observe(seconds)
            if self.writes_log:
                log_request(request, answer, seconds)
        finally:
            current_request_id.reset(token)
        return answer


@cache
def duration_metric(route: str, method: str, status_class: int) -> Histogram:
    """Return the child metric of these labels, of which there must be few: each is kept."""
    return DURATIONS.labels(route, method, f"{status_class}xx")


def route_of(request: HttpRequest) -> str:
    """Return the name of the request's URL pattern, never its path: "static" and "unmatched" if there is none."""
    match = request.resolver_match
    if match is not None:
        return match.view_name
    return "static" if request.path_info.startswith(settings.STATIC_URL) else "unmatched"


def log_request(request: HttpRequest, answer: HttpResponse, seconds: float) -> None:
    """Write one line about a request. Paths and queries may hold secrets, so the line has the route only."""
    fields: dict[str, Any] = {
        "method": request.method,
        "route": route_of(request),
        "status": answer.status_code,
        "milliseconds": round(seconds * 1000, 1),
        "user": user_id(request),
    }
    log.info("request", extra={"fields": fields})


def user_id(request: HttpRequest) -> str | None:
    """Return the id of the authenticated user, or None; a session's user that the view did not read is not read here."""
    user = getattr(request, "_cached_user", None) or request.__dict__.get("user")
    pk = None if type(user) is SimpleLazyObject else getattr(user, "pk", None)
    return str(pk) if pk else None
