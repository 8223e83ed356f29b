"""Make the seals' triggers fire under session_replication_role = replica too."""

from django.db import migrations

from wallet.ledger.rules import ENABLE_ALWAYS


class Migration(migrations.Migration):
    dependencies = [("ledger", "0003_seal")]

    operations = [migrations.RunSQL(ENABLE_ALWAYS, migrations.RunSQL.noop)]
