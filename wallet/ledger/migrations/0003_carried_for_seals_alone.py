"""Take from everybody the function that writes the subtotals: it belongs to the seals."""

from django.db import migrations

from wallet.ledger.migrations._frozen import CARRIED_BY_OWNER


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_triggers_always_on")]

    operations = [migrations.RunSQL(CARRIED_BY_OWNER, migrations.RunSQL.noop)]
