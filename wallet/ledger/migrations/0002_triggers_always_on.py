"""Make the triggers fire under session_replication_role = replica too: a restore or a replica writer keeps the rules."""

from django.db import migrations

ENABLE_ALWAYS = """
DO $$
DECLARE t record;
BEGIN
    FOR t IN
        SELECT tgrelid::regclass AS place, tgname AS name FROM pg_trigger
        WHERE NOT tgisinternal AND tgname LIKE 'pgtrigger_%'
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.place, t.name);
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial"), ("assets", "0001_initial")]

    operations = [migrations.RunSQL(ENABLE_ALWAYS, migrations.RunSQL.noop)]
