"""Child processes live and end together."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.services.paths import CHECKOUT
from dev.services.process_group import ProcessGroup
from tests.services.machines import Eventually

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessGroup]:
    monkeypatch.setattr("dev.services.process_group.GRACE_SECONDS", 0.5)
    children = ProcessGroup()
    yield children
    children.stop()


def start(children: ProcessGroup, name: str, command: list[str]) -> None:
    children.start(name, command, CHECKOUT, os.environ)


def test_child_that_ends_is_named(children: ProcessGroup) -> None:
    start(children, "web", SLEEP)
    start(children, "worker", [sys.executable, "-c", "pass"])
    assert children.wait() == "worker"


def test_waiting_ends_when_the_condition_holds(children: ProcessGroup) -> None:
    start(children, "web", SLEEP)
    assert children.wait(until=lambda: True) is None
    assert children.ended() is None


def test_stubborn_child_and_its_own_children_are_killed(children: ProcessGroup, tmp_path: Path, eventually: Eventually) -> None:
    code = (
        "import signal, subprocess, sys, pathlib, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "child = subprocess.Popen(['sleep', '60']); pathlib.Path(sys.argv[1]).write_text(str(child.pid)); time.sleep(60)"
    )
    note = tmp_path / "pid"
    start(children, "web", [sys.executable, "-c", code, str(note)])
    assert children.wait(until=lambda: note.exists() and note.read_text() != "") is None
    children.stop()
    assert eventually(lambda: not _is_running(int(note.read_text())))


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_children_end_when_their_starter_is_killed(tmp_path: Path, eventually: Eventually) -> None:
    note = tmp_path / "pid"
    tell = f"import os, pathlib, time; pathlib.Path({str(note)!r}).write_text(str(os.getpid())); time.sleep(60)"
    code = (
        "import os, pathlib, sys; from dev.services.process_group import ProcessGroup; c = ProcessGroup(); "
        f"c.start('web', [sys.executable, '-c', {tell!r}], pathlib.Path({str(CHECKOUT)!r}), os.environ); c.wait()"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT)
    assert eventually(lambda: note.exists() and note.read_text() != "")
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    assert eventually(lambda: not _is_running(int(note.read_text())))


def _is_running(pid: int) -> bool:
    try:
        # A zombie has ended; only its parent has not looked yet.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
