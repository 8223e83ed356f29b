"""Time and memory of the checker on a large ledger, beside their limits."""

from django.db import connection

from dev.bench.environment import BenchEnvironment
from dev.bench.issue import timed_command
from dev.bench.results import Figure
from dev.bench.tables import Tables
from wallet.actions import seal_ledger

LARGE = Tables(1_500_000, 1_000_000, people=20_000, heavy=10_000, payments=1_000_000)
QUICK = Tables(30_000, 20_000, people=1_000, payments=20_000)
MAX_SECONDS, MAX_MEMORY = 120.0, 250.0  # MB
MAX_ROUNDS = 2  # a round takes one to three minutes, and its limits have room
# The rows that actions would have written beside these: pools opened before the claims, the log of issues, the history of
# expired credits, and the responses of the last days.
HISTORY = """
ALTER TABLE assets_creditpoolevent DISABLE TRIGGER USER;
UPDATE assets_creditpoolevent SET pgh_created_at = now() - interval '1 year';
INSERT INTO assets_issuance (pool_id, currency, channel, count, value)
    SELECT pool_id, currency, 'bench', count(*), sum(total_value) FROM assets_cashbackasset GROUP BY pool_id, currency;
INSERT INTO assets_cashbackassetevent (pgh_created_at, pgh_label, pgh_obj_id, id, title, total_value, currency, status, pool_id,
    expires_at, generation, created_at)
    SELECT now(), 'update', id, id, title, total_value, currency, status, pool_id, expires_at, generation, created_at
    FROM assets_cashbackasset WHERE status = 'EXPIRED';
ALTER TABLE ledger_idempotencykey DISABLE TRIGGER USER;
INSERT INTO ledger_idempotencykey (user_id, route, key, fingerprint, status_code, body, entry_id)
    SELECT entry.user_id, 'claim', entry.request_key, 'f', 201, format(
        '{"id": "%s", "asset": "%s", "title": "%s", "amount": "%s", "currency": "%s", "claimed_at": "%s"}',
        entry.id, asset.id, asset.title, round(entry.amount, 2), entry.currency,
        to_char(entry.claimed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')), entry.id
    FROM ledger_entry AS entry JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id
    ORDER BY entry.claimed_at DESC LIMIT 100000;
SELECT public.harden_triggers();
VACUUM (ANALYZE)
"""


def bench_verify(environment: BenchEnvironment) -> list[Figure]:
    """Run `manage.py verify_ledger` on a sealed ledger; a violation is an error here too."""
    tables = QUICK if environment.quick else LARGE
    environment.report_progress(f"making {tables.entries:,} sealed entries")
    environment.fresh_database("verify")
    tables.fill()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for statement in HISTORY.split(";"):
            cursor.execute(statement)
    seal_ledger.seal_all()
    times, memory = [], []
    rounds = min(environment.rounds, MAX_ROUNDS)
    for number in range(rounds):
        environment.report_progress(f"round {number + 1} of {rounds}")
        seconds, most, _ = timed_command("verify_ledger")
        times.append((seconds, MAX_SECONDS))
        memory.append((most, MAX_MEMORY))
    what = (
        f"verify_ledger on {tables.entries:,} sealed entries, {tables.payments:,} movements and {tables.assets:,} credits,"
        f" beside {MAX_SECONDS:.0f} s"
    )
    return [
        Figure(what, 1.0, "less", times, "s"),
        Figure("memory of the command", 1.0, "less", memory, "MB", "maximum"),
    ]
