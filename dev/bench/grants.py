"""Grants to many users from a file by command, beside single claims by pgbench."""

from decimal import Decimal
from pathlib import Path

from django.db import connection, transaction

from accounts.models import User
from dev.bench import pgbench
from dev.bench.campaign import CONNECTIONS
from dev.bench.environment import BenchEnvironment
from dev.bench.issue import MAX_MEMORY, timed_command
from dev.bench.results import Figure
from wallet.actions import edit_pool, issue_assets, seal_ledger
from wallet.assets.models import CreditPool, PoolKind
from wallet.ledger.models import Grant
from wallet.verification.checker import snapshot_connection, verify_everything

GRANTS, QUICK_GRANTS = 1_000_000, 100_000
CLAIMS, QUICK_CLAIMS = 32_000, 6_400  # by pgbench
USERS, QUICK_USERS = 100_000, 10_000
TIMES_PGBENCH = 3.0
VALUE = Decimal("25.50")


def bench_grants(environment: BenchEnvironment) -> list[Figure]:
    """Grant the credits of a pool by `manage.py grant --file`; the yardstick claims credits by id, one a transaction."""
    size, claims = environment.size(GRANTS, QUICK_GRANTS), environment.size(CLAIMS, QUICK_CLAIMS)
    environment.fresh_database("grants")
    create_people(environment.size(USERS, QUICK_USERS))
    memory: list[float] = []

    def command() -> float:
        pool = fill_pool(f"Grants {len(memory)}", size)
        file = write_file(environment, size, len(memory))
        seconds, most, _lines = timed_command("grant", "--file", str(file), "--pool", pool.name, "--reason", "bench")
        memory.append(most)
        if Grant.objects.filter(entry__asset__pool=pool).count() != size:
            raise RuntimeError("the command did not grant every line")
        connection.close()
        return size / seconds

    def single_claims() -> float:
        pool = fill_pool(f"Claims {CreditPool.objects.count()}", claims)
        return pgbench.claims_a_second(pgbench.CLAIM, pool, claims - claims % CONNECTIONS, CONNECTIONS)

    rates = environment.alternate(command, single_claims)
    require_no_violation()
    return [
        Figure(f"{size:,} grants from a file, beside claims by pgbench", TIMES_PGBENCH, "more", rates, "grants/s"),
        Figure("memory of the command", 1.0, "less", [(most, MAX_MEMORY) for most in memory], "MB", "maximum"),
    ]


def create_people(count: int) -> None:
    """Create the users who are granted credits, and claim."""
    User.objects.bulk_create((User(email=f"person{n}@example.com") for n in range(count)), batch_size=5_000)


def fill_pool(name: str, size: int) -> CreditPool:
    """Open a pool with that many credits, and analyze the tables as autovacuum would."""
    pool = edit_pool.open_pool(None, name=name, kind=PoolKind.PROMOTION, currency="INR")
    for start in range(0, size, issue_assets.MAX_ISSUE_COUNT):
        count = min(issue_assets.MAX_ISSUE_COUNT, size - start)
        with transaction.atomic():
            issue_assets.issue_many(None, pool, count=count, title="A gift", total_value=VALUE)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("VACUUM (ANALYZE) assets_cashbackasset, ledger_entry, ledger_lot, ledger_grant, accounts_user")
    connection.close()
    return pool


def write_file(environment: BenchEnvironment, size: int, number: int) -> Path:
    """Write a file of grants whose users take turns."""
    file = environment.servers.instance.base / "people.csv"
    people = environment.size(USERS, QUICK_USERS)
    with file.open("w") as out:
        out.write("user,reference\n")
        out.writelines(f"person{line % people}@example.com,bench-{number}-{line}\n" for line in range(size))
    return file


def require_no_violation() -> None:
    """Run the checker over all grants and claims; raise RuntimeError when it finds a violation."""
    seal_ledger.seal_all()
    with snapshot_connection() as reader:
        found = verify_everything(reader)
    if found:
        raise RuntimeError(f"the checker found violations: {found[:3]}")
