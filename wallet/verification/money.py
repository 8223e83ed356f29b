"""The checker's SQL about the wallet as money (I12 to I24): states are counted again from the facts, and the facts replayed."""

from wallet.ledger.movement_kinds import (
    CLAIM,
    DATED_LOT,
    DRAWING,
    KINDS,
    LOT_FIGURES,
    OF_PAYMENT,
    accounts_sql,
    kinds_sql,
    lot_change_sql,
)

CHANGES = ", ".join(f"{lot_change_sql(name, 'movement.kind', 'posting.amount')} AS {name}" for name in LOT_FIGURES)
# Each posting with its movement and what it changes of its lot.
POSTED = f"""
    SELECT posting.lot_id, posting.position, posting.amount, posting.spendable_until, movement.id AS movement_id, movement.kind,
        movement.at, movement.number, movement.user_id, movement.currency, movement.service_id, movement.payment_id,
        movement.claim_id, {CHANGES}
    FROM ledger_posting AS posting JOIN ledger_movement AS movement ON movement.id = posting.movement_id
"""
# The end of a lot when a posting came: the last new end before it, or that of the claim.
END_BEFORE = """
    coalesce((SELECT earlier.spendable_until FROM ledger_posting AS earlier
            JOIN ledger_movement AS before ON before.id = earlier.movement_id
        WHERE earlier.lot_id = posted.lot_id AND earlier.spendable_until IS NOT NULL AND before.number < posted.number
        ORDER BY before.number DESC LIMIT 1), entry.spendable_until)
"""

