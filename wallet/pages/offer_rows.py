"""Groups of equal credits (offers), read by index jumps: one index probe per offer, however many credits there are."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet

from kernel.replicas import read_connection
from wallet.assets.models import CashbackAsset
from wallet.assets.querysets import AssetQuerySet, PoolQuerySet

MAX_JUMPS = 10_000  # offers visited for one page; beyond that, all credits are grouped
MAX_COUNTED = 1_000  # counted credits of one offer

GROUP = ("pool_id", "title", "total_value", "currency", "expires_at")
COLUMNS = (*GROUP, "left", "asset_id")
# Values of different currencies are never compared: an order by value is one by currency first.
SQL_ORDERS = {"ends": "ends", "high": "currency, total_value DESC", "low": "currency, total_value", "title": "title"}
NO_POOL = f"'{UUID(int=0)}'::uuid"  # lets one index probe serve credits with and without a pool

# The index asset_offered keeps the offers of a pool in order and equal credits adjacent: the next offer is one probe away from
# the last.
CREDIT = f"""\
    SELECT coalesce(pool_id, {NO_POOL}) AS pool, coalesce(expires_at, 'infinity'::timestamptz) AS ends,
        title, total_value, currency, id
    FROM ({{credits}}) AS credit
"""  # noqa: S608  (made of the constants above)
NEXT = f"""(
    SELECT ends, title, total_value, currency FROM ({CREDIT}) AS credit
    WHERE pool = last.pool AND (ends, title, total_value, currency) > (last.ends, last.title, last.total_value, last.currency)
    ORDER BY pool, ends, title, total_value, currency LIMIT 1
)"""  # noqa: S608  (made of the constants above)
TIES = f"title, total_value, currency, nullif(pool, {NO_POOL}), ends"
WALK = f"""
WITH RECURSIVE last AS (
    SELECT pool, statement_timestamp() AS ends, ''::varchar AS title, 0::numeric AS total_value, ''::varchar AS currency
    FROM ({{places}}) AS place (pool)
), head AS (
    -- Pools whose first offer is beyond the page are left out.
    SELECT last.pool, first.* FROM last CROSS JOIN LATERAL {NEXT} AS first ORDER BY first.ends, {TIES} LIMIT {{heads}}
), walk AS (
    SELECT head.*, 1 AS level FROM head
    UNION ALL
    SELECT last.pool, following.*, last.level + 1 FROM walk AS last CROSS JOIN LATERAL {NEXT} AS following
    WHERE last.level < {{each}} AND ({{all_of_pools}} OR last.pool = {NO_POOL})
), offer AS (SELECT * FROM walk LIMIT {{most}})"""  # noqa: S608  (made of the constants above)
GROUPED = f"""
WITH place (pool) AS ({{places}}), offer AS (
    SELECT *, row_number() OVER () AS level
    FROM (SELECT DISTINCT pool, ends, title, total_value, currency FROM ({CREDIT}) AS credit JOIN place USING (pool)) AS alike
)"""  # noqa: S608  (made of the constants above)
# One offer per pool, the first in the order, and every offer without a pool.
POOLS_ONCE = f"""
, ranked AS (
    SELECT *, count(*) OVER () AS known,
        row_number() OVER (PARTITION BY pool, CASE pool WHEN {NO_POOL} THEN level END ORDER BY {{order}}, {TIES}) AS place
    FROM offer
), shown AS (SELECT * FROM ranked WHERE place = 1 ORDER BY {{order}}, {TIES} OFFSET {{start}} LIMIT {{size}})"""  # noqa: S608  (made of the constants above)
EVERY_OFFER = f"""
, shown AS (
    SELECT *, count(*) OVER () AS known FROM offer ORDER BY {{order}}, {TIES} OFFSET {{start}} LIMIT {{size}}
)"""  # noqa: S608  (made of the constants above)
EQUAL_TO = f"""
WITH shown AS (
    SELECT coalesce(pool_id, {NO_POOL}) AS pool, coalesce(expires_at, 'infinity'::timestamptz) AS ends,
        title, total_value, currency, id AS known, status = 'EXPIRED' AS has_ended
    FROM assets_cashbackasset WHERE id = ANY(%s::uuid[])
)"""  # noqa: S608  (made of the constants above)
COUNTED = f"""
SELECT nullif(pool, {NO_POOL}), title, total_value, currency, nullif(ends, 'infinity'),
    counted.number, counted.asset_id, {{facts}}
