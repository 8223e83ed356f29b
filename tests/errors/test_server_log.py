"""What clients do wrong leaves no traceback and no warning in the server's log."""

import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.test import Client, RequestFactory

from accounts import tokens
from accounts.models import User
from cashback.log_format import ClientErrorFilter
from cashback.wsgi import application


def answered(method: str, path: str, token: str = "") -> tuple[str, dict[str, str], bytes]:
    """Return status, headers and body that the application gives the web server."""
    environ = RequestFactory().generic(method, path).environ | ({"HTTP_AUTHORIZATION": f"Bearer {token}"} if token else {})
    told: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], error: object = None, /) -> Any:
        told.extend((status, dict(headers)))

    parts = application(environ, start)
    body = b"".join(parts)
    parts.close()
    return told[0], told[1], body


@pytest.mark.parametrize("path", ["/healthz", "/problems/busy/", "/api/v1/", "/api/v1/nothing/", "/api/v1", "/"])
def test_head_is_answered_as_get_is_but_without_a_body(db: None, path: str) -> None:
    status, headers, body = answered("HEAD", path)

    assert body == b""
    expected, more, _ = answered("GET", path)
    assert (status, headers.keys()) == (expected, more.keys())


@pytest.mark.django_db(transaction=True)
def test_head_of_lists_and_files_has_no_body(ada: User) -> None:
    token = tokens.issue_pair(ada).access

    for path in ("/api/v1/claims/", "/api/v1/payments/", "/api/v1/reports/ownership/", "/api/v1/reports/ownership/?format=csv"):
        status, headers, body = answered("HEAD", path, token)
        expected, more, full = answered("GET", path, token)
        assert (status, expected, body) == ("200 OK", "200 OK", b""), path
        assert headers["Content-Type"] == more["Content-Type"]
        assert full


@pytest.fixture
def logged() -> Iterator[StringIO]:
    """What the console's handler writes of Django's own messages."""
    described: Any = settings.LOGGING
    assert "client_error" in described["handlers"]["console"]["filters"]
    handler = logging.StreamHandler(StringIO())
    handler.setFormatter(logging.Formatter("{levelname} {name} {message}", style="{"))
    handler.addFilter(ClientErrorFilter())
    logging.getLogger("django").addHandler(handler)
    yield handler.stream
    logging.getLogger("django").removeHandler(handler)


def test_a_body_that_is_too_large_is_one_line_of_the_log(db: None, logged: StringIO) -> None:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    answer = Client().generic("POST", "/api/v1/payments/", b" " * (limit + 1), "application/json")

    assert answer.status_code == 413
    said = f"A body of {limit + 1} bytes was refused; the limit is {limit}."
    assert logged.getvalue() == f"WARNING django.security.RequestDataTooBig {said}\n"


def test_an_unknown_host_is_one_line_of_the_log(db: None, logged: StringIO) -> None:
    answer = Client().get("/api/v1/pools/", headers={"Host": "evil.example"})

    assert answer.status_code == 400
    assert logged.getvalue().startswith("WARNING django.security.DisallowedHost Invalid HTTP_HOST header: 'evil.example'.")
    assert logged.getvalue().count("\n") == 1


def test_an_error_of_ours_keeps_its_traceback(logged: StringIO) -> None:
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logging.getLogger("django.request").exception("an error of ours")

    assert logged.getvalue().startswith("ERROR django.request an error of ours\nTraceback")
