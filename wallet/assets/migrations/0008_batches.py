"""Batches of credits, their supply, and bulk jobs; each credit, issue and supply counter names its batch."""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

# In a new database the function comes with a later migration, which hardens all triggers that exist by then.
HARDEN = """
DO $$ BEGIN
    IF to_regprocedure('public.harden_triggers()') IS NOT NULL THEN
        PERFORM public.harden_triggers();
    END IF;
END $$
"""


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0007_plain_names'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # Operations are reversed from the last to the first: on the way back this one ends the migration.
        migrations.RunSQL(migrations.RunSQL.noop, HARDEN),
        migrations.CreateModel(
            name='Batch',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('title', models.CharField(blank=True, max_length=200)),
                ('file_name', models.CharField(blank=True, max_length=255)),
                ('file_digest', models.CharField(blank=True, help_text='SHA-256 of the imported file.', max_length=64)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('channel', models.CharField(max_length=20)),
            ],
            options={
                'verbose_name': 'batch',
                'verbose_name_plural': 'batches',
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='BatchSupply',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('currency', models.CharField(max_length=3)),
                ('status', models.CharField(help_text="An asset's status, or DELETED.", max_length=9)),
                ('count', models.BigIntegerField()),
                ('value', models.DecimalField(decimal_places=4, max_digits=24)),
            ],
            options={
                'verbose_name': 'supply of a batch',
                'verbose_name_plural': 'supply of batches',
            },
        ),
        migrations.CreateModel(
            name='BulkJob',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('EXPIRE', 'Expire'), ('EXTEND', 'Extend'), ('DELETE', 'Delete')], max_length=6)),
                ('state', models.CharField(choices=[('WAITING', 'Waiting'), ('RUNNING', 'Running'), ('DONE', 'Done'), ('CANCELLED', 'Cancelled'), ('FAILED', 'Failed')], default='WAITING', max_length=9)),
                ('until_time', models.DateTimeField(help_text='The new expiry of EXTEND.', null=True)),
                ('until_day', models.DateField(help_text="The last day of EXTEND, in each pool's time zone.", null=True)),
                ('channel', models.CharField(max_length=20)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('total', models.PositiveIntegerField(default=0, help_text='Unclaimed credits at the start.')),
                ('done', models.PositiveIntegerField(default=0)),
                ('passed_over', models.JSONField(default=dict, help_text='Number of credits that were left as they are, by reason.')),
                ('last_id', models.UUIDField(help_text='Credits up to this id are finished.', null=True)),
                ('locked_ids', models.JSONField(default=list, help_text='Credits that were locked and are tried again at the end.')),
                ('leased_until', models.DateTimeField(help_text='While a worker is at it.', null=True)),
                ('error', models.CharField(blank=True, max_length=200)),
            ],
            options={
                'verbose_name': 'bulk job',
                'verbose_name_plural': 'bulk jobs',
                'ordering': ('-id',),
            },
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='asset_same',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='delete_delete',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='update_update',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='asset_issued',
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
        migrations.AddField(
            model_name='issuance',
            name='first_id',
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name='issuance',
            name='last_id',
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name='batch',
            name='created_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='cashbackasset',
            name='batch',
            field=models.ForeignKey(blank=True, db_constraint=False, db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='assets', to='assets.batch'),
        ),
        migrations.AddField(
            model_name='cashbackassetevent',
            name='batch',
            field=models.ForeignKey(blank=True, db_constraint=False, db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='assets.batch'),
        ),
        migrations.AddField(
            model_name='issuance',
            name='batch',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='issuances', to='assets.batch'),
        ),
        migrations.AddField(
            model_name='supplydelta',
            name='batch',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.batch'),
        ),
        migrations.AddField(
            model_name='batchsupply',
            name='batch',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='supply', to='assets.batch'),
        ),
        migrations.AddField(
            model_name='bulkjob',
            name='batch',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='assets.batch'),
        ),
        migrations.AddField(
            model_name='bulkjob',
            name='created_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='bulkjob',
            name='pool',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='assets.creditpool'),
        ),
        migrations.AddIndex(
            model_name='batch',
            index=models.Index(condition=models.Q(('file_digest', ''), _negated=True), fields=['file_digest'], name='batch_file'),
        ),
        migrations.AddConstraint(
            model_name='batchsupply',
            constraint=models.UniqueConstraint(fields=('batch', 'currency', 'status'), name='batchsupply_group'),
        ),
        migrations.AddIndex(
            model_name='bulkjob',
            index=models.Index(models.F('id'), condition=models.Q(('state__in', ('WAITING', 'RUNNING'))), name='bulkjob_unfinished'),
        ),
        migrations.AddConstraint(
            model_name='bulkjob',
            constraint=models.CheckConstraint(condition=models.Q(('batch', None), ('pool', None), _connector='XOR'), name='bulkjob_batch_or_pool'),
        ),
        migrations.AddConstraint(
            model_name='bulkjob',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['EXPIRE', 'EXTEND', 'DELETE']), ('state__in', ['WAITING', 'RUNNING', 'DONE', 'CANCELLED', 'FAILED'])), name='bulkjob_known'),
        ),
        migrations.AddConstraint(
            model_name='bulkjob',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ('WAITING', 'RUNNING'))), fields=('batch',), name='bulkjob_one_per_batch'),
        ),
        migrations.AddConstraint(
            model_name='bulkjob',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ('WAITING', 'RUNNING'))), fields=('pool',), name='bulkjob_one_per_pool'),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, 'DROP FUNCTION pgtrigger_batch_append_only_rows_95dd4(); DROP FUNCTION pgtrigger_batch_append_only_table_b1a97()'),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_issued', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE source text; header jsonb; lowest uuid; highest uuid;', func="\n    IF EXISTS (\n        SELECT FROM issued JOIN assets_creditpool AS pool ON pool.id = issued.pool_id WHERE pool.currency <> issued.currency\n    ) THEN\n        RAISE EXCEPTION 'an asset is in the currency of its pool' USING ERRCODE = 'check_violation', CONSTRAINT = 'asset_pool_currency';\n    END IF;\n    source := coalesce(nullif(current_setting('cashback.channel', true), ''), 'sql');\n    header := nullif(current_setting('cashback.batch', true), '');\n    SELECT id INTO lowest FROM issued ORDER BY id LIMIT 1;\n    SELECT id INTO highest FROM issued ORDER BY id DESC LIMIT 1;\n    WITH line AS (\n        SELECT pool_id, currency, created_by_id, batch_id, count(*) AS count, sum(total_value) AS value\n        FROM issued GROUP BY pool_id, currency, created_by_id, batch_id\n    ), batch AS (\n        INSERT INTO assets_batch (id, title, file_name, file_digest, created_by_id, channel)\n            SELECT DISTINCT ON (batch_id) batch_id, coalesce(named.header ->> 'title', ''),\n                coalesce(named.header ->> 'file_name', ''), coalesce(named.header ->> 'file_digest', ''), created_by_id, source\n            FROM line LEFT JOIN (SELECT header) AS named ON named.header ->> 'id' = batch_id::text\n            WHERE batch_id IS NOT NULL\n        ON CONFLICT (id) DO NOTHING\n    )\n    INSERT INTO assets_issuance (pool_id, currency, created_by_id, batch_id, channel, count, value, first_id, last_id)\n        SELECT pool_id, currency, created_by_id, batch_id, source, count, value, lowest, highest FROM line;\n    RETURN NULL;\n    ", hash='334931503e9cd04538592b95902fd7bd6a82f503', level='STATEMENT', operation='INSERT', pgid='pgtrigger_asset_issued_6f034', referencing='REFERENCING NEW TABLE AS issued ', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_same', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.id <> NEW.id OR OLD.created_at <> NEW.created_at OR OLD.created_by_id IS DISTINCT FROM NEW.created_by_id OR OLD.generation <> NEW.generation OR OLD.recreated_from_id IS DISTINCT FROM NEW.recreated_from_id OR OLD.batch_id IS DISTINCT FROM NEW.batch_id)', func="RAISE EXCEPTION 'an asset keeps its id, origin and generation' USING ERRCODE = 'check_violation', CONSTRAINT = 'asset_same';", hash='9ac30daac02c2ee3105ccc7846d01001f4ce2aa6', operation='UPDATE', pgid='pgtrigger_asset_same_4322a', table='assets_cashbackasset', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='supply_issued', sql=pgtrigger.compiler.UpsertTriggerSql(func='\n        INSERT INTO assets_supplydelta (pool_id, currency, generation, status, batch_id, count, value)\n            SELECT pool_id, currency, generation, status, batch_id, sum(sign), sum(sign * total_value) FROM (SELECT pool_id, currency, generation, status, batch_id, total_value, 1 AS sign FROM issued) AS change GROUP BY pool_id, currency, generation, status, batch_id\n            HAVING sum(sign) <> 0 OR sum(sign * total_value) <> 0;\n        RETURN NULL;\n        ', hash='57230f0e6cd23930e8b0a381fb4d4c4adb6000d4', level='STATEMENT', operation='INSERT', pgid='pgtrigger_supply_issued_dfe7c', referencing='REFERENCING NEW TABLE AS issued ', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='supply_changed', sql=pgtrigger.compiler.UpsertTriggerSql(func='\n        INSERT INTO assets_supplydelta (pool_id, currency, generation, status, batch_id, count, value)\n            SELECT pool_id, currency, generation, status, batch_id, sum(sign), sum(sign * total_value) FROM (SELECT pool_id, currency, generation, status, batch_id, total_value, 1 AS sign FROM changed UNION ALL SELECT pool_id, currency, generation, status, batch_id, total_value, -1 AS sign FROM former) AS change GROUP BY pool_id, currency, generation, status, batch_id\n            HAVING sum(sign) <> 0 OR sum(sign * total_value) <> 0;\n        RETURN NULL;\n        ', hash='c06f8cd8f296e9a169a238c5921905212a6dee5d', level='STATEMENT', operation='UPDATE', pgid='pgtrigger_supply_changed_a5601', referencing='REFERENCING OLD TABLE AS former  NEW TABLE AS changed ', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='supply_deleted', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n        INSERT INTO assets_supplydelta (pool_id, currency, generation, status, batch_id, count, value)\n            SELECT pool_id, currency, generation, status, batch_id, sum(sign), sum(sign * total_value) FROM (SELECT pool_id, currency, generation, status, batch_id, total_value, -1 AS sign FROM former UNION ALL SELECT pool_id, currency, generation, 'DELETED', batch_id, total_value, 1 FROM former) AS change GROUP BY pool_id, currency, generation, status, batch_id\n            HAVING sum(sign) <> 0 OR sum(sign * total_value) <> 0;\n        RETURN NULL;\n        ", hash='bce1f2907a8d3a0eb00194474cbb13e17444589a', level='STATEMENT', operation='DELETE', pgid='pgtrigger_supply_deleted_d1309', referencing='REFERENCING OLD TABLE AS former ', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (OLD.* IS DISTINCT FROM NEW.* AND NEW.status <> 'CLAIMED')", func='INSERT INTO "assets_cashbackassetevent" ("batch_id", "claim_slot", "claimed_at", "claimed_by_id", "created_at", "created_by_id", "currency", "expires_at", "generation", "id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "pool_id", "recreated_from_id", "status", "title", "total_value", "before") VALUES (NEW."batch_id", NEW."claim_slot", NEW."claimed_at", NEW."claimed_by_id", NEW."created_at", NEW."created_by_id", NEW."currency", NEW."expires_at", NEW."generation", NEW."id", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."pool_id", NEW."recreated_from_id", NEW."status", NEW."title", NEW."total_value", CASE WHEN NEW.status = \'AVAILABLE\' THEN jsonb_build_object(\'title\', OLD.title, \'total_value\', OLD.total_value::text, \'currency\', OLD.currency, \'pool_id\', OLD.pool_id, \'expires_at\', OLD.expires_at) END); RETURN NULL;', hash='eb02b7bb32fc0cabe867e78ab437abfe74273200', operation='UPDATE', pgid='pgtrigger_update_update_d7c23', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assets_cashbackassetevent" ("batch_id", "claim_slot", "claimed_at", "claimed_by_id", "created_at", "created_by_id", "currency", "expires_at", "generation", "id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "pool_id", "recreated_from_id", "status", "title", "total_value") VALUES (OLD."batch_id", OLD."claim_slot", OLD."claimed_at", OLD."claimed_by_id", OLD."created_at", OLD."created_by_id", OLD."currency", OLD."expires_at", OLD."generation", OLD."id", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."pool_id", OLD."recreated_from_id", OLD."status", OLD."title", OLD."total_value"); RETURN NULL;', hash='2062316ae3791dafc012287b5d0f1584df5c1b13', operation='DELETE', pgid='pgtrigger_delete_delete_157ad', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='batch',
            trigger=pgtrigger.compiler.Trigger(name='batch_append_only_rows', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'batch_append_only';", hash='db1a80d040c55e8f50a5b11dc06a1117fd450892', operation='UPDATE OR DELETE', pgid='pgtrigger_batch_append_only_rows_95dd4', table='assets_batch', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='batch',
            trigger=pgtrigger.compiler.Trigger(name='batch_append_only_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'batch_append_only';", hash='b9cd5534d134c8cf046620417c16339758903de5', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_batch_append_only_table_b1a97', table='assets_batch', when='BEFORE')),
        ),
        migrations.RunSQL(HARDEN, migrations.RunSQL.noop),
    ]
