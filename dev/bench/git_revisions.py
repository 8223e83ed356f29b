"""Earlier revisions of the product, taken from its Git history, to run beside today's code on the same database."""

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.race.launch import ROOT

# The steps that made claims faster: the commit, and what it changed. The figures name them so.
BEFORE = "22fc66b"
STEPS = {
    BEFORE: "one claim per transaction, through the ORM",
    "276559d": "concurrent claims share one transaction; token look-ups are batched too",
    "f72e4bb": "one statement for the token and its user, one for the entries; signatures are verified once",
    "a9c0dac": "the API's URLs are tried first; no serializer for an empty body",
    "04fb890": "fewer round trips per batch and per rate limit, none to check a pooled connection",
    "858cf19": "token requests skip the middleware of pages",
    "8bd2633": "busy connections stay with their thread; permanent objects are excluded from garbage collection",
    "4aba573": "lock and read allowances in one round trip, mark and append in another",
    "5146398": "each worker is pinned to a core",
}


class NoHistory(Exception):
    """The revision is not in the history of this copy of the project."""


def short_commit(revision: str) -> str:
    """Return the short id of the commit that a revision names; raise NoHistory when there is none."""
    command = [
        "git",
        "-C",
        str(ROOT),
        "rev-parse",
        "--verify",
        "--quiet",
        "--short",
        "--end-of-options",
        f"{revision}^{{commit}}",
    ]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoHistory(f"Revision {revision} is not in the history of {ROOT.name}.") from error


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Yield a folder with the files of a commit; raise NoHistory when the commit is unknown here."""
    command = ["git", "-C", str(ROOT), "archive", commit]
    try:
        archive = subprocess.run(command, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoHistory(f"Commit {commit} is not in the history of {ROOT.name}.") from error
    with tempfile.TemporaryDirectory(prefix="revision-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)


def worker_class(home: Path) -> str:
    """Return the worker class of gunicorn that the code in `home` was served with."""
    if (home / "cashback/gunicorn_worker/worker.py").exists():
        return "cashback.gunicorn_worker.worker.Worker"
    return "cashback.worker.Worker" if (home / "cashback/worker.py").exists() else "gthread"
