"""The rules of movements and postings, and the triggers that keep lots, payments and allocations, as the tables' owner.

A refusal's constraint name says which rule was broken; `wallet.actions` translates some of them into refusals.
"""

import pgtrigger

from kernel.sql import WALLET_LOCK
from wallet.assets.triggers import refuse_sql
from wallet.ledger.movement_kinds import DATED_LOT, DRAWING, LOT_FIGURES, RETURNING, kinds_sql, lot_change_sql
from wallet.ledger.triggers import at_commit, row_of

# --- Movements ----------------------------------------------------------------------------------------------------------

BEGINS = f"""
        IF NEW.payment_id <> NEW.id THEN
            {refuse_sql("movement_begins_payment", "a hold or spend is the first movement of its payment")}
        END IF;
        IF NEW.held_until <= NEW.at OR NEW.held_until > NEW.at + interval '30 days' THEN
            {refuse_sql("movement_hold_bounded", "a hold ends within 30 days")}
        END IF;
        IF NOT (SELECT is_active FROM accounts_user WHERE id = NEW.user_id) THEN
            {refuse_sql("wallet_closed", "a closed account pays nothing")}
        END IF;
"""
CONTINUES = f"""
        SELECT * INTO payment FROM ledger_payment WHERE id = NEW.payment_id;
        IF (payment.user_id, payment.currency, payment.service_id)
            IS DISTINCT FROM (NEW.user_id, NEW.currency, NEW.service_id) THEN
            {refuse_sql("movement_of_payment", "this wallet has no such payment at this service")}
        END IF;
        IF NEW.kind = 'CAPTURE' AND payment.held_until <= NEW.at THEN
            {refuse_sql("payment_hold_over", "a hold that has ended is not captured")}
        END IF;
        IF NEW.kind = 'RELEASE' THEN
            NEW.at := least(NEW.at, payment.held_until);
        END IF;
"""
CHANGES_CLAIM = f"""
        SELECT * INTO lot FROM ledger_lot WHERE entry_id = NEW.claim_id;
        IF (lot.user_id, lot.currency) IS DISTINCT FROM (NEW.user_id, NEW.currency) THEN
            {refuse_sql("movement_of_claim", "this wallet has no such credit")}
        END IF;
        IF NEW.kind = 'LAPSE' THEN
            IF lot.spendable_until IS NULL OR lot.spendable_until > NEW.at THEN
                {refuse_sql("lot_not_ended", "a credit lapses when it has ended, not before")}
            END IF;
            NEW.at := greatest(lot.spendable_until, lot.moved_at);
        ELSIF NEW.kind = 'CLAWBACK' THEN
            UPDATE ledger_lot SET clawback_due = clawback_due + coalesce(NEW.shortfall, -NEW.amount),
                clawback_total = clawback_total + coalesce(NEW.amount + NEW.shortfall, 0) WHERE entry_id = NEW.claim_id;
        END IF;
"""
# A movement's turn in its wallet: the lock, then the time, then the number; and what must be true before it. What the clock
# decided, the end of a hold or of a credit, counts from then, whoever writes it down and however late.
turn = pgtrigger.Trigger(
    name="movement_turn",
    operation=pgtrigger.Insert,
    when=pgtrigger.Before,
    declare=[("last", "record"), ("payment", "ledger_payment%ROWTYPE"), ("lot", "ledger_lot%ROWTYPE")],
    func=f"""
    PERFORM pg_advisory_xact_lock({WALLET_LOCK.format(user="NEW.user_id", currency="NEW.currency")});
    IF EXISTS (SELECT FROM ledger_lotbackfill WHERE completed_at IS NULL) THEN
        {refuse_sql("lots_incomplete", "lots are still being opened for earlier claims")}
    END IF;
    SELECT number, at INTO last FROM ledger_movement
        WHERE user_id = NEW.user_id AND currency = NEW.currency ORDER BY number DESC LIMIT 1;
    NEW.number := coalesce(last.number, 0) + 1;
    NEW.at := greatest(clock_timestamp(), last.at);
    NEW.xid := pg_current_xact_id();
    IF NEW.kind IN {kinds_sql(DRAWING)} THEN
        {BEGINS}
    ELSIF NEW.payment_id IS NOT NULL THEN
        {CONTINUES}
    ELSE
        {CHANGES_CLAIM}
    END IF;
    RETURN NEW;
    """,
)

