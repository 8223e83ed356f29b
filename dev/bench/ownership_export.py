"""The ownership report as a file over HTTP, beside one COPY TO of the same rows."""

import http.client
import time
from dataclasses import dataclass

from django.db import connection

from accounts.models import Role
from dev.bench.environment import BenchEnvironment
from dev.bench.results import Figure
from dev.bench.tables import Tables, access_token
from dev.chaos.experiment import web_environment
from dev.race import processes, web_server

LARGE = Tables(1_000_000, 400_000, people=5_000)
QUICK = Tables(50_000, 20_000, people=500)
SHARE, ROWS_A_SECOND = 0.3, 50_000  # the targets: a share of COPY's rate, or this rate
MAX_GROWTH = 50.0  # MB
PIECE = 1024 * 1024
RAW = """
COPY (
    SELECT asset.id, title, total_value, asset.currency, status, email, claimed_at, pool.name FROM assets_cashbackasset AS asset
    LEFT JOIN accounts_user AS owner ON owner.id = claimed_by_id LEFT JOIN assets_creditpool AS pool ON pool.id = pool_id
    ORDER BY asset.id DESC
) TO STDOUT (FORMAT csv)
"""


@dataclass(frozen=True)
class Download:
    """One download: lines, seconds to the first and to the last byte, and growth of the workers' memory (MB)."""

    lines: int
    first: float
    seconds: float
    growth: float


def bench_ownership(environment: BenchEnvironment) -> list[Figure]:
    """Download the report, alternating with the raw COPY."""
    tables = QUICK if environment.quick else LARGE
    environment.fresh_database("files")
    tables.fill()
    downloads: list[Download] = []
    with web_server.web_server(web_environment(), "--preload") as server:
        token = access_token("person1@example.com", Role.ADMIN)
        download_report(server, token)  # warm

        def measured() -> float:
            downloads.append(download_report(server, token))
            return downloads[-1].lines / downloads[-1].seconds

        rates = environment.alternate(measured, lambda: tables.assets / copy_seconds())
    first = max(download.first for download in downloads)
    wanted = [(measured, min(ROWS_A_SECOND, SHARE * raw)) for measured, raw in rates]
    return [
        Figure(f"ownership file of {tables.assets:,} rows, beside COPY TO", SHARE, "more", rates, "rows/s"),
        Figure(f"the same, beside {ROWS_A_SECOND:,} rows/s or {SHARE} of COPY TO", 1.0, "more", wanted, "rows/s"),
        Figure(
            "growth of the web workers during a download",
            1.0,
            "less",
            [(download.growth, MAX_GROWTH) for download in downloads],
            "MB",
            f"first line after {first:.2f} s at most",
        ),
    ]


def download_report(server: web_server.Web, token: str) -> Download:
    """Download and discard the whole report; raise RuntimeError unless it is complete."""
    before = most = worker_memory(server)
    client = http.client.HTTPConnection(web_server.HOST, server.port, timeout=web_server.ANSWER_SECONDS)
    started = time.perf_counter()
    client.request("GET", "/api/v1/reports/ownership/?format=csv", headers={"Authorization": f"Bearer {token}"})
    answer = client.getresponse()
    lines = answer.read(1).count(b"\n")
    first = time.perf_counter() - started
    while piece := answer.read(PIECE):
        lines += piece.count(b"\n")
        most = max(most, worker_memory(server))
    seconds = time.perf_counter() - started
    client.close()
    if answer.status != 200:
        raise RuntimeError(f"the report was answered {answer.status}")
    return Download(lines - 1, first, seconds, (most - before) / 2**20)


def worker_memory(server: web_server.Web) -> int:
    """Return the bytes of memory of all workers."""
    return sum(processes.memory_bytes(pid) for pid in server.workers())


def copy_seconds() -> float:
    """Return the seconds of PostgreSQL's own COPY."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        started = time.perf_counter()
        with cursor.copy(RAW) as rows:
            for _ in rows:
                pass
        return time.perf_counter() - started
