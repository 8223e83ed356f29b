"""Attacks of a superuser on the ledger's history: `manage.py verify_ledger` exits with 1 and names the row."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from accounts.models import User
from wallet.actions import seal_ledger
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset
from wallet.ledger import signing
from wallet.ledger.models import Entry, Seal
from wallet.ledger.triggers import ENABLE_ALWAYS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def entries(issue: Callable[..., CashbackAsset], alice: User) -> list[Entry]:
    """Nine entries under three seals."""
    for _ in range(3):
        for _ in range(3):
            claim_asset(issue().pk, alice)
        seal_ledger.seal_all()
    return list(Entry.objects.order_by("claimed_at"))


@pytest.fixture
def published(entries: list[Entry], tmp_path: Path) -> Path:
    """The seals as they were kept elsewhere; with them all is still green."""
    roots = tmp_path / "seals.jsonl"
    call_command("seal_ledger", "--export", str(roots), stdout=StringIO())
    call_command("verify_ledger", "--roots", str(roots), stdout=StringIO(), stderr=StringIO())
    return roots


def attack(statement: str, *values: Any) -> None:
    """Run SQL as a superuser who has switched the rules off, and put them back."""
    tables = ("ledger_entry", "ledger_seal")
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; SET LOCAL session_replication_role = replica")
        cursor.execute(";".join(f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in tables))
        cursor.execute(statement, values)
        cursor.execute(f"{ENABLE_ALWAYS}; COMMIT")


def red(*options: str) -> list[str]:
    """Return what the command says of I8; it must exit 1."""
    said = StringIO()
    with pytest.raises(CommandError, match="FAILED") as refused:
        call_command("verify_ledger", *options, stdout=said, stderr=StringIO())
    assert refused.value.returncode == 1
    return [line.removeprefix("I8: ") for line in said.getvalue().splitlines() if line.startswith("I8: ")]


def test_one_bit_changed(entries: list[Entry]) -> None:
    attack("UPDATE ledger_entry SET claimed_at = claimed_at + interval '1 microsecond' WHERE id = %s", entries[4].pk)

    assert red() == [f"entry {entries[4].pk} was changed after seal 2 was made"]


def test_one_entry_deleted(entries: list[Entry]) -> None:
    attack("DELETE FROM ledger_entry WHERE id = %s", entries[4].pk)

    assert red() == [f"entry {entries[4].pk} was deleted after seal 2 was made"]


def test_one_entry_inserted(entries: list[Entry], issue: Callable[..., CashbackAsset], alice: User) -> None:
    """With a credit of its own that says the same, so that nothing but the seal can tell."""
    forged = claim_asset(issue().pk, alice).receipt["id"]
    attack("UPDATE ledger_entry SET xid = %s WHERE id = %s", str(entries[4].xid), forged)

    assert red() == [f"entry {forged} was inserted after seal 2 was made"]


def test_two_entries_swapped(entries: list[Entry]) -> None:
    first, second = entries[3], entries[5]
    swapped = "UPDATE ledger_entry SET xid = CASE id WHEN %s THEN %s::xid8 ELSE %s::xid8 END WHERE id IN (%s, %s)"
    attack(swapped, first.pk, str(second.xid), str(first.xid), first.pk, second.pk)

    assert set(red()) == {f"entry {entry.pk} was changed after seal 2 was made" for entry in (first, second)}


@pytest.mark.parametrize(
    "change",
    ["count = 2, leaves = substring(leaves for 96)", "sealed_at = now()", "signature = decode(repeat('00', 64), 'hex')"],
)
def test_a_seal_rewritten(entries: list[Entry], change: str) -> None:
    attack(f"UPDATE ledger_seal SET {change} WHERE seq = 2")

    assert "seal 2 has no valid signature of a trusted key" in red()


def test_a_seal_rewritten_with_another_key(entries: list[Entry], settings: Settings) -> None:
    key, settings.SEAL_SIGNING_KEY = settings.SEAL_SIGNING_KEY, "a key of somebody who learned how we seal"
    rewrite(2)
    settings.SEAL_SIGNING_KEY = key

    assert red() == ["seal 2 has no valid signature of a trusted key"]


def test_the_whole_chain_rewritten_with_the_stolen_key(entries: list[Entry], published: Path) -> None:
    """Nothing within the database can tell: what was published can, and names the seals, whichever entry it was."""
    attack("UPDATE ledger_entry SET request_key = 'not-what-it-was' WHERE id = %s", entries[4].pk)
    for seq in (2, 3):
        rewrite(seq)

    call_command("verify_ledger", stdout=StringIO(), stderr=StringIO())
    assert red("--roots", str(published)) == [f"seal {seq} differs from its published copy" for seq in (2, 3)]


def test_the_end_of_the_chain_cut_off(entries: list[Entry], published: Path) -> None:
    attack("DELETE FROM ledger_seal WHERE seq = 3")
    seal_ledger.seal_all()

    assert json.loads(published.read_text().splitlines()[2])["seq"] == 3
    assert red("--roots", str(published)) == ["seal 3 differs from its published copy"]


def rewrite(seq: int) -> None:
    """Make a seal anew over the entries as they are now, as whoever holds a key can."""
    old, last = Seal.objects.get(seq=seq), Seal.objects.filter(seq=seq - 1).first()
    rows, _ = seal_ledger.closed_rows(old.from_xid, old.to_xid)
    seal = seal_ledger.build_seal(rows, last, old.from_xid, old.to_xid)
    seal.sealed_at = old.sealed_at
    signing.sign_seal(seal)
    columns = ("previous_root", "root", "sums", "public_key", "signature", "leaves")
    changes = ", ".join(f"{column} = %s" for column in columns)
    attack(f"UPDATE ledger_seal SET {changes} WHERE seq = %s", *(getattr(seal, column) for column in columns), seq)
