"""Actions during database errors: real conflicts, real lost connections."""

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from accounts.models import User
from kernel.transactions import Busy, atomic_with_retry
from tests.concurrency import at_once
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry

Issue = Callable[..., CashbackAsset]


def sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def my_pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_action_refuses_to_run_in_an_outer_transaction(issue: Issue, alice: User) -> None:
    asset = issue()

    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        claim_asset(asset.pk, alice)


@pytest.mark.django_db(transaction=True)
def test_two_actions_in_a_deadlock_both_succeed(issue: Issue) -> None:
    one, other = sorted(issue().pk for _ in range(2))
    both_hold = threading.Barrier(2)
    tries: list[int] = []

    @atomic_with_retry(idempotent=False)
    def rename_both(first: Any, second: Any) -> None:
        tries.append(1)
        sql("UPDATE assets_cashbackasset SET title = 'x' || title WHERE id = %s", first)
        if len(tries) <= 2:
            both_hold.wait()
        sql("UPDATE assets_cashbackasset SET title = 'x' || title WHERE id = %s", second)

    outcomes = at_once(lambda pair: rename_both(*pair), [(one, other), (other, one)])

    assert outcomes == [None, None]
    assert len(tries) == 3
    assert set(CashbackAsset.objects.values_list("title", flat=True)) == {"xxWelcome bonus"}


@pytest.mark.django_db(transaction=True)
def test_conflicting_action_is_busy_after_three_attempts(db: None) -> None:
    tries: list[int] = []

    @atomic_with_retry(idempotent=False)
    def conflict() -> None:
        tries.append(1)
        sql("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'serialization_failure'; END $$")

    with pytest.raises(Busy):
        conflict()

    assert len(tries) == 3


@pytest.mark.django_db(transaction=True)
def test_idempotent_action_is_retried_after_a_lost_connection(
    issue: Issue, alice: User, elsewhere: psycopg.Connection[Any]
) -> None:
    asset = issue()
    elsewhere.execute("SELECT FROM assets_cashbackasset WHERE id = %s FOR UPDATE", [asset.pk])

    def kill_the_waiter() -> None:
        query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while elsewhere.execute(query).fetchone() != (1,):
            time.sleep(0.02)
        elsewhere.rollback()

    killer = threading.Thread(target=kill_the_waiter)
    killer.start()

    claim = claim_asset(asset.pk, alice)

    killer.join()
    assert claim.status_code == 201
    assert Entry.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_non_idempotent_action_is_busy_after_a_lost_connection(elsewhere: psycopg.Connection[Any]) -> None:
    tries: list[int] = []

    @atomic_with_retry(idempotent=False)
    def lose() -> None:
        tries.append(my_pid())
        elsewhere.execute("SELECT pg_terminate_backend(%s)", [tries[0]])
        sql("SELECT 1")

    with pytest.raises(Busy):
        lose()

    assert len(tries) == 1
    assert my_pid() != tries[0]


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_takes_too_long_is_busy() -> None:
    @atomic_with_retry(idempotent=True)
    def dawdle() -> None:
        sql("SET LOCAL statement_timeout = 100; SELECT pg_sleep(5)")

    with pytest.raises(Busy):
        dawdle()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("statement", "error"),
    [("SELECT nonsense", ProgrammingError), ("INSERT INTO accounts_user (id) VALUES (NULL)", IntegrityError)],
)
def test_a_mistake_is_not_hidden_behind_busy(statement: str, error: type[Exception]) -> None:
    tries: list[int] = []

    @atomic_with_retry(idempotent=True)
    def err() -> None:
        tries.append(1)
        sql(statement)

    with pytest.raises(error):
        err()

    assert len(tries) == 1
