"""Earlier revisions beside today's code, and the process that measures them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from dev.bench.git_revisions import NoHistory, short_commit, worker_class
from dev.race import scratch_database
from dev.race.launch import ROOT

SHOWN = """
import os
from dev.bench.django_setup import set_up_django
set_up_django()
from django.db import connection
from dev.chaos.experiment import web_environment
with connection.cursor() as cursor:
    cursor.execute("SHOW statement_timeout")
    print(cursor.fetchone()[0], web_environment().get("STATEMENT_TIMEOUT_MS"))
"""


def test_a_revision_that_does_not_exist_is_refused() -> None:
    with pytest.raises(NoHistory, match="no-such-revision"):
        short_commit("no-such-revision")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("cashback/gunicorn_worker/worker.py", "cashback.gunicorn_worker.worker.Worker"),
        ("cashback/worker.py", "cashback.worker.Worker"),
        ("cashback/wsgi.py", "gthread"),
    ],
)
def test_a_revision_is_served_by_its_own_worker_class(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()

    assert worker_class(tmp_path) == name


def test_set_up_has_no_statement_timeout_and_the_web_keeps_its_own(db: None) -> None:
    url = scratch_database.database_url(connection.settings_dict)
    inherited = {name: value for name, value in os.environ.items() if name != "STATEMENT_TIMEOUT_MS"}
    environ = inherited | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "cashback.settings"}

    shown = subprocess.run([sys.executable, "-c", SHOWN], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)

    assert (shown.stdout, shown.stderr) == ("0 None\n", "")
