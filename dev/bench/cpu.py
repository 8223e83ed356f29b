"""CPU time of the web and of PostgreSQL's sessions: unlike speed, it depends little on what else the machine does."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.db import connection

from dev.bench import load
from dev.race.web_server import Web

TICKS = os.sysconf("SC_CLK_TCK")
BACKENDS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class Load:
    """What a load of claims took: claims a second, and milliseconds of CPU a claim in the web and in PostgreSQL."""

    rate: float
    web_milliseconds: float
    database_milliseconds: float

    @property
    def milliseconds(self) -> float:
        """Both together."""
        return self.web_milliseconds + self.database_milliseconds


def measure_load(server: Web, size: int, send: Callable[[int, int], load.LoadResult]) -> Load:
    """Send `size` requests to the server's port by `send(port, size)` and return what they took."""
    web, sessions = web_cpu_seconds(server), session_cpu_seconds()
    rate = send(server.port, size).rate
    web_after, sessions_after = web_cpu_seconds(server), session_cpu_seconds()
    in_database = sum(seconds - sessions.get(pid, 0.0) for pid, seconds in sessions_after.items())
    return Load(rate, (web_after - web) / size * 1000, in_database / size * 1000)


def web_cpu_seconds(server: Web) -> float:
    """Return the CPU seconds of the web's processes so far."""
    return sum(map(cpu_seconds_of, server.workers()))


def session_cpu_seconds() -> dict[int, float]:
    """Return the CPU seconds of each session's process so far, except this one's; pools keep their sessions open."""
    with connection.cursor() as cursor:
        cursor.execute(BACKENDS)
        pids = [pid for (pid,) in cursor.fetchall()]
    connection.close()
    return {pid: cpu_seconds_of(pid) for pid in pids if Path(f"/proc/{pid}").exists()}


def cpu_seconds_of(pid: int) -> float:
    """Return the CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
