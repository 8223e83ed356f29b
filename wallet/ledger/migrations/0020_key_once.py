"""An idempotency key is single over all partitions."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0019_key_ring'),
    ]

    operations = [
        # Going back, this runs after the triggers are as they were.
        migrations.RunSQL(migrations.RunSQL.noop, 'SELECT public.harden_triggers()'),
        pgtrigger.migrations.AddTrigger(
            model_name='idempotencykey',
            trigger=pgtrigger.compiler.Trigger(name='key_once', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.user_id::text || NEW.route || ' ' || NEW.key, 2));\n    IF EXISTS (\n        SELECT FROM ledger_idempotencykey WHERE user_id = NEW.user_id AND route = NEW.route AND key = NEW.key\n            AND partition_number <> NEW.partition_number\n    ) THEN\n        RETURN NULL;\n    END IF;\n    RETURN NEW;\n    ", hash='4ba6623c3bb4aeaef438dbacedef32d98871f987', operation='INSERT', pgid='pgtrigger_key_once_2e130', table='ledger_idempotencykey', when='BEFORE')),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
