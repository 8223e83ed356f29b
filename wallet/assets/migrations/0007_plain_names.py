"""Standard names: channel and action for door and act, SupplyDelta for Supply, and two triggers; existing rows change with them.

One transaction. It rewrites the rows of pghistory_context, which are append-only: their guard is replaced by its successor, and
the rewrite happens between the two. Other sessions wait for the lock that this takes, and never see the table unguarded.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

# In a new database the function comes with a later migration, which hardens all triggers that exist by then.
HARDEN = """
DO $$ BEGIN
    IF to_regprocedure('public.harden_triggers()') IS NOT NULL THEN
        PERFORM public.harden_triggers();
    END IF;
END $$
"""

# {old} and {new} are keys of the context; one value changes too.
RENAME_CONTEXT_KEYS = """
UPDATE pghistory_context SET metadata = metadata - '{{{old_channel},{old_action}}}'::text[]
    || CASE WHEN jsonb_exists(metadata, '{old_channel}') THEN jsonb_build_object('{new_channel}',
        CASE WHEN metadata ->> '{old_channel}' = '{old_value}' THEN '"{new_value}"' ELSE metadata -> '{old_channel}' END)
        ELSE '{{}}' END
    || CASE WHEN jsonb_exists(metadata, '{old_action}') THEN jsonb_build_object('{new_action}', metadata -> '{old_action}')
        ELSE '{{}}' END
WHERE jsonb_typeof(metadata) = 'object' AND jsonb_exists_any(metadata, ARRAY['{old_channel}', '{old_action}'])
"""
FORMER = {"channel": "door", "action": "act", "value": "clock"}
STANDARD = {"channel": "channel", "action": "action", "value": "scheduler"}

# The issue log is append-only; its guard is lifted for this statement alone.
RENAME_ISSUANCE_CHANNEL = """
ALTER TABLE assets_issuance DISABLE TRIGGER pgtrigger_issuance_append_only_rows_bbb65;
UPDATE assets_issuance SET channel = '{new_value}' WHERE channel = '{old_value}';
ALTER TABLE assets_issuance ENABLE ALWAYS TRIGGER pgtrigger_issuance_append_only_rows_bbb65;
"""


def renamed(sql: str, old: dict[str, str], new: dict[str, str]) -> str:
    """Return the SQL that replaces the words `old` by `new`."""
    return sql.format(**{f"old_{k}": v for k, v in old.items()}, **{f"new_{k}": v for k, v in new.items()})

# Django renames the table, not what belongs to it.
RENAME_PARTS_OF_SUPPLY = """
ALTER SEQUENCE {old_table}_id_seq RENAME TO {new_table}_id_seq;
ALTER INDEX {old_index} RENAME TO {new_index};
DO $$
DECLARE rule text;
BEGIN
    FOR rule IN SELECT conname FROM pg_constraint WHERE conrelid = 'assets_supplydelta'::regclass LOOP
        EXECUTE format('ALTER TABLE assets_supplydelta RENAME CONSTRAINT %I TO %I', rule,
            replace(replace(rule, '{old_table}_', '{new_table}_'), '_{old_column}_', '_{new_column}_'));
    END LOOP;
