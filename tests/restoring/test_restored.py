"""`manage.py restored` on real servers: dumps and copies of ledgers with few, many and very many transactions behind them."""

import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import User
from cashback.database.roles import APP_ROLE
from dev.services import postgres
from tests.restoring.conftest import EPOCH, Restoring, at_server, reset_counter, restored
from wallet.actions import seal_ledger
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Seal
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)
Issue = Callable[..., CashbackAsset]
SUBJECTS = ["migrations", "transaction ids", "rules", "privileges", "statistics"]


def marks(lines: list[str]) -> dict[str, str]:
    """Return the mark of each subject."""
    return {line[9:].partition(":")[0]: line[:9].strip() for line in lines if ":" in line}


def state(subject: str, lines: list[str]) -> str:
    """Return the line of a subject, without its mark."""
    (found,) = (line[9:] for line in lines if line[9:].startswith(f"{subject}:"))
    return found


def all_of(*expected: str) -> dict[str, str]:
    return dict(zip(SUBJECTS, expected, strict=True))


def violations() -> list[str]:
    with snapshot_connection() as reader:
        return [str(violation) for violation in verify_everything(reader)]


def claim_and_seal(asset: CashbackAsset, user: User) -> Seal:
    claim_asset(asset.pk, user)
    (seal,) = seal_ledger.seal_all()
    return seal


def export(file: Path) -> Path:
    call_command("seal_ledger", "--export", str(file), stdout=StringIO())
    return file


