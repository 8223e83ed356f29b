"""Claims by plain form."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from kernel import transactions
from kernel.refusals import Refusal
from tests.pages.conftest import message_texts
from wallet.actions import claim_decisions, edit_asset, edit_pool
from wallet.actions.claim import claim_asset, claim_from_pool
from wallet.assets import models as assets
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger import idempotency
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.ledger.models import Entry
from wallet.pages.claim_form import REFUSAL_MESSAGES

OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]
KEY = "0123456789abcdef"
CLAIMED = "Claimed. Welcome bonus (₹100.00) was added to your wallet. Your balance is now ₹100.00."


def address(thing: CashbackAsset | CreditPool) -> str:
    return reverse("claim_asset" if isinstance(thing, CashbackAsset) else "claim_pool", args=[thing.pk])


def test_claim_redirects_to_the_offers_with_a_message(alice_client: Client, alice: User, issue: Issue) -> None:
    asset = issue()

    answer = alice_client.post(address(asset))

    assert (answer.status_code, answer["Location"]) == (302, reverse("offers"))
    assert message_texts(answer) == [CLAIMED]
    assert Entry.objects.get().user == alice


def test_second_claim_of_a_credit_says_already_yours(alice_client: Client, issue: Issue) -> None:
    asset = issue()
    alice_client.post(address(asset))

    again = alice_client.post(address(asset))

    assert message_texts(again)[-1] == "Already yours. You already claimed Welcome bonus (₹100.00)."
    assert Entry.objects.count() == 1


def test_pool_form_sent_repeatedly_claims_once(
    alice_client: Client, shown_key: Callable[[], str], open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool()
    for _ in range(3):
        issue(pool=pool)
    key = shown_key()

    answers = [alice_client.post(address(pool), {"key": key}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [302] * 3
    assert message_texts(answers[-1])[-1] == "Already yours. You already claimed Welcome bonus (₹100.00)."
    assert Entry.objects.get().request_key == key


def test_each_pool_form_claims_another_credit(
    alice_client: Client, shown_key: Callable[[], str], open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool()
    for _ in range(2):
        issue(pool=pool)

    for key in (shown_key(), shown_key()):
        alice_client.post(address(pool), {"key": key})

    assert Entry.objects.count() == 2


def test_key_used_through_the_api_is_replayed_by_the_form(
    alice_client: Client, alice: User, open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool()
    for _ in range(2):
        issue(pool=pool)
    claim_from_pool(pool.pk, alice, IdempotentRequest(alice, "claim", KEY, fingerprint("pool", pool.pk)))

    answer = alice_client.post(address(pool), {"key": KEY})

    assert "Already yours." in message_texts(answer)[0]
    assert Entry.objects.count() == 1


@pytest.mark.parametrize("key", ["", "short", "x" * 65, "with space 0123456", "0123456789abcdef\n", "ключключключключ"])
def test_pool_form_with_a_malformed_key_claims_nothing(
    alice_client: Client, open_pool: OpenPool, issue: Issue, key: str
) -> None:
    pool = open_pool()
    issue(pool=pool)

    answer = alice_client.post(address(pool), {"key": key})

    assert message_texts(answer) == ["Nothing was claimed. The form was incomplete. This page is up to date; claim again."]
    assert Entry.objects.count() == 0


def claim_by_another_user(asset: CashbackAsset, ada: User, bob: User) -> None:
    claim_asset(asset.pk, bob)


def expire(asset: CashbackAsset, ada: User, bob: User) -> None:
    edit_asset.expire_asset(asset.pk, ada)


def delete(asset: CashbackAsset, ada: User, bob: User) -> None:
    edit_asset.delete_asset(asset.pk, ada)


@pytest.mark.parametrize(
    ("make_unavailable", "message"),
    [
        (claim_by_another_user, "Just claimed by someone else. Someone else claimed this credit first. Choose another one."),
        (expire, "Expired. This credit has expired and can no longer be claimed. Choose another one."),
        (delete, "No longer available. This offer was withdrawn. See what's on offer now."),
    ],
)
def test_unavailable_credit_is_refused_with_advice(
    *, alice_client: Client, alice: User, ada: User, bob: User, issue: Issue, make_unavailable: Any, message: str
) -> None:
    asset = issue()
    make_unavailable(asset, ada, bob)

    assert message_texts(alice_client.post(address(asset))) == [message]
    assert not Entry.objects.filter(user=alice).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"is_active": False}, "No longer available. This offer was withdrawn. See what's on offer now."),
        (
            {"opens_at": timezone.now() + timedelta(days=1)},
            "Closed. This pool isn't open for claims right now. See the other pools.",
        ),
    ],
)
def test_claim_from_an_unavailable_pool_is_refused(
    *, alice_client: Client, ada: User, open_pool: OpenPool, issue: Issue, change: dict[str, Any], message: str
) -> None:
    pool = open_pool()
    issue(pool=pool)
    edit_pool.update_pool(pool.pk, ada, **change)

    assert message_texts(alice_client.post(address(pool), {"key": KEY})) == [message]
    assert Entry.objects.count() == 0


def test_sold_out_pool_and_reached_limit_have_different_messages(
    alice_client: Client, open_pool: OpenPool, issue: Issue
) -> None:
    empty, limited = open_pool(name="empty"), open_pool(name="limited", per_user_limit=1)
    for _ in range(2):
        issue(pool=limited)
    alice_client.post(address(limited), {"key": KEY})

    alice_client.post(address(limited), {"key": KEY + "2"})
    answer = alice_client.post(address(empty), {"key": KEY + "3"})

    assert message_texts(answer)[1:] == [
        "Limit reached. You've reached the limit for this offer. See the other pools.",
        "Fully claimed. The last credit in this pool was just claimed. See the other pools.",
    ]
    assert Entry.objects.count() == 1


def test_every_refusal_of_a_claim_has_its_own_message() -> None:
    modules = {module.__name__ for module in (claim_decisions, transactions, idempotency, assets)}
    codes = {refusal.code for refusal in subclasses(Refusal) if refusal.__module__ in modules}

    assert len(codes) == 11
    assert codes - REFUSAL_MESSAGES.keys() == set()


def subclasses(refusal: type[Refusal]) -> Iterator[type[Refusal]]:
    """Yield all direct and indirect subclasses of a refusal."""
    for subclass in refusal.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def test_key_of_another_pool_is_refused_as_already_used(alice_client: Client, open_pool: OpenPool, issue: Issue) -> None:
    first, second = open_pool(name="first"), open_pool(name="second")
    for pool in (first, second):
        issue(pool=pool)
    alice_client.post(address(first), {"key": KEY})

    answer = alice_client.post(address(second), {"key": KEY})

    assert message_texts(answer)[-1].startswith("Already used. This form was already used.")
    assert Entry.objects.count() == 1


@pytest.mark.parametrize("kind", ["asset", "pool"])
def test_sixth_claim_within_a_minute_gets_429_with_the_same_form(
    alice_client: Client, open_pool: OpenPool, issue: Issue, kind: str
) -> None:
    pool = open_pool()
    things = [issue(pool=pool) for _ in range(6)]
    for asset in things[:5]:
        alice_client.post(address(asset))

    answer = alice_client.post(address(things[5] if kind == "asset" else pool), {"key": KEY})

    assert answer.status_code == 429
    assert 1 <= int(answer["Retry-After"]) <= 60
    assert "Too many attempts" in answer.content.decode()
    assert f'name="key" value="{KEY}"' in answer.content.decode()
    assert Entry.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_busy_database_gets_503_with_the_same_form(
    alice_client: Client, open_pool: OpenPool, issue: Issue, elsewhere: Any, unlimited: None
) -> None:
    pool = open_pool()
    asset = issue(pool=pool)
    elsewhere.execute("SELECT FROM assets_cashbackasset WHERE id = %s FOR UPDATE", [asset.pk])

    answer = alice_client.post(address(pool), {"key": KEY})
    elsewhere.rollback()
    retried = alice_client.post(address(pool), {"key": KEY})

    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert f'name="key" value="{KEY}"' in answer.content.decode()
    assert "Idempotency" not in answer.content.decode()
    assert message_texts(retried) == [CLAIMED]


def test_get_of_a_claim_url_claims_nothing(alice_client: Client, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool()
    asset = issue(pool=pool)

    for thing in (asset, pool):
        answer = alice_client.get(address(thing))
        assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert Entry.objects.count() == 0


def test_anonymous_claim_redirects_to_sign_in_and_then_to_the_offers(client: Client, issue: Issue) -> None:
    answer = client.post(address(issue()))

    assert (answer.status_code, answer["Location"]) == (302, f"{reverse('sign_in')}?next={reverse('offers')}")
    assert Entry.objects.count() == 0


def test_claim_without_csrf_token_is_refused(alice: User, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool()
    asset = issue(pool=pool)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)

    for thing in (asset, pool):
        answer = browser.post(address(thing), {"key": KEY})
        assert answer.status_code == 403
        assert "This page has expired" in answer.content.decode()
    assert Entry.objects.count() == 0


def test_claim_with_csrf_token_is_accepted(alice: User, issue: Issue) -> None:
    asset = issue()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    browser.get(reverse("offers"))

    browser.post(address(asset), {"csrfmiddlewaretoken": browser.cookies["csrftoken"].value})

    assert Entry.objects.get().asset == asset
