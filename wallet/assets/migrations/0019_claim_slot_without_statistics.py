"""A claim finds the user's last slot in the pool in one row, whatever the planner knows."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0018_changes_by_transaction'),
    ]

    operations = [
        # Going back, this runs after the triggers are as they were.
        migrations.RunSQL(migrations.RunSQL.noop, 'SELECT public.harden_triggers()'),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='asset_claimed',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_claimed', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (OLD.status = 'AVAILABLE' AND NEW.status = 'CLAIMED')", declare='DECLARE policy record;', func="\n    NEW.claimed_at := clock_timestamp();\n    NEW.spendable_from := NULL;\n    NEW.spendable_until := NULL;\n    IF NEW.pool_id IS NULL THEN\n        NEW.claim_slot := NULL;\n        RETURN NEW;\n    END IF;\n    SELECT (pool.is_active AND pool.opens_at <= NEW.claimed_at AND (pool.closes_at IS NULL OR NEW.claimed_at < pool.closes_at)) AS is_open, pool.per_user_limit,\n            pool.pending_for, pool.valid_for, pool.ends_with_day, pool.valid_until, pool.time_zone\n        INTO policy FROM assets_creditpool AS pool WHERE pool.id = NEW.pool_id;\n    IF NOT policy.is_open THEN\n        RAISE EXCEPTION 'this pool is not open for claims' USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_open';\n    END IF;\n    -- Serializes the user's claims in the pool, so that each claim reads the slots of the claims before it.\n    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.pool_id::text || NEW.claimed_by_id::text, 0));\n    NEW.claim_slot := coalesce((SELECT latest.claim_slot FROM (SELECT slot.claimed_by_id, slot.claim_slot FROM assets_cashbackasset AS slot WHERE slot.pool_id = NEW.pool_id AND (slot.claimed_by_id, slot.claim_slot) <= (NEW.claimed_by_id, 2147483647) ORDER BY slot.claimed_by_id DESC, slot.claim_slot DESC LIMIT 1) AS latest WHERE latest.claimed_by_id = NEW.claimed_by_id), 0) + 1;\n    IF NEW.claim_slot > policy.per_user_limit THEN\n        RAISE EXCEPTION 'this user holds all the claims the pool allows' USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_claim_limit';\n    END IF;\n    \n    IF policy.pending_for IS NOT NULL THEN\n        NEW.spendable_from := (((NEW.claimed_at AT TIME ZONE policy.time_zone) + date_trunc('day', policy.pending_for)) AT TIME ZONE policy.time_zone) + (policy.pending_for - date_trunc('day', policy.pending_for));\n    END IF;\n    IF policy.valid_for IS NOT NULL THEN\n        NEW.spendable_until := coalesce(NEW.spendable_from, NEW.claimed_at);\n        NEW.spendable_until := (((NEW.spendable_until AT TIME ZONE policy.time_zone) + date_trunc('day', policy.valid_for)) AT TIME ZONE policy.time_zone) + (policy.valid_for - date_trunc('day', policy.valid_for));\n        IF policy.ends_with_day THEN\n            NEW.spendable_until := (date_trunc('day', NEW.spendable_until AT TIME ZONE policy.time_zone) + interval '1 day')\n                AT TIME ZONE policy.time_zone;\n        END IF;\n    END IF;\n    NEW.spendable_until := least(NEW.spendable_until, policy.valid_until);\n\n    RETURN NEW;\n", hash='079d545a064de89052ad0a44fde5cec9fa4b1b90', operation='UPDATE', pgid='pgtrigger_asset_claimed_a53ca', table='assets_cashbackasset', when='BEFORE')),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
