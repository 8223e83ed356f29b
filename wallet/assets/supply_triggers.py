"""Supply counters: triggers record what each statement changed, so that a group of credits is summed and never counted."""

from typing import Any

import pgtrigger

from kernel.sql import POOL_BUDGET_LOCK
from wallet.assets.claim_rules import COMMITTED_VALUE
from wallet.assets.triggers import refuse_sql

# A group is all credits of one pool, currency, generation and status. The sums of its rows in assets_supplydelta are its
# supply; each seal merges the rows of a group into one (wallet.ledger.triggers.balances_added).
GROUP = "pool_id, currency, generation, status"
# A new row also names its batch. The merge moves that to assets_batchsupply, so that the number of groups does not grow with
# the number of batches.
RECORDED_GROUP = f"{GROUP}, batch_id"


def supply_trigger(name: str, operation: pgtrigger.Operation, referencing: Any, changes: str) -> pgtrigger.Trigger:
    """Return the statement trigger that records `changes`.

    Arguments:
        changes: SQL that selects RECORDED_GROUP, total_value and sign: 1 for a credit that joins the group, -1 for one that
            leaves it.
    """
    return pgtrigger.Trigger(
        name=name,
        level=pgtrigger.Statement,
        operation=operation,
        when=pgtrigger.After,
        referencing=referencing,
        func=f"""
        INSERT INTO assets_supplydelta ({RECORDED_GROUP}, count, value)
            SELECT {RECORDED_GROUP}, sum(sign), sum(sign * total_value) FROM ({changes}) AS change GROUP BY {RECORDED_GROUP}
            HAVING sum(sign) <> 0 OR sum(sign * total_value) <> 0;
        RETURN NULL;
        """,
    )


def signed_rows(transition_table: str, sign: int) -> str:
    """Return SQL for the rows of a transition table that join (1) or leave (-1) their groups."""
    return f"SELECT {RECORDED_GROUP}, total_value, {sign} AS sign FROM {transition_table}"


supply_issued = supply_trigger(
    "supply_issued",
    pgtrigger.Insert,
    pgtrigger.Referencing(new="issued"),  # type: ignore[no-untyped-call]
    signed_rows("issued", 1),
)
supply_changed = supply_trigger(
    "supply_changed",
    pgtrigger.Update,
    pgtrigger.Referencing(old="former", new="changed"),  # type: ignore[no-untyped-call]
    f"{signed_rows('changed', 1)} UNION ALL {signed_rows('former', -1)}",
)
# A deleted credit moves to the status DELETED, so that the number issued still adds up.
supply_deleted = supply_trigger(
    "supply_deleted",
    pgtrigger.Delete,
    pgtrigger.Referencing(old="former"),  # type: ignore[no-untyped-call]
    f"{signed_rows('former', -1)}"
    " UNION ALL SELECT pool_id, currency, generation, 'DELETED', batch_id, total_value, 1 FROM former",
)

OVER_BUDGET = refuse_sql("pool_budget", "this is more than the pool's budget allows")


def keep_budget(of_pools: str) -> str:
    """Return PL/pgSQL that refuses what exceeds a budget. It waits for issues under way, which the counters do not show yet.

    Arguments:
        of_pools: a condition on the pools to check.
    """
    return f"""
    FOR limited IN SELECT id, budget FROM assets_creditpool WHERE budget IS NOT NULL AND {of_pools} ORDER BY id LOOP
        PERFORM pg_advisory_xact_lock({POOL_BUDGET_LOCK.format(pool="limited.id")});
        IF {COMMITTED_VALUE.format(pool="limited.id")} > limited.budget THEN
            {OVER_BUDGET}
        END IF;
    END LOOP;
    """


