"""The ledger against whoever holds SQL: the application's role, the owner of its tables, a superuser."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import User
from cashback.grants import APP_ROLE
from wallet import claims, sealing
from wallet.assets.models import CashbackAsset
from wallet.contention import broken_rule
from wallet.ledger import merkle
from wallet.ledger.models import Entry, Seal
from wallet.ledger.rules import ENABLE_ALWAYS
from wallet.proofs.seals import seal_violations

OWNER = "owner_of_the_tables"
ROLES = [APP_ROLE, OWNER, "superuser"]
COLUMNS = "id, kind, asset_id, user_id, amount, currency, claimed_at, actor_id"

# An owner who is no superuser, for as long as this transaction lasts.
MAKE_OWNER = f"""
DO $$
DECLARE t record;
BEGIN
    CREATE ROLE {OWNER} NOSUPERUSER;
    GRANT CREATE ON SCHEMA public TO {OWNER};
    FOR t IN SELECT oid::regclass AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO {OWNER}', t.name);
    END LOOP;
END $$
"""
# A second seal in the place where it belongs, which the application's role may put there, and signed by nobody.
NEXT = "(to_xid::text::bigint + 1)::text::xid8"
REST = {name: name for name in ("count", "sums", "sealed_at", "public_key", "signature", "leaves")}
WORTHLESS = (
    f"INSERT INTO ledger_seal (seq, previous_root, root, from_xid, to_xid, {', '.join(REST)})"
    f" SELECT 2, root, root, to_xid, {NEXT}, {', '.join(REST)} FROM ledger_seal"
)
GIVE_BACK = f"REASSIGN OWNED BY {OWNER} TO CURRENT_USER; DROP OWNED BY {OWNER}; DROP ROLE {OWNER}"


def sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)


def become(role: str) -> None:
    """Take the role for the rest of the transaction; the test's own user is a superuser."""
    if role == OWNER:
        sql(MAKE_OWNER)
    if role != "superuser":
        sql(f"SET LOCAL ROLE {role}")


def kept() -> list[Any]:
    return [list(table.objects.order_by("pk").values()) for table in (Entry, Seal, CashbackAsset)]


@pytest.fixture
def entry(issue: Callable[..., CashbackAsset], alice: User) -> Entry:
    claims.claim(issue().pk, alice)
    sql("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
    return Entry.objects.get()


def refused(role: str, attack: Callable[[], None], *before: str) -> None:
    """Assert that the attack does not commit and leaves no trace, whoever tries it."""
    rows = kept()
    with pytest.raises(DatabaseError), transaction.atomic():
        become(role)
        for statement in before:
            sql(statement)
        attack()
        sql("SET CONSTRAINTS ALL IMMEDIATE")
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
def test_history_is_rewritten_by_nobody(entry: Entry, attack: str, role: str) -> None:
    refused(role, lambda: sql(attack))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("as_replica", [False, True])
@pytest.mark.parametrize("of_another", [False, True])
def test_no_copy_brings_in_a_claim_that_nobody_made(
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


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "attack", ["UPDATE ledger_seal SET count = count + 1", "DELETE FROM ledger_seal", "TRUNCATE ledger_seal"]
)
def test_the_seals_are_rewritten_by_nobody(db: None, attack: str, role: str) -> None:
    root, now = bytes(32), timezone.now()
    Seal.objects.create(
        seq=1, previous_root=merkle.EMPTY, root=root, from_xid=0, to_xid=2, count=1, sums="{}", sealed_at=now,
        public_key=root, signature=root, leaves=root,
    )  # fmt: skip

    refused(role, lambda: sql(attack))


@pytest.mark.parametrize("role", [APP_ROLE, OWNER])
@pytest.mark.parametrize(
    "lift",
    [
        "SET LOCAL session_replication_role = replica",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "ALTER SYSTEM SET session_replication_role = replica",
        "COPY ledger_entry TO PROGRAM 'cat > /tmp/x'",
        "COPY ledger_entry FROM '/etc/passwd'",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
def test_nobody_but_a_superuser_lifts_the_rules_or_leaves_the_database(entry: Entry, role: str, lift: str) -> None:
    refused(role, lambda: sql(lift))


@pytest.mark.parametrize(
    "attack",
    [
        "ALTER TABLE ledger_entry DISABLE TRIGGER ALL",
        "ALTER TABLE ledger_entry ENABLE REPLICA TRIGGER USER",
        "DROP TRIGGER pgtrigger_entry_append_only_row ON ledger_entry",
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
def test_the_application_cannot_change_what_the_rules_are(entry: Entry, attack: str) -> None:
    refused(APP_ROLE, lambda: sql(attack))


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
def test_an_owner_who_switches_the_rules_off_is_found(
    issue: Callable[..., CashbackAsset], alice: User, role: str, attack: str, found: str
) -> None:
    entries = [claims.claim(issue().pk, alice).receipt["id"] for _ in range(3)]
    sealing.seal_all()

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


@pytest.mark.django_db(transaction=True)
def test_a_seal_that_the_application_did_not_sign_is_found(issue: Callable[..., CashbackAsset], alice: User) -> None:
    claims.claim(issue().pk, alice)
    sealing.seal_all()

    with transaction.atomic():
        become(APP_ROLE)
        sql(WORTHLESS)

    assert "seal 2 does not bear a valid signature of a trusted key" in list(seal_violations())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("forged", "rule"),
    [
        ({"to_xid": "'4611686018427387904'"}, "seal_closed"),
        ({"to_xid": "(pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 1)::text::xid8"}, "seal_closed"),
        ({"to_xid": "to_xid"}, "seal_closed"),
        ({"to_xid": "'0'"}, "seal_closed"),
        ({"seq": "3"}, "seal_follows"),
        ({"from_xid": "'0'"}, "seal_follows"),
        ({"from_xid": "(to_xid::text::bigint + 1)::text::xid8"}, "seal_follows"),
        ({"previous_root": "previous_root"}, "seal_follows"),
    ],
)
def test_nobody_puts_a_seal_where_none_belongs(
    *, issue: Callable[..., CashbackAsset], alice: User, role: str, forged: dict[str, str], rule: str
) -> None:
    """One seal over the future would be the last: nothing after it is ever closed."""
    claims.claim(issue().pk, alice)
    sealing.seal_all()
    columns = {"seq": "2", "previous_root": "root", "root": "root", "from_xid": "to_xid", "to_xid": NEXT, **REST} | forged

    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        become(role)
        sql(f"INSERT INTO ledger_seal ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM ledger_seal")
    claims.claim(issue().pk, alice)

    assert broken_rule(refusal.value) == rule
    assert [seal.count for seal in sealing.seal_all()] == [1]
    assert [line["balance"] for line in Entry.objects.balances_of(alice)] == [200]


@pytest.mark.django_db(transaction=True)
def test_after_a_worthless_seal_sealing_goes_on_and_balances_are_right(
    issue: Callable[..., CashbackAsset], alice: User
) -> None:
    claims.claim(issue().pk, alice)
    sealing.seal_all()
    with transaction.atomic():
        become(APP_ROLE)
        sql(WORTHLESS)
    claims.claim(issue().pk, alice)

    assert [seal.seq for seal in sealing.seal_all()] == [3]
    assert [line["balance"] for line in Entry.objects.balances_of(alice)] == [200]
