"""Slots of expensive reads: their number, bounded waiting, and the rest after a long read."""

import threading
import time
from collections.abc import Callable

import pytest
from django.db import OperationalError, connection
from psycopg.errors import QueryCanceled
from pytest_django import Settings

from accounts.expensive_reads import EXPORT, SEARCH
from accounts.models import User
from kernel import slots
from kernel.rate_limits import RateLimited
from kernel.slots import CREDIT_SECONDS, MAX_REST_SECONDS, SHORT_SECONDS, ReadsBusy, Slots
from kernel.sql import EXPORT_LOCK


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Slots:
    """One place, for which one may wait, and not for long."""
    monkeypatch.setattr(slots, "WAIT_SECONDS", 0.1)
    return Slots(count=1, max_waiting=1, share=0.1)


def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Start a call, and return its thread and what it will come to."""
    outcomes: list[object] = []

    def run() -> None:
        try:
            outcomes.append(call())
        except ReadsBusy as error:
            outcomes.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcomes


def test_slot_is_held_by_one_thread(places: Slots) -> None:
    with places.slot(), pytest.raises(ReadsBusy):
        places.acquire()

    places.acquire()


def test_waiting_thread_gets_the_released_slot(places: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "WAIT_SECONDS", 30)
    places.acquire()
    thread, outcomes = in_thread(places.acquire)
    while not places.waiting:
        time.sleep(0.001)

    places.release(0.0)
    thread.join(30)

    assert outcomes == [None]
    assert places.free_at == []


def test_thread_beyond_the_waiting_limit_is_refused_at_once(places: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "WAIT_SECONDS", 30)
    places.acquire()
    thread, outcomes = in_thread(places.acquire)
    while not places.waiting:
        time.sleep(0.001)

    refused, said = in_thread(places.acquire)
    refused.join(10)

    assert isinstance(said[0], ReadsBusy)
    places.release(0.0)
    thread.join(30)
    assert outcomes == [None]


def test_slot_rests_after_a_long_read_only(places: Slots) -> None:
    for _ in range(100):
        places.acquire()
        places.release(SHORT_SECONDS)
    places.acquire()
    places.release(100.0)
    with pytest.raises(ReadsBusy) as refused:
        places.acquire()

    assert refused.value.retry_after == MAX_REST_SECONDS
    rested = Slots(count=1, max_waiting=1)
    rested.acquire()
    rested.release(100.0)
    rested.acquire()


def test_slot_rests_until_its_share_of_a_core_holds_again(places: Slots) -> None:
    places.acquire()
    places.release(CREDIT_SECONDS)
    places.acquire()
    places.release(0.2)

    # 0.2 s of work beyond the credit are a tenth of 2 s.
    assert 1.9 < places.rest_left() <= 2.0


def test_one_rest_makes_up_for_a_long_attack(places: Slots) -> None:
    for _ in range(10):
        places.release(2.0)
    later = places.spent_at - MAX_REST_SECONDS
    places.spent_at = later

    assert places.rest_after(SHORT_SECONDS + 0.001) <= 10 * (SHORT_SECONDS + 0.002)


def test_slot_is_released_when_the_read_fails(places: Slots) -> None:
    with pytest.raises(ZeroDivisionError), places.slot():
        raise ZeroDivisionError

    places.acquire()


@pytest.mark.django_db(transaction=True)
def test_a_read_within_a_read_is_part_of_it_and_of_its_time_limit(alice: User, settings: Settings) -> None:
    settings.RATES = settings.RATES | {"search": "1/d"}
    settings.SEARCH_TIMEOUT_MS = 20

    with (
        pytest.raises(OperationalError) as ended,
        SEARCH.for_user(alice),
        SEARCH.for_user(alice),
        connection.cursor() as cursor,
    ):
        cursor.execute("SHOW max_parallel_workers_per_gather")
        assert cursor.fetchone() == ("0",)
        cursor.execute("SELECT pg_sleep(20)")

    assert isinstance(ended.value.__cause__, QueryCanceled)
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("5s",)
    with pytest.raises(RateLimited), SEARCH.for_user(alice):
        pass


@pytest.mark.django_db(transaction=True)
def test_no_file_is_written_while_another_process_of_the_database_writes_one(ada: User) -> None:
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_lock({EXPORT_LOCK})")
        with pytest.raises(ReadsBusy), EXPORT.for_user(ada):
            pass
    other.close()

    with EXPORT.for_user(ada), SEARCH.for_user(ada):
        pass
    assert not connection.in_atomic_block
