"""Grants of one statement count together: a bulk grant above a pool's approval threshold needs an approval."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0021_autovacuum'),
    ]

    operations = [
        # Going back, this runs after the triggers are as they were.
        migrations.RunSQL(migrations.RunSQL.noop, 'SELECT public.harden_triggers()'),
        pgtrigger.migrations.RemoveTrigger(
            model_name='grant',
            name='grant_approved',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grant',
            trigger=pgtrigger.compiler.Trigger(name='grant_approved', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n    IF EXISTS (\n        SELECT FROM granted JOIN ledger_entry AS entry ON entry.id = granted.entry_id\n            JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id\n            JOIN assets_creditpool AS pool ON pool.id = asset.pool_id AND pool.approval_threshold IS NOT NULL\n        WHERE NOT EXISTS (SELECT FROM ledger_proposal AS proposal WHERE proposal.result = entry.id AND proposal.kind IN ('GRANT') AND proposal.approved AND proposal.decided_xid = pg_current_xact_id() AND entry.amount <= proposal.amount)\n        GROUP BY pool.id HAVING sum(entry.amount) > pool.approval_threshold\n    ) THEN\n        RAISE EXCEPTION 'this is worth more than the pool''s approval threshold: another operator decides' USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_required';\n    END IF;\n    RETURN NULL;\n    ", hash='74699256eb114dec2e4db95295b8c6a63342ae5b', level='STATEMENT', operation='INSERT', pgid='pgtrigger_grant_approved_db5e7', referencing='REFERENCING NEW TABLE AS granted ', table='ledger_grant', when='AFTER')),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
