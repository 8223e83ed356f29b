"""The rules that PostgreSQL keeps for the ledger, and between the ledger and its assets."""

from typing import Any

import pgtrigger

from wallet.assets.supply_triggers import ADD_UP_SUPPLY
from wallet.assets.triggers import refuse_sql, run_by_owner

# Run by a migration after each one that makes triggers: they then fire under session_replication_role = replica too, so
# that a restore or a replica's writer keeps the rules.
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


def at_commit(name: str, operation: Any, condition: str, func: str) -> pgtrigger.Trigger:
    """Return a constraint trigger that looks at the row when its transaction commits."""
    return pgtrigger.Trigger(
        name=name,
        operation=operation,
        when=pgtrigger.After,
        timing=pgtrigger.Deferred,
        condition=pgtrigger.Condition(condition),
        func=f"{func} RETURN NULL;",
    )


# A claim's entry says what its asset says; looked at from either side, whichever was written last.
entry_equals_asset = at_commit(
    "entry_equals_asset",
    pgtrigger.Insert,
    "NEW.kind = 'CLAIM'",
    f"""
    IF NOT EXISTS (
        SELECT FROM assets_cashbackasset AS asset
        WHERE asset.id = NEW.asset_id AND asset.claimed_by_id = NEW.user_id AND asset.claimed_at = NEW.claimed_at
            AND asset.total_value = NEW.amount AND asset.currency = NEW.currency
    ) THEN
        {refuse_sql("entry_equals_asset", "a claim entry must equal its asset's owner, amount, currency and instant")}
    END IF;
    """,
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

# A seal closes what comes after the seal before it, and nothing that an open transaction may still add to. Otherwise one
# row would end all sealing: what comes after a range that reaches into the future is never closed.
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

# What a seal closes is added to the subtotals in the same breath, so that the two never disagree. The supply is added up at the
# same time, for the same reason: so that nobody has to read all that ever happened.
carried = pgtrigger.Trigger(
    name="seal_carried",
    operation=pgtrigger.Insert,
    when=pgtrigger.After,
    func=f"""
    INSERT INTO ledger_subtotal (user_id, currency, amount, claims)
        SELECT user_id, currency, sum(amount), count(*) FROM ledger_entry
        WHERE xid >= NEW.from_xid AND xid < NEW.to_xid GROUP BY user_id, currency
    ON CONFLICT (user_id, currency) DO UPDATE
        SET amount = ledger_subtotal.amount + excluded.amount, claims = ledger_subtotal.claims + excluded.claims;
    {ADD_UP_SUPPLY}
    RETURN NULL;
    """,
)

# Whoever could make this function a trigger of a table of theirs could raise subtotals without a seal.
CARRIED_BY_OWNER = run_by_owner("ledger_seal", "seal_carried")
