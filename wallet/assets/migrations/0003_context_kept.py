"""Who made a change is append-only, as the changes are."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0002_history_without_idle_indexes'),
        ('pghistory', '0007_auto_20250421_0444'),
    ]

    operations = [
        migrations.CreateModel(
            name='ChangeContext',
            fields=[
            ],
            options={
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('pghistory.context',),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='changecontext',
            trigger=pgtrigger.compiler.Trigger(name='context_kept', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.created_at IS DISTINCT FROM now() OR NEW.created_at <> OLD.created_at OR NEW.id <> OLD.id)', func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'context_append_only';", hash='f290626db9f701a966ec5a9d1dae2726eca78498', operation='UPDATE', pgid='pgtrigger_context_kept_8a6c7', table='pghistory_context', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='changecontext',
            trigger=pgtrigger.compiler.Trigger(name='context_never_deleted', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'context_append_only';", hash='b58f5bc28afbc08aa5812644728148fa7c94260c', operation='DELETE', pgid='pgtrigger_context_never_deleted_18760', table='pghistory_context', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='changecontext',
            trigger=pgtrigger.compiler.Trigger(name='context_append_only_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'context_append_only';", hash='e6a59c82a6d285779fa71e7a1f1b7423761b690a', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_context_append_only_table_b13a1', table='pghistory_context', when='BEFORE')),
        ),
    ]
