"""A claim in a pool whose credits are only granted has its grant."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0024_grants_only'),
        ('ledger', '0022_grants_count_together'),
    ]

    operations = [
        # Going back, this runs after the triggers are as they were.
        migrations.RunSQL(migrations.RunSQL.noop, 'SELECT public.harden_triggers()'),
        pgtrigger.migrations.RemoveTrigger(
            model_name='entry',
            name='entry_equals_asset',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='entry',
            trigger=pgtrigger.compiler.Trigger(name='entry_equals_asset', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.kind = 'CLAIM')", constraint='CONSTRAINT', declare='DECLARE needs_grant boolean;', func="\n    SELECT pool.grants_only INTO needs_grant\n        FROM assets_cashbackasset AS asset LEFT JOIN assets_creditpool AS pool ON pool.id = asset.pool_id\n        WHERE asset.id = NEW.asset_id AND asset.claimed_by_id = NEW.user_id AND asset.claimed_at = NEW.claimed_at\n            AND asset.total_value = NEW.amount AND asset.currency = NEW.currency\n            AND (asset.spendable_from, asset.spendable_until)\n                IS NOT DISTINCT FROM (NEW.spendable_from, NEW.spendable_until);\n    IF NOT FOUND THEN\n        RAISE EXCEPTION 'a claim entry must equal its asset''s owner, amount, currency and instant' USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_equals_asset';\n    END IF;\n    IF needs_grant AND NOT EXISTS (SELECT FROM ledger_grant AS made WHERE made.entry_id = NEW.id) THEN\n        RAISE EXCEPTION 'credits of this pool are only granted' USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_grants_only';\n    END IF;\n     RETURN NULL;", hash='414a503541e08ebae43f1ebd9528c9e69fa1d093', operation='INSERT', pgid='pgtrigger_entry_equals_asset_1b6b4', table='ledger_entry', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
