"""The results of a run, as a table on the terminal and as a page of the documentation."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dev.chaos.catalogue import FAULTS
from dev.services import postgres

COLUMNS = ("", "fault", "count", "claims", "lost", "doubled", "unexplained", "verdict", "note")
FIGURES = COLUMNS[2:7]
LOST, DOUBLED = {"I2", "lost"}, {"I1", "I7", "doubled"}
PAGE = """# Proofs

The results of the last run of `make prove`, written by the run itself.

{facts}

`make prove MINUTES={asked:g} SEED={seed}` repeats the run with the same seed; `manage.py prove --only T3` runs one fault.

Each fault is injected into a fresh database on temporary PostgreSQL and Redis servers, with real web workers (in the role that
cannot rewrite history) and clients that repeat a request with the same key until it is answered. Then the checker reads
everything. **lost**: claims that were acknowledged and are not in the ledger. **doubled**: credits or keys with two claims.
**unexplained**: any other violated invariant, wrong response or missed time limit. **count**: how often the fault was injected;
a run that injects a fault too rarely has failed too.

{table}

In T50 to T53, **claims** are credits that rules granted; **lost** are also credits that were due and not granted, and notices,
emails and events that did not arrive; **doubled** is also what was granted, noticed, sent by email or in the feed twice. As
promised, a killed scheduler may leave one email that is not confirmed, and a webhook may be sent again.

`T0` shows that zero violations mean something: the same checker must detect each of ten wrong implementations. `T54` shows the
same of the checks of T50 to T53: they must detect five wrong schedulers. The lines that
begin with P are not faults but tests: generated sequences of operations and requests, compared with a model and with the
schema, and each step of a claim, at which another transaction commits or the claim is interrupted. P1 and P6 use the seed of
the run; P3, P4, T1 and T2 are not random.

The invariants: one claim per credit; every acknowledged claim is in the ledger, and no other; credit and entry agree; issued
equals available, claimed, expired and deleted together; no claim at or after the expiry; one claim and one response per key;
seals verify, and no entry older than 10 s is unsealed; limits per user hold; no error but 503 with Retry-After; no transaction
and no lock wait longer than 10 s, and no session left over at the end.
"""


@dataclass(frozen=True)
class Row:
    """One line of the table: a fault, or a test."""

    name: str
    what: str
    count: int
    claims: int
    lost: int
    doubled: int
    unexplained: int
    note: str
    violations: list[str]
    skipped: bool = False

    @property
    def verdict(self) -> str:
        """The result in one word."""
        return "skipped" if self.skipped else "FAILED" if self.violations else "ok"

    def cells(self) -> Sequence[str]:
        """Return the line's cells, in the order of COLUMNS."""
        figures = (self.count, self.claims, self.lost, self.doubled, self.unexplained)
        return (self.name, self.what, *(f"{figure:,}" for figure in figures), self.verdict, self.note)


def outcome_row(name: str, outcome: dict[str, Any]) -> Row:
    """Return the line of an outcome in JSON types."""
    kinds = [violation["invariant"] for violation in outcome["violations"]]
    lost, doubled = (sum(kind in group for kind in kinds) for group in (LOST, DOUBLED))
    sentences = [f"{violation['invariant']}: {violation['sentence']}" for violation in outcome["violations"]]
    return Row(
        name=name,
        what=FAULTS[name].what,
        count=outcome["count"],
        claims=outcome["claims"],
        lost=lost,
        doubled=doubled,
        unexplained=len(kinds) - lost - doubled,
        note=outcome["note"],
        violations=sentences,
        skipped=outcome["skipped"],
    )


def row_order(row: Row) -> tuple[str, int]:
    """Return what sorts the lines: P before T, each by its number."""
    return row.name[:1], int(row.name[1:] or 0)


def run_facts(seed: int, asked: float, seconds: float) -> str:
    """Return the line about the run: date, duration, seed and machine.

    Arguments:
        asked: how many minutes were asked for.
        seconds: how long it took.
    """
    length = f"{seconds / 60:.1f} minutes ({asked:g} asked for)"
    machine = f"{os.cpu_count()} cores · PostgreSQL {postgres.postgres_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d} · {length} · seed {seed} · {machine}"


def markdown_page(rows: Sequence[Row], facts: str, seed: int, asked: float) -> str:
    """Return the page, in Markdown."""
    head = ["| " + " | ".join(COLUMNS) + " |", "|---|---|" + "---:|" * len(FIGURES) + "---|---|"]
    lines = [f"| {' | '.join(row.cells())} |" for row in rows]
    return PAGE.format(table="\n".join(head + lines), facts=facts, seed=seed, asked=asked)
