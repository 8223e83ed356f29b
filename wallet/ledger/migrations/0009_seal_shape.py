"""Refuse malformed seals. What is there already stays, so that no forged row stops an upgrade: verify_ledger names it."""

import datetime
import django.db.models.expressions
import django.db.models.functions.comparison
import django.db.models.functions.text
import django.db.models.lookups
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0008_triggers_without_a_switch'),
    ]

    operations = [
        AddConstraintNotValid(
            model_name='seal',
            constraint=models.CheckConstraint(condition=models.Q(django.db.models.lookups.Exact(django.db.models.functions.text.Length('root'), 32), django.db.models.lookups.Exact(django.db.models.functions.text.Length('public_key'), 32), django.db.models.lookups.Exact(django.db.models.functions.text.Length('signature'), 64)), name='seal_hashes_whole'),
        ),
        AddConstraintNotValid(
            model_name='seal',
            constraint=models.CheckConstraint(condition=models.Q(django.db.models.lookups.Exact(django.db.models.functions.text.Length('leaves'), django.db.models.expressions.CombinedExpression(django.db.models.functions.comparison.Cast(models.F('count'), models.BigIntegerField()), '*', models.Value(48)))), name='seal_leaves_whole'),
        ),
        AddConstraintNotValid(
            model_name='seal',
            constraint=models.CheckConstraint(condition=models.Q(('sums__regex', '^\\{"[A-Z]{3}": "[0-9]{1,24}(\\.[0-9]{1,4})?"(, "[A-Z]{3}": "[0-9]{1,24}(\\.[0-9]{1,4})?"){0,254}\\}$')), name='seal_sums_stated'),
        ),
        AddConstraintNotValid(
            model_name='seal',
            constraint=models.CheckConstraint(condition=models.Q(('sealed_at__gte', datetime.datetime(2000, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)), ('sealed_at__lt', datetime.datetime(3000, 1, 1, 0, 0, tzinfo=datetime.timezone.utc))), name='seal_time_possible'),
        ),
    ]
