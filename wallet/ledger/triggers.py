"""The rules of the ledger, and between the ledger and its assets, that PostgreSQL enforces for every SQL statement."""

from typing import Any

import pgtrigger

from wallet.assets.supply_triggers import MERGE_SUPPLY
from wallet.assets.triggers import refuse_sql
from wallet.ledger.movement_kinds import LASTING_ENTRY

# Makes all triggers fire under session_replication_role = replica too. Migrations call harden_triggers(), which includes it;
# tests restore with it the triggers that they have lifted.
ENABLE_ALWAYS = """
DO $$
DECLARE t record;
BEGIN
    FOR t IN
        SELECT tgrelid::regclass AS place, tgname AS name FROM pg_trigger
        WHERE NOT tgisinternal AND tgname LIKE 'pgtrigger_%'
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.place, t.name);
    END LOOP;
END $$;
"""


def row_of(table: str, key: str, value: str, name: str) -> str:
    """Return SQL for JOIN LATERAL: the row of a table whose unique column `key` has this value, under this name.

    OFFSET 0 keeps the planner from any other join than this look-up. A session keeps the plans of a trigger's first runs: made
    while the tables are small, they would read them whole, and go on doing so while the tables grow, until the next ANALYZE.
    """
    return f"LATERAL (SELECT * FROM {table} WHERE {key} = {value} OFFSET 0) AS {name}"


def at_commit(
    name: str, operation: Any, condition: str, func: str, declare: list[tuple[str, str]] | None = None
) -> pgtrigger.Trigger:
    """Return a constraint trigger that checks the row when its transaction commits."""
    return pgtrigger.Trigger(
        name=name,
        operation=operation,
        when=pgtrigger.After,
        timing=pgtrigger.Deferred,
        condition=pgtrigger.Condition(condition),
        declare=declare,
        func=f"{func} RETURN NULL;",
    )


# An entry equals its claimed asset. Checked from both sides, because either may be written last. Where credits are only
# granted, it has its grant; one statement reads asset and pool, because each claim is checked.
entry_equals_asset = at_commit(
    "entry_equals_asset",
    pgtrigger.Insert,
    "NEW.kind = 'CLAIM'",
    f"""
    SELECT pool.grants_only INTO needs_grant
        FROM assets_cashbackasset AS asset LEFT JOIN assets_creditpool AS pool ON pool.id = asset.pool_id
        WHERE asset.id = NEW.asset_id AND asset.claimed_by_id = NEW.user_id AND asset.claimed_at = NEW.claimed_at
            AND asset.total_value = NEW.amount AND asset.currency = NEW.currency
            AND (asset.spendable_from, asset.spendable_until)
                IS NOT DISTINCT FROM (NEW.spendable_from, NEW.spendable_until);
    IF NOT FOUND THEN
        {refuse_sql("entry_equals_asset", "a claim entry must equal its asset's owner, amount, currency and instant")}
    END IF;
    IF needs_grant AND NOT EXISTS (SELECT FROM ledger_grant AS made WHERE made.entry_id = NEW.id) THEN
        {refuse_sql("pool_grants_only", "credits of this pool are only granted")}
    END IF;
    """,
    declare=[("needs_grant", "boolean")],
)

claimed_has_entry = at_commit(
    "asset_claimed_has_entry",
    pgtrigger.Update,
    "NEW.status = 'CLAIMED'",
    f"""
    IF NOT EXISTS (SELECT FROM ledger_entry WHERE asset_id = NEW.id AND kind = 'CLAIM') THEN
        {refuse_sql("asset_claimed_has_entry", "a claimed asset must have its entry")}
    END IF;
    """,
)

# A seal starts where the seal before it ends, and ends before the first open transaction, which may still add entries. A single
# row with a range in the future would stop sealing for ever: the transactions after it are never closed.
follows = pgtrigger.Trigger(
    name="seal_follows",
    operation=pgtrigger.Insert,
    when=pgtrigger.Before,
    declare=[("last", "record")],
    func=f"""
    SELECT seq, root, to_xid INTO last FROM ledger_seal ORDER BY seq DESC LIMIT 1;
    IF NEW.seq <> coalesce(last.seq, 0) + 1 OR NEW.previous_root <> coalesce(last.root, sha256(''))
        OR NEW.from_xid <> coalesce(last.to_xid, '0') THEN
        {refuse_sql("seal_follows", "a seal follows the seal before it")}
    END IF;
    IF NEW.to_xid <= NEW.from_xid OR NEW.to_xid > pg_snapshot_xmin(pg_current_snapshot()) THEN
        {refuse_sql("seal_closed", "a seal ends before the first transaction that is still open")}
    END IF;
    RETURN NEW;
    """,
)

# Adds the entries of a seal to the sealed balances in the same statement, so that seals and balances never disagree. The supply
# counters are merged at the same time, so that no reader has to sum every change ever made.
balances_added = pgtrigger.Trigger(
    name="seal_balances_added",
    operation=pgtrigger.Insert,
    when=pgtrigger.After,
    func=f"""
    INSERT INTO ledger_sealedbalance (user_id, currency, amount, claims, lasting)
        SELECT user_id, currency, sum(amount), count(*), coalesce(sum(amount) FILTER (WHERE {LASTING_ENTRY}), 0)
        FROM ledger_entry
        WHERE xid >= NEW.from_xid AND xid < NEW.to_xid GROUP BY user_id, currency
    ON CONFLICT (user_id, currency) DO UPDATE
        SET amount = ledger_sealedbalance.amount + excluded.amount, claims = ledger_sealedbalance.claims + excluded.claims,
            lasting = ledger_sealedbalance.lasting + excluded.lasting;
    {MERGE_SUPPLY}
    RETURN NULL;
    """,
)
