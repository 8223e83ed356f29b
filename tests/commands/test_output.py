"""Commands whose output cannot be written end in one line, without a traceback."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from dev.race import scratch_database
from tests.commands.conftest import Ended
from wallet.assets.models import CashbackAsset, CreditPool

COMMANDS = [
    ("summary",),
    ("ownership_report",),
    ("ownership_report", "--format", "csv"),
    ("expire_assets", "--dry-run"),
    ("schedule_tasks", "--dry-run"),
    ("seal_ledger", "--dry-run"),
    ("seed", "--dry-run"),
    ("verify_ledger", "--wait", "0"),
    ("import_assets", "examples/credits.csv", "--dry-run"),
    ("grant_app_role", "--dry-run"),
    ("services", "status"),
    ("bench", "--list"),
    ("prove", "--help"),
    ("prove_claims", "--help"),
    ("run", "--help"),
    ("help",),
]
pytestmark = pytest.mark.django_db(transaction=True)
Shell = Callable[..., Ended]


@pytest.fixture
def into() -> Callable[..., Ended]:
    """Run `manage.py …` with its output in this file."""

    def run(target: str, *arguments: str) -> Ended:
        environ = {
            "DATABASE_URL": scratch_database.database_url(connection.settings_dict),
            "REDIS_URL": os.environ.get("REDIS_URL", ""),
        }
        # Unbuffered, argparse itself swallows the error of writing a help text.
        whole = {**os.environ, **environ, "DJANGO_SETTINGS_MODULE": "cashback.settings", "PYTHONUNBUFFERED": ""}
        with Path(target).open("w") as out:
            done = subprocess.run(
                [sys.executable, "manage.py", *arguments],
                cwd=settings.BASE_DIR,
                env=whole,
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                timeout=120,
            )
        return Ended(done.returncode, "", done.stderr)

    return run


@pytest.fixture
def example_pools(open_pool: Callable[..., CreditPool], issue: Callable[..., CashbackAsset]) -> None:
    """The pools of the example file, and a credit to list."""
    call_command("seed", stdout=io.StringIO(), yes=True)
    issue()


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_full_disk_is_one_line_and_an_exit_code(into: Callable[..., Ended], example_pools: None, arguments: Any) -> None:
    ended = into("/dev/full", *arguments)

    assert (ended.code, ended.err.splitlines()[-1:]) == (1, ["Cannot write the output (No space left on device)."])
    assert "Traceback" not in ended.err
    assert "Exception ignored" not in ended.err


@pytest.mark.parametrize(
    "arguments", [("summary",), ("ownership_report",), ("ownership_report", "--format", "csv")], ids=" ".join
)
def test_letters_that_a_terminal_cannot_show_are_one_line(shell: Shell, open_pool: Any, issue: Any, arguments: Any) -> None:
    issue(title="दिवाली", pool=open_pool(name="दिवाली"))

    ended = shell(*arguments, PYTHONIOENCODING="ascii", LC_ALL="C")

    assert ended.code == 1
    assert ended.err.splitlines()[-1].endswith("in the encoding ascii: set PYTHONIOENCODING=utf-8 and try again.")
    assert "Traceback" not in ended.err


def test_a_pipe_that_is_closed_early_is_no_error(example_pools: None) -> None:
    environ = os.environ | {
        "DATABASE_URL": scratch_database.database_url(connection.settings_dict),
        "DJANGO_SETTINGS_MODULE": "cashback.settings",
    }
    line = f"{sys.executable} manage.py ownership_report --format csv | head -n 0; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=settings.BASE_DIR, env=environ, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode in (0, 141)
    assert "Error" not in done.stderr
