"""An index for the offers of a pool, made while claims go on."""

import uuid

import django.db.models.functions.comparison
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('assets', '0005_supply'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='cashbackasset',
            index=models.Index(django.db.models.functions.comparison.Coalesce('pool', models.Value(uuid.UUID('00000000-0000-0000-0000-000000000000'))), django.db.models.functions.comparison.Coalesce('expires_at', django.db.models.functions.comparison.Cast(models.Value('infinity'), models.DateTimeField())), models.F('title'), models.F('total_value'), models.F('currency'), models.F('id'), condition=models.Q(('status', 'AVAILABLE')), include=('pool', 'expires_at'), name='asset_offered'),
        ),
    ]
