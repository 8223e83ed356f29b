"""Many callers served by one call."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.together import Alone, Together
from tests.together import at_once

pytestmark = pytest.mark.django_db(transaction=True)


class Gate:
    """An act that holds its first call until as many as are wanted wait for the next."""

    def __init__(self, act: Callable[[Sequence[int]], Sequence[Any]]) -> None:
        self.act, self.groups, self.opened = act, list[list[int]](), threading.Event()
        self.together = Together(self, alone=self.alone)
        self.by_themselves: list[int] = []

    def __call__(self, asked: Sequence[int]) -> Sequence[Any]:
        self.groups.append(list(asked))
        if len(self.groups) == 1:
            self.opened.wait(5)
            return [f"first {one}" for one in asked]
        return self.act(asked)

    def alone(self, asked: int) -> str:
        self.by_themselves.append(asked)
        return f"alone {asked}"

    def ask(self, number: int) -> Any:
        if number == 0:
            return self.together.ask(0)
        while not self.groups:
            pass
        threading.Timer(0.01, self.open_for, [3]).start()
        try:
            return self.together.ask(number)
        except LookupError as error:
            return error

    def open_for(self, many: int) -> None:
        """Let the first call return when so many wait."""
        while len(self.together.seats) < many and not self.opened.is_set():
            pass
        self.opened.set()


def test_who_comes_during_a_call_is_in_the_next_one() -> None:
    gate = Gate(lambda asked: [f"together {one}" for one in asked])

    answers = at_once(gate.ask, range(4))

    assert answers == ["first 0", "together 1", "together 2", "together 3"]
    assert sorted(map(sorted, gate.groups)) == [[0], [1, 2, 3]]


def test_each_gets_an_outcome_of_its_own() -> None:
    outcomes = {1: "fine", 2: LookupError("not this one"), 3: Alone()}
    gate = Gate(lambda asked: [outcomes[one] for one in asked])

    answers = at_once(gate.ask, range(4))

    assert answers == ["first 0", "fine", outcomes[2], "alone 3"]
    assert gate.by_themselves == [3]


def test_when_the_call_breaks_each_asks_alone() -> None:
    def breaks(asked: Sequence[int]) -> Sequence[Any]:
        raise RuntimeError

    gate = Gate(breaks)

    answers = at_once(gate.ask, range(4))

    assert answers == ["first 0", "alone 1", "alone 2", "alone 3"]
    assert gate.together.ask(4) == "alone 4"


def test_the_one_who_leads_may_be_stopped_and_the_others_are_served() -> None:
    stopped = threading.Event()

    def stops(asked: Sequence[int]) -> Sequence[Any]:
        if not stopped.is_set():
            stopped.set()
            raise SystemExit
        return [f"served {one}" for one in asked]

    gate = Gate(stops)

    def ask(number: int) -> Any:
        try:
            return gate.ask(number)
        except SystemExit:
            return "stopped"

    answers = at_once(ask, range(4))

    assert sorted(answers[1:])[:2] == [f"alone {one}" for one in sorted(gate.by_themselves)]
    assert answers.count("stopped") == 1
    assert gate.together.ask(5) == "served 5"


def test_no_more_than_the_most_are_asked_for_at_once() -> None:
    groups: list[int] = []

    def act(asked: Sequence[int]) -> Sequence[int]:
        groups.append(len(asked))
        return asked

    together = Together(act, alone=lambda one: one, most=2)

    assert at_once(together.ask, range(20)) == list(range(20))
    assert max(groups) <= 2


def test_who_is_called_by_nobody_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.together.PATIENCE_SECONDS", 0.05)
    ended = threading.Event()

    def hangs(asked: Sequence[int]) -> Sequence[str]:
        ended.wait(5)
        return [f"together {one}" for one in asked]

    together = Together(hangs, alone=lambda one: f"alone {one}")
    leader = threading.Thread(target=together.ask, args=(0,))
    leader.start()
    while not together.led:
        pass

    assert [together.ask(1), together.ask(2)] == ["alone 1", "alone 2"]
    ended.set()
    leader.join()
    assert together.ask(3) == "together 3"


@pytest.fixture
def one_connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let all threads share a pool of one connection, as a web process's share a few."""
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", {"min_size": 1, "max_size": 1, "timeout": 2})
    yield
    connection.close()
    connection.close_pool()


@pytest.mark.usefixtures("one_connection")
def test_who_led_holds_no_connection_while_it_does_something_else() -> None:
    def act(asked: Sequence[int]) -> Sequence[int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT unnest(%s::int[])", [list(asked)])
            return [number for (number,) in cursor.fetchall()]

    together = Together(act, alone=lambda one: pytest.fail("asked alone"))
    led, ended = threading.Event(), threading.Event()

    def lead_and_go_on(number: int) -> int:
        answer = together.ask(number)
        led.set()
        ended.wait(10)
        connection.close()
        return answer

    def follow(number: int) -> int:
        led.wait(10)
        try:
            return together.ask(number)
        finally:
            ended.set()

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.submit(lead_and_go_on, 1), threads.submit(follow, 2)

        assert [first.result(), second.result()] == [1, 2]


@pytest.mark.usefixtures("one_connection")
def test_a_leader_in_a_transaction_keeps_its_connection() -> None:
    def act(asked: Sequence[int]) -> Sequence[int]:
        return asked

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('cashback.mark', 'mine', true)")

        Together(act, alone=lambda one: one).ask(1)

        cursor.execute("SELECT current_setting('cashback.mark')")
        assert cursor.fetchone() == ("mine",)
