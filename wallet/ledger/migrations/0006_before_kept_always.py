"""Make the trigger that keeps changes fire under session_replication_role = replica too: it was made anew."""

from django.db import migrations

from wallet.ledger.migrations._frozen import ENABLE_ALWAYS


class Migration(migrations.Migration):
    dependencies = [("ledger", "0005_context_kept_always"), ("assets", "0004_before_kept")]

    operations = [migrations.RunSQL(ENABLE_ALWAYS, migrations.RunSQL.noop)]
