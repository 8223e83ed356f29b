"""Claiming with a script: the answer takes the offer's place."""

import re
from collections.abc import Callable
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
    return " ".join(re.sub("<[^>]+>", " ", answer.content.decode()).split())


def test_a_claim_answers_with_a_part_of_the_page_that_links_the_receipt(alices: Client, issue: Issue) -> None:
    answer = tap(alices, issue())

    assert answer.status_code == 200
    assert "<html" not in answer.content.decode()
    assert words(answer).startswith("Claimed ₹100.00 Welcome bonus: in your wallet now. See receipt")
    assert reverse("receipt", args=[Entry.objects.get().pk]) in answer.content.decode()


def test_a_screen_reader_is_told_in_the_pages_own_live_region(alices: Client, issue: Issue) -> None:
    answer = tap(alices, issue()).content.decode()

    assert '<p id="live" hx-swap-oob="innerHTML">Claimed. Welcome bonus, ₹100.00: in your wallet now.</p>' in answer


def test_more_of_the_same_are_offered_after_a_claim_and_after_a_miss(
    alices: Client, bob: User, open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool()
    first, second, third = (issue(pool=pool) for _ in range(3))
    claim_asset(second.pk, bob)

    missed = tap(alices, second)
    claimed = tap(alices, first)

    assert "Gone a moment ago" in words(missed)
    assert "Claim another (2 left)" in words(missed)
    assert "Claim another (1 left)" in words(claimed)
    assert reverse("claim_asset", args=[third.pk]) in claimed.content.decode()


def test_no_more_is_offered_than_the_pool_allows(alices: Client, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool(per_user_limit=1)
    first, second = issue(pool=pool), issue(pool=pool)

    claimed, refused = tap(alices, first), tap(alices, second)

    assert "Claim another" not in words(claimed)
    assert words(refused).startswith("Limit reached You hold all that this pool allows one person.")
    assert Entry.objects.count() == 1


def test_a_pools_answer_carries_a_fresh_key_for_another(alices: Client, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool()
    for _ in range(2):
        issue(pool=pool)

    claimed = tap(alices, pool, key=KEY)
    again = tap(alices, pool, key=KEY)

    assert "Claim another (1 left)" in words(claimed)
    assert f'value="{KEY}"' not in claimed.content.decode()
    assert words(again).startswith("Already yours")
    assert Entry.objects.count() == 1


def test_too_many_tries_offer_the_very_same_form_after_the_wait(alices: Client, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool()
    for _ in range(6):
        issue(pool=pool)
    for number in range(5):
        tap(alices, pool, key=f"{KEY}{number}")

    answer = tap(alices, pool, key=KEY)

    page = answer.content.decode()
    assert answer.status_code == 429
    assert f'data-wait="{answer["Retry-After"]}"' in page
    assert f'name="key" value="{KEY}"' in page
    assert reverse("claim_pool", args=[pool.pk]) in page
    assert Entry.objects.count() == 5


def test_who_is_signed_out_meanwhile_is_taken_to_sign_in(client: Client, issue: Issue) -> None:
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
def test_without_a_script_one_returns_to_where_the_form_was(alices: Client, issue: Issue, back: str, where: str) -> None:
    answer: Any = alices.post(reverse("claim_asset", args=[issue().pk]), {"back": back})

    assert (answer.status_code, answer["Location"]) == (302, where)


def test_a_form_says_which_page_it_is_on_unless_that_is_the_offers(alices: Client, issue: Issue) -> None:
    issue(title="Lamp")

    found = alices.get(reverse("offers"), {"q": "lamp"}).content.decode()

    assert 'name="back" value="/offers/?q=lamp"' in found
    assert 'name="back" value="/"' in alices.get(reverse("landing")).content.decode()
    assert 'name="back"' not in alices.get(reverse("offers")).content.decode()
