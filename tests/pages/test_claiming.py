"""Claiming with a button."""

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
from tests.pages.conftest import told
from wallet.actions import claim as claim_module
from wallet.actions import claim_batch, claim_decisions, edit_asset, edit_pool
from wallet.actions.claim import claim_asset, claim_from_pool
from wallet.assets import models as assets
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger import idempotency
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.ledger.models import Entry
from wallet.pages.claim_form import WORDS

OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]
KEY = "0123456789abcdef"


def address(thing: CashbackAsset | CreditPool) -> str:
    return reverse("claim_asset" if isinstance(thing, CashbackAsset) else "claim_pool", args=[thing.pk])


def test_a_tap_claims_the_credit_and_says_so_beside_the_offers(alices: Client, alice: User, issue: Issue) -> None:
    asset = issue()

    answer = alices.post(address(asset))

    assert (answer.status_code, answer["Location"]) == (302, reverse("offers"))
    assert told(answer) == ["Claimed. Welcome bonus, ₹100.00: in your wallet now."]
    assert Entry.objects.get().user == alice


def test_a_second_tap_says_that_it_is_already_theirs(alices: Client, issue: Issue) -> None:
    asset = issue()
    alices.post(address(asset))

    again = alices.post(address(asset))

    assert told(again)[-1] == "Already yours. Welcome bonus, ₹100.00: you claimed it before, and it counts once."
    assert Entry.objects.count() == 1


