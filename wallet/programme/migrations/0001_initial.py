"""The programme: rules that grant, what is due by them, reported events and referrals, and the triggers that write them."""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


HARDEN_TRIGGERS = r"""
CREATE OR REPLACE FUNCTION public.harden_triggers() RETURNS void LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp AS $harden$
DECLARE
    -- The beginning of each function of pgtrigger: a condition that obeys the setting pgtrigger.ignore.
    ignore_condition CONSTANT text := '\s*IF \([^()]*_pgtrigger_should_ignore\(TG_NAME\) IS TRUE\) THEN\s+IF \(TG_OP = ''DELETE''\) THEN'
        '\s+RETURN OLD;\s+ELSE\s+RETURN NEW;\s+END IF;\s+END IF;';
    -- Triggers that write tables which the application may only read. Former names serve on the way back.
    by_owner CONSTANT text := '^pgtrigger_(asset_issued|supply_issued|supply_changed|supply_deleted|seal_carried|seal_balances_added'
        '|history_pseudonymised|entry_lots_opened|lots_backfilled|movement_turn|posting_applied|insert_insert|update_update|delete_delete'
        '|dues_registered|dues_verified|dues_paid|dues_reported|due_granted|referral_recorded)_[0-9a-f]{5}$';
    rule record;
BEGIN
    FOR rule IN
        SELECT tgrelid::regclass AS place, tgname AS name, tgenabled AS enabled, tgfoid::regprocedure AS function,
            prosrc AS source, prosecdef AS definer, coalesce(array_to_string(proconfig, ';'), '') AS settings
        FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
        WHERE NOT tgisinternal AND tgname LIKE 'pgtrigger\_%' ORDER BY 1, 2
    LOOP
        IF rule.source LIKE '%\_pgtrigger\_should\_ignore%' THEN
            IF regexp_replace(rule.source, ignore_condition, '') LIKE '%\_pgtrigger\_should\_ignore%' THEN
                RAISE EXCEPTION 'trigger % has an ignore condition of an unknown form', rule.name;
            END IF;
            EXECUTE regexp_replace(pg_get_functiondef(rule.function), ignore_condition, '');
        END IF;
        IF rule.settings <> 'search_path=pg_catalog, public, pg_temp' THEN
            EXECUTE format('ALTER FUNCTION %s RESET ALL', rule.function);
            EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, public, pg_temp', rule.function);
        END IF;
        IF rule.name ~ by_owner AND NOT rule.definer THEN
            EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER', rule.function);
        END IF;
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', rule.function);
        IF rule.enabled <> 'A' THEN
            EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', rule.place, rule.name);
        END IF;
    END LOOP;
    ALTER FUNCTION public._pgh_attach_context() SET search_path = pg_catalog, public, pg_temp;
    REVOKE EXECUTE ON FUNCTION public._pgh_attach_context() FROM PUBLIC;
    DROP FUNCTION IF EXISTS public._pgtrigger_should_ignore(name);
END $harden$;
REVOKE EXECUTE ON FUNCTION public.harden_triggers() FROM PUBLIC;
"""

