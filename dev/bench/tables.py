"""Large tables of valid rows, by INSERT … SELECT with indexes built afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.db import connection
from django.http import HttpRequest

from accounts.models import Role, User
from accounts.tokens import issue_pair
from wallet.actions import edit_pool
from wallet.assets.models import PoolKind
from wallet.assets.supply_triggers import INITIALIZE_SUPPLY

POOLS = 50
TABLES = (
    *("assets_cashbackasset", "ledger_entry", "ledger_lot", "ledger_movement", "ledger_posting", "ledger_payment"),
    "ledger_allocation",
)
# The oldest credits are claimed, then come expired and then available ones; the newest were claimed in a campaign.
ASSETS = """
INSERT INTO assets_cashbackasset
    (id, title, total_value, currency, status, pool_id, claimed_by_id, claimed_at, claim_slot, expires_at, generation,
    created_at)
SELECT uuidv7(make_interval(secs => s - {assets})),
    (ARRAY['Diwali cashback', 'Welcome bonus', 'Referral reward', 'Monsoon credit'])[1 + s % 4] || ' ' || s % 1000
        || CASE WHEN s % ({assets} / 10) = 7 THEN ' platinum' ELSE '' END,
    s % 900 + 1, 'INR', state, pool.id,
    CASE WHEN state = 'CLAIMED' THEN person.id END,
    CASE WHEN state = 'CLAIMED' THEN now() - make_interval(secs => {assets} - s) END,
    CASE WHEN state = 'CLAIMED' THEN row_number() OVER (PARTITION BY pool.id, person.id ORDER BY s) END,
    CASE WHEN state = 'EXPIRED' THEN now() - interval '1 day' WHEN s % 3 > 0 THEN now() + make_interval(days => 30 + s % 90)
    END,
    1, now() - make_interval(secs => {assets} - s + 1)
FROM (
    SELECT s, CASE WHEN s < {early} OR s >= {assets} - {late} THEN 'CLAIMED' WHEN s < {early} + {ended} THEN 'EXPIRED'
        ELSE 'AVAILABLE' END AS state FROM generate_series(0, {assets} - 1) AS s
) AS credit
JOIN bench_pool AS pool ON pool.n = s % {pools}
-- The claims of the heavy user are spread over all the time.
JOIN bench_person AS person ON person.n = CASE WHEN {heavy} > 0 AND s % greatest(1, {early} / greatest(1, {heavy})) = 0
    AND s < {early} THEN 0 ELSE 1 + s % ({people} - 1) END
"""
ENTRIES = """
INSERT INTO ledger_entry (id, kind, asset_id, user_id, amount, currency, claimed_at, request_key, actor_id, xid)
SELECT uuidv7(claimed_at - now()), 'CLAIM', id, claimed_by_id, total_value, currency, claimed_at, id::text, claimed_by_id,
    (1 + row_number() OVER (ORDER BY id) / 5000)::text::xid8
FROM assets_cashbackasset WHERE status = 'CLAIMED'
"""
# The oldest claims are spent, each by a payment of its whole credit a second later; those of the heavy user among them.
PAYMENTS = """
CREATE TEMP TABLE bench_payment AS
SELECT uuidv7(claimed_at - now() + interval '1 second') AS id, entry.id AS lot, user_id, currency, amount,
    claimed_at + interval '1 second' AS at, xid,
    row_number() OVER (PARTITION BY user_id ORDER BY claimed_at, entry.id) AS number
FROM (SELECT * FROM ledger_entry ORDER BY claimed_at, id LIMIT {payments}) AS entry;
INSERT INTO accounts_service (id, name, is_active, created_at) SELECT uuidv7(), 'Shop', true, now();
INSERT INTO ledger_movement (id, kind, user_id, currency, amount, at, number, xid, payment_id, service_id, reference, channel)
SELECT id, 'SPEND', user_id, currency, amount, at, number, xid, id, (SELECT id FROM accounts_service), id::text, 'bench'
FROM bench_payment ORDER BY bench_payment.id;
INSERT INTO ledger_posting (movement_id, position, lot_id, amount)
SELECT id, 1, lot, amount FROM bench_payment ORDER BY bench_payment.id;
INSERT INTO ledger_payment (id, user_id, currency, service_id, reference, amount, held, captured, released, refunded, began_at)
SELECT id, user_id, currency, (SELECT id FROM accounts_service), id::text, amount, 0, amount, 0, 0, at
FROM bench_payment ORDER BY bench_payment.id;
INSERT INTO ledger_allocation (payment_id, lot_id, position, amount, held, captured, released, refunded)
SELECT id, lot, 1, amount, 0, amount, 0, 0 FROM bench_payment ORDER BY bench_payment.id;
"""
LOTS = """
INSERT INTO ledger_lot (entry_id, user_id, currency, draw_priority, refund_grace_days, clawback_reach, opened_at,
    spendable_from, moved_at, total, available, spent)
