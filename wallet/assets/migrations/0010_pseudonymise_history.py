"""The change history takes the pseudonym of an operator who closes their account, and nothing else."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_users_of_sessions'),
        ('assets', '0009_pool_archive'),
        ('ledger', '0010_plain_names'),
    ]

    operations = [
        # Removing a trigger leaves its function; going back, this runs after the trigger is removed.
        migrations.RunSQL(
            migrations.RunSQL.noop, 'DROP FUNCTION IF EXISTS pgtrigger_history_pseudonymised_2f1b6()'
        ),
        migrations.CreateModel(
            name='ClosedUser',
            fields=[
            ],
            options={
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('accounts.user',),
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='changecontext',
            name='context_immutable',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='changecontext',
            trigger=pgtrigger.compiler.Trigger(name='context_immutable', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.created_at IS DISTINCT FROM now() OR NEW.created_at <> OLD.created_at OR NEW.id <> OLD.id)', func="\n    IF NEW.id = OLD.id AND NEW.created_at = OLD.created_at AND NEW.metadata - 'email' = OLD.metadata - 'email' AND EXISTS (\n        SELECT FROM accounts_user AS account WHERE account.id = (OLD.metadata ->> 'user')::uuid\n        AND account.closed_at IS NOT NULL AND account.email = NEW.metadata ->> 'email'\n    ) THEN\n        RETURN NEW;\n    END IF;\n    RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'context_append_only';\n    ", hash='7488b44c0c9b9e8c8dab55184a6fdad249f95463', operation='UPDATE', pgid='pgtrigger_context_immutable_52555', table='pghistory_context', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='closeduser',
            trigger=pgtrigger.compiler.Trigger(name='history_pseudonymised', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.closed_at IS NULL AND NEW.closed_at IS NOT NULL)', func="\n    UPDATE pghistory_context SET metadata = jsonb_set(metadata, '{email}', to_jsonb(NEW.email))\n        WHERE metadata ? 'user' AND metadata ->> 'user' = NEW.id::text;\n    RETURN NULL;\n    ", hash='914ea353b01cbaf49db5b7feb8e944bb97327a98', operation='UPDATE', pgid='pgtrigger_history_pseudonymised_2f1b6', table='accounts_user', when='AFTER')),
        ),
        # `ledger.0011` makes the trigger run as the tables' owner, who alone may change the history.
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
