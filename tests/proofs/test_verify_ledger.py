"""`manage.py verify_ledger` on a ledger with claims under seals."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import User
from tests.history import backdate
from wallet.actions import seal_ledger
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset
from wallet.ledger import signing
from wallet.ledger.models import Entry, Seal
from wallet.ledger.triggers import ENABLE_ALWAYS
from wallet.verification.checker import snapshot_connection, verify_everything
from wallet.verification.seals import seal_violations

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def entries(issue: Callable[..., CashbackAsset], alice: User) -> list[Entry]:
    for _ in range(3):
        claim_asset(issue().pk, alice)
    seal_ledger.seal_all()
    return list(Entry.objects.order_by("claimed_at"))


def verify_ledger(*options: str) -> str:
    said = StringIO()
    call_command("verify_ledger", *options, stdout=said, stderr=said)
    return said.getvalue()


def rewrite(statement: str, *values: Any) -> None:
    """Run SQL as a superuser who has switched the ledger's triggers off."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; ALTER TABLE ledger_entry DISABLE TRIGGER USER; ALTER TABLE ledger_seal DISABLE TRIGGER USER")
        cursor.execute(statement, values)
        cursor.execute(ENABLE_ALWAYS)
        cursor.execute("COMMIT")


def test_an_honest_ledger_is_green(entries: list[Entry], tmp_path: Path) -> None:
    roots = tmp_path / "seals.jsonl"
    call_command("seal_ledger", "--export", str(roots), stdout=StringIO())

    assert "OK: 3 ledger entries verified." in verify_ledger("--roots", str(roots))


def test_a_changed_amount_is_red_and_the_row_is_named(entries: list[Entry], capsys: pytest.CaptureFixture[str]) -> None:
    rewrite("UPDATE ledger_entry SET amount = amount + 1 WHERE id = %s", entries[1].pk)
    said = StringIO()

    with pytest.raises(CommandError, match="FAILED: 7 violations found") as refused:
        call_command("verify_ledger", stdout=said)

    assert refused.value.returncode == 1
    assert f"I4: entry {entries[1].pk} of asset {entries[1].asset_id} has 101.0000 INR" in said.getvalue()
    assert f"I8: entry {entries[1].pk} was changed after seal 1 was made" in said.getvalue()


def test_seals_before_since_are_taken_for_granted(
    entries: list[Entry], issue: Callable[..., CashbackAsset], alice: User
) -> None:
    claim_asset(issue().pk, alice)
    seal_ledger.seal_all()
    rewrite("UPDATE ledger_entry SET request_key = 'another-key-than-it' WHERE id = %s", entries[0].pk)

    assert "OK: 4 ledger entries verified." in verify_ledger("--since", "2")
    with pytest.raises(CommandError, match="FAILED: 1 violation found"):
        verify_ledger()


def test_a_seal_that_was_published_and_is_gone_is_red(entries: list[Entry], tmp_path: Path) -> None:
    roots = tmp_path / "seals.jsonl"
    call_command("seal_ledger", "--export", str(roots), stdout=StringIO())
    line = json.loads(roots.read_text())
    roots.write_text(json.dumps(line) + "\n" + json.dumps(line | {"seq": 2}) + "\n")

    with pytest.raises(CommandError, match="FAILED: 1 violation found"):
        verify_ledger("--roots", str(roots))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("", "contains no seals"),
        ("not json\n", "line 1: not a seal"),
        ('{"a": 1}\n', "line 1: not a seal"),
        ("[]\n", "line 1: not a seal"),
        ("\n", "line 1: not a seal"),
        ("SEAL\n{}\n", "line 2: not a seal"),
        ('SEAL\n{"seq":', "line 2: not a seal"),
    ],
)
def test_roots_that_are_no_file_of_seals_are_refused_before_anything_is_read(
    entries: list[Entry], tmp_path: Path, text: str | None, said: str
) -> None:
    roots = tmp_path / "seals.jsonl"
    if text is not None:
        roots.write_text(text.replace("SEAL", json.dumps(signing.published_seal(Seal.objects.get()))))

    with pytest.raises(CommandError, match=said) as refused:
        verify_ledger("--roots", str(roots))

    assert refused.value.returncode == 2


