"""Seals of version 2 cover movements with their postings, and state sums and positions; version 1 stays as it was."""

import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from django.conf import settings

from accounts.services import Service
from tests.money.conftest import as_owner
from wallet.actions import seal_ledger
from wallet.actions.payment_answers import Answer
from wallet.actions.refund_payment import refund_payment
from wallet.assets.models import CreditPool
from wallet.ledger import signing
from wallet.ledger.models import Entry, Lot, Movement, Seal
from wallet.queries.inclusion_proof import inclusion_proof
from wallet.verification.checker import snapshot_connection, verify_everything
from wallet.verification.seals import seal_violations

pytestmark = pytest.mark.django_db(transaction=True)
Credit = Callable[..., Lot]
Spend = Callable[..., Answer]


@pytest.fixture
def sealed(credit: Credit, spend: Spend, shop: Service) -> UUID:
    """A seal of claims alone, and one of claims and movements; return the payment."""
    credit("100"), credit("50")
    seal_ledger.seal_all()
    payment = UUID(spend("120", reference="order-1").body["id"])
    credit("7", currency="KWD")
    refund_payment(payment, service=shop, amount=Decimal(20), reference="return-1", reason="returned")
    seal_ledger.seal_all()
    return payment


def test_claims_alone_are_sealed_as_ever(credit: Credit) -> None:
    credit("100")
    (seal,) = seal_ledger.seal_all()

    assert (seal.version, seal.kinds, seal.position) == (1, None, None)
    assert "version" not in signing.published_seal(seal)


def test_a_claim_with_a_validity_is_sealed_with_it(credit: Credit, open_pool: Callable[..., CreditPool]) -> None:
    lot = credit("100", pool=open_pool(valid_for="2 days"))
    (seal,) = seal_ledger.seal_all()

    leaf = json.loads(inclusion_proof(Entry.objects.get())["leaf"])
    assert seal.version == 2
    assert lot.spendable_until is not None
    assert leaf[-1] == signing.format_signed_timestamp(lot.spendable_until)
    assert leaf[:10] == json.loads(signing.leaf_data(Entry.objects.values_list(*signing.LEAF_COLUMNS).get()))


def test_a_seal_states_sums_per_kind_and_the_position_of_each_account(sealed: UUID) -> None:
    first, second = Seal.objects.order_by("seq")

    assert (first.version, second.version, second.count) == (1, 2, 3)
    assert json.loads(second.sums) == {"KWD": "7.000"}
    assert json.loads(second.kinds or "") == {
        "INR": {"REFUND": "20.00", "SPEND": "120.00"},
        "KWD": {"CLAIM": "7.000"},
    }
    position = json.loads(second.position or "")
    assert position["INR"] == {
        "breakage": "0.00",
        "hold": "0.00",
        "merchant": "100.00",
        "pool": "-150.00",
        "wallet": "50.00",
    }
    assert [sum(map(Decimal, accounts.values())) for accounts in position.values()] == [0, 0]
    assert signing.is_signature_valid(second)


def test_positions_continue_from_seal_to_seal(sealed: UUID, spend: Spend) -> None:
    spend("10")
    (third,) = seal_ledger.seal_all()

    assert json.loads(third.position or "")["INR"]["merchant"] == "110.00"
    with snapshot_connection() as reader:
        assert verify_everything(reader) == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            "UPDATE ledger_posting SET amount = amount - 1 WHERE position = 1 AND movement_id = '{0}'",
            "movement {0}, or a",
        ),
        ("UPDATE ledger_movement SET reference = 'order-2' WHERE id = '{0}'", "movement {0}, or a"),
        (
            "UPDATE ledger_movement SET at = at + interval '1 microsecond' WHERE id = '{0}'",
            "movement {0}, or a",
        ),
        (
            "DELETE FROM ledger_posting WHERE movement_id = '{0}'; DELETE FROM ledger_movement WHERE id = '{0}'",
            "entry {0} was deleted",
        ),
        (
            "UPDATE ledger_seal SET position = replace(position, '100.00', '99.00')",
            "seal 2 has no valid signature of a trusted key",
        ),
        (
            "UPDATE ledger_seal SET kinds = replace(kinds, '120.00', '121.00') WHERE seq = 2",
            "seal 2 has sums that differ from its entries",
        ),
    ],
)
def test_what_was_changed_after_sealing_is_named(sealed: UUID, statement: str, found: str) -> None:
    assert list(seal_violations()) == []
    as_owner(statement.format(sealed))

    assert any(sentence.startswith(found.format(sealed)) for sentence in seal_violations())


def test_a_changed_claim_beside_movements_is_named_as_an_entry(sealed: UUID) -> None:
    claim = Entry.objects.get(currency="KWD")
    as_owner("UPDATE ledger_entry SET amount = amount + 1 WHERE id = %s", claim.pk)
    assert list(seal_violations()) == [f"entry {claim.pk} was changed after seal 2 was made"]

    as_owner("UPDATE ledger_entry SET amount = amount - 1 WHERE id = %s", claim.pk)
    assert list(seal_violations()) == []


def test_a_position_that_was_signed_wrong_is_found_by_its_recount(sealed: UUID) -> None:
    seal = Seal.objects.get(seq=2)
    seal.position = (seal.position or "").replace('"100.00"', '"99.00"').replace('"50.00"', '"51.00"')
    signing.sign_seal(seal)
    as_owner("UPDATE ledger_seal SET position = %s, signature = %s WHERE seq = 2", seal.position, seal.signature)

    assert list(seal_violations()) == []
    with snapshot_connection() as reader:
        (violation,) = verify_everything(reader)
    assert violation.invariant == "I21"


def test_a_payment_is_proved_by_one_leaf_with_all_its_credits(sealed: UUID, tmp_path: Path) -> None:
    proof = inclusion_proof(Movement.objects.get(pk=sealed))
    file = tmp_path / "proof.json"
    file.write_text(json.dumps(proof))

    verified = subprocess.run(
        [sys.executable, "examples/verify_proof.py", str(file), "--public-key", signing.public_key().hex()],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "SPEND of 120.0000 for payment" in verified.stdout
    assert "reference order-1" in verified.stdout
    for lot in Lot.objects.filter(currency="INR"):
        assert str(lot.pk) in verified.stdout
