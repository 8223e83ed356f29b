"""The application's role has exactly the privileges that it needs, and cannot rewrite the ledger."""

from collections import Counter
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from accounts.models import User
from cashback.database import roles
from wallet.actions import seal_ledger
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry

ALL = {"SELECT", "INSERT", "UPDATE", "DELETE"}
READ_AND_APPEND = {"SELECT", "INSERT"}
GOLDEN = {
    "accounts_browsersession": ALL,
    "accounts_service": ALL,
    "accounts_servicekey": ALL,
    "accounts_tokenfamily": ALL,
    "accounts_user": ALL,
    "assets_cashbackasset": ALL,
    "assets_batch": {"SELECT"},
    "assets_batchsupply": {"SELECT"},
    "assets_bulkjob": ALL,
    "assets_cashbackassetevent": {"SELECT"},
    "assets_creditpool": ALL,
    "assets_creditpoolevent": {"SELECT"},
    "assets_issuance": {"SELECT"},
    "assets_supplydelta": {"SELECT"},
    "auth_group": ALL,
    "auth_group_permissions": ALL,
    "auth_permission": ALL,
    "delivery_tick": READ_AND_APPEND,
    "delivery_webhookattempt": ALL,
    "delivery_webhookendpoint": ALL,
    "django_admin_log": ALL,
    "django_content_type": ALL,
    "django_migrations": {"SELECT"},
    "django_q_ormq": ALL,
    "django_q_schedule": ALL,
    "django_q_task": ALL,
    "django_session": ALL,
    "ledger_allocation": {"SELECT"},
    "ledger_doubleentry": {"SELECT"},
    "ledger_entry": {"SELECT"},
    "ledger_grant": READ_AND_APPEND,
    "ledger_idempotencykey": ALL,
    **{f"ledger_idempotencykey_{number}": {"TRUNCATE"} for number in range(3)},
    "ledger_lot": {"SELECT"},
    "ledger_lotbackfill": {"SELECT"},
    "ledger_movement": {"SELECT"},
    "ledger_payment": {"SELECT"},
    "ledger_posting": READ_AND_APPEND,
    "ledger_proposal": READ_AND_APPEND,  # and to decide: some columns
    "ledger_seal": READ_AND_APPEND,
    "ledger_sealedbalance": {"SELECT"},
    "ledger_lastingchange": {"SELECT"},
    "notices_notice": READ_AND_APPEND,
    "notices_noticecursor": ALL,
    "notices_noticeoptout": ALL,
    "otp_static_staticdevice": ALL,
    "otp_static_statictoken": ALL,
    "otp_totp_totpdevice": ALL,
    "pghistory_context": {"SELECT"},
    "programme_grantdue": {"SELECT"},
    "programme_grantrule": READ_AND_APPEND,
    "programme_referral": {"SELECT"},
    "programme_refundcursor": ALL,
    "programme_referralcode": READ_AND_APPEND,
    "programme_reportedevent": READ_AND_APPEND,
}
# Beyond what is held on the whole table. An entry's `xid` is not here: only PostgreSQL sets it.
GOLDEN_COLUMNS = {
    ("ledger_entry", "INSERT"): {
        *("id", "kind", "asset_id", "user_id", "amount", "currency", "claimed_at", "request_key", "actor_id"),
        *("spendable_from", "spendable_until"),
    },
    # A movement's number, time and `xid` are not here either.
    ("ledger_movement", "INSERT"): {
        *("id", "kind", "user_id", "currency", "amount", "payment_id", "claim_id", "service_id", "reference", "order_total"),
        *("held_until", "shortfall", "reason", "note_digest", "request_key", "fingerprint", "actor_id", "channel"),
    },
    ("ledger_lotbackfill", "UPDATE"): {"batch_size"},
    ("programme_grantdue", "UPDATE"): {"attempts", "refusal", "next_try_at"},
    ("programme_grantrule", "UPDATE"): {"name", "per_person_cap", "is_active"},
    ("programme_referral", "UPDATE"): {"is_approved", "decided_by_id"},
    ("ledger_proposal", "UPDATE"): {"decided_by_id", "approved", "decision_reason", "result"},
    ("notices_notice", "UPDATE"): {
        *("state", "skip_reason", "attempts", "next_attempt_at", "handed_over_at", "sent_at"),
    },
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
    with psycopg.connect(**settings | {"user": roles.APP_ROLE}) as session:
        yield session
        session.rollback()


def fetch_all(question: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return what PostgreSQL's catalogue says."""
    with connection.cursor() as cursor:
        cursor.execute(question, values or None)
        return list(cursor.fetchall())


# The grantees of an access list except the owner and superusers. PUBLIC has no name: it is 0, written "-".
HELD = """
    SELECT {name}, acl.grantee::regrole::text, array_agg(acl.privilege_type) FROM {catalogue}
    CROSS JOIN aclexplode(coalesce({list}, acldefault('{kind}', {owner}))) AS acl
    WHERE acl.grantee <> {owner} AND {where} GROUP BY 1, 2
"""


def held(**parts: str) -> dict[tuple[str, str], set[str]]:
    return {(name, grantee): set(privileges) for name, grantee, privileges in fetch_all(HELD.format(**parts))}


def test_role_has_exactly_the_golden_table_privileges_and_public_has_none() -> None:
    tables = held(
        name="relname", catalogue="pg_class", list="relacl", kind="r", owner="relowner",
        where="relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'p', 'f')",
    )  # fmt: skip

    assert tables == {(table, roles.APP_ROLE): privileges for table, privileges in GOLDEN.items()}


def test_role_has_exactly_the_golden_column_privileges_and_public_has_none() -> None:
    lists = fetch_all(
        "SELECT attrelid::regclass::text, acl.privilege_type, acl.grantee::regrole::text, array_agg(attname::text)"
        " FROM pg_attribute CROSS JOIN aclexplode(attacl) AS acl"
        " WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace) GROUP BY 1, 2, 3"
    )

    assert {grantee for _, _, grantee, _ in lists} == {roles.APP_ROLE}
    assert {(table, privilege): set(columns) for table, privilege, _, columns in lists} == GOLDEN_COLUMNS


def test_only_the_owner_can_execute_security_definer_functions() -> None:
    functions = held(
        name="proname", catalogue="pg_proc", list="proacl", kind="f", owner="proowner",
        where="pronamespace = 'public'::regnamespace AND prosecdef",
    )  # fmt: skip
    with_powers = fetch_all("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef")

    assert functions == {}
    assert Counter(name.rpartition("_")[0] for (name,) in with_powers) == {
        "pgtrigger_asset_issued": 1,
        "pgtrigger_delete_delete": 2,
        "pgtrigger_due_granted": 1,
        "pgtrigger_dues_paid": 1,
        "pgtrigger_dues_registered": 1,
        "pgtrigger_dues_reported": 1,
        "pgtrigger_dues_verified": 1,
        "pgtrigger_referral_recorded": 1,
        "pgtrigger_history_pseudonymised": 1,
        "pgtrigger_entry_lots_opened": 1,
        "pgtrigger_insert_insert": 1,
        "pgtrigger_lots_backfilled": 1,
        "pgtrigger_movement_turn": 1,
        "pgtrigger_posting_applied": 1,
        "pgtrigger_seal_balances_added": 1,
        "pgtrigger_supply_changed": 1,
        "pgtrigger_supply_deleted": 1,
        "pgtrigger_supply_issued": 1,
        "pgtrigger_update_update": 2,
    }


def test_the_role_runs_no_function_that_the_rules_are_made_of() -> None:
    ours = fetch_all(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        f" AND (proname LIKE 'pgtrigger%' OR proname IN ('harden_triggers', '_pgh_attach_context'))"
        f" AND has_function_privilege('{roles.APP_ROLE}', oid, 'EXECUTE')"
    )

    assert ours == []


def test_public_cannot_connect() -> None:
    databases = held(
        name="'here'", catalogue="pg_database", list="datacl", kind="d", owner="datdba", where="datname = current_database()"
    )

    assert databases == {("here", roles.APP_ROLE): {"CONNECT"}}


def test_the_role_makes_no_table_in_the_schema_nor_a_temporary_one() -> None:
    schemas = held(
        name="nspname", catalogue="pg_namespace", list="nspacl", kind="n", owner="nspowner", where="nspname = 'public'"
    )
    databases = held(
        name="'here'", catalogue="pg_database", list="datacl", kind="d", owner="datdba", where="datname = current_database()"
    )
    powers = {
        grantee: held for (_, grantee), held in {**schemas, **databases}.items() if "CREATE" in held or "TEMPORARY" in held
    }

    assert schemas[("public", roles.APP_ROLE)] == {"USAGE"}
    assert powers == {}


def test_the_role_counts_with_the_sequences_and_does_not_set_them_back() -> None:
    sequences = held(
        name="relname", catalogue="pg_class", list="relacl", kind="s", owner="relowner",
        where="relnamespace = 'public'::regnamespace AND relkind = 'S'",
    )  # fmt: skip

    assert {grantee for _, grantee in sequences} == {roles.APP_ROLE}
    assert {frozenset(privileges) for privileges in sequences.values()} == {frozenset({"USAGE", "SELECT"})}


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
        "UPDATE assets_batch SET title = 'x'",
        "UPDATE assets_batchsupply SET count = 1",
        "DELETE FROM assets_cashbackassetevent",
        "UPDATE assets_creditpoolevent SET name = 'x'",
        "DELETE FROM pghistory_context",
        "TRUNCATE assets_cashbackasset CASCADE",
        "ALTER TABLE ledger_entry DISABLE TRIGGER USER",
        "ALTER TABLE ledger_entry DROP CONSTRAINT entry_amount_range",
        "DROP TABLE ledger_entry",
        "DROP FUNCTION pg_current_xact_id",
        "UPDATE pghistory_context SET created_at = now()",
        "UPDATE pghistory_context SET metadata = '{}'",
        "INSERT INTO pghistory_context (id, created_at, updated_at, metadata) VALUES (gen_random_uuid(), now(), now(), '{}')",
        "INSERT INTO assets_batch (id, title, file_name, file_digest, channel) VALUES (gen_random_uuid(), '', '', '', 'api')",
        "INSERT INTO assets_issuance (currency, channel, count, value) VALUES ('INR', 'api', 1, 1)",
        "INSERT INTO assets_cashbackassetevent SELECT * FROM assets_cashbackassetevent",
        "INSERT INTO assets_creditpoolevent SELECT * FROM assets_creditpoolevent",
        "COPY assets_issuance FROM STDIN",
        "SELECT public._pgh_attach_context()",
        "SELECT public.harden_triggers()",
        "UPDATE pghistory_context SET id = gen_random_uuid()",
        "INSERT INTO ledger_entry (id, xid) VALUES (gen_random_uuid(), '1')",
        "INSERT INTO ledger_entry SELECT * FROM ledger_entry",
        "COPY ledger_entry FROM STDIN",
        "CREATE TEMP TABLE mine (from_xid xid8, to_xid xid8)",
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
    monkeypatch.setitem(connection.settings_dict, "USER", roles.APP_ROLE)

    claim = claim_asset(asset.pk, alice)

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == (roles.APP_ROLE,)
    connection.close()
    assert claim.status_code == 201


def test_sealed_balance_function_cannot_be_called_directly(
    issue: Callable[..., CashbackAsset], alice: User, app: psycopg.Connection[Any]
) -> None:
    claim_asset(issue().pk, alice)
    seal_ledger.seal_all()
    ((function,),) = fetch_all("SELECT proname FROM pg_proc WHERE proname LIKE 'pgtrigger_seal_balances_added_%'")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE theirs (from_xid xid8, to_xid xid8); ALTER TABLE theirs OWNER TO {roles.APP_ROLE}")

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="function"):
        app.execute(f"CREATE TRIGGER mine AFTER INSERT ON theirs FOR EACH ROW EXECUTE FUNCTION public.{function}()")

    app.rollback()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE theirs")
    assert [line["balance"] for line in Entry.objects.balances_of(alice)] == [100]


def test_the_role_does_not_wait_for_ever(app: psycopg.Connection[Any]) -> None:
    limits = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    parameters: dict[str, Any] = app.info.get_parameters() | {"options": ""}
    with psycopg.connect(**parameters) as plain:
        assert [plain.execute(f"SHOW {limit}").fetchone() for limit in limits] == [("2s",), ("5s",), ("5s",)]


def test_the_role_keeps_to_one_core_without_a_compiler(app: psycopg.Connection[Any]) -> None:
    parameters: dict[str, Any] = app.info.get_parameters() | {"options": ""}
    with psycopg.connect(**parameters) as plain:
        found = [plain.execute(f"SHOW {name}").fetchone() for name in ("max_parallel_workers_per_gather", "jit")]

    assert found == [("0",), ("off",)]


def test_a_dry_run_prints_the_sql_and_changes_nothing() -> None:
    out = StringIO()

    call_command("grant_app_role", "--role", "somebody_new", "--dry-run", stdout=out)

    assert out.getvalue().startswith('CREATE ROLE "somebody_new" LOGIN NOSUPERUSER')
    assert 'GRANT SELECT, INSERT ON "ledger_seal" TO "somebody_new";' in out.getvalue()
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = 'somebody_new'")
        assert cursor.fetchone() is None
