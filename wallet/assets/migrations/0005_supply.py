"""Tell the supply without counting it: each statement writes down what it changed."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

# What the table begins with: the credits there are, and those whose deletion was kept.
BEGIN_SUPPLY = """INSERT INTO assets_supply (pool_id, currency, generation, status, number, value) 
SELECT pool_id, currency, generation, status, count(*) AS number, sum(total_value) AS value FROM (
    SELECT pool_id, currency, generation, status, total_value FROM assets_cashbackasset
    UNION ALL
    SELECT pool_id, currency, generation, 'DELETED', total_value FROM assets_cashbackassetevent WHERE pgh_label = 'delete'
) AS credit GROUP BY pool_id, currency, generation, status
"""

# What writes it does so as the tables' owner, and nobody makes it a trigger of a table of theirs.
SUPPLY_BY_OWNER = """
DO $$
DECLARE rule text; f regprocedure;
BEGIN
    FOREACH rule IN ARRAY ARRAY['pgtrigger_supply_issued_%', 'pgtrigger_supply_changed_%', 'pgtrigger_supply_deleted_%'] LOOP
        SELECT tgfoid INTO STRICT f FROM pg_trigger WHERE tgrelid = 'assets_cashbackasset'::regclass AND tgname LIKE rule;
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = public, pg_temp', f);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0004_before_kept'),
    ]

    operations = [
        migrations.CreateModel(
            name='Supply',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('currency', models.CharField(max_length=3)),
                ('generation', models.PositiveIntegerField()),
                ('status', models.CharField(help_text="An asset's, or DELETED.", max_length=9)),
                ('number', models.BigIntegerField()),
                ('value', models.DecimalField(decimal_places=4, max_digits=24)),
            ],
            options={
                'verbose_name': 'supply',
                'verbose_name_plural': 'supply',
            },
        ),
        migrations.AddField(
            model_name='supply',
            name='pool',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='supply', to='assets.creditpool'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='supply_issued', sql=pgtrigger.compiler.UpsertTriggerSql(func='\n        INSERT INTO assets_supply (pool_id, currency, generation, status, number, value)\n            SELECT pool_id, currency, generation, status, sum(sign), sum(sign * total_value) FROM (SELECT pool_id, currency, generation, status, total_value, 1 AS sign FROM issued) AS moves GROUP BY pool_id, currency, generation, status\n            HAVING sum(sign) <> 0 OR sum(sign * total_value) <> 0;\n        RETURN NULL;\n        ', hash='727c792256fa9a8a55ab561209346635431f30de', level='STATEMENT', operation='INSERT', pgid='pgtrigger_supply_issued_dfe7c', referencing='REFERENCING NEW TABLE AS issued ', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='supply_changed', sql=pgtrigger.compiler.UpsertTriggerSql(func='\n        INSERT INTO assets_supply (pool_id, currency, generation, status, number, value)\n            SELECT pool_id, currency, generation, status, sum(sign), sum(sign * total_value) FROM (SELECT pool_id, currency, generation, status, total_value, 1 AS sign FROM changed UNION ALL SELECT pool_id, currency, generation, status, total_value, -1 AS sign FROM former) AS moves GROUP BY pool_id, currency, generation, status\n            HAVING sum(sign) <> 0 OR sum(sign * total_value) <> 0;\n        RETURN NULL;\n        ', hash='3a6f92bb8585ab7d42cdee586f95dce625aec46e', level='STATEMENT', operation='UPDATE', pgid='pgtrigger_supply_changed_a5601', referencing='REFERENCING OLD TABLE AS former  NEW TABLE AS changed ', table='assets_cashbackasset', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='supply_deleted', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n        INSERT INTO assets_supply (pool_id, currency, generation, status, number, value)\n            SELECT pool_id, currency, generation, status, sum(sign), sum(sign * total_value) FROM (SELECT pool_id, currency, generation, status, total_value, -1 AS sign FROM former UNION ALL SELECT pool_id, currency, generation, 'DELETED', total_value, 1 FROM former) AS moves GROUP BY pool_id, currency, generation, status\n            HAVING sum(sign) <> 0 OR sum(sign * total_value) <> 0;\n        RETURN NULL;\n        ", hash='6d05e3faca5fb4b61386773762397dfe3ac38ba1', level='STATEMENT', operation='DELETE', pgid='pgtrigger_supply_deleted_d1309', referencing='REFERENCING OLD TABLE AS former ', table='assets_cashbackasset', when='AFTER')),
        ),
        migrations.RunSQL(BEGIN_SUPPLY, migrations.RunSQL.noop),
        migrations.RunSQL(SUPPLY_BY_OWNER, migrations.RunSQL.noop),
    ]
