"""Issuing credits by command, beside PostgreSQL's COPY of the same rows."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from django.db import connection

from dev.bench.environment import BenchEnvironment
from dev.bench.results import Figure
from dev.chaos.experiment import web_environment
from dev.race.launch import ROOT
from kernel.uuid7 import uuid7
from wallet.actions import edit_pool
from wallet.assets.bulk_insert import INSERTED_COLUMNS
from wallet.assets.models import PoolKind

ROWS, QUICK_ROWS = 1_000_000, 20_000
MAX_MEMORY = 200.0  # MB
LINES_AT_ONCE = 1_000
LOOK_SECONDS = 0.05
EXPIRES = "2031-03-31T18:30:00Z"


def bench_issue(environment: BenchEnvironment) -> list[Figure]:
    """Import a file of credits by `manage.py import_assets`; the yardstick is one COPY, all rules of the table on."""
    rows = environment.size(ROWS, QUICK_ROWS)
    file = environment.servers.instance.base / "credits.csv"
    memory: list[float] = []
    progress: list[int] = []
    with file.open("w") as out:
        out.write("title,total_value,currency,pool,expires_at\n")
        out.writelines(f"Credit {number},{number % 900 + 1}.50,INR,Bench,{EXPIRES}\n" for number in range(rows))

    def command() -> float:
        issue_pool(environment)
        seconds, most, lines = timed_command("import_assets", str(file))
        memory.append(most)
        progress.append(lines)
        return rows / seconds

    def copy() -> float:
        made = issue_pool(environment)
        return rows / copy_rows(rows, made)

    rates = environment.alternate(command, copy)
    note = f"{min(progress)} lines of progress"
    return [
        Figure(f"{rows:,} credits from a file, beside COPY", 0.5, "more", rates, "rows/s", note),
        Figure("memory of the command", 1.0, "less", [(most, MAX_MEMORY) for most in memory], "MB", "maximum"),
    ]


def issue_pool(environment: BenchEnvironment) -> str:
    """Open the pool that the file names, in a fresh database, and return its id."""
    environment.fresh_database("issue")
    return str(edit_pool.open_pool(None, name="Bench", kind=PoolKind.PROMOTION, currency="INR").pk)


def timed_command(command: str, *arguments: str, output: Path | None = None) -> tuple[float, float, int]:
    """Run a command of manage.py and return its seconds, the most memory it held (MB), and its lines of progress."""
    log = Path(os.environ["CASHBACK_STATE"]) / "command.txt"
    started = time.monotonic()
    with log.open("w") as errors, (output or Path(os.devnull)).open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", command, *arguments], cwd=ROOT, env=web_environment(), stdout=out, stderr=errors
        )
        most = watch_memory(process)
    seconds = time.monotonic() - started
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}: {log.read_text()[-300:]}")
    return seconds, most / 2**20, len(log.read_text().splitlines())


def watch_memory(process: subprocess.Popen[bytes]) -> int:
    """Wait until a process has ended and return the most bytes it ever held, at most `LOOK_SECONDS` before its end.

    The kernel's own account of a child (ru_maxrss) will not do: it begins with what its parent held when it was started,
    and this parent holds the text of a million rows for the yardstick.
    """
    most = 0
    while process.poll() is None:
        most = max(most, peak_memory(process.pid))
        time.sleep(LOOK_SECONDS)
    return most


def peak_memory(pid: int) -> int:
    """Return the most bytes that a process's program held so far (VmHWM), 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def copy_rows(rows: int, pool_id: str) -> float:
    """Copy as many rows of the same kind in one statement and return the seconds; the text was made beforehand."""
    text = list(copy_blocks(rows, pool_id))
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        started = time.monotonic()
        with cursor.copy(f"COPY assets_cashbackasset ({', '.join(INSERTED_COLUMNS)}) FROM STDIN") as target:
            for block in text:
                target.write(block)
        return time.monotonic() - started


def copy_blocks(rows: int, pool_id: str) -> Iterator[str]:
    """Yield the rows in COPY's own text, many lines at once."""
    for start in range(0, rows, LINES_AT_ONCE):
        numbers = range(start, min(rows, start + LINES_AT_ONCE))
        yield "".join(
            f"{uuid7()}\tCredit {number}\t{number % 900 + 1}.5\tINR\tAVAILABLE\t1\t{pool_id}\t{EXPIRES}\t\\N\t\\N\n"
            for number in numbers
        )
