"""`manage.py run` starts again what dies."""

import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.race import processes
from dev.services import postgres
from dev.services.paths import CHECKOUT
from tests.services.machines import Eventually, Machine, bare_machine
from tests.services.test_run import free_port, output_until, run

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="finds the processes in /proc")


class Product:
    """`manage.py run` on a machine of its own."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.port = machine, free_port()
        self.process = run(machine, "--workers", "1", "--port", self.port)
        output_until(self.process, "Ctrl-C stops everything")
        self.lines = queue.SimpleQueue[str]()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)

    def wait_for_line(self, words: str) -> str:
        """Return the next line with the words in it; the test fails when there is none for long."""
        while words not in (line := self.lines.get(timeout=60)):
            pass
        return line

    def stop(self) -> tuple[int, str, str]:
        """Press Ctrl-C, and return the exit code, what was said until the end, and the errors."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.stderr is not None
        err = self.process.stderr.read()
        self.reader.join()
        rest = [self.lines.get_nowait() for _ in range(self.lines.qsize())]
        return self.process.wait(timeout=30), "".join(rest), err

    def is_ready(self) -> bool:
        client = http.client.HTTPConnection("127.0.0.1", int(self.port), timeout=10)
        try:
            client.request("GET", "/readyz")
            answer = client.getresponse()
            return (answer.status, json.loads(answer.read())["database"]) == (200, "ok")
        except (OSError, ValueError, http.client.HTTPException):
            return False
        finally:
            client.close()

    def child(self, word: bytes) -> int:
        """Return the process id of the child of `run` whose command line has the word in it."""
        return next(pid for pid in processes.child_pids(self.process.pid) if word in command_of(pid))

    def status(self) -> str:
        command = [sys.executable, "manage.py", "services", "status"]
        return subprocess.run(
            command, cwd=CHECKOUT, env=self.machine.environ, capture_output=True, text=True, check=True
        ).stdout


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_gone(pid: int) -> bool:
    return processes.process_stat(pid)[:1] in ([], ["Z"])


@pytest.fixture(scope="module")
def _product() -> Iterator[Product]:
    with bare_machine() as machine:
        product = Product(machine)
        yield product
        product.stop()


@pytest.fixture
def product(_product: Product, eventually: Eventually) -> Product:
    assert _product.process.poll() is None
    assert eventually(_product.is_ready)
    return _product


def test_killed_web_server_is_started_again(product: Product, eventually: Eventually) -> None:
    master = product.child(b"gunicorn")
    workers = processes.child_pids(master)
    os.kill(master, signal.SIGKILL)
    assert product.wait_for_line("web server") == "The web server stopped (exit code -9); starting it again in 1 s.\n"
    assert product.wait_for_line("web server") == "The web server is started again.\n"
    assert eventually(product.is_ready)
    assert product.child(b"gunicorn") != master
    assert all(is_gone(pid) for pid in workers)


def test_killed_sentinel_of_the_worker_is_started_again_with_all_that_it_had(product: Product, eventually: Eventually) -> None:
    head = product.child(b"qcluster")
    assert eventually(lambda: processes.child_pids(head) and processes.child_pids(processes.child_pids(head)[0]))
    (sentinel,) = processes.child_pids(head)
    orphans = processes.child_pids(sentinel)
    os.kill(sentinel, signal.SIGKILL)
    assert product.wait_for_line("worker").startswith("The worker stopped (exit code ")
    assert product.wait_for_line("worker") == "The worker is started again.\n"
    assert all(is_gone(pid) for pid in orphans)
    assert eventually(
        lambda: [p for each in processes.child_pids(product.child(b"qcluster")) for p in processes.child_pids(each)]
    )


def test_killed_postgresql_is_started_again_and_seen_up(product: Product, eventually: Eventually) -> None:
    old = postgres.postgres_pid(product.machine.instance)
    assert old is not None
    os.kill(old, signal.SIGKILL)
    assert product.wait_for_line("PostgreSQL") == "PostgreSQL stopped; starting it again in 1 s.\n"
    assert product.wait_for_line("PostgreSQL") == "PostgreSQL is started again.\n"
    assert eventually(product.is_ready)
    status = product.status()
    assert "PostgreSQL  up, process " in status
    assert f"PostgreSQL  up, process {old}\n" not in status


def test_killed_redis_is_started_again_and_seen_up(product: Product) -> None:
    _, old = product.machine.pids()
    os.kill(old, signal.SIGKILL)
    assert product.wait_for_line("Redis") == "Redis stopped; starting it again in 1 s.\n"
    assert product.wait_for_line("Redis") == "Redis is started again.\n"
    assert "Redis       up, process " in product.status()


def test_ctrl_c_while_something_waits_to_be_started_again_ends_everything(machine: Machine) -> None:
    product = Product(machine)
    worker = product.child(b"qcluster")
    os.kill(product.child(b"gunicorn"), signal.SIGKILL)
    assert product.wait_for_line("web server") == "The web server stopped (exit code -9); starting it again in 1 s.\n"
    code, out, err = product.stop()
    assert (code, out) == (0, "\nStopping…\n")
    assert "Traceback" not in err
    assert is_gone(worker)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_freed_disk_is_used_again(machine: Machine, eventually: Eventually) -> None:
    machine.instance.folder.mkdir(mode=0o755)
    options = ["-t", "tmpfs", "-o", "size=200m,mode=0755", "tmpfs", str(machine.instance.folder)]
    subprocess.run(["mount", *options], check=True)
    try:
        product = Product(machine)
        ballast = machine.instance.folder / "ballast"
        with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(bytes(65536))
        pid = postgres.postgres_pid(machine.instance)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert product.wait_for_line("PostgreSQL") == "PostgreSQL stopped; starting it again in 1 s.\n"
        full = product.wait_for_line("PostgreSQL")
        assert full.startswith("PostgreSQL does not start (No space left on device): see ")
        assert full.endswith("; starting it again in 5 s.\n")
        ballast.unlink()
        assert product.wait_for_line("started again") == "PostgreSQL is started again.\n"
        assert eventually(product.is_ready)
        product.stop()
    finally:
        machine.clear_servers()
        subprocess.run(["umount", "-l", str(machine.instance.folder)], check=False)
