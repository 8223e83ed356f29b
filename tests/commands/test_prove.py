"""`manage.py prove`."""

import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from dev.chaos import junit
from dev.chaos.catalogue import FAULTS
from dev.management.commands import prove
from tests.commands.conftest import Ended
from wallet.ledger.models import Entry

pytestmark = pytest.mark.xdist_group("races")
Command = Callable[..., str]
PASSED = {
    "count": 3,
    "least": 2,
    "claims": 1234,
    "attempts": 1300,
    "unknown": 4,
    "note": "",
    "skipped": False,
    "violations": [],
}
LOST = {"invariant": "I2", "sentence": "entry 7 is not in the ledger"}
DOUBLED = {"invariant": "I1", "sentence": "asset 8 has 2 claims"}
LATE = {"invariant": "time", "sentence": "it took 11.0 s to serve again"}
GENERATED = """<testsuites><testsuite>
<testcase name="test_a"><properties><property name="proof" value="P1"/><property name="count" value="200"/>
<property name="claims" value="950"/><property name="note" value="200 sequences"/></properties></testcase>
<testcase name="test_b[GET]"><properties><property name="proof" value="P6"/><property name="count" value="40"/></properties>
</testcase>
<testcase name="test_b[POST]"><properties><property name="proof" value="P6"/></properties>{}</testcase>
</testsuite></testsuites>"""
STAMPEDE = """<testsuites><testsuite>
<testcase name="test_c"><properties><property name="proof" value="T1"/><property name="count" value="20"/>
<property name="claims" value="20"/></properties></testcase>
</testsuite></testsuites>"""
FAILED = '<failure message="it answered 500&#10;and more">…</failure>'


