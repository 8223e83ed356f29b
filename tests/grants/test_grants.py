"""The application's role: exactly what it needs, and never the power to rewrite history."""

from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from accounts.models import User
from cashback import grants
from wallet import claims
from wallet.assets.models import CashbackAsset

ALL = {"SELECT", "INSERT", "UPDATE", "DELETE"}
GOLDEN = {
    "accounts_tokenfamily": ALL,
    "accounts_user": ALL,
    "assets_cashbackasset": ALL,
    "assets_cashbackassetevent": {"SELECT", "INSERT"},
    "assets_creditpool": ALL,
    "assets_creditpoolevent": {"SELECT", "INSERT"},
    "assets_issuance": {"SELECT", "INSERT"},
    "auth_group": ALL,
    "auth_group_permissions": ALL,
    "auth_permission": ALL,
    "django_admin_log": ALL,
    "django_content_type": ALL,
    "django_migrations": {"SELECT"},
    "django_q_ormq": ALL,
    "django_q_schedule": ALL,
    "django_q_task": ALL,
    "django_session": ALL,
    "ledger_entry": {"SELECT", "INSERT"},
    "ledger_idempotencykey": ALL,
    "ledger_seal": {"SELECT", "INSERT"},
    "ledger_subtotal": {"SELECT"},
    "pghistory_context": {"SELECT", "INSERT", "UPDATE"},
}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _granted(transactional_db: None) -> None:
    call_command("grant_app_role", stdout=StringIO())


@pytest.fixture
def app() -> Iterator[psycopg.Connection[Any]]:
    """Connected as the application is."""
    settings = connection.get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):
        settings.pop(name, None)
    with psycopg.connect(**settings | {"user": grants.APP_ROLE}) as session:
        yield session
        session.rollback()


def test_the_role_has_the_golden_privileges_and_no_other() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, array_agg(privilege_type::text) FROM information_schema.role_table_grants"
            " WHERE grantee = %s GROUP BY table_name",
            [grants.APP_ROLE],
        )
        held = {table: set(privileges) for table, privileges in cursor.fetchall()}

    assert held == GOLDEN


def test_the_role_owns_nothing_and_is_no_superuser(app: psycopg.Connection[Any]) -> None:
    powers = "rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
    assert app.execute(f"SELECT {powers} FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
    assert app.execute("SELECT count(*) FROM pg_class WHERE relowner = current_user::regrole").fetchone() == (0,)


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE ledger_entry SET amount = 1",
        "DELETE FROM ledger_entry",
        "TRUNCATE ledger_entry",
        "UPDATE ledger_seal SET count = 1",
        "DELETE FROM ledger_seal",
        "DELETE FROM assets_issuance",
        "DELETE FROM assets_cashbackassetevent",
        "UPDATE assets_creditpoolevent SET name = 'x'",
        "DELETE FROM pghistory_context",
        "TRUNCATE assets_cashbackasset CASCADE",
        "ALTER TABLE ledger_entry DISABLE TRIGGER USER",
        "ALTER TABLE ledger_entry DROP CONSTRAINT entry_amount_range",
        "DROP TABLE ledger_entry",
        "DROP FUNCTION pg_current_xact_id",
        "SET session_replication_role = replica",
        "SET ROLE cashback",
        "SET SESSION AUTHORIZATION cashback",
        "CREATE TABLE public.mine (id int)",
        "UPDATE django_migrations SET name = 'x'",
    ],
)
def test_the_role_cannot_rewrite_history_or_lift_a_rule(app: psycopg.Connection[Any], attack: str) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.DependentObjectsStillExist)):
        app.execute(attack)


def test_the_role_can_claim(
    issue: Callable[..., CashbackAsset], alice: User, app: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = issue()
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "USER", grants.APP_ROLE)

    claim = claims.claim(asset.pk, alice)

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == (grants.APP_ROLE,)
    connection.close()
    assert claim.status_code == 201


def test_the_role_does_not_wait_for_ever(app: psycopg.Connection[Any]) -> None:
    limits = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    with psycopg.connect(**app.info.get_parameters() | {"options": ""}) as plain:
        assert [plain.execute(f"SHOW {limit}").fetchone() for limit in limits] == [("2s",), ("5s",), ("5s",)]


def test_a_dry_run_prints_the_sql_and_changes_nothing() -> None:
    out = StringIO()

    call_command("grant_app_role", "--role", "somebody_new", "--dry-run", stdout=out)

    assert out.getvalue().startswith('CREATE ROLE "somebody_new" LOGIN NOSUPERUSER')
    assert 'GRANT SELECT, INSERT ON "ledger_entry" TO "somebody_new";' in out.getvalue()
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = 'somebody_new'")
        assert cursor.fetchone() is None
