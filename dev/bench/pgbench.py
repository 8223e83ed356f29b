"""The yardstick of claims: their statements alone, sent by pgbench, PostgreSQL's own load generator."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from django.db import connection

from dev.bench.environment import RoundDisturbed
from dev.services import binaries
from wallet.assets.models import CreditPool

# The user and asset of each transaction, by a number that its client counts up.
TODO = """
CREATE TABLE bench_todo AS
SELECT asset.n AS n, asset.id AS asset, person.id AS taker
FROM (SELECT row_number() OVER (ORDER BY id) - 1 AS n, id FROM assets_cashbackasset WHERE pool_id = %s AND status = 'AVAILABLE')
    AS asset
JOIN (SELECT row_number() OVER (ORDER BY id) - 1 AS n, id, count(*) OVER () AS people FROM accounts_user) AS person
    ON person.n = asset.n %% person.people
"""
INDEX = "ALTER TABLE bench_todo ADD PRIMARY KEY (n)"
COUNTED = """\
\\set i :i + 1
\\set n :client_id * :step + :i
BEGIN;
"""
MARK_CLAIMED = """\
UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = :taker::uuid WHERE id = :asset::uuid
    RETURNING claimed_at AS claimed_at \\gset
"""
CLAIM = f"""\
{COUNTED}
SELECT asset.id AS asset, todo.taker AS taker, asset.title AS title, asset.status AS status
    FROM bench_todo AS todo JOIN assets_cashbackasset AS asset ON asset.id = todo.asset
    WHERE todo.n = :n FOR NO KEY UPDATE OF asset \\gset
{MARK_CLAIMED}
INSERT INTO ledger_entry (id, kind, asset_id, user_id, amount, currency, claimed_at, actor_id)
    VALUES (uuidv7(), 'CLAIM', :asset::uuid, :taker::uuid, 25.50, 'INR', :claimed_at::timestamptz, :taker::uuid);
COMMIT;
"""  # noqa: S608  (made of the constants above)
CLAIM_ANY = f"""\
{COUNTED}
SELECT taker AS taker FROM bench_todo WHERE n = :n \\gset
INSERT INTO ledger_idempotencykey (user_id, route, key, fingerprint)
    VALUES (:taker::uuid, 'claim', 'pgbench-' || :n || :pool, 'f') ON CONFLICT DO NOTHING;
SELECT is_active FROM assets_creditpool WHERE id = :pool::uuid;
SELECT id AS asset, title AS title FROM assets_cashbackasset
    WHERE pool_id = :pool::uuid AND status = 'AVAILABLE' AND (expires_at IS NULL OR expires_at > statement_timestamp())
    ORDER BY expires_at ASC NULLS LAST, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED \\gset
{MARK_CLAIMED}
INSERT INTO ledger_entry (id, kind, asset_id, user_id, amount, currency, claimed_at, request_key, actor_id)
    VALUES (uuidv7(), 'CLAIM', :asset::uuid, :taker::uuid, 25.50, 'INR', :claimed_at::timestamptz, 'pgbench-' || :n || :pool,
        :taker::uuid);
UPDATE ledger_idempotencykey SET status_code = 201, body = '{{}}', entry_id = (
        SELECT id FROM ledger_entry WHERE asset_id = :asset::uuid
    ) WHERE user_id = :taker::uuid AND route = 'claim' AND key = 'pgbench-' || :n || :pool;
COMMIT;
"""  # noqa: S608  (made of the constants above)

# Parts of pgbench's errors that say that the machine was too busy.
DISTURBED = ("canceling statement", "terminating connection", "server closed the connection", "Connection refused", "timeout")


def claims_a_second(script: str, pool: CreditPool, count: int, clients: int) -> float:
    """Claim `count` credits of the pool with that many clients and prepared statements; return the claims a second.

    Raises RoundDisturbed, RuntimeError.
    """
    write_todo(pool)
    each = count // clients
    return transactions_a_second(script, each, clients, step=each, pool=pool.pk)


def transactions_a_second(script: str, each: int, clients: int, **variables: object) -> float:
    """Run a script `each` times per client with prepared statements; return the transactions a second.

    `i` begins at -1, so that a script can count its transactions from 0. Raises RoundDisturbed when PostgreSQL cancelled a
    statement or closed a connection, RuntimeError for another failure.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "script.sql"
        file.write_text(script)
        settings = connection.settings_dict
        options = ["-n", "-M", "prepared", "-c", clients, "-j", 2, "-t", each, "-f", file]
        values = [part for name, value in ({"i": -1} | variables).items() for part in ("-D", f"{name}={value}")]
        where = ["-h", settings["HOST"], "-p", settings["PORT"] or 5432, "-U", settings["USER"], settings["NAME"]]
        command = [str(part) for part in (binaries.postgres_wheel() / "bin/pgbench", *options, *values, *where)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env={"PATH": os.defpath})
    rate = re.search(r"tps = ([\d.]+)", done.stdout)
    if done.returncode or rate is None or "failed transactions: 0 " not in done.stdout:
        kind = RoundDisturbed if any(sign in done.stderr for sign in DISTURBED) else RuntimeError
        raise kind(f"pgbench: {done.stderr.strip()[-300:]} {done.stdout[-300:]}")
    return float(rate[1])


def delete_keys() -> None:
    """Delete the idempotency keys of pgbench, whose stored responses are empty."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM ledger_idempotencykey WHERE key LIKE 'pgbench-%'")


def write_todo(pool: CreditPool) -> None:
    """Fill the table of work for the transactions."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_todo")
        cursor.execute(TODO, [pool.pk])
        cursor.execute(INDEX)
    connection.close()
