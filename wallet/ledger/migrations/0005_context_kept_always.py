"""Make the triggers that keep who did it fire under session_replication_role = replica too, like all others."""

from django.db import migrations

from wallet.ledger.migrations._frozen import ENABLE_ALWAYS


class Migration(migrations.Migration):
    dependencies = [("ledger", "0004_seal_follows"), ("assets", "0003_context_kept")]

    operations = [migrations.RunSQL(ENABLE_ALWAYS, migrations.RunSQL.noop)]
