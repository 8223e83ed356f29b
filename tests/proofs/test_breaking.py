"""At every point of a claim it breaks off: what the ledger holds then, and that the same request asked again gets one claim."""

import os
import select
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection

from kernel.refusals import Refusal
from tests.proofs.points import WAYS, Counted, Point, Stand, Stands, Way, at, points
from wallet.actions.claim_batch import Claim
from wallet.ledger.models import Entry
from wallet.verification.checker import verify_everything

pytestmark = pytest.mark.django_db(transaction=True)
PROOF = "P4"
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
Held = Callable[[Stand], tuple[int, int]]
NOTICED_SECONDS = 10
HELD = """
    SELECT (SELECT count(*) FROM ledger_entry WHERE asset_id = ANY(%s)),
        (SELECT count(*) FROM ledger_idempotencykey WHERE key LIKE ANY(%s))
"""


class Broke(Exception):
    """Something of ours that nobody expected."""


def raising() -> None:
    raise Broke


def exiting() -> None:
    raise SystemExit(1)


def losing() -> None:
    raise OperationalError("the connection is lost")


def dozing() -> None:
    """Sleep until PostgreSQL has ended the session, as it does with one that idles in a transaction for too long."""
    session = connection.connection.pgconn
    session.exec_(b"SET idle_in_transaction_session_timeout = 1; SET idle_session_timeout = 1")
    assert select.select([session.socket], [], [], NOTICED_SECONDS)[0]


@pytest.fixture
def held(elsewhere: psycopg.Connection[Any]) -> Callable[[Stand], tuple[int, int]]:
    """Count the entries and the keys that others see of a stand."""
    elsewhere.autocommit = True

    def count(stand: Stand) -> tuple[int, int]:
        wanted = [stand.pool.pk, *(credit.pk for credit in stand.credits)]
        entries, keys = elsewhere.execute(HELD, [wanted, [f"%{target}" for target in wanted]]).fetchone() or (-1, -1)
        return entries, keys

    return count


def asked(way: Way, stand: Stand) -> list[Claim | Refusal] | None:
    """Ask once; None when the asker did not live to hear the answer."""
    try:
        return way.ask(stand)
    except (Broke, SystemExit):
        return None


def ids(told: list[Claim | Refusal]) -> list[str]:
    """Return the entries that were told."""
    return [each.receipt["id"] for each in told if isinstance(each, Claim)]


def bearable(how: Callable[[], Any], found: list[tuple[Point, Stand]]) -> list[tuple[Point, Stand]]:
    """Leave out what cannot be: within a commit there is nothing of ours that could raise or exit."""
    return [(point, stand) for point, stand in found if how in (losing, dozing) or point.deed != "commit"]


def is_answered(way: Way, how: Callable[[], Any]) -> bool:
    """Tell whether the product itself tries again, so that the first ask is answered all the same.

    What the company met is met again alone; a lost session is, too. Nobody goes on after the end of the process, and what
    nobody expected is told to who asked alone.
    """
    return how is not exiting and not (way.alone and how is raising)


@ways
@pytest.mark.parametrize("how", [raising, exiting, losing, dozing])
def test_a_claim_that_breaks_off_leaves_all_or_nothing_and_asked_again_is_one(
    how: Callable[[], None], way: Way, stands: Stands, held: Held, counted: Counted
) -> None:
    for point, stand in counted(bearable(how, points(way, stands))):
        with at(point, how):
            first = asked(way, stand)
        left = held(stand)
        second = way.ask(stand)

        expected = way.people if is_answered(way, how) or point.is_past("commit") else 0
        assert (first is not None, left) == (is_answered(way, how), (expected, expected)), str(point)
        assert_one_each(point, stand, second)
        assert all(each.replayed == bool(expected) for each in second if isinstance(each, Claim)), str(point)
        assert first is None or ids(first) == ids(second), str(point)
    assert verify_everything(connection) == []


def assert_one_each(point: Point, stand: Stand, told: list[Claim | Refusal]) -> None:
    """Each of the people has one credit, and was told of it."""
    entries = Entry.objects.filter(asset__pool=stand.pool).values_list("id", "user")
    people = [user.pk for user in stand.people]
    assert sorted(ids(told)) == sorted(str(entry) for entry, _ in entries), str(point)
    assert sorted(user for _, user in entries) == sorted(people), str(point)


@ways
def test_a_connection_that_is_lost_each_time_ends_in_busy_leaves_nothing_and_asked_again_is_one(
    way: Way, stands: Stands, held: Held, counted: Counted
) -> None:
    ((_, stand),) = counted(points(way, stands)[:1])
    with connection.execute_wrapper(lambda *_: losing()):
        first = way.hear(stand)

    assert (first, held(stand)) == (["busy"] * way.people, (0, 0))
    assert way.hear(stand) == ["201"] * way.people
    assert verify_everything(connection) == []


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


@pytest.mark.parametrize("way", [WAYS["a credit, alone"], WAYS["a pool's, in company"]], ids=["alone", "in company"])
def test_a_process_that_ends_in_the_middle_of_a_claim_leaves_all_or_nothing_and_asked_again_is_one(
    way: Way, stands: Stands, held: Held, counted: Counted
) -> None:
    for point, stand in counted(points(way, stands)):

        def work(point: Point = point, stand: Stand = stand) -> None:
            with at(point, lambda: os._exit(9)):
                way.ask(stand)

        assert status_of_a_child(work) == 9, str(point)
        expected = way.people if point.is_past("commit") else 0
        assert held(stand) == (expected, expected), str(point)
        second = way.ask(stand)

        assert_one_each(point, stand, second)
        assert all(each.replayed == bool(expected) for each in second if isinstance(each, Claim)), str(point)
    assert verify_everything(connection) == []
