"""The checker: it verifies the invariants of assets and ledger, only reads, and reports the violating rows.

I1 no asset has two claims · I2 every acknowledged claim is in the ledger · I3 every entry was acknowledged, or the client did
not get a response · I4 status, owner and amount of an asset equal its entry · I5 issued = available + claimed + expired, in
number and value, per pool, currency and batch, and each asset matches its last change · I6 no claim at or after the expiry ·
I7 one key, one claim, one response · I8 sealed entries are unchanged, and entries older than 10 s are sealed · I9 per-user
limits hold · I10 clients get no server error except 503 with Retry-After · I11 no transaction and no wait for a lock is older
than 10 s · I12 a movement is the sum of its postings, in one wallet · I13 lots, payments and allocations equal the sums of
their postings · I14 nothing is below zero at any time · I15 no credit is drawn outside its life or at another service · I16
captures are before the hold's end and within it, refunds within captures, per credit · I17 credits are drawn in order · I18 the
movements of a wallet are numbered 1 to n · I19 one live payment, and one refund, per reference · I20 credits lapse at their
end, not before, and within 10 minutes · I21 sealed positions equal recounts · I22 acknowledged payments are in the ledger, and
all that is there was asked for (payment_log) · I23 every claim has its lot, with the promised dates · I24 the accounts add up
to zero and to what lots have · I25 PostgreSQL enforces its rules against all sessions, whatever their settings · I26 another
operator decided a proposal, in time and once, and what was approved is what was done · I27 what rules owe happened, and each
granted due has exactly one entry, of its person and pool.
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

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry
from wallet.verification import invariants, money, programme
from wallet.verification.claim_log import TRACEBACK, WITHOUT_WAIT, Attempt
from wallet.verification.enforcement import weakened_rules
from wallet.verification.seals import position_violations, seal_violations

MAX_TRANSACTION_SECONDS = 10
SNAPSHOT = "snapshot"
MAX_VIOLATIONS = 1_000  # per statement: a bound on memory
# Limits of the transaction alone, as a pooler may give its session to others. It reads all tables whole, so that workers help.
BEGIN_SNAPSHOT = """
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL max_parallel_workers_per_gather = 2
"""
Supply = Mapping[tuple[UUID, str], tuple[int, Decimal]]


@dataclass(frozen=True)
class Violation:
    """A violated invariant and a sentence that names the row."""

    invariant: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.sentence}"


@contextmanager
def snapshot_connection(alias: str = "default") -> Iterator[BaseDatabaseWrapper]:
    """Open a new connection with a REPEATABLE READ, READ ONLY transaction, so that all queries read one snapshot.

    During the block it is Django's connection SNAPSHOT, so that models can be read through it.
    """
    connection = connections[alias].copy(alias=SNAPSHOT)
    connection.inc_thread_sharing()
    connections[SNAPSHOT] = connection
    try:
        with transaction.atomic(using=SNAPSHOT):
            with connection.cursor() as cursor:
                cursor.execute(BEGIN_SNAPSHOT)
            yield connection
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
    """Return the violations in the order of the invariants; an empty list means that all invariants hold.

    Arguments:
        connection: only read; it should have a snapshot of its own (snapshot_connection).
        log: the clients' log; without it I2, I3 and I10 are not checked. Its users must have made no other claims.
        issued: number and value of credits issued per pool and currency, if known.
        since: the first seal to check; unsealed entries are checked in any case.
        roots: a file of seals kept outside the database, to compare with.
        progress: called with the number of entries of each checked seal.
    """
    violations = [
        Violation(invariant, row[0])
        for invariant, sql in (*invariants.STATEMENTS, *money.STATEMENTS, *programme.STATEMENTS)
        for row in fetch_rows(connection, f"{sql} LIMIT {MAX_VIOLATIONS}")
    ]
    violations += response_violations(connection)
    violations += stuck_transactions(connection)
    violations += [Violation("I25", sentence) for sentence in weakened_rules(connection)]
    sealed = seal_violations(since, progress, roots, using=connection.alias)
    violations += [Violation("I8", sentence) for sentence in islice(sealed, MAX_VIOLATIONS)]
    violations += [Violation("I21", sentence) for sentence in position_violations(connection.alias)]
    if issued is not None:
        violations += issued_violations(connection, issued)
    if log is not None:
        violations += log_violations(connection, log)
        violations += server_error_violations(log)
    return sorted(violations, key=lambda violation: int(violation.invariant[1:]))


def fetch_rows(connection: BaseDatabaseWrapper, sql: str, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    """Return the rows of one statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def response_violations(connection: BaseDatabaseWrapper) -> list[Violation]:
    """I7: return stored responses that differ from the receipt of their entry."""
    violations = []
    with connection.chunked_cursor() as cursor:
        cursor.execute(invariants.UNUSUAL_RESPONSES)
        for key, user, body, entry, amount, currency, claimed_at, asset, title in cursor:
            claimed = CashbackAsset(id=asset, title=title)
            receipt = Entry(id=entry, asset=claimed, amount=amount, currency=currency, claimed_at=claimed_at).receipt()
            if body != json.dumps(receipt):
                violations.append(
                    Violation("I7", f"key {key} of user {user} stores a response that differs from entry {entry}")
                )
    return violations


