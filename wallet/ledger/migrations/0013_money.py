"""The wallet as money: movements and postings, and the lots, payments and allocations that triggers keep from them."""

import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import django.db.models.functions.math
import pgtrigger.compiler
import pgtrigger.migrations
import wallet.ledger.migrations._frozen
from decimal import Decimal
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid
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
        '|history_pseudonymised|entry_lots_opened|lots_backfilled|movement_turn|posting_applied|insert_insert|update_update|delete_delete)_[0-9a-f]{5}$';
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

DOUBLE_ENTRY = """
CREATE VIEW ledger_doubleentry AS
SELECT id AS movement_id, 'CLAIM' AS kind, claimed_at AS at, user_id, currency, id AS lot_id, amount,
    'pool' AS source, 'wallet' AS target, xid
FROM ledger_entry
UNION ALL
SELECT movement.id, movement.kind, movement.at, movement.user_id, movement.currency, posting.lot_id, posting.amount,
    account.source, account.target, movement.xid
FROM ledger_posting AS posting JOIN ledger_movement AS movement ON movement.id = posting.movement_id
JOIN (VALUES ('HOLD', 'wallet', 'hold'), ('CAPTURE', 'hold', 'merchant'), ('RELEASE', 'hold', 'wallet'), ('SPEND', 'wallet', 'merchant'), ('REFUND', 'merchant', 'wallet'), ('LAPSE', 'wallet', 'breakage'), ('CLAWBACK', 'wallet', 'pool'), ('EXTEND', 'wallet', 'wallet')) AS account (kind, source, target) ON account.kind = movement.kind
"""

