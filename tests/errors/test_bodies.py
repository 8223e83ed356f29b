"""Malformed request bodies never cause a server error."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.test import Client, RequestFactory

from accounts import tokens
from accounts.models import User
from cashback.wsgi import application
from tests.conftest import PASSWORD

JSON = "application/json"
FIELDS = {
    "register/": ("email", "password"),
    "token/": ("email", "password"),
    "token/refresh/": ("refresh",),
    "logout/": ("refresh",),
    "password/": ("current_password", "new_password"),
}
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "space": b"   ",
    "a list": b"[]",
    "a list of objects": b'[{"email": "a@b.cd"}]',
    "a string": b'"hello"',
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "an empty object": b"{}",
    "half an object": b'{"email": ',
    "not JSON": b"email=a@b.cd&password=x",
    "invalid UTF-8": b'{"email": "\xff\xfe"}',
    "UTF-16": '{"email": "a@b.cd"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "NaN": b'{"email": NaN}',
    "a huge number": b'{"email": ' + b"9" * 5000 + b"}",
    "an infinite number": b'{"email": 1e999}',
    "deep lists": b"[" * 30_000,
    "deep objects": b'{"email":' * 7_000,
    "deep and closed": b'{"email":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "a null byte": b"\x00",
    "an unknown field": b'{"x": 1}',
    "the prototype's": b'{"__proto__": {"role": "ADMIN"}, "__class__": 1}',
    "a key of null bytes": b'{"\\u0000": 1}',
    "a lone surrogate as key": b'{"\\ud800": 1}',
    "the same key twice": b'{"email": "a@b.cd", "email": 5}',
}
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    10**400,
    1.5,
    [],
    ["a@b.cd"],
    {},
    {"$ne": ""},
    "",
    " ",
    "\x00",
    "a\x00@b.cd",
    "\ud800",
    "\u202e",
    "x" * 60_000,
    "a@" + "b." * 200 + "cd",
    "' OR 1--",
    "{{7*7}}",
    "%s%s%n",
    "İ@İ.com",
]


@pytest.fixture(autouse=True)
def _no_limits(settings: Any) -> None:
    settings.RATES = dict.fromkeys(settings.RATES, "off")


@pytest.fixture
def send(alice: User) -> Callable[..., Any]:
    """Post raw bytes as alice; exceptions become responses."""
    client = Client(raise_request_exception=False)
    bearer = {"Authorization": f"Bearer {tokens.issue_pair(alice).access}"}

    def post_bytes(path: str, body: bytes, content_type: str = JSON) -> Any:
        return client.generic("POST", f"/api/v1/auth/{path}", body, content_type, headers=bearer)

    return post_bytes


@pytest.mark.parametrize("path", FIELDS)
def test_a_body_of_the_wrong_shape_is_refused(send: Callable[..., Any], path: str) -> None:
    before = User.objects.count()
    statuses = {name: send(path, body).status_code for name, body in BODIES.items()}

    assert statuses == dict.fromkeys(BODIES, 400)
    assert User.objects.count() == before


@pytest.mark.parametrize(("path", "field"), [(path, field) for path, fields in FIELDS.items() for field in fields])
def test_a_field_of_the_wrong_kind_is_refused(send: Callable[..., Any], path: str, field: str) -> None:
    good = {"email": "carol@example.com", "password": PASSWORD, "current_password": PASSWORD, "refresh": "x"}
    body = {name: good.get(name, PASSWORD) for name in FIELDS[path]}

    for value in VALUES:
        answer = send(path, json.dumps(body | {field: value}).encode())
        assert answer.status_code in (400, 401), (value, answer.content)
        assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/xml", 415),
        ("rubbish", 415),
        ("application/json; charset=utf-16", 401),
        ("application/json; charset=zlib", 401),
        ("application/json; charset=rot13", 401),
        ("application/json; charset=" + "x" * 1000, 415),
    ],
)
def test_only_json_is_read_and_always_as_utf_8(send: Callable[..., Any], content_type: str, status: int) -> None:
    body = json.dumps({"email": "nobody@example.com", "password": PASSWORD}).encode()

    assert send("token/", body, content_type).status_code == status


@pytest.mark.parametrize("charset", ["zlib", "rot13", "idna", "undefined", "utf-16", "latin-1"])
def test_a_charset_named_by_the_caller_breaks_nothing_before_the_views(db: None, charset: str) -> None:
    environ = RequestFactory().get("/healthz?q=%41%ff").environ | {"CONTENT_TYPE": f"text/plain; charset={charset}"}
    statuses: list[str] = []

    def start(status: str, headers: list[tuple[str, str]], error: object = None, /) -> Callable[[bytes], object]:
        statuses.append(status)
        return bytes

    application(environ, start)

    assert statuses == ["200 OK"]


@pytest.mark.parametrize("path", FIELDS)
def test_a_body_beyond_the_limit_is_refused(send: Callable[..., Any], path: str) -> None:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE

    at_limit = send(path, b"{}".ljust(limit))
    beyond = send(path, b"{}".ljust(limit + 1))

    assert at_limit.status_code == 400
    assert (beyond.status_code, beyond.json()["code"]) == (413, "too_large")


def test_a_body_that_does_not_say_its_length_is_refused(alice: User) -> None:
    client = Client(raise_request_exception=False)
    body = json.dumps({"email": alice.email, "password": PASSWORD}).encode()

    answer = client.generic("POST", "/api/v1/auth/token/", body, JSON, CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")

    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")
    assert "Content-Length" in answer.json()["detail"]


def test_post_without_trailing_slash_is_not_redirected(db: None) -> None:
    client = Client()

    sent, looked_at = client.post("/api/v1/auth/token", {}, JSON), client.get("/api/v1/docs")

    assert (sent.status_code, sent.json()["code"]) == (404, "not_found")
    assert (looked_at.status_code, looked_at.headers["Location"]) == (301, "/api/v1/docs/")


def test_unknown_host_is_rejected(db: None) -> None:
    answer = Client().get("/api/v1/pools/", headers={"Host": "evil.example"})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert "host name" in answer.json()["detail"]


@pytest.mark.parametrize("length", ["-1", "x", "9" * 400])
def test_a_length_that_is_none_is_refused(alice: User, length: str) -> None:
    client = Client(raise_request_exception=False)

    answer = client.generic("POST", "/api/v1/auth/token/", b"{}", JSON, CONTENT_LENGTH=length)

    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("path", ["/register/", "/sign-in/"])
@pytest.mark.parametrize("value", [b"", b"%00", b"%ed%a0%80", b"\xff\xfe", b"x" * 60_000])
def test_a_bad_form_is_shown_again(db: None, path: str, value: bytes) -> None:
    client = Client(raise_request_exception=False)
    body = b"&".join(name + b"=" + value for name in (b"email", b"username", b"password", b"x"))

    answer = client.generic("POST", path, body, "application/x-www-form-urlencoded")

    assert answer.status_code == (200 if len(body) < 65_536 else 413)
