"""The ring of weeks in which idempotency keys are kept: a key is single over all weeks, and a week is forgotten as a whole."""

import re
from collections.abc import Callable
from contextvars import Context
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection

from accounts.models import User
from wallet.actions.claim import claim_from_pool
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger import idempotency, key_ring
from wallet.ledger.idempotency import (
    IdempotencyKeyReused,
    IdempotentRequest,
    RequestInProgress,
    StoredResponse,
    find_response,
    forget_old_keys,
    reserve_keys,
    store_responses,
)
from wallet.ledger.models import Entry, IdempotencyKey

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "a-key-of-another-week"
INSERT = """
INSERT INTO ledger_idempotencykey (user_id, route, key, fingerprint, status_code, body, partition_number)
VALUES (%s, 'issue', %s, %s, 201, '{"issued": 1}', mod(%s, 3))
"""


def fetch_number(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql}")
        return int(cursor.fetchone()[0])


def keep(user: User, week: int, key: str = KEY) -> None:
    """Keep a key since a week; `week` counts from this one."""
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [user.pk, key, "f" * 64, fetch_number(key_ring.THIS_WEEK) + 3 + week])


def asked(user: User, fingerprint: str = "f" * 64) -> IdempotentRequest:
    return IdempotentRequest(user, "issue", KEY, fingerprint)


def kept() -> list[int]:
    """Return how many weeks ago each key was kept."""
    week = fetch_number(key_ring.THIS_WEEK)
    return sorted((week - number) % 3 for number in IdempotencyKey.objects.values_list("partition_number", flat=True))


def test_a_key_is_kept_in_the_partition_of_its_week(ada: User) -> None:
    reserve_keys([asked(ada)])
    store_responses([(asked(ada), StoredResponse(201, {}), None)])

    assert kept() == [0]
    assert find_response(asked(ada)) == StoredResponse(201, {})


@pytest.mark.parametrize("weeks", range(2))
def test_a_key_of_this_week_and_the_last_is_not_reserved_again(ada: User, weeks: int) -> None:
    keep(ada, -weeks)

    assert reserve_keys([asked(ada)]) == set()
    assert find_response(asked(ada)) == StoredResponse(201, {"issued": 1})
    with pytest.raises(IdempotencyKeyReused):
        find_response(asked(ada, "another"))
    assert kept() == [weeks]


def test_a_thread_that_has_reserved_no_key_releases_none(ada: User) -> None:
    # All keys of its batch were used before, and nothing is there to release.
    keep(ada, 0)

    Context().run(idempotency.release_keys, [asked(ada)])

    assert kept() == [0]


def test_sql_by_hand_keeps_no_key_twice(ada: User) -> None:
    for week in (-2, -1, 0):
        keep(ada, week)

    assert kept() == [2]


def test_transactions_on_both_sides_of_a_weeks_end_reserve_a_key_once(ada: User, elsewhere: psycopg.Connection[Any]) -> None:
    last_week = fetch_number(key_ring.THIS_WEEK) + 2
    elsewhere.execute(INSERT, [ada.pk, KEY, "f" * 64, last_week])

    with pytest.raises(RequestInProgress):
        reserve_keys([asked(ada)])
    elsewhere.commit()

    assert reserve_keys([asked(ada)]) == set()
    assert kept() == [1]


def test_a_claim_of_last_week_is_answered_again(
    alice: User,
    issue: Callable[..., CashbackAsset],
    open_pool: Callable[..., CreditPool],
    ask: Callable[..., IdempotentRequest],
) -> None:
    pool = open_pool()
    issue(pool=pool)
    request = ask(alice, pool.pk)
    first = claim_from_pool(pool.pk, alice, request)
    IdempotencyKey.objects.update(partition_number=(fetch_number(key_ring.THIS_WEEK) + 2) % 3)

    again = claim_from_pool(pool.pk, alice, request)

    assert (again.receipt, again.replayed) == (first.receipt, True)
    assert (Entry.objects.count(), kept()) == (1, [1])


def test_only_the_partition_of_next_week_is_emptied(ada: User) -> None:
    for week in (-2, -1, 0):
        keep(ada, week, f"key-number-{week + 8:05}")

    assert forget_old_keys() is True
    assert kept() == [0, 1]
    assert forget_old_keys() is False
    assert kept() == [0, 1]


def test_forgetting_gives_way_to_a_long_reader(
    ada: User, elsewhere: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "EMPTYING_ATTEMPTS", 2)
    keep(ada, -2)
    elsewhere.execute("SELECT count(*) FROM ledger_idempotencykey")

    assert forget_old_keys() is False
    elsewhere.rollback()

    assert kept() == [2]
    assert forget_old_keys() is True


def test_a_response_without_its_key_is_an_error(ada: User) -> None:
    reserve_keys([asked(ada)])
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM ledger_idempotencykey")

    with pytest.raises(RuntimeError):
        store_responses([(asked(ada), StoredResponse(201, {}), None)])


def test_storing_and_releasing_open_one_partition(ada: User) -> None:
    plans: list[str] = []

    def explain(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if sql.startswith(("UPDATE ledger_idem", "DELETE FROM ledger_idem")):
            execute(f"EXPLAIN {sql}", parameters, many, context)
            plans.append("\n".join(line for (line,) in context["cursor"].fetchall()))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(explain):
        reserve_keys([asked(ada)])
        store_responses([(asked(ada), StoredResponse(201, {}), None)])
        idempotency.release_keys([asked(ada)])

    this_week = str(fetch_number(key_ring.THIS_WEEK))
    assert [set(re.findall(r"on ledger_idempotencykey_(\d)", plan)) for plan in plans] == [{this_week}, {this_week}]


def test_a_user_has_their_own_keys(ada: User, bob: User) -> None:
    keep(bob, -1)

    reserved: set[tuple[UUID, str, str]] = reserve_keys([asked(ada)])

    assert reserved == {(ada.pk, "issue", KEY)}