# Pages keep room for the next state of a row, so that it need not be indexed again.
ROOM_FOR_CHANGES = """
ALTER TABLE ledger_lot SET (fillfactor = 85);
ALTER TABLE ledger_payment SET (fillfactor = 85);
ALTER TABLE ledger_allocation SET (fillfactor = 85);
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

# Earlier claims get their lots in batches (manage.py open_lots), while claims go on; until then nothing is paid.
BEGIN_BACKFILL = """
INSERT INTO ledger_lotbackfill (id, batch_size, opened) SELECT 1, 0, 0 WHERE EXISTS (SELECT FROM ledger_entry)
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0007_service'),
        ('assets', '0013_money'),
        ('accounts', '__first__'),
        ('ledger', '0012_history_pseudonymised'),
    ]

    operations = [
        # Operations are reversed from the last to the first: on the way back this one ends the migration.
        migrations.RunSQL(migrations.RunSQL.noop, 'SELECT public.harden_triggers()'),
        migrations.RunSQL(migrations.RunSQL.noop, DROP_UNUSED_FUNCTIONS),
        migrations.CreateModel(
            name='LotBackfill',
            fields=[
                ('id', models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ('batch_size', models.PositiveIntegerField(default=0)),
                ('position', models.UUIDField(help_text='The last entry that has its lot.', null=True)),
                ('opened', models.PositiveBigIntegerField(default=0)),
                ('completed_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Grant',
            fields=[
                ('entry', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='grant', serialize=False, to='ledger.entry')),
                ('service', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.service')),
                ('actor', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('reference', models.CharField(max_length=100)),
                ('reason', models.CharField(max_length=20)),
                ('fingerprint', models.CharField(max_length=64)),
                ('granted_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
            ],
        ),
        migrations.CreateModel(
            name='Lot',
            fields=[
                ('entry', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='lot', serialize=False, to='ledger.entry')),
                ('user', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('currency', models.CharField(max_length=3)),
                ('service', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.service')),
                ('draw_priority', models.PositiveSmallIntegerField()),
                ('refund_grace_days', models.PositiveSmallIntegerField()),
                ('clawback_reach', models.CharField(choices=[('CREDIT', 'The credit itself'), ('WALLET', 'Then other credits of the user in this currency')], max_length=6)),
                ('opened_at', models.DateTimeField()),
                ('spendable_from', models.DateTimeField()),
                ('spendable_until', models.DateTimeField(null=True)),
                ('moved_at', models.DateTimeField(help_text='When its last movement counts from.')),
                ('total', models.DecimalField(decimal_places=4, max_digits=18)),
                ('available', models.DecimalField(decimal_places=4, max_digits=18)),
                ('held', models.DecimalField(db_default=0, decimal_places=4, max_digits=18)),
                ('spent', models.DecimalField(db_default=0, decimal_places=4, max_digits=18)),
                ('lapsed', models.DecimalField(db_default=0, decimal_places=4, max_digits=18)),
                ('clawed_back', models.DecimalField(db_default=0, decimal_places=4, max_digits=18)),
                ('clawback_total', models.DecimalField(db_default=0, decimal_places=4, max_digits=18)),
                ('clawback_due', models.DecimalField(db_default=0, decimal_places=4, max_digits=18)),
                ('renewals', models.PositiveSmallIntegerField(db_default=0)),
                ('is_open', models.GeneratedField(db_persist=True, expression=models.ExpressionWrapper(models.Q(('available__gt', 0)), models.BooleanField()), output_field=models.BooleanField())),
            ],
        ),
        migrations.CreateModel(
            name='Payment',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('user', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='payments', to=settings.AUTH_USER_MODEL)),
                ('currency', models.CharField(max_length=3)),
                ('service', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='payments', to='accounts.service')),
                ('reference', models.CharField(max_length=100)),
                ('amount', models.DecimalField(decimal_places=4, max_digits=24)),
                ('held', models.DecimalField(decimal_places=4, max_digits=24)),
                ('captured', models.DecimalField(decimal_places=4, max_digits=24)),
                ('released', models.DecimalField(decimal_places=4, max_digits=24)),
                ('refunded', models.DecimalField(decimal_places=4, max_digits=24)),
                ('began_at', models.DateTimeField()),
                ('held_until', models.DateTimeField(null=True)),
                ('released_at', models.DateTimeField(null=True)),
                ('is_live', models.GeneratedField(db_persist=True, expression=models.ExpressionWrapper(models.Q(('held__gt', 0), ('captured__gt', 0), _connector='OR'), models.BooleanField()), output_field=models.BooleanField())),
                ('is_held', models.GeneratedField(db_persist=True, expression=models.ExpressionWrapper(models.Q(('held__gt', 0)), models.BooleanField()), output_field=models.BooleanField())),
            ],
        ),
        migrations.CreateModel(
            name='Movement',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('HOLD', 'Hold'), ('CAPTURE', 'Capture'), ('RELEASE', 'Release'), ('SPEND', 'Spend'), ('REFUND', 'Refund'), ('LAPSE', 'Lapse'), ('CLAWBACK', 'Clawback'), ('EXTEND', 'Extend')], max_length=8)),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='movements', to=settings.AUTH_USER_MODEL)),
                ('currency', models.CharField(max_length=3)),
                ('number', models.BigIntegerField(editable=False)),
                ('amount', models.DecimalField(decimal_places=4, max_digits=24)),
                ('at', models.DateTimeField(editable=False)),
                ('payment', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='movements', to='ledger.payment')),
                ('claim', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='movements', to='ledger.entry')),
                ('service', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.service')),
                ('reference', models.CharField(help_text="The service's name of the order or of the refund.", max_length=100, null=True)),
                ('order_total', models.DecimalField(decimal_places=4, max_digits=24, null=True)),
                ('held_until', models.DateTimeField(null=True)),
                ('shortfall', models.DecimalField(decimal_places=4, help_text='What a clawback could not take yet. NULL: it follows an earlier one.', max_digits=24, null=True)),
                ('reason', models.CharField(max_length=20, null=True)),
                ('note_digest', models.CharField(help_text='SHA-256 of a note, which may be deleted.', max_length=64, null=True)),
                ('request_key', models.CharField(max_length=64, null=True)),
                ('fingerprint', models.CharField(help_text="SHA-256 of the request's contents.", max_length=64, null=True)),
                ('actor', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('channel', models.CharField(max_length=20)),
                ('xid', wallet.ledger.migrations._frozen.TransactionIdField(db_default=models.Func(function='pg_current_xact_id'), editable=False)),
            ],
            options={
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='Posting',
            fields=[
                ('pk', models.CompositePrimaryKey('movement_id', 'position', blank=True, editable=False, primary_key=True, serialize=False)),
                ('movement', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='postings', to='ledger.movement')),
                ('position', models.PositiveSmallIntegerField()),
                ('lot', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='postings', to='ledger.lot')),
                ('amount', models.DecimalField(decimal_places=4, max_digits=18)),
                ('spendable_until', models.DateTimeField(help_text="The lot's new end, of an extension or a renewing refund.", null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Allocation',
            fields=[
                ('pk', models.CompositePrimaryKey('payment_id', 'lot_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('payment', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='allocations', to='ledger.payment')),
                ('lot', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='allocations', to='ledger.lot')),
                ('position', models.PositiveSmallIntegerField()),
                ('amount', models.DecimalField(decimal_places=4, max_digits=18)),
                ('held', models.DecimalField(decimal_places=4, max_digits=18)),
                ('captured', models.DecimalField(decimal_places=4, max_digits=18)),
                ('released', models.DecimalField(decimal_places=4, max_digits=18)),
                ('refunded', models.DecimalField(decimal_places=4, max_digits=18)),
            ],
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='entry',
            name='entry_equals_asset',
        ),
        migrations.RemoveConstraint(
            model_name='seal',
            name='seal_sums_stated',
        ),
        migrations.AddField(
            model_name='entry',
            name='spendable_from',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='entry',
            name='spendable_until',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='seal',
            name='kinds',
            field=models.TextField(null=True),
        ),
        migrations.AddField(
            model_name='seal',
            name='position',
            field=models.TextField(null=True),
        ),
        migrations.AddField(
            model_name='seal',
            name='version',
            field=models.PositiveSmallIntegerField(db_default=1, default=1),
        ),
        migrations.AlterField(
            model_name='seal',
            name='sums',
            field=models.TextField(help_text='JSON: the exact sum of the claims per currency.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='entry',
            trigger=pgtrigger.compiler.Trigger(name='entry_equals_asset', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (NEW.kind = 'CLAIM')", constraint='CONSTRAINT', func="\n    IF NOT EXISTS (\n        SELECT FROM assets_cashbackasset AS asset\n        WHERE asset.id = NEW.asset_id AND asset.claimed_by_id = NEW.user_id AND asset.claimed_at = NEW.claimed_at\n            AND asset.total_value = NEW.amount AND asset.currency = NEW.currency\n            AND (asset.spendable_from, asset.spendable_until)\n                IS NOT DISTINCT FROM (NEW.spendable_from, NEW.spendable_until)\n    ) THEN\n        RAISE EXCEPTION 'a claim entry must equal its asset''s owner, amount, currency and instant' USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_equals_asset';\n    END IF;\n     RETURN NULL;", hash='387d72574fe7285db45808c6007c976dc1d52157', operation='INSERT', pgid='pgtrigger_entry_equals_asset_1b6b4', table='ledger_entry', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='entry',
            trigger=pgtrigger.compiler.Trigger(name='entry_lots_opened', sql=pgtrigger.compiler.UpsertTriggerSql(func="\n    INSERT INTO ledger_lot (entry_id, user_id, currency, service_id, draw_priority, refund_grace_days, clawback_reach, opened_at, spendable_from, spendable_until, moved_at, total, available)\n        SELECT claim.id, claim.user_id, claim.currency, pool.service_id, coalesce(pool.draw_priority, 2),\n            coalesce(pool.refund_grace_days, 14), coalesce(pool.clawback_reach, 'CREDIT'), claim.claimed_at,\n            coalesce(claim.spendable_from, claim.claimed_at), claim.spendable_until, claim.claimed_at,\n            claim.amount, claim.amount\n        FROM entered AS claim JOIN assets_cashbackasset AS asset ON asset.id = claim.asset_id\n        LEFT JOIN assets_creditpool AS pool ON pool.id = asset.pool_id;\n    RETURN NULL;\n    ", hash='5f66ecbbc7a86707ca509799966338666ed33d5e', level='STATEMENT', operation='INSERT', pgid='pgtrigger_entry_lots_opened_02358', referencing='REFERENCING NEW TABLE AS entered ', table='ledger_entry', when='AFTER')),
        ),
        AddConstraintNotValid(
            model_name='seal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('sums__regex', '^\\{"[A-Z]{3}": "[0-9]{1,24}(\\.[0-9]{1,4})?"(, "[A-Z]{3}": "[0-9]{1,24}(\\.[0-9]{1,4})?"){0,254}\\}$'), ('version', 1)), models.Q(('sums__regex', '^\\{("[A-Z]{3}": "[0-9]{1,24}(\\.[0-9]{1,4})?"(, "[A-Z]{3}": "[0-9]{1,24}(\\.[0-9]{1,4})?"){0,254})?\\}$'), ('version', 2)), _connector='OR'), name='seal_sums_stated'),
        ),
        AddConstraintNotValid(
            model_name='seal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kinds', None), ('position', None), ('version', 1)), models.Q(('kinds__isnull', False), ('kinds__regex', '^\\{"[A-Z]{3}": \\{"[A-Za-z]{4,8}": "-?[0-9]{1,24}(\\.[0-9]{1,4})?"(, "[A-Za-z]{4,8}": "-?[0-9]{1,24}(\\.[0-9]{1,4})?")*\\}(, "[A-Z]{3}": \\{"[A-Za-z]{4,8}": "-?[0-9]{1,24}(\\.[0-9]{1,4})?"(, "[A-Za-z]{4,8}": "-?[0-9]{1,24}(\\.[0-9]{1,4})?")*\\})*\\}$'), ('position__isnull', False), ('position__regex', '^\\{"[A-Z]{3}": \\{"[A-Za-z]{4,8}": "-?[0-9]{1,24}(\\.[0-9]{1,4})?"(, "[A-Za-z]{4,8}": "-?[0-9]{1,24}(\\.[0-9]{1,4})?")*\\}(, "[A-Z]{3}": \\{"[A-Za-z]{4,8}": "-?[0-9]{1,24}(\\.[0-9]{1,4})?"(, "[A-Za-z]{4,8}": "-?[0-9]{1,24}(\\.[0-9]{1,4})?")*\\})*\\}$'), ('version', 2)), _connector='OR'), name='seal_position_stated'),
        ),
        migrations.AddConstraint(
            model_name='lotbackfill',
            constraint=models.CheckConstraint(condition=models.Q(('batch_size__lte', 10000)), name='lot_backfill_batch'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='lotbackfill',
            trigger=pgtrigger.compiler.Trigger(name='lots_backfilled', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE seen bigint; last uuid; added bigint;', func="\n    IF OLD.completed_at IS NOT NULL THEN\n        RETURN OLD;\n    END IF;\n    WITH batch AS (\n        SELECT id, user_id, currency, claimed_at, amount FROM ledger_entry\n        WHERE id > coalesce(OLD.position, '00000000-0000-0000-0000-000000000000') ORDER BY id LIMIT NEW.batch_size\n    ), opening AS (\n        INSERT INTO ledger_lot (entry_id, user_id, currency, service_id, draw_priority, refund_grace_days, clawback_reach, opened_at, spendable_from, spendable_until, moved_at, total, available)\n            SELECT id, user_id, currency, NULL, 2, 14, 'CREDIT', claimed_at, claimed_at, NULL, claimed_at, amount, amount\n            FROM batch\n        ON CONFLICT (entry_id) DO NOTHING RETURNING entry_id\n    )\n    SELECT count(*), (SELECT id FROM batch ORDER BY id DESC LIMIT 1), (SELECT count(*) FROM opening)\n        INTO seen, last, added FROM batch;\n    NEW.id := OLD.id;\n    NEW.position := coalesce(last, OLD.position);\n    NEW.opened := OLD.opened + added;\n    NEW.completed_at := CASE WHEN seen < NEW.batch_size THEN clock_timestamp() END;\n    RETURN NEW;\n    ", hash='62a14626ebc62f6bcf60bde19529cefcc8bb6815', operation='UPDATE', pgid='pgtrigger_lots_backfilled_37613', table='ledger_lotbackfill', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='lotbackfill',
            trigger=pgtrigger.compiler.Trigger(name='lot_backfill_kept_rows', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table loses no rows' USING ERRCODE = 'check_violation', CONSTRAINT = 'lot_backfill_kept';", hash='bb0f059cedd0dd62b45ed3730f207e97908712e1', operation='DELETE', pgid='pgtrigger_lot_backfill_kept_rows_81458', table='ledger_lotbackfill', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='lotbackfill',
            trigger=pgtrigger.compiler.Trigger(name='lot_backfill_kept_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'lot_backfill_kept';", hash='8a266325072bf127a503b720da8da7103e9ac00f', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_lot_backfill_kept_table_89255', table='ledger_lotbackfill', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.UniqueConstraint(fields=('service', 'reference'), name='grant_reference', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(('reference__regex', '^[!-~]([ -~]{0,98}[!-~])?$')), name='grant_reference_given'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='grant_reason_given'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grant',
            trigger=pgtrigger.compiler.Trigger(name='grant_append_only_rows', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'grant_append_only';", hash='a1455fa639b00403a34faeef9df8d0c1b21bfa08', operation='UPDATE OR DELETE', pgid='pgtrigger_grant_append_only_rows_f02c9', table='ledger_grant', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grant',
            trigger=pgtrigger.compiler.Trigger(name='grant_append_only_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'grant_append_only';", hash='9aa8d037894a82c379e7c49e8340e14f9c0d1936', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_grant_append_only_table_00f87', table='ledger_grant', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='lot',
            index=models.Index(condition=models.Q(('is_open', True)), fields=['user', 'currency', 'draw_priority', 'spendable_until', 'opened_at', 'entry'], name='lot_draw'),
        ),
        migrations.AddIndex(
            model_name='lot',
            index=models.Index(condition=models.Q(('is_open', True), ('spendable_until__isnull', False)), fields=['spendable_until', 'entry'], name='lot_ending'),
        ),
        migrations.AddConstraint(
            model_name='lot',
            constraint=models.CheckConstraint(condition=models.Q(('available__gte', 0)), name='lot_available'),
        ),
        migrations.AddConstraint(
            model_name='lot',
            constraint=models.CheckConstraint(condition=models.Q(('held__gte', 0)), name='lot_held'),
        ),
        migrations.AddConstraint(
            model_name='lot',
            constraint=models.CheckConstraint(condition=models.Q(('spent__gte', 0)), name='lot_spent'),
        ),
        migrations.AddConstraint(
            model_name='lot',
            constraint=models.CheckConstraint(condition=models.Q(('lapsed__gte', 0)), name='lot_lapsed'),
        ),
        migrations.AddConstraint(
            model_name='lot',
            constraint=models.CheckConstraint(condition=models.Q(('clawed_back__gte', 0)), name='lot_clawed_back'),
        ),
        migrations.AddConstraint(
            model_name='lot',
            constraint=models.CheckConstraint(condition=models.Q(('total', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('available'), '+', models.F('held')), '+', models.F('spent')), '+', models.F('lapsed')), '+', models.F('clawed_back')))), name='lot_adds_up'),
        ),
        migrations.AddConstraint(
            model_name='lot',
            constraint=models.CheckConstraint(condition=models.Q(('clawback_due__gte', 0), ('clawback_due__lte', models.F('clawback_total')), ('clawback_total__lte', models.F('total'))), name='lot_clawback_due'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='lot',
            trigger=pgtrigger.compiler.Trigger(name='lot_kept_rows', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table loses no rows' USING ERRCODE = 'check_violation', CONSTRAINT = 'lot_kept';", hash='75ade33aa025a9a0a69a1af797f80bf29fc7938f', operation='DELETE', pgid='pgtrigger_lot_kept_rows_25cea', table='ledger_lot', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='lot',
            trigger=pgtrigger.compiler.Trigger(name='lot_kept_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'lot_kept';", hash='f3ecad2e83441b4c5bcd1fc56dddd34b87cb4db3', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_lot_kept_table_af880', table='ledger_lot', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='lot',
            trigger=pgtrigger.compiler.Trigger(name='lot_taken_back', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (NEW.clawback_due > 0 AND NEW.available > 0)', constraint='CONSTRAINT', func="\n    IF EXISTS (SELECT FROM ledger_lot WHERE entry_id = NEW.entry_id AND clawback_due > 0 AND available > 0) THEN\n        RAISE EXCEPTION 'what comes back to a clawed-back credit is taken at once' USING ERRCODE = 'check_violation', CONSTRAINT = 'lot_taken_back';\n    END IF;\n     RETURN NULL;", hash='b49c1eb160d7ef6fa7160c379791a15706bb4614', operation='UPDATE', pgid='pgtrigger_lot_taken_back_f1f18', table='ledger_lot', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(fields=['user', '-began_at', '-id'], name='payment_of_user'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(fields=['service', 'id'], name='payment_of_service'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(condition=models.Q(('is_held', True)), fields=['held_until', 'id'], name='payment_held'),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(condition=models.Q(('is_held', True)), fields=['user', 'currency'], name='payment_held_of_user'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.CheckConstraint(condition=models.Q(('amount', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('held'), '+', models.F('captured')), '+', models.F('released'))), ('captured__gte', 0), ('held__gte', 0), ('released__gte', 0)), name='payment_adds_up'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.CheckConstraint(condition=models.Q(('refunded__gte', 0), ('refunded__lte', models.F('captured'))), name='payment_refunded'),
        ),
        migrations.AddConstraint(
            model_name='payment',
            constraint=models.UniqueConstraint(condition=models.Q(('is_live', True)), fields=('service', 'user', 'reference'), name='payment_reference'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='payment',
            trigger=pgtrigger.compiler.Trigger(name='payment_kept_rows', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table loses no rows' USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_kept';", hash='9b9daca9cb4190705d4ef9b335d65b71c471bb84', operation='DELETE', pgid='pgtrigger_payment_kept_rows_d0d19', table='ledger_payment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='payment',
            trigger=pgtrigger.compiler.Trigger(name='payment_kept_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_kept';", hash='95046362140049f120c746dbbbf06a8f551ae203', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_payment_kept_table_40d3c', table='ledger_payment', when='BEFORE')),
        ),
        migrations.AddIndex(
            model_name='movement',
            index=models.Index(fields=['user', '-at', '-id'], name='movement_history'),
        ),
        migrations.AddIndex(
            model_name='movement',
            index=models.Index(models.F('xid'), models.F('id'), name='movement_commit_order'),
        ),
        migrations.AddIndex(
            model_name='movement',
            index=models.Index(condition=models.Q(('payment__isnull', False)), fields=['payment', 'number'], name='movement_payment'),
        ),
        migrations.AddIndex(
            model_name='movement',
            index=models.Index(condition=models.Q(('claim__isnull', False)), fields=['claim'], name='movement_claim'),
        ),
        migrations.AddConstraint(
            model_name='movement',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ('HOLD', 'CAPTURE', 'RELEASE', 'SPEND', 'REFUND', 'LAPSE', 'CLAWBACK', 'EXTEND'))), name='movement_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='movement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('amount__gt', 0), ('amount__lte', Decimal('1000000000000'))), models.Q(('amount', 0), ('kind', 'CLAWBACK'), ('shortfall__gt', 0)), _connector='OR'), name='movement_amount_range'),
        ),
        migrations.AddConstraint(
            model_name='movement',
            constraint=models.CheckConstraint(condition=models.Q(('currency__in', ['AED', 'AFN', 'ALL', 'AMD', 'AOA', 'ARS', 'AUD', 'AWG', 'AZN', 'BAM', 'BBD', 'BDT', 'BHD', 'BIF', 'BMD', 'BND', 'BOB', 'BRL', 'BSD', 'BTN', 'BWP', 'BYN', 'BZD', 'CAD', 'CDF', 'CHF', 'CLP', 'CNY', 'COP', 'CRC', 'CUP', 'CVE', 'CZK', 'DJF', 'DKK', 'DOP', 'DZD', 'EGP', 'ERN', 'ETB', 'EUR', 'FJD', 'FKP', 'GBP', 'GEL', 'GHS', 'GIP', 'GMD', 'GNF', 'GTQ', 'GYD', 'HKD', 'HNL', 'HTG', 'HUF', 'IDR', 'ILS', 'INR', 'IQD', 'IRR', 'ISK', 'JMD', 'JOD', 'JPY', 'KES', 'KGS', 'KHR', 'KMF', 'KPW', 'KRW', 'KWD', 'KYD', 'KZT', 'LAK', 'LBP', 'LKR', 'LRD', 'LSL', 'LYD', 'MAD', 'MDL', 'MGA', 'MKD', 'MMK', 'MNT', 'MOP', 'MRU', 'MUR', 'MVR', 'MWK', 'MXN', 'MYR', 'MZN', 'NAD', 'NGN', 'NIO', 'NOK', 'NPR', 'NZD', 'OMR', 'PAB', 'PEN', 'PGK', 'PHP', 'PKR', 'PLN', 'PYG', 'QAR', 'RON', 'RSD', 'RUB', 'RWF', 'SAR', 'SBD', 'SCR', 'SDG', 'SEK', 'SGD', 'SHP', 'SLE', 'SOS', 'SRD', 'SSP', 'STN', 'SVC', 'SYP', 'SZL', 'THB', 'TJS', 'TMT', 'TND', 'TOP', 'TRY', 'TTD', 'TWD', 'TZS', 'UAH', 'UGX', 'USD', 'UYU', 'UZS', 'VES', 'VND', 'VUV', 'WST', 'XAF', 'XCD', 'XCG', 'XOF', 'XPF', 'YER', 'ZAR', 'ZMW', 'ZWG'])), name='movement_currency_known'),
        ),
        migrations.AddConstraint(
            model_name='movement',
            constraint=models.CheckConstraint(condition=models.Q(('amount', django.db.models.functions.math.Round('amount', models.Case(models.When(currency__in=['BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'], then=models.Value(0)), models.When(currency__in=['BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'], then=models.Value(3)), default=models.Value(2))))), name='movement_amount_scale'),
        ),
        migrations.AddConstraint(
            model_name='movement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('claim', None), ('kind__in', ('HOLD', 'CAPTURE', 'RELEASE', 'SPEND', 'REFUND')), ('payment__isnull', False), ('service__isnull', False)), models.Q(('claim__isnull', False), ('kind__in', ('LAPSE', 'CLAWBACK', 'EXTEND')), ('payment', None), ('service', None)), _connector='OR'), name='movement_of_payment_or_claim'),
        ),
        migrations.AddConstraint(
            model_name='movement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('held_until__isnull', False), ('kind', 'HOLD')), models.Q(models.Q(('kind', 'HOLD'), _negated=True), ('held_until', None)), _connector='OR'), name='movement_hold_ends'),
        ),
        migrations.AddConstraint(
            model_name='movement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('reference__isnull', False), ('reference__regex', '^[!-~]([ -~]{0,98}[!-~])?$')), models.Q(models.Q(('kind__in', ('HOLD', 'SPEND', 'REFUND')), _negated=True), ('reference', None)), _connector='OR'), name='movement_reference_given'),
        ),
        migrations.AddConstraint(
            model_name='movement',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind__in', ('REFUND', 'CLAWBACK', 'EXTEND')), _negated=True), models.Q(('reason__isnull', False), models.Q(('reason', ''), _negated=True)), _connector='OR'), name='movement_reason_given'),
        ),
        migrations.AddConstraint(
            model_name='movement',
            constraint=models.CheckConstraint(condition=models.Q(('shortfall', None), models.Q(('kind', 'CLAWBACK'), ('shortfall__gte', 0)), _connector='OR'), name='movement_shortfall_of_clawback'),
        ),
        migrations.AddConstraint(
            model_name='movement',
            constraint=models.CheckConstraint(condition=models.Q(('order_total', None), models.Q(('kind__in', ('HOLD', 'SPEND')), ('order_total__gt', 0)), _connector='OR'), name='movement_order_total_positive'),
        ),
        migrations.AddConstraint(
            model_name='movement',
            constraint=models.UniqueConstraint(fields=('user', 'currency', 'number'), name='movement_number'),
        ),
        migrations.AddConstraint(
            model_name='movement',
            constraint=models.UniqueConstraint(condition=models.Q(('request_key__isnull', False)), fields=('actor', 'request_key'), name='movement_request_key'),
        ),
        migrations.AddConstraint(
            model_name='movement',
            constraint=models.UniqueConstraint(condition=models.Q(('actor', None), ('request_key__isnull', False)), fields=('service', 'request_key'), name='movement_service_request_key'),
        ),
        migrations.AddConstraint(
            model_name='movement',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'REFUND')), fields=('service', 'reference'), name='movement_refund_reference'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='movement',
            trigger=pgtrigger.compiler.Trigger(name='movement_append_only_rows', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_append_only';", hash='717a4be06868a005ad02316dfdbfdce1d3bc0b8d', operation='UPDATE OR DELETE', pgid='pgtrigger_movement_append_only_rows_3931b', table='ledger_movement', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='movement',
            trigger=pgtrigger.compiler.Trigger(name='movement_append_only_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_append_only';", hash='46093269f436f4393094807cbdbe056a5aa505a3', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_movement_append_only_table_b2cd9', table='ledger_movement', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='movement',
            trigger=pgtrigger.compiler.Trigger(name='movement_turn', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE last record; payment ledger_payment%ROWTYPE; lot ledger_lot%ROWTYPE;', func="\n    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.user_id::text || NEW.currency::text, 1));\n    IF EXISTS (SELECT FROM ledger_lotbackfill WHERE completed_at IS NULL) THEN\n        RAISE EXCEPTION 'lots are still being opened for earlier claims' USING ERRCODE = 'check_violation', CONSTRAINT = 'lots_incomplete';\n    END IF;\n    SELECT number, at INTO last FROM ledger_movement\n        WHERE user_id = NEW.user_id AND currency = NEW.currency ORDER BY number DESC LIMIT 1;\n    NEW.number := coalesce(last.number, 0) + 1;\n    NEW.at := greatest(clock_timestamp(), last.at);\n    NEW.xid := pg_current_xact_id();\n    IF NEW.kind IN ('HOLD', 'SPEND') THEN\n        \n        IF NEW.payment_id <> NEW.id THEN\n            RAISE EXCEPTION 'a hold or spend is the first movement of its payment' USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_begins_payment';\n        END IF;\n        IF NEW.held_until <= NEW.at OR NEW.held_until > NEW.at + interval '30 days' THEN\n            RAISE EXCEPTION 'a hold ends within 30 days' USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_hold_bounded';\n        END IF;\n        IF NOT (SELECT is_active FROM accounts_user WHERE id = NEW.user_id) THEN\n            RAISE EXCEPTION 'a closed account pays nothing' USING ERRCODE = 'check_violation', CONSTRAINT = 'wallet_closed';\n        END IF;\n\n    ELSIF NEW.payment_id IS NOT NULL THEN\n        \n        SELECT * INTO payment FROM ledger_payment WHERE id = NEW.payment_id;\n        IF (payment.user_id, payment.currency, payment.service_id)\n            IS DISTINCT FROM (NEW.user_id, NEW.currency, NEW.service_id) THEN\n            RAISE EXCEPTION 'this wallet has no such payment at this service' USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_of_payment';\n        END IF;\n        IF NEW.kind = 'CAPTURE' AND payment.held_until <= NEW.at THEN\n            RAISE EXCEPTION 'a hold that has ended is not captured' USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_hold_over';\n        END IF;\n        IF NEW.kind = 'RELEASE' THEN\n            NEW.at := least(NEW.at, payment.held_until);\n        END IF;\n\n    ELSE\n        \n        SELECT * INTO lot FROM ledger_lot WHERE entry_id = NEW.claim_id;\n        IF (lot.user_id, lot.currency) IS DISTINCT FROM (NEW.user_id, NEW.currency) THEN\n            RAISE EXCEPTION 'this wallet has no such credit' USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_of_claim';\n        END IF;\n        IF NEW.kind = 'LAPSE' THEN\n            IF lot.spendable_until IS NULL OR lot.spendable_until > NEW.at THEN\n                RAISE EXCEPTION 'a credit lapses when it has ended, not before' USING ERRCODE = 'check_violation', CONSTRAINT = 'lot_not_ended';\n            END IF;\n            NEW.at := greatest(lot.spendable_until, lot.moved_at);\n        ELSIF NEW.kind = 'CLAWBACK' THEN\n            UPDATE ledger_lot SET clawback_due = clawback_due + coalesce(NEW.shortfall, -NEW.amount),\n                clawback_total = clawback_total + coalesce(NEW.amount + NEW.shortfall, 0) WHERE entry_id = NEW.claim_id;\n        END IF;\n\n    END IF;\n    RETURN NEW;\n    ", hash='cbfd1fc05d8f4b8438a30cdd314c52ebb59979bf', operation='INSERT', pgid='pgtrigger_movement_turn_5e637', table='ledger_movement', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='movement',
            trigger=pgtrigger.compiler.Trigger(name='movement_whole', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (true)', constraint='CONSTRAINT', func="\n    IF NEW.amount <> coalesce((SELECT sum(amount) FROM ledger_posting WHERE movement_id = NEW.id), 0) THEN\n        RAISE EXCEPTION 'a movement is the sum of its postings' USING ERRCODE = 'check_violation', CONSTRAINT = 'movement_whole';\n    END IF;\n     RETURN NULL;", hash='9e9a806574c1fe04354e06f9471623ab36cdaacc', operation='INSERT', pgid='pgtrigger_movement_whole_ba560', table='ledger_movement', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='allocation',
            constraint=models.CheckConstraint(condition=models.Q(('amount', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('held'), '+', models.F('captured')), '+', models.F('released'))), ('captured__gte', 0), ('held__gte', 0), ('released__gte', 0)), name='allocation_adds_up'),
        ),
        migrations.AddConstraint(
            model_name='allocation',
            constraint=models.CheckConstraint(condition=models.Q(('refunded__gte', 0), ('refunded__lte', models.F('captured'))), name='allocation_refunded'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='allocation',
            trigger=pgtrigger.compiler.Trigger(name='allocation_kept_rows', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table loses no rows' USING ERRCODE = 'check_violation', CONSTRAINT = 'allocation_kept';", hash='98530eda3a0cfad3d48f06a06cba2d1c645f594f', operation='DELETE', pgid='pgtrigger_allocation_kept_rows_6ff9b', table='ledger_allocation', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='allocation',
            trigger=pgtrigger.compiler.Trigger(name='allocation_kept_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'allocation_kept';", hash='723f96a4f63e71d5129271b249de20320988968a', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_allocation_kept_table_2def0', table='ledger_allocation', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='posting',
            constraint=models.UniqueConstraint(fields=('lot', 'movement'), name='posting_one_per_lot'),
        ),
        migrations.AddConstraint(
            model_name='posting',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='posting_amount_positive'),
        ),
        migrations.AddConstraint(
            model_name='posting',
            constraint=models.CheckConstraint(condition=models.Q(('position__gte', 1), ('position__lte', 500)), name='posting_position_bounded'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='posting',
            trigger=pgtrigger.compiler.Trigger(name='posting_append_only_rows', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'posting_append_only';", hash='b30f11e89f2ddd4bbae38aad04034bba26888b92', operation='UPDATE OR DELETE', pgid='pgtrigger_posting_append_only_rows_989aa', table='ledger_posting', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='posting',
            trigger=pgtrigger.compiler.Trigger(name='posting_append_only_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'posting_append_only';", hash='b1174448f0631b68b8ad92063ddd0f35f5059b80', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_posting_append_only_table_b93d8', table='ledger_posting', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='posting',
            trigger=pgtrigger.compiler.Trigger(name='posting_applied', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE broken text; kinds text[]; moved bigint; expected bigint;', func="\n    SELECT array_agg(DISTINCT movement.kind), min(\n    CASE WHEN movement.xid <> pg_current_xact_id() THEN 'posting_own_movement'\n        WHEN (lot.user_id, lot.currency) IS DISTINCT FROM (movement.user_id, movement.currency) THEN 'posting_own_lot'\n        WHEN movement.kind IN ('HOLD', 'SPEND') AND (\n            movement.at < lot.spendable_from OR movement.at >= lot.spendable_until OR lot.clawback_due > 0\n            OR lot.service_id <> movement.service_id) THEN 'posting_lot_spendable'\n        WHEN movement.claim_id <> lot.entry_id AND NOT (\n            movement.kind = 'CLAWBACK' AND movement.shortfall IS NOT NULL AND claimed.clawback_reach = 'WALLET')\n            THEN 'posting_of_claim'\n        WHEN movement.kind = 'EXTEND' AND (\n            added.amount <> lot.total OR added.spendable_until IS NULL OR movement.at >= lot.spendable_until)\n            OR added.spendable_until IS NOT NULL AND (\n                lot.spendable_until IS NULL OR added.spendable_until <= lot.spendable_until OR movement.kind <> 'EXTEND' AND (\n                    movement.kind <> 'REFUND' OR movement.at < lot.spendable_until OR lot.renewals > 0\n                    OR lot.available > 0 OR lot.held > 0 OR lot.lapsed > 0\n                    OR added.spendable_until > movement.at + lot.refund_grace_days * interval '24 hours'))\n            THEN 'posting_new_end'\n        END\n) INTO kinds, broken FROM added JOIN ledger_movement AS movement ON movement.id = added.movement_id\n        LEFT JOIN ledger_lot AS lot ON lot.entry_id = added.lot_id\n        LEFT JOIN ledger_lot AS claimed ON claimed.entry_id = movement.claim_id;\n    IF broken IS NOT NULL THEN\n        RAISE EXCEPTION 'this credit cannot be used so' USING ERRCODE = 'check_violation', CONSTRAINT = broken;\n    END IF;\n    \n    UPDATE ledger_lot AS lot SET available = lot.available + change.available, held = lot.held + change.held, spent = lot.spent + change.spent, lapsed = lot.lapsed + change.lapsed, clawed_back = lot.clawed_back + change.clawed_back,\n            spendable_until = coalesce(change.until, lot.spendable_until), moved_at = greatest(lot.moved_at, change.at),\n            renewals = lot.renewals + change.renewals\n        FROM (SELECT added.lot_id, sum(CASE WHEN movement.kind IN ('RELEASE', 'REFUND') THEN added.amount WHEN movement.kind IN ('HOLD', 'SPEND', 'LAPSE', 'CLAWBACK') THEN -added.amount ELSE 0 END) AS available, sum(CASE WHEN movement.kind IN ('HOLD') THEN added.amount WHEN movement.kind IN ('CAPTURE', 'RELEASE') THEN -added.amount ELSE 0 END) AS held, sum(CASE WHEN movement.kind IN ('CAPTURE', 'SPEND') THEN added.amount WHEN movement.kind IN ('REFUND') THEN -added.amount ELSE 0 END) AS spent, sum(CASE WHEN movement.kind IN ('LAPSE') THEN added.amount ELSE 0 END) AS lapsed, sum(CASE WHEN movement.kind IN ('CLAWBACK') THEN added.amount ELSE 0 END) AS clawed_back, max(added.spendable_until) AS until, max(movement.at) AS at,\n                count(added.spendable_until) FILTER (WHERE movement.kind = 'REFUND') AS renewals\n            FROM added JOIN ledger_movement AS movement ON movement.id = added.movement_id GROUP BY added.lot_id) AS change\n        WHERE lot.entry_id = change.lot_id;\n\n    IF kinds && '{HOLD,SPEND}' THEN\n        \n    INSERT INTO ledger_payment (id, user_id, currency, service_id, reference, amount, held, captured, released, refunded,\n            began_at, held_until)\n        SELECT movement.id, movement.user_id, movement.currency, movement.service_id, movement.reference, movement.amount,\n            CASE movement.kind WHEN 'HOLD' THEN movement.amount ELSE 0 END,\n            CASE movement.kind WHEN 'SPEND' THEN movement.amount ELSE 0 END, 0, 0, movement.at, movement.held_until\n        FROM ledger_movement AS movement\n        WHERE movement.id IN (SELECT movement_id FROM added) AND movement.kind IN ('HOLD', 'SPEND');\n    INSERT INTO ledger_allocation (payment_id, lot_id, position, amount, held, captured, released, refunded)\n        SELECT movement.id, added.lot_id, added.position, added.amount,\n            CASE movement.kind WHEN 'HOLD' THEN added.amount ELSE 0 END,\n            CASE movement.kind WHEN 'SPEND' THEN added.amount ELSE 0 END, 0, 0\n        FROM added JOIN ledger_movement AS movement ON movement.id = added.movement_id WHERE movement.kind IN ('HOLD', 'SPEND');\n\n    END IF;\n    IF kinds && '{CAPTURE,RELEASE,REFUND}' THEN\n        \n    SELECT count(DISTINCT (movement.payment_id, added.lot_id)) INTO expected FROM added JOIN ledger_movement AS movement ON movement.id = added.movement_id\n        WHERE movement.payment_id IS NOT NULL AND movement.kind NOT IN ('HOLD', 'SPEND');\n    UPDATE ledger_allocation AS part SET \n        held = part.held - change.captured - change.released, captured = part.captured + change.captured,\n        released = part.released + change.released, refunded = part.refunded + change.refunded\n\n        FROM (SELECT movement.payment_id, added.lot_id, coalesce(sum(added.amount) FILTER (WHERE movement.kind = 'CAPTURE'), 0) AS captured, coalesce(sum(added.amount) FILTER (WHERE movement.kind = 'RELEASE'), 0) AS released, coalesce(sum(added.amount) FILTER (WHERE movement.kind = 'REFUND'), 0) AS refunded FROM added JOIN ledger_movement AS movement ON movement.id = added.movement_id\n            WHERE movement.payment_id IS NOT NULL AND movement.kind NOT IN ('HOLD', 'SPEND')\n            GROUP BY movement.payment_id, added.lot_id) AS change\n        WHERE part.payment_id = change.payment_id AND part.lot_id = change.lot_id;\n    GET DIAGNOSTICS moved = ROW_COUNT;\n    IF moved <> expected THEN\n        RAISE EXCEPTION 'this credit bears no part of the payment' USING ERRCODE = 'check_violation', CONSTRAINT = 'posting_of_allocation';\n    END IF;\n    UPDATE ledger_payment AS part SET \n        held = part.held - change.captured - change.released, captured = part.captured + change.captured,\n        released = part.released + change.released, refunded = part.refunded + change.refunded\n, released_at = coalesce(change.released_at, part.released_at)\n        FROM (SELECT movement.payment_id, coalesce(sum(added.amount) FILTER (WHERE movement.kind = 'CAPTURE'), 0) AS captured, coalesce(sum(added.amount) FILTER (WHERE movement.kind = 'RELEASE'), 0) AS released, coalesce(sum(added.amount) FILTER (WHERE movement.kind = 'REFUND'), 0) AS refunded, max(movement.at) FILTER (WHERE movement.kind = 'RELEASE') AS released_at\n            FROM added JOIN ledger_movement AS movement ON movement.id = added.movement_id WHERE movement.payment_id IS NOT NULL AND movement.kind NOT IN ('HOLD', 'SPEND')\n            GROUP BY movement.payment_id) AS change\n        WHERE part.id = change.payment_id;\n\n    END IF;\n    RETURN NULL;\n    ", hash='e0c586b44166a3533c590544d7e1ba17bff032ed', level='STATEMENT', operation='INSERT', pgid='pgtrigger_posting_applied_e29b3', referencing='REFERENCING NEW TABLE AS added ', table='ledger_posting', when='AFTER')),
        ),
        migrations.RunSQL(DOUBLE_ENTRY, 'DROP VIEW ledger_doubleentry'),
        migrations.RunSQL(ROOM_FOR_CHANGES, migrations.RunSQL.noop),
        migrations.RunSQL(BEGIN_BACKFILL, migrations.RunSQL.noop),
        migrations.RunSQL(HARDEN_TRIGGERS, migrations.RunSQL.noop),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
