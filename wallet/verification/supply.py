"""The checker's SQL about supply: assets match the logs that PostgreSQL wrote when they were issued, changed and expired.

The log of issues and the change history are append-only but not sealed, so a forgery that includes them is not detected here.
For assets that never changed only number and value per pool are known, not their titles.
"""

from wallet.assets.supply_triggers import GROUP, RECOUNTED

# Issued, minus deleted; each change subtracts the values before and adds the values after it.
ISSUED_DIFFERS = """
    WITH change AS (
        SELECT event.*, coalesce(event.before, context.metadata -> 'before', '{}') AS was
        FROM assets_cashbackassetevent AS event LEFT JOIN pghistory_context AS context ON context.id = event.pgh_context_id
        WHERE event.pgh_label = 'update' AND event.status = 'AVAILABLE'
    ), movement AS (
        SELECT pool_id, currency, count, value FROM assets_issuance
        UNION ALL
        SELECT pool_id, currency, -1, -total_value FROM assets_cashbackassetevent WHERE pgh_label = 'delete'
        UNION ALL
        SELECT pool_id, currency, 1, total_value FROM change
        UNION ALL
        SELECT CASE WHEN jsonb_exists(was, 'pool_id') THEN (was ->> 'pool_id')::uuid ELSE pool_id END,
            coalesce(was ->> 'currency', currency), -1, -coalesce((was ->> 'total_value')::numeric, total_value)
        FROM change
    ), issued AS (
        SELECT pool_id, currency, sum(count) AS count, sum(value) AS value FROM movement GROUP BY pool_id, currency
    ), supply AS (
        SELECT pool_id, currency, count(*) AS count, sum(total_value) AS value
        FROM assets_cashbackasset GROUP BY pool_id, currency
    ), pair AS (
        SELECT coalesce(issued.pool_id, supply.pool_id) AS pool_id, coalesce(issued.currency, supply.currency) AS currency,
            coalesce(issued.count, 0) AS issued, coalesce(issued.value, 0) AS issued_value,
            coalesce(supply.count, 0) AS there, coalesce(supply.value, 0) AS there_value
        FROM issued FULL JOIN supply
            ON (coalesce(issued.pool_id::text, ''), issued.currency) = (coalesce(supply.pool_id::text, ''), supply.currency)
    )
    SELECT format('pool %s in %s: the log adds up to %s (%s), the table holds %s (%s)',
        coalesce(pool_id::text, '-'), currency, issued, issued_value, there, there_value)
    FROM pair WHERE (issued, issued_value) <> (there, there_value)
"""

# The supply counters equal a count of all assets.
SUPPLY_DIFFERS = f"""
    WITH counter AS (
        SELECT {GROUP}, sum(count) AS count, sum(value) AS value FROM assets_supplydelta GROUP BY {GROUP}
    ), recounted AS ({RECOUNTED}), pair AS (
        SELECT coalesce(counter.pool_id, recounted.pool_id) AS pool_id, currency, generation, status,
            coalesce(counter.count, 0) AS counter, coalesce(counter.value, 0) AS counter_value,
            coalesce(recounted.count, 0) AS actual, coalesce(recounted.value, 0) AS actual_value
        FROM (SELECT *, coalesce(pool_id::text, '') AS pool FROM counter) AS counter
        FULL JOIN (SELECT *, coalesce(pool_id::text, '') AS pool FROM recounted) AS recounted
            USING (pool, currency, generation, status)
    )
    SELECT format('pool %s in %s, generation %s: %s (%s) are %s by the counters, but %s (%s) exist',
        coalesce(pool_id::text, '-'), currency, generation, counter, counter_value, status, actual, actual_value)
    FROM pair WHERE (counter, counter_value) <> (actual, actual_value)
"""  # noqa: S608  (made of our own columns)

# The same for the counters of batches: up to the last seal, and since.
BATCHES_DIFFER = """
    WITH counter AS (
        SELECT batch_id, currency, status, sum(count) AS count, sum(value) AS value FROM (
            SELECT batch_id, currency, status, count, value FROM assets_batchsupply
            UNION ALL
            SELECT batch_id, currency, status, count, value FROM assets_supplydelta WHERE batch_id IS NOT NULL
        ) AS line GROUP BY batch_id, currency, status
    ), recounted AS (
        SELECT batch_id, currency, status, count(*) AS count, sum(total_value) AS value FROM (
            SELECT batch_id, currency, status, total_value FROM assets_cashbackasset
            UNION ALL
            SELECT batch_id, currency, 'DELETED', total_value FROM assets_cashbackassetevent WHERE pgh_label = 'delete'
        ) AS credit WHERE batch_id IS NOT NULL GROUP BY batch_id, currency, status
    ), pair AS (
        SELECT batch_id, currency, status, coalesce(counter.count, 0) AS counter, coalesce(counter.value, 0) AS counter_value,
            coalesce(recounted.count, 0) AS actual, coalesce(recounted.value, 0) AS actual_value
        FROM counter FULL JOIN recounted USING (batch_id, currency, status)
    )
    SELECT format('batch %s in %s: %s (%s) are %s by the counters, but %s (%s) exist',
        batch_id, currency, counter, counter_value, status, actual, actual_value)
    FROM pair WHERE (counter, counter_value) <> (actual, actual_value)
"""

# A change records the new row. After its last change an asset may only be claimed, which the ledger records.
DIFFERS_FROM_LAST_CHANGE = """
    SELECT format('asset %s is not as its last change left it: %s', asset.id, what)
    FROM assets_cashbackassetevent AS event JOIN assets_cashbackasset AS asset ON asset.id = event.pgh_obj_id
    CROSS JOIN LATERAL (SELECT concat_ws(', ',
        CASE WHEN asset.status <> event.status AND (event.status, asset.status) <> ('AVAILABLE', 'CLAIMED') THEN
            format('%s instead of %s', asset.status, event.status) END,
        CASE WHEN (asset.total_value, asset.currency) <> (event.total_value, event.currency) THEN
            format('%s %s instead of %s %s', asset.total_value, asset.currency, event.total_value, event.currency) END,
        CASE WHEN asset.pool_id IS DISTINCT FROM event.pool_id THEN
            format('in pool %s instead of %s', coalesce(asset.pool_id::text, '-'), coalesce(event.pool_id::text, '-')) END,
        CASE WHEN asset.expires_at IS DISTINCT FROM event.expires_at THEN
            format('until %s instead of %s', coalesce(asset.expires_at::text, '-'), coalesce(event.expires_at::text, '-')) END,
        CASE WHEN asset.title <> event.title THEN 'under another title' END
    )) AS difference(what)
    WHERE event.pgh_label = 'update' AND what <> '' AND NOT EXISTS (
        SELECT FROM assets_cashbackassetevent AS later
        WHERE later.pgh_obj_id = event.pgh_obj_id AND later.pgh_label = 'update' AND later.pgh_id > event.pgh_id)
"""

EXPIRED_WITHOUT_CHANGE = """
    SELECT format('asset %s is EXPIRED, but nothing expired it', id) FROM assets_cashbackasset AS asset
    WHERE status = 'EXPIRED' AND NOT EXISTS (
        SELECT FROM assets_cashbackassetevent
        WHERE pgh_obj_id = asset.id AND pgh_label = 'update' AND status = 'EXPIRED')
"""

CLAIMED_AND_EXPIRED = """
    SELECT format('asset %s was claimed and expired', pgh_obj_id) FROM assets_cashbackassetevent
    WHERE status = 'EXPIRED' AND pgh_obj_id IN (SELECT asset_id FROM ledger_entry)
"""
