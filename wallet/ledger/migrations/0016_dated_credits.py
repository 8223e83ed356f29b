"""The open credits with dates, which a balance reads one by one."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('ledger', '0015_lasting_credits'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='lot',
            index=models.Index(condition=models.Q(('is_open', True), models.Q(('spendable_until__isnull', False), ('spendable_from__gt', models.F('opened_at')), _connector='OR')), fields=['user', 'currency'], name='lot_dated'),
        ),
    ]