def issued_violations(connection: BaseDatabaseWrapper, issued: Supply) -> list[Violation]:
    """I5: return the pools and currencies whose assets differ from what was issued."""
    sql = "SELECT pool_id, currency, count(*), sum(total_value) FROM assets_cashbackasset GROUP BY pool_id, currency"
    existing = {(pool, currency): (count, value) for pool, currency, count, value in fetch_rows(connection, sql)}
    return [
        Violation("I5", f"pool {pool} in {currency}: found {existing.get((pool, currency))}, expected {expected}")
        for (pool, currency), expected in issued.items()
        if existing.get((pool, currency)) != expected
    ]


def log_violations(connection: BaseDatabaseWrapper, log: Sequence[Attempt]) -> list[Violation]:
    """Return the violations of I2, I3 and I7 that the clients' log shows."""
    sql = "SELECT id, asset_id, user_id, request_key FROM ledger_entry WHERE user_id = ANY(%s)"
    entries = fetch_rows(connection, sql, [[UUID(user) for user in {attempt.user for attempt in log}]])
    return [*lost_claims(log, entries), *unacknowledged_entries(log, entries), *conflicting_responses(log)]


def lost_claims(log: Iterable[Attempt], entries: Iterable[tuple[Any, ...]]) -> list[Violation]:
    """I2: return claims whose acknowledged receipt differs from the ledger."""
    recorded = {entry: (str(asset), str(user), key) for entry, asset, user, key in entries}
    violations = []
    for attempt in log:
        if attempt.outcome == "ok" and attempt.receipt:
            asset, user, key = recorded.get(attempt.entry) or (None, None, None)
            acknowledged = (attempt.receipt["asset"], attempt.user)
            if (asset, user) != acknowledged or (attempt.status == 201 and key != attempt.key):
                difference = "is not in the ledger" if asset is None else f"belongs to asset {asset}, user {user}, key {key}"
                violations.append(
                    Violation("I2", f"entry {attempt.entry}, acknowledged to user {attempt.user} ({attempt.id}), {difference}")
                )
    return violations


def unacknowledged_entries(log: Iterable[Attempt], entries: Iterable[tuple[Any, ...]]) -> list[Violation]:
    """I3: return entries that were neither acknowledged nor explained by a lost response."""
    acknowledged = {attempt.entry for attempt in log if attempt.outcome == "ok"}
    lost_responses = {(attempt.user, attempt.key or attempt.target) for attempt in log if attempt.outcome == "unknown"}
    return [
        Violation("I3", f"entry {entry} of user {user} was not acknowledged (asset {asset}, key {key or '-'})")
        for entry, asset, user, key in entries
        if entry not in acknowledged and (str(user), key or str(asset)) not in lost_responses
    ]


def conflicting_responses(log: Iterable[Attempt]) -> list[Violation]:
    """I7: return keys for which one client received different responses."""
    receipts: dict[tuple[str, str], set[str]] = defaultdict(set)
    for attempt in log:
        if attempt.outcome == "ok" and attempt.key:
            receipts[attempt.user, attempt.key].add(json.dumps(attempt.receipt))
    return [
        Violation("I7", f"key {key} of user {user} got {len(responses)} different responses")
        for (user, key), responses in receipts.items()
        if len(responses) > 1
    ]


def server_error_violations(log: Iterable[Attempt]) -> list[Violation]:
    """I10: return responses with a stack trace, or with a 5xx other than 503 with Retry-After."""
    return [
        Violation("I10", f"{attempt.id} for {attempt.kind} {attempt.target} got status {attempt.status} ({attempt.code})")
        for attempt in log
        if attempt.code in (TRACEBACK, WITHOUT_WAIT) or ((attempt.status or 0) >= 500 and attempt.status != 503)
    ]


def stuck_transactions(connection: BaseDatabaseWrapper, seconds: float = MAX_TRANSACTION_SECONDS) -> list[Violation]:
    """I11: return sessions that have been in a transaction, or waiting for a lock, for longer than this."""
    return [Violation("I11", row[0]) for row in fetch_rows(connection, invariants.STUCK_TRANSACTIONS, [seconds])]


def leftover_sessions(connection: BaseDatabaseWrapper, sessions: int = 0) -> list[Violation]:
    """I11 after a run: return busy sessions, and all other sessions if there are more than `sessions`."""
    return [Violation("I11", row[0]) for row in fetch_rows(connection, invariants.LEFTOVER_SESSIONS, [sessions])]
