"""PostgreSQL itself keeps what a changed credit was before."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0003_context_kept'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='update_update',
        ),
        migrations.AddField(
            model_name='cashbackassetevent',
            name='before',
            field=models.JSONField(editable=False, null=True),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (OLD.* IS DISTINCT FROM NEW.* AND NEW.status <> 'CLAIMED')", func='INSERT INTO "assets_cashbackassetevent" ("claim_slot", "claimed_at", "claimed_by_id", "created_at", "created_by_id", "currency", "expires_at", "generation", "id", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "pool_id", "recreated_from_id", "status", "title", "total_value", "before") VALUES (NEW."claim_slot", NEW."claimed_at", NEW."claimed_by_id", NEW."created_at", NEW."created_by_id", NEW."currency", NEW."expires_at", NEW."generation", NEW."id", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."pool_id", NEW."recreated_from_id", NEW."status", NEW."title", NEW."total_value", CASE WHEN NEW.status = \'AVAILABLE\' THEN jsonb_build_object(\'title\', OLD.title, \'total_value\', OLD.total_value::text, \'currency\', OLD.currency, \'pool_id\', OLD.pool_id, \'expires_at\', OLD.expires_at) END); RETURN NULL;', hash='8e995c9d82d1fa2d5b54b962999db84b62c90228', operation='UPDATE', pgid='pgtrigger_update_update_d7c23', table='assets_cashbackasset', when='AFTER')),
        ),
    ]
