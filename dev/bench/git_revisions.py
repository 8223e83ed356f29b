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
    BEFORE: "one claim a transaction, through the ORM",
    "276559d": "claims that arrive together share one transaction; who asks is looked up together too",
    "f72e4bb": "one statement for who asks, one for the entries; a signature is checked once",
    "a9c0dac": "the API's addresses first; no serializer for an empty body",
    "04fb890": "fewer trips for a company, one question for a count, none to a connection from the pool",
    "858cf19": "a call with a token passes by what pages need",
    "8bd2633": "a busy connection stays with its thread, what never goes is spared the collector",
    "4aba573": "lock and look for room in one trip, hand over and write in another",
    "5146398": "each worker keeps to a core",
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
