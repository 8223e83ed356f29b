"""seal_ledger, and the standalone verification of a proof."""

import json
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from wallet import tasks
from wallet.actions import seal_ledger
from wallet.ledger import signing
from wallet.ledger.models import Entry, Seal
from wallet.queries.inclusion_proof import inclusion_proof

MakeClaims = Callable[[int], list[str]]
SCRIPT = Path(__file__).parents[2] / "examples/verify_proof.py"

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: Any) -> str:
    out = StringIO()
    call_command("seal_ledger", *map(str, arguments), stdout=out)
    return out.getvalue()


def test_it_seals_and_says_how_much(make_claims: MakeClaims) -> None:
    make_claims(3)

    assert run() == "Sealed 3 entries under 1 new seals.\n"
    assert run() == "Sealed 0 entries under 0 new seals.\n"


def test_a_dry_run_counts_and_seals_nothing(make_claims: MakeClaims) -> None:
    make_claims(2)
    run()
    make_claims(3)

    assert run("--dry-run") == "Would seal 3 entries.\n"
    assert Seal.objects.count() == 1


def test_an_export_only_grows(make_claims: MakeClaims, tmp_path: Path) -> None:
    copy = tmp_path / "seals.jsonl"
    make_claims(1)
    run("--export", copy)
    first = copy.read_text()
    make_claims(1)
    run("--export", copy)
    run("--export", copy)

    assert copy.read_text().startswith(first)
    assert [json.loads(line)["seq"] for line in copy.read_text().splitlines()] == [1, 2]


def test_file_that_is_no_export_is_not_changed(make_claims: MakeClaims, tmp_path: Path) -> None:
    make_claims(1)
    file = tmp_path / "letter.txt"
    file.write_text("Dear customer\n")

    with pytest.raises(CommandError, match="Cannot append to"):
        run("--export", file)

    assert file.read_text() == "Dear customer\n"


def test_the_clock_seals_too(make_claims: MakeClaims) -> None:
    make_claims(2)

    assert tasks.seal_for_a_minute(every=0, rounds=2) == 2
    assert Seal.objects.count() == 1


def verify(proof: dict[str, Any], tmp_path: Path, key: str | None = None) -> subprocess.CompletedProcess[str]:
    (tmp_path / "proof.json").write_text(json.dumps(proof))
    command = [
        sys.executable,
        "-I",
        str(SCRIPT),
        str(tmp_path / "proof.json"),
        "--public-key",
        key or signing.public_key().hex(),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_proof_is_verified_by_a_script_that_knows_nothing_of_the_product(make_claims: MakeClaims, tmp_path: Path) -> None:
    make_claims(5)
    seal_ledger.seal_all()
    entry = Entry.objects.all()[2]

    verdict = verify(inclusion_proof(entry), tmp_path)

    assert verdict.returncode == 0
    assert verdict.stdout.startswith(f"Entry {entry.pk}: user {entry.user_id} claimed asset {entry.asset_id}, 100.0000 INR")


@pytest.mark.parametrize("lie", ["leaf", "index", "path", "signature", "key", "sums"])
def test_a_proof_that_was_touched_is_refused(make_claims: MakeClaims, tmp_path: Path, lie: str) -> None:
    make_claims(5)
    seal_ledger.seal_all()
    proof = inclusion_proof(Entry.objects.all()[2])
    changed: dict[str, Any] = {
        "leaf": proof | {"leaf": proof["leaf"].replace("100.0000", "900.0000")},
        "index": proof | {"index": proof["index"] ^ 1},
        "path": proof | {"path": proof["path"][1:]},
        "signature": proof | {"seal": proof["seal"] | {"signature": "00" * 64}},
        "key": proof,
        "sums": proof | {"seal": proof["seal"] | {"sums": {"INR": "1.00"}}},
    }

    verdict = verify(changed[lie], tmp_path, "11" * 32 if lie == "key" else None)

    assert verdict.returncode == 1
    assert verdict.stderr.startswith("NOT PROVED: ")
