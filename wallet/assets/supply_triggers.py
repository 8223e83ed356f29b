"""How PostgreSQL tells the supply without counting it: what is written, recounted and added up."""

from typing import Any

import pgtrigger

from wallet.assets.triggers import run_by_owner

# How many credits, of what value, are in which state: what each statement changed, written down by the statement itself. The
# sums of a group are its supply; rows of one group are added up with each seal (see ledger.rules.carried).
COUNTED = "pool_id, currency, generation, status"


def supply_trigger(name: str, operation: pgtrigger.Operation, referencing: Any, moves: str) -> pgtrigger.Trigger:
    """Return the trigger that writes `moves`: rows of COUNTED, total_value and how many of them came (1) or went (-1)."""
    return pgtrigger.Trigger(
        name=name,
        level=pgtrigger.Statement,
        operation=operation,
        when=pgtrigger.After,
        referencing=referencing,
        func=f"""
        INSERT INTO assets_supply ({COUNTED}, number, value)
            SELECT {COUNTED}, sum(sign), sum(sign * total_value) FROM ({moves}) AS moves GROUP BY {COUNTED}
            HAVING sum(sign) <> 0 OR sum(sign * total_value) <> 0;
        RETURN NULL;
        """,
    )


def supply_rows(rows: str, sign: int) -> str:
    """Return SQL for rows of a transition table that came or went."""
    return f"SELECT {COUNTED}, total_value, {sign} AS sign FROM {rows}"


supply_issued = supply_trigger(
    "supply_issued",
    pgtrigger.Insert,
    pgtrigger.Referencing(new="issued"),  # type: ignore[no-untyped-call]
    supply_rows("issued", 1),
)
supply_changed = supply_trigger(
    "supply_changed",
    pgtrigger.Update,
    pgtrigger.Referencing(old="former", new="changed"),  # type: ignore[no-untyped-call]
    f"{supply_rows('changed', 1)} UNION ALL {supply_rows('former', -1)}",
)
# What is deleted is still told of.
supply_deleted = supply_trigger(
    "supply_deleted",
    pgtrigger.Delete,
    pgtrigger.Referencing(old="former"),  # type: ignore[no-untyped-call]
    f"{supply_rows('former', -1)} UNION ALL SELECT pool_id, currency, generation, 'DELETED', total_value, 1 FROM former",
)
SUPPLY_RULES = [supply_issued, supply_changed, supply_deleted]

# What the sums must come to; a migration begins with it.
RECOUNTED = f"""
SELECT {COUNTED}, count(*) AS number, sum(total_value) AS value FROM (
    SELECT {COUNTED}, total_value FROM assets_cashbackasset
    UNION ALL
    SELECT pool_id, currency, generation, 'DELETED', total_value FROM assets_cashbackassetevent WHERE pgh_label = 'delete'
) AS credit GROUP BY {COUNTED}
"""
BEGIN_SUPPLY = f"INSERT INTO assets_supply ({COUNTED}, number, value) {RECOUNTED}"

SUPPLY_BY_OWNER = run_by_owner("assets_cashbackasset", "supply_issued", "supply_changed", "supply_deleted")

# Rows of one group become one, the oldest first; rows that others are just writing are not seen, and stay.
ADDED_UP_AT_ONCE = 100_000
ADD_UP_SUPPLY = f"""
WITH line AS (
    SELECT id, count(*) OVER (PARTITION BY {COUNTED}) AS lines
    FROM (SELECT id, {COUNTED} FROM assets_supply ORDER BY id LIMIT {ADDED_UP_AT_ONCE}) AS oldest
), gone AS (
    DELETE FROM assets_supply WHERE id IN (SELECT id FROM line WHERE lines > 1) RETURNING {COUNTED}, number, value
)
INSERT INTO assets_supply ({COUNTED}, number, value)
    SELECT {COUNTED}, sum(number), sum(value) FROM gone GROUP BY {COUNTED} HAVING sum(number) <> 0 OR sum(value) <> 0;
"""
