"""Malformed requests, sent byte by byte to the real web server, get problem+json with all headers, never a 500."""

import http.client
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from cashback.gunicorn_worker.connections import MAX_BODY_BYTES
from cashback.gunicorn_worker.server_errors import ERRORS_BY_EXCEPTION, SERVER_ERRORS, TOO_SLOW
from cashback.http.body_size import UPLOADS
from dev.race import scratch_database, web_server

ENVIRON = dict(os.environ) | {"DJANGO_SETTINGS_MODULE": "cashback.settings", "LOG_LEVEL": "ERROR"}
SECONDS = 30

pytestmark = pytest.mark.django_db  # or there would be no tables


@pytest.fixture(scope="module")
def server(django_db_setup: None) -> Iterator[web_server.Web]:
    environ = ENVIRON | {"DATABASE_URL": scratch_database.database_url(connection.settings_dict)}
    with web_server.web_server(environ, "--workers", "1", "--threads", "4", "--log-level", "critical") as serving:
        yield serving


def sent(server: web_server.Web, data: bytes) -> http.client.HTTPResponse:
    """Send the bytes and return the one answer, its body read."""
    with socket.create_connection((web_server.HOST, server.port), timeout=SECONDS) as sock:
        sock.sendall(data)
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        answer.text = answer.read()  # type: ignore[attr-defined]
        return answer


def request(target: bytes = b"/healthz", *headers: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
    """Return a request."""
    length = [b"Content-Length: %d" % len(body)] if body else []
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: localhost", *headers, *length, b"", b""]) + body


def signed(**claims: Any) -> bytes:
    """Return the header of an access token that we signed, with odd claims."""
    plain = {"token_type": "access", "iss": "cashback", "aud": "cashback-api", "exp": 4_000_000_000, "jti": "a", "sub": "1"}
    token = jwt.PyJWS().encode(json.dumps(plain | claims).encode(), settings.JWT_SIGNING_KEY, "HS256")
    return b"Authorization: Bearer " + token.encode()


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"nonsense\r\n\r\n", 400, "parse_error"),
        (b"GET /healthz\r\n\r\n", 400, "parse_error"),
        (b"GET /healthz HTTP/3.0\r\n\r\n", 400, "parse_error"),
        (b"GET /healthz HTTP/1.1\nHost: localhost\n\n", 400, "parse_error"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", 400, "parse_error"),
        (request(b"/\x00"), 400, "parse_error"),
        (request(b"/healthz", b"Bad Name: 1"), 400, "parse_error"),
        (request(b"/healthz", b"X: a\x00b"), 400, "parse_error"),
        (request(b"/healthz", b"X: 1", b" folded"), 400, "parse_error"),
        (request(b"/healthz", b"Host: other"), 400, "parse_error"),
        (request(b"/healthz", b"Content-Length: x"), 400, "parse_error"),
        (request(b"/healthz", b"Content-Length: -1"), 400, "parse_error"),
        (request(b"/healthz", b"Content-Length: 1", b"Content-Length: 2"), 400, "parse_error"),
        (request(b"/healthz", b"Content-Length: 1", b"Transfer-Encoding: chunked"), 400, "parse_error"),
        (request(b"/healthz", b"Transfer-Encoding: identity"), 400, "parse_error"),
        (request(b"/healthz", b"Transfer-Encoding: strange"), 501, "parse_error"),
        (request(b"/healthz", b"Expect: wonders"), 417, "parse_error"),
        (request(b"/" + b"a" * 5_000), 414, "too_large"),
        (b"GET /" + b"a" * 70_000, 414, "too_large"),
        (request(b"/healthz", b"X: " + b"a" * 9_000), 431, "too_large"),
        (request(b"/healthz", *[b"X: a"] * 200), 431, "too_large"),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 70_000, 431, "too_large"),
        (request(b"healthz"), 400, "parse_error"),
        (request(b"*"), 400, "parse_error"),
        (request(b"/healthz", method=b"get"), 400, "parse_error"),
    ],
)
def test_web_server_errors_are_problems_with_security_headers(
    server: web_server.Web, data: bytes, status: int, code: str
) -> None:
    answer = sent(server, data)

    problem = json.loads(answer.text)  # type: ignore[attr-defined]
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert (problem["status"], problem["code"], problem["title"]) == (status, code, http.HTTPStatus(status).phrase)
    assert problem["type"] == f"/problems/{code}/"
    assert problem["request_id"] == answer.headers["X-Request-ID"] != ""
    assert_secure(answer)


def assert_secure(answer: http.client.HTTPResponse) -> None:
    """Assert that the answer bears every security header that Django's answers bear."""
    ours = Client().get("/healthz")
    names = set(ours.headers) - {"Content-Language", "Content-Type", "Content-Length", "Cache-Control", "Expires", "Vary"}
    names.remove("X-Request-ID")
    assert {"Content-Security-Policy", "X-Frame-Options", "Permissions-Policy"} <= names
    assert {name: answer.headers[name] for name in names} == {name: ours.headers[name] for name in names}
    assert "no-store" in answer.headers["Cache-Control"]


def test_every_answer_of_the_server_has_a_code_that_is_documented() -> None:
    assert {answer.code for answer in [*ERRORS_BY_EXCEPTION.values(), TOO_SLOW]} == {
        "parse_error",
        "too_large",
        "internal_error",
    }
    assert {*ERRORS_BY_EXCEPTION.values(), TOO_SLOW} <= set(SERVER_ERRORS)


def test_the_largest_upload_is_awaited() -> None:
    assert max(UPLOADS.values()) < MAX_BODY_BYTES


