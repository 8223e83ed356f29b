"""Security headers of every response."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.models import User
from cashback.http.headers import CONSOLE_POLICY, STRICT_POLICY
from tests.security.addresses import addresses

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HTML = {"Accept": "text/html"}
# What a strict policy would not run or apply: script and style elements with content, style and event attributes.
INLINE = re.compile(rb"<script(?![^>]*(src=|application/json))|<style|\sstyle\s*=|\son[a-z]+\s*=|javascript:", re.IGNORECASE)

pytestmark = pytest.mark.usefixtures("unlimited")
Browser = Callable[..., Client]


def directives(policy: str) -> dict[str, list[str]]:
    return {name: values for name, *values in (part.split() for part in policy.split(";"))}


def test_the_policy_is_strict() -> None:
    policy = directives(STRICT_POLICY)

    assert "unsafe" not in STRICT_POLICY
    assert {name: policy[name] for name in ("default-src", "object-src", "base-uri", "frame-ancestors")} == {
        "default-src": ["'none'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    others = {"connect-src", "font-src", "form-action", "script-src", "style-src"}
    assert {name: policy[name] for name in others} == {name: ["'self'"] for name in others}
    assert policy["img-src"] == ["'self'", "data:"]


def test_the_console_relaxes_what_its_theme_needs_and_nothing_else() -> None:
    relaxed = directives(STRICT_POLICY) | {
        "script-src": ["'self'", "'unsafe-eval'"],
        "style-src": ["'self'", "'unsafe-inline'"],
    }

    assert directives(CONSOLE_POLICY) == relaxed


def test_every_address_bears_the_headers(browser_of: Browser, root: User, ids: dict[str, str]) -> None:
    for address in addresses(ids):
        answer = browser_of(root).get(address, headers=HTML)
        assert answer.headers["Content-Security-Policy"] == (
            CONSOLE_POLICY if address.startswith("/admin/") else STRICT_POLICY
        ), address
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS, address
        assert "camera=()" in answer.headers["Permissions-Policy"], address
        assert "no-store" in answer.headers["Cache-Control"], address


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("get", "/no/such/page/", 404),
        ("get", "/api/v1/nothing/", 404),
        ("post", "/dashboard/", 405),
        ("get", "/dashboard/", 302),
        ("get", "/api/v1/wallet/", 401),
    ],
)
def test_a_refusal_bears_them_too(browser_of: Browser, db: None, method: str, address: str, status: int) -> None:
    answer = getattr(browser_of(), method)(address)

    assert answer.status_code == status
    assert answer.headers["Content-Security-Policy"] == STRICT_POLICY
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize("request_", [{"HTTP_HOST": "evil.example"}, {"CONTENT_LENGTH": "99999999"}])
def test_a_request_stopped_at_the_gate_bears_them_too(browser_of: Browser, db: None, request_: dict[str, Any]) -> None:
    answer = browser_of().get("/", **request_)

    assert answer.status_code in (400, 413)
    assert answer.headers["Content-Security-Policy"] == STRICT_POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_pages_outside_the_console_obey_the_strict_policy(browser_of: Browser, root: User, ids: dict[str, str]) -> None:
    pages = 0
    for address in (address for address in addresses(ids) if not address.startswith("/admin/")):
        for visitor in (browser_of(), browser_of(root)):
            answer = visitor.get(address, headers=HTML)
            if "text/html" in answer.headers["Content-Type"]:
                assert INLINE.search(answer.content) is None, (address, INLINE.search(answer.content))
                pages += 1
    assert pages > 40


def test_the_docs_page_brings_its_script_from_this_host(client: Client, db: None) -> None:
    page = client.get(reverse("docs")).content.decode()
    script = client.get(f"{reverse('docs')}?script=")

    assert set(re.findall(r'(?:src|href)="(https?:)?//', page)) == set()
    assert script.headers["Content-Type"].startswith("application/javascript")
    assert reverse("schema") in script.content.decode()


@pytest.mark.parametrize("address", ["/", "/admin/login/", "/api/v1/docs/", "/api/v1/auth/me/"])
def test_every_page_names_an_existing_icon(client: Client, db: None, address: str) -> None:
    page = client.get(address, headers=HTML).content.decode()

    icons = re.findall(r'<link[^>]*rel="icon"[^>]*>', page)
    assert len(icons) == 1
    assert "/static/cashback/mark.svg" in icons[0]
    assert client.get("/favicon.ico").headers["Location"] == "/static/cashback/mark.svg"
    assert client.get("/static/cashback/mark.svg").status_code == 200


def test_cookies_are_kept_from_scripts_other_sites_and_plain_http(client: Client, alice: User, settings: Settings) -> None:
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    client.get("/sign-in/")
    client.post("/sign-in/", {"username": alice.email, "password": "correct horse battery"})

    session, csrf = client.cookies["sessionid"], client.cookies["csrftoken"]
    assert (session["httponly"], session["samesite"], session["secure"]) == (True, "Lax", True)
    assert (csrf["samesite"], csrf["secure"]) == ("Lax", True)
