"""Each seal also adds the supply counters of batches to assets_batchsupply."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0008_batches'),
        ('ledger', '0010_plain_names'),
    ]

    operations = [
        migrations.RunSQL(migrations.RunSQL.noop, 'SELECT public.harden_triggers()'),
        pgtrigger.migrations.RemoveTrigger(
            model_name='seal',
            name='seal_balances_added',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='seal',
            trigger=pgtrigger.compiler.Trigger(name='seal_balances_added', sql=pgtrigger.compiler.UpsertTriggerSql(func='\n    INSERT INTO ledger_sealedbalance (user_id, currency, amount, claims)\n        SELECT user_id, currency, sum(amount), count(*) FROM ledger_entry\n        WHERE xid >= NEW.from_xid AND xid < NEW.to_xid GROUP BY user_id, currency\n    ON CONFLICT (user_id, currency) DO UPDATE\n        SET amount = ledger_sealedbalance.amount + excluded.amount, claims = ledger_sealedbalance.claims + excluded.claims;\n    \nWITH oldest AS (\n    SELECT id, batch_id, count(*) OVER (PARTITION BY pool_id, currency, generation, status) AS rows_in_group\n    FROM (SELECT id, pool_id, currency, generation, status, batch_id FROM assets_supplydelta ORDER BY id LIMIT 100000) AS batch\n), merged AS (\n    DELETE FROM assets_supplydelta WHERE id IN (SELECT id FROM oldest WHERE rows_in_group > 1 OR batch_id IS NOT NULL)\n    RETURNING pool_id, currency, generation, status, batch_id, count, value\n), of_batches AS (\n    INSERT INTO assets_batchsupply (batch_id, currency, status, count, value)\n        SELECT batch_id, currency, status, sum(count), sum(value) FROM merged\n        WHERE batch_id IS NOT NULL GROUP BY batch_id, currency, status HAVING sum(count) <> 0 OR sum(value) <> 0\n        ORDER BY batch_id, currency, status\n    ON CONFLICT (batch_id, currency, status) DO UPDATE\n        SET count = assets_batchsupply.count + excluded.count, value = assets_batchsupply.value + excluded.value\n)\nINSERT INTO assets_supplydelta (pool_id, currency, generation, status, count, value)\n    SELECT pool_id, currency, generation, status, sum(count), sum(value) FROM merged GROUP BY pool_id, currency, generation, status HAVING sum(count) <> 0 OR sum(value) <> 0;\n\n    RETURN NULL;\n    ', hash='387d3e78016f4023383766dc75e33287ab8293be', operation='INSERT', pgid='pgtrigger_seal_balances_added_a976f', table='ledger_seal', when='AFTER')),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
