"""examples/verify_proof.py with the file of a payment, and with what cannot be verified."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings

from accounts.services import Service
from wallet.actions import seal_ledger
from wallet.actions.capture_payment import capture_payment
from wallet.actions.refund_payment import refund_payment
from wallet.ledger import signing
from wallet.ledger.models import Lot, Payment
from wallet.queries.inclusion_proof import NotSealedYet, NoValidSeal
from wallet.queries.payments import payment_proofs, payments_with_movements

SCRIPT = settings.BASE_DIR / "examples/verify_proof.py"
KEY = "11" * 32
Hold = Callable[..., UUID]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)


def verify(content: object, tmp_path: Path, key: str = KEY) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "proof.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return run(file, "--public-key", key)


@pytest.fixture
def payment(transactional_db: None, credit: Callable[..., Lot], hold: Hold, shop: Service) -> dict[str, Any]:
    """The proofs of a payment that was held, captured in two parts and refunded, as the API answers them."""
    credit("100")
    held = hold("60", reference="order-7")
    capture_payment(held, shop, amount=None, final=True)
    refund_payment(held, service=shop, reference="return-7", reason="returned")
    seal_ledger.seal_all()
    found: dict[str, Any] = json.loads(json.dumps(payment_proofs(payments_with_movements().get(pk=held))))
    return found


def test_each_movement_of_a_payment_is_proved_in_a_line(payment: dict[str, Any], tmp_path: Path) -> None:
    verdict = verify(payment, tmp_path, signing.public_key().hex())

    assert (verdict.returncode, verdict.stderr) == (0, "")
    lines = verdict.stdout.splitlines()
    assert [line.split(": ")[1].split(" of ")[0] for line in lines] == ["HOLD", "CAPTURE", "REFUND"]
    assert all(f"for payment {payment['payment']}" in line for line in lines)


def change_amount(payment: dict[str, Any]) -> None:
    proof = payment["movements"][1]["proof"]
    proof["leaf"] = proof["leaf"].replace("60.0000", "90.0000")


def exchange_proof(payment: dict[str, Any]) -> None:
    payment["movements"][1]["proof"] = payment["movements"][0]["proof"]


def name_another_kind(payment: dict[str, Any]) -> None:
    payment["movements"][1]["kind"] = "RELEASE"


def remove_root(payment: dict[str, Any]) -> None:
    del payment["movements"][1]["proof"]["seal"]["root"]


def break_path(payment: dict[str, Any]) -> None:
    payment["movements"][1]["proof"]["path"][0] = "no hex"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (change_amount, "the entry is not under this seal's root"),
        (exchange_proof, "the proof is that of another movement"),
        (name_another_kind, "the proof is that of another movement"),
        (remove_root, "the proof is malformed"),
        (break_path, "the proof is malformed"),
    ],
)
def test_a_payment_is_not_proved_if_one_movement_is_not(
    payment: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    change(payment)

    verdict = verify(payment, tmp_path, signing.public_key().hex())

    changed = payment["movements"][1]
    assert verdict.returncode == 1
    assert verdict.stderr == f"NOT PROVED: movement {changed['id']}, {changed['kind']}: {reason}\n"
    assert len(verdict.stdout.splitlines()) == 2


def test_a_proof_of_another_payment_is_not_proved(payment: dict[str, Any], tmp_path: Path) -> None:
    payment["payment"] = str(UUID(int=7))

    verdict = verify(payment, tmp_path, signing.public_key().hex())

    assert verdict.returncode == 1
    assert verdict.stderr.count("the proof is that of another movement\n") == 3


def test_another_key_proves_nothing_and_the_reason_says_so(payment: dict[str, Any], tmp_path: Path) -> None:
    verdict = verify(payment["movements"][0]["proof"], tmp_path)

    assert verdict.returncode == 1
    assert verdict.stderr.startswith("NOT PROVED: the seal was not signed by this public key; if the platform has other keys")


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        ("no JSON", "is not JSON. Download the proof again."),
        ({"results": []}, "the file is not a proof. Save the answer of /api/v1/claims/{id}/proof/"),
        ([1], "the file is not a proof."),
        ({"payment": "p", "movements": []}, "the file is not a proof."),
        ({"payment": "p", "movements": [{"id": "m", "kind": "HOLD"}]}, "the file is not a proof."),
        ({"code": "not_sealed_yet", "detail": "Not sealed."}, "the file is an error of the API, not a proof: Not sealed."),
    ],
)
def test_a_file_of_another_kind_is_wrong_use_in_one_line(content: object, advice: str, tmp_path: Path) -> None:
    verdict = verify(content, tmp_path)

    assert (verdict.returncode, verdict.stdout) == (2, "")
    assert verdict.stderr.startswith("verify_proof.py: ")
    assert advice in verdict.stderr
    assert verdict.stderr.count("\n") == 1


def test_a_missing_file_is_wrong_use_in_one_line(tmp_path: Path) -> None:
    verdict = run(tmp_path / "none.json", "--public-key", KEY)

    wanted = (
        f"verify_proof.py: cannot read {tmp_path / 'none.json'}: No such file or directory. Name the file with the proof.\n"
    )
    assert (verdict.returncode, verdict.stdout, verdict.stderr) == (2, "", wanted)


@pytest.mark.parametrize("key", ["", "3b6a", "zz" * 32, "11" * 33])
def test_a_key_that_is_none_is_wrong_use_in_one_line(key: str, tmp_path: Path) -> None:
    verdict = verify({}, tmp_path, key)

    assert (verdict.returncode, verdict.stdout) == (2, "")
    assert verdict.stderr.startswith("verify_proof.py: a public key has 64 hex digits. ")
    assert "/verify/keys/" in verdict.stderr
    assert verdict.stderr.count("\n") == 1


def test_help_says_where_the_public_keys_are() -> None:
    shown = " ".join(run("--help").stdout.split())

    assert "The platform publishes its keys on its page /verify/ and, as JSON, at /verify/keys/." in shown
    assert "payments/{id}/proof/" in shown


def test_a_proof_before_the_seal_is_refused_in_words_that_fit_payments(
    transactional_db: None, credit: Callable[..., Lot], hold: Hold
) -> None:
    credit("100")
    held = hold("60")

    with pytest.raises(NotSealedYet, match=r"^This is not sealed yet\. Its proof will be available within a few seconds\."):
        payment_proofs(Payment.objects.get(pk=held))

    assert "This claim" not in NoValidSeal.detail
