"""The partitions of the idempotency keys: a ring of three weeks, of which the next one is always empty.

Keys are forgotten by TRUNCATE of one partition: no row is deleted, no partition is ever created or dropped, and so none can be
missing when a week begins.
"""

import pgtrigger

from kernel.sql import IDEMPOTENCY_KEY_LOCK

TABLE = "ledger_idempotencykey"
RETENTION_DAYS = 7
PARTITIONS = 3  # this week, the week before it, and the next week, whose partition is emptied. Fixed by the migration.
WEEK = "floor(extract(epoch FROM now()) / 604800)::integer"  # of this transaction, by the database's clock
THIS_WEEK = f"mod({WEEK}, {PARTITIONS})"
NEXT_WEEK = f"mod({WEEK} + 1, {PARTITIONS})"

# The primary key holds in one partition: this keeps a key single over the others. The lock lets two transactions that disagree
# about the week see each other; the look-up has a snapshot from after the lock. A key that is taken is not inserted again, as
# by ON CONFLICT DO NOTHING. The partition of this week is not looked into: it grows, and a plan that a session made while it
# was empty would read all of it.
key_once = pgtrigger.Trigger(
    name="key_once",
    operation=pgtrigger.Insert,
    when=pgtrigger.Before,
    func=f"""
    PERFORM pg_advisory_xact_lock({IDEMPOTENCY_KEY_LOCK.format(user="NEW.user_id", route="NEW.route", key="NEW.key")});
    IF EXISTS (
        SELECT FROM {TABLE} WHERE user_id = NEW.user_id AND route = NEW.route AND key = NEW.key
            AND partition_number <> NEW.partition_number
    ) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
    """,
)
