"""The SQL of a claim in its order: lock assets, read allowances, mark assets as claimed, append entries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models.expressions import RawSQL

from kernel.server_timeline import SERVER_TIMELINE
from kernel.sql import USER_IN_POOL_LOCK, uuid_array
from kernel.transactions import BATCH_LOCK_TIMEOUT_MS
from wallet.assets.claim_rules import CLAIMABLE_SQL, CLAIMS_MADE, COMMITTED_VALUE, NEXT_PERIOD, pool_is_open_sql
from wallet.assets.models import CashbackAsset, PoolNotFound
from wallet.ledger.models import Entry


@dataclass(frozen=True)
class Locking:
    """The treatment of rows locked by other transactions: wait for them or skip them.

    `lock_timeout_ms` bounds each wait of the transaction; None leaves the connection's own limit in force.
    """

    skip_locked: bool
    lock_timeout_ms: int | None


WAIT = Locking(skip_locked=False, lock_timeout_ms=None)
SKIP_LOCKED = Locking(skip_locked=True, lock_timeout_ms=BATCH_LOCK_TIMEOUT_MS)


class ClaimAllowance(NamedTuple):
    """The allowance of one user in one pool.

    `pool_is_visible` is None if the pool does not exist, and False if it is hidden from users. `remaining` is None without a
    limit; it may be too large by concurrent claims, never too small. `next_claim_at` is the begin of the next period if the
    limit per period is the one that remains, else None.
    """

    lock_acquired: bool
    pool_is_visible: bool | None
    is_open: bool
    remaining: int | None
    next_claim_at: datetime | None = None


class PoolSupply(NamedTuple):
    """What a pool has: whether claimable assets are left, whether its budget allows another, and when the next scheduled one
    starts (None: there is none), at the time `now`."""

    some_left: bool
    may_issue: bool
    next_start: datetime | None
    now: datetime

    @property
    def may_open(self) -> bool:
        """Whether a scheduled asset has started and waits to be opened."""
        return self.next_start is not None and self.next_start <= self.now


UNREAD = "batch"  # the column of an asset that no claim reads
POOL = UUID(int=0)  # stands for the pool in a compiled statement
ClaimAllowances = dict[tuple[UUID | None, UUID], ClaimAllowance]  # by the ids of pool and user

SELECT_ALLOWANCES = f"""\
SELECT wanted.pool_id, wanted.user_id, {{lock_acquired}}, pool.is_active AND NOT pool.grants_only,
    {pool_is_open_sql("pool", at="clock_timestamp()")},
    pool.per_user_limit - {CLAIMS_MADE.format(pool="wanted.pool_id", user="wanted.user_id")},
    pool.period_limit
FROM {{wanted}} LEFT JOIN assets_creditpool AS pool ON pool.id = wanted.pool_id
"""  # noqa: S608  (constants)
# For pools with a limit per period: what is left of it, and when the next period begins.
SELECT_PERIOD_ALLOWANCES = f"""\
SELECT pool.id, wanted.user_id, pool.period_limit - (
    SELECT count(*) FROM (
        SELECT claimed_at FROM assets_cashbackasset
        WHERE pool_id = pool.id AND claimed_by_id = wanted.user_id ORDER BY claim_slot DESC LIMIT pool.period_limit
    ) AS latest
    WHERE date_trunc(pool.limit_period, latest.claimed_at AT TIME ZONE pool.time_zone)
        >= date_trunc(pool.limit_period, clock.now AT TIME ZONE pool.time_zone)
), {NEXT_PERIOD.format(period="pool.limit_period", zone="pool.time_zone", at="clock.now")}
FROM (SELECT clock_timestamp() AS now) AS clock,
    unnest(%(targets)s::uuid[], %(users)s::uuid[]) AS wanted (pool_id, user_id)
