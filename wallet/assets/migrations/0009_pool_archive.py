"""Pools can be archived: hidden and kept. An archived pool is paused, so that no claim has to look at the new column."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0008_batches'),
        ('ledger', '0010_plain_names'),
    ]

    operations = [
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
            name='archived_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='archived_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assets_creditpoolevent" ("archived_at", "closes_at", "currency", "id", "is_active", "kind", "name", "opens_at", "per_user_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "time_zone") VALUES (NEW."archived_at", NEW."closes_at", NEW."currency", NEW."id", NEW."is_active", NEW."kind", NEW."name", NEW."opens_at", NEW."per_user_limit", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."time_zone"); RETURN NULL;', hash='4f362ae0f6ea78f2965ab0883f165e7300a2209a', operation='INSERT', pgid='pgtrigger_insert_insert_d3fad', table='assets_creditpool', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "assets_creditpoolevent" ("archived_at", "closes_at", "currency", "id", "is_active", "kind", "name", "opens_at", "per_user_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "time_zone") VALUES (NEW."archived_at", NEW."closes_at", NEW."currency", NEW."id", NEW."is_active", NEW."kind", NEW."name", NEW."opens_at", NEW."per_user_limit", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."time_zone"); RETURN NULL;', hash='0f33017ab6adc6418084b0e2f33d49d68a3515ba', operation='UPDATE', pgid='pgtrigger_update_update_c3d64', table='assets_creditpool', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assets_creditpoolevent" ("archived_at", "closes_at", "currency", "id", "is_active", "kind", "name", "opens_at", "per_user_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "time_zone") VALUES (OLD."archived_at", OLD."closes_at", OLD."currency", OLD."id", OLD."is_active", OLD."kind", OLD."name", OLD."opens_at", OLD."per_user_limit", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."time_zone"); RETURN NULL;', hash='34fd76631ff973d9d8f7ed56eba77680fd22cbbd', operation='DELETE', pgid='pgtrigger_delete_delete_6d0bb', table='assets_creditpool', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='creditpool',
            constraint=models.CheckConstraint(condition=models.Q(('archived_at', None), ('is_active', False), _connector='OR'), name='pool_archived_is_paused'),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
