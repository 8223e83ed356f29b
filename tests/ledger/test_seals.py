"""Attacks on seals in SQL: none is rewritten or inserted out of order."""

from collections.abc import Callable

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from cashback.database.roles import APP_ROLE
from kernel.transactions import violated_constraint
from tests.ledger.roles import ROLES, become, sql
from wallet.actions import seal_ledger
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset
from wallet.ledger import merkle
from wallet.ledger.models import Entry, Seal
from wallet.verification.seals import seal_violations

# A second seal in the place where it belongs, which the application's role may put there, but without a valid signature.
NEXT = "(to_xid::text::bigint + 1)::text::xid8"
REST = {name: name for name in ("count", "sums", "sealed_at", "public_key", "signature", "leaves")}
WORTHLESS = (
    f"INSERT INTO ledger_seal (seq, previous_root, root, from_xid, to_xid, {', '.join(REST)})"
    f" SELECT 2, root, root, to_xid, {NEXT}, {', '.join(REST)} FROM ledger_seal"
)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "attack", ["UPDATE ledger_seal SET count = count + 1", "DELETE FROM ledger_seal", "TRUNCATE ledger_seal"]
)
def test_seals_cannot_be_rewritten(db: None, attack: str, role: str) -> None:
    root, now = bytes(32), timezone.now()
    Seal.objects.create(
        seq=1, previous_root=merkle.EMPTY_ROOT, root=root, from_xid=0, to_xid=2, count=1, sums='{"INR": "1.00"}', sealed_at=now,
        public_key=root, signature=bytes(64), leaves=bytes(48),
    )  # fmt: skip

    before = list(Seal.objects.values())

    with pytest.raises(DatabaseError, match=r"append-only|permission denied"), transaction.atomic():
        become(role)
        sql(attack)

    assert list(Seal.objects.values()) == before


@pytest.mark.django_db(transaction=True)
def test_a_seal_that_the_application_did_not_sign_is_found(issue: Callable[..., CashbackAsset], alice: User) -> None:
    claim_asset(issue().pk, alice)
    seal_ledger.seal_all()

    with transaction.atomic():
        become(APP_ROLE)
        sql(WORTHLESS)

    assert "seal 2 has no valid signature of a trusted key" in list(seal_violations())


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
def test_seal_cannot_be_inserted_out_of_order(
    *, issue: Callable[..., CashbackAsset], alice: User, role: str, forged: dict[str, str], rule: str
) -> None:
    """One seal over the future would be the last: nothing after it is ever closed."""
    claim_asset(issue().pk, alice)
    seal_ledger.seal_all()
    columns = {"seq": "2", "previous_root": "root", "root": "root", "from_xid": "to_xid", "to_xid": NEXT, **REST} | forged

    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        become(role)
        sql(f"INSERT INTO ledger_seal ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM ledger_seal")
    claim_asset(issue().pk, alice)

    assert violated_constraint(refusal.value) == rule
    assert [seal.count for seal in seal_ledger.seal_all()] == [1]
    assert [line["balance"] for line in Entry.objects.balances_of(alice)] == [200]


@pytest.mark.django_db(transaction=True)
def test_sealing_and_balances_continue_after_an_invalid_seal(issue: Callable[..., CashbackAsset], alice: User) -> None:
    claim_asset(issue().pk, alice)
    seal_ledger.seal_all()
    with transaction.atomic():
        become(APP_ROLE)
        sql(WORTHLESS)
    claim_asset(issue().pk, alice)

    assert [seal.seq for seal in seal_ledger.seal_all()] == [3]
    assert [line["balance"] for line in Entry.objects.balances_of(alice)] == [200]
