"""The rules that PostgreSQL keeps for assets, whoever writes the SQL.

Each trigger refuses with SQLSTATE 23514 (check_violation) and a constraint name, so that the acts can tell one refusal
from another and so that Django raises IntegrityError for all of them.
"""

import pgtrigger


def refuse_sql(name: str, message: str) -> str:
    """Return PL/pgSQL that refuses the change under the constraint name `name`."""
    quoted = message.replace("'", "''")
    return f"RAISE EXCEPTION '{quoted}' USING ERRCODE = 'check_violation', CONSTRAINT = '{name}';"


def run_by_owner(table: str, *triggers: str) -> str:
    """Return SQL, run by a migration: what these triggers do, they do as the tables' owner, for this table and nobody's own.

    The application may only read what they write. The SQL raises when one of them is not there.
    """
    rules = ", ".join(f"'pgtrigger_{trigger}_%'" for trigger in triggers)
    return f"""
DO $$
DECLARE rule text; f regprocedure;
BEGIN
    FOREACH rule IN ARRAY ARRAY[{rules}] LOOP
        SELECT tgfoid INTO STRICT f FROM pg_trigger WHERE tgrelid = '{table}'::regclass AND tgname LIKE rule;
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = public, pg_temp', f);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
"""


# Decides a claim by the database's clock *after* the row lock was granted: a predicate in WHERE is evaluated before the
# wait for the lock and would let a claim through late.
CLAIM_SQL = f"""
    NEW.claimed_at := clock_timestamp();
    IF NEW.pool_id IS NULL THEN
        NEW.claim_slot := NULL;
        RETURN NEW;
    END IF;
    SELECT is_active AND opens_at <= NEW.claimed_at AND (closes_at IS NULL OR NEW.claimed_at < closes_at), per_user_limit
        INTO open, most FROM assets_creditpool WHERE id = NEW.pool_id;
    IF NOT open THEN
        {refuse_sql("pool_open", "this pool is not open for claims")}
    END IF;
    -- One user's claims in one pool queue here, so that each sees the slots taken before it.
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.pool_id::text || NEW.claimed_by_id::text, 0));
    SELECT coalesce(max(claim_slot), 0) + 1 INTO NEW.claim_slot
        FROM assets_cashbackasset WHERE pool_id = NEW.pool_id AND claimed_by_id = NEW.claimed_by_id;
    IF NEW.claim_slot > most THEN
        {refuse_sql("pool_claim_limit", "this user holds all the claims the pool allows")}
    END IF;
    RETURN NEW;
"""

claim_trigger = pgtrigger.Trigger(
    name="asset_handover",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition("OLD.status = 'AVAILABLE' AND NEW.status = 'CLAIMED'"),
    declare=[("open", "boolean"), ("most", "integer")],
    func=CLAIM_SQL,
)

final_trigger = pgtrigger.Trigger(
    name="asset_final",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition("OLD.status <> 'AVAILABLE'"),
    func=refuse_sql("asset_final", "a claimed or expired asset never changes"),
)

# A due asset is expired whether or not the sweep has been: only the sweep's own change may still touch it. A claim is
# left to the handover and the table's check, which judge by the instant of the claim.
due_trigger = pgtrigger.Trigger(
    name="asset_due",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition("OLD.status = 'AVAILABLE' AND NEW.status = 'AVAILABLE'"),
    func=f"""
    IF OLD.expires_at <= clock_timestamp() THEN
        {refuse_sql("asset_not_due", "an asset past its expiry never changes")}
    END IF;
    RETURN NEW;
    """,
)

born_available = pgtrigger.Trigger(
    name="asset_born_available",
    operation=pgtrigger.Insert,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition("NEW.status <> 'AVAILABLE'"),
    func=refuse_sql("asset_born_available", "an asset is issued AVAILABLE"),
)

keep_claimed = pgtrigger.Trigger(
    name="asset_keep_claimed",
    operation=pgtrigger.Delete,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition("OLD.status = 'CLAIMED'"),
    func=refuse_sql("asset_keep_claimed", "a claimed asset is never deleted"),
)

# What an asset is and where it came from does not change while it is on offer, and neither does its identity.
same_asset = pgtrigger.Trigger(
    name="asset_same",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition(
        "OLD.id <> NEW.id OR OLD.created_at <> NEW.created_at OR OLD.created_by_id IS DISTINCT FROM NEW.created_by_id"
        " OR OLD.generation <> NEW.generation"
        " OR OLD.recreated_from_id IS DISTINCT FROM NEW.recreated_from_id"
    ),
    func=refuse_sql("asset_same", "an asset keeps its id, origin and generation"),
)

