"""`manage.py test_clock`: a sandbox whose time moves forward, for PostgreSQL and for Python, while the ledger stays sound."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from dev.race.scratch_database import database_url, scratch_database
from dev.services.paths import instance_paths

Run = Callable[..., "subprocess.CompletedProcess[str]"]
NOW = "from django.utils import timezone; from django.db import connection as c; k = c.cursor(); k.execute('SELECT now()')"
NOW = f"{NOW}; print(timezone.now().isoformat()); print(k.fetchone()[0].isoformat())"
KEYS = {name: os.urandom(40).hex() for name in ("SECRET_KEY", "JWT_SIGNING_KEY", "SEAL_SIGNING_KEY")}


@pytest.fixture
def sandbox(transactional_db: None) -> Iterator[Run]:
    """Return how to run `manage.py …` on a database of its own, which is seeded."""
    with scratch_database() as name:
        own = {"DATABASE_URL": database_url(connection.settings_dict | {"NAME": name})}
        own |= {"DJANGO_SETTINGS_MODULE": "cashback.settings"}

        def run(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                [sys.executable, "manage.py", *arguments],
                cwd=settings.BASE_DIR,
                env=os.environ | own | environ,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )

        try:
            for command in ("migrate", "grant_app_role", "seed"):
                made = run(command)
                assert made.returncode == 0, made.stderr
            yield run
        finally:
            (instance_paths().folder / f"test-clock-{name}").unlink(missing_ok=True)


def times(run: Run) -> list[timedelta]:
    """Return how far Python's time and the database's are ahead of the real one."""
    shown = run("shell", "--no-imports", "-c", NOW)
    return [datetime.fromisoformat(line) - datetime.now(UTC) for line in shown.stdout.split()]


def test_a_sandbox_moves_forward_ends_what_is_due_and_still_verifies(sandbox: Run) -> None:
    """One walk, as a database of its own takes long to make."""
    dry = sandbox("test_clock", "--forward", "8 days", "--dry-run").stdout
    assert "5 × credit that expires" in dry
    assert all(abs(ahead) < timedelta(minutes=5) for ahead in times(sandbox))

    moved = sandbox("test_clock", "--forward", "8 days")
    assert moved.returncode == 0, moved.stderr
    assert "8 days, 0:00:00 ahead" in moved.stdout
    assert "5 × credit expired, 1 × hold ended, 1 × claimed credit lapsed" in moved.stdout
    assert all(abs(ahead - timedelta(days=8)) < timedelta(minutes=5) for ahead in times(sandbox))
    verified = sandbox("verify_ledger", "--wait", "0")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert verified.stdout.startswith("This is a sandbox: its test clock is 8 days, 0:00:00 ahead.\nOK: ")

    for wrong in ("-1 day", "0 seconds", "11 years"):
        refused = sandbox("test_clock", f"--forward={wrong}")
        assert (refused.returncode, "only moves forward" in refused.stderr) == (1, True), wrong
    assert sandbox("test_clock", "--forward", "soon").returncode == 2
    sandbox("grant_app_role")
    assert "8 days, 0:00:00 ahead" in sandbox("test_clock").stdout

    deployed: dict[str, Any] = KEYS | {"CASHBACK_ENV": "production", "ALLOWED_HOSTS": "x.example"}
    reported = sandbox("verify_ledger", "--wait", "0", **deployed)
    assert (reported.returncode, "I25: function" in reported.stdout) == (1, True), reported.stderr
    assert "Unknown command" in sandbox("test_clock", **deployed).stderr
