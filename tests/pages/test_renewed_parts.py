"""Everything on a page that a claim changed is renewed in the answer to that claim."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.responses import ClientResponse
from wallet.actions import edit_asset, edit_pool
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


def shown_on(page: str) -> list[str]:
    """Return the parts that a page names for its claims."""
    return re.findall(r'id="((?:offer|pool|head)-[0-9a-f-]{36}|wallet)"', page)


def tap(browser: Client, asset: CashbackAsset, shown: list[str]) -> ClientResponse:
    """Claim a credit as htmx does on a page with these parts."""
    fields = {"shown": shown, "row": f"offer-{asset.pk}"}
    return browser.post(reverse("claim_asset", args=[asset.pk]), fields, headers={"HX-Request": "true"})


def part(answer: ClientResponse, name: str) -> str:
    """Return the text of a part that is swapped out of band."""
    found = re.search(
        rf'<\w+ class="\w+" id="{name}" hx-swap-oob="true">(.*?)(?=<\w+ [^>]*hx-swap-oob|\Z)',
        answer.content.decode(),
        re.DOTALL,
    )
    assert found, f"{name} is not renewed"
    return " ".join(unescape(re.sub("<[^>]+>", " ", found[1])).split())


def test_claim_on_the_wallet_renews_balance_activity_and_chart(alice_client: Client, issue: Issue) -> None:
    asset = issue(title="tea", expires_at=timezone.now() + timedelta(days=1))
    page = alice_client.get(reverse("dashboard")).content.decode()

    answer = tap(alice_client, asset, shown_on(page)).content.decode()

    assert "Your wallet is empty" in page
    wallet = answer.partition('<div id="wallet" hx-swap-oob="true">')[2]
    for text in ("₹100.00", "Available in INR", "Recent activity", "tea"):
        assert text in wallet
    assert "Your wallet is empty" not in answer


def test_plain_claim_on_the_wallet_returns_to_a_renewed_page(alice_client: Client, issue: Issue) -> None:
    asset = issue(title="tea", expires_at=timezone.now() + timedelta(days=1))

    answer = alice_client.post(reverse("claim_asset", args=[asset.pk]), {"back": reverse("dashboard")}, follow=True)

    page = answer.content.decode()
    assert answer.redirect_chain == [(reverse("dashboard"), 302)]
    assert "Your balance is now ₹100.00." in page
    assert page.count("₹100.00") >= 3  # the message, the balance, the activity


def test_cards_beside_the_claimed_one_stop_offering_what_cannot_be_claimed(
    *, alice_client: Client, ada: User, bob: User, open_pool: OpenPool, issue: Issue
) -> None:
    limited, withdrawn = open_pool(name="limited", per_user_limit=1), open_pool(name="withdrawn")
    first, second = issue(pool=limited, title="first"), issue(pool=limited, title="second")
    gone, ended, deleted = issue(title="gone"), issue(title="ended"), issue(title="deleted")
    hidden, kept = issue(pool=withdrawn, title="hidden"), issue(title="kept")
    shown = shown_on(alice_client.get(reverse("offers")).content.decode())
    claim_asset(gone.pk, bob)
    edit_asset.expire_asset(ended.pk, ada)
    edit_asset.delete_asset(deleted.pk, ada)
    edit_pool.update_pool(withdrawn.pk, ada, is_active=False)

    answer = tap(alice_client, first, shown)

    assert part(answer, f"offer-{second.pk}").endswith("You've reached the limit for this offer.")
    assert part(answer, f"offer-{gone.pk}").endswith("Fully claimed")
    assert part(answer, f"offer-{ended.pk}").endswith("Ended")
    assert part(answer, f"offer-{deleted.pk}").endswith("No longer available")
    assert part(answer, f"offer-{hidden.pk}").endswith("No longer available")
    assert part(answer, f"offer-{kept.pk}").endswith("1 left Claim")
    assert part(answer, f"head-{limited.pk}") == "1 left"


def test_number_left_is_renewed_where_an_equal_credit_was_claimed(
    alice_client: Client, bob: User, open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool()
    equal = [issue(pool=pool, title="equal") for _ in range(3)]
    other = issue(pool=pool, title="other")
    shown = shown_on(alice_client.get(reverse("offers")).content.decode())
    claim_asset(equal[0].pk, bob)

    answer = tap(alice_client, other, shown)

    (name,) = [text for text in shown if text.startswith("offer-") and text != f"offer-{other.pk}"]
    assert part(answer, f"offer-{name.removeprefix('offer-')}").endswith("2 left Claim")


@pytest.mark.parametrize("address", ["landing", "offers", "dashboard"])
def test_every_page_with_claims_names_all_its_offers(
    alice_client: Client, open_pool: OpenPool, issue: Issue, address: str
) -> None:
    soon = timezone.now() + timedelta(days=1)
    for number in range(3):
        issue(pool=open_pool(name=f"{number}"), expires_at=soon)

    page = alice_client.get(reverse(address)).content.decode()

    assert page.count("hx-post") == len([text for text in shown_on(page) if text.partition("-")[0] in ("offer", "pool")]) == 3


def test_renewal_takes_as_many_queries_for_many_parts_as_for_one(
    *, alice_client: Client, open_pool: OpenPool, issue: Issue, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    assets = [issue(pool=open_pool(name=f"{number}"), title=f"{number}") for number in range(30)]
    shown = [f"offer-{asset.pk}" for asset in assets] + [f"head-{asset.pool_id}" for asset in assets] + ["wallet"]

    # Renewal: the offers, their pools, balances by day, latest claims. The claim itself and the new balance come before.
    with django_assert_max_num_queries(22) as asked:
        tap(alice_client, assets[0], [shown[0], "wallet"])
    few = len(asked)
    with django_assert_max_num_queries(few + 2):
        tap(alice_client, assets[1], shown)


UNKNOWN_ID = "8b8dd920-763c-46db-8e99-84cf7886ce93"


@pytest.mark.parametrize("odd", ["offer-x", "offer-", "x-1", "pool", "head-no", "\x00", "wallet-1", f"offer-{UNKNOWN_ID}"])
def test_unknown_parts_are_ignored(alice_client: Client, issue: Issue, odd: str) -> None:
    answer = tap(alice_client, issue(), [odd])

    assert answer.status_code == 200
    assert "Claimed" in answer.content.decode()


def test_parts_of_a_hidden_pool_reveal_nothing(alice_client: Client, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool(name="secret pool", is_active=False)
    secret = issue(pool=pool, title="secret credit")

    answer = tap(alice_client, issue(), [f"offer-{secret.pk}", f"head-{pool.pk}"])

    assert "secret" not in answer.content.decode()
    assert part(answer, f"offer-{secret.pk}") == "No longer available"
