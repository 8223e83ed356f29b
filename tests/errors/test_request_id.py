"""The id of a request: in the response, in problems, in every log line and in the access log."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from pytest_django import Settings

from accounts import tokens
from accounts.models import User
from cashback.http import health
from cashback.log_format import JSONFormatter, RequestIdFilter
from kernel.request_id import current_request_id

MADE = re.compile(r"[0-9a-f]{32}")
log = logging.getLogger("tests.request_id")


@pytest.fixture
def lines() -> Any:
    """The lines that the console handler writes, in the given format."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RequestIdFilter())
    logging.getLogger().addHandler(handler)
    logging.getLogger("cashback.access").setLevel(logging.INFO)

    def read(formatter: logging.Formatter | None = None) -> list[str]:
        return stream.getvalue().splitlines()

    described: Any = django_settings.LOGGING
    handler.setFormatter(logging.Formatter(described["formatters"]["text"]["format"], style="{"))
    read.handler = handler  # type: ignore[attr-defined]
    yield read
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("sent", ["7d0c1f2b9a3e4c58", "Root=1-67891233-abcdef012345678912345678", "a", "x" * 128])
def test_well_formed_id_of_the_caller_is_kept(client: Client, db: None, sent: str) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": sent})["X-Request-ID"] == sent


@pytest.mark.parametrize(
    "sent", ["", "two words", 'quo"te', "<b>", "x" * 129, "ünïcode", "tab\there", "line\nbreak", "a\r\nSet-Cookie: x=1"]
)
def test_any_other_id_is_replaced(client: Client, db: None, sent: str) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": sent})

    assert MADE.fullmatch(answer["X-Request-ID"])
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/", "/sign-in/", "/admin/", "/no-such-page/", "/api/v1/assets/", "/static/cashback/style.css", "/api"]
)
def test_every_response_has_an_id_of_its_own(client: Client, db: None, path: str) -> None:
    first, second = (client.get(path)["X-Request-ID"] for _ in range(2))

    assert MADE.fullmatch(first)
    assert first != second


@pytest.mark.parametrize("path", ["/api/v1/assets/", "/api/v1/no-such-thing/"])
def test_problem_names_the_request(client: Client, db: None, path: str) -> None:
    answer = client.get(path, headers={"X-Request-ID": "from-the-proxy"})

    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["request_id"] == "from-the-proxy"


def test_success_has_the_id_in_the_header_only(client: Client, alice: User) -> None:
    bearer = {"Authorization": f"Bearer {tokens.issue_pair(alice).access}", "X-Request-ID": "mine"}

    answer = client.get("/api/v1/assets/", headers=bearer)

    assert (answer.status_code, answer["X-Request-ID"]) == (200, "mine")
    assert "mine" not in answer.content.decode()


def test_each_log_line_of_a_request_has_its_id(client: Client, db: None, lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        log.warning("about to fail")
        raise ZeroDivisionError

    monkeypatch.setattr(health, "database_state", broken)
    client.raise_request_exception = False

    assert client.get("/readyz", headers={"X-Request-ID": "broken-7"}).status_code == 500
    log.warning("afterwards")

    logged = [line for line in lines() if re.match(r"\d{4}-", line)]
    assert [line.split(" ", 5)[2:5] for line in logged] == [
        ["WARNING", "tests.request_id", "[broken-7]"],
        ["ERROR", "django.request", "[broken-7]"],
        ["WARNING", "tests.request_id", "[-]"],
    ]
    assert current_request_id.get() == ""


@pytest.fixture
def access_log(settings: Settings, lines: Any) -> Callable[[], list[dict[str, Any]]]:
    settings.LOG_FORMAT = "json"
    lines.handler.setFormatter(JSONFormatter())

    def read() -> list[dict[str, Any]]:
        return [line for line in map(json.loads, lines()) if line["logger"] == "cashback.access"]

    return read


def test_access_log_has_one_line_per_request_without_path_and_query(
    client: Client, alice: User, access_log: Callable[[], list[dict[str, Any]]]
) -> None:
    bearer = {"Authorization": f"Bearer {tokens.issue_pair(alice).access}", "X-Request-ID": "api-1"}
    client.get("/api/v1/assets/?search=hunter2", headers=bearer)
    client.get("/no/hunter2/page", headers={"X-Request-ID": "page-2"})
    client.force_login(alice)
    client.get("/claims/?search=hunter2", headers={"X-Request-ID": "page-3"})

    logged = access_log()
    for line in logged:
        assert line.pop("time").endswith("+00:00")
        assert 0 < line.pop("milliseconds") < 60_000
    common = {"level": "INFO", "logger": "cashback.access", "message": "request", "method": "GET"}
    assert logged == [
        common | {"request_id": "api-1", "route": "asset-list", "status": 200, "user": str(alice.pk)},
        common | {"request_id": "page-2", "route": "unmatched", "status": 404, "user": None},
        common | {"request_id": "page-3", "route": "my_claims", "status": 200, "user": str(alice.pk)},
    ]


def test_session_is_not_read_for_the_access_log(
    client: Client, alice: User, access_log: Callable[[], list[dict[str, Any]]], django_assert_num_queries: Any
) -> None:
    client.force_login(alice)

    with django_assert_num_queries(0):
        client.get("/healthz")

    assert [line["user"] for line in access_log()] == [None]


def test_error_in_json_is_one_line_with_its_traceback(
    access_log: object, client: Client, db: None, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> str:
        raise ZeroDivisionError("one\ntwo")

    monkeypatch.setattr(health, "database_state", broken)
    client.raise_request_exception = False

    client.get("/readyz", headers={"X-Request-ID": "broken-8"})

    (line,) = [line for line in map(json.loads, lines()) if line["logger"] == "django.request"]
    assert line["request_id"] == "broken-8"
    assert line["traceback"].endswith("ZeroDivisionError: one\ntwo")


def test_format_of_the_log_is_text_or_json() -> None:
    command = [sys.executable, "manage.py", "check"]
    ended = subprocess.run(command, env=os.environ | {"LOG_FORMAT": "xml"}, capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr) == (1, 'LOG_FORMAT must be "text" or "json", not "xml".\n')
