"""Checks of a database that was restored from a dump or a copy: what is missing before it may be used again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.db import connection, transaction

from cashback.checks import public_has_no_privileges, rules_are_enforced
from cashback.database import privileges
from cashback.http.health import missing_migrations
from wallet.verification.published_seals import describe_lost_seals

# The counter of transaction ids: its upper 32 bits, the epoch, are moved, and its lower 32 bits stay where they are.
EPOCH_BITS = 32
TRANSACTION_IDS = """
    SELECT pg_snapshot_xmax(pg_current_snapshot())::text, greatest(
        (SELECT xid FROM ledger_entry ORDER BY xid DESC LIMIT 1),
        (SELECT xid FROM ledger_movement ORDER BY xid DESC LIMIT 1),
        (SELECT to_xid FROM ledger_seal ORDER BY seq DESC LIMIT 1))::text
"""
DATA_DIRECTORY = "SELECT setting FROM pg_settings WHERE name = 'data_directory'"  # no row without the privilege to read it
NOT_ANALYZED = """
    SELECT count(*) FROM pg_stat_user_tables JOIN pg_class ON pg_class.oid = relid
    WHERE last_analyze IS NULL AND last_autoanalyze IS NULL AND reltuples <> 0
"""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Arguments:
        subject: what was checked.
        state: a sentence.
        remedy: what to do by hand; empty if nothing is missing, or if `repair` does it.
        repair: puts it right over this connection.
    """

    subject: str
    state: str
    remedy: str = ""
    repair: Callable[[], object] | None = None

    @property
    def is_right(self) -> bool:
        """Whether nothing is missing."""
        return not self.remedy and self.repair is None


def check_restored(role: str, roots: Path | None) -> Iterator[Finding]:
    """Yield the findings in the order in which they should be put right.

    Arguments:
        role: the application's role.
        roots: a file of seals kept outside the database, to compare with.
    """
    yield check_migrations()
    yield check_transaction_ids()
    yield check_rules(role)
    yield check_privileges(role)
    yield check_statistics()
    if roots:
        yield check_seals(roots)


def check_migrations() -> Finding:
    """Check that the tables are those of this code."""
    count = len(missing_migrations())
    if not count:
        return Finding("migrations", "all are applied")
    return Finding("migrations", f"{count} missing", "Run `manage.py migrate` as the owner of the tables.")


def check_transaction_ids() -> Finding:
    """Check that PostgreSQL's next transaction id is above every id in the ledger, without which nothing new is sealed."""
    with connection.cursor() as cursor:
        cursor.execute(TRANSACTION_IDS)
        following, largest = (int(number or 0) for number in cursor.fetchone())
        cursor.execute(DATA_DIRECTORY)
        (folder,) = cursor.fetchone() or ("DATA_DIRECTORY",)
    if following > largest:
        return Finding("transaction ids", f"the next is {following}, above those of the ledger (up to {largest})")
    epoch = (largest >> EPOCH_BITS) + 1
    return Finding(
        "transaction ids",
        f"the next is {following}, but the ledger holds ids up to {largest}: new entries would not be sealed",
        f"Stop PostgreSQL, run `pg_resetwal --epoch={epoch} --pgdata={folder}` as its user, and start it again. Make its "
        "standbys anew.",
    )


def check_rules(role: str) -> Finding:
    """Check that every trigger fires always and cannot be switched off by a session."""
    weakened = rules_are_enforced(["default"])
    if not weakened:
        return Finding("rules", "PostgreSQL enforces all")
    state = f"{len(weakened)} not enforced: {weakened[0].msg}"
    return Finding("rules", state, repair=lambda: privileges.set_privileges(role))


def check_privileges(role: str) -> Finding:
    """Check that the application's role has its privileges and no others, and that PUBLIC has none."""
    wrong = [*(message.msg for message in public_has_no_privileges(["default"])), *privileges.wrong_privileges(role)]
    if not wrong:
        return Finding("privileges", f"{role} has what it needs and no more")
    return Finding("privileges", " ".join(wrong), repair=lambda: privileges.set_privileges(role))


def check_statistics() -> Finding:
    """Check that the planner knows the tables: neither a dump nor a copy of the files brings all statistics along."""
    with connection.cursor() as cursor:
        cursor.execute(NOT_ANALYZED)
        (count,) = cursor.fetchone()
    if not count:
        return Finding("statistics", "all tables are analyzed")
    return Finding("statistics", f"{count} tables were not analyzed since the restore", repair=analyze_tables)


def analyze_tables() -> None:
    """Run ANALYZE without a time limit."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        cursor.execute("ANALYZE")


def check_seals(roots: Path) -> Finding:
    """Check that every published seal is still there."""
    lost = describe_lost_seals(roots)
    if not lost:
        return Finding("seals", f"all of {roots} are there")
    return Finding(
        "seals", lost, "What they sealed is not in this database: restore a later state, or tell the users whom it concerns."
    )
