"""The batcher: concurrent items are processed in one batch, each with an outcome of its own."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from kernel.batching import Batcher, RetryIndividually
from tests.concurrency import at_once

pytestmark = pytest.mark.django_db(transaction=True)


class GatedBatcher:
    """A batcher whose first batch is held until as many items as wanted wait for the next."""

    def __init__(self, run: Callable[[Sequence[int]], Sequence[Any]]) -> None:
        self.run, self.batches, self.opened = run, list[list[int]](), threading.Event()
        self.batcher: Batcher[int, Any] = Batcher("test", self.run_batch, self.run_one)
        self.individually: list[int] = []

    def run_batch(self, items: Sequence[int]) -> Sequence[Any]:
        self.batches.append(list(items))
        if len(self.batches) == 1:
            self.opened.wait(5)
            return [f"first {item}" for item in items]
        return self.run(items)

    def run_one(self, item: int) -> str:
        self.individually.append(item)
        return f"individually {item}"

    def submit(self, item: int) -> Any:
        if item == 0:
            return self.batcher.submit(0)
        while not self.batches:
            pass
        threading.Timer(0.01, self.open_for, [3]).start()
        return self.batcher.submit(item)

    def open_for(self, many: int) -> None:
        """Let the first batch end when so many items wait."""
        while len(self.batcher.queue) < many and not self.opened.is_set():
            pass
        self.opened.set()


def test_items_that_arrive_during_a_batch_form_the_next_one() -> None:
    gate = GatedBatcher(lambda items: [f"together {item}" for item in items])

    answers = at_once(gate.submit, range(4))

    assert answers == ["first 0", "together 1", "together 2", "together 3"]
    assert sorted(map(sorted, gate.batches)) == [[0], [1, 2, 3]]


def test_each_item_gets_its_own_outcome() -> None:
    outcomes = {1: "fine", 2: LookupError("not this one"), 3: RetryIndividually()}
    gate = GatedBatcher(lambda items: [outcomes[item] for item in items])

    answers = at_once(gate.submit, range(4))

    assert answers == ["first 0", "fine", outcomes[2], "individually 3"]
    assert gate.individually == [3]


def test_items_of_a_failed_batch_are_retried_individually() -> None:
    def breaks(items: Sequence[int]) -> Sequence[Any]:
        raise RuntimeError

    gate = GatedBatcher(breaks)

    answers = at_once(gate.submit, range(4))

    assert answers == ["first 0", "individually 1", "individually 2", "individually 3"]
    assert gate.batcher.submit(4) == "individually 4"


def test_followers_are_served_when_the_leader_is_stopped() -> None:
    stopped = threading.Event()

    def stops(items: Sequence[int]) -> Sequence[Any]:
        if not stopped.is_set():
            stopped.set()
            raise SystemExit
        return [f"served {item}" for item in items]

    gate = GatedBatcher(stops)

    def submit(number: int) -> Any:
        try:
            return gate.submit(number)
        except SystemExit:
            return "stopped"

    answers = at_once(submit, range(4))

    assert sorted(map(str, answers[1:]))[:2] == [f"individually {item}" for item in sorted(gate.individually)]
    assert answers.count("stopped") == 1
    assert gate.batcher.submit(5) == "served 5"


def test_no_batch_is_larger_than_the_maximum() -> None:
    sizes: list[int] = []

    def run(items: Sequence[int]) -> Sequence[int]:
        sizes.append(len(items))
        return items

    batcher = Batcher("test", run, lambda item: item, max_batch_size=2)

    assert at_once(batcher.submit, range(20)) == list(range(20))
    assert max(sizes) <= 2


def test_follower_of_a_hanging_leader_runs_individually(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernel.batching.FOLLOWER_TIMEOUT_SECONDS", 0.05)
    ended = threading.Event()

    def hangs(items: Sequence[int]) -> Sequence[str]:
        ended.wait(5)
        return [f"together {item}" for item in items]

    batcher = Batcher("test", hangs, lambda item: f"individually {item}")
    leader = threading.Thread(target=batcher.submit, args=(0,))
    leader.start()
    while not batcher._has_leader:
        pass

    assert [batcher.submit(1), batcher.submit(2)] == ["individually 1", "individually 2"]
    ended.set()
    leader.join()
    assert batcher.submit(3) == "together 3"


@pytest.fixture
def one_connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let all threads share a pool of one connection, as the threads of a web process share a few."""
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", {"min_size": 1, "max_size": 1, "timeout": 2})
    yield
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # of the PostgreSQL backend


@pytest.mark.usefixtures("one_connection")
def test_leader_returns_its_connection_before_it_goes_on() -> None:
    def run(items: Sequence[int]) -> Sequence[int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT unnest(%s::int[])", [list(items)])
            return [number for (number,) in cursor.fetchall()]

    batcher: Batcher[int, int] = Batcher("test", run, lambda item: pytest.fail("retried individually"))
    has_led, may_end = threading.Event(), threading.Event()

    def lead_and_go_on(item: int) -> int:
        outcome = batcher.submit(item)
        has_led.set()
        may_end.wait(10)
        connection.close()
        return outcome

    def follow(item: int) -> int:
        has_led.wait(10)
        try:
            return batcher.submit(item)
        finally:
            may_end.set()

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.submit(lead_and_go_on, 1), threads.submit(follow, 2)

        assert [first.result(), second.result()] == [1, 2]


@pytest.mark.usefixtures("one_connection")
def test_leader_in_a_transaction_keeps_its_connection() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('cashback.mark', 'mine', true)")

        Batcher[int, int]("test", lambda items: items, lambda item: item).submit(1)

        cursor.execute("SELECT current_setting('cashback.mark')")
        assert cursor.fetchone() == ("mine",)
