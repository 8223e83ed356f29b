"""Fixtures that run commands in this process or in a shell."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from dev.race import scratch_database


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def command(db: None) -> Callable[..., str]:
    """Run a command here and return what it wrote."""

    def run(*arguments: str) -> str:
        out = io.StringIO()
        call_command(*arguments, stdout=out, stderr=io.StringIO())
        return out.getvalue()

    return run


@pytest.fixture
def shell() -> Callable[..., Ended]:
    """Run `manage.py …` as a process of its own on the test database and return how it ended."""

    def run(*arguments: str, **environ: str) -> Ended:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=settings.BASE_DIR,
            env=os.environ
            | {
                "DATABASE_URL": scratch_database.database_url(connection.settings_dict),
                "DJANGO_SETTINGS_MODULE": "cashback.settings",
            }
            | environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def csv_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of credits; its columns are the usual ones unless named."""

    def write(*lines: str, header: str = "title,total_value,currency,pool,expires_at") -> Path:
        path = tmp_path / "credits.csv"
        path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
        return path

    return write
