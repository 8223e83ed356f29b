"""The checker: does the ledger hold what it promises? It only reads, and it says which row is wrong.

I1 no asset with two claims · I2 every acknowledged claim is in the ledger · I3 every entry was acknowledged, or its client
does not know · I4 status, owner and amount of an asset equal its entry · I5 issued = available + claimed + expired, in count
and money, per pool and currency, and each asset is as its last change left it · I6 nothing claimed at or after its expiry ·
I7 one key, one claim, one answer · I8 what was sealed is as it was, and what is older than 10 s is sealed · I9 limits per
user hold · I10 clients never heard of an error of ours but 503, which says when to come back · I11 no transaction and no
wait is older than 10 s · I25 PostgreSQL enforces its rules against everybody, whatever a session sets.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry
from wallet.verification import invariants
from wallet.verification.claim_log import TRACEBACK, WITHOUT_WAIT, Attempt
from wallet.verification.enforcement import weakened_rules
from wallet.verification.seals import seal_violations

LONGEST_SECONDS = 10  # that any transaction may take
SNAPSHOT = "snapshot"
MOST = 1_000  # violations of one kind: enough to see what is wrong, and no more memory
Supply = Mapping[tuple[UUID, str], tuple[int, Decimal]]


@dataclass(frozen=True)
class Violation:
    """A broken promise: which, and a sentence that names the row."""

    invariant: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.sentence}"


@contextmanager
def snapshot_connection(alias: str = "default") -> Iterator[BaseDatabaseWrapper]:
    """Open a connection that nobody used before, and read one unchanging snapshot through it.

    Meanwhile it is known to Django as SNAPSHOT, so that models are read through it too.
    """
    connection = connections[alias].copy(alias=SNAPSHOT)
    connection.inc_thread_sharing()
    connections[SNAPSHOT] = connection
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield connection
        with connection.cursor() as cursor:
            cursor.execute("ROLLBACK")
    finally:
        connection.close()
        del connections[SNAPSHOT]


def verify_everything(
    connection: BaseDatabaseWrapper,
    log: Sequence[Attempt] | None = None,
    issued: Supply | None = None,
    *,
    since: int = 1,
    roots: Path | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Violation]:
    """Return the violations that can be seen, in the order of the invariants; an empty list means that all hold.

    Arguments:
        connection: read through, never written; give one with a snapshot of its own (`fresh`).
        log: what clients remember; without it I2 and I3 cannot be judged. Their users must have claimed nothing else.
        issued: how many credits, of what value, were issued per pool and currency, when somebody knows.
        since: the first seal to look at; what is not sealed is looked at in any case.
        roots: a file of seals kept outside the database, to compare with.
        progress: told how many entries each seal held.
    """
    found = [
        Violation(invariant, row[0])
        for invariant, sql in invariants.SENTENCES
        for row in fetch_rows(connection, f"{sql} LIMIT {MOST}")
    ]
    found += answers_differ(connection)
    found += stuck_transactions(connection)
    found += [Violation("I25", sentence) for sentence in weakened_rules(connection)]
    sealed = seal_violations(since, progress, roots, using=connection.alias)
    found += [Violation("I8", sentence) for sentence in islice(sealed, MOST)]
    if issued is not None:
        found += supply_is_whole(connection, issued)
    if log is not None:
        found += log_and_ledger_agree(connection, log)
        found += errors_of_ours(log)
    return sorted(found, key=lambda violation: int(violation.invariant[1:]))


def fetch_rows(connection: BaseDatabaseWrapper, sql: str, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    """Return the rows of one statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def answers_differ(connection: BaseDatabaseWrapper) -> list[Violation]:
    """Find stored answers that do not say, letter by letter, what their entry says."""
    found = []
    with connection.chunked_cursor() as cursor:
        cursor.execute(invariants.ANSWERS)
        for key, user, body, entry, amount, currency, claimed_at, asset, title in cursor:
            told_of = CashbackAsset(id=asset, title=title)
            receipt = Entry(id=entry, asset=told_of, amount=amount, currency=currency, claimed_at=claimed_at).receipt()
            if body != json.dumps(receipt):
                found.append(Violation("I7", f"key {key} of user {user} stores another answer than entry {entry} gives"))
    return found