# Its name is behind supply_issued's, so that the counters include the statement. asset_issued, which comes first, holds a key
# lock on the pool, so that no budget is set meanwhile.
supply_within_budget = pgtrigger.Trigger(
    name="supply_within_budget",
    level=pgtrigger.Statement,
    operation=pgtrigger.Insert,
    when=pgtrigger.After,
    referencing=pgtrigger.Referencing(new="issued"),  # type: ignore[no-untyped-call]
    declare=[("limited", "record")],
    func=f"{keep_budget('id IN (SELECT pool_id FROM issued)')} RETURN NULL;",
)
# A credit that becomes worth more, or moves into another pool. At the commit, when the counters include it.
supply_moved_within_budget = pgtrigger.Trigger(
    name="supply_moved_within_budget",
    operation=pgtrigger.Update,
    when=pgtrigger.After,
    timing=pgtrigger.Deferred,
    condition=pgtrigger.Condition(
        "NEW.status = 'AVAILABLE' AND (NEW.total_value > OLD.total_value OR NEW.pool_id IS DISTINCT FROM OLD.pool_id)"
    ),
    declare=[("limited", "record")],
    func=f"{keep_budget('id = NEW.pool_id')} RETURN NULL;",
)
SUPPLY_RULES = [supply_issued, supply_changed, supply_deleted, supply_within_budget, supply_moved_within_budget]

# A budget is never below what was given of it. The lock waits for credits on their way into the pool, which hold its key.
pool_budget = pgtrigger.Trigger(
    name="pool_budget",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition("NEW.budget IS NOT NULL AND NEW.budget IS DISTINCT FROM OLD.budget"),
    func=f"""
    PERFORM FROM assets_creditpool WHERE id = OLD.id FOR UPDATE;
    IF {COMMITTED_VALUE.format(pool="OLD.id")} > NEW.budget THEN
        {OVER_BUDGET}
    END IF;
    RETURN NEW;
    """,
)

# The same figures by counting: the checker compares the counters with them.
RECOUNTED = f"""
SELECT {GROUP}, count(*) AS count, sum(total_value) AS value FROM (
    SELECT {GROUP}, total_value FROM assets_cashbackasset
    UNION ALL
    SELECT pool_id, currency, generation, 'DELETED', total_value FROM assets_cashbackassetevent WHERE pgh_label = 'delete'
) AS credit GROUP BY {GROUP}
"""
INITIALIZE_SUPPLY = f"INSERT INTO assets_supplydelta ({GROUP}, count, value) {RECOUNTED}"

# Merges the rows of each group into one, the oldest first, and adds those of batches to assets_batchsupply. Rows of
# transactions that are still open are not visible and stay.
MERGE_BATCH_SIZE = 100_000
MERGE_SUPPLY = f"""
WITH oldest AS (
    SELECT id, batch_id, count(*) OVER (PARTITION BY {GROUP}) AS rows_in_group
    FROM (SELECT id, {RECORDED_GROUP} FROM assets_supplydelta ORDER BY id LIMIT {MERGE_BATCH_SIZE}) AS batch
), merged AS (
    DELETE FROM assets_supplydelta WHERE id IN (SELECT id FROM oldest WHERE rows_in_group > 1 OR batch_id IS NOT NULL)
    RETURNING {RECORDED_GROUP}, count, value
), of_batches AS (
    INSERT INTO assets_batchsupply (batch_id, currency, status, count, value)
        SELECT batch_id, currency, status, sum(count), sum(value) FROM merged
        WHERE batch_id IS NOT NULL GROUP BY batch_id, currency, status HAVING sum(count) <> 0 OR sum(value) <> 0
        ORDER BY batch_id, currency, status
    ON CONFLICT (batch_id, currency, status) DO UPDATE
        SET count = assets_batchsupply.count + excluded.count, value = assets_batchsupply.value + excluded.value
)
INSERT INTO assets_supplydelta ({GROUP}, count, value)
    SELECT {GROUP}, sum(count), sum(value) FROM merged GROUP BY {GROUP} HAVING sum(count) <> 0 OR sum(value) <> 0;
"""
