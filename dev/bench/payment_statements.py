"""The yardstick of payments: their statements alone, sent by pgbench."""

from kernel.sql import WALLET_LOCK

# The turn of the wallet, then what the decision needs: keys, the order, ended holds, the person, the credits in draw order.
READ = f"""\
\\set i :i + 1
\\set n (:i * :step + :client_id) % :payers
SELECT id AS payer, gen_random_uuid() AS payment FROM bench_payer WHERE n = :n \\gset
BEGIN;
SELECT pg_advisory_xact_lock({WALLET_LOCK.format(user=":payer", currency="'INR'")});
SELECT id FROM ledger_movement WHERE actor_id IS NULL AND service_id = :service::uuid AND request_key = :payment::text;
SELECT id FROM ledger_payment
    WHERE service_id = :service::uuid AND user_id = :payer::uuid AND reference = :payment::text AND is_live;
SELECT id FROM ledger_payment
    WHERE user_id = :payer::uuid AND currency = 'INR' AND is_held AND held_until <= clock_timestamp();
SELECT is_active FROM accounts_user WHERE id = :payer::uuid;
SELECT lot.entry_id, lot.available FROM ledger_lot AS lot
    WHERE lot.user_id = :payer::uuid AND lot.currency = 'INR' AND lot.is_open AND lot.clawback_due = 0
        AND lot.spendable_from <= clock_timestamp()
        AND (lot.spendable_until IS NULL OR lot.spendable_until > clock_timestamp())
        AND (lot.service_id IS NULL OR lot.service_id = :service::uuid)
    ORDER BY lot.draw_priority, lot.spendable_until, lot.opened_at, lot.entry_id LIMIT 16;
"""  # noqa: S608  (made of a constant)
PAY = (
    READ  # noqa: S608  (made of constants)
    + """\
INSERT INTO ledger_movement (id, kind, user_id, currency, amount, payment_id, service_id, reference, request_key, fingerprint,
        channel)
    VALUES (:payment::uuid, 'SPEND', :payer::uuid, 'INR', :amount, :payment::uuid, :service::uuid, :payment::text,
        :payment::text, repeat('f', 64), 'bench');
INSERT INTO ledger_posting (movement_id, position, lot_id, amount)
    SELECT :payment::uuid, row_number() OVER (ORDER BY opened_at, entry_id), entry_id, least(available, :amount - before)
    FROM (
        SELECT lot.entry_id, lot.opened_at, lot.available,
            sum(lot.available) OVER (ORDER BY lot.opened_at, lot.entry_id) - lot.available AS before
        FROM (SELECT * FROM ledger_lot WHERE user_id = :payer::uuid AND currency = 'INR' AND is_open
            ORDER BY draw_priority, spendable_until, opened_at, entry_id LIMIT 16) AS lot
    ) AS drawn WHERE before < :amount;
COMMIT;
"""
)