JOIN assets_creditpool AS pool ON pool.id = wanted.pool_id
"""  # noqa: S608  (constants)
SELECT_POOL_SUPPLY = f"""\
SELECT EXISTS (
    SELECT FROM assets_cashbackasset WHERE pool_id = pool.id AND {CLAIMABLE_SQL} AND id <> ALL (%(besides)s::uuid[])
), coalesce(pool.budget >= {COMMITTED_VALUE.format(pool="pool.id")} + pool.credit_value, false), (
    SELECT claimable_from FROM assets_cashbackasset WHERE pool_id = pool.id AND status = 'SCHEDULED'
    ORDER BY claimable_from LIMIT 1
), statement_timestamp()
FROM assets_creditpool AS pool WHERE pool.id = %(pool)s
"""  # noqa: S608  (constants)
# Takes the lock that the claim trigger will take, unless another transaction holds it.
TRY_LOCK_USER_IN_POOL = f"pg_try_advisory_xact_lock({USER_IN_POOL_LOCK.format(pool='wanted.pool_id', user='wanted.user_id')})"
WANTED_IN_POOLS = "unnest(%(targets)s::uuid[], %(users)s::uuid[]) AS wanted (pool_id, user_id)"
WANTED_BY_ASSET = """(
    SELECT asset.pool_id, request.user_id
    FROM unnest(%(targets)s::uuid[], %(users)s::uuid[]) AS request (asset_id, user_id)
    JOIN assets_cashbackasset AS asset ON asset.id = request.asset_id
    WHERE asset.status <> 'CLAIMED' AND asset.pool_id IS NOT NULL
) AS wanted (pool_id, user_id)"""
MARK_CLAIMED = """\
UPDATE assets_cashbackasset AS asset SET status = 'CLAIMED', claimed_by_id = claim.user_id
FROM unnest(%(assets)s::uuid[], %(users)s::uuid[]) AS claim (asset_id, user_id) WHERE asset.id = claim.asset_id
"""
APPEND_ENTRIES = """\
INSERT INTO ledger_entry
    (id, kind, asset_id, user_id, amount, currency, claimed_at, spendable_from, spendable_until, request_key, actor_id)
SELECT entry.id, 'CLAIM', asset.id, claimed_by_id, total_value, currency, claimed_at, spendable_from, spendable_until,
    entry.request_key, {actor}
FROM unnest(%(entries)s::uuid[], %(assets)s::uuid[], %(keys)s::text[]) AS entry (id, asset_id, request_key)
JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id
RETURNING asset_id, claimed_at
"""

APPEND_OWN = APPEND_ENTRIES.format(actor="claimed_by_id")
APPEND_GRANTED = APPEND_ENTRIES.format(actor="%(actor)s::uuid")


@cache
def lock_assets_statement(skip_locked: bool) -> str:
    """Return the SQL that locks assets by an array of ids, as the ORM compiles it for `select_for_update`, with the timeline.

    Cached, because compiling takes longer than running. Call it in a transaction: elsewhere the ORM omits the lock.
    """
    requested = CashbackAsset.objects.filter(pk__in=RawSQL("SELECT unnest(%s::uuid[])", [[]]))  # noqa: S611
    sql, _ = (
        requested.defer(UNREAD)
        .annotate(timeline=RawSQL(SERVER_TIMELINE, []))  # noqa: S611
        .order_by()
        .select_for_update(no_key=True, of=("self",), skip_locked=skip_locked)
        .query.sql_with_params()
    )
    return str(sql).replace("%s", "%(targets)s")


def lock_requested_assets(
    wanted: Sequence[tuple[UUID, UUID]], locking: Locking
) -> tuple[dict[UUID, CashbackAsset], ClaimAllowances]:
    """Lock the assets and return them by id; with SKIP_LOCKED also lock and read the users' allowances, in the same round trip.

    Arguments:
        wanted: pairs of asset id and user id.
    """
    if not wanted:
        return {}, {}
    lock = lock_assets_statement(locking.skip_locked)
    if not locking.skip_locked:
        return assets_by_id(fetch_results(lock, wanted_columns(wanted))[0]), {}
    allowances = SELECT_ALLOWANCES.format(lock_acquired=TRY_LOCK_USER_IN_POOL, wanted=WANTED_BY_ASSET)
    locked, rows = fetch_results(f"{set_lock_timeout(locking)}{lock}; {allowances}", wanted_columns(wanted), skip=1)
    return assets_by_id(locked), allowances_by_key(rows)


def read_allowances(wanted: Sequence[tuple[UUID, UUID]], locking: Locking) -> ClaimAllowances:
    """Return the allowances of users in pools; with SKIP_LOCKED also take each user's lock in the pool.

    Arguments:
        wanted: pairs of pool id and user id.
    """
    if not wanted:
        return {}
    lock_acquired = TRY_LOCK_USER_IN_POOL if locking.skip_locked else "true"
    select = SELECT_ALLOWANCES.format(lock_acquired=lock_acquired, wanted=WANTED_IN_POOLS)
    prefix = set_lock_timeout(locking)
    return allowances_by_key(fetch_results(prefix + select, wanted_columns(wanted), skip=1 if prefix else 0)[0])


@cache
def lock_pool_statement() -> tuple[str, tuple[Any, ...]]:
    """Return the SQL that locks claimable assets of a pool, as the ORM compiles it, and its parameters with POOL for the pool.

    Cached, because compiling takes longer than running. The last parameter, the number of assets, is not among them.
    """
    claimable = CashbackAsset.objects.claimable().filter(pool=POOL).defer(UNREAD).soonest_expiry_first()
    sql, parameters = claimable.select_for_update(no_key=True, skip_locked=True, of=("self",)).query.sql_with_params()
    return f"{sql} LIMIT %s", parameters


def lock_pool_assets(pool_id: UUID, count: int) -> list[CashbackAsset]:
    """Lock and return up to `count` claimable assets of the pool that are not locked, soonest expiry first."""
    if not count:
        return []
    sql, parameters = lock_pool_statement()
    return read_assets(fetch_results(sql, [*(pool_id if given == POOL else given for given in parameters), count])[0])


def read_pool_supply(pool_id: UUID, besides: Sequence[CashbackAsset] = ()) -> PoolSupply:
    """Return what the pool has besides these assets, locked or not. Raises PoolNotFound."""
    parameters = {"pool": pool_id, "besides": uuid_array(asset.pk for asset in besides)}
    rows = fetch_results(SELECT_POOL_SUPPLY, parameters)[0]
    if not rows:
        raise PoolNotFound
    return PoolSupply(*rows[0])


def mark_claimed_and_append(entries: Sequence[Entry], granted_by: UUID | None = None) -> dict[UUID, datetime]:
    """Mark the entries' assets as claimed and insert the entries, in one round trip; return `claimed_at` by asset id.

    Arguments:
        granted_by: the operator who claims for the entries' users; None: each claims for themselves.
    """
    parameters = {
        "assets": uuid_array(entry.asset_id for entry in entries),
        "users": uuid_array(entry.user_id for entry in entries),
        "entries": uuid_array(entry.pk for entry in entries),
        "keys": [entry.request_key for entry in entries],
    }
    append = APPEND_OWN if granted_by is None else APPEND_GRANTED
    return dict(fetch_results(f"{MARK_CLAIMED};{append}", parameters | {"actor": granted_by}, skip=1)[0])


def set_lock_timeout(locking: Locking) -> str:
    """Return the statement that sets this transaction's lock timeout, or an empty string."""
    return f"SET LOCAL lock_timeout = {locking.lock_timeout_ms}; " if locking.lock_timeout_ms is not None else ""


