"""Pools that issue their credits on demand: as long as the budget allows, and never above it."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import User
from kernel.transactions import Busy, violated_constraint
from tests.concurrency import at_once
from wallet import tasks
from wallet.actions import edit_asset, edit_pool, issue_on_demand
from wallet.actions.claim import claim_asset, claim_from_pool
from wallet.actions.claim_batch import Claim
from wallet.actions.claim_decisions import PoolSoldOut
from wallet.actions.grant_batch import GrantOrder, grant_lines
from wallet.actions.grant_credit import grant_credit
from wallet.actions.grant_file import grant_patiently
from wallet.actions.grant_lines import GrantLine, Outcome
from wallet.actions.issue_assets import issue_asset, issue_many
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.ledger.models import Entry
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)
OpenPool = Callable[..., CreditPool]
MakeUsers = Callable[[int], list[User]]


@pytest.fixture
def on_demand(open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch) -> OpenPool:
    """Open a pool that issues credits of 100 rupees in blocks of three."""
    monkeypatch.setattr(issue_on_demand, "BLOCK", 3)

    def make(budget: str = "1000", **fields: Any) -> CreditPool:
        kind: dict[str, Any] = {"credit_title": "Bonus", "credit_value": Decimal(100)}
        return open_pool(budget=Decimal(budget), **kind | fields)

    return make


def claim(pool: CreditPool, user: User) -> Claim:
    return claim_from_pool(pool.pk, user, IdempotentRequest(user, "claim", uuid4().hex, fingerprint("x")))


def states(pool: CreditPool) -> dict[str, int]:
    return dict(Counter(CashbackAsset.objects.filter(pool=pool).values_list("status", flat=True)))


def violations() -> list[str]:
    connection.close()
    with snapshot_connection() as reader:
        return [str(violation) for violation in verify_everything(reader)]


def sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)


def test_a_pool_issues_ahead_of_its_claims_until_the_budget_is_spent(on_demand: OpenPool, alice: User) -> None:
    pool = on_demand("1050")
    assert states(pool) == {"AVAILABLE": 3}

    receipts = [claim(pool, alice).receipt for _ in range(10)]

    assert {(receipt["title"], receipt["amount"]) for receipt in receipts} == {("Bonus", "100.00")}
    with pytest.raises(PoolSoldOut):
        claim(pool, alice)
    assert states(pool) == {"CLAIMED": 10}
    assert violations() == []


def test_what_expired_or_was_deleted_can_be_issued_again(on_demand: OpenPool, alice: User, ada: User) -> None:
    pool = on_demand("300")
    first, second, _third = CashbackAsset.objects.filter(pool=pool).order_by("id")
    edit_asset.expire_asset(first.pk, ada)
    edit_asset.delete_asset(second.pk, ada)

    for _ in range(3):
        claim(pool, alice)

    with pytest.raises(PoolSoldOut):
        claim(pool, alice)
    assert states(pool) == {"CLAIMED": 3, "EXPIRED": 1}


def test_credits_on_demand_expire_after_their_lifetime(on_demand: OpenPool) -> None:
    pool = on_demand(credit_lifetime="2 hours")

    ends = [asset.expires_at for asset in CashbackAsset.objects.filter(pool=pool)]

    assert all(end and timedelta(hours=1) < end - timezone.now() <= timedelta(hours=2) for end in ends)


def test_lists_count_what_the_budget_still_allows(on_demand: OpenPool, alice: User) -> None:
    pool = on_demand("1050")
    for _ in range(3):
        claim(pool, alice)

    def shown() -> tuple[int, bool]:
        found = CreditPool.objects.with_supply().with_can_claim(CashbackAsset.objects.all(), alice).get(pk=pool.pk)
        return found.available, found.can_claim

    assert shown() == (7, True)
    for _ in range(7):
        claim(pool, alice)
    assert shown() == (0, False)


def test_grants_are_issued_on_demand_too(on_demand: OpenPool, alice: User, ada: User) -> None:
    pool = on_demand("1200")
    for number in range(5):
        grant_credit(alice, pool.pk, reference=f"a-{number}", reason="gift", actor=ada)

    lines = [GrantLine("alice@example.com", f"b-{number}") for number in range(9)]
    results = grant_lines(GrantOrder(pool.pk, "gift"), lines)

    assert Counter(result.outcome.value for result in results) == {"granted": 7, "refused": 2}
    assert {result.refusal.code for result in results if result.refusal} == {"pool_sold_out"}
    assert Entry.objects.count() == 12


def test_the_scheduler_refills_pools_with_few_credits_left(
    on_demand: OpenPool, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, paused = on_demand("1000"), on_demand("1000", name="Paused", is_active=False)
    sql("DELETE FROM assets_cashbackasset WHERE pool_id = %s", paused.pk)
    monkeypatch.setattr(issue_on_demand, "FEW", 3)
    claim(pool, alice)

    assert tasks.refill() == 1
    assert (states(pool), states(paused)) == ({"AVAILABLE": 5, "CLAIMED": 1}, {})
    tasks.refill()
    assert states(pool) == {"AVAILABLE": 5, "CLAIMED": 1}


def claim_until_answered(pool: CreditPool, user: User) -> Claim:
    """Claim as a client does: a claim that is told to try again is made again with the same key."""
    request = IdempotentRequest(user, "claim", uuid4().hex, fingerprint("x"))
    while True:
        try:
            return claim_from_pool(pool.pk, user, request)
        except Busy:
            time.sleep(0.01)


def test_forty_claimers_and_five_issuers_never_exceed_the_budget(on_demand: OpenPool, make_users: MakeUsers, ada: User) -> None:
    pool = on_demand("2500")
    users = make_users(40)

    def act(number: int) -> Any:
        if number >= 40:
            return issue_asset(ada, title="By hand", total_value=Decimal(100), pool=pool)
        return [claim_until_answered(pool, users[number]) for _ in range(2)]

    outcomes = at_once(act, range(45))

    assert states(pool) == {"CLAIMED": 25}, outcomes
    kinds = {type(outcome).__name__ for outcome in outcomes if not isinstance(outcome, list | CashbackAsset)}
    assert kinds <= {"PoolSoldOut", "ValidationError"}, kinds
    assert violations() == []


def test_two_issuers_at_once_do_not_share_what_is_left(on_demand: OpenPool) -> None:
    pool = on_demand("1000")

    def issue(_number: int) -> object:
        with transaction.atomic():
            return issue_many(None, pool, count=4, title="By hand", total_value=Decimal(100))

    outcomes = at_once(issue, range(6))

    assert sum(type(outcome).__name__ == "Issued" for outcome in outcomes) == 1, outcomes
    assert states(pool) == {"AVAILABLE": 7}


def test_manual_sql_does_not_exceed_the_budget(on_demand: OpenPool, open_pool: OpenPool, ada: User) -> None:
    pool, other = on_demand("350"), open_pool(name="Other")
    issue_asset(ada, title="Elsewhere", total_value=Decimal(100), pool=other)
    copied = (
        "INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, generation, pool_id) SELECT"
        " gen_random_uuid(), title, {value}, currency, 'AVAILABLE', 1, pool_id FROM assets_cashbackasset"
        " WHERE pool_id = %s LIMIT 1"
    )
    for statement, value in (
        (copied.format(value="50.01"), pool.pk),
        (
            "UPDATE assets_cashbackasset SET total_value = 150.01 WHERE id = (SELECT id FROM assets_cashbackasset"
            " WHERE pool_id = %s LIMIT 1)",
            pool.pk,
        ),
        ("UPDATE assets_cashbackasset SET pool_id = %s WHERE title = 'Elsewhere'", pool.pk),
        ("UPDATE assets_creditpool SET budget = 299.99 WHERE id = %s", pool.pk),
    ):
        with pytest.raises(IntegrityError) as refused, transaction.atomic():
            sql(statement, value)
        assert violated_constraint(refused.value) == "pool_budget", statement
    sql(copied.format(value="50.00"), pool.pk)
    sql("UPDATE assets_creditpool SET budget = 350 WHERE id = %s", pool.pk)
    for wrong, name in (
        ("credit_title = ''", "pool_budget_complete"),
        ("credit_value = NULL", "pool_budget_complete"),
        ("credit_value = 1.001", "pool_budget_scale"),
        ("credit_lifetime = '0 hours'", "pool_credit_lifetime_possible"),
    ):
        with pytest.raises(IntegrityError, match=name):
            sql(f"UPDATE assets_creditpool SET {wrong} WHERE id = %s", pool.pk)


def test_a_budget_below_what_was_given_is_refused_beside_its_field(on_demand: OpenPool, alice: User, ada: User) -> None:
    pool = on_demand("1000")
    claim(pool, alice)

    with pytest.raises(ValidationError) as refused:
        edit_pool.update_pool(pool.pk, ada, budget=Decimal("299"))
    assert list(refused.value.message_dict) == ["budget"]
    assert edit_pool.update_pool(pool.pk, ada, budget=Decimal("300")).budget == 300
    claim(pool, alice), claim(pool, alice)
    with pytest.raises(PoolSoldOut):
        claim(pool, alice)
    edit_pool.update_pool(pool.pk, ada, budget=Decimal("400"))
    claim(pool, alice)


def test_a_claim_by_id_takes_a_credit_that_was_issued_ahead(on_demand: OpenPool, alice: User) -> None:
    pool = on_demand()
    asset = CashbackAsset.objects.filter(pool=pool).first()
    assert asset is not None

    assert claim_asset(asset.pk, alice).status_code == 201


def test_a_budget_for_billions_of_credits_shows_in_the_lists(open_pool: OpenPool) -> None:
    pool = open_pool(budget=Decimal(30_000_000), credit_title="Penny", credit_value=Decimal("0.01"))

    assert CreditPool.objects.with_supply().get(pk=pool.pk).available == 3_000_000_000


def test_a_pool_that_opens_later_issues_when_it_opens_so_that_no_lifetime_runs_down(on_demand: OpenPool) -> None:
    opens_at = timezone.now() + timedelta(days=60)
    pool = on_demand(opens_at=opens_at, credit_lifetime="30 days")
    assert states(pool) == {}

    edit_pool.update_pool(pool.pk, None, opens_at=timezone.now() - timedelta(minutes=1))
    issue_on_demand.refill_pools()

    assert states(pool) == {"AVAILABLE": 10}
    soonest = CashbackAsset.objects.filter(pool=pool).order_by("expires_at")[0].expires_at
    assert soonest is not None
    assert soonest - timezone.now() > timedelta(days=29)


def test_a_claim_from_a_pool_whose_budget_is_spent_takes_no_lock_and_looks_once(
    on_demand: OpenPool, alice: User, django_assert_num_queries: Any
) -> None:
    pool = on_demand("300")
    for _ in range(3):
        claim(pool, alice)

    with django_assert_num_queries(6) as asked, pytest.raises(PoolSoldOut):
        claim(pool, alice)  # begin, reserve the key, look for room, lock, look for more, roll back

    assert not [
        query for query in asked.captured_queries if "assets_creditpool" in query["sql"] and "KEY SHARE" in query["sql"]
    ]


def test_lines_that_were_busy_are_sent_again_and_the_others_keep_their_results(
    on_demand: OpenPool, make_users: MakeUsers, elsewhere: psycopg.Connection[Any]
) -> None:
    pool = on_demand("400")
    refill_all = CashbackAsset.objects.filter(pool=pool).order_by("id").values_list("pk", flat=True)
    people = make_users(3)
    elsewhere.execute("SELECT FROM assets_cashbackasset WHERE id = ANY(%s) FOR UPDATE", [list(refill_all[:1])])
    CreditPool.objects.filter(pk=pool.pk).update(budget=Decimal(300))
    threading.Timer(0.3, elsewhere.rollback).start()

    order = GrantOrder(pool.pk, "goodwill")
    results = grant_patiently(order, [GrantLine(str(user.pk), f"line-{n}") for n, user in enumerate(people)], False)

    assert [result.outcome for result in results] == [Outcome.GRANTED] * 3
