"""Triggers that open lots, and rules of the states of money that PostgreSQL keeps."""

import pgtrigger

from wallet.assets.triggers import no_truncate, refuse_sql
from wallet.ledger.triggers import at_commit, row_of


def never_deleted(name: str) -> list[pgtrigger.Trigger]:
    """Return the triggers that refuse DELETE and TRUNCATE on one table, whose rows only triggers change."""
    refusal = refuse_sql(name, "this table loses no rows")
    return [
        pgtrigger.Trigger(name=f"{name}_rows", operation=pgtrigger.Delete, when=pgtrigger.Before, func=refusal),
        no_truncate(name),
    ]


LOT_COLUMNS = (
    "entry_id, user_id, currency, service_id, draw_priority, refund_grace_days, clawback_reach, opened_at, spendable_from,"
    " spendable_until, moved_at, total, available"
)
# A claim opens its lot with the policies of its pool, once a statement however many claims share it.
lots_opened = pgtrigger.Trigger(
    name="entry_lots_opened",
    level=pgtrigger.Statement,
    operation=pgtrigger.Insert,
    when=pgtrigger.After,
    referencing=pgtrigger.Referencing(new="entered"),  # type: ignore[no-untyped-call]
    func=f"""
    INSERT INTO ledger_lot ({LOT_COLUMNS})
        SELECT claim.id, claim.user_id, claim.currency, pool.service_id, coalesce(pool.draw_priority, 2),
            coalesce(pool.refund_grace_days, 14), coalesce(pool.clawback_reach, 'CREDIT'), claim.claimed_at,
            coalesce(claim.spendable_from, claim.claimed_at), claim.spendable_until, claim.claimed_at,
            claim.amount, claim.amount
        FROM entered AS claim CROSS JOIN {row_of("assets_cashbackasset", "id", "claim.asset_id", "asset")}
        LEFT JOIN {row_of("assets_creditpool", "id", "asset.pool_id", "pool")} ON true;
    RETURN NULL;
    """,
)

# Claims from before there were lots: spendable from the claim on, for ever, under the default policies.
lots_backfilled = pgtrigger.Trigger(
    name="lots_backfilled",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    declare=[("seen", "bigint"), ("last", "uuid"), ("added", "bigint")],
    func=f"""
    IF OLD.completed_at IS NOT NULL THEN
        RETURN OLD;
    END IF;
    WITH batch AS (
        SELECT id, user_id, currency, claimed_at, amount FROM ledger_entry
        WHERE id > coalesce(OLD.position, '00000000-0000-0000-0000-000000000000') ORDER BY id LIMIT NEW.batch_size
    ), opening AS (
        INSERT INTO ledger_lot ({LOT_COLUMNS})
            SELECT id, user_id, currency, NULL, 2, 14, 'CREDIT', claimed_at, claimed_at, NULL, claimed_at, amount, amount
            FROM batch
        ON CONFLICT (entry_id) DO NOTHING RETURNING entry_id
    )
    SELECT count(*), (SELECT id FROM batch ORDER BY id DESC LIMIT 1), (SELECT count(*) FROM opening)
        INTO seen, last, added FROM batch;
    NEW.id := OLD.id;
    NEW.position := coalesce(last, OLD.position);
    NEW.opened := OLD.opened + added;
    NEW.completed_at := CASE WHEN seen < NEW.batch_size THEN clock_timestamp() END;
    RETURN NEW;
    """,
)

# What comes back to a credit that is clawed back is taken in the same transaction.
taken_back = at_commit(
    "lot_taken_back",
    pgtrigger.Update,
    "NEW.clawback_due > 0 AND NEW.available > 0",
    f"""
    IF EXISTS (SELECT FROM ledger_lot WHERE entry_id = NEW.entry_id AND clawback_due > 0 AND available > 0) THEN
        {refuse_sql("lot_taken_back", "what comes back to a clawed-back credit is taken at once")}
    END IF;
    """,
)