@pytest.fixture
def outcomes_by_fault(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Outcomes that replace the runs of the faults."""
    outcomes: dict[str, dict[str, Any]] = {}

    def run(seconds: dict[str, float], *_: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from ((name, PASSED | outcomes.get(name, {})) for name in seconds)

    monkeypatch.setattr(prove, "run_faults", run)
    return outcomes


@pytest.mark.django_db(transaction=True)
def test_one_fault_runs_on_separate_servers_and_is_reported(shell: Callable[..., Ended], tmp_path: Path) -> None:
    page, logs = tmp_path / "page.md", tmp_path / "logs"

    ended = shell("prove", "--only", "t13", "--seed", "7", "--write", str(page), "--logs", str(logs))

    assert (ended.code, ended.err) == (0, "T13: a row lock held for 10 s …\n")
    for said in ("Seed 7. 1 fault", "T13", "ok", "answered after 2.", "OK: no claim lost", f"Written to {page}."):
        assert said in ended.out
    assert "| T13 | a row lock held for 10 s | 1 | 0 | 0 | 0 | 0 | ok | answered after 2." in page.read_text()
    assert (logs / "T13.jsonl").exists()
    assert Entry.objects.count() == 0


def test_violation_fails_with_exit_code_1_and_is_counted(
    command: Command, outcomes_by_fault: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    outcomes_by_fault["T3"] = {"violations": [LOST, DOUBLED, DOUBLED, LATE]}
    page = tmp_path / "page.md"

    with pytest.raises(CommandError, match=r"FAILED: T3\. Seed 7\.") as failed:
        command("prove", "--only", "T3,T4", "--seed", "7", "--write", str(page))

    assert failed.value.returncode == 1
    assert f"| T3 | {FAULTS['T3'].what} | 3 | 1,234 | 1 | 2 | 1 | FAILED |  |" in page.read_text()
    assert f"| T4 | {FAULTS['T4'].what} | 3 | 1,234 | 0 | 0 | 0 | ok |  |" in page.read_text()


def test_first_violations_of_many_are_printed(outcomes_by_fault: dict[str, dict[str, Any]]) -> None:
    outcomes_by_fault["T3"], said = {"violations": [LATE] * 7}, io.StringIO()

    with pytest.raises(CommandError):
        call_command("prove", "--only", "T3", stdout=said, stderr=io.StringIO())

    assert said.getvalue().count("T3: time: it took 11.0 s to serve again") == prove.SHOWN
    assert "T3: … and 2 more" in said.getvalue()


def test_skipped_fault_neither_passes_nor_fails(
    command: Command, outcomes_by_fault: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    outcomes_by_fault["T15"] = {
        "count": 0,
        "least": 0,
        "claims": 0,
        "skipped": True,
        "note": "only root may mount a small disk",
    }
    page = tmp_path / "page.md"

    said = command("prove", "--only", "T15", "--write", str(page))

    assert "OK: " in said
    assert "| 0 | 0 | 0 | 0 | 0 | skipped | only root may mount a small disk |" in page.read_text()


def test_report_has_time_machine_and_seed(
    command: Command, outcomes_by_fault: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    page = tmp_path / "page.md"

    command("prove", "--only", "T13", "--seed", "7", "--minutes", "1.5", "--write", str(page))

    fact = rf"^\d{{4}}-\d\d-\d\d · 0\.0 minutes \(1\.5 asked for\) · seed 7 · {os.cpu_count()} cores · PostgreSQL \d+\.\d+$"
    assert re.search(fact, page.read_text(), re.MULTILINE)
    assert "`make prove MINUTES=1.5 SEED=7` repeats the run with the same seed" in page.read_text()


def test_generated_actions_and_requests_are_listed(
    command: Command, outcomes_by_fault: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    page, report = tmp_path / "page.md", tmp_path / "generated.xml"
    stampede = tmp_path / "stampede.xml"
    report.write_text(GENERATED.format(""))
    stampede.write_text(STAMPEDE)

    command("prove", "--only", "T13", "--generated", str(report), str(stampede), "--write", str(page))

    assert (
        "| P1 | any sequence of operations, against a dictionary as the model | 200 | 950 | 0 | 0 | 0 | ok | 200 sequences |"
        in page.read_text()
    )
    assert re.search(r"\| P6 \| .+ \| 40 \| 0 \| 0 \| 0 \| 0 \| ok \|  \|", page.read_text())
    assert "| T1 | 200 users at once at one credit, over HTTP | 20 | 20 | 0 | 0 | 0 | ok |  |" in page.read_text()
    assert re.findall(r"^\| ([PT]\d+) ", page.read_text(), re.MULTILINE) == ["P1", "P6", "T1", "T13"]


def test_each_proof_by_test_is_listed() -> None:
    """What is told by pytest and what is run by the command: together all of them, none twice."""
    assert set(junit.WHAT) == {"P1", "P3", "P4", "P6", "T1", "T2"}
    assert not set(junit.WHAT) & set(FAULTS)


@pytest.mark.parametrize("bad", [FAILED, '<error message="it answered 500"/>'])
def test_failed_generated_test_fails_the_run(
    command: Command, outcomes_by_fault: dict[str, dict[str, Any]], tmp_path: Path, bad: str
) -> None:
    page, report = tmp_path / "page.md", tmp_path / "generated.xml"
    report.write_text(GENERATED.format(bad))

    with pytest.raises(CommandError, match="FAILED: P6") as failed:
        command("prove", "--only", "T13", "--generated", str(report), "--write", str(page))

    assert failed.value.returncode == 1
    assert re.search(r"\| P6 \| .+ \| 40 \| 0 \| 0 \| 0 \| 1 \| FAILED \|", page.read_text())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--only", "T3,T99"), "unknown fault: T99; choose from T0, T3"),
        (("--seed", "0"), "is not a positive whole number"),
        (("--generated", "/nowhere/generated.xml"), "File not found: /nowhere/generated.xml"),
        (("--write", "/nowhere/page.md"), "Cannot write /nowhere/page.md"),
    ],
)
def test_invalid_prove_command_line_is_refused(command: Command, options: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said) as refused:
        command("prove", *options)

    # What argparse refuses, it ends with 2 by itself.
    assert refused.value.returncode == 2 or str(refused.value).startswith("Error: argument")


def test_help_lists_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("prove", "--help")

    assert ended.value.code == 0
    assert ", ".join(FAULTS) in " ".join(capsys.readouterr().out.split())
