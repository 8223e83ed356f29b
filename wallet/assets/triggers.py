"""The rules of pools and assets that PostgreSQL enforces for every SQL statement.

Each trigger refuses with SQLSTATE 23514 (check_violation) and a constraint name: Django raises IntegrityError for all of them,
and actions tell the refusals apart by name. `harden_triggers()`, which ends each migration that creates triggers, makes them
always fire, pins their search_path and runs those that write protected tables as the tables' owner.
"""

import pgtrigger

from kernel.readable_text import EMOJI, KEYS
from kernel.sql import USER_IN_POOL_LOCK
from wallet.assets.claim_rules import CLAIMS_MADE, NEXT_PERIOD, PERIOD_IS_FULL, pool_is_open_sql


def refuse_sql(name: str, message: str) -> str:
    """Return PL/pgSQL that refuses the statement, with the constraint name `name`."""
    quoted = message.replace("'", "''")
    return f"RAISE EXCEPTION '{quoted}' USING ERRCODE = 'check_violation', CONSTRAINT = '{name}';"


def later_sql(start: str, interval: str, zone: str) -> str:
    """Return SQL for `start` plus `interval`: days and months by the calendar of `zone`, hours by the clock.

    `start + interval` would take the calendar of the session's TimeZone, which any session may set.
    """
    days = f"date_trunc('day', {interval})"
    return f"((({start} AT TIME ZONE {zone}) + {days}) AT TIME ZONE {zone}) + ({interval} - {days})"


# When a claimed credit can be spent, from the policies of its pool: of two ends the earlier counts.
SPENDABLE_SQL = f"""
    IF policy.pending_for IS NOT NULL THEN
        NEW.spendable_from := {later_sql("NEW.claimed_at", "policy.pending_for", "policy.time_zone")};
    END IF;
    IF policy.valid_for IS NOT NULL THEN
        NEW.spendable_until := coalesce(NEW.spendable_from, NEW.claimed_at);
        NEW.spendable_until := {later_sql("NEW.spendable_until", "policy.valid_for", "policy.time_zone")};
        IF policy.ends_with_day THEN
            NEW.spendable_until := (date_trunc('day', NEW.spendable_until AT TIME ZONE policy.time_zone) + interval '1 day')
                AT TIME ZONE policy.time_zone;
        END IF;
    END IF;
    NEW.spendable_until := least(NEW.spendable_until, policy.valid_until);
"""

# A claim by the pool's limit per period. The detail of the error says when the next claim is possible.
PERIOD_OF_POOL = {"period": "policy.limit_period", "zone": "policy.time_zone", "at": "NEW.claimed_at"}
PERIOD_FULL = PERIOD_IS_FULL.format(
    pool="NEW.pool_id", user="NEW.claimed_by_id", slot="NEW.claim_slot", limit="policy.period_limit", **PERIOD_OF_POOL
)
# Two conditions one inside the other: PL/pgSQL evaluates the first without the executor, and most pools have no such limit.
KEEP_PERIOD_LIMIT = f"""
    IF policy.period_limit IS NOT NULL THEN
        IF {PERIOD_FULL} THEN
            RAISE EXCEPTION 'this user holds all the claims the pool allows in this period' USING ERRCODE = 'check_violation',
                CONSTRAINT = 'pool_period_limit',
                DETAIL = to_char({NEXT_PERIOD.format(**PERIOD_OF_POOL)} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
        END IF;
    END IF;
"""

