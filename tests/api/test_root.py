"""GET /api/v1/: the entry points of each caller."""

from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from accounts.service_keys import NewKey
from accounts.services import Scope
from tests.api.conftest import ROOT, Caller
from tests.money.conftest import shop  # noqa: F401  (fixture)
from tests.payments.conftest import new_key, with_key  # noqa: F401  (fixture)

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

    assert {"wallet", "pools", "payments", "emails"} <= user
    assert operator - user == {
        *("batches", "grants", "ownership", "summary"),
        *("trial_balance", "liability", "breakage", "settlement", "journal"),
    }


def test_services_see_what_keys_open(new_key: Callable[..., NewKey]) -> None:  # noqa: F811
    found = with_key(new_key(Scope.QUOTE).text).get(f"{ROOT}/").json()

    assert {"payments", "quote", "grants", "settlement"} <= set(found)
    assert "register" not in found


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
