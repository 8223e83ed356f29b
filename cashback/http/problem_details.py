"""The problem that answers an error: HTTP status and body, as RFC 9457 problem+json."""

from collections.abc import Iterator
from functools import singledispatch
from math import ceil
from typing import Any

from django.core import exceptions as django_errors
from django.db import DataError, InterfaceError, OperationalError
from django.http import BadHeaderError, Http404
from psycopg.errors import QueryCanceled
from rest_framework import exceptions as drf_errors
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cashback.http.problems import PROBLEM_JSON, Problem
from cashback.http.protocol_problems import (
    INVALID,
    METHOD_NOT_ALLOWED,
    NOT_AUTHENTICATED,
    NOT_FOUND,
    PARSE_ERROR,
    PERMISSION_DENIED,
    TOKEN_NOT_VALID,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
)
from kernel import refusal_counts
from kernel.rate_limits import RateLimited
from kernel.refusals import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    PreconditionFailed,
    Refusal,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    Unprocessable,
)
from kernel.transactions import Busy

STATUS: dict[type[Refusal], int] = {
    BadRequest: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    PreconditionFailed: 412,
    Unprocessable: 422,
    TooManyRequests: 429,
    Unavailable: 503,
}


def status_of(refusal: type[Refusal]) -> int:
    """Return the HTTP status of a refusal: that of its category."""
    return next(status for category, status in STATUS.items() if issubclass(refusal, category))


@singledispatch
def problem_for(error: BaseException) -> Problem | None:
    """Return the problem that answers `error`, or None for an unexpected error (500)."""
    return None


@problem_for.register
def refusal_problem(error: Refusal) -> Problem:
    """Return the problem that answers a refusal."""
    return Problem(status_of(type(error)), error.code, error.message, retry_after=error.retry_after, members=error.members)


@problem_for.register
def _(error: drf_errors.APIException) -> Problem:
    code = error.get_codes()
    return Problem(error.status_code, code if isinstance(code, str) else error.default_code, str(error.detail))


@problem_for.register
def _(error: drf_errors.MethodNotAllowed) -> Problem:
    return METHOD_NOT_ALLOWED.problem()


@problem_for.register
def _(error: drf_errors.UnsupportedMediaType) -> Problem:
    return UNSUPPORTED_MEDIA_TYPE.problem()


@problem_for.register
def _(error: drf_errors.ValidationError) -> Problem:
    return invalid_problem(flatten_errors(error.detail))


@problem_for.register
def _(error: drf_errors.AuthenticationFailed) -> Problem:
    return TOKEN_NOT_VALID.problem()


@problem_for.register
def _(error: drf_errors.NotAuthenticated) -> Problem:
    return NOT_AUTHENTICATED.problem()


@problem_for.register
def _(error: drf_errors.Throttled) -> Problem:
    wait = max(1, ceil(getattr(error, "wait", None) or 1))
    return refusal_problem(RateLimited(wait))


@problem_for.register
def _(error: django_errors.ValidationError) -> Problem:
    by_field = error.error_dict if hasattr(error, "error_dict") else {"": error.error_list}
    return invalid_problem(
        field_error("" if field == django_errors.NON_FIELD_ERRORS else field, one.code, message)
        for field, errors in by_field.items()
        for one in errors
        for message in one.messages
    )


@problem_for.register(Http404)
@problem_for.register(drf_errors.NotFound)
def _(error: Exception) -> Problem:
    return NOT_FOUND.problem()


@problem_for.register
def _(error: django_errors.PermissionDenied) -> Problem:
    return PERMISSION_DENIED.problem(str(error))


@problem_for.register(OperationalError)
@problem_for.register(InterfaceError)
def _(error: Exception) -> Problem:
    if isinstance(error.__cause__, QueryCanceled):
        detail = "This took too long and was cancelled. Request less, or try again later."
        return Problem(status_of(Busy), Busy.code, detail, retry_after=3)
    return refusal_problem(Busy())


@problem_for.register(BadHeaderError)
@problem_for.register(DataError)
@problem_for.register(UnicodeError)
@problem_for.register(django_errors.SuspiciousOperation)
def _(error: Exception) -> Problem:
    return INVALID.problem("The request contains a character or a number that is not allowed.")


@problem_for.register
def _(error: django_errors.BadRequest) -> Problem:
    return PARSE_ERROR.problem(str(error))


@problem_for.register
def _(error: django_errors.DisallowedHost) -> Problem:
    return INVALID.problem("This host name is not served here. Use the address that you were given.")


@problem_for.register
def _(error: RecursionError) -> Problem:
    return PARSE_ERROR.problem("The body is nested too deeply. Send the plain fields of this operation.")


@problem_for.register
def _(error: django_errors.RequestDataTooBig) -> Problem:
    return TOO_LARGE.problem()


def invalid_problem(errors: Iterator[dict[str, str]]) -> Problem:
    """Return the problem that lists the errors of fields. An error of the request as a whole has an empty field name."""
    fields = tuple(errors)
    named = ", ".join(dict.fromkeys(error["field"] for error in fields if error["field"]))
    whole = next((error["detail"] for error in fields if not error["field"]), "The request is not valid.")
    return Problem(INVALID.status, INVALID.code, f"Invalid fields: {named}." if named else whole, fields)


def flatten_errors(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Yield one error for each message in DRF's nested details, its path joined by dots."""
    if isinstance(detail, dict):
        for key, inner in detail.items():
            yield from flatten_errors(inner, ".".join(filter(None, [path, "" if key == "non_field_errors" else str(key)])))
    elif isinstance(detail, (list, tuple)):
        for position, inner in enumerate(detail):
            yield from flatten_errors(inner, path if isinstance(inner, str) else f"{path}.{position}".lstrip("."))
    else:
        yield field_error(path, getattr(detail, "code", None), str(detail))


def field_error(field: str, code: str | None, detail: str) -> dict[str, str]:
    """Return one member of `errors`."""
    return {"field": field, "code": code or "invalid", "detail": detail}


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the answer to an error in a view of DRF (its EXCEPTION_HANDLER): JSON, or the browsable page for a browser."""
    found = problem_for(error)
    if found is None:
        return None
    if isinstance(error, (Refusal, drf_errors.Throttled)):
        refusal_counts.count_refusal(found.code)
    request: Request = context["request"]
    if not isinstance(getattr(request, "accepted_renderer", None), BrowsableAPIRenderer):
        request.accepted_renderer, request.accepted_media_type = JSONRenderer(), PROBLEM_JSON
    content_type = PROBLEM_JSON if isinstance(request.accepted_renderer, JSONRenderer) else None
    headers = found.headers
    if "WWW-Authenticate" in headers:
        headers["WWW-Authenticate"] = authentication_challenges(context["view"]) or headers["WWW-Authenticate"]
    return Response(found.body(request.path), found.status, headers=headers, content_type=content_type)


def authentication_challenges(view: APIView) -> str:
    """Return the challenge of each kind of credentials that the view takes (RFC 9110 §11.6.1); "" if it takes none."""
    return ", ".join(filter(None, (each.authenticate_header(view.request) for each in view.get_authenticators())))
