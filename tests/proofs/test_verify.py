"""The checker sees what it is there to see: each promise is broken once, behind PostgreSQL's back."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from accounts.models import User
from wallet.actions import edit_asset, edit_pool, recreate_asset
from wallet.actions.claim import claim_asset, claim_from_pool
from wallet.actions.claim_batch import Claim
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.assets.supply_triggers import MERGE_SUPPLY
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.ledger.models import Entry
from wallet.verification.checker import Violation, leftover_sessions, stuck_transactions, verify_everything
from wallet.verification.claim_log import TRACEBACK, WITHOUT_WAIT, Attempt

Issue = Callable[..., CashbackAsset]
Tamper = Callable[..., None]
TABLES = ("assets_cashbackasset", "assets_creditpoolevent", "ledger_entry", "ledger_idempotencykey")


@pytest.fixture
def tamper() -> Tamper:
    """Run SQL as the tables' owner with every rule of ours switched off, and put them back."""

    def run(*statements: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for table in TABLES:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            for statement in statements:
                cursor.execute(statement)
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SELECT public.harden_triggers()")

    return run


@pytest.fixture
def pool(open_pool: Callable[..., CreditPool]) -> CreditPool:
    return open_pool(per_user_limit=2)


@pytest.fixture
def claim(pool: CreditPool, issue: Issue, alice: User) -> Claim:
    """Let alice claim one of the pool's two credits, with a key."""
    for _ in range(2):
        issue(pool=pool, expires_at=timezone.now() + timedelta(days=1))
    return claim_from_pool(pool.pk, alice, request(alice, pool))


def request(user: User, pool: CreditPool, key: str = "one-key-of-mine-1") -> IdempotentRequest:
    return IdempotentRequest(user, "pool-claim", key, fingerprint(pool.pk))


def attempt(claim: Claim, user: User, pool: CreditPool) -> Attempt:
    """Return what alice's client remembers of her claim."""
    key = "one-key-of-mine-1"
    return Attempt("client 0", "pool", str(pool.pk), str(user.pk), key, 0.0, 1.0, "ok", 201, "201", claim.receipt)


def broken(found: list[Violation]) -> set[str]:
    return {violation.invariant for violation in found}


def test_an_honest_ledger_has_no_violation(claim: Claim, pool: CreditPool, issue: Issue, bob: User, ada: User) -> None:
    claim_asset(issue(currency="JPY", total_value=Decimal(500)).pk, bob)
    claim_from_pool(pool.pk, bob, request(bob, pool))
    recreate_asset.recreate_asset(edit_asset.expire_asset(issue().pk, ada).pk, ada)
    issued: Any = {(pool.pk, "INR"): (2, Decimal(200)), (None, "JPY"): (1, Decimal(500)), (None, "INR"): (2, Decimal(200))}

    assert verify_everything(connection, issued=issued) == []


def test_an_empty_ledger_has_no_violation(db: None) -> None:
    assert verify_everything(connection, []) == []


SECOND_ENTRY = """
    INSERT INTO ledger_entry (id, kind, asset_id, user_id, amount, currency, claimed_at, actor_id, request_key)
    SELECT gen_random_uuid(), kind, asset_id, user_id, amount, currency, claimed_at, actor_id, {key} FROM ledger_entry
"""
UNCLAIM = "status = 'AVAILABLE', claimed_by_id = NULL, claimed_at = NULL, claim_slot = NULL"


@pytest.mark.parametrize(
    ("invariant", "statements"),
    [
        ("I1", ["DROP INDEX entry_one_claim_per_asset", SECOND_ENTRY.format(key="NULL")]),
        ("I4", ["UPDATE ledger_idempotencykey SET entry_id = NULL", "DELETE FROM ledger_entry"]),
        ("I4", [f"UPDATE assets_cashbackasset SET {UNCLAIM}"]),
        ("I4", [f"UPDATE assets_cashbackasset SET {UNCLAIM.replace('AVAILABLE', 'EXPIRED')}"]),
        ("I4", ["UPDATE assets_cashbackasset SET claimed_by_id = created_by_id WHERE status = 'CLAIMED'"]),
        ("I4", ["UPDATE assets_cashbackasset SET total_value = 99 WHERE status = 'CLAIMED'"]),
        ("I4", ["UPDATE assets_cashbackasset SET currency = 'USD' WHERE status = 'CLAIMED'"]),
        ("I4", ["UPDATE assets_cashbackasset SET claimed_at = claimed_at - interval '1 microsecond'"]),
        ("I4", ["UPDATE ledger_entry SET amount = amount + 0.01"]),
        (
            "I5",
            [
                "ALTER TABLE assets_cashbackasset DROP CONSTRAINT asset_status_known",
                "UPDATE assets_cashbackasset SET status = 'LOST' WHERE status = 'AVAILABLE'",
            ],
        ),
        ("I5", ["UPDATE ledger_entry SET amount = amount + 0.01"]),
        ("I5", ["UPDATE ledger_entry SET currency = 'USD'"]),
        (
            "I6",
            [
                "ALTER TABLE assets_cashbackasset DROP CONSTRAINT asset_claimed_before_expiry",
                "UPDATE assets_cashbackasset SET expires_at = claimed_at",
            ],
        ),
        ("I6", ["UPDATE ledger_entry SET claimed_at = claimed_at + interval '1 day'"]),
        (
            "I7",
            [
                "DROP INDEX entry_one_claim_per_asset",
                "ALTER TABLE ledger_entry DROP CONSTRAINT entry_request_key",
                SECOND_ENTRY.format(key="request_key"),
            ],
        ),
        (
            "I7",
            [
                *(f"ALTER TABLE ledger_idempotencykey_{number} DISABLE TRIGGER USER" for number in range(3)),
                "INSERT INTO ledger_idempotencykey"
                " (user_id, route, key, fingerprint, status_code, body, entry_id, partition_number)"
                " SELECT user_id, route, key, fingerprint, status_code, body, entry_id, mod(partition_number + 1, 3)"
                " FROM ledger_idempotencykey",
            ],
        ),
        ("I7", ["UPDATE ledger_idempotencykey SET entry_id = gen_random_uuid()"]),
        ("I7", ["UPDATE ledger_idempotencykey SET body = NULL"]),
        ("I7", ["UPDATE ledger_idempotencykey SET status_code = NULL"]),
        ("I7", ["UPDATE ledger_idempotencykey SET body = replace(body, '100.00', '900.00')"]),
        ("I7", ["UPDATE ledger_idempotencykey SET body = 'no longer JSON'"]),
        ("I7", ["UPDATE ledger_entry SET request_key = 'another-key-than-it'"]),
        ("I7", ["UPDATE ledger_idempotencykey SET user_id = (SELECT created_by_id FROM assets_cashbackasset LIMIT 1)"]),
        ("I9", ["UPDATE assets_cashbackasset SET claim_slot = 2 WHERE status = 'CLAIMED'"]),
        ("I9", ["UPDATE assets_cashbackasset SET claim_slot = NULL WHERE status = 'CLAIMED'"]),
        (
            "I9",
            [
                "ALTER TABLE assets_cashbackasset DROP CONSTRAINT asset_claim_slot",
                "UPDATE assets_cashbackasset SET status = 'CLAIMED', claim_slot = 1, claimed_at = now(),"
                " claimed_by_id = (SELECT user_id FROM ledger_entry)",
            ],
        ),
        ("I9", ["UPDATE assets_cashbackasset SET claim_slot = 3 WHERE status = 'CLAIMED'"]),
    ],
)
def test_a_broken_promise_is_seen_and_its_row_is_named(
    claim: Claim, tamper: Tamper, invariant: str, statements: list[str]
) -> None:
    tamper(*statements)

    found = [violation for violation in verify_everything(connection) if violation.invariant == invariant]

    assert found
    if invariant != "I5":
        rows = [claim.receipt["asset"], claim.receipt["id"], "one-key-of-mine-1"]
        assert any(row in found[0].sentence for row in rows) or "user " in found[0].sentence


def test_a_credit_beyond_the_limit_is_seen(claim: Claim, pool: CreditPool, alice: User, tamper: Tamper) -> None:
    tamper(
        "UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_at = now() + interval '1 second', claim_slot = 2,"
        f" claimed_by_id = '{alice.pk}' WHERE status = 'AVAILABLE'",
        "UPDATE assets_creditpoolevent SET per_user_limit = 1",
    )

    beyond = [violation for violation in verify_everything(connection) if violation.invariant == "I9"]

    assert len(beyond) == 1
    assert f"is claim number 2 of user {alice.pk} in pool {pool.pk}, more than its limit then" in beyond[0].sentence


def test_a_limit_lowered_afterwards_breaks_nothing(claim: Claim, pool: CreditPool, alice: User, ada: User) -> None:
    claim_from_pool(pool.pk, alice, request(alice, pool, "another-key-of-mine"))
    edit_pool.update_pool(pool.pk, ada, per_user_limit=1)

    assert verify_everything(connection) == []


def test_a_credit_that_vanished_is_missed_by_who_knows_how_many_there_were(
    claim: Claim, pool: CreditPool, tamper: Tamper
) -> None:
    tamper("DELETE FROM assets_cashbackasset WHERE status = 'AVAILABLE'")

    assert broken(verify_everything(connection, issued={(pool.pk, "INR"): (2, Decimal(200))})) == {"I5"}


@pytest.mark.parametrize(("count", "value"), [(1, 100), (1, 200), (2, 199), (2, 201), (3, 200)])
def test_any_other_number_or_value_than_was_issued_is_seen(claim: Claim, pool: CreditPool, count: int, value: int) -> None:
    expected = (count, Decimal(value))

    assert verify_everything(connection, issued={(pool.pk, "INR"): expected}) == [
        Violation("I5", f"pool {pool.pk} in INR: found {(2, Decimal('200.0000'))}, expected {expected}")
    ]


def test_what_clients_were_told_agrees_with_an_honest_ledger(claim: Claim, pool: CreditPool, alice: User) -> None:
    told = attempt(claim, alice, pool)

    assert verify_everything(connection, [told, replace(told, id="client 0, again")]) == []


def test_a_lost_claim_is_seen(claim: Claim, pool: CreditPool, alice: User) -> None:
    receipt = claim.receipt | {"id": str(uuid4())}
    told = attempt(claim, alice, pool)

    found = verify_everything(connection, [told, replace(told, key="another-key-of-mine", receipt=receipt)])

    assert found == [
        Violation("I2", f"entry {receipt['id']}, acknowledged to user {alice.pk} (client 0), is not in the ledger"),
    ]


def test_a_claim_told_to_somebody_else_is_seen(claim: Claim, pool: CreditPool, alice: User, bob: User) -> None:
    told = attempt(claim, alice, pool)

    assert broken(verify_everything(connection, [told, replace(told, user=str(bob.pk))])) == {"I2"}


def test_a_new_claim_told_under_another_key_is_seen_and_a_repeated_one_is_not(
    claim: Claim, pool: CreditPool, alice: User
) -> None:
    told = attempt(claim, alice, pool)
    under_another = replace(told, key="another-key-of-mine")

    assert broken(verify_everything(connection, [told, under_another])) == {"I2"}
    assert verify_everything(connection, [told, replace(under_another, status=200, code="200")]) == []


def test_a_ghost_is_seen(claim: Claim, pool: CreditPool, alice: User) -> None:
    refused = replace(attempt(claim, alice, pool), outcome="refused", code="pool_sold_out", receipt=None)

    found = verify_everything(connection, [refused])

    entry = UUID(claim.receipt["id"])
    assert broken(found) == {"I3"}
    assert found[0].sentence.startswith(f"entry {entry} of user {alice.pk} was not acknowledged")


def test_an_entry_whose_answer_was_lost_is_no_ghost(claim: Claim, pool: CreditPool, alice: User) -> None:
    unknown = replace(attempt(claim, alice, pool), outcome="unknown", code="ConnectionResetError", receipt=None)

    assert verify_everything(connection, [unknown]) == []


def test_an_issue_that_nobody_logged_is_seen(claim: Claim, pool: CreditPool, tamper: Tamper) -> None:
    batch = CashbackAsset.objects.get(status="AVAILABLE").batch_id
    tamper("DELETE FROM assets_cashbackasset WHERE status = 'AVAILABLE'")

    told = "the log adds up to 2 (200.0000), the table holds 1 (100.0000)"
    line = "generation 1: 1 (100.0000) are AVAILABLE by the counters, but 0 (0) exist"
    assert verify_everything(connection) == [
        Violation("I5", f"pool {pool.pk} in INR: {told}"),
        Violation("I5", f"pool {pool.pk} in INR, {line}"),
        Violation("I5", f"batch {batch} in INR: 1 (100.0000) are AVAILABLE by the counters, but 0 (0) exist"),
    ]


@pytest.mark.parametrize(("status", "code"), [(500, "500"), (502, "502"), (503, WITHOUT_WAIT), (404, TRACEBACK)])
def test_an_error_of_ours_is_seen(claim: Claim, pool: CreditPool, alice: User, status: int, code: str) -> None:
    told = attempt(claim, alice, pool)
    error = replace(told, id="client 1", outcome="unknown", status=status, code=code, receipt=None)

    found = verify_everything(connection, [told, error])

    assert found == [Violation("I10", f"client 1 for pool {pool.pk} got status {status} ({code})")]


def test_two_answers_under_one_key_are_seen(claim: Claim, pool: CreditPool, alice: User) -> None:
    told = attempt(claim, alice, pool)

    found = verify_everything(connection, [told, replace(told, receipt=claim.receipt | {"amount": "900.00"})])

    assert broken(found) == {"I7"}


@pytest.fixture
def holder(transactional_db: None) -> Iterator[BaseDatabaseWrapper]:
    """Somebody else, in a transaction that writes and does not end."""
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT pg_current_xact_id()")
    yield other
    other.close()


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_does_not_end_is_seen(holder: BaseDatabaseWrapper) -> None:
    time.sleep(0.2)

    (found,) = stuck_transactions(connection, seconds=0.1)

    assert found.invariant == "I11"
    assert re.fullmatch(rf"process {pid_of(holder)} is in a transaction since .* \(ClientRead\)", found.sentence)
    assert stuck_transactions(connection) == []


@pytest.mark.django_db(transaction=True)
def test_who_is_in_a_transaction_or_waits_when_all_is_over_is_seen(holder: BaseDatabaseWrapper) -> None:
    waiter = connection.copy()
    waiter.inc_thread_sharing()
    pids = pid_of(holder), pid_of(waiter)
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(1)")
    thread = threading.Thread(target=lambda: waiter.cursor().execute("SELECT pg_advisory_xact_lock(1)"))
    thread.start()
    while len(found := leftover_sessions(connection, sessions=2)) < 2:
        time.sleep(0.01)

    holder.close()
    thread.join()
    waiter.close()

    assert {violation.sentence for violation in found} == {
        f"process {pids[0]} is still there: idle in transaction, ClientRead",
        f"process {pids[1]} is still there: active, advisory",
    }


@pytest.mark.django_db(transaction=True)
def test_a_session_that_was_not_there_before_is_seen() -> None:
    other = connection.copy()
    other.ensure_connection()

    assert leftover_sessions(connection, sessions=1) == []
    assert [violation.sentence for violation in leftover_sessions(connection)] == [
        f"process {pid_of(other)} is still there: idle, ClientRead"
    ]
    other.close()


def pid_of(other: BaseDatabaseWrapper) -> int:
    """Return PostgreSQL's process of a connection."""
    other.ensure_connection()
    return int(other.connection.info.backend_pid)


def test_it_reads_and_writes_nothing(claim: Claim, django_assert_num_queries: Callable[..., object]) -> None:
    with django_assert_num_queries(53) as asked:  # type: ignore[attr-defined]
        verify_everything(connection)

    assert {query["sql"].split()[0] for query in asked.captured_queries} <= {"SELECT", "WITH", "DECLARE"}
    assert Entry.objects.count() == 1


@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_counter_of_a_batch_that_was_changed_is_seen(claim: Claim, pool: CreditPool, tamper: Tamper, is_sealed: bool) -> None:
    table = "assets_batchsupply" if is_sealed else "assets_supplydelta"
    if is_sealed:
        tamper(MERGE_SUPPLY)
    assert verify_everything(connection) == []
    tamper(f"UPDATE {table} SET batch_id = gen_random_uuid() WHERE batch_id IS NOT NULL AND status = 'AVAILABLE'")

    found = verify_everything(connection)

    assert {violation.invariant for violation in found} == {"I5"}
    assert "by the counters" in found[0].sentence
    assert any(str(CashbackAsset.objects.get(status="AVAILABLE").batch_id) in violation.sentence for violation in found)