SELECT entry.id, entry.user_id, entry.currency, 2, 14, 'CREDIT', claimed_at, claimed_at, coalesce(at, claimed_at), entry.amount,
    CASE WHEN payment.id IS NULL THEN entry.amount ELSE 0 END, CASE WHEN payment.id IS NULL THEN 0 ELSE entry.amount END
FROM ledger_entry AS entry LEFT JOIN bench_payment AS payment ON payment.lot = entry.id;
INSERT INTO ledger_lastingchange (user_id, currency, amount)
SELECT user_id, currency, -sum(amount) FROM bench_payment GROUP BY user_id, currency;
DROP TABLE bench_payment
"""


@dataclass(frozen=True)
class Tables:
    """The sizes: `assets`, of which `entries` are claimed by `people` users, `heavy` of them by one user.

    `payments` of the claims are spent. Without `lots` the claims are as before there were lots: payments wait for them.
    """

    assets: int
    entries: int
    people: int = 1_000
    heavy: int = 0
    payments: int = 0
    lots: bool = True

    def fill(self) -> None:
        """Insert the rows into this process's database, which must be fresh, and analyze the tables."""
        User.objects.bulk_create((User(email=f"person{n}@example.com") for n in range(self.people)), batch_size=5_000)
        late = self.entries // 10
        sizes = {"early": self.entries - late, "late": late, "ended": (self.assets - self.entries) // 3}
        values = {"assets": self.assets, "people": self.people, "heavy": self.heavy, "pools": POOLS, **sizes}
        for number in range(POOLS):
            edit_pool.open_pool(None, name=f"Campaign {number}", kind=PoolKind.PROMOTION, currency="INR")
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0; SET maintenance_work_mem = '512MB'; SET work_mem = '256MB'")
            cursor.execute(
                "CREATE TEMP TABLE bench_pool AS SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM assets_creditpool;"
                "CREATE TEMP TABLE bench_person AS SELECT id, row_number() OVER (ORDER BY email) - 1 AS n FROM accounts_user;"
                "ANALYZE bench_pool; ANALYZE bench_person"
            )
            with rules_lifted(cursor):
                cursor.execute(ASSETS.format(**values))
                cursor.execute(ENTRIES)
                self.fill_lots(cursor)
                cursor.execute(INITIALIZE_SUPPLY)
            cursor.execute("DROP TABLE bench_pool, bench_person")
            cursor.execute("VACUUM (ANALYZE)")
            cursor.execute("CHECKPOINT")
        connection.close()

    def fill_lots(self, cursor: Any) -> None:
        """Insert lots and payments, or begin to open lots as the upgrade does."""
        if self.lots:
            cursor.execute(PAYMENTS.format(payments=self.payments))
            cursor.execute(LOTS)
        else:
            cursor.execute("INSERT INTO ledger_lotbackfill (id, batch_size, opened) VALUES (1, 0, 0)")


# About a tenth of the claims are spent, so that the user with 100,000 claims has 10,000 payments.
LARGE = Tables(5_000_000, 2_000_000, people=20_000, heavy=100_000, payments=200_000)
QUICK_LARGE = Tables(200_000, 80_000, people=1_000, heavy=10_000, payments=8_000)
# The page of its user is full too: 300 claims, 30 payments.
SMALL = Tables(10_000, 4_000, people=1_000, heavy=300, payments=400)


@contextmanager
def rules_lifted(cursor: Any) -> Iterator[None]:
    """Disable triggers, foreign keys and the indexes without a constraint while rows are inserted; restore them afterwards."""
    cursor.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = ANY(%s::regclass[])"
        " AND indexrelid NOT IN (SELECT conindid FROM pg_constraint)",
        [list(TABLES)],
    )
    indexes = cursor.fetchall()
    cursor.execute(
        "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = ANY(%s::regclass[])",
        [list(TABLES)],
    )
    triggers = cursor.fetchall()
    cursor.execute("SET session_replication_role = replica")
    for table, name in triggers:
        cursor.execute(f'ALTER TABLE {table} DISABLE TRIGGER "{name}"')
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    for _, definition in indexes:
        cursor.execute(definition)
    for table, name in triggers:
        cursor.execute(f'ALTER TABLE {table} ENABLE ALWAYS TRIGGER "{name}"')
    cursor.execute("SET session_replication_role = origin")


def access_token(email: str, role: Role | None = None) -> str:
    """Return an access token of the user, after setting the role."""
    person = User.objects.get_by_natural_key(email)
    if role:
        person.role = role
        person.save(update_fields=["role"])
    return issue_pair(person).access


def session(email: str) -> str:
    """Return the key of a session in which the user is signed in to the pages."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore()
    login(request, User.objects.get_by_natural_key(email))
    request.session.save()
    return str(request.session.session_key)
