"""At every point of a claim somebody else acts, and commits: the one who was first has it, the other hears why not."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connection

from accounts.models import User
from tests.proofs.points import WAYS, Counted, Stand, Stands, Way, at, points, told, word
from wallet.actions.claim_decisions import ClaimRequest
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry
from wallet.verification.checker import verify_everything

pytestmark = pytest.mark.django_db(transaction=True)
EXPIRED = "UPDATE assets_cashbackasset SET status = 'EXPIRED' WHERE id = %s"
HIDDEN = "UPDATE assets_creditpool SET is_active = false WHERE id = %s"
CLOSED = "UPDATE assets_creditpool SET opens_at = now() - interval '1 day', closes_at = now() WHERE id = %s"
Rival = Callable[[Way, ClaimRequest], str]
PROOF = "P3"
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@pytest.fixture
def rival() -> Iterator[Rival]:
    """Somebody else who claims, alone and with little patience, in a thread and on a connection of their own."""

    def connect() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '20ms'")

    def close() -> None:
        connection.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(connect).result()
        yield lambda way, wanted: word(thread.submit(told, lambda: way.company.run_one(wanted)).result())
        thread.submit(close).result()


def compete(elsewhere: psycopg.Connection[Any], sql: str, *values: Any) -> str:
    """Act on another connection without patience; return what came of it."""
    try:
        elsewhere.execute("SET LOCAL lock_timeout = '20ms'")
        elsewhere.execute(sql, values)
        elsewhere.commit()
    except psycopg.errors.LockNotAvailable:
        elsewhere.rollback()
        return "had to wait"
    except psycopg.errors.CheckViolation:
        elsewhere.rollback()
        return "was refused"
    return "done"


def entries(stand: Stand) -> int:
    return Entry.objects.filter(asset__pool=stand.pool).count()


@ways
def test_an_expiry_wins_before_the_lock_waits_behind_it_and_is_refused_after_the_commit(
    way: Way, stands: Stands, elsewhere: psycopg.Connection[Any], counted: Counted
) -> None:
    for point, stand in counted(points(way, stands)):
        with at(point, partial(compete, elsewhere, EXPIRED, stand.credits[0].pk)) as came:
            heard = way.hear(stand)

        first = "was refused" if point.is_past("commit") else "had to wait" if point.is_past("lock") else "done"
        last = "201" if point.is_past("lock") else way.ended
        assert (came, heard) == ([first], ["201"] * (way.people - 1) + [last]), str(point)
        assert entries(stand) == heard.count("201"), str(point)
    assert verify_everything(connection) == []


@ways
def test_another_claim_wins_before_the_lock_and_hears_busy_or_sold_out_behind_it(
    way: Way, stands: Stands, bob: User, rival: Rival, counted: Counted
) -> None:
    for point, stand in counted(points(way, stands)):
        with at(point, partial(rival, way, way.wanted(stand, bob))) as came:
            heard = way.hear(stand)

        first = way.gone if point.is_past("commit") else "busy" if point.is_past("lock") else "201"
        last = "201" if point.is_past("lock") else way.gone
        assert (came, heard) == ([first], ["201"] * (way.people - 1) + [last]), str(point)
        assert CashbackAsset.objects.filter(pool=stand.pool, claimed_by=bob).count() == came.count("201"), str(point)
        assert entries(stand) == way.people, str(point)
    assert verify_everything(connection) == []


@ways
def test_who_claims_twice_at_once_gets_one_where_one_is_allowed(
    way: Way, stands: Stands, rival: Rival, counted: Counted
) -> None:
    for point, stand in counted(points(way, stands, spare=1)):
        other = way.wanted(stand, stand.people[0], "another-key", credit=-1)
        with at(point, partial(rival, way, other)) as came:
            heard = way.hear(stand)

        began, over = point.is_past(way.turn), point.is_past("commit")
        first = "claim_limit_reached" if over else "busy" if began else "201"
        assert (came, heard[0]) == ([first], "201" if began else "claim_limit_reached"), str(point)
        assert heard[1:] == ["201"] * (way.people - 1), str(point)
        assert entries(stand) == way.people, str(point)
    assert verify_everything(connection) == []


@ways
def test_the_same_request_sent_twice_at_once_is_one_claim(way: Way, stands: Stands, rival: Rival, counted: Counted) -> None:
    for point, stand in counted(points(way, stands)):
        again = way.wanted(stand, stand.people[0])
        with at(point, partial(rival, way, again)) as came:
            heard = way.hear(stand)

        waits = point.is_past("key") and not point.is_past("commit")
        assert (came, heard) == (["request_in_progress" if waits else "201"], ["201"] * way.people), str(point)
        assert entries(stand) == way.people, str(point)
    assert verify_everything(connection) == []


@ways
@pytest.mark.parametrize(("change", "refusal"), [(CLOSED, "pool_closed"), (HIDDEN, "not_found")])
def test_a_pool_that_closes_refuses_until_the_handover_and_comes_too_late_from_then_on(
    *, way: Way, stands: Stands, elsewhere: psycopg.Connection[Any], counted: Counted, change: str, refusal: str
) -> None:
    for point, stand in counted(points(way, stands)):
        with at(point, partial(compete, elsewhere, change, stand.pool.pk)) as came:
            heard = way.hear(stand)

        expected = "201" if point.is_past("handover") else refusal
        assert (came, heard) == (["done"], [expected] * way.people), str(point)
        assert entries(stand) == heard.count("201"), str(point)
    assert verify_everything(connection) == []
