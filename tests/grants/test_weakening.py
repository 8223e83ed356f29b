"""No setting, temporary table or lock of the application's role weakens a rule of the ledger."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from accounts.models import User
from cashback.database import roles
from wallet.actions import seal_ledger
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry, Seal
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)

ENTRY = "id, kind, asset_id, user_id, amount, currency, claimed_at, actor_id"
SEAL = "count, sums, sealed_at, public_key, signature, leaves"
Attack = Callable[[psycopg.Connection[Any]], object]

# Every setting that a function in the database reads. Their values are the actor and the channel, as
# stated by the application. Before adding a name here, consider what an attacker could reach by setting it.
SETTINGS_READ = {
    *("cashback.batch", "cashback.channel", "cashback.invitation"),
    *("pghistory.context_id", "pghistory.context_metadata"),
}


def query(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def app() -> Iterator[psycopg.Connection[Any]]:
    """A session of the application's role that asks every trigger, by name, to be ignored."""
    call_command("grant_app_role", stdout=StringIO())
    settings = connection.get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):
        settings.pop(name, None)
    names = [name for (name,) in query("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")]
    with psycopg.connect(**settings | {"user": roles.APP_ROLE}) as session:
        session.execute("SELECT set_config('pgtrigger.ignore', %s, false)", ["{" + ",".join(names) + "}"])
        session.commit()
        yield session
        session.rollback()


def rows() -> list[Any]:
    return [list(table.objects.order_by("pk").values()) for table in (CashbackAsset, Entry, Seal)]


def violations() -> list[str]:
    with snapshot_connection() as reader:
        return [str(violation) for violation in verify_everything(reader)]


def refused(session: psycopg.Connection[Any], attack: Attack, rule: str) -> None:
    """Assert that the attack is refused by the rule and leaves nothing."""
    before = rows()
    with pytest.raises(psycopg.IntegrityError) as refusal:
        attack(session)
        session.commit()
    session.rollback()
    assert refusal.value.diag.constraint_name == rule
    assert rows() == before
    assert violations() == []


def insert_entry(asset: CashbackAsset, user: User, amount: str = "total_value", at: str = "now()") -> str:
    return (
        f"INSERT INTO public.ledger_entry ({ENTRY}) SELECT gen_random_uuid(), 'CLAIM', id, '{user.pk}', {amount}, currency,"
        f" {at}, '{user.pk}' FROM public.assets_cashbackasset WHERE id = '{asset.pk}'"
    )


def test_a_claim_of_a_billion_is_refused(
    app: psycopg.Connection[Any], issue: Callable[..., CashbackAsset], alice: User
) -> None:
    attack = insert_entry(issue(), alice, "1000000000")

    refused(app, lambda session: session.execute(attack), "entry_equals_asset")


def test_another_owner_for_a_claimed_credit_is_refused(
    app: psycopg.Connection[Any], issue: Callable[..., CashbackAsset], alice: User, bob: User
) -> None:
    asset = issue()
    claim_asset(asset.pk, alice)

    def attack(session: psycopg.Connection[Any]) -> None:
        session.execute("UPDATE assets_cashbackasset SET claimed_by_id = %s WHERE id = %s", [bob.pk, asset.pk])

    refused(app, attack, "asset_final")


def test_a_back_dated_claim_after_expiry_is_refused(
    app: psycopg.Connection[Any], issue: Callable[..., CashbackAsset], alice: User
) -> None:
    asset = issue(expires_at=timezone.now() + timedelta(seconds=0.3))
    run("SELECT pg_sleep(0.4)")
    instant = "expires_at - interval '1 ms'"

    def attack(session: psycopg.Connection[Any]) -> None:
        session.execute(
            f"UPDATE assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %s, claimed_at = {instant} WHERE id = %s",
            [alice.pk, asset.pk],
        )
        session.execute(insert_entry(asset, alice, at=instant))

    refused(app, attack, "asset_claimed_before_expiry")


def test_a_seal_that_would_end_all_sealing_is_refused(
    app: psycopg.Connection[Any], issue: Callable[..., CashbackAsset], alice: User
) -> None:
    claim_asset(issue().pk, alice)
    seal_ledger.seal_all()

    def attack(session: psycopg.Connection[Any]) -> None:
        session.execute(
            f"INSERT INTO ledger_seal (seq, previous_root, root, from_xid, to_xid, {SEAL})"
            f" SELECT 2, root, root, to_xid, '4611686018427387904', {SEAL} FROM ledger_seal"
        )

    refused(app, attack, "seal_closed")
    claim_asset(issue().pk, alice)
    assert len(seal_ledger.seal_all()) == 1


