"""Budgets: columns of pools for credits issued on demand, and the triggers that keep issues within them."""

import django.db.models.functions.math
import pgtrigger.compiler
import pgtrigger.migrations
import wallet.assets.migrations._frozen
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0014_money_lists'),
        ('accounts', '0008_service_keys'),
        ('assets', '0020_limit_per_period'),
    ]

    operations = [
        # Operations are reversed from the last to the first: on the way back this one ends the migration.
        migrations.RunSQL(migrations.RunSQL.noop, 'SELECT public.harden_triggers()'),
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
            name='budget',
            field=models.DecimalField(blank=True, decimal_places=4, help_text='Total value of credits to issue when they are needed.', max_digits=24, null=True),
        ),
        migrations.AddField(
            model_name='creditpool',
            name='credit_lifetime',
            field=wallet.assets.migrations._frozen.IntervalField(blank=True, help_text='How long credits can be claimed that are issued on demand. Leave blank for no expiry.', null=True),
        ),
        migrations.AddField(
            model_name='creditpool',
            name='credit_title',
            field=models.CharField(blank=True, db_default='', default='', max_length=200),
        ),
        migrations.AddField(
            model_name='creditpool',
            name='credit_value',
            field=models.DecimalField(blank=True, decimal_places=4, max_digits=18, null=True),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='budget',
            field=models.DecimalField(blank=True, decimal_places=4, help_text='Total value of credits to issue when they are needed.', max_digits=24, null=True),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='credit_lifetime',
            field=wallet.assets.migrations._frozen.IntervalField(blank=True, help_text='How long credits can be claimed that are issued on demand. Leave blank for no expiry.', null=True),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='credit_title',
            field=models.CharField(blank=True, db_default='', default='', max_length=200),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='credit_value',
            field=models.DecimalField(blank=True, decimal_places=4, max_digits=18, null=True),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='supply_within_budget', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE limited record;', func="\n    FOR limited IN SELECT id, budget FROM assets_creditpool WHERE budget IS NOT NULL AND id IN (SELECT pool_id FROM issued) ORDER BY id LOOP\n        PERFORM pg_advisory_xact_lock(hashtextextended(limited.id::text, 3));\n        IF coalesce((SELECT sum(counter.value) FROM assets_supplydelta AS counter WHERE counter.pool_id = limited.id AND counter.status IN ('AVAILABLE', 'CLAIMED')), 0) > limited.budget THEN\n            RAISE EXCEPTION 'this is more than the pool''s budget allows' USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_budget';\n        END IF;\n    END LOOP;\n     RETURN NULL;", hash='edbe098d5b6538b52091efc981548b942e6b18ce', level='STATEMENT', operation='INSERT', pgid='pgtrigger_supply_within_budget_28006', referencing='REFERENCING NEW TABLE AS issued ', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='supply_moved_within_budget', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.status = 'AVAILABLE' AND (NEW.total_value > OLD.total_value OR NEW.pool_id IS DISTINCT FROM OLD.pool_id))", constraint='CONSTRAINT', declare='DECLARE limited record;', func="\n    FOR limited IN SELECT id, budget FROM assets_creditpool WHERE budget IS NOT NULL AND id = NEW.pool_id ORDER BY id LOOP\n        PERFORM pg_advisory_xact_lock(hashtextextended(limited.id::text, 3));\n        IF coalesce((SELECT sum(counter.value) FROM assets_supplydelta AS counter WHERE counter.pool_id = limited.id AND counter.status IN ('AVAILABLE', 'CLAIMED')), 0) > limited.budget THEN\n            RAISE EXCEPTION 'this is more than the pool''s budget allows' USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_budget';\n        END IF;\n    END LOOP;\n     RETURN NULL;", hash='8ff44490d7052b470d0c4d7576d2439c1de42ac8', operation='UPDATE', pgid='pgtrigger_supply_moved_within_budget_a6965', table='assets_cashbackasset', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='pool_budget', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (NEW.budget IS NOT NULL AND NEW.budget IS DISTINCT FROM OLD.budget)', func="\n    PERFORM FROM assets_creditpool WHERE id = OLD.id FOR UPDATE;\n    IF coalesce((SELECT sum(counter.value) FROM assets_supplydelta AS counter WHERE counter.pool_id = OLD.id AND counter.status IN ('AVAILABLE', 'CLAIMED')), 0) > NEW.budget THEN\n        RAISE EXCEPTION 'this is more than the pool''s budget allows' USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_budget';\n    END IF;\n    RETURN NEW;\n    ", hash='5a6b1298a6c5400d8e7309eec95ff62821472fd0', operation='UPDATE', pgid='pgtrigger_pool_budget_4395d', table='assets_creditpool', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assets_creditpoolevent" ("approval_threshold", "archived_at", "budget", "clawback_reach", "closes_at", "credit_lifetime", "credit_title", "credit_value", "currency", "draw_priority", "ends_with_day", "id", "is_active", "kind", "limit_period", "name", "opens_at", "pending_for", "per_user_limit", "period_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "refund_grace_days", "service_id", "time_zone", "valid_for", "valid_until") VALUES (NEW."approval_threshold", NEW."archived_at", NEW."budget", NEW."clawback_reach", NEW."closes_at", NEW."credit_lifetime", NEW."credit_title", NEW."credit_value", NEW."currency", NEW."draw_priority", NEW."ends_with_day", NEW."id", NEW."is_active", NEW."kind", NEW."limit_period", NEW."name", NEW."opens_at", NEW."pending_for", NEW."per_user_limit", NEW."period_limit", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."refund_grace_days", NEW."service_id", NEW."time_zone", NEW."valid_for", NEW."valid_until"); RETURN NULL;', hash='d883bdb25c95c9f9a7d7fd1a555c73af425b506a', operation='INSERT', pgid='pgtrigger_insert_insert_d3fad', table='assets_creditpool', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "assets_creditpoolevent" ("approval_threshold", "archived_at", "budget", "clawback_reach", "closes_at", "credit_lifetime", "credit_title", "credit_value", "currency", "draw_priority", "ends_with_day", "id", "is_active", "kind", "limit_period", "name", "opens_at", "pending_for", "per_user_limit", "period_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "refund_grace_days", "service_id", "time_zone", "valid_for", "valid_until") VALUES (NEW."approval_threshold", NEW."archived_at", NEW."budget", NEW."clawback_reach", NEW."closes_at", NEW."credit_lifetime", NEW."credit_title", NEW."credit_value", NEW."currency", NEW."draw_priority", NEW."ends_with_day", NEW."id", NEW."is_active", NEW."kind", NEW."limit_period", NEW."name", NEW."opens_at", NEW."pending_for", NEW."per_user_limit", NEW."period_limit", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."refund_grace_days", NEW."service_id", NEW."time_zone", NEW."valid_for", NEW."valid_until"); RETURN NULL;', hash='b7db4d466a58952c5f4adb3aa7533c3a5b4ea12f', operation='UPDATE', pgid='pgtrigger_update_update_c3d64', table='assets_creditpool', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assets_creditpoolevent" ("approval_threshold", "archived_at", "budget", "clawback_reach", "closes_at", "credit_lifetime", "credit_title", "credit_value", "currency", "draw_priority", "ends_with_day", "id", "is_active", "kind", "limit_period", "name", "opens_at", "pending_for", "per_user_limit", "period_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "refund_grace_days", "service_id", "time_zone", "valid_for", "valid_until") VALUES (OLD."approval_threshold", OLD."archived_at", OLD."budget", OLD."clawback_reach", OLD."closes_at", OLD."credit_lifetime", OLD."credit_title", OLD."credit_value", OLD."currency", OLD."draw_priority", OLD."ends_with_day", OLD."id", OLD."is_active", OLD."kind", OLD."limit_period", OLD."name", OLD."opens_at", OLD."pending_for", OLD."per_user_limit", OLD."period_limit", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."refund_grace_days", OLD."service_id", OLD."time_zone", OLD."valid_for", OLD."valid_until"); RETURN NULL;', hash='efb569ba45520680b5e40b49a41fb683b3c8f057', operation='DELETE', pgid='pgtrigger_delete_delete_6d0bb', table='assets_creditpool', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='creditpool',
            constraint=models.CheckConstraint(condition=models.Q(('budget', None), models.Q(('budget__gt', 0), ('budget__lte', Decimal('1000000000000')), ('credit_value__gt', 0), ('credit_value__isnull', False), ('credit_value__lte', Decimal('1000000000')), models.Q(('credit_title', ''), _negated=True)), _connector='OR'), name='pool_budget_complete'),
        ),
        migrations.AddConstraint(
            model_name='creditpool',
            constraint=models.CheckConstraint(condition=models.Q(('budget', None), models.Q(('budget', django.db.models.functions.math.Round('budget', models.Case(models.When(currency__in=['BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'], then=models.Value(0)), models.When(currency__in=['BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'], then=models.Value(3)), default=models.Value(2)))), ('credit_value', django.db.models.functions.math.Round('credit_value', models.Case(models.When(currency__in=['BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'], then=models.Value(0)), models.When(currency__in=['BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'], then=models.Value(3)), default=models.Value(2))))), _connector='OR'), name='pool_budget_scale'),
        ),
        migrations.AddConstraint(
            model_name='creditpool',
            constraint=models.CheckConstraint(condition=models.Q(('credit_lifetime', None), ('credit_lifetime__gt', '0 hours'), _connector='OR'), name='pool_credit_lifetime_possible'),
        ),
        migrations.AddConstraint(
            model_name='creditpool',
            constraint=models.CheckConstraint(condition=models.Q(('budget', None), ('approval_threshold', None), ('budget__lte', models.F('approval_threshold')), _connector='OR'), name='pool_budget_below_threshold'),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
