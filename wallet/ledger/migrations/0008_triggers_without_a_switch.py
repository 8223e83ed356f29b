"""No setting of a session weakens a rule: triggers ask no switch, look names up in one fixed order and always fire.

A migration that makes a trigger afterwards ends with `SELECT public.harden_triggers()`; grant_app_role calls it too.
"""

from django.db import migrations

HARDEN_TRIGGERS = r"""
CREATE OR REPLACE FUNCTION public.harden_triggers() RETURNS void LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp AS $harden$
DECLARE
    -- What pgtrigger puts at the beginning of each function: a question that believes the setting pgtrigger.ignore.
    question CONSTANT text := '\s*IF \([^()]*_pgtrigger_should_ignore\(TG_NAME\) IS TRUE\) THEN\s+IF \(TG_OP = ''DELETE''\) THEN'
        '\s+RETURN OLD;\s+ELSE\s+RETURN NEW;\s+END IF;\s+END IF;';
    -- What writes tables that the application may only read.
    by_owner CONSTANT text := '^pgtrigger_(asset_issued|supply_issued|supply_changed|supply_deleted|seal_carried'
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
            IF regexp_replace(rule.source, question, '') LIKE '%\_pgtrigger\_should\_ignore%' THEN
                RAISE EXCEPTION 'trigger % asks whether to ignore it in a way that is not known here', rule.name;
            END IF;
            EXECUTE regexp_replace(pg_get_functiondef(rule.function), question, '');
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
    dependencies = [
        ("ledger", "0007_supply_added_up"),
        ("assets", "0005_supply"),
        ("pghistory", "0007_auto_20250421_0444"),
    ]

    operations = [
        # On the way back all stays as it is: earlier releases work with it too, and what they make anew has a switch again.
        migrations.RunSQL(HARDEN_TRIGGERS, migrations.RunSQL.noop),
        migrations.RunSQL("SELECT public.harden_triggers()", migrations.RunSQL.noop),
    ]
