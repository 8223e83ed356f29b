"""Attacks on the ledger in SQL by each role: the application's, the owner of its tables, a superuser."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction
from psycopg.errors import InsufficientPrivilege

from accounts.models import User
from cashback.database.roles import APP_ROLE
from tests.ledger.roles import GIVE_BACK, OWNER, ROLES, become, sql, trigger
from wallet.actions import seal_ledger
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry, Seal
from wallet.ledger.triggers import ENABLE_ALWAYS
from wallet.verification.seals import seal_violations

REFUSALS = (InsufficientPrivilege, psycopg.IntegrityError)
LOGIN = ("host", "port", "dbname", "password")
COLUMNS = "id, kind, asset_id, user_id, amount, currency, claimed_at, actor_id"


def kept() -> list[Any]:
    return [list(table.objects.order_by("pk").values()) for table in (Entry, Seal, CashbackAsset)]


@pytest.fixture
def entry(issue: Callable[..., CashbackAsset], alice: User) -> Entry:
    claim_asset(issue().pk, alice)
    sql("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
    return Entry.objects.get()


def refused(
    role: str, attack: Callable[[], None], *before: str, by: Any = (InsufficientPrivilege, psycopg.IntegrityError)
) -> None:
    """Assert that the attack does not commit and leaves no trace, whoever tries it: refused, not misspelled."""
    rows = kept()
    with pytest.raises(DatabaseError) as refusal, transaction.atomic():
        become(role)
        for statement in before:
            sql(statement)
        attack()
        sql("SET CONSTRAINTS ALL IMMEDIATE")
    assert isinstance(refusal.value.__cause__, by)
    assert kept() == rows


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE ledger_entry SET amount = amount + 1",
        "UPDATE ledger_entry SET amount = amount",
        "UPDATE ONLY ledger_entry SET user_id = actor_id, request_key = 'x'",
        "DELETE FROM ledger_entry",
        "WITH gone AS (DELETE FROM ledger_entry RETURNING *) SELECT * FROM gone",
        "TRUNCATE ledger_entry CASCADE",
        "TRUNCATE assets_cashbackasset CASCADE",
        "TRUNCATE accounts_user CASCADE",
        "DELETE FROM assets_cashbackasset",
        "DELETE FROM accounts_user",
        "UPDATE assets_cashbackasset SET total_value = 1",
        "UPDATE assets_cashbackasset SET id = gen_random_uuid()",
        "UPDATE accounts_user SET id = gen_random_uuid()",
        "INSERT INTO ledger_entry SELECT * FROM ledger_entry ON CONFLICT (id) DO UPDATE SET amount = 1",
        "INSERT INTO ledger_entry SELECT * FROM ledger_entry",
        "MERGE INTO ledger_entry e USING ledger_entry f ON e.id = f.id WHEN MATCHED THEN DELETE",
        "MERGE INTO ledger_entry e USING ledger_entry f ON e.id = f.id WHEN MATCHED THEN UPDATE SET amount = 1",
    ],
)
def test_ledger_cannot_be_rewritten(entry: Entry, attack: str, role: str) -> None:
    refused(role, lambda: sql(attack))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("as_replica", [False, True])
@pytest.mark.parametrize("of_another", [False, True])
def test_copy_cannot_insert_a_forged_claim(
    *, entry: Entry, issue: Callable[..., CashbackAsset], bob: User, role: str, as_replica: bool, of_another: bool
) -> None:
    asset = issue().pk if of_another else entry.asset_id
    forged = (uuid4(), "CLAIM", asset, bob.pk, entry.amount, entry.currency, entry.claimed_at, bob.pk)
    sql("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")

    def copy() -> None:
        with connection.cursor() as cursor, connection.wrap_database_errors:
            with cursor.copy(f"COPY ledger_entry ({COLUMNS}) FROM STDIN") as rows:
                rows.write_row(forged)

    refused(role, copy, *(["SET LOCAL session_replication_role = replica"] if as_replica else []))


@pytest.mark.parametrize("role", [APP_ROLE, OWNER])
@pytest.mark.parametrize(
    "lift",
    [
        "SET LOCAL session_replication_role = replica",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "COPY ledger_entry TO PROGRAM 'cat > /tmp/x'",
        "COPY ledger_entry FROM '/etc/passwd'",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
def test_only_a_superuser_can_disable_rules_or_leave_the_database(entry: Entry, role: str, lift: str) -> None:
    refused(role, lambda: sql(lift), by=InsufficientPrivilege)


@pytest.mark.parametrize("role", [APP_ROLE, OWNER])
def test_only_a_superuser_can_set_rule_disabling_settings(db: None, role: str) -> None:
    become(role)

    with connection.cursor() as cursor:
        cursor.execute("SELECT has_parameter_privilege('session_replication_role', 'SET, ALTER SYSTEM')")
        assert cursor.fetchone() == (False,)


def test_the_application_does_not_change_the_server(db: None) -> None:
    """By a session of its own: within a transaction, ALTER SYSTEM is refused to anybody."""
    settings = {name: value for name, value in connection.get_connection_params().items() if name in LOGIN}
    with psycopg.connect(**settings | {"user": APP_ROLE}, autocommit=True) as app, pytest.raises(InsufficientPrivilege):
        app.execute("ALTER SYSTEM SET session_replication_role = replica")


@pytest.mark.parametrize(
    "attack",
    [
        "ALTER TABLE ledger_entry DISABLE TRIGGER ALL",
        "ALTER TABLE ledger_entry ENABLE REPLICA TRIGGER {rule}",
        "DROP TRIGGER {rule} ON ledger_entry",
        "ALTER TRIGGER {rule} ON ledger_entry RENAME TO mine",
        "DROP FUNCTION public.{rule}() CASCADE",
        "CREATE OR REPLACE FUNCTION public.{rule}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE RULE quiet AS ON INSERT TO ledger_entry DO INSTEAD NOTHING",
        "CREATE TRIGGER mine BEFORE INSERT ON ledger_entry FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "ALTER TABLE ledger_entry RENAME TO entries",
        "ALTER TABLE ledger_entry ALTER COLUMN amount TYPE integer",
        "CREATE TABLE shadow () INHERITS (ledger_entry)",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TEMP TABLE ledger_entry AS TABLE ledger_entry; UPDATE public.ledger_entry SET amount = 1",
        "GRANT UPDATE ON ledger_entry TO CURRENT_USER; UPDATE ledger_entry SET amount = 1",
        "COMMENT ON TABLE ledger_entry IS 'x'",
    ],
)
def test_application_role_cannot_change_rules(entry: Entry, attack: str) -> None:
    refused(APP_ROLE, lambda: sql(attack.format(rule=trigger("entry_append_only_rows"))), by=InsufficientPrivilege)


# --- What an owner can do is found -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", [OWNER, "superuser"])
@pytest.mark.parametrize(
    ("attack", "found"),
    [
        ("UPDATE ledger_entry SET amount = amount + 0.01 WHERE id = '{}'", "entry {} was changed after seal 1 was made"),
        ("UPDATE ledger_entry SET request_key = 'x' WHERE id = '{}'", "entry {} was changed after seal 1 was made"),
        ("DELETE FROM ledger_entry WHERE id = '{}'", "entry {} was deleted after seal 1 was made"),
    ],
)
def test_disabled_triggers_are_reported(
    issue: Callable[..., CashbackAsset], alice: User, role: str, attack: str, found: str
) -> None:
    entries = [claim_asset(issue().pk, alice).receipt["id"] for _ in range(3)]
    seal_ledger.seal_all()

    with transaction.atomic():
        become(role)
        sql("ALTER TABLE ledger_entry DISABLE TRIGGER USER")
        sql(attack.format(entries[1]))
        sql("SET CONSTRAINTS ALL IMMEDIATE")
        sql(ENABLE_ALWAYS)
        sql("RESET ROLE")
        if role == OWNER:
            sql(GIVE_BACK)

    assert list(seal_violations()) == [found.format(entries[1])]
