"""The index of dues by payment, built while payments continue."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('programme', '0002_refunds'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='grantdue',
            index=models.Index(condition=models.Q(('payment__isnull', False)), fields=['payment'], name='due_of_payment'),
        ),
    ]
