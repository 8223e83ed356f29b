"""The transaction that wrote each change and each issue, by which events are read in order; and which issues are recreations.

Rows from before have the transaction 1, so that they come first: a constant default rewrites no table.
"""

import django.db.models.expressions
import pgtrigger.compiler
import pgtrigger.migrations
import wallet.assets.migrations._frozen
from django.db import migrations, models


def add_xid(model: str, table: str) -> migrations.SeparateDatabaseAndState:
    field = wallet.assets.migrations._frozen.TransactionIdField(
        db_default=django.db.models.expressions.Func(function='pg_current_xact_id'), editable=False
    )
    return migrations.SeparateDatabaseAndState(
        database_operations=[
            migrations.RunSQL(
                f"ALTER TABLE {table} ADD COLUMN xid xid8 NOT NULL DEFAULT '1';"
                f" ALTER TABLE {table} ALTER COLUMN xid SET DEFAULT pg_current_xact_id()",
                f"ALTER TABLE {table} DROP COLUMN xid",
            )
        ],
        state_operations=[migrations.AddField(model_name=model, name='xid', field=field)],
    )


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0016_approval_threshold'),
        ('ledger', '0014_money_lists'),
    ]

    operations = [
        # Operations are reversed from the last to the first: on the way back this one ends the migration.
        migrations.RunSQL(migrations.RunSQL.noop, 'SELECT public.harden_triggers()'),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='asset_issued',
        ),
        add_xid('cashbackassetevent', 'assets_cashbackassetevent'),
        add_xid('issuance', 'assets_issuance'),
        migrations.AddField(
            model_name='issuance',
            name='recreated',
            field=models.BooleanField(db_default=False, default=False, help_text='Whether the credits replace expired ones.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_issued', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE source text; header jsonb; lowest uuid; highest uuid;', func="\n    PERFORM FROM assets_creditpool WHERE id IN (SELECT pool_id FROM issued) ORDER BY id FOR KEY SHARE;\n    IF EXISTS (\n        SELECT FROM issued JOIN assets_creditpool AS pool ON pool.id = issued.pool_id WHERE pool.currency <> issued.currency\n    ) THEN\n        RAISE EXCEPTION 'an asset is in the currency of its pool' USING ERRCODE = 'check_violation', CONSTRAINT = 'asset_pool_currency';\n    END IF;\n    source := coalesce(nullif(current_setting('cashback.channel', true), ''), 'sql');\n    header := nullif(current_setting('cashback.batch', true), '');\n    SELECT id INTO lowest FROM issued ORDER BY id LIMIT 1;\n    SELECT id INTO highest FROM issued ORDER BY id DESC LIMIT 1;\n    WITH line AS (\n        SELECT pool_id, currency, created_by_id, batch_id, recreated_from_id IS NOT NULL AS recreated,\n            count(*) AS count, sum(total_value) AS value\n        FROM issued GROUP BY pool_id, currency, created_by_id, batch_id, recreated\n    ), batch AS (\n        INSERT INTO assets_batch (id, title, file_name, file_digest, created_by_id, channel)\n            SELECT DISTINCT ON (batch_id) batch_id, coalesce(named.header ->> 'title', ''),\n                coalesce(named.header ->> 'file_name', ''), coalesce(named.header ->> 'file_digest', ''), created_by_id, source\n            FROM line LEFT JOIN (SELECT header) AS named ON named.header ->> 'id' = batch_id::text\n            WHERE batch_id IS NOT NULL\n        ON CONFLICT (id) DO NOTHING\n    )\n    INSERT INTO assets_issuance (\n            pool_id, currency, created_by_id, batch_id, channel, count, value, first_id, last_id, recreated)\n        SELECT pool_id, currency, created_by_id, batch_id, source, count, value, lowest, highest, recreated FROM line;\n    RETURN NULL;\n    ", hash='a5c703a8fa2c303f3ee66e67a9d741cf80f6b732', level='STATEMENT', operation='INSERT', pgid='pgtrigger_asset_issued_6f034', referencing='REFERENCING NEW TABLE AS issued ', table='assets_cashbackasset', when='AFTER')),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
