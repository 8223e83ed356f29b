"""The browsable API, signed in by session."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from accounts.service_keys import NewKey
from tests.api.conftest import ROOT, Caller
from tests.money.conftest import shop  # noqa: F401  (fixture)
from tests.payments.conftest import new_key, with_key  # noqa: F401  (fixture)
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def browser(ada: User) -> Client:
    client = Client(headers=HTML)
    client.force_login(ada)
    return client


@pytest.fixture
def pages(issue: Callable[..., CashbackAsset], open_pool: Callable[..., CreditPool], ada: User) -> list[str]:
    pool, asset = open_pool(), issue()
    claim = claim_asset(issue(pool=pool).pk, ada)
    return [
        "pools/",
        f"pools/{pool.pk}/",
        "assets/",
        "assets/?page_size=1",
        "assets/?status=&search=bonus",
        f"assets/{asset.pk}/",
        "claims/",
        f"claims/{claim.receipt['id']}/",
        "wallet/",
        "reports/ownership/",
        "reports/summary/",
    ]


def test_each_list_and_object_has_a_browsable_page(browser: Client, pages: list[str]) -> None:
    for page in pages:
        answer = browser.get(f"{ROOT}/{page}")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8"), page
        assert b"Bearer" not in answer.content


def test_get_of_an_action_shows_a_page_with_its_form(browser: Client, pages: list[str]) -> None:
    answer = browser.get(f"{ROOT}/{pages[5]}claim/")

    assert answer.status_code == 405
    assert b"<form" in answer.content


def test_invalid_filter_is_shown_on_the_page(browser: Client, pages: list[str]) -> None:
    answer = browser.get(f"{ROOT}/assets/?status=GONE")

    assert answer.status_code == 400
    assert b"GONE" in answer.content


def test_browsable_page_requires_sign_in(pages: list[str]) -> None:
    for page in pages:
        assert Client(headers=HTML).get(f"{ROOT}/{page}").status_code == 401


def test_a_post_by_session_needs_the_csrf_token(alice: User, issue: Callable[..., CashbackAsset]) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    url = f"{ROOT}/assets/{issue().pk}/claim/"

    without = browser.post(url, {}, content_type="application/json")
    browser.get(f"{ROOT}/assets/", headers=HTML)
    token = browser.cookies["csrftoken"].value
    with_it = browser.post(url, {}, content_type="application/json", headers={"X-CSRFToken": token})

    assert (without.status_code, without.json()["code"]) == (403, "permission_denied")
    assert with_it.status_code == 201
    assert Entry.objects.count() == 1


def test_unsupported_accept_header_gets_json(browser: Client, pages: list[str]) -> None:
    answer = browser.get(f"{ROOT}/assets/", headers={"Accept": "application/xml"})

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")


def test_unsupported_accept_header_gets_json_from_auth_too(browser: Client) -> None:
    answer = browser.get(f"{ROOT}/auth/me/", headers={"Accept": "application/xml"})

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert browser.get(f"{ROOT}/auth/me/?format=xml").status_code == 400


@pytest.mark.parametrize("accept", ["text/html", HTML["Accept"]])
def test_a_token_or_a_key_gets_json_whatever_it_accepts(
    accept: str,
    as_alice: Caller,
    new_key: Callable[..., NewKey],  # noqa: F811
) -> None:
    headers = {"Accept": accept}
    for caller in (as_alice, with_key(new_key().text)):
        root, refused = caller.get(f"{ROOT}/", headers=headers), caller.post(f"{ROOT}/payments/", {}, headers=headers)

        assert (root.status_code, root.headers["Content-Type"]) == (200, "application/json")
        assert (refused.status_code, refused.headers["Content-Type"]) == (400, "application/problem+json")


def test_a_wrong_token_or_key_gets_problem_json_whatever_it_accepts(anonymous: Caller) -> None:
    for credentials in ("Bearer none", "bearer none", "Api-Key none", "api-key none"):
        answer = anonymous.get(f"{ROOT}/feed/", headers={"Accept": "text/html", "Authorization": credentials})

        assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/problem+json")


def test_a_token_gets_the_page_that_it_asks_for_by_name(as_alice: Caller) -> None:
    answer = as_alice.get(f"{ROOT}/wallet/?format=api", headers={"Accept": "text/html"})

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_the_password_of_a_proxy_does_not_take_the_page_from_a_session(browser: Client) -> None:
    answer = browser.get(f"{ROOT}/wallet/", headers={"Authorization": "Basic dTpw"})

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
