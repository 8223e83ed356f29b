"""Add up the supply with each seal; what writes it does so as the tables' owner."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations

from wallet.ledger.migrations._frozen import CARRIED_BY_OWNER, ENABLE_ALWAYS


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0006_before_kept_always'),
        ('assets', '0005_supply'),
    ]

    operations = [
        # What is made anew on the way back is made so, too.
        migrations.RunSQL(migrations.RunSQL.noop, CARRIED_BY_OWNER),
        migrations.RunSQL(migrations.RunSQL.noop, ENABLE_ALWAYS),
        pgtrigger.migrations.RemoveTrigger(
            model_name='seal',
            name='seal_carried',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='seal',
            trigger=pgtrigger.compiler.Trigger(name='seal_carried', sql=pgtrigger.compiler.UpsertTriggerSql(func='\n    INSERT INTO ledger_subtotal (user_id, currency, amount, claims)\n        SELECT user_id, currency, sum(amount), count(*) FROM ledger_entry\n        WHERE xid >= NEW.from_xid AND xid < NEW.to_xid GROUP BY user_id, currency\n    ON CONFLICT (user_id, currency) DO UPDATE\n        SET amount = ledger_subtotal.amount + excluded.amount, claims = ledger_subtotal.claims + excluded.claims;\n    \nWITH line AS (\n    SELECT id, count(*) OVER (PARTITION BY pool_id, currency, generation, status) AS lines\n    FROM (SELECT id, pool_id, currency, generation, status FROM assets_supply ORDER BY id LIMIT 100000) AS oldest\n), gone AS (\n    DELETE FROM assets_supply WHERE id IN (SELECT id FROM line WHERE lines > 1) RETURNING pool_id, currency, generation, status, number, value\n)\nINSERT INTO assets_supply (pool_id, currency, generation, status, number, value)\n    SELECT pool_id, currency, generation, status, sum(number), sum(value) FROM gone GROUP BY pool_id, currency, generation, status HAVING sum(number) <> 0 OR sum(value) <> 0;\n\n    RETURN NULL;\n    ', hash='630241a2493519532d75bd2281176247e6c0832f', operation='INSERT', pgid='pgtrigger_seal_carried_177f3', table='ledger_seal', when='AFTER')),
        ),
        migrations.RunSQL(CARRIED_BY_OWNER, migrations.RunSQL.noop),
        migrations.RunSQL(ENABLE_ALWAYS, migrations.RunSQL.noop),
    ]
