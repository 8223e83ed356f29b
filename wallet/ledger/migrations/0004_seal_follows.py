"""A seal follows the one before it and closes nothing that is still open."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations

from wallet.ledger.migrations._frozen import ENABLE_ALWAYS


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0003_carried_for_seals_alone'),
    ]

    operations = [
        pgtrigger.migrations.AddTrigger(
            model_name='seal',
            trigger=pgtrigger.compiler.Trigger(name='seal_follows', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE last record;', func="\n    SELECT seq, root, to_xid INTO last FROM ledger_seal ORDER BY seq DESC LIMIT 1;\n    IF NEW.seq <> coalesce(last.seq, 0) + 1 OR NEW.previous_root <> coalesce(last.root, sha256(''))\n        OR NEW.from_xid <> coalesce(last.to_xid, '0') THEN\n        RAISE EXCEPTION 'a seal follows the seal before it' USING ERRCODE = 'check_violation', CONSTRAINT = 'seal_follows';\n    END IF;\n    IF NEW.to_xid <= NEW.from_xid OR NEW.to_xid > pg_snapshot_xmin(pg_current_snapshot()) THEN\n        RAISE EXCEPTION 'a seal ends before the first transaction that is still open' USING ERRCODE = 'check_violation', CONSTRAINT = 'seal_closed';\n    END IF;\n    RETURN NEW;\n    ", hash='f6b9fd6d4f35671d5ae6295dceb9ccaf79d02199', operation='INSERT', pgid='pgtrigger_seal_follows_0ec5f', table='ledger_seal', when='BEFORE')),
        ),
        migrations.RunSQL(ENABLE_ALWAYS, migrations.RunSQL.noop),
    ]
