"""What a run came to, as a table on a screen and as a page of the documentation."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dev.chaos.catalogue import FAULTS
from dev.services import postgres

COLUMNS = ("", "fault", "count", "claims", "lost", "doubled", "unexplained", "verdict", "note")
FIGURES = COLUMNS[2:7]
LOST, DOUBLED = {"I2"}, {"I1", "I7"}
PAGE = """# Proofs

What held while things were broken: the last run of `make prove`, written by the run itself.

{facts}

`make prove MINUTES={asked:g} SEED={seed}` throws the same dice again; `manage.py prove --only T3` runs one fault.

Each fault meets a fresh database on PostgreSQL and Redis servers of the run's own, real web workers (in the role that cannot
rewrite history) and clients that send a request again with the same key until it is answered. Then one checker reads
everything: **lost** is what was acknowledged and is not in the ledger, **doubled** a credit or a key with two claims,
**unexplained** any other broken invariant, wrong answer or missed time. **count** is how often the fault struck; one that
did not strike often enough is red too.

{table}

`T0` is why a zero means something: the same checker, and five ways to have built it wrong, each of which it must see. What
begins with P is no fault: acts and requests as a generator makes them up, judged by a model and by the schema, and each step
of a claim, at which somebody else acts or the claim breaks off. P1 and P6 throw the run's dice; P3, P4, T1 and T2 throw none.

The invariants: one claim a credit; what was acknowledged is there, and nothing else; credit and entry agree; issued equals
available, claimed, expired and deleted; nothing claimed at or after its expiry; one key, one claim, one answer; seals verify
and nothing older than 10 s is unsealed; limits per user hold; no error but 503, which says when to come back; no transaction
and no wait older than 10 s, and nobody left behind when all is over.
"""


@dataclass(frozen=True)
class Row:
    """One line: a fault's, or a model's."""

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
        """Return what the line says in one word."""
        return "skipped" if self.skipped else "RED" if self.violations else "green"

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
    """Return the line about the run: when, how long, by which dice, on which machine.

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
    lines = [f"| {' | '.join(each.cells())} |" for each in rows]
    return PAGE.format(table="\n".join(head + lines), facts=facts, seed=seed, asked=asked)
