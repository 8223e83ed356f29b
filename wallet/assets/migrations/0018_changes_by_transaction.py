"""Indexes by which events are read in the order of transactions. Built concurrently: claims and issues go on."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('assets', '0017_transactions_of_changes'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='cashbackassetevent',
            index=models.Index(models.F('xid'), models.F('pgh_id'), name='asset_change_order'),
        ),
        AddIndexConcurrently(
            model_name='issuance',
            index=models.Index(models.F('xid'), models.F('id'), name='issuance_commit_order'),
        ),
    ]
