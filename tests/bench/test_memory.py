"""What a command held is its own, whoever started it."""

import subprocess
import sys

from dev.bench import issue

MB = 2**20
HOLDS = "kept = bytearray({size}); kept[::4096] = b'x' * len(kept[::4096]); import time; time.sleep(0.4)"


def started(size: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", HOLDS.format(size=size)])


def test_what_a_process_held_is_seen_until_its_end() -> None:
    assert 64 * MB < issue.watch_memory(started(64 * MB)) < 128 * MB


def test_what_its_parent_holds_is_not_counted() -> None:
    kept = bytearray(300 * MB)
    kept[::4096] = b"x" * len(kept[::4096])

    assert issue.watch_memory(started(1)) < 100 * MB


def test_a_process_that_is_gone_holds_nothing() -> None:
    process = started(1)
    process.wait()

    assert issue.peak_memory(process.pid) == 0