API = [b"/api/v1/assets/", b"/api/v1/pools/", b"/api/v1/auth/token/", b"/", b"/sign-in/", b"/admin/login/"]
ODD = [b"%00", b"a%0ab", b"a%0d%0ab", b"%ff", b"%ed%a0%80", b"%F4%90%80%80", b"%", b"%7f", b"%1b"]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("path", API)
def test_no_odd_byte_in_an_address_breaks_anything(server: web_server.Web, path: bytes, odd: bytes) -> None:
    names = (b"version", b"lang", b"format", b"search", b"status", b"cursor", b"page", b"next", b"q", odd)
    targets = [path + b"?" + b"&".join(name + b"=" + odd for name in names)]
    targets += [path + b"?" + name + b"=" + odd for name in names]
    targets += [path + odd, path + odd + b"/", b"/" + odd + path]

    if odd in (b"%00", b"a%0ab"):  # an answer in full takes its time
        targets += [b"/api/v1/schema/?" + name + b"=" + odd for name in (b"version", b"lang", b"format")]

    assert [(target, answer) for target in targets if (answer := sent(server, request(target)).status) >= 500] == []


HEADERS = b"""Accept Accept-Language Authorization Content-Type Forwarded Host HX-Request HX-Current-URL Idempotency-Key
If-None-Match If-Modified-Since Origin PATH_INFO Range Referer Remote-User SCRIPT_NAME Script-Name X-CSRFToken X-Forwarded-For
X-Forwarded-Host X-Forwarded-Port X-Forwarded-Proto X-HTTP-Method-Override""".split()
PATHS = (b"/", b"/sign-in/", b"/api/v1/assets/", b"/admin/login/", b"/static/cashback/mark.svg")


@pytest.mark.parametrize("odd", [b"\xff", b"\xed\xa0\x80", b"%00", b"\\u0000", b"'", b"=", b"a" * 4_000])
def test_no_odd_header_breaks_anything(server: web_server.Web, odd: bytes) -> None:
    cookies = b"sessionid=" + odd + b"; csrftoken=" + odd + b"; django_language=" + odd + b"; messages=" + odd
    lines = [b"Cookie: " + cookies, *(header + b": " + odd for header in HEADERS)]
    found = []
    for line in lines:
        for path in PATHS:
            whole = request(path, line)
            whole = whole.replace(b"Host: localhost\r\n", b"", 1) if line.startswith(b"Host") else whole
            found.append((path, line, sent(server, whole).status))

    assert [each for each in found if each[2] >= 500] == []


@pytest.mark.parametrize("name", [b"SCRIPT_NAME", b"PATH_INFO", b"REMOTE_USER", b"X_Forwarded_For", b"HTTPS", b"REMOTE_ADDR"])
def test_headers_cannot_override_server_variables(server: web_server.Web, name: bytes) -> None:
    assert sent(server, request(b"/healthz", name + b": /metrics")).status == 200


@pytest.mark.parametrize("text", ["\u0000", "a\u0000b", "\ud800", "\uffff", "\u202e", "1e400", "-0", "9" * 400])
def test_no_odd_character_in_a_body_breaks_anything(server: web_server.Web, text: str) -> None:
    fields = {"email": text, "password": text, "username": text, "refresh": text, text: text, "csrfmiddlewaretoken": text}
    as_json = json.dumps(fields).encode()
    as_form = b"&".join(name.encode() + b"=%00%ff" for name in ("username", "password", "csrfmiddlewaretoken", "language"))
    found = []
    for path in (
        b"/api/v1/auth/token/",
        b"/api/v1/auth/token/refresh/",
        b"/api/v1/auth/register/",
        b"/sign-in/",
        b"/register/",
    ):
        for kind, body in ((b"application/json", as_json), (b"application/x-www-form-urlencoded", as_form)):
            cookie = b"Cookie: csrftoken=" + b"a" * 32
            answer = sent(server, request(path, b"Content-Type: " + kind, cookie, method=b"POST", body=body))
            found.append((path, answer.status))

    assert [each for each in found if each[1] >= 500] == []


FAMILY = "00000000-0000-7000-8000-000000000000"
ODD_NUMBERS = [1e308, -1e308, float("inf"), float("nan"), 10**30, -(10**30), 10**400, True]
ODD_CLAIMS: list[object] = [*ODD_NUMBERS, "1e308", "a\x00b", "x", "", None, [], [1], {}]


@pytest.mark.parametrize("name", ["exp", "nbf", "iat", "sub", "jti", "fam", "aud", "iss", "token_type"])
@pytest.mark.parametrize("value", ODD_CLAIMS)
def test_no_odd_claim_in_a_token_breaks_anything(server: web_server.Web, name: str, value: Any) -> None:
    header = signed(**{name: value})
    family = b"Content-Type: application/json"
    renewing = signed(**{"token_type": "refresh", "fam": FAMILY, name: value})
    body = json.dumps({"refresh": renewing.split()[-1].decode()}).encode()

    asked = sent(server, request(b"/api/v1/wallet/", header)).status
    refreshed = sent(server, request(b"/api/v1/auth/token/refresh/", family, method=b"POST", body=body)).status

    assert (asked, refreshed) == (401, 401)


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        (b"/admin/assets/cashbackasset/import/", 1_000_000, 403),  # read, and refused for its form came from nowhere
        (b"/admin/assets/cashbackasset/import/", 3_000_000, 413),
        (b"/api/v1/auth/token/", 65_537, 413),
        (b"/api/v1/auth/token/", 3_000_000, 413),
    ],
)
def test_a_large_body_is_answered_whether_it_is_awaited_or_not(
    server: web_server.Web, path: bytes, size: int, status: int
) -> None:
    kind = b"Content-Type: application/json"

    assert sent(server, request(path, kind, method=b"POST", body=b"x" * size)).status == status