whole = at_commit(
    "movement_whole",
    pgtrigger.Insert,
    "true",
    f"""
    IF NEW.amount <> coalesce((SELECT sum(amount) FROM ledger_posting WHERE movement_id = NEW.id), 0) THEN
        {refuse_sql("movement_whole", "a movement is the sum of its postings")}
    END IF;
    """,
)

# --- Postings -----------------------------------------------------------------------------------------------------------

# The rule that a posting breaks, by its movement and lot as they were before it; NULL: none.
BROKEN_RULE = f"""
    CASE WHEN movement.xid <> pg_current_xact_id() THEN 'posting_own_movement'
        WHEN (lot.user_id, lot.currency) IS DISTINCT FROM (movement.user_id, movement.currency) THEN 'posting_own_lot'
        WHEN movement.kind IN {kinds_sql(DRAWING)} AND (
            movement.at < lot.spendable_from OR movement.at >= lot.spendable_until OR lot.clawback_due > 0
            OR lot.service_id <> movement.service_id) THEN 'posting_lot_spendable'
        WHEN movement.claim_id <> lot.entry_id AND NOT (
            movement.kind = 'CLAWBACK' AND movement.shortfall IS NOT NULL AND claimed.clawback_reach = 'WALLET')
            THEN 'posting_of_claim'
        WHEN movement.kind = 'EXTEND' AND (
            added.amount <> lot.total OR added.spendable_until IS NULL OR movement.at >= lot.spendable_until)
            OR added.spendable_until IS NOT NULL AND (
                lot.spendable_until IS NULL OR added.spendable_until <= lot.spendable_until OR movement.kind <> 'EXTEND' AND (
                    movement.kind <> 'REFUND' OR movement.at < lot.spendable_until OR lot.renewals > 0
                    OR lot.available > 0 OR lot.held > 0 OR lot.lapsed > 0
                    OR added.spendable_until > movement.at + lot.refund_grace_days * interval '24 hours'))
            THEN 'posting_new_end'
        END
"""
MOVEMENT_OF_POSTING = row_of("ledger_movement", "id", "added.movement_id", "movement")
LOT_OF_POSTING = row_of("ledger_lot", "entry_id", "added.lot_id", "lot")
CLAIMED_LOT = row_of("ledger_lot", "entry_id", "movement.claim_id", "claimed")
MOVED = f"FROM added CROSS JOIN {MOVEMENT_OF_POSTING}"
LOT_SUMS = ", ".join(f"sum({lot_change_sql(name, 'movement.kind', 'added.amount')}) AS {name}" for name in LOT_FIGURES)
# Rows are changed one by one, each found by its key, for the same reason as `row_of`.
LOTS_MOVED = f"""
    FOR change IN SELECT added.lot_id, {LOT_SUMS}, max(added.spendable_until) AS until, max(movement.at) AS at,
            count(added.spendable_until) FILTER (WHERE movement.kind = 'REFUND') AS renewals
        {MOVED} GROUP BY added.lot_id
    LOOP
        UPDATE ledger_lot AS lot SET {", ".join(f"{name} = lot.{name} + change.{name}" for name in LOT_FIGURES)},
                spendable_until = coalesce(change.until, lot.spendable_until), moved_at = greatest(lot.moved_at, change.at),
                renewals = lot.renewals + change.renewals
            WHERE lot.entry_id = change.lot_id;
    END LOOP;
"""
# One row a wallet, whose lock the movement holds: nothing else waits for it.
AVAILABLE_SUM = f"sum({lot_change_sql('available', 'movement.kind', 'added.amount')})"
LASTING_MOVED = f"""
    INSERT INTO ledger_lastingchange AS kept (user_id, currency, amount)
        SELECT movement.user_id, movement.currency, {AVAILABLE_SUM} {MOVED}
            CROSS JOIN {LOT_OF_POSTING}
        WHERE NOT {DATED_LOT} GROUP BY movement.user_id, movement.currency HAVING {AVAILABLE_SUM} <> 0
        ORDER BY movement.user_id, movement.currency
    ON CONFLICT (user_id, currency) DO UPDATE SET amount = kept.amount + excluded.amount;
"""
PAYMENTS_BEGUN = f"""
    INSERT INTO ledger_payment (id, user_id, currency, service_id, reference, amount, held, captured, released, refunded,
            began_at, held_until)
        SELECT movement.id, movement.user_id, movement.currency, movement.service_id, movement.reference, movement.amount,
            CASE movement.kind WHEN 'HOLD' THEN movement.amount ELSE 0 END,
            CASE movement.kind WHEN 'SPEND' THEN movement.amount ELSE 0 END, 0, 0, movement.at, movement.held_until
        FROM (SELECT DISTINCT movement_id FROM added) AS added CROSS JOIN {MOVEMENT_OF_POSTING}
        WHERE movement.kind IN {kinds_sql(DRAWING)};
    INSERT INTO ledger_allocation (payment_id, lot_id, position, amount, held, captured, released, refunded)
        SELECT movement.id, added.lot_id, added.position, added.amount,
            CASE movement.kind WHEN 'HOLD' THEN added.amount ELSE 0 END,
            CASE movement.kind WHEN 'SPEND' THEN added.amount ELSE 0 END, 0, 0
        {MOVED} WHERE movement.kind IN {kinds_sql(DRAWING)};
"""
PART_SUMS = ", ".join(
    f"coalesce(sum(added.amount) FILTER (WHERE movement.kind = '{kind}'), 0) AS {name}"
    for kind, name in (("CAPTURE", "captured"), ("RELEASE", "released"), ("REFUND", "refunded"))
)
PART_CHANGES = """
        held = part.held - change.captured - change.released, captured = part.captured + change.captured,
        released = part.released + change.released, refunded = part.refunded + change.refunded
"""
PAYMENTS_MOVED = f"""
    FOR change IN SELECT movement.payment_id, added.lot_id, {PART_SUMS}
        {MOVED} WHERE movement.payment_id IS NOT NULL AND movement.kind NOT IN {kinds_sql(DRAWING)}
        GROUP BY movement.payment_id, added.lot_id
    LOOP
        UPDATE ledger_allocation AS part SET {PART_CHANGES}
            WHERE part.payment_id = change.payment_id AND part.lot_id = change.lot_id;
        IF NOT FOUND THEN
            {refuse_sql("posting_of_allocation", "this credit bears no part of the payment")}
        END IF;
    END LOOP;
    FOR change IN SELECT movement.payment_id, {PART_SUMS},
            max(movement.at) FILTER (WHERE movement.kind = 'RELEASE') AS released_at
        {MOVED} WHERE movement.payment_id IS NOT NULL AND movement.kind NOT IN {kinds_sql(DRAWING)}
        GROUP BY movement.payment_id
    LOOP
        UPDATE ledger_payment AS part SET {PART_CHANGES}, released_at = coalesce(change.released_at, part.released_at)
            WHERE part.id = change.payment_id;
    END LOOP;
"""
# The checks of lots, payments and allocations refuse what is not there.
applied = pgtrigger.Trigger(
    name="posting_applied",
    level=pgtrigger.Statement,
    operation=pgtrigger.Insert,
    when=pgtrigger.After,
    referencing=pgtrigger.Referencing(new="added"),  # type: ignore[no-untyped-call]
    declare=[("broken", "text"), ("kinds", "text[]"), ("change", "record")],
    func=f"""
    SELECT array_agg(DISTINCT movement.kind), min({BROKEN_RULE}) INTO kinds, broken {MOVED}
        LEFT JOIN {LOT_OF_POSTING} ON true
        LEFT JOIN {CLAIMED_LOT} ON true;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'this credit cannot be used so' USING ERRCODE = 'check_violation', CONSTRAINT = broken;
    END IF;
    {LOTS_MOVED}
    {LASTING_MOVED}
    IF kinds && '{{{",".join(DRAWING)}}}' THEN
        {PAYMENTS_BEGUN}
    END IF;
    IF kinds && '{{CAPTURE,{",".join(RETURNING)}}}' THEN
        {PAYMENTS_MOVED}
    END IF;
    RETURN NULL;
    """,
)
