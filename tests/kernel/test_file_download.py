"""Files are written at full speed when nothing else is served, and with pauses beside other requests."""

from typing import Any

import pytest

from kernel.batching import Batcher
from kernel.file_download import yield_with_pauses


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the pauses instead of making them."""
    made: list[float] = []
    monkeypatch.setattr("kernel.file_download.time.sleep", made.append)
    return made


def test_idle_process_writes_without_pauses(pauses: list[float]) -> None:
    assert list(yield_with_pauses(range(10))) == list(range(10))
    assert pauses == []


def test_process_that_serves_requests_pauses_after_each_item(pauses: list[float]) -> None:
    batcher: Batcher[int, Any] = Batcher("test", lambda items: items, lambda item: item, uses_database=False)

    for item in yield_with_pauses(range(3), pauses=5.0):
        batcher.submit(item)

    assert len(pauses) == 3
    assert all(seconds > 0 for seconds in pauses)


def test_pauses_come_after_as_many_items_as_asked(pauses: list[float]) -> None:
    batcher: Batcher[int, Any] = Batcher("test", lambda items: items, lambda item: item, uses_database=False)

    for item in yield_with_pauses(range(10), chunk_size=4):
        batcher.submit(item)

    assert len(pauses) == 2