def wanted_columns(wanted: Sequence[tuple[UUID, UUID]]) -> dict[str, str]:
    """Return the pairs as the parameters `targets` and `users`."""
    targets, users = zip(*wanted, strict=True)
    return {"targets": uuid_array(targets), "users": uuid_array(users)}


def fetch_results(sql: str, parameters: dict[str, Any] | list[Any], skip: int = 0) -> list[list[Any]]:
    """Send several statements in one round trip and return the rows of each except the first `skip`, which return none."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        for _ in range(skip):
            cursor.nextset()
        results = [cursor.fetchall()]
        while cursor.nextset():
            results.append(cursor.fetchall())
        return results


def assets_by_id(rows: Sequence[Sequence[Any]]) -> dict[UUID, CashbackAsset]:
    """Return the locked rows, whose last column is the server's timeline, as assets by id."""
    assets = {}
    for *values, timeline in rows:
        asset = CashbackAsset.from_db("default", asset_columns(), values)
        asset.server_timeline = timeline
        assets[asset.pk] = asset
    return assets


def read_assets(rows: Sequence[Sequence[Any]]) -> list[CashbackAsset]:
    """Return the locked rows as assets, in their order."""
    return [CashbackAsset.from_db("default", asset_columns(), row) for row in rows]


@cache
def asset_columns() -> list[str]:
    """Return the names of the columns that the statements read."""
    return [field.attname for field in CashbackAsset._meta.concrete_fields if field.name != UNREAD]


def allowances_by_key(rows: Sequence[Sequence[Any]]) -> ClaimAllowances:
    """Return the rows of SELECT_ALLOWANCES by pool and user; those of pools with a limit per period are read further."""
    allowances = {(pool_id, user_id): ClaimAllowance(*rest) for pool_id, user_id, *rest, _limit in rows}
    limited = [(pool_id, user_id) for pool_id, user_id, *_, period_limit in rows if period_limit is not None]
    return allowances | within_periods(allowances, limited) if limited else allowances


def within_periods(allowances: ClaimAllowances, limited: Sequence[tuple[UUID, UUID]]) -> ClaimAllowances:
    """Return the allowances of users in pools with a limit per period, lowered to what this period leaves."""
    lowered: ClaimAllowances = {}
    for pool_id, user_id, left, begins in fetch_results(SELECT_PERIOD_ALLOWANCES, wanted_columns(limited))[0]:
        allowance = allowances[pool_id, user_id]
        if allowance.remaining is None or left < allowance.remaining:
            allowance = allowance._replace(remaining=left, next_claim_at=begins)
        lowered[pool_id, user_id] = allowance
    return lowered