FROM shown CROSS JOIN LATERAL (
    SELECT count(*) AS number, (array_agg(id))[1 + floor(random() * count(*))::int] AS asset_id
    FROM (
        SELECT id FROM ({CREDIT}) AS credit WHERE (pool, ends, title, total_value, currency)
            = (shown.pool, shown.ends, shown.title, shown.total_value, shown.currency)
        LIMIT {MAX_COUNTED + 1}
    ) AS alike
) AS counted
ORDER BY {{order}}, {TIES}
"""  # noqa: S608  (made of the constants above)

Row = dict[str, Any]


@dataclass(frozen=True)
class OfferRows:
    """The offers of pools and without a pool in one of the SQL_ORDERS, read a slice at a time.

    Arguments:
        credits: claimable credits, filtered in any way.
        pools: the pools to include.
        each_pool_once: return only the first offer of each pool; otherwise all offers.
        without_pool: include the credits without a pool.
    """

    credits: AssetQuerySet
    pools: PoolQuerySet
    order: str = "ends"
    each_pool_once: bool = True
    without_pool: bool = True

    def __getitem__(self, part: slice) -> list[Row]:
        """Return a slice of the offers: the columns GROUP, the number of credits `left`, and the `asset_id` of a random one.

        `left` is at most MAX_COUNTED + 1. A random one, so that concurrent users do not compete for the same credit.
        """
        start, stop = part.start or 0, part.stop
        rows = self.read(WALK, start, stop) if stop <= MAX_JUMPS else None
        if rows is None or (rows and rows[0][-1] > MAX_JUMPS):
            rows = self.read(GROUPED, start, stop)
        return [dict(zip(COLUMNS, row, strict=False)) for row in rows]

    def read(self, offers: str, start: int, stop: int) -> list[Any]:
        """Return the slice of the offers that the SQL `offers` finds, each with the number of offers found."""
        places = f"{{pools}} UNION ALL SELECT {NO_POOL}" if self.without_pool else "{pools}"
        in_order = self.order == "ends"
        names = {
            "order": SQL_ORDERS[self.order],
            "start": start,
            "size": stop - start,
            "heads": stop if in_order else MAX_JUMPS + 1,
            "each": stop if in_order else MAX_JUMPS + 1,
            "most": MAX_JUMPS + 1,
            "all_of_pools": not (in_order and self.each_pool_once),
        }
        template = offers + (POOLS_ONCE if self.each_pool_once else EVERY_OFFER) + COUNTED
        return run(template, names | {"places": places}, self.credits, self.pools)


def variants_of(credits: AssetQuerySet, pools: PoolQuerySet, count: int) -> dict[UUID, list[Row]]:
    """Return the first `count` offers of each pool, soonest expiry first, by pool id, in one query."""
    names = {
        "places": "{pools}",
        "order": SQL_ORDERS["ends"],
        "start": 0,
        "size": "ALL",
        "heads": "ALL",
        "each": count,
        "most": "ALL",
        "all_of_pools": True,
    }
    found = defaultdict(list)
    for row in run(WALK + EVERY_OFFER + COUNTED, names, credits, pools):
        found[row[0]].append(dict(zip(COLUMNS, row, strict=False)))
    return found


def run(template: str, names: dict[str, Any], credits: AssetQuerySet, pools: PoolQuerySet) -> list[Any]:
    """Return the rows of the SQL `template` with the queries of `credits` and `pools` in the place of their names."""
    try:
        credit_sql, credit_parameters = credits.order_by().values("id", *GROUP).query.sql_with_params()
        pool_sql, pool_parameters = pools.order_by().values("id").query.sql_with_params()
    except EmptyResultSet:  # a filter matches nothing
        return []
    places = names["places"].format(pools=pool_sql)
    sql = template.format(**names | {"places": places, "credits": credit_sql, "facts": "known"})
    with read_connection().cursor() as cursor:
        cursor.execute(sql, [*pool_parameters, *credit_parameters * template.count("{credits}")])
        return list(cursor.fetchall())


def offers_equal_to(asset_ids: Iterable[UUID]) -> dict[UUID, Row]:
    """Return by the id of each credit, claimed or not, the row of its offer now, and whether the credit `has_ended`.

    `left` is 0 when no equal credit is left.
    """
    credits, parameters = CashbackAsset.objects.claimable().order_by().values("id", *GROUP).query.sql_with_params()
    sql = EQUAL_TO + COUNTED.format(credits=credits, order="known", facts="has_ended, known")
    with read_connection().cursor() as cursor:
        cursor.execute(sql, [list(asset_ids), *parameters])
        return {row[-1]: dict(zip((*COLUMNS, "has_ended"), row, strict=False)) for row in cursor.fetchall()}
