"""Claims by htmx: the response replaces the offer."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from accounts.models import User
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry

OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]
KEY = "0123456789abcdef"


def tap(browser: Client, thing: CashbackAsset | CreditPool, **fields: str) -> HttpResponse:
    name = "claim_asset" if isinstance(thing, CashbackAsset) else "claim_pool"
    return browser.post(reverse(name, args=[thing.pk]), fields, headers={"HX-Request": "true"})  # type: ignore[return-value]


def words(answer: HttpResponse) -> str:
    return " ".join(unescape(re.sub("<[^>]+>", " ", answer.content.decode())).split())


def test_htmx_claim_returns_a_fragment_with_a_link_to_the_receipt(alice_client: Client, issue: Issue) -> None:
    answer = tap(alice_client, issue())

    assert answer.status_code == 200
    assert "<html" not in answer.content.decode()
    assert words(answer).startswith(
        "Claimed ₹100.00 Welcome bonus was added to your wallet. Your balance is now ₹100.00. See receipt"
    )
    assert reverse("receipt", args=[Entry.objects.get().pk]) in answer.content.decode()


def test_htmx_claim_updates_the_live_region_for_screen_readers(alice_client: Client, issue: Issue) -> None:
    answer = tap(alice_client, issue()).content.decode()

    assert (
        '<p id="live" hx-swap-oob="innerHTML">Claimed. Welcome bonus (₹100.00) was added to your wallet. '
        "Your balance is now ₹100.00.</p>"
    ) in answer


def test_equal_credits_are_offered_after_a_claim_and_after_a_refusal(
    alice_client: Client, bob: User, open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool()
    first, second, third = (issue(pool=pool) for _ in range(3))
    claim_asset(second.pk, bob)

    missed = tap(alice_client, second)
    claimed = tap(alice_client, first)

    assert "Just claimed by someone else" in words(missed)
    assert "Claim another (2 left)" in words(missed)
    assert "Claim another (1 left)" in words(claimed)
    assert reverse("claim_asset", args=[third.pk]) in claimed.content.decode()


def test_no_other_credit_is_offered_once_the_pool_limit_is_reached(
    alice_client: Client, open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool(per_user_limit=1)
    first, second = issue(pool=pool), issue(pool=pool)

    claimed, refused = tap(alice_client, first), tap(alice_client, second)

    assert "Claim another" not in words(claimed)
    assert words(refused).startswith("Limit reached You've reached the limit for this offer.")
    assert Entry.objects.count() == 1


def test_pool_claim_returns_a_form_with_a_new_key(alice_client: Client, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool()
    for _ in range(2):
        issue(pool=pool)

    claimed = tap(alice_client, pool, key=KEY)
    again = tap(alice_client, pool, key=KEY)

    assert "Claim another (1 left)" in words(claimed)
    assert f'value="{KEY}"' not in claimed.content.decode()
    assert words(again).startswith("Already yours")
    assert Entry.objects.count() == 1


def test_rate_limited_claim_returns_the_same_form_with_the_wait(
    alice_client: Client, open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool()
    for _ in range(6):
        issue(pool=pool)
    for number in range(5):
        tap(alice_client, pool, key=f"{KEY}{number}")

    answer = tap(alice_client, pool, key=KEY)

    page = answer.content.decode()
    assert answer.status_code == 429
    assert f'data-wait="{answer["Retry-After"]}"' in page
    assert f'name="key" value="{KEY}"' in page
    assert reverse("claim_pool", args=[pool.pk]) in page
    assert Entry.objects.count() == 5


def test_signed_out_htmx_claim_redirects_to_sign_in(client: Client, issue: Issue) -> None:
    answer = tap(client, issue())

    assert (answer.status_code, answer["HX-Redirect"]) == (200, f"{reverse('sign_in')}?next={reverse('offers')}")
    assert Entry.objects.count() == 0


@pytest.mark.parametrize(
    ("back", "where"),
    [
        ("/offers/?q=tea&page=2", "/offers/?q=tea&page=2"),
        ("/dashboard/", "/dashboard/"),
        ("//evil.example/", "/offers/"),
        ("https://evil.example/", "/offers/"),
        ("/\\evil.example", "/offers/"),
        ("javascript:alert(1)", "/offers/"),
        ("", "/offers/"),
    ],
)
def test_plain_claim_returns_to_a_local_url_only(alice_client: Client, issue: Issue, back: str, where: str) -> None:
    answer: Any = alice_client.post(reverse("claim_asset", args=[issue().pk]), {"back": back})

    assert (answer.status_code, answer["Location"]) == (302, where)


def test_form_has_a_return_field_except_on_the_offers(alice_client: Client, issue: Issue) -> None:
    issue(title="Lamp")

    found = alice_client.get(reverse("offers"), {"q": "lamp"}).content.decode()

    assert 'name="back" value="/offers/?q=lamp"' in found
    assert 'name="back" value="/"' in alice_client.get(reverse("landing")).content.decode()
    assert 'name="back"' not in alice_client.get(reverse("offers")).content.decode()
