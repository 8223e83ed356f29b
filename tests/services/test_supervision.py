"""What stops is started again, later each time, and not for ever."""

import os
import sys
from collections.abc import Callable, Iterator

import pytest

from dev.services.errors import LocalServiceError
from dev.services.paths import CHECKOUT
from dev.services.process_group import ProcessGroup
from dev.services.restarts import FULL_DISK, GaveUp, RestartablePart, Restarter

Supervise = Callable[..., Restarter]
ENDS = [sys.executable, "-c", "raise SystemExit(3)"]


@pytest.fixture
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dev.services.restarts.FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr("dev.services.restarts.FULL_DISK_WAIT_SECONDS", 0.001)
    monkeypatch.setattr("dev.services.restarts.POLL_SECONDS", 0.005)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervise(said: list[str]) -> Supervise:
    return lambda *parts: Restarter(parts, said.append)


@pytest.fixture
def children() -> Iterator[ProcessGroup]:
    children = ProcessGroup()
    yield children
    children.stop()


def test_each_new_start_waits_twice_as_long(monkeypatch: pytest.MonkeyPatch, supervise: Supervise, said: list[str]) -> None:
    now = [0.0]
    monkeypatch.setattr("dev.services.restarts.time.monotonic", lambda: now[0])
    supervisor = supervise(RestartablePart("The web server", lambda: "exit code -9", lambda: None))
    for moment in (0, 0.9, 1, 1.5, 3.4, 3.5, 4, 8):
        now[0] = moment
        supervisor.look()
    line = "The web server stopped (exit code -9); starting it again in {} s."
    again = "The web server is started again."
    assert said == [line.format(1), again, line.format(2), again, line.format(4), again]


def test_part_that_ran_for_longer_than_the_window_waits_as_the_first_time(
    monkeypatch: pytest.MonkeyPatch, supervise: Supervise, said: list[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("dev.services.restarts.time.monotonic", lambda: now[0])
    supervisor = supervise(RestartablePart("Redis", lambda: "", lambda: None))
    for moment in (0, 1, 100):
        now[0] = moment
        supervisor.look()
    assert said == ["Redis stopped; starting it again in 1 s.", "Redis is started again.", said[0]]


@pytest.mark.usefixtures("_no_waiting")
def test_child_that_does_not_stay_up_is_given_up(children: ProcessGroup, supervise: Supervise, said: list[str]) -> None:
    children.start("web", ENDS, CHECKOUT, os.environ)

    def how() -> str | None:
        code = children.exit_code("web")
        return None if code is None else f"exit code {code}"

    with pytest.raises(GaveUp) as end:
        supervise(RestartablePart("The web", how, lambda: children.restart("web"))).run()
    assert str(end.value) == (
        "The web stopped (exit code 3), for the 5th time within a minute: "
        "it is not started again, and everything else is stopped."
    )
    assert said.count("The web is started again.") == 4


@pytest.mark.usefixtures("_no_waiting")
def test_full_disk_is_waited_for_however_long_it_takes(supervise: Supervise, said: list[str]) -> None:
    tries: list[int] = []

    def start() -> None:
        tries.append(1)
        if len(tries) < 20:
            raise LocalServiceError(f"It does not start ({FULL_DISK}): see the log.")

    supervisor = supervise(RestartablePart("PostgreSQL", lambda: None if len(tries) == 20 else "", start))
    while "PostgreSQL is started again." not in said:
        supervisor.look()
    assert said[1] == f"It does not start ({FULL_DISK}): see the log; starting it again in 0.001 s."
    assert len(tries) == 20


@pytest.mark.usefixtures("_no_waiting")
def test_rest_goes_on_without_what_is_not_needed(supervise: Supervise, said: list[str]) -> None:
    looks: list[int] = []
    redis = RestartablePart("Redis", lambda: "", lambda: None, without="The product goes on.")

    def look() -> None:
        looks.append(1)

    supervisor = supervise(redis, RestartablePart("The web", look, lambda: None))
    while not said or "for the 5th time" not in said[-1]:
        supervisor.look()
    before = len(said)
    supervisor.look()
    assert said[-1].endswith("within a minute: it is not started again. The product goes on.")
    assert len(said) == before
    assert looks


def test_what_needs_a_part_that_is_down_is_left_alone(supervise: Supervise, said: list[str]) -> None:
    supervisor = supervise(
        RestartablePart("PostgreSQL", lambda: "", lambda: None, precedes_others=True),
        RestartablePart("The worker", lambda: "exit code 1", lambda: None),
    )
    supervisor.look()
    supervisor.look()
    assert said == ["PostgreSQL stopped; starting it again in 1 s."]
