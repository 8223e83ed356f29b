"""With synchronous replication nothing is acknowledged that no standby has: neither by who did it nor by who finds it done."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections

from accounts.models import User
from accounts.services import Service
from kernel.transactions import Busy
from tests.money.conftest import credit  # noqa: F401  (a fixture)
from wallet.actions import edit_rule
from wallet.actions.capture_payment import capture_payment
from wallet.actions.claim import claim_asset, claim_from_pool
from wallet.actions.grant_batch import grant_many
from wallet.actions.grant_credit import grant_credit
from wallet.actions.grant_lines import GrantLine
from wallet.actions.issue_assets import issue_in_pool
from wallet.actions.pay import pay
from wallet.actions.refund_payment import refund_payment
from wallet.actions.release_payment import release_payment
from wallet.actions.report_event import report_event
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.idempotency import IdempotentRequest
from wallet.ledger.models import IdempotencyKey, Lot

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "a-key-of-the-callers"
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database()"
SECONDS = 10.0


def run_sql(*statements: str) -> list[Any]:
    """Run statements in the test's own session, whose commits do not wait; return the rows of the last."""
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = local")
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def no_standby_answers() -> Iterator[None]:
    """Have commits wait for a standby that does not exist."""
    run_sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
    time.sleep(0.3)  # until the server has read the changed file
    try:
        yield
    finally:
        run_sql("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")


@contextmanager
def in_a_thread(action: Callable[[], Any]) -> Iterator[Future[Any]]:
    """Run the action beside the test, on a connection of its own."""

    def run() -> Any:
        try:
            return action()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(run)


def waiting_for_a_standby(action: Future[Any]) -> list[int]:
    """Wait until a session's commit waits for a standby; return its process id, none if the action was answered before."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and not action.done():
        if found := run_sql(WAITING):
            return [pid for (pid,) in found]
        time.sleep(0.02)
    return []


@dataclass
class World:
    """What repeated requests are about."""

    alice: User
    ada: User
    shop: Service
    pool: CreditPool
    spare: CashbackAsset

    def request(self, route: str) -> IdempotentRequest:
        """A request of alice's with a key."""
        return IdempotentRequest(self.alice if route == "claim" else self.ada, route, KEY, "f" * 64)

    def pay(self, amount: str = "10.00", **fields: Any) -> Any:
        """Pay for the one order."""
        given: dict[str, Any] = {"currency": "INR", "reference": "order-1"} | fields
        return pay(self.alice, self.shop, amount=Decimal(amount), **given)

    def payment(self, **fields: Any) -> UUID:
        """Pay for another order and return the payment's id."""
        return UUID(self.pay(reference="order-2", **fields).body["id"])


@pytest.fixture
def world(
    alice: User,
    ada: User,
    credit: Callable[..., Lot],  # noqa: F811
    issue: Callable[..., CashbackAsset],
    open_pool: Callable[..., CreditPool],
) -> World:
    pool = open_pool()
    for _ in range(3):
        issue(pool=pool)
    credit("500")
    edit_rule.open_rule(ada, name="Delivered", pool=pool, event="REPORTED", event_name="delivered")
    return World(alice, ada, Service.objects.create(name="Shop"), pool, issue())


def forgotten(world: World) -> Callable[[], Any]:
    """A claim whose stored response has been deleted, so that it is found in the ledger."""
    request = world.request("claim")
    claim_asset(world.spare.pk, world.alice, request)
    IdempotencyKey.objects.all().delete()
    return lambda: claim_asset(world.spare.pk, world.alice, request)


def captured(world: World) -> Callable[[], Any]:
    held = world.payment(capture=False)
    return lambda: capture_payment(held, world.shop, key=KEY)


def refunded(world: World, key: str | None) -> Callable[[], Any]:
    paid = world.payment()
    return lambda: refund_payment(paid, reference="return-1", reason="Returned", service=world.shop, key=key)


def released(world: World) -> Callable[[], Any]:
    held = world.payment(capture=False)
    return lambda: release_payment(held, service=world.shop)


def granted(world: World, request: IdempotentRequest | None) -> Callable[[], Any]:
    given: dict[str, Any] = {"reference": "grant-1", "reason": "Sorry", "actor": world.ada, "request": request}
    return lambda: grant_credit(world.alice, world.pool.pk, **given)


def granted_to_many(world: World, request: IdempotentRequest | None) -> Callable[[], Any]:
    lines = [GrantLine(world.alice.email, "grant-1")]
    return lambda: grant_many(world.pool.pk, lines, reason="Sorry", actor=world.ada, request=request)


def issued(world: World) -> Callable[[], Any]:
    fields: dict[str, Any] = {"title": "More", "total_value": Decimal(5), "request": world.request("issue")}
    return lambda: issue_in_pool(world.ada, world.pool.pk, count=2, **fields)


def reported(world: World, key: str | None) -> Callable[[], Any]:
    return lambda: report_event(world.shop, world.alice, name="delivered", reference="parcel-1", key=key)


REPEATED: dict[str, Callable[[World], Callable[[], Any]]] = {
    "claim by key": lambda w: lambda: claim_asset(w.spare.pk, w.alice, w.request("claim")),
    "claim of one's own": lambda w: lambda: claim_asset(w.spare.pk, w.alice),
    "claim with a forgotten key": forgotten,
    "claim from a pool by key": lambda w: lambda: claim_from_pool(w.pool.pk, w.alice, w.request("claim")),
    "payment by key": lambda w: lambda: w.pay(key=KEY),
    "payment by reference": lambda w: w.pay,
    "hold by key": lambda w: lambda: w.pay(key=KEY, capture=False),
    "capture by key": captured,
    "refund by key": lambda w: refunded(w, KEY),
    "refund by reference": lambda w: refunded(w, None),
    "release": released,
    "grant by key": lambda w: granted(w, w.request("grants")),
    "grant by reference": lambda w: granted(w, None),
    "bulk grant by key": lambda w: granted_to_many(w, w.request("grants")),
    "bulk grant by reference": lambda w: granted_to_many(w, None),
    "issue by key": issued,
    "event by key": lambda w: reported(w, KEY),
    "event by reference": lambda w: reported(w, None),
}


@pytest.mark.parametrize("name", REPEATED)
def test_a_repetition_is_answered_when_a_standby_has_what_it_found(world: World, name: str) -> None:
    action = REPEATED[name](world)
    action()

    with no_standby_answers(), in_a_thread(action) as repeated:
        try:
            assert waiting_for_a_standby(repeated), "answered, although no standby has what was answered"
        finally:
            run_sql("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
        assert repeated.result(SECONDS) is not None


def test_a_commit_that_no_longer_waits_is_not_acknowledged(world: World) -> None:
    """PostgreSQL ends the wait of a commit that is cancelled with a warning and reports success: the standby may lack it."""
    ended = threading.Event()

    with no_standby_answers(), in_a_thread(lambda: claim_asset(world.spare.pk, world.alice)) as claimed:
        while not ended.wait(0.1) and not claimed.done():
            for pid in waiting_for_a_standby(claimed):
                run_sql(f"SELECT pg_cancel_backend({pid})")
        assert isinstance(claimed.exception(), Busy)


def test_a_single_server_does_not_wait(world: World) -> None:
    world.pay(key=KEY)
    (before,) = run_sql("SELECT pg_current_wal_insert_lsn()")

    assert world.pay(key=KEY).replayed
    assert run_sql("SELECT pg_current_wal_insert_lsn()") == [before]