@pytest.mark.parametrize("start", [100_000_000, 3 * EPOCH + 1_500_000_000])
def test_a_dump_seals_again_once_the_epoch_is_above_the_ledger(
    restoring: Restoring, issue: Issue, alice: User, tmp_path: Path, start: int
) -> None:
    first, second = issue(), issue()
    source, target = restoring.server("source"), restoring.server("target")
    restoring.advance(source, start)
    restoring.copy_database(restoring.of_tests, source)
    with at_server(source):
        assert claim_and_seal(first, alice).to_xid > start
        roots = export(tmp_path / "seals.jsonl")
    restoring.copy_database(source, target)

    with at_server(target):
        lines, error = restored()
        assert marks(lines) == all_of("ok", "to do", "ok", "[apply]", "[apply]")
        assert error == "Not ready: 3 to do. --apply does those marked [apply]."
        epoch, folder = re.findall(r"`pg_resetwal --epoch=(\d+) --pgdata=(\S+)`", state("transaction ids", lines))[0]
        assert (int(epoch), folder) == (start // EPOCH + 1, str(target.instance.data))
    postgres.stop_postgres(target.instance)
    assert reset_counter(target, f"--epoch={epoch}") == 0
    postgres.start_postgres(target.instance)

    with at_server(target):
        assert marks(restored("--apply", "--roots", roots)[0]) == all_of("ok", "ok", "ok", "done", "done") | {"seals": "ok"}
        lines, error = restored("--roots", roots)
        assert (set(marks(lines).values()), error) == ({"ok"}, "")
        assert claim_and_seal(second, alice).seq == 2
        assert violations() == []
        connection.close()


def test_without_a_higher_epoch_a_dump_never_seals_new_claims(restoring: Restoring, issue: Issue, alice: User) -> None:
    first, second = issue(), issue()
    source, target = restoring.server("source"), restoring.server("target")
    restoring.advance(source, 100_000_000)
    restoring.copy_database(restoring.of_tests, source)
    with at_server(source):
        claim_and_seal(first, alice)
    restoring.copy_database(source, target)

    with at_server(target):
        claim_asset(second.pk, alice)
        assert seal_ledger.seal_all() == []
        connection.close()


@pytest.mark.parametrize("start", [100_000_000, EPOCH + 5_000])
def test_a_copy_of_the_files_goes_on_with_its_transaction_ids(
    restoring: Restoring, issue: Issue, alice: User, start: int
) -> None:
    first, second = issue(), issue()
    source = restoring.server("source")
    restoring.advance(source, start)
    restoring.copy_database(restoring.of_tests, source)
    with at_server(source):
        restored("--apply")
        claim_and_seal(first, alice)
    copy = source.copy("copy")
    postgres.start_postgres(copy.instance)

    with at_server(copy):
        assert marks(restored("--apply")[0]) == all_of("ok", "ok", "ok", "ok", "done")
        assert claim_and_seal(second, alice).to_xid > start
        assert violations() == []
        connection.close()


def test_published_seals_that_are_gone_are_named_with_what_they_sealed(issue: Issue, alice: User, tmp_path: Path) -> None:
    claim_and_seal(issue(), alice)
    roots = export(tmp_path / "seals.jsonl")
    (line,) = map(json.loads, roots.read_text().splitlines())
    later = [line | {"seq": seq, "count": 2, "sums": {"INR": "200.00"}} for seq in (2, 3, 4, 6)]
    with roots.open("a") as file:
        file.writelines(json.dumps(seal) + "\n" for seal in later)

    lines, error = restored("--roots", roots)

    assert marks(lines)["seals"] == "to do"
    assert state("seals", lines).startswith("seals: seals 2 to 4, 6 are gone, with 8 entries (claims of 800.00 INR).")
    assert error.startswith("Not ready: ")


def test_a_published_seal_that_differs_is_named(issue: Issue, alice: User, tmp_path: Path) -> None:
    claim_and_seal(issue(), alice)
    roots = export(tmp_path / "seals.jsonl")
    roots.write_text(json.dumps(json.loads(roots.read_text()) | {"count": 7}) + "\n")

    assert state("seals", restored("--roots", roots)[0]).startswith("seals: seal 1 is not as published, with 7 entries (")


def test_what_is_no_file_of_seals_compares_nothing(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear customer\n")

    assert restored("--roots", tmp_path / "letter.txt")[1].startswith("The seals were not compared: ")


@pytest.mark.parametrize(
    ("damage", "subject", "sentence"),
    [
        ("ALTER TABLE ledger_entry ENABLE TRIGGER ALL", "rules", "not enforced"),
        (f"REVOKE SELECT ON ledger_entry FROM {APP_ROLE}", "privileges", f"{APP_ROLE} lacks SELECT on ledger_entry."),
        (
            f"GRANT UPDATE ON ledger_seal TO {APP_ROLE}",
            "privileges",
            f"{APP_ROLE} has, but must not have, UPDATE on ledger_seal.",
        ),
        (
            f"GRANT INSERT (xid) ON ledger_entry TO {APP_ROLE}",
            "privileges",
            f"{APP_ROLE} has, but must not have, INSERT on ledger_entry.xid.",
        ),
        (f"ALTER ROLE {APP_ROLE} RESET statement_timeout", "privileges", f"{APP_ROLE} has no statement_timeout."),
        ("GRANT TEMPORARY ON DATABASE {database} TO PUBLIC", "privileges", "Every role of the server has TEMPORARY"),
    ],
)
def test_a_connection_puts_rules_and_privileges_right(db: None, damage: str, subject: str, sentence: str) -> None:
    restored("--apply")
    with connection.cursor() as cursor:
        cursor.execute(damage.format(database=f'"{connection.settings_dict["NAME"]}"'))

    shown, done, after = (restored(*options)[0] for options in ((), ("--apply",), ()))

    assert (marks(shown)[subject], marks(done)[subject], marks(after)[subject]) == ("[apply]", "done", "ok")
    assert sentence in state(subject, shown)


def test_a_ready_database_says_what_comes_next(db: None) -> None:
    call_command("restored", "--apply", stdout=StringIO())

    lines, error = restored()

    assert (marks(lines), error) == (all_of(*["ok"] * 5), "")
    assert lines[-1] == "Ready. Now run `manage.py verify_ledger`, and start the web and the scheduler."


def test_without_the_role_it_is_made(db: None) -> None:
    with pytest.raises(CommandError, match="Not ready: "):
        call_command("restored", "--role", "nobody_yet", stdout=StringIO())
