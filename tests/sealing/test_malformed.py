"""A malformed seal is rejected by the table; an older one is reported by every reader and breaks none."""

import gc
import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DataError, IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from accounts.models import User
from cashback.database.roles import APP_ROLE
from kernel.transactions import violated_constraint
from tests import former_release
from tests.ledger.roles import become, sql
from wallet.actions import seal_ledger
from wallet.ledger import signing
from wallet.ledger.models import Entry, Seal
from wallet.ledger.seal_shape import SHAPE
from wallet.queries.inclusion_proof import NoValidSeal, inclusion_proof
from wallet.verification.seals import seal_violations

pytestmark = pytest.mark.django_db(transaction=True)

REST = ("root", "count", "sums", "sealed_at", "public_key", "signature", "leaves")
# What a forger puts into one column, and which check says so.
MALFORMED = {
    "short root": ("root", "'\\x00'", "seal_hashes_whole"),
    "long root": ("root", "root || root", "seal_hashes_whole"),
    "no key": ("public_key", "''", "seal_hashes_whole"),
    "short signature": ("signature", "substring(signature for 63)", "seal_hashes_whole"),
    "no leaves": ("leaves", "''", "seal_leaves_whole"),
    "half a leaf": ("leaves", "substring(leaves for 24)", "seal_leaves_whole"),
    "more entries than leaves": ("count", "2147483647", "seal_leaves_whole"),
    "no entries": ("count", "0", "seal_holds_entries"),
    "no JSON": ("sums", "'INR 100'", "seal_sums_stated"),
    "no sums": ("sums", "''", "seal_sums_stated"),
    "a list": ("sums", "'[]'", "seal_sums_stated"),
    "deep": ("sums", "repeat('[', 100000)", "seal_sums_stated"),
    "no amount": ("sums", """'{"INR": "much"}'""", "seal_sums_stated"),
    "NaN": ("sums", """'{"INR": NaN}'""", "seal_sums_stated"),
    "two lines": ("sums", "sums || chr(10)", "seal_sums_stated"),
    "never": ("sealed_at", "'infinity'", "seal_time_possible"),
    "before Christ": ("sealed_at", "'4000-01-01 BC'", "seal_time_possible"),
    "far": ("sealed_at", "'200000-01-01'", "seal_time_possible"),
}
each_kind = pytest.mark.parametrize("kind", MALFORMED)


def insert(kind: str) -> str:
    """Return SQL for a seal after the last, over what is closed, malformed in one column."""
    column, value, _ = MALFORMED[kind]
    copied = {name: name for name in REST} | {column: value}
    return (
        f"INSERT INTO ledger_seal (seq, previous_root, from_xid, to_xid, {', '.join(copied)})"
        f" SELECT seq + 1, root, to_xid, pg_snapshot_xmin(pg_current_snapshot()), {', '.join(copied.values())}"
        " FROM ledger_seal ORDER BY seq DESC LIMIT 1"
    )


@pytest.fixture
def sealed(make_claims: Callable[[int], list[str]]) -> list[str]:
    """One entry under a seal, and one that is closed and not yet sealed."""
    first = make_claims(1)
    seal_ledger.seal_all()
    return first + make_claims(1)