# Decides a claim by the database's clock after the row lock was granted. A predicate in WHERE is evaluated before the wait for
# the lock, and would accept a claim too late.
CLAIM_SQL = f"""
    NEW.claimed_at := clock_timestamp();
    NEW.spendable_from := NULL;
    NEW.spendable_until := NULL;
    IF NEW.pool_id IS NULL THEN
        NEW.claim_slot := NULL;
        RETURN NEW;
    END IF;
    SELECT {pool_is_open_sql("pool", at="NEW.claimed_at")} AS is_open, pool.per_user_limit,
            pool.pending_for, pool.valid_for, pool.ends_with_day, pool.valid_until, pool.time_zone, pool.period_limit,
            pool.limit_period
        INTO policy FROM assets_creditpool AS pool WHERE pool.id = NEW.pool_id;
    IF NOT policy.is_open THEN
        {refuse_sql("pool_open", "this pool is not open for claims")}
    END IF;
    -- Serializes the user's claims in the pool, so that each claim reads the slots of the claims before it.
    PERFORM pg_advisory_xact_lock({USER_IN_POOL_LOCK.format(pool="NEW.pool_id", user="NEW.claimed_by_id")});
    NEW.claim_slot := {CLAIMS_MADE.format(pool="NEW.pool_id", user="NEW.claimed_by_id")} + 1;
    IF NEW.claim_slot > policy.per_user_limit THEN
        {refuse_sql("pool_claim_limit", "this user holds all the claims the pool allows")}
    END IF;
    {KEEP_PERIOD_LIMIT}
    {SPENDABLE_SQL}
    RETURN NEW;
"""

claim_trigger = pgtrigger.Trigger(
    name="asset_claimed",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition("OLD.status = 'AVAILABLE' AND NEW.status = 'CLAIMED'"),
    declare=[("policy", "record")],
    func=CLAIM_SQL,
)

final_trigger = pgtrigger.Trigger(
    name="asset_final",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition("OLD.status NOT IN ('AVAILABLE', 'SCHEDULED')"),
    func=refuse_sql("asset_final", "a claimed or expired asset never changes"),
)

# An asset past its expiry is expired whether or not a sweep has marked it: no update may keep it AVAILABLE. A late claim is
# refused by the check asset_claimed_before_expiry, which compares the time of the claim.
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
    condition=pgtrigger.Condition("NEW.status <> CASE WHEN NEW.claimable_from IS NULL THEN 'AVAILABLE' ELSE 'SCHEDULED' END"),
    func=refuse_sql("asset_born_available", "an asset is issued AVAILABLE, or SCHEDULED with its start"),
)

# A scheduled asset becomes AVAILABLE by the database's clock, never early, and can expire. Otherwise it stays as it is.
scheduled_trigger = pgtrigger.Trigger(
    name="asset_opens",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition("OLD.status = 'SCHEDULED' OR NEW.status = 'SCHEDULED'"),
    func=f"""
    IF OLD.status <> 'SCHEDULED' OR NEW.status NOT IN ('AVAILABLE', 'EXPIRED') THEN
        {refuse_sql("asset_scheduled", "a scheduled asset changes only when it opens or expires")}
    END IF;
    IF NEW.status = 'AVAILABLE' AND OLD.claimable_from > clock_timestamp() THEN
        {refuse_sql("asset_not_early", "this asset can be claimed later")}
    END IF;
    RETURN NEW;
    """,
)

keep_claimed = pgtrigger.Trigger(
    name="asset_keep_claimed",
    operation=pgtrigger.Delete,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition("OLD.status = 'CLAIMED'"),
    func=refuse_sql("asset_keep_claimed", "a claimed asset is never deleted"),
)

# The id, creation, batch, generation and parent of an asset are fixed from its creation on.
same_asset = pgtrigger.Trigger(
    name="asset_same",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition(
        "OLD.id <> NEW.id OR OLD.created_at <> NEW.created_at OR OLD.created_by_id IS DISTINCT FROM NEW.created_by_id"
        " OR OLD.generation <> NEW.generation"
        " OR OLD.claimable_from IS DISTINCT FROM NEW.claimable_from"
        " OR OLD.recreated_from_id IS DISTINCT FROM NEW.recreated_from_id OR OLD.batch_id IS DISTINCT FROM NEW.batch_id"
    ),
    func=refuse_sql("asset_same", "an asset keeps its id, origin and generation"),
)

