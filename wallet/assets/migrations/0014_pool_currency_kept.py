"""A pool keeps its currency while credits are on their way into it: issuing holds the pool's key, a new currency waits."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0013_money'),
        ('ledger', '0013_money'),  # the last harden_triggers()
    ]

    operations = [
        # Operations are reversed from the last to the first: on the way back this one ends the migration.
        migrations.RunSQL(migrations.RunSQL.noop, 'SELECT public.harden_triggers()'),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='asset_pool_currency_changed',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='asset_issued',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='creditpool',
            name='pool_currency',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_issued', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE source text; header jsonb; lowest uuid; highest uuid;', func="\n    PERFORM FROM assets_creditpool WHERE id IN (SELECT pool_id FROM issued) ORDER BY id FOR KEY SHARE;\n    IF EXISTS (\n        SELECT FROM issued JOIN assets_creditpool AS pool ON pool.id = issued.pool_id WHERE pool.currency <> issued.currency\n    ) THEN\n        RAISE EXCEPTION 'an asset is in the currency of its pool' USING ERRCODE = 'check_violation', CONSTRAINT = 'asset_pool_currency';\n    END IF;\n    source := coalesce(nullif(current_setting('cashback.channel', true), ''), 'sql');\n    header := nullif(current_setting('cashback.batch', true), '');\n    SELECT id INTO lowest FROM issued ORDER BY id LIMIT 1;\n    SELECT id INTO highest FROM issued ORDER BY id DESC LIMIT 1;\n    WITH line AS (\n        SELECT pool_id, currency, created_by_id, batch_id, count(*) AS count, sum(total_value) AS value\n        FROM issued GROUP BY pool_id, currency, created_by_id, batch_id\n    ), batch AS (\n        INSERT INTO assets_batch (id, title, file_name, file_digest, created_by_id, channel)\n            SELECT DISTINCT ON (batch_id) batch_id, coalesce(named.header ->> 'title', ''),\n                coalesce(named.header ->> 'file_name', ''), coalesce(named.header ->> 'file_digest', ''), created_by_id, source\n            FROM line LEFT JOIN (SELECT header) AS named ON named.header ->> 'id' = batch_id::text\n            WHERE batch_id IS NOT NULL\n        ON CONFLICT (id) DO NOTHING\n    )\n    INSERT INTO assets_issuance (pool_id, currency, created_by_id, batch_id, channel, count, value, first_id, last_id)\n        SELECT pool_id, currency, created_by_id, batch_id, source, count, value, lowest, highest FROM line;\n    RETURN NULL;\n    ", hash='946031a1a3e55beb61795b86a0ac92185006a297', level='STATEMENT', operation='INSERT', pgid='pgtrigger_asset_issued_6f034', referencing='REFERENCING NEW TABLE AS issued ', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_pool_currency_changed', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (OLD.status = 'AVAILABLE' AND NEW.pool_id IS NOT NULL)", func="\n    IF NEW.currency <> (SELECT currency FROM assets_creditpool WHERE id = NEW.pool_id FOR KEY SHARE) THEN\n        RAISE EXCEPTION 'an asset is in the currency of its pool' USING ERRCODE = 'check_violation', CONSTRAINT = 'asset_pool_currency';\n    END IF;\n    RETURN NEW;\n    ", hash='0ac630043099424dddc423158291671304ad1276', operation='UPDATE OF "pool_id", "currency"', pgid='pgtrigger_asset_pool_currency_changed_5f99a', table='assets_cashbackasset', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='pool_currency', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.currency <> NEW.currency)', func="\n    PERFORM FROM assets_creditpool WHERE id = OLD.id FOR UPDATE;\n    IF EXISTS (SELECT FROM assets_cashbackasset WHERE pool_id = OLD.id) THEN\n        RAISE EXCEPTION 'a pool with assets keeps its currency' USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_currency';\n    END IF;\n    RETURN NEW;\n    ", hash='4bd54530b09213f5de2aef4f4b228db40fa7abf4', operation='UPDATE', pgid='pgtrigger_pool_currency_c6f89', table='assets_creditpool', when='BEFORE')),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
