"""The amount above which a pool's issues, grants, clawbacks and extensions need a second operator."""

import pgtrigger.compiler
import pgtrigger.migrations
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_service_keys'),
        ('assets', '0015_emoji_in_titles'),
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
            name='approval_threshold',
            field=models.DecimalField(blank=True, decimal_places=4, help_text='Issues, grants, clawbacks and extensions worth more need a second operator. Leave blank for none.', max_digits=18, null=True),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='approval_threshold',
            field=models.DecimalField(blank=True, decimal_places=4, help_text='Issues, grants, clawbacks and extensions worth more need a second operator. Leave blank for none.', max_digits=18, null=True),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assets_creditpoolevent" ("approval_threshold", "archived_at", "clawback_reach", "closes_at", "currency", "draw_priority", "ends_with_day", "id", "is_active", "kind", "name", "opens_at", "pending_for", "per_user_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "refund_grace_days", "service_id", "time_zone", "valid_for", "valid_until") VALUES (NEW."approval_threshold", NEW."archived_at", NEW."clawback_reach", NEW."closes_at", NEW."currency", NEW."draw_priority", NEW."ends_with_day", NEW."id", NEW."is_active", NEW."kind", NEW."name", NEW."opens_at", NEW."pending_for", NEW."per_user_limit", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."refund_grace_days", NEW."service_id", NEW."time_zone", NEW."valid_for", NEW."valid_until"); RETURN NULL;', hash='09efc719c8643ac8970f7a568774f13572aa6b4e', operation='INSERT', pgid='pgtrigger_insert_insert_d3fad', table='assets_creditpool', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "assets_creditpoolevent" ("approval_threshold", "archived_at", "clawback_reach", "closes_at", "currency", "draw_priority", "ends_with_day", "id", "is_active", "kind", "name", "opens_at", "pending_for", "per_user_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "refund_grace_days", "service_id", "time_zone", "valid_for", "valid_until") VALUES (NEW."approval_threshold", NEW."archived_at", NEW."clawback_reach", NEW."closes_at", NEW."currency", NEW."draw_priority", NEW."ends_with_day", NEW."id", NEW."is_active", NEW."kind", NEW."name", NEW."opens_at", NEW."pending_for", NEW."per_user_limit", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."refund_grace_days", NEW."service_id", NEW."time_zone", NEW."valid_for", NEW."valid_until"); RETURN NULL;', hash='4a0cc2899b2c513f3d804be1cb843f5b2e430a36', operation='UPDATE', pgid='pgtrigger_update_update_c3d64', table='assets_creditpool', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assets_creditpoolevent" ("approval_threshold", "archived_at", "clawback_reach", "closes_at", "currency", "draw_priority", "ends_with_day", "id", "is_active", "kind", "name", "opens_at", "pending_for", "per_user_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "refund_grace_days", "service_id", "time_zone", "valid_for", "valid_until") VALUES (OLD."approval_threshold", OLD."archived_at", OLD."clawback_reach", OLD."closes_at", OLD."currency", OLD."draw_priority", OLD."ends_with_day", OLD."id", OLD."is_active", OLD."kind", OLD."name", OLD."opens_at", OLD."pending_for", OLD."per_user_limit", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."refund_grace_days", OLD."service_id", OLD."time_zone", OLD."valid_for", OLD."valid_until"); RETURN NULL;', hash='ddcc7f7e6a11d5780dadba9e6f04d4f3905a342c', operation='DELETE', pgid='pgtrigger_delete_delete_6d0bb', table='assets_creditpool', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='creditpool',
            constraint=models.CheckConstraint(condition=models.Q(('approval_threshold', None), models.Q(('approval_threshold__gte', 0), ('approval_threshold__lte', Decimal('1000000000'))), _connector='OR'), name='pool_approval_threshold_range'),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
