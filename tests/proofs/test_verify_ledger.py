"""`manage.py verify_ledger` on a ledger with claims under seals."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import User
from wallet import claims, sealing
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry
from wallet.ledger.rules import ENABLE_ALWAYS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def entries(issue: Callable[..., CashbackAsset], alice: User) -> list[Entry]:
    for _ in range(3):
        claims.claim(issue().pk, alice)
    sealing.seal_all()
    return list(Entry.objects.order_by("claimed_at"))


def verify_ledger(*options: str) -> str:
    said = StringIO()
    call_command("verify_ledger", *options, stdout=said, stderr=said)
    return said.getvalue()


def rewrite(statement: str, *values: object) -> None:
    """Run SQL as a superuser who has switched the ledger's triggers off."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; ALTER TABLE ledger_entry DISABLE TRIGGER USER; ALTER TABLE ledger_seal DISABLE TRIGGER USER")
        cursor.execute(statement, values)
        cursor.execute(ENABLE_ALWAYS)
        cursor.execute("COMMIT")


def test_an_honest_ledger_is_green(entries: list[Entry], tmp_path: Path) -> None:
    roots = tmp_path / "seals.jsonl"
    call_command("seal_ledger", "--export", str(roots), stdout=StringIO())

    assert "GREEN: all is as promised, in 3 rows of the ledger." in verify_ledger("--roots", str(roots))


def test_a_changed_amount_is_red_and_the_row_is_named(entries: list[Entry], capsys: pytest.CaptureFixture[str]) -> None:
    rewrite("UPDATE ledger_entry SET amount = amount + 1 WHERE id = %s", entries[1].pk)
    said = StringIO()

    with pytest.raises(CommandError, match="RED: 4 violations found") as refused:
        call_command("verify_ledger", stdout=said)

    assert refused.value.returncode == 1
    assert f"I4: entry {entries[1].pk} of asset {entries[1].asset_id} has 101.0000 INR" in said.getvalue()
    assert f"I8: entry {entries[1].pk} was changed after seal 1 was made" in said.getvalue()


def test_seals_before_since_are_taken_for_granted(
    entries: list[Entry], issue: Callable[..., CashbackAsset], alice: User
) -> None:
    claims.claim(issue().pk, alice)
    sealing.seal_all()
    rewrite("UPDATE ledger_entry SET request_key = 'another-key-than-it' WHERE id = %s", entries[0].pk)

    assert "GREEN" in verify_ledger("--since", "2")
    with pytest.raises(CommandError, match="RED: 1 violation found"):
        verify_ledger()


def test_a_seal_that_was_published_and_is_gone_is_red(entries: list[Entry], tmp_path: Path) -> None:
    roots = tmp_path / "seals.jsonl"
    call_command("seal_ledger", "--export", str(roots), stdout=StringIO())
    line = json.loads(roots.read_text())
    roots.write_text(json.dumps(line) + "\n" + json.dumps(line | {"seq": 2}) + "\n")

    with pytest.raises(CommandError, match="RED: 1 violation found"):
        verify_ledger("--roots", str(roots))


def test_roots_that_are_not_there_are_refused_before_anything_is_read(db: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no file") as refused:
        verify_ledger("--roots", str(tmp_path / "none"))

    assert refused.value.returncode == 2
