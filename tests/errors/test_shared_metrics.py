"""Metrics of several processes: any web worker shows the sum, and a killed process changes nothing."""

import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.race import processes, web_server
from kernel import metric_slots

HEALTHZ = 'cashback_http_requests_total{method="GET",route="healthz",status="2xx"}'
POOLS = "cashback_database_pool_connections"
FALLBACK = 'cashback_fallbacks_total{fallback="redis.paused"}'
# A process that shares the folder, records a fallback, takes a connection's place, and waits to be killed.
OTHER = """
import os, sys, time, django
django.setup()
from cashback.redis_cache import PAUSED
from cashback.database.base import CONNECTIONS_IN_USE
PAUSED.record(); CONNECTIONS_IN_USE.inc(7)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made) / "metrics"


@pytest.fixture(scope="module")
def environ(folder: Path) -> dict[str, str]:
    ours = {"DJANGO_SETTINGS_MODULE": "cashback.settings", "LOG_LEVEL": "CRITICAL", "DATABASE_POOL": "4"}
    return dict(os.environ) | ours | {"PROMETHEUS_MULTIPROC_DIR": str(folder)}


@pytest.fixture(scope="module")
def server(environ: dict[str, str]) -> Iterator[web_server.Web]:
    with web_server.web_server(environ, "--workers", "2", "--threads", "4", "--preload") as serving:
        yield serving


def get(server: web_server.Web, path: str) -> str:
    """Request a path over a connection of its own, so that either worker may answer."""
    connection = http.client.HTTPConnection(web_server.HOST, server.port, timeout=30)
    connection.request("GET", path)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def sample(text: str, name: str) -> float:
    return float(next((line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(f"{name} ")), "0"))


def value(server: web_server.Web, name: str) -> float:
    return sample(get(server, "/metrics"), name)


def wait_until(server: web_server.Web, name: str, expected: float) -> None:
    deadline = time.monotonic() + 30
    while (found := value(server, name)) != expected:
        assert time.monotonic() < deadline, f"{name} is {found}, not {expected}"
        get(server, "/readyz")  # a new worker opens its pool
        time.sleep(0.05)


def test_every_worker_shows_the_requests_of_all(server: web_server.Web, folder: Path) -> None:
    before, sent, deadline = value(server, HEALTHZ), 0, time.monotonic() + 30

    while sum(b'"healthz"' in path.read_bytes() for path in folder.glob("histogram_*.db")) < 2:  # until both have answered
        get(server, "/healthz")
        sent += 1
        assert time.monotonic() < deadline

    assert {value(server, HEALTHZ) - before for _ in range(12)} == {sent}


def test_killed_worker_takes_its_gauges_along_and_no_count(server: web_server.Web, folder: Path) -> None:
    wait_until(server, POOLS, 8)
    for _ in range(2):
        counted, files = value(server, HEALTHZ), len(list(folder.glob("*.db")))
        victim = server.workers()[0]

        os.kill(victim, signal.SIGKILL)
        processes.wait_for_exit(victim)

        assert value(server, HEALTHZ) >= counted
        assert value(server, POOLS) <= 8
        wait_until(server, POOLS, 8)
        assert value(server, HEALTHZ) >= counted
        assert len(list(folder.glob("*.db"))) <= max(files, 12)  # two workers and their parent, with four files each


def test_process_beside_the_web_server_is_counted_and_forgotten_when_killed(
    server: web_server.Web, environ: dict[str, str]
) -> None:
    before = value(server, FALLBACK), value(server, "cashback_database_connections_in_use")
    other = subprocess.Popen([sys.executable, "-c", OTHER], env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert other.stdout is not None
    assert other.stdout.readline() == b"ready\n"
    assert value(server, FALLBACK) == before[0] + 1
    assert value(server, "cashback_database_connections_in_use") >= 7

    other.kill()
    other.wait()
    other.stdout.close()

    assert value(server, FALLBACK) == before[0] + 1
    assert value(server, "cashback_database_connections_in_use") < 7


def test_master_starts_from_zero_and_keeps_what_living_processes_count(environ: dict[str, str], tmp_path: Path) -> None:
    environ = environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "made/by/the/master")}
    other = subprocess.Popen([sys.executable, "-c", OTHER], env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert other.stdout is not None
    other.stdout.readline()
    counts = []
    for _ in range(2):
        with web_server.web_server(environ, "--workers", "1", "--threads", "2") as server:
            get(server, "/healthz")
            counts.append((value(server, HEALTHZ), value(server, FALLBACK)))
    other.kill()
    other.wait()
    other.stdout.close()

    assert counts == [(2, 1), (2, 1)]  # web_server itself asks once


def test_server_without_a_folder_makes_its_own_and_removes_it(environ: dict[str, str], tmp_path: Path) -> None:
    environ = {name: value for name, value in environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    abandoned = metric_slots.MEMORY / f"cashback-metrics-0-{tmp_path.parent.name}"
    abandoned.mkdir(exist_ok=True)
    os.utime(abandoned, (0, 0))

    with web_server.web_server(environ, "--workers", "2", "--threads", "2") as server:
        for _ in range(9):
            get(server, "/healthz")
        assert value(server, HEALTHZ) == 10
        (made,) = metric_slots.MEMORY.glob(f"cashback-metrics-{server.pid}-*")
        assert not abandoned.exists()
        os.kill(server.pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while made.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_commands_leave_no_metrics_behind(environ: dict[str, str], tmp_path: Path) -> None:
    environ = environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    subprocess.run([sys.executable, "manage.py", "check"], env=environ, check=True, capture_output=True)

    assert list(tmp_path.iterdir()) == []


def test_files_of_a_new_process_are_allocated_so_that_a_full_disk_cannot_kill_it(
    environ: dict[str, str], tmp_path: Path
) -> None:
    environ = environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    subprocess.run([sys.executable, "-c", "import django; django.setup()"], env=environ, check=True, capture_output=True)

    files = {path.name: path.stat() for path in tmp_path.glob("*.db")}
    assert files.keys() == {f"{kind}_1.db" for kind in metric_slots.ALLOCATED}
    assert all(file.st_blocks * 512 >= file.st_size >= 1 << 16 for file in files.values())