@pytest.fixture
def no_checks() -> Iterator[dict[str, str]]:
    """The table as it was before the checks, with whatever that lets in."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = ANY(%s)", [list(SHAPE)])
        checks = cursor.fetchall()
        for name, _ in checks:
            cursor.execute(f"ALTER TABLE ledger_seal DROP CONSTRAINT {name}")
    yield dict(checks)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_seal DISABLE TRIGGER USER; DELETE FROM ledger_seal; SELECT public.harden_triggers()")
        for name, definition in checks:
            cursor.execute(f"ALTER TABLE ledger_seal ADD CONSTRAINT {name} {definition}")


@each_kind
def test_the_application_puts_no_malformed_seal_into_the_table(sealed: list[str], kind: str) -> None:
    with pytest.raises((IntegrityError, DataError)) as refusal, transaction.atomic():
        become(APP_ROLE)
        sql(insert(kind))

    assert violated_constraint(refusal.value) == MALFORMED[kind][2]
    assert Seal.objects.count() == 1
    assert len(seal_ledger.seal_all()) == 1


@pytest.fixture
def forged(request: pytest.FixtureRequest, sealed: list[str], no_checks: None) -> list[str]:
    sql(insert(request.param))
    return sealed


def forged_by(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("forged", "kind"), [(kind, kind) for kind in kinds], indirect=["forged"])


each_forged = forged_by(*MALFORMED)
some_forged = forged_by("short root", "half a leaf", "no entries", "no JSON", "deep", "never", "before Christ")


@each_forged
def test_the_checker_names_it_and_reads_on(forged: list[str], make_claims: Callable[[int], list[str]], kind: str) -> None:
    make_claims(1)
    assert [seal.seq for seal in seal_ledger.seal_all()] == [3]

    found = list(seal_violations())

    assert found == [f"seal 2 is malformed: it breaks {MALFORMED[kind][2]}"]


@some_forged
def test_verify_ledger_ends_with_its_verdict(forged: list[str], kind: str) -> None:
    said = StringIO()

    with pytest.raises(CommandError, match="FAILED") as red:
        call_command("verify_ledger", stdout=said, stderr=StringIO())

    assert red.value.returncode == 1
    assert f"I8: seal 2 is malformed: it breaks {MALFORMED[kind][2]}" in said.getvalue()


@some_forged
def test_the_export_goes_on_and_says_which_it_left_out(
    forged: list[str], make_claims: Callable[[int], list[str]], tmp_path: Path, kind: str
) -> None:
    make_claims(1)
    seal_ledger.seal_all()
    file = tmp_path / "seals.jsonl"

    with pytest.raises(CommandError, match="Not exported because malformed: seal 2"):
        call_command("seal_ledger", "--export", str(file), stdout=StringIO())

    assert [json.loads(line)["seq"] for line in file.read_text().splitlines()] == [1, 3]


@some_forged
def test_proofs_console_and_pages_answer(forged: list[str], root: User, alice: User, kind: str) -> None:
    """The entry that the malformed seal covers has no proof, and every list works."""
    gc.collect()  # unclosed downloads of earlier tests hold slots of file_download.OPEN_FILES
    proven, covered = (Entry.objects.get(pk=entry) for entry in forged)
    assert inclusion_proof(proven)["seal"]["seq"] == 1
    with pytest.raises(NoValidSeal):
        inclusion_proof(covered)

    console, person = Client(raise_request_exception=False), Client(raise_request_exception=False)
    console.force_login(root)
    person.force_login(alice)
    changelist = reverse("admin:ledger_seal_changelist")
    answers = {
        "list": console.get(changelist),
        "row": console.get(reverse("admin:ledger_seal_change", args=[2])),
        "csv": console.get(f"{changelist}export/csv/"),
        "xlsx": console.get(f"{changelist}export/xlsx/"),
        "entry": console.get(reverse("admin:ledger_entry_change", args=[covered.pk])),
        "entries": console.get(reverse("admin:ledger_entry_changelist"), {"seal": "2"}),
        "system": console.get(reverse("system")),
        "receipt": person.get(reverse("receipt", args=[covered.pk])),
        "proof page": person.get(reverse("proof", args=[covered.pk]), follow=True),
        "proof": person.get(f"/api/v1/claims/{covered.pk}/proof/"),
    }

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 200) | {"proof": 409}
    csv = b"".join(answers["csv"]).decode().splitlines()
    assert [line.startswith(f"{seq},") for line, seq in zip(csv[1:], (2, 1), strict=True)] == [True, True]
    assert "malformed" in csv[1]
    assert "not valid" in answers["proof page"].content.decode()
    assert answers["proof"].json()["detail"] == NoValidSeal.detail


@some_forged
def test_published_copies_are_compared_all_the_same(forged: list[str], tmp_path: Path, kind: str) -> None:
    file = tmp_path / "seals.jsonl"
    first = signing.published_seal(Seal.objects.get(seq=1))
    file.write_text("".join(json.dumps(first | {"seq": seq}) + "\n" for seq in (1, 2)))

    assert "seal 2 differs from its published copy" in list(seal_violations(published=file))


def test_a_well_formed_seal_that_does_not_hold_its_entries_gives_no_proof(sealed: list[str]) -> None:
    with transaction.atomic():
        become(APP_ROLE)
        sql(
            f"INSERT INTO ledger_seal (seq, previous_root, from_xid, to_xid, {', '.join(REST)})"
            f" SELECT 2, root, to_xid, pg_snapshot_xmin(pg_current_snapshot()), {', '.join(REST)} FROM ledger_seal"
        )

    with pytest.raises(NoValidSeal):
        inclusion_proof(Entry.objects.get(pk=sealed[1]))


def test_an_upgrade_is_not_stopped_by_a_malformed_seal_that_is_there(sealed: list[str], no_checks: dict[str, str]) -> None:
    sql(insert("never"))
    for name in ("seal_sums_stated", "seal_position_stated"):  # those that the way back to 0009 takes away
        sql(f"ALTER TABLE ledger_seal ADD CONSTRAINT {name} {no_checks[name].removesuffix(' NOT VALID')} NOT VALID")

    call_command("migrate", "ledger", "0009", verbosity=0)
    sql("ALTER TABLE ledger_seal DROP CONSTRAINT seal_sums_stated")
    call_command("migrate", "ledger", "0008", fake=True, verbosity=0)
    former_release.migrate_to_this_one()

    assert "seal 2 is malformed: it breaks seal_time_possible" in list(seal_violations())
    with pytest.raises(IntegrityError):
        sql(insert("deep"))
    with connection.cursor() as cursor:  # the fixture puts them back
        for name in SHAPE.keys() - {"seal_holds_entries"}:
            cursor.execute(f"ALTER TABLE ledger_seal DROP CONSTRAINT {name}")
