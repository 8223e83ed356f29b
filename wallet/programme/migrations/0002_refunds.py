"""A due knows the payment that earned it, and the scheduler how far it has read refunds."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
import wallet.ledger.migrations._frozen
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0022_grants_count_together'),
        ('programme', '0001_initial'),
    ]

    operations = [
        # Going back, this runs after the triggers are as they were.
        migrations.RunSQL(migrations.RunSQL.noop, 'SELECT public.harden_triggers()'),
        migrations.CreateModel(
            name='RefundCursor',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('xid', wallet.ledger.migrations._frozen.TransactionIdField()),
            ],
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='capturedpayment',
            name='dues_paid',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='grantdue',
            name='due_same',
        ),
        migrations.AddField(
            model_name='grantdue',
            name='payment',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='dues', to='ledger.payment'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='capturedpayment',
            trigger=pgtrigger.compiler.Trigger(name='dues_paid', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (NEW.captured > 0)', declare='DECLARE referral programme_referral%ROWTYPE;', func="\n    IF NOT EXISTS (SELECT FROM programme_grantrule WHERE is_active AND event IN ('FIRST_PAYMENT', 'FRIEND_FIRST_PAYMENT'))\n        OR TG_OP = 'UPDATE' AND OLD.captured = NEW.captured THEN\n        RETURN NULL;\n    END IF;\n    SELECT * INTO referral FROM programme_referral WHERE friend_id = NEW.user_id FOR SHARE;\n    INSERT INTO programme_grantdue (rule_id, user_id, reference, payment_id, friend_id, next_try_at)\n        SELECT rule.id, CASE WHEN rule.event = 'FRIEND_FIRST_PAYMENT' THEN referral.referrer_id ELSE NEW.user_id END, NEW.user_id, NEW.id,\n            CASE WHEN rule.event = 'FRIEND_FIRST_PAYMENT' THEN referral.friend_id END,\n            CASE WHEN rule.event = 'FRIEND_FIRST_PAYMENT' AND referral.held_for <> '' AND referral.is_approved IS NULL THEN NULL ELSE clock_timestamp() END\n        FROM programme_grantrule AS rule\n        WHERE rule.is_active AND rule.event IN ('FIRST_PAYMENT', 'FRIEND_FIRST_PAYMENT')\n            AND CASE WHEN rule.event = 'FRIEND_FIRST_PAYMENT' THEN referral.friend_id IS NOT NULL AND referral.is_approved IS DISTINCT FROM false ELSE true END\n            AND (rule.minimum_amount IS NULL OR rule.currency = NEW.currency AND NEW.captured >= rule.minimum_amount)\n            AND NOT EXISTS (\n                SELECT FROM ledger_payment AS earlier WHERE earlier.user_id = NEW.user_id AND earlier.id <> NEW.id\n                    AND earlier.captured > 0 AND (rule.minimum_amount IS NULL\n                        OR earlier.currency = rule.currency AND earlier.captured >= rule.minimum_amount))\n        ORDER BY rule.id\n    ON CONFLICT DO NOTHING;\n    RETURN NULL;\n    ", hash='d4d2b35d968353659dd0bc5ff6eb3c528262c4e3', operation='INSERT OR UPDATE OF "captured"', pgid='pgtrigger_dues_paid_29bb4', table='ledger_payment', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='grantdue',
            trigger=pgtrigger.compiler.Trigger(name='due_same', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.rule_id IS DISTINCT FROM NEW.rule_id OR OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.reference IS DISTINCT FROM NEW.reference OR OLD.friend_id IS DISTINCT FROM NEW.friend_id OR OLD.payment_id IS DISTINCT FROM NEW.payment_id OR OLD.created_at IS DISTINCT FROM NEW.created_at)', func="RAISE EXCEPTION 'a due keeps its rule, person, reference and payment' USING ERRCODE = 'check_violation', CONSTRAINT = 'due_same';", hash='c0c21219d988371bb3c14483d32e475acd0c9082', operation='UPDATE', pgid='pgtrigger_due_same_aa09c', table='programme_grantdue', when='BEFORE')),
        ),
        # Earlier payments are of no due, and neither are their refunds.
        migrations.RunSQL('INSERT INTO programme_refundcursor (id, xid) VALUES (1, pg_current_xact_id())', migrations.RunSQL.noop),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
