"""Problem responses for every kind of error."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core import exceptions as django_errors
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404
from django.test import Client
from rest_framework import exceptions as drf_errors

from accounts import tokens
from accounts.models import User
from cashback.http.problem_details import status_of
from kernel.refusals import all_refusals
from wallet.actions.claim_decisions import PoolSoldOut

Ask = Callable[..., Any]
SECRET = "select password from accounts_user"
MEMBERS = {"type", "title", "status", "detail", "code", "instance", "request_id"}


def is_a_problem(answer: Any, status: int, code: str, more: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Assert the shape that every error has, and return its body."""
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert answer["Content-Type"] == "application/problem+json"
    assert set(body) == MEMBERS | more
    assert body["instance"] == answer.wsgi_request.path
    assert body["request_id"] == answer["X-Request-ID"]
    assert body["detail"].endswith(".")
    assert body["type"] == f"/problems/{code}/"
    assert Client().get(body["type"]).status_code == 200
    assert SECRET not in answer.content.decode()
    return body


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (PoolSoldOut, 409, "pool_sold_out"),
        (Http404, 404, "not_found"),
        (drf_errors.NotFound, 404, "not_found"),
        (drf_errors.NotAuthenticated, 401, "not_authenticated"),
        (drf_errors.AuthenticationFailed, 401, "token_not_valid"),
        (drf_errors.PermissionDenied, 403, "permission_denied"),
        (django_errors.PermissionDenied, 403, "permission_denied"),
        (lambda: drf_errors.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (drf_errors.NotAcceptable, 406, "not_acceptable"),
        (lambda: drf_errors.UnsupportedMediaType("text/xml"), 415, "unsupported_media_type"),
        (drf_errors.ParseError, 400, "parse_error"),
        (lambda: drf_errors.Throttled(12.3), 429, "rate_limited"),
        (lambda: OperationalError(SECRET), 503, "busy"),
        (lambda: InterfaceError(SECRET), 503, "busy"),
        (lambda: DataError(SECRET), 400, "invalid"),
        (lambda: django_errors.SuspiciousOperation(SECRET), 400, "invalid"),
        (lambda: django_errors.RequestDataTooBig(SECRET), 413, "too_large"),
        (lambda: RecursionError(SECRET), 400, "parse_error"),
        (lambda: ZeroDivisionError(SECRET), 500, "internal_error"),
    ],
)
def test_every_error_is_a_problem_with_its_code(ask: Ask, error: Callable[[], Exception], status: int, code: str) -> None:
    is_a_problem(ask(error), status, code)


@pytest.mark.parametrize("kind", all_refusals())
def test_every_refusal_is_a_problem_in_its_own_words(ask: Ask, kind: Any) -> None:
    answer = ask(lambda: made(kind))

    is_a_problem(answer, status_of(kind), kind.code)


def made(kind: Any) -> Exception:
    """Return a refusal of this kind, whatever its arguments are."""
    refusal: Exception = kind.__new__(kind)
    refusal.message, refusal.retry_after = kind.detail, kind.retry_after or 3  # type: ignore[attr-defined]
    return refusal


def test_retry_after_of_drf_throttles_is_in_whole_seconds(ask: Ask) -> None:
    assert ask(lambda: drf_errors.Throttled(12.3))["Retry-After"] == "13"


def test_busy_says_when_to_ask_again(ask: Ask) -> None:
    assert ask(OperationalError)["Retry-After"] == "1"


def test_errors_of_fields_name_them(ask: Ask) -> None:
    error = django_errors.ValidationError(
        {"title": django_errors.ValidationError("Too long.", code="max_length"), "__all__": ["Closes before it opens."]}
    )

    body = is_a_problem(ask(lambda: error), 400, "invalid", frozenset({"errors"}))

    assert body["detail"] == "Invalid fields: title."
    assert body["errors"] == [
        {"field": "title", "code": "max_length", "detail": "Too long."},
        {"field": "", "code": "invalid", "detail": "Closes before it opens."},
    ]


def test_non_field_error_has_its_own_detail(ask: Ask) -> None:
    body = is_a_problem(ask(lambda: django_errors.ValidationError("No.")), 400, "invalid", frozenset({"errors"}))

    assert (body["detail"], body["errors"]) == ("No.", [{"field": "", "code": "invalid", "detail": "No."}])