def test_it_says_with_how_many_published_seals_it_compared(
    entries: list[Entry], issue: Callable[..., CashbackAsset], alice: User, tmp_path: Path
) -> None:
    roots = tmp_path / "seals.jsonl"
    claim_asset(issue().pk, alice)
    call_command("seal_ledger", "--export", str(roots), stdout=StringIO())

    assert "Compared with 2 published seals." in verify_ledger("--roots", str(roots))
    assert "Compared" not in verify_ledger()


def test_since_the_next_seal_there_is_only_what_is_not_sealed_yet(
    entries: list[Entry], issue: Callable[..., CashbackAsset], alice: User
) -> None:
    assert "OK: 3 ledger entries verified." in verify_ledger("--since", "2")

    backdate(claim_asset(issue().pk, alice), timedelta(seconds=11))

    with pytest.raises(CommandError, match="FAILED: 1 violation found"):
        verify_ledger("--since", "2", "--wait", "0")


def test_a_scheduler_that_was_just_started_may_seal_what_was_left_before_it_is_judged(
    entries: list[Entry], issue: Callable[..., CashbackAsset], alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    backdate(claim_asset(issue().pk, alice), timedelta(minutes=5))
    looks: list[float] = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            seal_ledger.seal_all()

    monkeypatch.setattr("wallet.management.commands.verify_ledger.time.sleep", pause)

    assert "OK: 4 ledger entries verified." in verify_ledger()
    assert len(looks) == 3


def test_what_nobody_seals_is_red_after_the_wait(
    entries: list[Entry], issue: Callable[..., CashbackAsset], alice: User
) -> None:
    backdate(claim_asset(issue().pk, alice), timedelta(minutes=5))

    with pytest.raises(CommandError, match="FAILED: 1 violation found"):
        verify_ledger("--wait", "1")


def test_an_entry_that_an_open_transaction_keeps_from_being_sealed_is_red(
    entries: list[Entry], issue: Callable[..., CashbackAsset], alice: User
) -> None:
    """Of any database of the server, in a session whose transaction nobody but a superuser sees."""
    settings = connection.get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):
        settings.pop(name, None)
    with psycopg.connect(**settings | {"dbname": "postgres"}) as stranger:
        stranger.execute("SELECT pg_current_xact_id()")
        claim = claim_asset(issue().pk, alice)
        assert list(seal_violations()) == []
        backdate(claim, timedelta(seconds=61))

        (found,) = seal_violations()

    assert found.startswith(f"entry {claim.receipt['id']} is older than 60 s and cannot be sealed")
    seal_ledger.seal_all()
    assert list(seal_violations()) == []


def test_a_ledger_without_late_entries_is_judged_at_once(entries: list[Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wallet.management.commands.verify_ledger.time.sleep", lambda _: pytest.fail("it waited"))

    assert "OK: 3 ledger entries verified." in verify_ledger()


def test_since_a_seal_that_nothing_comes_before_there_is_nothing_to_verify(entries: list[Entry]) -> None:
    with pytest.raises(CommandError, match="--since 3 is beyond the last seal, 1") as refused:
        verify_ledger("--since", "3")

    assert refused.value.returncode == 2
    assert list(seal_violations(since=3)) == []


def test_a_ledger_that_lives_while_it_is_read_is_green(
    entries: list[Entry], issue: Callable[..., CashbackAsset], alice: User
) -> None:
    """What is claimed and sealed during a reading that takes longer than ten seconds is nobody's fault."""

    def meanwhile(_: int) -> None:
        backdate(claim_asset(issue().pk, alice), timedelta(seconds=11))
        seal_ledger.seal_all()

    with snapshot_connection() as reader:
        found = verify_everything(reader, progress=meanwhile)

    assert found == []
    assert Seal.objects.count() == 2
    assert list(seal_violations(progress=meanwhile)) == []


@pytest.mark.parametrize("transaction_id", [2**62, 2**40])
def test_an_entry_of_a_transaction_that_has_not_begun_is_red(
    entries: list[Entry], issue: Callable[..., CashbackAsset], alice: User, transaction_id: int
) -> None:
    late = claim_asset(issue().pk, alice).receipt["id"]
    rewrite("UPDATE ledger_entry SET xid = %s WHERE id = %s", str(transaction_id), late)
    seal_ledger.seal_all()

    with snapshot_connection() as reader:
        (found,) = verify_everything(reader)

    assert str(found) == (
        f"I8: entry {late} says that transaction {transaction_id} wrote it, which has not begun: it is never sealed"
        ' (see "Restoring")'
    )
