"""Ticks of the stream of events, webhook endpoints and their log."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('assets', '0018_changes_by_transaction'),
        ('ledger', '0017_approvals'),  # the last harden_triggers()
        ('accounts', '0008_service_keys'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='WebhookAttempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('event_ids', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), size=None)),
                ('succeeded', models.BooleanField()),
                ('status', models.PositiveSmallIntegerField(help_text='The HTTP status; empty: no response.', null=True)),
                ('duration_ms', models.PositiveIntegerField()),
                ('detail', models.CharField(help_text='The beginning of the response, or why there was none.', max_length=500)),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('url', models.CharField(max_length=500)),
                ('event_types', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=30), default=list, help_text='Empty: all types.', size=None)),
                ('is_active', models.BooleanField(default=True)),
                ('secret_version', models.PositiveIntegerField(default=1)),
                ('previous_secret_until', models.DateTimeField(help_text='Until when the previous secret signs too.', null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('cursor', models.CharField(help_text='The position after the last event that arrived.', max_length=150)),
                ('delivered', models.BigIntegerField(default=0)),
                ('last_success_at', models.DateTimeField(null=True)),
                ('failures', models.PositiveIntegerField(default=0, help_text='Failed attempts since the last success.')),
                ('failing_since', models.DateTimeField(null=True)),
                ('next_attempt_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('given_up_at', models.DateTimeField(help_text='Since when nothing is sent, after a day of failures.', null=True)),
                ('lease', models.UUIDField(null=True)),
                ('leased_until', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name': 'webhook',
                'verbose_name_plural': 'webhooks',
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='Tick',
            fields=[
                ('id', models.BigIntegerField(help_text='1, 2, 3, … in the order of the snapshots.', primary_key=True, serialize=False)),
                ('snapshot', models.TextField(help_text='A pg_snapshot, as text.')),
                ('total', models.BigIntegerField(help_text='The number of events up to here, for lags.', unique=True)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'indexes': [models.Index(fields=['at'], name='tick_at')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='tick',
            trigger=pgtrigger.compiler.Trigger(name='tick_append_only_rows', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'tick_append_only';", hash='f6237d6b661ffbae774c511535ab2bd26d3b30c9', operation='UPDATE OR DELETE', pgid='pgtrigger_tick_append_only_rows_c2e5c', table='delivery_tick', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='tick',
            trigger=pgtrigger.compiler.Trigger(name='tick_append_only_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'tick_append_only';", hash='68997d52a9981a48d2e8a2d6351f78b87ac3f8fe', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_tick_append_only_table_5ac58', table='delivery_tick', when='BEFORE')),
        ),
        migrations.AddField(
            model_name='webhookendpoint',
            name='created_by',
            field=models.ForeignKey(db_index=False, help_text='Empty: the service.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='webhookendpoint',
            name='service',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='webhooks', to='accounts.service'),
        ),
        migrations.AddField(
            model_name='webhookattempt',
            name='endpoint',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='attempts', to='delivery.webhookendpoint'),
        ),
        migrations.AddConstraint(
            model_name='webhookendpoint',
            constraint=models.UniqueConstraint(fields=('service', 'url'), name='webhook_url_of_service'),
        ),
        migrations.AddConstraint(
            model_name='webhookendpoint',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('lease', None), ('leased_until', None)), models.Q(('lease__isnull', False), ('leased_until__isnull', False)), _connector='OR'), name='webhook_lease_ends'),
        ),
        migrations.AddIndex(
            model_name='webhookattempt',
            index=models.Index(fields=['endpoint', '-id'], name='webhook_log'),
        ),
        migrations.AddIndex(
            model_name='webhookattempt',
            index=models.Index(fields=['at'], name='webhook_log_age'),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