def test_errors_deep_inside_are_named_by_their_path(visitor: Client) -> None:
    order = {"title": "x", "lines": [{"amount": "1.00"}, {"amount": "lots"}, {"amount": "1.00", "amuont": 1}]}

    answer = visitor.post("/api/v1/broken/", order, content_type="application/json")

    errors = is_a_problem(answer, 400, "invalid", frozenset({"errors"}))["errors"]
    assert [(error["field"], error["code"]) for error in errors] == [
        ("lines.1.amount", "invalid"),
        ("lines.2.amuont", "unknown"),
    ]


def test_an_unknown_field_is_named_with_the_known_ones(visitor: Client) -> None:
    answer = visitor.post("/api/v1/broken/", {"titel": "x", "id": 7}, content_type="application/json")

    errors = answer.json()["errors"]
    found = {(error["field"], error["code"]) for error in errors}
    assert found == {("titel", "unknown"), ("id", "unknown"), ("title", "required")}
    assert errors[0]["detail"] == "Unknown field. Allowed: count, lines, title."


@pytest.mark.parametrize(("role", "status"), [("USER", 403), ("ADMIN", 200)])
def test_admin_view_reads_the_role_from_the_database(visitor: Client, alice: User, role: str, status: int) -> None:
    pair = tokens.issue_pair(alice)
    User.objects.filter(pk=alice.pk).update(role=role)

    answer = visitor.get("/api/v1/for-admins/", headers={"Authorization": f"Bearer {pair.access}"})

    assert answer.status_code == status


def test_admin_view_redirects_anonymous_users_to_sign_in(visitor: Client, db: None) -> None:
    is_a_problem(visitor.get("/api/v1/for-admins/"), 401, "not_authenticated")


@pytest.mark.parametrize("accept", ["text/csv", "image/png", "*/*", "application/json; q=0.1", "rubbish"])
def test_an_error_is_a_problem_whatever_the_caller_accepts(ask: Ask, accept: str) -> None:
    assert ask(PoolSoldOut, Accept=accept)["Content-Type"] == "application/problem+json"


def test_a_browser_gets_the_error_in_its_page(ask: Ask) -> None:
    answer = ask(PoolSoldOut, Accept="text/html")

    assert answer.status_code == 409
    assert answer["Content-Type"].startswith("text/html")
    assert b"pool_sold_out" in answer.content


# --- Outside the views -------------------------------------------------------------------------------------------------


def test_an_unknown_address_below_the_api_is_a_problem(visitor: Client) -> None:
    is_a_problem(visitor.get("/api/v1/no/such/thing/"), 404, "not_found")
    is_a_problem(visitor.get("/api/"), 404, "not_found")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (lambda: ZeroDivisionError(SECRET), 500, "internal_error"),
        (lambda: OperationalError(SECRET), 503, "busy"),
        (lambda: django_errors.PermissionDenied(SECRET), 403, "permission_denied"),
        (lambda: django_errors.SuspiciousOperation(SECRET), 400, "invalid"),
    ],
)
def test_errors_outside_views_are_problems(ask: Ask, error: Callable[[], Exception], status: int, code: str) -> None:
    is_a_problem(ask(error, "/api/v1/outside/"), status, code)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (lambda: ZeroDivisionError(SECRET), 500),
        (lambda: OperationalError(SECRET), 503),
        (lambda: django_errors.PermissionDenied(SECRET), 403),
        (lambda: django_errors.SuspiciousOperation(SECRET), 400),
        (Http404, 404),
    ],
)
def test_elsewhere_it_is_a_page(ask: Ask, db: None, error: Callable[[], Exception], status: int) -> None:
    answer = ask(error, "/broken/")

    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/html")
    assert b"<h1>" in answer.content
    assert SECRET not in answer.content.decode()


def test_a_foreign_host_is_refused_without_a_trace(visitor: Client) -> None:
    answer = visitor.get("/api/v1/broken/", headers={"Host": "evil.example"})

    is_a_problem(answer, 400, "invalid")