def test_a_pool_hands_out_one_credit_a_form_however_often_it_is_sent(
    alices: Client, shown_key: Callable[[], str], open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool()
    for _ in range(3):
        issue(pool=pool)
    key = shown_key()

    answers = [alices.post(address(pool), {"key": key}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [302] * 3
    assert told(answers[-1])[-1] == "Already yours. Welcome bonus, ₹100.00: you claimed it before, and it counts once."
    assert Entry.objects.get().request_key == key


def test_another_form_claims_another_credit(
    alices: Client, shown_key: Callable[[], str], open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool()
    for _ in range(2):
        issue(pool=pool)

    for key in (shown_key(), shown_key()):
        alices.post(address(pool), {"key": key})

    assert Entry.objects.count() == 2


def test_a_key_means_the_same_claim_through_either_door(alices: Client, alice: User, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool()
    for _ in range(2):
        issue(pool=pool)
    claim_from_pool(pool.pk, alice, IdempotentRequest(alice, "claim", KEY, fingerprint("pool", pool.pk)))

    answer = alices.post(address(pool), {"key": KEY})

    assert "Already yours." in told(answer)[0]
    assert Entry.objects.count() == 1


@pytest.mark.parametrize("key", ["", "short", "x" * 65, "with space 0123456", "0123456789abcdef\n", "ключключключключ"])
def test_a_pools_form_without_a_proper_key_claims_nothing(alices: Client, open_pool: OpenPool, issue: Issue, key: str) -> None:
    pool = open_pool()
    issue(pool=pool)

    answer = alices.post(address(pool), {"key": key})

    assert told(answer) == ["Nothing was claimed. The form was incomplete. Here is a fresh page: claim again."]
    assert Entry.objects.count() == 0


def taken(asset: CashbackAsset, ada: User, bob: User) -> None:
    claim_asset(asset.pk, bob)


def ended(asset: CashbackAsset, ada: User, bob: User) -> None:
    edit_asset.expire_asset(asset.pk, ada)


def vanished(asset: CashbackAsset, ada: User, bob: User) -> None:
    edit_asset.delete_asset(asset.pk, ada)


@pytest.mark.parametrize(
    ("happened", "words"),
    [
        (taken, "Gone a moment ago. Somebody else claimed this credit first. Choose another one."),
        (ended, "Too late. This credit has ended and cannot be claimed any more. Choose another one."),
        (vanished, "No longer on offer. It was taken back. Look at what is on offer now."),
    ],
)
def test_a_credit_that_is_gone_is_refused_with_what_to_do_next(
    *, alices: Client, alice: User, ada: User, bob: User, issue: Issue, happened: Any, words: str
) -> None:
    asset = issue()
    happened(asset, ada, bob)

    assert told(alices.post(address(asset))) == [words]
    assert not Entry.objects.filter(user=alice).exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"is_active": False}, "No longer on offer. It was taken back. Look at what is on offer now."),
        (
            {"opens_at": timezone.now() + timedelta(days=1)},
            "Closed. This pool is not open for claims now. Look at the other pools.",
        ),
    ],
)
def test_a_closed_pool_is_refused(
    *, alices: Client, ada: User, open_pool: OpenPool, issue: Issue, change: dict[str, Any], words: str
) -> None:
    pool = open_pool()
    issue(pool=pool)
    edit_pool.update_pool(pool.pk, ada, **change)

    assert told(alices.post(address(pool), {"key": KEY})) == [words]
    assert Entry.objects.count() == 0


def test_a_sold_out_pool_and_a_used_up_limit_are_told_apart(alices: Client, open_pool: OpenPool, issue: Issue) -> None:
    empty, limited = open_pool(name="empty"), open_pool(name="limited", per_user_limit=1)
    for _ in range(2):
        issue(pool=limited)
    alices.post(address(limited), {"key": KEY})

    alices.post(address(limited), {"key": KEY + "2"})
    answer = alices.post(address(empty), {"key": KEY + "3"})

    assert told(answer)[1:] == [
        "Limit reached. You hold all that this pool allows one person. Look at the other pools.",
        "All gone. The last credit of this pool was just claimed. Look at the other pools.",
    ]
    assert Entry.objects.count() == 1


def test_every_refusal_of_a_claim_has_words_of_its_own() -> None:
    rooms = {module.__name__ for module in (claim_module, claim_batch, claim_decisions, transactions, idempotency, assets)}
    codes = {refusal.code for refusal in kinds(Refusal) if refusal.__module__ in rooms}

    assert len(codes) == 9
    assert codes - WORDS.keys() == set()


def kinds(refusal: type[Refusal]) -> Iterator[type[Refusal]]:
    """Yield all that are kinds of a refusal and have a code."""
    for kind in refusal.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_a_key_of_another_pool_asks_for_a_fresh_page(alices: Client, open_pool: OpenPool, issue: Issue) -> None:
    first, second = open_pool(name="first"), open_pool(name="second")
    for pool in (first, second):
        issue(pool=pool)
    alices.post(address(first), {"key": KEY})

    answer = alices.post(address(second), {"key": KEY})

    assert told(answer)[-1].startswith("Used before. This form was used before.")
    assert Entry.objects.count() == 1


@pytest.mark.parametrize("kind", ["asset", "pool"])
def test_the_sixth_claim_within_a_minute_waits_and_may_send_the_same_form(
    alices: Client, open_pool: OpenPool, issue: Issue, kind: str
) -> None:
    pool = open_pool()
    things = [issue(pool=pool) for _ in range(6)]
    for asset in things[:5]:
        alices.post(address(asset))

    answer = alices.post(address(things[5] if kind == "asset" else pool), {"key": KEY})

    assert answer.status_code == 429
    assert 1 <= int(answer["Retry-After"]) <= 60
    assert "Too many tries" in answer.content.decode()
    assert f'name="key" value="{KEY}"' in answer.content.decode()
    assert Entry.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_a_busy_database_offers_the_same_form_again(
    alices: Client, open_pool: OpenPool, issue: Issue, elsewhere: Any, unlimited: None
) -> None:
    pool = open_pool()
    asset = issue(pool=pool)
    elsewhere.execute("SELECT FROM assets_cashbackasset WHERE id = %s FOR UPDATE", [asset.pk])

    answer = alices.post(address(pool), {"key": KEY})
    elsewhere.rollback()
    retried = alices.post(address(pool), {"key": KEY})

    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert f'name="key" value="{KEY}"' in answer.content.decode()
    assert "Idempotency" not in answer.content.decode()
    assert told(retried) == ["Claimed. Welcome bonus, ₹100.00: in your wallet now."]


def test_a_claim_is_never_made_by_opening_an_address(alices: Client, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool()
    asset = issue(pool=pool)

    for thing in (asset, pool):
        answer = alices.get(address(thing))
        assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert Entry.objects.count() == 0


def test_a_stranger_who_taps_is_sent_to_sign_in_and_then_to_the_offers(client: Client, issue: Issue) -> None:
    answer = client.post(address(issue()))

    assert (answer.status_code, answer["Location"]) == (302, f"{reverse('sign_in')}?next={reverse('offers')}")
    assert Entry.objects.count() == 0


def test_a_form_from_another_site_claims_nothing(alice: User, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool()
    asset = issue(pool=pool)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)

    for thing in (asset, pool):
        answer = browser.post(address(thing), {"key": KEY})
        assert answer.status_code == 403
        assert "This form is too old" in answer.content.decode()
    assert Entry.objects.count() == 0


def test_the_shown_form_with_its_token_is_accepted(alice: User, issue: Issue) -> None:
    asset = issue()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    browser.get(reverse("offers"))

    browser.post(address(asset), {"csrfmiddlewaretoken": browser.cookies["csrftoken"].value})

    assert Entry.objects.get().asset == asset
