"""Fallbacks of the batcher are counted and logged with their traceback; no exception is shared by threads."""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError
from psycopg_pool import PoolTimeout

from kernel import fallbacks
from kernel.batching import Batcher, RetryIndividually


def batcher(run_batch: object, run_one: object = lambda item: f"{item} individually") -> Batcher[str, str]:
    return Batcher("test", run_batch, run_one, uses_database=False)  # type: ignore[arg-type]


def test_bug_in_batch_code_is_counted_and_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def broken(items: Sequence[str]) -> list[str]:
        raise ZeroDivisionError("a bug on purpose")

    asked = batcher(broken)
    with caplog.at_level(logging.ERROR):
        assert [asked.submit("a"), asked.submit("b")] == ["a individually", "b individually"]

    assert asked.batch_failed.count == 2
    assert [record.message for record in caplog.records] == [
        "a batch of test failed; its items are retried one by one (1 times since this process started)"
    ]
    assert "ZeroDivisionError: a bug on purpose" in caplog.text


def test_fallback_is_logged_again_after_the_period(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallbacks, "LOG_PERIOD_SECONDS", 0.0)

    def broken(items: Sequence[str]) -> list[str]:
        raise ZeroDivisionError

    asked = batcher(broken)
    with caplog.at_level(logging.ERROR):
        asked.submit("a"), asked.submit("b")

    assert len(caplog.records) == 2


def test_wrong_number_of_outcomes_is_a_failed_batch() -> None:
    asked = batcher(lambda items: [])

    assert asked.submit("a") == "a individually"
    assert asked.batch_failed.count == 1


def test_retry_individually_is_no_fallback() -> None:
    asked = batcher(lambda items: [RetryIndividually() for _ in items])

    assert asked.submit("a") == "a individually"
    assert asked.batch_failed.count == 0


def test_no_exception_instance_is_raised_in_two_threads() -> None:
    entered, release = threading.Event(), threading.Event()

    def exhausted(items: Sequence[str]) -> list[str]:
        entered.set()
        release.wait(5)
        raise OperationalError("pool") from PoolTimeout("pool")

    asked = batcher(exhausted)

    def submit(item: str) -> BaseException | None:
        try:
            asked.submit(item)
        except OperationalError as error:
            return error
        return None

    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(submit, "a")
        entered.wait(5)
        others = [threads.submit(submit, item) for item in "bcd"]
        while len(asked.queue) < 3:
            pass
        release.set()
        errors = [future.result(5) for future in (first, *others)]

    assert all(isinstance(error, OperationalError) and isinstance(error.__cause__, PoolTimeout) for error in errors)
    assert len({id(error) for error in errors}) == 4


def test_batches_and_their_sizes_are_counted() -> None:
    asked = batcher(lambda items: [f"{item} in a batch" for item in items])

    asked.submit("a"), asked.submit("b")

    assert (asked.batches, asked.items, asked.largest) == (2, 2, 1)
