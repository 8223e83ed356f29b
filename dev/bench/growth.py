"""What 100,000,000 claims and payments take on disk, from a part of them; and how fast old idempotency keys are forgotten."""

import itertools
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from uuid import UUID

from django.db import connection

from accounts.models import User
from accounts.services import Service
from dev.bench.environment import BenchEnvironment
from dev.bench.results import Figure
from dev.race.fixture import VALUE, issue_credits
from kernel.batching import MAX_BATCH_SIZE
from wallet.actions import edit_pool, seal_ledger
from wallet.actions.claim_batch import FROM_POOL, Claim, run_claim_batch
from wallet.actions.claim_decisions import ClaimRequest
from wallet.actions.pay import PaymentRequest, pay_batch
from wallet.actions.payment_answers import Answer
from wallet.assets.models import PoolKind
from wallet.ledger import idempotency, key_ring
from wallet.ledger.idempotency import IdempotentRequest, fingerprint

MADE, QUICK_MADE, USERS = 100_000, 6_400, 1_000
MANY = 100_000_000
FORGOTTEN, QUICK_FORGOTTEN, MAX_SECONDS = 7_000_000, 70_000, 1.0
# Bytes of each table on disk with its indexes, and of the indexes alone; the partitions of a table together.
SIZES = """
SELECT regexp_replace(relname, '_[0-9]$', ''), sum(pg_total_relation_size(oid))::bigint, sum(pg_indexes_size(oid))::bigint
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' GROUP BY 1
"""
WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
# Keys of two weeks ago, with responses as long as those of claims.
OLD_KEYS = """
INSERT INTO {partition} (user_id, route, key, fingerprint, status_code, body, created_at, partition_number)
SELECT '{user}', 'claim', 'old-key-' || lpad(n::text, 24, '0'), repeat('f', 64), 201, repeat('b', 250),
    now() - interval '14 days', {number} FROM generate_series(1, {count}) AS n
"""
Sizes = dict[str, tuple[int, int]]


def bench_growth(environment: BenchEnvironment) -> list[Figure]:
    """Measure the disk and the log of claims and of payments, in batches, and the time of forgetting keys."""
    count = environment.size(MADE, QUICK_MADE)
    environment.fresh_database("growth")
    users = User.objects.bulk_create(User(email=f"claimer{number}@example.com") for number in range(USERS))
    environment.report_progress(f"making {count:,} credits")
    pool = edit_pool.open_pool(None, name="Growth", kind=PoolKind.PROMOTION, currency="INR")
    issued = figure_of("a credit, issued", count, lambda: issue_credits(pool, count))
    environment.report_progress(f"making {count:,} claims")
    claimed = figure_of("a claim from a pool", count, lambda: make_claims(pool.pk, users, count))
    environment.report_progress(f"making {count:,} payments")
    service = Service.objects.create(name="Shop")
    paid = figure_of("a payment of one credit", count, lambda: make_payments(service.pk, users, count))
    return [*issued, *claimed, *paid, forget_keys(environment, users[0].pk)]


def figure_of(what: str, count: int, make: Callable[[], object]) -> list[Figure]:
    """Make rows, seal and vacuum; return the bytes on disk and of the log that each took."""
    sizes, log = table_sizes(), written_log()
    make()
    seal_ledger.seal_all()
    written = written_log() - log
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")
    added = {
        table: (total - sizes.get(table, (0, 0))[0], indexes - sizes.get(table, (0, 0))[1])
        for table, (total, indexes) in table_sizes().items()
    }
    total = sum(total for total, _ in added.values()) / count
    parts = sorted(((total / count, indexes / count, table) for table, (total, indexes) in added.items()), reverse=True)
    shares = ", ".join(f"{table} {total:.0f} ({indexes:.0f})" for total, indexes, table in parts if total >= 1)
    note = f"{MANY:,}: {total * MANY / 1e9:,.0f} GB; by table (indexes): {shares}"
    return [
        Figure(f"disk of {what}, {count:,} made", None, "less", [(total, 0)], "bytes", note),
        Figure(f"write-ahead log of {what}", None, "less", [(written / count, 0)], "bytes"),
    ]


def table_sizes() -> Sizes:
    """Return the bytes of each table with its indexes, and of the indexes alone."""
    with connection.cursor() as cursor:
        cursor.execute(SIZES)
        return {table: (total, indexes) for table, total, indexes in cursor.fetchall()}


def written_log() -> int:
    """Return how many bytes of write-ahead log were ever written."""
    with connection.cursor() as cursor:
        cursor.execute(WAL)
        return int(cursor.fetchone()[0])


def make_claims(pool_id: UUID, users: Sequence[User], count: int) -> None:
    """Claim so many credits of the pool, each with its key, in full batches."""
    for claimers in full_batches(users, count):
        requests = [
            ClaimRequest(pool_id, user, IdempotentRequest(user, "claim", secrets.token_hex(16), fingerprint("pool", pool_id)))
            for user in claimers
        ]
        require_all(run_claim_batch(FROM_POOL, requests), Claim)


def make_payments(service_id: UUID, users: Sequence[User], count: int) -> None:
    """Pay so many orders with a credit each, in full batches."""
    for payers in full_batches(users, count):
        require_all(pay_batch([payment_of(user.pk, service_id) for user in payers]), Answer)


def payment_of(user_id: UUID, service_id: UUID) -> PaymentRequest:
    """Return a payment of one credit's value."""
    return PaymentRequest(
        user_id=user_id,
        service_id=service_id,
        currency="INR",
        amount=Decimal(VALUE),
        reference=secrets.token_hex(12),
        capture=True,
        up_to=False,
        hold_seconds=None,
        order_total=None,
        actor_id=None,
        request_key=secrets.token_hex(16),
    )


def full_batches(users: Iterable[User], count: int) -> Iterator[tuple[User, ...]]:
    """Yield `count` users taking turns, in batches of the largest size."""
    turns = itertools.islice(itertools.cycle(users), count)
    while batch := tuple(itertools.islice(turns, MAX_BATCH_SIZE)):
        yield batch


def require_all(outcomes: Sequence[object], kind: type) -> None:
    """Raise RuntimeError unless every outcome is of this kind."""
    if wrong := [outcome for outcome in outcomes if not isinstance(outcome, kind)]:
        raise RuntimeError(f"unexpected outcome: {wrong[0]!r}")


def forget_keys(environment: BenchEnvironment, user_id: UUID) -> Figure:
    """Return the seconds in which the keys of a week are forgotten."""
    count = environment.size(FORGOTTEN, QUICK_FORGOTTEN)
    rounds = []
    for turn in range(environment.rounds):
        environment.report_progress(f"round {turn + 1} of {environment.rounds}: making {count:,} old keys")
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            cursor.execute(f"SELECT {key_ring.NEXT_WEEK}")
            (number,) = cursor.fetchone()
            partition = f"{key_ring.TABLE}_{number}"
            cursor.execute(f"ALTER TABLE {partition} DISABLE TRIGGER USER")
            cursor.execute(OLD_KEYS.format(partition=partition, user=user_id, number=number, count=count))
            cursor.execute("SELECT public.harden_triggers()")
            cursor.execute("CHECKPOINT")
        begun = time.perf_counter()
        assert idempotency.forget_old_keys()
        rounds.append((time.perf_counter() - begun, MAX_SECONDS))
    return Figure(f"{count:,} idempotency keys forgotten, beside {MAX_SECONDS:.0f} s", 1.0, "less", rounds, "s")
