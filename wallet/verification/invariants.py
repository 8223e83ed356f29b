"""The checker's SQL: each statement returns one sentence per violating row (checker.py lists the invariants)."""

from wallet.assets.claim_rules import PERIOD_IS_FULL
from wallet.ledger.movement_kinds import LASTING_ENTRY
from wallet.verification import supply

TWO_CLAIMS = """
    SELECT format('asset %s has %s claims', asset_id, count(*))
    FROM ledger_entry WHERE kind = 'CLAIM' GROUP BY asset_id HAVING count(*) > 1
"""

# A single full join: nested look-ups would take too long on a large ledger.
ASSET_AND_ENTRY_DIFFER = """
    WITH pair AS (
        SELECT asset.id AS asset, claim.id AS entry, CASE
            WHEN asset.id IS NULL THEN 'has no asset'
            WHEN claim.id IS NULL THEN CASE WHEN asset.status = 'CLAIMED' THEN 'is missing, though the asset is CLAIMED' END
            WHEN asset.status <> 'CLAIMED' THEN 'records a claim, but the asset is ' || asset.status
            WHEN asset.claimed_by_id IS DISTINCT FROM claim.user_id THEN
                format('names user %s, but the asset belongs to %s', claim.user_id, coalesce(asset.claimed_by_id::text, '-'))
            WHEN asset.claimed_at IS DISTINCT FROM claim.claimed_at THEN 'has another time than the asset'
            WHEN (asset.total_value, asset.currency) <> (claim.amount, claim.currency) THEN
                format('has %s %s, but the asset %s %s', claim.amount, claim.currency, asset.total_value, asset.currency)
            END AS what
        FROM assets_cashbackasset AS asset
        FULL JOIN (SELECT * FROM ledger_entry WHERE kind = 'CLAIM') AS claim ON claim.asset_id = asset.id
    )
    SELECT format('entry %s of asset %s %s', coalesce(entry::text, '-'), coalesce(asset::text, '-'), what)
    FROM pair WHERE what IS NOT NULL
"""

SUMS_DIFFER = """
    WITH supply AS (
        SELECT pool_id, currency, count(*) AS issued, sum(total_value) AS issued_value,
            count(*) FILTER (WHERE status IN ('SCHEDULED', 'AVAILABLE', 'CLAIMED', 'EXPIRED')) AS known,
            sum(total_value) FILTER (WHERE status IN ('SCHEDULED', 'AVAILABLE', 'CLAIMED', 'EXPIRED')) AS known_value,
            count(*) FILTER (WHERE status = 'CLAIMED') AS claimed,
            coalesce(sum(total_value) FILTER (WHERE status = 'CLAIMED'), 0) AS claimed_value
        FROM assets_cashbackasset GROUP BY pool_id, currency
    ), booked AS (
        SELECT asset.pool_id, entry.currency, count(*) AS entries, sum(entry.amount) AS amount
        FROM ledger_entry AS entry JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id
        WHERE entry.kind = 'CLAIM' GROUP BY asset.pool_id, entry.currency
    )
    SELECT format('pool %s in %s: %s issued (%s), %s of known status (%s), %s claimed (%s), %s booked (%s)',
        coalesce(coalesce(supply.pool_id, booked.pool_id)::text, '-'), coalesce(supply.currency, booked.currency),
        issued, issued_value, known, known_value, claimed, claimed_value, coalesce(entries, 0), coalesce(amount, 0))
    FROM supply FULL JOIN booked
        ON (coalesce(supply.pool_id::text, ''), supply.currency) = (coalesce(booked.pool_id::text, ''), booked.currency)
    WHERE (issued, issued_value) IS DISTINCT FROM (known, known_value)
        OR (coalesce(claimed, 0), coalesce(claimed_value, 0)) <> (coalesce(entries, 0), coalesce(amount, 0))
"""

CLAIMED_LATE = """
    SELECT format('asset %s was claimed at %s, and expired at %s', asset.id, late, asset.expires_at)
    FROM assets_cashbackasset AS asset LEFT JOIN ledger_entry AS entry ON entry.asset_id = asset.id AND entry.kind = 'CLAIM'
    CROSS JOIN LATERAL (SELECT greatest(asset.claimed_at, entry.claimed_at)) AS claim(late)
    WHERE late >= asset.expires_at
"""

KEY_WITH_TWO_CLAIMS = """
    SELECT format('key %s of user %s has %s claims', request_key, user_id, count(*))
    FROM ledger_entry WHERE request_key IS NOT NULL GROUP BY user_id, request_key HAVING count(*) > 1
"""

KEY_WITHOUT_RESPONSE = """
    SELECT format('key %s of user %s on %s has no answer', key, user_id, route)
    FROM ledger_idempotencykey WHERE status_code IS NULL OR body IS NULL
"""

