"""Attacks with the application's role on every rule of the database, while clients claim."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg

from dev.chaos.experiment import APP_ROLE, Experiment, Outcome, RunningLoad, under_load
from dev.chaos.session_faults import connection_parameters
from kernel.sql import RETIRED_SEALERS_LOCK
from wallet.ledger.models import Seal
from wallet.verification.checker import Violation

ATTACKS_EVERY_SECONDS = 0.05
NO_RIGHT = "42501"
SWITCH = (
    "SELECT set_config('pgtrigger.ignore', array_agg(tgname)::text, false) FROM pg_trigger WHERE NOT tgisinternal",
    f"SELECT pg_advisory_lock({RETIRED_SEALERS_LOCK})",
)
ENDED_CREDIT = """
    INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, generation, created_at, expires_at)
    VALUES (gen_random_uuid(), 'Ended', 1, 'USD', 'AVAILABLE', 1, now(), now() - interval '1 day')
"""
ENTRY = "INSERT INTO public.ledger_entry (id, kind, asset_id, user_id, amount, currency, claimed_at, actor_id)"
CLOSED = "pg_snapshot_xmin(pg_current_snapshot())"
BILLION = f"""
    {ENTRY} SELECT gen_random_uuid(), 'CLAIM', id, %(user)s::uuid, 1000000000, currency, now(), %(user)s::uuid
    FROM public.assets_cashbackasset WHERE status = 'AVAILABLE' AND currency <> 'USD' LIMIT 1
"""  # noqa: S608  (our own columns)


def next_seal(**forged: str) -> str:
    """Return SQL for a seal after the last that covers what is closed, with some columns forged.

    It inserts nothing while no transaction has ended since the last seal, unless `to_xid` is forged: such a range is refused
    before the shape of the seal is checked.
    """
    copied = {name: name for name in ("root", "count", "sums", "sealed_at", "public_key", "signature", "leaves")}
    columns = {"seq": "seq + 1", "previous_root": "root", "from_xid": "to_xid", "to_xid": CLOSED} | copied | forged
    return (
        f"INSERT INTO ledger_seal ({', '.join(columns)}) SELECT {', '.join(columns.values())}"  # noqa: S608  (our own columns)
        " FROM (SELECT * FROM ledger_seal ORDER BY seq DESC LIMIT 1) AS last"
        + ("" if "to_xid" in forged else f" WHERE to_xid < {CLOSED}")
    )


# The attacks, each in its own transaction: the rule that must refuse it, and its statements.
ATTACKS: dict[str, tuple[str, ...]] = {
    "a claim of a billion": (
        "entry_equals_asset",
        BILLION,
    ),
    "a claim of a billion beside a temporary table of credits": (
        "entry_equals_asset",
        "CREATE TEMP TABLE assets_cashbackasset ON COMMIT DROP AS SELECT id, %(user)s::uuid AS claimed_by_id,"
        " now() AS claimed_at, 1000000000 AS total_value, currency FROM public.assets_cashbackasset"
        " WHERE status = 'AVAILABLE' AND currency <> 'USD' LIMIT 1",
        f"{ENTRY} SELECT gen_random_uuid(), 'CLAIM', id, claimed_by_id, total_value, currency, claimed_at, claimed_by_id"  # noqa: S608
        " FROM pg_temp.assets_cashbackasset",
    ),
    "another owner for a claimed credit": (
        "asset_final",
        "UPDATE assets_cashbackasset SET claimed_by_id = %(user)s"
        " WHERE id = (SELECT asset_id FROM ledger_entry ORDER BY xid DESC LIMIT 1)",
    ),
    "a back-dated claim after expiry": (
        "asset_claimed_before_expiry",
        "UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %(user)s,"
        " claimed_at = expires_at - interval '1 ms' WHERE currency = 'USD' AND title = 'Ended'",
    ),
    "a seal that ends sealing": (
        "seal_closed",
        next_seal(to_xid="'4611686018427387904'"),
    ),
    "a malformed seal": (
        "seal_sums_stated",
        next_seal(sums="'x'"),
    ),
    "a forged issue": (
        NO_RIGHT,
        "INSERT INTO assets_issuance (currency, channel, count, value)"
        " SELECT currency, channel, count, value FROM assets_issuance",
    ),
    "a forged change": (
        NO_RIGHT,
        "INSERT INTO assets_cashbackassetevent SELECT * FROM assets_cashbackassetevent",
    ),
    "a raised balance": (
        NO_RIGHT,
        "UPDATE ledger_sealedbalance SET amount = amount + 1",
    ),
    "a raised change of a wallet": (
        NO_RIGHT,
        "INSERT INTO ledger_lastingchange SELECT user_id, currency, 1 FROM ledger_sealedbalance",
    ),
    "an entry less": (
        NO_RIGHT,
        "DELETE FROM ledger_entry",
    ),
}
# Refused as well when another session claimed or sealed first.
SLOWER = ("entry_one_claim_per_asset", "seal_follows", "seal_no_fork", "ledger_seal_pkey")
NOT_NOW = psycopg.OperationalError  # a row or a seal locked by another session


def try_to_switch_off(experiment: Experiment) -> Outcome:
    """T28: a session of the application's role tries all attacks repeatedly; each is refused, and sealing continues."""
    failures: Counter[str] = Counter()
    outcome = under_load(experiment, partial(attack_repeatedly, failures))
    outcome.violations.extend(Violation("switch", f"{what}, {count} times") for what, count in failures.items())
    return outcome.with_note(f"{outcome.count} attacks refused, {failures.total()} not")


def attack_repeatedly(failures: Counter[str], load: RunningLoad) -> int:
    """Try every attack at each step; record those that are not refused as required, and return how many were tried."""
    refused, seals = 0, Seal.objects.count()
    with psycopg.connect(**connection_parameters()) as owner:
        owner.execute(ENDED_CREDIT)
    with attacker_session() as session:
        for _ in load.ticks(ATTACKS_EVERY_SECONDS):
            for what, (rule, *statements) in ATTACKS.items():
                verdict = try_attack(session, statements, {"user": load.fixture.participants[0].id})
                refused += verdict in (rule, *SLOWER)
                failures.update([f"{what}: {verdict}"] if verdict not in (None, rule, *SLOWER) else [])
        failures.update(["nothing was sealed"] if Seal.objects.count() == seals else [])
    return refused


@contextmanager
def attacker_session() -> Iterator[psycopg.Connection[Any]]:
    """Connect as the application's role, set every trigger to be ignored, and hold an advisory lock of the sealers."""
    with psycopg.connect(**connection_parameters() | {"user": APP_ROLE}, autocommit=True) as session:
        for statement in SWITCH:
            session.execute(statement)
        yield session


def try_attack(session: psycopg.Connection[Any], statements: Sequence[str], values: dict[str, Any]) -> str | None:
    """Return the result of an attack: the rule that refused it, or "accepted".

    None when there was nothing to attack yet, or another session held a lock.
    """
    try:
        with session.transaction():
            for statement in statements:
                done = session.execute(statement, values)
    except NOT_NOW:
        return None
    except psycopg.Error as error:
        return error.diag.constraint_name or str(error.sqlstate)
    return "accepted" if done.rowcount > 0 else None