def supply_is_whole(connection: BaseDatabaseWrapper, issued: Supply) -> list[Violation]:
    """I5 from outside: what is there is what was issued."""
    sql = "SELECT pool_id, currency, count(*), sum(total_value) FROM assets_cashbackasset GROUP BY pool_id, currency"
    there = {(pool, currency): (count, value) for pool, currency, count, value in fetch_rows(connection, sql)}
    return [
        Violation("I5", f"pool {pool} in {currency}: {there.get((pool, currency))} are there, {wanted} were issued")
        for (pool, currency), wanted in issued.items()
        if there.get((pool, currency)) != wanted
    ]


def log_and_ledger_agree(connection: BaseDatabaseWrapper, log: Sequence[Attempt]) -> list[Violation]:
    """I2, I3 and I7 as far as clients can tell."""
    sql = "SELECT id, asset_id, user_id, request_key FROM ledger_entry WHERE user_id = ANY(%s)"
    entries = fetch_rows(connection, sql, [[UUID(user) for user in {attempt.user for attempt in log}]])
    return [*lost_claims(log, entries), *unacknowledged_entries(log, entries), *replies_that_differ(log)]


def lost_claims(log: Iterable[Attempt], entries: Iterable[tuple[Any, ...]]) -> list[Violation]:
    """I2: find claims that were acknowledged and are not there as they were told."""
    there = {entry: (str(asset), str(user), key) for entry, asset, user, key in entries}
    found = []
    for attempt in log:
        if attempt.outcome == "ok" and attempt.receipt:
            asset, user, key = there.get(attempt.entry) or (None, None, None)
            told = (attempt.receipt["asset"], attempt.user)
            if (asset, user) != told or (attempt.status == 201 and key != attempt.key):
                what = "is not in the ledger" if asset is None else f"is there, but of asset {asset}, user {user}, key {key}"
                found.append(Violation("I2", f"entry {attempt.entry}, told to user {attempt.user} ({attempt.id}), {what}"))
    return found


def unacknowledged_entries(log: Iterable[Attempt], entries: Iterable[tuple[Any, ...]]) -> list[Violation]:
    """I3: find entries that nobody was told of and that no lost answer explains."""
    told = {attempt.entry for attempt in log if attempt.outcome == "ok"}
    lost_answers = {(attempt.user, attempt.key or attempt.target) for attempt in log if attempt.outcome == "unknown"}
    return [
        Violation("I3", f"entry {entry} of user {user} was acknowledged to nobody (asset {asset}, key {key or '-'})")
        for entry, asset, user, key in entries
        if entry not in told and (str(user), key or str(asset)) not in lost_answers
    ]


def replies_that_differ(log: Iterable[Attempt]) -> list[Violation]:
    """I7: find keys under which one client heard different answers."""
    heard: dict[tuple[str, str], set[str]] = defaultdict(set)
    for attempt in log:
        if attempt.outcome == "ok" and attempt.key:
            heard[attempt.user, attempt.key].add(json.dumps(attempt.receipt))
    return [
        Violation("I7", f"key {key} of user {user} was given {len(answers)} different answers")
        for (user, key), answers in heard.items()
        if len(answers) > 1
    ]


def errors_of_ours(log: Iterable[Attempt]) -> list[Violation]:
    """I10: find answers that tell of an error of ours: a 5xx that is no plain 503, or a stack trace."""
    return [
        Violation("I10", f"{attempt.id} for {attempt.kind} {attempt.target} was answered {attempt.status} ({attempt.code})")
        for attempt in log
        if attempt.code in (TRACEBACK, WITHOUT_WAIT) or ((attempt.status or 0) >= 500 and attempt.status != 503)
    ]


def stuck_transactions(connection: BaseDatabaseWrapper, seconds: float = LONGEST_SECONDS) -> list[Violation]:
    """I11 at any time: find who holds a transaction open, or waits for a lock, for longer than that."""
    return [Violation("I11", row[0]) for row in fetch_rows(connection, invariants.STUCK, [seconds])]


def leftover_sessions(connection: BaseDatabaseWrapper, sessions: int = 0) -> list[Violation]:
    """I11 when all is over: find who still waits for a lock, is in a transaction, or is there beyond so many sessions."""
    return [Violation("I11", row[0]) for row in fetch_rows(connection, invariants.UNREST, [sessions])]
