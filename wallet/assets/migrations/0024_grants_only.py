"""Pools whose credits are only granted."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0023_scheduled_indexes'),
    ]

    operations = [
        # Going back, this runs after the triggers are as they were.
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
            name='grants_only',
            field=models.BooleanField(db_default=False, default=False, help_text='Hide the pool from users: its credits are only granted, by rules, services and operators.'),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='grants_only',
            field=models.BooleanField(db_default=False, default=False, help_text='Hide the pool from users: its credits are only granted, by rules, services and operators.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assets_creditpoolevent" ("approval_threshold", "archived_at", "budget", "clawback_reach", "closes_at", "credit_lifetime", "credit_title", "credit_value", "currency", "draw_priority", "ends_with_day", "grants_only", "id", "is_active", "kind", "limit_period", "name", "opens_at", "pending_for", "per_user_limit", "period_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "refund_grace_days", "service_id", "time_zone", "valid_for", "valid_until") VALUES (NEW."approval_threshold", NEW."archived_at", NEW."budget", NEW."clawback_reach", NEW."closes_at", NEW."credit_lifetime", NEW."credit_title", NEW."credit_value", NEW."currency", NEW."draw_priority", NEW."ends_with_day", NEW."grants_only", NEW."id", NEW."is_active", NEW."kind", NEW."limit_period", NEW."name", NEW."opens_at", NEW."pending_for", NEW."per_user_limit", NEW."period_limit", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."refund_grace_days", NEW."service_id", NEW."time_zone", NEW."valid_for", NEW."valid_until"); RETURN NULL;', hash='c9fd1c32c2f963476904df92e9b1b9114e5e9fc7', operation='INSERT', pgid='pgtrigger_insert_insert_d3fad', table='assets_creditpool', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "assets_creditpoolevent" ("approval_threshold", "archived_at", "budget", "clawback_reach", "closes_at", "credit_lifetime", "credit_title", "credit_value", "currency", "draw_priority", "ends_with_day", "grants_only", "id", "is_active", "kind", "limit_period", "name", "opens_at", "pending_for", "per_user_limit", "period_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "refund_grace_days", "service_id", "time_zone", "valid_for", "valid_until") VALUES (NEW."approval_threshold", NEW."archived_at", NEW."budget", NEW."clawback_reach", NEW."closes_at", NEW."credit_lifetime", NEW."credit_title", NEW."credit_value", NEW."currency", NEW."draw_priority", NEW."ends_with_day", NEW."grants_only", NEW."id", NEW."is_active", NEW."kind", NEW."limit_period", NEW."name", NEW."opens_at", NEW."pending_for", NEW."per_user_limit", NEW."period_limit", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."refund_grace_days", NEW."service_id", NEW."time_zone", NEW."valid_for", NEW."valid_until"); RETURN NULL;', hash='93ad3770520a8dcd64055175843ce93016b8f0e9', operation='UPDATE', pgid='pgtrigger_update_update_c3d64', table='assets_creditpool', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assets_creditpoolevent" ("approval_threshold", "archived_at", "budget", "clawback_reach", "closes_at", "credit_lifetime", "credit_title", "credit_value", "currency", "draw_priority", "ends_with_day", "grants_only", "id", "is_active", "kind", "limit_period", "name", "opens_at", "pending_for", "per_user_limit", "period_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "refund_grace_days", "service_id", "time_zone", "valid_for", "valid_until") VALUES (OLD."approval_threshold", OLD."archived_at", OLD."budget", OLD."clawback_reach", OLD."closes_at", OLD."credit_lifetime", OLD."credit_title", OLD."credit_value", OLD."currency", OLD."draw_priority", OLD."ends_with_day", OLD."grants_only", OLD."id", OLD."is_active", OLD."kind", OLD."limit_period", OLD."name", OLD."opens_at", OLD."pending_for", OLD."per_user_limit", OLD."period_limit", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."refund_grace_days", OLD."service_id", OLD."time_zone", OLD."valid_for", OLD."valid_until"); RETURN NULL;', hash='d64517e56cde5e6075a514e69e7f06cd34021fb0', operation='DELETE', pgid='pgtrigger_delete_delete_6d0bb', table='assets_creditpool', when='AFTER')),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