# A claim hands over exactly what was on offer.
claim_only = pgtrigger.Trigger(
    name="asset_claim_only",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition(
        "OLD.status = 'AVAILABLE' AND NEW.status <> 'AVAILABLE'"
        " AND (OLD.total_value <> NEW.total_value OR OLD.currency <> NEW.currency"
        " OR OLD.title <> NEW.title OR OLD.pool_id IS DISTINCT FROM NEW.pool_id"
        " OR OLD.expires_at IS DISTINCT FROM NEW.expires_at)"
    ),
    func=refuse_sql("asset_claim_only", "a claim or expiry changes nothing but the status"),
)

# An asset is in its pool's currency, and what is issued is logged: once a statement, so that 5,000 rows cost one look-up.
issued_trigger = pgtrigger.Trigger(
    name="asset_issued",
    level=pgtrigger.Statement,
    operation=pgtrigger.Insert,
    when=pgtrigger.After,
    referencing=pgtrigger.Referencing(new="issued"),  # type: ignore[no-untyped-call]
    func=f"""
    IF EXISTS (
        SELECT FROM issued JOIN assets_creditpool AS pool ON pool.id = issued.pool_id WHERE pool.currency <> issued.currency
    ) THEN
        {refuse_sql("asset_pool_currency", "an asset is in the currency of its pool")}
    END IF;
    INSERT INTO assets_issuance (pool_id, currency, created_by_id, door, count, value)
        SELECT pool_id, currency, created_by_id, coalesce(nullif(current_setting('cashback.door', true), ''), 'sql'),
            count(*), sum(total_value)
        FROM issued GROUP BY pool_id, currency, created_by_id;
    RETURN NULL;
    """,
)

pool_currency_changed = pgtrigger.Trigger(
    name="asset_pool_currency_changed",
    operation=pgtrigger.UpdateOf("pool_id", "currency"),  # type: ignore[no-untyped-call]
    when=pgtrigger.Before,
    condition=pgtrigger.Condition("OLD.status = 'AVAILABLE' AND NEW.pool_id IS NOT NULL"),
    func=f"""
    IF NEW.currency <> (SELECT currency FROM assets_creditpool WHERE id = NEW.pool_id) THEN
        {refuse_sql("asset_pool_currency", "an asset is in the currency of its pool")}
    END IF;
    RETURN NEW;
    """,
)

# Whose currency a pool's assets and entries are in cannot move under them.
pool_currency = pgtrigger.Trigger(
    name="pool_currency",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition("OLD.currency <> NEW.currency"),
    func=f"""
    IF EXISTS (SELECT FROM assets_cashbackasset WHERE pool_id = OLD.id) THEN
        {refuse_sql("pool_currency", "a pool with assets keeps its currency")}
    END IF;
    RETURN NEW;
    """,
)


def append_only(name: str) -> list[pgtrigger.Trigger]:
    """Return the triggers that refuse UPDATE, DELETE and TRUNCATE on one table."""
    refusal = refuse_sql(name, "this table is append-only")
    return [
        pgtrigger.Trigger(
            name=f"{name}_rows", operation=pgtrigger.Update | pgtrigger.Delete, when=pgtrigger.Before, func=refusal
        ),
        no_truncate(name),
    ]


def no_truncate(name: str) -> pgtrigger.Trigger:
    """Return the trigger that refuses TRUNCATE on one table."""
    return pgtrigger.Trigger(
        name=f"{name}_table",
        level=pgtrigger.Statement,
        operation=pgtrigger.Truncate,
        when=pgtrigger.Before,
        func=refuse_sql(name, "this table is append-only"),
    )


# Who did something, through which door: pghistory adds to it while the transaction lasts that it began in, and it is never
# another's afterwards. Within a transaction `now()` does not move, and no two begin in the same microsecond by chance.
context_kept = pgtrigger.Trigger(
    name="context_kept",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition(
        "OLD.created_at IS DISTINCT FROM now() OR NEW.created_at <> OLD.created_at OR NEW.id <> OLD.id"
    ),
    func=refuse_sql("context_append_only", "this table is append-only"),
)
context_never_deleted = pgtrigger.Trigger(
    name="context_never_deleted",
    operation=pgtrigger.Delete,
    when=pgtrigger.Before,
    func=refuse_sql("context_append_only", "this table is append-only"),
)

CONTEXT_RULES = [context_kept, context_never_deleted, no_truncate("context_append_only")]
ASSET_RULES = [
    born_available,
    issued_trigger,
    pool_currency_changed,
    claim_trigger,
    final_trigger,
    due_trigger,
    same_asset,
    claim_only,
    keep_claimed,
]
POOL_RULES = [pool_currency]
