"""What a claim costs the database, by the number of web processes that share the same load."""

import os
from contextlib import ExitStack
from pathlib import Path

from django.db import connection

from dev.bench.campaign import CONNECTIONS, Campaign, create_campaign
from dev.bench.claims_http import CLAIMS, EVERYTHING_ON, QUICK_CLAIMS
from dev.bench.environment import BenchEnvironment
from dev.bench.results import Figure
from dev.chaos.experiment import web_environment
from dev.race import web_server

PROCESSES = (1, 2, 4)
TIMES_ONE = 1.3  # the database's CPU a claim with four processes, beside one
TICKS = os.sysconf("SC_CLK_TCK")
BACKENDS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


def bench_hosts(environment: BenchEnvironment) -> list[Figure]:
    """Claim from a pool over HTTP through one, two and four web processes, all with the same connections."""
    size = environment.size(CLAIMS, QUICK_CLAIMS)
    campaign = create_campaign(environment)
    figures = []
    with ExitStack() as stack:
        environ = web_environment(**EVERYTHING_ON)
        ports = {
            count: stack.enter_context(web_server.web_server(environ, "--preload", "--workers", str(count))).port
            for count in PROCESSES
        }
        environment.undisturbed(lambda: [campaign.claim_any(port, size // 5) for port in ports.values()])
        for count in PROCESSES[1:]:
            rounds = environment.alternate(
                lambda port=ports[count]: database_cost(campaign, port, size),  # type: ignore[misc]
                lambda: database_cost(campaign, ports[1], size),
            )
            what = f"CPU of a claim in PostgreSQL, {CONNECTIONS} connections: {count} web processes beside one"
            target = TIMES_ONE if count == PROCESSES[-1] else None
            figures.append(Figure(what, target, "less", rounds, "ms"))
    campaign.check()
    return figures


def database_cost(campaign: Campaign, port: int, size: int) -> float:
    """Return the milliseconds of CPU that a claim costs the sessions of the database."""
    before = session_cpu_seconds()
    campaign.claim_any(port, size)
    after = session_cpu_seconds()
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items()) / size * 1000


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