KEY_WITH_ANOTHERS_ENTRY = """
    SELECT format('key %s of user %s on %s answers with entry %s of user %s, key %s', answer.key, answer.user_id, answer.route,
        answer.entry_id, coalesce(entry.user_id::text, '-'), coalesce(entry.request_key, '-'))
    FROM ledger_idempotencykey AS answer LEFT JOIN ledger_entry AS entry ON entry.id = answer.entry_id
    WHERE answer.entry_id IS NOT NULL
        AND (entry.user_id IS DISTINCT FROM answer.user_id
            OR answer.status_code = 201 AND entry.request_key IS DISTINCT FROM answer.key)
"""

# Over all partitions, of which each has its own primary key.
KEY_KEPT_TWICE = """
    SELECT format('key %s of user %s on %s is kept %s times', key, user_id, route, count(*))
    FROM ledger_idempotencykey GROUP BY user_id, route, key HAVING count(*) > 1
"""

# Slots run from 1 without gaps, so that the highest slot is the number of claims.
CLAIM_SLOTS = """
    WITH held AS (
        SELECT pool_id, claimed_by_id, count(*) AS claims, count(DISTINCT claim_slot) AS slots,
            min(claim_slot) AS lowest, max(claim_slot) AS highest
        FROM assets_cashbackasset WHERE status = 'CLAIMED' AND pool_id IS NOT NULL GROUP BY pool_id, claimed_by_id
    )
    SELECT format('user %s holds %s credits of pool %s in %s slots from %s to %s',
        claimed_by_id, claims, pool_id, slots, coalesce(lowest::text, '-'), coalesce(highest::text, '-'))
    FROM held WHERE (slots, lowest, highest) IS DISTINCT FROM (claims, 1, claims::integer)
"""

# A claim must obey the limit at its time. A change of the limit has the time of its transaction's start but is visible from its
# commit on, so the previous limit is accepted for ten more seconds, which no transaction exceeds.
PERIOD_WAS_FULL = PERIOD_IS_FULL.format(
    pool="asset.pool_id",
    user="asset.claimed_by_id",
    slot="asset.claim_slot",
    limit="rule.period_limit",
    period="rule.limit_period",
    zone="rule.time_zone",
    at="asset.claimed_at",
)
OVER_LIMIT = f"""
    WITH rule AS (
        SELECT pgh_obj_id AS pool_id, per_user_limit, period_limit, limit_period, time_zone, pgh_created_at AS since,
            lead(pgh_created_at) OVER (PARTITION BY pgh_obj_id ORDER BY pgh_created_at, pgh_id) AS until
        FROM assets_creditpoolevent
        UNION ALL SELECT id, per_user_limit, period_limit, limit_period, time_zone, '-infinity', NULL FROM assets_creditpool
        WHERE id NOT IN (SELECT pgh_obj_id FROM assets_creditpoolevent)
    )
    SELECT format('asset %s is claim number %s of user %s in pool %s, more than its limit then',
        id, claim_slot, claimed_by_id, pool_id)
    FROM assets_cashbackasset AS asset
    WHERE status = 'CLAIMED' AND claim_slot IS NOT NULL AND NOT EXISTS (
        SELECT FROM rule WHERE rule.pool_id = asset.pool_id AND rule.since <= asset.claimed_at
            AND (rule.until IS NULL OR asset.claimed_at < rule.until + interval '10 seconds')
            AND (rule.per_user_limit IS NULL OR asset.claim_slot <= rule.per_user_limit)
            AND (rule.period_limit IS NULL OR NOT {PERIOD_WAS_FULL}))
"""  # noqa: S608  (constants)

# Stored responses that differ from the usual JSON of their entry. The caller compares these few exactly: non-ASCII titles,
# currencies without two decimals, times at a full second.
UNUSUAL_RESPONSES = """
    SELECT answer.key, answer.user_id, answer.body, entry.id, entry.amount, entry.currency, entry.claimed_at,
        asset.id, asset.title
    FROM ledger_idempotencykey AS answer
    JOIN ledger_entry AS entry ON entry.id = answer.entry_id JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id
    WHERE asset.title !~ '^[ !#-\\[\\]-~]*$' OR answer.body IS DISTINCT FROM format(
        '{"id": "%s", "asset": "%s", "title": "%s", "amount": "%s", "currency": "%s", "claimed_at": "%s"}',
        entry.id, asset.id, asset.title, round(entry.amount, 2), entry.currency,
        to_char(entry.claimed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
"""

