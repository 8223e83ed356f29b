"""The result of a cluster run, as a table on the terminal and as a page of the documentation."""

import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from dev.cluster.measure import Measured
from dev.services import postgres

COLUMNS = ("", "fault", "outage, s", "at most", "claims", "payments", "lost", "doubled", "5xx", "503", "unanswered", "verdict")
FIGURES = COLUMNS[2:11]
PAGE = """# Cluster

The results of the last run of `make prove-cluster`, written by the run itself.

{facts}

`make prove-cluster MINUTES=3` is the short run; `manage.py prove_cluster --only T41` runs one fault.

Five hosts are network namespaces of one machine: three databases (etcd, Patroni, PostgreSQL) and two web hosts (HAProxy,
PgBouncer, gunicorn in production mode), all started from the files of [deploy/](../deploy/README.md). Clients claim and pay
over HTTP and repeat a request with the same key, at the other web host, until it is answered. All hosts share the machine's
cores, so the figures are upper bounds.

**outage**: the longest time in which no client got a successful answer, from the fault until the cluster is whole again.
**lost**: acknowledged, and not in the ledger. **doubled**: two outcomes of one key or order. **5xx**: other than 503.
**503**: `busy`, with `Retry-After`. **unanswered**: closed connections and timeouts, after which the request was sent
again.

{table}

The checker's verdict on the whole run, with the clients' logs: {verdict}. An operator searched {reads:,} times, with a
replica configured, for a credit just issued at the other web host: {stale:,} times it was not found.

## The control

The same cluster with asynchronous replication must lose claims, or this proof could not see a loss.

{control}
"""
CONTROL = """{table}

{lost} acknowledged claims were lost. Without the clients' logs the checker sees {unseen} violations: the database that took
over is consistent, only older. The seals that were exported meanwhile show it: {seals}.
"""


def table_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of a line, in the order of COLUMNS."""
    measured = Measured(**row)
    bound = "" if measured.bound is None else f"{measured.bound:g}"
    counts = (measured.claims, measured.payments, measured.lost, measured.doubled)
    rest = (measured.errors, measured.busy, measured.unanswered)
    return (
        *(measured.name, measured.what, f"{measured.outage:.1f}", bound),
        *(f"{count:,}" for count in (*counts, *rest)),
        verdict(measured),
    )


def verdict(measured: Measured) -> str:
    """Return the result in one word."""
    if measured.name == "control":
        return "loses, as it must" if measured.lost else "FAILED: lost nothing"
    return "ok" if measured.is_green else "FAILED"


def failures(result: dict[str, Any]) -> list[str]:
    """Return the names of the faults that failed, and "checker" if it found violations."""
    rows = [Measured(**row) for row in [*result["rows"], *([result["control"]] if result["control"] else [])]]
    return [row.name for row in rows if "FAILED" in verdict(row)] + [
        name for name, wrong in (("checker", result["violations"]), ("own reads", result["stale"])) if wrong
    ]


def markdown_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return lines as a table in Markdown."""
    head = ["| " + " | ".join(COLUMNS) + " |", "|---|---|" + "---:|" * len(FIGURES) + "---|"]
    return "\n".join(head + [f"| {' | '.join(table_cells(row))} |" for row in rows])


def program_versions(programs: dict[str, str]) -> str:
    """Return the versions of the programs of a run."""
    found = [f"PostgreSQL {postgres.postgres_version()}"]
    for name, option in (("etcd", "--version"), ("haproxy", "-v"), ("pgbouncer", "--version")):
        said = subprocess.run([programs[name], option], capture_output=True, text=True, check=False).stdout.splitlines()[:1]
        found.append(f"{name} {next((word for word in ' '.join(said).split() if word[:1].isdigit()), '?')}")
    return " · ".join(found)


def report_page(result: dict[str, Any], seed: int, seconds: float, versions: str) -> str:
    """Return the page, in Markdown."""
    facts = f"{datetime.now(UTC):%Y-%m-%d} · {seconds / 60:.1f} minutes · seed {seed} · {os.cpu_count()} cores · {versions}"
    found = result["violations"]
    control = "It was not run."
    if result["control"]:
        control = CONTROL.format(
            table=markdown_table([result["control"]]),
            lost=f"{result['control']['lost']:,}",
            unseen=result["unseen"],
            seals=result["lost_seals"] or "none is gone",
        )
    return PAGE.format(
        facts=facts,
        table=markdown_table(result["rows"]),
        reads=result["reads"],
        stale=result["stale"],
        verdict=f"{len(found)} violations" if found else "every invariant holds",
        control=control.strip(),
    )
