"""Access to every URL by every role: whatever is not declared public is closed, and cross-site forms do nothing."""

import re
from collections.abc import Callable
from itertools import cycle
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import Client

from accounts.models import TokenFamily, User
from tests.conftest import PASSWORD
from tests.security.addresses import addresses, routes
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry, IdempotencyKey

Browser = Callable[..., Client]
pytestmark = pytest.mark.usefixtures("unlimited")

# What a stranger may open: the pages before the sign-in, what a load balancer asks, and what describes the API.
OPEN = {
    "/",
    "/problems/",
    "/problems/busy/",
    "/verify/",
    "/verify/keys/",
    "/verify/verify_proof.py",
    "/help/",
    "/terms/",
    "/privacy/",
    "/register/",
    "/password/forgotten/",
    "/sign-in/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/v1/",
    "/api/v1/schema/",
    "/api/v1/docs/",
    "/admin/login/",
}
# What leads elsewhere without showing or doing anything.
SIGNPOSTS = {
    "/favicon.ico",
    "/sign-out/",
    "/language/",
    "/admin/logout/",
    "/admin/search/",
    "/admin/r/",
    "/admin/password_change/",
}
FORM = "application/x-www-form-urlencoded"
SUPERUSERS = re.compile(r"^/admin/(accounts/user|django_q)/")


def everything() -> dict[str, list[Any]]:
    """Return all rows that an attack could be after."""
    tables = (CashbackAsset, CreditPool, Entry, IdempotencyKey, User, TokenFamily, LogEntry)
    return {table.__name__: list(table.objects.order_by("pk").values()) for table in tables}


def is_open(address: str) -> bool:
    """Return whether a stranger may open it: a pool's page and the links of emails too."""
    return address in OPEN or re.fullmatch(r"/(pools|password/reset|email/verify|unsubscribe)/[^/]+/", address) is not None


def is_signpost(address: str) -> bool:
    return address in SIGNPOSTS or address.startswith(("/admin/r/", "/join/"))


def closed(answer: Any) -> bool:
    """Tell whether somebody was turned away: asked to sign in, forbidden, not found, or not by this method."""
    location = answer.headers.get("Location", "")
    return answer.status_code in (401, 403, 404, 405) or (
        answer.status_code == 302 and location.startswith(("/sign-in/?next=", "/admin/login/?next="))
    )


def test_anonymous_access_is_limited_to_public_urls(browser_of: Browser, ids: dict[str, str]) -> None:
    stranger = browser_of()

    for address in addresses(ids):
        if not is_signpost(address):
            answer = stranger.get(address)
            assert closed(answer) != is_open(address), (address, answer.status_code)


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_anonymous_requests_change_nothing(browser_of: Browser, ids: dict[str, str], method: str) -> None:
    stranger, before = browser_of(), everything()

    for address in addresses(ids):
        answer = getattr(stranger, method)(address, {"confirmed": "yes", "post": "yes"})
        assert answer.status_code < 500, address

    assert everything() == before
    assert Session.objects.count() == 0


def test_users_cannot_access_any_console_url(browser_of: Browser, bob: User, ids: dict[str, str]) -> None:
    bobs = browser_of(bob)
    before = everything()

    for address in addresses(ids):
        if address.startswith("/admin/") and address != "/admin/login/" and not is_signpost(address):
            assert closed(bobs.get(address)), address
            assert closed(bobs.post(address, {"post": "yes", "confirmed": "yes"})), address

    assert everything() == before


def test_operators_cannot_access_users_and_schedules(browser_of: Browser, ada: User, ids: dict[str, str]) -> None:
    adas = browser_of(ada)
    rooms = [address for address in addresses(ids) if SUPERUSERS.match(address)]
    before = everything()

    for address in rooms:
        answers = [adas.get(address), adas.post(address, {"post": "yes", "func": "os.system", "is_superuser": "on"})]
        # Django leads from an id alone to its page, and from one of nothing to the index.
        leads = [answer.headers.get("Location", "") for answer in answers]
        assert all(
            answer.status_code in (403, 404) or lead == "/admin/" or lead.endswith("/change/")
            for answer, lead in zip(answers, leads, strict=True)
        ), (address, answers)

    assert len(rooms) > 20
    assert everything() == before


@pytest.mark.parametrize("who", [None, "alice", "ada", "root"])
def test_cross_site_forms_change_nothing(
    request: pytest.FixtureRequest, browser_of: Browser, ids: dict[str, str], who: str | None
) -> None:
    """Every cookie is sent along, as a browser would, but the page's token is missing."""
    user = request.getfixturevalue(who) if who else None
    visitor = browser_of(user, enforce_csrf_checks=True)
    forged = {"current_password": PASSWORD, "new_password": "another horse battery", "confirmed": "yes", "post": "yes"}
    before, shapes = everything(), cycle([FORM, "multipart/form-data; boundary=x", "text/plain"])

    for address in addresses(ids):
        answer = visitor.generic("POST", address, urlencode(forged).encode(), next(shapes))
        # A mail program ends a kind of email without a session (RFC 8058): what counts is the link's signature.
        refused = (400,) if address.startswith("/unsubscribe/") else (401, 403, 404, 405, 415)
        assert answer.status_code in refused, (address, answer.status_code)

    assert everything() == before
    assert Session.objects.count() == (1 if user else 0)


@pytest.mark.parametrize("who", ["ada", "root"])
def test_nothing_that_is_sent_to_the_console_changes_a_claim(
    request: pytest.FixtureRequest, browser_of: Browser, ids: dict[str, str], who: str
) -> None:
    visitor = browser_of(request.getfixturevalue(who))
    claimed = CashbackAsset.objects.filter(status="CLAIMED").values()
    before: list[list[Any]] = [list(claimed), list(Entry.objects.values())]
    chosen = [ids["cashbackasset"], ids["entry"]]
    fields = {
        "title": "Forged",
        "total_value": "1",
        "amount": "1",
        "currency": "USD",
        "status": "AVAILABLE",
        "claimed_by": "",
        "user": "",
    }
    acts = ["expire", "recreate", "delete_chosen", "extend", "delete_selected"]

    for address in (address for address in addresses(ids) if address.startswith("/admin/") and "logout" not in address):
        visitor.post(address, fields | {"post": "yes", "confirmed": "yes", "_selected_action": chosen})
        if address in ("/admin/assets/cashbackasset/", "/admin/ledger/entry/", "/admin/ledger/claimedasset/"):
            for act in acts:
                visitor.post(
                    address,
                    fields | {"action": act, "confirmed": "yes", "post": "yes", "_selected_action": chosen, "never": "on"},
                )

    assert [list(claimed.all()), list(Entry.objects.values())] == before
    assert len(before[0]) == len(before[1]) == 1


def test_every_route_is_walked() -> None:
    assert len(set(routes())) > 80
    assert not [address for address in addresses({}) if "<" in address or "(" in address]
