"""The sums of credits that can be spent at once and never end, so that a balance does not read them one by one."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


# Payments and seals wait until the sums are complete; claims go on.
LOCK_SUMS = "LOCK TABLE ledger_posting IN SHARE ROW EXCLUSIVE MODE"
# The claims, and what movements changed of their lots.
SUM_UP = """
UPDATE ledger_sealedbalance AS balance SET lasting = sealed.amount
FROM (
    SELECT user_id, currency, sum(amount) AS amount FROM ledger_entry
    WHERE spendable_until IS NULL AND coalesce(spendable_from, claimed_at) = claimed_at
        AND xid < (SELECT max(to_xid) FROM ledger_seal) GROUP BY user_id, currency
) AS sealed
WHERE (balance.user_id, balance.currency) = (sealed.user_id, sealed.currency);
INSERT INTO ledger_lastingchange (user_id, currency, amount)
    SELECT user_id, currency, sum(available - total) FROM ledger_lot
    WHERE spendable_until IS NULL AND spendable_from = opened_at AND available <> total GROUP BY user_id, currency;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_service_keys'),
        ('ledger', '0014_money_lists'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(LOCK_SUMS, migrations.RunSQL.noop),
        migrations.CreateModel(
            name='LastingChange',
            fields=[
                ('pk', models.CompositePrimaryKey('user_id', 'currency', blank=True, editable=False, primary_key=True, serialize=False)),
                ('user', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('currency', models.CharField(max_length=3)),
                ('amount', models.DecimalField(decimal_places=4, max_digits=24)),
            ],
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='posting',
            name='posting_applied',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='seal',
            name='seal_balances_added',
        ),
        migrations.AddField(
            model_name='sealedbalance',
            name='lasting',
            field=models.DecimalField(db_default=0, decimal_places=4, max_digits=24),
        ),
        migrations.RunSQL(SUM_UP, migrations.RunSQL.noop),
        pgtrigger.migrations.AddTrigger(
            model_name='posting',
            trigger=pgtrigger.compiler.Trigger(name='posting_applied', sql=pgtrigger.compiler.UpsertTriggerSql(declare='DECLARE broken text; kinds text[]; moved bigint; expected bigint;', func="\n    SELECT array_agg(DISTINCT movement.kind), min(\n    CASE WHEN movement.xid <> pg_current_xact_id() THEN 'posting_own_movement'\n        WHEN (lot.user_id, lot.currency) IS DISTINCT FROM (movement.user_id, movement.currency) THEN 'posting_own_lot'\n        WHEN movement.kind IN ('HOLD', 'SPEND') AND (\n            movement.at < lot.spendable_from OR movement.at >= lot.spendable_until OR lot.clawback_due > 0\n            OR lot.service_id <> movement.service_id) THEN 'posting_lot_spendable'\n        WHEN movement.claim_id <> lot.entry_id AND NOT (\n            movement.kind = 'CLAWBACK' AND movement.shortfall IS NOT NULL AND claimed.clawback_reach = 'WALLET')\n            THEN 'posting_of_claim'\n        WHEN movement.kind = 'EXTEND' AND (\n            added.amount <> lot.total OR added.spendable_until IS NULL OR movement.at >= lot.spendable_until)\n            OR added.spendable_until IS NOT NULL AND (\n                lot.spendable_until IS NULL OR added.spendable_until <= lot.spendable_until OR movement.kind <> 'EXTEND' AND (\n                    movement.kind <> 'REFUND' OR movement.at < lot.spendable_until OR lot.renewals > 0\n                    OR lot.available > 0 OR lot.held > 0 OR lot.lapsed > 0\n                    OR added.spendable_until > movement.at + lot.refund_grace_days * interval '24 hours'))\n            THEN 'posting_new_end'\n        END\n) INTO kinds, broken FROM added JOIN ledger_movement AS movement ON movement.id = added.movement_id\n        LEFT JOIN ledger_lot AS lot ON lot.entry_id = added.lot_id\n        LEFT JOIN ledger_lot AS claimed ON claimed.entry_id = movement.claim_id;\n    IF broken IS NOT NULL THEN\n        RAISE EXCEPTION 'this credit cannot be used so' USING ERRCODE = 'check_violation', CONSTRAINT = broken;\n    END IF;\n    \n    UPDATE ledger_lot AS lot SET available = lot.available + change.available, held = lot.held + change.held, spent = lot.spent + change.spent, lapsed = lot.lapsed + change.lapsed, clawed_back = lot.clawed_back + change.clawed_back,\n            spendable_until = coalesce(change.until, lot.spendable_until), moved_at = greatest(lot.moved_at, change.at),\n            renewals = lot.renewals + change.renewals\n        FROM (SELECT added.lot_id, sum(CASE WHEN movement.kind IN ('RELEASE', 'REFUND') THEN added.amount WHEN movement.kind IN ('HOLD', 'SPEND', 'LAPSE', 'CLAWBACK') THEN -added.amount ELSE 0 END) AS available, sum(CASE WHEN movement.kind IN ('HOLD') THEN added.amount WHEN movement.kind IN ('CAPTURE', 'RELEASE') THEN -added.amount ELSE 0 END) AS held, sum(CASE WHEN movement.kind IN ('CAPTURE', 'SPEND') THEN added.amount WHEN movement.kind IN ('REFUND') THEN -added.amount ELSE 0 END) AS spent, sum(CASE WHEN movement.kind IN ('LAPSE') THEN added.amount ELSE 0 END) AS lapsed, sum(CASE WHEN movement.kind IN ('CLAWBACK') THEN added.amount ELSE 0 END) AS clawed_back, max(added.spendable_until) AS until, max(movement.at) AS at,\n                count(added.spendable_until) FILTER (WHERE movement.kind = 'REFUND') AS renewals\n            FROM added JOIN ledger_movement AS movement ON movement.id = added.movement_id GROUP BY added.lot_id) AS change\n        WHERE lot.entry_id = change.lot_id;\n\n    \n    INSERT INTO ledger_lastingchange AS kept (user_id, currency, amount)\n        SELECT movement.user_id, movement.currency, sum(CASE WHEN movement.kind IN ('RELEASE', 'REFUND') THEN added.amount WHEN movement.kind IN ('HOLD', 'SPEND', 'LAPSE', 'CLAWBACK') THEN -added.amount ELSE 0 END) FROM added JOIN ledger_movement AS movement ON movement.id = added.movement_id\n            JOIN ledger_lot AS lot ON lot.entry_id = added.lot_id\n        WHERE NOT (lot.spendable_until IS NOT NULL OR lot.spendable_from > lot.opened_at) GROUP BY movement.user_id, movement.currency HAVING sum(CASE WHEN movement.kind IN ('RELEASE', 'REFUND') THEN added.amount WHEN movement.kind IN ('HOLD', 'SPEND', 'LAPSE', 'CLAWBACK') THEN -added.amount ELSE 0 END) <> 0\n        ORDER BY movement.user_id, movement.currency\n    ON CONFLICT (user_id, currency) DO UPDATE SET amount = kept.amount + excluded.amount;\n\n    IF kinds && '{HOLD,SPEND}' THEN\n        \n    INSERT INTO ledger_payment (id, user_id, currency, service_id, reference, amount, held, captured, released, refunded,\n            began_at, held_until)\n        SELECT movement.id, movement.user_id, movement.currency, movement.service_id, movement.reference, movement.amount,\n            CASE movement.kind WHEN 'HOLD' THEN movement.amount ELSE 0 END,\n            CASE movement.kind WHEN 'SPEND' THEN movement.amount ELSE 0 END, 0, 0, movement.at, movement.held_until\n        FROM ledger_movement AS movement\n        WHERE movement.id IN (SELECT movement_id FROM added) AND movement.kind IN ('HOLD', 'SPEND');\n    INSERT INTO ledger_allocation (payment_id, lot_id, position, amount, held, captured, released, refunded)\n        SELECT movement.id, added.lot_id, added.position, added.amount,\n            CASE movement.kind WHEN 'HOLD' THEN added.amount ELSE 0 END,\n            CASE movement.kind WHEN 'SPEND' THEN added.amount ELSE 0 END, 0, 0\n        FROM added JOIN ledger_movement AS movement ON movement.id = added.movement_id WHERE movement.kind IN ('HOLD', 'SPEND');\n\n    END IF;\n    IF kinds && '{CAPTURE,RELEASE,REFUND}' THEN\n        \n    SELECT count(DISTINCT (movement.payment_id, added.lot_id)) INTO expected FROM added JOIN ledger_movement AS movement ON movement.id = added.movement_id\n        WHERE movement.payment_id IS NOT NULL AND movement.kind NOT IN ('HOLD', 'SPEND');\n    UPDATE ledger_allocation AS part SET \n        held = part.held - change.captured - change.released, captured = part.captured + change.captured,\n        released = part.released + change.released, refunded = part.refunded + change.refunded\n\n        FROM (SELECT movement.payment_id, added.lot_id, coalesce(sum(added.amount) FILTER (WHERE movement.kind = 'CAPTURE'), 0) AS captured, coalesce(sum(added.amount) FILTER (WHERE movement.kind = 'RELEASE'), 0) AS released, coalesce(sum(added.amount) FILTER (WHERE movement.kind = 'REFUND'), 0) AS refunded FROM added JOIN ledger_movement AS movement ON movement.id = added.movement_id\n            WHERE movement.payment_id IS NOT NULL AND movement.kind NOT IN ('HOLD', 'SPEND')\n            GROUP BY movement.payment_id, added.lot_id) AS change\n        WHERE part.payment_id = change.payment_id AND part.lot_id = change.lot_id;\n    GET DIAGNOSTICS moved = ROW_COUNT;\n    IF moved <> expected THEN\n        RAISE EXCEPTION 'this credit bears no part of the payment' USING ERRCODE = 'check_violation', CONSTRAINT = 'posting_of_allocation';\n    END IF;\n    UPDATE ledger_payment AS part SET \n        held = part.held - change.captured - change.released, captured = part.captured + change.captured,\n        released = part.released + change.released, refunded = part.refunded + change.refunded\n, released_at = coalesce(change.released_at, part.released_at)\n        FROM (SELECT movement.payment_id, coalesce(sum(added.amount) FILTER (WHERE movement.kind = 'CAPTURE'), 0) AS captured, coalesce(sum(added.amount) FILTER (WHERE movement.kind = 'RELEASE'), 0) AS released, coalesce(sum(added.amount) FILTER (WHERE movement.kind = 'REFUND'), 0) AS refunded, max(movement.at) FILTER (WHERE movement.kind = 'RELEASE') AS released_at\n            FROM added JOIN ledger_movement AS movement ON movement.id = added.movement_id WHERE movement.payment_id IS NOT NULL AND movement.kind NOT IN ('HOLD', 'SPEND')\n            GROUP BY movement.payment_id) AS change\n        WHERE part.id = change.payment_id;\n\n    END IF;\n    RETURN NULL;\n    ", hash='2228424d7e8439fa20b261879816813bea284119', level='STATEMENT', operation='INSERT', pgid='pgtrigger_posting_applied_e29b3', referencing='REFERENCING NEW TABLE AS added ', table='ledger_posting', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='seal',
            trigger=pgtrigger.compiler.Trigger(name='seal_balances_added', sql=pgtrigger.compiler.UpsertTriggerSql(func='\n    INSERT INTO ledger_sealedbalance (user_id, currency, amount, claims, lasting)\n        SELECT user_id, currency, sum(amount), count(*), coalesce(sum(amount) FILTER (WHERE spendable_until IS NULL AND coalesce(spendable_from, claimed_at) = claimed_at), 0)\n        FROM ledger_entry\n        WHERE xid >= NEW.from_xid AND xid < NEW.to_xid GROUP BY user_id, currency\n    ON CONFLICT (user_id, currency) DO UPDATE\n        SET amount = ledger_sealedbalance.amount + excluded.amount, claims = ledger_sealedbalance.claims + excluded.claims,\n            lasting = ledger_sealedbalance.lasting + excluded.lasting;\n    \nWITH oldest AS (\n    SELECT id, batch_id, count(*) OVER (PARTITION BY pool_id, currency, generation, status) AS rows_in_group\n    FROM (SELECT id, pool_id, currency, generation, status, batch_id FROM assets_supplydelta ORDER BY id LIMIT 100000) AS batch\n), merged AS (\n    DELETE FROM assets_supplydelta WHERE id IN (SELECT id FROM oldest WHERE rows_in_group > 1 OR batch_id IS NOT NULL)\n    RETURNING pool_id, currency, generation, status, batch_id, count, value\n), of_batches AS (\n    INSERT INTO assets_batchsupply (batch_id, currency, status, count, value)\n        SELECT batch_id, currency, status, sum(count), sum(value) FROM merged\n        WHERE batch_id IS NOT NULL GROUP BY batch_id, currency, status HAVING sum(count) <> 0 OR sum(value) <> 0\n        ORDER BY batch_id, currency, status\n    ON CONFLICT (batch_id, currency, status) DO UPDATE\n        SET count = assets_batchsupply.count + excluded.count, value = assets_batchsupply.value + excluded.value\n)\nINSERT INTO assets_supplydelta (pool_id, currency, generation, status, count, value)\n    SELECT pool_id, currency, generation, status, sum(count), sum(value) FROM merged GROUP BY pool_id, currency, generation, status HAVING sum(count) <> 0 OR sum(value) <> 0;\n\n    RETURN NULL;\n    ', hash='c1fe3c85e53fd909f4a00a08cf39a5bffb05cf1f', operation='INSERT', pgid='pgtrigger_seal_balances_added_a976f', table='ledger_seal', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='lastingchange',
            trigger=pgtrigger.compiler.Trigger(name='lasting_change_kept_rows', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table loses no rows' USING ERRCODE = 'check_violation', CONSTRAINT = 'lasting_change_kept';", hash='df15a52a06257c55e78d3bee15357a618c6b4b9e', operation='DELETE', pgid='pgtrigger_lasting_change_kept_rows_d7f62', table='ledger_lastingchange', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='lastingchange',
            trigger=pgtrigger.compiler.Trigger(name='lasting_change_kept_table', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'this table is append-only' USING ERRCODE = 'check_violation', CONSTRAINT = 'lasting_change_kept';", hash='6c0e49171461292884434541f4a13443024eb66d', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_lasting_change_kept_table_e2432', table='ledger_lastingchange', when='BEFORE')),
        ),
        migrations.RunSQL('SELECT public.harden_triggers()', migrations.RunSQL.noop),
    ]