# A claim or an expiry changes nothing of what was offered.
claim_only = pgtrigger.Trigger(
    name="asset_claim_only",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition(
        "OLD.status <> NEW.status"
        " AND (OLD.total_value <> NEW.total_value OR OLD.currency <> NEW.currency"
        " OR OLD.title <> NEW.title OR OLD.pool_id IS DISTINCT FROM NEW.pool_id"
        " OR OLD.expires_at IS DISTINCT FROM NEW.expires_at)"
    ),
    func=refuse_sql("asset_claim_only", "a claim or expiry changes nothing but the status"),
)

# An asset has its pool's currency, and the statement that issues assets writes the issue log and the batch. A statement
# trigger, so that 5,000 rows cost one look-up. A key lock keeps the pool's currency, and nothing else of it, to the commit.
# The setting describes the batch with its id; any other has no title or file.
issued_trigger = pgtrigger.Trigger(
    name="asset_issued",
    level=pgtrigger.Statement,
    operation=pgtrigger.Insert,
    when=pgtrigger.After,
    referencing=pgtrigger.Referencing(new="issued"),  # type: ignore[no-untyped-call]
    declare=[("source", "text"), ("header", "jsonb"), ("lowest", "uuid"), ("highest", "uuid")],
    func=f"""
    PERFORM FROM assets_creditpool WHERE id IN (SELECT pool_id FROM issued) ORDER BY id FOR KEY SHARE;
    IF EXISTS (
        SELECT FROM issued JOIN assets_creditpool AS pool ON pool.id = issued.pool_id WHERE pool.currency <> issued.currency
    ) THEN
        {refuse_sql("asset_pool_currency", "an asset is in the currency of its pool")}
    END IF;
    source := coalesce(nullif(current_setting('cashback.channel', true), ''), 'sql');
    header := nullif(current_setting('cashback.batch', true), '');
    SELECT id INTO lowest FROM issued ORDER BY id LIMIT 1;
    SELECT id INTO highest FROM issued ORDER BY id DESC LIMIT 1;
    WITH line AS (
        SELECT pool_id, currency, created_by_id, batch_id, recreated_from_id IS NOT NULL AS recreated, claimable_from,
            count(*) AS count, sum(total_value) AS value
        FROM issued GROUP BY pool_id, currency, created_by_id, batch_id, recreated, claimable_from
    ), batch AS (
        INSERT INTO assets_batch (id, title, file_name, file_digest, created_by_id, channel)
            SELECT DISTINCT ON (batch_id) batch_id, coalesce(named.header ->> 'title', ''),
                coalesce(named.header ->> 'file_name', ''), coalesce(named.header ->> 'file_digest', ''), created_by_id, source
            FROM line LEFT JOIN (SELECT header) AS named ON named.header ->> 'id' = batch_id::text
            WHERE batch_id IS NOT NULL
        ON CONFLICT (id) DO NOTHING
    )
    INSERT INTO assets_issuance (
            pool_id, currency, created_by_id, batch_id, channel, count, value, first_id, last_id, recreated,
            claimable_from)
        SELECT pool_id, currency, created_by_id, batch_id, source, count, value, lowest, highest, recreated, claimable_from
            FROM line;
    RETURN NULL;
    """,
)

pool_currency_changed = pgtrigger.Trigger(
    name="asset_pool_currency_changed",
    operation=pgtrigger.UpdateOf("pool_id", "currency"),  # type: ignore[no-untyped-call]
    when=pgtrigger.Before,
    condition=pgtrigger.Condition("OLD.status = 'AVAILABLE' AND NEW.pool_id IS NOT NULL"),
    func=f"""
    IF NEW.currency <> (SELECT currency FROM assets_creditpool WHERE id = NEW.pool_id FOR KEY SHARE) THEN
        {refuse_sql("asset_pool_currency", "an asset is in the currency of its pool")}
    END IF;
    RETURN NEW;
    """,
)

# The currency of a pool is the currency of its assets and entries. The lock waits for assets that are on their way into the
# pool, which hold its key; the rule then sees them.
pool_currency = pgtrigger.Trigger(
    name="pool_currency",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition("OLD.currency <> NEW.currency"),
    func=f"""
    PERFORM FROM assets_creditpool WHERE id = OLD.id FOR UPDATE;
    IF EXISTS (SELECT FROM assets_cashbackasset WHERE pool_id = OLD.id) THEN
        {refuse_sql("pool_currency", "a pool with assets keeps its currency")}
    END IF;
    RETURN NEW;
    """,
)


