"""Limits per user and day, week or month: two columns of pools, and the claim trigger that keeps them."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0014_money_lists'),
        ('accounts', '0008_service_keys'),
        ('assets', '0019_claim_slot_without_statistics'),
    ]

    operations = [
        # Operations are reversed from the last to the first: on the way back this one ends the migration.
        migrations.RunSQL(migrations.RunSQL.noop, 'SELECT public.harden_triggers()'),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='asset_claimed',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='creditpool',
            name='insert_insert',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='creditpool',
            name='update_update',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='creditpool',
            name='delete_delete',
        ),
        migrations.AddField(
            model_name='creditpool',
            name='limit_period',
            field=models.CharField(choices=[('DAY', 'Day'), ('WEEK', 'Week'), ('MONTH', 'Month')], db_default='DAY', default='DAY', max_length=5),
        ),
        migrations.AddField(
            model_name='creditpool',
            name='period_limit',
            field=models.PositiveSmallIntegerField(blank=True, help_text='Maximum number of credits per user within a period. Leave blank for no limit.', null=True),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='limit_period',
            field=models.CharField(choices=[('DAY', 'Day'), ('WEEK', 'Week'), ('MONTH', 'Month')], db_default='DAY', default='DAY', max_length=5),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='period_limit',
            field=models.PositiveSmallIntegerField(blank=True, help_text='Maximum number of credits per user within a period. Leave blank for no limit.', null=True),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_claimed', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (OLD.status = 'AVAILABLE' AND NEW.status = 'CLAIMED')", declare='DECLARE policy record;', func='\n    NEW.claimed_at := clock_timestamp();\n    NEW.spendable_from := NULL;\n    NEW.spendable_until := NULL;\n    IF NEW.pool_id IS NULL THEN\n        NEW.claim_slot := NULL;\n        RETURN NEW;\n    END IF;\n    SELECT (pool.is_active AND pool.opens_at <= NEW.claimed_at AND (pool.closes_at IS NULL OR NEW.claimed_at < pool.closes_at)) AS is_open, pool.per_user_limit,\n            pool.pending_for, pool.valid_for, pool.ends_with_day, pool.valid_until, pool.time_zone, pool.period_limit,\n            pool.limit_period\n        INTO policy FROM assets_creditpool AS pool WHERE pool.id = NEW.pool_id;\n    IF NOT policy.is_open THEN\n        RAISE EXCEPTION \'this pool is not open for claims\' USING ERRCODE = \'check_violation\', CONSTRAINT = \'pool_open\';\n    END IF;\n    -- Serializes the user\'s claims in the pool, so that each claim reads the slots of the claims before it.\n    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.pool_id::text || NEW.claimed_by_id::text, 0));\n    NEW.claim_slot := coalesce((SELECT latest.claim_slot FROM (SELECT slot.claimed_by_id, slot.claim_slot FROM assets_cashbackasset AS slot WHERE slot.pool_id = NEW.pool_id AND (slot.claimed_by_id, slot.claim_slot) <= (NEW.claimed_by_id, 2147483647) ORDER BY slot.claimed_by_id DESC, slot.claim_slot DESC LIMIT 1) AS latest WHERE latest.claimed_by_id = NEW.claimed_by_id), 0) + 1;\n    IF NEW.claim_slot > policy.per_user_limit THEN\n        RAISE EXCEPTION \'this user holds all the claims the pool allows\' USING ERRCODE = \'check_violation\', CONSTRAINT = \'pool_claim_limit\';\n    END IF;\n    \n    IF policy.period_limit IS NOT NULL THEN\n        IF EXISTS (SELECT FROM assets_cashbackasset AS slot WHERE slot.pool_id = NEW.pool_id AND slot.claimed_by_id = NEW.claimed_by_id AND slot.claim_slot = NEW.claim_slot - policy.period_limit AND date_trunc(policy.limit_period, slot.claimed_at AT TIME ZONE policy.time_zone) >= date_trunc(policy.limit_period, NEW.claimed_at AT TIME ZONE policy.time_zone)) THEN\n            RAISE EXCEPTION \'this user holds all the claims the pool allows in this period\' USING ERRCODE = \'check_violation\',\n                CONSTRAINT = \'pool_period_limit\',\n                DETAIL = to_char(((date_trunc(policy.limit_period, NEW.claimed_at AT TIME ZONE policy.time_zone) + (\'1 \' || policy.limit_period)::interval) AT TIME ZONE policy.time_zone) AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS"Z"\');\n        END IF;\n    END IF;\n\n    \n    IF policy.pending_for IS NOT NULL THEN\n        NEW.spendable_from := (((NEW.claimed_at AT TIME ZONE policy.time_zone) + date_trunc(\'day\', policy.pending_for)) AT TIME ZONE policy.time_zone) + (policy.pending_for - date_trunc(\'day\', policy.pending_for));\n    END IF;\n    IF policy.valid_for IS NOT NULL THEN\n        NEW.spendable_until := coalesce(NEW.spendable_from, NEW.claimed_at);\n        NEW.spendable_until := (((NEW.spendable_until AT TIME ZONE policy.time_zone) + date_trunc(\'day\', policy.valid_for)) AT TIME ZONE policy.time_zone) + (policy.valid_for - date_trunc(\'day\', policy.valid_for));\n        IF policy.ends_with_day THEN\n            NEW.spendable_until := (date_trunc(\'day\', NEW.spendable_until AT TIME ZONE policy.time_zone) + interval \'1 day\')\n                AT TIME ZONE policy.time_zone;\n        END IF;\n    END IF;\n    NEW.spendable_until := least(NEW.spendable_until, policy.valid_until);\n\n    RETURN NEW;\n', hash='70c595e6c48b3df544d1c7e9aceef4dbb4bd4c02', operation='UPDATE', pgid='pgtrigger_asset_claimed_a53ca', table='assets_cashbackasset', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assets_creditpoolevent" ("approval_threshold", "archived_at", "clawback_reach", "closes_at", "currency", "draw_priority", "ends_with_day", "id", "is_active", "kind", "limit_period", "name", "opens_at", "pending_for", "per_user_limit", "period_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "refund_grace_days", "service_id", "time_zone", "valid_for", "valid_until") VALUES (NEW."approval_threshold", NEW."archived_at", NEW."clawback_reach", NEW."closes_at", NEW."currency", NEW."draw_priority", NEW."ends_with_day", NEW."id", NEW."is_active", NEW."kind", NEW."limit_period", NEW."name", NEW."opens_at", NEW."pending_for", NEW."per_user_limit", NEW."period_limit", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."refund_grace_days", NEW."service_id", NEW."time_zone", NEW."valid_for", NEW."valid_until"); RETURN NULL;', hash='7e40a67872179964fe36a80409e68c65ebce7102', operation='INSERT', pgid='pgtrigger_insert_insert_d3fad', table='assets_creditpool', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "assets_creditpoolevent" ("approval_threshold", "archived_at", "clawback_reach", "closes_at", "currency", "draw_priority", "ends_with_day", "id", "is_active", "kind", "limit_period", "name", "opens_at", "pending_for", "per_user_limit", "period_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "refund_grace_days", "service_id", "time_zone", "valid_for", "valid_until") VALUES (NEW."approval_threshold", NEW."archived_at", NEW."clawback_reach", NEW."closes_at", NEW."currency", NEW."draw_priority", NEW."ends_with_day", NEW."id", NEW."is_active", NEW."kind", NEW."limit_period", NEW."name", NEW."opens_at", NEW."pending_for", NEW."per_user_limit", NEW."period_limit", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."refund_grace_days", NEW."service_id", NEW."time_zone", NEW."valid_for", NEW."valid_until"); RETURN NULL;', hash='fc5a7a9bb871f2fd2baf58cfab88afd99e43e049', operation='UPDATE', pgid='pgtrigger_update_update_c3d64', table='assets_creditpool', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assets_creditpoolevent" ("approval_threshold", "archived_at", "clawback_reach", "closes_at", "currency", "draw_priority", "ends_with_day", "id", "is_active", "kind", "limit_period", "name", "opens_at", "pending_for", "per_user_limit", "period_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "refund_grace_days", "service_id", "time_zone", "valid_for", "valid_until") VALUES (OLD."approval_threshold", OLD."archived_at", OLD."clawback_reach", OLD."closes_at", OLD."currency", OLD."draw_priority", OLD."ends_with_day", OLD."id", OLD."is_active", OLD."kind", OLD."limit_period", OLD."name", OLD."opens_at", OLD."pending_for", OLD."per_user_limit", OLD."period_limit", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."refund_grace_days", OLD."service_id", OLD."time_zone", OLD."valid_for", OLD."valid_until"); RETURN NULL;', hash='0829049bddae094f0941a32b0fc09c59b5875414', operation='DELETE', pgid='pgtrigger_delete_delete_6d0bb', table='assets_creditpool', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='creditpool',
            constraint=models.CheckConstraint(condition=models.Q(('period_limit', None), ('period_limit__gte', 1), _connector='OR'), name='pool_period_limit_positive'),
        ),
        migrations.AddConstraint(
            model_name='creditpool',
            constraint=models.CheckConstraint(condition=models.Q(('limit_period__in', ['DAY', 'WEEK', 'MONTH'])), name='pool_limit_period_known'),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
