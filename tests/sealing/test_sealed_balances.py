"""A balance is the sealed balance, to which each seal adds its entries, and the entries since the last seal."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from wallet.actions import seal_ledger
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry, SealedBalance
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)
Issue = Callable[..., CashbackAsset]


def claim(issue: Issue, user: User, value: str, currency: str = "INR") -> None:
    claim_asset(issue(total_value=Decimal(value), currency=currency).pk, user)


def balance(user: User) -> list[tuple[str, Decimal, int]]:
    return [(line["currency"], line["balance"], line["claims"]) for line in Entry.objects.balances_of(user)]


def test_a_balance_is_the_same_before_and_after_each_seal(issue: Issue, alice: User, bob: User) -> None:
    claim(issue, alice, "1.50")
    claim(issue, alice, "500", "JPY")
    before = balance(alice)
    seal_ledger.seal_all()
    sealed = balance(alice)
    claim(issue, alice, "0.25")
    claim(issue, bob, "9")
    since = balance(alice)
    seal_ledger.seal_all()

    assert before == sealed == [("INR", Decimal("1.50"), 1), ("JPY", Decimal(500), 1)]
    assert since == balance(alice) == [("INR", Decimal("1.75"), 2), ("JPY", Decimal(500), 1)]
    assert balance(bob) == [("INR", Decimal(9), 1)]
    assert SealedBalance.objects.count() == 3


def test_user_without_claims_has_no_balance(alice: User) -> None:
    assert balance(alice) == []


def test_balance_is_one_query(issue: Issue, alice: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    claim(issue, alice, "1")
    seal_ledger.seal_all()
    claim(issue, alice, "2")

    with django_assert_num_queries(1):
        assert balance(alice) == [("INR", Decimal(3), 2)]


@pytest.mark.parametrize(
    "wrong",
    [
        "UPDATE ledger_sealedbalance SET amount = amount + 1",
        "UPDATE ledger_sealedbalance SET claims = 7",
        "UPDATE ledger_sealedbalance SET lasting = 0",
        "DELETE FROM ledger_sealedbalance",
    ],
)
def test_checker_finds_a_wrong_sealed_balance(issue: Issue, alice: User, wrong: str) -> None:
    claim(issue, alice, "1")
    seal_ledger.seal_all()
    with snapshot_connection() as reader:
        assert verify_everything(reader) == []
    with connection.cursor() as cursor:
        cursor.execute(wrong)

    with snapshot_connection() as reader:
        (found,) = verify_everything(reader)

    assert found.invariant == "I5"
    assert str(alice.pk) in found.sentence