# --- Temporary tables: after a restore all roles may create them again ----------------------------------------------------


@pytest.fixture
def _everybody_makes_temporary_tables(app: psycopg.Connection[Any]) -> Iterator[None]:
    ((name,),) = query("SELECT current_database()")
    run(f'GRANT TEMPORARY ON DATABASE "{name}" TO PUBLIC')
    app.execute("RESET pgtrigger.ignore")
    app.commit()
    yield
    call_command("grant_app_role", stdout=StringIO())


@pytest.mark.usefixtures("_everybody_makes_temporary_tables")
def test_a_temporary_table_does_not_stand_in_for_the_credits(
    app: psycopg.Connection[Any], issue: Callable[..., CashbackAsset], alice: User
) -> None:
    asset = issue()

    def attack(session: psycopg.Connection[Any]) -> None:
        session.execute("CREATE TEMP TABLE assets_cashbackasset AS TABLE public.assets_cashbackasset")
        session.execute(
            "UPDATE pg_temp.assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %s, claimed_at = now(),"
            " total_value = 1000000000",
            [alice.pk],
        )
        session.execute(insert_entry(asset, alice, "1000000000"))

    refused(app, attack, "entry_equals_asset")


@pytest.mark.usefixtures("_everybody_makes_temporary_tables")
def test_a_temporary_table_does_not_stand_in_for_the_pools(
    app: psycopg.Connection[Any], issue: Callable[..., CashbackAsset], open_pool: Callable[..., Any], alice: User
) -> None:
    pool = open_pool(closes_at=timezone.now() + timedelta(seconds=0.3), opens_at=timezone.now() - timedelta(days=1))
    asset = issue(pool=pool)
    run("SELECT pg_sleep(0.4)")

    def attack(session: psycopg.Connection[Any]) -> None:
        session.execute("CREATE TEMP TABLE assets_creditpool AS TABLE public.assets_creditpool")
        session.execute("UPDATE pg_temp.assets_creditpool SET closes_at = NULL")
        session.execute(
            "UPDATE public.assets_cashbackasset SET status = 'CLAIMED', claimed_by_id = %s WHERE id = %s", [alice.pk, asset.pk]
        )

    refused(app, attack, "pool_open")


# --- What is read of a session -----------------------------------------------------------------------------------------


def test_the_settings_that_any_function_reads_are_the_golden_ones(db: None) -> None:
    sources = query("SELECT prosrc FROM pg_proc WHERE pronamespace <> 'pg_catalog'::regnamespace")
    read = {name for (source,) in sources for name in re.findall(r"current_setting\s*\(\s*'([^']+)'", source, re.IGNORECASE)}
    asked = sum(len(re.findall(r"current_setting", source, re.IGNORECASE)) for (source,) in sources)

    assert read == SETTINGS_READ
    assert asked == len(SETTINGS_READ)


@pytest.mark.parametrize("value", ["", "{}", "off", "00000000-0000-0000-0000-000000000000", "x" * 5000])
@pytest.mark.parametrize("setting", sorted({*SETTINGS_READ, "pgtrigger.ignore"}))
def test_no_value_of_a_setting_that_is_read_lets_a_forged_claim_in(
    *, app: psycopg.Connection[Any], issue: Callable[..., CashbackAsset], alice: User, setting: str, value: str
) -> None:
    asset = issue()

    def attack(session: psycopg.Connection[Any]) -> None:
        session.execute("SELECT set_config(%s, %s, true)", [setting, value])
        session.execute(insert_entry(asset, alice, "1000000000"))

    refused(app, attack, "entry_equals_asset")


@pytest.mark.parametrize(
    "setting",
    [
        "search_path = pg_temp",
        "search_path = ''",
        "default_transaction_isolation = 'repeatable read'",
        "plpgsql.extra_errors = 'all'",
        "transform_null_equals = on",
        "standard_conforming_strings = off",
        "row_security = off",
        "TimeZone = 'Pacific/Kiritimati'",
        "check_function_bodies = off",
    ],
)
def test_no_setting_of_postgresql_lets_a_forged_claim_in(
    app: psycopg.Connection[Any], issue: Callable[..., CashbackAsset], alice: User, setting: str
) -> None:
    asset = issue()
    app.execute(f"SET {setting}")
    app.commit()

    refused(app, lambda session: session.execute(insert_entry(asset, alice, "1000000000")), "entry_equals_asset")