# On the way back: what the dropped triggers ran.
DROP_UNUSED_FUNCTIONS = """
DO $$
DECLARE unused regprocedure;
BEGIN
    FOR unused IN
        SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prorettype = 'trigger'::regtype
            AND starts_with(proname, 'pgtrigger_') AND oid NOT IN (SELECT tgfoid FROM pg_trigger)
    LOOP
        EXECUTE format('DROP FUNCTION %s', unused);
    END LOOP;
END $$
"""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0010_scope_of_events'),
        ('assets', '0018_changes_by_transaction'),
        ('ledger', '0017_approvals'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # Operations are reversed from the last to the first: on the way back these two end the migration.
        migrations.RunSQL(migrations.RunSQL.noop, 'SELECT public.harden_triggers()'),
        migrations.RunSQL(migrations.RunSQL.noop, DROP_UNUSED_FUNCTIONS),
        migrations.CreateModel(
            name='ReportedEvent',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=50)),
                ('reference', models.CharField(help_text="The service's name of the event.", max_length=100)),
                ('occurred_at', models.DateTimeField(help_text='As the service says.', null=True)),
                ('reported_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('request_key', models.CharField(max_length=64, null=True)),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='CapturedPayment',
            fields=[
            ],
            options={
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('ledger.payment',),
        ),
        migrations.CreateModel(
            name='RegisteredUser',
            fields=[
            ],
            options={
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('accounts.user',),
        ),
        migrations.CreateModel(
            name='RuleGrant',
            fields=[
            ],
            options={
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('ledger.grant',),
        ),
        migrations.CreateModel(
            name='GrantRule',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100, unique=True)),
                ('event', models.CharField(choices=[('REGISTERED', 'A person registers'), ('EMAIL_VERIFIED', 'A person verifies their email'), ('FIRST_PAYMENT', "A person's first payment is captured"), ('FRIEND_FIRST_PAYMENT', "An invited friend's first payment is captured"), ('REPORTED', 'A service reports an event')], max_length=20)),
                ('event_name', models.CharField(blank=True, default='', help_text='The name that services report, e.g. review.written.', max_length=50)),
                ('minimum_amount', models.DecimalField(blank=True, decimal_places=4, help_text='Of the payment. Leave blank for any amount.', max_digits=18, null=True)),
                ('currency', models.CharField(blank=True, default='', help_text='Of the minimum amount, e.g. INR.', max_length=3)),
                ('per_person_cap', models.PositiveIntegerField(blank=True, help_text='Most credits that one person can get from this rule. Leave blank for no limit.', null=True)),
                ('is_active', models.BooleanField(default=True, help_text='Turn off to pause. No credits become due or are granted until it is on again.', verbose_name='active')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('created_by', models.ForeignKey(db_index=False, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('pool', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rules', to='assets.creditpool')),
            ],
            options={
                'verbose_name': 'rule',
                'verbose_name_plural': 'rules',
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='GrantDue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reference', models.UUIDField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('granted_at', models.DateTimeField(null=True)),
                ('cap_slot', models.PositiveIntegerField(help_text='The number of this grant among those of the rule to the person.', null=True)),
                ('attempts', models.PositiveIntegerField(db_default=0)),
                ('refusal', models.CharField(blank=True, db_default='', max_length=40)),
                ('next_try_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), null=True)),
                ('entry', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='due', to='ledger.entry')),
                ('friend', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='due_to_referrer', to=settings.AUTH_USER_MODEL)),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='dues', to=settings.AUTH_USER_MODEL)),
                ('rule', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='dues', to='programme.grantrule')),
            ],
            options={
                'verbose_name': 'due credit',
                'verbose_name_plural': 'due credits',
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='Referral',
            fields=[
                ('friend', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='referral', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('network', models.CharField(blank=True, max_length=64)),
                ('created_at', models.DateTimeField()),
                ('held_for', models.CharField(blank=True, choices=[('NETWORK', 'Many friends from one network address'), ('BURST', 'Many friends within an hour')], max_length=7)),
                ('is_approved', models.BooleanField(null=True)),
                ('decided_at', models.DateTimeField(null=True)),
                ('decided_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('referrer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='referrals', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'referral',
                'verbose_name_plural': 'referrals',
                'ordering': ('-created_at',),
            },
        ),
        migrations.CreateModel(
            name='ReferralCode',
            fields=[
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='referral_code', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('code', models.CharField(max_length=8, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('code__regex', '^[2-9A-HJ-NP-TV-Z]{8}$')), name='referral_code_form')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='referralcode',
            trigger=pgtrigger.compiler.Trigger(name='referral_code_append_only_rows', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'referral_code_append_only';", hash='3637397661ee2aa62f1e88a810ebaba856fd09da', operation='UPDATE OR DELETE', pgid='pgtrigger_referral_code_append_only_rows_b9f9d', table='programme_referralcode', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='referralcode',
            trigger=pgtrigger.compiler.Trigger(name='referral_code_append_only_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'referral_code_append_only';", hash='c39e4d9d18daf4a3d2feb1b7ee894665de54e202', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_referral_code_append_only_table_42895', table='programme_referralcode', when='BEFORE')),
        ),
        migrations.AddField(
            model_name='reportedevent',
            name='service',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.service'),
        ),
        migrations.AddField(
            model_name='reportedevent',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reported_events', to=settings.AUTH_USER_MODEL),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='capturedpayment',
            trigger=pgtrigger.compiler.Trigger(name='dues_paid', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (NEW.captured > 0)', declare='DECLARE referral programme_referral%ROWTYPE;', func="\n    IF NOT EXISTS (SELECT FROM programme_grantrule WHERE is_active AND event IN ('FIRST_PAYMENT', 'FRIEND_FIRST_PAYMENT'))\n        OR TG_OP = 'UPDATE' AND OLD.captured = NEW.captured THEN\n        RETURN NULL;\n    END IF;\n    SELECT * INTO referral FROM programme_referral WHERE friend_id = NEW.user_id FOR SHARE;\n    INSERT INTO programme_grantdue (rule_id, user_id, reference, friend_id, next_try_at)\n        SELECT rule.id, CASE WHEN rule.event = 'FRIEND_FIRST_PAYMENT' THEN referral.referrer_id ELSE NEW.user_id END, NEW.user_id,\n            CASE WHEN rule.event = 'FRIEND_FIRST_PAYMENT' THEN referral.friend_id END,\n            CASE WHEN rule.event = 'FRIEND_FIRST_PAYMENT' AND referral.held_for <> '' AND referral.is_approved IS NULL THEN NULL ELSE clock_timestamp() END\n        FROM programme_grantrule AS rule\n        WHERE rule.is_active AND rule.event IN ('FIRST_PAYMENT', 'FRIEND_FIRST_PAYMENT')\n            AND CASE WHEN rule.event = 'FRIEND_FIRST_PAYMENT' THEN referral.friend_id IS NOT NULL AND referral.is_approved IS DISTINCT FROM false ELSE true END\n            AND (rule.minimum_amount IS NULL OR rule.currency = NEW.currency AND NEW.captured >= rule.minimum_amount)\n            AND NOT EXISTS (\n                SELECT FROM ledger_payment AS earlier WHERE earlier.user_id = NEW.user_id AND earlier.id <> NEW.id\n                    AND earlier.captured > 0 AND (rule.minimum_amount IS NULL\n                        OR earlier.currency = rule.currency AND earlier.captured >= rule.minimum_amount))\n        ORDER BY rule.id\n    ON CONFLICT DO NOTHING;\n    RETURN NULL;\n    ", hash='7d806669a0987e019041e155fab0bde02836d336', operation='INSERT OR UPDATE OF "captured"', pgid='pgtrigger_dues_paid_29bb4', table='ledger_payment', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='registereduser',
            trigger=pgtrigger.compiler.Trigger(name='dues_registered', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.role = 'USER')", func="\n    INSERT INTO programme_grantdue (rule_id, user_id, reference)\n        SELECT rule.id, NEW.id, NEW.id FROM programme_grantrule AS rule\n        WHERE rule.is_active AND rule.event = 'REGISTERED' ORDER BY rule.id\n    ON CONFLICT DO NOTHING;\n    \n    IF NEW.email_verified_at IS NOT NULL THEN \n    INSERT INTO programme_grantdue (rule_id, user_id, reference)\n        SELECT rule.id, NEW.id, NEW.id FROM programme_grantrule AS rule\n        WHERE rule.is_active AND rule.event = 'EMAIL_VERIFIED' ORDER BY rule.id\n    ON CONFLICT DO NOTHING;\n     END IF;\n    RETURN NULL;\n    ", hash='9c89c3a5dbb29b2a26fd47808e8e8a91f7a1fdd8', operation='INSERT', pgid='pgtrigger_dues_registered_144ea', table='accounts_user', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='registereduser',
            trigger=pgtrigger.compiler.Trigger(name='dues_verified', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.role = 'USER' AND OLD.email_verified_at IS NULL AND NEW.email_verified_at IS NOT NULL)", func="\n    INSERT INTO programme_grantdue (rule_id, user_id, reference)\n        SELECT rule.id, NEW.id, NEW.id FROM programme_grantrule AS rule\n        WHERE rule.is_active AND rule.event = 'EMAIL_VERIFIED' ORDER BY rule.id\n    ON CONFLICT DO NOTHING;\n     RETURN NULL;", hash='dbd1c594d6330d70001ea23f75c42c420f012781', operation='UPDATE OF "email_verified_at"', pgid='pgtrigger_dues_verified_48c42', table='accounts_user', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='registereduser',
            trigger=pgtrigger.compiler.Trigger(name='referral_recorded', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE invitation jsonb; inviting uuid; at timestamptz; reason text;', func="\n    invitation := nullif(current_setting('cashback.invitation', true), '')::jsonb;\n    IF invitation IS NULL THEN\n        RETURN NULL;\n    END IF;\n    PERFORM set_config('cashback.invitation', '', true);\n    SELECT user_id INTO inviting FROM programme_referralcode WHERE code = invitation ->> 'code' FOR NO KEY UPDATE;\n    IF NOT coalesce((SELECT is_active FROM accounts_user WHERE id = inviting), false) THEN\n        RAISE EXCEPTION 'nobody invites with this code' USING ERRCODE = 'check_violation', CONSTRAINT = 'referral_code_known';\n    END IF;\n    at := clock_timestamp();\n    reason := CASE\n        WHEN invitation ->> 'network' <> '' AND 3 <= (SELECT count(*) FROM programme_referral\n            WHERE referrer_id = inviting AND network = invitation ->> 'network'\n                AND created_at > at - interval '1 day') THEN 'NETWORK'\n        WHEN 10 <= (SELECT count(*) FROM programme_referral\n            WHERE referrer_id = inviting AND created_at > at - interval '1 hour') THEN 'BURST'\n        ELSE '' END;\n    INSERT INTO programme_referral (friend_id, referrer_id, network, created_at, held_for)\n        VALUES (NEW.id, inviting, coalesce(invitation ->> 'network', ''), at, reason);\n    RETURN NULL;\n    ", hash='0cea19ed334c2532099e3c73df81c7e1541ebe44', operation='INSERT', pgid='pgtrigger_referral_recorded_9e704', table='accounts_user', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='rulegrant',
            trigger=pgtrigger.compiler.Trigger(name='due_granted', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.service_id IS NULL AND starts_with(NEW.reference, 'rule:'))", declare='DECLARE due_id bigint; due_rule uuid; due_user uuid; cap integer; slot integer;', func="\n    IF NEW.reference ~ '^rule:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN\n        SELECT due.id, due.rule_id, due.user_id, rule.per_person_cap INTO due_id, due_rule, due_user, cap\n            FROM programme_grantdue AS due JOIN programme_grantrule AS rule ON rule.id = due.rule_id\n            JOIN ledger_entry AS entry ON entry.id = NEW.entry_id AND entry.user_id = due.user_id\n            JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id AND asset.pool_id = rule.pool_id\n            WHERE due.rule_id = split_part(NEW.reference, ':', 2)::uuid\n                AND due.reference = split_part(NEW.reference, ':', 3)::uuid AND due.entry_id IS NULL\n                AND NOT EXISTS (SELECT FROM programme_referral AS referral WHERE referral.friend_id = due.friend_id\n                    AND referral.held_for <> '' AND referral.is_approved IS NOT TRUE)\n            FOR NO KEY UPDATE OF due;\n    END IF;\n    IF due_id IS NULL THEN\n        RAISE EXCEPTION 'no rule has this credit due to this person' USING ERRCODE = 'check_violation', CONSTRAINT = 'grant_of_due';\n    END IF;\n    slot := 1 + coalesce((SELECT max(cap_slot) FROM programme_grantdue WHERE rule_id = due_rule AND user_id = due_user), 0);\n    IF slot > cap THEN\n        RAISE EXCEPTION 'this person has all that the rule grants to one person' USING ERRCODE = 'check_violation', CONSTRAINT = 'rule_cap';\n    END IF;\n    UPDATE programme_grantdue SET entry_id = NEW.entry_id, granted_at = clock_timestamp(), cap_slot = slot WHERE id = due_id;\n    RETURN NULL;\n    ", hash='3392a664eba24d481fa900efca00ecb6e6b0b780', operation='INSERT', pgid='pgtrigger_due_granted_7c46d', table='ledger_grant', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='grantrule',
            constraint=models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='rule_name_given'),
        ),
        migrations.AddConstraint(
            model_name='grantrule',
            constraint=models.CheckConstraint(condition=models.Q(('event__in', ['REGISTERED', 'EMAIL_VERIFIED', 'FIRST_PAYMENT', 'FRIEND_FIRST_PAYMENT', 'REPORTED'])), name='rule_event_known'),
        ),
        migrations.AddConstraint(
            model_name='grantrule',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('event', 'REPORTED'), ('event_name__regex', '^[a-z][a-z0-9_.]{0,49}$')), models.Q(models.Q(('event', 'REPORTED'), _negated=True), ('event_name', '')), _connector='OR'), name='rule_event_name_of_report'),
        ),
        migrations.AddConstraint(
            model_name='grantrule',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('currency', ''), ('minimum_amount', None)), models.Q(('currency__in', ['AED', 'AFN', 'ALL', 'AMD', 'AOA', 'ARS', 'AUD', 'AWG', 'AZN', 'BAM', 'BBD', 'BDT', 'BHD', 'BIF', 'BMD', 'BND', 'BOB', 'BRL', 'BSD', 'BTN', 'BWP', 'BYN', 'BZD', 'CAD', 'CDF', 'CHF', 'CLP', 'CNY', 'COP', 'CRC', 'CUP', 'CVE', 'CZK', 'DJF', 'DKK', 'DOP', 'DZD', 'EGP', 'ERN', 'ETB', 'EUR', 'FJD', 'FKP', 'GBP', 'GEL', 'GHS', 'GIP', 'GMD', 'GNF', 'GTQ', 'GYD', 'HKD', 'HNL', 'HTG', 'HUF', 'IDR', 'ILS', 'INR', 'IQD', 'IRR', 'ISK', 'JMD', 'JOD', 'JPY', 'KES', 'KGS', 'KHR', 'KMF', 'KPW', 'KRW', 'KWD', 'KYD', 'KZT', 'LAK', 'LBP', 'LKR', 'LRD', 'LSL', 'LYD', 'MAD', 'MDL', 'MGA', 'MKD', 'MMK', 'MNT', 'MOP', 'MRU', 'MUR', 'MVR', 'MWK', 'MXN', 'MYR', 'MZN', 'NAD', 'NGN', 'NIO', 'NOK', 'NPR', 'NZD', 'OMR', 'PAB', 'PEN', 'PGK', 'PHP', 'PKR', 'PLN', 'PYG', 'QAR', 'RON', 'RSD', 'RUB', 'RWF', 'SAR', 'SBD', 'SCR', 'SDG', 'SEK', 'SGD', 'SHP', 'SLE', 'SOS', 'SRD', 'SSP', 'STN', 'SVC', 'SYP', 'SZL', 'THB', 'TJS', 'TMT', 'TND', 'TOP', 'TRY', 'TTD', 'TWD', 'TZS', 'UAH', 'UGX', 'USD', 'UYU', 'UZS', 'VES', 'VND', 'VUV', 'WST', 'XAF', 'XCD', 'XCG', 'XOF', 'XPF', 'YER', 'ZAR', 'ZMW', 'ZWG']), ('event__in', ('FIRST_PAYMENT', 'FRIEND_FIRST_PAYMENT')), ('minimum_amount__gt', 0)), _connector='OR'), name='rule_minimum_of_payment'),
        ),
        migrations.AddConstraint(
            model_name='grantrule',
            constraint=models.CheckConstraint(condition=models.Q(('per_person_cap', None), ('per_person_cap__gte', 1), _connector='OR'), name='rule_cap_positive'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grantrule',
            trigger=pgtrigger.compiler.Trigger(name='rule_kept_rows', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table loses no rows' USING ERRCODE = 'check_violation', CONSTRAINT = 'rule_kept';", hash='6b24334a11f10c9dd1681f4c999ca974f3247a1e', operation='DELETE', pgid='pgtrigger_rule_kept_rows_c3b0d', table='programme_grantrule', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grantrule',
            trigger=pgtrigger.compiler.Trigger(name='rule_kept_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'rule_kept';", hash='ab63c77bb318bbef16a3c681c75582a40a3b7be0', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_rule_kept_table_5e513', table='programme_grantrule', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grantrule',
            trigger=pgtrigger.compiler.Trigger(name='rule_same', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.id IS DISTINCT FROM NEW.id OR OLD.pool_id IS DISTINCT FROM NEW.pool_id OR OLD.event IS DISTINCT FROM NEW.event OR OLD.event_name IS DISTINCT FROM NEW.event_name OR OLD.minimum_amount IS DISTINCT FROM NEW.minimum_amount OR OLD.currency IS DISTINCT FROM NEW.currency OR OLD.created_by_id IS DISTINCT FROM NEW.created_by_id OR OLD.created_at IS DISTINCT FROM NEW.created_at)', func="RAISE EXCEPTION 'a rule keeps its pool, its event and its conditions' USING ERRCODE = 'check_violation', CONSTRAINT = 'rule_same';", hash='3a885a45e235eee1e7734b6c794a8a94b2263342', operation='UPDATE', pgid='pgtrigger_rule_same_f8097', table='programme_grantrule', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='grantdue',
            index=models.Index(condition=models.Q(('entry', None)), fields=['rule', 'next_try_at', 'id'], name='due_waiting'),
        ),
        migrations.AddIndex(
            model_name='grantdue',
            index=models.Index(fields=['user', '-id'], name='due_of_user'),
        ),
        migrations.AddConstraint(
            model_name='grantdue',
            constraint=models.UniqueConstraint(fields=('rule', 'reference'), name='due_once'),
        ),
        migrations.AddConstraint(
            model_name='grantdue',
            constraint=models.UniqueConstraint(fields=('rule', 'user', 'cap_slot'), name='due_cap_slot'),
        ),
        migrations.AddConstraint(
            model_name='grantdue',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('cap_slot', None), ('entry', None), ('granted_at', None)), models.Q(('cap_slot__isnull', False), ('entry__isnull', False), ('granted_at__isnull', False)), _connector='OR'), name='due_granted_whole'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grantdue',
            trigger=pgtrigger.compiler.Trigger(name='due_kept_rows', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table loses no rows' USING ERRCODE = 'check_violation', CONSTRAINT = 'due_kept';", hash='33997bd7805ca84a6b4748b2e53870cbe6ddbd32', operation='DELETE', pgid='pgtrigger_due_kept_rows_9c797', table='programme_grantdue', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grantdue',
            trigger=pgtrigger.compiler.Trigger(name='due_kept_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'due_kept';", hash='7da243dfd53f142fbfb8edddf2fec28f2957f518', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_due_kept_table_0d4c0', table='programme_grantdue', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grantdue',
            trigger=pgtrigger.compiler.Trigger(name='due_same', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.rule_id IS DISTINCT FROM NEW.rule_id OR OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.reference IS DISTINCT FROM NEW.reference OR OLD.friend_id IS DISTINCT FROM NEW.friend_id OR OLD.created_at IS DISTINCT FROM NEW.created_at)', func="RAISE EXCEPTION 'a due keeps its rule, person and reference' USING ERRCODE = 'check_violation', CONSTRAINT = 'due_same';", hash='268ee6d1fdd03e0d8f36486182d3acb6a4ba7038', operation='UPDATE', pgid='pgtrigger_due_same_aa09c', table='programme_grantdue', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grantdue',
            trigger=pgtrigger.compiler.Trigger(name='due_final', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.entry_id IS NOT NULL)', func="RAISE EXCEPTION 'what was granted never changes' USING ERRCODE = 'check_violation', CONSTRAINT = 'due_final';", hash='bfb159ff3b276035629481c7cff417ae9a7e4a38', operation='UPDATE', pgid='pgtrigger_due_final_d4a95', table='programme_grantdue', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='referral',
            index=models.Index(fields=['referrer', '-created_at'], name='referral_of_referrer'),
        ),
        migrations.AddIndex(
            model_name='referral',
            index=models.Index(condition=models.Q(models.Q(('held_for', ''), _negated=True), ('is_approved', None)), fields=['created_at'], name='referral_undecided'),
        ),
        migrations.AddConstraint(
            model_name='referral',
            constraint=models.CheckConstraint(condition=models.Q(('friend', models.F('referrer')), _negated=True), name='referral_not_oneself'),
        ),
        migrations.AddConstraint(
            model_name='referral',
            constraint=models.CheckConstraint(condition=models.Q(('held_for__in', ('', 'NETWORK', 'BURST'))), name='referral_held_for_known'),
        ),
        migrations.AddConstraint(
            model_name='referral',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at', None), ('decided_by', None), ('is_approved', None)), models.Q(models.Q(('held_for', ''), _negated=True), ('decided_at__isnull', False), ('decided_by__isnull', False), ('is_approved__isnull', False)), _connector='OR'), name='referral_decided_by_somebody'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='referral',
            trigger=pgtrigger.compiler.Trigger(name='referral_kept_rows', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table loses no rows' USING ERRCODE = 'check_violation', CONSTRAINT = 'referral_kept';", hash='ed795d8fe93b961ccf8aa16499b7b8cf52902b30', operation='DELETE', pgid='pgtrigger_referral_kept_rows_6bde6', table='programme_referral', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='referral',
            trigger=pgtrigger.compiler.Trigger(name='referral_kept_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'referral_kept';", hash='075ded63ae0f7d44efcc70a12e0234f182edc6a0', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_referral_kept_table_0afff', table='programme_referral', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='referral',
            trigger=pgtrigger.compiler.Trigger(name='referral_decided', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n    IF OLD.held_for = '' OR OLD.is_approved IS NOT NULL OR NEW.is_approved IS NULL OR NEW.decided_by_id IS NULL OR\n        (OLD.friend_id, OLD.referrer_id, OLD.network, OLD.created_at, OLD.held_for)\n            IS DISTINCT FROM (NEW.friend_id, NEW.referrer_id, NEW.network, NEW.created_at, NEW.held_for) THEN\n        RAISE EXCEPTION 'a referral that is held is decided on once, and nothing else of it changes' USING ERRCODE = 'check_violation', CONSTRAINT = 'referral_decided';\n    END IF;\n    NEW.decided_at := clock_timestamp();\n    IF NEW.is_approved THEN\n        UPDATE programme_grantdue SET next_try_at = NEW.decided_at WHERE friend_id = NEW.friend_id AND entry_id IS NULL;\n    END IF;\n    RETURN NEW;\n    ", hash='65192589e60253e4703587bd06a1d9fd262503c4', operation='UPDATE', pgid='pgtrigger_referral_decided_8238b', table='programme_referral', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='reportedevent',
            constraint=models.UniqueConstraint(fields=('service', 'reference'), name='event_reference'),
        ),
        migrations.AddConstraint(
            model_name='reportedevent',
            constraint=models.UniqueConstraint(fields=('service', 'request_key'), name='event_request_key'),
        ),
        migrations.AddConstraint(
            model_name='reportedevent',
            constraint=models.CheckConstraint(condition=models.Q(('name__regex', '^[a-z][a-z0-9_.]{0,49}$')), name='event_name_given'),
        ),
        migrations.AddConstraint(
            model_name='reportedevent',
            constraint=models.CheckConstraint(condition=models.Q(('reference__regex', '^[!-~]([ -~]{0,98}[!-~])?$')), name='event_reference_given'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reportedevent',
            trigger=pgtrigger.compiler.Trigger(name='event_append_only_rows', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'event_append_only';", hash='6b261fcdc9138c4e3b9cbf9705de6126c9a98b2d', operation='UPDATE OR DELETE', pgid='pgtrigger_event_append_only_rows_23583', table='programme_reportedevent', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reportedevent',
            trigger=pgtrigger.compiler.Trigger(name='event_append_only_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'event_append_only';", hash='b9ba86c3f3be68310f4ecb4679007e9a53d94ebe', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_event_append_only_table_9fe79', table='programme_reportedevent', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='reportedevent',
            trigger=pgtrigger.compiler.Trigger(name='dues_reported', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n    INSERT INTO programme_grantdue (rule_id, user_id, reference)\n        SELECT rule.id, NEW.user_id, NEW.id FROM programme_grantrule AS rule\n        WHERE rule.is_active AND rule.event = 'REPORTED' AND rule.event_name = NEW.name ORDER BY rule.id;\n    RETURN NULL;\n    ", hash='834f7976b53b839f05ee5986862d01d773d2793f', operation='INSERT', pgid='pgtrigger_dues_reported_f5093', table='programme_reportedevent', when='AFTER')),
        ),
        migrations.RunSQL(HARDEN_TRIGGERS, migrations.RunSQL.noop),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
