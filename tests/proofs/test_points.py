"""Every point of a claim: somebody else acts in between, or the claim breaks off there."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection

from accounts.models import User
from wallet import claims
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.contention import Busy
from wallet.ledger.idempotency import Request, fingerprint
from wallet.ledger.models import Entry, IdempotencyKey
from wallet.proofs.verify import verify

pytestmark = pytest.mark.django_db(transaction=True)
Execute = Callable[..., Any]
POINTS = 6  # statements of a claim from a pool: key, pool, lock, handover, entry, answer
EXPIRED = "UPDATE assets_cashbackasset SET status = 'EXPIRED' WHERE id = %s"
CLOSED = "UPDATE assets_creditpool SET is_active = false WHERE id = %s"


@pytest.fixture
def pool(open_pool: Callable[..., CreditPool], issue: Callable[..., CashbackAsset]) -> CreditPool:
    opened = open_pool(per_user_limit=1)
    issue(pool=opened)
    return opened


def request(user: User, pool: CreditPool) -> Request:
    return Request(user, "claim", "one-key-of-mine-1", fingerprint("pool", pool.pk))


@contextmanager
def at_statement(number: int, act: Callable[[], Any], *, after: bool) -> Iterator[list[str]]:
    """Act once, before or after the claim's statement `number`; yields the statements seen."""
    seen: list[str] = []

    def wrapper(execute: Execute, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        if len(seen) - 1 == number and not after:
            act()
        answer = execute(sql, params, many, context)
        if len(seen) - 1 == number and after:
            act()
        return answer

    with connection.execute_wrapper(wrapper):
        yield seen


def outcome(claim: Callable[[], claims.Claim]) -> str:
    try:
        return str(claim().status_code)
    except claims.Refusal as refusal:
        return refusal.code


def compete(elsewhere: psycopg.Connection[Any], sql: str, *values: Any) -> bool:
    """Act on another connection without waiting; return whether the row was free."""
    try:
        elsewhere.execute("SET LOCAL lock_timeout = '50ms'")
        elsewhere.execute(sql, values)
        elsewhere.commit()
    except psycopg.errors.LockNotAvailable:
        elsewhere.rollback()
        return False
    return True


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("point", range(POINTS))
def test_an_expiry_in_between_wins_before_the_lock_and_waits_behind_it(
    point: int, after: bool, pool: CreditPool, alice: User, elsewhere: psycopg.Connection[Any]
) -> None:
    asset = CashbackAsset.objects.get()
    won: list[bool] = []
    act = lambda: won.append(compete(elsewhere, EXPIRED, asset.pk))  # noqa: E731

    with at_statement(point, act, after=after) as seen:
        answer = outcome(lambda: claims.claim_any(pool.pk, alice, request(alice, pool)))

    locks = next((number for number, sql in enumerate(seen) if "FOR NO KEY UPDATE" in sql), POINTS)
    held = point > locks or (point == locks and after)
    assert (won, answer) == (([False], "201") if held else ([True], "pool_sold_out"))
    assert Entry.objects.count() == int(held)
    assert verify(connection) == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("point", range(POINTS))
def test_another_claim_in_between_never_makes_two_owners(
    point: int, after: bool, pool: CreditPool, alice: User, bob: User
) -> None:
    other = connection.copy()
    heard: list[str] = []

    def bobs() -> None:
        with other.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'; BEGIN")
            cursor.execute("SELECT id FROM assets_cashbackasset WHERE status = 'AVAILABLE' FOR NO KEY UPDATE SKIP LOCKED")
            heard.append("got" if cursor.fetchone() else "none")
            cursor.execute("ROLLBACK")

    with at_statement(point, bobs, after=after):
        answer = outcome(lambda: claims.claim_any(pool.pk, alice, request(alice, pool)))
    other.close()

    assert answer == "201"
    assert len(heard) == 1
    assert outcome(lambda: claims.claim_any(pool.pk, bob, request(bob, pool))) == "pool_sold_out"
    assert verify(connection) == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("point", range(POINTS))
def test_a_pool_that_closes_in_between_refuses_or_comes_too_late(
    point: int, after: bool, pool: CreditPool, alice: User, elsewhere: psycopg.Connection[Any]
) -> None:
    with at_statement(point, lambda: compete(elsewhere, CLOSED, pool.pk), after=after):
        answer = outcome(lambda: claims.claim_any(pool.pk, alice, request(alice, pool)))

    assert answer in ("201", "pool_closed")
    assert Entry.objects.count() == int(answer == "201")
    assert verify(connection) == []


class Broke(Exception):
    """Something of ours that nobody expected."""


def raising() -> None:
    raise Broke


def exiting() -> None:
    raise SystemExit(1)


def losing() -> None:
    raise OperationalError("the connection is lost")


@pytest.mark.parametrize("point", range(POINTS))
@pytest.mark.parametrize("how", [raising, exiting, losing])
def test_a_claim_that_breaks_off_leaves_nothing_and_the_retry_gets_one(
    how: Callable[[], None], point: int, pool: CreditPool, alice: User
) -> None:
    ask = lambda: claims.claim_any(pool.pk, alice, request(alice, pool))  # noqa: E731
    with at_statement(point, how, after=True):
        try:
            ask()
        except (Broke, SystemExit, Busy):
            assert (Entry.objects.count(), IdempotencyKey.objects.count()) == (0, 0)

    again = ask()

    assert (again.status_code, Entry.objects.count()) == (201, 1)
    assert CashbackAsset.objects.get().claimed_by_id == alice.pk
    assert verify(connection) == []


def status_of_a_child(work: Callable[[], Any]) -> int:
    """Do the work in a process of its own that ends with it, on a connection of its own, and return its exit status."""
    connection.close()
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("point", range(POINTS))
def test_a_process_that_ends_in_the_middle_of_a_claim_leaves_nothing_and_the_retry_gets_one(
    point: int, after: bool, pool: CreditPool, alice: User
) -> None:
    ask = lambda: claims.claim_any(pool.pk, alice, request(alice, pool))  # noqa: E731

    def work() -> None:
        with at_statement(point, lambda: os._exit(9), after=after):
            ask()

    assert status_of_a_child(work) == 9
    assert (Entry.objects.count(), IdempotencyKey.objects.count()) == (0, 0)
    assert ask().status_code == 201
    assert CashbackAsset.objects.get().claimed_by_id == alice.pk
    assert verify(connection) == []


def test_a_process_that_ends_before_it_answers_has_claimed_and_the_retry_hears_of_it(pool: CreditPool, alice: User) -> None:
    ask = lambda: claims.claim_any(pool.pk, alice, request(alice, pool))  # noqa: E731

    assert status_of_a_child(lambda: (ask(), os._exit(9))) == 9
    entry = Entry.objects.get()

    again = ask()

    assert (again.receipt["id"], again.replayed) == (str(entry.pk), True)
    assert verify(connection) == []


@pytest.mark.parametrize("point", range(POINTS))
def test_a_claim_that_dozes_off_is_whole_in_the_end(point: int, pool: CreditPool, alice: User) -> None:
    with at_statement(point, lambda: time.sleep(0.05), after=True):
        claim = claims.claim_any(pool.pk, alice, request(alice, pool))

    assert claim.status_code == 201
    assert verify(connection) == []