# A sealed balance is the sum of the user's sealed entries.
SEALED_BALANCES_DIFFER = f"""
    WITH sealed AS (
        SELECT user_id, currency, sum(amount) AS amount, count(*) AS claims,
            coalesce(sum(amount) FILTER (WHERE {LASTING_ENTRY}), 0) AS lasting
        FROM ledger_entry WHERE xid < (SELECT max(to_xid) FROM ledger_seal) GROUP BY user_id, currency
    )
    SELECT format('the sealed balance of user %s is %s %s of %s claims, %s lasting, but the sealed entries sum to %s of %s, %s',
        user_id, coalesce(balance.amount, 0), currency, coalesce(balance.claims, 0),
        coalesce(balance.lasting, 0), coalesce(sealed.amount, 0), coalesce(sealed.claims, 0), coalesce(sealed.lasting, 0))
    FROM sealed FULL JOIN ledger_sealedbalance AS balance USING (user_id, currency)
    WHERE (balance.amount, balance.claims, balance.lasting) IS DISTINCT FROM (sealed.amount, sealed.claims, sealed.lasting)
"""  # noqa: S608  (constants)

# A decision that no other operator made in time, or that was not carried out as it was proposed.
WRONG_DECISION = """
    WITH decided AS (
        SELECT proposal.*, CASE
            WHEN decided_by_id = proposed_by_id THEN 'was decided by who proposed it'
            WHEN decided_at >= expires_at THEN format('expired at %s and was decided at %s', expires_at, decided_at)
            WHEN approved AND NOT (CASE kind
                WHEN 'GRANT' THEN EXISTS (SELECT FROM ledger_grant AS made JOIN ledger_entry AS entry
                    ON entry.id = made.entry_id
                    WHERE made.entry_id = result AND entry.amount <= proposal.amount
                        AND (made.actor_id, made.service_id) IS NOT DISTINCT FROM (proposed_by_id, proposal.service_id))
                WHEN 'THRESHOLD' THEN result = pool_id
                WHEN 'ISSUE' THEN EXISTS (SELECT FROM assets_batch AS made WHERE made.id = result)
                WHEN 'RECREATE' THEN EXISTS (SELECT FROM assets_batch AS made WHERE made.id = result)
                WHEN 'IMPORT' THEN EXISTS (SELECT FROM assets_batch AS made WHERE made.id = result)
                ELSE EXISTS (SELECT FROM ledger_movement AS made WHERE made.id = result AND made.kind = proposal.kind
                    AND made.amount + coalesce(made.shortfall, 0) <= proposal.amount
                    AND made.actor_id IS NOT DISTINCT FROM proposed_by_id)
                END) THEN format('was approved, but its result %s is not what was proposed', result)
            END AS what
        FROM ledger_proposal AS proposal WHERE decided_at IS NOT NULL
    )
    SELECT format('proposal %s %s', id, what) FROM decided WHERE what IS NOT NULL
"""

# Transactions and waits that are longer than any request may take. Read-only transactions, such as backups, are allowed.
STUCK_TRANSACTIONS = """
    SELECT format('process %%s is in a transaction since %%s (%%s)', pid, xact_start, coalesce(wait_event, state))
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
        -- The real time, also in a sandbox whose clock was moved: transactions begin by it.
        AND xact_start < pg_catalog.clock_timestamp() - make_interval(secs => %s)
        AND (backend_xid IS NOT NULL OR wait_event_type = 'Lock') AND pid <> pg_backend_pid()
"""

# After a run: sessions that wait for a lock or are in a transaction, and all sessions if there are too many.
LEFTOVER_SESSIONS = """
    WITH other AS (
        SELECT *, wait_event_type = 'Lock' OR state LIKE 'idle in transaction%%' AS busy, count(*) OVER () AS sessions
        FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
    )
    SELECT format('process %%s is still there: %%s, %%s', pid, state, coalesce(wait_event, 'not waiting'))
    FROM other WHERE coalesce(busy, false) OR sessions > %s
"""

# Invariant and statement.
STATEMENTS = [
    ("I1", TWO_CLAIMS),
    ("I4", ASSET_AND_ENTRY_DIFFER),
    ("I5", SUMS_DIFFER),
    ("I5", supply.ISSUED_DIFFERS),
    ("I5", supply.SUPPLY_DIFFERS),
    ("I5", supply.BATCHES_DIFFER),
    ("I5", supply.DIFFERS_FROM_LAST_CHANGE),
    ("I5", supply.EXPIRED_WITHOUT_CHANGE),
    ("I5", SEALED_BALANCES_DIFFER),
    ("I6", CLAIMED_LATE),
    ("I6", supply.CLAIMED_AND_EXPIRED),
    ("I7", KEY_WITH_TWO_CLAIMS),
    ("I7", KEY_KEPT_TWICE),
    ("I7", KEY_WITHOUT_RESPONSE),
    ("I7", KEY_WITH_ANOTHERS_ENTRY),
    ("I9", CLAIM_SLOTS),
    ("I9", OVER_LIMIT),
    ("I26", WRONG_DECISION),
]