END $$
"""
SUPPLY = {"table": "assets_supply", "index": "assets_supply_pool_id_7e54fd3f", "column": "number"}
SUPPLY_DELTA = {"table": "assets_supplydelta", "index": "assets_supplydelta_pool_id_ffc17620", "column": "count"}


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0006_asset_offered'),
        # RenameModel also renames the model's content type, in the form that the table has since this migration.
        ('contenttypes', '0002_remove_content_type_name'),
        ('pghistory', '0007_auto_20250421_0444'),
    ]

    operations = [
        # Operations are reversed from the last to the first: on the way back this one ends the migration.
        migrations.RunSQL(migrations.RunSQL.noop, HARDEN),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='asset_issued',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='asset_handover',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='supply_issued',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='supply_changed',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='supply_deleted',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='changecontext',
            name='context_kept',
        ),
        migrations.RunSQL(
            'DROP FUNCTION pgtrigger_asset_handover_d2082(); DROP FUNCTION pgtrigger_context_kept_8a6c7()', migrations.RunSQL.noop
        ),
        migrations.RenameModel(old_name='Supply', new_name='SupplyDelta'),
        migrations.RenameField(model_name='supplydelta', old_name='number', new_name='count'),
        migrations.AlterField(
            model_name='supplydelta',
            name='pool',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='supply_deltas', to='assets.creditpool'),
        ),
        migrations.AlterField(
            model_name='supplydelta',
            name='status',
            field=models.CharField(help_text="An asset's status, or DELETED.", max_length=9),
        ),
        migrations.RunSQL(
            renamed(RENAME_PARTS_OF_SUPPLY, SUPPLY, SUPPLY_DELTA), renamed(RENAME_PARTS_OF_SUPPLY, SUPPLY_DELTA, SUPPLY)
        ),
        migrations.RenameField(
            model_name='issuance',
            old_name='door',
            new_name='channel',
        ),
        migrations.RunSQL(renamed(RENAME_ISSUANCE_CHANNEL, FORMER, STANDARD), renamed(RENAME_ISSUANCE_CHANNEL, STANDARD, FORMER)),
        migrations.RunSQL(renamed(RENAME_CONTEXT_KEYS, FORMER, STANDARD), renamed(RENAME_CONTEXT_KEYS, STANDARD, FORMER)),
        migrations.RunSQL(
            migrations.RunSQL.noop, 'DROP FUNCTION pgtrigger_asset_claimed_a53ca(); DROP FUNCTION pgtrigger_context_immutable_52555()'
        ),
        migrations.AlterModelOptions(
            name='cashbackassetevent',
            options={'verbose_name': 'change of a credit', 'verbose_name_plural': 'change log'},
        ),
        migrations.AlterModelOptions(
            name='issuance',
            options={'ordering': ('-id',), 'verbose_name': 'issue', 'verbose_name_plural': 'issue history'},
        ),
        migrations.AlterField(
            model_name='cashbackasset',
            name='currency',
            field=models.CharField(error_messages={'blank': 'Enter a currency such as INR, or choose a pool to use its currency.'}, help_text='Three-letter currency code, e.g. INR.', max_length=3),
        ),
        migrations.AlterField(
            model_name='cashbackasset',
            name='expires_at',
            field=models.DateTimeField(blank=True, help_text='Expiry time (exclusive). Leave blank for no expiry.', null=True),
        ),
        migrations.AlterField(
            model_name='cashbackassetevent',
            name='currency',
            field=models.CharField(error_messages={'blank': 'Enter a currency such as INR, or choose a pool to use its currency.'}, help_text='Three-letter currency code, e.g. INR.', max_length=3),
        ),
        migrations.AlterField(
            model_name='cashbackassetevent',
            name='expires_at',
            field=models.DateTimeField(blank=True, help_text='Expiry time (exclusive). Leave blank for no expiry.', null=True),
        ),
        migrations.AlterField(
            model_name='creditpool',
            name='closes_at',
            field=models.DateTimeField(blank=True, help_text='When claiming ends. Leave blank for no end.', null=True),
        ),
        migrations.AlterField(
            model_name='creditpool',
            name='currency',
            field=models.CharField(help_text='Three-letter currency code, e.g. INR.', max_length=3),
        ),
        migrations.AlterField(
            model_name='creditpool',
            name='is_active',
            field=models.BooleanField(default=True, help_text='Turn off to pause claims and hide the pool.'),
        ),
        migrations.AlterField(
            model_name='creditpool',
            name='opens_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), help_text='When claiming starts.'),
        ),
        migrations.AlterField(
            model_name='creditpool',
            name='per_user_limit',
            field=models.PositiveSmallIntegerField(blank=True, help_text='Maximum number of credits per user. Leave blank for no limit.', null=True),
        ),
        migrations.AlterField(
            model_name='creditpool',
            name='time_zone',
            field=models.CharField(default='UTC', help_text='Time zone used for end-of-day expiry.', max_length=64),
        ),
        migrations.AlterField(
            model_name='creditpoolevent',
            name='closes_at',
            field=models.DateTimeField(blank=True, help_text='When claiming ends. Leave blank for no end.', null=True),
        ),
        migrations.AlterField(
            model_name='creditpoolevent',
            name='currency',
            field=models.CharField(help_text='Three-letter currency code, e.g. INR.', max_length=3),
        ),
        migrations.AlterField(
            model_name='creditpoolevent',
            name='is_active',
            field=models.BooleanField(default=True, help_text='Turn off to pause claims and hide the pool.'),
        ),
        migrations.AlterField(
            model_name='creditpoolevent',
            name='opens_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), help_text='When claiming starts.'),
        ),
        migrations.AlterField(
            model_name='creditpoolevent',
            name='per_user_limit',
            field=models.PositiveSmallIntegerField(blank=True, help_text='Maximum number of credits per user. Leave blank for no limit.', null=True),
        ),
        migrations.AlterField(
            model_name='creditpoolevent',
            name='time_zone',
            field=models.CharField(default='UTC', help_text='Time zone used for end-of-day expiry.', max_length=64),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_issued', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n    IF EXISTS (\n        SELECT FROM issued JOIN assets_creditpool AS pool ON pool.id = issued.pool_id WHERE pool.currency <> issued.currency\n    ) THEN\n        RAISE EXCEPTION 'an asset is in the currency of its pool' USING ERRCODE = 'check_violation', CONSTRAINT = 'asset_pool_currency';\n    END IF;\n    INSERT INTO assets_issuance (pool_id, currency, created_by_id, channel, count, value)\n        SELECT pool_id, currency, created_by_id, coalesce(nullif(current_setting('cashback.channel', true), ''), 'sql'),\n            count(*), sum(total_value)\n        FROM issued GROUP BY pool_id, currency, created_by_id;\n    RETURN NULL;\n    ", hash='b90560473ef4e3458fc6b0e1fa54fe43aa592a55', level='STATEMENT', operation='INSERT', pgid='pgtrigger_asset_issued_6f034', referencing='REFERENCING NEW TABLE AS issued ', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_claimed', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (OLD.status = 'AVAILABLE' AND NEW.status = 'CLAIMED')", declare='DECLARE pool_is_open boolean; claim_limit integer;', func="\n    NEW.claimed_at := clock_timestamp();\n    IF NEW.pool_id IS NULL THEN\n        NEW.claim_slot := NULL;\n        RETURN NEW;\n    END IF;\n    SELECT (pool.is_active AND pool.opens_at <= NEW.claimed_at AND (pool.closes_at IS NULL OR NEW.claimed_at < pool.closes_at)), pool.per_user_limit\n        INTO pool_is_open, claim_limit FROM assets_creditpool AS pool WHERE pool.id = NEW.pool_id;\n    IF NOT pool_is_open THEN\n        RAISE EXCEPTION 'this pool is not open for claims' USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_open';\n    END IF;\n    -- Serializes the user's claims in the pool, so that each claim reads the slots of the claims before it.\n    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.pool_id::text || NEW.claimed_by_id::text, 0));\n    NEW.claim_slot := coalesce((SELECT max(slot.claim_slot) FROM assets_cashbackasset AS slot WHERE slot.pool_id = NEW.pool_id AND slot.claimed_by_id = NEW.claimed_by_id), 0) + 1;\n    IF NEW.claim_slot > claim_limit THEN\n        RAISE EXCEPTION 'this user holds all the claims the pool allows' USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_claim_limit';\n    END IF;\n    RETURN NEW;\n", hash='731c401b8170fc47f035a764bf6435a86d26ab12', operation='UPDATE', pgid='pgtrigger_asset_claimed_a53ca', table='assets_cashbackasset', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='supply_issued', sql=pgtrigger.compiler.UpsertTriggerSql(func='\n        INSERT INTO assets_supplydelta (pool_id, currency, generation, status, count, value)\n            SELECT pool_id, currency, generation, status, sum(sign), sum(sign * total_value) FROM (SELECT pool_id, currency, generation, status, total_value, 1 AS sign FROM issued) AS change GROUP BY pool_id, currency, generation, status\n            HAVING sum(sign) <> 0 OR sum(sign * total_value) <> 0;\n        RETURN NULL;\n        ', hash='f5ef7362b2aef4e73a29567bb213240997e000c6', level='STATEMENT', operation='INSERT', pgid='pgtrigger_supply_issued_dfe7c', referencing='REFERENCING NEW TABLE AS issued ', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='supply_changed', sql=pgtrigger.compiler.UpsertTriggerSql(func='\n        INSERT INTO assets_supplydelta (pool_id, currency, generation, status, count, value)\n            SELECT pool_id, currency, generation, status, sum(sign), sum(sign * total_value) FROM (SELECT pool_id, currency, generation, status, total_value, 1 AS sign FROM changed UNION ALL SELECT pool_id, currency, generation, status, total_value, -1 AS sign FROM former) AS change GROUP BY pool_id, currency, generation, status\n            HAVING sum(sign) <> 0 OR sum(sign * total_value) <> 0;\n        RETURN NULL;\n        ', hash='cc7fba0180103e55bc36ae5bd60bc8ea0fd08eb0', level='STATEMENT', operation='UPDATE', pgid='pgtrigger_supply_changed_a5601', referencing='REFERENCING OLD TABLE AS former  NEW TABLE AS changed ', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='supply_deleted', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n        INSERT INTO assets_supplydelta (pool_id, currency, generation, status, count, value)\n            SELECT pool_id, currency, generation, status, sum(sign), sum(sign * total_value) FROM (SELECT pool_id, currency, generation, status, total_value, -1 AS sign FROM former UNION ALL SELECT pool_id, currency, generation, 'DELETED', total_value, 1 FROM former) AS change GROUP BY pool_id, currency, generation, status\n            HAVING sum(sign) <> 0 OR sum(sign * total_value) <> 0;\n        RETURN NULL;\n        ", hash='ff535776eb69a526ddc686879fbae3dc5d05b84f', level='STATEMENT', operation='DELETE', pgid='pgtrigger_supply_deleted_d1309', referencing='REFERENCING OLD TABLE AS former ', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='changecontext',
            trigger=pgtrigger.compiler.Trigger(name='context_immutable', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.created_at IS DISTINCT FROM now() OR NEW.created_at <> OLD.created_at OR NEW.id <> OLD.id)', func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'context_append_only';", hash='60f03a465a16345adfdd7c3084b5c2c681f84ac2', operation='UPDATE', pgid='pgtrigger_context_immutable_52555', table='pghistory_context', when='BEFORE')),
        ),
        migrations.RunSQL(HARDEN, migrations.RunSQL.noop),
    ]
