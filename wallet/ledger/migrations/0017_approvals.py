"""Proposals, which another operator decides, and the rules by which what is worth more needs an approval."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
import wallet.ledger.migrations._frozen
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_service_keys'),
        ('assets', '0016_approval_threshold'),
        ('ledger', '0016_dated_credits'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # Going back, this runs after the triggers are as they were.
        migrations.RunSQL(migrations.RunSQL.noop, 'SELECT public.harden_triggers()'),
        migrations.CreateModel(
            name='Proposal',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('ISSUE', 'Issue credits'), ('RECREATE', 'Recreate a credit'), ('IMPORT', 'Import credits'), ('GRANT', 'Grant a credit'), ('CLAWBACK', 'Claw back a credit'), ('EXTEND', 'Extend a credit'), ('THRESHOLD', 'Change the approval threshold')], max_length=9)),
                ('parameters', models.JSONField(help_text='What the action is called with.')),
                ('shown', models.JSONField(help_text='What the proposer was shown of it.')),
                ('amount', models.DecimalField(decimal_places=4, help_text='NULL: the threshold is removed.', max_digits=24, null=True)),
                ('currency', models.CharField(max_length=3)),
                ('reason', models.CharField(blank=True, max_length=20)),
                ('file', models.BinaryField(help_text='The imported file; NULL if it was too large to keep.', null=True)),
                ('request_key', models.CharField(help_text="The request's key, or the grant's reference.", max_length=100, null=True)),
                ('fingerprint', models.CharField(max_length=64)),
                ('channel', models.CharField(max_length=20)),
                ('proposed_at', models.DateTimeField(editable=False)),
                ('expires_at', models.DateTimeField(editable=False)),
                ('decided_at', models.DateTimeField(editable=False, null=True)),
                ('decided_xid', wallet.ledger.migrations._frozen.TransactionIdField(editable=False, null=True)),
                ('approved', models.BooleanField(null=True)),
                ('decision_reason', models.CharField(max_length=200, null=True)),
                ('result', models.UUIDField(null=True)),
            ],
            options={
                'verbose_name': 'proposal',
                'verbose_name_plural': 'approvals',
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='GovernedIssuance',
            fields=[
            ],
            options={
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('assets.issuance',),
        ),
        migrations.CreateModel(
            name='GovernedPool',
            fields=[
            ],
            options={
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('assets.creditpool',),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='claimedasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_value_approved', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (OLD.status = 'AVAILABLE' AND (NEW.total_value > OLD.total_value OR NEW.pool_id IS DISTINCT FROM OLD.pool_id))", func="\n    IF EXISTS (SELECT FROM assets_creditpool AS pool\n        WHERE pool.id IN (OLD.pool_id, NEW.pool_id) AND pool.approval_threshold < NEW.total_value) THEN\n        RAISE EXCEPTION 'this is worth more than the pool''s approval threshold: another operator decides' USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_required';\n    END IF;\n    RETURN NEW;\n    ", hash='bf87a81d50f16138c0d13fdbd160a94aa3e45f55', operation='UPDATE OF "total_value", "pool_id"', pgid='pgtrigger_asset_value_approved_44fd2', table='assets_cashbackasset', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grant',
            trigger=pgtrigger.compiler.Trigger(name='grant_approved', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n    IF EXISTS (\n        SELECT FROM granted JOIN ledger_entry AS entry ON entry.id = granted.entry_id\n            JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id\n            JOIN assets_creditpool AS pool ON pool.id = asset.pool_id AND pool.approval_threshold < entry.amount\n        WHERE NOT EXISTS (SELECT FROM ledger_proposal AS proposal WHERE proposal.result = entry.id AND proposal.kind IN ('GRANT') AND proposal.approved AND proposal.decided_xid = pg_current_xact_id() AND entry.amount <= proposal.amount)\n    ) THEN\n        RAISE EXCEPTION 'this is worth more than the pool''s approval threshold: another operator decides' USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_required';\n    END IF;\n    RETURN NULL;\n    ", hash='02294d48995c0a02cfe5b2696db11b6e3f1153af', level='STATEMENT', operation='INSERT', pgid='pgtrigger_grant_approved_db5e7', referencing='REFERENCING NEW TABLE AS granted ', table='ledger_grant', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='movement',
            trigger=pgtrigger.compiler.Trigger(name='movement_approved', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.kind = 'EXTEND' OR NEW.kind = 'CLAWBACK' AND NEW.shortfall IS NOT NULL)", declare='DECLARE worth numeric;', func="\n    worth := NEW.amount + coalesce(NEW.shortfall, 0);\n    IF EXISTS (\n        SELECT FROM ledger_entry AS entry JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id\n            JOIN assets_creditpool AS pool ON pool.id = asset.pool_id AND pool.approval_threshold < worth\n        WHERE entry.id = NEW.claim_id\n    ) AND NOT EXISTS (SELECT FROM ledger_proposal AS proposal WHERE proposal.result = NEW.id AND proposal.kind IN (NEW.kind) AND proposal.approved AND proposal.decided_xid = pg_current_xact_id() AND worth <= proposal.amount) THEN\n        RAISE EXCEPTION 'this is worth more than the pool''s approval threshold: another operator decides' USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_required';\n    END IF;\n    RETURN NULL;\n    ", hash='778aa9929b4e9a5b3e275a3d8c22bde0326ed792', operation='INSERT', pgid='pgtrigger_movement_approved_9e430', table='ledger_movement', when='AFTER')),
        ),
        migrations.AddField(
            model_name='proposal',
            name='decided_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='proposal',
            name='pool',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='proposals', to='assets.creditpool'),
        ),
        migrations.AddField(
            model_name='proposal',
            name='proposed_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='proposal',
            name='service',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.service'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='governedissuance',
            trigger=pgtrigger.compiler.Trigger(name='issue_approved', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (NEW.pool_id IS NOT NULL)', declare='DECLARE threshold numeric; worth numeric;', func="\n    SELECT approval_threshold INTO threshold FROM assets_creditpool WHERE id = NEW.pool_id;\n    IF threshold IS NULL THEN\n        RETURN NULL;\n    END IF;\n    SELECT sum(value) INTO worth FROM assets_issuance\n        WHERE id = NEW.id OR batch_id = NEW.batch_id AND pool_id = NEW.pool_id;\n    IF worth > threshold AND NOT EXISTS (SELECT FROM ledger_proposal AS proposal WHERE proposal.result = NEW.batch_id AND proposal.kind IN ('ISSUE', 'RECREATE', 'IMPORT') AND proposal.approved AND proposal.decided_xid = pg_current_xact_id() AND worth <= (proposal.parameters -> 'totals' ->> NEW.pool_id::text)::numeric) THEN\n        RAISE EXCEPTION 'this is worth more than the pool''s approval threshold: another operator decides' USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_required';\n    END IF;\n    RETURN NULL;\n    ", hash='1df2f2c74dafe7116cb25cb43fddd9eb0663838c', operation='INSERT', pgid='pgtrigger_issue_approved_c5bd3', table='assets_issuance', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='governedpool',
            trigger=pgtrigger.compiler.Trigger(name='pool_threshold_approved', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.approval_threshold IS NOT NULL AND (NEW.approval_threshold IS NULL OR NEW.approval_threshold > OLD.approval_threshold))', func="\n    IF NOT EXISTS (SELECT FROM ledger_proposal AS proposal WHERE proposal.result = NEW.id AND proposal.kind IN ('THRESHOLD') AND proposal.approved AND proposal.decided_xid = pg_current_xact_id() AND proposal.amount IS NOT DISTINCT FROM NEW.approval_threshold) THEN\n        RAISE EXCEPTION 'this is worth more than the pool''s approval threshold: another operator decides' USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_required';\n    END IF;\n    RETURN NEW;\n    ", hash='5eddf74b75fff2dcd28058b7617b18e3e2420e43', operation='UPDATE OF "approval_threshold"', pgid='pgtrigger_pool_threshold_approved_aed48', table='assets_creditpool', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='proposal',
            index=models.Index(models.F('id'), condition=models.Q(('decided_at', None)), name='proposal_undecided'),
        ),
        migrations.AddConstraint(
            model_name='proposal',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['ISSUE', 'RECREATE', 'IMPORT', 'GRANT', 'CLAWBACK', 'EXTEND', 'THRESHOLD'])), name='proposal_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='proposal',
            constraint=models.CheckConstraint(condition=models.Q(('proposed_by', None), ('service', None), _connector='XOR'), name='proposal_by_one'),
        ),
        migrations.AddConstraint(
            model_name='proposal',
            constraint=models.CheckConstraint(condition=models.Q(('decided_by', None), ('proposed_by', None), models.Q(('decided_by', models.F('proposed_by')), _negated=True), _connector='OR'), name='proposal_decided_by_another'),
        ),
        migrations.AddConstraint(
            model_name='proposal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('approved', None), ('decided_at', None), ('decided_by', None), ('decided_xid', None), ('decision_reason', None)), models.Q(('approved__isnull', False), ('decided_at__isnull', False), ('decided_by__isnull', False), ('decided_xid__isnull', False), ('decision_reason__isnull', False)), _connector='OR'), name='proposal_decided_whole'),
        ),
        migrations.AddConstraint(
            model_name='proposal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('approved', True), ('result__isnull', False)), models.Q(('approved', False), ('result', None)), models.Q(('approved', None), ('result', None)), _connector='OR'), name='proposal_result_if_approved'),
        ),
        migrations.AddConstraint(
            model_name='proposal',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0), models.Q(('amount', None), ('kind', 'THRESHOLD')), models.Q(('amount__gte', 0), ('kind', 'THRESHOLD')), _connector='OR'), name='proposal_amount_positive'),
        ),
        migrations.AddConstraint(
            model_name='proposal',
            constraint=models.CheckConstraint(condition=models.Q(('kind', 'IMPORT'), models.Q(('file', None), ('pool__isnull', False)), _connector='OR'), name='proposal_of_pool'),
        ),
        migrations.AddConstraint(
            model_name='proposal',
            constraint=models.CheckConstraint(condition=models.Q(('currency__in', ['AED', 'AFN', 'ALL', 'AMD', 'AOA', 'ARS', 'AUD', 'AWG', 'AZN', 'BAM', 'BBD', 'BDT', 'BHD', 'BIF', 'BMD', 'BND', 'BOB', 'BRL', 'BSD', 'BTN', 'BWP', 'BYN', 'BZD', 'CAD', 'CDF', 'CHF', 'CLP', 'CNY', 'COP', 'CRC', 'CUP', 'CVE', 'CZK', 'DJF', 'DKK', 'DOP', 'DZD', 'EGP', 'ERN', 'ETB', 'EUR', 'FJD', 'FKP', 'GBP', 'GEL', 'GHS', 'GIP', 'GMD', 'GNF', 'GTQ', 'GYD', 'HKD', 'HNL', 'HTG', 'HUF', 'IDR', 'ILS', 'INR', 'IQD', 'IRR', 'ISK', 'JMD', 'JOD', 'JPY', 'KES', 'KGS', 'KHR', 'KMF', 'KPW', 'KRW', 'KWD', 'KYD', 'KZT', 'LAK', 'LBP', 'LKR', 'LRD', 'LSL', 'LYD', 'MAD', 'MDL', 'MGA', 'MKD', 'MMK', 'MNT', 'MOP', 'MRU', 'MUR', 'MVR', 'MWK', 'MXN', 'MYR', 'MZN', 'NAD', 'NGN', 'NIO', 'NOK', 'NPR', 'NZD', 'OMR', 'PAB', 'PEN', 'PGK', 'PHP', 'PKR', 'PLN', 'PYG', 'QAR', 'RON', 'RSD', 'RUB', 'RWF', 'SAR', 'SBD', 'SCR', 'SDG', 'SEK', 'SGD', 'SHP', 'SLE', 'SOS', 'SRD', 'SSP', 'STN', 'SVC', 'SYP', 'SZL', 'THB', 'TJS', 'TMT', 'TND', 'TOP', 'TRY', 'TTD', 'TWD', 'TZS', 'UAH', 'UGX', 'USD', 'UYU', 'UZS', 'VES', 'VND', 'VUV', 'WST', 'XAF', 'XCD', 'XCG', 'XOF', 'XPF', 'YER', 'ZAR', 'ZMW', 'ZWG'])), name='proposal_currency_known'),
        ),
        migrations.AddConstraint(
            model_name='proposal',
            constraint=models.UniqueConstraint(condition=models.Q(('request_key__isnull', False)), fields=('proposed_by', 'service', 'kind', 'request_key'), name='proposal_request_key', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='proposal',
            constraint=models.UniqueConstraint(condition=models.Q(('result__isnull', False), models.Q(('kind', 'THRESHOLD'), _negated=True)), fields=('result',), name='proposal_result'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='proposal',
            trigger=pgtrigger.compiler.Trigger(name='proposal_proposed', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n    IF NEW.decided_by_id IS NOT NULL OR NEW.approved IS NOT NULL OR NEW.result IS NOT NULL THEN\n        RAISE EXCEPTION 'a proposal is made before it is decided' USING ERRCODE = 'check_violation', CONSTRAINT = 'proposal_undecided_first';\n    END IF;\n    IF jsonb_typeof(NEW.parameters) <> 'object' OR jsonb_typeof(NEW.shown) <> 'object' THEN\n        RAISE EXCEPTION 'parameters are an object' USING ERRCODE = 'check_violation', CONSTRAINT = 'proposal_parameters';\n    END IF;\n    NEW.proposed_at := clock_timestamp();\n    NEW.expires_at := NEW.proposed_at + interval '168 hours';\n    RETURN NEW;\n    ", hash='6ec02e661efd649ebdd1a606071afd7f32be71cd', operation='INSERT', pgid='pgtrigger_proposal_proposed_55990', table='ledger_proposal', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='proposal',
            trigger=pgtrigger.compiler.Trigger(name='proposal_decided', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n    IF OLD.decided_at IS NOT NULL THEN\n        RAISE EXCEPTION 'a proposal is decided once' USING ERRCODE = 'check_violation', CONSTRAINT = 'proposal_decided';\n    END IF;\n    IF to_jsonb(NEW) - 'decided_by_id' - 'decided_at' - 'decided_xid' - 'approved' - 'decision_reason' - 'result' <> to_jsonb(OLD) - 'decided_by_id' - 'decided_at' - 'decided_xid' - 'approved' - 'decision_reason' - 'result' THEN\n        RAISE EXCEPTION 'what was proposed never changes' USING ERRCODE = 'check_violation', CONSTRAINT = 'proposal_fixed';\n    END IF;\n    NEW.decided_at := clock_timestamp();\n    NEW.decided_xid := pg_current_xact_id();\n    IF OLD.expires_at <= NEW.decided_at THEN\n        RAISE EXCEPTION 'the proposal has expired' USING ERRCODE = 'check_violation', CONSTRAINT = 'proposal_expired';\n    END IF;\n    IF NOT EXISTS (SELECT FROM accounts_user WHERE id = NEW.decided_by_id AND is_active AND role = 'ADMIN') THEN\n        RAISE EXCEPTION 'an operator decides' USING ERRCODE = 'check_violation', CONSTRAINT = 'proposal_decided_by_operator';\n    END IF;\n    -- Who made a key of the service could have sent its request.\n    IF EXISTS (SELECT FROM accounts_servicekey AS key WHERE key.service_id = OLD.service_id\n        AND key.created_by_id = NEW.decided_by_id AND (key.revoked_at IS NULL OR key.revoked_at > OLD.proposed_at)\n        AND (key.expires_at IS NULL OR key.expires_at > OLD.proposed_at)) THEN\n        RAISE EXCEPTION 'who made the service''s key does not decide its proposals' USING ERRCODE = 'check_violation', CONSTRAINT = 'proposal_decided_by_another';\n    END IF;\n    RETURN NEW;\n    ", hash='2882b286ea07b4415ec58973042ff7f13c0eb8de', operation='UPDATE', pgid='pgtrigger_proposal_decided_eef31', table='ledger_proposal', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='proposal',
            trigger=pgtrigger.compiler.Trigger(name='proposal_carried_out', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (NEW.approved)', constraint='CONSTRAINT', func="\n    IF NOT (CASE NEW.kind\n        WHEN 'GRANT' THEN EXISTS (SELECT FROM ledger_grant AS made WHERE made.entry_id = NEW.result\n            AND (made.actor_id, made.service_id) IS NOT DISTINCT FROM (NEW.proposed_by_id, NEW.service_id))\n        WHEN 'CLAWBACK' THEN EXISTS (SELECT FROM ledger_movement AS made WHERE made.id = NEW.result\n            AND made.kind = NEW.kind AND made.actor_id IS NOT DISTINCT FROM NEW.proposed_by_id)\n        WHEN 'EXTEND' THEN EXISTS (SELECT FROM ledger_movement AS made WHERE made.id = NEW.result\n            AND made.kind = NEW.kind AND made.actor_id IS NOT DISTINCT FROM NEW.proposed_by_id)\n        WHEN 'THRESHOLD' THEN EXISTS (SELECT FROM assets_creditpool AS made WHERE made.id = NEW.result\n            AND made.approval_threshold IS NOT DISTINCT FROM NEW.amount)\n        ELSE EXISTS (SELECT FROM assets_batch AS made WHERE made.id = NEW.result\n            AND made.created_by_id IS NOT DISTINCT FROM NEW.proposed_by_id)\n        END) THEN\n        RAISE EXCEPTION 'an approved proposal is carried out in the same transaction' USING ERRCODE = 'check_violation', CONSTRAINT = 'proposal_carried_out';\n    END IF;\n     RETURN NULL;", hash='7219bdb8febb0737e3fae19c879d968e53a503de', operation='UPDATE', pgid='pgtrigger_proposal_carried_out_41fd6', table='ledger_proposal', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='proposal',
            trigger=pgtrigger.compiler.Trigger(name='proposal_kept_rows', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table loses no rows' USING ERRCODE = 'check_violation', CONSTRAINT = 'proposal_kept';", hash='33d7acf4167455e98d61985d4f201e22264da26b', operation='DELETE', pgid='pgtrigger_proposal_kept_rows_eba3f', table='ledger_proposal', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='proposal',
            trigger=pgtrigger.compiler.Trigger(name='proposal_kept_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'proposal_kept';", hash='d537f40f7b437606569f60769def6493e2d11fd2', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_proposal_kept_table_ca7cc', table='ledger_proposal', when='BEFORE')),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
