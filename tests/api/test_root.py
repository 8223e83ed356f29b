"""GET /api/v1/: the entry points of each caller."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import User
from accounts.service_keys import NewKey
from accounts.services import Scope
from tests.api.addresses import addresses, methods
from tests.api.conftest import ROOT, Caller
from tests.money.conftest import shop  # noqa: F401  (fixture)
from tests.payments.conftest import new_key, order, with_key  # noqa: F401  (fixture)

PUBLIC = {"docs", "schema", "register", "sign_in", "refresh", "forgotten_password"}


def test_anonymous_callers_see_the_public_entry_points(
    anonymous: Caller, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        answer = anonymous.get(f"{ROOT}/")

    assert (answer.status_code, set(answer.json())) == (200, PUBLIC)
    assert answer.json()["register"] == "http://testserver/api/v1/auth/register/"


def test_users_see_theirs_and_operators_the_reports_too(as_alice: Caller, as_ada: Caller) -> None:
    user, operator = (set(caller.get(f"{ROOT}/").json()) for caller in (as_alice, as_ada))

    assert {"wallet", "pools", "payments", "emails", "referral", "friends"} <= user
    assert operator - user == {
        *("batches", "grants", "grant_batch", "feed", "proposals", "ownership", "summary"),
        *("trial_balance", "liability", "breakage", "settlement", "journal"),
    }


def test_operators_see_the_reports_only_after_setting_up_two_step_verification(as_ada: Caller, settings: Settings) -> None:
    settings.REQUIRE_TWO_FACTOR = True

    found = as_ada.get(f"{ROOT}/").json()

    assert "summary" not in found
    assert as_ada.get(f"{ROOT}/reports/summary/").status_code == 403


@pytest.mark.parametrize(
    ("scopes", "names"),
    [
        ({Scope.QUOTE}, {"quote"}),
        ({Scope.HOLD}, {"payments"}),
        ({Scope.CAPTURE}, {"payments"}),
        ({Scope.READ_PAYMENTS}, {"payments"}),
        ({Scope.REFUND}, set()),
        ({Scope.READ_WALLETS}, {"wallet", "lots"}),
        ({Scope.GRANT}, {"grants", "grant_batch"}),
        ({Scope.READ_EVENTS}, {"feed"}),
        ({Scope.REPORT_EVENTS}, {"events"}),
        ({Scope.MANAGE_WEBHOOKS}, {"webhooks"}),
        ({Scope.QUOTE, Scope.HOLD}, {"quote", "payments"}),
    ],
)
def test_services_see_what_the_scopes_of_their_key_open(
    scopes: set[Scope],
    names: set[str],
    new_key: Callable[..., NewKey],  # noqa: F811
) -> None:
    found = with_key(new_key(*scopes).text).get(f"{ROOT}/").json()

    assert set(found) == {"docs", "schema"} | names


@pytest.fixture(params=["visitor", "user", "operator", "all scopes", *Scope.values])
def caller(request: pytest.FixtureRequest) -> Caller:
    """A caller of each kind."""
    people = {"visitor": "anonymous", "user": "as_bob", "operator": "as_ada"}
    if request.param in people:
        found: Caller = request.getfixturevalue(people[request.param])
        return found
    make = request.getfixturevalue("new_key")
    return with_key((make() if request.param == "all scopes" else make(request.param)).text)


def is_open(caller: Caller, path: str, known: set[str]) -> bool:
    """Return whether the caller may use one of the methods of the address; a payment is tried as a hold and as a capture."""
    calls: list[tuple[str, Any]] = [("get", None)] if "get" in known else []
    bodies = [order(capture=False), order(capture=True)] if path == f"{ROOT}/payments/" else [{}]
    calls += [("post", body) for body in bodies] if "post" in known else []
    return any(getattr(caller, method)(path, body).status_code not in (401, 403) for method, body in calls)


def test_what_is_listed_is_open_and_nothing_else_is(caller: Caller, alice: User) -> None:
    listed = {urlsplit(address).path for address in caller.get(f"{ROOT}/").json().values()}
    # Changes to one's own account are not listed, and who is signed in needs no registration.
    known = {path: methods(view) for path, view in addresses().items() if "{id}" not in path and path != f"{ROOT}/"}
    own = {path for path, found in known.items() if path.startswith((f"{ROOT}/auth/", f"{ROOT}/me/")) and "get" not in found}

    open_to_caller = {path for path, found in known.items() if path not in own and is_open(caller, path, found)}

    assert listed - own == open_to_caller


def test_every_address_leads_somewhere(as_ada: Caller) -> None:
    for name, address in as_ada.get(f"{ROOT}/").json().items():
        assert as_ada.get(address).status_code in (200, 405), name


def test_a_browser_sees_a_page_with_links(alice: User) -> None:
    browser = Client(headers={"Accept": "text/html"})
    browser.force_login(alice)
    page = browser.get(f"{ROOT}/").content.decode()

    assert "<h1>Cashback API</h1>" in page
    assert 'href="http://testserver/api/v1/wallet/"' in page


@pytest.mark.django_db
def test_an_invalid_token_is_refused_and_not_taken_for_a_visitor() -> None:
    caller = Caller()
    caller.credentials(HTTP_AUTHORIZATION="Bearer none")

    assert caller.get(f"{ROOT}/").status_code == 401
