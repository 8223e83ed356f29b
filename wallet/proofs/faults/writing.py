"""What a run came to, as a table on a screen and as a page of the documentation."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wallet.proofs.faults.catalogue import FAULTS

COLUMNS = ("", "fault", "count", "claims", "lost", "doubled", "unexplained", "verdict", "")
LOST, DOUBLED = {"I2"}, {"I1", "I7"}
PAGE = """# Proofs

What held while things were broken: the last run of `make prove`, written by the run itself. Seed {seed}, {minutes:.1f} minutes,
{cores} cores. `make prove MINUTES=10 SEED={seed}` throws the same dice again; `manage.py prove --only T3` runs one fault.

Each fault meets a fresh database on PostgreSQL and Redis servers of the run's own, real web workers (in the role that cannot
rewrite history) and clients that send a request again with the same key until it is answered. Then one checker reads
everything: **lost** is what was acknowledged and is not in the ledger, **doubled** a credit or a key with two claims,
**unexplained** any other broken invariant, wrong answer or missed time. A fault that did not strike often enough is red too.

{table}

`T0` is why a zero means something: the same checker, and five ways to have built it wrong, each of which it must see.

The invariants: one claim a credit; what was acknowledged is there, and nothing else; credit and entry agree; issued equals
available, claimed, expired and deleted; nothing claimed at or after its expiry; one key, one claim, one answer; seals verify
and nothing older than 10 s is unsealed; limits per user hold; no error but 503, which says when to come back; no transaction
and no wait older than 10 s.
"""


@dataclass(frozen=True)
class Row:
    """One fault's line."""

    name: str
    count: int
    claims: int
    lost: int
    doubled: int
    unexplained: int
    note: str
    violations: list[str]

    def cells(self) -> Sequence[str]:
        """Return the line's cells, in the order of COLUMNS."""
        figures = (self.count, self.claims, self.lost, self.doubled, self.unexplained)
        verdict = "RED" if self.violations else "green"
        return (self.name, FAULTS[self.name].what, *(f"{figure:,}" for figure in figures), verdict, self.note)


def row(name: str, outcome: dict[str, Any]) -> Row:
    """Return the line of an outcome in JSON types."""
    kinds = [violation["invariant"] for violation in outcome["violations"]]
    lost, doubled = (sum(kind in group for kind in kinds) for group in (LOST, DOUBLED))
    sentences = [f"{violation['invariant']}: {violation['sentence']}" for violation in outcome["violations"]]
    unexplained = len(kinds) - lost - doubled
    return Row(name, outcome["count"], outcome["claims"], lost, doubled, unexplained, outcome["note"], sentences)


def document(rows: Sequence[Row], seed: int, seconds: float) -> str:
    """Return the page, in Markdown."""
    head = ["| " + " | ".join(COLUMNS) + " |", "|---|---|" + "---:|" * 5 + "---|---|"]
    lines = [f"| {' | '.join(each.cells())} |" for each in rows]
    return PAGE.format(table="\n".join(head + lines), seed=seed, minutes=seconds / 60, cores=os.cpu_count())
