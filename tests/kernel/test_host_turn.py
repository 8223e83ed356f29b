"""The turn of a host's processes: one at a time, given back by death, and never waited for long."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kernel import metric_slots
from kernel.batching import Batcher
from kernel.host_turn import MAX_WAIT_SECONDS, MAX_YIELD_SECONDS, HostTurn

HOLD = """
import sys, time
from kernel.host_turn import HostTurn
turn = HostTurn("test")
print(turn.take([1]), flush=True)
sys.stdin.readline()
turn.give_back()
print("given back", flush=True)
sys.stdin.readline()
"""
TELL = """
from kernel.host_turn import HostTurn
turn = HostTurn("test")
turn.open()
turn.is_next(range(4), 0)
print(turn.place)
"""


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> HostTurn:
    monkeypatch.setenv(metric_slots.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(metric_slots.HeldSlot, "number", None)  # of another folder
    monkeypatch.setattr(metric_slots.HeldSlot, "descriptor", None)
    return HostTurn("test")


@pytest.fixture
def other(turn: HostTurn) -> "subprocess.Popen[str]":
    """Another process that has the turn and gives it back when it reads a line."""
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert line_of(process) == "True"
    return process


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def test_a_turn_that_another_process_has_is_waited_for_only_briefly(turn: HostTurn, other: "subprocess.Popen[str]") -> None:
    begun = time.monotonic()

    assert turn.take([1]) is False
    assert time.monotonic() - begun >= MAX_WAIT_SECONDS
    turn.give_back()  # of one who has no turn: nothing
    end(other)


def test_a_turn_is_taken_once_it_is_given_back(turn: HostTurn, other: "subprocess.Popen[str]") -> None:
    other.stdin.write("\n")  # type: ignore[union-attr]
    other.stdin.flush()  # type: ignore[union-attr]
    assert line_of(other) == "given back"

    assert turn.take([1]) is True
    turn.give_back()
    assert turn.take([1]) is True
    end(other)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_turn_of_a_dead_process_is_free(turn: HostTurn, other: "subprocess.Popen[str]", how: signal.Signals) -> None:
    other.send_signal(how)
    other.communicate()

    assert turn.take([1]) is True


def test_a_stopped_process_holds_nobody_up_for_long(turn: HostTurn, other: "subprocess.Popen[str]") -> None:
    other.send_signal(signal.SIGSTOP)
    batcher: Batcher[int, int] = Batcher("test", list, lambda item: item, uses_database=False, turn=turn)

    assert [batcher.submit(number) for number in range(3)] == [0, 1, 2]
    end(other)


def test_a_process_of_its_own_has_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(metric_slots.FOLDER_VARIABLE, raising=False)

    assert HostTurn("test").take([1]) is True


def seconds_of_take(turn: HostTurn, items: int) -> float:
    begun = time.monotonic()
    assert turn.take(range(items)) is True
    turn.give_back()
    return time.monotonic() - begun


def test_a_process_yields_to_one_in_which_more_items_wait(turn: HostTurn) -> None:
    turn.open()
    turn.waiting_counts[turn.place + 1] = 3

    assert not turn.is_next(range(2), 0)
    assert turn.is_next(range(3), 0)
    assert turn.is_next(range(2), MAX_YIELD_SECONDS)


def test_processes_see_each_others_items(turn: HostTurn) -> None:
    turn.open()
    place = int(subprocess.run([sys.executable, "-c", TELL], check=True, capture_output=True, text=True).stdout)

    assert place != turn.place
    assert turn.waiting_counts[place] == 4


def test_the_items_of_a_dead_process_are_forgotten(turn: HostTurn) -> None:
    turn.open()
    turn.waiting_counts[turn.place + 1] = 3

    assert seconds_of_take(turn, 1) >= MAX_YIELD_SECONDS
    assert bytes(turn.waiting_counts) == bytes(len(turn.waiting_counts))


def test_more_items_than_fit_into_a_byte_are_told_as_many(turn: HostTurn) -> None:
    assert seconds_of_take(turn, 1_000) >= 0


@pytest.mark.parametrize("fails", [True, False])
def test_a_batch_has_the_turn_from_its_start_to_its_end(turn: HostTurn, fails: bool) -> None:
    mine, seen = HostTurn("test"), list[bool]()

    def run(items: list[int]) -> list[int]:
        seen.append(mine.take([1]))
        if fails:
            raise RuntimeError
        return items

    batcher: Batcher[int, int] = Batcher("test", run, lambda item: item, uses_database=False, turn=turn)  # type: ignore[arg-type]

    assert batcher.submit(1) == 1
    assert seen == [False]
    assert mine.take([1]) is True


def test_a_batch_runs_without_a_turn_when_the_lock_file_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(metric_slots.FOLDER_VARIABLE, str(tmp_path / "gone"))
    batcher: Batcher[int, int] = Batcher("test", list, lambda item: item, uses_database=False, turn=HostTurn("test"))

    assert [batcher.submit(number) for number in range(3)] == [0, 1, 2]
