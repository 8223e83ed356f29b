"""Service keys may manage webhooks; a key that reads events may not."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0010_scope_of_events'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='servicekey',
            name='service_key_scopes_known',
        ),
        migrations.AlterField(
            model_name='servicekey',
            name='scopes',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('payments:quote', 'Quote payments'), ('payments:hold', 'Hold and release credit'), ('payments:capture', 'Capture holds and take payments at once'), ('payments:refund', 'Refund payments'), ('payments:read', 'Read its own payments'), ('wallets:read', 'Read balances and credits of users'), ('credits:grant', 'Grant credits, claw them back and extend them'), ('events:read', 'Read events'), ('webhooks:manage', 'Add, test and remove its webhooks'), ('events:write', 'Report events that rules reward with credits')], max_length=20), size=None),
        ),
        migrations.AddConstraint(
            model_name='servicekey',
            constraint=models.CheckConstraint(condition=models.Q(('scopes__contained_by', ['payments:quote', 'payments:hold', 'payments:capture', 'payments:refund', 'payments:read', 'wallets:read', 'credits:grant', 'events:read', 'webhooks:manage', 'events:write']), models.Q(('scopes', []), _negated=True)), name='service_key_scopes_known'),
        ),
    ]
