"""One table from what went wrong to what HTTP says of it, as RFC 9457 problem+json."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import singledispatch
from http import HTTPStatus
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

from accounts.password_hashing import HashingBusy
from accounts.registration import EmailTaken
from accounts.tokens import BadCredentials, TokenNotValid, TokenReused
from kernel import refusal_counts
from kernel.file_download import FileTooLarge
from kernel.rate_limits import RateLimited
from kernel.refusals import Refusal
from kernel.slots import ReadsBusy
from kernel.transactions import Busy
from wallet.actions.claim_decisions import AssetAlreadyClaimed, ClaimLimitReached, PoolClosed, PoolSoldOut
from wallet.actions.edit_asset import AlreadyRecreated, AssetNotAvailable, AssetNotExpired
from wallet.actions.import_csv import FileChanged, FileEmpty, FileRefused, TooManyKinds
from wallet.admin.export import ExportTooLong
from wallet.api.idempotency import IdempotencyKeyRequired
from wallet.assets.models import AssetExpired, AssetNotFound, PoolNotFound
from wallet.ledger.idempotency import IdempotencyKeyReused, RequestInProgress
from wallet.pages.claim_form import FormIncomplete
from wallet.queries.inclusion_proof import NotSealedYet

STATUS: dict[type[Refusal], int] = {
    FileChanged: 400,
    FileEmpty: 400,
    FileRefused: 400,
    FileTooLarge: 400,
    FormIncomplete: 400,
    IdempotencyKeyRequired: 400,
    ExportTooLong: 400,
    TooManyKinds: 400,
    BadCredentials: 401,
    TokenNotValid: 401,
    TokenReused: 401,
    AssetNotFound: 404,
    PoolNotFound: 404,
    AssetAlreadyClaimed: 409,
    AssetExpired: 409,
    AssetNotAvailable: 409,
    AssetNotExpired: 409,
    AlreadyRecreated: 409,
    PoolSoldOut: 409,
    PoolClosed: 409,
    ClaimLimitReached: 409,
    EmailTaken: 409,
    NotSealedYet: 409,
    RequestInProgress: 409,
    IdempotencyKeyReused: 422,
    RateLimited: 429,
    Busy: 503,
    HashingBusy: 503,
    ReadsBusy: 503,
}
PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True)
class Problem:
    """What one error comes to: status, stable code, a sentence for people, and what is wrong with which field."""

    status: int
    code: str
    detail: str
    fields: tuple[dict[str, str], ...] = ()
    retry_after: int | None = None

    def body(self, path: str) -> dict[str, Any]:
        """Return the problem in the members of RFC 9457, plus `code` and, for fields, `errors`."""
        title = HTTPStatus(self.status).phrase
        members = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail, "code": self.code}
        return {**members, "instance": path, **({"errors": list(self.fields)} if self.fields else {})}

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that the status asks for."""
        wait = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        return wait | ({"WWW-Authenticate": 'Bearer realm="api"'} if self.status == 401 else {})


INTERNAL = Problem(500, "internal_error", "Something broke on our side; it has been written down. Try again later.")
NOT_FOUND = Problem(404, "not_found", "There is nothing here that you may see. Check the address.")


def status_of(refusal: type[Refusal]) -> int:
    """Return the HTTP status of a kind of refusal: its own row of the table, or its nearest parent's."""
    return next(STATUS[kind] for kind in refusal.__mro__ if kind in STATUS)


@singledispatch
def problem_for(error: BaseException) -> Problem | None:
    """Return what to tell the caller about `error`; None when it is nobody's but ours (500)."""
    return None


@problem_for.register
def _(error: Refusal) -> Problem:
    return Problem(status_of(type(error)), error.code, error.message, retry_after=error.retry_after)


@problem_for.register
def _(error: drf_errors.APIException) -> Problem:
    code = error.get_codes()
    return Problem(error.status_code, code if isinstance(code, str) else error.default_code, str(error.detail))


@problem_for.register
def _(error: drf_errors.ValidationError) -> Problem:
    return invalid_problem(flatten_errors(error.detail))


@problem_for.register
def _(error: drf_errors.AuthenticationFailed) -> Problem:
    return Problem(401, "token_not_valid", "The token is not valid or has ended. Refresh it or sign in again.")


@problem_for.register
def _(error: drf_errors.NotAuthenticated) -> Problem:
    return Problem(401, "not_authenticated", "Sign in first: send an access token as 'Authorization: Bearer …'.")


@problem_for.register
def _(error: drf_errors.Throttled) -> Problem:
    wait = max(1, ceil(getattr(error, "wait", None) or 1))
    return Problem(429, RateLimited.code, RateLimited(wait).message, retry_after=wait)


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
    return NOT_FOUND


@problem_for.register
def _(error: django_errors.PermissionDenied) -> Problem:
    return Problem(403, "permission_denied", str(error) or "You may not do this.")


@problem_for.register(OperationalError)
@problem_for.register(InterfaceError)
def _(error: Exception) -> Problem:
    if isinstance(error.__cause__, QueryCanceled):
        return Problem(503, Busy.code, "This took too long and was ended. Ask for less, or again later.", retry_after=3)
    return Problem(503, Busy.code, Busy.detail, retry_after=Busy.retry_after)


@problem_for.register(BadHeaderError)
@problem_for.register(DataError)
@problem_for.register(UnicodeError)
@problem_for.register(django_errors.SuspiciousOperation)
def _(error: Exception) -> Problem:
    return Problem(400, "invalid", "A value in the request cannot be used: a character or a number that does not exist here.")


@problem_for.register
def _(error: django_errors.BadRequest) -> Problem:
    return Problem(400, "parse_error", str(error))


@problem_for.register
def _(error: django_errors.DisallowedHost) -> Problem:
    return Problem(400, "invalid", "This host name is not served here. Ask under the address you were given.")


@problem_for.register
def _(error: RecursionError) -> Problem:
    return Problem(400, "parse_error", "The body is nested too deeply. Send the plain fields of this call.")


@problem_for.register
def _(error: django_errors.RequestDataTooBig) -> Problem:
    return Problem(413, "too_large", "The body is larger than 64 kB. Send less at a time.")


def invalid_problem(errors: Iterator[dict[str, str]]) -> Problem:
    """Return the 400 that names each field; a field's name is empty where the whole body is meant."""
    fields = tuple(errors)
    named = ", ".join(dict.fromkeys(error["field"] for error in fields if error["field"]))
    whole = next((error["detail"] for error in fields if not error["field"]), "The request is not valid.")
    return Problem(400, "invalid", f"Correct these fields and send it again: {named}." if named else whole, fields)


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
    """Answer for DRF (its EXCEPTION_HANDLER): the problem in JSON, or in the browsable page for a browser."""
    found = problem_for(error)
    if found is None:
        return None
    if isinstance(error, (Refusal, drf_errors.Throttled)):
        refusal_counts.count_refusal(found.code)
    request: Request = context["request"]
    if not isinstance(getattr(request, "accepted_renderer", None), BrowsableAPIRenderer):
        request.accepted_renderer, request.accepted_media_type = JSONRenderer(), PROBLEM_JSON
    content_type = PROBLEM_JSON if isinstance(request.accepted_renderer, JSONRenderer) else None
    return Response(found.body(request.path), found.status, headers=found.headers, content_type=content_type)
