"""The scheduled export of seals: a file that grows, and a command that takes them elsewhere."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django import Settings

from tests.concurrency import at_once
from tests.test_deployment import manage
from wallet import tasks
from wallet.actions import export_seals as exports
from wallet.actions import seal_ledger
from wallet.actions.export_seals import SealExportFailed, export_seals
from wallet.ledger import signing
from wallet.ledger.models import Seal

MakeClaims = Callable[[int], list[str]]
pytestmark = pytest.mark.django_db(transaction=True)


def sealed(make_claims: MakeClaims, seals: int) -> None:
    for _ in range(seals):
        make_claims(1)
        seal_ledger.seal_all()


def numbers(file: Path) -> list[int]:
    return [json.loads(line)["seq"] for line in file.read_text().splitlines()]


@pytest.fixture
def file(settings: Settings, tmp_path: Path) -> Path:
    settings.SEAL_EXPORT_FILE = str(tmp_path / "seals.jsonl")
    return tmp_path / "seals.jsonl"


def test_without_a_file_the_task_exports_nothing(make_claims: MakeClaims) -> None:
    sealed(make_claims, 1)

    assert tasks.publish_seals() == 0


def test_the_task_appends_what_is_new(make_claims: MakeClaims, file: Path) -> None:
    sealed(make_claims, 2)
    assert tasks.publish_seals() == 2
    sealed(make_claims, 1)
    assert (tasks.publish_seals(), tasks.publish_seals()) == (1, 0)

    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        signing.published_seal(seal) for seal in Seal.objects.order_by("seq")
    ]


def test_the_command_gets_the_same_lines(make_claims: MakeClaims, file: Path, settings: Settings, tmp_path: Path) -> None:
    settings.SEAL_EXPORT_COMMAND = f"tee -a '{tmp_path / 'else where'}'"
    for count in (2, 1):
        sealed(make_claims, count)
        assert tasks.publish_seals() == count

    assert (tmp_path / "else where").read_text() == file.read_text()
    assert numbers(file) == [1, 2, 3]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (f"{sys.executable} -c 'import sys; sys.exit(\"no route\")'", "ended with 1: no route"),
        ("false", "ended with 1: it printed no error"),
        ("/there/is/none", "No such file"),
    ],
)
def test_what_the_command_did_not_take_is_exported_the_next_time(
    make_claims: MakeClaims, file: Path, settings: Settings, command: str, reason: str
) -> None:
    sealed(make_claims, 1)
    settings.SEAL_EXPORT_COMMAND = command
    with pytest.raises(SealExportFailed, match=reason):
        tasks.publish_seals()
    assert file.read_text() == ""
    settings.SEAL_EXPORT_COMMAND = ""

    assert tasks.publish_seals() == 1
    assert numbers(file) == [1]


def test_a_long_backlog_is_exported_part_by_part(make_claims: MakeClaims, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "SEALS_AT_ONCE", 2)
    sealed(make_claims, 5)

    assert export_seals(file, "cat") == exports.SealExport(5, [])
    assert numbers(file) == [1, 2, 3, 4, 5]


def test_exports_at_once_write_each_seal_once(make_claims: MakeClaims, file: Path) -> None:
    sealed(make_claims, 3)

    outcomes = at_once(lambda _: export_seals(file).count, range(4))

    assert sorted(outcomes, key=str) == [0, 0, 0, 3]
    assert numbers(file) == [1, 2, 3]


def test_only_the_end_of_a_long_file_is_read(make_claims: MakeClaims, file: Path) -> None:
    sealed(make_claims, 2)
    file.write_text("x" * 2 * exports.MAX_LINE_BYTES + "\n" + json.dumps({"seq": 1}) + "\n")

    assert export_seals(file).count == 1


def test_a_half_written_line_is_refused(make_claims: MakeClaims, file: Path) -> None:
    sealed(make_claims, 2)
    export_seals(file)
    file.write_text(file.read_text()[:-20])

    with pytest.raises(SealExportFailed, match="Cannot append to"):
        export_seals(file)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"SEAL_EXPORT_FILE": "seals.jsonl"}, "SEAL_EXPORT_FILE must be a path from the root"),
        ({"SEAL_EXPORT_COMMAND": "cat"}, "SEAL_EXPORT_COMMAND needs SEAL_EXPORT_FILE."),
        ({"SEAL_EXPORT_FILE": "/tmp/x", "SEAL_EXPORT_COMMAND": "cat '"}, "SEAL_EXPORT_COMMAND must be a command line"),
    ],
)
def test_settings_that_cannot_work_refuse_to_start(environ: dict[str, str], said: str) -> None:
    start = manage("check", **environ)

    assert start.returncode == 1
    assert said in start.stderr