# Control, format, bidi and filler characters, and line separators, in the notation of PostgreSQL's expressions. The joiners
# U+200C and U+200D are missing: some scripts need them, which Python decides (kernel.readable_text).
UNREADABLE = (
    r"[\u0001-\u001F\u007F-\u009F\u00AD\u034F\u061C\u115F\u1160\u17B4\u17B5\u180B-\u180F\u200B\u200E\u200F\u2028-\u202E"
    r"\u2060-\u206F\u2800\u3164\uFE00-\uFE0E\uFEFF\uFFA0\uFFF0-\uFFFB\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A"
    r"\U000E0000-\U000E0FFF]"
    # U+FE0F occurs only in emoji.
    rf"|(^|[^{EMOJI}{KEYS}])\uFE0F|[{KEYS}]\uFE0F(?!\u20E3)"
)


def readable(name: str, column: str) -> pgtrigger.Trigger:
    """Return the trigger by which others can read a text: a check, except that a claim, which changes no text, is not slower.

    Rows from before this rule stay as they are until their text changes.
    """
    return pgtrigger.Trigger(
        name=name,
        operation=pgtrigger.Insert | pgtrigger.UpdateOf(column),  # type: ignore[no-untyped-call]
        when=pgtrigger.Before,
        condition=pgtrigger.Condition(f"NEW.{column} ~ '{UNREADABLE}' OR NEW.{column} IS NOT NFC NORMALIZED"),
        func=refuse_sql(name, "this text has an invisible character, or is not in Unicode's normal form NFC"),
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


# The context of a change: pghistory adds to it during the transaction that created it, and afterwards it is immutable. now() is
# constant within a transaction, and two transactions do not begin in the same microsecond by chance. One change is allowed: the
# email of an operator who has closed their account is replaced by their pseudonym.
context_immutable = pgtrigger.Trigger(
    name="context_immutable",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition(
        "OLD.created_at IS DISTINCT FROM now() OR NEW.created_at <> OLD.created_at OR NEW.id <> OLD.id"
    ),
    func=f"""
    IF NEW.id = OLD.id AND NEW.created_at = OLD.created_at AND NEW.metadata - 'email' = OLD.metadata - 'email' AND EXISTS (
        SELECT FROM accounts_user AS account WHERE account.id = (OLD.metadata ->> 'user')::uuid
        AND account.closed_at IS NOT NULL AND account.email = NEW.metadata ->> 'email'
    ) THEN
        RETURN NEW;
    END IF;
    {refuse_sql("context_append_only", "this table is append-only")}
    """,
)
history_pseudonymised = pgtrigger.Trigger(
    name="history_pseudonymised",
    operation=pgtrigger.Update,
    when=pgtrigger.After,
    condition=pgtrigger.Condition("OLD.closed_at IS NULL AND NEW.closed_at IS NOT NULL"),
    func="""
    UPDATE pghistory_context SET metadata = jsonb_set(metadata, '{email}', to_jsonb(NEW.email))
        WHERE metadata ? 'user' AND metadata ->> 'user' = NEW.id::text;
    RETURN NULL;
    """,
)
context_never_deleted = pgtrigger.Trigger(
    name="context_never_deleted",
    operation=pgtrigger.Delete,
    when=pgtrigger.Before,
    func=refuse_sql("context_append_only", "this table is append-only"),
)

CONTEXT_RULES = [context_immutable, context_never_deleted, no_truncate("context_append_only")]
ASSET_RULES = [
    born_available,
    issued_trigger,
    pool_currency_changed,
    claim_trigger,
    scheduled_trigger,
    final_trigger,
    due_trigger,
    same_asset,
    claim_only,
    keep_claimed,
    readable("asset_title_readable", "title"),
]
POOL_RULES = [pool_currency, readable("pool_name_readable", "name")]
