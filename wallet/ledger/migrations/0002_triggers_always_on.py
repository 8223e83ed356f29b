"""Make the triggers fire under session_replication_role = replica too: a restore or a replica writer keeps the rules."""

from django.db import migrations

from wallet.ledger.migrations._frozen import CARRIED_BY_OWNER, ENABLE_ALWAYS


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial"), ("assets", "0001_initial")]

    operations = [
        migrations.RunSQL(ENABLE_ALWAYS, migrations.RunSQL.noop),
        migrations.RunSQL(CARRIED_BY_OWNER, migrations.RunSQL.noop),
    ]
