"""What a pool promises about its credits after the claim, and from when and until when a claimed credit can be spent."""

import django.db.models.deletion
import django.db.models.functions.comparison
import pgtrigger.compiler
import pgtrigger.migrations
import wallet.assets.migrations._frozen
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


HARDEN = """
DO $$ BEGIN
    IF to_regprocedure('public.harden_triggers()') IS NOT NULL THEN
        PERFORM public.harden_triggers();
    END IF;
END $$
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0007_service'),
        ('assets', '0012_readable_names'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # Operations are reversed from the last to the first: on the way back this one ends the migration.
        migrations.RunSQL(migrations.RunSQL.noop, HARDEN),
        pgtrigger.migrations.RemoveTrigger(
            model_name='cashbackasset',
            name='asset_claimed',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='creditpool',
            name='insert_insert',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='creditpool',
            name='update_update',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='creditpool',
            name='delete_delete',
        ),
        migrations.AddField(
            model_name='cashbackasset',
            name='spendable_from',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='cashbackasset',
            name='spendable_until',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='creditpool',
            name='clawback_reach',
            field=models.CharField(choices=[('CREDIT', 'The credit itself'), ('WALLET', 'Then other credits of the user in this currency')], db_default='CREDIT', default='CREDIT', max_length=6),
        ),
        migrations.AddField(
            model_name='creditpool',
            name='draw_priority',
            field=models.PositiveSmallIntegerField(db_default=2, default=2, help_text='1: spent before other credits, 2: normal, 3: after them.'),
        ),
        migrations.AddField(
            model_name='creditpool',
            name='ends_with_day',
            field=models.BooleanField(db_default=False, default=False, help_text="Credits end with that day in the pool's time zone."),
        ),
        migrations.AddField(
            model_name='creditpool',
            name='pending_for',
            field=wallet.assets.migrations._frozen.IntervalField(blank=True, help_text='Credits can be spent so long after the claim.', null=True),
        ),
        migrations.AddField(
            model_name='creditpool',
            name='refund_grace_days',
            field=models.PositiveSmallIntegerField(db_default=14, default=14, help_text='A refund to a credit that has ended can be spent for so many days. 0: it lapses.'),
        ),
        migrations.AddField(
            model_name='creditpool',
            name='service',
            field=models.ForeignKey(blank=True, help_text='Credits can be spent at this service only.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.service'),
        ),
        migrations.AddField(
            model_name='creditpool',
            name='valid_for',
            field=wallet.assets.migrations._frozen.IntervalField(blank=True, help_text='Credits end so long after they can be spent.', null=True),
        ),
        migrations.AddField(
            model_name='creditpool',
            name='valid_until',
            field=models.DateTimeField(blank=True, help_text='Credits end at this time at the latest (exclusive).', null=True),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='clawback_reach',
            field=models.CharField(choices=[('CREDIT', 'The credit itself'), ('WALLET', 'Then other credits of the user in this currency')], db_default='CREDIT', default='CREDIT', max_length=6),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='draw_priority',
            field=models.PositiveSmallIntegerField(db_default=2, default=2, help_text='1: spent before other credits, 2: normal, 3: after them.'),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='ends_with_day',
            field=models.BooleanField(db_default=False, default=False, help_text="Credits end with that day in the pool's time zone."),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='pending_for',
            field=wallet.assets.migrations._frozen.IntervalField(blank=True, help_text='Credits can be spent so long after the claim.', null=True),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='refund_grace_days',
            field=models.PositiveSmallIntegerField(db_default=14, default=14, help_text='A refund to a credit that has ended can be spent for so many days. 0: it lapses.'),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='service',
            field=models.ForeignKey(blank=True, db_constraint=False, help_text='Credits can be spent at this service only.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='accounts.service'),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='valid_for',
            field=wallet.assets.migrations._frozen.IntervalField(blank=True, help_text='Credits end so long after they can be spent.', null=True),
        ),
        migrations.AddField(
            model_name='creditpoolevent',
            name='valid_until',
            field=models.DateTimeField(blank=True, help_text='Credits end at this time at the latest (exclusive).', null=True),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='cashbackasset',
            trigger=pgtrigger.compiler.Trigger(name='asset_claimed', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (OLD.status = 'AVAILABLE' AND NEW.status = 'CLAIMED')", declare='DECLARE policy record;', func="\n    NEW.claimed_at := clock_timestamp();\n    NEW.spendable_from := NULL;\n    NEW.spendable_until := NULL;\n    IF NEW.pool_id IS NULL THEN\n        NEW.claim_slot := NULL;\n        RETURN NEW;\n    END IF;\n    SELECT (pool.is_active AND pool.opens_at <= NEW.claimed_at AND (pool.closes_at IS NULL OR NEW.claimed_at < pool.closes_at)) AS is_open, pool.per_user_limit,\n            pool.pending_for, pool.valid_for, pool.ends_with_day, pool.valid_until, pool.time_zone\n        INTO policy FROM assets_creditpool AS pool WHERE pool.id = NEW.pool_id;\n    IF NOT policy.is_open THEN\n        RAISE EXCEPTION 'this pool is not open for claims' USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_open';\n    END IF;\n    -- Serializes the user's claims in the pool, so that each claim reads the slots of the claims before it.\n    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.pool_id::text || NEW.claimed_by_id::text, 0));\n    NEW.claim_slot := coalesce((SELECT max(slot.claim_slot) FROM assets_cashbackasset AS slot WHERE slot.pool_id = NEW.pool_id AND slot.claimed_by_id = NEW.claimed_by_id), 0) + 1;\n    IF NEW.claim_slot > policy.per_user_limit THEN\n        RAISE EXCEPTION 'this user holds all the claims the pool allows' USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_claim_limit';\n    END IF;\n    \n    IF policy.pending_for IS NOT NULL THEN\n        NEW.spendable_from := (((NEW.claimed_at AT TIME ZONE policy.time_zone) + date_trunc('day', policy.pending_for)) AT TIME ZONE policy.time_zone) + (policy.pending_for - date_trunc('day', policy.pending_for));\n    END IF;\n    IF policy.valid_for IS NOT NULL THEN\n        NEW.spendable_until := coalesce(NEW.spendable_from, NEW.claimed_at);\n        NEW.spendable_until := (((NEW.spendable_until AT TIME ZONE policy.time_zone) + date_trunc('day', policy.valid_for)) AT TIME ZONE policy.time_zone) + (policy.valid_for - date_trunc('day', policy.valid_for));\n        IF policy.ends_with_day THEN\n            NEW.spendable_until := (date_trunc('day', NEW.spendable_until AT TIME ZONE policy.time_zone) + interval '1 day')\n                AT TIME ZONE policy.time_zone;\n        END IF;\n    END IF;\n    NEW.spendable_until := least(NEW.spendable_until, policy.valid_until);\n\n    RETURN NEW;\n", hash='0aa3b79064e5f4bf5c509e03b95d3e009083570f', operation='UPDATE', pgid='pgtrigger_asset_claimed_a53ca', table='assets_cashbackasset', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assets_creditpoolevent" ("archived_at", "clawback_reach", "closes_at", "currency", "draw_priority", "ends_with_day", "id", "is_active", "kind", "name", "opens_at", "pending_for", "per_user_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "refund_grace_days", "service_id", "time_zone", "valid_for", "valid_until") VALUES (NEW."archived_at", NEW."clawback_reach", NEW."closes_at", NEW."currency", NEW."draw_priority", NEW."ends_with_day", NEW."id", NEW."is_active", NEW."kind", NEW."name", NEW."opens_at", NEW."pending_for", NEW."per_user_limit", _pgh_attach_context(), NOW(), \'insert\', NEW."id", NEW."refund_grace_days", NEW."service_id", NEW."time_zone", NEW."valid_for", NEW."valid_until"); RETURN NULL;', hash='1dffdd26d69b6d3664b061a1858e0e4c3da63db4', operation='INSERT', pgid='pgtrigger_insert_insert_d3fad', table='assets_creditpool', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "assets_creditpoolevent" ("archived_at", "clawback_reach", "closes_at", "currency", "draw_priority", "ends_with_day", "id", "is_active", "kind", "name", "opens_at", "pending_for", "per_user_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "refund_grace_days", "service_id", "time_zone", "valid_for", "valid_until") VALUES (NEW."archived_at", NEW."clawback_reach", NEW."closes_at", NEW."currency", NEW."draw_priority", NEW."ends_with_day", NEW."id", NEW."is_active", NEW."kind", NEW."name", NEW."opens_at", NEW."pending_for", NEW."per_user_limit", _pgh_attach_context(), NOW(), \'update\', NEW."id", NEW."refund_grace_days", NEW."service_id", NEW."time_zone", NEW."valid_for", NEW."valid_until"); RETURN NULL;', hash='8a1c05d98677275d3f388db3b43aa15d210765c8', operation='UPDATE', pgid='pgtrigger_update_update_c3d64', table='assets_creditpool', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='creditpool',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assets_creditpoolevent" ("archived_at", "clawback_reach", "closes_at", "currency", "draw_priority", "ends_with_day", "id", "is_active", "kind", "name", "opens_at", "pending_for", "per_user_limit", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "refund_grace_days", "service_id", "time_zone", "valid_for", "valid_until") VALUES (OLD."archived_at", OLD."clawback_reach", OLD."closes_at", OLD."currency", OLD."draw_priority", OLD."ends_with_day", OLD."id", OLD."is_active", OLD."kind", OLD."name", OLD."opens_at", OLD."pending_for", OLD."per_user_limit", _pgh_attach_context(), NOW(), \'delete\', OLD."id", OLD."refund_grace_days", OLD."service_id", OLD."time_zone", OLD."valid_for", OLD."valid_until"); RETURN NULL;', hash='82ae6d7b92e32a851755af6844862e8478ea6eaf', operation='DELETE', pgid='pgtrigger_delete_delete_6d0bb', table='assets_creditpool', when='AFTER')),
        ),
        AddConstraintNotValid(
            model_name='cashbackasset',
            constraint=models.CheckConstraint(condition=models.Q(('spendable_until', None), ('spendable_until__gt', django.db.models.functions.comparison.Coalesce('spendable_from', 'claimed_at')), _connector='OR'), name='asset_spendable_for_a_while'),
        ),
        migrations.AddConstraint(
            model_name='creditpool',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('pending_for', None), ('pending_for__gte', '0 hours'), _connector='OR'), models.Q(('valid_for', None), ('valid_for__gt', '0 hours'), _connector='OR'), models.Q(('ends_with_day', False), ('valid_for__isnull', False), _connector='OR')), name='pool_validity_possible'),
        ),
        migrations.AddConstraint(
            model_name='creditpool',
            constraint=models.CheckConstraint(condition=models.Q(('draw_priority__in', (1, 2, 3))), name='pool_draw_priority_known'),
        ),
        migrations.AddConstraint(
            model_name='creditpool',
            constraint=models.CheckConstraint(condition=models.Q(('refund_grace_days__lte', 366)), name='pool_refund_grace_bounded'),
        ),
        migrations.AddConstraint(
            model_name='creditpool',
            constraint=models.CheckConstraint(condition=models.Q(('clawback_reach__in', ['CREDIT', 'WALLET'])), name='pool_clawback_reach_known'),
        ),
        migrations.RunSQL(HARDEN, migrations.RunSQL.noop),
    ]
