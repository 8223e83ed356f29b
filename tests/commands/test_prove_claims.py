"""`manage.py prove_claims`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError
from django.db import connection

from dev.race import scratch_database
from tests.commands.conftest import Ended
from tests.proofs.conftest import scratch_databases
from wallet.ledger.models import Entry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("races")]
Shell = Callable[..., Ended]
SMALL = ("--users", "20", "--credits", "2", "--seed", "7")


def error_lines(ended: Ended) -> list[str]:
    """Return the lines on standard error, except for those of the progress."""
    return [line for line in ended.err.splitlines() if not line.startswith("Racing, rounds: ")]


def test_successful_race_prints_its_figures_and_exits_with_0(shell: Shell, tmp_path: Path) -> None:
    ended = shell("prove_claims", *SMALL, "--json", str(tmp_path / "race.json"))

    assert (ended.code, error_lines(ended)) == (0, [])
    for said in (
        "20 database connections",
        "Seed 7.",
        "2 of 2",
        "40 of 40",
        "asset_already_claimed",
        "p50 / p95 / p99",
        "OK: each credit has one owner",
    ):
        assert said in ended.out
    figures = json.loads((tmp_path / "race.json").read_text())
    assert (figures["green"], figures["violations"], figures["plan"]["seed"]) == (True, [], 7)
    assert len(figures["log"]) == figures["attempts"]
    assert Entry.objects.count() == 0


def test_race_without_the_lock_fails_reports_the_rows_and_exits_with_1(shell: Shell) -> None:
    ended = shell("prove_claims", *SMALL, "--without-lock")

    assert ended.code == 1
    assert "I1: asset " in ended.out
    (verdict,) = error_lines(ended)
    assert re.fullmatch(r"CommandError: FAILED as expected: [\d,]+ violations without the lock\.", verdict)
    assert scratch_databases() == []


def test_race_with_fewer_connections_than_users_succeeds(shell: Shell) -> None:
    ended = shell("prove_claims", *SMALL, "--connections", "3")

    assert (ended.code, "through 3 database connections" in ended.out, "OK: " in ended.out) == (0, True, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--http", "--without-lock"), "use --without-lock without --http"),
        (("--users", "1"), "At least 2 users"),
        (("--json", "/nowhere/race.json"), "Cannot write /nowhere/race.json"),
    ],
)
def test_invalid_race_command_line_is_refused(command: Callable[..., str], options: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said) as refused:
        command("prove_claims", *options)

    assert refused.value.returncode == 2


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Let children be interrupted, also if the tests run in a shell's background, whose jobs ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_race_leaves_no_database_and_no_process(kind: signal.Signals) -> None:
    url = scratch_database.database_url(connection.settings_dict)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "prove_claims", "--users", "20", "--credits", "5000"],
        cwd=settings.BASE_DIR,
        env=os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "cashback.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not racing() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)

        process.send_signal(kind)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()

    assert (process.returncode, err.splitlines()[-1]) == (130, "Interrupted.")
    assert scratch_databases() == []


def racing() -> bool:
    """Tell whether clients are connected to a scratch database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'prove\\_%%' AND state IS NOT NULL")
        return bool(cursor.fetchone()[0] > 5)