MOVEMENT_NOT_WHOLE = """
    SELECT format('movement %s of %s is not the sum of its postings, %s', movement.id, movement.amount, coalesce(posted, 0))
    FROM ledger_movement AS movement
    LEFT JOIN (SELECT movement_id, sum(amount) AS posted FROM ledger_posting GROUP BY movement_id) AS posting
        ON posting.movement_id = movement.id
    WHERE movement.amount <> coalesce(posted, 0)
"""
POSTING_ELSEWHERE = """
    SELECT format('posting %s of movement %s is to credit %s, which is not of its wallet', posting.position,
        posting.movement_id, posting.lot_id)
    FROM ledger_posting AS posting LEFT JOIN ledger_movement AS movement ON movement.id = posting.movement_id
    LEFT JOIN ledger_lot AS lot ON lot.entry_id = posting.lot_id
    WHERE (lot.user_id, lot.currency) IS DISTINCT FROM (movement.user_id, movement.currency) OR movement.id IS NULL
"""
SUMS = ", ".join(f"sum({name}) AS {name}" for name in LOT_FIGURES)
RECOUNTED = ", ".join(f"coalesce(posted.{name}, 0){' + lot.total' * (name == 'available')} AS {name}" for name in LOT_FIGURES)
LOT_DIFFERS = f"""
    WITH posted AS (SELECT lot_id, {SUMS} FROM ({POSTED}) AS posted GROUP BY lot_id), clawed AS (
        SELECT claim_id, sum(coalesce(shortfall, -amount)) AS due, sum(coalesce(amount + shortfall, 0)) AS total
        FROM ledger_movement WHERE kind = 'CLAWBACK' GROUP BY claim_id
    ), pair AS (
        SELECT lot.entry_id, lot.clawback_due, lot.clawback_total, coalesce(clawed.due, 0) AS due,
            coalesce(clawed.total, 0) AS asked, ROW({", ".join(f"lot.{name}" for name in LOT_FIGURES)})::text AS kept,
            (SELECT ROW({", ".join(f"figure.{name}::numeric(18, 4)" for name in LOT_FIGURES)})::text
                FROM (SELECT {RECOUNTED}) AS figure) AS recounted
        FROM ledger_lot AS lot LEFT JOIN posted ON posted.lot_id = lot.entry_id
        LEFT JOIN clawed ON clawed.claim_id = lot.entry_id
    )
    SELECT format('credit %s has {", ".join(LOT_FIGURES)} %s, but its postings come to %s', entry_id, kept, recounted)
    FROM pair WHERE kept <> recounted
    UNION ALL
    SELECT format('credit %s has %s of %s clawed back still due, but its movements come to %s of %s', entry_id, clawback_due,
        clawback_total, due, asked) FROM pair WHERE (clawback_due, clawback_total) <> (due, asked)
"""
LASTING_DIFFERS = f"""
    WITH moved AS (
        SELECT posted.user_id, posted.currency, sum(posted.available) AS amount
        FROM ({POSTED}) AS posted JOIN ledger_lot AS lot ON lot.entry_id = posted.lot_id
        WHERE NOT {DATED_LOT} GROUP BY posted.user_id, posted.currency
    )
    SELECT format('the lasting credits of user %s in %s moved by %s, but their postings come to %s', user_id, currency,
        coalesce(kept.amount, 0), coalesce(moved.amount, 0))
    FROM ledger_lastingchange AS kept FULL JOIN moved USING (user_id, currency)
    WHERE coalesce(kept.amount, 0) <> coalesce(moved.amount, 0)
"""
PARTS = {"amount": DRAWING, "captured": ("SPEND", "CAPTURE"), "released": ("RELEASE",), "refunded": ("REFUND",)}
PART_SUMS = ", ".join(
    f"coalesce(sum(amount) FILTER (WHERE kind IN {kinds_sql(kinds)}), 0) AS {name}" for name, kinds in PARTS.items()
)
PART_COLUMNS = ", ".join(PARTS)
PAYMENT_DIFFERS = f"""
    WITH moved AS (
        SELECT payment_id, {PART_SUMS}, min(at) FILTER (WHERE kind IN {kinds_sql(DRAWING)}) AS began_at
        FROM ledger_movement WHERE kind IN {kinds_sql(OF_PAYMENT)} GROUP BY payment_id
    ), pair AS (
        SELECT coalesce(payment.id, moved.payment_id) AS id,
            ROW({", ".join(f"payment.{name}" for name in PARTS)}, payment.began_at)::text AS kept,
            ROW({", ".join(f"moved.{name}::numeric(24, 4)" for name in PARTS)}, moved.began_at)::text AS recounted
        FROM ledger_payment AS payment FULL JOIN moved ON moved.payment_id = payment.id
    )
    SELECT format('payment %s has {PART_COLUMNS}, beginning %s, but its movements come to %s', id, kept, recounted)
    FROM pair WHERE kept <> recounted
"""
PAYMENT_IS_NOT_AS_ASKED = """
    SELECT format('payment %s is not of the user, currency, service, reference and hold of its first movement', payment.id)
    FROM ledger_payment AS payment LEFT JOIN ledger_movement AS movement ON movement.id = payment.id
    WHERE (payment.user_id, payment.currency, payment.service_id, payment.reference, payment.held_until)
        IS DISTINCT FROM (movement.user_id, movement.currency, movement.service_id, movement.reference, movement.held_until)
"""
ALLOCATION_DIFFERS = f"""
    WITH moved AS (
        SELECT payment_id, lot_id, {PART_SUMS} FROM ({POSTED}) AS posted WHERE payment_id IS NOT NULL
        GROUP BY payment_id, lot_id
    ), pair AS (
        SELECT payment_id, lot_id, ROW({", ".join(f"part.{name}" for name in PARTS)})::text AS kept,
            ROW({", ".join(f"moved.{name}::numeric(18, 4)" for name in PARTS)})::text AS recounted
        FROM ledger_allocation AS part FULL JOIN moved USING (payment_id, lot_id)
    )
    SELECT format('credit %s bears {PART_COLUMNS} %s of payment %s, but its postings come to %s', lot_id, kept, payment_id,
        recounted) FROM pair WHERE kept <> recounted
"""
RUNNING = ", ".join(f"sum(posted.{name}) OVER replay{' + lot.total' * (name == 'available')} AS {name}" for name in LOT_FIGURES)
BELOW_ZERO = f"""
    WITH replayed AS (
        SELECT posted.lot_id, posted.movement_id, posted.at, lot.opened_at, {RUNNING}
        FROM ({POSTED}) AS posted JOIN ledger_lot AS lot ON lot.entry_id = posted.lot_id
        WINDOW replay AS (PARTITION BY posted.lot_id ORDER BY posted.at, posted.number)
    )
    SELECT format('credit %s was below zero, or not there yet, at %s, after movement %s', lot_id, at, movement_id)
    FROM replayed WHERE least({", ".join(LOT_FIGURES)}) < 0 OR at < opened_at
"""
DRAWN_OUTSIDE_LIFE = f"""
    SELECT format('movement %s of %s drew on credit %s, which could be spent from %s until %s%s', movement_id, at, lot_id,
        spendable_from, coalesce(until::text, '-'), CASE WHEN wrong_service THEN ' and at another service only' ELSE '' END)
    FROM (
        SELECT posted.movement_id, posted.at, posted.lot_id, lot.spendable_from, {END_BEFORE} AS until,
            coalesce(lot.service_id <> posted.service_id, false) AS wrong_service
        FROM ({POSTED}) AS posted JOIN ledger_lot AS lot ON lot.entry_id = posted.lot_id
        JOIN ledger_entry AS entry ON entry.id = lot.entry_id WHERE posted.kind IN {kinds_sql(DRAWING)}
            AND (lot.spendable_until IS NOT NULL OR lot.service_id IS NOT NULL OR lot.spendable_from > lot.opened_at)
    ) AS drawn WHERE at < spendable_from OR at >= until OR wrong_service
"""
CAPTURED_LATE = """
    SELECT format('movement %s captured payment %s at %s, whose hold ended at %s', movement.id, movement.payment_id,
        movement.at, began.held_until)
    FROM ledger_movement AS movement JOIN ledger_movement AS began ON began.id = movement.payment_id
    WHERE movement.kind = 'CAPTURE' AND movement.at >= began.held_until
"""
MORE_THAN_BORNE = f"""
    SELECT format('credit %s bore %s of payment %s, of which %s was captured, %s released and %s refunded', lot_id, amount,
        payment_id, captured, released, refunded)
    FROM (SELECT payment_id, lot_id, {PART_SUMS} FROM ({POSTED}) AS posted WHERE payment_id IS NOT NULL
        GROUP BY payment_id, lot_id) AS part
    WHERE captured + released > amount OR refunded > captured
"""
# A credit that came first in the order of drawing was passed over although something was left of it. One that was claimed in
# the ten seconds before may not have been seen. Walking through a wallet's credits in that order, `moved_last` is when one of
# those so far moved last: if that was before the movement, it is compared with none of them. Comparing each movement with each
# credit would take the square of what a user has.
ORDER = "(lot.draw_priority, coalesce(lot.spendable_until, 'infinity'), lot.opened_at, lot.entry_id)"
PASSED_OVER = f"""
    WITH last_drawn AS (
        SELECT DISTINCT ON (posted.movement_id) posted.movement_id, posted.at, posted.number, posted.service_id, posted.user_id,
            posted.currency, lot.draw_priority, coalesce(lot.spendable_until, 'infinity') AS ends, lot.opened_at, posted.lot_id
        FROM ({POSTED}) AS posted JOIN ledger_lot AS lot ON lot.entry_id = posted.lot_id
        WHERE posted.kind IN {kinds_sql(DRAWING)} ORDER BY posted.movement_id, posted.position DESC
    ), walk AS (
        SELECT *, max(moves_until) OVER (PARTITION BY user_id, currency
            ORDER BY draw_priority, ends, opened_at, lot_id, movement_id NULLS LAST ROWS UNBOUNDED PRECEDING) AS moved_last
        FROM (
            SELECT *, NULL::timestamptz AS moves_until FROM last_drawn
            UNION ALL
            SELECT NULL, NULL, NULL, NULL, user_id, currency, draw_priority, coalesce(spendable_until, 'infinity'), opened_at,
                entry_id, CASE WHEN is_open THEN 'infinity' ELSE moved_at END
            FROM ledger_lot WHERE renewals = 0 AND clawback_total = 0
        ) AS step
    ), drawn AS (SELECT * FROM walk WHERE moved_last >= at)
    SELECT format('movement %s drew on credit %s and passed over credit %s', drawn.movement_id, drawn.lot_id, lot.entry_id)
    FROM drawn JOIN ledger_lot AS lot ON lot.user_id = drawn.user_id AND lot.currency = drawn.currency
        AND lot.entry_id <> drawn.lot_id AND (lot.is_open OR lot.moved_at >= drawn.at)
        AND lot.renewals = 0 AND lot.clawback_total = 0 AND lot.opened_at < drawn.at - interval '10 seconds'
        AND lot.spendable_from <= drawn.at AND (lot.spendable_until IS NULL OR lot.spendable_until > drawn.at)
        AND (lot.service_id IS NULL OR lot.service_id = drawn.service_id)
        AND {ORDER} < (drawn.draw_priority, drawn.ends, drawn.opened_at, drawn.lot_id)
    WHERE lot.total + coalesce((SELECT sum({lot_change_sql("available", "before.kind", "posting.amount")})
            FROM ledger_posting AS posting JOIN ledger_movement AS before ON before.id = posting.movement_id
            WHERE posting.lot_id = lot.entry_id AND before.number <= drawn.number), 0) > 0
        AND NOT EXISTS (SELECT FROM ledger_posting AS posting JOIN ledger_movement AS before ON before.id = posting.movement_id
            WHERE posting.lot_id IN (lot.entry_id, drawn.lot_id) AND posting.spendable_until IS NOT NULL)
"""
NUMBERS_WITH_GAPS = """
    SELECT format('the movements of user %s in %s are %s, numbered from %s to %s', user_id, currency, count(*), min(number),
        max(number))
    FROM ledger_movement GROUP BY user_id, currency
    HAVING (min(number), max(number), count(DISTINCT number)) <> (1, count(*), count(*))
"""
REFERENCE_TWICE = """
    SELECT format('service %s has %s payments of user %s for %s', service_id, count(*), user_id, reference)
    FROM ledger_payment WHERE held > 0 OR captured > 0 GROUP BY service_id, user_id, reference HAVING count(*) > 1
    UNION ALL
    SELECT format('service %s has %s refunds %s', service_id, count(*), reference)
    FROM ledger_movement WHERE kind = 'REFUND' GROUP BY service_id, reference HAVING count(*) > 1
"""
LAPSED_EARLY = f"""
    SELECT format('credit %s lapsed at %s by movement %s, before its end %s', lot_id, at, movement_id, until)
    FROM (SELECT posted.lot_id, posted.at, posted.movement_id, {END_BEFORE} AS until
        FROM ({POSTED}) AS posted JOIN ledger_entry AS entry ON entry.id = posted.lot_id WHERE posted.kind = 'LAPSE') AS lapse
    WHERE until IS NULL OR at < until
"""
LEFT_OPEN = """
    SELECT format('credit %s ended at %s, and %s of it has not lapsed: is `manage.py qcluster` running?', entry_id,
        spendable_until, available)
    FROM ledger_lot WHERE is_open AND spendable_until < transaction_timestamp() - interval '10 minutes'
    UNION ALL
    SELECT format('the hold of payment %s ended at %s and is not released: is `manage.py qcluster` running?', id, held_until)
    FROM ledger_payment WHERE is_held AND held_until < transaction_timestamp() - interval '10 minutes'
"""
CLAIM_WITHOUT_LOT = """
    WITH ends AS (
        SELECT DISTINCT ON (posting.lot_id) posting.lot_id, posting.spendable_until
        FROM ledger_posting AS posting JOIN ledger_movement AS movement ON movement.id = posting.movement_id
        WHERE posting.spendable_until IS NOT NULL ORDER BY posting.lot_id, movement.number DESC
    )
    SELECT format('claim %s %s', coalesce(entry.id, lot.entry_id), CASE WHEN lot.entry_id IS NULL THEN 'has no credit to spend'
        WHEN entry.id IS NULL THEN 'is not in the ledger, but its credit is' ELSE 'differs from its credit' END)
    FROM ledger_entry AS entry FULL JOIN ledger_lot AS lot ON lot.entry_id = entry.id LEFT JOIN ends ON ends.lot_id = entry.id
    WHERE ((lot.user_id, lot.currency, lot.total, lot.spendable_from, lot.spendable_until) IS DISTINCT FROM
        (entry.user_id, entry.currency, entry.amount, coalesce(entry.spendable_from, lot.opened_at),
            coalesce(ends.spendable_until, entry.spendable_until)) OR lot.opened_at < entry.claimed_at)
        AND NOT (lot.entry_id IS NULL AND EXISTS (SELECT FROM ledger_lotbackfill WHERE completed_at IS NULL))
"""
# The journal by account, beside what lots have: what came into an account and did not leave it is what is there.
ACCOUNT_OF_FIGURE = {"available": "wallet", "held": "hold", "spent": "merchant", "lapsed": "breakage"}
ACCOUNTS_DIFFER = f"""
    WITH journal AS (
        SELECT '{CLAIM.source}' AS source, '{CLAIM.target}' AS target, entry.currency, entry.amount
        FROM ledger_entry AS entry JOIN ledger_lot AS lot ON lot.entry_id = entry.id
        UNION ALL
        SELECT account.source, account.target, movement.currency, posting.amount
        FROM ledger_posting AS posting JOIN ledger_movement AS movement ON movement.id = posting.movement_id
        JOIN (VALUES {accounts_sql()}) AS account (kind, source, target) ON account.kind = movement.kind
    ), booked AS (
        SELECT account, currency, sum(amount) AS amount FROM (
            SELECT target AS account, currency, amount FROM journal UNION ALL SELECT source, currency, -amount FROM journal
        ) AS side GROUP BY account, currency
    ), there AS (
        SELECT account, currency, sum(amount) AS amount FROM ledger_lot AS lot CROSS JOIN LATERAL (VALUES
            {", ".join(f"('{account}', lot.{figure})" for figure, account in ACCOUNT_OF_FIGURE.items())},
            ('pool', lot.clawed_back - lot.total)) AS side (account, amount) GROUP BY account, currency
    )
    SELECT format('the journal has %s %s in the account %s, but credits have %s', coalesce(booked.amount, 0), currency, account,
        coalesce(there.amount, 0))
    FROM booked FULL JOIN there USING (account, currency) WHERE coalesce(booked.amount, 0) <> coalesce(there.amount, 0)
    UNION ALL
    SELECT format('all accounts in %s come to %s', currency, sum(amount)) FROM there GROUP BY currency HAVING sum(amount) <> 0
"""
UNKNOWN_KIND = (
    f"SELECT format('movement %s is of an unknown kind', id) FROM ledger_movement WHERE kind NOT IN {kinds_sql(tuple(KINDS))}"
)

# Invariant and statement.
STATEMENTS = [
    ("I12", MOVEMENT_NOT_WHOLE),
    ("I12", POSTING_ELSEWHERE),
    ("I12", UNKNOWN_KIND),
    ("I13", LOT_DIFFERS),
    ("I13", LASTING_DIFFERS),
    ("I13", PAYMENT_DIFFERS),
    ("I13", PAYMENT_IS_NOT_AS_ASKED),
    ("I13", ALLOCATION_DIFFERS),
    ("I14", BELOW_ZERO),
    ("I15", DRAWN_OUTSIDE_LIFE),
    ("I16", CAPTURED_LATE),
    ("I16", MORE_THAN_BORNE),
    ("I17", PASSED_OVER),
    ("I18", NUMBERS_WITH_GAPS),
    ("I19", REFERENCE_TWICE),
    ("I20", LAPSED_EARLY),
    ("I20", LEFT_OPEN),
    ("I23", CLAIM_WITHOUT_LOT),
    ("I24", ACCOUNTS_DIFFER),
]
