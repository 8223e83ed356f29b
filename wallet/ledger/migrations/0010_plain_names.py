"""Standard names: SealedBalance for Subtotal, and the trigger that adds to it; harden_triggers() learns the new name."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models

HARDEN_TRIGGERS = r"""
CREATE OR REPLACE FUNCTION public.harden_triggers() RETURNS void LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp AS $harden$
DECLARE
    -- The beginning of each function of pgtrigger: a condition that obeys the setting pgtrigger.ignore.
    ignore_condition CONSTANT text := '\s*IF \([^()]*_pgtrigger_should_ignore\(TG_NAME\) IS TRUE\) THEN\s+IF \(TG_OP = ''DELETE''\) THEN'
        '\s+RETURN OLD;\s+ELSE\s+RETURN NEW;\s+END IF;\s+END IF;';
    -- Triggers that write tables which the application may only read. The former name serves on the way back.
    by_owner CONSTANT text := '^pgtrigger_(asset_issued|supply_issued|supply_changed|supply_deleted|seal_carried|seal_balances_added'
        '|insert_insert|update_update|delete_delete)_[0-9a-f]{5}$';
    rule record;
BEGIN
    FOR rule IN
        SELECT tgrelid::regclass AS place, tgname AS name, tgenabled AS enabled, tgfoid::regprocedure AS function,
            prosrc AS source, prosecdef AS definer, coalesce(array_to_string(proconfig, ';'), '') AS settings
        FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
        WHERE NOT tgisinternal AND tgname LIKE 'pgtrigger\_%' ORDER BY 1, 2
    LOOP
        IF rule.source LIKE '%\_pgtrigger\_should\_ignore%' THEN
            IF regexp_replace(rule.source, ignore_condition, '') LIKE '%\_pgtrigger\_should\_ignore%' THEN
                RAISE EXCEPTION 'trigger % has an ignore condition of an unknown form', rule.name;
            END IF;
            EXECUTE regexp_replace(pg_get_functiondef(rule.function), ignore_condition, '');
        END IF;
        IF rule.settings <> 'search_path=pg_catalog, public, pg_temp' THEN
            EXECUTE format('ALTER FUNCTION %s RESET ALL', rule.function);
            EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, public, pg_temp', rule.function);
        END IF;
        IF rule.name ~ by_owner AND NOT rule.definer THEN
            EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER', rule.function);
        END IF;
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', rule.function);
        IF rule.enabled <> 'A' THEN
            EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', rule.place, rule.name);
        END IF;
    END LOOP;
    ALTER FUNCTION public._pgh_attach_context() SET search_path = pg_catalog, public, pg_temp;
    REVOKE EXECUTE ON FUNCTION public._pgh_attach_context() FROM PUBLIC;
    DROP FUNCTION IF EXISTS public._pgtrigger_should_ignore(name);
END $harden$;
REVOKE EXECUTE ON FUNCTION public.harden_triggers() FROM PUBLIC;
"""

# Django renames the table, not what belongs to it.
RENAME_PARTS_OF_BALANCE = """
ALTER TABLE ledger_sealedbalance RENAME CONSTRAINT {old}_{old_key} TO {new}_{new_key};
DO $$
DECLARE rule text;
BEGIN
    FOR rule IN SELECT conname FROM pg_constraint WHERE conrelid = 'ledger_sealedbalance'::regclass AND conname <> '{new}_{new_key}'
    LOOP
        EXECUTE format('ALTER TABLE ledger_sealedbalance RENAME CONSTRAINT %I TO %I', rule, replace(rule, '{old}_', '{new}_'));
    END LOOP;
END $$
"""
SUBTOTAL = ("ledger_subtotal", "user_id_46cf6f90_fk_accounts_user_id")
SEALED_BALANCE = ("ledger_sealedbalance", "user_id_2c2208d5_fk_accounts_user_id")


def renamed(sql: str, old: tuple[str, str], new: tuple[str, str]) -> str:
    """Return the SQL that renames a table's constraints from `old` to `new`: each a table and a foreign key."""
    return sql.format(old=old[0], old_key=old[1], new=new[0], new_key=new[1])


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0009_seal_shape'),
        ('assets', '0007_plain_names'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # Operations are reversed from the last to the first: on the way back this one ends the migration.
        migrations.RunSQL(migrations.RunSQL.noop, 'SELECT public.harden_triggers()'),
        pgtrigger.migrations.RemoveTrigger(
            model_name='seal',
            name='seal_carried',
        ),
        migrations.RunSQL('DROP FUNCTION pgtrigger_seal_carried_177f3()', migrations.RunSQL.noop),
        migrations.RenameModel(
            old_name='Subtotal',
            new_name='SealedBalance',
        ),
        migrations.RunSQL(
            renamed(RENAME_PARTS_OF_BALANCE, SUBTOTAL, SEALED_BALANCE), renamed(RENAME_PARTS_OF_BALANCE, SEALED_BALANCE, SUBTOTAL)
        ),
        migrations.RunSQL(migrations.RunSQL.noop, 'DROP FUNCTION pgtrigger_seal_balances_added_a976f()'),
        migrations.AlterField(
            model_name='entry',
            name='actor',
            field=models.ForeignKey(db_index=False, help_text='The user who made the request.', on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='idempotencykey',
            name='body',
            field=models.TextField(help_text='JSON text, byte for byte: jsonb would reorder it.', null=True),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='seal',
            trigger=pgtrigger.compiler.Trigger(name='seal_balances_added', sql=pgtrigger.compiler.UpsertTriggerSql(func='\n    INSERT INTO ledger_sealedbalance (user_id, currency, amount, claims)\n        SELECT user_id, currency, sum(amount), count(*) FROM ledger_entry\n        WHERE xid >= NEW.from_xid AND xid < NEW.to_xid GROUP BY user_id, currency\n    ON CONFLICT (user_id, currency) DO UPDATE\n        SET amount = ledger_sealedbalance.amount + excluded.amount, claims = ledger_sealedbalance.claims + excluded.claims;\n    \nWITH oldest AS (\n    SELECT id, count(*) OVER (PARTITION BY pool_id, currency, generation, status) AS rows_in_group\n    FROM (SELECT id, pool_id, currency, generation, status FROM assets_supplydelta ORDER BY id LIMIT 100000) AS batch\n), merged AS (\n    DELETE FROM assets_supplydelta WHERE id IN (SELECT id FROM oldest WHERE rows_in_group > 1) RETURNING pool_id, currency, generation, status, count, value\n)\nINSERT INTO assets_supplydelta (pool_id, currency, generation, status, count, value)\n    SELECT pool_id, currency, generation, status, sum(count), sum(value) FROM merged GROUP BY pool_id, currency, generation, status HAVING sum(count) <> 0 OR sum(value) <> 0;\n\n    RETURN NULL;\n    ', hash='9f25cbf56f5f37942c64aee82a44833110d40c18', operation='INSERT', pgid='pgtrigger_seal_balances_added_a976f', table='ledger_seal', when='AFTER')),
        ),
        migrations.RunSQL(HARDEN_TRIGGERS, migrations.RunSQL.noop),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
