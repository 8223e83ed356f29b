"""Credits that can be claimed from a later time on: the status SCHEDULED and its rules; issues tell when they start."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0014_money_lists'),
        ('assets', '0021_budget'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # Operations are reversed from the last to the first: on the way back this one ends the migration.
        migrations.RunSQL(migrations.RunSQL.noop, 'SELECT public.harden_triggers()'),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='asset_issued',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='asset_born_available',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='asset_final',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='asset_claim_only',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='asset_same',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='update_update',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='supply_within_budget',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='supply_moved_within_budget',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='creditpool',
            name='pool_budget',
        ),
        migrations.RemoveConstraint(
            model_name='cashbackasset',
            name='asset_status_known',
        ),
        migrations.AddField(
            model_name='cashbackasset',
            name='claimable_from',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AlterField(
            model_name='cashbackasset',
            name='status',
            field=models.CharField(choices=[('SCHEDULED', 'Scheduled'), ('AVAILABLE', 'Available'), ('CLAIMED', 'Claimed'), ('EXPIRED', 'Expired')], default='AVAILABLE', editable=False, max_length=9),
        ),
        migrations.AlterField(
            model_name='cashbackassetevent',
            name='status',
            field=models.CharField(choices=[('SCHEDULED', 'Scheduled'), ('AVAILABLE', 'Available'), ('CLAIMED', 'Claimed'), ('EXPIRED', 'Expired')], default='AVAILABLE', editable=False, max_length=9),
        ),
        migrations.AddField(
            model_name='issuance',
            name='claimable_from',
            field=models.DateTimeField(help_text='When they can first be claimed. Blank: at once.', null=True),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_issued', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE source text; header jsonb; lowest uuid; highest uuid;', func="\n    PERFORM FROM assets_creditpool WHERE id IN (SELECT pool_id FROM issued) ORDER BY id FOR KEY SHARE;\n    IF EXISTS (\n        SELECT FROM issued JOIN assets_creditpool AS pool ON pool.id = issued.pool_id WHERE pool.currency <> issued.currency\n    ) THEN\n        RAISE EXCEPTION 'an asset is in the currency of its pool' USING ERRCODE = 'check_violation', CONSTRAINT = 'asset_pool_currency';\n    END IF;\n    source := coalesce(nullif(current_setting('cashback.channel', true), ''), 'sql');\n    header := nullif(current_setting('cashback.batch', true), '');\n    SELECT id INTO lowest FROM issued ORDER BY id LIMIT 1;\n    SELECT id INTO highest FROM issued ORDER BY id DESC LIMIT 1;\n    WITH line AS (\n        SELECT pool_id, currency, created_by_id, batch_id, recreated_from_id IS NOT NULL AS recreated, claimable_from,\n            count(*) AS count, sum(total_value) AS value\n        FROM issued GROUP BY pool_id, currency, created_by_id, batch_id, recreated, claimable_from\n    ), batch AS (\n        INSERT INTO assets_batch (id, title, file_name, file_digest, created_by_id, channel)\n            SELECT DISTINCT ON (batch_id) batch_id, coalesce(named.header ->> 'title', ''),\n                coalesce(named.header ->> 'file_name', ''), coalesce(named.header ->> 'file_digest', ''), created_by_id, source\n            FROM line LEFT JOIN (SELECT header) AS named ON named.header ->> 'id' = batch_id::text\n            WHERE batch_id IS NOT NULL\n        ON CONFLICT (id) DO NOTHING\n    )\n    INSERT INTO assets_issuance (\n            pool_id, currency, created_by_id, batch_id, channel, count, value, first_id, last_id, recreated,\n            claimable_from)\n        SELECT pool_id, currency, created_by_id, batch_id, source, count, value, lowest, highest, recreated, claimable_from\n            FROM line;\n    RETURN NULL;\n    ", hash='164345e6b1c12e8ce188b3cd33f0c8e9fa718bf0', level='STATEMENT', operation='INSERT', pgid='pgtrigger_asset_issued_6f034', referencing='REFERENCING NEW TABLE AS issued ', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_born_available', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.status <> CASE WHEN NEW.claimable_from IS NULL THEN 'AVAILABLE' ELSE 'SCHEDULED' END)", func="RAISE EXCEPTION 'an asset is issued AVAILABLE, or SCHEDULED with its start' USING ERRCODE = 'check_violation', CONSTRAINT = 'asset_born_available';", hash='ad21f6c84d1f8d23935eaa6c04742c09314f17a7', operation='INSERT', pgid='pgtrigger_asset_born_available_f1816', table='assets_cashbackasset', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_opens', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (OLD.status = 'SCHEDULED' OR NEW.status = 'SCHEDULED')", func="\n    IF OLD.status <> 'SCHEDULED' OR NEW.status NOT IN ('AVAILABLE', 'EXPIRED') THEN\n        RAISE EXCEPTION 'a scheduled asset changes only when it opens or expires' USING ERRCODE = 'check_violation', CONSTRAINT = 'asset_scheduled';\n    END IF;\n    IF NEW.status = 'AVAILABLE' AND OLD.claimable_from > clock_timestamp() THEN\n        RAISE EXCEPTION 'this asset can be claimed later' USING ERRCODE = 'check_violation', CONSTRAINT = 'asset_not_early';\n    END IF;\n    RETURN NEW;\n    ", hash='07d0801fd22c5d6f967a0487b29c63c9c2fe53d1', operation='UPDATE', pgid='pgtrigger_asset_opens_65051', table='assets_cashbackasset', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_final', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (OLD.status NOT IN ('AVAILABLE', 'SCHEDULED'))", func="RAISE EXCEPTION 'a claimed or expired asset never changes' USING ERRCODE = 'check_violation', CONSTRAINT = 'asset_final';", hash='3b46a7d2832f5c38ac717b7d942667b91b6b84a1', operation='UPDATE', pgid='pgtrigger_asset_final_e7802', table='assets_cashbackasset', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_same', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.id <> NEW.id OR OLD.created_at <> NEW.created_at OR OLD.created_by_id IS DISTINCT FROM NEW.created_by_id OR OLD.generation <> NEW.generation OR OLD.claimable_from IS DISTINCT FROM NEW.claimable_from OR OLD.recreated_from_id IS DISTINCT FROM NEW.recreated_from_id OR OLD.batch_id IS DISTINCT FROM NEW.batch_id)', func="RAISE EXCEPTION 'an asset keeps its id, origin and generation' USING ERRCODE = 'check_violation', CONSTRAINT = 'asset_same';", hash='e59d260dd396ee3bfc787b1536dda99069392df4', operation='UPDATE', pgid='pgtrigger_asset_same_4322a', table='assets_cashbackasset', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_claim_only', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.status <> NEW.status AND (OLD.total_value <> NEW.total_value OR OLD.currency <> NEW.currency OR OLD.title <> NEW.title OR OLD.pool_id IS DISTINCT FROM NEW.pool_id OR OLD.expires_at IS DISTINCT FROM NEW.expires_at))', func="RAISE EXCEPTION 'a claim or expiry changes nothing but the status' USING ERRCODE = 'check_violation', CONSTRAINT = 'asset_claim_only';", hash='01cae7cac4895e23d559df780983fe5d73c03943', operation='UPDATE', pgid='pgtrigger_asset_claim_only_f00a9', table='assets_cashbackasset', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='supply_within_budget', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE limited record;', func="\n    FOR limited IN SELECT id, budget FROM assets_creditpool WHERE budget IS NOT NULL AND id IN (SELECT pool_id FROM issued) ORDER BY id LOOP\n        PERFORM pg_advisory_xact_lock(hashtextextended(limited.id::text, 3));\n        IF coalesce((SELECT sum(counter.value) FROM assets_supplydelta AS counter WHERE counter.pool_id = limited.id AND counter.status IN ('AVAILABLE', 'SCHEDULED', 'CLAIMED')), 0) > limited.budget THEN\n            RAISE EXCEPTION 'this is more than the pool''s budget allows' USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_budget';\n        END IF;\n    END LOOP;\n     RETURN NULL;", hash='d75083f7b0fc36f7149d29a7cdd6c7ebe56d68c0', level='STATEMENT', operation='INSERT', pgid='pgtrigger_supply_within_budget_28006', referencing='REFERENCING NEW TABLE AS issued ', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='supply_moved_within_budget', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.status = 'AVAILABLE' AND (NEW.total_value > OLD.total_value OR NEW.pool_id IS DISTINCT FROM OLD.pool_id))", constraint='CONSTRAINT', declare='DECLARE limited record;', func="\n    FOR limited IN SELECT id, budget FROM assets_creditpool WHERE budget IS NOT NULL AND id = NEW.pool_id ORDER BY id LOOP\n        PERFORM pg_advisory_xact_lock(hashtextextended(limited.id::text, 3));\n        IF coalesce((SELECT sum(counter.value) FROM assets_supplydelta AS counter WHERE counter.pool_id = limited.id AND counter.status IN ('AVAILABLE', 'SCHEDULED', 'CLAIMED')), 0) > limited.budget THEN\n            RAISE EXCEPTION 'this is more than the pool''s budget allows' USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_budget';\n        END IF;\n    END LOOP;\n     RETURN NULL;", hash='a46dc3249a219ac3783d7bad325f16d1ac89fdaa', operation='UPDATE', pgid='pgtrigger_supply_moved_within_budget_a6965', table='assets_cashbackasset', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (OLD.* IS DISTINCT FROM NEW.* AND NEW.status <> 'CLAIMED' AND (OLD.status, NEW.status) <> ('SCHEDULED', 'AVAILABLE'))", func='INSERT INTO "assets_cashbackassetevent" ("batch_id", "claim_slot", "claimed_at", "claimed_by_id", "created_at", "created_by_id", "currency", "expires_at", "generation", "id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "pool_id", "recreated_from_id", "status", "title", "total_value", "before") VALUES (NEW."batch_id", NEW."claim_slot", NEW."claimed_at", NEW."claimed_by_id", NEW."created_at", NEW."created_by_id", NEW."currency", NEW."expires_at", NEW."generation", NEW."id", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."pool_id", NEW."recreated_from_id", NEW."status", NEW."title", NEW."total_value", CASE WHEN NEW.status = \'AVAILABLE\' THEN jsonb_build_object(\'title\', OLD.title, \'total_value\', OLD.total_value::text, \'currency\', OLD.currency, \'pool_id\', OLD.pool_id, \'expires_at\', OLD.expires_at) END); RETURN NULL;', hash='90095deb9c2d8b81b64a54c43e6233d2e166219f', operation='UPDATE', pgid='pgtrigger_update_update_d7c23', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='pool_budget', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (NEW.budget IS NOT NULL AND NEW.budget IS DISTINCT FROM OLD.budget)', func="\n    PERFORM FROM assets_creditpool WHERE id = OLD.id FOR UPDATE;\n    IF coalesce((SELECT sum(counter.value) FROM assets_supplydelta AS counter WHERE counter.pool_id = OLD.id AND counter.status IN ('AVAILABLE', 'SCHEDULED', 'CLAIMED')), 0) > NEW.budget THEN\n        RAISE EXCEPTION 'this is more than the pool''s budget allows' USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_budget';\n    END IF;\n    RETURN NEW;\n    ", hash='917ec14891d4da693f6c5cd9f115ab03c014076d', operation='UPDATE', pgid='pgtrigger_pool_budget_4395d', table='assets_creditpool', when='BEFORE')),
        ),
        AddConstraintNotValid(
            model_name='cashbackasset',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['SCHEDULED', 'AVAILABLE', 'CLAIMED', 'EXPIRED'])), name='asset_status_known'),
        ),
        AddConstraintNotValid(
            model_name='cashbackasset',
            constraint=models.CheckConstraint(condition=models.Q(('claimable_from__isnull', False), models.Q(('status', 'SCHEDULED'), _negated=True), _connector='OR'), name='asset_scheduled_for_a_time'),
        ),
        AddConstraintNotValid(
            model_name='cashbackasset',
            constraint=models.CheckConstraint(condition=models.Q(('claimable_from', None), ('expires_at', None), ('expires_at__gt', models.F('claimable_from')), _connector='OR'), name='asset_starts_before_expiry'),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
