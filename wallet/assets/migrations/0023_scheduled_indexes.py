"""The indexes of scheduled credits, built while claims continue."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('assets', '0022_scheduled_credits'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='cashbackasset',
            index=models.Index(condition=models.Q(('status', 'SCHEDULED')), fields=['claimable_from', 'id'], name='asset_scheduled'),
        ),
        AddIndexConcurrently(
            model_name='cashbackasset',
            index=models.Index(condition=models.Q(('status', 'SCHEDULED')), fields=['pool', 'claimable_from', 'id'], name='asset_scheduled_in_pool'),
        ),
    ]
