"""Groups of equal credits (offers), read by index jumps: one index probe per offer, however many credits there are."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Aggregate, Count, F, Q, UUIDField

from wallet.assets.querysets import AssetQuerySet, PoolQuerySet

MAX_JUMPS = 10_000  # offers visited for one page; beyond that, all credits are grouped
MAX_COUNTED = 1_000  # counted credits of one offer

GROUP = ("pool_id", "title", "total_value", "currency", "expires_at")
ALIKE = ("pool_id", "pool__name", "title", "total_value", "currency", "expires_at")
COLUMNS = (*ALIKE, "left", "asset_id")
TIES = ("title", "total_value", "currency", "pool_id", "expires_at")
ORDERS: dict[str, Any] = {
    "ends": F("expires_at").asc(nulls_last=True),
    "high": F("total_value").desc(),
    "low": F("total_value").asc(),
    "title": F("title").asc(),
}
SQL_ORDERS = {"ends": "ends", "high": "total_value DESC", "low": "total_value", "title": "title"}
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
TIES_OF_ROWS = f"title, total_value, currency, nullif(pool, {NO_POOL}), ends"
OFFERS = f"""
WITH RECURSIVE last AS (
    SELECT pool, statement_timestamp() AS ends, ''::varchar AS title, 0::numeric AS total_value, ''::varchar AS currency
    FROM ({{pools}} UNION ALL SELECT {NO_POOL}) AS place (pool)
), head AS (
    -- Pools whose first offer is beyond the page are left out.
    SELECT last.pool, first.* FROM last CROSS JOIN LATERAL {NEXT} AS first ORDER BY first.ends, {{ties}} LIMIT {{each}}
), walk AS (
    SELECT head.*, 1 AS level FROM head
    UNION ALL
    SELECT last.pool, following.*, last.level + 1 FROM walk AS last CROSS JOIN LATERAL {NEXT} AS following
    WHERE last.level < {{each}}
), shown AS (
    SELECT *, count(*) OVER () AS known FROM (SELECT * FROM walk LIMIT {{most}}) AS walked
    ORDER BY {{order}}, {{ties}} OFFSET {{start}} LIMIT {{size}}
)
SELECT nullif(pool, {NO_POOL}), (SELECT name FROM assets_creditpool WHERE id = shown.pool), title, total_value, currency,
    nullif(ends, 'infinity'), counted.number, counted.asset_id, known
FROM shown CROSS JOIN LATERAL (
    SELECT count(*) AS number, (array_agg(id))[1 + floor(random() * count(*))::int] AS asset_id
    FROM (
        SELECT id FROM ({CREDIT}) AS credit WHERE (pool, ends, title, total_value, currency)
            = (shown.pool, shown.ends, shown.title, shown.total_value, shown.currency)
        LIMIT {{counted}}
    ) AS alike
) AS counted
ORDER BY {{order}}, {{ties}}
"""  # noqa: S608  (made of the constants above)


class AnyOne(Aggregate):
    """A random value of the group, so that concurrent users do not compete for the same credit."""

    function = "ARRAY_AGG"
    template = "(%(function)s(%(expressions)s))[1 + floor(random() * count(*))::int]"
    output_field = UUIDField()


@dataclass(frozen=True)
class OfferRows:
    """The offers in one of the ORDERS, read a slice at a time.

    Arguments:
        credits: claimable credits, filtered in any way.
        pools: the pools to include; credits without a pool are always included.
    """

    credits: AssetQuerySet
    pools: PoolQuerySet
    order: str = "ends"

    def __getitem__(self, part: slice) -> list[dict[str, Any]]:
        """Return a slice of the offers: the columns ALIKE, the number of credits `left`, and the `asset_id` of one of them.

        `left` is at most MAX_COUNTED + 1.
        """
        start, stop = part.start or 0, part.stop
        rows = self.jumps(start, stop) if stop <= MAX_JUMPS else None
        return list(self.grouped()[start:stop]) if rows is None else rows

    def jumps(self, start: int, stop: int) -> list[dict[str, Any]] | None:
        """Return the slice as the query OFFERS finds it, or None when it is beyond MAX_JUMPS."""
        try:
            credits, credit_parameters = self.credits.order_by().values("id", *GROUP).query.sql_with_params()
            pools, pool_parameters = self.pools.order_by().values("id").query.sql_with_params()
        except EmptyResultSet:  # the filter matches no credit
            return []
        names: dict[str, Any] = {"credits": credits, "pools": pools, "order": SQL_ORDERS[self.order], "ties": TIES_OF_ROWS}
        numbers = {"each": stop if self.order == "ends" else MAX_JUMPS + 1, "start": start, "size": stop - start}
        sql = OFFERS.format(**names, **numbers, most=MAX_JUMPS + 1, counted=MAX_COUNTED + 1)
        with connection.cursor() as cursor:
            cursor.execute(sql, [*pool_parameters, *credit_parameters * OFFERS.count("{credits}")])
            rows = cursor.fetchall()
        return None if rows and rows[0][-1] > MAX_JUMPS else [dict(zip(COLUMNS, row, strict=False)) for row in rows]

    def grouped(self) -> Any:
        """Return the same offers as a query that groups all credits."""
        credits: Any = self.credits.filter(Q(pool=None) | Q(pool__in=self.pools)).order_by().values(*ALIKE)
        return credits.annotate(left=Count("pk"), asset_id=AnyOne("pk")).order_by(ORDERS[self.order], *TIES)
