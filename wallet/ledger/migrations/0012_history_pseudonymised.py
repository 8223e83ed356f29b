"""harden_triggers() learns the trigger that replaces the email of a closed account in the change history."""

from django.db import migrations

HARDEN_TRIGGERS = r"""
CREATE OR REPLACE FUNCTION public.harden_triggers() RETURNS void LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp AS $harden$
DECLARE
    -- The beginning of each function of pgtrigger: a condition that obeys the setting pgtrigger.ignore.
    ignore_condition CONSTANT text := '\s*IF \([^()]*_pgtrigger_should_ignore\(TG_NAME\) IS TRUE\) THEN\s+IF \(TG_OP = ''DELETE''\) THEN'
        '\s+RETURN OLD;\s+ELSE\s+RETURN NEW;\s+END IF;\s+END IF;';
    -- Triggers that write tables which the application may only read. The former name serves on the way back.
    by_owner CONSTANT text := '^pgtrigger_(asset_issued|supply_issued|supply_changed|supply_deleted|seal_carried|seal_balances_added'
        '|history_pseudonymised|insert_insert|update_update|delete_delete)_[0-9a-f]{5}$';
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


class Migration(migrations.Migration):

    dependencies = [('ledger', '0011_supply_of_batches'), ('assets', '0010_pseudonymise_history')]

    operations = [
        migrations.RunSQL(HARDEN_TRIGGERS, migrations.RunSQL.noop),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
